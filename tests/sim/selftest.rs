//! Does the world notice? Each test breaks one thing on purpose.

use super::{Failure, Sabotage, run};

/// What the first few seeds in which it is noticed say.
fn noticed(sabotage: Sabotage) -> Failure {
    let failure = (0..60).find_map(|seed| run(seed, sabotage, false).err());
    failure.unwrap_or_else(|| panic!("nobody notices {sabotage:?}"))
}

fn says(sabotage: Sabotage, words: &[&str]) {
    let failure = noticed(sabotage);
    let found = words.iter().any(|words| failure.what.contains(words));
    assert!(found, "{sabotage:?} is noticed, but as: {}", failure.what);
}

#[test]
fn a_lost_frame_is_noticed() {
    says(
        Sabotage::DropFrame,
        &["hears", "has heard everything but", "a frame says"],
    );
}

#[test]
fn a_repeated_frame_is_noticed() {
    says(Sabotage::RepeatFrame, &["hears", "a frame says"]);
}

#[test]
fn frames_out_of_order_are_noticed() {
    says(
        Sabotage::SwapFrames,
        &["a frame says", "hears", "has heard everything but"],
    );
}

#[test]
fn a_wrong_catch_up_flag_is_noticed() {
    says(Sabotage::FlipCatchUp, &["a frame says"]);
}

#[test]
fn a_wrong_status_is_noticed() {
    says(Sabotage::WrongStatus, &["hears 422"]);
}

#[test]
fn a_body_that_nobody_wanted_is_noticed() {
    says(Sabotage::AdmitAnyone, &["may send a body"]);
}

#[test]
fn wrong_expectations_are_noticed() {
    says(
        Sabotage::NoCatchUp,
        &[
            "nothing was expected",
            "a frame says",
            "hears",
            "is answered too",
        ],
    );
    says(
        Sabotage::ForgetExclude,
        &[
            "has heard everything but",
            "a frame says",
            "expected Frame",
            "a poll hears",
        ],
    );
    says(
        Sabotage::LateExpiry,
        &["channels, subscribers, users", "\"parted\\\""],
    );
}

#[test]
fn a_change_that_is_not_made_is_noticed() {
    let words = [
        "a frame says",
        "an answer says",
        "hears",
        "has heard everything but",
    ];
    says(Sabotage::ForgetEdit, &words);
    says(Sabotage::KeepDeleted, &words);
    says(Sabotage::TellPrivateState, &words);
}

#[test]
fn a_missing_heartbeat_is_noticed() {
    says(Sabotage::SkipBeat, &["had no heartbeat"]);
}

#[test]
fn news_that_a_poll_loses_are_noticed() {
    says(
        Sabotage::DropHeld,
        &["a poll hears", "does not wait", "is answered too"],
    );
}

#[test]
fn untold_news_that_nobody_repeats_are_noticed() {
    says(
        Sabotage::ForgetUntold,
        &["a poll hears", "is answered too", "hears"],
    );
}

#[test]
fn a_stream_that_goes_on_elsewhere_is_noticed() {
    says(
        Sabotage::NoRewind,
        &[
            "a stream's start",
            "a stream that begins",
            "a frame says",
            "hears",
        ],
    );
}

#[test]
fn a_missed_tick_is_noticed() {
    says(
        Sabotage::MissTick,
        &["lies ahead", "a silent socket goes", "is answered too late"],
    );
}

#[test]
fn a_connection_that_is_not_closed_or_closed_twice_is_noticed() {
    says(Sabotage::ForgetClosed, &["everywhere or nowhere"]);
    says(Sabotage::CloseTwice, &["closed once"]);
}

#[test]
fn bytes_on_the_way_are_compared() {
    // The last byte of one write is missing: whatever follows makes no sense, or never comes.
    noticed(Sabotage::LoseBytes);
}

#[test]
fn a_queue_over_its_limit_is_noticed() {
    says(Sabotage::HalfLimit, &["queued"]);
}

#[test]
fn bytes_are_counted() {
    says(Sabotage::Miscount, &["bytes that left"]);
}

#[test]
fn what_is_left_at_the_end_is_noticed() {
    let words = ["what is left is history", "nothing is left to wait for"];
    says(Sabotage::LeaveEarly, &words);
}

#[test]
fn presence_that_does_not_alternate_is_noticed() {
    says(Sabotage::RepeatPresence, &["come in turns"]);
}

#[test]
fn a_panic_in_a_request_is_noticed() {
    says(Sabotage::PanicInRequest, &["nothing panics"]);
}

#[test]
fn a_panic_in_a_text_is_noticed() {
    says(Sabotage::PanicInText, &["the planted panic"]);
}

#[test]
fn different_seeds_give_different_bytes_and_the_same_seed_the_same() {
    let hash = |seed| {
        run(seed, Sabotage::None, false)
            .map(|summary| summary.hash)
            .ok()
    };
    assert!(hash(1).is_some());
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_login_that_outlives_its_time_or_its_end_is_noticed() {
    says(Sabotage::KeepExpired, &["hears 302", "hears 401"]);
    says(Sabotage::ForgetSignOut, &["hears 200", "hears 302"]);
}

#[test]
fn a_forged_cookie_that_opens_something_is_noticed() {
    says(
        Sabotage::AdmitForged,
        &["hears 200", "nothing was expected"],
    );
}

#[test]
fn passwords_that_may_be_tried_without_end_are_noticed() {
    says(
        Sabotage::ForgetFailures,
        &["expected Form { status: 429", "nothing was expected"],
    );
    says(Sabotage::AnswerAtOnce, &["nothing was expected"]);
}

#[test]
fn throwing_out_somebody_else_is_noticed() {
    says(
        Sabotage::CloseAnother,
        &[
            "hears 404",
            "has heard everything but",
            "nothing was expected",
            "channels, subscribers, users",
            "was closed though its client was not done",
        ],
    );
}
