//! Who is a member of a channel, what is said of members, and telling the others of them.

use super::channel::{Guest, Membership};
use super::event::{KeptEvent, state_bytes};
use super::{
    ChannelId, Effects, Event, Fact, Format, Hub, MemberSnapshot, MembershipId, Presence, Stamp,
    SubscriberId, UserId,
};
use crate::limits::{FRAME_BYTES_PER_WORK, MEMBERS_STATE_BYTES_MAX};
use crate::time::Now;
use std::rc::Rc;

impl Hub {
    /// The members of a channel, as many as may be listed, in order of joining.
    pub fn members(&self, channel: ChannelId) -> Vec<UserId> {
        let Some(channel) = self.channels.get(channel) else {
            return Vec::new();
        };
        let mut members: Vec<(u64, UserId)> = channel
            .members
            .iter()
            .filter_map(|&id| self.memberships.get(id).map(|m| (m.joined, m.user)))
            .collect();
        // Of a crowd only those that are listed are put in order.
        let listed = self.config.members_listed;
        if members.len() > listed {
            members.select_nth_unstable(listed);
            members.truncate(listed);
        }
        members.sort_unstable();
        members.into_iter().map(|(_, user)| user).collect()
    }

    /// What the oldest of its subscribers in `channel` says of `user`, as JSON text.
    pub fn member_info(&self, channel: ChannelId, user: UserId) -> Option<&str> {
        let info = self.membership(channel, user)?.info()?;
        Some(&**info)
    }

    fn membership(&self, channel: ChannelId, user: UserId) -> Option<&Membership> {
        self.memberships.get(self.find_membership(channel, user)?)
    }

    /// The guests that are `user` in `channel`, in order of joining.
    pub fn guests(&self, channel: ChannelId, user: UserId) -> &[Guest] {
        let membership = self.membership(channel, user);
        membership.map_or(&[], |membership| membership.guests())
    }

    /// What a guest said last of `user` in `channel`, as JSON text, and what that guest is told in.
    /// It may have left since; if it said nothing, what was said before stands.
    pub fn last_info(&self, channel: ChannelId, user: UserId) -> Option<(&Rc<str>, Format)> {
        let guests = self.membership(channel, user)?.guests.as_ref()?;
        let (info, format) = guests.last_info.as_ref()?;
        Some((info, *format))
    }

    /// When `user` became a member of `channel`, as a place in the hub's order, and whether it did so
    /// by a guest that wants to be paired with other members.
    pub fn membership_joined(&self, channel: ChannelId, user: UserId) -> Option<(u64, bool)> {
        let membership = self.membership(channel, user)?;
        let guests = membership.guests.as_ref();
        let is_peer = guests.is_some_and(|guests| guests.first_is_peer);
        Some((membership.joined, is_peer))
    }

    /// A number that is this membership's alone: another one once the user has left and come back.
    pub fn membership_key(&self, channel: ChannelId, user: UserId) -> Option<u64> {
        self.find_membership(channel, user)
            .map(MembershipId::to_bits)
    }

    /// The channel of the membership with this [number](Hub::membership_key), unless it is over.
    pub fn membership_channel(&self, key: u64) -> Option<ChannelId> {
        let membership = self.memberships.get(MembershipId::from_bits(key));
        membership.map(|membership| membership.channel)
    }

    /// Whether `user` is a member of `channel`.
    pub fn is_member(&self, channel: ChannelId, user: UserId) -> bool {
        self.find_membership(channel, user).is_some()
    }

    /// As whom `who` is in `channel`, if it is there as anybody.
    pub fn user_in(&self, who: SubscriberId, channel: ChannelId) -> Option<UserId> {
        let subscription = self.subscriber(who)?.subscription(channel)?;
        let membership = self.memberships.get(subscription.membership)?;
        Some(membership.user)
    }

    /// Tells a channel's others that `user` came or went, if the channel does that. What its
    /// subscriber says of it comes with what that is told in.
    pub(super) fn tell_presence(
        &mut self,
        channel_key: ChannelId,
        user_key: UserId,
        joined: bool,
        (info, info_format): (Option<Rc<str>>, Format),
        now: Now,
        fx: &mut impl Effects,
    ) {
        let Some(channel) = self.channels.get(channel_key) else {
            return;
        };
        let by_settings = channel.settings.notify_presence;
        if !by_settings && !channel.traits.has_members {
            return;
        }
        let Some(user) = self.users.get(user_key) else {
            return;
        };
        if channel.traits.has_members {
            let (channel, user, app) = (&*channel.name, &*user.name, channel.app);
            let fact = match joined {
                true => Fact::MemberAdded { channel, user },
                false => Fact::MemberRemoved { channel, user },
            };
            fx.announce(app, fact);
        }
        let members = (by_settings && channel.settings.presence_with_members)
            .then(|| self.member_snapshots(channel_key, fx));
        let presence = Rc::new(Presence {
            id: fx.id(),
            at: Stamp::from_unix_micros(now.unix_micros),
            joined,
            by_settings,
            info,
            info_format,
            channel: channel.name.clone(),
            user: user.name.clone(),
            state: if joined {
                user.public_snapshot()
            } else {
                Vec::new()
            },
            members,
        });
        self.sequence += 1;
        // The one it is about has no subscriber in the channel yet, or none any more, so the
        // whole audience is the right one.
        self.tell_all(channel_key, &Event::Presence(&presence), fx);
        if by_settings {
            self.keep_recent(channel_key, KeptEvent::Presence(presence));
        }
        if let Some(channel) = self.channels.get_mut(channel_key) {
            channel.last_active_micros = now.unix_micros;
        }
    }

    /// The members of a channel with what others may see of their state: as many as may be listed,
    /// and of those no more than [`MEMBERS_STATE_BYTES_MAX`] takes.
    fn member_snapshots(&self, channel: ChannelId, fx: &mut impl Effects) -> Vec<MemberSnapshot> {
        let members = self.members(channel);
        // Putting them in order and copying them costs about as much as telling them.
        fx.spend(members.len() as u64);
        let (mut snapshots, mut bytes) = (Vec::with_capacity(members.len()), 0);
        for user in members.iter().filter_map(|&id| self.users.get(id)) {
            let state = user.public_snapshot();
            bytes += state_bytes(&state);
            if bytes > MEMBERS_STATE_BYTES_MAX {
                break;
            }
            snapshots.push(MemberSnapshot {
                user: user.name.clone(),
                state,
            });
        }
        fx.spend(bytes as u64 / FRAME_BYTES_PER_WORK);
        snapshots
    }
}
