//! Liveness, frames, and what says nothing.

use super::apps::{self, BARE, PLAIN, SMALL, TLS_ONLY};
use super::stage::Stage;
use crate::session::Cut;
use crate::websocket::{BINARY, Event, PING, TEXT};

const PING_EVENT: &str = r#"{"event":"pusher:ping","data":{}}"#;
const PONG_EVENT: &str = r#"{"event":"pusher:pong","data":{}}"#;

pub(super) fn pings_are_answered(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for ping in [
        r#"{"event":"pusher:ping","data":{}}"#,
        r#"{"event":"pusher:ping","data":""}"#,
        r#"{"event":"pusher:ping","data":"{}"}"#,
        r#"{"event":"pusher:ping","data":null}"#,
        r#" {"data":[1],"event":"pusher:\u0070ing"} "#,
        r#"{"event":"pusher:ping"}"#,
    ] {
        stage.say(&sock, ping);
        stage.hears(&sock, PONG_EVENT);
    }
    // A pong is taken as it is.
    stage.say(&sock, r#"{"event":"pusher:pong","data":{}}"#);
    stage.nothing_else();
    // One client pings before it was welcomed.
    let path = format!("/app/{}?protocol=6", apps::key(PLAIN));
    let early = stage.dial(&path, &[]);
    stage.say(&early, r#"{"event":"pusher:ping","data":""}"#);
    let early = stage.welcomed(early, PLAIN);
    stage.hears(&early, PONG_EVENT);
    stage.nothing_else();
}

pub(super) fn websocket_pings_and_fragments(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    stage.say_frame(&sock, PING, b"there?");
    assert_eq!(
        stage.event(&sock, 3_000),
        Some(Event::Pong(b"there?".to_vec()))
    );
    let text = r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#.as_bytes();
    let (one, rest) = text.split_at(9);
    let (two, three) = rest.split_at(20);
    stage.say_part(&sock, TEXT, false, one);
    stage.say_part(&sock, 0, false, two);
    stage.say_frame(&sock, PING, b"between");
    stage.say_part(&sock, 0, true, three);
    assert_eq!(
        stage.event(&sock, 3_000),
        Some(Event::Pong(b"between".to_vec()))
    );
    stage.hears_event(
        &sock,
        "pusher_internal:subscription_succeeded",
        "news",
        "{}",
    );
    stage.leave(&sock);
}

pub(super) fn messages_that_say_nothing_end_nothing(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    for nothing in [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        r#"{"event":7}"#,
        r#"{"event":""}"#,
        r#"{"event":"my-event","channel":"news","data":{}}"#,
        r#"{"event":"pusher:nothing"}"#,
        r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{}"}"#,
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:subscribe","data":null}"#,
        r#"{"event":"pusher:subscribe","data":[]}"#,
        r#"{"event":"pusher:subscribe","data":"news"}"#,
        r#"{"event":"pusher:subscribe","data":{}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":7}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":["news"]}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"news","auth":{}}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-a","channel_data":{"user_id":"1"}}}"#,
        r#"{"event":"pusher:unsubscribe"}"#,
        r#"{"event":"pusher:unsubscribe","data":{"channel":null}}"#,
        r#"{"event":"pusher:unsubscribe","data":{"channel":"never-joined"}}"#,
        r#"{"event":"client-typing"}"#,
        r#"{"event":"client-typing","channel":{},"data":{}}"#,
    ] {
        stage.say(&sock, nothing);
        stage.hears_error(&sock, None);
    }
    stage.say_frame(&sock, BINARY, b"\x00\xff");
    stage.hears_error(&sock, None);
    stage.join(&sock, "news");
    stage.nothing_else();
}

pub(super) fn too_long_a_message_ends_it(stage: &mut Stage) {
    let ends = |stage: &mut Stage, app, length: usize| {
        let sock = stage.open(app);
        let whole = format!(
            r#"{{"event":"pusher:ping","data":"{}"}}"#,
            "x".repeat(length)
        );
        let whole = &whole[..length - 2];
        let fits = format!("{whole}\"}}");
        assert_eq!(fits.len(), length);
        stage.say(&sock, &fits);
        stage.hears(&sock, PONG_EVENT);
        stage.say(&sock, &format!("{fits} "));
        stage.hears_close(&sock, 1009);
    };
    ends(stage, SMALL, 1024);
    ends(stage, PLAIN, 64 * 1024);
}

/// A quarter more than a client waits, we ask; half a minute later we let go.
pub(super) fn silence_is_asked_about_and_then_ended(stage: &mut Stage) {
    for (app, quiet_ms) in [(PLAIN, 150_000), (BARE, 12_500)] {
        let sock = stage.open(app);
        let since = stage.sut().now_ms();
        assert_eq!(stage.event(&sock, quiet_ms - 100), None, "not before");
        assert_eq!(
            stage.event(&sock, 1_100),
            Some(Event::Text(PING_EVENT.to_owned()))
        );
        let asked = stage.sut().now_ms() - since;
        assert!(
            (quiet_ms - 1..quiet_ms + 1_000).contains(&asked),
            "asked after {asked} ms"
        );
        assert_eq!(stage.event(&sock, 29_000), None, "it has half a minute");
        stage.hears_close(&sock, 4201);
        let ended = stage.sut().now_ms() - since;
        assert!(
            (quiet_ms + 29_900..quiet_ms + 32_000).contains(&ended),
            "after {ended} ms"
        );
    }
}

pub(super) fn any_word_is_life(stage: &mut Stage) {
    let sock = stage.open(BARE);
    let heard_by = |stage: &mut Stage, sock| stage.event(sock, 10_000);
    for round in 0..6 {
        assert_eq!(heard_by(stage, &sock), None, "round {round}");
        match round % 3 {
            0 => stage.say(&sock, r#"{"event":"pusher:pong","data":{}}"#),
            1 => {
                stage.say(&sock, PING_EVENT);
                stage.hears(&sock, PONG_EVENT);
            }
            _ => {
                stage.say_frame(&sock, PING, b"");
                assert_eq!(stage.event(&sock, 100), Some(Event::Pong(Vec::new())));
            }
        }
    }
    // Whoever answers when asked stays.
    assert_eq!(
        stage.event(&sock, 13_000),
        Some(Event::Text(PING_EVENT.to_owned()))
    );
    stage.say(&sock, r#"{"event":"pusher:pong","data":{}}"#);
    assert_eq!(stage.event(&sock, 12_000), None);
    assert_eq!(
        stage.event(&sock, 1_000),
        Some(Event::Text(PING_EVENT.to_owned()))
    );
    // What is sent to it is no life.
    stage.trigger(BARE, r#"{"name":"e","data":"","channel":"c"}"#, "{}");
    assert_eq!(stage.event(&sock, 28_000), None);
    stage.hears_close(&sock, 4201);
}

pub(super) fn tls_only_by_a_trusted_proxy(stage: &mut Stage) {
    let mut config = apps::config();
    config
        .trusted_proxies
        .add_text("127.0.0.1")
        .expect("an address");
    *stage = Stage::with(Cut::Whole, config);
    let path = format!("/app/{}?protocol=7", apps::key(TLS_ONLY));
    let sock = stage.dial(&path, &[("X-Forwarded-Proto", "https")]);
    stage.welcomed(sock, TLS_ONLY);
    let sock = stage.dial(&path, &[("X-Forwarded-Proto", "http")]);
    stage.hears_close(&sock, 4000);
    let sock = stage.dial(&path, &[]);
    stage.hears_close(&sock, 4000);
}
