//! How many subscribers there are, where that is told.

use super::apps::{COUNTS, PLAIN};
use super::stage::{Sock, Stage, frame};

const COUNT: &str = "pusher_internal:subscription_count";

fn hears_count(stage: &mut Stage, sock: &Sock, channel: &str, count: usize) {
    let data = format!("{{\"subscription_count\":{count}}}");
    stage.hears_event(sock, COUNT, channel, &data);
}

pub(super) fn few_hear_of_every_change(stage: &mut Stage) {
    let [a, b, c] = [(); 3].map(|()| stage.open(COUNTS));
    for name in ["news", "private-news", "private-encrypted-news"] {
        stage.join(&a, name);
        hears_count(stage, &a, name, 1);
        stage.join(&b, name);
        hears_count(stage, &a, name, 2);
        hears_count(stage, &b, name, 2);
        stage.join(&c, name);
        for sock in [&a, &b, &c] {
            hears_count(stage, sock, name, 3);
        }
        // Refused and repeated subscriptions change nothing.
        stage.ask(&c, name, None);
        stage.hears_error(&c, None);
        stage.part(&c, name);
        hears_count(stage, &a, name, 2);
        hears_count(stage, &b, name, 2);
        stage.nothing_else();
    }
    // After what is cached.
    stage.join(&a, "cache-a");
    stage.hears_event(&a, "pusher:cache_miss", "cache-a", "{}");
    hears_count(stage, &a, "cache-a", 1);
    // Not where members are told of.
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&a, "presence-a", r#"{"user_id":1}"#, one);
    stage.join_as(&b, "presence-a", r#"{"user_id":1}"#, one);
    stage.nothing_else();
    stage.vanish(&b);
    // It leaves them in the order in which it joined them.
    for name in ["news", "private-news", "private-encrypted-news"] {
        hears_count(stage, &a, name, 1);
    }
    stage.nothing_else();
    // Nor where it is switched off.
    let sock = stage.open(PLAIN);
    stage.join(&sock, "news");
    stage.nothing_else();
}

pub(super) fn a_crowd_hears_every_five_seconds(stage: &mut Stage) {
    let first = stage.open(COUNTS);
    stage.join(&first, "news");
    hears_count(stage, &first, "news", 1);
    let mut crowd = Vec::new();
    for count in 2..=100 {
        let sock = stage.open(COUNTS);
        stage.ask(&sock, "news", None);
        crowd.push(sock);
        hears_count(stage, &first, "news", count);
    }
    // The first beyond is told at once, those after it in a while.
    for _ in 0..20 {
        let sock = stage.open(COUNTS);
        stage.ask(&sock, "news", None);
        crowd.push(sock);
    }
    hears_count(stage, &first, "news", 101);
    assert_eq!(stage.event(&first, 4_500), None);
    hears_count(stage, &first, "news", 120);
    let last = crowd.last().expect("a crowd").clone();
    for want in [
        frame("pusher_internal:subscription_succeeded", "news", "{}"),
        frame(COUNT, "news", "{\"subscription_count\":120}"),
    ] {
        assert_eq!(stage.hear(&last), want, "the last one heard it, too");
    }
    // Without a change nothing is told.
    assert_eq!(stage.event(&first, 20_000), None);
    // One comes and goes in between: that is none.
    let sock = stage.open(COUNTS);
    stage.ask(&sock, "news", None);
    hears_count(stage, &first, "news", 121);
    stage.part(&sock, "news");
    stage.ask(&sock, "news", None);
    assert_eq!(stage.event(&first, 11_000), None);
    stage.part(&sock, "news");
    hears_count(stage, &first, "news", 120);
    for sock in crowd.drain(..21) {
        stage.vanish(&sock);
    }
    // As few as this hear of it at once again.
    for count in (99..=100).rev() {
        hears_count(stage, &first, "news", count);
    }
    assert_eq!(stage.event(&first, 20_000), None);
    for sock in crowd {
        stage.vanish(&sock);
    }
    for count in (1..=98).rev() {
        hears_count(stage, &first, "news", count);
    }
    assert_eq!(stage.event(&first, 20_000), None);
}
