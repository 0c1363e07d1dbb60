//! Channelstream and Pusher in one app: what each hears of the other.

use super::stage::{ONE, Stage, member};
use serde_json::{Value, json};

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
