//! Channelstream and Pusher in one app: a channel is one channel, and a user one user.

use super::stage::{ONE, OWN, REFUSED, Stage, member};
use crate::session::Sut;
use crate::websocket::Event;
use fanwire::hub::Fact;
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];

// ---- One channel ---------------------------------------------------------------------------

#[test]
fn both_count_everybody() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join_as(&mut one, "presence-room", Some(&member("pia")));
    let _ann = stage.listener("ann", "presence-room");
    let info = [("info", "user_count,subscription_count")];
    let told = stage.told("channels/presence-room", &info);
    let counted = json!({"occupied": true, "user_count": 2, "subscription_count": 2});
    assert_eq!(told, counted);
    let users = stage.told("channels/presence-room/users", &[]);
    assert_eq!(users, json!({"users": [{"id": "pia"}, {"id": "ann"}]}));
    let known = stage.info("presence-room");
    assert_eq!(known["users"], json!(["ann", "pia"]));
    assert_eq!(known["total_connections"], 2);
    assert_eq!(stage.told("connections", &[]), json!({"connections": 2}));
}

#[test]
fn facts_are_told_of_both_and_once() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    let ann = stage.listener("pia", "presence-room");
    stage.join_as(&mut one, "presence-room", Some(&member("pia")));
    stage.ask("GET", &format!("/disconnect?conn_id={}", ann.id), &[], None);
    stage.close(one);
    let mut facts = Vec::new();
    stage
        .memory
        .with(|kept, _| facts = kept.engine_mut().take_facts());
    let channel = || Box::from("presence-room");
    let user = || Box::from("pia");
    let expected = [
        Fact::MemberAdded {
            channel: channel(),
            user: user(),
        },
        Fact::Occupied { channel: channel() },
        Fact::MemberRemoved {
            channel: channel(),
            user: user(),
        },
        Fact::Vacated { channel: channel() },
    ];
    let facts: Vec<_> = facts
        .into_iter()
        .map(|(app, fact)| {
            assert_eq!(app, ONE);
            fact
        })
        .filter(|fact| !matches!(fact, Fact::Count { .. }))
        .collect();
    for fact in &expected {
        let told = facts.iter().filter(|told| *told == fact).count();
        assert_eq!(told, 1, "{fact:?} in {facts:?}");
    }
    assert_eq!(facts.len(), expected.len(), "{facts:?}");
}

#[test]
fn history_and_catch_up_keep_events() {
    let mut stage = Stage::shared();
    let ann = stage.connect(&json!({
        "username": "ann", "channels": ["room"],
        "channel_configs": {"room": {"store_history": true, "history_size": 9}},
    }));
    let mut first = stage.socket_of(&ann.id);
    stage.close(ann);
    stage.trigger(1, "room", "e", "d");
    stage.heard(&mut first);
    stage.close(first);
    stage.trigger(1, "room", "f", "d");
    let history = stage.info("room")["history"].clone();
    assert_eq!(history[0]["message"], json!({"event": "e", "data": "d"}));
    assert_eq!(history[1]["message"], json!({"event": "f", "data": "d"}));
    // And what is kept can be edited as any message can.
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    let edit = json!([{"uuid": history[0]["uuid"], "channel": "room", "message": {"n": 1}}]);
    stage.call("PATCH", "/message", &edit);
    assert_eq!(stage.info("room")["history"][0]["message"], json!({"n": 1}));
    assert_eq!(stage.event(&mut one).0, "message:edit");
}

#[test]
fn who_comes_back_is_told_the_events_it_missed() {
    let mut stage = Stage::shared();
    // The channel is made by a socket of Pusher, which knows no settings.
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    let body = json!({"username": "ann", "channels": ["room"]});
    let id = stage.call("POST", "/connect", &body)["conn_id"].clone();
    stage.trigger(1, "room", "e", "d");
    let mut ann = stage.socket_of(id.as_str().expect("an id"));
    let told = stage.heard(&mut ann);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0][0]["message"], json!({"event": "e", "data": "d"}));
    assert_eq!(told[0][0]["catchup"], true);
}

#[test]
fn a_cache_channel_shows_what_channelstream_said_last_and_what_became_of_it() {
    let mut stage = Stage::shared();
    let shown = |stage: &mut Stage| {
        let mut socket = stage.pusher(1);
        stage.ask_in(&mut socket, "cache-room", None);
        let heard = stage.heard(&mut socket);
        assert_eq!(heard.len(), 2);
        let data: Value =
            serde_json::from_str(heard[1]["data"].as_str().expect("text")).expect("an object");
        (heard[1]["event"].clone(), data["message"].clone())
    };
    assert_eq!(shown(&mut stage).0, "pusher:cache_miss");
    let id = stage.say(json!({"user": "bob", "channel": "cache-room", "message": {"n": 1}}));
    assert_eq!(shown(&mut stage), (json!("message"), json!({"n": 1})));
    // What is not for all, or not to be kept, is not shown.
    for key in ["pm_users", "exclude_users"] {
        stage.say(json!({"user": "bob", "channel": "cache-room", key: ["x"], "message": {}}));
    }
    let passing = json!({"user": "bob", "channel": "cache-room", "no_history": true,
                         "message": {}});
    stage.say(passing);
    assert_eq!(shown(&mut stage).1, json!({"n": 1}));
    let info = [("info", "cache")];
    let cache = stage.told("channels/cache-room", &info)["cache"].clone();
    let data: Value = serde_json::from_str(cache["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(data["uuid"], id.as_str());
    let edit = json!([{"uuid": id, "channel": "cache-room", "message": {"n": 2}}]);
    stage.call("PATCH", "/message", &edit);
    assert_eq!(shown(&mut stage), (json!("message"), json!({"n": 2})));
    let deletion = json!([{"uuid": id, "channel": "cache-room"}]);
    stage.call("DELETE", "/message", &deletion);
    assert_eq!(shown(&mut stage).0, "pusher:cache_miss");
    assert_eq!(
        stage.told("channels/cache-room", &info)["cache"],
        Value::Null
    );
}

#[test]
fn whoever_comes_first_by_pusher_does_not_choose_the_settings() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    let configs = |size: u64| json!({"room": {"store_history": true, "history_size": size}});
    for (user, size) in [("ann", 7), ("bob", 8)] {
        let body = json!({"username": user, "channels": ["room"],
                          "channel_configs": configs(size)});
        stage.call("POST", "/connect", &body);
    }
    let settings = stage.info("room")["settings"].clone();
    assert_eq!(settings["store_history"], true);
    assert_eq!(
        settings["history_size"], 7,
        "the first call of Channelstream does"
    );
}

#[test]
fn an_empty_channel_is_remembered_as_channelstream_wants_it() {
    for app in [ONE, OWN] {
        let mut stage = Stage::new(app, |_| {});
        let mut one = stage.pusher(1);
        for name in ["room", "cache-room", "alone"] {
            stage.ask_in(&mut one, name, None);
        }
        let body = json!({"username": "ann", "channels": ["room", "cache-room"]});
        let ann = stage.connect(&body);
        stage.close(one);
        stage.trigger(1, "cache-room", "e", "d");
        let before = stage.info("room");
        let path = format!("/disconnect?conn_id={}", ann.id);
        stage.ask("GET", &path, &[], None);
        stage.memory.wait_ms(59_000);
        assert_eq!(stage.info("room")["uuid"], before["uuid"]);
        assert!(before["uuid"].is_string());
        assert_eq!(stage.info("alone"), Value::Null);
        stage.memory.wait_ms(2_000);
        assert_eq!(stage.info("room"), Value::Null);
        // What is shown is remembered for longer than that.
        let mut late = stage.pusher(1);
        stage.ask_in(&mut late, "cache-room", None);
        assert_eq!(stage.heard(&mut late)[1]["event"], "e");
    }
}

#[test]
fn names_that_pusher_does_not_have_are_for_channelstream_only() {
    let mut stage = Stage::shared();
    let long = "x".repeat(165);
    let names = ["my room", "#room", "room/1", "räume", &long];
    let _ann = stage.connect(&json!({"username": "ann", "channels": names}));
    let _bob = stage.listener("bob", "room");
    assert_eq!(
        stage.told("channels", &[]),
        json!({"channels": {"room": {}}})
    );
    let mut one = stage.pusher(1);
    for name in names {
        stage.ask_in(&mut one, name, None);
        assert_eq!(stage.heard(&mut one)[0]["event"], REFUSED, "{name}");
        let body = json!({"name": "e", "channel": name, "data": "d"});
        let answer = stage.api(1, "POST", "events", &[], Some(&body));
        assert_eq!(answer.status, 400, "{name}");
    }
}

// ---- One user ------------------------------------------------------------------------------

#[test]
fn one_name_is_one_user() {
    let mut stage = Stage::shared();
    let mut watcher = stage.pusher(1);
    stage.join_as(&mut watcher, "presence-room", Some(&member("eve")));
    stage.sign_in(&mut watcher, &json!({"id": "eve", "watchlist": ["ann"]}));
    stage.heard(&mut watcher);
    let ann = stage.connect(&json!({
        "username": "ann", "channels": ["presence-room"],
        "user_state": {"mood": "good"}, "state_public_keys": ["mood"],
    }));
    let names = |heard: Vec<Value>| -> Vec<String> {
        let mut names: Vec<_> = heard
            .iter()
            .map(|frame| frame["event"].to_string())
            .collect();
        names.sort();
        names
    };
    let came = stage.heard(&mut watcher);
    assert!(
        came.iter()
            .any(|frame| frame.to_string().contains("online")),
        "{came:?}"
    );
    assert_eq!(
        names(came),
        [
            "\"pusher_internal:member_added\"",
            "\"pusher_internal:watchlist_events\""
        ]
    );
    // The same user by Pusher, twice over: nobody new, nobody online who was not.
    let mut one = stage.pusher(1);
    stage.sign_in(&mut one, &json!({"id": "ann"}));
    stage.heard(&mut one);
    let told = stage.join_as(&mut one, "presence-room", Some(&member("ann")));
    assert_eq!(told["presence"]["count"], 2);
    // What a socket says of its member goes before its state.
    assert_eq!(told["presence"]["hash"]["ann"], json!({"from": "pusher"}));
    assert_eq!(stage.heard(&mut watcher), NOTHING);
    stage.ask("GET", &format!("/disconnect?conn_id={}", ann.id), &[], None);
    assert_eq!(stage.heard(&mut watcher), NOTHING);
    stage.close(one);
    let went = stage.heard(&mut watcher);
    assert!(
        went.iter()
            .any(|frame| frame.to_string().contains("offline")),
        "{went:?}"
    );
    assert_eq!(
        names(went),
        [
            "\"pusher_internal:member_removed\"",
            "\"pusher_internal:watchlist_events\""
        ]
    );
}

#[test]
fn a_user_whom_only_pusher_knows_is_fresh_for_channelstream() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.sign_in(&mut one, &json!({"id": "ann"}));
    stage.heard(&mut one);
    let body = |mood: &str| json!({"username": "ann", "channels": ["room"], "fresh_user_state": {"mood": mood}});
    let first = stage.call("POST", "/connect", &body("fresh"));
    assert_eq!(first["state"], json!({"mood": "fresh"}));
    let second = stage.call("POST", "/connect", &body("stale"));
    assert_eq!(second["state"], json!({"mood": "fresh"}));
}

#[test]
fn each_protocol_ends_its_own_connections_only() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.sign_in(&mut one, &json!({"id": "ann"}));
    stage.heard(&mut one);
    let ended = stage.api(
        1,
        "POST",
        "users/ann/terminate_connections",
        &[],
        Some(&json!({})),
    );
    assert_eq!(ended.status, 200);
    let closed = stage.events(&mut one);
    assert!(
        matches!(closed.last(), Some(Event::Close(4009, _))),
        "{closed:?}"
    );
    assert_eq!(stage.heard(&mut ann), NOTHING);
    stage.say(json!({"user": "bob", "channel": "room", "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
}

#[test]
fn the_id_of_a_socket_opens_nothing_in_channelstream() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    let (high, low) = one.id.split_once('.').expect("two numbers");
    let number = |text: &str| text.parse::<u128>().expect("digits");
    // Every way in which the two numbers might be put together as a UUID.
    for (high, low) in [(number(high), number(low)), (number(low), number(high))] {
        for id in [
            high << 32 | low,
            high << 64 | low,
            high * 10_u128.pow(10) + low,
        ] {
            let hex = format!("{id:032x}");
            let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
            let id = format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..]);
            assert_eq!(stage.refused(&format!("/ws?conn_id={id}")), 1000);
            let poll = stage.ask("GET", &format!("/listen?conn_id={id}"), &[], None);
            assert_eq!(poll.status, 401);
            stage.ask("GET", &format!("/disconnect?conn_id={id}"), &[], None);
            let subscribe = json!({"conn_id": id, "channels": ["other"]});
            for path in ["/subscribe", "/unsubscribe"] {
                assert_eq!(stage.signed("POST", path, &subscribe).status, 422);
            }
            let connect = json!({"username": "ann", "conn_id": id, "channels": ["room"]});
            let status = stage.signed("POST", "/connect", &connect).status;
            assert!(
                status == 422 || status == 200,
                "taken, or nobody's: {status}"
            );
        }
    }
    stage.trigger(1, "room", "e", "d");
    assert_eq!(stage.event(&mut one), ("e".to_owned(), json!("d")));
}
