//! What subscribers are told, whichever protocol it came by.

use super::encode;
use super::names::presence_base;
use super::speaker::is_ours;
use crate::dialect::channelstream::{foreign, frame_object};
use crate::dialect::json::push_text;
use crate::hub::{ChannelId, Event, Hub, MessageView, Presence, PublicState, SubscriberId, UserId};
use crate::limits::MEMBERS_STATE_BYTES_MAX;

/// Appends an event as the text of one frame; nothing if this protocol does not tell it. Who
/// `is_quiet` is not told who comes and goes.
pub(super) fn push_event(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool, is_quiet: bool) {
    match event {
        Event::Message(message) => push_message(out, message, event, catch_up),
        Event::MessageEdit(_) | Event::MessageDelete(_) | Event::UserState(_) => {
            push_foreign(out, event, catch_up);
        }
        Event::Presence(presence) if !is_quiet => push_presence(out, presence),
        // Every protocol counts and watches for itself.
        Event::Presence(_) | Event::Count(_) | Event::Watched(_) => {}
    }
}

fn push_message(out: &mut Vec<u8>, message: &MessageView<'_>, event: &Event<'_>, catch_up: bool) {
    let (Some(channel), Some(name)) = (message.channel, message.event) else {
        push_foreign(out, event, catch_up);
        return;
    };
    let stored = message
        .stored
        .then(|| (message.id.0, u64::try_from(message.at.micros).unwrap_or(0)));
    encode::push_message(
        out,
        name,
        channel,
        message.body,
        stored,
        message.extra.unwrap_or(""),
    );
}

/// An event of the other protocol: its data is the object that is told there, as text.
fn push_foreign(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool) {
    // What is private to users of the other protocol stays there.
    if let Some((name, channel)) = foreign(event) {
        let object = frame_object(event, catch_up);
        encode::push_message(out, name, channel, Some(&object), None, "");
    }
}

fn push_presence(out: &mut Vec<u8>, presence: &Presence) {
    if presence_base(&presence.channel).is_none() {
        return;
    }
    let info = presence.info.as_deref();
    let own = info.filter(|_| is_ours(presence.info_format));
    let member = match own {
        Some(own) => own.to_owned(),
        None => member_of_others(&presence.user, info, &presence.state),
    };
    encode::push_member(out, presence.joined, &presence.channel, &member);
}

/// How a member looks that came by another protocol: what it says of itself, or its public state, is
/// its `user_info`.
fn member_of_others(user: &str, info: Option<&str>, state: &PublicState) -> String {
    let mut out = b"{\"user_id\":".to_vec();
    push_text(&mut out, user);
    match info {
        Some(info) => {
            out.extend_from_slice(b",\"user_info\":");
            out.extend_from_slice(info.as_bytes());
        }
        None if state.is_empty() => {}
        None => {
            out.extend_from_slice(b",\"user_info\":{");
            for (at, (key, value)) in state.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_text(&mut out, key);
                out.push(b':');
                out.extend_from_slice(value.as_bytes());
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// The members of a presence channel in order of joining: names, and what they say of themselves as
/// JSON. Those beyond the bytes that one frame shows are not listed, but for the user that `who` is,
/// who is told.
pub(super) fn members(
    hub: &Hub,
    channel: Option<ChannelId>,
    who: SubscriberId,
) -> Vec<(String, String)> {
    let Some(channel) = channel else {
        return Vec::new();
    };
    let is_presence = hub
        .channel(channel)
        .is_some_and(|channel| presence_base(channel.name()).is_some());
    if !is_presence {
        return Vec::new();
    }
    let own = hub.user_in(who, channel);
    let (mut bytes, mut has_own) = (0, false);
    let mut members = Vec::new();
    for user in hub.members(channel) {
        let Some((name, member)) = member(hub, channel, user) else {
            continue;
        };
        bytes += name.len() + member.len();
        if bytes > MEMBERS_STATE_BYTES_MAX && !members.is_empty() {
            break;
        }
        has_own |= own == Some(user);
        members.push((name, member));
    }
    let own = own.filter(|_| !has_own);
    members.extend(own.and_then(|own| member(hub, channel, own)));
    members
}

fn member(hub: &Hub, channel: ChannelId, key: UserId) -> Option<(String, String)> {
    let user = hub.user(key)?;
    let said = hub.last_info(channel, key);
    let member = match said {
        Some((info, format)) if is_ours(format) => (**info).to_owned(),
        Some((info, _)) => member_of_others(user.name(), Some(info), &Vec::new()),
        None => {
            let state = user.public_state();
            let state = state.map(|(key, value)| (Box::from(key), Box::from(value)));
            member_of_others(user.name(), None, &state.collect())
        }
    };
    Some((user.name().to_owned(), member))
}
