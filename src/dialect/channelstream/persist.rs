//! What survives a restart, as the texts that the store keeps.
//!
//! Each value is one JSON object. What is read back need not be what this version writes: members
//! that are not known are passed over, and so is a whole value that makes no sense, for the rest is
//! worth having. Of a channel only its id must be there, of a message when it was sent and by whom,
//! of a user its id and its state.

use super::encode::{push_bool, push_id, push_number, push_state, push_texts};
use super::fields::parse_uuid;
use super::info::push_settings;
use super::json::{Raw, each_entry, each_member, push_text, read_object};
use crate::hub::{
    AppId, Channel, Hub, Id, KeptMessage, Remember, RestoredChannel, Settings, Stamp, State, User,
};
use crate::store::{Change, Remembered};
use crate::time::Now;
use std::collections::BTreeSet;
use std::io::Write;
use std::rc::Rc;
use std::str::FromStr;

/// What became of what was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Channels that are there again.
    pub channels: usize,
    /// Messages that are in their histories again, or were until newer ones took their place.
    pub messages: usize,
    /// Users that are known again.
    pub users: usize,
    /// Values that make no sense, or stand for something that is there already; the messages of such
    /// a channel are counted, too.
    pub skipped: usize,
}

/// The change in the store that a change in the hub comes to.
pub fn change(what: Remember<'_>) -> Change {
    match what {
        Remember::Channel { channel } => Change::Channel {
            name: channel.name().into(),
            value: written(|out| push_channel(out, channel)),
        },
        Remember::NoChannel { channel } => Change::NoChannel {
            name: channel.into(),
        },
        Remember::Message {
            channel,
            message,
            most,
        } => Change::Message {
            channel: channel.name().into(),
            id: message.id.0,
            value: written(|out| push_message(out, channel, message)),
            most,
        },
        Remember::Edited { channel, message } => Change::Edited {
            channel: channel.name().into(),
            id: message.id.0,
            value: written(|out| push_message(out, channel, message)),
        },
        Remember::NoMessage { channel, id } => Change::NoMessage {
            channel: channel.into(),
            id: id.0,
        },
        Remember::User { user } => Change::User {
            name: user.name().into(),
            value: written(|out| push_user(out, user)),
        },
        Remember::NoUser { user } => Change::NoUser { name: user.into() },
    }
}

/// Gives the hub back what was kept of an app. For the start, before anybody connects.
pub fn restore(remembered: &Remembered, app: AppId, now: Now, hub: &mut Hub) -> Restored {
    let mut restored = Restored::default();
    for (name, value, messages) in &remembered.channels {
        // A message says when the channel was active, too; the last one is at most as late.
        let messages: Vec<Option<Kept>> = messages
            .iter()
            .map(|(id, value)| read_message(Id(*id), value))
            .collect();
        let active = messages.iter().flatten().map(|kept| kept.active_micros);
        let channel = read_channel(value).and_then(|mut row| {
            row.last_active_micros = active.fold(row.last_active_micros, u64::max);
            hub.restore_channel(app, name, &row, now)
        });
        let Some(channel) = channel else {
            restored.skipped += 1 + messages.len();
            continue;
        };
        restored.channels += 1;
        for message in messages {
            match message {
                Some(kept) => {
                    hub.restore_message(channel, kept.message);
                    restored.messages += 1;
                }
                None => restored.skipped += 1,
            }
        }
    }
    for (name, value) in &remembered.users {
        let user = read_user(value)
            .and_then(|(id, state, keys)| hub.restore_user(app, name, id, state, keys, now));
        match user {
            Some(_) => restored.users += 1,
            None => restored.skipped += 1,
        }
    }
    restored
}

// ---- writing -----------------------------------------------------------------------------------

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Box<str> {
    let mut out = Vec::with_capacity(256);
    write(&mut out);
    String::from_utf8_lossy(&out).into()
}

fn push_channel(out: &mut Vec<u8>, channel: &Channel) {
    out.push(b'{');
    push_id(out, "uuid", channel.id());
    out.extend_from_slice(b",\"settings\":");
    push_settings(out, channel.settings());
    out.extend_from_slice(b",\"configured\":");
    push_bool(out, channel.is_configured());
    out.extend_from_slice(b",\"bare\":");
    push_bool(out, channel.is_bare());
    push_active(out, channel);
    out.push(b'}');
}

/// The id stands beside the value. The payload is a text here whatever it is, so that nothing in it
/// can make the value unreadable.
fn push_message(out: &mut Vec<u8>, channel: &Channel, message: &KeptMessage) {
    out.extend_from_slice(b"{\"at\":");
    push_at(out, message.at);
    out.extend_from_slice(b",\"user\":");
    push_text(out, &message.user);
    for (name, users) in [("only", &message.only), ("except", &message.except)] {
        if !users.is_empty() {
            let _ = write!(out, ",\"{name}\":");
            push_texts(out, users.iter().map(|user| &**user));
        }
    }
    for (name, text) in [
        ("event", message.event.as_deref()),
        ("body", message.body.as_deref()),
    ] {
        if let Some(text) = text {
            let _ = write!(out, ",\"{name}\":");
            push_text(out, text);
        }
    }
    if let Some(edited) = message.edited {
        out.extend_from_slice(b",\"edited\":");
        push_at(out, edited);
    }
    if message.stored {
        out.extend_from_slice(b",\"stored\":true");
    }
    push_active(out, channel);
    out.push(b'}');
}

/// Appends a time as a list of microseconds and, if there is one, the offset in minutes.
fn push_at(out: &mut Vec<u8>, at: Stamp) {
    let _ = write!(out, "[{}", at.micros);
    if let Some(minutes) = at.offset_minutes {
        let _ = write!(out, ",{minutes}");
    }
    out.push(b']');
}

fn push_active(out: &mut Vec<u8>, channel: &Channel) {
    out.extend_from_slice(b",\"active\":");
    push_number(out, channel.last_active_micros());
}

fn push_user(out: &mut Vec<u8>, user: &User) {
    out.push(b'{');
    push_id(out, "uuid", user.id());
    out.extend_from_slice(b",\"state\":");
    push_state(out, user.state());
    out.extend_from_slice(b",\"public\":");
    push_texts(out, user.public_keys());
    out.push(b'}');
}

// ---- reading -----------------------------------------------------------------------------------

/// A message, and when its channel was active last when it came.
struct Kept {
    message: KeptMessage,
    active_micros: u64,
}

fn read_channel(value: &str) -> Option<RestoredChannel> {
    let names = ["uuid", "settings", "configured", "bare", "active"];
    let [id, settings, configured, bare, active] = read_object(value, &names).ok()??;
    Some(RestoredChannel {
        id: read_id(id?)?,
        settings: settings.map_or(Some(Settings::default()), read_settings)?,
        is_configured: flag(configured, false)?,
        is_bare: flag(bare, false)?,
        last_active_micros: active.map_or(Some(0), number)?,
    })
}

fn read_settings(value: &str) -> Option<Settings> {
    let names = [
        "notify_presence",
        "broadcast_presence_with_user_lists",
        "notify_state",
        "store_history",
        "history_size",
        "store_frames",
    ];
    let [presence, members, state, history, size, recent] = read_object(value, &names).ok()??;
    let usual = Settings::default();
    Some(Settings {
        notify_presence: flag(presence, usual.notify_presence)?,
        presence_with_members: flag(members, usual.presence_with_members)?,
        notify_state: flag(state, usual.notify_state)?,
        store_history: flag(history, usual.store_history)?,
        history_messages: size.map_or(Some(usual.history_messages), number)?,
        store_recent: flag(recent, usual.store_recent)?,
    })
}

fn read_message(id: Id, value: &str) -> Option<Kept> {
    let names = [
        "at", "user", "only", "except", "event", "body", "edited", "stored", "active",
    ];
    let [at, user, only, except, event, body, edited, stored, active] =
        read_object(value, &names).ok()??;
    let message = KeptMessage {
        id,
        at: read_at(at?)?,
        user: read_text(user?)?,
        channel: None,
        only: only.map_or(Some(Vec::new()), read_texts)?.into(),
        except: except.map_or(Some(Vec::new()), read_texts)?.into(),
        // It would not be here.
        no_history: false,
        stored: flag(stored, false)?,
        event: optional(event, read_text)?,
        body: optional(body, read_text)?.map(Rc::from),
        edited: optional(edited, read_at)?,
    };
    Some(Kept {
        message,
        active_micros: active.map_or(Some(0), number)?,
    })
}

fn read_user(value: &str) -> Option<(Id, State, BTreeSet<Box<str>>)> {
    let [id, state, public] = read_object(value, &["uuid", "state", "public"]).ok()??;
    let mut values = State::new();
    let mut are_plain = true;
    each_member(state?, |key, value| {
        are_plain &= !matches!(Raw::of(value), Raw::List(_) | Raw::Object(_));
        values.insert(key.into(), value.into());
    })
    .ok()??;
    let public = public.map_or(Some(Vec::new()), read_texts)?;
    let id = read_id(id?)?;
    are_plain.then(|| (id, values, public.into_iter().collect()))
}

/// What `read` makes of a member that may be missing. None: it makes nothing of it.
fn optional<T>(json: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match json {
        Some(json) => read(json).map(Some),
        None => Some(None),
    }
}

fn flag(json: Option<&str>, missing: bool) -> Option<bool> {
    match json.map(Raw::of) {
        None => Some(missing),
        Some(Raw::Bool(value)) => Some(value),
        Some(_) => None,
    }
}

fn number<T: FromStr>(json: &str) -> Option<T> {
    match Raw::of(json) {
        Raw::Number(number) => number.parse().ok(),
        _ => None,
    }
}

fn read_text(json: &str) -> Option<Box<str>> {
    match Raw::of(json) {
        Raw::Text(text) => Some(text.into()),
        _ => None,
    }
}

fn read_id(json: &str) -> Option<Id> {
    parse_uuid(&read_text(json)?).map(Id)
}

fn read_texts(json: &str) -> Option<Vec<Box<str>>> {
    let mut texts = Vec::new();
    each_entry(json, |entry| texts.push(read_text(entry))).ok()??;
    texts.into_iter().collect()
}

fn read_at(json: &str) -> Option<Stamp> {
    let mut parts = Vec::new();
    each_entry(json, |part| parts.push(number::<i64>(part))).ok()??;
    let (micros, minutes) = match parts[..] {
        [Some(micros)] => (micros, None),
        [Some(micros), Some(minutes)] => (micros, Some(i16::try_from(minutes).ok()?)),
        _ => return None,
    };
    Some(Stamp {
        micros,
        offset_minutes: minutes,
    })
}

#[cfg(test)]
mod tests;
