//! The real clock: the only place that asks the system what time it is.

#![allow(
    clippy::disallowed_methods,
    reason = "the clock is where the lint sends everybody else"
)]

use crate::time::{Millis, Now};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Counts monotonic time from its own making.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock whose monotonic time is zero now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Microseconds since the clock was made.
    pub fn micros(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Milliseconds since the clock was made.
    pub fn mono(&self) -> Millis {
        Millis(self.micros() / 1000)
    }

    /// Both kinds of time.
    pub fn now(&self) -> Now {
        Self::at(self.micros())
    }

    /// Both kinds of time, the monotonic one as read a moment ago with [`Clock::micros`]. A wall
    /// clock that stands before 1970 reads as zero.
    pub(super) fn at(micros: u64) -> Now {
        Now {
            mono: Millis(micros / 1000),
            unix_micros: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as u64),
        }
    }
}

/// A share of a turn's time, for one kind of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    until_us: u64,
    /// The clock is asked at one step of so many: a step may cost less than asking.
    stride: u32,
    steps: u32,
    is_over: bool,
}

impl Slice {
    /// `ms` milliseconds from now.
    pub(super) fn new(clock: &Clock, ms: u64, stride: u32) -> Self {
        Self {
            until_us: clock.micros() + ms * 1000,
            stride,
            steps: 0,
            is_over: false,
        }
    }

    /// One more step was done. Whether it was the last for this turn.
    #[inline]
    pub(super) fn step(&mut self, clock: &Clock) -> bool {
        self.steps += 1;
        if self.steps >= self.stride {
            self.steps = 0;
            self.is_over |= clock.micros() >= self.until_us;
        }
        self.is_over
    }

    /// Whether a step has found it over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_starts_at_zero_and_wall_time_is_of_this_century() {
        let clock = Clock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.mono <= second.mono && first.mono < Millis(60_000));
        assert!(first.unix_seconds() > 946_684_800, "{first:?}");
    }

    #[test]
    fn a_slice_is_over_at_the_first_look_behind_its_end_and_stays_so() {
        let clock = Clock::new();
        let mut slice = Slice::new(&clock, 0, 3);
        let steps = [(); 5].map(|()| slice.step(&clock));
        assert_eq!(steps, [false, false, true, true, true]);
        assert!(slice.is_over());
        let mut slice = Slice::new(&clock, 60_000, 1);
        assert!(!slice.step(&clock) && !slice.is_over());
    }
}
