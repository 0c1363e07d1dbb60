//! What must not work, and must not do harm.

use super::apps::{OTHER, PLAIN};
use super::stage::{Stage, keys};
use serde_json::json;

pub(super) fn auth_of_another_socket_or_app(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let elsewhere = stage.open(OTHER);
    let data = r#"{"user_id":"1"}"#;
    for name in [
        "private-a",
        "private-encrypted-a",
        "private-cache-a",
        "presence-a",
    ] {
        let given = (name == "presence-a").then_some(data);
        for auth in [
            keys(PLAIN).channel_auth(&b.id, name, given),
            keys(OTHER).channel_auth(&a.id, name, given),
            keys(OTHER).channel_auth(&elsewhere.id, name, given),
            keys(PLAIN).signin_auth(&a.id, data),
        ] {
            stage.ask_with(&a, name, &auth, given);
            stage.hears_refusal(&a, name, 401);
        }
    }
    // With other data than was signed.
    let auth = keys(PLAIN).channel_auth(&a.id, "presence-a", Some(data));
    for other in [
        Some(r#"{"user_id":"2"}"#),
        Some(r#"{ "user_id":"1"}"#),
        None,
    ] {
        stage.ask_with(&a, "presence-a", &auth, other);
        stage.hears_refusal(&a, "presence-a", 401);
    }
    stage.nothing_else();
}

pub(super) fn parameters_twice(stage: &mut Stage) {
    let now = stage.sut().unix_seconds();
    let path = "/apps/1001/channels";
    let good = keys(PLAIN).sign_request("GET", path, &[("info", "subscription_count")], b"", now);
    let parts: Vec<String> = good.split('&').map(str::to_owned).collect();
    assert_eq!(stage.send("GET", &format!("{path}?{good}"), "").status, 200);
    for part in &parts {
        let (name, value) = part.split_once('=').expect("a pair");
        for twice in [
            part.clone(),
            format!("{}={value}", name.to_uppercase()),
            format!("{name}="),
        ] {
            for query in [format!("{good}&{twice}"), format!("{twice}&{good}")] {
                let answer = stage.send("GET", &format!("{path}?{query}"), "");
                assert_eq!(answer.status, 401, "{query}");
            }
        }
    }
    // Also if both are signed.
    let both = [("info", "user_count"), ("INFO", "subscription_count")];
    assert_eq!(stage.get(PLAIN, "/channels/presence-a", &both).0, 401);
}

pub(super) fn clocks_that_are_off(stage: &mut Stage) {
    let path = "/apps/1001/channels";
    let now = stage.sut().unix_seconds();
    // A minute to spare, as real time goes by.
    for (unix_s, status) in [
        (now, 200),
        (now - 540, 200),
        (now + 540, 200),
        (now - 660, 401),
        (now + 660, 401),
        (0, 401),
        (u64::MAX, 401),
        (now * 1000, 401),
    ] {
        let query = keys(PLAIN).sign_request("GET", path, &[], b"", unix_s);
        let answer = stage.send("GET", &format!("{path}?{query}"), "");
        assert_eq!(answer.status, status, "{unix_s}");
    }
    let good = keys(PLAIN).sign_request("GET", path, &[], b"", now);
    for stamp in ["", "now", "-1", "1.5", "0x10", "99999999999999999999999"] {
        let query = good.replace(&now.to_string(), stamp);
        assert_eq!(
            stage.send("GET", &format!("{path}?{query}"), "").status,
            401,
            "{stamp:?}"
        );
    }
}

pub(super) fn json_that_is_deep_or_broken(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "private-a");
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let object = |count: usize| format!("{}1{}", "{\"a\":".repeat(count), "}".repeat(count));
    let large = "9".repeat(60_000);
    for data in [
        deep(20_000),
        "[".repeat(40_000),
        object(8_000),
        "{\"a\":".repeat(8_000),
        "\"\\ud800\"".to_owned(),
        "\"\\x\"".to_owned(),
        "tru".to_owned(),
        "01".to_owned(),
    ] {
        let text = format!(r#"{{"event":"client-e","channel":"private-a","data":{data}}}"#);
        stage.say(&sock, &text);
        stage.hears_error(&sock, None);
        stage.say(
            &sock,
            &format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#),
        );
        stage.hears_error(&sock, None);
        let body = format!(r#"{{"name":"e","channel":"a","data":{data}}}"#);
        stage.refused(PLAIN, "/events", &body, 400);
        let body = format!(r#"{{"batch":[{data}]}}"#);
        stage.refused(PLAIN, "/batch_events", &body, 400);
    }
    // Deep within a text is a text like any other, until somebody wants to know.
    let text = deep(20_000);
    for user_data in [&*text, &object(4_000)] {
        let other = stage.open(PLAIN);
        stage.ask(&other, "presence-a", Some(user_data));
        stage.hears_refusal(&other, "presence-a", 400);
        stage.sign_in(&other, user_data);
        stage.hears_close(&other, 4009);
    }
    stage.say(
        &sock,
        &json!({"event": "pusher:subscribe", "data": text}).to_string(),
    );
    stage.hears_error(&sock, None);
    // A huge number is no id, and too large for an event.
    stage.ask(
        &sock,
        "presence-a",
        Some(&format!("{{\"user_id\":{}}}", &large[..50_000])),
    );
    stage.hears_refusal(&sock, "presence-a", 400);
    stage.say(
        &sock,
        &format!(r#"{{"event":"client-e","channel":"private-a","data":{large}}}"#),
    );
    stage.hears_error(&sock, Some(4301));
    stage.nothing_else();
    // What is no UTF-8 ends a WebSocket by its own rules.
    stage.say_frame(&sock, crate::websocket::TEXT, b"{\"event\":\"\xff\"}");
    stage.hears_close(&sock, 1007);
}

pub(super) fn names_of_events_of_the_server(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.join(&sock, "a");
    for name in [
        "pusher:connection_established",
        "pusher:error",
        "pusher:",
        "pusher_internal:subscription_succeeded",
        "pusher_internal:",
    ] {
        let body = json!({"name": name, "data": "{}", "channels": ["a"]}).to_string();
        stage.refused(PLAIN, "/events", &body, 400);
    }
    for name in ["pusher", "pusher_internal", "Pusher:x", "my-pusher:x"] {
        let body = json!({"name": name, "data": "{}", "channels": ["a"]}).to_string();
        stage.trigger(PLAIN, &body, "{}");
        stage.hears_event(&sock, name, "a", "{}");
    }
    stage.nothing_else();
}
