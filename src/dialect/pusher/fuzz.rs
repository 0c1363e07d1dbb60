//! What fuzzing drives: every parser of this folder, with its limits asserted.

use super::auth::{AuthFault, Keys, auth_key, param};
use super::bodies::{self, Fault, NewEvent, Wants};
use super::config::App;
use super::names::{
    Kind, is_channel, is_event_for_api, is_socket_id, is_user_id, parse_socket_id, server_to_user,
    socket_id,
};
use super::words::{self, Word};
use crate::dialect::json::compact;
use crate::hub::AppId;
use crate::limits::{PUSHER_TIMESTAMP_S, PUSHER_USER_CHARS_MAX};
use std::collections::BTreeSet;

fn is_json(text: &str) {
    let value = serde_json::from_str::<serde::de::IgnoredAny>(text);
    assert!(value.is_ok(), "not JSON: {text}");
}

/// Reads any bytes as what a client says, and as what it tells of itself.
pub fn fuzz_words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match words::read(text) {
        Ok(word) => {
            is_json(text);
            if let Word::Client { event, data, .. } = &word {
                assert!(event.starts_with("client-"));
                if let words::Data::Json(json) = data {
                    is_json(json);
                    assert_eq!(compact(json), **json);
                }
            }
            // Nothing that a client says can grow beyond what it sent.
            let length = match &word {
                Word::Ping | Word::Pong => 0,
                Word::Subscribe {
                    channel,
                    auth,
                    channel_data,
                } => {
                    let length = |text: &Option<std::borrow::Cow<'_, str>>| {
                        text.as_ref().map_or(0, |text| text.len())
                    };
                    channel.len() + length(auth) + length(channel_data)
                }
                Word::Unsubscribe { channel } => channel.len(),
                Word::Signin { auth, user_data } => auth.len() + user_data.len(),
                Word::Client {
                    event,
                    channel,
                    data,
                } => event.len() + channel.len() + data.as_str().len(),
                Word::Other { event } => event.len(),
            };
            assert!(length <= text.len());
        }
        Err(words::Unreadable(why)) => assert!(!why.is_empty()),
    }
    if let Ok(member) = words::member(text, 16) {
        let chars = member.user.chars().count();
        assert!((1..=PUSHER_USER_CHARS_MAX).contains(&chars));
        if let Some(info) = member.info {
            assert!(info.len() <= 16);
            is_json(&info);
        }
    }
    if let Ok(user) = words::user(text, 2) {
        assert!(is_user_id(&user.id));
        assert!(user.watchlist.len() <= 2 && user.watchlist.iter().all(|id| is_user_id(id)));
        user.info.iter().for_each(|info| is_json(info));
    }
}

/// Reads any bytes as what an application posts.
pub fn fuzz_bodies(data: &[u8]) {
    let mut app = App::new(AppId(1), "1", "key", "secret");
    app.event_bytes = 32;
    app.channels_per_event = 3;
    app.batch_events = 2;
    match bodies::event(data, &app) {
        Ok(event) => checked_event(&event, &app, data),
        Err(fault) => checked_fault(&fault),
    }
    match bodies::batch(data, &app) {
        Ok(events) => {
            assert!(events.len() <= app.batch_events);
            for event in events {
                assert_eq!(event.channels.len(), 1);
                checked_event(&event, &app, data);
            }
        }
        Err(fault) => checked_fault(&fault),
    }
}

fn checked_event(event: &NewEvent<'_>, app: &App, body: &[u8]) {
    is_json(std::str::from_utf8(body).expect("what was read is text"));
    assert_eq!(is_event_for_api(&event.name), Ok(()));
    assert!(event.data.len() <= app.event_bytes);
    assert!((1..=app.channels_per_event).contains(&event.channels.len()));
    let distinct: BTreeSet<_> = event.channels.iter().collect();
    assert_eq!(distinct.len(), event.channels.len());
    for name in &event.channels {
        assert!(is_channel(name, app.channel_chars) != server_to_user(name).is_some());
    }
}

fn checked_fault(fault: &Fault) {
    assert!(fault.status == 400 || fault.status == 413);
    // A name in it is cut, and may be written with escapes.
    assert!((1..1024).contains(&fault.message.len()));
}

/// Reads any bytes as the target of a request, as names, ids and signatures.
pub fn fuzz_requests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let keys = Keys::new("key", "secret");
    let at = 1_600_000_000;
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    match keys.check_request("GET", path, query, b"", at) {
        Ok(()) => {
            assert_eq!(auth_key(query).as_deref(), Some("key"));
            let late = at + 2 * PUSHER_TIMESTAMP_S + 1;
            assert!(keys.check_request("GET", path, query, b"", late).is_err());
            assert!(keys.check_request("GET", path, query, b"x", at).is_err());
            let other = Keys::new("key", "other");
            assert!(other.check_request("GET", path, query, b"", at).is_err());
        }
        Err(fault) => {
            // A character may be escaped to a few, once more than it was.
            assert!(fault.message().len() <= text.len() * 12 + 256);
            if let AuthFault::Signature { text } = fault {
                assert!(text.starts_with("GET\n"));
            }
        }
    }
    let signed = keys.sign_request("POST", path, &[("x", query)], data, at);
    assert_eq!(param(&signed, "X").as_deref(), Some(query));
    assert_eq!(
        keys.check_request("POST", path, &signed, data, at),
        Ok(()),
        "{signed}"
    );
    Wants::in_query(query);

    let kind = Kind::of(text);
    assert!(!kind.has_members() || kind.needs_auth());
    assert!(!kind.takes_client_events() || kind.needs_auth());
    if let Some(id) = server_to_user(text) {
        assert!(is_user_id(id) && !is_channel(text, usize::MAX));
    }
    if let Some(id) = parse_socket_id(text) {
        assert!(is_socket_id(text) && socket_id(id) == text);
    }
    assert!(!keys.allows_channel(text, "1.2", "private-a", None));
    assert!(!keys.allows_signin(text, "1.2", "{}"));
    let auth = keys.channel_auth("1.2", text, None);
    assert!(keys.allows_channel(&auth, "1.2", text, None));
}
