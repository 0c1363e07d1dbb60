//! What sockets say to each other.

use super::apps::{BARE, PLAIN, SMALL};
use super::stage::Stage;
use serde_json::json;

fn say(stage: &mut Stage, sock: &super::stage::Sock, channel: &str, data: &str) {
    let text = format!(
        r#"{{"event":"client-e","channel":{},"data":{data}}}"#,
        json!(channel)
    );
    stage.say(sock, &text);
}

pub(super) fn others_hear_them_and_the_sender_does_not(stage: &mut Stage) {
    let [a, b, c, stranger] = [(); 4].map(|()| stage.open(PLAIN));
    for name in ["private-a", "private-cache-a"] {
        for sock in [&a, &b, &c] {
            stage.join(sock, name);
            if name == "private-cache-a" {
                stage.hears_event(sock, "pusher:cache_miss", name, "{}");
            }
        }
        say(stage, &b, name, r#""hello""#);
        stage.hears_event(&a, "client-e", name, "hello");
        stage.hears_event(&c, "client-e", name, "hello");
        stage.nothing_else();
    }
    say(stage, &stranger, "private-a", "1");
    stage.hears_error(&stranger, None);
    stage.part(&b, "private-a");
    say(stage, &b, "private-a", "1");
    stage.hears_error(&b, None);
    stage.nothing_else();
}

pub(super) fn data_of_all_kinds_becomes_text(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    for (data, text) in [
        (r#""text \"é\" \u00e9""#, "text \"é\" é"),
        (
            r#"{ "b" : 1, "a": [ 1.50, 1e2, null ] }"#,
            r#"{"b":1,"a":[1.50,1e2,null]}"#,
        ),
        (r#""{ \"a\": 1 }""#, r#"{ "a": 1 }"#),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ("null", "null"),
        (r#""""#, ""),
    ] {
        say(stage, &a, "private-a", data);
        stage.hears_event(&b, "client-e", "private-a", text);
    }
    stage.say(&a, r#"{"event":"client-e","channel":"private-a"}"#);
    stage.hears_event(&b, "client-e", "private-a", "null");
    stage.nothing_else();
}

pub(super) fn nothing_is_forged(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let forged = |channel: &str| {
        format!(
            r#"{{"event":"client-e","channel":"{channel}","data":"x","user_id":"root","socket_id":"1.1","event2":1}}"#
        )
    };
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    stage.say(&a, &forged("private-a"));
    stage.hears_event(&b, "client-e", "private-a", "x");
    stage.join_as(
        &a,
        "presence-a",
        r#"{"user_id":1}"#,
        r#"{"ids":["1"],"hash":{"1":null},"count":1}"#,
    );
    let both = r#"{"ids":["1","2"],"hash":{"1":null,"2":null},"count":2}"#;
    stage.join_as(&b, "presence-a", r#"{"user_id":2}"#, both);
    stage.hears_event(
        &a,
        "pusher_internal:member_added",
        "presence-a",
        r#"{"user_id":"2"}"#,
    );
    // Neither does signing in change who it is there.
    stage.sign_in(&a, r#"{"id":"root"}"#);
    stage.hears_signed_in(&a, r#"{"id":"root"}"#);
    stage.say(&a, &forged("presence-a"));
    stage.hears(
        &b,
        r#"{"event":"client-e","channel":"presence-a","data":"x","user_id":"1"}"#,
    );
    stage.say(&a, &forged("private-a"));
    stage.hears_event(&b, "client-e", "private-a", "x");
    stage.nothing_else();
}

pub(super) fn where_they_are_not_taken(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    for name in [
        "news",
        "cache-news",
        "private-encrypted-a",
        "private-encrypted-cache-a",
    ] {
        for sock in [&a, &b] {
            stage.join(sock, name);
            if name.contains("cache-") {
                stage.hears_event(sock, "pusher:cache_miss", name, "{}");
            }
        }
        say(stage, &a, name, "1");
        stage.hears_error(&a, None);
    }
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    for event in [
        "e",
        "Client-e",
        "pusher:e",
        "pusher_internal:member_added",
        "client",
    ] {
        let word = json!({"event": event, "channel": "private-a", "data": "x"});
        stage.say(&a, &word.to_string());
        stage.hears_error(&a, None);
    }
    for name in ["#server-to-user-u", "private-", "", "private-none"] {
        say(stage, &a, name, "1");
        stage.hears_error(&a, None);
    }
    let (a, b) = (stage.open(BARE), stage.open(BARE));
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    say(stage, &a, "private-a", "1");
    stage.hears_error(&a, None);
    stage.nothing_else();
}

pub(super) fn too_many_and_too_large(stage: &mut Stage) {
    let [a, b, c] = [(); 3].map(|()| stage.open(PLAIN));
    for sock in [&a, &b, &c] {
        stage.join(sock, "private-a");
    }
    let most = "x".repeat(10 * 1024);
    say(stage, &a, "private-a", &format!("\"{most}\""));
    stage.hears_event(&b, "client-e", "private-a", &most);
    stage.hears_event(&c, "client-e", "private-a", &most);
    say(stage, &a, "private-a", &format!("\"{most}x\""));
    stage.hears_error(&a, Some(4301));
    // As it goes out, it is counted: without the spaces, but with the quotes of an object's texts.
    let object = format!(r#"{{ "a" : "{}" }}"#, &most[8..]);
    say(stage, &a, "private-a", &object);
    let compact = object.replace(' ', "");
    assert_eq!(compact.len(), 10 * 1024);
    stage.hears_event(&b, "client-e", "private-a", &compact);
    stage.hears_event(&c, "client-e", "private-a", &compact);
    for (letters, fits) in [(193, true), (194, false)] {
        let event = format!("client-{}", "ü".repeat(letters));
        let word = json!({"event": event, "channel": "private-a", "data": "x"});
        stage.say(&b, &word.to_string());
        if fits {
            stage.hears_event(&a, &event, "private-a", "x");
            stage.hears_event(&c, &event, "private-a", "x");
        } else {
            stage.hears_error(&b, Some(4301));
        }
    }
    stage.nothing_else();
    // All of it at once, so that next to no time goes by: one bucket's worth reaches others.
    let (a, b) = (stage.open(SMALL), stage.open(SMALL));
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    for _ in 0..3 {
        say(stage, &a, "private-a", "1");
    }
    for _ in 0..2 {
        stage.hears_event(&b, "client-e", "private-a", "1");
    }
    stage.hears_error(&a, Some(4301));
    // Others have buckets of their own.
    say(stage, &b, "private-a", "2");
    stage.hears_event(&a, "client-e", "private-a", "2");
    stage.nothing_else();
}

pub(super) fn the_rate_comes_back(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    stage.join(&a, "private-a");
    stage.join(&b, "private-a");
    let burst = |stage: &mut Stage, count: usize, accepted: usize| {
        for at in 0..count {
            say(stage, &a, "private-a", "1");
            match at < accepted {
                true => stage.hears_event(&b, "client-e", "private-a", "1"),
                false => {
                    stage.hears_error(&a, Some(4301));
                }
            }
        }
    };
    burst(stage, 15, 10);
    stage.sut().wait_ms(500);
    burst(stage, 8, 5);
    stage.sut().wait_ms(60_000);
    burst(stage, 12, 10);
    stage.nothing_else();
}
