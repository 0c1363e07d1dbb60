//! Lines of exports as data.

use super::*;

const MID: &str = "19174e6b-8ad0-4230-bd18-135812f6fa12";
const MID_NUMBER: u128 = 0x1917_4e6b_8ad0_4230_bd18_1358_12f6_fa12;

fn document(line: &str) -> Document {
    read(line, None).expect(line).1
}

#[test]
fn collections_by_the_names_of_files() {
    for (name, of) in [
        ("app.json", Some(Collection::App)),
        ("pushi.app.json", Some(Collection::App)),
        ("2026-01-31_webpush.ndjson", Some(Collection::WebPush)),
        ("Web.JSON", None),
        ("WEB.json", Some(Collection::Web)),
        ("smtp", Some(Collection::Smtp)),
        ("pushievent", Some(Collection::Event)),
        ("event.json", None),
        ("apps.json", None),
        ("", None),
    ] {
        assert_eq!(Collection::of_file_name(name), of, "{name}");
    }
}

#[test]
fn an_app_keeps_what_it_has() {
    let line = r#"{"_id":{"$oid":"65a"},"id":{"$numberLong":"3"},"name":"shop","ident":"aa","key":"bb",
        "secret":"cc","instance":"aa","enabled":false,"description":null,"meta":{"n":{"$numberInt":"1"}},
        "apn_sandbox":true,"vapid_email":"me@example.com","created":1795300420,"modified":1795300421.0}"#;
    let (of, read) = read(line, None).expect("an app");
    assert_eq!((of, read.id, &*read.app), (Collection::App, 3, "aa"));
    let What::App(app) = read.what else {
        panic!("an app");
    };
    assert_eq!((&*app.key, &*app.secret), ("bb", "cc"));
    assert_eq!(
        (app.created_s, app.modified_s),
        (1_795_300_420, 1_795_300_421)
    );
    let fields = AppFields {
        name: Field::Is("shop".into()),
        enabled: Field::Is(false),
        meta: Field::Is("{\"n\":1}".into()),
        apn_sandbox: Field::Is(true),
        vapid_email: Field::Is("me@example.com".into()),
        ..AppFields::default()
    };
    assert_eq!(app.fields, fields);
}

#[test]
fn an_event_keeps_its_payload() {
    let line = format!(
        r#"{{"id":5,"mid":"{MID}","channel":"room","owner_id":"{MID}","timestamp":1795300668.5,
            "instance":"aa","data":{{"persist":true,"channel":"room","event":"message","data":"{{\"a\": 1}}",
            "n":{{"$numberLong":"7"}}}}}}"#
    );
    let What::Event(event) = document(&line).what else {
        panic!("an event");
    };
    let expected = ImportedEvent {
        channel: "room".into(),
        mid: MID_NUMBER,
        owner: Some(MID_NUMBER),
        micros: 1_795_300_668_500_000,
        name: "message".into(),
        data: "{\"a\": 1}".into(),
        extra: "\"persist\":true,\"n\":7".into(),
    };
    assert_eq!(*event, expected);
    // Nothing in it, by REST, and the empty channel.
    let line = format!(
        r#"{{"mid":"{MID}","channel":"","owner_id":null,"timestamp":1,"instance":"aa","data":{{}}}}"#
    );
    let read = document(&line);
    let What::Event(event) = read.what else {
        panic!("an event");
    };
    assert_eq!((read.id, event.owner, &*event.channel), (0, None, ""));
    assert_eq!((&*event.name, &*event.data, &*event.extra), ("", "", ""));
}

#[test]
fn records_and_who_waits() {
    let line = format!(r#"{{"id":1,"user_id":7,"mid":"{MID}","instance":"aa"}}"#);
    let what = What::Waiting {
        user: "7".into(),
        mid: MID_NUMBER,
    };
    assert_eq!(document(&line).what, what);
    for (of, fields, kind, target, keys) in [
        (
            Collection::Subscription,
            r#""user_id":"u""#,
            RecordKind::Subscription,
            "u",
            None,
        ),
        (
            Collection::Web,
            r#""url":"http://h/""#,
            RecordKind::Web,
            "http://h/",
            None,
        ),
        (
            Collection::Apn,
            r#""token":"t""#,
            RecordKind::Apn,
            "t",
            None,
        ),
        (
            Collection::Smtp,
            r#""email":"e@f""#,
            RecordKind::Smtp,
            "e@f",
            None,
        ),
        (
            Collection::WebPush,
            r#""endpoint":"https://p/","p256dh":"k","auth":"s""#,
            RecordKind::WebPush,
            "https://p/",
            Some(("k".into(), "s".into())),
        ),
    ] {
        let line = format!(
            r#"{{{fields},"event":"a:b&c","created":10,"modified":11,"instance":"aa","id":2}}"#
        );
        let (found, read) = read(&line, None).expect(&line);
        assert_eq!((found, read.id, &*read.app), (of, 2, "aa"));
        let record = NewRecord {
            kind,
            target: target.into(),
            channel: "a:b&c".into(),
            keys,
        };
        let what = What::Record {
            record: Box::new(record),
            created_s: 10,
            modified_s: 11,
        };
        assert_eq!(read.what, what);
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    for (line, from, piece) in [
        ("", None, "no document in JSON"),
        ("nonsense", None, "no document in JSON"),
        ("{\"a\":1", None, "no document in JSON"),
        ("7", None, "no document in JSON"),
        ("[{}]", None, "without --jsonArray"),
        ("{}", None, "none of Pushi's collections"),
        ("{}", Some(Collection::App), "key: missing"),
        (
            r#"{"ident":"a","key":"","secret":"s","name":"n"}"#,
            None,
            "key: missing",
        ),
        (
            r#"{"ident":"a","key":[],"secret":"s","name":"n"}"#,
            None,
            "key: expected a text",
        ),
        (
            r#"{"ident":"a","key":"k","secret":"s"}"#,
            None,
            "name: missing",
        ),
        (
            r#"{"mid":"x","channel":"c","data":{}}"#,
            None,
            "mid: \"x\" is no UUID",
        ),
        (
            r#"{"mid":"+9174e6b8ad04230bd18135812f6fa12","user_id":"u"}"#,
            None,
            "is no UUID",
        ),
        (
            r#"{"mid":"19174e6b8ad04230bd18135812f6fa12","channel":"c","data":[]}"#,
            None,
            "data: expected an object",
        ),
        (
            r#"{"mid":"19174e6b8ad04230bd18135812f6fa12","channel":"c","data":{}}"#,
            None,
            "timestamp: expected",
        ),
        (
            r#"{"mid":"19174e6b8ad04230bd18135812f6fa12","channel":"c","data":{},"timestamp":1e999}"#,
            None,
            "timestamp: expected",
        ),
        (
            r#"{"mid":"19174e6b8ad04230bd18135812f6fa12","channel":"c","data":{},
                "timestamp":{"$numberDouble":"NaN"}}"#,
            None,
            "timestamp: expected",
        ),
        (
            r#"{"mid":"19174e6b8ad04230bd18135812f6fa12","channel":"c","data":{},
                "timestamp":{"$numberDouble":"Infinity"}}"#,
            None,
            "timestamp: expected",
        ),
        (r#"{"user_id":"u","event":"e"}"#, None, "instance: missing"),
        (
            r#"{"user_id":"u","event":"e","id":"x"}"#,
            None,
            "id: expected",
        ),
        (
            r#"{"endpoint":"u","event":"e","instance":"a"}"#,
            None,
            "p256dh: missing",
        ),
        (r#"{"event":"e"}"#, Some(Collection::Web), "url: missing"),
    ] {
        let message = read(line, from).expect_err(line);
        assert!(message.contains(piece), "{line}: {message}");
    }
}

#[test]
fn an_event_may_not_come_from_the_days_to_come() {
    let of = |timestamp: &str| {
        document(&format!(
            r#"{{"mid":"{MID}","channel":"c","timestamp":{timestamp},"instance":"aa","data":{{}}}}"#
        ))
    };
    let now_s = 1_700_000_000;
    for timestamp in ["0", "-5", "1700000000.5", "1700086400"] {
        assert_eq!(of(timestamp).has_been(now_s), Ok(()), "{timestamp}");
    }
    for (timestamp, told) in [
        ("1700086400.5", "1700086400.5"),
        (r#"{"$date":"2100-01-01T00:00:00Z"}"#, "4102444800"),
        ("1e300", ""),
    ] {
        let why = of(timestamp).has_been(now_s).expect_err(timestamp);
        let expected = format!("timestamp: {told}");
        assert!(
            why.starts_with(&expected) && why.contains("ahead of now"),
            "{why}"
        );
    }
}
