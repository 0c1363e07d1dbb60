//! What fuzzing drives: every parser of this folder, with its limits asserted.

use super::dates::DateTime;
use super::errors::BodyFault;
use super::pages::{self, Cors};
use super::sign::Signer;
use super::{fields, json, stamps, words};
use crate::limits::{
    CS_CHANNEL_CHARS_MAX, CS_MESSAGES_PER_REQUEST_MAX, CS_USER_CHARS_MAX, JSON_DEPTH_MAX,
};
use std::borrow::Cow;

/// Reads any bytes as every kind of body.
pub fn fuzz_json(data: &[u8]) {
    if let Some(connect) = sound(words::parse_connect(data), data) {
        names(&[connect.username], CS_USER_CHARS_MAX);
        names(&connect.channels, CS_CHANNEL_CHARS_MAX);
        names(&connect.state_public_keys, CS_CHANNEL_CHARS_MAX);
        for (_, value) in connect.fresh_user_state.iter().chain(&connect.user_state) {
            is_json(value);
            assert!(json::same_plain(value, value));
        }
    }
    let subscribe = words::parse_subscribe(data, None, |id| id % 2 == 0);
    if let Some(subscribe) = sound(subscribe, data) {
        assert!(!subscribe.channels.is_empty() && subscribe.conn_id % 2 == 0);
        names(&subscribe.channels, CS_CHANNEL_CHARS_MAX);
    }
    if let Some(info) = sound(words::parse_info(data), data) {
        names(&info.channels.unwrap_or_default(), CS_CHANNEL_CHARS_MAX);
        names(
            &info.exclude_channels.unwrap_or_default(),
            CS_CHANNEL_CHARS_MAX,
        );
    }
    sound(words::parse_disconnect(data), data);
    let messages = sound(words::parse_messages(data), data).unwrap_or_default();
    assert!(messages.len() <= CS_MESSAGES_PER_REQUEST_MAX);
    for message in messages {
        names(&[message.user], CS_USER_CHARS_MAX);
        names(message.channel.as_slice(), CS_CHANNEL_CHARS_MAX);
        names(&message.pm_users, CS_USER_CHARS_MAX);
        names(&message.exclude_users, CS_USER_CHARS_MAX);
        message.timestamp.into_iter().for_each(date_time);
        message.message.as_deref().into_iter().for_each(payload);
    }
    for edit in sound(words::parse_edits(data), data).unwrap_or_default() {
        edit.edited.into_iter().for_each(date_time);
        edit.timestamp.into_iter().for_each(date_time);
        edit.message.as_deref().into_iter().for_each(payload);
        names(edit.user.as_slice(), CS_USER_CHARS_MAX);
        names(edit.channel.as_slice(), CS_CHANNEL_CHARS_MAX);
        names(&edit.pm_users, CS_USER_CHARS_MAX);
        names(&edit.exclude_users, CS_USER_CHARS_MAX);
    }
    for delete in sound(words::parse_deletes(data), data).unwrap_or_default() {
        names(delete.channel.as_slice(), CS_CHANNEL_CHARS_MAX);
        names(&delete.pm_users, CS_USER_CHARS_MAX);
        names(&delete.exclude_users, CS_USER_CHARS_MAX);
    }
    if let Some(state) = sound(words::parse_user_state(data, |name| name != "a"), data) {
        assert_ne!(state.user, "a");
        names(&[state.user], CS_USER_CHARS_MAX);
        names(
            &state.state_public_keys.unwrap_or_default(),
            CS_CHANNEL_CHARS_MAX,
        );
        for (_, value) in &state.user_state {
            is_json(value);
            assert!(json::same_plain(value, value));
        }
    }
    let configs = sound(words::parse_channel_config(data), data).unwrap_or_default();
    for (name, _) in &configs {
        assert!(name.chars().count() <= CS_CHANNEL_CHARS_MAX);
    }
    let distinct: std::collections::BTreeSet<_> = configs.iter().map(|(name, _)| name).collect();
    assert_eq!(distinct.len(), configs.len(), "a name comes once");
}

/// Reads any bytes as a signature, and as the other texts of a request.
pub fn fuzz_sign(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let signer = Signer::new(b"secret");
    let verdict = signer.verify(text, 1_600_000_000, Some(60));
    if verdict.is_ok() {
        assert_eq!(signer.verify(text, 1_600_000_000, None), Ok(()));
        assert!(
            Signer::new(b"other")
                .verify(text, 1_600_000_000, None)
                .is_err()
        );
    }
    let signed = signer.sign(text, 1_600_000_000);
    assert_eq!(signer.verify(&signed, 1_600_000_060, Some(60)), Ok(()));
    assert!(signer.verify(&signed, 1_600_000_061, Some(60)).is_err());

    if let Some(uuid) = fields::parse_uuid(text) {
        let mut written = Vec::new();
        stamps::push_uuid(&mut written, uuid);
        let written = String::from_utf8(written).expect("hex digits are text");
        assert_eq!(fields::parse_uuid(&written), Some(uuid));
    }
    DateTime::parse(text).into_iter().for_each(date_time);
    let mut quoted = Vec::new();
    stamps::push_text(&mut quoted, text);
    let quoted = serde_json::from_slice::<String>(&quoted);
    assert_eq!(quoted.ok().as_deref(), Some(text));
    if let Some(value) = crate::transport::http::query::last(text, "secret") {
        // A byte that is no text becomes a character of three.
        assert!(value.len() <= text.len() * 3);
    }
    let entries = || text.split(',');
    let mut list = crate::peers::PeerList::default();
    entries().for_each(|entry| drop(list.add_text(entry)));
    list.lists(None);
    Cors::new(entries()).answer(entries().next());
    assert!(pages::generic(404, Some(text), "Nothing here.").body.len() < 512);
    assert!(!fields::is_callback(text) || text.is_ascii());
    // No piece of a body, but nothing to stumble over either.
    json::Raw::of(text);
}

/// A refusal must be JSON itself, and not much larger than what it refuses.
fn sound<T>(result: Result<T, BodyFault>, body: &[u8]) -> Option<T> {
    match result {
        Ok(value) => {
            let text = std::str::from_utf8(body).expect("what was read is text");
            if !body.is_empty() {
                is_json(text);
            }
            Some(value)
        }
        Err(BodyFault::NotJson) => None,
        Err(BodyFault::Invalid(errors)) => {
            let written = errors.to_json();
            // A key of the caller's may grow sixfold by escapes; the rest is bounded in count.
            assert!(written.len() <= body.len() * 32 + 1024);
            is_json(std::str::from_utf8(&written).expect("a refusal is text"));
            None
        }
    }
}

fn is_json(text: &str) {
    let value = serde_json::from_str::<serde::de::IgnoredAny>(text);
    assert!(value.is_ok(), "not JSON: {text}");
}

fn payload(text: &str) {
    is_json(text);
    assert!(text.starts_with('{') && text.ends_with('}'));
    assert!(json::checked(text.as_bytes()).is_ok());
    let opened = text.bytes().take_while(|&byte| byte == b'{').count();
    assert!(opened <= JSON_DEPTH_MAX);
}

fn names(names: &[Cow<'_, str>], chars_max: usize) {
    for name in names {
        let chars = name.chars().count();
        assert!((1..=chars_max).contains(&chars));
    }
}

fn date_time(moment: DateTime) {
    for push in [DateTime::push_for_answer, DateTime::push_for_frame] {
        let mut written = Vec::new();
        push(moment, &mut written);
        let written = String::from_utf8(written).expect("digits are text");
        assert_eq!(DateTime::parse(&written), Some(moment));
    }
}
