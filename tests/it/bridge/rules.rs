//! Channelstream and Pusher in one app: each keeps its own rules; and in apps of their own.

use super::stage::{ONE, OWN, REFUSED, Stage, member};
use crate::session::Sut;
use fanwire::hub::AppId;
use serde_json::{Value, json};

const NOTHING: [Value; 0] = [];

// ---- Rules that stay what they are ---------------------------------------------------------

#[test]
fn a_channel_of_channelstream_needs_its_signature_in_pusher() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    for channel in ["private-room", "presence-room", "private-cache-room"] {
        let _ann = stage.listener("ann", channel);
        let data = json!({"channel": channel, "auth": "key-1:00",
                          "channel_data": member("eve").to_string()});
        stage.send(
            &mut one,
            &json!({"event": "pusher:subscribe", "data": data}),
        );
        assert_eq!(stage.heard(&mut one)[0]["event"], REFUSED);
        stage.say(json!({"user": "bob", "channel": channel, "message": {"n": 1}}));
        assert_eq!(stage.heard(&mut one), NOTHING);
    }
}

#[test]
fn nobody_joins_or_reads_by_channelstream_without_its_secret() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join_as(&mut one, "presence-room", Some(&member("pia")));
    let body = json!({"username": "eve", "channels": ["presence-room"]}).to_string();
    for path in [
        "/connect",
        "/subscribe",
        "/message",
        "/info",
        "/channel_config",
    ] {
        let answer = stage.ask("POST", path, &[], Some(&body));
        assert_eq!(answer.status, 403, "{path}");
    }
    // Nor is what Pusher signs with good for it, or the other way round.
    let body = json!({"name": "e", "channel": "presence-room", "data": "d"});
    let answer = stage.signed("POST", "/apps/1/events", &body);
    assert_eq!(answer.status, 401);
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn client_events_stay_out_of_public_channels() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.join(&mut one, "room");
    let event = json!({"event": "client-x", "channel": "room", "data": "d"});
    stage.send(&mut one, &event);
    assert_eq!(stage.heard(&mut one)[0]["event"], "pusher:error");
    assert_eq!(stage.heard(&mut ann), NOTHING);
}

#[test]
fn a_message_has_the_limits_of_the_protocol_by_which_it_comes() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    let large = "x".repeat(20_000);
    let body = json!({"name": "e", "channel": "room", "data": large});
    assert_eq!(stage.api(1, "POST", "events", &[], Some(&body)).status, 413);
    stage.say(json!({"user": "bob", "channel": "room", "message": {"text": large}}));
    assert_eq!(stage.event(&mut one).1["message"]["text"], large.as_str());
}

#[test]
fn limits_of_an_app_count_both_and_bind_pusher() {
    let mut stage = Stage::new(ONE, |app| (app.members_max, app.connections_max) = (2, 3));
    let _listeners = ["ann", "bob", "cid"].map(|name| stage.listener(name, "presence-room"));
    assert_eq!(stage.refused("/app/key-1?protocol=7"), 4004);
    let mut stage = Stage::new(ONE, |app| app.members_max = 2);
    let _listeners = ["ann", "bob", "cid"].map(|name| stage.listener(name, "presence-room"));
    let mut one = stage.pusher(1);
    stage.ask_in(&mut one, "presence-room", Some(&member("pia")));
    assert_eq!(stage.heard(&mut one)[0]["event"], REFUSED);
    // Whoever is a member already is no member more.
    stage.join_as(&mut one, "presence-room", Some(&member("ann")));
}

#[test]
fn a_disabled_app_is_closed_to_pusher_only() {
    let mut stage = Stage::new(ONE, |app| app.enabled = false);
    assert_eq!(stage.refused("/app/key-1?protocol=7"), 4003);
    let body = json!({"name": "e", "channel": "room", "data": "d"});
    assert_eq!(stage.api(1, "POST", "events", &[], Some(&body)).status, 403);
    let mut ann = stage.listener("ann", "room");
    stage.say(json!({"user": "bob", "channel": "room", "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
}

// ---- Apart ---------------------------------------------------------------------------------

#[test]
fn an_app_of_its_own_leaks_nothing() {
    for app in [OWN, AppId(2)] {
        let mut stage = Stage::new(app, |_| {});
        let mut one = stage.pusher(1);
        stage.join_as(&mut one, "presence-room", Some(&member("ann")));
        stage.sign_in(&mut one, &json!({"id": "ann", "watchlist": ["ann", "bob"]}));
        stage.heard(&mut one);
        let mut ann = stage.connect(&json!({
            "username": "ann", "channels": ["presence-room"],
            "channel_configs": {"presence-room": {"notify_presence": true, "notify_state": true}},
            "state_public_keys": ["k"],
        }));
        stage.heard(&mut ann);
        let bob = stage.listener("bob", "presence-room");
        assert_eq!(stage.object(&mut ann)["user"], "bob");
        assert_eq!(stage.info("presence-room")["users"], json!(["ann", "bob"]));
        stage.say(json!({"user": "bob", "channel": "presence-room", "message": {"n": 1}}));
        assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
        stage.say(json!({"user": "bob", "pm_users": ["ann"], "message": {"n": 2}}));
        let state = json!({"user": "ann", "user_state": {"k": 1}});
        stage.call("POST", "/user_state", &state);
        assert_eq!(stage.heard(&mut ann).len(), 2);
        stage.close(bob);
        assert_eq!(stage.heard(&mut one), NOTHING);
        stage.trigger(1, "presence-room", "e", "d");
        assert_eq!(stage.event(&mut one).0, "e");
        let sent = json!({"event": "client-x", "channel": "presence-room", "data": 1});
        stage.send(&mut one, &sent);
        let users = stage.told("channels/presence-room/users", &[]);
        assert_eq!(users, json!({"users": [{"id": "ann"}]}));
        stage.close(one);
        stage.memory.wait_ms(1);
        assert_eq!(stage.heard(&mut ann), NOTHING);
    }
}

#[test]
fn two_apps_never_hear_each_other() {
    let mut stage = Stage::shared();
    let (mut one, mut other) = (stage.pusher(1), stage.pusher(2));
    for socket in [&mut one, &mut other] {
        stage.join(socket, "room");
    }
    stage.trigger(1, "room", "e", "d");
    assert_eq!(stage.event(&mut one).0, "e");
    assert_eq!(stage.heard(&mut other), NOTHING);
    stage.trigger(2, "room", "f", "d");
    assert_eq!(stage.event(&mut other).0, "f");
    assert_eq!(stage.heard(&mut one), NOTHING);
    stage.say(json!({"user": "bob", "channel": "room", "message": {"n": 1}}));
    assert_eq!(stage.event(&mut one).0, "message");
    assert_eq!(stage.heard(&mut other), NOTHING);
    // What the one app signs opens nothing of the other.
    let mut third = stage.pusher(2);
    stage.ask_in(&mut third, "private-room", None);
    assert_eq!(stage.heard(&mut third)[0]["event"], REFUSED);
    // To leave out a socket of another app leaves out nobody.
    let body = json!({"name": "g", "channel": "room", "data": "d", "socket_id": other.id});
    assert_eq!(stage.api(1, "POST", "events", &[], Some(&body)).status, 200);
    assert_eq!(stage.event(&mut one).0, "g");
    assert_eq!(stage.told("connections", &[]), json!({"connections": 1}));
}
