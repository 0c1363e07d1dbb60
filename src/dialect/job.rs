//! Work that is too much for one turn: how much a stretch of a turn may do, and what a request
//! leaves to be gone on with.
//!
//! Everything here is counted, never timed, so that the same input takes the same turns wherever it
//! runs. A unit is about the time in which one delivery is queued.

use super::{Ctx, Io};
use crate::limits::FRAME_BYTES_PER_WORK;
use crate::transport::http::Response;

/// A request whose answer takes several turns. Its connection sends nothing else meanwhile; if it
/// ends, the job goes on all the same: what was asked for whole is done whole.
pub trait Job {
    /// Does one step at least, then more until
    /// [`Effects::has_done_enough`](crate::hub::Effects::has_done_enough) says so. The answer,
    /// once all is done; it is not called again after that.
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response>;

    /// What it holds on the heap, roughly, in bytes.
    fn bytes(&self) -> usize;
}

/// How much has been done, and how much may be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// Units that were spent on something else than queueing and encoding.
    spent: u64,
    /// The reading at which the stretch is over.
    until: u64,
}

impl Io<'_> {
    /// All work so far.
    pub fn reading(&self) -> u64 {
        let queued = self.out.totals().pushed;
        queued + self.writer.written() / FRAME_BYTES_PER_WORK + self.meter.spent
    }

    /// A stretch of `units` begins.
    pub fn begin(&mut self, units: u64) {
        self.meter.until = self.reading().saturating_add(units);
    }

    /// Counts what the meter does not see by itself.
    pub(super) fn count(&mut self, units: u64) {
        self.meter.spent += units;
    }

    /// Whether the stretch is over.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.reading() >= self.meter.until
    }
}
