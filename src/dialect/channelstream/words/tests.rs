//! What each body means, and what is said about each that is wrong.
//!
//! The refusals are data, taken from recordings of the original: `refusals.json` names for each
//! the recording it comes from. In its texts `<repeat:c:N>` stands for N times the character c.

use super::*;
use serde_json::{Value, json};

const KNOWN: &str = "11111111-2222-4333-8444-555555555555";

/// The same value with its placeholders filled in.
fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<repeat:") else {
        return text.to_owned();
    };
    let (what, after) = rest.split_once('>').expect("a placeholder has an end");
    let (letter, count) = what.split_once(':').expect("a letter and a number");
    let count = count.parse().expect("a number");
    format!("{before}{}{}", letter.repeat(count), expanded(after))
}

/// What the parser of this call says about the body.
fn fault_of(call: &str, body: &[u8]) -> Option<BodyFault> {
    let (method, target) = call.split_once(' ').expect("method and path");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let conn_id = query.strip_prefix("conn_id=");
    let is_known = |id| Some(id) == fields::parse_uuid(KNOWN);
    match (method, path) {
        ("POST", "/connect") => parse_connect(body).err(),
        ("POST", "/subscribe" | "/unsubscribe") => parse_subscribe(body, conn_id, is_known).err(),
        ("POST", "/message") => parse_messages(body).err(),
        ("PATCH", "/message") => parse_edits(body).err(),
        ("DELETE", "/message") => parse_deletes(body).err(),
        ("POST", "/user_state") => parse_user_state(body, |user| user.starts_with("bob")).err(),
        ("POST", "/channel_config") => parse_channel_config(body).err(),
        ("POST", "/info") => parse_info(body).err(),
        ("POST", "/disconnect") => parse_disconnect(body).err(),
        (_, "/disconnect") => parse_disconnect_query(conn_id).err(),
        _ => panic!("no parser for {call}"),
    }
}

/// Checks that a body is refused with these words.
fn check(call: &str, body: &str, expected: &Value) {
    let Some(BodyFault::Invalid(errors)) = fault_of(call, body.as_bytes()) else {
        panic!("{call} {body} must be refused with {expected}");
    };
    let written: Value = serde_json::from_slice(&errors.to_json()).expect("a refusal is JSON");
    assert_eq!(written, *expected, "{call} {body}");
}

#[test]
fn refusals_as_recorded() {
    let file = include_str!("../../../../tests/data/channelstream/refusals.json");
    let cases: Vec<Value> = serde_json::from_str(file).expect("the data is JSON");
    assert_eq!(cases.len(), 118);
    for case in cases {
        let call = case["call"].as_str().expect("a call");
        check(call, &expanded(&case["body"].to_string()), &case["errors"]);
    }
}

#[test]
fn refusals_that_are_not_recorded() {
    let wrong_type = json!({"_schema": ["Invalid input type."]});
    for call in [
        "POST /connect",
        "POST /subscribe",
        "POST /unsubscribe",
        "POST /user_state",
        "POST /channel_config",
        "POST /disconnect",
    ] {
        // Quirk 1: the original fails on some of these.
        for body in ["[]", "null", "5", "-1.5", "true", "\"x\"", " [ {} ] "] {
            check(call, body, &wrong_type);
        }
    }
    for call in ["POST /message", "PATCH /message", "DELETE /message"] {
        for body in ["null", "{}", "true"] {
            check(call, body, &wrong_type);
        }
        // Quirk 13.
        let each = json!({"0": wrong_type, "1": wrong_type, "2": wrong_type});
        check(call, "[null, 5, [{}]]", &each);
    }
    check("POST /info", "null", &json!({"_schema": ["Invalid type."]}));
    check(
        "POST /disconnect",
        r#"{"conn_id": null}"#,
        &json!({"conn_id": ["Field may not be null."]}),
    );
    check(
        "POST /subscribe?conn_id=",
        r#"{"channels": ["a"]}"#,
        &json!({"conn_id": ["Not a valid UUID."]}),
    );
    check(
        "POST /subscribe?conn_id=11111111-2222-4333-8444-555555555555",
        r#"{"conn_id": null, "channels": ["a"]}"#,
        &json!({"conn_id": ["Field may not be null."]}),
    );
    check(
        "POST /user_state",
        r#"{"user": null, "state_public_keys": 5}"#,
        &json!({"user": ["Field may not be null."], "state_public_keys": ["Not a valid list."]}),
    );
}

#[test]
fn bodies_that_are_no_json() {
    let deep = format!("[{{\"message\":{}{}}}]", "[".repeat(63), "]".repeat(63));
    let calls = [
        "POST /connect",
        "POST /subscribe",
        "POST /unsubscribe",
        "POST /user_state",
        "POST /message",
        "PATCH /message",
        "DELETE /message",
        "POST /channel_config",
        "POST /info",
        "POST /disconnect",
    ];
    for call in calls {
        for body in [
            "{bad",
            " ",
            "[",
            "{\"a\":1}}",
            "[{\"message\":{\"a\":NaN}}]",
            "[{\"message\":{\"a\":-Infinity}}]",
            "{\"other\":\"\\ud800\"}",
            "{\"\\udc00\":1}",
            "{\"other\":[1,]}",
            "\u{feff}{}",
            &deep,
        ] {
            let fault = fault_of(call, body.as_bytes());
            assert_eq!(fault, Some(BodyFault::NotJson), "{call} {body}");
        }
        let fault = fault_of(call, b"{\"a\":\"\xff\"}");
        assert_eq!(fault, Some(BodyFault::NotJson), "{call}");
        if call != "POST /info" {
            assert_eq!(fault_of(call, b""), Some(BodyFault::NotJson), "{call}");
        }
    }
}

#[test]
fn connect_with_all_fields() {
    let body = br#"{
        "username": "ali\u0063e", "conn_id": "{8A6E0804-2BD0-4672-B79D-D97027F9071A}",
        "channels": ["b", "a", "b"], "fresh_user_state": {"a": 1.0, "b": null},
        "user_state": {"k": "\u00e9"}, "state_public_keys": ["k"],
        "channel_configs": {"b": {"store_history": 1, "history_size": "3"}, "a": {}},
        "info": {"include_users": false, "exclude_channels": ["b"], "bogus": []},
        "bogus": {"username": 5}}"#;
    let connect = parse_connect(body).expect("all is well");
    let settings = Settings {
        store_history: true,
        history_size: 3,
        ..Settings::default()
    };
    let expected = ConnectBody {
        username: "alice".into(),
        conn_id: Some(0x8a6e_0804_2bd0_4672_b79d_d970_27f9_071a),
        channels: vec!["b".into(), "a".into(), "b".into()],
        fresh_user_state: vec![("a".into(), "1.0"), ("b".into(), "null")],
        user_state: vec![("k".into(), r#""\u00e9""#)],
        state_public_keys: vec!["k".into()],
        channel_configs: vec![("b".into(), settings), ("a".into(), Settings::default())],
        info: Info {
            include_users: false,
            exclude_channels: Some(vec!["b".into()]),
            ..Info::default()
        },
    };
    assert_eq!(connect, expected);
    assert!(matches!(connect.channels[0], Cow::Borrowed(_)));

    let connect = parse_connect(br#"{"username":"a"}"#).expect("all is well");
    assert_eq!(connect.info, Info::default());
    assert_eq!((connect.conn_id, connect.channels.len()), (None, 0));

    // Transcript 012: the longest names, counted in code points.
    let body = expanded(r#"{"username": "<repeat:x:512>", "channels": ["<repeat:é:256>"]}"#);
    assert!(parse_connect(body.as_bytes()).is_ok());
}

#[test]
fn subscribe_takes_the_id_from_the_query_if_the_body_has_none() {
    let known = fields::parse_uuid(KNOWN);
    let is_known = |id| Some(id) == known;
    let subscribe = parse_subscribe(br#"{"channels":["a"]}"#, Some(KNOWN), is_known);
    assert_eq!(subscribe.map(|body| Some(body.conn_id)), Ok(known));
    // The body wins over the query (transcript 022).
    let body = format!(r#"{{"conn_id": "{KNOWN}", "channels": ["a", "a"]}}"#);
    let subscribe = parse_subscribe(body.as_bytes(), Some("garbage"), is_known);
    let expected = SubscribeBody {
        conn_id: known.expect("an id"),
        channels: vec!["a".into(), "a".into()],
        channel_configs: Vec::new(),
        info: Info::default(),
    };
    assert_eq!(subscribe, Ok(expected));
}

#[test]
fn info_without_a_body_is_everything() {
    assert_eq!(parse_info(b""), Ok(Info::default()));
    assert_eq!(parse_info(br#"{"info": {}}"#), Ok(Info::default()));
    let info = parse_info(br#"{"info": {"channels": [], "return_public_state": "T"}}"#);
    let expected = Info {
        channels: Some(Vec::new()),
        return_public_state: true,
        ..Info::default()
    };
    assert_eq!(info, Ok(expected));
}

#[test]
fn disconnect_by_body_or_query() {
    let body = format!(r#"{{"conn_id": "{KNOWN}"}}"#);
    let known = fields::parse_uuid(KNOWN).expect("an id");
    assert_eq!(parse_disconnect(body.as_bytes()), Ok(known));
    assert_eq!(parse_disconnect_query(Some(KNOWN)), Ok(known));
}

#[test]
fn messages_with_their_payload_as_it_was_written() {
    assert_eq!(parse_messages(b"  [ ]  "), Ok(Vec::new()));
    // Transcript 036, and payloads that must not be touched.
    let body = br#"[
        {"user": "system", "channel": "lobby", "uuid": "{aaaaaaaa-1111-4111-8111-111111111111}",
         "type": "alert", "edited": "x", "catchup": true, "bogus": 1},
        {"user": "s", "channel": null, "pm_users": ["b", "b"], "exclude_users": ["c"],
         "no_history": "true", "timestamp": "1970-01-01T00:00:01",
         "message": { "n":123456789012345678901234567890, "n" : 1E400,"t":"\ud83d\ude00" } },
        {"user": "s", "message": 5, "message": {}}
    ]"#;
    let messages = parse_messages(body).expect("all is well");
    let plain = MessageBody {
        user: "system".into(),
        channel: Some("lobby".into()),
        pm_users: Vec::new(),
        exclude_users: Vec::new(),
        no_history: false,
        uuid: Some(0xaaaa_aaaa_1111_4111_8111_1111_1111_1111),
        timestamp: None,
        message: None,
    };
    assert_eq!(messages[0], plain);
    let full = MessageBody {
        user: "s".into(),
        channel: None,
        pm_users: vec!["b".into(), "b".into()],
        exclude_users: vec!["c".into()],
        no_history: true,
        uuid: None,
        timestamp: Some(DateTime::from_unix_micros(1_000_000)),
        message: Some(
            r#"{ "n":123456789012345678901234567890, "n" : 1E400,"t":"\ud83d\ude00" }"#.into(),
        ),
    };
    assert_eq!(messages[1], full);
    assert_eq!(messages[2].message.as_deref(), Some("{}"));
}

#[test]
fn edits_and_deletes() {
    let body = br#"[{"uuid": "11111111-2222-4333-8444-555555555555", "channel": "c",
        "message": {"a": 1}, "edited": "2020-01-02T03:04:05Z", "user": "u", "bogus": 1}]"#;
    let edits = parse_edits(body).expect("all is well");
    let expected = EditBody {
        uuid: fields::parse_uuid(KNOWN).expect("an id"),
        channel: Some("c".into()),
        pm_users: Vec::new(),
        exclude_users: Vec::new(),
        no_history: false,
        user: Some("u".into()),
        message: Some(r#"{"a": 1}"#.into()),
        timestamp: None,
        edited: DateTime::parse("2020-01-02T03:04:05Z"),
    };
    assert_eq!(edits, [expected]);
    let deletes = parse_deletes(body).expect("all is well");
    let expected = DeleteBody {
        uuid: fields::parse_uuid(KNOWN).expect("an id"),
        channel: Some("c".into()),
        pm_users: Vec::new(),
        exclude_users: Vec::new(),
        no_history: false,
    };
    assert_eq!(deletes, [expected]);
}

#[test]
fn user_state_keeps_or_replaces_the_public_keys() {
    let read = |body| parse_user_state(body, |user| user == "bob").expect("all is well");
    let state = read(br#"{"user": "bob", "user_state": {"a": true, "a": 2}}"#);
    assert_eq!(state.user_state, [("a".into(), "2")]);
    assert_eq!(state.state_public_keys, None);
    let state = read(br#"{"user": "bob", "state_public_keys": null}"#);
    assert_eq!((state.user_state.len(), state.state_public_keys), (0, None));
    let state = read(br#"{"user": "bob", "state_public_keys": []}"#);
    assert_eq!(state.state_public_keys, Some(Vec::new()));
}

#[test]
fn channel_settings_of_transcript_049() {
    let body = br#"{"c": {"history_size": "5", "notify_state": "1", "store_frames": "f",
        "notify_presence": "True", "store_history": 1, "broadcast_presence_with_user_lists": "T",
        "bogus": 1}, "": null, "d": {"history_size": 4.0, "notify_state": 0,
        "store_frames": "FALSE"}}"#;
    let c = Settings {
        notify_presence: true,
        broadcast_presence_with_user_lists: true,
        notify_state: true,
        store_history: true,
        history_size: 5,
        store_frames: false,
    };
    let d = Settings {
        history_size: 4,
        store_frames: false,
        ..Settings::default()
    };
    let expected = vec![
        ("c".into(), c),
        ("".into(), Settings::default()),
        ("d".into(), d),
    ];
    assert_eq!(parse_channel_config(body), Ok(expected));
    assert_eq!(parse_channel_config(b"{}"), Ok(Vec::new()));
}

#[test]
fn a_request_has_a_bounded_number_of_messages() {
    let list = |count: usize| format!("[{}]", vec![r#"{"user":"a"}"#; count].join(","));
    let fits = list(CS_MESSAGES_PER_REQUEST_MAX);
    let messages = parse_messages(fits.as_bytes()).expect("as many as fit");
    assert_eq!(messages.len(), CS_MESSAGES_PER_REQUEST_MAX);
    check(
        "POST /message",
        &list(CS_MESSAGES_PER_REQUEST_MAX + 1),
        &json!({"_schema": ["Longer than maximum length 65536."]}),
    );
}

#[test]
fn a_refusal_does_not_outgrow_its_body() {
    // A million wrong entries, and not one megabyte of complaints.
    let body = format!(r#"{{"channels":["{}"]}}"#, "\",\"".repeat(1_000_000));
    let Err(BodyFault::Invalid(errors)) = parse_connect(body.as_bytes()) else {
        panic!("empty names are wrong");
    };
    let length = errors.to_json().len();
    assert!(length < 8192, "{length} bytes");
}

#[test]
fn many_keys_and_long_keys_are_no_trouble() {
    // As many as may be, each twice.
    let long = "k".repeat(60);
    let pairs: Vec<String> = (0..4096)
        .map(|at| format!(r#""{long}{}":{at}"#, at % 2048))
        .collect();
    let body = format!(r#"{{"username":"a","user_state":{{{}}}}}"#, pairs.join(","));
    let connect = parse_connect(body.as_bytes()).expect("all is well");
    assert_eq!(connect.user_state.len(), 2048);
    assert_eq!(connect.user_state[7].1, "2055");
}

mod random {
    use crate::dialect::channelstream::fuzz::{fuzz_json, fuzz_sign};
    use proptest::prelude::*;

    /// JSON-like bodies: known fields with values that fit or do not.
    fn bodies() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("-1.5e3".to_owned()),
            Just("\"2020-01-02T03:04:05.5+01:00\"".to_owned()),
            Just("\"11111111-2222-4333-8444-555555555555\"".to_owned()),
            Just("\"\\ud83d\\ude00\"".to_owned()),
            Just("\"\\ud83d\"".to_owned()),
            "\"[a-z]{0,3}\"",
            "[ -~]{0,6}",
        ];
        let key = prop::sample::select(vec![
            "user",
            "username",
            "conn_id",
            "channel",
            "channels",
            "uuid",
            "timestamp",
            "message",
            "pm_users",
            "info",
            "user_state",
            "channel_configs",
            "history_size",
            "no_history",
            "include_users",
            "x\\u0061",
        ]);
        value.prop_recursive(4, 24, 4, move |inner| {
            let member = (key.clone(), inner.clone())
                .prop_map(|(key, value)| format!("\"{key}\" : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(","))),
                prop::collection::vec(member, 0..5).prop_map(|v| format!("{{{}}}", v.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in bodies()) {
            fuzz_json(body.as_bytes());
            fuzz_json(format!("[{body}]").as_bytes());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            fuzz_json(&bytes);
            fuzz_sign(&bytes);
        }

        #[test]
        fn any_text_is_read_or_refused(
            text in prop_oneof![
                "[A-Za-z0-9+/=_.-]{0,40}",
                ".{0,30}",
                concat!(
                    "\\d{4}-\\d{1,2}-\\d\\d[ T]\\d\\d:\\d\\d(:\\d\\d)?",
                    "(\\.\\d{1,9})?(Z|[+-]\\d\\d(:?\\d\\d)?)?"
                ),
            ]
        ) {
            fuzz_sign(text.as_bytes());
        }
    }
}
