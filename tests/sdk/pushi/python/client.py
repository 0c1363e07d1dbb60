"""Pushi's own REST client for Python, with the engines it comes with, and sockets that listen.

Started by tests/sdk/run.
"""

import base64
import json
import logging
import threading
import urllib.parse

import appier
import pushi
import world
from harness import Server, check, conclude, until
from world import Listener, as_it_was, asks, client, pairs, refused, said, wire

# What the client has to say of its requests would be between the checks.
logging.disable(logging.CRITICAL)

app = pushi.API(base_url=wire.base_url).create_app("of Python")
other_app = pushi.API(base_url=wire.base_url).create_app("other")
api, other = client(app), client(other_app)


def webs(**filters):
    """The web hooks that are there."""
    return pairs(api.get(api.base_url + "webs", params=filters), "url")


@check("create_app: credentials for whoever asks, in one request without a session")
def _():
    call, _ = wire.take()
    assert (call.method, call.path, call.query) == ("POST", "/apps", {}), call
    for name in ("ident", "key", "secret"):
        assert len(app[name]) == 64 and int(app[name], 16), app
    assert (app["name"], app["enabled"], app["instance"]) == ("of Python", True, app["ident"])
    with refused(400, calls=1):
        api.create_app("of Python")
    try:
        api.create_app("")
    except appier.HTTPError as error:
        assert error.read_json()["errors"] == {"name": ["value is empty"]}
    else:
        raise AssertionError("it has a name")
    assert api.token is None


@check("login: one request, and none more where the secret is wrong")
def _():
    wire.take()
    token = api.login()
    assert len(token) == 64 and int(token, 16) and api.token == token
    (call,) = wire.take()
    assert (call.method, call.path, call.status) == ("GET", "/login", 200), call
    for changes in ({"app_secret": "0" * 64}, {"app_key": other_app["key"]}, {"app_id": "nobody"}):
        with refused(403, calls=1):
            client(app, **changes).login()


@check("a call of no parameters logs in once, and has the session in its query from then on")
def _():
    fresh = client(app)
    fresh.subscribe("ann", "news")
    fresh.subscribe("ann", "news")
    fresh.get(fresh.base_url + "subscriptions")
    calls = wire.take()
    assert [call.path for call in calls] == [
        "/login",
        "/subscriptions",
        "/subscriptions",
        "/subscriptions",
    ]
    assert all(call.query["sid"] == fresh.token and call.status == 200 for call in calls[1:]), calls
    # And all of it on one line.
    assert len({call.line for call in calls}) == 1, calls
    fresh.unsubscribe("ann", "news")


HOOK = "https://hooks.example.com/in/of//two?a=1"
PLAIN = "https://hooks.example.com:8443/in/of//two"
ENDPOINT = "https://push.example.com/send/a%2Fb?c=d&e=f#g"
# What costs a refusal and a login, as it has parameters of its own.
DEAR = {
    "create_web": lambda: api.create_web(HOOK, "dear", unsubscribe=False),
    "create_apn": lambda: api.create_apn("aabbcc", "dear"),
    "create_web_push": lambda: api.create_web_push(ENDPOINT, "key", "secret", "dear"),
    "list_web_pushes": lambda: api.list_web_pushes(event="dear"),
    "delete_web_push of an event": lambda: api.delete_web_push(ENDPOINT, "dear"),
}
if hasattr(api, "create_smtp"):
    # Since 0.5.
    DEAR |= {
        "create_smtp": lambda: api.create_smtp("ann+b@example.com", "dear"),
        "list_apns": lambda: api.list_apns(token="aabbcc"),
        "list_smtps": lambda: api.list_smtps(email="ann+b@example.com", event="dear"),
        "delete_apn by force": lambda: api.delete_apn("aabbcc", "dear", force=True),
        "delete_smtp by force": lambda: api.delete_smtp("ann+b@example.com", "dear", force=True),
    }


def all_records():
    return {kind: api.get(api.base_url + kind) for kind in ("webs", "apns", "smtps", "web_pushes")}


tries = []
for title, call in DEAR.items():

    @check(f"{title}: refused without a session, logged in, and done")
    def _():
        before = api.token
        wire.take()
        call()
        first, login, again = wire.take()
        for one in (first, again):
            assert (one.method, one.path) == (again.method, again.path)
        assert ("sid" in first.query, first.status) == (False, 403), first
        assert (login.path, login.status) == ("/login", 200), login
        assert (again.query["sid"], again.status) == (api.token, 200), again
        assert api.token != before
        # The sessions of before are good all the same.
        assert asks(before) == 200
        tries.append(first)


@check("a try without a session has no effect, whatever it asks for")
def _():
    # All that the deletions name is there.
    for create in (one for title, one in DEAR.items() if title.startswith("create")):
        create()
    for kind, records in all_records().items():
        expected = 0 if kind == "smtps" and "create_smtp" not in DEAR else 1
        assert len(records["subscriptions"]) == expected, (kind, records)
    before = all_records()
    for one in tries:
        assert as_it_was(one) == 403, one
    assert all_records() == before
    assert len(tries) == len(DEAR)


@check("a wrong signature costs three requests, and nothing is kept")
def _():
    for create in (
        lambda: api.create_web(PLAIN, "private-room"),
        lambda: api.create_web(PLAIN, "private-room", auth=api.authenticate("private-room", HOOK)),
        lambda: api.create_apn(
            "aabbcc", "presence-room", auth=other.authenticate("presence-room", "aabbcc")
        ),
    ):
        with refused(403, calls=3):
            create()
    assert webs(url=PLAIN) == []


@check("update_app: what is given changes, the rest stays, and credentials always do")
def _():
    told = api.update_app(description="said", vapid_email="push@example.com", key="mine", id=77)
    assert (told["description"], told["vapid_email"]) == ("said", "push@example.com")
    kept = {
        name: value
        for name, value in app.items()
        if name not in ("description", "vapid_email", "modified")
    }
    assert {name: told[name] for name in kept} == kept
    assert api.get(f"{api.base_url}apps/{app['ident']}") == told
    assert api.get(api.base_url + "apps") == {"apps": [told]}
    with refused(400):
        api.update_app(name="other")
    with refused(404):
        api.update_app(app_id=other_app["ident"], name="taken over")
    assert other.get(other.base_url + "apps")["apps"][0]["name"] == "other"


@check("get_vapid_public_key: of the key of the app, once it has one")
def _():

    def key():
        # 0.4 asks for it where no server has ever had it.
        return api.get(api.base_url + "vapid_key")

    with refused(404):
        key()
    # The private number 1, whose public point is the curve's generator.
    api.update_app(vapid_key=base64.urlsafe_b64encode(bytes(31) + b"\1").decode().rstrip("="))
    point = base64.urlsafe_b64decode(key()["vapid_public_key"] + "=")
    assert point.hex() == (
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    if hasattr(api, "create_smtp"):
        assert api.get_vapid_public_key() == key()


@check(
    "trigger_event: to who is there, with all that it was given, stored unless it is told not to"
)
def _():
    ann = Listener(app)
    ann.joins("news")
    ann.joins("more")
    assert api.trigger_event("news", {"said": "hällo 🦦", "n": [1, None]})["result"] == "success"
    frame = ann.hears("news", "message")
    assert json.loads(frame["data"]) == {"said": "hällo 🦦", "n": [1, None]}
    assert frame["persist"] is True and frame["mid"] and frame["timestamp"]
    api.trigger_event("news", "passing", event="other", persist=False, title="of it", echo=True)
    expected = {
        "channel": "news",
        "event": "other",
        "data": "passing",
        "persist": False,
        "title": "of it",
        "echo": True,
    }
    assert ann.hears("news", "other") == expected
    # Once, under the name that is first in the list.
    api.create_event(["more", "news"], "for both", event="both")
    api.trigger_event("news", "then")
    ann.hears("news", "message", 1)
    assert len(ann.told("more", "both")) == 1 and not ann.told("news", "both")
    assert said(ann.latest("news")) == ["then", "for both", frame["data"]]
    assert said(ann.latest("more")) == ["for both"]
    assert said(api.get(api.base_url + "events", count=3)["events"]) == [
        "then",
        "for both",
        "for both",
    ]
    # The client's own words for what is wrong with it.
    for data in ("", 0, False, None, [], {}):
        with refused(400, calls=1):
            api.trigger_event("news", data)
    with refused(400, calls=1):
        api.trigger_event("news", "mine", mid="of my own")
    with refused(400, calls=1):
        api.get(api.base_url + "events", count="many")
    assert len(ann.told("news", "message")) == 2
    ann.close()


@check("what is of one app is not of another")
def _():
    bob = Listener(other_app)
    bob.joins("news")
    api.trigger_event("news", "not for Bob")
    other.trigger_event("news", "for Bob")
    assert bob.hears("news", "message")["data"] == "for Bob"
    assert said(other.get(other.base_url + "events")["events"]) == ["for Bob"]
    assert "for Bob" not in said(api.get(api.base_url + "events", count=0)["events"])
    api.subscribe("carl", "news")
    assert other.get(other.base_url + "subscriptions") == {"subscriptions": []}
    assert other.unsubscribe("carl", "news") == {"result": "success"}
    assert pairs(api.get(api.base_url + "subscriptions"), "user_id") == [("carl", "news")]
    api.unsubscribe("carl", "news")
    bob.close()


ODD = [
    "ann&bob",
    "a:b",
    "a/b/c",
    "it's",
    "a;b=c",
    "ann@example.com",
    "+",
    "..",
    "a(b)*[c]",
    "~{x}|\\^`",
    '"',
]
# What no path can hold as it is, or what means something else there.
ODDER = ["with space", "ünïcode", "日本 🦦", "100%", "%41", "a?b", "a#b", "tab\t", "x" * 200]


@check(
    "subscriptions: users and channels of every name; the client puts them into a path as they are"
)
def _():
    for at, user in enumerate(ODD + ODDER):
        record = api.subscribe(user, "peer-a:x&y")
        assert (record["user_id"], record["event"]) == (user, "peer-a:x&y")
        assert api.create_subscription(user, "peer-a:x&y") == record
        found = api.get(api.base_url + "subscriptions", user_id=user)
        assert found == {"subscriptions": [record]}, found
    assert [
        user for user, _ in pairs(api.get(api.base_url + "subscriptions"), "user_id")
    ] == ODD + ODDER
    for user in ODD:
        gone = api.unsubscribe(user, "peer-a:x&y")
        assert (gone.get("user_id"), gone.get("event")) == (user, "peer-a:x&y"), (user, gone)
    for user in ODDER:
        # Whoever uses the client has to do it.
        gone = api.unsubscribe(urllib.parse.quote(user, safe=""), urllib.parse.quote("peer-a:x&y"))
        assert (gone.get("user_id"), gone.get("event")) == (user, "peer-a:x&y"), (user, gone)
    assert api.get(api.base_url + "subscriptions") == {"subscriptions": []}
    assert api.unsubscribe("nobody", "news") == {"result": "success"}
    with refused(400, calls=1):
        api.subscribe("", "news")


@check("subscriptions: a path that is none is refused, and nothing is removed")
def _():
    api.subscribe("with space", "news")
    api.subscribe("with", "news")
    try:
        api.unsubscribe("with space", "news")
    except appier.HTTPError as error:
        # Whose words these are cannot be known without a path.
        assert error.code == 400
    else:
        raise AssertionError("a request line of four words was taken")
    found = pairs(api.get(api.base_url + "subscriptions"), "user_id")
    assert found == [("with space", "news"), ("with", "news")]
    for user in ("with%20space", "with"):
        api.unsubscribe(user, "news")


@check("the routes of before 0.1, which the README still names")
def _():
    path = f"{api.base_url}apps/{app['ident']}"
    record = api.get(path + "/subscribe", user_id="ann", event="news")
    assert api.subscribe("ann", "news") == record
    assert api.get(path + "/unsubscribe", user_id="ann", event="news") == record
    assert api.get(api.base_url + "subscriptions") == {"subscriptions": []}


@check("web hooks: a second channel takes the place of the first, unless it is told not to")
def _():
    api.create_web(PLAIN, "one")
    api.create_web(PLAIN, "two")
    assert webs(url=PLAIN) == [(PLAIN, "two")]
    api.subscribe_web(PLAIN, "one", unsubscribe=False)
    auth = api.authenticate("private-room", PLAIN)
    record = api.create_web(PLAIN, "private-room", auth=auth, unsubscribe=False)
    assert (record["url"], record["event"]) == (PLAIN, "private-room")
    assert webs(url=PLAIN) == [(PLAIN, "two"), (PLAIN, "one"), (PLAIN, "private-room")]
    assert webs(url=PLAIN, event="one") == [(PLAIN, "one")]
    # The URL goes into the path as it is, slashes and all.
    gone = api.delete_web(PLAIN, "one")
    assert (gone["url"], gone["event"]) == (PLAIN, "one")
    assert api.delete_web(PLAIN, "one") == {"result": "success"}
    api.unsubscribe_web(PLAIN, "private-room")
    assert webs(url=PLAIN) == [(PLAIN, "two")]
    # What follows a question mark never comes, and so nothing is removed by mistake.
    assert webs(url=HOOK) == [(HOOK, "dear")]
    api.delete_web(HOOK, "dear")
    assert webs(url=HOOK) == [(HOOK, "dear")]
    gone = api.delete_web(urllib.parse.quote(HOOK, safe=""), "dear")
    assert (gone["url"], gone["event"]) == (HOOK, "dear")
    # All channels of one.
    api.create_web(PLAIN, "one", unsubscribe=False)
    gone = api.delete(api.base_url + "webs/" + urllib.parse.quote(PLAIN, safe=""))
    assert pairs(gone, "url") == [(PLAIN, "two"), (PLAIN, "one")]
    assert webs() == []


def cycle(kind, field, target, create, delete, delete_all):
    """Records of one kind, from the first to the last."""

    def found():
        return pairs(api.get(api.base_url + kind, params={field: target}), field)

    if found():
        delete_all(target)
    create(target, "one", unsubscribe=False)
    record = create(target, "one", unsubscribe=False)
    assert (record[field], record["event"], record["instance"]) == (target, "one", app["ident"])
    create(target, "two", unsubscribe=False)
    auth = api.authenticate("personal-u1", target)
    create(target, "personal-u1", auth, unsubscribe=False)
    assert found() == [(target, "one"), (target, "two"), (target, "personal-u1")]
    gone = delete(target, "two")
    assert (gone[field], gone["event"]) == (target, "two")
    assert delete(target, "two") == {"result": "success"}
    create(target, "three")
    assert found() == [(target, "personal-u1"), (target, "three")]
    assert pairs(delete_all(target), field) == [(target, "personal-u1"), (target, "three")]
    assert found() == []


@check("devices, mail addresses and browsers")
def _():
    def delete_apns(token):
        # The client has this since 0.5.
        return api.delete(f"{api.base_url}apns/{token}")

    def create_web_push(endpoint, event, auth_token=None, **more):
        record = api.create_web_push(endpoint, "the key", "the secret", event, auth_token, **more)
        assert (record["p256dh"], record["auth"]) == ("the key", "the secret"), record
        return record

    cycle("apns", "token", "a1b2c3", api.create_apn, api.delete_apn, delete_apns)
    cycle(
        "web_pushes",
        "endpoint",
        ENDPOINT,
        create_web_push,
        api.delete_web_push,
        api.delete_web_pushes,
    )
    if hasattr(api, "create_smtp"):
        cycle(
            "smtps",
            "email",
            "ann+b@example.com",
            api.create_smtp,
            api.delete_smtp,
            api.delete_smtps,
        )
        with refused(404, calls=3):
            api.delete_smtp("ann+b@example.com", "one", force=True)
        with refused(404, calls=3):
            api.delete_apn("a1b2c3", "one", force=True)


@check("authenticate: what the client signs opens every kind of channel")
def _():
    ann = Listener(app)
    for name in ("private-room", "private-décor", "private-a:b&c d", "peer-chat:ann&bob"):
        assert ann.joins(name, auth=api.authenticate(name, ann.id))["name"] == name
    data = {"user_id": "ann", "name": "Ann"}
    told = ann.joins(
        "presence-room", auth=api.authenticate("presence-room", ann.id), channel_data=data
    )
    assert told["members"] == {"ann": data}
    ann.send(
        "pusher:subscribe", channel="private-no", auth=other.authenticate("private-no", ann.id)
    )
    assert json.loads(ann.hears("private-no", "pusher:subscription_error")["data"])["code"] == 403
    api.trigger_event("private-décor", "heard")
    assert ann.hears("private-décor", "message")["data"] == "heard"
    (mine,) = (
        one for one in api.get(api.base_url + "sockets")["sockets"] if one["socket_id"] == ann.id
    )
    assert mine["channel"] == [
        "private-room",
        "private-décor",
        "private-a:b&c d",
        "peer-chat:ann&bob",
        "presence-room",
    ]
    assert api.post(f"{api.base_url}sockets/{ann.id}")["channels"] == mine["channel"]
    ann.close()


for end in ("end", "kill"):

    @check(f"{end}: all that was answered is there afterwards, and waits for its user")
    def _():
        user, news = f"user of {end}", f"news of {end}"
        api.subscribe(user, news)
        api.trigger_event(news, "seen by nobody")
        api.trigger_event([news, "another"], {"n": 2})
        api.create_web(PLAIN, news)
        api.create_web_push(ENDPOINT, "key", "secret", news)
        api.create_apn("aabbcc", news)
        api.update_app(description=f"before {end}")
        asked = ["apps", "subscriptions", "webs", "apns", "smtps", "web_pushes", "events"]
        before = {kind: api.get(api.base_url + kind) for kind in asked}
        token = api.token
        ended = client(app)
        over = ended.login()
        ended.logout()
        world.restart(end)
        # It has the same session still, and a line that is gone, which it gets over by itself.
        wire.take()
        assert {kind: api.get(api.base_url + kind) for kind in asked} == before
        assert api.token == token
        assert all(call.status == 200 for call in wire.take())
        assert (asks(over), asks(token)) == (403, 200)
        api.trigger_event(news, "while away")
        ann = Listener(app)
        personal = f"personal-{user}"
        told = ann.joins(personal, auth=api.authenticate(personal, ann.id))
        assert told["alias"] == [news]
        newest, number, oldest = said(told["events"])
        assert (newest, json.loads(number), oldest) == ("while away", {"n": 2}, "seen by nobody")
        api.trigger_event(news, "live")
        assert ann.hears(news, "message")["data"] == "live"
        assert said(ann.latest(news, count=1)) == ["live"]
        assert api.create_app(f"after {end}")["id"] > before["apps"]["apps"][0]["id"]
        ann.close()


@check("many calls from many threads at once: each is done once")
def _():
    failed = []

    def publish(thread):
        try:
            mine = client(app)
            for at in range(20):
                mine.trigger_event("busy", f"{thread} {at}")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    ann = Listener(app)
    ann.joins("busy")
    events = said(ann.latest("busy", count=1000))
    assert sorted(events) == sorted(f"{thread} {at}" for thread in range(8) for at in range(20))
    # Each thread's in its order, the newest first.
    for thread in range(8):
        mine = [one for one in events if one.startswith(f"{thread} ")]
        assert mine == [f"{thread} {at}" for at in reversed(range(20))]
    ann.close()


for engine in ("requests", "legacy"):

    @check(f"engine {engine}: the same, each in its own way")
    def _():
        appier.conf_s("HTTP_CLIENT", engine)
        mine = client(app)
        wire.take()
        mine.create_web(PLAIN, engine)
        calls = [(call.path, call.status) for call in wire.take()]
        # One of them keeps cookies, and so has a session already from its first login.
        assert calls[0] == ("/login", 200) and calls[-1] == ("/webs", 200), calls
        assert len(calls) == (2 if engine == "requests" else 4), calls
        assert pairs(mine.get(mine.base_url + "webs", event=engine), "url") == [(PLAIN, engine)]
        assert mine.delete_web(PLAIN, engine)["url"] == PLAIN
        mine.subscribe("a:b&c", engine)
        assert mine.unsubscribe("a:b&c", engine)["user_id"] == "a:b&c"
        mine.create_web_push(ENDPOINT, "key", "secret", engine)
        assert mine.delete_web_push(ENDPOINT, engine)["endpoint"] == ENDPOINT
        ann = Listener(app)
        ann.joins(engine)
        mine.trigger_event(engine, {"by": engine})
        assert json.loads(ann.hears(engine, "message")["data"]) == {"by": engine}
        with refused(400):
            mine.trigger_event(engine, "")
        mine.logout()
        ann.close()

    appier.conf_s("HTTP_CLIENT", "netius")


@check("logout: the session is over, and the client gets itself another one")
def _():
    api.login()
    token = api.token
    api.logout()
    assert api.token is None
    assert asks(token) == 403
    # A session that has ended in between is the same to it as none.
    api.token = token
    wire.take()
    api.get(api.base_url + "webs")
    assert [call.status for call in wire.take()] == [403, 200, 200]
    assert api.token != token


@check("an app that the operator makes in the store of the running server, and its next secret")
def _():
    made = world.operate("app", "add", "by hand")
    mine = client({"ident": made["id"], "key": made["key"], "secret": made["secret"]})

    def logs_in():
        try:
            return mine.login()
        except appier.HTTPError as error:
            assert error.code == 403, error
            return None

    before = until("the server to notice", logs_in)
    mine.trigger_event("news", "of an app made by hand")
    ann = Listener(made)
    ann.joins("news")
    assert said(ann.latest("news")) == ["of an app made by hand"]
    signed = mine.authenticate("private-room", ann.id)
    mine.app_secret = world.operate("app", "rotate", made["id"])["secret"]
    assert mine.app_secret != made["secret"]
    until("the session to end", lambda: asks(before) == 403)
    ann.send("pusher:subscribe", channel="private-room", auth=signed)
    ann.hears("private-room", "pusher:subscription_error")
    ann.joins("private-room", auth=mine.authenticate("private-room", ann.id))
    mine.trigger_event("private-room", "signed with the new one")
    assert ann.hears("private-room", "message")["data"] == "signed with the new one"
    with refused(403, calls=1):
        client({"ident": made["id"], "key": made["key"], "secret": made["secret"]}).login()
    ann.close()


@check("where nobody may make apps, the client is told so")
def _():
    closed = Server("--set", "store.path=", "--set", "channelstream.enabled=false")
    stranger = pushi.API(base_url=f"{closed.origin}/")
    try:
        stranger.create_app("mine")
    except appier.HTTPError as error:
        # After a refusal it logs in, and has nothing to do that with.
        assert error.code in (400, 403), error
    else:
        raise AssertionError("it has got one")
    closed.end()


world.end()
conclude()
