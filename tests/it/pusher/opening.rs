//! Letting sockets in.

use super::apps::{self, AUTHORIZED, DISABLED, ORIGINS, PLAIN, QUOTA, TLS_ONLY};
use super::stage::Stage;

pub(super) fn versions_from_4_to_7_are_spoken(stage: &mut Stage) {
    let key = apps::key(PLAIN);
    let mut ids = Vec::new();
    for query in [
        "protocol=4",
        "protocol=5&client=java-client&version=2.4.4",
        "protocol=6&client=pysher&version=1.0.8",
        "client=js&protocol=7&version=8.6.0&flash=false",
        // Without a number, a release says enough.
        "client=js&version=8.6.0",
    ] {
        let sock = stage.dial(&format!("/app/{key}?{query}"), &[]);
        let sock = stage.welcomed(sock, PLAIN);
        // What is spoken is the same.
        stage.join(&sock, "news");
        ids.push(sock.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each has an id of its own");
    stage.nothing_else();
}

pub(super) fn refusals_have_their_codes(stage: &mut Stage) {
    let key = apps::key(PLAIN);
    let (disabled, tls) = (apps::key(DISABLED), apps::key(TLS_ONLY));
    for (path, code) in [
        (format!("/app/{tls}?protocol=7"), 4000),
        // Whether it is encrypted comes before whether it is understood.
        (format!("/app/{tls}?protocol=9"), 4000),
        ("/app/nobody?protocol=7".to_owned(), 4001),
        (format!("/app/{}?protocol=7", key.to_uppercase()), 4001),
        (format!("/app/{disabled}?protocol=7"), 4003),
        ("/app/?protocol=7".to_owned(), 4005),
        ("/app//?protocol=7".to_owned(), 4005),
        (format!("/app/{key}/more?protocol=7"), 4005),
        (format!("/app/{key}?protocol=seven"), 4006),
        (format!("/app/{key}?protocol="), 4006),
        (format!("/app/{key}?protocol=7.0"), 4006),
        (format!("/app/{key}?protocol=3"), 4007),
        (format!("/app/{key}?protocol=8"), 4007),
        (format!("/app/{key}?protocol=-7"), 4007),
        // The version is looked at before the key.
        ("/app/nobody?protocol=8".to_owned(), 4007),
        (format!("/app/{key}"), 4008),
        (format!("/app/{key}?client=js&version=latest"), 4008),
    ] {
        let sock = stage.dial(&path, &[]);
        stage.hears_close(&sock, code);
    }
}

pub(super) fn origins_are_looked_at(stage: &mut Stage) {
    let path = format!("/app/{}?protocol=7", apps::key(ORIGINS));
    // Only browsers send one.
    let sock = stage.dial(&path, &[]);
    stage.welcomed(sock, ORIGINS);
    let sock = stage.dial(&path, &[("Origin", "https://example.com")]);
    stage.welcomed(sock, ORIGINS);
    for origin in [
        "https://example.com.evil.test",
        "https://other.example",
        "null",
    ] {
        let sock = stage.dial(&path, &[("Origin", origin)]);
        stage.hears_close(&sock, 4009);
    }
    // Whoever has no list takes all.
    let path = format!("/app/{}?protocol=7", apps::key(AUTHORIZED));
    let sock = stage.dial(&path, &[("Origin", "https://anywhere.example")]);
    stage.welcomed(sock, AUTHORIZED);
    stage.nothing_else();
}

pub(super) fn an_app_has_a_quota(stage: &mut Stage) {
    let path = format!("/app/{}?protocol=7", apps::key(QUOTA));
    let first = stage.open(QUOTA);
    stage.open(QUOTA);
    let third = stage.dial(&path, &[]);
    stage.hears_close(&third, 4004);
    // Another app's is its own.
    stage.open(PLAIN);
    stage.leave(&first);
    stage.open(QUOTA);
    let fourth = stage.dial(&path, &[]);
    stage.hears_close(&fourth, 4004);
    stage.nothing_else();
}
