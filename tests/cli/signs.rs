//! `fanwire sign`: what applications of each protocol would have signed.

use super::APPS;
use super::command::{Folder, fanwire, refused};
use std::fs;
use std::process::Command;

#[test]
fn signs_as_the_original_does() {
    let args = [
        "sign",
        "channelstream",
        "--secret",
        "secret",
        "--at",
        "1600000000",
    ];
    assert_eq!(
        fanwire(&args).out,
        "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI\n"
    );
    // Without a time it is signed now: three parts, and the time is later than that of this test.
    let now = fanwire(&["sign", "channelstream"]).out;
    assert_eq!(now.trim_end().split('.').count(), 3, "{now}");
    refused(
        &fanwire(&["sign", "channelstream", "--at", "soon"]),
        &["seconds since 1970"],
    );
}

/// Arguments that stand for the first of [`APPS`].
const KEYS: [&str; 4] = [
    "--key",
    "278d425bdf160c739803",
    "--secret",
    "7ad3773142a6692b25b8",
];

#[test]
fn signs_channels_as_applications_of_pusher_do() {
    let folder = Folder::new("sign-channel");
    let config = folder.file("fanwire.toml", APPS);
    let whose: [&[&str]; 3] = [
        &KEYS,
        &["--config", &config, "--app", "3"],
        &[
            "--app",
            "0",
            "--set",
            "app.0.id=0",
            "--set",
            "app.0.key=278d425bdf160c739803",
            "--set",
            "app.0.secret=7ad3773142a6692b25b8",
        ],
    ];
    let member = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
    for whose in whose {
        let sign = |more: &[&str]| {
            let said = fanwire(
                &[
                    &["sign", "channel", "--socket-id", "1234.1234"],
                    whose,
                    more,
                ]
                .concat(),
            );
            assert_eq!(said.code, Some(0), "{}", said.err);
            said.out
        };
        assert_eq!(
            sign(&["--channel", "private-foobar"]),
            "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4\n"
        );
        assert_eq!(
            sign(&["--channel", "presence-foobar", "--channel-data", member]),
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80\n"
        );
    }
    let sign = |more: &[&str]| fanwire(&[&["sign", "channel"][..], more].concat());
    let private = ["--socket-id", "1.2", "--channel", "private-a"];
    for (more, piece) in [
        (
            &[
                "--socket-id",
                "12",
                "--channel",
                "private-a",
                "--key",
                "k",
                "--secret",
                "s",
            ][..],
            "1234.5678",
        ),
        (
            &[
                "--socket-id",
                "1.2",
                "--channel",
                "a b",
                "--key",
                "k",
                "--secret",
                "s",
            ],
            "at most 200 letters",
        ),
        (
            &[
                "--socket-id",
                "1.2",
                "--channel",
                "presence-a",
                "--channel-data",
                "{}",
                "--key",
                "k",
                "--secret",
                "s",
            ],
            "user_id",
        ),
        (&private, "no app for Pusher"),
        (
            &[&private[..], &["--config", &config]].concat(),
            "--app 3 or 4",
        ),
        (
            &[&private[..], &["--config", &config, "--app", "5"]].concat(),
            "there are 3, 4",
        ),
    ] {
        refused(&sign(more), &[piece]);
    }
}

#[test]
fn signs_channels_as_applications_of_pushi_do() {
    let (key, secret) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
    let folder = Folder::new("sign-pushi");
    let apps = format!(
        "[[app]]\nid = \"a\"\nkey = \"{key}\"\nsecret = \"{secret}\"\nprotocols = [\"pushi\"]\n\
         [[app]]\nid = \"b\"\nkey = \"other\"\nsecret = \"0123456789abcdef\"\n"
    );
    let config = folder.file("fanwire.toml", &apps);
    let whose: [&[&str]; 3] = [
        &["--key", &key, "--secret", &secret],
        &["--config", &config],
        &["--config", &config, "--app", "a"],
    ];
    let socket = "19174e6b-8ad0-4230-bd18-135812f6fa12";
    let cases = [
        (
            socket,
            "peer-chat:ann&bob",
            "39cd9bc8a65449531285eb2c8db02831f383b458045216e5beaf7c5b632dd46c",
        ),
        (
            "https://hooks.example.com/in",
            "private-room",
            "cf0c8a75317aaa6d8470c8cd02491ebddbcc990681ebef708ba69d2d31b8e406",
        ),
    ];
    let sign = |more: &[&str]| fanwire(&[&["sign", "pushi"][..], more].concat());
    for whose in whose {
        for (who, channel, digest) in cases {
            let said = sign(&[whose, &["--for", who, "--channel", channel]].concat());
            assert_eq!(said.out, format!("{key}:{digest}\n"), "{}", said.err);
        }
    }
    let who = ["--for", socket, "--channel"];
    for (more, piece) in [
        (
            &["--config", &config, "--app", "b"][..],
            "no app \"b\" for Pushi; there are a",
        ),
        (&[], "no app for Pushi"),
        (whose[0], "begins with private-"),
    ] {
        let channel = if piece.contains("private-") {
            "room"
        } else {
            "private-room"
        };
        refused(&sign(&[&who[..], &[channel], more].concat()), &[piece]);
    }
}

#[test]
fn signs_requests_as_applications_of_pusher_do() {
    let folder = Folder::new("sign-request");
    let config = folder.file("fanwire.toml", APPS);
    let body = folder.file(
        "body",
        r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#,
    );
    let at = ["--at", "1353088179"];
    let posted = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
                  &body_md5=ec365a775a4cd0599faeb73354201b6f\
                  &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    let events = ["sign", "request", "POST", "/apps/3/events", "--body", &body];
    let said = fanwire(&[&events[..], &at, &KEYS].concat());
    assert_eq!(
        said.out,
        format!("/apps/3/events?{posted}\n"),
        "{}",
        said.err
    );
    // The path says whose it is, and what stands in front of it is not signed.
    for path in ["/apps/3/events", "/ws/apps/3/events"] {
        let events = ["sign", "request", "post", path, "--body", &body];
        let said = fanwire(&[&events[..], &at, &["--config", &config]].concat());
        assert_eq!(said.out, format!("{path}?{posted}\n"), "{}", said.err);
    }
    let mut channels = vec!["sign", "request", "GET", "/apps/3/channels"];
    channels.extend(["--query", "info=user_count,subscription_count"]);
    channels.extend(["--query", "filter_by_prefix=presence-"]);
    let said = fanwire(&[&channels[..], &at, &KEYS].concat());
    let signature = "ff97d40ab3fbbd15394386a29c12998c33635305357b2e2abd18dc67efe3f87d\n";
    assert!(said.out.ends_with(signature), "{}{}", said.out, said.err);

    // Out of a pipe it is the same.
    let piped = Command::new(env!("CARGO_BIN_EXE_fanwire"))
        .env_clear()
        .args(
            [
                &["sign", "request", "POST", "/apps/3/events", "--body", "-"][..],
                &at,
                &KEYS,
            ]
            .concat(),
        )
        .stdin(fs::File::open(&body).expect("a file"))
        .output()
        .expect("the binary runs");
    let out = String::from_utf8(piped.stdout).expect("UTF-8");
    assert_eq!(out, format!("/apps/3/events?{posted}\n"));

    let config = ["--config", &config];
    for (args, piece) in [
        (
            &["GET", "/apps/9/channels"][..],
            "no app \"9\" for Pusher; there are 3, 4",
        ),
        (
            &["GET", "/apps/4/channels", "--app", "3"],
            "a path of app \"4\"",
        ),
        (&["GET", "/elsewhere"], "--app 3 or 4"),
        (&["GET", "/apps/3/channels?info=a"], "--query"),
        (&["GET", "apps/3/channels"], "an escaped path"),
        (&["GET", "/apps/3/channels/a b"], "an escaped path"),
        (&["G T", "/apps/3/channels"], "a method"),
        (
            &["GET", "/apps/3/channels", "--query", "Auth_Key=x"],
            "other than those",
        ),
        (
            &[
                "GET",
                "/apps/3/channels",
                "--query",
                "a=1",
                "--query",
                "A=2",
            ],
            "given twice",
        ),
        (
            &["POST", "/apps/3/events", "--body", "/no/such/file"],
            "No such file",
        ),
    ] {
        refused(
            &fanwire(&[&["sign", "request"], args, &config].concat()),
            &[piece],
        );
    }
}
