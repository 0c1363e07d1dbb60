//! The server is told to stop: who is let go at once, and who is given time.

use crate::oracle::Phase;
use crate::world::World;
use fanwire::handler::{ConnId, Turn};
use fanwire::limits::DRAIN_MS;
use fanwire::outbox::Ending;

impl World {
    /// The server says goodbye.
    pub fn drain(&mut self) {
        self.note("the server says goodbye".to_owned());
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.drain(DRAIN_MS, &mut turn);
        self.drained_ms = self.now.mono.0;
        self.oracle.is_draining = true;
        let mut conns: Vec<ConnId> = self.oracle.lines.keys().copied().collect();
        // Those who stay a moment longer hear of those who went before.
        conns.sort_by_key(|conn| conn.index());
        for conn in conns {
            match self.oracle.phase(conn) {
                Phase::Open(_)
                    if self.oracle.line(conn).silence_ms.is_some()
                        && !self.oracle.line(conn).is_pushi =>
                {
                    let reason = "the server is restarting, come back in a moment";
                    self.oracle.hang_up(conn, 4100, reason, self.now);
                }
                Phase::Open(_) => {
                    let reason = "server is restarting, come back in a moment";
                    self.oracle.hang_up(conn, 1012, reason, self.now);
                }
                Phase::Http => {
                    let row = self.conns.get(conn).expect("the oracle knows only these");
                    let is_idle = row.delivered == row.digested;
                    let ending = self.out.ending(conn);
                    let ends = matches!(ending, Some(Ending::Drain | Ending::Linger));
                    // Who was too slow may not have heard all of that yet.
                    // The time for the first head runs from the start.
                    let began = match row.digested {
                        0 => row.began_ms.map(|_| row.opened_ms),
                        _ => row.began_ms,
                    };
                    let slow_ms = began.map_or(0, |began| self.now.mono.0 - began);
                    let is_told = slow_ms >= 10_000 && self.out.queued(conn) > 0;
                    let fits = is_idle == ends || (ends && is_told);
                    assert!(fits, "{conn:?}: idle connections end");
                    if is_idle {
                        self.oracle.line(conn).phase = Phase::Done;
                    }
                }
                Phase::Streaming(_) => self.oracle.gone(conn, self.now),
                Phase::Held | Phase::Parked(_) | Phase::Closing | Phase::Done => {}
            }
        }
        self.oracle.end_waits();
    }
}
