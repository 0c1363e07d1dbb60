//! Frames of all kinds (section 2.3 of the specification).

use super::stage::{MAIN, Stage};
use crate::client::Heard;
use crate::session::Sut as _;
use crate::websocket::{self, Event};
use serde_json::json;

const SUBSCRIBE: &str = r#"{"event": "pusher:subscribe", "data": {"channel": "room"}}"#;

pub(crate) fn binary_frames_are_taken_as_text(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.say_frame(&sock, websocket::BINARY, SUBSCRIBE.as_bytes());
    stage.hears_answer(&sock, "subscription_succeeded", "room");
    stage.is_well(&sock);
    // Not if they are none.
    stage.say_frame(&sock, websocket::BINARY, b"\"\xff\"");
    stage.hears_error(&sock, "", 400);
    stage.hears_close(&sock, 1003);
    let sock = stage.open(MAIN);
    stage.say_frame(&sock, websocket::TEXT, b"\"\xff\"");
    stage.hears_close(&sock, 1007);
}

pub(crate) fn fragments_are_put_together(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    let (first, rest) = SUBSCRIBE.as_bytes().split_at(20);
    let (second, third) = rest.split_at(5);
    stage.say_part(&sock, websocket::TEXT, false, first);
    stage.say_part(&sock, 0, false, second);
    // Control frames may come between.
    stage.say_frame(&sock, websocket::PING, b"between");
    stage.say_part(&sock, 0, false, b"");
    stage.say_part(&sock, 0, true, third);
    let pong = Heard::Event(Event::Pong(b"between".to_vec()));
    assert_eq!(stage.event(&sock), pong);
    stage.hears_answer(&sock, "subscription_succeeded", "room");
    stage.is_well(&sock);
    stage.nothing_else();
}

pub(crate) fn pings_are_answered_and_pongs_are_not(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    for payload in [&b""[..], b"p", &[0xff; 125]] {
        stage.say_frame(&sock, websocket::PING, payload);
        let pong = Heard::Event(Event::Pong(payload.to_vec()));
        assert_eq!(stage.event(&sock), pong);
        stage.say_frame(&sock, websocket::PONG, payload);
    }
    stage.is_well(&sock);
    stage.nothing_else();
}

pub(crate) fn closes_are_answered(stage: &mut Stage) {
    for payload in [
        &b""[..],
        b"\x03\xe8",
        b"\x03\xe9",
        b"\x0f\xa0why",
        b"\x03\xe8bye",
    ] {
        let sock = stage.open(MAIN);
        stage.join(&sock, "room");
        stage.say_frame(&sock, websocket::CLOSE, payload);
        let code = match payload {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        };
        match stage.event(&sock) {
            Heard::Event(Event::Close(got, _)) => assert_eq!(got, code),
            other => panic!("want a Close, heard {other:?}"),
        }
        stage.ends(&sock);
    }
}

pub(crate) fn an_empty_text_is_nothing(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.say_text(&sock, "");
    stage.say_frame(&sock, websocket::BINARY, b"");
    stage.is_well(&sock);
    stage.nothing_else();
}

pub(crate) fn a_frame_without_a_mask_ends_it(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.say_bare(&sock, b"{}");
    stage.hears_close(&sock, 1002);
    stage.is_well(&other);
}

pub(crate) fn nobody_has_to_say_anything(stage: &mut Stage) {
    let (sock, lost, mute) = (stage.open(MAIN), stage.open(MAIN), stage.open(MAIN));
    stage.join(&sock, "room");
    stage.join(&mute, "room");
    stage.say_frame(&lost, websocket::PONG, b"");
    let (mut pings, mut unanswered) = (0, 0);
    // Whoever answers pings, as libraries and browsers do by themselves, may be silent for hours.
    for minute in 0..120 {
        stage.memory().wait_ms(61_000);
        while let Heard::Event(Event::Ping(payload)) = stage.event_now(&sock) {
            stage.say_frame(&sock, websocket::PONG, &payload);
            pings += 1;
        }
        // So may those whose libraries do not.
        while let Heard::Event(Event::Ping(_)) = stage.event_now(&mute) {
            unanswered += 1;
        }
        // Whoever has answered and does not any more has gone.
        if minute == 0 {
            assert!(matches!(
                stage.event_now(&lost),
                Heard::Event(Event::Ping(_))
            ));
        } else if minute == 1 {
            stage.hears_close(&lost, 1008);
        }
    }
    assert!(pings > 60 && unanswered > 60, "{pings}, {unanswered}");
    stage.publish(MAIN, &json!({"channel": "room", "data": "d"}));
    for sock in [&sock, &mute] {
        stage.hears_stored(sock, "room", "message", "d");
    }
    stage.is_well(&sock);
    stage.say(
        &sock,
        &json!({"event": "pusher:unsubscribe", "data": {"channel": "room"}}),
    );
    stage.hears_answer(&sock, "unsubscription_succeeded", "room");
}
