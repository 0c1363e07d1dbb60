//! What signing in as an admin has to remember: the one thing besides the hub that outlives a
//! request. The engine owns it and lends it with [`Ctx`](super::Ctx), so dialects stay stateless
//! and settings may be read anew without signing everybody out.

use crate::limits::{
    SIGN_IN_ADDRESSES_MAX, SIGN_IN_FAILURES_MAX, SIGN_IN_WINDOW_MS, SIGNED_OUT_KEPT_MAX,
};
use crate::random::Random;
use crate::time::Millis;
use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// A key that is new with each start, failed attempts to sign in, and sessions that were signed
/// out. Every part is bounded.
pub struct Desk {
    key: [u8; 32],
    failures: BTreeMap<Option<IpAddr>, Failures>,
    /// Sessions that ended before their time, oldest first.
    signed_out: VecDeque<[u8; 16]>,
}

/// Failed attempts from one address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    /// When the window began in which they are counted.
    since: Millis,
    count: u32,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key must not reach a log.
        write!(f, "Desk({} addresses)", self.failures.len())
    }
}

impl Desk {
    /// Nobody has tried anything yet.
    pub fn new(random: &mut Random) -> Self {
        let mut key = [0; 32];
        let (front, back) = key.split_at_mut(16);
        front.copy_from_slice(&random.id());
        back.copy_from_slice(&random.id());
        Self {
            key,
            failures: BTreeMap::new(),
            signed_out: VecDeque::new(),
        }
    }

    /// The key for sessions where the settings name none: they end with the process.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// How long this address may not try again, in milliseconds; none: it may.
    pub fn locked_ms(&self, address: Option<IpAddr>, now: Millis) -> Option<u64> {
        let failures = self.failures.get(&address.map(network))?;
        let left = SIGN_IN_WINDOW_MS.saturating_sub(now.since(failures.since));
        (failures.count >= SIGN_IN_FAILURES_MAX && left > 0).then_some(left)
    }

    /// An attempt from this address failed.
    pub fn failed(&mut self, address: Option<IpAddr>, now: Millis) {
        let address = address.map(network);
        if !self.failures.contains_key(&address) && self.failures.len() >= SIGN_IN_ADDRESSES_MAX {
            self.make_room(now);
        }
        let row = self.failures.entry(address).or_insert(Failures {
            since: now,
            count: 0,
        });
        if now.since(row.since) >= SIGN_IN_WINDOW_MS {
            *row = Failures {
                since: now,
                count: 0,
            };
        }
        row.count = row.count.saturating_add(1);
    }

    /// Forgets windows that are over, or the oldest one: who has many addresses can have others
    /// forgotten, and no more memory for it.
    fn make_room(&mut self, now: Millis) {
        self.failures
            .retain(|_, row| now.since(row.since) < SIGN_IN_WINDOW_MS);
        if self.failures.len() >= SIGN_IN_ADDRESSES_MAX {
            let oldest = self.failures.iter().min_by_key(|(_, row)| row.since);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.failures.remove(&oldest);
            }
        }
    }

    /// The right password came from this address.
    pub fn succeeded(&mut self, address: Option<IpAddr>) {
        self.failures.remove(&address.map(network));
    }

    /// The session of this id is over. Of many that are, the oldest are forgotten.
    pub fn sign_out(&mut self, session: [u8; 16]) {
        if self.is_signed_out(&session) {
            return;
        }
        if self.signed_out.len() >= SIGNED_OUT_KEPT_MAX {
            self.signed_out.pop_front();
        }
        self.signed_out.push_back(session);
    }

    /// Whether the session of this id was signed out.
    pub fn is_signed_out(&self, session: &[u8; 16]) -> bool {
        self.signed_out.contains(session)
    }
}

/// What counts as one address: whoever has an IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn an_address_that_failed_too_often_waits_and_others_do_not() {
        let mut desk = Desk::new(&mut Random::seeded(1));
        let start = Millis(5);
        for count in 0..SIGN_IN_FAILURES_MAX {
            assert_eq!(desk.locked_ms(address(1), start), None, "after {count}");
            desk.failed(address(1), start);
        }
        assert_eq!(desk.locked_ms(address(1), start), Some(SIGN_IN_WINDOW_MS));
        assert_eq!(desk.locked_ms(address(2), start), None);
        assert_eq!(desk.locked_ms(None, start), None);
        let last = start + (SIGN_IN_WINDOW_MS - 1);
        assert_eq!(desk.locked_ms(address(1), last), Some(1));
        let over = last + 1;
        assert_eq!(desk.locked_ms(address(1), over), None);
        desk.failed(address(1), over);
        assert_eq!(desk.locked_ms(address(1), over), None, "a new window");
        desk.succeeded(address(1));
        assert!(desk.failures.is_empty());
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let mut desk = Desk::new(&mut Random::seeded(1));
        for last in 0..SIGN_IN_FAILURES_MAX as u16 {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
            desk.failed(Some(address), Millis(0));
        }
        let same = IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]);
        let other = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 0]);
        assert!(desk.locked_ms(Some(same), Millis(0)).is_some());
        assert!(desk.locked_ms(Some(other), Millis(0)).is_none());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room() {
        let mut desk = Desk::new(&mut Random::seeded(1));
        let flood = SIGN_IN_ADDRESSES_MAX as u32 * 3;
        for number in 0..flood {
            desk.failed(address(number), Millis(u64::from(number) / 100));
        }
        assert_eq!(desk.failures.len(), SIGN_IN_ADDRESSES_MAX);
        assert!(desk.failures.contains_key(&address(flood - 1)));
        let later = Millis(u64::from(flood)) + SIGN_IN_WINDOW_MS;
        desk.failed(address(flood), later);
        assert_eq!(desk.failures.len(), 1, "windows that are over go first");
        for number in 0..SIGNED_OUT_KEPT_MAX as u128 + 10 {
            desk.sign_out(number.to_be_bytes());
            desk.sign_out(number.to_be_bytes());
        }
        assert_eq!(desk.signed_out.len(), SIGNED_OUT_KEPT_MAX);
        assert!(!desk.is_signed_out(&9u128.to_be_bytes()));
        assert!(desk.is_signed_out(&10u128.to_be_bytes()));
    }
}
