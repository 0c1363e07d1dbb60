//! Time as an argument, and the wheel that keeps every deadline.
//!
//! Nothing here asks the system what time it is. [`Now`] is stamped once per turn by the reactor's
//! clock (or by a test) and handed down.
//!
//! # The wheel
//!
//! Deadlines are many (one per connection), coarse (seconds) and almost always pushed back before
//! they ring. So the owner keeps a [`Timer`] beside the thing it is for, and the wheel keeps only
//! keys in slots of 50 ms:
//!
//! - moving a deadline *later* is one store, the wheel is not touched;
//! - moving it *earlier* than its entry is filed adds an entry;
//! - an entry that surfaces is dropped if it is not the filed one, filed again if the deadline has
//!   moved, and rings otherwise.
//!
//! A key whose owner has gone is harmless: the owner's table does not find it.

use crate::limits::{WHEEL_SLOT_MS, WHEEL_SLOTS};
use crate::room;
use std::fmt;
use std::ops::{Add, Sub};

/// Milliseconds of monotonic time since the process (or the test) began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Further than any deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// How many milliseconds have gone by since `earlier`; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Millis {
    type Output = Self;
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Sub<u64> for Millis {
    type Output = Self;
    fn sub(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

/// The time a turn started, in both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: never runs backwards.
    pub mono: Millis,
    /// For stamps and signatures: microseconds since 1970-01-01 UTC. May jump either way.
    pub unix_micros: u64,
}

impl Now {
    /// Whole seconds since 1970-01-01 UTC.
    pub fn unix_seconds(self) -> u64 {
        self.unix_micros / 1_000_000
    }
}

const NOT_FILED: u64 = u64::MAX;

/// What the owner of a deadline keeps: when it rings, and where its entry in the wheel is.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    due: Millis,
    filed: u64,
}

impl Default for Timer {
    fn default() -> Self {
        Self {
            due: Millis::NEVER,
            filed: NOT_FILED,
        }
    }
}

impl Timer {
    /// When it rings; [`Millis::NEVER`] while it is not armed.
    pub fn due(&self) -> Millis {
        self.due
    }

    /// Never rings, until armed again. The entry in the wheel is left to surface and be dropped.
    pub fn disarm(&mut self) {
        self.due = Millis::NEVER;
    }
}

/// A surfaced entry: ask its owner with [`Wheel::rings`].
#[derive(Debug, Clone, Copy)]
pub struct Surfaced<K> {
    /// Whose deadline it may be.
    pub key: K,
    tick: u64,
}

/// A wheel of coarse slots. `K` is a key that may outlive its thing.
pub struct Wheel<K> {
    slots: Vec<Vec<K>>,
    /// One bit per slot that holds something.
    occupied: Vec<u64>,
    /// The first tick that has not surfaced yet.
    next_tick: u64,
    entries: usize,
}

impl<K> fmt::Debug for Wheel<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Wheel({} entries, next tick {})",
            self.entries, self.next_tick
        )
    }
}

impl<K: Copy> Default for Wheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// The first tick at which a deadline has been reached.
fn tick_of(at: Millis) -> u64 {
    at.0.div_ceil(WHEEL_SLOT_MS)
}

impl<K: Copy> Wheel<K> {
    /// An empty wheel that starts at time zero.
    pub fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(Vec::new).take(WHEEL_SLOTS).collect(),
            occupied: vec![0; WHEEL_SLOTS / 64],
            next_tick: 0,
            entries: 0,
        }
    }

    /// Lets `timer` ring at `at` (or at most one slot later), whatever it was set to before.
    pub fn arm(&mut self, key: K, timer: &mut Timer, at: Millis) {
        timer.due = at;
        if at == Millis::NEVER {
            return;
        }
        let tick = tick_of(at).max(self.next_tick);
        if timer.filed == NOT_FILED || tick < timer.filed {
            timer.filed = self.file(key, tick);
        }
    }

    /// Files beyond the horizon go to the horizon; they are filed again from there.
    fn file(&mut self, key: K, tick: u64) -> u64 {
        let tick = tick.min(self.next_tick + WHEEL_SLOTS as u64 - 1);
        let slot = (tick % WHEEL_SLOTS as u64) as usize;
        self.slots[slot].push(key);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.entries += 1;
        tick
    }

    /// When the next entry surfaces, if there is one. The answer can change after any call.
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.entries == 0 {
            return None;
        }
        let start = (self.next_tick % WHEEL_SLOTS as u64) as usize;
        let words = self.occupied.len();
        // The word of the start twice: first the bits from the start on, last those before it.
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + WHEEL_SLOTS - start) % WHEEL_SLOTS;
                return Some(Millis((self.next_tick + ahead as u64) * WHEEL_SLOT_MS));
            }
        }
        None
    }

    /// Moves every entry that has come up to `now` into `out`, in a fixed order.
    pub fn surface(&mut self, now: Millis, out: &mut impl Extend<Surfaced<K>>) {
        let last = now.0 / WHEEL_SLOT_MS;
        while self.entries > 0 && self.next_tick <= last {
            let Some(at) = self.next_deadline() else {
                break;
            };
            let tick = at.0 / WHEEL_SLOT_MS;
            if tick > last {
                break;
            }
            let slot = (tick % WHEEL_SLOTS as u64) as usize;
            let mut keys = std::mem::take(&mut self.slots[slot]);
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            self.entries -= keys.len();
            self.next_tick = tick + 1;
            out.extend(keys.drain(..).map(|key| Surfaced { key, tick }));
            room::release(&mut keys);
        }
        self.next_tick = self.next_tick.max(last + 1);
    }

    /// Whether a surfaced entry rings now. If the deadline has moved it is filed again; if the
    /// entry is an old one it is dropped. A timer that rings is disarmed.
    pub fn rings(&mut self, surfaced: Surfaced<K>, timer: &mut Timer, now: Millis) -> bool {
        if timer.filed != surfaced.tick {
            return false;
        }
        timer.filed = NOT_FILED;
        if timer.due == Millis::NEVER {
            return false;
        }
        if timer.due > now {
            timer.filed = self.file(surfaced.key, tick_of(timer.due).max(self.next_tick));
            return false;
        }
        timer.due = Millis::NEVER;
        true
    }

    /// Entries in the wheel, stale ones included.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator for tests: xorshift, seeded.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn ring_all(wheel: &mut Wheel<usize>, timers: &mut [Timer], now: Millis) -> Vec<usize> {
        let mut surfaced = Vec::new();
        wheel.surface(now, &mut surfaced);
        let mut rung = Vec::new();
        for entry in surfaced {
            if wheel.rings(entry, &mut timers[entry.key], now) {
                rung.push(entry.key);
            }
        }
        rung
    }

    #[test]
    fn rings_what_a_naive_list_rings_at_the_same_slots() {
        for seed in 1..40_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut wheel = Wheel::new();
            let mut timers = vec![Timer::default(); 50];
            let mut naive = vec![Millis::NEVER; 50];
            let mut now = Millis(0);
            for _ in 0..2_000 {
                let who = (random(&mut state) % 50) as usize;
                match random(&mut state) % 4 {
                    0 | 1 => {
                        let ahead = match random(&mut state) % 3 {
                            0 => random(&mut state) % 200,
                            1 => random(&mut state) % 20_000,
                            _ => random(&mut state) % 1_000_000,
                        };
                        wheel.arm(who, &mut timers[who], now + ahead);
                        naive[who] = now + ahead;
                    }
                    2 => {
                        timers[who].disarm();
                        naive[who] = Millis::NEVER;
                    }
                    _ => {
                        now = now + random(&mut state) % 5_000;
                        let mut rung = ring_all(&mut wheel, &mut timers, now);
                        rung.sort_unstable();
                        // A deadline is reached when its slot has wholly passed.
                        let reached = Millis(now.0 / WHEEL_SLOT_MS * WHEEL_SLOT_MS);
                        let due: Vec<usize> = (0..50).filter(|&k| naive[k] <= reached).collect();
                        due.iter().for_each(|&k| naive[k] = Millis::NEVER);
                        assert_eq!(rung, due, "seed {seed} at {now:?}");
                        assert!(
                            wheel.next_deadline().is_none_or(|next| next > now),
                            "seed {seed}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pushing_back_adds_no_entries() {
        let mut wheel = Wheel::new();
        let mut timer = Timer::default();
        for ms in 0..10_000 {
            wheel.arm(7_usize, &mut timer, Millis(1_000 + ms));
        }
        assert_eq!(wheel.len(), 1);
        let mut timers = [Timer::default(); 8];
        timers[7] = timer;
        assert!(ring_all(&mut wheel, &mut timers, Millis(10_000)).is_empty());
        assert_eq!(ring_all(&mut wheel, &mut timers, Millis(11_050)), [7]);
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn a_deadline_past_the_horizon_is_kept() {
        let mut wheel = Wheel::new();
        let mut timers = [Timer::default()];
        let day = 24 * 60 * 60 * 1000;
        wheel.arm(0, &mut timers[0], Millis(day));
        let mut wakes = 0;
        while let Some(next) = wheel.next_deadline() {
            assert!(next.0 <= day + WHEEL_SLOT_MS);
            wakes += 1;
            if !ring_all(&mut wheel, &mut timers, next).is_empty() {
                assert!(next.0 >= day);
                break;
            }
        }
        assert!(wakes < 500, "{wakes}");
        assert!(wheel.is_empty());
    }
}
