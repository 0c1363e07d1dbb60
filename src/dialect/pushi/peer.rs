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

/// Two members of a presence channel.
pub(super) type Pair = (ChannelId, [UserId; 2]);

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
/// Empty: it has no part in it. Ids and bases may hold colons and ampersands, so that a name may be
/// that of several pairs, in one presence channel each. Only by the name that the two have for it is
/// the other one found.
pub(super) fn of_socket(hub: &Hub, app: AppId, who: SubscriberId, name: &str) -> Vec<Peer> {
    let Some(subscriber) = hub.subscriber(who) else {
        return Vec::new();
    };
    let peers = subscriber.channels().filter_map(|presence| {
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
    });
    peers.collect()
}

/// The pairs by this name whose channel a socket is on.
pub(super) fn pairs_of_socket(
    hub: &Hub,
    notes: &Notes,
    app: AppId,
    who: SubscriberId,
    name: &str,
) -> Vec<Pair> {
    let peers = of_socket(hub, app, who, name).into_iter();
    let pairs = peers.filter_map(|peer| Some((peer.presence, [peer.user, peer.other?])));
    pairs
        .filter(|&(presence, [user, other])| is_on(hub, notes, presence, who, user, other))
        .collect()
}

/// Whether a socket, being `user`, is on the channel of the pair.
fn is_on(
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
    (presence, [one, other]): Pair,
) -> Vec<SubscriberId> {
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

/// The pairs that a name means to whoever is no socket: all that it fits, of those that are found in
/// [`PUSHI_PEER_NAME_TRIES_MAX`] tries. And how many there were.
pub(super) fn of_name(hub: &Hub, app: AppId, name: &str) -> (Vec<Pair>, usize) {
    let rest = name.strip_prefix(super::names::PEER).unwrap_or("");
    let mut pairs = Vec::new();
    let mut tries = 0;
    for (colon, _) in rest.match_indices(':') {
        tries += 1;
        if tries >= PUSHI_PEER_NAME_TRIES_MAX {
            break;
        }
        let (base, tail) = (rest.get(..colon), rest.get(colon + 1..));
        let (base, tail) = (base.unwrap_or(""), tail.unwrap_or(""));
        let presence = hub.find_channel(app, &format!("presence-{base}"));
        let ends = tail.match_indices('&').map(|(at, _)| at);
        for at in ends.take_while(|_| presence.is_some()) {
            tries += 1;
            if tries >= PUSHI_PEER_NAME_TRIES_MAX {
                return (pairs, tries);
            }
            let (one, other) = (tail.get(..at), tail.get(at + 1..));
            let (one, other) = (one.unwrap_or(""), other.unwrap_or(""));
            // In the other order it is nobody's name, and nobody is a pair alone.
            if one >= other {
                continue;
            }
            let member = |user: &str| {
                let user = hub.find_user(app, user)?;
                hub.is_member(presence?, user).then_some(user)
            };
            if let (Some(presence), Some(one), Some(other)) = (presence, member(one), member(other))
            {
                pairs.push((presence, [one, other]));
            }
        }
    }
    (pairs, tries)
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
