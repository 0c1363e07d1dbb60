//! Tests of what applications post.

use super::*;
use crate::hub::AppId;
use proptest::prelude::*;

fn app() -> App {
    App::new(AppId(1), "1", "key", "secret")
}

fn read(body: &str) -> Result<NewEvent<'_>, Fault> {
    event(body.as_bytes(), &app())
}

/// An event with one field written otherwise.
fn with(field: &str, value: &str) -> String {
    let mut fields = vec![
        ("name", r#""e""#.to_owned()),
        ("data", r#""d""#.to_owned()),
        ("channels", r#"["a"]"#.to_owned()),
    ];
    fields.retain(|(name, _)| *name != field);
    let mut written: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    if !value.is_empty() {
        written.push(format!("\"{field}\":{value}"));
    }
    format!("{{{}}}", written.join(","))
}

#[track_caller]
fn refused(body: &str, status: u16, part: &str) {
    let fault = read(body).expect_err(body);
    assert_eq!(fault.status, status, "{body}");
    assert!(fault.message.contains(part), "{body}: {}", fault.message);
}

fn list(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|at| format!("\"c{at}\"")).collect();
    format!("[{}]", names.join(","))
}

#[test]
fn events_are_read() {
    let event = read(
        r#"{"name":"App\\Events\\X","channels":["b","presence-a","b"],"data":"{\"some\": 1}",
            "socket_id":"7.9","info":"user_count, subscription_count"}"#,
    );
    let expected = NewEvent {
        name: r"App\Events\X".into(),
        data: r#"{"some": 1}"#.into(),
        channels: vec!["b".into(), "presence-a".into()],
        socket_id: Some(7 << 32 | 9),
        info: Wants {
            user_count: true,
            subscription_count: true,
            cache: false,
        },
    };
    assert_eq!(event, Ok(expected));
    let event = read(r#"{"channel":"a","data":"","name":"e"}"#).expect("an event");
    assert_eq!(event.channels, ["a"]);
    assert_eq!((event.socket_id, event.info), (None, Wants::default()));
    let event = read(r#"{"channel":"a","channels":null,"data":"","name":"e"}"#);
    assert_eq!(event.expect("an event").channels, ["a"]);
    let event = read(r##"{"channels":["#server-to-user-1"],"data":"","name":"e"}"##);
    assert_eq!(event.expect("an event").channels, ["#server-to-user-1"]);
}

#[test]
fn bodies_that_are_no_object_are_refused() {
    for body in [
        "",
        "x",
        "[]",
        "null",
        "{",
        "{}}",
        r#""{}""#,
        r#"{"name":"\ud800"}"#,
    ] {
        refused(body, 400, "JSON object");
        assert!(batch(body.as_bytes(), &app()).is_err(), "{body}");
    }
    assert_eq!(
        event(b"{\"name\":\"\xff\"}", &app()).map_err(|fault| fault.status),
        Err(400)
    );
    let deep = with("data", &("[".repeat(30_000) + &"]".repeat(30_000)));
    refused(&deep, 400, "JSON object");
}

#[test]
fn names_of_events_are_checked() {
    refused(&with("name", ""), 400, "name");
    for value in ["null", "5", "[]", r#"["e"]"#, r#""""#] {
        refused(&with("name", value), 400, "name");
    }
    for name in ["pusher:x", "pusher_internal:x"] {
        refused(&with("name", &format!("\"{name}\"")), 400, "reserved");
    }
    let name = |count| format!("\"{}\"", "é".repeat(count));
    assert!(read(&with("name", &name(200))).is_ok());
    refused(&with("name", &name(201)), 400, "200");
    assert!(read(&with("name", r#""client-x""#)).is_ok());
}

#[test]
fn data_is_a_text_or_made_one() {
    refused(&with("data", ""), 400, "data is missing");
    for (value, expected) in [
        (r#""""#, ""),
        (r#""\u00e9""#, "é"),
        (r#"{ "a" : [ 1.0, "b c" ] }"#, r#"{"a":[1.0,"b c"]}"#),
        ("5", "5"),
        ("null", "null"),
        ("1e999", "1e999"),
    ] {
        let body = with("data", value);
        assert_eq!(read(&body).expect("an event").data, expected, "{value}");
    }
}

#[test]
fn data_is_bounded_in_bytes() {
    let data = |text: &str, count| format!("\"{}\"", text.repeat(count));
    assert!(read(&with("data", &data("x", 10_240))).is_ok());
    refused(&with("data", &data("x", 10_241)), 413, "10241");
    assert!(read(&with("data", &data("é", 5_120))).is_ok());
    refused(&with("data", &data("é", 5_121)), 413, "10240");
    // Escapes on the wire do not count.
    assert!(read(&with("data", &data("\\u0041", 10_240))).is_ok());
    // Nor does white space that goes anyway.
    assert!(read(&with("data", &format!("[{}]", " ".repeat(20_000)))).is_ok());
    let mut small = app();
    small.event_bytes = 3;
    let fits = event(br#"{"name":"e","channel":"a","data":"abc"}"#, &small);
    assert!(fits.is_ok());
    let fault = event(br#"{"name":"e","channel":"a","data":"abcd"}"#, &small);
    assert_eq!(fault.map_err(|fault| fault.status), Err(413));
}

#[test]
fn channels_are_checked() {
    refused(&with("channels", ""), 400, "channel");
    refused(&with("channels", "[]"), 400, "empty");
    for value in [r#""a""#, "{}", "5", r#"{"0":"a"}"#] {
        refused(&with("channels", value), 400, "list");
    }
    for value in ["[5]", "[null]", r#"["a",["b"]]"#] {
        refused(&with("channels", value), 400, "text");
    }
    for name in [
        "",
        "a b",
        "a:b",
        "é",
        "#a",
        "#server-to-user-",
        "#server-to-user-a b",
    ] {
        let shown = format!("{name:?} is not the name");
        refused(
            &with("channels", &format!(r#"["a","{name}"]"#)),
            400,
            &shown,
        );
        refused(
            &with("channels", &format!(r#"null,"channel":"{name}""#)),
            400,
            &shown,
        );
    }
    let name = |count| format!("[\"{}\"]", "x".repeat(count));
    assert!(read(&with("channels", &name(164))).is_ok());
    refused(&with("channels", &name(165)), 400, "name of a channel");
    let huge = name(200_000);
    assert!(
        read(&with("channels", &huge))
            .expect_err("too long")
            .message
            .len()
            < 100
    );
}

#[test]
fn channels_are_bounded_in_number() {
    assert_eq!(
        read(&with("channels", &list(100)))
            .expect("an event")
            .channels
            .len(),
        100
    );
    refused(&with("channels", &list(101)), 400, "at most 100");
    refused(&with("channels", &list(20_000)), 400, "at most 100");
    // As they stand in the list, even if some are the same.
    let same = format!("[{}\"a\"]", "\"a\",".repeat(100));
    refused(&with("channels", &same), 400, "at most 100");
}

#[test]
fn what_is_encrypted_goes_to_one_channel() {
    for list in [
        r#"["private-encrypted-a"]"#,
        r#"["private-encrypted-a","private-encrypted-a"]"#,
        r#"["private-a","private-b"]"#,
    ] {
        assert!(read(&with("channels", list)).is_ok(), "{list}");
    }
    for list in [
        r#"["private-encrypted-a","b"]"#,
        r#"["b","private-encrypted-cache-a"]"#,
        r#"["private-encrypted-a","private-encrypted-b"]"#,
    ] {
        refused(&with("channels", list), 400, "encrypted");
    }
}

#[test]
fn ids_of_sockets_are_checked() {
    for (value, expected) in [
        ("null", None),
        (r#""7.9""#, Some(7 << 32 | 9)),
        // Somebody else's.
        (r#""07.9""#, None),
        (r#""99999999999.1""#, None),
    ] {
        let body = with("socket_id", value);
        assert_eq!(
            read(&body).expect("an event").socket_id,
            expected,
            "{value}"
        );
    }
    for value in [
        r#""""#,
        r#""1""#,
        r#""1.2.3""#,
        r#""a.b""#,
        r#""1.2\n""#,
        r#""1.2:private-a""#,
    ] {
        refused(&with("socket_id", value), 400, "socket_id");
    }
    for value in ["1.2", "{}", "true"] {
        refused(&with("socket_id", value), 400, "socket_id");
    }
}

#[test]
fn attributes_are_asked_for() {
    for (info, user_count, subscription_count, cache) in [
        ("", false, false, false),
        ("user_count", true, false, false),
        (" cache ,user_count", true, false, true),
        ("subscription_count,subscription_count", false, true, false),
        ("User_Count,other,", false, false, false),
    ] {
        let wants = Wants {
            user_count,
            subscription_count,
            cache,
        };
        assert_eq!(Wants::of(info), wants, "{info}");
        assert_eq!(wants.is_any(), user_count || subscription_count || cache);
        let body = with("info", &format!("\"{info}\""));
        assert_eq!(read(&body).expect("an event").info, wants, "{info}");
    }
    for value in ["5", "[]", r#"["user_count"]"#] {
        refused(&with("info", value), 400, "info");
    }
    assert_eq!(
        read(&with("info", "null")).expect("an event").info,
        Wants::default()
    );
    for query in [
        "info=user_count,cache",
        "x=y&INFO=user_count%2Ccache",
        "info[]=user_count&info[]=cache",
        "info%5B0%5D=user_count&info%5B1%5D=cache",
    ] {
        assert_eq!(
            Wants::in_query(query),
            Wants::of("cache,user_count"),
            "{query}"
        );
    }
    assert_eq!(Wants::in_query("infos=cache&xinfo=cache"), Wants::default());
}

#[test]
fn batches_are_read_in_order() {
    let events = batch(
        r##"{"batch":[{"name":"e","channel":"a","data":"1","channels":["x","y"]},
            {"name":"f","channel":"a","data":{},"socket_id":"1.2","info":"cache"},
            {"name":"g","channel":"#server-to-user-u","data":""}]}"##
            .as_bytes(),
        &app(),
    )
    .expect("three events");
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            (
                &*event.name,
                &*event.data,
                &*event.channels[0],
                event.channels.len(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("e", "1", "a", 1),
            ("f", "{}", "a", 1),
            ("g", "", "#server-to-user-u", 1)
        ]
    );
    assert_eq!(events[1].socket_id, Some(1 << 32 | 2));
    assert!(events[1].info.cache && !events[0].info.is_any());
    assert_eq!(batch(br#"{"batch":[]}"#, &app()), Ok(Vec::new()));
}

#[test]
fn batches_are_refused_whole() {
    let good = r#"{"name":"e","channel":"a","data":"1"}"#;
    let many = |count: usize| format!(r#"{{"batch":[{}]}}"#, vec![good; count].join(","));
    assert_eq!(
        batch(many(10).as_bytes(), &app()).map(|events| events.len()),
        Ok(10)
    );
    for count in [11, 5_000] {
        let fault = batch(many(count).as_bytes(), &app()).expect_err("too many");
        assert_eq!(
            (fault.status, &*fault.message),
            (400, "a batch has at most 10 events")
        );
    }
    for (bad, status, message) in [
        ("5", 400, "batch[1]: an event must be an object"),
        ("null", 400, "batch[1]: an event must be an object"),
        (
            r#"{"name":"e","data":""}"#,
            400,
            "batch[1]: the name of a channel must be a text",
        ),
        (
            r#"{"name":"e","channels":["a"],"data":""}"#,
            400,
            "batch[1]: the name of a channel must be a text",
        ),
        (
            r#"{"channel":"a","data":""}"#,
            400,
            "batch[1]: name must be a text",
        ),
        (
            r#"{"name":"e","channel":"a"}"#,
            400,
            "batch[1]: data is missing",
        ),
    ] {
        let body = format!(r#"{{"batch":[{good},{bad},7]}}"#);
        let fault = batch(body.as_bytes(), &app()).expect_err(bad);
        assert_eq!((fault.status, &*fault.message), (status, message));
    }
    let large = format!(
        r#"{{"name":"e","channel":"a","data":"{}"}}"#,
        "x".repeat(10_241)
    );
    let body = format!(r#"{{"batch":[{good},{large}]}}"#);
    let fault = batch(body.as_bytes(), &app()).expect_err("too large");
    assert_eq!(fault.status, 413);
    for body in [
        "{}",
        r#"{"batch":null}"#,
        r#"{"batch":{}}"#,
        r#"{"batch":"[]"}"#,
    ] {
        let fault = batch(body.as_bytes(), &app()).expect_err(body);
        assert_eq!(
            (fault.status, &*fault.message),
            (400, "batch must be a list of events")
        );
    }
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(
        name in prop_oneof!["\"[a-z:]{0,4}\"", "[0-9]{1,3}", Just("\"pusher:x\"".to_owned())],
        data in prop_oneof!["\"[a-zé]{0,40}\"", "\\[ ?[0-9]{1,40} ?\\]", "[ -~]{0,4}"],
        channels in prop::collection::vec("[a-c:#]{0,2}|private-encrypted-a", 0..5),
        socket_id in "[0-9.]{0,5}",
    ) {
        let channel = channels.first().cloned().unwrap_or_default();
        let fields =
            format!(r#""name":{name},"data":{data},"socket_id":"{socket_id}","channel":"{channel}""#);
        let list = channels.join("\",\"");
        for body in [
            format!("{{{fields}}}"),
            format!(r#"{{{fields},"channels":["{list}"]}}"#),
            format!(r#"{{"batch":[{{{fields}}},{{{fields}}}]}}"#),
        ] {
            crate::dialect::pusher::fuzz::fuzz_bodies(body.as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        crate::dialect::pusher::fuzz::fuzz_bodies(&bytes);
    }
}
