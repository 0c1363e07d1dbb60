//! What is refused (section 2.7 of the specification): nobody but the sender hears of it, and what the
//! sender says next works.

use super::stage::{MAIN, OTHER, Stage, keys};
use serde_json::{Value, json};

pub(crate) fn what_cannot_be_understood_ends_it(stage: &mut Stage) {
    let other = stage.open(MAIN);
    stage.join(&other, "room");
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    for text in [
        "not JSON",
        "{",
        "{\"event\":\"e\",\"data\":1,\"channel\":\"room\"}}",
        "[]",
        "1",
        "\"text\"",
        "null",
        "{}",
        r#"{"data": {"channel": "room"}}"#,
        r#"{"event": 1, "data": "d", "channel": "room"}"#,
        r#"{"event": null, "data": "d", "channel": "room"}"#,
        r#"{"event": ["e"], "data": "d", "channel": "room"}"#,
        r#"{"event": "", "data": "d", "channel": "room"}"#,
        &deep,
    ] {
        let sock = stage.open(MAIN);
        stage.join(&sock, "room");
        stage.say_text(&sock, text);
        stage.hears_error(&sock, "", 400);
        stage.hears_close(&sock, 1003);
    }
    stage.is_well(&other);
    stage.nothing_else();
}

pub(crate) fn a_bad_request_ends_nothing(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    // Events: without data, without a channel, with one that is none.
    for (text, channel) in [
        (r#"{"event": "e", "channel": "room"}"#, "room"),
        (r#"{"event": "e", "data": "d"}"#, ""),
        (r#"{"event": "e", "data": "d", "channel": null}"#, ""),
        (r#"{"event": "e", "data": "d", "channel": 1}"#, ""),
        (r#"{"event": "e", "data": "d", "channel": ["room"]}"#, ""),
        (r#"{"event": "e"}"#, ""),
        // Half of a character, as a client makes it that cuts a text.
        (
            r#"{"event": "e", "data": "\ud83d", "channel": "room"}"#,
            "room",
        ),
        (
            &format!(
                r#"{{"event": "e", "data": {}{}, "channel": "room"}}"#,
                "[".repeat(64),
                "]".repeat(64)
            ),
            "room",
        ),
    ] {
        stage.say_text(&sock, text);
        stage.hears_error(&sock, channel, 400);
        stage.is_well(&sock);
    }
    // Requests: without an object, and without a channel in it.
    for word in ["subscribe", "unsubscribe", "latest"] {
        for data in [
            json!(null),
            json!("{\"channel\": \"room\"}"),
            json!([]),
            json!(1),
            json!({}),
            json!({"channel": null}),
            json!({"channel": 1}),
            json!({"channel": {}}),
        ] {
            stage.say(
                &sock,
                &json!({"event": format!("pusher:{word}"), "data": data}),
            );
            match word {
                "subscribe" => stage.hears_no(&sock, "", 400),
                _ => stage.hears_error(&sock, "", 400),
            };
        }
        stage.say(&sock, &json!({"event": format!("pusher:{word}")}));
        match word {
            "subscribe" => stage.hears_no(&sock, "", 400),
            _ => stage.hears_error(&sock, "", 400),
        };
        stage.is_well(&sock);
    }
    stage.tell(&sock, "room", "still here");
    stage.hears_event(&other, "room", "message", "still here");
    stage.nothing_else();
}

pub(crate) fn signatures_are_for_one_socket_one_channel_and_one_app(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    let app = keys(MAIN);
    for channel in [
        "private-room",
        "presence-room",
        "personal-u1",
        "peer-room:u1&u2",
    ] {
        let good = app.sign(&sock.id, channel);
        let (key, digest) = good.split_once(':').expect("a colon");
        let bad = [
            json!(null),
            json!(1),
            json!({}),
            json!(""),
            json!(":"),
            json!(key),
            json!(digest),
            json!(format!("{key}:")),
            json!(format!("{key}:{}", digest.to_uppercase())),
            json!(format!("{key}:{}", &digest[1..])),
            json!(format!(" {good}")),
            json!(format!("{good}0")),
            json!(app.sign(&other.id, channel)),
            json!(app.sign(&sock.id, "private-other")),
            json!(app.sign("", channel)),
            json!(keys(OTHER).sign(&sock.id, channel)),
            json!(
                keys(OTHER)
                    .sign(&sock.id, channel)
                    .replace(&keys(OTHER).key, key)
            ),
        ];
        for auth in bad {
            let data = json!({"channel": channel, "auth": auth, "channel_data": {"user_id": "u1"}});
            stage.say(&sock, &json!({"event": "pusher:subscribe", "data": data}));
            stage.hears_no(&sock, channel, 403);
        }
        let data = json!({"channel": channel, "channel_data": {"user_id": "u1"}});
        stage.say(&sock, &json!({"event": "pusher:subscribe", "data": data}));
        stage.hears_no(&sock, channel, 403);
        stage.is_well(&sock);
        // And none of it has opened anything.
        stage.tell(&sock, channel, "d");
        stage.hears_error(&sock, channel, 403);
        stage.join_as(&sock, channel, &json!({"user_id": "u1"}));
    }
    stage.nothing_else();
}

pub(crate) fn who_is_not_in_a_channel_has_no_say_in_it(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    let channels = [
        "room",
        "private-room",
        "presence-room",
        "personal-u1",
        "peer-room:u1&u2",
        "",
    ];
    for channel in channels {
        stage.join_as(&other, channel, &json!({"user_id": "u2"}));
        for word in ["unsubscribe", "latest"] {
            let data = json!({"channel": channel});
            stage.say(
                &sock,
                &json!({"event": format!("pusher:{word}"), "data": data}),
            );
            if (word, channel) == ("unsubscribe", "personal-u1") {
                // There is nothing left to leave. What waits for the user is not shown.
                let told = stage.hears_answer(&sock, "unsubscription_succeeded", channel);
                assert_eq!((&told["alias"], &told["events"]), (&json!([]), &json!([])));
            } else {
                stage.hears_error(&sock, channel, 403);
            }
        }
        stage.tell(&sock, channel, "d");
        stage.hears_error(&sock, channel, 403);
        stage.keep(&sock, channel, "d");
        stage.hears_error(&sock, channel, 403);
        stage.is_well(&sock);
    }
    // No more than before it came is its say after it has left.
    stage.join(&sock, "room");
    stage.part(&sock, "room");
    stage.tell(&sock, "room", "d");
    stage.hears_error(&sock, "room", 403);
    stage.ask_to_leave(&sock, "room");
    stage.hears_error(&sock, "room", 403);
    assert_eq!(
        stage.latest_data(&other, "room"),
        [""; 0],
        "nothing was kept"
    );
    stage.nothing_else();
}

pub(crate) fn members_say_who_they_are_or_nothing(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.join_as(&other, "presence-room", &json!({"user_id": "u2"}));
    for data in [
        json!([]),
        json!(1),
        json!(true),
        json!("u1"),
        json!("[]"),
        json!("{"),
        json!({"name": "nobody"}),
        json!({"user_id": []}),
        json!({"user_id": {"id": "u1"}}),
    ] {
        stage.ask(&sock, "presence-room", Some(&data));
        stage.hears_no(&sock, "presence-room", 400);
        stage.tell(&sock, "presence-room", "d");
        stage.hears_error(&sock, "presence-room", 403);
    }
    stage.is_well(&sock);
    // A text that holds an object is one, as in Pusher's own protocol; the object is what is shown.
    let member = json!({"user_id": "u1", "name": "One"});
    let told = stage.join_as(&sock, "presence-room", &json!(member.to_string()));
    assert_eq!(told["members"]["u1"], member);
    stage.hears_member(&other, "member_added", "presence-room", &member);
    stage.nothing_else();
}

pub(crate) fn the_servers_own_events_are_not_for_clients(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    for event in [
        "pusher:ping",
        "pusher:member_added",
        "pusher:",
        "pusher_internal:subscription_succeeded",
        "pusher:error",
    ] {
        let word = json!({"event": event, "data": "{}", "channel": "room", "echo": true});
        stage.say(&sock, &word);
        stage.hears_error(&sock, "room", 403);
    }
    stage.is_well(&sock);
    for event in [
        "pusher",
        "Pusher:x",
        "pushers:x",
        " pusher:x",
        "pusher_x",
        "message",
    ] {
        let word = json!({"event": event, "data": "d", "channel": "room", "persist": false});
        stage.say(&sock, &word);
        stage.hears_event(&other, "room", event, "d");
    }
    stage.nothing_else();
}

pub(crate) fn numbers_of_events_are_whole_and_not_negative(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.join(&sock, "room");
    for field in ["skip", "count"] {
        for value in [
            json!(-1),
            json!(1.5),
            json!("1"),
            json!([]),
            json!(true),
            json!(-1e99),
        ] {
            let data = json!({"channel": "room", field: value});
            stage.say(&sock, &json!({"event": "pusher:latest", "data": data}));
            stage.hears_error(&sock, "room", 400);
        }
    }
    // The store would walk over all of them.
    for far in ["100001", "99999999999999999999999"] {
        let data = format!(r#"{{"channel": "room", "skip": {far}}}"#);
        stage.say_text(
            &sock,
            &format!(r#"{{"event": "pusher:latest", "data": {data}}}"#),
        );
        stage.hears_error(&sock, "room", 400);
    }
    stage.is_well(&sock);
    for text in ["one", "two", "three"] {
        stage.keep(&sock, "room", text);
    }
    let all = json!(["three", "two", "one"]);
    let huge = "99999999999999999999999";
    for (more, want) in [
        ("", all.clone()),
        (r#", "skip": null, "count": null"#, all.clone()),
        (r#", "count": 0"#, all.clone()),
        (r#", "count": 1000000000"#, all.clone()),
        (&format!(r#", "count": {huge}"#), all),
        (r#", "count": 2"#, json!(["three", "two"])),
        (r#", "skip": 1, "count": 1"#, json!(["two"])),
        (r#", "skip": 2, "count": 1000000000"#, json!(["one"])),
        (r#", "skip": 3"#, json!([])),
        (r#", "skip": 100000"#, json!([])),
    ] {
        let data = format!(r#"{{"channel": "room"{more}}}"#);
        stage.say_text(
            &sock,
            &format!(r#"{{"event": "pusher:latest", "data": {data}}}"#),
        );
        let told = stage.hears_answer(&sock, "latest", "room");
        let events = told["events"].as_array().expect("a list").iter();
        let got: Vec<&Value> = events.map(|event| &event["data"]["data"]).collect();
        assert_eq!(json!(got), want, "{more}");
    }
    stage.nothing_else();
}
