//! How often a peer may do something: a bucket that leaks.
//!
//! Pings and messages of a WebSocket client are counted with it. The bucket is asked with the time
//! of the turn; it reads no clock and keeps no timer, so an idle connection pays 16 bytes.

use crate::time::Millis;

/// One token, in the unit the bucket counts in. A rate per second gives so many of these per
/// millisecond as it has tokens, so refilling is exact whatever the rate is.
const TOKEN: u64 = 1000;

/// A token bucket. It starts full.
///
/// What is kept is not the tokens left but those taken and not yet refilled: zero is then the right
/// start for every burst, and rate and burst need not be stored in each connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Thousandths of a token.
    taken: u64,
    /// When `taken` was right.
    at: Millis,
}

impl Bucket {
    /// A full bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one token at `now` and says whether there was one.
    ///
    /// The bucket holds `burst` tokens and is refilled with `per_s` of them per second. A refused
    /// call takes nothing, so a peer that is too fast is let through at the rate, not shut out.
    /// Time that runs backwards counts as standing still. A burst of 0 refuses everything; a rate
    /// of 0 never refills.
    pub fn take(&mut self, now: Millis, per_s: u32, burst: u32) -> bool {
        let refilled = now.since(self.at).saturating_mul(u64::from(per_s));
        self.taken = self.taken.saturating_sub(refilled);
        self.at = self.at.max(now);
        let taken = self.taken.saturating_add(TOKEN);
        let is_allowed = taken <= u64::from(burst) * TOKEN;
        if is_allowed {
            self.taken = taken;
        }
        is_allowed
    }
}

const _: () = assert!(size_of::<Bucket>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes until refused, at most `tries` times.
    fn drain(bucket: &mut Bucket, now: u64, per_s: u32, burst: u32, tries: u32) -> u32 {
        (0..tries)
            .take_while(|_| bucket.take(Millis(now), per_s, burst))
            .count() as u32
    }

    #[test]
    fn the_burst_is_exact_and_the_bucket_starts_full() {
        for start in [0, 1, 1_000_000] {
            for burst in [0, 1, 2, 2000] {
                let mut bucket = Bucket::new();
                assert_eq!(drain(&mut bucket, start, 1000, burst, 5000), burst);
                assert!(!bucket.take(Millis(start), 1000, burst));
            }
        }
    }

    #[test]
    fn it_refills_at_the_rate_and_never_beyond_the_burst() {
        let mut bucket = Bucket::new();
        drain(&mut bucket, 0, 100, 10, 100);
        assert_eq!(
            drain(&mut bucket, 9, 100, 10, 100),
            0,
            "9 ms are not a token"
        );
        assert_eq!(drain(&mut bucket, 10, 100, 10, 100), 1);
        assert_eq!(drain(&mut bucket, 60, 100, 10, 100), 5);
        assert_eq!(drain(&mut bucket, 60 * 60 * 1000, 100, 10, 100), 10);
    }

    #[test]
    fn no_rate_loses_to_rounding() {
        for per_s in [1, 3, 7, 100, 999, 1000, 1001, 12_345] {
            let mut bucket = Bucket::new();
            let seconds = 20;
            let mut taken = 0;
            for now in 0..=seconds * 1000 {
                taken += drain(&mut bucket, now, per_s, per_s, u32::MAX);
            }
            // The first burst, and then what was refilled.
            assert_eq!(taken, per_s * (seconds as u32 + 1), "{per_s} per second");
        }
    }

    #[test]
    fn a_refused_call_costs_nothing() {
        let mut bucket = Bucket::new();
        drain(&mut bucket, 0, 10, 1, 10);
        for now in 1..100 {
            assert!(!bucket.take(Millis(now), 10, 1), "{now}");
        }
        assert!(bucket.take(Millis(100), 10, 1));
    }

    #[test]
    fn time_may_stand_still_run_backwards_or_end() {
        let mut bucket = Bucket::new();
        assert!(bucket.take(Millis(5000), 1, 1));
        assert!(!bucket.take(Millis(0), 1, 1), "going back refills nothing");
        assert!(
            !bucket.take(Millis(5999), 1, 1),
            "nor does coming forth again"
        );
        assert!(bucket.take(Millis(6000), 1, 1));
        assert!(bucket.take(Millis(u64::MAX), u32::MAX, u32::MAX));
        assert!(bucket.take(Millis(u64::MAX), u32::MAX, u32::MAX));
    }

    #[test]
    fn rate_zero_never_refills() {
        let mut bucket = Bucket::new();
        assert_eq!(drain(&mut bucket, 0, 0, 3, 10), 3);
        assert!(!bucket.take(Millis(u64::MAX), 0, 3));
    }
}
