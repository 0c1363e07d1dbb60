//! The entries of one list of messages, edits or deletions, acted on in order: at once where they are
//! few, over several turns where they are many or are heard by many.
//!
//! An entry is always given to its whole audience in one turn. Between two entries others may have
//! theirs.

use super::encode::push_comma;
use crate::dialect::{Ctx, Job};
use crate::hub::Effects;
use crate::limits::WORK_PER_MESSAGE;
use crate::transport::http::Response;

/// One entry of such a list.
pub(super) trait Entry {
    /// The same with texts of its own.
    type Owned: Entry + 'static;

    /// Whether it is acted on at all; otherwise the answer does not repeat it.
    fn counts(&self) -> bool;

    /// The channel that it is about.
    fn channel(&self) -> Option<&str>;

    /// Acts on it, and appends what the answer says of it.
    fn act(&self, text: &mut Vec<u8>, ctx: &mut Ctx<'_>);

    /// With texts of its own, to outlive the request.
    fn into_owned(self) -> Self::Owned;

    /// What it takes in memory, roughly.
    fn bytes(&self) -> usize;
}

/// Entries that wait for their turn, and the answer's text as far as it is written.
pub(super) struct Batch<E> {
    left: std::vec::IntoIter<E>,
    text: Vec<u8>,
}

impl<E: Entry> Batch<E> {
    /// Nothing of it is done yet.
    pub(super) fn new(entries: Vec<E>) -> Self {
        Self {
            left: entries.into_iter(),
            text: vec![b'['],
        }
    }

    /// Acts on one entry, and on more until the turn has done enough. The text of the answer, if
    /// that was all.
    pub(super) fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Vec<u8>> {
        while let Some(entry) = self.left.next() {
            ctx.io.spend(WORK_PER_MESSAGE);
            if entry.counts() {
                let written = self.text.len() - 1;
                push_comma(&mut self.text, written);
                entry.act(&mut self.text, ctx);
            }
            if ctx.io.has_done_enough() && !self.left.as_slice().is_empty() {
                return None;
            }
        }
        self.text.push(b']');
        Some(std::mem::take(&mut self.text))
    }

    /// The rest, with texts of its own to outlive the request; `answer` is what the caller is told
    /// at the end, but for its body.
    pub(super) fn into_job(self, answer: Response) -> Box<dyn Job> {
        let left: Vec<_> = self.left.map(E::into_owned).collect();
        let batch = Batch {
            left: left.into_iter(),
            text: self.text,
        };
        Box::new(BatchJob { batch, answer })
    }
}

/// The rest of a batch that goes on in later turns.
struct BatchJob<E> {
    batch: Batch<E>,
    answer: Response,
}

impl<E: Entry> Job for BatchJob<E> {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let text = self.batch.go_on(ctx)?;
        let mut answer = std::mem::take(&mut self.answer);
        answer.body = text;
        Some(answer)
    }

    fn bytes(&self) -> usize {
        let left = self.batch.left.as_slice();
        let texts: usize = left.iter().map(E::bytes).sum();
        // Each is repeated in the answer.
        self.batch.text.capacity() + 2 * texts
    }
}
