//! What the protocol has to remember beyond what the hub does.

use super::session::EndedSessions;
use crate::hub::{ChannelId, SubscriberId, UserId};
use crate::limits::{PUSHI_LEFT_PAIRS_MAX, REGISTRATION_ADDRESSES_MAX, REGISTRATION_WINDOW_MS};
use crate::time::Millis;
use core::net::IpAddr;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

/// All of it. Every part is bounded, or goes with the socket it is about.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Sessions that ended before their time.
    pub(super) ended: EndedSessions,
    /// Only sockets that there is something to remember of.
    sockets: BTreeMap<SubscriberId, SocketNotes>,
    /// How many publishes have been stored, to number them by.
    publishes: u64,
    pub(super) registrations: Registrations,
}

/// What is remembered of one socket.
#[derive(Debug, Default)]
struct SocketNotes {
    /// Channels that it is in because of a personal channel, by that.
    brought: BTreeMap<ChannelId, BTreeSet<ChannelId>>,
    /// Users whose pair channel with it it has left by name, by the presence channel, and which of
    /// their memberships it was. Who comes back is another member.
    left_pairs: BTreeMap<(ChannelId, UserId), u64>,
}

impl SocketNotes {
    fn is_empty(&self) -> bool {
        self.brought.is_empty() && self.left_pairs.is_empty()
    }
}

/// The notes among what the engine lends. They are of the type that the dialect made.
pub(super) fn of(notes: &mut dyn Any) -> &mut Notes {
    notes
        .downcast_mut()
        .expect("the engine lends each dialect what that dialect made")
}

/// The same, only to look at.
pub(super) fn of_ref(notes: &dyn Any) -> &Notes {
    notes
        .downcast_ref()
        .expect("the engine lends each dialect what that dialect made")
}

impl Notes {
    /// Whether nothing is remembered of anybody who has gone.
    pub(super) fn is_at_rest(&self) -> bool {
        self.sockets.is_empty()
    }

    /// A number for the next publish.
    pub(super) fn next_publish(&mut self) -> u64 {
        self.publishes += 1;
        self.publishes
    }

    /// A socket has gone.
    pub(super) fn forget(&mut self, who: SubscriberId) {
        self.sockets.remove(&who);
    }

    /// A socket is in `channel` because of `personal`.
    pub(super) fn bring(&mut self, who: SubscriberId, personal: ChannelId, channel: ChannelId) {
        let socket = self.sockets.entry(who).or_default();
        socket.brought.entry(personal).or_default().insert(channel);
    }

    /// A socket is in `channel` by its own wish from now on, or is not in it any more.
    pub(super) fn release(&mut self, who: SubscriberId, channel: ChannelId) {
        let Some(socket) = self.sockets.get_mut(&who) else {
            return;
        };
        for brought in socket.brought.values_mut() {
            brought.remove(&channel);
        }
        socket.brought.retain(|_, brought| !brought.is_empty());
        if socket.is_empty() {
            self.sockets.remove(&who);
        }
    }

    /// The personal channels because of which a socket is in `channel`.
    pub(super) fn bringers(&self, who: SubscriberId, channel: ChannelId) -> Vec<ChannelId> {
        let socket = self.sockets.get(&who);
        let brought = socket.into_iter().flat_map(|socket| &socket.brought);
        let brought = brought.filter(|(_, channels)| channels.contains(&channel));
        brought.map(|(&personal, _)| personal).collect()
    }

    /// The channels that a socket is in because of `personal` and of nothing else. They are not
    /// remembered any longer.
    pub(super) fn take_brought(
        &mut self,
        who: SubscriberId,
        personal: ChannelId,
    ) -> BTreeSet<ChannelId> {
        let Some(socket) = self.sockets.get_mut(&who) else {
            return BTreeSet::new();
        };
        let mut brought = socket.brought.remove(&personal).unwrap_or_default();
        for others in socket.brought.values() {
            brought.retain(|channel| !others.contains(channel));
        }
        if socket.is_empty() {
            self.sockets.remove(&who);
        }
        brought
    }

    /// How many channels a socket is in because of personal ones, each counted for each of these.
    pub(super) fn brought(&self, who: SubscriberId) -> usize {
        let socket = self.sockets.get(&who);
        let brought = socket
            .into_iter()
            .flat_map(|socket| socket.brought.values());
        brought.map(BTreeSet::len).sum()
    }

    /// A socket leaves its pair channel with a user who is there as `member`. Who is no member any
    /// more, by `is_member`, is forgotten when room is needed; false if there is none even so.
    #[must_use]
    pub(super) fn leave_pair(
        &mut self,
        who: SubscriberId,
        pair: (ChannelId, UserId),
        member: u64,
        is_member: impl Fn((ChannelId, UserId), u64) -> bool,
    ) -> bool {
        let pairs = &mut self.sockets.entry(who).or_default().left_pairs;
        if pairs.len() >= PUSHI_LEFT_PAIRS_MAX {
            pairs.retain(|&pair, &mut member| is_member(pair, member));
        }
        let has_room = pairs.len() < PUSHI_LEFT_PAIRS_MAX || pairs.contains_key(&pair);
        if has_room {
            pairs.insert(pair, member);
        }
        has_room
    }

    /// Whether a socket has left its pair channel with a user who is there as `member`.
    pub(super) fn has_left_pair(
        &self,
        who: SubscriberId,
        pair: (ChannelId, UserId),
        member: u64,
    ) -> bool {
        let socket = self.sockets.get(&who);
        let left = socket.and_then(|socket| socket.left_pairs.get(&pair));
        left == Some(&member)
    }

    /// A socket has left a presence channel, and with it all pair channels of that: those that it
    /// had left by name before are forgotten.
    pub(super) fn forget_pairs(&mut self, who: SubscriberId, presence: ChannelId) {
        if let Some(socket) = self.sockets.get_mut(&who) {
            socket
                .left_pairs
                .retain(|(channel, _), _| *channel != presence);
            if socket.is_empty() {
                self.sockets.remove(&who);
            }
        }
    }
}

/// Who has made apps lately.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    by_address: BTreeMap<Option<IpAddr>, (Millis, u32)>,
}

impl Registrations {
    /// Counts one more from this address, if it may make one; else says how long it has to wait, in
    /// milliseconds.
    pub(super) fn take(
        &mut self,
        address: Option<IpAddr>,
        per_minute: u32,
        now: Millis,
    ) -> Result<(), u64> {
        if self.by_address.len() >= REGISTRATION_ADDRESSES_MAX {
            self.by_address
                .retain(|_, (since, _)| now.since(*since) < REGISTRATION_WINDOW_MS);
        }
        if self.by_address.len() >= REGISTRATION_ADDRESSES_MAX
            && !self.by_address.contains_key(&address)
        {
            // So many addresses at once are one crowd, and wait like one.
            return Err(REGISTRATION_WINDOW_MS);
        }
        let (since, count) = self.by_address.entry(address).or_insert((now, 0));
        if now.since(*since) >= REGISTRATION_WINDOW_MS {
            (*since, *count) = (now, 0);
        }
        if *count >= per_minute {
            return Err(REGISTRATION_WINDOW_MS - now.since(*since));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Key;

    #[test]
    fn what_a_personal_channel_brought_goes_with_it_unless_it_is_wanted_otherwise() {
        let mut notes = Notes::default();
        let who = Key::from_bits(1 << 32);
        let channel = |number: u64| Key::from_bits((1 << 32) | number);
        let (mine, other) = (channel(100), channel(101));
        for number in 0..4 {
            notes.bring(who, mine, channel(number));
        }
        notes.bring(who, other, channel(3));
        assert_eq!(notes.bringers(who, channel(3)), [mine, other]);
        assert_eq!(notes.bringers(who, channel(0)), [mine]);
        notes.release(who, channel(0));
        assert_eq!(notes.bringers(who, channel(0)), []);
        let brought: Vec<ChannelId> = notes.take_brought(who, mine).into_iter().collect();
        assert_eq!(brought, [channel(1), channel(2)]);
        assert!(!notes.is_at_rest());
        assert_eq!(notes.take_brought(who, other).len(), 1);
        assert!(notes.is_at_rest());
        assert!(notes.take_brought(who, other).is_empty());
    }

    #[test]
    fn pairs_that_were_left_go_with_their_channel_or_when_room_is_needed() {
        let mut notes = Notes::default();
        let who = Key::from_bits(1 << 32);
        let channel = |number: u64| Key::from_bits((1 << 32) | number);
        let user = |number: u64| Key::from_bits((1 << 32) | number);
        let (one, other) = (channel(1), channel(2));
        let is_member = |_: (ChannelId, UserId), member: u64| member.is_multiple_of(2);
        for presence in [one, other] {
            assert!(notes.leave_pair(who, (presence, user(7)), 7, is_member));
        }
        assert!(notes.has_left_pair(who, (one, user(7)), 7));
        assert!(
            !notes.has_left_pair(who, (one, user(7)), 8),
            "another member"
        );
        assert!(!notes.has_left_pair(who, (one, user(8)), 7));
        notes.forget_pairs(who, one);
        assert!(!notes.has_left_pair(who, (one, user(7)), 7));
        assert!(notes.has_left_pair(who, (other, user(7)), 7));
        for member in 0..2 * PUSHI_LEFT_PAIRS_MAX as u64 - 1 {
            assert!(
                notes.leave_pair(who, (one, user(member)), member, is_member),
                "half of them have gone"
            );
        }
        let one_more = (one, user(u64::from(u32::MAX)));
        assert!(!notes.leave_pair(who, one_more, 1, |_, _| true));
        assert!(notes.has_left_pair(who, (one, user(0)), 0));
        assert!(notes.leave_pair(who, (one, user(0)), 9, |_, _| true));
        notes.forget(who);
        assert!(notes.is_at_rest());
    }

    #[test]
    fn an_address_makes_so_many_apps_a_minute() {
        let mut registrations = Registrations::default();
        let address = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        let now = Millis(1_000);
        assert_eq!(registrations.take(address(1), 2, now), Ok(()));
        assert_eq!(registrations.take(address(1), 2, now), Ok(()));
        assert_eq!(registrations.take(address(1), 2, now + 1_000), Err(59_000));
        assert_eq!(registrations.take(address(2), 2, now), Ok(()));
        assert_eq!(registrations.take(address(1), 2, now + 60_000), Ok(()));
        for number in 10..10 + 2 * REGISTRATION_ADDRESSES_MAX as u32 {
            let _ = registrations.take(address(number), 2, now);
        }
        assert_eq!(registrations.by_address.len(), REGISTRATION_ADDRESSES_MAX);
        let later = now + 2 * REGISTRATION_WINDOW_MS;
        assert_eq!(registrations.take(address(9), 2, later), Ok(()));
        assert_eq!(registrations.by_address.len(), 1, "the rest is forgotten");
    }
}
