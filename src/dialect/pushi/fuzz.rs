//! What fuzzing drives: every parser of this folder, with its limits asserted.

use super::auth::Keys;
use super::bodies;
use super::encode::records::push_event_record;
use super::encode::{Description, LATEST, push_description, push_error, push_message};
use super::errors::Fault;
use super::form::Fields;
use super::names::{
    Kind, eligible, is_channel_length, is_event_length, is_reserved_event, is_user_length,
    other_of_pair, pair_name, pair_tail, parse_uuid, uuid,
};
use super::session::{SessionKey, Sid, find_sid};
use super::words::{self, Word};
use crate::dialect::json::{compact, each_member};
use crate::limits::{
    PUSHI_CHANNEL_DATA_BYTES_MAX, PUSHI_CHANNELS_PER_EVENT_MAX, PUSHI_FIELDS_MAX,
    STORE_EVENTS_LISTED_MAX,
};
use crate::store::{AppRow, RecordKind, StoredEvent};
use crate::transport::http::{Header, Headers, Method, Request};
use std::borrow::Cow;
use std::collections::BTreeSet;

fn is_json(text: &[u8]) {
    let value = serde_json::from_slice::<serde::de::IgnoredAny>(text);
    assert!(value.is_ok(), "not JSON: {}", text.escape_ascii());
}

/// Reads any bytes as what a client says, and tells others of it.
pub fn fuzz_words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut out = Vec::new();
    match words::read(text) {
        Ok(Word::Subscribe {
            channel,
            channel_data,
            ..
        }) => {
            assert!(is_channel_length(&channel));
            if let Some(told) = channel_data {
                assert!(matches!(
                    Kind::of(&channel),
                    Kind::Presence | Kind::Personal
                ));
                assert!(told.text.len() <= PUSHI_CHANNEL_DATA_BYTES_MAX);
                assert!(told.user_id.as_deref().is_none_or(is_user_length));
                is_json(told.text.as_bytes());
                assert_eq!(compact(&told.text), told.text);
                let user = told.user_id.as_deref().unwrap_or("");
                let description = Description {
                    name: &channel,
                    members: [(user, &*told.text)].into_iter(),
                    alias: &[],
                    events: &[],
                    ident: "",
                };
                push_description(&mut out, LATEST, &channel, description);
                is_json(&out);
            }
        }
        Ok(Word::Unsubscribe { channel }) => assert!(is_channel_length(&channel)),
        Ok(Word::Latest {
            channel,
            skip,
            count,
        }) => {
            assert!(is_channel_length(&channel) && i64::try_from(skip).is_ok());
            assert!((1..=STORE_EVENTS_LISTED_MAX).contains(&count));
        }
        Ok(Word::Event {
            event,
            channel,
            data,
            ..
        }) => {
            assert!(!event.is_empty() && is_event_length(&event) && is_channel_length(&channel));
            assert!(!is_reserved_event(&event));
            assert!(data.as_str().len() <= text.len());
            let stored = Some((7, 1_600_000_000_000_007));
            push_message(&mut out, &event, &channel, Some(data.as_str()), stored, "");
            is_json(&out);
        }
        Err(refusal) => {
            let channel = refusal.channel.as_deref().unwrap_or("");
            assert!(is_channel_length(channel));
            let (code, message) = (refusal.fault.code(), refusal.fault.message());
            push_error(&mut out, channel, code, message);
            is_json(&out);
        }
    }
}

/// Reads any bytes as a request of an application: the first line is its query, the second one its
/// content type, and what follows the body.
pub fn fuzz_forms(data: &[u8]) {
    let mut lines = data.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or(&[]);
    let (query, content_type, body) = (line(), line(), line());
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let headers = [
        Header {
            name: "Content-Type",
            value: content_type,
        },
        Header {
            name: "Cookie",
            value: content_type,
        },
    ];
    let request = Request {
        method: Method::Post,
        path: "/events",
        query: Some(query),
        is_1_1: true,
        headers: Headers(&headers),
        body,
    };
    if let Some(sid) = find_sid(&request) {
        assert!(!sid.is_empty());
    }
    if let Ok(given) = bodies::credentials(query) {
        // A byte may be replaced by a character of three.
        assert!(given.ident.len() <= 3 * query.len());
    }
    if let Ok((target, channel)) = bodies::named(query) {
        assert!(target.len() + channel.map_or(0, |channel| channel.len()) <= query.len());
    }
    let fields = match Fields::of(&request) {
        Ok(fields) => fields,
        Err(fault) => return checked_fault(&fault),
    };
    assert!(fields.json().len() <= PUSHI_FIELDS_MAX);
    fields.flag("force");
    if let Err(fault) = fields.number("count", 10) {
        checked_fault(&fault);
    }
    match bodies::event(&fields) {
        Ok(event) => checked_event(&event),
        Err(fault) => checked_fault(&fault),
    }
    match bodies::app_fields(&fields) {
        Ok(changes) => {
            if let Some(meta) = changes.meta.value() {
                assert!(meta.starts_with('{'));
                is_json(meta.as_bytes());
            }
            assert!(changes.name.value().is_none_or(|name| !name.is_empty()));
        }
        Err(fault) => checked_fault(&fault),
    }
    for kind in RecordKind::ALL {
        match bodies::record(kind, fields.clone()) {
            Ok(record) => {
                for text in [&record.target, &record.channel] {
                    assert!(!text.is_empty() && !text.contains('\0'));
                }
                assert_eq!(record.keys.is_some(), kind == RecordKind::WebPush);
            }
            Err(fault) => checked_fault(&fault),
        }
    }
}

fn checked_event(event: &bodies::NewEvent<'_>) {
    assert!(!event.data.is_empty() && is_event_length(&event.name));
    assert!((1..=PUSHI_CHANNELS_PER_EVENT_MAX).contains(&event.channels.len()));
    let stored = event.persist.then_some((7, 1));
    for channel in &event.channels {
        assert!(is_channel_length(channel));
        let mut out = Vec::new();
        let data = Some(&*event.data);
        push_message(&mut out, &event.name, channel, data, stored, &event.extra);
        is_json(&out);
        out.clear();
        let record = StoredEvent {
            id: 1,
            mid: 7,
            channel: (&**channel).into(),
            owner: None,
            micros: 1,
            name: (&*event.name).into(),
            data: (&*event.data).into(),
            extra: event.extra.as_str().into(),
        };
        push_event_record(&mut out, &record, "app", true);
        is_json(&out);
    }
    // No name is there twice, not even one that was written with escapes.
    let extra = format!("{{{}}}", event.extra);
    let mut names = BTreeSet::from(["channel", "event", "data"].map(Cow::Borrowed));
    let whole = each_member(&extra, |name, _| assert!(names.insert(name), "{extra}"));
    assert_eq!(whole, Ok(Some(())));
}

fn checked_fault(fault: &Fault) {
    assert!(matches!(fault.status, 400 | 413), "{fault:?}");
    assert!((1..1024).contains(&fault.message.len()));
    is_json(&fault.response([0; 16]).body);
}

/// Reads any bytes as names, ids and signatures.
pub fn fuzz_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let kind = Kind::of(text);
    assert_eq!(kind.is_signed(), kind != Kind::Public);
    if let Some(id) = parse_uuid(text) {
        assert_eq!(uuid(id), text);
    }
    if let Some(sid) = Sid::parse(text) {
        assert_eq!(sid.to_string(), text);
        // That the proof is right by chance does not happen.
        assert!(!sid.check("secret", sid.issued_s()));
        let ours = SessionKey::new("secret").issue(AppRow(1), sid.issued_s(), [0; 16]);
        assert!(ours.check("secret", sid.issued_s()));
    }
    let keys = Keys::new("key", "secret");
    assert!(!keys.allows(text, "1", "private-a"));
    assert!(keys.allows(&keys.sign(text, "private-a"), text, "private-a"));
    assert!(keys.allows(&keys.sign("1", text), "1", text));

    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or("");
    let (base, one, other) = (line(), line(), line());
    let name = pair_name(base, one, other);
    assert_eq!(name, pair_name(base, other, one));
    for user in [one, other] {
        assert!(eligible(&name, base, user));
        let tail = pair_tail(&name, base).unwrap_or("");
        let found = other_of_pair(tail, user).unwrap_or("");
        assert_eq!(pair_name(base, user, found), name);
    }
    // What a client makes up: whoever is eligible is in it.
    if eligible(text, base, one) {
        assert!(text.starts_with("peer-") && text.contains(one));
    }
}
