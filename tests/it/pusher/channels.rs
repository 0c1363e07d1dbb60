//! Joining and leaving channels.

use super::apps::{self, PLAIN};
use super::stage::{Stage, keys};
use serde_json::json;

pub(super) fn public_private_and_encrypted(stage: &mut Stage) {
    let (sock, other) = (stage.open(PLAIN), stage.open(PLAIN));
    for name in [
        "news",
        "private-news",
        "private-encrypted-news",
        "cache-news",
        "private-cache-news",
        "private-encrypted-cache-news",
        "a_-=@,.;Z9",
    ] {
        stage.join(&sock, name);
        if name.contains("cache-") {
            stage.hears_event(&sock, "pusher:cache_miss", name, "{}");
        }
        let body = json!({"name": "e", "data": "{\"a\":\"é\"}", "channel": name});
        stage.trigger(PLAIN, &body.to_string(), "{}");
        stage.hears_event(&sock, "e", name, "{\"a\":\"é\"}");
    }
    stage.trigger(
        PLAIN,
        r#"{"name":"e","data":"x","channel":"elsewhere"}"#,
        "{}",
    );
    stage.nothing_else();
    stage.leave(&sock);
    stage.trigger(PLAIN, r#"{"name":"e","data":"x","channel":"news"}"#, "{}");
    stage.join(&other, "news");
    stage.nothing_else();
}

pub(super) fn data_may_be_a_text(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    let auth = keys(PLAIN).channel_auth(&sock.id, "private-a", None);
    let data = json!({"channel": "private-a", "auth": auth, "channel_data": null}).to_string();
    let word = json!({"event": "pusher:subscribe", "data": data});
    stage.say(&sock, &word.to_string());
    stage.hears_event(
        &sock,
        "pusher_internal:subscription_succeeded",
        "private-a",
        "{}",
    );
    stage.say(
        &sock,
        r#"{"event":"pusher:unsubscribe","data":"{\"channel\":\"private-a\"}"}"#,
    );
    stage.nothing_else();
    stage.trigger(
        PLAIN,
        r#"{"name":"e","data":"x","channel":"private-a"}"#,
        "{}",
    );
    stage.nothing_else();
    // What comes along with a private channel is no part of what is signed.
    stage.ask_with(&sock, "private-a", &auth, Some("{\"user_id\":\"1\"}"));
    stage.hears_event(
        &sock,
        "pusher_internal:subscription_succeeded",
        "private-a",
        "{}",
    );
    stage.nothing_else();
}

pub(super) fn twice_is_once(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for name in ["news", "private-news"] {
        stage.join(&sock, name);
        stage.ask(&sock, name, None);
        assert!(
            stage
                .hears_error(&sock, None)
                .contains("existing subscription")
        );
        // Nor does it matter what is signed then.
        stage.ask_with(&sock, name, "no:signature", None);
        stage.hears_error(&sock, None);
        let body = json!({"name": "e", "data": "x", "channel": name, "info": "subscription_count"});
        let told = format!(
            "{{\"channels\":{{{}:{{\"subscription_count\":1}}}}}}",
            json!(name)
        );
        stage.trigger(PLAIN, &body.to_string(), &told);
        stage.hears_event(&sock, "e", name, "x");
        stage.part(&sock, name);
        stage.nothing_else();
        stage.trigger(PLAIN, &body.to_string(), &told.replace(":1", ":0"));
    }
    stage.nothing_else();
}

pub(super) fn unsubscribe_really_unsubscribes(stage: &mut Stage) {
    let (sock, other) = (stage.open(PLAIN), stage.open(PLAIN));
    let event = r#"{"name":"e","data":"x","channels":["a","b"]}"#;
    for _ in 0..3 {
        stage.join(&sock, "a");
        stage.join(&sock, "b");
        stage.join(&other, "a");
        stage.part(&sock, "a");
        stage.nothing_else();
        stage.trigger(PLAIN, event, "{}");
        stage.hears_event(&sock, "e", "b", "x");
        stage.hears_event(&other, "e", "a", "x");
        stage.part(&sock, "a");
        stage.hears_error(&sock, None);
        stage.part(&other, "b");
        stage.hears_error(&other, None);
        stage.part(&sock, "b");
        stage.part(&other, "a");
        stage.nothing_else();
    }
    assert_eq!(
        stage.get(PLAIN, "/channels", &[]),
        (200, r#"{"channels":{}}"#.to_owned())
    );
}

pub(super) fn refused_and_still_connected(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    let good = keys(PLAIN).channel_auth(&sock.id, "private-a", None);
    let digest = good.split_once(':').expect("a colon").1.to_owned();
    let key = apps::key(PLAIN);
    for auth in [
        String::new(),
        ":".to_owned(),
        "nonsense".to_owned(),
        digest.clone(),
        format!("{key}:"),
        format!("{key}:{}", digest.to_uppercase()),
        format!("{key}:{digest}0"),
        format!("{key}:{}", &digest[1..]),
        format!(":{digest}"),
        format!("{}:{digest}", apps::key("1002")),
        format!("{key} :{digest}"),
    ] {
        for name in [
            "private-a",
            "private-encrypted-a",
            "private-cache-a",
            "presence-a",
        ] {
            // The good one is that of another name.
            let auth = if name == "private-a" { &auth } else { &good };
            stage.ask_with(&sock, name, auth, None);
            stage.hears_refusal(&sock, name, 401);
        }
    }
    stage.ask_with(&sock, "private-a", &good, None);
    stage.hears_event(
        &sock,
        "pusher_internal:subscription_succeeded",
        "private-a",
        "{}",
    );
    stage.nothing_else();
}

pub(super) fn names_have_their_characters(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    let (longest, longer) = ("x".repeat(164), "x".repeat(165));
    for name in [
        "",
        "a b",
        "a:b",
        "a/b",
        "#a",
        "#server-to-user-",
        "ä",
        "a\n",
        "a#",
        "*",
        &longer,
    ] {
        stage.ask(&sock, name, None);
        stage.hears_refusal(&sock, name, 400);
        let body = json!({"name": "e", "data": "", "channel": name});
        stage.refused(PLAIN, "/events", &body.to_string(), 400);
    }
    stage.join(&sock, &longest);
    stage.nothing_else();
}
