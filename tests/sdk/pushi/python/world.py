"""What the tests of the client stand on: a server with a store, the line to it, and sockets."""

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading

import appier
import pushi
import websocket
from harness import WAIT_S, Server, session, until
from wire import Wire

folder = tempfile.TemporaryDirectory()
store = f"{folder.name}/store.db"
SETTINGS = [
    f"store.path={store}",
    "pushi.open_registration=true",
    # `/info` is Channelstream's where it is served.
    "channelstream.enabled=false",
]


def start(**more):
    return Server(*(word for one in SETTINGS for word in ("--set", one)), **more)


server = start()
wire = Wire(lambda: server)


def restart(end):
    """Ends the server in some way and starts it anew, at its old address."""
    global server
    getattr(server, end)()
    server = start(listen=server.address)


def client(app, **changes):
    """The client, for an app."""
    given = {"app_id": app["ident"], "app_key": app["key"], "app_secret": app["secret"]}
    return pushi.API(base_url=wire.base_url, **{**given, **changes})


@contextlib.contextmanager
def refused(code, calls=None):
    """Something that the client is told to be wrong, in so many requests."""
    wire.take()
    try:
        yield
    except appier.HTTPError as error:
        told = error.read_json()
        assert error.code == code, f"{error.code} {told}"
        assert (told["result"], told["code"]) == ("error", code), told
        assert told["message"], told
    else:
        raise AssertionError("it was not refused")
    if calls is not None:
        made = wire.take()
        assert len(made) == calls, made


def operate(*words):
    """Runs a command of the operator's on the store; what it says, by name."""
    command = [os.environ["FANWIRE_BIN"], *words, "--path", store]
    told = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True)
    return dict(re.findall(r"^(\w+)\W+(\w+)$", told.stdout, re.MULTILINE))


class Listener:
    """A socket, and what it has heard, in a thread of its own."""

    def __init__(self, app):
        address = f"ws://{server.address}/{app['key']}"
        self._socket = websocket.create_connection(address, timeout=WAIT_S)
        first = json.loads(self._socket.recv())
        assert first["event"] == "pusher:connection_established", first
        self.id = json.loads(first["data"])["socket_id"]
        self.frames = []
        self._socket.settimeout(None)
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while text := self._socket.recv():
                self.frames.append(json.loads(text))

    def send(self, event, **data):
        self._socket.send(json.dumps({"event": event, "data": data}))

    def told(self, channel, event):
        return [one for one in self.frames if (one["channel"], one["event"]) == (channel, event)]

    def hears(self, channel, event, at=0):
        """The frame number `at` of this name."""
        until(f"{event} on {channel}", lambda: len(self.told(channel, event)) > at)
        return self.told(channel, event)[at]

    def joins(self, channel, **data):
        """Subscribes; the description of the channel."""
        event = "pusher_internal:subscription_succeeded"
        before = len(self.told(channel, event))
        self.send("pusher:subscribe", channel=channel, **data)
        return json.loads(self.hears(channel, event, before)["data"])

    def latest(self, channel, **more):
        event = "pusher_internal:latest"
        before = len(self.told(channel, event))
        self.send("pusher:latest", channel=channel, **more)
        return json.loads(self.hears(channel, event, before)["data"])["events"]

    def close(self):
        self._socket.close()


def said(events):
    return [event["data"]["data"] for event in events]


def pairs(records, field):
    """What the records are about."""
    return [(record[field], record["event"]) for record in records["subscriptions"]]


def asks(sid):
    """The status of a request in this session."""
    path = f"{server.origin}/webs"
    return session().get(path, params={"sid": sid}, timeout=WAIT_S).status_code


def as_it_was(call):
    """Sends the very bytes of a call again; the status of the answer."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as line:
        line.sendall(call.raw)
        return int(line.recv(64).split(b" ", 2)[1])


def end():
    server.end()
    folder.cleanup()
