"""A web application and its listeners in Python: requests, itsdangerous 1.1.0, websocket-client.

Started by tests/sdk/run.
"""

import json
import re
import threading
import uuid

import itsdangerous
import websocket
from harness import WAIT_S, Caller, Server, check, conclude, session, until

SECRET = "s3cret % of the INI file"
INI = f"""
[channelstream]
secret = {SECRET.replace("%", "%%")}
port = 8000
allow_posting_from = 127.0.0.1,
    10.0.0.1
"""
CONFIG = {
    "notify_presence": True,
    "broadcast_presence_with_user_lists": True,
    "notify_state": True,
    "store_history": True,
    "history_size": 5,
}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?")

with open("out/channelstream.ini", "w", encoding="utf-8") as file:
    file.write(INI)
server = Server("--ini", "out/channelstream.ini")
app = Caller(server.origin, SECRET)


class SignerAt(itsdangerous.TimestampSigner):
    """Signs as of another second."""

    ahead_s = 0

    def get_timestamp(self):
        return super().get_timestamp() + self.ahead_s


def sign_at(ahead_s, secret=SECRET):
    signer = SignerAt(secret)
    signer.ahead_s = ahead_s
    return signer.sign("channelstream").decode()


def info_with(signature, **more):
    """The server's answer to a request that carries this signature, or none."""
    headers = {} if signature is None else {"x-channelstream-secret": signature}
    return app.session.get(server.origin + "/info", headers=headers, timeout=WAIT_S, **more)


class Listener:
    """Keeps what it hears, in a thread of its own."""

    def __init__(self, user, channels, **more):
        self.user = user
        self.answer = app.done(
            "/connect",
            {
                "username": user,
                "channels": channels,
                "channel_configs": {name: CONFIG for name in channels},
                "fresh_user_state": {"colour": "grey", "email": f"{user}@mail.test"},
                "state_public_keys": ["colour"],
                **more,
            },
        )
        self.id = self.answer["conn_id"]
        # One list per WebSocket message or answer of a poll.
        self.lists = []
        self.is_over = threading.Event()
        self.trouble = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            self._listen()
        except Exception as trouble:
            self.trouble = trouble
        self.is_over.set()

    def frames(self):
        return [frame for part in list(self.lists) for frame in part]

    def texts(self):
        """What people said, in the order of its coming."""
        told = [frame for frame in self.frames() if frame["type"] == "message"]
        return [frame["message"]["text"] for frame in told]

    def hears(self, wanted):
        """Waits for the frame that this is true of."""
        assert not self.is_over.is_set(), f"{self.user} has ended: {self.trouble}"
        return until(
            f"a frame for {self.user}",
            lambda: next((frame for frame in self.frames() if wanted(frame)), None),
        )

    def hears_text(self, text):
        return self.hears(lambda frame: (frame.get("message") or {}).get("text") == text)


class Socket(Listener):
    """Listens on a WebSocket."""

    close_code = None

    def _listen(self):
        self.socket = websocket.create_connection(
            f"ws://{server.address}/ws?conn_id={self.id}", timeout=30, http_no_proxy=["*"]
        )
        while True:
            opcode, payload = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                return
            assert opcode == websocket.ABNF.OPCODE_TEXT, opcode
            self.lists.append(json.loads(payload))


class Poller(Listener):
    """Polls again and again."""

    status = None

    def _listen(self):
        with session() as client:
            while True:
                answer = client.get(
                    f"{server.origin}/listen", params={"conn_id": self.id}, timeout=30
                )
                self.status = answer.status_code
                if self.status != 200:
                    return
                self.lists.append(answer.json())


class Guest:
    """A connection for the length of a block, which nobody listens on."""

    def __init__(self, user):
        self.user = user

    def __enter__(self):
        body = {"username": self.user, "channels": [f"{self.user}'s"]}
        self.id = app.done("/connect", body)["conn_id"]
        return self.id

    def __exit__(self, *_):
        app.session.get(f"{server.origin}/disconnect", params={"conn_id": self.id}, timeout=WAIT_S)


def say(text, user="system", **more):
    """Publishes one message, to the room unless told otherwise."""
    where = more or {"channel": "room"}
    return app.done("/message", [{"user": user, "message": {"text": text}, **where}])[0]


def bob_state():
    """What of bob's state everybody may see."""
    body = {"info": {"channels": ["room"], "return_public_state": True}}
    users = app.done("/info", body)["users"]
    return next(user["state"] for user in users if user["user"] == "bob")


@check("signatures of the real itsdangerous are good, whatever they sign")
def _():
    assert itsdangerous.__version__ == "1.1.0"
    signer = itsdangerous.TimestampSigner(SECRET)
    for value in ["channelstream", "/info", "", "a.b.c", "ü"]:
        assert info_with(signer.sign(value).decode("latin-1")).status_code == 200, value
    in_query = {"secret": signer.sign("channelstream").decode()}
    assert info_with(None, params=in_query).status_code == 200


@check("a signature is good for a minute, and from the future")
def _():
    # The second may change between signing and checking.
    for ahead_s, status in [(-58, 200), (0, 200), (3600, 200), (-62, 401), (-86400, 401)]:
        assert info_with(sign_at(ahead_s)).status_code == status, ahead_s


@check("wrong signatures are refused: 401, and none at all: 403")
def _():
    good = sign_at(0)
    value, stamp, mac = good.split(".")
    plain = itsdangerous.Signer(SECRET).sign("channelstream").decode()
    salted = itsdangerous.TimestampSigner(SECRET, salt="other").sign("channelstream").decode()
    for wrong in [
        sign_at(0, "another secret"),
        f"x{good}",
        f"{value}.{stamp}x.{mac}",
        f"{value}.{stamp}.{mac[::-1]}",
        f"{value}.{stamp}",
        SECRET,
        plain,
        salted,
    ]:
        answer = info_with(wrong)
        assert answer.status_code == 401, wrong
        assert answer.json() == {"request": "Bad Signature"}
    assert info_with(None).status_code == 403
    unsigned = app.session.post(server.origin + "/connect", json={"username": "x"}, timeout=WAIT_S)
    assert unsigned.status_code == 403


ada = Socket("ada", ["room"])
bob = Poller("bob", ["room"], user_state={"visits": 3})


@check("connect says who and where one is")
def _():
    assert ada.id == str(uuid.UUID(ada.id))
    answer = bob.answer
    assert set(answer) == {
        "conn_id", "username", "state", "public_state", "channels", "channels_info",
    }  # fmt: skip
    assert answer["username"] == "bob"
    assert answer["state"] == {"colour": "grey", "email": "bob@mail.test", "visits": 3}
    assert answer["public_state"] == {"colour": "grey"}
    room = answer["channels_info"]["channels"]["room"]
    assert room["users"] == ["ada", "bob"]
    assert room["settings"] == {**CONFIG, "store_frames": True}
    joined = ada.hears(lambda frame: frame["type"] == "presence")
    assert joined["user"] == "bob"
    assert joined["message"] == {"action": "joined"}
    assert joined["users"] == [
        {"user": name, "state": {"colour": "grey"}} for name in ["ada", "bob"]
    ]


@check("bad requests are told what is wrong, all at once")
def _():
    answer = app.call("/connect", {"channels": ["good", 7], "username": None})
    assert answer.status_code == 422
    assert answer.json() == {
        "username": ["Field may not be null."],
        "channels": {"1": ["Not a valid string."]},
    }
    answer = app.call("/subscribe", {"conn_id": str(uuid.uuid4()), "channels": ["room"]})
    assert (answer.status_code, answer.json()) == (422, {"conn_id": ["Unknown connection"]})
    assert app.call("/connect", method="GET").status_code == 404


@check("a WebSocket and a poll at once hear the same, once each and in order")
def _():
    sent = [f"message {at}" for at in range(150)]
    # One by one, and many at a time.
    for text in sent[:50]:
        say(text)
    body = [{"user": "system", "channel": "room", "message": {"text": text}} for text in sent[50:]]
    answers = app.done("/message", body)
    assert [answer["message"]["text"] for answer in answers] == sent[50:]
    for who in [ada, bob]:
        who.hears_text(sent[-1])
        assert who.texts() == sent, who.user
    # One object per message on a socket.
    assert all(len(part) <= 1 for part in ada.lists)
    by_uuid = {frame["uuid"]: frame for frame in ada.frames()}
    for frame in bob.frames():
        if frame["type"] == "message" and not frame["catchup"]:
            other = by_uuid[frame["uuid"]]
            assert {**other, "catchup": False} == frame


@check("what is said comes through unchanged")
def _():
    content = {
        "text": "żółw 🦦 \u2028 \x00 \" \\ </script>",
        "large": 123456789012345678901234567890,
        "small": -1.5e-7,
        "deep": [[], {}, {"": [None, True, False]}],
    }
    sent = app.done("/message", [{"user": "zoë", "channel": "room", "message": content}])[0]
    assert sent["message"] == content
    assert "type" not in sent and "catchup" not in sent
    for who in [ada, bob]:
        frame = who.hears(lambda frame: frame["uuid"] == sent["uuid"])
        assert frame["message"] == content
        assert frame["user"] == "zoë"
        assert frame["timestamp"] == sent["timestamp"] and STAMP.fullmatch(frame["timestamp"])
        assert set(frame) == {
            "uuid", "type", "channel", "user", "timestamp", "message", "edited", "catchup",
        }  # fmt: skip


@check("private and exclusive messages reach whom they are for")
def _():
    say("to ada", pm_users=["ada", "nobody"])
    say("to bob here", channel="room", pm_users=["bob"])
    say("to all but bob", channel="room", exclude_users=["bob"])
    say("to nobody", channel="unheard of")
    assert app.done("/message", [{"user": "system", "message": {}}]) == []
    say("to all")
    for who, mine in [(ada, ["to ada", "to all but bob", "to all"]), (bob, ["to bob here", "to all"])]:
        who.hears_text("to all")
        assert [text for text in who.texts() if text.startswith("to ")] == mine, who.user


@check("subscribe and unsubscribe")
def _():
    body = {"conn_id": bob.id, "channels": ["side", "room"], "channel_configs": {"side": CONFIG}}
    answer = app.done("/subscribe", body)
    assert answer["channels"] == ["room", "side"]
    assert answer["subscribed_to"] == ["side"]
    say("aside", channel="side")
    assert bob.hears_text("aside")["channel"] == "side"
    answer = app.done("/unsubscribe", {"conn_id": bob.id, "channels": ["side"]})
    assert (answer["channels"], answer["unsubscribed_from"]) == (["room"], ["side"])
    say("nobody listens", channel="side")
    say("still here")
    for who in [ada, bob]:
        who.hears_text("still here")
        assert "nobody listens" not in who.texts()
    assert "aside" not in ada.texts()


@check("info tells of channels in all its forms")
def _():
    everything = app.done("/info", method="GET")
    assert {"room", "side"} <= set(everything["channels"])
    room = everything["channels"]["room"]
    assert (room["total_users"], room["total_connections"]) == (2, 2)
    assert [message["message"]["text"] for message in room["history"]][-1] == "still here"
    assert len(room["history"]) == CONFIG["history_size"]
    states = {user["user"]: user["state"] for user in everything["users"]}
    assert states["bob"]["email"] == "bob@mail.test"
    some = app.done("/info", {"info": {"channels": ["room", "unheard of"], "return_public_state": True}})
    assert list(some["channels"]) == ["room"]
    assert {"user": "bob", "state": {"colour": "grey"}} in some["users"]
    bare = app.done(
        "/info",
        {"info": {"exclude_channels": ["side"], "include_history": False, "include_users": False}},
    )
    assert bare["channels"]["room"]["history"] == [] and bare["users"] == []
    assert "side" not in bare["channels"]
    assert app.call("/info", {}).status_code == 422


@check("a user's state changes")
def _():
    body = {"user": "bob", "user_state": {"colour": "red", "visits": 4}}
    answer = app.done("/user_state", body)
    assert answer["user_state"] == {"colour": "red", "email": "bob@mail.test", "visits": 4}
    assert answer["changed_state"] == [
        {"key": "colour", "value": "red"},
        {"key": "visits", "value": 4},
    ]
    assert answer["public_keys"] == ["colour"]
    for who in [ada, bob]:
        change = who.hears(lambda frame: frame["type"] == "user_state_change")
        assert change["user"] == "bob"
        assert change["message"] == {
            "state": {"colour": "red"},
            "changed": [{"key": "colour", "value": "red"}],
        }
    refused = app.call("/user_state", {"user": "nobody at all"})
    assert (refused.status_code, refused.json()) == (422, {"user": ["Unknown user"]})


@check("a message is edited")
def _():
    sent = say("with a tpyo")
    change = {"uuid": sent["uuid"], "channel": "room", "message": {"text": "without"}}
    answer = app.done("/message", [change], method="PATCH")
    assert answer[0]["uuid"] == sent["uuid"] and STAMP.fullmatch(answer[0]["edited"])
    for who in [ada, bob]:
        frame = who.hears_text("without")
        assert (frame["type"], frame["uuid"]) == ("message:edit", sent["uuid"])
    history = app.done("/info", method="GET")["channels"]["room"]["history"]
    assert history[-1]["message"] == {"text": "without"} and history[-1]["edited"]


@check("a message is deleted")
def _():
    sent = say("doomed")
    answer = app.done("/message", [{"uuid": sent["uuid"], "channel": "room"}], method="DELETE")
    assert set(answer[0]) == {"uuid", "channel", "pm_users", "exclude_users", "no_history"}
    for who in [ada, bob]:
        who.hears(
            lambda frame: frame["type"] == "message:delete" and frame["uuid"] == sent["uuid"]
        )
    history = app.done("/info", method="GET")["channels"]["room"]["history"]
    assert sent["uuid"] not in [message["uuid"] for message in history]


@check("a channel's settings are replaced")
def _():
    answer = app.done("/channel_config", {"set up": {"history_size": "3", "store_history": True}})
    settings = answer["channels"]["set up"]["settings"]
    assert (settings["history_size"], settings["store_history"]) == (3, True)
    assert settings["notify_presence"] is False


@check("a poll can answer with a script, and a bad one is told so")
def _():
    with Guest("carl") as guest:
        say("for carl", channel="carl's")
        query = {"conn_id": guest, "callback": "page.$heard"}
        answer = app.session.get(server.origin + "/listen", params=query, timeout=WAIT_S)
        assert answer.headers["Content-Type"].startswith("application/javascript")
        name, _, rest = answer.text.partition("(")
        assert (name, rest[-1]) == ("page.$heard", ")")
        (frame,) = json.loads(rest[:-1])
        assert frame["message"] == {"text": "for carl"} and frame["catchup"]
        query["callback"] = "alert(1)//"
        answer = app.session.get(server.origin + "/listen", params=query, timeout=WAIT_S)
        assert answer.status_code == 422 and "alert" not in answer.text
    for query, status in [({"conn_id": "7"}, 422), ({}, 422), ({"conn_id": str(uuid.uuid4())}, 401)]:
        answer = app.session.get(server.origin + "/listen", params=query, timeout=WAIT_S)
        assert answer.status_code == status, query


@check("disconnect ends a WebSocket with 1000, and a poll with 401")
def _():
    seen = len(bob.frames())
    url = f"{server.origin}/disconnect"
    gone = app.session.get(url, params={"conn_id": ada.id}, timeout=WAIT_S)
    assert gone.json() is True
    assert ada.is_over.wait(WAIT_S)
    assert (ada.trouble, ada.close_code) == (None, 1000)
    parted = bob.hears(lambda frame: frame["type"] == "presence" and frame["user"] == "ada")
    assert parted in bob.frames()[seen:]
    assert (parted["message"], parted["state"], parted["users"]) == (
        {"action": "parted"},
        None,
        [{"user": "bob", "state": bob_state()}],
    )
    gone = app.session.post(url, json={"conn_id": bob.id}, timeout=WAIT_S)
    assert gone.json() is True
    assert bob.is_over.wait(WAIT_S)
    assert (bob.trouble, bob.status) == (None, 401)
    again = app.session.post(url, json={"conn_id": bob.id}, timeout=WAIT_S)
    assert again.json() is False
    assert app.done("/info", method="GET")["channels"]["room"]["users"] == []


@check("a WebSocket of nobody's is closed at once")
def _():
    for id, code in [(str(uuid.uuid4()), 1000), ("7", 1008)]:
        url = f"ws://{server.address}/ws?conn_id={id}"
        socket = websocket.create_connection(url, timeout=WAIT_S, http_no_proxy=["*"])
        opcode, payload = socket.recv_data()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, code)
        socket.close()


@check("the server stops when it is asked to")
def _():
    assert server.end() == 0


conclude()
