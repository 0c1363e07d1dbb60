//! What subscribers are told, as JSON objects (section 2.1: which data is text and which an object).

use super::names::{Access, Kind, push_socket_id};
use crate::dialect::channelstream::{foreign, frame_object};
use crate::dialect::json::push_text;
use crate::hub::{ChannelId, Event, Hub, Id, MessageView, Presence, PublicState, User, Watched};
use std::io::Write;

/// Asks a client whether it is there.
pub(super) const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;

/// Answers that we are.
pub(super) const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;

/// Appends an event as the text of one frame; nothing if this protocol does not tell it.
pub(super) fn push_event(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool) {
    match event {
        Event::Message(message) => push_message(out, message, event, catch_up),
        Event::MessageEdit(_) | Event::MessageDelete(_) | Event::UserState(_) => {
            push_foreign(out, event, catch_up);
        }
        Event::Presence(presence) => push_presence(out, presence),
        Event::Count(count) => {
            push_head(out, "pusher_internal:subscription_count", count.channel);
            let _ = write!(out, "\"{{\\\"subscription_count\\\":{}}}\"}}", count.count);
        }
        Event::Watched(watched) => push_watched(out, watched),
    }
}

fn push_message(out: &mut Vec<u8>, message: &MessageView<'_>, event: &Event<'_>, catch_up: bool) {
    let (Some(channel), Some(name)) = (message.channel, message.event) else {
        push_foreign(out, event, catch_up);
        return;
    };
    let data = message.body.unwrap_or("");
    // One growth instead of several, unless much has to be escaped.
    out.reserve(64 + channel.len() + name.len() + data.len() * 9 / 8);
    push_head(out, name, channel);
    push_text(out, data);
    // Whose it is matters in presence channels only, and is never the caller's choice.
    if !message.user.is_empty() && Kind::of(channel).has_members() {
        out.extend_from_slice(b",\"user_id\":");
        push_text(out, message.user);
    }
    out.push(b'}');
}

/// An event of the other protocol: its data is the object that is told there, as text.
fn push_foreign(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool) {
    // What is private to users of the other protocol stays there.
    let Some((name, channel)) = foreign(event) else {
        return;
    };
    // Clients throw away what is not encrypted in a channel where everything is.
    if Kind::of(channel).access == Access::Encrypted {
        return;
    }
    let object = frame_object(event, catch_up);
    push_head(out, name, channel);
    push_text(out, &object);
    out.push(b'}');
}

/// `{"event":…,"channel":…,"data":`
fn push_head(out: &mut Vec<u8>, event: &str, channel: &str) {
    out.extend_from_slice(b"{\"event\":");
    push_text(out, event);
    out.extend_from_slice(b",\"channel\":");
    push_text(out, channel);
    out.extend_from_slice(b",\"data\":");
}

fn push_presence(out: &mut Vec<u8>, presence: &Presence) {
    if !Kind::of(&presence.channel).has_members() {
        return;
    }
    let mut data = Vec::with_capacity(128);
    data.extend_from_slice(b"{\"user_id\":");
    push_text(&mut data, &presence.user);
    let name = if presence.joined {
        match &presence.info {
            Some(info) => {
                data.extend_from_slice(b",\"user_info\":");
                data.extend_from_slice(info.as_bytes());
            }
            None => push_state_info(&mut data, ",\"user_info\":", &presence.state),
        }
        "pusher_internal:member_added"
    } else {
        "pusher_internal:member_removed"
    };
    data.push(b'}');
    push_head(out, name, &presence.channel);
    push_text(out, &String::from_utf8_lossy(&data));
    out.push(b'}');
}

/// The public state of a member of the other protocol is what it tells of itself.
fn push_state_info(out: &mut Vec<u8>, before: &str, state: &PublicState) {
    if state.is_empty() {
        return;
    }
    out.extend_from_slice(before.as_bytes());
    let pairs = state.iter().map(|(key, value)| (&**key, &**value));
    push_state(out, pairs);
}

fn push_state<'s>(out: &mut Vec<u8>, state: impl Iterator<Item = (&'s str, &'s str)>) {
    out.push(b'{');
    for (at, (key, value)) in state.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(out, key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
}

fn push_watched(out: &mut Vec<u8>, watched: &Watched<'_>) {
    let online = [watched.user];
    match watched.is_online {
        true => push_watchlist(out, &online, &[]),
        false => push_watchlist(out, &[], &online),
    }
}

/// Appends who of those that are watched is there and who is not; nothing for nobody.
pub(super) fn push_watchlist(out: &mut Vec<u8>, online: &[&str], offline: &[&str]) {
    let mut data = Vec::with_capacity(128);
    data.extend_from_slice(b"{\"events\":[");
    let lists = [("online", online), ("offline", offline)];
    let told = lists.iter().filter(|(_, users)| !users.is_empty());
    for (at, (name, users)) in told.enumerate() {
        if at > 0 {
            data.push(b',');
        }
        let _ = write!(data, "{{\"name\":\"{name}\",\"user_ids\":[");
        for (at, user) in users.iter().enumerate() {
            if at > 0 {
                data.push(b',');
            }
            push_text(&mut data, user);
        }
        data.extend_from_slice(b"]}");
    }
    data.extend_from_slice(b"]}");
    out.extend_from_slice(b"{\"event\":\"pusher_internal:watchlist_events\",\"data\":");
    push_text(out, &String::from_utf8_lossy(&data));
    out.push(b'}');
}

/// Appends the first frame of a socket.
pub(super) fn push_established(out: &mut Vec<u8>, id: Id, activity_s: u64) {
    out.extend_from_slice(
        b"{\"event\":\"pusher:connection_established\",\"data\":\"{\\\"socket_id\\\":\\\"",
    );
    push_socket_id(out, id.0);
    let _ = write!(out, "\\\",\\\"activity_timeout\\\":{activity_s}}}\"}}");
}

/// Appends that a channel was joined; the members if it has any.
pub(super) fn push_succeeded(out: &mut Vec<u8>, name: &str, members: Option<(&Hub, ChannelId)>) {
    push_head(out, "pusher_internal:subscription_succeeded", name);
    match members {
        None => out.extend_from_slice(b"\"{}\""),
        Some((hub, channel)) => {
            let data = presence(hub, channel);
            push_text(out, &String::from_utf8_lossy(&data));
        }
    }
    out.push(b'}');
}

/// `{"presence":{"ids":[…],"hash":{…},"count":…}}`
fn presence(hub: &Hub, channel: ChannelId) -> Vec<u8> {
    let members = hub.members(channel);
    let members: Vec<_> = members
        .iter()
        .filter_map(|&id| Some((id, hub.user(id)?)))
        .collect();
    let mut data = Vec::with_capacity(64 + members.len() * 64);
    data.extend_from_slice(b"{\"presence\":{\"ids\":[");
    for (at, (_, user)) in members.iter().enumerate() {
        if at > 0 {
            data.push(b',');
        }
        push_text(&mut data, user.name());
    }
    data.extend_from_slice(b"],\"hash\":{");
    for (at, (id, user)) in members.iter().enumerate() {
        if at > 0 {
            data.push(b',');
        }
        push_text(&mut data, user.name());
        data.push(b':');
        match hub.member_info(channel, *id) {
            Some(info) => data.extend_from_slice(info.as_bytes()),
            None => push_public(&mut data, user),
        }
    }
    let count = members.len();
    let _ = write!(data, "}},\"count\":{count}}}}}");
    data
}

fn push_public(out: &mut Vec<u8>, user: &User) {
    let mut state = user.public_state().peekable();
    match state.peek() {
        None => out.extend_from_slice(b"null"),
        Some(_) => push_state(out, state),
    }
}

/// Appends that a cache channel has nothing to show.
pub(super) fn push_cache_miss(out: &mut Vec<u8>, channel: &str) {
    push_head(out, "pusher:cache_miss", channel);
    out.extend_from_slice(b"\"{}\"}");
}

/// Appends that a channel could not be joined, for whoever listens to that channel.
pub(super) fn push_refused(out: &mut Vec<u8>, event: &str, channel: &str, why: &str, status: u16) {
    push_head(out, event, channel);
    let kind = match status {
        401 => "AuthError",
        _ => "SubscriptionError",
    };
    let _ = write!(out, "{{\"type\":\"{kind}\",\"error\":");
    push_text(out, why);
    let _ = write!(out, ",\"status\":{status}}}}}");
}

/// Appends that signing in succeeded, with the very text that was received.
pub(super) fn push_signed_in(out: &mut Vec<u8>, user_data: &str) {
    let mut data = Vec::with_capacity(32 + user_data.len());
    data.extend_from_slice(b"{\"user_data\":");
    push_text(&mut data, user_data);
    data.push(b'}');
    out.extend_from_slice(b"{\"event\":\"pusher:signin_success\",\"data\":");
    push_text(out, &String::from_utf8_lossy(&data));
    out.push(b'}');
}
