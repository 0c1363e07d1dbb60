//! Records as applications see them: apps, events, and what says where something is to go.

use super::{push_each, push_payload, push_seconds};
use crate::dialect::json::push_text;
use crate::dialect::pushi::names::push_uuid;
use crate::store::{AppRecord, Field, Record, RecordKind, StoredEvent};
use std::io::Write;

/// What says that it worked, where there is nothing more to say.
pub const SUCCESS: &str = r#"{"result":"success"}"#;

/// The name of the field that holds the target of such a record.
pub const fn target_field(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Subscription => "user_id",
        RecordKind::Web => "url",
        RecordKind::Apn => "token",
        RecordKind::WebPush => "endpoint",
        RecordKind::Smtp => "email",
    }
}

/// What such a record is called in messages.
pub const fn class_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Subscription => "Subscription",
        RecordKind::Web => "Web",
        RecordKind::Apn => "APN",
        RecordKind::WebPush => "WebPush",
        RecordKind::Smtp => "SMTP",
    }
}

/// Appends an event as it is stored; `ident` is that of its app. Only applications are shown the
/// database's own id.
pub fn push_event_record(
    out: &mut Vec<u8>,
    event: &StoredEvent,
    ident: &str,
    with_underscore_id: bool,
) {
    let texts = event.name.len() + event.data.len() * 9 / 8 + event.extra.len();
    out.reserve(384 + ident.len() + 2 * event.channel.len() + texts);
    let created_s = event.micros / 1_000_000;
    let ids = Ids {
        id: event.id,
        created_s,
        modified_s: created_s,
        ident,
        with_underscore_id,
    };
    out.push(b'{');
    ids.push(out);
    out.extend_from_slice(b",\"enabled\":true,\"description\":null,\"meta\":{},\"mid\":\"");
    push_uuid(out, event.mid);
    out.extend_from_slice(b"\",\"channel\":");
    push_text(out, &event.channel);
    out.extend_from_slice(b",\"owner_id\":");
    match event.owner {
        Some(owner) => {
            out.push(b'"');
            push_uuid(out, owner);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"timestamp\":");
    push_seconds(out, event.micros);
    out.extend_from_slice(b",\"data\":");
    push_payload(out, &event.name, &event.channel, &event.data, &event.extra);
    out.extend_from_slice(b"}}");
}

/// Appends a record that says where something is to go; `ident` is that of its app.
pub fn push_record(out: &mut Vec<u8>, record: &Record, ident: &str) {
    let ids = Ids {
        id: record.id,
        created_s: record.created_s,
        modified_s: record.modified_s,
        ident,
        with_underscore_id: true,
    };
    let record = &record.record;
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(target_field(record.kind).as_bytes());
    out.extend_from_slice(b"\":");
    push_text(out, &record.target);
    if let Some((p256dh, auth)) = &record.keys {
        out.extend_from_slice(b",\"p256dh\":");
        push_text(out, p256dh);
        out.extend_from_slice(b",\"auth\":");
        push_text(out, auth);
    }
    out.extend_from_slice(b",\"event\":");
    push_text(out, &record.channel);
    out.extend_from_slice(b",\"enabled\":true,\"description\":null,\"meta\":{},");
    ids.push(out);
    out.push(b'}');
}

/// Appends an app as it is shown to itself, its secret and all.
pub fn push_app(out: &mut Vec<u8>, app: &AppRecord) {
    let fields = &app.fields;
    let texts = [
        ("name", &fields.name),
        ("description", &fields.description),
        ("apn_key", &fields.apn_key),
        ("apn_cer", &fields.apn_cer),
        ("vapid_key", &fields.vapid_key),
        ("vapid_email", &fields.vapid_email),
        ("smtp_url", &fields.smtp_url),
    ];
    out.push(b'{');
    for (name, value) in texts {
        push_name(out, name);
        match value.value() {
            Some(text) => push_text(out, text),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b',');
    }
    for (name, value, otherwise) in [
        ("enabled", &fields.enabled, true),
        ("apn_sandbox", &fields.apn_sandbox, false),
    ] {
        push_name(out, name);
        let word = match value {
            Field::Is(true) => "true",
            Field::Is(false) => "false",
            Field::Null => "null",
            Field::Absent if otherwise => "true",
            Field::Absent => "false",
        };
        out.extend_from_slice(word.as_bytes());
        out.push(b',');
    }
    push_name(out, "meta");
    let meta = match &fields.meta {
        Field::Is(json) => json,
        Field::Null => "null",
        Field::Absent => "{}",
    };
    out.extend_from_slice(meta.as_bytes());
    for (name, text) in [
        ("ident", &app.ident),
        ("key", &app.key),
        ("secret", &app.secret),
    ] {
        out.push(b',');
        push_name(out, name);
        push_text(out, text);
    }
    out.push(b',');
    let ids = Ids {
        id: app.row.0.into(),
        created_s: app.created_s,
        modified_s: app.modified_s,
        ident: &app.ident,
        with_underscore_id: true,
    };
    ids.push(out);
    out.push(b'}');
}

/// Appends a list of apps as an answer.
pub fn push_apps<'a>(out: &mut Vec<u8>, apps: impl IntoIterator<Item = &'a AppRecord>) {
    push_list(out, "apps", apps, push_app);
}

/// Appends a list of events as an answer.
pub fn push_events(out: &mut Vec<u8>, events: &[StoredEvent], ident: &str) {
    push_list(out, "events", events, |out, event| {
        push_event_record(out, event, ident, true);
    });
}

/// Appends a list of records as an answer. Of whatever kind they are, the list is called the same.
pub fn push_records(out: &mut Vec<u8>, records: &[Record], ident: &str) {
    push_list(out, "subscriptions", records, |out, record| {
        push_record(out, record, ident);
    });
}

/// Appends an object with one list of this name in it.
pub fn push_list<T>(
    out: &mut Vec<u8>,
    name: &str,
    each: impl IntoIterator<Item = T>,
    push: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    push_name(out, name);
    out.push(b'[');
    push_each(out, each, push);
    out.extend_from_slice(b"]}");
}

/// `"name":`
fn push_name(out: &mut Vec<u8>, name: &str) {
    push_text(out, name);
    out.push(b':');
}

/// What every record says of itself.
struct Ids<'a> {
    id: u64,
    created_s: u64,
    modified_s: u64,
    ident: &'a str,
    with_underscore_id: bool,
}

impl Ids<'_> {
    /// Appends these fields without braces around them.
    fn push(&self, out: &mut Vec<u8>) {
        let (id, created_s, modified_s) = (self.id, self.created_s, self.modified_s);
        // Writing to memory does not fail.
        let _ = write!(
            out,
            "\"id\":{id},\"created\":{created_s},\"modified\":{modified_s},\"instance\":"
        );
        push_text(out, self.ident);
        if self.with_underscore_id {
            // As the original's database makes them: four bytes of time, then what tells them apart.
            let time = created_s & 0xffff_ffff;
            let _ = write!(out, ",\"_id\":\"{time:08x}{id:016x}\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AppFields, AppRow, BY_PUSHI, NewRecord};
    use serde_json::{Value, json};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    fn event() -> StoredEvent {
        StoredEvent {
            id: 5,
            mid: 0xabc,
            channel: "ro\"om".into(),
            owner: Some(0xdef),
            micros: 1_795_300_668_631_074,
            name: "message".into(),
            data: "{\"n\":2}".into(),
            extra: r#""persist":true,"extra":"kept""#.into(),
        }
    }

    #[test]
    fn events_are_records_with_their_payload() {
        let mut expected = json!({
            "id": 5, "enabled": true, "description": null, "created": 1_795_300_668,
            "modified": 1_795_300_668, "meta": {}, "instance": "app",
            "mid": "00000000-0000-0000-0000-000000000abc", "channel": "ro\"om",
            "owner_id": "00000000-0000-0000-0000-000000000def",
            "timestamp": 1_795_300_668.631_074,
            "data": {"channel": "ro\"om", "event": "message", "data": "{\"n\":2}",
                "persist": true, "extra": "kept"},
        });
        let record = written(|out| push_event_record(out, &event(), "app", false));
        assert_eq!(record, expected);
        expected["_id"] = "6b021d3c0000000000000005".into();
        let list = written(|out| push_events(out, &[event()], "app"));
        assert_eq!(list, json!({ "events": [expected] }));
    }

    #[test]
    fn events_of_applications_have_no_owner_and_may_be_empty() {
        let plain = StoredEvent {
            owner: None,
            data: "".into(),
            extra: "".into(),
            ..event()
        };
        let record = written(|out| push_event_record(out, &plain, "app", true));
        assert_eq!(record["owner_id"], Value::Null);
        let payload = json!({"channel": "ro\"om", "event": "message"});
        assert_eq!(record["data"], payload);
    }

    #[test]
    fn records_name_their_target_by_their_kind() {
        for kind in RecordKind::ALL {
            let keys = (kind == RecordKind::WebPush).then(|| ("BPk".into(), "c2Vj".into()));
            let record = Record {
                id: 1,
                record: NewRecord {
                    kind,
                    target: "https://a/\"b".into(),
                    channel: "news".into(),
                    keys,
                },
                created_s: 1_795_300_529,
                modified_s: 1_795_300_530,
            };
            let mut expected = json!({
                "event": "news", "enabled": true, "description": null, "meta": {},
                "created": 1_795_300_529, "modified": 1_795_300_530, "instance": "app", "id": 1,
                "_id": "6b021cb10000000000000001",
            });
            expected[target_field(kind)] = "https://a/\"b".into();
            if kind == RecordKind::WebPush {
                expected["p256dh"] = "BPk".into();
                expected["auth"] = "c2Vj".into();
            }
            let list = written(|out| push_records(out, &[record.clone(), record], "app"));
            let expected = json!({ "subscriptions": [expected.clone(), expected] });
            assert_eq!(list, expected);
            assert!(!class_name(kind).is_empty());
        }
        let fields = RecordKind::ALL.map(target_field);
        assert_eq!(fields, ["user_id", "url", "token", "endpoint", "email"]);
        assert_eq!(
            written(|out| push_records(out, &[], "app")),
            json!({"subscriptions": []})
        );
    }

    fn app() -> AppRecord {
        AppRecord {
            row: AppRow(3),
            ident: "i".into(),
            key: "k".into(),
            secret: "s".into(),
            protocols: BY_PUSHI,
            is_of_settings: false,
            fields: AppFields {
                name: Field::Is("app1".into()),
                ..AppFields::default()
            },
            created_s: 1_795_300_420,
            modified_s: 1_795_300_421,
            sessions_from_s: 0,
        }
    }

    #[test]
    fn apps_are_shown_with_all_their_fields() {
        let expected = json!({
            "name": "app1", "enabled": true, "description": null, "meta": {},
            "apn_sandbox": false, "apn_key": null, "apn_cer": null, "vapid_key": null,
            "vapid_email": null, "smtp_url": null, "created": 1_795_300_420,
            "modified": 1_795_300_421, "ident": "i", "key": "k", "secret": "s", "instance": "i",
            "id": 3, "_id": "6b021c440000000000000003",
        });
        assert_eq!(written(|out| push_app(out, &app())), expected);
        let list = written(|out| push_apps(out, [&app()]));
        assert_eq!(list, json!({ "apps": [expected] }));

        let text = |text: &str| Field::Is(text.into());
        let given = AppRecord {
            fields: AppFields {
                name: text("a\"b"),
                enabled: Field::Is(false),
                description: text("d"),
                meta: text(r#"{"a":[1]}"#),
                apn_sandbox: Field::Is(true),
                apn_key: text("-----\n"),
                apn_cer: Field::Null,
                vapid_key: text("v"),
                vapid_email: text("ops@example.com"),
                smtp_url: text("smtp://h"),
            },
            ..app()
        };
        let shown = written(|out| push_app(out, &given));
        for (name, value) in [
            ("name", json!("a\"b")),
            ("enabled", json!(false)),
            ("description", json!("d")),
            ("meta", json!({"a": [1]})),
            ("apn_sandbox", json!(true)),
            ("apn_key", json!("-----\n")),
            ("apn_cer", Value::Null),
            ("vapid_key", json!("v")),
            ("vapid_email", json!("ops@example.com")),
            ("smtp_url", json!("smtp://h")),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
        let nothing = AppRecord {
            fields: AppFields {
                enabled: Field::Null,
                meta: Field::Null,
                ..AppFields::default()
            },
            ..app()
        };
        let shown = written(|out| push_app(out, &nothing));
        assert_eq!(
            (&shown["enabled"], &shown["meta"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn database_ids_have_24_digits_whatever_the_numbers() {
        for (id, created_s) in [(0, 0), (u64::MAX, u64::MAX), (1, 1 << 40)] {
            let record = Record {
                id,
                created_s,
                modified_s: 0,
                record: NewRecord {
                    kind: RecordKind::Web,
                    target: "".into(),
                    channel: "".into(),
                    keys: None,
                },
            };
            let shown = written(|out| push_record(out, &record, ""));
            let written = shown["_id"].as_str().expect("a text");
            assert_eq!(written.len(), 24);
            assert_eq!(shown["id"], id);
        }
    }
}
