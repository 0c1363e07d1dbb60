//! What must hold after each turn.

use crate::Sabotage;
use crate::oracle::{Line, Phase};
use crate::world::World;
use fanwire::handler::Handler;
use fanwire::limits::{
    CS_HEARTBEAT_MS, OUT_QUEUE_TURN_FACTOR, PIECE_OVERHEAD_BYTES, WHEEL_SLOT_MS,
};
use fanwire::outbox::Ending;
use fanwire::time::Millis;

impl World {
    pub(super) fn check(&mut self) {
        assert!(
            self.engine.next_deadline() != Some(Millis(0)) || self.engine.jobs() > 0,
            "a turn leaves nothing due but jobs"
        );
        self.engine.hub().check();
        assert_eq!(self.engine.metrics().panics, 0, "nothing panics");
        let (mut facts, expected) = (self.engine.take_facts(), self.oracle.take_facts());
        if self.sabotage == Sabotage::RepeatFact {
            facts.extend(facts.last().cloned());
        }
        assert_eq!(facts, expected, "each fact is announced once, in its order");
        assert_eq!(
            self.engine.hub().counts(),
            self.oracle.counts(),
            "channels, subscribers, users"
        );
        let rows = self.conns.len();
        let known = (
            self.engine.connections(),
            self.out.len(),
            self.oracle.lines.len(),
        );
        assert_eq!(
            known,
            (rows, rows, rows),
            "connections are known everywhere or nowhere"
        );
        assert_eq!(
            self.engine.metrics().connections_opened,
            self.summary.opened - self.before.0
        );

        assert_eq!(
            self.engine.metrics().slow_consumers(),
            self.summary.slow - self.before.1,
            "each slow consumer is closed once, as such"
        );

        let totals = self.out.totals();
        assert_eq!(
            totals.bytes_sent, self.sent,
            "bytes that left are those that came out"
        );
        assert_eq!(
            totals.bytes_pushed,
            totals.bytes_sent + totals.bytes_dropped + self.out.queued_bytes() as u64,
            "bytes pushed are sent, dropped or queued"
        );
        let limit = match self.sabotage {
            Sabotage::HalfLimit => self.queue_bytes_max / 2,
            _ => self.queue_bytes_max,
        };
        let mut queued = 0;
        for (conn, row) in self.conns.iter() {
            let state = self.out.state(conn).expect("a queue per connection");
            queued += state.bytes;
            let line: &Line = &self.oracle.lines[&conn];
            let pieces = self.out.pieces(conn).0.count();
            // The last answers of a connection that is ending may be as much as a turn allows: it
            // is given the time of a stalled peer to take them.
            let is_behind = self.behind.contains(&conn);
            let bound = match state.ending {
                // Not written to yet, and so not judged.
                _ if is_behind => limit * OUT_QUEUE_TURN_FACTOR,
                Ending::Open | Ending::Slow | Ending::Abort => limit,
                Ending::Drain | Ending::Linger => limit * OUT_QUEUE_TURN_FACTOR,
            };
            // Of a slow consumer's queue nothing is left but the message that is half written, which
            // alone may be larger than the limit, and the farewell behind it.
            let most_alone = match state.ending {
                Ending::Slow => 2,
                Ending::Open | Ending::Abort | Ending::Drain | Ending::Linger => 1,
            };
            assert!(
                pieces <= most_alone
                    || line.caught_up
                    || state.bytes + pieces * PIECE_OVERHEAD_BYTES <= bound,
                "{conn:?} has {pieces} pieces queued, bound {bound}: {state:?}"
            );
            self.summary.queued_max = self.summary.queued_max.max(state.bytes);
            // A stream that did not take what was said before is left alone.
            let (since_ms, is_beaten) = match line.phase {
                // Pusher has no heartbeat.
                Phase::Open(_) => (line.beat_ms, line.silence_ms.is_none()),
                Phase::Streaming(_) => (line.beat_ms.max(line.waited_ms), true),
                Phase::Http | Phase::Held | Phase::Parked(_) | Phase::Closing | Phase::Done => {
                    (0, false)
                }
            };
            let silent_ms = self.now.mono.0 - since_ms;
            assert!(
                !is_beaten || state.bytes > 0 || silent_ms < CS_HEARTBEAT_MS + WHEEL_SLOT_MS,
                "{conn:?} had no heartbeat for {silent_ms} ms"
            );
            let is_all_heard = state.bytes > 0 || is_behind || line.expect.is_empty();
            assert!(
                is_all_heard,
                "{conn:?} has heard everything but {:?}",
                line.expect
            );
            assert!(
                state.bytes > 0 || row.inbox.is_empty(),
                "{conn:?} heard half of something"
            );
        }
        assert_eq!(queued, self.out.queued_bytes(), "the sum of the queues");
    }
}
