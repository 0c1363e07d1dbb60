"""Requests made up from the server's own description of itself, by schemathesis.

Started by tests/sdk/run.
"""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import uuid

import websocket
from harness import WAIT_S, Caller, Server, check, conclude

SECRET = "of the web application"
TOKEN = "of the scraper"
LIMIT_S = 75
DESCRIPTION = "out/openapi.json"
# One line per request: method, path as described, status.
ANSWERS = "out/answers.txt"
# What is asked of these is stored, and direct messages are answered with 501: tests/it/openapi.rs and
# the recorded exchanges have them.
NOT_HERE = "pushi"
METHODS = {"get", "head", "put", "post", "patch", "delete", "options"}
TOOLS = os.path.abspath("python_modules/openapi")
# Connections that hold whatever is asked of them. They are not meant to expire.
KNOWN = [str(uuid.UUID(int=at, version=4)) for at in range(1, 5)]
# An app of Pusher's, and channels with somebody in them.
APP_ID, KEY, APP_SECRET = "1001", "demo-key", "of-the-app"
CHANNELS = ["presence-known", "cache-known", "known"]

server = Server(
    *("--set", f"app.0.id={APP_ID}"),
    *("--set", f"app.0.key={KEY}"),
    *("--set", f"app.0.secret={APP_SECRET}"),
    *("--set", f"channelstream.secret={SECRET}"),
    *("--set", f"admin.metrics_token={TOKEN}"),
    # One signature has to do for all requests.
    *("--set", "channelstream.validate_requests=false"),
    *("--set", "timeouts.channelstream_expire=1h"),
    # A poll that is asked for is waited for.
    *("--set", "timeouts.channelstream_poll=50ms"),
    *("--set", "timeouts.channelstream_poll_gather=50ms"),
)
app = Caller(server.origin, SECRET)


def join():
    """A socket in all of Pusher's channels that are known; it lives as long as it is held."""
    socket = websocket.create_connection(
        f"ws://{server.address}/app/{KEY}?protocol=7", timeout=WAIT_S, http_no_proxy=["*"]
    )
    welcome = json.loads(json.loads(socket.recv())["data"])
    for channel in CHANNELS:
        data = {"channel": channel}
        if channel.startswith("presence-"):
            member = json.dumps({"user_id": "known"})
            text = f"{welcome['socket_id']}:{channel}:{member}".encode()
            digest = hmac.new(APP_SECRET.encode(), text, hashlib.sha256).hexdigest()
            data |= {"auth": f"{KEY}:{digest}", "channel_data": member}
        socket.send(json.dumps({"event": "pusher:subscribe", "data": data}))
    joined = 0
    while joined < len(CHANNELS):
        joined += "subscription_succeeded" in socket.recv()
    return socket


def fuzz():
    """Runs schemathesis on all operations; its exit code, and what it said."""
    headers = {**app.headers(), "Authorization": f"Bearer {TOKEN}"}
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", "openapi/schemathesis.toml"),
            # Read over HTTP, it would leave out the description's own path.
            *("run", DESCRIPTION, "--url", server.origin, "--no-color"),
            *("--exclude-tag", NOT_HERE),
            *(part for header in headers.items() for part in ("--header", ": ".join(header))),
        ],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([os.path.abspath("openapi"), TOOLS]),
            "SCHEMATHESIS_HOOKS": "hooks",
            "ANSWERS": os.path.abspath(ANSWERS),
            "KNOWN_CONNECTIONS": " ".join(KNOWN),
            "KNOWN_APP": f"{APP_ID} {KEY} {APP_SECRET}",
            "KNOWN_CHANNELS": " ".join(CHANNELS),
            "no_proxy": "*",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    with open("out/schemathesis.log", "w", encoding="utf-8") as log:
        log.write(ran.stdout)
    return ran.returncode, ran.stdout


@check("no request that fits the description, or nearly does, meets a 5xx or a surprise")
def _():
    described = app.call("/openapi.json", method="GET")
    assert described.status_code == 200, described.text
    with open(DESCRIPTION, "w", encoding="utf-8") as file:
        file.write(described.text)
    if os.path.exists(ANSWERS):
        os.remove(ANSWERS)
    socket = join()
    for at, known in enumerate(KNOWN):
        app.done("/connect", {"username": f"known {at}", "conn_id": known, "channels": ["known"]})
    operations = [
        f"{method.upper()} {path}"
        for path, methods in described.json()["paths"].items()
        for method, operation in methods.items()
        if method in METHODS and NOT_HERE not in operation["tags"]
    ]
    code, said = fuzz()
    assert code == 0, said[-8000:]
    count = len(operations)
    assert re.search(rf"Tested: {count}\b", said), said
    cases = int(re.search(r"([\d,]+) generated", said)[1].replace(",", ""))
    assert cases > 50 * count, f"only {cases} requests"
    with open(ANSWERS, encoding="utf-8") as lines:
        met = set(lines.read().splitlines())
    # Otherwise the requests would have shown nothing but that a signature is wanted.
    beyond = [operation for operation in operations if f"{operation} 200" in met]
    assert beyond == operations, f"never done: {set(operations) - set(beyond)}"
    socket.close()
    print(f"        {cases} requests to {count} operations; see out/schemathesis.log")


@check("it still serves, and stops when it is asked to")
def _():
    assert app.call("/info", method="GET").status_code == 200
    assert server.end() == 0


conclude()
