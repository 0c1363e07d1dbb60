//! Events as the frames of section 9 of the specification: a JSON list of exactly one object, as
//! clients exist that read only the first.

use super::dates::DateTime;
use super::stamps::{push_stamp, push_text, push_uuid};
use crate::hub::{
    DeleteView, EditView, Event, Id, MessageView, Presence, PublicState, Stamp, StateChange,
};
use std::ops::Deref;

impl From<Stamp> for DateTime {
    fn from(stamp: Stamp) -> Self {
        Self {
            local_micros: stamp.micros,
            offset_minutes: stamp.offset_minutes,
        }
    }
}

impl From<DateTime> for Stamp {
    fn from(time: DateTime) -> Self {
        Self {
            micros: time.local_micros,
            offset_minutes: time.offset_minutes,
        }
    }
}

/// What another protocol, whose events have names and channels, makes of one of this protocol's: the
/// name of the event and the channel. None for what is private to users, which stays here, and for
/// what every protocol tells in words of its own.
pub(in crate::dialect) fn foreign<'e>(event: &'e Event<'_>) -> Option<(&'static str, &'e str)> {
    let (name, channel) = match event {
        Event::Message(message) => ("message", message.channel),
        Event::MessageEdit(edit) => ("message:edit", edit.channel),
        Event::MessageDelete(delete) => ("message:delete", delete.channel),
        Event::UserState(change) => ("user_state_change", Some(&*change.channel)),
        Event::Presence(_) | Event::Count(_) | Event::Watched(_) => return None,
    };
    Some((name, channel?))
}

/// The one object of an event's frame, for another protocol that tells of it.
pub(in crate::dialect) fn frame_object(event: &Event<'_>, catch_up: bool) -> String {
    let mut frame = Vec::new();
    if is_told(event) {
        push_event(&mut frame, event, catch_up);
    }
    let list = String::from_utf8_lossy(&frame);
    let object = list
        .strip_prefix('[')
        .and_then(|list| list.strip_suffix(']'));
    object.unwrap_or("{}").to_owned()
}

/// Whether this protocol tells such an event at all.
pub(super) fn is_told(event: &Event<'_>) -> bool {
    match event {
        Event::Message(_)
        | Event::MessageEdit(_)
        | Event::MessageDelete(_)
        | Event::UserState(_) => true,
        Event::Presence(presence) => presence.by_settings,
        Event::Count(_) | Event::Watched(_) => false,
    }
}

/// Appends `event` as the text of one frame.
pub(super) fn push_event(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool) {
    out.push(b'[');
    match event {
        Event::Message(message) => push_message(out, message, catch_up),
        Event::MessageEdit(edit) => push_edit(out, edit, catch_up),
        Event::MessageDelete(delete) => push_delete(out, delete, catch_up),
        Event::Presence(presence) => push_presence(out, presence, catch_up),
        Event::UserState(change) => push_state_change(out, change, catch_up),
        // Not told, see above.
        Event::Count(_) | Event::Watched(_) => {}
    }
    out.push(b']');
}

fn push_message(out: &mut Vec<u8>, message: &MessageView<'_>, catch_up: bool) {
    // One growth instead of several; the fixed words come to some 160 bytes.
    out.reserve(192 + message.body.map_or(0, str::len));
    out.extend_from_slice(b"{\"uuid\":\"");
    push_uuid(out, message.id.0);
    out.extend_from_slice(b"\",\"timestamp\":\"");
    DateTime::from(message.at).push_for_frame(out);
    out.extend_from_slice(b"\",\"channel\":");
    push_text_or_null(out, message.channel);
    out.extend_from_slice(b",\"user\":");
    push_text(out, message.user);
    push_body(out, message.event, message.body);
    out.extend_from_slice(b",\"edited\":");
    match message.edited {
        Some(edited) => push_frame_time(out, edited),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"catchup\":");
    push_bool(out, catch_up);
    out.extend_from_slice(b",\"type\":\"message\"}");
}

/// Appends the payload to an object, if there is one. An event that another protocol named is an
/// object of that name and its data as text.
fn push_body(out: &mut Vec<u8>, event: Option<&str>, body: Option<&str>) {
    let Some(body) = body else {
        return;
    };
    out.extend_from_slice(b",\"message\":");
    match event {
        None => out.extend_from_slice(body.as_bytes()),
        Some(event) => {
            out.extend_from_slice(b"{\"event\":");
            push_text(out, event);
            out.extend_from_slice(b",\"data\":");
            push_text(out, body);
            out.push(b'}');
        }
    }
}

/// Only what was replaced is in it; and `catchup` is, other than in messages, if it is true.
fn push_edit(out: &mut Vec<u8>, edit: &EditView<'_>, catch_up: bool) {
    out.reserve(192 + edit.body.map_or(0, str::len));
    out.push(b'{');
    push_id(out, "uuid", edit.id);
    out.extend_from_slice(b",\"channel\":");
    push_text_or_null(out, edit.channel);
    if let Some(at) = edit.at {
        out.extend_from_slice(b",\"timestamp\":");
        push_frame_time(out, at);
    }
    if let Some(user) = edit.user {
        out.extend_from_slice(b",\"user\":");
        push_text(out, user);
    }
    if let Some(body) = edit.body {
        out.extend_from_slice(b",\"message\":");
        out.extend_from_slice(body.as_bytes());
    }
    out.extend_from_slice(b",\"edited\":");
    push_frame_time(out, edit.edited);
    push_caught_up(out, catch_up);
    out.extend_from_slice(b",\"type\":\"message:edit\"}");
}

fn push_delete(out: &mut Vec<u8>, delete: &DeleteView<'_>, catch_up: bool) {
    out.push(b'{');
    push_id(out, "uuid", delete.id);
    out.extend_from_slice(b",\"channel\":");
    push_text_or_null(out, delete.channel);
    push_caught_up(out, catch_up);
    out.extend_from_slice(b",\"type\":\"message:delete\"}");
}

fn push_caught_up(out: &mut Vec<u8>, catch_up: bool) {
    if catch_up {
        out.extend_from_slice(b",\"catchup\":true");
    }
}

fn push_state_change(out: &mut Vec<u8>, change: &StateChange, catch_up: bool) {
    out.push(b'{');
    push_id(out, "uuid", change.id);
    out.extend_from_slice(b",\"type\":\"user_state_change\",\"user\":");
    push_text(out, &change.user);
    out.extend_from_slice(b",\"timestamp\":");
    push_frame_time(out, change.at);
    out.extend_from_slice(b",\"catchup\":");
    push_bool(out, catch_up);
    out.extend_from_slice(b",\"channel\":");
    push_text(out, &change.channel);
    out.extend_from_slice(b",\"message\":{\"state\":");
    push_public_state(out, &change.told.state);
    out.extend_from_slice(b",\"changed\":");
    let changed = change.told.changed.iter();
    push_changed(out, changed.map(|(key, value)| (&**key, &**value)));
    out.extend_from_slice(b"}}");
}

/// Appends keys and values as a list of objects; the values are JSON already.
pub(super) fn push_changed<'s>(
    out: &mut Vec<u8>,
    changed: impl Iterator<Item = (&'s str, &'s str)>,
) {
    out.push(b'[');
    for (at, (key, value)) in changed.enumerate() {
        push_comma(out, at);
        out.extend_from_slice(b"{\"key\":");
        push_text(out, key);
        out.extend_from_slice(b",\"value\":");
        out.extend_from_slice(value.as_bytes());
        out.push(b'}');
    }
    out.push(b']');
}

fn push_frame_time(out: &mut Vec<u8>, at: Stamp) {
    out.push(b'"');
    DateTime::from(at).push_for_frame(out);
    out.push(b'"');
}

fn push_presence(out: &mut Vec<u8>, presence: &Presence, catch_up: bool) {
    out.extend_from_slice(b"{\"uuid\":\"");
    push_uuid(out, presence.id.0);
    out.extend_from_slice(b"\",\"type\":\"presence\",\"user\":");
    push_text(out, &presence.user);
    out.extend_from_slice(b",\"users\":[");
    for (at, member) in presence.members.iter().flatten().enumerate() {
        push_comma(out, at);
        out.extend_from_slice(b"{\"user\":");
        push_text(out, &member.user);
        out.extend_from_slice(b",\"state\":");
        push_public_state(out, &member.state);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"timestamp\":\"");
    push_stamp(out, u64::try_from(presence.at.micros).unwrap_or(0));
    out.extend_from_slice(b"\",\"channel\":");
    push_text(out, &presence.channel);
    out.extend_from_slice(b",\"message\":{\"action\":\"");
    out.extend_from_slice(if presence.joined {
        b"joined"
    } else {
        b"parted"
    });
    out.extend_from_slice(b"\"},\"state\":");
    if presence.joined {
        push_public_state(out, &presence.state);
    } else {
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(b",\"catchup\":");
    push_bool(out, catch_up);
    out.push(b'}');
}

fn push_public_state(out: &mut Vec<u8>, state: &PublicState) {
    push_state(out, state.iter().map(|(key, value)| (&**key, &**value)));
}

/// Appends a state as an object; its values are JSON already.
pub(super) fn push_state<'s>(out: &mut Vec<u8>, state: impl Iterator<Item = (&'s str, &'s str)>) {
    out.push(b'{');
    for (at, (key, value)) in state.enumerate() {
        push_comma(out, at);
        push_text(out, key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
}

/// Appends a list of texts.
pub(super) fn push_texts<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t str>) {
    out.push(b'[');
    for (at, text) in texts.enumerate() {
        push_comma(out, at);
        push_text(out, text);
    }
    out.push(b']');
}

fn push_text_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

pub(super) fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(super) fn push_comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse(); // `start` was the length a moment ago
}

/// Appends `{"uuid": ..., }`'s first member, as several objects begin with it.
pub(super) fn push_id(out: &mut Vec<u8>, name: &str, id: Id) {
    push_text(out, name);
    out.extend_from_slice(b":\"");
    push_uuid(out, id.0);
    out.push(b'"');
}

/// Whom something was for, as the answer repeats it.
pub(super) struct Target<'a, Name> {
    pub(super) only: &'a [Name],
    pub(super) except: &'a [Name],
    pub(super) channel: Option<&'a str>,
    pub(super) no_history: bool,
    pub(super) id: Id,
}

/// Appends the beginning of a message, an edit or a deletion as callers see it; the caller ends
/// the object.
pub(super) fn push_target<Name: Deref<Target = str>>(out: &mut Vec<u8>, target: &Target<'_, Name>) {
    out.extend_from_slice(b"{\"pm_users\":");
    push_texts(out, target.only.iter().map(|name| &**name));
    out.extend_from_slice(b",\"exclude_users\":");
    push_texts(out, target.except.iter().map(|name| &**name));
    out.extend_from_slice(b",\"channel\":");
    push_text_or_null(out, target.channel);
    out.extend_from_slice(b",\"no_history\":");
    push_bool(out, target.no_history);
    out.push(b',');
    push_id(out, "uuid", target.id);
}

/// Appends the beginning of a message or an edit: the target, then when, who and what, as far as
/// there is any of it, and when it was edited, or null. The caller ends the object.
pub(super) fn push_content<Name: Deref<Target = str>>(
    out: &mut Vec<u8>,
    target: &Target<'_, Name>,
    (at, user): (Option<Stamp>, Option<&str>),
    (event, body): (Option<&str>, Option<&str>),
    edited: Option<Stamp>,
) {
    push_target(out, target);
    if let Some(at) = at {
        out.extend_from_slice(b",\"timestamp\":");
        push_answer_time(out, at);
    }
    if let Some(user) = user {
        out.extend_from_slice(b",\"user\":");
        push_text(out, user);
    }
    push_body(out, event, body);
    out.extend_from_slice(b",\"edited\":");
    match edited {
        Some(edited) => push_answer_time(out, edited),
        None => out.extend_from_slice(b"null"),
    }
}

fn push_answer_time(out: &mut Vec<u8>, at: Stamp) {
    out.push(b'"');
    DateTime::from(at).push_for_answer(out);
    out.push(b'"');
}
