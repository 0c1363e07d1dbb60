//! A connection while it speaks HTTP: requests in order, answers in order.

use super::jobs::Waiting;
use super::storing::{Outcome, Unkept};
use super::{Engine, Phase};
use crate::dialect::{Park, Reply, Stream};
use crate::frame::Frame;
use crate::handler::{ConnId, Origin, Turn};
use crate::hub::Effects;
use crate::limits::{
    BODY_BYTES_PER_WORK, HTTP_BODY_BYTES_PER_S_MIN, HTTP_BODY_GRACE_MS, HTTP_RETRY_AFTER_S,
    HTTP_SMALL_BODY_BYTES_MAX, READ_PAUSE_QUEUE_BYTES, WORK_PER_CALL, WORK_PER_REQUEST,
};
use crate::outbox::Ending;
use crate::time::Millis;
use crate::transport::http::response::{self, Answering};
use crate::transport::http::{self, Decoder, Method, Request, Response, Scratch, Step, upgrade};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Requests taken from one peer before others have their turn.
const REQUESTS_PER_TURN: usize = 32;

/// What a connection is in the middle of, for its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Request,
    Head,
    Body,
}

/// An answer that is held back.
#[derive(Debug)]
struct After {
    due: Millis,
    shape: Shape,
    response: Response,
}

/// What is kept of a connection that speaks HTTP.
#[derive(Debug)]
pub(super) struct Http {
    decoder: Decoder,
    from: Origin,
    /// Bytes of further requests that wait until the answers before them have left.
    kept: Vec<u8>,
    /// Since when the current phase (head or body) lasts.
    since: Millis,
    expects: Expects,
    /// The peer has sent all it will send.
    has_ended: bool,
    /// The last request is answered by a job that goes on; nothing more is taken until then.
    waits: bool,
    /// The answer to the last request, held back until then.
    after: Option<Box<After>>,
    /// When the head was admitted of which the body is awaited, in seconds since 1970-01-01 UTC.
    admitted_unix_s: Option<u64>,
}

impl Http {
    pub(super) fn new(from: Origin, now: Millis) -> Self {
        Self {
            decoder: Decoder::new(),
            from,
            kept: Vec::new(),
            since: now,
            // The time for the first head runs from the first byte expected.
            expects: Expects::Head,
            has_ended: false,
            waits: false,
            after: None,
            admitted_unix_s: None,
        }
    }

    /// Whether nothing of a request has come that would have to be answered.
    pub(super) fn is_idle(&self) -> bool {
        !self.waits && self.kept.is_empty() && self.decoder.phase() == http::Phase::Idle
    }

    /// Where the connection came from.
    pub(super) fn from(&self) -> Origin {
        self.from
    }

    /// Keeps bytes of further requests for later.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Whether there is more to look at than what is still to come.
    pub(super) fn has_more(&self) -> bool {
        self.has_ended || !self.kept.is_empty()
    }

    /// Whether a job goes on that answers its last request.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Since when it is in the middle of what it is in.
    pub(super) fn since(&self) -> Millis {
        self.since
    }

    /// The answer to the last request is there.
    pub(super) fn stop_waiting(&mut self) {
        self.waits = false;
    }

    /// Since when this is what is expected.
    fn enter(&mut self, expects: Expects, now: Millis) -> Millis {
        if self.expects != expects {
            (self.expects, self.since) = (expects, now);
        }
        self.since
    }
}

/// How a stretch of requests ended.
enum End {
    /// All bytes are taken; the connection stays.
    Stay,
    /// So many bytes at the end of the input wait until the answers have left.
    Pause(usize),
    /// The same, until a job is done.
    Wait(usize),
    /// The same, until there are news.
    Park(Box<Park>, Shape, usize, usize),
    /// Nothing but news from here on.
    Stream(Box<Stream>, Shape, usize),
    /// The last answer was given.
    Finish(Ending),
    /// A WebSocket from here on; so many bytes at the end of the input are frames.
    Upgraded(super::websocket::Open, usize),
    /// A WebSocket only to be told why it may not stay.
    Refused(usize, u16, &'static str),
}

impl Engine {
    /// Takes requests out of `bytes` and answers them, until there is a reason to stop.
    pub(super) fn requests(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        // Taken out for the while, so that answering may borrow everything else.
        let phase = std::mem::replace(&mut inbound.phase, Phase::Done);
        let Phase::Http(mut http) = phase else {
            inbound.phase = phase;
            return;
        };
        if http.waits || !http.kept.is_empty() {
            // Still waiting for earlier answers: in order, behind what is kept.
            http.kept.extend_from_slice(bytes);
            inbound.phase = Phase::Http(http);
            turn.out.pause(conn);
            return;
        }
        let end = self.answer_all(conn, &mut http, bytes, turn);
        match end {
            End::Stay if http.has_ended => {
                self.put_back(conn, Phase::Http(http));
                self.requests_ended(conn, turn);
            }
            End::Stay => {
                self.put_back(conn, Phase::Http(http));
                self.watch_progress(conn, turn.now.mono);
            }
            End::Pause(rest) => {
                let start = bytes.len().saturating_sub(rest);
                http.kept = bytes.get(start..).unwrap_or_default().to_vec();
                self.put_back(conn, Phase::Http(http));
                turn.out.pause(conn);
            }
            End::Wait(rest) => {
                let start = bytes.len().saturating_sub(rest);
                http.kept = bytes.get(start..).unwrap_or_default().to_vec();
                http.waits = true;
                let due = http.after.as_ref().map(|after| after.due);
                self.put_back(conn, Phase::Http(http));
                // That nothing is queued is no reason to go on: whoever sends more meanwhile would
                // be looked at in turn after turn, none of which sleeps.
                turn.out.hold(conn);
                if rest > 0 {
                    turn.out.pause(conn);
                }
                // Looked at again and again until the job is done.
                let later = turn.now.mono + self.config.idle_ms;
                self.arm(conn, due.unwrap_or(later));
            }
            End::Park(park, shape, dialect, rest) => {
                let start = bytes.len().saturating_sub(rest);
                http.kept = bytes.get(start..).unwrap_or_default().to_vec();
                if rest > 0 {
                    turn.out.pause(conn);
                }
                if http.has_ended {
                    // Nobody is there to wait.
                    self.tell(conn, &park, Vec::new(), shape, dialect, turn);
                    turn.out.end(conn, Ending::Drain);
                    return;
                }
                self.begin_poll(conn, http, park, shape, dialect, turn);
            }
            End::Stream(stream, shape, dialect) => {
                let (from, has_ended) = (http.from, http.has_ended);
                drop(http);
                self.begin_stream(conn, &stream, shape, dialect, from, turn);
                if has_ended {
                    self.end_stream(conn, turn);
                }
            }
            End::Finish(ending) => turn.out.end(conn, ending),
            End::Upgraded(open, rest) => {
                let (from, who, dialect) = (http.from, open.who(), open.dialect());
                let has_ended = http.has_ended;
                drop(http);
                self.put_back(conn, Phase::Open(open));
                self.begin_socket(conn, who, dialect, from, turn);
                let start = bytes.len().saturating_sub(rest);
                if let Some(frames) = bytes.get_mut(start..)
                    && !frames.is_empty()
                {
                    self.frames(conn, frames, turn);
                }
                if has_ended {
                    // Nothing more can come, and a socket without a Close ends with its bytes.
                    self.leave_socket(conn, Ending::Drain, turn);
                }
            }
            End::Refused(dialect, code, reason) => {
                self.push_close(conn, dialect, code, reason, turn);
                self.begin_closing(conn, turn);
            }
        }
    }

    /// Goes on with bytes that were kept for later.
    pub(super) fn take_kept(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Http(http) = &mut inbound.phase
        {
            let mut kept = std::mem::take(&mut http.kept);
            self.requests(conn, &mut kept, turn);
        }
    }

    pub(super) fn put_back(&mut self, conn: ConnId, phase: Phase) {
        if let Some(inbound) = self.inbound.get_mut(conn) {
            inbound.phase = phase;
        }
    }

    fn answer_all(
        &mut self,
        conn: ConnId,
        http: &mut Http,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> End {
        let mut input = bytes;
        let mut answered = 0;
        let start = self.world.hub_with(turn, |_, io| io.reading());
        // Only whole requests count: after a head the decoder may have more to say, though nothing
        // is left of the input. It shows one head per request.
        while answered < REQUESTS_PER_TURN {
            // What one leaves of its share is not the next one's: a small request is never put off
            // for what stood before it.
            self.world.hub_with(turn, |_, io| io.begin(WORK_PER_CALL));
            match http
                .decoder
                .next(&mut input, &self.config.http, &mut Scratch::new())
            {
                Step::More => return End::Stay,
                Step::Head(head) => match self.admit(conn, http.from, &head, turn) {
                    Ok(body_bytes_max) => {
                        http.decoder.limit_body(body_bytes_max);
                        http.admitted_unix_s = Some(turn.now.unix_seconds());
                    }
                    Err(response) => {
                        self.world.metrics.requests += 1;
                        self.world.metrics.turned_away += 1;
                        let shape = Shape {
                            is_head: head.method == Method::Head,
                            is_1_1: head.is_1_1,
                            keep_alive: false,
                            is_endless: false,
                        };
                        self.respond(conn, &response, Some(shape), turn);
                        return End::Finish(Ending::Linger);
                    }
                },
                Step::Continue => turn.out.push(conn, &Frame::from(response::CONTINUE)),
                Step::Refused(refusal) => {
                    self.world.metrics.refused += 1;
                    self.respond(conn, &refusal.response(), None, turn);
                    return End::Finish(Ending::Linger);
                }
                Step::Request(request) => {
                    answered += 1;
                    self.world.metrics.requests += 1;
                    http.expects = Expects::Request;
                    let shape = Shape {
                        is_head: request.method == Method::Head,
                        is_1_1: request.is_1_1,
                        keep_alive: response::keep_alive(&request) && !self.is_draining(),
                        is_endless: false,
                    };
                    let mut bytes = request.body.len();
                    let asked_unix_s = http.admitted_unix_s.take();
                    let first = self.world.begin_writing();
                    let reply = self.reply(conn, http.from, &request, asked_unix_s, turn);
                    let written = self.world.written_since(first);
                    let response = match reply {
                        Reply::Now(response) => match written.outcome() {
                            Outcome::Known => response,
                            Outcome::Failed(why) => {
                                let dialect = self.dialect_of(&request);
                                self.not_stored(dialect, why)
                            }
                            // It acknowledges what is not kept yet.
                            Outcome::Open(last) => {
                                let dialect = self.dialect_of(&request);
                                http.decoder.release();
                                let unkept = Unkept {
                                    conn,
                                    dialect,
                                    shape,
                                    response,
                                    written,
                                };
                                self.hold_until_kept(last, unkept);
                                return End::Wait(input.len());
                            }
                        },
                        Reply::Ask(ticket, then) => {
                            let dialect = self.dialect_of(&request);
                            http.decoder.release();
                            let waiting = (shape, written);
                            self.ask(conn, http.from, dialect, waiting, (ticket, then));
                            return End::Wait(input.len());
                        }
                        Reply::Report(report) => {
                            let mut response = self.report(&report, conn, turn);
                            let dialect = self.dialect_of(&request);
                            if let Some(dialect) = self.world.dialects.get(dialect) {
                                dialect.dress(&request, &mut response);
                            }
                            response
                        }
                        Reply::After { ms, response } => {
                            let due = turn.now.mono + ms;
                            http.decoder.release();
                            http.after = Some(Box::new(After {
                                due,
                                shape,
                                response,
                            }));
                            return End::Wait(input.len());
                        }
                        Reply::Later(job) => {
                            let dialect = self.dialect_of(&request);
                            let from = http.from;
                            http.decoder.release();
                            self.world.jobs.push(Waiting {
                                conn,
                                from,
                                dialect,
                                shape,
                                job,
                                written,
                            });
                            return End::Wait(input.len());
                        }
                        Reply::Park(park) => {
                            let dialect = self.dialect_of(&request);
                            http.decoder.release();
                            return End::Park(park, shape, dialect, input.len());
                        }
                        Reply::Stream(stream) => {
                            let dialect = self.dialect_of(&request);
                            return End::Stream(stream, shape, dialect);
                        }
                        Reply::Upgrade(accept, who) => {
                            self.switch(conn, accept, turn);
                            let dialect = self.dialect_of(&request);
                            let open = super::websocket::Open::new(who, dialect, turn.now.mono);
                            return End::Upgraded(open, input.len());
                        }
                        Reply::UpgradeAndClose(accept, code, reason) => {
                            self.switch(conn, accept, turn);
                            return End::Refused(self.dialect_of(&request), code, reason);
                        }
                    };
                    let close = response.close || !shape.keep_alive;
                    let shape = Shape {
                        keep_alive: !close,
                        ..shape
                    };
                    self.respond(conn, &response, Some(shape), turn);
                    if close {
                        // More may be on its way, which must not reset the answer away.
                        return End::Finish(Ending::Linger);
                    }
                    bytes += response.body.len();
                    let work = WORK_PER_REQUEST + bytes as u64 / BODY_BYTES_PER_WORK;
                    let is_enough = self.world.hub_with(turn, |_, io| {
                        io.spend(work);
                        io.reading() - start >= WORK_PER_CALL
                    });
                    let is_much = turn.out.queued(conn) > READ_PAUSE_QUEUE_BYTES;
                    if (is_enough || is_much) && !input.is_empty() {
                        return End::Pause(input.len());
                    }
                }
            }
        }
        if input.is_empty() {
            // What the last request was read from is not kept for an idle connection.
            http.decoder.release();
            End::Stay
        } else {
            End::Pause(input.len())
        }
    }

    /// Judges a request by its head, before its body is taken: the most bytes that this may have,
    /// or the answer that turns it away. `reply` checks the same again, and everything else.
    fn admit(
        &mut self,
        conn: ConnId,
        from: Origin,
        head: &Request<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<usize, Response> {
        if self.is_own(head) {
            return Ok(HTTP_SMALL_BODY_BYTES_MAX);
        }
        let dialect = self.dialect_of(head);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            self.world
                .with(dialect, conn, from, turn, |dialect, ctx| {
                    dialect.admit(head, ctx)
                })
                // Nobody's, which `reply` says.
                .unwrap_or(Ok(HTTP_SMALL_BODY_BYTES_MAX))
        }));
        judged.unwrap_or_else(|_| Err(self.panicked()))
    }

    /// The one admission of every request: own pages first, then the dialects. A panic in it
    /// costs this connection and nobody else. `asked_unix_s` says when the head was admitted, if
    /// that was before the body came.
    fn reply(
        &mut self,
        conn: ConnId,
        from: Origin,
        request: &Request<'_>,
        asked_unix_s: Option<u64>,
        turn: &mut Turn<'_>,
    ) -> Reply {
        let dialect = self.dialect_of(request);
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The login opens the metrics as well.
            let signed_in = request.path == "/metrics"
                && self
                    .world
                    .with(dialect, conn, from, turn, |dialect, ctx| {
                        dialect.is_admin(request, ctx)
                    })
                    .unwrap_or(false);
            if let Some(response) = self.own_page(from, request, signed_in, turn) {
                return Some(Reply::Now(response));
            }
            self.world.with(dialect, conn, from, turn, |dialect, ctx| {
                ctx.asked_unix_s = asked_unix_s.unwrap_or(ctx.asked_unix_s);
                dialect.request(request, ctx)
            })
        }));
        match answer {
            Ok(Some(reply)) => reply,
            Ok(None) => Reply::Now(Response::json(404, r#"{"error":"not_found"}"#)),
            Err(_) => Reply::Now(self.panicked()),
        }
    }

    /// The answer to a request that panicked. The panic hook has said where and why.
    #[cold]
    pub(super) fn panicked(&mut self) -> Response {
        self.world.metrics.panics += 1;
        log::error!("a request panicked; its connection is closed");
        let text = r#"{"error":"internal","message":"the server failed at this request"}"#;
        Response {
            close: true,
            ..Response::json(500, text)
        }
    }

    /// Which dialect a request belongs to, by its head alone. The last one takes what is nobody's.
    fn dialect_of(&self, request: &Request<'_>) -> usize {
        let dialects = &self.world.dialects;
        let claims = dialects.iter().position(|dialect| dialect.claims(request));
        claims.unwrap_or(dialects.len().saturating_sub(1))
    }

    fn switch(&mut self, conn: ConnId, accept: upgrade::Accept, turn: &mut Turn<'_>) {
        self.world.metrics.upgrades += 1;
        let out = self.world.writer.begin();
        upgrade::switching(&accept, out);
        let frame = self.world.writer.finish_raw();
        turn.out.push(conn, &frame);
    }

    /// Queues an answer.
    pub(super) fn respond(
        &mut self,
        conn: ConnId,
        response: &Response,
        shape: Option<Shape>,
        turn: &mut Turn<'_>,
    ) {
        let frame = self.answer(response, shape, turn);
        turn.out.push(conn, &frame);
    }

    /// An answer as bytes, counted as given.
    pub(super) fn answer(
        &mut self,
        response: &Response,
        shape: Option<Shape>,
        turn: &Turn<'_>,
    ) -> Frame {
        self.world.metrics.count_status(response.status);
        let answering = Answering {
            head_only: shape.is_some_and(|shape| shape.is_head),
            is_1_1: shape.is_none_or(|shape| shape.is_1_1),
            keep_alive: shape.is_some_and(|shape| shape.keep_alive),
            is_endless: shape.is_some_and(|shape| shape.is_endless),
            date: self.date.at(turn.now.unix_seconds()),
        };
        let out = self.world.writer.begin();
        response::write(response, answering, out);
        self.world.writer.finish_raw()
    }

    /// What a peer is told whose address has as many connections as it may. Its request is not
    /// waited for: the answer would be the same for every one.
    pub(super) fn too_many_connections(&mut self, limit: usize, turn: &Turn<'_>) -> Frame {
        let message = "this address has as many connections open as it may; close some";
        let response = response::refusal(429, "too_many_connections", message, Some(limit as u64))
            .with("Retry-After", HTTP_RETRY_AFTER_S.to_string());
        self.answer(&response, None, turn)
    }

    /// The peer will send no more. What it is owed leaves, then the connection ends.
    pub(super) fn requests_ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Http(http) = &mut inbound.phase else {
            return;
        };
        if http.waits || !http.kept.is_empty() {
            http.has_ended = true;
            return;
        }
        let refusal = http.decoder.end();
        inbound.phase = Phase::Done;
        if let Some(refusal) = refusal {
            self.respond(conn, &refusal.response(), None, turn);
        }
        turn.out.end(conn, Ending::Drain);
    }

    /// Sets the time until which the peer must have got further.
    pub(super) fn watch_progress(&mut self, conn: ConnId, now: Millis) {
        let (config, draining) = (&self.config, self.draining);
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Http(http) = &mut inbound.phase else {
            return;
        };
        let phase = http.decoder.phase();
        // A phase is timed as a whole, never from its last byte: otherwise one byte a second would
        // hold a socket for ever.
        let due = match phase {
            http::Phase::Idle if http.expects == Expects::Head => http.since + config.head_ms,
            http::Phase::Idle => now + config.idle_ms,
            http::Phase::Head => http.enter(Expects::Head, now) + config.head_ms,
            http::Phase::Body { received } => {
                let since = http.enter(Expects::Body, now);
                let slowest = HTTP_BODY_GRACE_MS + received * 1000 / HTTP_BODY_BYTES_PER_S_MIN;
                (now + config.body_stall_ms).min(since + slowest)
            }
        };
        let due = draining.map_or(due, |draining| due.min(draining.until(phase)));
        self.wheel.arm(conn, &mut inbound.timer, due);
    }

    /// Time is up: a word if anything had come, else none.
    pub(super) fn http_timer(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Http(http) = &mut inbound.phase else {
            return;
        };
        if let Some(after) = &http.after {
            let due = after.due;
            if turn.now.mono < due {
                self.arm(conn, due);
            } else if let Some(after) = http.after.take() {
                self.finish(conn, after.shape, &after.response, turn);
            }
            return;
        }
        if http.waits || !http.kept.is_empty() {
            // Its answers wait to leave, or to be made; whether they do is watched elsewhere.
            let later = turn.now.mono + self.config.idle_ms;
            self.arm(conn, later);
            return;
        }
        let until = self.draining.map(|d| d.until(http.decoder.phase()));
        let refusal = match until {
            Some(until) if turn.now.mono >= until => http.decoder.stop(),
            Some(_) | None => http.decoder.time_out(),
        };
        inbound.phase = Phase::Done;
        match refusal {
            Some(refusal) => {
                self.world.metrics.refused += 1;
                self.respond(conn, &refusal.response(), None, turn);
                turn.out.end(conn, Ending::Linger);
            }
            None => turn.out.end(conn, Ending::Drain),
        }
    }
}

/// What an answer needs to know of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) is_head: bool,
    pub(super) is_1_1: bool,
    pub(super) keep_alive: bool,
    pub(super) is_endless: bool,
}

#[cfg(test)]
mod tests;
