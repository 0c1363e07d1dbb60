//! Requests that are answered over several turns, each a while in its turn.
//!
//! Others come first: a turn's reading is done when jobs go on, so whoever asks for little never
//! waits for whoever asked for much by more than one turn.

use super::http::Shape;
use super::storing::{Unkept, Written};
use super::world::World;
use super::{Engine, Phase};
use crate::dialect::Job;
use crate::handler::{ConnId, Origin, Turn};
use crate::hub::Effects;
use crate::limits::{JOB_BYTES_MAX, WORK_PER_TURN};
use crate::outbox::Ending;
use crate::store::{Place, Trouble};
use crate::transport::http::Response;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One of them, and whom it answers.
pub(super) struct Waiting {
    pub(super) conn: ConnId,
    pub(super) from: Origin,
    pub(super) dialect: usize,
    pub(super) shape: Shape,
    pub(super) job: Box<dyn Job>,
    /// What it has put into the store's queue so far.
    pub(super) written: Written,
}

/// All of them, in the order in which they go on.
#[derive(Default)]
pub(super) struct Jobs {
    /// Each with the bytes that it was counted with.
    queue: VecDeque<(Waiting, usize)>,
    bytes: usize,
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether one more may begin; it is taken whatever its size.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < JOB_BYTES_MAX
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let bytes = waiting.job.bytes();
        self.bytes += bytes;
        self.queue.push_back((waiting, bytes));
    }

    /// These writes were not kept: whoever made them is told so at the end.
    pub(super) fn not_kept(&mut self, from: Place, upto: Place, why: Trouble) {
        for (waiting, _) in &mut self.queue {
            waiting.written.not_kept(from, upto, why);
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let Some((waiting, bytes)) = self.queue.pop_front() else {
            self.queue = VecDeque::new();
            return None;
        };
        self.bytes -= bytes;
        Some(waiting)
    }
}

impl Engine {
    /// Goes on with the jobs until the turn has done enough; with one of them at least.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>) {
        self.world.hub_with(turn, |_, io| io.begin(WORK_PER_TURN));
        for _ in 0..self.jobs() {
            let Some(mut waiting) = self.world.jobs.pop() else {
                return;
            };
            let first = self.world.begin_writing();
            let world: &mut World = &mut self.world;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let (conn, from) = (waiting.conn, waiting.from);
                world.with(waiting.dialect, conn, from, turn, |_, ctx| {
                    waiting.job.go_on(ctx)
                })
            }));
            waiting.written.add(self.world.written_since(first));
            match outcome {
                Ok(Some(None)) => self.world.jobs.push(waiting),
                Ok(Some(Some(response))) => self.done(waiting, response, turn),
                // Without its dialect it has nothing to say.
                Ok(None) | Err(_) => {
                    let response = self.panicked();
                    self.finish(waiting.conn, waiting.shape, &response, turn);
                }
            }
            if self.world.hub_with(turn, |_, io| io.has_done_enough()) {
                return;
            }
        }
    }

    /// A job has come to its end. Its answer waits until what it has stored is kept.
    fn done(&mut self, waiting: Waiting, response: Response, turn: &mut Turn<'_>) {
        let Waiting {
            conn,
            dialect,
            shape,
            written,
            ..
        } = waiting;
        let unkept = Unkept {
            conn,
            dialect,
            shape,
            response,
            written,
        };
        self.answer_when_kept(unkept, turn);
    }

    /// The answer is there: gives it to whoever still waits for it.
    pub(super) fn finish(
        &mut self,
        conn: ConnId,
        shape: Shape,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Http(http) = &mut inbound.phase else {
            return;
        };
        http.stop_waiting();
        turn.out.let_go(conn);
        let close = response.close || !shape.keep_alive || self.is_draining();
        let shape = Shape {
            keep_alive: !close,
            ..shape
        };
        self.respond(conn, response, Some(shape), turn);
        if close {
            self.put_back(conn, Phase::Done);
            turn.out.end(conn, Ending::Linger);
        } else {
            // Whatever came behind the request is taken once this has left.
            turn.out.pause(conn);
        }
    }
}
