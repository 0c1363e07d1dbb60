//! A connection that waits for news: a long-poll.
//!
//! ```text
//!   Http ──(a request parks)──► Parked ──(news gathered, or time is up)──► Http
//! ```
//!
//! While it waits the connection is its subscriber's outlet, and the outbox puts aside what is
//! pushed to it. That is gathered at the end of each turn, and the answer is made of it at the end
//! of the turn in which its time has come: whatever one turn brings leaves in one answer.

use super::http::{Http, Shape};
use super::{Engine, Phase};
use crate::dialect::Park;
use crate::frame::Frame;
use crate::handler::{ConnId, Origin, Turn};
use crate::hub::SubscriberId;
use crate::outbox::Ending;
use crate::time::Millis;
use crate::transport::http::Response;

/// What is kept of a connection that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) http: Box<Http>,
    park: Box<Park>,
    shape: Shape,
    dialect: usize,
    /// Up to where the subscriber had been told everything before: back to there, if this wait
    /// ends without an answer.
    seen: u64,
    /// When the first of the news came.
    since: Millis,
    news: Vec<Frame>,
    /// The answer is made at the end of this turn.
    is_due: bool,
}

impl Parked {
    pub(super) fn who(&self) -> SubscriberId {
        self.park.who
    }
}

/// The answer made last. A crowd that waits for the same news is told with the same bytes.
#[derive(Debug)]
pub(super) struct Told {
    news: Vec<Frame>,
    answer: Response,
    shape: Shape,
    frame: Frame,
}

impl Engine {
    /// A request waits from here on; `kept` bytes came behind it.
    pub(super) fn begin_poll(
        &mut self,
        conn: ConnId,
        http: Box<Http>,
        park: Box<Park>,
        shape: Shape,
        dialect: usize,
        turn: &mut Turn<'_>,
    ) {
        let (who, from) = (park.who, http.from());
        let (mut seen, mut news) = (0, Vec::new());
        if let Some(subscriber) = self.world.hub.subscriber(who) {
            seen = subscriber.seen();
            let former = subscriber.outlet();
            if !former.is_none() {
                // Told to a socket or a stream is told.
                seen = self.world.hub.sequence();
            }
            // What an earlier poll has not answered yet is this one's news.
            self.gather(turn);
            if let Some(former) = self.inbound.get_mut(former)
                && let Phase::Parked(former) = &mut former.phase
            {
                seen = former.seen;
                news = std::mem::take(&mut former.news);
            }
        }
        let now = turn.now.mono;
        let due = now + park.pace.wake_ms;
        let is_draining = self.is_draining();
        let has_news = !news.is_empty();
        let parked = Parked {
            http,
            park,
            shape,
            dialect,
            seen,
            since: now,
            news,
            is_due: false,
        };
        self.polls_open += 1;
        self.put_back(conn, Phase::Parked(Box::new(parked)));
        turn.out.hold(conn);
        self.arm(conn, due);
        if has_news {
            self.pace(conn, now);
        }
        if is_draining {
            // Who is about to stop lets nobody wait.
            self.poll_is_due(conn);
        }
        self.world.with(dialect, conn, from, turn, |dialect, ctx| {
            dialect.upgraded(who, ctx)
        });
    }

    /// Hands out what was put aside for those who wait.
    pub(super) fn gather(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        for (conn, frame) in turn.out.take_held() {
            let Some(inbound) = self.inbound.get_mut(conn) else {
                continue;
            };
            let Phase::Parked(parked) = &mut inbound.phase else {
                continue;
            };
            if parked.news.is_empty() {
                parked.since = now;
            }
            parked.news.push(frame);
            self.pace(conn, now);
        }
    }

    /// News have come: sets the time to tell them.
    fn pace(&mut self, conn: ConnId, now: Millis) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Parked(parked) = &mut inbound.phase else {
            return;
        };
        let pace = &parked.park.pace;
        if parked.news.len() >= pace.frames {
            self.poll_is_due(conn);
            return;
        }
        let due = (now + pace.gather_ms).min(parked.since + pace.longest_ms);
        self.wheel.arm(conn, &mut inbound.timer, due);
    }

    /// This wait ends with this turn.
    pub(super) fn poll_is_due(&mut self, conn: ConnId) {
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Parked(parked) = &mut inbound.phase
            && !std::mem::replace(&mut parked.is_due, true)
        {
            self.polls_due.push(conn);
        }
    }

    /// The end of a turn: tells whoever is to be told.
    pub(super) fn settle_polls(&mut self, turn: &mut Turn<'_>) {
        if turn.out.has_held() {
            self.gather(turn);
        }
        for conn in std::mem::take(&mut self.polls_due) {
            // It may have been hung up since, and wait anew.
            let is_due = self.inbound.get(conn).is_some_and(
                |inbound| matches!(&inbound.phase, Phase::Parked(parked) if parked.is_due),
            );
            if is_due {
                self.answer_poll(conn, turn);
            }
        }
        // Also where somebody was only hung up: the answer has this turn's date.
        self.told = None;
    }

    /// Ends a wait with an answer: what there is, or that there is nothing.
    pub(super) fn answer_poll(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        if turn.out.has_held() {
            // Where it is hung up in the middle of a turn, what this turn brought is still its own:
            // who takes over is not told it again.
            self.gather(turn);
        }
        let Some(parked) = self.take_parked(conn) else {
            return;
        };
        turn.out.let_go(conn);
        let Parked {
            http,
            park,
            shape,
            dialect,
            news,
            ..
        } = *parked;
        let close = park.answer.close || !shape.keep_alive || self.is_draining();
        let shape = Shape {
            keep_alive: !close,
            ..shape
        };
        self.tell(conn, &park, news, shape, dialect, turn);
        let from = http.from();
        self.world.with(dialect, conn, from, turn, |dialect, ctx| {
            dialect.unparked(park.who, None, ctx);
        });
        if close {
            turn.out.end(conn, Ending::Linger);
            return;
        }
        let goes_on = http.has_more();
        self.put_back(conn, Phase::Http(http));
        if goes_on {
            // Taken once the answer has left.
            turn.out.pause(conn);
        }
        self.watch_progress(conn, turn.now.mono);
    }

    /// Queues the answer, which is often the same as the one before.
    pub(super) fn tell(
        &mut self,
        conn: ConnId,
        park: &Park,
        news: Vec<Frame>,
        shape: Shape,
        dialect: usize,
        turn: &mut Turn<'_>,
    ) {
        let mut answer = park.answer.clone();
        if let Some(told) = &self.told
            && told.shape == shape
            && told.answer == answer
            && park.before.is_empty()
            && same(&told.news, &news)
        {
            self.world.metrics.count_status(answer.status);
            turn.out.push(conn, &told.frame);
            return;
        }
        let bare = answer.clone();
        if let Some(dialect) = self.world.dialects.get(dialect) {
            park.push_body(&mut answer.body, |out| {
                dialect.join(&mut news.iter().map(Frame::payload), out);
            });
        }
        let frame = self.answer(&answer, Some(shape), turn);
        turn.out.push(conn, &frame);
        if park.before.is_empty() {
            self.told = Some(Told {
                news,
                answer: bare,
                shape,
                frame,
            });
        }
    }

    /// The peer that waits will send no more: it has most probably gone, and whatever is told to
    /// it now may be told to nobody. So it gets an empty answer, and its news wait for the next
    /// poll.
    pub(super) fn poll_ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(parked) = self.take_parked(conn) else {
            return;
        };
        turn.out.let_go(conn);
        let shape = Shape {
            keep_alive: false,
            ..parked.shape
        };
        self.tell(conn, &parked.park, Vec::new(), shape, parked.dialect, turn);
        turn.out.end(conn, Ending::Drain);
        self.poll_lost(conn, &parked, turn);
    }

    /// A wait has ended without news that were told.
    pub(super) fn poll_lost(&mut self, conn: ConnId, parked: &Parked, turn: &mut Turn<'_>) {
        let (who, seen) = (parked.park.who, parked.seen);
        let from: Origin = parked.http.from();
        self.world
            .with(parked.dialect, conn, from, turn, |dialect, ctx| {
                dialect.unparked(who, Some(seen), ctx);
            });
    }

    /// The waiting state, taken out of its row.
    fn take_parked(&mut self, conn: ConnId) -> Option<Box<Parked>> {
        let inbound = self.inbound.get_mut(conn)?;
        match std::mem::replace(&mut inbound.phase, Phase::Done) {
            Phase::Parked(parked) => {
                self.polls_open -= 1;
                Some(parked)
            }
            other @ (Phase::Http(_)
            | Phase::Open(_)
            | Phase::Streaming(_)
            | Phase::Closing(_)
            | Phase::Done) => {
                inbound.phase = other;
                None
            }
        }
    }
}

/// Whether both are the very same frames.
fn same(one: &[Frame], other: &[Frame]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
}
