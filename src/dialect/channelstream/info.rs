//! Channel information: what `/connect`, `/subscribe`, `/unsubscribe` and `/info` tell of channels
//! (section 6 of the specification).

use super::encode::{
    Target, push_bool, push_comma, push_content, push_id, push_number, push_state, push_texts,
};
use super::stamps::{push_stamp, push_text};
use super::words::Info;
use crate::dialect::{Ctx, Job};
use crate::hub::{AppId, Channel, ChannelId, Effects, Hub, KeptMessage, Settings, UserId};
use crate::limits::BODY_BYTES_PER_WORK;
use crate::transport::http::Response;
use std::collections::BTreeSet;

/// Appends the information on `channels` (unknown ones are left out before) as `info` wants it.
pub(super) fn push_info(out: &mut Vec<u8>, ctx: &Ctx<'_>, channels: &[ChannelId], info: &Info<'_>) {
    let mut listing = Listing::begin(out, ctx, channels.to_vec(), info);
    listing.push(out, ctx.hub, |_| false);
}

/// Information on channels, and on the users that are in them, while it is written.
pub(super) struct Listing {
    wants: Wants,
    channels: std::vec::IntoIter<ChannelId>,
    /// Those that are not to be written: excluded, or there already.
    passed: BTreeSet<ChannelId>,
    written: usize,
    members: BTreeSet<UserId>,
    /// Set when all channels are written.
    users: Option<std::collections::btree_set::IntoIter<UserId>>,
}

/// How much of it is wanted.
#[derive(Clone, Copy)]
struct Wants {
    history: bool,
    users: bool,
    public_state_only: bool,
}

impl Listing {
    /// Writes its beginning to `out`.
    pub(super) fn begin(
        out: &mut Vec<u8>,
        ctx: &Ctx<'_>,
        channels: Vec<ChannelId>,
        info: &Info<'_>,
    ) -> Self {
        let excluded = info.exclude_channels.iter().flatten();
        out.extend_from_slice(b"{\"channels\":{");
        Self {
            wants: Wants {
                history: info.include_history,
                users: info.include_users,
                public_state_only: info.return_public_state,
            },
            channels: channels.into_iter(),
            passed: find(ctx.hub, ctx.app, excluded.map(|name| &**name))
                .into_iter()
                .collect(),
            written: 0,
            members: BTreeSet::new(),
            users: None,
        }
    }

    /// Appends the channels that come next, without what ends their object; as [`Listing::push`].
    pub(super) fn push_channels(
        &mut self,
        out: &mut Vec<u8>,
        hub: &Hub,
        mut is_enough: impl FnMut(usize) -> bool,
    ) -> bool {
        for id in self.channels.by_ref() {
            let Some(channel) = hub.channel(id) else {
                continue;
            };
            if !self.passed.insert(id) {
                continue;
            }
            let start = out.len();
            push_comma(out, self.written);
            self.written += 1;
            let members = match self.wants.users {
                true => hub.members(id),
                false => Vec::new(),
            };
            push_channel(out, hub, channel, &members, self.wants);
            self.members.extend(members);
            if is_enough(out.len() - start) {
                return false;
            }
        }
        true
    }

    /// Appends what comes next: one channel or user at least, and more until `is_enough` says so of
    /// the bytes that were written for one. Whether that was all. What has gone meanwhile is left
    /// out.
    pub(super) fn push(
        &mut self,
        out: &mut Vec<u8>,
        hub: &Hub,
        mut is_enough: impl FnMut(usize) -> bool,
    ) -> bool {
        if !self.push_channels(out, hub, &mut is_enough) {
            return false;
        }
        let members = &mut self.members;
        let users = self.users.get_or_insert_with(|| {
            out.extend_from_slice(b"},\"users\":[");
            self.written = 0;
            std::mem::take(members).into_iter()
        });
        for id in users {
            let Some(user) = hub.user(id) else {
                continue;
            };
            let start = out.len();
            push_comma(out, self.written);
            self.written += 1;
            out.extend_from_slice(b"{\"user\":");
            push_text(out, user.name());
            out.extend_from_slice(b",\"state\":");
            if self.wants.public_state_only {
                push_state(out, user.public_state());
            } else {
                push_state(out, user.state());
            }
            out.push(b'}');
            if is_enough(out.len() - start) {
                return false;
            }
        }
        out.extend_from_slice(b"]}");
        true
    }
}

impl Listing {
    /// What it holds on the heap, roughly, in bytes.
    pub(super) fn bytes(&self) -> usize {
        (self.channels.len() + self.members.len()) * 2 * size_of::<UserId>()
    }
}

/// An answer of `/info` that takes several turns.
pub(super) struct InfoJob {
    pub(super) listing: Listing,
    pub(super) text: Vec<u8>,
    /// All of the answer but its body.
    pub(super) answer: Response,
}

impl InfoJob {
    /// Goes on until the turn has done enough. Whether that was all.
    pub(super) fn write(listing: &mut Listing, text: &mut Vec<u8>, ctx: &mut Ctx<'_>) -> bool {
        let io = &mut ctx.io;
        listing.push(text, ctx.hub, |bytes| {
            io.spend(1 + bytes as u64 / BODY_BYTES_PER_WORK);
            io.has_done_enough()
        })
    }
}

impl Job for InfoJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        Self::write(&mut self.listing, &mut self.text, ctx).then(|| {
            let mut answer = std::mem::take(&mut self.answer);
            answer.body = std::mem::take(&mut self.text);
            answer
        })
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.listing.bytes()
    }
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

fn push_channel(out: &mut Vec<u8>, hub: &Hub, channel: &Channel, members: &[UserId], wants: Wants) {
    push_text(out, channel.name());
    out.extend_from_slice(b":{");
    push_id(out, "uuid", channel.id());
    out.extend_from_slice(b",\"name\":");
    push_text(out, channel.name());
    out.extend_from_slice(b",\"long_name\":null,\"settings\":");
    push_settings(out, channel.settings());
    out.extend_from_slice(b",\"history\":[");
    if wants.history {
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
    let total = if wants.users {
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

pub(super) fn push_settings(out: &mut Vec<u8>, settings: &Settings) {
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
pub(super) fn push_kept(out: &mut Vec<u8>, message: &KeptMessage) {
    let target = Target {
        only: &message.only,
        except: &message.except,
        channel: message.channel.as_deref(),
        no_history: message.no_history,
        id: message.id,
    };
    let (user, body) = (&*message.user, message.body.as_deref());
    let (sent, event) = ((Some(message.at), Some(user)), message.event.as_deref());
    push_content(out, &target, sent, (event, body), message.edited);
    out.extend_from_slice(b",\"catchup\":false,\"type\":\"message\"}");
}
