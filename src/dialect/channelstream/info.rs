//! Channel information: what `/connect`, `/subscribe`, `/unsubscribe` and `/info` tell of channels
//! (section 6 of the specification).

use super::encode::{
    push_bool, push_comma, push_details, push_id, push_number, push_state, push_texts,
};
use super::stamps::{push_stamp, push_text};
use super::words::Info;
use crate::hub::{AppId, Channel, ChannelId, Hub, KeptMessage, Settings, UserId};
use std::collections::BTreeSet;

/// Appends the information on `channels` (unknown ones are left out before) as `info` wants it.
pub(super) fn push_info(out: &mut Vec<u8>, hub: &Hub, channels: &[ChannelId], info: &Info<'_>) {
    let excluded: BTreeSet<&str> = info
        .exclude_channels
        .iter()
        .flatten()
        .map(|name| &**name)
        .collect();
    let mut users: BTreeSet<UserId> = BTreeSet::new();
    let mut seen: BTreeSet<ChannelId> = BTreeSet::new();
    out.extend_from_slice(b"{\"channels\":{");
    for &id in channels {
        let Some(channel) = hub.channel(id) else {
            continue;
        };
        if excluded.contains(channel.name()) || !seen.insert(id) {
            continue;
        }
        push_comma(out, seen.len() - 1);
        let members = if info.include_users {
            hub.members(id)
        } else {
            Vec::new()
        };
        push_channel(out, hub, channel, &members, info);
        users.extend(members);
    }
    out.extend_from_slice(b"},\"users\":[");
    for (at, user) in users.iter().filter_map(|&user| hub.user(user)).enumerate() {
        push_comma(out, at);
        out.extend_from_slice(b"{\"user\":");
        push_text(out, user.name());
        out.extend_from_slice(b",\"state\":");
        if info.return_public_state {
            push_state(out, user.public_state());
        } else {
            push_state(out, user.state());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// The channels of these names that exist.
pub(super) fn find<'n>(
    hub: &Hub,
    app: AppId,
    names: impl Iterator<Item = &'n str>,
) -> Vec<ChannelId> {
    names
        .filter_map(|name| hub.find_channel(app, name))
        .collect()
}

fn push_channel(
    out: &mut Vec<u8>,
    hub: &Hub,
    channel: &Channel,
    members: &[UserId],
    info: &Info<'_>,
) {
    push_text(out, channel.name());
    out.extend_from_slice(b":{");
    push_id(out, "uuid", channel.id());
    out.extend_from_slice(b",\"name\":");
    push_text(out, channel.name());
    out.extend_from_slice(b",\"long_name\":null,\"settings\":");
    push_settings(out, channel.settings());
    out.extend_from_slice(b",\"history\":[");
    if info.include_history {
        for (at, message) in channel.history().enumerate() {
            push_comma(out, at);
            push_kept(out, message);
        }
    }
    out.extend_from_slice(b"],\"last_active\":\"");
    push_stamp(out, channel.last_active_micros());
    out.extend_from_slice(b"\",\"total_connections\":");
    push_number(out, channel.subscriber_count() as u64);
    out.extend_from_slice(b",\"total_users\":");
    // Zero when the list is not asked for, as recorded from the original.
    let total = if info.include_users {
        channel.member_count()
    } else {
        0
    };
    push_number(out, total as u64);
    out.extend_from_slice(b",\"users\":");
    let mut names: Vec<&str> = members
        .iter()
        .filter_map(|&user| hub.user(user).map(|user| user.name()))
        .collect();
    names.sort_unstable();
    push_texts(out, names.into_iter());
    out.push(b'}');
}

fn push_settings(out: &mut Vec<u8>, settings: &Settings) {
    let flags = [
        (&b"{\"notify_presence\":"[..], settings.notify_presence),
        (b",\"store_history\":", settings.store_history),
        (
            b",\"broadcast_presence_with_user_lists\":",
            settings.presence_with_members,
        ),
        (b",\"notify_state\":", settings.notify_state),
        (b",\"store_frames\":", settings.store_recent),
    ];
    for (name, value) in flags {
        out.extend_from_slice(name);
        push_bool(out, value);
    }
    out.extend_from_slice(b",\"history_size\":");
    push_number(out, settings.history_messages);
    out.push(b'}');
}

/// A message as the history shows it: all of it, for everyone to read.
fn push_kept(out: &mut Vec<u8>, message: &KeptMessage) {
    let only = message.only.iter().map(|name| &**name);
    let except = message.except.iter().map(|name| &**name);
    push_details(out, &message.view(), only, except, message.no_history);
    out.extend_from_slice(b",\"edited\":null,\"catchup\":false,\"type\":\"message\"}");
}
