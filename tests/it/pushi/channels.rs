//! Channels of the plain kinds: who hears what, and how it looks.

use super::stage::{MAIN, OTHER, Stage, keys};
use super::values::AppKeys;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

pub(crate) fn any_text_is_a_name(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for channel in [
        "",
        " ",
        "é\u{1f600}\u{ff5e}",
        "a\"b\\c/d",
        "nul\u{0}tab\tline\n",
        "private",
        "Private-x",
        "private-",
        "private-a:b&c<d>",
        "presence-",
        "presence-é",
        "global",
    ] {
        for socket in [&sock, &other] {
            let told = stage.join(socket, channel);
            let want = json!({"name": channel, "members": {}, "alias": [], "events": []});
            assert_eq!(told, want);
        }
        stage.tell(&sock, channel, "to the others");
        stage.hears_event(&other, channel, "message", "to the others");
        stage.keep(&sock, channel, "to be kept");
        stage.hears_stored(&other, channel, "message", "to be kept");
        assert_eq!(stage.latest_data(&sock, channel), ["to be kept"]);
        stage.part(&other, channel);
        stage.tell(&sock, channel, "to nobody");
    }
    stage.nothing_else();
}

pub(crate) fn names_beyond_ascii_are_signed_in_both_ways(stage: &mut Stage) {
    let AppKeys { key, secret, .. } = keys(MAIN);
    let sock = stage.open(MAIN);
    let auth = |bytes: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("{}:private-d", sock.id).as_bytes());
        mac.update(bytes);
        mac.update(b"cor");
        format!("{key}:{}", HEXLOWER.encode(&mac.finalize().into_bytes()))
    };
    for encoded in [&b"\xe9"[..], "é".as_bytes()] {
        let data = json!({"channel": "private-décor", "auth": auth(encoded)});
        stage.say(&sock, &json!({"event": "pusher:subscribe", "data": data}));
        stage.hears_answer(&sock, "subscription_succeeded", "private-décor");
    }
    let data = json!({"channel": "private-décor", "auth": auth(b"e\xcc\x81")});
    stage.say(&sock, &json!({"event": "pusher:subscribe", "data": data}));
    stage.hears_no(&sock, "private-décor", 403);
    stage.nothing_else();
}

pub(crate) fn an_underscore_is_as_good_as_a_colon(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    let data = json!({"channel": "room", "echo": true, "persist": 1, "auth": 7});
    stage.say(
        &sock,
        &json!({"event": "pusher_subscribe", "data": data, "echo": 1}),
    );
    stage.hears_answer(&sock, "subscription_succeeded", "room");
    stage.say(&sock, &json!({"event": "pusher_latest", "data": data}));
    stage.hears_answer(&sock, "latest", "room");
    stage.say(&sock, &json!({"event": "pusher_unsubscribe", "data": data}));
    stage.hears_answer(&sock, "unsubscription_succeeded", "room");
    stage.nothing_else();
}

pub(crate) fn flags_are_true_as_in_python(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    for (value, is_true) in [
        (json!(true), true),
        (json!("yes"), true),
        (json!("false"), true),
        (json!(1), true),
        (json!(-0.5), true),
        (json!([0]), true),
        (json!({"a": 0}), true),
        (json!(false), false),
        (json!(null), false),
        (json!(""), false),
        (json!(0), false),
        (json!(0.0), false),
        (json!([]), false),
        (json!({}), false),
    ] {
        let word = json!({"event": "e", "data": "d", "channel": "room", "echo": value,
                          "persist": value, "mid": "forged", "timestamp": 1, "other": 2});
        stage.say(&sock, &word);
        match is_true {
            true => {
                let mid = stage.hears_stored(&other, "room", "e", "d");
                assert_eq!(stage.hears_stored(&sock, "room", "e", "d"), mid);
            }
            false => stage.hears_event(&other, "room", "e", "d"),
        }
    }
    // Not said: stored, and not for the sender.
    stage.say(
        &sock,
        &json!({"event": "e", "data": "d", "channel": "room"}),
    );
    stage.hears_stored(&other, "room", "e", "d");
    stage.nothing_else();
}

pub(crate) fn data_is_always_text(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    for (data, text) in [
        (r#""hello""#, "hello"),
        (r#""é\u00e9\ud83d\ude00\n\"""#, "éé\u{1f600}\n\""),
        (r#"" {} ""#, " {} "),
        ("5", "5"),
        ("-0.10", "-0.10"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("true", "true"),
        ("null", "null"),
        ("{}", "{}"),
        ("[]", "[]"),
    ] {
        let word =
            format!(r#"{{"event": "e", "data": {data}, "channel": "room", "persist": false}}"#);
        stage.say_text(&sock, &word);
        stage.hears_event(&other, "room", "e", text);
    }
    // The order of keys is the publisher's.
    let word =
        r#"{"event":"e","data":{"z": 1, "a": [2,  {"é": null}]},"channel":"room","persist":0}"#;
    stage.say_text(&sock, word);
    let told = stage.hear(&other);
    let text: String = told["data"]
        .as_str()
        .expect("a text")
        .split_whitespace()
        .collect();
    assert_eq!(text, r#"{"z":1,"a":[2,{"é":null}]}"#);
    // An empty text is no data at all.
    stage.tell(&sock, "room", "");
    stage.hears(&other, &json!({"channel": "room", "event": "message"}));
    stage.keep(&sock, "room", "");
    let told = stage.hear(&other);
    assert!(
        told.get("data").is_none() && told["mid"].is_string(),
        "{told}"
    );
    let told = stage.latest(&sock, "room", &json!({}));
    let stored = &told["events"][0]["data"];
    assert_eq!(*stored, json!({"channel": "room", "event": "message"}));
    stage.nothing_else();
}

pub(crate) fn twice_is_once(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.join(&other, "room");
    for _ in 0..3 {
        stage.join(&sock, "room");
    }
    stage.tell(&other, "room", "once");
    stage.hears_event(&sock, "room", "message", "once");
    stage.part(&sock, "room");
    stage.tell(&other, "room", "not any more");
    stage.nothing_else();
}

pub(crate) fn apps_know_nothing_of_each_other(stage: &mut Stage) {
    let (one, other) = (stage.open(MAIN), stage.open(OTHER));
    for channel in ["room", "presence-room", "private-room"] {
        for sock in [&one, &other] {
            let told = stage.join_as(sock, channel, &json!({"user_id": "u1", "of": sock.id}));
            if channel == "presence-room" {
                let members = json!({"u1": {"user_id": "u1", "of": sock.id}});
                assert_eq!(told["members"], members);
            }
        }
        stage.keep(&one, channel, "in one");
        stage.keep(&other, channel, "in the other");
        stage.keep(&other, channel, "in the other again");
    }
    for (sock, want) in [
        (&one, &["in one"][..]),
        (&other, &["in the other again", "in the other"]),
    ] {
        assert_eq!(stage.latest_data(sock, "room"), want);
    }
    stage.publish(
        MAIN,
        &json!({"channel": ["room", "private-room"], "data": "d", "persist": false}),
    );
    let told = stage.hear(&one);
    assert_eq!(
        (&told["channel"], &told["data"]),
        (&json!("room"), &json!("d"))
    );
    // Users and their subscriptions are each app's own.
    stage.subscribe_user(MAIN, "u1", "news");
    let told = stage.join(&one, "personal-u1");
    assert_eq!(told["alias"], json!(["news"]));
    let told = stage.join(&other, "personal-u1");
    assert_eq!(told["alias"], json!([]));
    // A session of the one sees nothing of the other.
    let path = format!("/apps/{}", keys(MAIN).ident);
    let (status, _) = stage.rest(OTHER, "GET", &path, &[], None);
    assert_eq!(status, 404);
    let (status, told) = stage.rest(OTHER, "GET", "/subscriptions", &[], None);
    assert_eq!((status, &told["subscriptions"]), (200, &json!([])));
    let path = format!("/sockets/{}", one.id);
    let (status, told) = stage.rest(OTHER, "POST", &path, &[], None);
    assert_eq!((status, &told["channels"]), (200, &json!([])));
    stage.leave(&one);
    stage.nothing_else();
}
