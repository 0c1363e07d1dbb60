//! What the loop counts; plain numbers, one thread. The reactor fills it in, the engine shows it.

/// Upper edges of the turn-length histogram in microseconds; a last bucket takes what is longer.
pub const TURN_EDGES_US: [u64; 11] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
];

/// Counters since the reactor was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopStats {
    /// Turns, and how many fell into each bucket of [`TURN_EDGES_US`] by the time they worked
    /// (waiting not counted).
    pub turns: u64,
    /// See [`LoopStats::turns`].
    pub turn_lengths: [u64; TURN_EDGES_US.len() + 1],
    /// The longest turn, in microseconds.
    pub turn_longest_us: u64,
    /// Time spent working, in microseconds.
    pub busy_us: u64,
    /// Readiness events.
    pub events: u64,
    /// Letters from other threads.
    pub letters: u64,
    /// Sockets accepted.
    pub accepted: u64,
    /// How often accepting was paused for lack of descriptors or because of `connections_max`.
    pub accept_pauses: u64,
    /// Sockets refused because their address had too many.
    pub refused_per_address: u64,
    /// Connections ended.
    pub closed: u64,
    /// Calls that read.
    pub reads: u64,
    /// Bytes read, ciphertext for TLS.
    pub bytes_read: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Bytes written, ciphertext for TLS.
    pub bytes_written: u64,
    /// Peers that made no progress in reading for too long.
    pub stalled: u64,
    /// TLS handshakes completed.
    pub tls_handshakes: u64,
    /// TLS peers that broke the protocol or did not finish their handshake in time.
    pub tls_failures: u64,
    /// Panics caught.
    pub panics: u64,
}

impl LoopStats {
    pub(crate) fn count_turn(&mut self, length_us: u64) {
        let bucket = TURN_EDGES_US.partition_point(|&edge| edge < length_us);
        self.turns += 1;
        self.turn_lengths[bucket] += 1;
        self.turn_longest_us = self.turn_longest_us.max(length_us);
        self.busy_us += length_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_falls_into_the_bucket_whose_edge_it_reaches() {
        for (length_us, bucket) in [(0, 0), (50, 0), (51, 1), (100_000, 10), (100_001, 11)] {
            let mut stats = LoopStats::default();
            stats.count_turn(length_us);
            assert_eq!(stats.turn_lengths[bucket], 1, "{length_us}");
            assert_eq!((stats.turns, stats.turn_longest_us), (1, length_us));
        }
    }
}
