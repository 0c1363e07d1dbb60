"""What the Python tests stand on: a server process, signed requests, and a count of checks."""

import atexit
import os
import queue
import re
import subprocess
import sys
import threading
import time
import traceback

import itsdangerous
import requests

WAIT_S = 10
_counts = {"passed": 0, "failed": 0, "skipped": 0}


class Skipped(Exception):
    """A check that cannot be made."""


def check(title):
    """Runs a function as a check, at once, and goes on whatever comes of it."""

    def run(function):
        try:
            function()
        except Skipped as why:
            _counts["skipped"] += 1
            print(f"SKIPPED {title}: {why}")
        except Exception:
            _counts["failed"] += 1
            print(f"FAILED  {title}\n        " + traceback.format_exc().replace("\n", "\n        "))
        else:
            _counts["passed"] += 1
            print(f"ok      {title}")
        return function

    return run


def conclude():
    """The last line, and the exit code."""
    print(", ".join(f"{count} {name}" for name, count in _counts.items()))
    sys.exit(0 if _counts["passed"] and not _counts["failed"] else 1)


def until(what, probe, timeout_s=WAIT_S):
    """Waits until `probe` gives something true, and gives it on."""
    due = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < due, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


class Server:
    """A server of our own. It says on stderr where it listens."""

    def __init__(self, *args, listen="127.0.0.1:0"):
        self._child = subprocess.Popen(
            [os.environ["FANWIRE_BIN"], "run", "--listen", listen, *args],
            # Settings of whoever runs the tests are none of theirs.
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A test that breaks off leaves no server behind.
        atexit.register(self._child.kill)
        self.said = []
        found = queue.Queue()

        def read():
            for line in self._child.stderr:
                self.said.append(line)
                match = re.search(r"listening on (?:http://)?([\d.]+:\d+)", line)
                if match:
                    found.put(match[1])
            found.put(None)

        threading.Thread(target=read, daemon=True).start()
        self.address = found.get(timeout=WAIT_S)
        assert self.address, "".join(self.said)
        self.origin = f"http://{self.address}"

    def end(self):
        """Asks it to stop; its exit code."""
        self._child.terminate()
        return self._child.wait(timeout=WAIT_S)

    def kill(self):
        """Gives it no time for anything."""
        self._child.kill()
        self._child.wait(timeout=WAIT_S)


class Caller:
    """A web application that calls the server API."""

    def __init__(self, origin, secret):
        self.origin = origin
        self.signer = itsdangerous.TimestampSigner(secret)
        self.session = session()

    def headers(self, value="channelstream"):
        """What makes a request a signed one."""
        return {"x-channelstream-secret": self.signer.sign(value).decode()}

    def call(self, path, body=None, method="POST"):
        """The answer to a signed request."""
        return self.session.request(
            method, self.origin + path, json=body, headers=self.headers(path), timeout=WAIT_S
        )

    def done(self, path, body=None, method="POST"):
        """The value of the answer, which must be a good one."""
        answer = self.call(path, body, method)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        assert answer.headers["Content-Type"].startswith("application/json"), answer.headers
        return answer.json()


def session():
    """Keeps connections alive, and asks no proxy."""
    made = requests.Session()
    made.trust_env = False
    return made
