//! What the protocol has to remember beyond what the hub does.

use super::session::EndedSessions;
use crate::hub::{ChannelId, SubscriberId};
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
    /// Members whose pair channel with it it has left by name. A member that comes back is another
    /// one.
    left_pairs: BTreeSet<u64>,
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

    /// A socket leaves its pair channel with a member. If that is one of too many, those with members
    /// that are not there any more are forgotten, and if need be the oldest.
    pub(super) fn leave_pair(
        &mut self,
        who: SubscriberId,
        member: u64,
        is_there: impl Fn(u64) -> bool,
    ) {
        let left = &mut self.sockets.entry(who).or_default().left_pairs;
        left.insert(member);
        if left.len() > PUSHI_LEFT_PAIRS_MAX {
            left.retain(|&member| is_there(member));
        }
        if left.len() > PUSHI_LEFT_PAIRS_MAX {
            left.pop_first();
        }
    }

    /// Whether a socket has left its pair channel with a member.
    pub(super) fn has_left_pair(&self, who: SubscriberId, member: u64) -> bool {
        let socket = self.sockets.get(&who);
        socket.is_some_and(|socket| socket.left_pairs.contains(&member))
    }

    /// A socket has left a presence channel, and with it all pair channels of that: those that it
    /// had left by name before are forgotten, but for those with the members that `stays` says.
    pub(super) fn forget_pairs(&mut self, who: SubscriberId, stays: impl Fn(u64) -> bool) {
        if let Some(socket) = self.sockets.get_mut(&who) {
            socket.left_pairs.retain(|&member| stays(member));
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
        notes.leave_pair(who, 7, |_| true);
        assert!(notes.has_left_pair(who, 7) && !notes.has_left_pair(who, 8));
        notes.forget(who);
        assert!(notes.is_at_rest());
    }

    #[test]
    fn pairs_that_were_left_are_remembered_while_there_is_the_other_one() {
        let mut notes = Notes::default();
        let who = Key::from_bits(1 << 32);
        let most = PUSHI_LEFT_PAIRS_MAX as u64;
        let count = |notes: &Notes| notes.sockets[&who].left_pairs.len();
        (0..most).for_each(|member| notes.leave_pair(who, member, |_| false));
        assert_eq!(count(&notes), PUSHI_LEFT_PAIRS_MAX);
        notes.leave_pair(who, most, |member| member >= most - 2);
        assert_eq!(count(&notes), 3);
        (0..2 * most).for_each(|member| notes.leave_pair(who, member, |_| true));
        assert_eq!(count(&notes), PUSHI_LEFT_PAIRS_MAX);
        assert!(notes.has_left_pair(who, 2 * most - 1) && !notes.has_left_pair(who, 0));
        notes.forget_pairs(who, |member| member == 2 * most - 1);
        assert_eq!(count(&notes), 1);
        notes.forget_pairs(who, |_| false);
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
