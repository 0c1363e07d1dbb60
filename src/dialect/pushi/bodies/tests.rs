use super::*;
use crate::transport::http::{Headers, Method, Request};
use serde_json::{Value, json};

/// Reads a request with this query and this JSON, and hands its fields on.
fn fields<T>(query: &str, body: &str, then: impl FnOnce(Fields<'_>) -> T) -> T {
    let request = Request {
        method: Method::Post,
        path: "/",
        query: Some(query),
        is_1_1: true,
        headers: Headers(&[]),
        body: body.as_bytes(),
    };
    then(Fields::of(&request).expect("a body"))
}

fn published<T>(body: &str, then: impl FnOnce(NewEvent<'_>) -> T) -> T {
    fields("", body, |fields| then(event(&fields).expect(body)))
}

fn refused(body: &str) -> (u16, String) {
    fields("", body, |fields| {
        let fault = event(&fields).expect_err(body);
        (fault.status, fault.message.into_owned())
    })
}

#[test]
fn events_have_defaults() {
    published(r#"{"data":"hello"}"#, |event| {
        let expected = NewEvent {
            name: "message".into(),
            data: "hello".into(),
            channels: vec!["global".into()],
            persist: true,
            extra: String::new(),
        };
        assert_eq!(event, expected);
    });
    for channel in ["\"\"", "null", "[]", "0", "false", "{}"] {
        published(&format!(r#"{{"data":1,"channel":{channel}}}"#), |event| {
            assert_eq!(event.channels, ["global"], "{channel}");
        });
    }
    published(r#"{"data":1,"event":null}"#, |event| {
        assert_eq!(event.name, "message")
    });
    published(r#"{"data":1,"event":""}"#, |event| {
        assert_eq!(event.name, "")
    });
}

#[test]
fn events_carry_their_body_along() {
    let body = r#"{"data":{"k": [1, 2]},"channel":["a","b","a",""],"event":"update",
        "persist":false,"foo":{"a" : 1},"echo":true,"foo":"again","\u0061\"":null,"mid":"m"}"#;
    published(body, |event| {
        assert_eq!(event.data, r#"{"k":[1,2]}"#);
        assert_eq!(event.channels, ["a", "b", "a", ""]);
        assert_eq!((&*event.name, event.persist), ("update", false));
        let expected = r#""persist":false,"foo":"again","echo":true,"a\"":null,"mid":"m""#;
        assert_eq!(event.extra, expected);
        let object: Value = serde_json::from_str(&format!("{{{}}}", event.extra)).expect("JSON");
        assert_eq!(object["foo"], "again");
    });
    for (persist, expected) in [
        ("true", true),
        ("1", true),
        ("null", false),
        ("\"\"", false),
    ] {
        published(&format!(r#"{{"data":1,"persist":{persist}}}"#), |event| {
            assert_eq!(event.persist, expected, "{persist}");
        });
    }
}

#[test]
fn events_without_data_are_refused() {
    for data in ["\"\"", "0", "0.0", "false", "null", "[]", "{ }"] {
        let fault = refused(&format!(r#"{{"data":{data}}}"#));
        assert_eq!(fault, (400, "No data set for event".to_owned()), "{data}");
    }
    for body in ["{}", r#"{"channel":"room"}"#, ""] {
        assert_eq!(refused(body).1, "No data set for event");
    }
    published(r#"{"data":" "}"#, |event| assert_eq!(event.data, " "));
    // Only JSON counts.
    fields("data=x", "", |fields| assert!(event(&fields).is_err()));
}

#[test]
fn events_that_are_stored_bring_no_id_along() {
    for key in ["mid", "timestamp"] {
        for persist in ["", r#","persist":true"#] {
            let body = format!(r#"{{"data":"x","{key}":null{persist}}}"#);
            assert_eq!(refused(&body).0, 400, "{body}");
        }
        let body = format!(r#"{{"data":"x","{key}":1,"persist":false}}"#);
        published(&body, |event| assert!(event.extra.contains(key)));
    }
}

#[test]
fn names_in_events_are_texts_of_a_length() {
    for body in [
        r#"{"data":1,"event":5}"#,
        r#"{"data":1,"event":["a"]}"#,
        r#"{"data":1,"channel":5}"#,
        r#"{"data":1,"channel":{"a":1}}"#,
        r#"{"data":1,"channel":true}"#,
        r#"{"data":1,"channel":["a",5]}"#,
        r#"{"data":1,"channel":[null]}"#,
        r#"{"data":1,"channel":[["a"]]}"#,
    ] {
        assert_eq!(refused(body).0, 400, "{body}");
    }
    let long = "x".repeat(1025);
    for body in [
        json!({"data": 1, "event": long}),
        json!({"data": 1, "channel": long}),
        json!({"data": 1, "channel": ["a", long]}),
    ] {
        assert_eq!(refused(&body.to_string()).0, 400);
    }
}

#[test]
fn an_event_goes_to_many_channels_and_no_more() {
    let body = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| at.to_string()).collect();
        json!({"data": 1, "channel": names}).to_string()
    };
    published(&body(PUSHI_CHANNELS_PER_EVENT_MAX), |event| {
        assert_eq!(event.channels.len(), PUSHI_CHANNELS_PER_EVENT_MAX);
        assert_eq!(event.channels[7], "7");
    });
    assert_eq!(refused(&body(PUSHI_CHANNELS_PER_EVENT_MAX + 1)).0, 413);
}

#[test]
fn records_are_read_from_everywhere() {
    let expected = |kind, keys| NewRecord {
        kind,
        target: "x/y".into(),
        channel: "news".into(),
        keys,
    };
    for kind in [
        RecordKind::Subscription,
        RecordKind::Web,
        RecordKind::Apn,
        RecordKind::Smtp,
    ] {
        let name = target_field(kind);
        let body = json!({name: "x/y", "event": "news", "p256dh": "k", "unknown": []});
        let read = fields("", &body.to_string(), |fields| record(kind, fields));
        assert_eq!(read, Ok(expected(kind, None)));
        let query = format!("{name}=x/y&event=news");
        let body = r#"{"event":"other"}"#;
        assert_eq!(
            fields(&query, body, |fields| record(kind, fields)),
            Ok(expected(kind, None))
        );
    }
    let body = r#"{"endpoint":"x/y","event":"news","p256dh":"BPk","auth":"c2Vj"}"#;
    let read = fields("auth=key:digest&event=other", body, |fields| {
        record(RecordKind::WebPush, fields)
    });
    let keys = Some(("BPk".into(), "c2Vj".into()));
    assert_eq!(read, Ok(expected(RecordKind::WebPush, keys)));
    let read = fields("", r#"{"user_id":5,"event":true}"#, |fields| {
        record(RecordKind::Subscription, fields).expect("texts")
    });
    assert_eq!((&*read.target, &*read.channel), ("5", "True"));
}

#[test]
fn all_that_is_wrong_with_a_record_is_said() {
    let errors = |kind, body: Value| {
        fields("", &body.to_string(), |fields| {
            record(kind, fields).expect_err("a fault").errors
        })
    };
    assert_eq!(
        errors(RecordKind::Subscription, json!({})),
        [("user_id", NOT_SET), ("event", NOT_SET)]
    );
    assert_eq!(
        errors(RecordKind::Web, json!({"url": "", "event": null})),
        [("url", EMPTY), ("event", NOT_SET)]
    );
    assert_eq!(
        errors(RecordKind::WebPush, json!({"endpoint": "e"})),
        [("p256dh", NOT_SET), ("auth", NOT_SET), ("event", NOT_SET)]
    );
    let long = |length: usize| "x".repeat(length);
    assert_eq!(
        errors(
            RecordKind::Subscription,
            json!({"user_id": long(513), "event": long(1025)})
        ),
        [("user_id", TOO_LONG), ("event", TOO_LONG)]
    );
    assert_eq!(
        errors(RecordKind::Apn, json!({"token": long(4097), "event": "a"})),
        [("token", TOO_LONG)]
    );
    let body = json!({"endpoint": "e", "p256dh": long(1025), "auth": long(1025), "event": "a"});
    let expected = [("p256dh", TOO_LONG), ("auth", TOO_LONG)];
    assert_eq!(errors(RecordKind::WebPush, body), expected);
    let fault = fields("", r#"{"url":["a"],"event":"a"}"#, |fields| {
        record(RecordKind::Web, fields).expect_err("a list")
    });
    assert_eq!(fault.message, "Field 'url' not compatible with type 'str'");
}

#[test]
fn apps_need_a_name() {
    let name = |query: &str, body: &str| {
        fields(query, body, |fields| {
            let read = new_app(&fields).map(|(name, _)| name);
            read.map_err(|fault| (fault.status, fault.errors))
        })
    };
    assert_eq!(name("", r#"{"name":"app1"}"#), Ok("app1".into()));
    assert_eq!(name("name=app2", r#"{"name":"app1"}"#), Ok("app2".into()));
    assert_eq!(name("", "{}"), Err((400, vec![("name", NOT_SET)])));
    assert_eq!(name("", ""), Err((400, vec![("name", NOT_SET)])));
    assert_eq!(
        name("", r#"{"name":""}"#),
        Err((400, vec![("name", EMPTY)]))
    );
    let long = json!({"name": "x".repeat(513)}).to_string();
    assert_eq!(name("", &long), Err((400, vec![("name", TOO_LONG)])));
}

#[test]
fn apps_are_changed_where_something_is_given() {
    let changes = |body: Value| fields("", &body.to_string(), |fields| app_fields(&fields));
    assert_eq!(changes(json!({})), Ok(AppFields::default()));
    let body = json!({"ident": "hacked", "key": "k", "secret": "s", "instance": "i", "id": 5,
        "created": 0, "unknown": "x"});
    assert_eq!(changes(body), Ok(AppFields::default()));
    let text = |text: &str| Field::Is(text.into());
    let body = json!({"name": "n", "enabled": false, "description": 5, "meta": {"a": [1]},
        "apn_sandbox": true, "apn_key": "----\n", "apn_cer": null, "vapid_key": "",
        "vapid_email": "ops@example.com", "smtp_url": "smtp://h"});
    let expected = AppFields {
        name: text("n"),
        enabled: Field::Is(false),
        description: text("5"),
        meta: text(r#"{"a":[1]}"#),
        apn_sandbox: Field::Is(true),
        apn_key: text("----\n"),
        apn_cer: Field::Null,
        vapid_key: text(""),
        vapid_email: text("ops@example.com"),
        smtp_url: text("smtp://h"),
    };
    assert_eq!(changes(body), Ok(expected));

    let errors = |body: Value| changes(body).map_err(|fault| (fault.status, fault.errors));
    assert_eq!(
        errors(json!({"name": null})),
        Err((400, vec![("name", NOT_SET)]))
    );
    assert_eq!(
        errors(json!({"name": ""})),
        Err((400, vec![("name", EMPTY)]))
    );
    let long = "x".repeat(PUSHI_APP_FIELD_BYTES_MAX + 1);
    assert_eq!(
        errors(json!({"apn_key": long, "meta": {"a": long}})),
        Err((400, vec![("meta", TOO_LONG), ("apn_key", TOO_LONG)]))
    );
    assert_eq!(errors(json!({"meta": []})), Err((400, vec![])));
    assert_eq!(errors(json!({"enabled": {}})), Err((400, vec![])));
}

#[test]
fn who_logs_in_says_all_three() {
    let given = credentials("app_id=i&app_key=k&app_secret=s%20").expect("all three");
    assert_eq!(
        (&*given.ident, &*given.key, &*given.secret),
        ("i", "k", "s ")
    );
    assert!(!format!("{given:?}").contains("s "));
    for (query, missing) in [
        ("", "app_id"),
        ("app_id=i", "app_key"),
        ("app_id=i&app_key=k", "app_secret"),
        ("app_secret=s&app_key=k", "app_id"),
    ] {
        let fault = credentials(query).expect_err(query);
        assert_eq!(fault.status, 400);
        assert!(fault.message.contains(missing));
    }
}

#[test]
fn paths_name_a_target_and_a_channel() {
    for (rest, target, channel) in [
        ("u1", "u1", None),
        ("u1/news", "u1", Some("news")),
        ("u%2F1/peer-a:b%26c", "u/1", Some("peer-a:b&c")),
        ("http://h/in/news", "http://h/in", Some("news")),
        ("http://h//a//news", "http://h//a/", Some("news")),
        ("http%3A%2F%2Fh%2Fin", "http://h/in", None),
        ("http%3A%2F%2Fh%2Fin/a%2Fb", "http://h/in", Some("a/b")),
        ("a+b/c+d", "a+b", Some("c+d")),
        ("u1/", "u1", Some("")),
        ("", "", None),
    ] {
        let found = named(rest).expect(rest);
        assert_eq!((&*found.0, found.1.as_deref()), (target, channel), "{rest}");
    }
    for rest in ["%", "a/%zz", "%00/a", "a/%ff"] {
        assert_eq!(named(rest), Err(BadPath), "{rest}");
    }
}
