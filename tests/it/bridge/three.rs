//! Channelstream, Pusher and Pushi in one app: what each hears of Pushi, and Pushi of each.

mod presence;

use super::stage::{REFUSED, Socket, Stage, member};
use crate::http;
use crate::session::Sut as _;
use crate::websocket::Event;
use fanwire::hub::Fact;
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];
const ROOM: &str = "presence-room";

/// What an event that is not stored says to a socket of Pushi.
fn event(channel: &str, event: &str, data: &str) -> Value {
    json!({"channel": channel, "event": event, "data": data})
}

/// A socket of Pushi says something, to be stored or not.
fn says(stage: &mut Stage, socket: &mut Socket, channel: &str, data: &Value, persist: bool) {
    let word = json!({"event": "said", "channel": channel, "data": data, "persist": persist});
    stage.send(socket, &word);
}

/// The one frame that a socket of Pushi has got about a member: the event, and the member.
#[track_caller]
fn told_of(stage: &mut Stage, socket: &mut Socket) -> (String, Value) {
    let heard = stage.heard(socket);
    let [frame] = &heard[..] else {
        panic!("one frame, not {heard:?}");
    };
    assert_eq!(frame["channel"], ROOM, "{frame}");
    let member = frame["member"].as_str().expect("a text");
    let member = serde_json::from_str(member).expect("JSON");
    (frame["event"].as_str().expect("a name").to_owned(), member)
}

fn added(member: Value) -> (String, Value) {
    ("pusher:member_added".to_owned(), member)
}

fn removed(member: Value) -> (String, Value) {
    ("pusher:member_removed".to_owned(), member)
}

// ---- Messages ------------------------------------------------------------------------------

#[test]
fn what_pushi_publishes_is_told_to_all() {
    let mut stage = Stage::three();
    let (mut one, mut two) = (stage.pushi(1), stage.pushi(1));
    let (mut pia, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    for socket in [&mut one, &mut two] {
        stage.pushi_joins(socket, "room", None);
    }
    stage.join(&mut pia, "room");
    for persist in [true, false] {
        says(&mut stage, &mut one, "room", &json!({"n": 1}), persist);
        let heard = stage.heard(&mut two);
        assert_eq!(heard[0]["mid"].is_string(), persist, "{heard:?}");
        // Whether it is stored is Pushi's matter: others are told what they are told anyway.
        let told = stage.heard(&mut pia);
        let [told] = &told[..] else {
            panic!("one frame, not {told:?}");
        };
        assert_eq!(told["event"], "said");
        assert_eq!(told["data"], heard[0]["data"], "the same text");
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(3));
        let told = stage.object(&mut ann);
        let message = json!({"event": "said", "data": heard[0]["data"]});
        assert_eq!(told["message"], message);
        assert_eq!(
            (&told["user"], &told["type"]),
            (&json!(""), &json!("message"))
        );
        assert_eq!(stage.heard(&mut one), NOTHING);
    }
    // By the application, to several channels: once to each, and without what only Pushi has.
    stage.pushi_joins(&mut one, "other", None);
    stage.join(&mut pia, "other");
    stage.pushi_publishes(&json!({"channel": ["room", "other"], "data": "d", "extra": 1}));
    for socket in [&mut one, &mut two] {
        let heard = stage.heard(socket);
        assert_eq!(heard.len(), 1);
        assert_eq!(
            (&heard[0]["extra"], &heard[0]["data"]),
            (&json!(1), &json!("d"))
        );
    }
    let heard = stage.heard(&mut pia);
    assert_eq!(heard, [event("room", "message", "d")]);
    let message = json!({"event": "message", "data": "d"});
    assert_eq!(stage.object(&mut ann)["message"], message);
}

#[test]
fn what_a_member_of_pushi_says_is_of_that_user() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    let (mut pia, mut ann) = (stage.pusher(1), stage.listener("ann", ROOM));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "u"})));
    stage.join_as(&mut pia, ROOM, Some(&member("pia")));
    stage.heard(&mut one);
    says(&mut stage, &mut one, ROOM, &json!("d"), false);
    assert_eq!(stage.object(&mut ann)["user"], "u");
    let heard = stage.heard(&mut pia);
    assert_eq!(
        (&heard[0]["data"], &heard[0]["user_id"]),
        (&json!("d"), &json!("u"))
    );
}

#[test]
fn what_pusher_publishes_is_an_event_for_pushi() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    let (mut pia, mut eve) = (stage.pusher(1), stage.pusher(1));
    for channel in ["room", "private-room"] {
        stage.pushi_joins(&mut one, channel, None);
        stage.join(&mut pia, channel);
    }
    stage.join(&mut eve, "private-room");
    stage.trigger(1, "room", "App\\Events\\Paid", r#"{"n": 1}"#);
    assert_eq!(
        stage.heard(&mut one),
        [event("room", "App\\Events\\Paid", r#"{"n": 1}"#)]
    );
    let batch = json!({"batch": [{"name": "a", "channel": "room", "data": "x"},
                                 {"name": "b", "channel": "private-room", "data": "y"}]});
    let answer = stage.api(1, "POST", "batch_events", &[], Some(&batch));
    assert_eq!(answer.status, 200);
    let want = [event("room", "a", "x"), event("private-room", "b", "y")];
    assert_eq!(stage.heard(&mut one), want);
    // What one socket says to the others.
    let sent = json!({"event": "client-x", "channel": "private-room", "data": {"n": 1}});
    stage.send(&mut pia, &sent);
    assert_eq!(
        stage.heard(&mut one),
        [event("private-room", "client-x", "{\"n\":1}")]
    );
    // None of it is stored: that is for what Pushi publishes.
    assert_eq!(stage.pushi_latest(&mut one, "room"), NOTHING);
    // To leave a socket of Pushi out there is no way.
    let body = json!({"name": "e", "channel": "room", "data": "d", "socket_id": one.id});
    let answer = stage.api(1, "POST", "events", &[], Some(&body));
    assert_eq!(answer.status, 400);
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn what_channelstream_says_is_an_event_for_pushi() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    stage.pushi_joins(&mut one, "room", None);
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": ["room"], "state_public_keys": ["mood"],
        "channel_configs": {"room": {"notify_state": true, "notify_presence": true}},
    }));
    stage.heard(&mut ann);
    let id = stage.say(json!({"user": "bob", "channel": "room", "message": {"text": "hü\"\n"}}));
    let told = stage.object(&mut ann);
    assert_eq!(
        stage.event(&mut one),
        ("message".to_owned(), told),
        "the very object"
    );
    for (method, name, change) in [
        (
            "PATCH",
            "message:edit",
            json!({"uuid": id, "channel": "room", "message": {"n": 2}}),
        ),
        (
            "DELETE",
            "message:delete",
            json!({"uuid": id, "channel": "room"}),
        ),
    ] {
        stage.call(method, "/message", &json!([change]));
        let told = stage.object(&mut ann);
        assert_eq!(stage.event(&mut one), (name.to_owned(), told));
    }
    let state = json!({"user": "ann", "user_state": {"mood": "good", "secret": 1}});
    stage.call("POST", "/user_state", &state);
    let told = stage.object(&mut ann);
    assert_eq!(
        stage.event(&mut one),
        ("user_state_change".to_owned(), told)
    );
    // What is private to a user of Channelstream's stays there.
    stage.say(json!({"user": "bob", "pm_users": ["ann"], "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
    assert_eq!(stage.heard(&mut one), NOTHING);
    assert_eq!(stage.pushi_latest(&mut one, "room"), NOTHING);
}

#[test]
fn lists_of_users_hold_for_members_of_pushi() {
    let mut stage = Stage::three();
    let mut sockets: Vec<Socket> = Vec::new();
    for user in ["ann", "cid"] {
        let mut socket = stage.pushi(1);
        stage.pushi_joins(&mut socket, ROOM, Some(&json!({"user_id": user})));
        stage.pushi_joins(&mut socket, "room", None);
        sockets.push(socket);
    }
    for socket in &mut sockets {
        stage.heard(socket);
    }
    for (channel, key, want) in [
        (ROOM, "pm_users", [true, false]),
        (ROOM, "exclude_users", [false, true]),
        // Elsewhere a socket of Pushi's is nobody.
        ("room", "pm_users", [false, false]),
        ("room", "exclude_users", [true, true]),
    ] {
        stage.say(json!({"user": "bob", "channel": channel, key: ["ann"], "message": {"n": 1}}));
        let heard = sockets
            .iter_mut()
            .map(|socket| !stage.heard(socket).is_empty());
        assert_eq!(heard.collect::<Vec<_>>(), want, "{channel} {key}");
    }
}

#[test]
fn history_keeps_what_pushi_stores_and_nothing_else() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    // Made by Pushi, which knows no settings.
    stage.pushi_joins(&mut one, "room", None);
    let body = json!({"username": "ann", "channels": ["room"],
                      "channel_configs": {"room": {"store_history": true, "history_size": 9}}});
    let id = stage.call("POST", "/connect", &body)["conn_id"].clone();
    says(&mut stage, &mut one, "room", &json!("passing"), false);
    says(&mut stage, &mut one, "room", &json!("kept"), true);
    let message = json!({"event": "said", "data": "kept"});
    let history = stage.info("room")["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    assert_eq!(history[0]["message"], message);
    // And whoever comes back is told what is kept.
    let mut ann = stage.socket_of(id.as_str().expect("an id"));
    let told = stage.heard(&mut ann);
    assert_eq!(told.last().expect("something")[0]["message"], message);
    // Edited there, it is as it was in Pushi's store.
    let edit = json!([{"uuid": history[0]["uuid"], "channel": "room", "message": {"n": 1}}]);
    stage.call("PATCH", "/message", &edit);
    assert_eq!(stage.event(&mut one).0, "message:edit");
    assert_eq!(stage.pushi_latest(&mut one, "room"), [json!("kept")]);
}

#[test]
fn what_cannot_stay_in_a_history_is_told_to_nobody() {
    let mut stage = Stage::persistent();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    let body = json!({"username": "ann", "channels": ["room"],
                      "channel_configs": {"room": {"store_history": true, "history_size": 9}}});
    let mut ann = stage.connect(&body);
    stage.pushi_joins(&mut one, "room", None);
    for channel in ["room", "other"] {
        stage.join(&mut pia, channel);
    }
    let bound = |stage: &mut Stage, jobs: usize| {
        stage.memory.with(|kept, _| {
            let port = kept.engine_mut().store_port();
            port.bound(jobs, usize::MAX);
        });
    };
    let of_pusher = |channels: Value| json!({"name": "said", "channels": channels, "data": "d"});
    let batch = json!({"batch": [{"name": "said", "channel": "other", "data": "d"},
                                 {"name": "said", "channel": "room", "data": "d"}]});
    let of_channelstream = json!([{"channel": "room", "user": "ann", "message": {"n": 1}}]);
    let of_pushi = json!({"channel": ["other", "room"], "data": "d"});

    // Of two jobs for a publish of Pushi, its own and the history's, there is room for one.
    for jobs in [0, 1] {
        bound(&mut stage, jobs);
        let mut answers = vec![stage.pushi_asks_to_publish(&of_pushi)];
        if jobs == 0 {
            for channels in [json!(["room"]), json!(["other", "room"])] {
                let body = of_pusher(channels);
                answers.push(stage.api(1, "POST", "events", &[], Some(&body)));
            }
            answers.push(stage.api(1, "POST", "batch_events", &[], Some(&batch)));
            answers.push(stage.signed("POST", "/message", &of_channelstream));
        }
        for answer in answers {
            assert_eq!(answer.status, 503, "{}", http::lossy(&answer.body));
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        says(&mut stage, &mut one, "room", &json!("d"), true);
        let (name, told) = stage.event(&mut one);
        assert_eq!((&*name, &told["code"]), ("pusher:error", &json!(503)));
        for socket in [&mut one, &mut pia, &mut ann] {
            assert_eq!(stage.heard(socket), NOTHING);
        }
        // What stays in none goes on.
        stage.trigger(1, "other", "said", "passing");
        assert_eq!(stage.heard(&mut pia), [event("other", "said", "passing")]);
        let passing = json!({"channel": "room", "data": "passing", "persist": false});
        stage.pushi_publishes(&passing);
        for socket in [&mut one, &mut pia, &mut ann] {
            assert_eq!(stage.heard(socket).len(), 1);
        }
    }

    bound(&mut stage, 100);
    let mut kept = 0;
    for channels in [json!(["room"]), json!(["other", "room"])] {
        let body = of_pusher(channels);
        let answer = stage.api(1, "POST", "events", &[], Some(&body));
        assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
        kept += 1;
    }
    let answer = stage.api(1, "POST", "batch_events", &[], Some(&batch));
    assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    stage.call("POST", "/message", &of_channelstream);
    stage.pushi_publishes(&of_pushi);
    says(&mut stage, &mut one, "room", &json!("d"), true);
    kept += 4;
    let history = stage.info("room")["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(kept), "{history}");
}

#[test]
fn a_cache_channel_shows_what_pushi_stored_last() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    stage.pushi_joins(&mut one, "cache-room", None);
    let shown = |stage: &mut Stage| {
        let mut socket = stage.pusher(1);
        stage.ask_in(&mut socket, "cache-room", None);
        let heard = stage.heard(&mut socket);
        assert_eq!(heard.len(), 2, "{heard:?}");
        (heard[1]["event"].clone(), heard[1]["data"].clone())
    };
    assert_eq!(shown(&mut stage).0, "pusher:cache_miss");
    says(&mut stage, &mut one, "cache-room", &json!("kept"), true);
    assert_eq!(shown(&mut stage), (json!("said"), json!("kept")));
    says(&mut stage, &mut one, "cache-room", &json!("passing"), false);
    assert_eq!(shown(&mut stage), (json!("said"), json!("kept")));
    // For Pushi it is a channel like any other.
    let mut late = stage.pushi(1);
    stage.pushi_joins(&mut late, "cache-room", None);
    assert_eq!(stage.heard(&mut late), NOTHING);
}

// ---- One channel ---------------------------------------------------------------------------

#[test]
fn all_three_are_counted() {
    let mut stage = Stage::three();
    let (mut one, mut quiet, mut pia) = (stage.pushi(1), stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "u"})));
    stage.pushi_joins(&mut quiet, ROOM, None);
    stage.join_as(&mut pia, ROOM, Some(&member("pia")));
    let _ann = stage.listener("ann", ROOM);
    let info = [("info", "user_count,subscription_count")];
    let told = stage.told("channels/presence-room", &info);
    let counted = json!({"occupied": true, "user_count": 3, "subscription_count": 4});
    assert_eq!(told, counted);
    let users = stage.told("channels/presence-room/users", &[]);
    assert_eq!(
        users,
        json!({"users": [{"id": "u"}, {"id": "pia"}, {"id": "ann"}]})
    );
    let known = stage.info(ROOM);
    assert_eq!(known["users"], json!(["ann", "pia", "u"]));
    assert_eq!(known["total_connections"], 4);
    assert_eq!(stage.told("connections", &[]), json!({"connections": 4}));
}

#[test]
fn facts_are_told_of_all_three_and_once() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "u"})));
    stage.join_as(&mut pia, ROOM, Some(&member("u")));
    let ann = stage.listener("u", ROOM);
    stage.close(one);
    stage.close(pia);
    stage.ask("GET", &format!("/disconnect?conn_id={}", ann.id), &[], None);
    let mut facts = Vec::new();
    stage
        .memory
        .with(|kept, _| facts = kept.engine_mut().take_facts());
    let (channel, user) = (|| Box::from(ROOM), || Box::from("u"));
    let expected = [
        Fact::Occupied { channel: channel() },
        Fact::MemberAdded {
            channel: channel(),
            user: user(),
        },
        Fact::MemberRemoved {
            channel: channel(),
            user: user(),
        },
        Fact::Vacated { channel: channel() },
    ];
    let facts: Vec<_> = facts
        .into_iter()
        .map(|(_, fact)| fact)
        .filter(|fact| !matches!(fact, Fact::Count { .. }))
        .collect();
    for fact in &expected {
        let told = facts.iter().filter(|told| *told == fact).count();
        assert_eq!(told, 1, "{fact:?} in {facts:?}");
    }
    assert_eq!(facts.len(), expected.len(), "{facts:?}");
}

// ---- Rules that stay what they are ---------------------------------------------------------

#[test]
fn pushi_needs_its_own_signature_whoever_made_the_channel() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    for channel in [
        "private-room",
        ROOM,
        "private-encrypted-room",
        "private-cache-room",
    ] {
        stage.ask_in(&mut pia, channel, Some(&member("pia")));
        stage.heard(&mut pia);
        let _ann = stage.listener("ann", channel);
        // For a member Pusher signs what it says of itself, too; for others the two are alike, and
        // good for the socket that they name.
        let of_member = stage.pusher_auth(&one.id, ROOM, Some(&member("pia")));
        let of_another = stage.pusher_auth(&pia.id, channel, None);
        for auth in ["", &of_member, &of_another] {
            let data = json!({"channel": channel, "auth": auth, "channel_data": member("pia")});
            let word = json!({"event": "pusher:subscribe", "data": data});
            stage.send(&mut one, &word);
            let heard = stage.heard(&mut one);
            assert_eq!(heard[0]["event"], REFUSED, "{channel} {auth}");
        }
        stage.say(json!({"user": "bob", "channel": channel, "message": {"n": 1}}));
        assert_eq!(stage.heard(&mut one), NOTHING);
        stage.heard(&mut pia);
    }
    // Nor is Pushi's good for a member of Pusher's, whose data is signed as well.
    let mut other = stage.pusher(1);
    let auth = stage.pushi_auth(&other.id, ROOM);
    let data = json!({"channel": ROOM, "auth": auth, "channel_data": member("eve").to_string()});
    stage.send(
        &mut other,
        &json!({"event": "pusher:subscribe", "data": data}),
    );
    assert_eq!(stage.heard(&mut other)[0]["event"], REFUSED);
}

#[test]
fn what_is_for_one_user_of_pushi_is_not_open_to_the_others() {
    let mut stage = Stage::three();
    let mut one = stage.pushi(1);
    let mut pia = stage.pusher(1);
    stage.pushi_joins(&mut one, "personal-u", None);
    // To Pusher it would be a public channel.
    for name in ["personal-u", "peer-x"] {
        stage.ask_in(&mut pia, name, None);
        assert_eq!(stage.heard(&mut pia)[0]["event"], REFUSED, "{name}");
    }
    stage.pushi_publishes(&json!({"channel": "personal-u", "data": "d", "persist": false}));
    assert_eq!(stage.heard(&mut one).len(), 1);
    assert_eq!(stage.heard(&mut pia), NOTHING);
    // And what is for one user of Pusher's is not to be had by a channel of that name.
    let name = "#server-to-user-pia";
    stage.sign_in(&mut pia, &json!({"id": "pia"}));
    stage.heard(&mut pia);
    stage.pushi_joins(&mut one, name, None);
    stage.trigger(1, name, "e", "d");
    assert_eq!(stage.event(&mut pia).0, "e");
    assert_eq!(stage.heard(&mut one), NOTHING);
    says(&mut stage, &mut one, name, &json!("forged"), false);
    assert_eq!(stage.heard(&mut pia), NOTHING);
}

#[test]
fn what_pushi_does_not_encrypt_is_not_told_in_encrypted_channels() {
    let mut stage = Stage::three();
    let channel = "private-encrypted-room";
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, channel, None);
    stage.ask_in(&mut pia, channel, None);
    stage.heard(&mut pia);
    stage.say(json!({"user": "bob", "channel": channel, "message": {"n": 1}}));
    assert_eq!(
        stage.event(&mut one).0,
        "message",
        "for Pushi it is a private one"
    );
    assert_eq!(stage.heard(&mut pia), NOTHING);
    // What an application encrypted reaches all, whoever it publishes by.
    let data = r#"{"nonce":"","ciphertext":""}"#;
    stage.trigger(1, channel, "e", data);
    stage.pushi_publishes(&json!({"channel": channel, "data": data, "event": "f"}));
    for socket in [&mut one, &mut pia] {
        let heard = stage.heard(socket);
        let names: Vec<_> = heard.iter().map(|frame| &frame["event"]).collect();
        assert_eq!(names, ["e", "f"]);
    }
}

#[test]
fn the_server_speaks_for_itself_in_every_protocol() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, "room", None);
    stage.join(&mut pia, "room");
    for name in ["pusher:error", "pusher_internal:member_added"] {
        let word = json!({"event": name, "channel": "room", "data": "d"});
        stage.send(&mut one, &word);
        assert_eq!(stage.event(&mut one).0, "pusher:error");
    }
    assert_eq!(stage.heard(&mut pia), NOTHING);
}

#[test]
fn pusher_ends_no_sockets_of_pushi() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "ann"})));
    stage.sign_in(&mut pia, &json!({"id": "ann"}));
    stage.heard(&mut pia);
    let path = "users/ann/terminate_connections";
    assert_eq!(
        stage.api(1, "POST", path, &[], Some(&json!({}))).status,
        200
    );
    let closed = stage.events(&mut pia);
    assert!(
        matches!(closed.last(), Some(Event::Close(4009, _))),
        "{closed:?}"
    );
    assert_eq!(stage.heard(&mut one), NOTHING);
    stage.trigger(1, ROOM, "e", "d");
    assert_eq!(stage.event(&mut one).0, "e");
}

#[test]
fn names_that_only_pushi_has_are_for_pushi() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    for name in ["", "my room", "a/b", "é", "peer-room:a&b"] {
        stage.pushi_joins(&mut one, name, None);
        stage.ask_in(&mut pia, name, None);
        assert_eq!(stage.heard(&mut pia)[0]["event"], REFUSED, "{name}");
    }
    assert_eq!(stage.told("channels", &[]), json!({"channels": {}}));
}

// ---- Apart ---------------------------------------------------------------------------------

#[test]
fn channelstream_in_an_app_of_its_own_hears_nothing_of_pushi() {
    let mut stage = Stage::apart();
    let mut one = stage.pushi(1);
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "u"})));
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": [ROOM],
        "channel_configs": {ROOM: {"notify_presence": true}},
    }));
    stage.heard(&mut ann);
    says(&mut stage, &mut one, ROOM, &json!("d"), true);
    stage.say(json!({"user": "bob", "channel": ROOM, "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
    assert_eq!(stage.info(ROOM)["users"], json!(["ann"]));
    assert_eq!(stage.heard(&mut one), NOTHING);
    stage.close(one);
    stage.memory.wait_ms(1);
    assert_eq!(stage.heard(&mut ann), NOTHING);
}

#[test]
fn two_apps_of_pushi_and_pusher_never_hear_each_other() {
    let mut stage = Stage::apart();
    let (mut one, mut other) = (stage.pushi(1), stage.pushi(2));
    let mut pia = stage.pusher(2);
    for socket in [&mut one, &mut other] {
        stage.pushi_joins(socket, "room", None);
    }
    stage.join(&mut pia, "room");
    says(&mut stage, &mut one, "room", &json!("d"), true);
    for socket in [&mut other, &mut pia] {
        assert_eq!(stage.heard(socket), NOTHING);
    }
    stage.trigger(2, "room", "e", "d");
    assert_eq!(stage.event(&mut other).0, "e");
    assert_eq!(stage.event(&mut pia).0, "e");
    assert_eq!(stage.heard(&mut one), NOTHING);
    // What the one app signs opens nothing of the other.
    stage.pushi_asks(&mut other, "private-room", None);
    assert_eq!(stage.heard(&mut other)[0]["event"], REFUSED);
}
