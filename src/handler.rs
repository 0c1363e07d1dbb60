//! What the loop calls, and what it lends while it does.
//!
//! This is the seam between the reactor, which knows sockets, and everything above it, which knows
//! none. A test world drives the same trait with bytes it made up.

use crate::frame::Frame;
use crate::outbox::Outbox;
use crate::table::Key;
use crate::time::{Millis, Now};
use std::net::SocketAddr;

/// Tag of [`ConnId`].
#[derive(Debug)]
pub enum Conn {}

/// One accepted socket, from accept to close.
pub type ConnId = Key<Conn>;

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The peer's address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether the bytes came through TLS.
    pub tls: bool,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended it, in order or with a reset.
    Peer,
    /// The handler asked for it.
    Asked,
    /// The peer left too much unread, or made no progress in reading.
    SlowConsumer,
    /// The TLS layer refused what came, or the handshake took too long.
    Tls,
    /// Handling its bytes panicked; the connection is the price.
    Panic,
    /// The loop is being taken down.
    Stopped,
}

/// What a handler may use during one turn: the time it started, and the outbox.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Every connection's out-queue.
    pub out: &'a mut Outbox,
    /// The time this turn started.
    pub now: Now,
}

/// What the loop calls. Order per connection: `opened`, any number of `received` and `resumed`,
/// at most one `ended`, `closed`. `closed` comes exactly once, and nothing after it.
///
/// No call may block. Whatever is to be written is queued on `turn.out` and leaves at the end of
/// the turn.
pub trait Handler {
    /// What other threads send to this handler.
    type Mail: Send + 'static;

    /// A connection was accepted.
    fn opened(&mut self, conn: ConnId, from: Origin, turn: &mut Turn<'_>);

    /// A plain socket is refused because its address has `limit` connections already: what it is
    /// told before it is closed, in one write and as far as it takes that; none: nothing. It is
    /// no connection, and no other call speaks of it.
    fn refused(&mut self, _limit: usize, _turn: &mut Turn<'_>) -> Option<Frame> {
        None
    }

    /// Bytes came. They may be changed in place (WebSocket payloads are unmasked where they lie)
    /// and are gone when this returns.
    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>);

    /// Reading was paused with [`Outbox::pause`] or because the peer did not read, and everything
    /// queued has left: go on with what was kept. More `received` may follow.
    fn resumed(&mut self, _conn: ConnId, _turn: &mut Turn<'_>) {}

    /// The peer will send no more; it may still be owed answers.
    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>);

    /// The connection has gone. What is pushed to others here still leaves in this turn.
    fn closed(&mut self, conn: ConnId, why: CloseReason, turn: &mut Turn<'_>);

    /// A letter from another thread.
    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>);

    /// Time has come to [`Handler::next_deadline`], or passed it.
    fn tick(&mut self, turn: &mut Turn<'_>);

    /// The last words of a turn, before anything is written.
    fn settle(&mut self, _turn: &mut Turn<'_>) {}

    /// When this handler next wants to be told the time. The answer may change after any call.
    fn next_deadline(&self) -> Option<Millis>;
}
