//! Tests of what clients say.

use super::*;
use crate::limits::JSON_DEPTH_MAX;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, expected: Word<'_>) {
    assert_eq!(read(text), Ok(expected), "{text}");
}

#[track_caller]
fn refused(text: &str, why: Unreadable) {
    assert_eq!(read(text), Err(why), "{text}");
}

fn subscribe<'a>(channel: &'a str, auth: Option<&'a str>, data: Option<&'a str>) -> Word<'a> {
    Word::Subscribe {
        channel: channel.into(),
        auth: auth.map(Cow::from),
        channel_data: data.map(Cow::from),
    }
}

#[test]
fn pings_are_read_whatever_they_carry() {
    for data in [
        "",
        r#","data":{}"#,
        r#","data":"""#,
        r#","data":"{}""#,
        r#","data":5"#,
    ] {
        check(&format!(r#"{{"event":"pusher:ping"{data}}}"#), Word::Ping);
        check(&format!(r#"{{"event":"pusher:pong"{data}}}"#), Word::Pong);
    }
    check(
        r#"{"channel":5,"data":[],"event":"pusher:\u0070ing"}"#,
        Word::Ping,
    );
}

#[test]
fn subscribing_is_read() {
    check(
        r#"{"event":"pusher:subscribe","data":{"auth":"","channel":"my-channel"}}"#,
        subscribe("my-channel", Some(""), None),
    );
    check(
        r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":null,"channel_data":null}}"#,
        subscribe("a", None, None),
    );
    check(
        r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":"k:d","channel_data":""}}"#,
        subscribe("a", Some("k:d"), None),
    );
    let member = r#"{ "user_id": "\u00e9" }"#;
    let quoted = serde_json::to_string(member).expect("a text");
    check(
        &format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"a","channel_data":{quoted}}}}}"#
        ),
        subscribe("a", None, Some(member)),
    );
    // Whatever a name looks like, it is for others to judge.
    check(
        r#"{"event":"pusher:subscribe","data":{"channel":""}}"#,
        subscribe("", None, None),
    );
}

#[test]
fn data_may_be_a_text_that_holds_the_object() {
    let data = r#"{"channel":"presence-a","auth":"k:d","channel_data":"{\"user_id\":1}"}"#;
    let quoted = serde_json::to_string(data).expect("a text");
    check(
        &format!(r#"{{"event":"pusher:subscribe","data":{quoted}}}"#),
        subscribe("presence-a", Some("k:d"), Some(r#"{"user_id":1}"#)),
    );
    let channel = "a".into();
    check(
        r#"{"event":"pusher:unsubscribe","data":"{\"channel\":\"a\"}"}"#,
        Word::Unsubscribe { channel },
    );
    check(
        r#"{"event":"pusher:signin","data":"{\"auth\":\"k:d\",\"user_data\":\"{}\"}"}"#,
        Word::Signin {
            auth: "k:d".into(),
            user_data: "{}".into(),
        },
    );
    // But not a text in a text.
    for data in [
        r#""\"{}\"""#,
        r#""""#,
        r#"" ""#,
        r#""[]""#,
        r#""{}x""#,
        r#""{""#,
    ] {
        refused(
            &format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#),
            NO_DATA,
        );
    }
}

#[test]
fn malformed_subscribing_is_told() {
    for event in ["pusher:subscribe", "pusher:unsubscribe"] {
        refused(&format!(r#"{{"event":"{event}"}}"#), NO_DATA);
        for data in ["null", "5", "true", "[]", r#"["a"]"#, r#""a""#] {
            refused(&format!(r#"{{"event":"{event}","data":{data}}}"#), NO_DATA);
        }
        for channel in ["null", "5", "true", r#"["a"]"#, "{}"] {
            refused(
                &format!(r#"{{"event":"{event}","data":{{"channel":{channel}}}}}"#),
                NO_CHANNEL,
            );
        }
        refused(
            &format!(r#"{{"event":"{event}","channel":"a","data":{{}}}}"#),
            NO_CHANNEL,
        );
    }
    for (field, why) in [("auth", NO_AUTH), ("channel_data", NO_CHANNEL_DATA)] {
        for value in ["5", "{}", "[]", "false"] {
            refused(
                &format!(
                    r#"{{"event":"pusher:subscribe","data":{{"channel":"a","{field}":{value}}}}}"#
                ),
                why,
            );
        }
    }
}

#[test]
fn signing_in_is_always_that() {
    let signin = |auth: &'static str, user_data: &'static str| Word::Signin {
        auth: auth.into(),
        user_data: user_data.into(),
    };
    check(
        r#"{"event":"pusher:signin","data":{"auth":"k:d","user_data":"{\"id\":\"1\"}"}}"#,
        signin("k:d", r#"{"id":"1"}"#),
    );
    check(
        r#"{"event":"pusher:signin","data":{"auth":5,"user_data":{}}}"#,
        signin("", ""),
    );
    check(
        r#"{"event":"pusher:signin","data":{"user_data":"x"}}"#,
        signin("", "x"),
    );
    for data in ["", r#","data":null"#, r#","data":[]"#, r#","data":"x""#] {
        check(
            &format!(r#"{{"event":"pusher:signin"{data}}}"#),
            signin("", ""),
        );
    }
}

#[test]
fn client_events_carry_a_text() {
    let with = |data: &str| format!(r#"{{"event":"client-x","channel":"private-a"{data}}}"#);
    let client = |data| Word::Client {
        event: "client-x".into(),
        channel: "private-a".into(),
        data,
    };
    for (data, expected) in [
        (r#","data":"plain""#, Data::Text("plain".into())),
        (
            r#","data":"{ \"a\": 1 }""#,
            Data::Text("{ \"a\": 1 }".into()),
        ),
        (r#","data":"""#, Data::Text("".into())),
        (
            r#","data":{ "a" : [1, " b "] }"#,
            Data::Json(r#"{"a":[1," b "]}"#.into()),
        ),
        (r#","data": 0.10e+2 "#, Data::Json("0.10e+2".into())),
        (r#","data":1e999"#, Data::Json("1e999".into())),
        (
            r#","data":[123456789012345678901234567890]"#,
            Data::Json("[123456789012345678901234567890]".into()),
        ),
        (r#","data":null"#, Data::Json("null".into())),
        ("", Data::Json("null".into())),
        (r#","data":true"#, Data::Json("true".into())),
        (
            r#","data":{"\u00e9":"\/"}"#,
            Data::Json(r#"{"\u00e9":"\/"}"#.into()),
        ),
    ] {
        let text = with(data);
        check(&text, client(expected.clone()));
        assert_eq!(expected.as_str(), &*expected.clone().into_text());
    }
    // A forged sender is not even read.
    check(
        &with(r#","user_id":"root","data":"""#),
        client(Data::Text("".into())),
    );
    refused(r#"{"event":"client-x","data":{}}"#, NO_CHANNEL);
    refused(
        r#"{"event":"client-x","channel":["a"],"data":{}}"#,
        NO_CHANNEL,
    );
}

#[test]
fn other_names_are_read_as_others() {
    for name in [
        "pusher:",
        "pusher:subscribed",
        "pusher:connection_established",
        "pusher_internal:member_added",
        "Pusher:ping",
        "client",
        "Client-x",
        " client-x",
        "server-event",
        "",
        "é",
    ] {
        let event = name.into();
        check(
            &format!(r#"{{"event":"{name}","channel":"a"}}"#),
            Word::Other { event },
        );
    }
    let event = "client-".into();
    let channel = "a".into();
    let data = Data::Json("null".into());
    check(
        r#"{"event":"client-","channel":"a"}"#,
        Word::Client {
            event,
            channel,
            data,
        },
    );
}

#[test]
fn what_is_no_message_is_told() {
    for text in [
        "",
        " ",
        "hello",
        "{",
        "{}}",
        r#"{"event":"pusher:ping"}x"#,
        r#"{"event":"pusher:ping"} {}"#,
        r#"{"event":"pusher:ping",}"#,
        r#"{event:"pusher:ping"}"#,
        r#"{"event":'pusher:ping'}"#,
        r#"{"event":"pusher:ping","data":01}"#,
        r#"{"event":"pusher:ping","data":NaN}"#,
        r#"{"event":"\ud800"}"#,
        r#"{"event":"client-x","channel":"a","data":"\udc00"}"#,
        "\u{feff}{\"event\":\"pusher:ping\"}",
        "{\"event\":\"a\nb\"}",
    ] {
        refused(text, NOT_JSON);
    }
    for text in [
        "[]",
        "5",
        "null",
        "\"pusher:ping\"",
        r#"[{"event":"pusher:ping"}]"#,
    ] {
        refused(text, NO_OBJECT);
    }
    for text in [
        "{}",
        r#"{"event":null}"#,
        r#"{"event":5}"#,
        r#"{"event":["pusher:ping"]}"#,
    ] {
        refused(text, NO_EVENT);
    }
}

#[test]
fn of_repeated_fields_the_last_counts() {
    check(
        r#"{"event":"pusher:ping","event":"pusher:pong","\u0065vent":"x"}"#,
        Word::Other { event: "x".into() },
    );
    check(
        r#"{"event":"pusher:subscribe","data":{"channel":"a"},
            "data":{"channel":"b","channel":"c","auth":"x","auth":null}}"#,
        subscribe("c", None, None),
    );
}

#[test]
fn depth_is_bounded_in_texts_too() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let client = |depth| {
        let data = nested(depth);
        format!(r#"{{"event":"client-x","channel":"a","data":{data}}}"#)
    };
    assert!(read(&client(JSON_DEPTH_MAX - 1)).is_ok());
    refused(&client(JSON_DEPTH_MAX), NOT_JSON);
    refused(&client(30_000), NOT_JSON);
    let subscribe = |depth| {
        let data = format!(r#"{{"channel":"a","x":{}}}"#, nested(depth));
        let data = serde_json::to_string(&data).expect("a text");
        format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#)
    };
    assert!(read(&subscribe(JSON_DEPTH_MAX - 1)).is_ok());
    refused(&subscribe(JSON_DEPTH_MAX), NO_DATA);
    refused(&subscribe(30_000), NO_DATA);
    let deep = |field: &str| format!(r#"{{"{field}":"1","user_info":{}}}"#, nested(30_000));
    assert!(member(&deep("user_id"), usize::MAX).is_err());
    assert!(user(&deep("id"), 1).is_err());
}

// ---- members ---------------------------------------------------------------------------------

#[test]
fn members_are_read() {
    for (data, id, info) in [
        (r#"{"user_id":"anna"}"#, "anna", None),
        (
            r#"{"user_id":10,"user_info":{"name":"Mr. X"}}"#,
            "10",
            Some(r#"{"name":"Mr. X"}"#),
        ),
        (
            r#" { "user_id" : "a b/é" , "user_info" : [ 1, 2 ] } "#,
            "a b/é",
            Some("[1,2]"),
        ),
        (r#"{"user_id":"1","user_info":null}"#, "1", Some("null")),
        (r#"{"user_id":"1","user_info":"x"}"#, "1", Some("\"x\"")),
        (r#"{"user_id":"1","user_info":1.50}"#, "1", Some("1.50")),
        (r#"{"user_id":"1","user_id":"2","other":[]}"#, "2", None),
        (r#"{"user_id":"\u00e9\n"}"#, "é\n", None),
    ] {
        let expected = Member {
            user: id.to_owned(),
            info: info.map(str::to_owned),
        };
        assert_eq!(member(data, 1024), Ok(expected), "{data}");
    }
}

#[test]
fn numbers_become_decimal_texts() {
    let long = "9".repeat(128);
    for (number, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-5", "-5"),
        (
            "12345678901234567890123456789",
            "12345678901234567890123456789",
        ),
        (&long, &long),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.50", "1.5"),
        ("-2.5E-1", "-0.25"),
        ("1E+21", "1000000000000000000000"),
    ] {
        let data = format!(r#"{{"user_id":{number}}}"#);
        let user = member(&data, 0).map(|member| member.user);
        assert_eq!(user.as_deref(), Ok(expected), "{number}");
    }
    for number in ["1e128", "1e999", "-1e999", "1e-200", &format!("{long}9")] {
        assert!(
            member(&format!(r#"{{"user_id":{number}}}"#), 0).is_err(),
            "{number}"
        );
    }
}

#[test]
fn members_that_cannot_be_used_are_refused() {
    let long = format!(r#"{{"user_id":"{}"}}"#, "é".repeat(129));
    for data in [
        "",
        "x",
        "[]",
        "null",
        "\"anna\"",
        "{}",
        r#"{"user_id":""}"#,
        r#"{"user_id":null}"#,
        r#"{"user_id":true}"#,
        r#"{"user_id":["1"]}"#,
        r#"{"user_id":{}}"#,
        r#"{"user_id":"1"}x"#,
        r#"{"user_id":"\ud800"}"#,
        r#"{"user_id":"1","user_info":}"#,
        r#"{"id":"1"}"#,
        &long,
    ] {
        assert!(member(data, 1024).is_err(), "{data}");
    }
    // Characters count, not bytes.
    let fits = format!(r#"{{"user_id":"{}"}}"#, "é".repeat(128));
    assert!(member(&fits, 1024).is_ok());
}

#[test]
fn what_members_tell_is_bounded_without_white_space() {
    let data = |text: &str| format!(r#"{{"user_id":"1","user_info": [ "{text}" ] }}"#);
    assert!(member(&data(&"x".repeat(6)), 10).is_ok());
    assert_eq!(
        member(&data(&"x".repeat(7)), 10),
        Err("user_info is too large")
    );
    assert_eq!(member(&data("éééé"), 10), Err("user_info is too large"));
}

// ---- users -----------------------------------------------------------------------------------

#[test]
fn users_are_read() {
    let read = user(
        r#"{"id":"anna@x","user_info": {"name": "A"},"watchlist":["bob","eve","bob"]}"#,
        100,
    );
    let expected = User {
        id: "anna@x".to_owned(),
        info: Some(r#"{"name":"A"}"#.to_owned()),
        watchlist: vec!["bob".to_owned(), "eve".to_owned()],
        is_watchlist_cut: false,
    };
    assert_eq!(read, Ok(expected));
    for data in [
        r#"{"id":"1"}"#,
        r#"{"id":"1","watchlist":null}"#,
        r#"{"id":"1","watchlist":[]}"#,
    ] {
        let expected = User {
            id: "1".to_owned(),
            info: None,
            watchlist: Vec::new(),
            is_watchlist_cut: false,
        };
        assert_eq!(user(data, 100), Ok(expected), "{data}");
    }
}

#[test]
fn users_that_cannot_be_used_are_refused() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(129));
    for data in [
        "",
        "[]",
        "{}",
        r#"{"id":""}"#,
        r#"{"id":5}"#,
        r#"{"id":null}"#,
        r#"{"id":"a b"}"#,
        r#"{"id":"a:b"}"#,
        r##"{"id":"#a"}"##,
        r#"{"id":"é"}"#,
        r#"{"user_id":"1"}"#,
        r#"{"id":"1","watchlist":"bob"}"#,
        r#"{"id":"1","watchlist":{"0":"bob"}}"#,
        r#"{"id":"1"} x"#,
        &long,
    ] {
        assert!(user(data, 100).is_err(), "{data}");
    }
}

#[test]
fn watchlists_are_cut_and_cleaned() {
    let with =
        |list: &str| user(&format!(r#"{{"id":"1","watchlist":{list}}}"#), 3).expect("a user");
    let read = with(r#"["a","b","c"]"#);
    assert_eq!((read.watchlist.len(), read.is_watchlist_cut), (3, false));
    let read = with(r#"["a","b","c","d"]"#);
    assert_eq!(
        (read.watchlist, read.is_watchlist_cut),
        (vec!["a".into(), "b".into(), "c".into()], true)
    );
    // Entries count, not distinct ones.
    let read = with(r#"["a","a","a","b"]"#);
    assert_eq!(
        (read.watchlist, read.is_watchlist_cut),
        (vec!["a".into()], true)
    );
    let read = with(r#"[5,"a b",null]"#);
    assert_eq!(
        (read.watchlist, read.is_watchlist_cut),
        (vec!["5".into()], false)
    );
    let read = with(r#"[{"a":[]},[],""]"#);
    assert_eq!((read.watchlist, read.is_watchlist_cut), (vec![], false));
    let none = user(r#"{"id":"1","watchlist":["a"]}"#, 0).expect("a user");
    assert_eq!((none.watchlist, none.is_watchlist_cut), (vec![], true));
}

#[test]
fn a_long_watchlist_is_read_in_no_time() {
    // Compared with each other these would be ten thousand million times.
    let ids: Vec<String> = (0..100_000).map(|id| format!("\"{id}\"")).collect();
    let data = format!(r#"{{"id":"1","watchlist":[{}]}}"#, ids.join(","));
    let read = user(&data, usize::MAX).expect("a user");
    assert_eq!(
        (read.watchlist.len(), read.is_watchlist_cut),
        (100_000, false)
    );
}

/// JSON-like messages: known fields with values that fit or do not.
fn messages() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("\"pusher:subscribe\"".to_owned()),
        Just("\"pusher:unsubscribe\"".to_owned()),
        Just("\"pusher:signin\"".to_owned()),
        Just("\"client-x\"".to_owned()),
        Just("\"presence-a\"".to_owned()),
        Just(r#""{\"channel\":\"a\",\"user_data\":\"\"}""#.to_owned()),
        Just("\"\\ud83d\"".to_owned()),
        "\"[a-z]{0,3}\"",
        "[ -~]{0,6}",
    ];
    let key = prop::sample::select(vec![
        "event",
        "data",
        "channel",
        "auth",
        "channel_data",
        "user_data",
        "user_id",
        "user_info",
        "id",
        "watchlist",
        "x\\u0061",
    ]);
    value.prop_recursive(4, 24, 5, move |inner| {
        let member =
            (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\" : {value}"));
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            4 => prop::collection::vec(member, 0..6).prop_map(|v| format!("{{{}}}", v.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(text in messages()) {
        crate::dialect::pusher::fuzz::fuzz_words(text.as_bytes());
        let event = format!(r#"{{"event":"pusher:subscribe","data":{text}}}"#);
        crate::dialect::pusher::fuzz::fuzz_words(event.as_bytes());
        let event = format!(r#"{{"event":"client-x","channel":"a","data":{text}}}"#);
        crate::dialect::pusher::fuzz::fuzz_words(event.as_bytes());
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        crate::dialect::pusher::fuzz::fuzz_words(text.as_bytes());
    }

    #[test]
    fn equal_numbers_are_one_user(number in any::<i32>(), zeros in 1..4usize) {
        let id = |text: String| member(&format!(r#"{{"user_id":{text}}}"#), 0).map(|m| m.user);
        let plain = id(number.to_string());
        prop_assert_eq!(&id(format!("{number}.{}", "0".repeat(zeros))), &plain);
        prop_assert_eq!(&id(format!("{number}e0")), &plain);
    }
}
