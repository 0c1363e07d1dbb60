//! Channelstream and Pusher in one app, and apart: every row of `docs/bridge.md`, which names these
//! tests. Those in which Pushi is there, too, are in `three`.

mod stage;
mod three;

use crate::session::Sut;
use crate::websocket::Event;
use fanwire::hub::{AppId, Fact};
use serde_json::{Value, json};
use stage::{ONE, OWN, REFUSED, Stage, member};

const NOTHING: [Value; 0] = [];

// ---- From Channelstream to Pusher ----------------------------------------------------------

#[test]
fn a_message_is_an_event_for_pusher() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.join(&mut one, "room");
    let id = stage.say(json!({"user": "bob", "channel": "room", "message": {"text": "hü\"\n"}}));
    let told = stage.object(&mut ann);
    let heard = stage.heard(&mut one);
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["event"], "message");
    assert_eq!(heard[0]["channel"], "room");
    assert_eq!(heard[0].as_object().map(serde_json::Map::len), Some(3));
    let data = heard[0]["data"].as_str().expect("data is text");
    let data: Value = serde_json::from_str(data).expect("an object as text");
    assert_eq!(data, told, "the very object that Channelstream tells");
    assert_eq!(data["uuid"], id.as_str());
    assert_eq!(
        (&data["user"], &data["type"]),
        (&json!("bob"), &json!("message"))
    );
    assert_eq!(data["message"], json!({"text": "hü\"\n"}));
}

#[test]
fn an_edit_and_a_deletion_are_events_for_pusher() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.join(&mut one, "room");
    let id = stage.say(json!({"user": "bob", "channel": "room", "message": {"text": "a"}}));
    stage.heard(&mut one);
    stage.heard(&mut ann);
    let edit = json!([{"uuid": id, "channel": "room", "message": {"text": "b"}}]);
    stage.call("PATCH", "/message", &edit);
    let told = stage.object(&mut ann);
    assert_eq!(
        stage.event(&mut one),
        ("message:edit".to_owned(), told.clone())
    );
    assert_eq!(told["message"], json!({"text": "b"}));
    let deletion = json!([{"uuid": id, "channel": "room"}]);
    stage.call("DELETE", "/message", &deletion);
    let told = stage.object(&mut ann);
    assert_eq!(
        stage.event(&mut one),
        ("message:delete".to_owned(), told.clone())
    );
    assert_eq!(told["uuid"], id.as_str());
}

#[test]
fn a_change_of_state_is_an_event_for_pusher_where_the_channel_tells_it() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    for channel in ["told", "silent"] {
        stage.join(&mut one, channel);
    }
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": ["told", "silent"],
        "channel_configs": {"told": {"notify_state": true}},
        "state_public_keys": ["mood"],
    }));
    let state = json!({"user": "ann", "user_state": {"mood": "good", "secret": 1}});
    stage.call("POST", "/user_state", &state);
    let told = stage.object(&mut ann);
    assert_eq!(
        stage.event(&mut one),
        ("user_state_change".to_owned(), told.clone())
    );
    assert_eq!(told["channel"], "told");
    assert!(!told.to_string().contains("secret"), "{told}");
}

#[test]
fn users_of_channelstream_are_members_for_pusher_in_presence_channels_only() {
    let mut stage = Stage::shared();
    let mut one = stage.pusher(1);
    stage.join(&mut one, "room");
    stage.join_as(&mut one, "presence-room", Some(&member("pia")));
    let ann = stage.connect(&json!({
        "username": "ann", "channels": ["presence-room", "room"],
        "channel_configs": {"room": {"notify_presence": true}},
        "user_state": {"mood": "good", "secret": 1}, "state_public_keys": ["mood"],
    }));
    let added = json!({"user_id": "ann", "user_info": {"mood": "good"}});
    let expected = ("pusher_internal:member_added".to_owned(), added);
    assert_eq!(stage.event(&mut one), expected, "and of the room nothing");
    let mut two = stage.pusher(1);
    let members = stage.join_as(&mut two, "presence-room", Some(&member("pia")));
    let hash = json!({"pia": {"from": "pusher"}, "ann": {"mood": "good"}});
    assert_eq!(members["presence"]["hash"], hash);
    assert_eq!(members["presence"]["count"], 2);
    stage.ask("GET", &format!("/disconnect?conn_id={}", ann.id), &[], None);
    let removed = (
        "pusher_internal:member_removed".to_owned(),
        json!({"user_id": "ann"}),
    );
    assert_eq!(stage.event(&mut one), removed);
    assert_eq!(stage.event(&mut two), removed);
}

#[test]
fn private_messages_stay_with_channelstream() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.sign_in(&mut one, &json!({"id": "ann"}));
    stage.heard(&mut one);
    let id = stage.say(json!({"user": "bob", "pm_users": ["ann"], "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
    let edit = json!([{"uuid": id, "pm_users": ["ann"], "message": {"n": 2}}]);
    stage.call("PATCH", "/message", &edit);
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 2}));
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn lists_of_users_hold_for_sockets_signed_in_or_present_as_them() {
    let mut stage = Stage::shared();
    let mut sockets = Vec::new();
    // Signed in as one, as nobody, and present as another.
    for user in ["ann", "", "cid"] {
        let mut socket = stage.pusher(1);
        if user == "ann" {
            stage.sign_in(&mut socket, &json!({"id": "ann"}));
            stage.heard(&mut socket);
        }
        let as_whom = if user.is_empty() { "nil" } else { user };
        stage.join_as(&mut socket, "presence-room", Some(&member(as_whom)));
        stage.join(&mut socket, "room");
        sockets.push(socket);
    }
    for socket in &mut sockets {
        stage.heard(socket);
    }
    let mut who_hears = |channel: &str, key: &str, users: &[&str]| -> Vec<bool> {
        stage.say(json!({"user": "bob", "channel": channel, key: users, "message": {"n": 1}}));
        let heard = sockets.iter_mut().map(|socket| stage.heard(socket));
        heard.map(|heard| !heard.is_empty()).collect()
    };
    let (t, f) = (true, false);
    assert_eq!(
        who_hears("presence-room", "pm_users", &["ann", "cid"]),
        [t, f, t]
    );
    assert_eq!(
        who_hears("presence-room", "exclude_users", &["ann", "cid"]),
        [f, t, f]
    );
    // In another channel nobody is who it is in that one; who signed in is so everywhere.
    assert_eq!(who_hears("room", "pm_users", &["ann", "cid"]), [t, f, f]);
    assert_eq!(
        who_hears("room", "exclude_users", &["ann", "cid"]),
        [f, t, t]
    );
}

#[test]
fn what_is_not_encrypted_is_not_told_in_encrypted_channels() {
    let mut stage = Stage::shared();
    let channel = "private-encrypted-cache-room";
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", channel));
    stage.ask_in(&mut one, channel, None);
    assert_eq!(
        stage.heard(&mut one).len(),
        2,
        "success, and nothing cached"
    );
    stage.say(json!({"user": "bob", "channel": channel, "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
    assert_eq!(stage.heard(&mut one), NOTHING);
    let mut late = stage.pusher(1);
    stage.ask_in(&mut late, channel, None);
    assert_eq!(stage.heard(&mut late)[1]["event"], "pusher:cache_miss");
    // What an application encrypted reaches both.
    stage.trigger(1, channel, "e", r#"{"nonce":"","ciphertext":""}"#);
    assert_eq!(stage.event(&mut one).0, "e");
    assert_eq!(stage.object(&mut ann)["message"]["event"], "e");
}

// ---- From Pusher to Channelstream ----------------------------------------------------------

#[test]
fn an_event_is_a_message_for_channelstream() {
    let mut stage = Stage::shared();
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", "room"));
    stage.join(&mut one, "room");
    stage.trigger(1, "room", "App\\Events\\Paid", r#"{"n": 1}"#);
    assert_eq!(
        stage.event(&mut one),
        ("App\\Events\\Paid".to_owned(), json!({"n": 1}))
    );
    let told = stage.object(&mut ann);
    let message = json!({"event": "App\\Events\\Paid", "data": "{\"n\": 1}"});
    assert_eq!(told["message"], message);
    assert_eq!(
        (&told["user"], &told["type"]),
        (&json!(""), &json!("message"))
    );
    assert_eq!(told["channel"], "room");
    // A batch, in order; data is the text that was posted, JSON or not.
    let event = |name: &str| json!({"name": name, "channel": "room", "data": "not JSON"});
    let batch = json!({"batch": [event("a"), event("b")]});
    assert_eq!(
        stage
            .api(1, "POST", "batch_events", &[], Some(&batch))
            .status,
        200
    );
    let told = stage.heard(&mut ann);
    let names: Vec<_> = told
        .iter()
        .map(|told| &told[0]["message"]["event"])
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(told[0][0]["message"]["data"], "not JSON");
}

#[test]
fn polls_and_event_streams_hear_of_events_too() {
    let mut stage = Stage::shared();
    let body = json!({"username": "ann", "channels": ["room"]});
    let id = stage.call("POST", "/connect", &body)["conn_id"].clone();
    stage.trigger(1, "room", "e", "d");
    let path = format!("/listen?conn_id={}", id.as_str().expect("an id"));
    let answer = stage.ask("GET", &path, &[], None);
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(told[0]["message"], json!({"event": "e", "data": "d"}));
    assert_eq!(told[0]["catchup"], true);
}

#[test]
fn a_client_event_is_a_message_of_whom_the_channel_knows() {
    let mut stage = Stage::shared();
    let channels = ["private-room", "presence-room"];
    let (mut one, mut two) = (stage.pusher(1), stage.pusher(1));
    let configs: serde_json::Map<String, Value> = channels
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({"store_history": true, "history_size": 9}),
            )
        })
        .collect();
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": channels, "channel_configs": configs,
    }));
    for socket in [&mut one, &mut two] {
        stage.join(socket, "private-room");
        stage.join_as(socket, "presence-room", Some(&member("pia")));
    }
    for (channel, user) in [("private-room", ""), ("presence-room", "pia")] {
        let sent = json!({"event": "client-x", "channel": channel, "data": {"n": 1},
                          "user_id": "forged"});
        stage.send(&mut one, &sent);
        assert_eq!(stage.event(&mut two).0, "client-x");
        let told = stage.object(&mut ann);
        assert_eq!(told["user"], user);
        assert_eq!(
            told["message"],
            json!({"event": "client-x", "data": "{\"n\":1}"})
        );
        assert_eq!(
            stage.info(channel)["history"],
            json!([]),
            "it is not kept there"
        );
    }
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn events_for_a_user_stay_with_pusher() {
    let mut stage = Stage::shared();
    let name = "#server-to-user-ann";
    // A channel of Channelstream may even have that name.
    let (mut one, mut ann) = (stage.pusher(1), stage.listener("ann", name));
    stage.sign_in(&mut one, &json!({"id": "ann"}));
    stage.heard(&mut one);
    stage.trigger(1, name, "e", "d");
    assert_eq!(stage.event(&mut one), ("e".to_owned(), json!("d")));
    assert_eq!(stage.heard(&mut ann), NOTHING);
    stage.say(json!({"user": "bob", "channel": name, "message": {"n": 1}}));
    assert_eq!(stage.object(&mut ann)["message"], json!({"n": 1}));
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn members_of_pusher_are_told_to_channelstream_where_the_channel_tells_it() {
    let mut stage = Stage::shared();
    let told = json!({"notify_presence": true, "broadcast_presence_with_user_lists": true});
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": ["presence-told", "presence-silent"],
        "channel_configs": {"presence-told": told},
    }));
    stage.heard(&mut ann);
    let mut one = stage.pusher(1);
    for channel in ["presence-told", "presence-silent"] {
        stage.join_as(&mut one, channel, Some(&member("pia")));
    }
    let joined = stage.object(&mut ann);
    assert_eq!(
        (&joined["type"], &joined["user"]),
        (&json!("presence"), &json!("pia"))
    );
    assert_eq!(joined["message"], json!({"action": "joined"}));
    assert_eq!(joined["channel"], "presence-told");
    assert_eq!(joined["state"], json!({}), "user_info is no state");
    stage.close(one);
    assert_eq!(
        stage.object(&mut ann)["message"],
        json!({"action": "parted"})
    );
}

#[test]
fn what_pusher_tells_of_counts_and_watched_users_stays_there() {
    let mut stage = Stage::new(ONE, |app| app.subscription_count = true);
    let mut ann = stage.listener("ann", "room");
    let mut one = stage.pusher(1);
    stage.ask_in(&mut one, "room", None);
    let heard = stage.heard(&mut one);
    let count = json!("{\"subscription_count\":2}");
    assert_eq!(heard[1]["data"], count, "both are counted");
    let watch = json!({"id": "pia", "watchlist": ["ann"]});
    stage.sign_in(&mut one, &watch);
    assert_eq!(stage.heard(&mut ann), NOTHING);
}

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

#[test]
fn the_document_names_every_test() {
    let document = include_str!("../../docs/bridge.md");
    let tests = [include_str!("bridge.rs"), include_str!("bridge/three.rs")];
    let names = tests.iter();
    let names = names.flat_map(|tests| tests.split("#[test]\nfn ").skip(1));
    let names = names.filter_map(|rest| rest.split('(').next());
    let own = "the_document_names_every_test";
    for name in names.filter(|&name| name != own) {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}
