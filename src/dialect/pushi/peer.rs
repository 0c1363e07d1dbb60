//! Peer channels: one for each pair of users in a presence channel, where one of them asked for it.
//!
//! They are not made: who is on one follows from who is present and in what order they came, so that
//! a crowd of thousands costs nothing as long as nobody talks. A socket S of user U is on the channel
//! of U and V as long as V is present, if either S asked for peers and came after V, or V came after S
//! and the socket by which V came asked for them (section 3.7).

use super::names::{other_of_pair, pair_name, pair_tail, presence_base};
use super::notes::Notes;
use super::speaker::is_ours;
use crate::hub::{AppId, ChannelId, Guest, Hub, SubscriberId, UserId};
use crate::limits::PUSHI_PEER_NAME_TRIES_MAX;

/// What a name of a peer channel is to a socket that may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// The presence channel.
    pub(super) presence: ChannelId,
    /// Who the socket is there.
    pub(super) user: UserId,
    /// The other one, if present.
    pub(super) other: Option<UserId>,
}

/// What a name is to a socket: a channel of its own and another user's, whether that is there or not.
/// None: it has no part in it. Only by the name that the two have for it is the other one found.
pub(super) fn of_socket(hub: &Hub, app: AppId, who: SubscriberId, name: &str) -> Option<Peer> {
    let subscriber = hub.subscriber(who)?;
    subscriber.channels().find_map(|presence| {
        let base = presence_base(hub.channel(presence)?.name())?;
        let tail = pair_tail(name, base)?;
        let user = hub.user_in(who, presence)?;
        let own_name = hub.user(user)?.name();
        let other = other_of_pair(tail, own_name)?;
        let other = Some(other)
            .filter(|other| pair_name(base, own_name, other) == name)
            .and_then(|other| hub.find_user(app, other))
            .filter(|&other| other != user && hub.is_member(presence, other));
        Some(Peer {
            presence,
            user,
            other,
        })
    })
}

/// Whether a socket, being `user`, is on the channel of the pair.
pub(super) fn is_on(
    hub: &Hub,
    notes: &Notes,
    presence: ChannelId,
    who: SubscriberId,
    user: UserId,
    other: UserId,
) -> bool {
    let mut guests = hub.guests(presence, user).iter();
    let guest = guests.find(|guest| guest.who() == who);
    guest.is_some_and(|guest| is_guest_on(hub, notes, presence, guest, other))
}

/// The same of a socket that is known as the guest that it is there.
fn is_guest_on(
    hub: &Hub,
    notes: &Notes,
    presence: ChannelId,
    guest: &Guest,
    other: UserId,
) -> bool {
    let Some((joined, first_is_peer)) = hub.membership_joined(presence, other) else {
        return false;
    };
    let is_made = if joined < guest.joined() {
        guest.is_peer()
    } else {
        first_is_peer
    };
    let member = hub.membership_key(presence, other);
    is_made
        && !member.is_some_and(|member| notes.has_left_pair(guest.who(), (presence, other), member))
}

/// The sockets on the channel of a pair.
pub(super) fn audience(
    hub: &Hub,
    notes: &Notes,
    presence: ChannelId,
    pair: [UserId; 2],
) -> Vec<SubscriberId> {
    let [one, other] = pair;
    let mut audience = Vec::new();
    for (user, other) in [(one, other), (other, one)] {
        for guest in hub.guests(presence, user) {
            let who = guest.who();
            let is_ours = hub
                .subscriber(who)
                .is_some_and(|known| is_ours(known.format()));
            if is_ours && is_guest_on(hub, notes, presence, guest, other) {
                audience.push(who);
            }
        }
    }
    audience
}

/// The pair that a name means to whoever is no socket: the first presence channel and the first two
/// of its members that it fits.
pub(super) fn of_name(hub: &Hub, app: AppId, name: &str) -> Option<(ChannelId, [UserId; 2])> {
    let rest = name.strip_prefix(super::names::PEER)?;
    let mut tries = 0;
    for (colon, _) in rest.match_indices(':') {
        tries += 1;
        if tries > PUSHI_PEER_NAME_TRIES_MAX {
            return None;
        }
        let (base, tail) = (rest.get(..colon)?, rest.get(colon + 1..)?);
        let Some(presence) = hub.find_channel(app, &format!("presence-{base}")) else {
            continue;
        };
        for (at, _) in tail.match_indices('&') {
            tries += 1;
            if tries > PUSHI_PEER_NAME_TRIES_MAX {
                return None;
            }
            let (one, other) = (tail.get(..at)?, tail.get(at + 1..)?);
            // In the other order it is nobody's name.
            if one > other {
                continue;
            }
            let member = |user: &str| {
                let user = hub.find_user(app, user)?;
                hub.is_member(presence, user).then_some(user)
            };
            if let (Some(one), Some(other)) = (member(one), member(other))
                && one != other
            {
                return Some((presence, [one, other]));
            }
        }
    }
    None
}

/// The names of the peer channels that a socket is on by being in `presence`, in the order in which
/// the others came.
pub(super) fn names(
    hub: &Hub,
    notes: &Notes,
    presence: ChannelId,
    who: SubscriberId,
) -> Vec<String> {
    let base = hub
        .channel(presence)
        .and_then(|channel| presence_base(channel.name()));
    let (Some(base), Some(user)) = (base, hub.user_in(who, presence)) else {
        return Vec::new();
    };
    let Some(name) = hub.user(user).map(|user| user.name()) else {
        return Vec::new();
    };
    let mut guests = hub.guests(presence, user).iter();
    let Some(guest) = guests.find(|guest| guest.who() == who) else {
        return Vec::new();
    };
    let others = hub.members(presence).into_iter();
    others
        .filter(|&other| other != user && is_guest_on(hub, notes, presence, guest, other))
        .filter_map(|other| Some(pair_name(base, name, hub.user(other)?.name())))
        .collect()
}
