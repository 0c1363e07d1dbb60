//! A connection while it is a WebSocket: texts in, shared frames out, and how it ends.

use super::storing::Said;
use super::{Engine, Phase};
use crate::dialect::{Heartbeat, Liveness, SocketEnd, SocketThen};
use crate::frame::{Frame, Opcode};
use crate::handler::{CloseReason, ConnId, Origin, Turn};
use crate::hub::{Effects, SubscriberId};
use crate::limits::WORK_PER_CALL;
use crate::outbox::Ending;
use crate::store::Ticket;
use crate::time::Millis;
use crate::transport::rate::Bucket;
use crate::transport::websocket::{self, Decoder, Item};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is kept of an open socket: narrow, and nothing on the heap while it is quiet.
#[derive(Debug)]
pub(super) struct Open {
    decoder: Decoder,
    who: SubscriberId,
    /// When a byte last came, or later: when it last had an excuse, see [`Engine::socket_timer`].
    heard: Millis,
    /// Only for those who talk much.
    rates: Option<Box<Rates>>,
    /// The beat of its last heartbeat, see [`beat_of`]; of its opening before the first.
    beat: u32,
    dialect: u8,
    /// What has become of pings.
    pings: Pings,
    /// What it said last waits for the store, and what it says next waits for that.
    waits: bool,
    /// Messages that came before there were `rates`.
    early: u8,
}

/// What has become of our pings, in one byte: one more would make every idle socket eight larger.
#[derive(Debug, Clone, Copy, Default)]
struct Pings(u8);

impl Pings {
    /// One was sent since a byte last came.
    const IS_SENT: u8 = 1;
    /// The peer has sent a Pong, ever.
    const HAS_PONGED: u8 = 2;

    fn is_sent(self) -> bool {
        self.0 & Self::IS_SENT != 0
    }

    fn has_ponged(self) -> bool {
        self.0 & Self::HAS_PONGED != 0
    }

    fn set_sent(&mut self, is_sent: bool) {
        let bit = u8::from(is_sent) * Self::IS_SENT;
        self.0 = (self.0 & !Self::IS_SENT) | bit;
    }
}

/// Messages that are at most taken before buckets are kept.
const EARLY_MAX: u32 = u8::MAX as u32;

/// How fast a peer talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Fine,
    /// Faster than it may: the message is thrown away.
    TooFast,
    /// Ten times faster than it may: the connection ends.
    Abuse,
}

/// How fast a peer may talk.
#[derive(Debug, Default)]
struct Rates {
    pings: Bucket,
    messages: Bucket,
    /// What reaches others, see `Ctx::talk`.
    talk: Bucket,
    /// Ten times the rate: beyond it the connection ends.
    abuse: Bucket,
    /// Frames that wait for the next turn, as those before them were work enough for this one.
    kept: Vec<u8>,
}

/// Counts a message.
///
/// Most peers say a few words and then listen for hours: the first few messages are only counted,
/// and charged if there are more, as if they had come just now.
fn count_message(rates: &mut Option<Box<Rates>>, early: &mut u8, now: Millis, per_s: u32) -> Pace {
    if rates.is_none() && u32::from(*early) < (per_s / 8).min(EARLY_MAX) {
        *early += 1;
        return Pace::Fine;
    }
    let rates = rates.get_or_insert_default();
    for _ in 0..std::mem::take(early) {
        rates.take_message(now, per_s);
    }
    rates.take_message(now, per_s)
}

impl Rates {
    fn take_message(&mut self, now: Millis, per_s: u32) -> Pace {
        let (tenfold, burst) = (per_s.saturating_mul(10), per_s.saturating_mul(20));
        if !self.abuse.take(now, tenfold, burst) {
            Pace::Abuse
        } else if !self.messages.take(now, per_s, per_s.saturating_mul(2)) {
            Pace::TooFast
        } else {
            Pace::Fine
        }
    }
}

impl Open {
    pub(super) fn new(who: SubscriberId, dialect: usize, now: Millis) -> Self {
        Self {
            decoder: Decoder::new(),
            who,
            heard: now,
            rates: None,
            beat: 0,
            dialect: dialect as u8,
            pings: Pings::default(),
            waits: false,
            early: 0,
        }
    }

    pub(super) fn who(&self) -> SubscriberId {
        self.who
    }

    /// When a byte last came, or later: when it last had an excuse, see [`Engine::socket_timer`].
    pub(super) fn heard(&self) -> Millis {
        self.heard
    }

    pub(super) fn dialect(&self) -> usize {
        usize::from(self.dialect)
    }

    /// What it waited for is there.
    pub(super) fn stop_waiting(&mut self) {
        self.waits = false;
    }
}

/// Connections that speak no HTTP any more have no use for where they came from.
pub(super) const NOWHERE: Origin = Origin {
    peer: None,
    tls: false,
};

/// Beats are numbered from the start and come every `every_ms`, shifted by the connection's place
/// so that many do not beat in one turn. The number of the last one up to `now`, and when the next
/// one is due. Numbers may come round again after 2^32 of them.
fn beat_of(conn: ConnId, every_ms: u64, now: Millis) -> (u32, Millis) {
    let every_ms = every_ms.max(1);
    let offset = (conn.index() as u64).wrapping_mul(7919) % every_ms;
    let count = (now.0 + every_ms - offset) / every_ms;
    (count as u32, Millis(count * every_ms + offset))
}

impl Engine {
    /// The 101 is queued: the dialect makes the connection an outlet, heartbeats begin.
    pub(super) fn begin_socket(
        &mut self,
        conn: ConnId,
        who: SubscriberId,
        dialect: usize,
        from: Origin,
        turn: &mut Turn<'_>,
    ) {
        self.sockets_open += 1;
        if let Some(farewell) = self.farewell(dialect, turn) {
            turn.out.set_farewell(conn, farewell);
        }
        self.world.with(dialect, conn, from, turn, |dialect, ctx| {
            dialect.upgraded(who, ctx)
        });
        let now = turn.now.mono;
        let beat = self
            .heartbeat_of(dialect)
            .map(|heartbeat| beat_of(conn, heartbeat.every_ms, now));
        let next_beat = beat.map_or(Millis::NEVER, |(beat, next)| {
            self.note_beat(conn, beat);
            next
        });
        let due = self.silent_at(dialect, who, now, now).min(next_beat);
        self.arm(conn, due);
    }

    /// What silence of this subscriber means.
    fn liveness(&self, dialect: usize, who: SubscriberId) -> Liveness {
        let dialect = self.world.dialects.get(dialect);
        let own = dialect.and_then(|dialect| dialect.liveness(who, &self.world.hub));
        own.unwrap_or(Liveness {
            ask_after_ms: self.config.ws_ping_after_ms,
            ask: None,
            wait_ms: self.config.ws_pong_ms,
            close: (1008, "no answer to a ping"),
            may_be_mute: false,
        })
    }

    pub(super) fn heartbeat_of(&self, dialect: usize) -> Option<Heartbeat> {
        self.world.dialects.get(dialect)?.heartbeat()
    }

    /// When a peer that was last heard at `heard` has been silent for too long: to be pinged
    /// first, then to be let go.
    fn silent_at(&self, dialect: usize, who: SubscriberId, heard: Millis, now: Millis) -> Millis {
        let liveness = self.liveness(dialect, who);
        let asked = heard + liveness.ask_after_ms;
        if asked > now {
            asked
        } else {
            asked + liveness.wait_ms
        }
    }

    /// A heartbeat is due, or the peer has been silent for long.
    pub(super) fn socket_timer(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let Some((who, dialect)) =
            self.inbound
                .get(conn)
                .and_then(|inbound| match &inbound.phase {
                    Phase::Open(open) => Some((open.who, open.dialect())),
                    Phase::Http(_)
                    | Phase::Parked(_)
                    | Phase::Streaming(_)
                    | Phase::Closing(_)
                    | Phase::Done => None,
                })
        else {
            return;
        };
        let liveness = self.liveness(dialect, who);
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Open(open) = &mut inbound.phase else {
            return;
        };
        if turn.out.is_behind(conn) || open.waits {
            // Our ping may be behind what it has not read yet, and beyond a bound its own words
            // are not read either. Whether it makes progress is for the outbox to judge.
            open.heard = now;
            open.pings.set_sent(false);
        }
        let patience_ms = liveness.ask_after_ms + liveness.wait_ms;
        if liveness.may_be_mute && !open.pings.has_ponged() && now.since(open.heard) >= patience_ms
        {
            open.heard = now;
            open.pings.set_sent(false);
        }
        let (heard, last_beat) = (open.heard, open.beat);
        let silence_ms = now.since(heard);
        if silence_ms >= patience_ms {
            let (code, why) = liveness.close;
            self.refuse_socket(conn, code, why, turn);
            return;
        }
        // Heartbeats do not make this needless: they ask nothing, and the kernel goes on for a
        // quarter of an hour before it gives up on a peer that has vanished.
        let is_silent = silence_ms >= liveness.ask_after_ms;
        if is_silent && !open.pings.is_sent() {
            open.pings.set_sent(true);
            let writer = &mut self.world.writer;
            let frame = match liveness.ask {
                None => writer.websocket(Opcode::Ping, &[]),
                Some(text) => writer.websocket(Opcode::Text, text.as_bytes()),
            };
            turn.out.push(conn, &frame);
        }
        let next_beat = match self.heartbeat_of(dialect) {
            None => Millis::NEVER,
            Some(heartbeat) => {
                // The time may have come for the ping alone.
                let (beat, next) = beat_of(conn, heartbeat.every_ms, now);
                if beat != last_beat {
                    let frame = self.beat(heartbeat.text);
                    turn.out.push(conn, &frame);
                    self.note_beat(conn, beat);
                }
                next
            }
        };
        let due = self.silent_at(dialect, who, heard, now).min(next_beat);
        self.arm(conn, due);
    }

    /// A peer that was asked is there: its timer stands at the end of the wait for that, and may be
    /// wanted before.
    fn answered_ping(&mut self, conn: ConnId, who: SubscriberId, dialect: usize, now: Millis) {
        let silent = self.silent_at(dialect, who, now, now);
        let due = self.inbound.get(conn).map(|inbound| inbound.timer.due());
        if due.is_some_and(|due| silent < due) {
            self.arm(conn, silent);
        }
    }

    /// `conn` has had this beat.
    fn note_beat(&mut self, conn: ConnId, beat: u32) {
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Open(open) = &mut inbound.phase
        {
            open.beat = beat;
        }
    }

    /// The heartbeat's frame; the same one for everybody.
    fn beat(&mut self, text: &'static str) -> Frame {
        match &self.heartbeat {
            Some((known, frame)) if *known == text => frame.clone(),
            _ => {
                let frame = self.world.writer.websocket(Opcode::Text, text.as_bytes());
                self.heartbeat = Some((text, frame.clone()));
                frame
            }
        }
    }

    /// Goes on with frames that waited for this turn.
    pub(super) fn kept_frames(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Open(open) = &mut inbound.phase
            && !open.waits
            && let Some(rates) = &mut open.rates
            && !rates.kept.is_empty()
        {
            let mut kept = std::mem::take(&mut rates.kept);
            self.frames(conn, &mut kept, turn);
        }
    }

    /// Takes frames out of `bytes`.
    pub(super) fn frames(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let mut input = bytes;
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Open(open) = &mut inbound.phase
            && (open.waits
                || open
                    .rates
                    .as_ref()
                    .is_some_and(|rates| !rates.kept.is_empty()))
        {
            // In order, behind what waits.
            let rates = open.rates.get_or_insert_default();
            rates.kept.extend_from_slice(input);
            turn.out.pause(conn);
            return;
        }
        self.world.hub_with(turn, |_, io| io.begin(WORK_PER_CALL));
        loop {
            let Some(inbound) = self.inbound.get_mut(conn) else {
                return;
            };
            let Phase::Open(open) = &mut inbound.phase else {
                return;
            };
            open.heard = now;
            let (who, dialect) = (open.who, open.dialect());
            if open.pings.is_sent() {
                open.pings.set_sent(false);
                self.answered_ping(conn, who, dialect, now);
                continue;
            }
            let mut limits = self.config.websocket;
            let own = self.world.dialects.get(dialect);
            if let Some(bytes) = own.and_then(|own| own.message_bytes(who, &self.world.hub)) {
                limits.message_bytes = limits.message_bytes.min(bytes);
            }
            match open.decoder.next(&mut input, &limits) {
                Ok(None) => return,
                Ok(Some(Item::Pong(_))) => open.pings.0 |= Pings::HAS_PONGED,
                Ok(Some(Item::Ping(payload))) => {
                    let rates = open.rates.get_or_insert_default();
                    let per_s = self.config.pings_per_s;
                    if !rates.pings.take(now, per_s, per_s) {
                        self.refuse_socket(conn, 1008, "too many pings", turn);
                        return;
                    }
                    let frame = websocket::pong(&mut self.world.writer, payload);
                    turn.out.push(conn, &frame);
                }
                Ok(Some(Item::Close(close))) => {
                    let code = close.map_or(1005, |(code, _)| code);
                    let frame = websocket::close_answer(&mut self.world.writer, close);
                    turn.out.push(conn, &frame);
                    self.world.metrics.count_close_code(code);
                    // What a peer sends behind its Close must not reset our answer away.
                    self.leave_socket(conn, Ending::Linger, turn);
                    return;
                }
                Ok(Some(item @ (Item::Text(_) | Item::Binary(_)))) => {
                    self.world.metrics.messages_received += 1;
                    let per_s = self.config.messages_per_s;
                    match count_message(&mut open.rates, &mut open.early, now, per_s) {
                        Pace::Fine => {}
                        Pace::Abuse => {
                            self.refuse_socket(conn, 1008, "too many messages", turn);
                            return;
                        }
                        Pace::TooFast => {
                            self.world.metrics.messages_over_rate += 1;
                            self.world
                                .with(dialect, conn, NOWHERE, turn, |dialect, ctx| {
                                    dialect.over_rate(who, ctx)
                                });
                            continue;
                        }
                    }
                    let mut talk = open
                        .rates
                        .as_ref()
                        .map_or(Bucket::new(), |rates| rates.talk);
                    let before = talk;
                    let first = self.world.begin_writing();
                    let asked = self
                        .world
                        .with(dialect, conn, NOWHERE, turn, |dialect, ctx| {
                            ctx.talk = talk;
                            match item {
                                Item::Text(text) => dialect.text(text, who, ctx),
                                Item::Binary(bytes) => dialect.binary(bytes, who, ctx),
                                Item::Ping(_) | Item::Pong(_) | Item::Close(_) => {}
                            }
                            talk = ctx.talk;
                            ctx.waits_for.take()
                        });
                    if talk != before {
                        open.rates.get_or_insert_default().talk = talk;
                    }
                    let written = self.world.written_since(first);
                    self.storing
                        .note_said(&written, Said { conn, dialect, who });
                    if let Some(asked) = asked.flatten() {
                        if !input.is_empty() {
                            open.rates.get_or_insert_default().kept = input.to_vec();
                        }
                        self.wait_on_socket(conn, dialect, asked, turn);
                        return;
                    }
                    let is_enough = self.world.hub_with(turn, |_, io| io.has_done_enough());
                    if is_enough && !input.is_empty() {
                        open.rates.get_or_insert_default().kept = input.to_vec();
                        turn.out.pause(conn);
                        return;
                    }
                }
                Err(fault) => {
                    self.refuse_socket(conn, fault.close_code(), fault.reason(), turn);
                    return;
                }
            }
        }
    }

    /// A socket has asked the store: nothing more is taken from it until the answer is there.
    pub(super) fn wait_on_socket(
        &mut self,
        conn: ConnId,
        dialect: usize,
        asked: (Ticket, SocketThen),
        turn: &mut Turn<'_>,
    ) {
        if let Some(inbound) = self.inbound.get_mut(conn)
            && let Phase::Open(open) = &mut inbound.phase
        {
            open.waits = true;
            turn.out.stop_reading(conn);
            self.ask_for_socket(conn, dialect, asked);
        }
    }

    /// We have sent a Close: of what still comes only the answer to it matters.
    pub(super) fn last_frames(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Closing(decoder) = &mut inbound.phase else {
            return;
        };
        let mut input = bytes;
        let is_over = loop {
            match decoder.next(&mut input, &self.config.websocket) {
                Ok(None) => break false,
                Ok(Some(Item::Close(_))) | Err(_) => break true,
                Ok(Some(Item::Text(_) | Item::Binary(_) | Item::Ping(_) | Item::Pong(_))) => {}
            }
        };
        if is_over {
            inbound.phase = Phase::Done;
            turn.out.end(conn, Ending::Linger);
        }
    }

    /// The peer broke the rules: it is told so, and nothing more of it is looked at.
    fn refuse_socket(&mut self, conn: ConnId, code: u16, why: &'static str, turn: &mut Turn<'_>) {
        if let Some(inbound) = self.inbound.get(conn)
            && let Phase::Open(open) = &inbound.phase
        {
            self.push_close(conn, open.dialect(), code, why, turn);
        }
        self.leave_socket(conn, Ending::Linger, turn);
    }

    /// Queues a Close, and what its dialect says before it.
    pub(super) fn push_close(
        &mut self,
        conn: ConnId,
        dialect: usize,
        code: u16,
        why: &'static str,
        turn: &mut Turn<'_>,
    ) {
        if let Some(dialect) = self.world.dialects.get(dialect) {
            let mut words = Vec::new();
            dialect.last_words(code, why, &mut words);
            if !words.is_empty() {
                let frame = self.world.writer.websocket(Opcode::Text, &words);
                turn.out.push(conn, &frame);
            }
        }
        let close = self.world.writer.close(code, why);
        turn.out.push(conn, &close);
        self.world.metrics.count_close_code(code);
    }

    /// Sends a Close of ours and waits a while for theirs.
    pub(super) fn close_socket(
        &mut self,
        conn: ConnId,
        code: u16,
        reason: &'static str,
        turn: &mut Turn<'_>,
    ) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Open(open) = &inbound.phase else {
            return;
        };
        let dialect = open.dialect();
        self.push_close(conn, dialect, code, reason, turn);
        self.begin_closing(conn, turn);
    }

    /// A Close of ours is queued.
    pub(super) fn begin_closing(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let (decoder, open) = match std::mem::replace(&mut inbound.phase, Phase::Done) {
            Phase::Open(open) => {
                if open.waits {
                    // Nobody waits for that any more, but for their Close.
                    turn.out.let_go(conn);
                }
                (open.decoder, Some((open.who, usize::from(open.dialect))))
            }
            Phase::Http(_)
            | Phase::Parked(_)
            | Phase::Streaming(_)
            | Phase::Closing(_)
            | Phase::Done => (Decoder::new(), None),
        };
        inbound.phase = Phase::Closing(decoder);
        let due = turn.now.mono + self.config.ws_close_ms;
        self.arm(conn, due);
        if let Some((who, dialect)) = open {
            self.say_gone(conn, who, dialect, SocketEnd::Whole, turn);
        }
    }

    /// The socket is no outlet any more; what is queued leaves, and `ending` says how the
    /// connection goes on to end.
    pub(super) fn leave_socket(&mut self, conn: ConnId, ending: Ending, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let phase = std::mem::replace(&mut inbound.phase, Phase::Done);
        if let Phase::Open(open) = phase {
            self.say_gone(conn, open.who, open.dialect(), SocketEnd::Whole, turn);
        }
        turn.out.end(conn, ending);
    }

    /// The socket with all that was known of it has gone.
    pub(super) fn socket_closed(
        &mut self,
        conn: ConnId,
        open: &Open,
        why: CloseReason,
        turn: &mut Turn<'_>,
    ) {
        self.say_gone(conn, open.who, open.dialect(), SocketEnd::of(why), turn);
    }

    fn say_gone(
        &mut self,
        conn: ConnId,
        who: SubscriberId,
        dialect: usize,
        end: SocketEnd,
        turn: &mut Turn<'_>,
    ) {
        self.sockets_open -= 1;
        self.tell_gone(conn, who, dialect, end, turn);
    }

    /// Tells the dialect that `conn` is not the outlet of `who` any more.
    pub(super) fn tell_gone(
        &mut self,
        conn: ConnId,
        who: SubscriberId,
        dialect: usize,
        end: SocketEnd,
        turn: &mut Turn<'_>,
    ) {
        // A panic here costs what it interrupts: the connection is on its way out in any case.
        let world = &mut self.world;
        let told = catch_unwind(AssertUnwindSafe(|| {
            world.with(dialect, conn, NOWHERE, turn, |dialect, ctx| {
                ctx.io.begin(WORK_PER_CALL);
                dialect.gone(who, end, ctx)
            });
        }));
        if told.is_err() {
            self.world.metrics.panics += 1;
            log::error!("a dialect panicked when a socket ended");
        }
        // Whatever the dialect made of it, a socket that is over is nobody's outlet: a subscriber
        // that was left with it would wait for nothing, and for ever.
        self.world.hub.detach(who, conn, turn.now.mono);
    }
}

#[cfg(test)]
mod tests;
