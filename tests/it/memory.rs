//! A handler driven in memory: the reactor's part without sockets, with a clock of its own.
//!
//! Time moves only when the replayer waits, so thirteen seconds of silence take no time, and a run
//! in which every write is cut at another place costs next to nothing.

use crate::session::{Cut, Link, Received, Sut};
use fanwire::handler::{CloseReason, Conn, ConnId, Handler, Origin, Turn};
use fanwire::limits::{LINGER_MS, READ_BUFFER_BYTES};
use fanwire::outbox::{Ending, Outbox};
use fanwire::table::Table;
use fanwire::time::{Millis, Now};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

/// 2026-11-22, some time in the afternoon.
const UNIX_START_MICROS: u64 = 1_795_359_723_456_789;
/// What one turn takes.
const TURN_MICROS: u64 = 3;
/// What opening a connection takes: requests that follow one another are a millisecond apart.
const DIAL_MICROS: u64 = 1_000;
/// A turn that has not come to rest after so many rounds never does.
const ROUNDS_MAX: usize = 10_000;

/// A handler and the connections to it.
pub(crate) struct Memory<H: Handler> {
    handler: H,
    out: Outbox,
    conns: Table<Conn, usize>,
    links: Vec<MemoryLink>,
    /// Monotonic time in microseconds.
    micros: u64,
    cut: Cut,
    secret: String,
    longest_write: usize,
}

struct MemoryLink {
    /// None: the handler was told that it has closed.
    conn: Option<ConnId>,
    /// What the server sent, with the time of arrival.
    arrivals: VecDeque<(u64, Vec<u8>)>,
    /// When the server ended its sending side.
    ended_ms: Option<u64>,
    /// The client has ended its sending side.
    client_ended: bool,
    /// The server reads and throws away until then.
    lingers_until: Option<Millis>,
}

impl<H: Handler> Memory<H> {
    /// A driver for `handler`, whose shared secret is `secret`. Writes are cut as `cut` says.
    pub(crate) fn new(handler: H, secret: &str, cut: Cut) -> Self {
        Self {
            handler,
            out: Outbox::default(),
            conns: Table::new(),
            links: Vec::new(),
            micros: 1_000_000,
            cut,
            secret: secret.to_owned(),
            longest_write: 0,
        }
    }

    /// The longest write so far: how many cuts there are to try.
    pub(crate) fn longest_write(&self) -> usize {
        self.longest_write
    }

    /// From now on writes are cut as `cut` says.
    pub(crate) fn cut(&mut self, cut: Cut) {
        self.cut = cut;
    }

    /// What is driven.
    pub(crate) fn handler(&self) -> &H {
        &self.handler
    }

    /// A turn in which only this is called.
    pub(crate) fn with(&mut self, call: impl FnOnce(&mut H, &mut Turn<'_>)) {
        self.turn(call);
    }

    /// Closes what is still open, and checks that nothing is left behind.
    pub(crate) fn finish(mut self) {
        for link in 0..self.links.len() {
            self.close(Link(link));
        }
        assert_eq!(
            (self.conns.len(), self.out.len()),
            (0, 0),
            "connections are left"
        );
        assert_eq!(self.out.queued_bytes(), 0, "bytes are left");
    }

    fn mono(&self) -> Millis {
        Millis(self.micros / 1000)
    }

    /// One turn: the call, then everything that follows from it until nothing does.
    fn turn(&mut self, call: impl FnOnce(&mut H, &mut Turn<'_>)) {
        self.micros += TURN_MICROS;
        self.call(call);
        for _ in 0..ROUNDS_MAX {
            self.call(H::settle);
            if !self.flush() {
                return;
            }
        }
        panic!("the turn does not come to rest");
    }

    fn call(&mut self, call: impl FnOnce(&mut H, &mut Turn<'_>)) {
        let now = Now {
            mono: self.mono(),
            unix_micros: UNIX_START_MICROS + self.micros,
        };
        call(
            &mut self.handler,
            &mut Turn {
                out: &mut self.out,
                now,
            },
        );
    }

    /// Takes everything out of the queues, ends what is to end and resumes what was paused. Says
    /// whether there was anything to do.
    fn flush(&mut self) -> bool {
        let dirty = self.out.take_dirty();
        if dirty.is_empty() {
            return false;
        }
        for &conn in &dirty {
            let Some(state) = self.out.visit(conn) else {
                continue;
            };
            let Some(&link) = self.conns.get(conn) else {
                panic!("a queue without a connection");
            };
            if state.ending != Ending::Abort {
                self.take_bytes(conn, link);
            }
            match state.ending {
                Ending::Open if state.held => {}
                Ending::Open if state.paused => {
                    self.out.unpause(conn);
                    self.call(|handler, turn| handler.resumed(conn, turn));
                }
                Ending::Open => {}
                Ending::Drain | Ending::Abort => self.bury(link, CloseReason::Asked),
                Ending::Slow => self.bury(link, CloseReason::SlowConsumer),
                Ending::Linger => {
                    let (now, link) = (self.mono(), &mut self.links[link]);
                    link.lingers_until.get_or_insert(now + LINGER_MS);
                    link.ended_ms.get_or_insert(now.0);
                }
            }
        }
        self.out.recycle(dirty);
        true
    }

    fn take_bytes(&mut self, conn: ConnId, link: usize) {
        let (pieces, sent) = self.out.pieces(conn);
        let mut bytes: Vec<u8> = Vec::new();
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        bytes.drain(..sent.min(bytes.len()));
        self.out.advance(conn, bytes.len());
        if !bytes.is_empty() {
            let now_ms = self.now_ms();
            self.links[link].arrivals.push_back((now_ms, bytes));
        }
    }

    /// The connection has gone: says so to the handler, once.
    fn bury(&mut self, link: usize, why: CloseReason) {
        let now_ms = self.now_ms();
        let link = &mut self.links[link];
        link.ended_ms.get_or_insert(now_ms);
        link.lingers_until = None;
        let Some(conn) = link.conn.take() else {
            return;
        };
        self.call(|handler, turn| handler.closed(conn, why, turn));
        self.out.remove(conn);
        self.conns.remove(conn);
    }

    /// The next time at which something happens by itself.
    fn next_deadline(&self) -> Option<Millis> {
        let lingering = self.links.iter().filter_map(|link| link.lingers_until);
        lingering.chain(self.handler.next_deadline()).min()
    }

    /// Lets time go by until `target`, stopping at each deadline.
    fn advance_to(&mut self, target_micros: u64) {
        let mut at_once = 0;
        while let Some(next) = self.next_deadline() {
            if next.0.saturating_mul(1000) > target_micros.max(self.micros) {
                break;
            }
            self.micros = self.micros.max(next.0 * 1000);
            let now = self.mono();
            for link in 0..self.links.len() {
                if self.links[link]
                    .lingers_until
                    .is_some_and(|until| until <= now)
                {
                    self.turn(|_, _| {});
                    self.bury(link, CloseReason::Asked);
                    self.turn(|_, _| {});
                }
            }
            if self.handler.next_deadline().is_some_and(|next| next <= now) {
                self.turn(H::tick);
                let next = self.handler.next_deadline();
                // What is under way goes on at once, in as many turns as it takes.
                let goes_on = next == Some(Millis(0));
                at_once = if goes_on { at_once + 1 } else { 0 };
                assert!(at_once < ROUNDS_MAX, "what is under way does not end");
                assert!(
                    goes_on || next.is_none_or(|next| next > now),
                    "after a tick at {now:?} the next deadline is {next:?}"
                );
            }
        }
        self.micros = self.micros.max(target_micros);
    }

    /// What is due by now, because turns take time as well.
    fn catch_up(&mut self) {
        self.advance_to(self.micros);
    }
}

impl<H: Handler> Sut for Memory<H> {
    fn dial(&mut self) -> Link {
        self.advance_to(self.micros + DIAL_MICROS);
        let link = self.links.len();
        let conn = self.conns.insert(link);
        self.out.open(conn);
        self.links.push(MemoryLink {
            conn: Some(conn),
            arrivals: VecDeque::new(),
            ended_ms: None,
            client_ended: false,
            lingers_until: None,
        });
        let port = 40_000 + (link % 20_000) as u16;
        let peer = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        self.turn(|handler, turn| handler.opened(conn, Origin { peer, tls: false }, turn));
        Link(link)
    }

    fn send(&mut self, link: Link, bytes: &[u8]) {
        self.longest_write = self.longest_write.max(bytes.len());
        for piece in self
            .cut
            .pieces(bytes)
            .flat_map(|piece| piece.chunks(READ_BUFFER_BYTES))
        {
            self.catch_up();
            let to = &self.links[link.0];
            let Some(conn) = to.conn.filter(|_| to.lingers_until.is_none()) else {
                return;
            };
            let mut piece = piece.to_vec();
            self.turn(|handler, turn| handler.received(conn, &mut piece, turn));
        }
    }

    fn receive(&mut self, link: Link, until_ms: u64) -> Received {
        loop {
            self.catch_up();
            let from = &mut self.links[link.0];
            if let Some((at_ms, bytes)) = from.arrivals.pop_front() {
                return Received::Bytes { at_ms, bytes };
            }
            if let Some(at_ms) = from.ended_ms {
                return Received::Ended { at_ms };
            }
            if self.now_ms() >= until_ms {
                return Received::Nothing;
            }
            let next = self
                .next_deadline()
                .map_or(until_ms, |next| next.0.min(until_ms));
            self.advance_to(next * 1000);
        }
    }

    fn half_close(&mut self, link: Link) {
        let from = &mut self.links[link.0];
        if let (Some(conn), false) = (from.conn, from.client_ended) {
            from.client_ended = true;
            self.turn(|handler, turn| handler.ended(conn, turn));
        }
    }

    fn close(&mut self, link: Link) {
        let lingering = self.links[link.0].lingers_until.is_some();
        if lingering {
            self.bury(link.0, CloseReason::Asked);
        } else {
            self.half_close(link);
            // A handler may want to answer still; the peer does not listen any more.
            self.bury(link.0, CloseReason::Peer);
        }
        self.turn(|_, _| {});
    }

    fn abort(&mut self, link: Link) {
        self.bury(link.0, CloseReason::Peer);
        self.turn(|_, _| {});
    }

    fn now_ms(&self) -> u64 {
        self.mono().0
    }

    fn unix_seconds(&self) -> u64 {
        (UNIX_START_MICROS + self.micros) / 1_000_000
    }

    fn wait_ms(&mut self, ms: u64) {
        self.advance_to(self.micros + ms * 1000);
    }

    fn origin(&self) -> String {
        "http://127.0.0.1:8000".to_owned()
    }

    fn secret(&self) -> String {
        self.secret.clone()
    }
}
