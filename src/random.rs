//! Random bytes as an argument.
//!
//! Ids of connections are bearer secrets, so in production they come from the operating system,
//! through a pool that makes one system call serve many ids. Tests hand in a seeded source, and
//! the same seed gives the same ids.

use std::fmt;

/// Bytes fetched from the source at a time.
const POOL_BYTES: usize = 2048;

/// A source of random bytes with a pool in front of it.
pub struct Random {
    fill: Box<dyn FnMut(&mut [u8])>,
    pool: Box<[u8; POOL_BYTES]>,
    used: usize,
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// A pool in front of `fill`, which fills a slice with random bytes.
    pub fn new(fill: impl FnMut(&mut [u8]) + 'static) -> Self {
        Self {
            fill: Box::new(fill),
            pool: Box::new([0; POOL_BYTES]),
            used: POOL_BYTES,
        }
    }

    /// The same bytes for the same seed, for tests. Not for secrets.
    pub fn seeded(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self::new(move |bytes| {
            for chunk in bytes.chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Multiplied, so that neighbouring states do not look alike.
                let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
                chunk.copy_from_slice(&word[..chunk.len()]);
            }
        })
    }

    /// Sixteen random bytes. They are wiped from the pool as they leave.
    pub fn id(&mut self) -> [u8; 16] {
        if self.used + 16 > POOL_BYTES {
            (self.fill)(&mut self.pool[..]);
            self.used = 0;
        }
        let mut id = [0; 16];
        let taken = &mut self.pool[self.used..self.used + 16];
        id.copy_from_slice(taken);
        taken.fill(0);
        self.used += 16;
        id
    }

    /// Eight random bytes as a number.
    pub fn seed(&mut self) -> u64 {
        let id = self.id();
        id.iter()
            .fold(0_u64, |seed, &byte| seed.rotate_left(8) ^ u64::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_a_seed_repeats_them() {
        let take = |seed| {
            let mut random = Random::seeded(seed);
            (0..1000).map(|_| random.id()).collect::<Vec<_>>()
        };
        let mut ids = take(1);
        assert_eq!(ids, take(1));
        assert_ne!(ids, take(2));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }
}
