//! The reactor's part, played without sockets, and what must hold after each turn.
//!
//! A turn is what it is in `src/reactor`: mail, new connections, reads, time, then settle, flush
//! and bury until nothing is dirty.

mod checking;
mod hearing;
mod holding;
mod stopping;
mod storing;

use super::Sabotage;
use super::oracle::{Call, Expect, Phase};
use super::world::{Unit, What, World};
use fanwire::engine::Mail;
use fanwire::handler::{CloseReason, Conn, ConnId, Handler, Turn};
use fanwire::limits::{
    LINGER_BYTES_MAX, LINGER_MS, READ_BUFFER_BYTES, READ_PAUSE_QUEUE_BYTES, WHEEL_SLOT_MS,
    WRITE_STALL_MS,
};
use fanwire::outbox::{Ending, QueueState};
use fanwire::time::Millis;

/// Calls the handler as the loop does.
macro_rules! call {
    ($world:ident, $method:ident $(, $argument:expr)*) => {{
        let mut turn = Turn {
            out: &mut $world.out,
            now: $world.now,
        };
        $world.engine.$method($($argument,)* &mut turn)
    }};
}

impl World {
    /// One turn at the time that is set.
    pub fn turn(&mut self) {
        for publication in std::mem::take(&mut self.mail) {
            let (letter, message) = publication;
            call!(self, mail, Mail::Publish(letter));
            self.take_jobs();
            self.oracle.publish(&message, self.now);
            self.oracle.end_call();
        }
        self.store_turn();
        for row in std::mem::take(&mut self.knocking) {
            let from = row.from;
            let conn = self.conns.insert(row);
            self.out.open(conn);
            self.summary.opened += 1;
            assert!(self.ledger.insert(conn), "a fresh key");
            self.oracle.opened(conn);
            call!(self, opened, conn, from);
            if self.oracle.is_draining {
                assert_eq!(self.out.ending(conn), Some(Ending::Drain));
                self.oracle.line(conn).phase = Phase::Done;
            }
        }
        for conn in std::mem::take(&mut self.resume) {
            let Some(row) = self.conns.get_mut(conn) else {
                continue;
            };
            if std::mem::take(&mut row.resume_due) {
                let before = self.answered();
                call!(self, resumed, conn);
                // What was kept of its words counts as said now.
                self.oracle.line(conn).waited_ms = self.now.mono.0;
                self.digest(conn, before);
            }
        }
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.read(conn);
        }
        self.own_time();
        if self
            .engine
            .next_deadline()
            .is_some_and(|due| due <= self.now.mono)
        {
            self.tick();
        }
        self.end_turn();
        self.check();
    }

    fn read(&mut self, conn: ConnId) {
        for _ in 0..4 {
            let (Some(queue), Some(row)) = (self.out.state(conn), self.conns.get_mut(conn)) else {
                return;
            };
            if row.dead.is_some() || !row.link.is_readable(self.now.mono.0) {
                return;
            }
            if row.link.is_reset {
                return self.kill(conn, CloseReason::Peer);
            }
            let lingers = row.lingering_until.is_some();
            let held = queue.bytes > READ_PAUSE_QUEUE_BYTES;
            if !lingers && (queue.ending != Ending::Open || queue.paused || held || row.has_ended) {
                row.held |= held && queue.ending == Ending::Open;
                return;
            }
            let now_ms = self.now.mono.0;
            let mut bytes = row.link.read(now_ms, READ_BUFFER_BYTES, &mut self.chance);
            if lingers {
                row.discarded += bytes.len();
                if bytes.is_empty() || row.discarded > LINGER_BYTES_MAX {
                    return self.kill(conn, CloseReason::Asked);
                }
                continue;
            }
            if bytes.is_empty() {
                row.has_ended = true;
                return self.peer_ended(conn);
            }
            row.delivered += bytes.len() as u64;
            row.last_read_ms = now_ms;
            self.oracle.heard(conn, self.now);
            let before = self.answered();
            assert!(self.ledger.contains(&conn), "nothing after closed");
            call!(self, received, conn, &mut bytes);
            self.digest(conn, before);
        }
    }

    /// How many requests were answered, and how many of them at their head.
    fn answered(&self) -> (u64, u64) {
        let metrics = self.engine.metrics();
        (metrics.requests, metrics.turned_away)
    }

    /// The oracle is told of whatever has come whole, or was turned away before it had.
    fn digest(&mut self, conn: ConnId, before: (u64, u64)) {
        assert_eq!(self.engine.metrics().panics, 0, "nothing panics");
        self.take_jobs();
        let after = self.answered();
        let (mut requests, turned_away) = (after.0 - before.0, after.1 - before.1);
        assert!(turned_away <= 1, "it is the last one of a connection");
        let queue = self.out.state(conn).expect("only burial closes a queue");
        let (ending, paused) = (queue.ending, queue.paused);
        let now = self.now;
        loop {
            let phase = self.oracle.phase(conn);
            let row = self.conns.get_mut(conn).expect("only burial removes it");
            let Some(unit) = row.units.front() else {
                break;
            };
            let is_whole = unit.end <= row.delivered;
            let has_begun = unit.end - unit.length < row.delivered;
            match (phase, &unit.what) {
                (Phase::Done | Phase::Streaming(_), _) => {
                    row.units.clear();
                    break;
                }
                // Taken once the request before is answered.
                (Phase::Parked(_) | Phase::Held, _) => break,
                (Phase::Open(_), _) if self.oracle.line(conn).waits => break,
                (_, What::Junk) => {
                    if !has_begun || (ending == Ending::Open && (!is_whole || paused)) {
                        break;
                    }
                    assert!(
                        ending > Ending::Open || phase == Phase::Closing,
                        "junk is refused"
                    );
                    self.junk(conn, phase);
                    continue;
                }
                (Phase::Http, _) => {
                    if requests == 0 {
                        break;
                    }
                    let at_head = requests == 1 && turned_away == 1;
                    if at_head {
                        assert!(unit.head_end <= row.delivered, "its head has come");
                        assert!(unit.head_end < unit.end, "its body comes later");
                        assert!(ending >= Ending::Linger, "it is the last one");
                    } else {
                        assert!(is_whole, "a request is not answered before its end");
                    }
                    requests -= 1;
                    self.oracle.stored.look_at(requests == 0);
                    row.is_turned_away = at_head;
                }
                (Phase::Open(_) | Phase::Closing, _) if !is_whole => break,
                (Phase::Open(_) | Phase::Closing, _) => {}
            }
            let unit = row.units.pop_front().expect("seen a moment ago");
            row.digested = unit.end;
            self.unit(conn, unit, phase);
        }
        self.note_head(conn, paused);
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        let waits = row
            .units
            .front()
            .is_some_and(|unit| unit.end <= row.delivered);
        assert_eq!(requests, 0, "a request was taken that nobody sent");
        let phase = self.oracle.phase(conn);
        let is_held = phase == Phase::Held || self.oracle.line(conn).waits;
        assert!(
            !waits || paused || is_held,
            "{conn:?}: what has come whole is taken, or reading pauses"
        );
        row.began_ms = match (row.delivered > row.digested, row.began_ms) {
            (false, _) => None,
            (true, began) => began.or(Some(now.mono.0)),
        };
        if row.has_ended && phase == Phase::Http && !paused {
            // What came behind an answer that was held back is the last.
            if row.delivered > row.digested {
                self.oracle.expect(conn, Expect::Refusal);
            }
            self.oracle.line(conn).phase = Phase::Done;
        }
        self.summary.pauses += u64::from(paused);
        self.oracle.hang_up_all(now);
        self.oracle.end_call();
    }

    /// A head whose body has still to come has been admitted, or it would have been turned away.
    fn note_head(&mut self, conn: ConnId, paused: bool) {
        let phase = self.oracle.phase(conn);
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        let Some(unit) = row.units.front() else {
            return;
        };
        let What::Request { call, signed, .. } = &unit.what else {
            return;
        };
        let is_here = unit.head_end <= row.delivered && row.delivered < unit.end;
        if phase != Phase::Http || paused || !is_here || row.admitted_s.is_some() {
            return;
        }
        let now_s = self.now.unix_seconds();
        row.admitted_s = Some(now_s);
        let refused = self
            .oracle
            .refuses(call, *signed, row.may_sign, now_s, now_s);
        assert!(refused.is_none(), "{conn:?} may send a body: {call:?}");
        self.summary.admitted += 1;
    }

    /// One thing that a client sent has come whole, or its head was enough.
    fn unit(&mut self, conn: ConnId, unit: Unit, phase: Phase) {
        let now = self.now;
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        let (may_sign, at_head) = (row.may_sign, row.is_turned_away);
        let asked_s = row.admitted_s.take().unwrap_or(now.unix_seconds());
        match unit.what {
            What::Request {
                call,
                signed,
                asks_close,
            } => {
                if self.traced {
                    self.note(format!("{conn:?} asks {call:?} {signed:?}"));
                }
                self.summary.requests += 1;
                self.summary.turned_away += u64::from(at_head);
                let refused =
                    self.oracle
                        .refuses(&call, signed, may_sign, asked_s, now.unix_seconds());
                assert!(!at_head || refused.is_some(), "{conn:?}: why not {call:?}?");
                let refused = refused.or_else(|| match &call {
                    Call::Api(call) => self.oracle.distrusts(call, asked_s),
                    _ => None,
                });
                self.look_at_hub();
                let asks = (may_sign, asks_close || at_head);
                self.oracle.request(conn, &call, refused, asks, now);
            }
            What::Handshake(id) => {
                if self.traced {
                    self.note(format!("{conn:?} opens the socket of {id:?}"));
                }
                self.summary.sockets += 1;
                self.oracle.upgrade(conn, id.as_deref(), now);
            }
            What::Frame(ping) => {
                if let (Phase::Open(_), Some(payload)) = (phase, ping) {
                    self.oracle.expect(conn, Expect::Pong(payload));
                }
            }
            What::Pong => self.oracle.line(conn).has_ponged = true,
            What::Opening(opening) => {
                if self.traced {
                    self.note(format!("{conn:?} opens {opening:?}"));
                }
                self.summary.sockets += 1;
                self.oracle.open_pusher(conn, &opening, now);
            }
            What::Door(app) => {
                if self.traced {
                    self.note(format!("{conn:?} opens Pushi's socket of {app:?}"));
                }
                self.summary.sockets += 1;
                self.oracle.open_pushi(conn, app, now);
            }
            What::Chat(chat) => {
                if self.traced {
                    self.note(format!("{conn:?} says {chat:?}"));
                }
                self.oracle.chat(conn, &chat, now);
            }
            What::Say(say) => {
                if self.traced {
                    self.note(format!("{conn:?} says {say:?}"));
                }
                self.oracle.say(conn, &say, now);
            }
            What::Close(code) => self.oracle.closes(conn, code, now),
            What::Junk => unreachable!("dealt with before"),
        }
    }

    fn junk(&mut self, conn: ConnId, phase: Phase) {
        self.summary.junk += 1;
        match phase {
            Phase::Http => {
                self.oracle.expect(conn, Expect::Refusal);
                self.oracle.line(conn).phase = Phase::Done;
            }
            Phase::Open(_) => {
                self.oracle.expect(conn, Expect::BadFrame);
                self.oracle.gone(conn, self.now);
            }
            Phase::Held | Phase::Parked(_) | Phase::Streaming(_) => {
                unreachable!("nothing is taken there")
            }
            Phase::Closing | Phase::Done => self.oracle.line(conn).phase = Phase::Done,
        }
    }

    fn peer_ended(&mut self, conn: ConnId) {
        call!(self, ended, conn);
        self.pass_jobs_on();
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        match self.oracle.phase(conn) {
            Phase::Http => {
                if row.delivered > row.digested {
                    self.oracle.expect(conn, Expect::Refusal);
                }
                self.oracle.line(conn).phase = Phase::Done;
            }
            Phase::Parked(_) => {
                self.summary.polls_over += 1;
                self.oracle.poll_ended(conn, self.now);
            }
            Phase::Open(_) | Phase::Streaming(_) => self.oracle.gone(conn, self.now),
            // Let go when it has its answer.
            Phase::Held => return,
            Phase::Closing | Phase::Done => {}
        }
        let ending = self.out.ending(conn);
        assert!(ending > Some(Ending::Open), "an ended peer is let go");
    }

    // ---- time ------------------------------------------------------------------------------

    fn tick(&mut self) {
        self.gone_log.take();
        for (&conn, line) in &mut self.oracle.lines {
            if self.out.queued(conn) > 0 || line.waits {
                line.waited_ms = self.now.mono.0;
            }
        }
        let held = self.held_back();
        if self.sabotage != Sabotage::MissTick {
            call!(self, tick);
        }
        self.take_jobs();
        self.give_back(&held);
        let now = self.now;
        // Which sockets were silent for too long the oracle knows; in which order they went, when
        // several did in one slot of the wheel, only the engine does.
        let config = self.silence_ms;
        let slot = now.mono.0 / WHEEL_SLOT_MS * WHEEL_SLOT_MS;
        let gone = self.gone_log.take();
        for (&conn, line) in &self.oracle.lines {
            if !matches!(line.phase, Phase::Open(_)) {
                continue;
            }
            let went = gone.contains(&conn);
            let config = line.silence_ms.unwrap_or(config);
            if line.is_pushi && !line.has_ponged {
                assert!(!went, "it may be mute");
                continue;
            }
            assert!(
                !went || now.mono.0 - line.heard_ms >= config,
                "it was not silent for long"
            );
            assert!(
                went || slot < line.heard_ms.max(line.waited_ms) + config,
                "a silent socket goes: {conn:?}"
            );
        }
        for conn in gone {
            self.summary.silent += 1;
            let is_pusher = self.oracle.line(conn).silence_ms.is_some();
            self.oracle.sockets.silent += u64::from(is_pusher);
            match is_pusher && !self.oracle.line(conn).is_pushi {
                true => {
                    let words = "a ping was not answered in time";
                    self.oracle.expect_close(conn, 4201, words);
                }
                false => self
                    .oracle
                    .expect(conn, Expect::Close(1008, "no answer to a ping")),
            }
            self.oracle.gone(conn, now);
        }
        self.look_at_hub();
        self.oracle.tick(now);
        self.oracle.hang_up_all(now);
        self.oracle.end_call();
        if let Some(next) = self.engine.next_deadline() {
            // Polls that are due are answered at the end of the turn.
            let is_ahead = next > now.mono || next == Millis(0);
            assert!(is_ahead, "after a tick the next deadline lies ahead");
        }
    }

    /// When the reactor itself wants to be woken.
    pub fn own_deadline(&self) -> Option<u64> {
        let deadlines = self.conns.iter().flat_map(|(_, row)| {
            let stall = row.stuck_since_ms.map(|since| since + WRITE_STALL_MS);
            [row.lingering_until, stall].into_iter().flatten()
        });
        let store = self.side.as_ref().and_then(|side| side.deadline());
        let early = self.early.map(|_| self.now.mono.0);
        deadlines.chain(store).chain(early).min()
    }

    fn own_time(&mut self) {
        let now_ms = self.now.mono.0;
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            if row.lingering_until.is_some_and(|until| until <= now_ms) {
                self.kill(conn, CloseReason::Asked);
            } else if row
                .stuck_since_ms
                .is_some_and(|since| since + WRITE_STALL_MS <= now_ms)
            {
                row.stuck_since_ms = None;
                self.summary.stalled += 1;
                self.out.stalled(conn);
            }
        }
    }

    // ---- the end of a turn -----------------------------------------------------------------

    fn end_turn(&mut self) {
        let mut behind = std::mem::take(&mut self.behind);
        for pass in 0.. {
            assert!(pass < 1000, "the end of a turn comes to an end");
            self.settle();
            let mut dirty = self.out.take_dirty();
            if self.chance.one_in(16) {
                // The time for writing is over somewhere in the list.
                let end = self.chance.below(dirty.len() + 1);
                self.behind.extend(dirty.drain(end..));
            }
            for &conn in &dirty {
                self.flush(conn);
            }
            self.out.recycle(dirty);
            for conn in behind.drain(..) {
                self.flush(conn);
            }
            if !self.bury() {
                break;
            }
        }
    }

    /// Polls whose time has come are answered; in which order, when it came for several of them,
    /// only the engine knows.
    fn settle(&mut self) {
        if self.sabotage == Sabotage::DropHeld {
            drop(self.out.take_held());
        }
        self.answered_log.take();
        call!(self, settle);
        self.oracle.settle(&self.answered_log.take(), self.now);
    }

    fn flush(&mut self, conn: ConnId) {
        let (Some(queue), Some(row)) = (self.out.visit(conn), self.conns.get_mut(conn)) else {
            return;
        };
        if row.dead.is_some() {
            return;
        }
        if queue.ending == Ending::Abort {
            return self.kill(conn, CloseReason::Asked);
        }
        if queue.bytes > 0 {
            if !row.is_writable {
                if queue.ending == Ending::Slow || self.out.judge(conn, 0) {
                    self.kill(conn, CloseReason::SlowConsumer);
                }
                return;
            }
            if row.link.is_reset {
                return self.kill(conn, CloseReason::Peer);
            }
            let count = row.link.takes(queue.bytes, &mut self.chance);
            let (pieces, sent) = self.out.pieces(conn);
            let mut bytes: Vec<u8> = Vec::with_capacity(queue.bytes + sent);
            for piece in pieces {
                bytes.extend_from_slice(piece);
            }
            assert_eq!(
                bytes.len() - sent,
                queue.bytes,
                "the pieces are what is queued"
            );
            bytes.truncate(sent + count);
            bytes.drain(..sent);
            self.out.advance(conn, count);
            self.sent += count as u64 + u64::from(self.sabotage == Sabotage::Miscount);
            if count > 0 {
                row.stuck_since_ms = None;
            }
            self.summary.hash(&bytes);
            if self.sabotage == Sabotage::LoseBytes && self.sent > 5_000 {
                bytes.pop();
            }
            row.inbox.push(&bytes);
            self.listen(conn);
            if count < queue.bytes {
                return self.not_all(conn, queue);
            }
        }
        self.drained(conn, queue);
    }

    fn not_all(&mut self, conn: ConnId, queue: QueueState) {
        if queue.ending == Ending::Slow {
            return self.kill(conn, CloseReason::SlowConsumer);
        }
        if self.out.judge(conn, 0) {
            return self.kill(conn, CloseReason::SlowConsumer);
        }
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        row.is_writable = false;
        row.stuck_since_ms.get_or_insert(self.now.mono.0);
    }

    fn drained(&mut self, conn: ConnId, queue: QueueState) {
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        row.stuck_since_ms = None;
        self.oracle.line(conn).caught_up = false;
        match queue.ending {
            Ending::Open if queue.held => {}
            Ending::Open => {
                let held = std::mem::take(&mut row.held);
                if queue.paused {
                    self.out.unpause(conn);
                }
                if queue.paused || held {
                    row.resume_due = true;
                    self.resume.push(conn);
                }
            }
            Ending::Drain | Ending::Abort => self.kill(conn, CloseReason::Asked),
            Ending::Linger if row.has_ended => self.kill(conn, CloseReason::Asked),
            Ending::Linger => {
                row.lingering_until
                    .get_or_insert(self.now.mono.0 + LINGER_MS);
            }
            Ending::Slow => self.kill(conn, CloseReason::SlowConsumer),
        }
    }

    fn kill(&mut self, conn: ConnId, why: CloseReason) {
        let row = self.conns.get_mut(conn).expect("only burial removes it");
        if row.dead.is_none() {
            row.dead = Some(why);
            self.dead.push(conn);
        }
    }

    fn bury(&mut self) -> bool {
        if self.dead.is_empty() {
            return false;
        }
        for conn in std::mem::take(&mut self.dead) {
            let row = self.conns.remove(conn).expect("it dies once");
            let queue = self.out.state(conn).expect("its queue is still there");
            let why = match row.dead.expect("it is dead for a reason") {
                CloseReason::Peer if queue.ending == Ending::Slow => CloseReason::SlowConsumer,
                why => why,
            };
            self.out.remove(conn);
            self.summary.close(why);
            self.summary.hash(format!("{conn:?} {why:?}").as_bytes());
            if self.sabotage == Sabotage::ForgetClosed && self.summary.closed == 5 {
                let is_slow = why == CloseReason::SlowConsumer;
                self.oracle.closed(conn, is_slow, self.now);
                continue;
            }
            self.close(conn, why);
            if self.sabotage == Sabotage::CloseTwice {
                self.close(conn, why);
            }
            let is_slow = why == CloseReason::SlowConsumer;
            let waited = matches!(self.oracle.phase(conn), Phase::Parked(_));
            self.summary.polls_over += u64::from(waited);
            let line = self.oracle.closed(conn, is_slow, self.now);
            self.oracle.hang_up_all(self.now);
            if self.traced {
                self.note(format!("{conn:?} closed: {why:?}"));
            }
            let is_graceful = why == CloseReason::Asked && queue.ending != Ending::Abort;
            assert!(
                !is_graceful || line.expect.is_empty(),
                "{conn:?} was closed before its client had heard {:?}",
                line.expect
            );
            // An idle connection may be let go, but not sooner than it was told.
            let quiet_ms = self.now.mono.0 - row.last_read_ms;
            assert!(
                why != CloseReason::Asked
                    || line.phase != Phase::Http
                    || self.oracle.is_draining
                    || quiet_ms >= 10_000,
                "{conn:?} was closed though its client was not done"
            );
        }
        true
    }

    fn close(&mut self, conn: ConnId, why: CloseReason) {
        assert!(self.ledger.remove(&conn), "closed once");
        call!(self, closed, conn, why);
        self.pass_jobs_on();
    }
}

/// Keys of connections, for signatures.
pub type Conns = fanwire::table::Table<Conn, super::world::Row>;
