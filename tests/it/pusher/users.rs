//! Users: signing in, what is for them alone, being sent away, and watching.

use super::apps::{self, AUTHORIZED, BARE, OTHER, PLAIN, SMALL};
use super::stage::{Stage, keys};
use serde_json::json;

fn for_user(stage: &mut Stage, app: &str, user: &str, data: &str) {
    let channel = format!("#server-to-user-{user}");
    let body = json!({"name": "e", "data": data, "channels": [channel]});
    stage.trigger(app, &body.to_string(), "{}");
}

pub(super) fn signing_in(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for user in [
        // The very text that came is told.
        r#"{ "id": "anna", "user_info": {"name": "Anna Žižková"}, "more": [1, 2.50] }"#,
        r#"{"id":"anna"}"#,
    ] {
        stage.sign_in(&sock, user);
        stage.hears_signed_in(&sock, user);
    }
    let other = stage.open(PLAIN);
    let user_data = r#"{"id":"anna"}"#;
    let auth = keys(PLAIN).signin_auth(&other.id, user_data);
    let data = json!({"auth": auth, "user_data": user_data}).to_string();
    stage.say(
        &other,
        &json!({"event": "pusher:signin", "data": data}).to_string(),
    );
    stage.hears_signed_in(&other, user_data);
    stage.nothing_else();
}

pub(super) fn a_wrong_signature_ends_it(stage: &mut Stage) {
    let watcher = stage.open(PLAIN);
    for user in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"id":7}"#,
        r#"{"id":""}"#,
        r#"{"id":"a b"}"#,
        r#"{"id":"u","watchlist":"all"}"#,
        &format!("{{\"id\":\"{}\"}}", "x".repeat(129)),
    ] {
        let sock = stage.open(PLAIN);
        stage.sign_in(&sock, user);
        stage.hears_close(&sock, 4009);
    }
    let user = r#"{"id":"u"}"#;
    let good = keys(PLAIN).signin_auth(&watcher.id, user);
    for auth in [
        // That of another socket, of another app, of a channel, none.
        good,
        keys(OTHER).signin_auth(&watcher.id, user),
        keys(PLAIN).channel_auth(&watcher.id, "private-a", None),
        String::new(),
    ] {
        let sock = stage.open(PLAIN);
        stage.sign_in_with(&sock, &auth, user);
        stage.hears_close(&sock, 4009);
    }
    for word in [
        r#"{"event":"pusher:signin"}"#,
        r#"{"event":"pusher:signin","data":{}}"#,
        r#"{"event":"pusher:signin","data":{"auth":7,"user_data":{"id":"u"}}}"#,
    ] {
        let sock = stage.open(PLAIN);
        stage.say(&sock, word);
        stage.hears_close(&sock, 4009);
    }
    stage.nothing_else();
}

pub(super) fn nobody_is_two(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.sign_in(&sock, r#"{"id":"one"}"#);
    stage.hears_signed_in(&sock, r#"{"id":"one"}"#);
    stage.sign_in(&sock, r#"{"id":"two"}"#);
    stage.hears_error(&sock, None);
    for_user(stage, PLAIN, "two", "x");
    stage.nothing_else();
    for_user(stage, PLAIN, "one", "x");
    stage.hears_event(&sock, "e", "#server-to-user-one", "x");
    stage.nothing_else();
}

pub(super) fn server_to_user_reaches_only_the_user(stage: &mut Stage) {
    let [a, a2, b, stranger] = [(); 4].map(|()| stage.open(PLAIN));
    let elsewhere = stage.open(OTHER);
    for sock in [&a, &a2, &elsewhere] {
        stage.sign_in(sock, r#"{"id":"u@1"}"#);
        stage.hears_signed_in(sock, r#"{"id":"u@1"}"#);
    }
    stage.sign_in(&b, r#"{"id":"b"}"#);
    stage.hears_signed_in(&b, r#"{"id":"b"}"#);
    // To be the user in a channel is not to be the user.
    let one = r#"{"ids":["u@1"],"hash":{"u@1":null},"count":1}"#;
    stage.join_as(&stranger, "presence-a", r#"{"user_id":"u@1"}"#, one);
    let name = "#server-to-user-u@1";
    for sock in [&b, &stranger] {
        stage.ask(sock, name, None);
        stage.hears_refusal(sock, name, 401);
        // Whatever is signed.
        let auth = keys(PLAIN).channel_auth(&sock.id, name, None);
        stage.ask_with(sock, name, &auth, None);
        stage.hears_refusal(sock, name, 401);
    }
    stage.join(&a, name);
    stage.join(&a, name);
    // It comes once, asked for or not.
    for_user(stage, PLAIN, "u@1", "{\"a\":1}");
    stage.hears_event(&a, "e", name, "{\"a\":1}");
    stage.hears_event(&a2, "e", name, "{\"a\":1}");
    stage.part(&a, name);
    for_user(stage, PLAIN, "u@1", "2");
    stage.hears_event(&a, "e", name, "2");
    stage.hears_event(&a2, "e", name, "2");
    // Beside channels, without a socket of its own, in a batch, and to nobody.
    let body = json!({"name": "e", "data": "3", "channels": ["presence-a", name]});
    stage.trigger(PLAIN, &body.to_string(), "{}");
    for sock in [&a, &a2] {
        stage.hears_event(sock, "e", name, "3");
    }
    stage.hears_event(&stranger, "e", "presence-a", "3");
    let batch = json!({"batch": [{"name": "e", "data": "4", "channel": name}]}).to_string();
    let answer = stage.call(PLAIN, "POST", "/batch_events", &[], &batch);
    assert_eq!(answer, (200, "{}".to_owned()));
    stage.hears_event(&a, "e", name, "4");
    stage.hears_event(&a2, "e", name, "4");
    for_user(stage, PLAIN, "nobody", "x");
    stage.nothing_else();
    assert_eq!(
        stage.get(PLAIN, "/channels", &[]).1,
        r#"{"channels":{"presence-a":{}}}"#
    );
}

pub(super) fn terminate_ends_who_signed_in(stage: &mut Stage) {
    let [a, a2, b, in_channel] = [(); 4].map(|()| stage.open(PLAIN));
    let elsewhere = stage.open(OTHER);
    for sock in [&a, &a2, &elsewhere] {
        stage.sign_in(sock, r#"{"id":"a"}"#);
        stage.hears_signed_in(sock, r#"{"id":"a"}"#);
    }
    stage.sign_in(&b, r#"{"id":"b"}"#);
    stage.hears_signed_in(&b, r#"{"id":"b"}"#);
    let one = r#"{"ids":["a"],"hash":{"a":null},"count":1}"#;
    stage.join_as(&in_channel, "presence-a", r#"{"user_id":"a"}"#, one);
    for body in ["{}", ""] {
        for user in ["nobody", "no%20body"] {
            let path = format!("/users/{user}/terminate_connections");
            let answer = stage.call(PLAIN, "POST", &path, &[], body);
            assert_eq!(answer, (200, "{}".to_owned()));
        }
    }
    stage.nothing_else();
    let answer = stage.call(PLAIN, "POST", "/users/a/terminate_connections", &[], "{}");
    assert_eq!(answer, (200, "{}".to_owned()));
    stage.hears_close(&a, 4009);
    stage.hears_close(&a2, 4009);
    stage.nothing_else();
}

pub(super) fn watching(stage: &mut Stage) {
    let [w, a, a2, b] = [(); 4].map(|()| stage.open(PLAIN));
    let user = r#"{"id":"w","watchlist":["a","b","c","a",7]}"#;
    stage.sign_in(&b, r#"{"id":"b","watchlist":[]}"#);
    stage.hears_signed_in(&b, r#"{"id":"b","watchlist":[]}"#);
    stage.sign_in(&w, user);
    stage.hears_signed_in(&w, user);
    stage.hears_watched(
        &w,
        r#"[{"name":"online","user_ids":["b"]},{"name":"offline","user_ids":["a","c","7"]}]"#,
    );
    stage.sign_in(&a, r#"{"id":"a"}"#);
    stage.hears_signed_in(&a, r#"{"id":"a"}"#);
    stage.hears_watched(&w, r#"[{"name":"online","user_ids":["a"]}]"#);
    stage.sign_in(&a2, r#"{"id":"a"}"#);
    stage.hears_signed_in(&a2, r#"{"id":"a"}"#);
    // Somebody of that name elsewhere, or in a channel only, is another.
    let elsewhere = stage.open(OTHER);
    stage.sign_in(&elsewhere, r#"{"id":"c"}"#);
    stage.hears_signed_in(&elsewhere, r#"{"id":"c"}"#);
    let one = r#"{"ids":["c"],"hash":{"c":null},"count":1}"#;
    stage.join_as(&b, "presence-a", r#"{"user_id":"c"}"#, one);
    stage.leave(&a);
    stage.nothing_else();
    stage.vanish(&a2);
    stage.hears_watched(&w, r#"[{"name":"offline","user_ids":["a"]}]"#);
    stage.call(PLAIN, "POST", "/users/b/terminate_connections", &[], "");
    stage.hears_close(&b, 4009);
    stage.hears_watched(&w, r#"[{"name":"offline","user_ids":["b"]}]"#);
    // Signing in again says whom it watches from now on.
    let user = r#"{"id":"w","watchlist":["c"]}"#;
    stage.sign_in(&w, user);
    stage.hears_signed_in(&w, user);
    stage.hears_watched(&w, r#"[{"name":"offline","user_ids":["c"]}]"#);
    let (a, c) = (stage.open(PLAIN), stage.open(PLAIN));
    stage.sign_in(&a, r#"{"id":"a"}"#);
    stage.hears_signed_in(&a, r#"{"id":"a"}"#);
    stage.sign_in(&c, r#"{"id":"c"}"#);
    stage.hears_signed_in(&c, r#"{"id":"c"}"#);
    stage.hears_watched(&w, r#"[{"name":"online","user_ids":["c"]}]"#);
    stage.nothing_else();
}

pub(super) fn too_long_a_watchlist(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    let ids = |count: usize| -> Vec<String> { (0..count).map(|n| format!("u{n}")).collect() };
    let first = format!(r#"[{{"name":"offline","user_ids":{}}}]"#, json!(ids(100)));
    for (count, is_cut) in [(100, false), (101, true)] {
        let user = json!({"id": "w", "watchlist": ids(count)}).to_string();
        stage.sign_in(&sock, &user);
        stage.hears_signed_in(&sock, &user);
        stage.hears_watched(&sock, &first);
        if is_cut {
            stage.hears_error(&sock, Some(4302));
        }
    }
    let last = stage.open(PLAIN);
    stage.sign_in(&last, r#"{"id":"u100"}"#);
    stage.hears_signed_in(&last, r#"{"id":"u100"}"#);
    stage.nothing_else();
    let sock = stage.open(SMALL);
    let user = r#"{"id":"w","watchlist":["a","b","c"]}"#;
    stage.sign_in(&sock, user);
    stage.hears_signed_in(&sock, user);
    stage.hears_watched(&sock, r#"[{"name":"offline","user_ids":["a","b"]}]"#);
    stage.hears_error(&sock, Some(4302));
    stage.nothing_else();
}

pub(super) fn all_of_it_can_be_off(stage: &mut Stage) {
    let sock = stage.open(BARE);
    stage.sign_in(&sock, r#"{"id":"u","watchlist":["a"]}"#);
    stage.hears_error(&sock, None);
    for_user(stage, BARE, "u", "x");
    stage.ask(&sock, "presence-a", None);
    stage.hears_refusal(&sock, "presence-a", 400);
    stage.nothing_else();
}

/// An app may send away whoever proves nothing.
pub(super) fn authorized_within_half_a_minute(stage: &mut Stage) {
    let [idle, public, refused, private, presence, signed] =
        [(); 6].map(|()| stage.open(AUTHORIZED));
    stage.join(&public, "news");
    stage.ask_with(&refused, "private-a", "", None);
    stage.hears_refusal(&refused, "private-a", 401);
    stage.join(&private, "private-a");
    stage.join_as(
        &presence,
        "presence-a",
        r#"{"user_id":1}"#,
        r#"{"ids":["1"],"hash":{"1":null},"count":1}"#,
    );
    stage.sign_in(&signed, r#"{"id":"u"}"#);
    stage.hears_signed_in(&signed, r#"{"id":"u"}"#);
    // What was proved stays so.
    stage.part(&private, "private-a");
    stage.sut().wait_ms(29_000);
    stage.nothing_else();
    stage.sut().wait_ms(2_000);
    for sock in [&idle, &public, &refused] {
        stage.hears_close(sock, 4009);
    }
    stage.nothing_else();
    stage.sut().wait_ms(60_000);
    stage.nothing_else();
    let path = format!("/app/{}?protocol=7", apps::key(AUTHORIZED));
    let late = stage.dial(&path, &[]);
    let late = stage.welcomed(late, AUTHORIZED);
    stage.sut().wait_ms(20_000);
    stage.join(&late, "private-a");
    stage.sut().wait_ms(20_000);
    stage.nothing_else();
}
