//! Channels that show their last event to who comes next.

use super::apps::PLAIN;
use super::stage::Stage;
use serde_json::json;

const JOINED: &str = "pusher_internal:subscription_succeeded";
const MISS: &str = "pusher:cache_miss";

fn publish(stage: &mut Stage, channel: &str, data: &str) {
    let body = json!({"name": "price", "data": data, "channel": channel});
    stage.trigger(PLAIN, &body.to_string(), "{}");
}

pub(super) fn misses_and_hits(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    for name in [
        "cache-a",
        "private-cache-a",
        "private-encrypted-cache-a",
        "presence-cache-a",
    ] {
        let has_members = name.starts_with("presence-");
        let join = |stage: &mut Stage, sock, user: &str, members: &str| match has_members {
            true => stage.join_as(sock, name, &format!("{{\"user_id\":\"{user}\"}}"), members),
            false => stage.join(sock, name),
        };
        join(
            stage,
            &a,
            "a",
            r#"{"ids":["a"],"hash":{"a":null},"count":1}"#,
        );
        stage.hears_event(&a, MISS, name, "{}");
        publish(stage, name, "1");
        stage.hears_event(&a, "price", name, "1");
        publish(stage, name, "{\"two\":\"\\\"2\\\"\"}");
        stage.hears_event(&a, "price", name, "{\"two\":\"\\\"2\\\"\"}");
        join(
            stage,
            &b,
            "b",
            r#"{"ids":["a","b"],"hash":{"a":null,"b":null},"count":2}"#,
        );
        stage.hears_event(&b, "price", name, "{\"two\":\"\\\"2\\\"\"}");
        if has_members {
            stage.hears_event(
                &a,
                "pusher_internal:member_added",
                name,
                r#"{"user_id":"b"}"#,
            );
        }
        stage.nothing_else();
    }
}

pub(super) fn only_the_beginning_of_a_name_counts(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for name in [
        "my-cache-a",
        "private-a-cache-b",
        "cache",
        "private-encrypted-a-cache-b",
    ] {
        publish(stage, name, "1");
        stage.join(&sock, name);
        publish(stage, name, "2");
        stage.hears_event(&sock, "price", name, "2");
        stage.part(&sock, name);
        let asked = stage.get(PLAIN, &format!("/channels/{name}"), &[("info", "cache")]);
        assert_eq!(asked.0, 400);
    }
    stage.nothing_else();
}

pub(super) fn who_is_left_out_does_not_matter(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    stage.join(&a, "cache-a");
    stage.hears_event(&a, MISS, "cache-a", "{}");
    let body = json!({"name": "e", "data": "x", "channel": "cache-a", "socket_id": a.id});
    stage.trigger(PLAIN, &body.to_string(), "{}");
    stage.join(&b, "cache-a");
    stage.hears_event(&b, "e", "cache-a", "x");
    stage.part(&a, "cache-a");
    // Even to the one that was left out.
    stage.join(&a, "cache-a");
    stage.hears_event(&a, "e", "cache-a", "x");
    stage.nothing_else();
}

pub(super) fn what_is_not_cached(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let name = "presence-cache-a";
    stage.join_as(
        &a,
        name,
        r#"{"user_id":"a"}"#,
        r#"{"ids":["a"],"hash":{"a":null},"count":1}"#,
    );
    stage.hears_event(&a, MISS, name, "{}");
    let word = json!({"event": "client-e", "channel": name, "data": "x"});
    stage.say(&a, &word.to_string());
    let both = r#"{"ids":["a","b"],"hash":{"a":null,"b":null},"count":2}"#;
    stage.nothing_else();
    stage.join_as(&b, name, r#"{"user_id":"b"}"#, both);
    stage.hears_event(&b, MISS, name, "{}");
    stage.hears_event(
        &a,
        "pusher_internal:member_added",
        name,
        r#"{"user_id":"b"}"#,
    );
    // Nor does it take the place of what is.
    publish(stage, name, "1");
    stage.hears_event(&a, "price", name, "1");
    stage.hears_event(&b, "price", name, "1");
    stage.say(&a, &word.to_string());
    stage.hears(
        &b,
        r#"{"event":"client-e","channel":"presence-cache-a","data":"x","user_id":"a"}"#,
    );
    stage.part(&b, name);
    stage.hears_event(
        &a,
        "pusher_internal:member_removed",
        name,
        r#"{"user_id":"b"}"#,
    );
    stage.join_as(&b, name, r#"{"user_id":"b"}"#, both);
    stage.hears_event(&b, "price", name, "1");
    stage.hears_event(
        &a,
        "pusher_internal:member_added",
        name,
        r#"{"user_id":"b"}"#,
    );
    stage.nothing_else();
}

pub(super) fn authentication_is_not_weakened(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for name in [
        "private-cache-a",
        "private-encrypted-cache-a",
        "presence-cache-a",
    ] {
        publish(stage, name, "secret");
        for data in [None, Some(r#"{"user_id":"1"}"#)] {
            stage.ask_with(&sock, name, "", data);
            stage.hears_refusal(&sock, name, 401);
            stage.ask_with(&sock, name, "key-1001:00", data);
            stage.hears_refusal(&sock, name, 401);
        }
    }
    stage.nothing_else();
}

pub(super) fn an_empty_channel_remembers(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    publish(stage, "cache-a", "before anybody came");
    stage.join(&sock, "cache-a");
    stage.hears_event(&sock, "price", "cache-a", "before anybody came");
    publish(stage, "cache-a", "last");
    stage.hears_event(&sock, "price", "cache-a", "last");
    stage.leave(&sock);
    let sock = stage.open(PLAIN);
    stage.join(&sock, "cache-a");
    stage.hears_event(&sock, "price", "cache-a", "last");
    stage.part(&sock, "cache-a");
    stage.nothing_else();
    // It is not listed for that.
    assert_eq!(stage.get(PLAIN, "/channels", &[]).1, r#"{"channels":{}}"#);
    let (status, body) = stage.get(
        PLAIN,
        "/channels/cache-a",
        &[("info", "cache,subscription_count")],
    );
    let ttl = body
        .split("\"ttl\":")
        .nth(1)
        .and_then(|rest| rest.strip_suffix("}}"));
    let ttl: u64 = ttl.and_then(|ttl| ttl.parse().ok()).expect(&body);
    assert!(status == 200 && (1790..=1800).contains(&ttl));
    let want = format!(
        r#"{{"occupied":false,"subscription_count":0,"cache":{{"data":"last","ttl":{ttl}}}}}"#
    );
    assert_eq!(body, want);
}

pub(super) fn half_an_hour_later(stage: &mut Stage) {
    const HALF_AN_HOUR_MS: u64 = 30 * 60 * 1000;
    let sock = stage.open(PLAIN);
    publish(stage, "cache-empty", "1");
    publish(stage, "cache-occupied", "1");
    stage.join(&sock, "cache-occupied");
    stage.hears_event(&sock, "price", "cache-occupied", "1");
    // A client lives on, and pings as it should.
    let pass = |stage: &mut Stage, ms: u64| {
        for _ in 0..ms / 60_000 {
            stage.sut().wait_ms(60_000);
            stage.nothing_else();
        }
    };
    pass(stage, HALF_AN_HOUR_MS - 60_000);
    for name in ["cache-empty", "cache-occupied"] {
        let other = stage.open(PLAIN);
        stage.join(&other, name);
        stage.hears_event(&other, "price", name, "1");
        stage.leave(&other);
        let (_, body) = stage.get(PLAIN, &format!("/channels/{name}"), &[("info", "cache")]);
        assert!(
            body.contains("\"ttl\":60}") || body.contains("\"ttl\":59}"),
            "{body}"
        );
    }
    assert_eq!(stage.memory().handler().hub().counts().0, 2);
    pass(stage, 120_000);
    // One is forgotten altogether.
    assert_eq!(stage.memory().handler().hub().counts().0, 1);
    for name in ["cache-empty", "cache-occupied"] {
        let other = stage.open(PLAIN);
        stage.join(&other, name);
        stage.hears_event(&other, MISS, name, "{}");
        stage.leave(&other);
        let (_, body) = stage.get(PLAIN, &format!("/channels/{name}"), &[("info", "cache")]);
        assert!(body.ends_with("\"cache\":null}"), "{body}");
    }
    stage.part(&sock, "cache-occupied");
    stage.ask(&sock, "cache-occupied", None);
    stage.hears_event(&sock, JOINED, "cache-occupied", "{}");
    stage.hears_event(&sock, MISS, "cache-occupied", "{}");
    stage.nothing_else();
}
