//! Sockets are let in, or not.

use super::stage::{DISABLED, MAIN, ORIGINS, Stage, keys};
use serde_json::{Value, json};

pub(crate) fn the_key_is_the_last_part_of_the_path(stage: &mut Stage) {
    let key = keys(MAIN).key;
    let mut ids = Vec::new();
    for path in [
        format!("/{key}"),
        format!("/any/prefix/{key}"),
        format!("//{key}"),
        format!("/{key}?x=1&y"),
        format!("/app/{key}"),
    ] {
        let sock = stage.open_at(MAIN, &path, &[]);
        // Version 4, and the variant of the standard.
        assert_eq!(sock.id.as_bytes()[14], b'4', "{}", sock.id);
        assert!(b"89ab".contains(&sock.id.as_bytes()[19]), "{}", sock.id);
        stage.is_well(&sock);
        assert!(!ids.contains(&sock.id), "each has its own");
        ids.push(sock.id);
    }
    stage.nothing_else();
}

pub(crate) fn keys_that_no_app_has_open_nothing(stage: &mut Stage) {
    let unknown = format!("/{}", "0123456789abcdef".repeat(4));
    let upper = format!("/{}", keys(MAIN).key.to_uppercase());
    for path in [&*unknown, &upper] {
        let answer = stage.no_socket(path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(told["result"], "error");
        assert_eq!(told["name"], "NotFoundError");
        assert_eq!(told["code"], 404);
    }
    let key = keys(MAIN).key;
    for path in [
        "/",
        "/x",
        &format!("/{}", &key[1..]),
        &format!("/{key}0"),
        &format!("/{}g", &key[1..]),
        &format!("/{key}/"),
    ] {
        assert_eq!(stage.no_socket(path, &[]).status, 404, "{path}");
    }
    let sock = stage.open(MAIN);
    stage.is_well(&sock);
}

pub(crate) fn a_disabled_app_opens_nothing(stage: &mut Stage) {
    let path = format!("/{}", keys(DISABLED).key);
    let answer = stage.no_socket(&path, &[]);
    assert_eq!(answer.status, 403);
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        (&told["result"], &told["code"]),
        (&json!("error"), &json!(403))
    );
}

pub(crate) fn pages_of_other_origins_open_nothing(stage: &mut Stage) {
    let path = format!("/{}", keys(ORIGINS).key);
    let answer = stage.no_socket(&path, &[("Origin", "https://evil.example")]);
    assert_eq!(answer.status, 403);
    // No browser: no origin.
    let sock = stage.open(ORIGINS);
    stage.is_well(&sock);
    // Whoever has no list lets everybody in.
    let path = format!("/{}", keys(MAIN).key);
    let origin = [("Origin", "https://evil.example")];
    let sock = stage.open_with(MAIN, &path, &origin, &[]);
    stage.is_well(&sock);
}

pub(crate) fn what_is_no_handshake_is_told_so(stage: &mut Stage) {
    let path = format!("/{}", keys(MAIN).key);
    for (header, value, status) in [
        ("Sec-WebSocket-Version", "7", 426),
        ("Sec-WebSocket-Version", "", 426),
        ("Sec-WebSocket-Key", "", 400),
        ("Sec-WebSocket-Key", "short", 400),
    ] {
        let answer = stage.no_socket(&path, &[(header, value)]);
        assert_eq!(answer.status, status, "{header}: {value}");
    }
    let sock = stage.open(MAIN);
    stage.is_well(&sock);
}

pub(crate) fn what_comes_with_the_handshake_is_heard_after_it(stage: &mut Stage) {
    let path = format!("/{}", keys(MAIN).key);
    let word = json!({"event": "pusher:subscribe", "data": {"channel": "room"}}).to_string();
    let behind = [(crate::websocket::TEXT, word.as_bytes())];
    let sock = stage.open_at(MAIN, &path, &behind);
    stage.hears_answer(&sock, "subscription_succeeded", "room");
    stage.nothing_else();
}
