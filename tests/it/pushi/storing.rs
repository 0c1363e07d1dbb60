//! The store takes no more, or fails: what is to be stored is refused and told to nobody, and all else
//! goes on.

use super::stage::{MAIN, Stage};
use crate::kept::Manner;
use fanwire::store::Trouble;
use serde_json::json;
use std::collections::BTreeSet;

pub(crate) fn a_full_queue_refuses(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    stage.is_known(MAIN);
    stage.behave(Manner::Stuck);
    stage.memory().with(|kept, _| {
        let port = kept.engine_mut().store_port();
        port.bound(2, usize::MAX);
    });
    for data in ["one", "two"] {
        stage.keep(&sock, "room", data);
        stage.hears_stored(&other, "room", "message", data);
    }
    // The third one is told to nobody, whoever publishes it.
    stage.keep(&sock, "room", "three");
    stage.hears_error(&sock, "room", 503);
    for channels in [json!("room"), json!(["room", "other"])] {
        let body = json!({"channel": channels, "data": "three"});
        let (status, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body));
        assert_eq!((status, &told["code"]), (503, &json!(503)));
        assert_eq!(told["result"], "error");
    }
    stage.nothing_else();
    // What is not to be stored goes on.
    stage.tell(&sock, "room", "unstored");
    stage.hears_event(&other, "room", "message", "unstored");
    stage.publish(
        MAIN,
        &json!({"channel": "room", "data": "unstored", "persist": false}),
    );
    for socket in [&sock, &other] {
        assert_eq!(stage.hear(socket)["data"], "unstored");
    }
    // There is room again.
    stage.behave(Manner::AtOnce);
    stage.keep(&sock, "room", "four");
    stage.hears_stored(&other, "room", "message", "four");
    assert_eq!(stage.latest_data(&sock, "room"), ["four", "two", "one"]);
    stage.nothing_else();
}

pub(crate) fn who_was_delivered_and_not_kept_is_told_to_the_sender(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    stage.is_known(MAIN);
    for why in [Trouble::DiskFull, Trouble::Failing] {
        stage.behave(Manner::Failing(why));
        stage.keep(&sock, "room", "lost");
        stage.hears_stored(&other, "room", "message", "lost");
        let message = stage.hears_error(&sock, "", 503);
        assert!(message.contains("could not be stored"), "{message}");
        // From now on it is known before anybody is told.
        stage.keep(&sock, "room", "refused");
        stage.hears_error(&sock, "room", 503);
        let body = json!({"channel": "room", "data": "refused"});
        let (status, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body));
        assert_eq!((status, &told["code"]), (503, &json!(503)));
        let body = json!({"user_id": "u", "event": "news"});
        let (status, told) = stage.rest(MAIN, "POST", "/subscriptions", &[], Some(&body));
        assert_eq!((status, &told["code"]), (503, &json!(503)));
        stage.nothing_else();
        // What was kept before is there, and what is not to be kept goes on.
        assert_eq!(stage.latest_data(&sock, "room"), [""; 0]);
        stage.tell(&sock, "room", "unstored");
        stage.hears_event(&other, "room", "message", "unstored");
        stage.behave(Manner::AtOnce);
    }
    stage.keep(&sock, "room", "kept");
    stage.hears_stored(&other, "room", "message", "kept");
    assert_eq!(stage.latest_data(&sock, "room"), ["kept"]);
    stage.nothing_else();
}

pub(crate) fn an_application_is_answered_when_it_is_kept(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.join(&sock, "room");
    stage.is_known(MAIN);
    let mut uids = BTreeSet::new();
    for (manner, status) in [
        (Manner::AtOnce, 200),
        (Manner::Failing(Trouble::DiskFull), 503),
        (Manner::Failing(Trouble::Failing), 503),
    ] {
        stage.behave(Manner::Stuck);
        let body = json!({"channel": "room", "data": "d"});
        let asked = stage.begin(MAIN, "POST", "/events", &body);
        // It is told at once, and not acknowledged.
        assert_eq!(stage.hear(&sock)["data"], "d");
        assert!(stage.answered(asked).is_none());
        stage.nothing_else();
        stage.behave(manner);
        let (got, told) = stage.answered(asked).expect("an answer");
        assert_eq!(got, status, "{told}");
        if status != 200 {
            let uid = told["uid"].as_str().expect("a text");
            assert!(crate::bindings::is_uuid(uid), "{told}");
            assert!(uids.insert(uid.to_owned()), "{uid} again");
            assert!(!uid.starts_with("00000000-0000-"), "{uid}");
        }
        stage.behave(Manner::AtOnce);
        stage.end(asked);
    }
    assert_eq!(
        stage.latest_data(&sock, "room"),
        ["d"],
        "only the first one"
    );
}

pub(crate) fn who_waits_keeps_nobody_waiting(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    stage.behave(Manner::Stuck);
    stage.say(
        &sock,
        &json!({"event": "pusher:latest", "data": {"channel": "room"}}),
    );
    // What it says next waits as well.
    stage.tell(&sock, "room", "after it");
    for round in 0..3 {
        stage.tell(&other, "room", &round.to_string());
        stage.hears_event(&sock, "room", "message", &round.to_string());
    }
    assert_eq!(stage.event_now(&other), crate::client::Heard::Nothing);
    stage.behave(Manner::AtOnce);
    stage.hears_answer(&sock, "latest", "room");
    stage.hears_event(&other, "room", "message", "after it");
    stage.nothing_else();
}

pub(crate) fn who_goes_while_it_waits_leaves_nothing(stage: &mut Stage) {
    stage.is_known(MAIN);
    for round in 0..2 {
        let (gone, closed) = (stage.open(MAIN), stage.open(MAIN));
        for socket in [&gone, &closed] {
            stage.join(socket, "room");
        }
        stage.behave(Manner::Stuck);
        for socket in [&gone, &closed] {
            stage.keep(socket, "room", "d");
            stage.ask(socket, "personal-u", None);
        }
        let body = json!({"channel": "room", "data": "d"});
        let asked = stage.begin(MAIN, "POST", "/events", &body);
        stage.drop_now(&gone);
        stage.end(asked);
        match round {
            0 => stage.behave(Manner::AtOnce),
            _ => stage.behave(Manner::Failing(Trouble::Failing)),
        }
        stage.drop_now(&closed);
        stage.behave(Manner::AtOnce);
    }
}

pub(crate) fn who_asks_what_cannot_be_read_is_told_so(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.subscribe_user(MAIN, "u", "news");
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    stage.join(&other, "personal-u");
    stage.behave(Manner::Unreadable);
    stage.say(
        &sock,
        &json!({"event": "pusher:latest", "data": {"channel": "room"}}),
    );
    stage.hears_error(&sock, "room", 503);
    stage.ask(&sock, "personal-u", None);
    stage.hears_no(&sock, "personal-u", 503);
    stage.ask_to_leave(&other, "personal-u");
    stage.hears_error(&other, "personal-u", 503);
    for path in ["/events", "/subscriptions", "/webs"] {
        let (status, told) = stage.rest(MAIN, "GET", path, &[], None);
        assert_eq!((status, &told["code"]), (503, &json!(503)), "{path}");
    }
    // Nothing was joined, and nothing left.
    let body = json!({"channel": ["news", "personal-u"], "data": "d", "persist": false});
    stage.publish(MAIN, &body);
    assert_eq!(stage.hear(&other)["channel"], "news");
    stage.nothing_else();
    stage.behave(Manner::AtOnce);
    stage.join(&sock, "personal-u");
    stage.part(&other, "personal-u");
    stage.nothing_else();
}

/// A session that was said to be over does not come back, whatever happened the first time it was
/// asked for.
pub(crate) fn a_logout_that_was_not_kept_may_be_asked_for_again(stage: &mut Stage) {
    let sid = stage.is_known(MAIN);
    let path = format!("/logout?sid={sid}");
    stage.behave(Manner::Failing(Trouble::Failing));
    let (status, told) = stage.call("GET", &path, None);
    assert_eq!(status, 503, "{told}");
    let ended = |stage: &mut Stage| {
        let mut count = 0;
        let kept = stage.memory();
        kept.with(|kept, _| count = kept.ended_sessions());
        count
    };
    assert_eq!(ended(stage), 0);
    stage.behave(Manner::AtOnce);
    for _ in 0..2 {
        let (status, told) = stage.call("GET", &path, None);
        assert_eq!(status, 200, "{told}");
        assert_eq!(ended(stage), 1, "what is acknowledged is kept");
    }
    let (status, _) = stage.call("GET", &format!("/apps?sid={sid}"), None);
    assert_eq!(status, 403);
}
