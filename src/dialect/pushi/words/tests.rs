use super::*;
use serde_json::json;

const CAP: u64 = STORE_EVENTS_LISTED_MAX;

fn fault(text: &str) -> (Fault, Refused, Option<String>) {
    match read(text) {
        Err(Unreadable {
            fault,
            refused,
            channel,
        }) => (fault, refused, channel),
        Ok(word) => panic!("{text}: {word:?}"),
    }
}

/// The event that this message publishes, on the channel `room`.
#[track_caller]
fn event(text: &str) -> (Cow<'_, str>, Data<'_>, bool, bool) {
    match read(text) {
        Ok(Word::Event {
            event,
            channel,
            data,
            echo,
            persist,
        }) => {
            assert_eq!(channel, "room", "{text}");
            (event, data, echo, persist)
        }
        other => panic!("{text}: {other:?}"),
    }
}

/// What is told of itself by whoever subscribes to a presence channel so.
fn told(channel_data: &str) -> Result<Option<ChannelData>, Fault> {
    let text = format!(
        r#"{{"event":"pusher:subscribe","data":{{"channel":"presence-a","channel_data":{channel_data}}}}}"#
    );
    match read(&text) {
        Ok(Word::Subscribe { channel_data, .. }) => Ok(channel_data),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(Unreadable {
            fault,
            refused,
            channel,
        }) => {
            assert_eq!(refused, Refused::Subscription);
            assert_eq!(channel.as_deref(), Some("presence-a"));
            Err(fault)
        }
    }
}

#[test]
fn requests_are_known_with_a_colon_and_with_an_underscore() {
    for mark in [':', '_'] {
        let text = format!(
            r#"{{"event":"pusher{mark}subscribe","data":{{"channel":"a","auth":"k:d"}},"echo":true}}"#
        );
        let subscribe = Word::Subscribe {
            channel: "a".into(),
            auth: Some("k:d".into()),
            channel_data: None,
        };
        assert_eq!(read(&text), Ok(subscribe));
        let text = format!(r#"{{"event":"pusher{mark}unsubscribe","data":{{"channel":""}}}}"#);
        let unsubscribe = Word::Unsubscribe { channel: "".into() };
        assert_eq!(read(&text), Ok(unsubscribe));
        let text = format!(r#"{{"event":"pusher{mark}latest","data":{{"channel":"a"}}}}"#);
        let latest = Word::Latest {
            channel: "a".into(),
            skip: 0,
            count: 10,
        };
        assert_eq!(read(&text), Ok(latest));
    }
}

#[test]
fn an_auth_that_is_no_text_is_none() {
    for auth in ["null", "5", "{}", "[\"k:d\"]"] {
        let text = format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"private-a","auth":{auth}}}}}"#
        );
        assert!(
            matches!(read(&text), Ok(Word::Subscribe { auth: None, .. })),
            "{auth}"
        );
    }
}

#[test]
fn numbers_of_events_are_whole_and_capped() {
    let latest = |skip: &str, count: &str| {
        let text = format!(
            r#"{{"event":"pusher:latest","data":{{"channel":"a","skip":{skip},"count":{count}}}}}"#
        );
        match read(&text) {
            Ok(Word::Latest { skip, count, .. }) => Ok((skip, count)),
            Ok(other) => panic!("{text}: {other:?}"),
            Err(Unreadable {
                fault,
                refused,
                channel,
            }) => {
                assert_eq!((refused, channel.as_deref()), (Refused::Request, Some("a")));
                Err(fault)
            }
        }
    };
    let huge = "9".repeat(100);
    let cases = [
        ("0", "10", (0, 10)),
        ("5", "1", (5, 1)),
        ("null", "null", (0, 10)),
        ("0", "0", (0, CAP)),
        ("0", "1000", (0, CAP)),
        ("0", "1001", (0, CAP)),
        ("0", "1000000000", (0, CAP)),
        ("100000", &huge, (PUSHI_SKIP_MAX, CAP)),
    ];
    for (skip, count, expected) in cases {
        assert_eq!(latest(skip, count), Ok(expected), "{skip} {count}");
    }
    for far in ["100001", "18446744073709551615", &huge] {
        assert_eq!(latest(far, "1"), Err(Fault::FarSkip), "{far}");
    }
    for wrong in [
        "-1", "-0", "1.0", "1e1", "\"1\"", "\"\"", "true", "[]", "{}", "-1e999",
    ] {
        assert_eq!(latest(wrong, "1"), Err(Fault::BadSkip), "{wrong}");
        assert_eq!(latest("1", wrong), Err(Fault::BadCount), "{wrong}");
    }
}

#[test]
fn events_carry_texts_as_they_are_and_the_rest_as_json() {
    for (data, expected) in [
        (r#""plain""#, "plain"),
        (r#"" {\"a\" :  1}""#, r#" {"a" :  1}"#),
        (r#""""#, ""),
        (r#""\u00e9€😀""#, "é€😀"),
        ("5", "5"),
        ("2.50", "2.50"),
        ("true", "true"),
        ("null", "null"),
        ("{}", "{}"),
        (
            r#"{ "b": 1, "a" : [1.5, "x y"] }"#,
            r#"{"b":1,"a":[1.5,"x y"]}"#,
        ),
        ("1e999", "1e999"),
    ] {
        let text = format!(r#"{{"event":"message","data":{data},"channel":"room"}}"#);
        let (name, read, echo, persist) = event(&text);
        assert_eq!((&*name, read.as_str()), ("message", expected));
        assert_eq!((echo, persist), (false, true));
    }
}

#[test]
fn flags_count_by_their_truth() {
    for (value, expected) in [
        ("true", true),
        ("1", true),
        ("-0.5", true),
        ("1e999", true),
        ("\"yes\"", true),
        ("\"false\"", true),
        ("\" \"", true),
        ("[0]", true),
        ("{\"a\": 0}", true),
        ("false", false),
        ("null", false),
        ("0", false),
        ("-0.0", false),
        ("0e5", false),
        ("1e-999", false),
        ("\"\"", false),
        ("[ ]", false),
        ("{\n}", false),
    ] {
        let text = format!(
            r#"{{"event":"e","data":1,"channel":"room","echo":{value},"persist":{value}}}"#
        );
        let (.., echo, persist) = event(&text);
        assert_eq!((echo, persist), (expected, expected), "{value}");
    }
}

#[test]
fn names_of_the_servers_own_events_are_refused() {
    for name in [
        "pusher:ping",
        "pusher:member_added",
        "pusher_internal:latest",
        "pusher:subscribe:x",
        "pusher:",
    ] {
        let text = json!({"event": name, "data": "x", "channel": "room"}).to_string();
        let expected = (
            Fault::ReservedEvent,
            Refused::Request,
            Some("room".to_owned()),
        );
        assert_eq!(fault(&text), expected, "{name}");
        let bare = json!({ "event": name }).to_string();
        assert_eq!(fault(&bare).0, Fault::ReservedEvent);
    }
    for name in ["pusher", "Pusher:ping", "client-pusher:x"] {
        let text = json!({"event": name, "data": "x", "channel": "room"}).to_string();
        assert_eq!(event(&text).0, name);
    }
}

#[test]
fn what_cannot_be_understood_ends_the_connection() {
    for (text, expected) in [
        ("", Fault::NotJson),
        ("hello", Fault::NotJson),
        ("{", Fault::NotJson),
        ("{} {}", Fault::NotJson),
        (r#"{"event":"\ud800""#, Fault::NotJson),
        ("[]", Fault::NoObject),
        ("null", Fault::NoObject),
        ("\"x\"", Fault::NoObject),
        ("{}", Fault::NoEvent),
        (r#"{"event":""}"#, Fault::NoEvent),
        (r#"{"event":5,"data":1,"channel":"a"}"#, Fault::NoEvent),
        (r#"{"event":null}"#, Fault::NoEvent),
        (r#"{"event":["pusher:subscribe"]}"#, Fault::NoEvent),
        (r#"{"Event":"message"}"#, Fault::NoEvent),
    ] {
        assert_eq!(fault(text), (expected, Refused::Anything, None), "{text}");
    }
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(fault(&deep).0, Fault::NotJson);
}

#[test]
fn json_that_is_not_taken_ends_nothing() {
    let deep = "[".repeat(100) + &"]".repeat(100);
    let (a, refused) = (Some("a".to_owned()), Refused::Request);
    for (text, channel) in [
        (
            format!(r#"{{"event":"e","channel":"a","data":{deep}}}"#),
            a.clone(),
        ),
        (
            r#"{"event":"e","channel":"a","data":"\ud83d"}"#.to_owned(),
            a,
        ),
        (r#"{"event":"\udc00","data":1}"#.to_owned(), None),
    ] {
        assert_eq!(fault(&text), (Fault::NotTaken, refused, channel), "{text}");
    }
    let data = r#"{"channel":"presence-a","channel_data":{"user_id":"\ud83d"}}"#;
    for (word, refused) in [
        ("subscribe", Refused::Subscription),
        ("latest", Refused::Request),
    ] {
        let text = format!(r#"{{"event":"pusher:{word}","data":{data}}}"#);
        let channel = Some("presence-a".to_owned());
        assert_eq!(fault(&text), (Fault::NotTaken, refused, channel), "{text}");
    }
}

#[test]
fn what_is_missing_is_said() {
    for (text, expected, channel) in [
        (r#"{"event":"e","channel":"a"}"#, Fault::NoData, Some("a")),
        (r#"{"event":"e","data":1}"#, Fault::NoChannel, None),
        (r#"{"event":"e"}"#, Fault::NoData, None),
        (
            r#"{"event":"e","data":1,"channel":5}"#,
            Fault::NoChannel,
            None,
        ),
        (
            r#"{"event":"e","data":1,"channel":["a"]}"#,
            Fault::NoChannel,
            None,
        ),
    ] {
        let expected = (expected, Refused::Request, channel.map(str::to_owned));
        assert_eq!(fault(text), expected, "{text}");
    }
    for (name, refused) in [
        ("pusher:subscribe", Refused::Subscription),
        ("pusher:unsubscribe", Refused::Request),
        ("pusher:latest", Refused::Request),
    ] {
        for (data, expected) in [
            ("null", Fault::NoDataObject),
            ("[]", Fault::NoDataObject),
            (r#""{\"channel\":\"a\"}""#, Fault::NoDataObject),
            ("{}", Fault::NoChannel),
            (r#"{"channel":null}"#, Fault::NoChannel),
            (r#"{"channel":7}"#, Fault::NoChannel),
        ] {
            let text = format!(r#"{{"event":"{name}","channel":"b","data":{data}}}"#);
            assert_eq!(fault(&text), (expected, refused, None), "{text}");
        }
        let text = format!(r#"{{"event":"{name}"}}"#);
        assert_eq!(fault(&text), (Fault::NoDataObject, refused, None));
    }
}

#[test]
fn long_names_are_refused_and_not_repeated() {
    let long = "x".repeat(1025);
    let text = json!({"event": "e", "data": 1, "channel": long}).to_string();
    assert_eq!(fault(&text), (Fault::LongChannel, Refused::Request, None));
    let text = json!({"event": long, "data": 1, "channel": "a"}).to_string();
    let expected = (Fault::LongEvent, Refused::Request, Some("a".to_owned()));
    assert_eq!(fault(&text), expected);
    let text = json!({"event": "pusher:subscribe", "data": {"channel": long}}).to_string();
    let expected = (Fault::LongChannel, Refused::Subscription, None);
    assert_eq!(fault(&text), expected);
    // That of two users is longer.
    let pair = format!("peer-a:{long}");
    let text = json!({"event": "e", "data": 1, "channel": pair}).to_string();
    assert!(matches!(read(&text), Ok(Word::Event { channel, .. }) if channel == pair));
}

#[test]
fn members_tell_of_themselves_with_an_object_or_its_text() {
    for (given, text) in [
        (
            r#"{ "user_id": "u1", "name": "One Two" }"#,
            r#"{"user_id":"u1","name":"One Two"}"#,
        ),
        (
            r#""{ \"user_id\": \"u1\", \"a\": 1.0 }""#,
            r#"{"user_id":"u1","a":1.0}"#,
        ),
        (
            r#"{"user_id":"x","user_id":"u1"}"#,
            r#"{"user_id":"x","user_id":"u1"}"#,
        ),
    ] {
        let expected = ChannelData {
            user_id: Some("u1".to_owned()),
            text: text.to_owned(),
            peer: false,
        };
        assert_eq!(told(given), Ok(Some(expected)), "{given}");
    }
    for nothing in ["null", "\"\""] {
        assert_eq!(told(nothing), Ok(None), "{nothing}");
    }
    for wrong in [
        "5",
        "true",
        "false",
        "[]",
        "\"x\"",
        "\"[]\"",
        "\"null\"",
        "\"{\"",
        r#""\"{}\"""#,
    ] {
        assert_eq!(told(wrong), Err(Fault::BadChannelData), "{wrong}");
    }
}

#[test]
fn ids_of_users_are_texts_in_the_end() {
    let id = |user: &str| {
        let told = told(&format!(r#"{{"user_id":{user}}}"#));
        told.map(|data| data.and_then(|data| data.user_id))
    };
    for (user, expected) in [
        (r#""a&b:c/d\"e""#, "a&b:c/d\"e"),
        ("\"\"", ""),
        ("7", "7"),
        ("7.0", "7"),
        ("70e-1", "7"),
        ("-0", "0"),
        ("1.50", "1.5"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
    ] {
        assert_eq!(id(user), Ok(Some(expected.to_owned())), "{user}");
    }
    assert_eq!(id("[]"), Err(Fault::BadUserId));
    assert_eq!(id("{\"a\":1}"), Err(Fault::BadUserId));
    assert_eq!(id(&"9".repeat(600)), Err(Fault::LongUserId));
    assert_eq!(id("1e999"), Err(Fault::LongUserId));
    let longest = "x".repeat(512);
    assert_eq!(id(&format!("\"{longest}\"")), Ok(Some(longest.clone())));
    assert_eq!(id(&format!("\"{longest}x\"")), Err(Fault::LongUserId));
    assert_eq!(
        told("{}").map(|data| data.map(|data| data.user_id)),
        Ok(Some(None))
    );
}

#[test]
fn what_a_member_tells_is_bounded_without_its_white_space() {
    let of = |length: usize| {
        let rest = r#"{"user_id":"u","x":""}"#.len();
        format!(r#"{{"user_id":"u","x":"{}"}}"#, "y".repeat(length - rest))
    };
    assert!(matches!(told(&of(8192)), Ok(Some(data)) if data.text.len() == 8192));
    assert_eq!(told(&of(8193)), Err(Fault::LongChannelData));
    let padded = of(8192).replacen(',', &format!(",{}", " ".repeat(9000)), 1);
    assert!(told(&padded).is_ok());
}

#[test]
fn peer_counts_by_its_truth() {
    for (peer, expected) in [
        ("true", true),
        ("1", true),
        ("false", false),
        ("null", false),
    ] {
        let data = told(&format!(r#"{{"user_id":"u","peer":{peer}}}"#));
        assert_eq!(
            data.map(|data| data.map(|data| data.peer)),
            Ok(Some(expected))
        );
    }
}

#[test]
fn only_who_can_be_a_member_tells_of_itself() {
    let data = |channel: &str, channel_data: &str| {
        let text = format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}","channel_data":{channel_data}}}}}"#
        );
        match read(&text) {
            Ok(Word::Subscribe { channel_data, .. }) => Ok(channel_data.is_some()),
            Ok(other) => panic!("{other:?}"),
            Err(unreadable) => Err(unreadable.fault),
        }
    };
    for channel in ["room", "private-a", "peer-a:b&c"] {
        assert_eq!(data(channel, r#"{"user_id":"u"}"#), Ok(false));
        assert_eq!(data(channel, "5"), Ok(false), "what nobody looks at");
    }
    for channel in ["presence-a", "personal-u"] {
        assert_eq!(data(channel, r#"{"user_id":"u"}"#), Ok(true));
        assert_eq!(data(channel, "5"), Err(Fault::BadChannelData));
    }
}

#[test]
fn messages_fit_a_close_frame() {
    for fault in Fault::ALL {
        assert!((1..=123).contains(&fault.message().len()), "{fault:?}");
        assert!(matches!(fault.code(), 400 | 403 | 413));
    }
}
