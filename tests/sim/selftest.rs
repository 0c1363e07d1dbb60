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
        &[
            "channels, subscribers, users",
            "\"parted\\\"",
            "each fact is announced once",
        ],
    );
}

#[test]
fn a_change_that_is_not_made_is_noticed() {
    let words = [
        "a frame says",
        "an answer says",
        "hears",
        "has heard everything but",
        "before its client had heard",
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
        &[
            "a poll hears",
            "is answered too",
            "hears",
            "a stream's start",
            "a stream that begins",
        ],
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
    says(
        Sabotage::AnswerAtOnce,
        &["nothing was expected", "taken that nobody sent"],
    );
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

#[test]
fn a_socket_that_hears_itself_is_noticed() {
    let words = ["nothing was expected", "a frame says", "hears"];
    says(
        Sabotage::ForgetSocket,
        &["a frame says", "has heard everything but", "expected Frame"],
    );
    says(Sabotage::EchoClientEvent, &words);
}

#[test]
fn members_that_come_twice_or_never_go_are_noticed() {
    let words = ["nothing was expected", "a frame says", "hears"];
    says(Sabotage::TellMemberTwice, &words);
    says(
        Sabotage::ForgetMember,
        &["has heard everything but", "a frame says"],
    );
}

#[test]
fn what_is_heard_before_a_channel_was_joined_is_noticed() {
    let words = ["has heard everything but", "a frame says", "hears"];
    says(Sabotage::HoldSuccess, &words);
}

#[test]
fn a_count_that_is_missing_is_noticed() {
    let words = ["has heard everything but", "a frame says", "hears"];
    says(Sabotage::MissCount, &words);
}

#[test]
fn an_event_that_is_shown_for_too_long_is_noticed() {
    let words = [
        "a frame says",
        "an answer says",
        "channels, subscribers, users",
    ];
    says(Sabotage::KeepCached, &words);
}

#[test]
fn users_that_go_offline_unnoticed_are_noticed() {
    says(
        Sabotage::ForgetOffline,
        &["nothing was expected", "a frame says"],
    );
}

#[test]
fn a_fact_that_is_repeated_is_noticed() {
    says(Sabotage::RepeatFact, &["each fact is announced once"]);
}

#[test]
fn apps_that_meet_are_noticed() {
    let words = [
        "each fact is announced once",
        "channels, subscribers, users",
        "an answer says",
        "a frame says",
        "hears",
    ];
    says(Sabotage::MixApps, &words);
}

#[test]
fn a_channel_with_room_for_fewer_is_noticed() {
    says(Sabotage::SmallRooms, &["a frame says", "hears"]);
}

#[test]
fn a_signature_with_another_secret_is_noticed() {
    says(
        Sabotage::AcceptForged,
        &[
            "hears 200",
            "hears 400",
            "hears 404",
            "hears 413",
            "nothing was expected",
        ],
    );
}

#[test]
fn an_answer_that_is_given_before_anything_is_kept_is_noticed() {
    says(
        Sabotage::DoneTooEarly,
        &["nothing was expected", "taken that nobody sent"],
    );
}

#[test]
fn a_look_that_does_not_wait_for_what_was_stored_before_is_noticed() {
    says(Sabotage::LookTooEarly, &["a frame says"]);
}

#[test]
fn an_event_that_waits_twice_for_a_user_is_noticed() {
    says(Sabotage::ServeTwice, &["a frame says"]);
}

#[test]
fn a_write_that_is_lost_is_noticed() {
    let words = ["after the crash", "a frame says"];
    says(Sabotage::LoseWrite, &words);
}

#[test]
fn a_write_that_only_a_crash_loses_is_noticed() {
    let words = ["after the crash", "channels, subscribers, users"];
    says(Sabotage::LoseAtCrash, &words);
}

#[test]
fn a_session_that_comes_back_is_noticed() {
    says(
        Sabotage::ForgetLogout,
        &["expected Rest { status: 403", "nobody asked the store for"],
    );
}

#[test]
fn channels_that_do_not_survive_a_restart_are_noticed() {
    says(
        Sabotage::ForgetRemembered,
        &["channels, subscribers, users", "an answer says"],
    );
}

#[test]
fn a_failure_that_nobody_is_told_of_is_noticed() {
    let words = ["hears 200", "has heard everything but", "hears"];
    says(Sabotage::HideFailure, &words);
}

#[test]
fn a_pair_that_goes_on_without_one_of_the_two_is_noticed() {
    says(
        Sabotage::KeepPair,
        &[
            "has heard everything but",
            "hears",
            "a frame says",
            "the store was not asked",
        ],
    );
}

#[test]
fn an_event_that_is_told_twice_is_noticed() {
    says(
        Sabotage::TellTwice,
        &["has heard everything but", "a frame says", "hears"],
    );
}

#[test]
fn an_event_that_is_told_though_it_is_refused_is_noticed() {
    let words = ["a frame says", "hears", "has heard everything but"];
    says(Sabotage::TellRefused, &words);
}
