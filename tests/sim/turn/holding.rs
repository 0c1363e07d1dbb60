//! Answers that are held back for a while: in which turn of those that may be one is given, only
//! the engine knows.

use crate::world::World;
use fanwire::handler::ConnId;
use fanwire::limits::WHEEL_SLOT_MS;
use fanwire::outbox::Ending;
use fanwire::time::Millis;

/// One of them: when it is due, and what was queued before the tick.
pub(super) struct HeldBack {
    conn: ConnId,
    due: Millis,
    queued: usize,
}

impl World {
    /// All of them.
    pub(super) fn held_back(&self) -> Vec<HeldBack> {
        let held = self.oracle.held().into_iter();
        let held = held.filter(|&(conn, _)| self.out.ending(conn) == Some(Ending::Open));
        held.map(|(conn, due)| HeldBack {
            conn,
            due,
            queued: self.out.queued(conn),
        })
        .collect()
    }

    /// None is given before its time, or more than a slot of the wheel after it.
    pub(super) fn give_back(&mut self, held: &[HeldBack]) {
        let now = self.now.mono;
        let slot = Millis(now.0 / WHEEL_SLOT_MS * WHEEL_SLOT_MS);
        for &HeldBack { conn, due, queued } in held {
            let is_given =
                self.out.queued(conn) > queued || self.out.ending(conn) != Some(Ending::Open);
            assert!(!is_given || due <= now, "{conn:?} is answered too early");
            assert!(is_given || slot < due, "{conn:?} is answered too late");
            if is_given {
                self.oracle.is_due(conn);
            }
        }
    }
}
