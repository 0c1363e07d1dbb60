//! When all events are gone through for those that are too old, and how far that has come.
//!
//! What is stored comes in the order of its time, so that it is enough to look at the first events
//! there are; but for what was imported, or dated by a clock that was wrong. So all are gone through
//! at the start, and once more in a tenth of the age they may have; and those that others have brought,
//! as soon as it is seen that they did. It happens in steps, with a pause behind each.

use crate::limits::{STORE_SWEEP_MS_MAX, STORE_SWEEP_MS_MIN, STORE_SWEEP_STEP_MS};
use crate::side::store::Moment;

#[derive(Debug)]
pub(super) struct Sweep {
    /// Up to this id all were looked at.
    at: u64,
    /// The last id that is to be looked at.
    upto: u64,
    begun: Moment,
    stepped: Moment,
}

impl Sweep {
    /// At the start.
    pub(super) fn new(now: Moment, last_event: u64) -> Self {
        Self {
            at: 0,
            upto: last_event,
            begun: now,
            stepped: now,
        }
    }

    /// Others may have brought events, all behind those that were there.
    pub(super) fn extend(&mut self, last_event: u64) {
        self.upto = last_event;
    }

    /// How long there is nothing to do, in microseconds. None: until it begins anew.
    pub(super) fn pause_us(&self, now: Moment) -> Option<u64> {
        let pause = (STORE_SWEEP_STEP_MS * 1000).saturating_sub(now.since_us(self.stepped));
        (self.at < self.upto).then_some(pause)
    }

    /// Behind which id the next step looks, if it is time for one.
    pub(super) fn step(&mut self, now: Moment, age_max_us: u64, last_event: u64) -> Option<u64> {
        let every = age_max_us / 10;
        let every = every.clamp(STORE_SWEEP_MS_MIN * 1000, STORE_SWEEP_MS_MAX * 1000);
        if self.at >= self.upto && now.since_us(self.begun) >= every {
            *self = Self {
                stepped: self.stepped,
                ..Self::new(now, last_event)
            };
        }
        let is_time = self.pause_us(now) == Some(0);
        is_time.then(|| {
            self.stepped = now;
            self.at
        })
    }

    /// A step came so far; none: to the end.
    pub(super) fn came(&mut self, upto: Option<u64>) {
        self.at = upto.unwrap_or(self.upto);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;

    fn at(us: u64) -> Moment {
        Moment {
            mono_us: us,
            unix_us: 0,
        }
    }

    #[test]
    fn it_goes_through_all_in_steps_and_then_rests() {
        let pause = STORE_SWEEP_STEP_MS * 1000;
        let mut sweep = Sweep::new(at(0), 1000);
        assert_eq!(sweep.step(at(pause - 1), HOUR_US, 1000), None);
        assert_eq!(sweep.step(at(pause), HOUR_US, 1000), Some(0));
        sweep.came(Some(500));
        assert_eq!(sweep.pause_us(at(pause)), Some(pause));
        assert_eq!(sweep.step(at(pause), HOUR_US, 1000), None);
        assert_eq!(sweep.step(at(2 * pause), HOUR_US, 1000), Some(500));
        sweep.came(None);
        // What comes in order needs no looking at.
        assert_eq!(sweep.pause_us(at(3 * pause)), None);
        assert_eq!(sweep.step(at(3 * pause), HOUR_US, 2000), None);
        // What others bring does, and only that.
        sweep.extend(2500);
        assert_eq!(sweep.step(at(3 * pause), HOUR_US, 2500), Some(1000));
        sweep.came(Some(2500));
        assert_eq!(sweep.pause_us(at(4 * pause)), None);
        let again = HOUR_US / 10;
        assert_eq!(sweep.step(at(again - 1), HOUR_US, 2600), None);
        assert_eq!(sweep.step(at(again), HOUR_US, 2600), Some(0));
    }

    #[test]
    fn how_often_it_begins_is_bounded() {
        for (age_us, every_us) in [
            (1, 60_000_000),
            (HOUR_US, HOUR_US / 10),
            (u64::MAX, 24 * HOUR_US),
        ] {
            let mut sweep = Sweep::new(at(0), 0);
            assert_eq!(sweep.step(at(every_us - 1), age_us, 9), None);
            assert_eq!(sweep.step(at(every_us), age_us, 9), Some(0));
        }
    }
}
