//! What sockets are told, as JSON objects. Which data is a text that holds JSON, and which records
//! look how, is that of the original.
//!
//! The records that applications see are in [`records`]: those of events are in both.

pub mod records;

use super::names::push_uuid;
use crate::dialect::json::push_text;
use crate::store::StoredEvent;
use records::push_event_record;
use std::io::Write;

/// The answer to a socket that subscribed.
pub const SUBSCRIBED: &str = "pusher_internal:subscription_succeeded";
/// The answer to a socket that left.
pub const UNSUBSCRIBED: &str = "pusher_internal:unsubscription_succeeded";
/// The answer to a socket that asked for the latest events.
pub const LATEST: &str = "pusher_internal:latest";

/// What an answer tells of a channel.
#[derive(Debug, Clone)]
pub struct Description<'a, M> {
    /// The channel that was asked for.
    pub name: &'a str,
    /// Members of a presence channel, in order: each user once, with the JSON text of what it tells
    /// of itself.
    pub members: M,
    /// The channels that a personal channel stands for.
    pub alias: &'a [Box<str>],
    /// Events, newest first.
    pub events: &'a [StoredEvent],
    /// The `ident` of the app whose events these are.
    pub ident: &'a str,
}

/// Appends the first frame of a socket.
pub fn push_established(out: &mut Vec<u8>, socket_id: u128) {
    out.extend_from_slice(
        b"{\"event\":\"pusher:connection_established\",\"data\":\"{\\\"socket_id\\\":\\\"",
    );
    push_uuid(out, socket_id);
    out.extend_from_slice(b"\\\"}\"}");
}

/// Appends one of the three answers ([`SUBSCRIBED`], [`UNSUBSCRIBED`], [`LATEST`]) about this
/// channel.
pub fn push_description<'a>(
    out: &mut Vec<u8>,
    answer: &str,
    channel: &str,
    description: Description<'a, impl Iterator<Item = (&'a str, &'a str)>>,
) {
    let mut data = Vec::with_capacity(128);
    data.extend_from_slice(b"{\"name\":");
    push_text(&mut data, description.name);
    data.extend_from_slice(b",\"members\":{");
    push_each(&mut data, description.members, |data, (user, told)| {
        push_text(data, user);
        data.push(b':');
        data.extend_from_slice(told.as_bytes());
    });
    data.extend_from_slice(b"},\"alias\":[");
    push_each(&mut data, description.alias, |data, name| {
        push_text(data, name);
    });
    data.extend_from_slice(b"],\"events\":[");
    push_each(&mut data, description.events, |data, event| {
        push_event_record(data, event, description.ident, false);
    });
    data.extend_from_slice(b"]}");
    push_data(out, answer, &data, channel);
}

/// Appends that a user has come to a presence channel, or has left it. `told` is the JSON text of
/// what it tells of itself.
pub fn push_member(out: &mut Vec<u8>, added: bool, channel: &str, told: &str) {
    let event: &[u8] = match added {
        true => b"{\"event\":\"pusher:member_added\",\"member\":",
        false => b"{\"event\":\"pusher:member_removed\",\"member\":",
    };
    out.extend_from_slice(event);
    push_text(out, told);
    out.extend_from_slice(b",\"channel\":");
    push_text(out, channel);
    out.push(b'}');
}

/// Appends an event as its subscribers get it.
///
/// Data that is empty is left out. `stored` is the id of an event that is stored, and when it was
/// published, in microseconds since 1970-01-01 UTC. `extra` are further members as JSON without
/// braces; none of them may have a name that is written here.
pub fn push_message(
    out: &mut Vec<u8>,
    event: &str,
    channel: &str,
    data: Option<&str>,
    stored: Option<(u128, u64)>,
    extra: &str,
) {
    let data = data.unwrap_or("");
    // One growth instead of several, unless much has to be escaped.
    out.reserve(160 + event.len() + channel.len() + data.len() * 9 / 8 + extra.len());
    push_payload(out, event, channel, data, extra);
    if let Some((mid, micros)) = stored {
        out.extend_from_slice(b",\"mid\":\"");
        push_uuid(out, mid);
        out.extend_from_slice(b"\",\"timestamp\":");
        push_seconds(out, micros);
    }
    out.push(b'}');
}

/// The payload of an event without the brace that ends it.
fn push_payload(out: &mut Vec<u8>, event: &str, channel: &str, data: &str, extra: &str) {
    out.extend_from_slice(b"{\"channel\":");
    push_text(out, channel);
    out.extend_from_slice(b",\"event\":");
    push_text(out, event);
    if !data.is_empty() {
        out.extend_from_slice(b",\"data\":");
        push_text(out, data);
    }
    if !extra.is_empty() {
        out.push(b',');
        out.extend_from_slice(extra.as_bytes());
    }
}

/// Appends that a socket may not subscribe. The code has the meaning that it has as a status of HTTP.
pub fn push_subscription_error(out: &mut Vec<u8>, channel: &str, code: u16, message: &str) {
    push_refusal(out, "pusher:subscription_error", channel, code, message);
}

/// Appends that something else was refused. Where no channel is concerned its name is empty: the
/// original's client for browsers needs a text there in every frame.
pub fn push_error(out: &mut Vec<u8>, channel: &str, code: u16, message: &str) {
    push_refusal(out, "pusher:error", channel, code, message);
}

fn push_refusal(out: &mut Vec<u8>, event: &str, channel: &str, code: u16, message: &str) {
    let mut data = Vec::with_capacity(32 + message.len());
    // Writing to memory does not fail.
    let _ = write!(data, "{{\"code\":{code},\"message\":");
    push_text(&mut data, message);
    data.push(b'}');
    push_data(out, event, &data, channel);
}

/// `{"event":…,"data":"…","channel":…}`, where the data is JSON as text.
fn push_data(out: &mut Vec<u8>, event: &str, json: &[u8], channel: &str) {
    out.reserve(64 + event.len() + channel.len() + json.len() * 5 / 4);
    out.extend_from_slice(b"{\"event\":");
    push_text(out, event);
    out.extend_from_slice(b",\"data\":");
    push_text(out, &String::from_utf8_lossy(json));
    out.extend_from_slice(b",\"channel\":");
    push_text(out, channel);
    out.push(b'}');
}

/// Appends microseconds as seconds with their fraction, all digits of it.
pub fn push_seconds(out: &mut Vec<u8>, micros: u64) {
    let (whole, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let _ = write!(out, "{whole}.{fraction:06}");
}

/// Appends what `push` appends for each, with commas between.
fn push_each<T>(
    out: &mut Vec<u8>,
    each: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    for (at, one) in each.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).expect("JSON")
    }

    /// The JSON in a text.
    fn inside(value: &Value) -> Value {
        serde_json::from_str(value.as_str().expect("a text")).expect("JSON in it")
    }

    fn stored(id: u64) -> StoredEvent {
        StoredEvent {
            id,
            mid: 1,
            channel: "room".into(),
            owner: None,
            micros: 1_795_300_668_631_074,
            name: "message".into(),
            data: "hi".into(),
            extra: "".into(),
        }
    }

    #[test]
    fn the_first_frame_has_no_channel() {
        let frame = written(|out| push_established(out, 0xabc));
        assert_eq!(frame.as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(frame["event"], "pusher:connection_established");
        let id = "00000000-0000-0000-0000-000000000abc";
        assert_eq!(inside(&frame["data"]), json!({ "socket_id": id }));
    }

    #[test]
    fn descriptions_are_texts_that_hold_json() {
        let members = [
            ("u\"1", r#"{"user_id":"u\"1","n":1e999}"#),
            ("7", r#"{"user_id":7}"#),
        ];
        let frame = written(|out| {
            let description = Description {
                name: "presence-\"é",
                members: members[1..].iter().copied(),
                alias: &[],
                events: &[],
                ident: "app",
            };
            push_description(out, SUBSCRIBED, "presence-\"é", description);
        });
        assert_eq!(frame["event"], "pusher_internal:subscription_succeeded");
        assert_eq!(frame["channel"], "presence-\"é");
        let expected = json!({"name": "presence-\"é", "members": {"7": {"user_id": 7}},
            "alias": [], "events": []});
        assert_eq!(inside(&frame["data"]), expected);

        // What members told goes out as it came, numbers of any size too.
        let frame = written(|out| {
            let description = Description {
                name: "a",
                members: members.into_iter(),
                alias: &[],
                events: &[],
                ident: "",
            };
            push_description(out, UNSUBSCRIBED, "a", description);
        });
        let text = frame["data"].as_str().expect("a text");
        let expected = r#""members":{"u\"1":{"user_id":"u\"1","n":1e999},"7":{"user_id":7}}"#;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn personal_channels_tell_their_channels_and_events() {
        let alias: [Box<str>; 2] = ["news".into(), "private-a".into()];
        let events = [stored(2), stored(1)];
        let frame = written(|out| {
            let description = Description {
                name: "personal-u1",
                members: std::iter::empty(),
                alias: &alias,
                events: &events,
                ident: "app",
            };
            push_description(out, LATEST, "personal-u1", description);
        });
        let data = inside(&frame["data"]);
        assert_eq!(data["alias"], json!(["news", "private-a"]));
        assert_eq!(data["members"], json!({}));
        let records = data["events"].as_array().expect("a list");
        let ids: Vec<_> = records.iter().map(|record| &record["id"]).collect();
        assert_eq!(ids, [2, 1]);
        assert!(records.iter().all(|record| record.get("_id").is_none()));
        assert_eq!(records[0]["instance"], "app");
        assert_eq!(records[0]["data"]["data"], "hi");
    }

    #[test]
    fn members_come_and_go_without_data() {
        for (added, event) in [
            (true, "pusher:member_added"),
            (false, "pusher:member_removed"),
        ] {
            let told = r#"{"user_id":"u1","name":"Ö\"ne"}"#;
            let frame = written(|out| push_member(out, added, "presence-a", told));
            let expected = json!({"event": event, "member": told, "channel": "presence-a"});
            assert_eq!(frame, expected);
        }
    }

    #[test]
    fn messages_carry_text_or_nothing() {
        let frame = written(|out| push_message(out, "message", "room", Some("h\"i\n"), None, ""));
        let expected = json!({"event": "message", "channel": "room", "data": "h\"i\n"});
        assert_eq!(frame, expected);
        for nothing in [None, Some("")] {
            let frame = written(|out| push_message(out, "e", "", nothing, None, ""));
            assert_eq!(frame, json!({"event": "e", "channel": ""}));
        }
        let extra = r#""persist":true,"foo":{"a":1}"#;
        let stored = Some((0xabc, 1_600_000_000_000_007));
        let mut text = Vec::new();
        push_message(&mut text, "é", "room", Some("x"), stored, extra);
        let text = String::from_utf8(text).expect("text");
        assert_eq!(
            text,
            concat!(
                r#"{"channel":"room","event":"é","data":"x","persist":true,"foo":{"a":1},"#,
                r#""mid":"00000000-0000-0000-0000-000000000abc","timestamp":1600000000.000007}"#
            )
        );
        let frame = written(|out| push_message(out, "e", "c", None, stored, "\"a\":[]"));
        assert_eq!(frame["a"], json!([]));
        assert!(frame["timestamp"].is_number() && frame.get("data").is_none());
    }

    #[test]
    fn errors_name_a_channel_in_any_case() {
        let data = json!({"code": 403, "message": "no \"é\""});
        let frame = written(|out| push_subscription_error(out, "private-a", 403, "no \"é\""));
        assert_eq!(frame["event"], "pusher:subscription_error");
        assert_eq!(frame["channel"], "private-a");
        assert_eq!(inside(&frame["data"]), data);
        let frame = written(|out| push_error(out, "", 403, "no \"é\""));
        assert_eq!(frame["event"], "pusher:error");
        assert_eq!(frame["channel"], "");
        assert_eq!(inside(&frame["data"]), data);
    }

    #[test]
    fn seconds_lose_no_digit() {
        for (micros, expected) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (999_999, "0.999999"),
            (1_000_000, "1.000000"),
            (1_795_300_668_631_074, "1795300668.631074"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut out = Vec::new();
            push_seconds(&mut out, micros);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
