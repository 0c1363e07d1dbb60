//! Sockets in, bytes out, one thread: the loop beneath everything, and the only user of mio.
//!
//! A [`Reactor`] drives one [`Handler`]. [`Reactor::turn`] is the whole story, in this order: wait,
//! take mail, accept, read, keep time, settle, flush, bury. Nothing in it blocks but the wait, and
//! every step has a budget (`limits.rs`), of time where its cost cannot be known, so that no peer can
//! hold up another.
//!
//! - `listener.rs`, `accept.rs`: new sockets, and what happens when there is no room for them;
//! - `socket.rs`: one peer's socket and how its queue is written; `tls.rs`: the same through TLS;
//! - `read.rs`, `flush.rs`: the two halves of a turn;
//! - `mailbox.rs`: letters from other threads; `clock.rs`: what time it is.
//!
//! All sockets are registered once, for edges of both kinds, and never again; closing is dropping.

mod accept;
mod clock;
mod flush;
mod listener;
mod mailbox;
mod read;
mod socket;
#[cfg(feature = "tls")]
mod tls;

pub use clock::Clock;
pub use listener::{Bound, CertId, Listen};
pub use mailbox::{MailError, Mailbox};
#[cfg(feature = "tls")]
pub use tls::{TlsConfigError, tls_config};

use crate::handler::{CloseReason, Conn, ConnId, Handler, Turn};
use crate::limits::{
    DESCRIPTORS_RESERVED, EVENTS_PER_TURN, LINGER_MS, MAIL_MS_PER_TURN, MAIL_PER_TURN,
    OUT_QUEUE_BYTES_MAX, READ_BUFFER_BYTES, READ_MS_PER_TURN, REFUSED_LINGERING_MAX,
    REFUSED_LINGERING_SHARE, TLS_HANDSHAKE_MS, TLS_HANDSHAKES_PER_TURN, TURN_WARN_MS,
    WRITE_STALL_MS,
};
use crate::loop_stats::LoopStats;
use crate::outbox::Outbox;
use crate::room;
use crate::table::{Column, Table};
use crate::time::{Millis, Now};
use accept::Accepting;
use clock::Slice;
use listener::Listener;
use mailbox::Inbox;
use mio::{Events, Poll, Token, Waker};
use socket::{Gather, Link};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What an operator may choose; the defaults are in `limits.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactorOptions {
    /// Bytes a peer may leave unread before it is a slow consumer.
    pub out_queue_bytes: usize,
    /// Connections at a time; beyond it the backlog waits. None: as many as the open-files limit
    /// allows, less a reserve.
    pub connections_max: Option<usize>,
    /// Connections at a time from one address; 0: no limit. Beyond it a plain socket is told what
    /// [`Handler::refused`] says and closed; one with TLS is closed without a word, as a handshake
    /// would have to come first.
    pub connections_per_address: usize,
    /// Without progress in writing for this long, a peer is a slow consumer.
    pub write_stall_ms: u64,
    /// How long the rest of a refused peer's bytes is read and thrown away.
    pub linger_ms: u64,
    /// How long a TLS handshake may take.
    pub tls_handshake_ms: u64,
    /// For how long after a turn that had something to do the loop looks again and again, without
    /// sleeping; 0: not at all. It spares whoever comes within that time what it takes to wake a
    /// thread, or a core, at the cost of processor time.
    pub busy_poll_ms: u64,
}

impl Default for ReactorOptions {
    fn default() -> Self {
        Self {
            out_queue_bytes: OUT_QUEUE_BYTES_MAX,
            connections_max: None,
            connections_per_address: 0,
            write_stall_ms: WRITE_STALL_MS,
            linger_ms: LINGER_MS,
            tls_handshake_ms: TLS_HANDSHAKE_MS,
            busy_poll_ms: 0,
        }
    }
}

/// Tokens of listeners count from zero; a connection's token carries a generation above them.
const WAKER: Token = Token(u32::MAX as usize);

/// The loop: owns the sockets and the outbox, and drives `H`.
pub struct Reactor<H: Handler> {
    poll: Poll,
    events: Events,
    core: Core<H>,
}

/// All but the poll, so that events can be walked while the rest changes.
struct Core<H: Handler> {
    handler: H,
    outbox: Outbox,
    links: Table<Conn, Link>,
    clock: Clock,
    now: Now,
    stats: LoopStats,
    busy_poll_us: u64,
    /// Until when the loop does not sleep, by its clock.
    busy_until_us: u64,

    inbox: Inbox<H::Mail>,
    /// The last turn left letters unread.
    more_mail: bool,
    /// The last turn took as many events as it may, so the kernel may have more.
    more_events: bool,

    listeners: Vec<Listener>,
    first_listener: usize,
    accepting: Accepting,
    /// Whether trouble with accepting was logged and not yet over.
    accept_trouble: bool,
    connections_max: usize,
    connections_per_address: usize,
    per_address: hashbrown::HashMap<IpAddr, usize>,
    addresses: Column<Conn, IpAddr>,

    buffer: Box<[u8]>,
    /// This turn's time for reading.
    reading: Slice,
    resume: Vec<ConnId>,
    /// The other vector of the pair that `resume` is swapped with; empty between turns.
    resuming: Vec<ConnId>,

    gather: Gather,
    cut_short: Vec<ConnId>,
    /// Peers whose turn to be written to has not come yet, the longest waiting first.
    behind: VecDeque<ConnId>,
    dead: Vec<(ConnId, CloseReason)>,
    /// Peers whose socket was full, and since when they have made no progress.
    watched: Vec<(ConnId, Millis)>,
    watch_at: Millis,
    write_stall_ms: u64,
    /// Oldest first, as all wait equally long.
    lingers: VecDeque<(Millis, ConnId)>,
    /// Bytes thrown away per lingering peer.
    lingered: hashbrown::HashMap<ConnId, u32>,
    linger_ms: u64,
    /// The last few peers that were refused at the door, oldest first; most have gone. Beside
    /// `lingers`, which has no bound of its own.
    refused: VecDeque<(Millis, ConnId)>,
    refused_max: usize,

    /// Oldest first; entries of those who are done are skipped.
    handshakes: VecDeque<(Millis, ConnId)>,
    handshakes_left: usize,
    tls_handshake_ms: u64,
    tls_read_bytes: usize,
    /// What TLS addresses show, one entry per certificate.
    #[cfg(feature = "tls")]
    certificates: Vec<(CertId, std::sync::Arc<rustls::ServerConfig>)>,
    /// Plaintext on its way to the handler.
    #[cfg(feature = "tls")]
    plain: Vec<u8>,
}

impl<H: Handler> fmt::Debug for Reactor<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("connections", &self.core.links.len())
            .field("listeners", &self.core.listeners)
            .finish_non_exhaustive()
    }
}

impl<H: Handler> Reactor<H> {
    /// A reactor without listeners. Its monotonic time starts at zero.
    ///
    /// # Errors
    /// When the system gives no descriptors for waiting and waking.
    pub fn new(handler: H, options: ReactorOptions) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let connections_max = match options.connections_max {
            Some(most) => most,
            None => connections_by_descriptors()?,
        };
        let clock = Clock::new();
        let core = Core {
            handler,
            outbox: Outbox::new(options.out_queue_bytes),
            links: Table::new(),
            clock,
            now: clock.now(),
            stats: LoopStats::default(),
            busy_poll_us: options.busy_poll_ms.saturating_mul(1000),
            busy_until_us: 0,
            inbox: Inbox::new(waker),
            more_mail: false,
            more_events: false,
            listeners: Vec::new(),
            first_listener: 0,
            accepting: Accepting::Open,
            accept_trouble: false,
            connections_max,
            connections_per_address: options.connections_per_address,
            per_address: hashbrown::HashMap::new(),
            addresses: Column::new(),
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            reading: Slice::new(&clock, 0, 1),
            resume: Vec::new(),
            resuming: Vec::new(),
            gather: Gather::default(),
            cut_short: Vec::new(),
            behind: VecDeque::new(),
            dead: Vec::new(),
            watched: Vec::new(),
            watch_at: Millis::NEVER,
            write_stall_ms: options.write_stall_ms,
            lingers: VecDeque::new(),
            lingered: hashbrown::HashMap::new(),
            linger_ms: options.linger_ms,
            refused: VecDeque::new(),
            refused_max: REFUSED_LINGERING_MAX.min(connections_max / REFUSED_LINGERING_SHARE),
            handshakes: VecDeque::new(),
            handshakes_left: 0,
            tls_handshake_ms: options.tls_handshake_ms,
            #[cfg(feature = "tls")]
            tls_read_bytes: tls::CIPHER_READ_BYTES,
            #[cfg(not(feature = "tls"))]
            tls_read_bytes: READ_BUFFER_BYTES,
            #[cfg(feature = "tls")]
            certificates: Vec::new(),
            #[cfg(feature = "tls")]
            plain: Vec::new(),
        };
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            core,
        })
    }

    /// Binds and listens, from now on; sockets are accepted in turns.
    ///
    /// # Errors
    /// When the address is taken or not ours; for [`Listen::Tls`] also when its certificate is not
    /// there yet (`InvalidInput`), or without the feature `tls` (`Unsupported`).
    pub fn listen(&mut self, at: &Listen) -> io::Result<Bound> {
        if let Listen::Tls(_, certificate) = at {
            self.may_listen_tls(*certificate)?;
        }
        let token = Token(self.core.listeners.len());
        let (listener, bound) = Listener::bind(at, self.poll.registry(), token)?;
        self.core.listeners.push(listener);
        Ok(bound)
    }

    #[cfg(feature = "tls")]
    fn may_listen_tls(&self, certificate: CertId) -> io::Result<()> {
        let mut there = self.core.certificates.iter();
        if there.any(|(id, _)| *id == certificate) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "listening with TLS needs a certificate first",
        ))
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self)]
    fn may_listen_tls(&self, _certificate: CertId) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this build has no TLS",
        ))
    }

    /// The certificate (and all else) for TLS connections accepted from now on at the addresses that
    /// have this one. Those that are there keep theirs.
    #[cfg(feature = "tls")]
    pub fn set_tls(&mut self, of: CertId, config: std::sync::Arc<rustls::ServerConfig>) {
        let certificates = &mut self.core.certificates;
        match certificates.iter_mut().find(|(id, _)| *id == of) {
            Some((_, old)) => *old = config,
            None => certificates.push((of, config)),
        }
    }

    /// Closes all listeners; connections stay. Those that wait in a backlog are refused by the
    /// kernel, and those in a TLS handshake, which could not say anything yet, are closed.
    pub fn stop_listening(&mut self) {
        self.core.listeners.clear();
        self.core.drop_handshakes();
    }

    /// Ends every connection at once, as [`CloseReason::Stopped`]; what is queued and can leave
    /// without waiting leaves first.
    pub fn close_all(&mut self) {
        self.core.end_turn();
        while !self.core.behind.is_empty() {
            self.core.end_turn();
        }
        for conn in self.core.links.keys() {
            self.core.kill(conn, CloseReason::Stopped);
        }
        while !self.core.dead.is_empty() {
            self.core.end_turn();
        }
    }

    /// Where other threads put letters for the handler.
    pub fn mailbox(&self) -> Mailbox<H::Mail> {
        self.core.inbox.mailbox()
    }

    /// One turn. Waits at most `wait` (none: until something happens or is due); not at all if
    /// there is work left over from the turn before. A signal ends the wait too, once the loop sleeps.
    ///
    /// # Errors
    /// Only when waiting itself fails, which means that the process is beyond help.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let wait = match (self.next_wait(), wait) {
            (Some(own), Some(wait)) => Some(own.min(wait)),
            (own, wait) => own.or(wait),
        };
        self.wait(wait)?;
        let core = &mut self.core;
        let before = core.stats;
        let started_us = core.clock.micros();
        core.now = Clock::at(started_us);
        core.handshakes_left = TLS_HANDSHAKES_PER_TURN;

        core.take_mail();

        let mut events = 0;
        for event in &self.events {
            events += 1;
            let conn = ConnId::from_bits(event.token().0 as u64);
            if conn.is_none()
                && event.token() != WAKER
                && let Some(listener) = core.listeners.get_mut(event.token().0)
            {
                listener.ready = true;
            }
        }
        core.stats.events += events;
        // A host that watches our descriptor for edges is not told a second time.
        core.more_events = events >= EVENTS_PER_TURN as u64;
        core.accept(self.poll.registry());

        core.reading = Slice::new(&core.clock, READ_MS_PER_TURN, 1);
        core.resume();
        for event in &self.events {
            let conn = ConnId::from_bits(event.token().0 as u64);
            if !conn.is_none() {
                core.ready(conn, event);
            }
        }
        core.served();

        core.keep_time();
        core.end_turn();
        core.measure(started_us, before);
        Ok(())
    }

    /// Until something happens, or for so long.
    fn wait(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let mut wait = wait;
        if self.core.busy_poll_us > 0 {
            let began_us = self.core.clock.micros();
            let most_us = wait.map_or(u64::MAX, |wait| wait.as_micros() as u64);
            let until_us = self
                .core
                .busy_until_us
                .min(began_us.saturating_add(most_us));
            let mut now_us = began_us;
            while now_us < until_us {
                self.look(Some(Duration::ZERO))?;
                if !self.events.is_empty() {
                    return Ok(());
                }
                // Whoever it is that would bring something may want this core.
                std::thread::yield_now();
                now_us = self.core.clock.micros();
            }
            wait = wait.map(|wait| wait.saturating_sub(Duration::from_micros(now_us - began_us)));
        }
        self.look(wait)
    }

    /// Asks the system what has happened. A signal ends this as well.
    fn look(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            looked => looked,
        }
    }

    /// How long a host may wait for this reactor's descriptor to become readable before it calls
    /// [`Reactor::turn`] anyway. None: as long as it likes.
    pub fn next_wait(&self) -> Option<Duration> {
        let core = &self.core;
        let knocked = core.accepting == Accepting::Open && core.someone_knocks();
        let more = core.more_mail || core.more_events;
        let waiting = !core.resume.is_empty() || !core.behind.is_empty() || !core.dead.is_empty();
        if knocked || more || waiting || core.outbox.is_dirty() {
            return Some(Duration::ZERO);
        }
        let deadline = match (core.own_deadline(), core.handler.next_deadline()) {
            (Some(own), Some(handlers)) => own.min(handlers),
            (own, handlers) => own.or(handlers)?,
        };
        Some(Duration::from_millis(deadline.since(core.clock.mono())))
    }

    /// Calls `f` with the handler and what it may use, outside of a turn. What it queues leaves
    /// with the next turn, which will not wait.
    pub fn with<R>(&mut self, f: impl FnOnce(&mut H, &mut Turn<'_>) -> R) -> R {
        let core = &mut self.core;
        core.now = core.clock.now();
        let mut turn = Turn {
            out: &mut core.outbox,
            now: core.now,
        };
        f(&mut core.handler, &mut turn)
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.core.handler
    }

    /// The handler, to change. Use [`Reactor::with`] for what queues frames.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.core.handler
    }

    /// Every connection's out-queue.
    pub fn outbox(&self) -> &Outbox {
        &self.core.outbox
    }

    /// Every connection's out-queue, to register farewells or to trim.
    pub fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.core.outbox
    }

    /// Gives back memory that is only kept for speed. For quiet times.
    pub fn trim(&mut self) {
        let core = &mut self.core;
        core.outbox.trim();
        core.gather.trim();
        core.links.trim();
        core.addresses.trim();
        room::trim_map(&mut core.per_address);
        room::trim_map(&mut core.lingered);
        room::trim(&mut core.resume);
        room::trim(&mut core.resuming);
        room::trim(&mut core.cut_short);
        room::trim_queue(&mut core.behind);
        room::trim(&mut core.dead);
        room::trim(&mut core.watched);
        room::trim_queue(&mut core.lingers);
        room::trim_queue(&mut core.refused);
        room::trim_queue(&mut core.handshakes);
        #[cfg(feature = "tls")]
        room::release(&mut core.plain);
    }

    /// Sockets that are open, those in a TLS handshake and the few counted that were refused and
    /// are being lingered with.
    pub fn connections(&self) -> usize {
        self.core.links.len()
    }

    /// Connections there may be at a time.
    pub fn connections_max(&self) -> usize {
        self.core.connections_max
    }

    /// What has been counted so far.
    pub fn stats(&self) -> LoopStats {
        self.core.stats
    }

    /// The time of the current turn, or of the last one.
    pub fn now(&self) -> Now {
        self.core.now
    }

    /// The clock that the turns are stamped with.
    pub fn clock(&self) -> Clock {
        self.core.clock
    }
}

/// Readable when a turn has something to do; see [`Reactor::next_wait`] for what only time brings.
impl<H: Handler> AsRawFd for Reactor<H> {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl<H: Handler> AsFd for Reactor<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

impl<H: Handler> Core<H> {
    fn take_mail(&mut self) {
        let called = self.inbox.take_call();
        if !called && !self.more_mail {
            return;
        }
        self.more_mail = true;
        let mut slice = Slice::new(&self.clock, MAIL_MS_PER_TURN, 1);
        for _ in 0..MAIL_PER_TURN {
            let Some(mail) = self.inbox.next() else {
                self.more_mail = false;
                return;
            };
            self.stats.letters += 1;
            self.call(None, "mail", |handler, turn| handler.mail(mail, turn));
            if slice.step(&self.clock) {
                return;
            }
        }
    }

    fn keep_time(&mut self) {
        self.own_time();
        let due = self.handler.next_deadline();
        if due.is_some_and(|due| due <= self.now.mono) {
            self.call(None, "tick", |handler, turn| handler.tick(turn));
        }
    }

    /// Calls the handler. A panic costs `conn`, if the call was for one peer.
    #[inline]
    fn call(
        &mut self,
        conn: Option<ConnId>,
        place: &'static str,
        f: impl FnOnce(&mut H, &mut Turn<'_>),
    ) {
        let handler = &mut self.handler;
        let mut turn = Turn {
            out: &mut self.outbox,
            now: self.now,
        };
        // What the handler leaves half done is its own matter; ours is behind `turn`, and every
        // call on the outbox is whole before or after a panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| f(handler, &mut turn)));
        if let Err(payload) = outcome {
            self.panicked(conn, place, &*payload);
        }
    }

    #[cold]
    fn panicked(
        &mut self,
        conn: Option<ConnId>,
        place: &'static str,
        payload: &(dyn std::any::Any + Send),
    ) {
        let text = match (
            payload.downcast_ref::<&str>(),
            payload.downcast_ref::<String>(),
        ) {
            (Some(text), _) => text,
            (None, Some(text)) => text.as_str(),
            (None, None) => "no text",
        };
        self.stats.panics += 1;
        match conn {
            Some(conn) => {
                log::error!("panic in `{place}` for connection {conn:?}, which is closed: {text}");
                self.kill(conn, CloseReason::Panic);
            }
            None => log::error!("panic in `{place}`: {text}"),
        }
    }

    fn measure(&mut self, started_us: u64, before: LoopStats) {
        let length_us = self.clock.micros().saturating_sub(started_us);
        self.stats.count_turn(length_us);
        if self.stats.events > before.events {
            self.busy_until_us = started_us + length_us + self.busy_poll_us;
        }
        if length_us > TURN_WARN_MS * 1000 {
            let spent = |count: fn(&LoopStats) -> u64| count(&self.stats) - count(&before);
            log::warn!(
                "a turn took {} ms: {} events, {} letters, {} accepted, {} TLS handshakes, {} reads \
                 of {} bytes, {} writes of {} bytes, {} closed",
                length_us / 1000,
                spent(|stats| stats.events),
                spent(|stats| stats.letters),
                spent(|stats| stats.accepted),
                spent(|stats| stats.tls_handshakes),
                spent(|stats| stats.reads),
                spent(|stats| stats.bytes_read),
                spent(|stats| stats.writes),
                spent(|stats| stats.bytes_written),
                spent(|stats| stats.closed),
            );
        }
    }
}

/// Connections that the open-files limit allows: all but a reserve, or half where that is less.
fn connections_by_descriptors() -> io::Result<usize> {
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE)?;
    let most = soft.saturating_sub(DESCRIPTORS_RESERVED).max(soft / 2);
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// Raises this process's limit of open files as far as it may without privileges; returns the
/// limit. Call it before making a [`Reactor`], which derives its bound from it.
///
/// # Errors
/// When the system refuses to tell or to change the limit.
pub fn raise_open_files_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}
