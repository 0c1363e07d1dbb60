"""Pusher's server SDK for Python, and pysher, a client that speaks protocol 6.

Started by tests/sdk/run.
"""

import base64
import json
import logging

import pusher
import pusher.errors
import pysher
import requests
from harness import Server, check, conclude, until

# Whatever pysher has to say would be between the checks.
logging.disable(logging.CRITICAL)

CONFIG = """
[[app]]
id = "1001"
key = "main-key"
secret = "of main"
subscription_count = true

[[app]]
id = "1002"
key = "other-key"
secret = "of other"
event_bytes = 100

[[app]]
id = "1003"
key = "closed-key"
secret = "of closed"
enabled = false
"""
MASTER_KEY = base64.b64encode(b"k" * 32).decode()

with open("out/pusher-python.toml", "w", encoding="utf-8") as file:
    file.write(CONFIG)
server = Server("--config", "out/pusher-python.toml")
host, port = server.address.split(":")


def sdk(**changes):
    """The SDK for an app."""
    given = {"app_id": "1001", "key": "main-key", "secret": "of main", **changes}
    return pusher.Pusher(
        host=host,
        port=int(port),
        ssl=False,
        encryption_master_key_base64=MASTER_KEY,
        **given,
    )


api = sdk()


class Client:
    """pysher, and what it has heard."""

    def __init__(self, user=None, key="main-key", secret="of main", **more):
        self.heard = []
        self.errors = []
        self.pysher = pysher.Pusher(
            key,
            custom_host=host,
            port=int(port),
            secure=False,
            secret=secret,
            user_data={"user_id": user, "user_info": {"name": user}},
            reconnect_interval=0.2,
            **more,
        )
        connection = self.pysher.connection
        connection.bind("pusher:error", self.errors.append)
        # A quick answer comes before pysher has noted the channel that it belongs to; so that it is
        # seen, it is read on its way.
        on_event = connection.event_handler

        def read(event, data, channel):
            self.heard.append((channel, event, data))
            on_event(event, data, channel)

        connection.event_handler = read

    def connect(self):
        self.pysher.connect()
        until("a connection", lambda: self.pysher.connection.state == "connected")
        return self

    def end(self):
        """Disconnects; its thread may sleep on for a while, which is a matter of its own."""
        self.pysher.disconnect(timeout=0.5)

    def joins(self, name):
        """Subscribes, and waits for it; what the answer said."""
        self.pysher.subscribe(name)
        return self.hears(name, "pusher_internal:subscription_succeeded")

    def told(self, name, event):
        return [data for on, what, data in self.heard if (on, what) == (name, event)]

    def hears(self, name, event, at=0):
        """The data of this event number `at`, as it came."""
        until(f"{event} on {name}", lambda: len(self.told(name, event)) > at)
        return self.told(name, event)[at]

    @property
    def socket_id(self):
        return self.pysher.connection.socket_id


def raises(kind, call, *args, **more):
    """It raises this exception, of this very class; what it says."""
    try:
        call(*args, **more)
    except Exception as error:
        assert type(error) is kind, f"{type(error)}: {error}"
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


ada = Client("ada").connect()
bob = Client("bob").connect()


@check("pysher: connects with protocol 6, and its early ping is answered")
def _():
    assert "protocol=6" in ada.pysher.url
    assert ada.socket_id and ada.socket_id != bob.socket_id
    until("a pong", lambda: ada.pysher.connection.pong_received)
    assert ada.errors == []


@check("pysher: a public channel, data as text")
def _():
    assert json.loads(ada.joins("open")) == {}
    assert json.loads(bob.joins("open")) == {}
    value = {"text": 'hällo "🦦"', "deep": [{"a": None}]}
    bound = []
    ada.pysher.channel("open").bind("said", bound.append)
    assert api.trigger("open", "said", value) == {}
    for one in (ada, bob):
        got = one.hears("open", "said")
        assert isinstance(got, str)
        assert json.loads(got) == value
    until("a callback", lambda: bound == [got])


@check("pysher: a private channel, signed by itself, and a forged one refused")
def _():
    assert json.loads(ada.joins("private-room")) == {}
    eve = Client("eve", secret="another").connect()
    before = eve.socket_id
    eve.pysher.subscribe("private-room")
    refusal = eve.hears("private-room", "pusher:subscription_error")
    assert refusal["status"] == 401, refusal
    until("an error", lambda: eve.errors)
    assert eve.errors[0]["code"] is None
    # A code of a number would have made it give up.
    eve.joins("open")
    api.trigger("private-room", "said", "inside")
    api.trigger("open", "marked", "")
    eve.hears("open", "marked")
    assert eve.told("private-room", "said") == []
    assert (eve.pysher.connection.state, eve.socket_id) == ("connected", before)
    eve.end()


@check("pysher: presence")
def _():
    first = json.loads(ada.joins("presence-lobby"))["presence"]
    assert first == {"ids": ["ada"], "hash": {"ada": {"name": "ada"}}, "count": 1}
    then = json.loads(bob.joins("presence-lobby"))["presence"]
    assert then["count"] == 2 and sorted(then["ids"]) == ["ada", "bob"]
    added = json.loads(ada.hears("presence-lobby", "pusher_internal:member_added"))
    assert added == {"user_id": "bob", "user_info": {"name": "bob"}}
    carl = Client("carl").connect()
    carl.joins("presence-lobby")
    carl.end()
    gone = json.loads(ada.hears("presence-lobby", "pusher_internal:member_removed"))
    assert gone == {"user_id": "carl"}


@check("pysher: client events, and unsubscribe")
def _():
    for one in (ada, bob):
        one.joins("private-talk")
    ada.pysher.channel("private-talk").trigger("client-wave", {"to": "bob"})
    assert json.loads(bob.hears("private-talk", "client-wave")) == {"to": "bob"}
    assert ada.told("private-talk", "client-wave") == []
    bob.pysher.unsubscribe("private-talk")
    until(
        "bob to leave",
        lambda: api.channel_info("private-talk", ["subscription_count"])["subscription_count"] == 1,
    )


@check("pysher: subscription counts")
def _():
    ada.joins("counted")
    bob.joins("counted")
    count = ada.hears("counted", "pusher_internal:subscription_count", 1)
    assert json.loads(count) == {"subscription_count": 2}


@check("pysher: a cache channel")
def _():
    ada.joins("cache-last")
    ada.hears("cache-last", "pusher:cache_miss")
    api.trigger("cache-last", "price", {"is": 1})
    bob.joins("cache-last")
    assert json.loads(bob.hears("cache-last", "price")) == {"is": 1}


@check("pysher: an unknown key and an app that is off end it")
def _():
    for key in ("nobodys-key", "closed-key"):
        lost = Client("ada", key=key)
        lost.pysher.connect()
        until("the end of its thread", lambda: not lost.pysher.connection.is_alive())
        assert lost.pysher.connection.state == "disconnected"
        assert lost.socket_id == ""


@check("SDK: trigger, to several, and to all but one")
def _():
    assert api.trigger(["open", "private-room"], "said", "twice") == {}
    ada.hears("open", "said", 1)
    assert ada.hears("private-room", "said", 1) == "twice"
    assert api.trigger("open", "marked", "not to ada", socket_id=ada.socket_id) == {}
    assert api.trigger("open", "marked", "to all") == {}
    until("the last", lambda: "to all" in ada.told("open", "marked"))
    assert "not to ada" not in ada.told("open", "marked")
    until("it", lambda: "not to ada" in bob.told("open", "marked"))


@check("SDK: trigger_batch, and its info")
def _():
    events = [{"channel": "open", "name": "said", "data": {"no": at}} for at in range(10)]
    assert api.trigger_batch(events) == {}
    until("the last", lambda: '{"no": 9}' in ada.told("open", "said"))
    answer = api.trigger_batch([
        {"channel": "presence-lobby", "name": "x", "data": "", "info": "user_count"},
        {"channel": "open", "name": "x", "data": ""},
    ])
    assert answer == {"batch": [{"user_count": 2}, {}]}


@check("SDK: an encrypted channel")
def _():
    ada.joins("private-encrypted-safe")
    assert api.trigger("private-encrypted-safe", "said", {"is": 1}) == {}
    assert sorted(json.loads(ada.hears("private-encrypted-safe", "said"))) == ["ciphertext", "nonce"]


@check("SDK: channels_info, channel_info and users_info, which send body_md5 with GET")
def _():
    everything = api.channels_info()["channels"]
    assert {"open", "private-room", "presence-lobby"} <= everything.keys()
    assert api.channels_info("presence-", ["user_count"]) == {
        "channels": {"presence-lobby": {"user_count": 2}}
    }
    assert api.channels_info("nothing-like-it") == {"channels": {}}
    lobby = api.channel_info("presence-lobby", ["user_count", "subscription_count"])
    assert lobby == {"occupied": True, "user_count": 2, "subscription_count": 2}
    assert api.channel_info("nobody-is-here")["occupied"] is False
    cache = api.channel_info("cache-last", ["cache"])["cache"]
    assert json.loads(cache["data"]) == {"is": 1}
    users = [user["id"] for user in api.users_info("presence-lobby")["users"]]
    assert sorted(users) == ["ada", "bob"]


@check("SDK: send_to_user, and terminate_user_connections by its path without the app")
def _():
    carl = Client("carl").connect()
    signed = api.authenticate_user(carl.socket_id, {"id": "carl", "watchlist": ["bob"]})
    signins = []
    carl.pysher.connection.bind("pusher:signin_success", signins.append)
    carl.pysher.connection.send_event("pusher:signin", signed)
    until("a sign-in", lambda: signins)
    assert json.loads(json.loads(signins[0])["user_data"])["id"] == "carl"
    # pysher knows no users: the frame is one of a channel like any other.
    carl.joins("#server-to-user-carl")
    assert api.send_to_user("carl", "for-you", {"is": 1}) == {}
    assert json.loads(carl.hears("#server-to-user-carl", "for-you")) == {"is": 1}
    assert api.terminate_user_connections("carl") == {}
    until("the end of its thread", lambda: not carl.pysher.connection.is_alive())
    assert api.terminate_user_connections("nobody") == {}


@check("SDK: authenticate for a client that asks")
def _():
    dora = Client("dora", secret="").connect()
    signed = api.authenticate("private-room", dora.socket_id)
    dora.pysher.subscribe("private-room", auth=signed["auth"])
    dora.hears("private-room", "pusher_internal:subscription_succeeded")
    dora.end()


@check("SDK: refusals are its own exceptions")
def _():
    bad, auth = pusher.errors.PusherBadRequest, pusher.errors.PusherBadAuth
    forbidden, status = pusher.errors.PusherForbidden, pusher.errors.PusherBadStatus
    for wrong in (
        sdk(secret="another"),
        sdk(key="nobodys-key"),
        sdk(key="other-key"),
        sdk(key="other-key", secret="of other"),
    ):
        raises(auth, wrong.trigger, "open", "forged", "")
        raises(auth, wrong.trigger_batch, [{"channel": "open", "name": "forged", "data": ""}])
        raises(auth, wrong.channels_info)
    # This call names no app: whose key it bears is asked, and its own users only are ended.
    raises(auth, sdk(secret="another").terminate_user_connections, "ada")
    raises(auth, sdk(key="other-key").terminate_user_connections, "ada")
    closed = sdk(app_id="1003", key="closed-key", secret="of closed")
    raises(forbidden, closed.trigger, "open", "x", "")
    assert raises(status, sdk(app_id="999").trigger, "open", "x", "").startswith("404:")
    assert raises(status, api.trigger, "open", "x", "x" * 10_241).startswith("413:")
    other = sdk(app_id="1002", key="other-key", secret="of other")
    assert raises(status, other.trigger, "open", "x", "x" * 101).startswith("413:")
    raises(bad, api.channels_info, attributes=["user_count"])
    raises(bad, api.channel_info, "open", ["user_count"])
    raises(bad, api.users_info, "open")
    raises(bad, api.trigger, "open", "pusher:forged", "")
    many = [{"channel": "open", "name": "x", "data": ""} for _ in range(11)]
    raises(bad, api.trigger_batch, many)


@check("SDK: a server that is not there")
def _():
    lost = pusher.Pusher("1001", "main-key", "of main", host=host, port=9, ssl=False)
    raises(requests.exceptions.ConnectionError, lost.trigger, "open", "x", "")


def comes_back(stop):
    """A client with its channels finds the next server at the same address."""
    global server
    carl = Client("carl", auto_sub=True).connect()
    carl.joins("news")
    lost = carl.socket_id
    stop(server)
    server = Server("--config", "out/pusher-python.toml", listen=server.address)
    until("another connection", lambda: carl.socket_id != lost)
    carl.hears("news", "pusher_internal:subscription_succeeded", 1)
    api.trigger("news", "said", "again")
    assert carl.hears("news", "said") == "again"
    carl.end()


@check("pysher: it comes back after SIGTERM, and its channels with it")
def _():
    comes_back(Server.end)


@check("pysher: it comes back after the server is killed, and its channels with it")
def _():
    comes_back(Server.kill)


assert server.end() == 0
conclude()
