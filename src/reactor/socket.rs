//! One peer's socket with what is known of its readiness, and the way bytes leave it.
//!
//! All reading and writing of sockets happens here and in `tls.rs`. A link is narrow on purpose:
//! the flush walks many of them.

use crate::frame::Frame;
use crate::handler::ConnId;
use crate::limits::{WRITE_BYTES_PER_TURN, WRITE_PIECES_MAX};
use crate::outbox::{Outbox, PieceIter};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

#[cfg(feature = "tls")]
use super::tls::TlsLink;

/// Several pieces up to this size together are copied into one buffer and written with one plain
/// call. Measured over loopback with pieces scattered over the heap: 16 of 130 bytes take 4.0 us
/// gathered and 5.7 vectored, 4 of 8,000 bytes take 8.0 and 10.3; and when the copy made for one
/// peer serves the next, as in a fan-out, 2 of 16,000 bytes take 5.0 instead of 10.1.
pub(super) const GATHER_BYTES: usize = 32 * 1024;

/// The kinds of sockets a peer can come on.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsLink>),
}

impl Socket {
    /// Registers for edges of both kinds, once for the life of the connection. There is no call
    /// to undo it: the kernel forgets a descriptor that is closed.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
            #[cfg(feature = "tls")]
            Self::Tls(link) => registry.register(&mut link.stream, token, interest),
        }
    }

    /// Reads what the wire holds; ciphertext, for TLS.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.stream.read(buffer),
        }
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.stream.write_vectored(slices),
        }
    }

    /// Shuts the sending side; the peer reads the end after what was sent. An error means that
    /// the peer has gone, which reading will find out.
    pub(super) fn shut_sending(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.stream.shutdown(Shutdown::Write),
        };
    }

    /// Whether bytes wait that have left the queue but not the process.
    #[inline]
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.has_pending(),
        }
    }

    /// Bytes that have left the queue but not the process, as far as they are charged to the
    /// peer's limit.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.held_bytes(),
        }
    }

    /// Whether a handshake stands between the socket and its first byte.
    #[inline]
    pub(super) fn handshaking(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(link) => link.handshaking(),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }
}

/// What is known of a link; bits, to keep it narrow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(u16);

impl Flags {
    /// The kernel said that there is something to read, and it has not been read to its end.
    pub(super) const READABLE: u16 = 1;
    /// The kernel takes bytes, as far as is known.
    pub(super) const WRITABLE: u16 = 1 << 1;
    /// The kernel spoke of an end: read until that is found, a short read proves nothing.
    pub(super) const HUNG: u16 = 1 << 2;
    /// Both directions are over, or the socket has an error.
    pub(super) const BROKEN: u16 = 1 << 3;
    /// The end of the peer's bytes was found.
    pub(super) const ENDED: u16 = 1 << 4;
    /// On the resume list.
    pub(super) const ON_RESUME: u16 = 1 << 5;
    /// The handler is to be told that it may go on.
    pub(super) const RESUME_DUE: u16 = 1 << 6;
    /// Not read from because the peer does not read.
    pub(super) const HELD: u16 = 1 << 7;
    /// On the list of peers whose progress is watched.
    pub(super) const WATCHED: u16 = 1 << 8;
    /// Something left since the watcher last looked.
    pub(super) const PROGRESS: u16 = 1 << 9;
    /// Our side is shut; what comes is thrown away.
    pub(super) const LINGERING: u16 = 1 << 10;
    /// The handler knows of it.
    pub(super) const OPENED: u16 = 1 << 11;
    /// To be buried at the end of the turn.
    pub(super) const DEAD: u16 = 1 << 12;

    /// Has had its share of this turn.
    pub(super) const SERVED: u16 = 1 << 13;
    /// Was refused at the door and never was a connection.
    pub(super) const REFUSED: u16 = 1 << 14;

    /// A fresh socket takes bytes; whether it holds any the kernel will say.
    pub(super) fn fresh() -> Self {
        Self(Self::WRITABLE)
    }

    /// Whether any of `bits` is set.
    #[inline]
    pub(super) fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub(super) fn set(&mut self, bits: u16) {
        self.0 |= bits;
    }

    #[inline]
    pub(super) fn clear(&mut self, bits: u16) {
        self.0 &= !bits;
    }

    /// Clears `bits` and says whether any was set.
    #[inline]
    pub(super) fn take(&mut self, bits: u16) -> bool {
        let any = self.any(bits);
        self.clear(bits);
        any
    }
}

/// A peer's row in the reactor.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) flags: Flags,
}

/// How far writing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything has left.
    All,
    /// The kernel takes no more for now; it will say when it does.
    Full,
    /// The kernel would take more, but this turn's share is spent.
    Share,
    /// The peer has gone.
    Gone,
}

/// Writes the `bytes` bytes queued for `conn` to a plain socket. Returns how far that came, the
/// bytes that left and the calls it took.
#[inline]
pub(super) fn write_queue(
    socket: &mut Socket,
    out: &mut Outbox,
    conn: ConnId,
    bytes: usize,
    gather: &mut Gather,
) -> (Written, usize, u32) {
    let (mut left, mut calls) = (bytes, 0);
    while left > 0 {
        let share = WRITE_BYTES_PER_TURN - (bytes - left);
        if share == 0 {
            return (Written::Share, bytes - left, calls);
        }
        let (pieces, sent) = out.pieces(conn);
        let Some(front) = pieces.clone().next() else {
            // The queue's books say more than its pieces; nothing is there to write.
            break;
        };
        let (asked, wrote) = if front.len() - sent == left {
            let part = &front[sent..][..left.min(share)];
            (part.len(), socket.write(part))
        } else if left <= GATHER_BYTES {
            let all = gather.whole(pieces, sent);
            (all.len(), socket.write(all))
        } else if many_small(pieces.clone()) {
            let part = gather.part(pieces, sent, GATHER_BYTES.min(share));
            (part.len(), socket.write(part))
        } else {
            write_pieces(socket, pieces, sent, share)
        };
        calls += 1;
        match wrote {
            Ok(count) => {
                out.advance(conn, count);
                left -= count.min(left);
                if count < asked {
                    return (Written::Full, bytes - left, calls);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (Written::Full, bytes - left, calls);
            }
            Err(_) => return (Written::Gone, bytes - left, calls),
        }
    }
    (Written::All, bytes - left, calls)
}

/// Whether so many pieces make so few bytes that a vectored write would carry little.
fn many_small(pieces: PieceIter<'_>) -> bool {
    let first = pieces.take(WRITE_PIECES_MAX);
    first.map(|piece| piece.len()).sum::<usize>() < GATHER_BYTES
}

/// One vectored write of the first pieces, at most `share` bytes; how many were offered and what
/// came of it.
fn write_pieces(
    socket: &mut Socket,
    pieces: PieceIter<'_>,
    sent: usize,
    share: usize,
) -> (usize, io::Result<usize>) {
    let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX];
    let (mut count, mut asked, mut skip) = (0, 0, sent);
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        let part = &piece[skip..];
        let part = &part[..part.len().min(share - asked)];
        if part.is_empty() {
            break;
        }
        *slice = IoSlice::new(part);
        asked += part.len();
        count += 1;
        skip = 0;
    }
    (asked, socket.write_vectored(&slices[..count]))
}

/// Small pieces copied together. In a fan-out one peer after another gets the very same frames;
/// then the copy made for the first serves them all.
#[derive(Debug, Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    /// What `bytes` was made of, if it was made of whole frames; held so that no other frame can
    /// come to lie at their place.
    frames: Vec<Frame>,
}

impl Gather {
    /// All `pieces` but the first `sent` bytes.
    pub(super) fn whole(&mut self, pieces: PieceIter<'_>, sent: usize) -> &[u8] {
        if sent == 0 && self.holds(pieces.clone()) {
            return &self.bytes;
        }
        self.forget();
        let mut skip = sent;
        for piece in pieces {
            self.bytes.extend_from_slice(&piece[skip..]);
            if sent == 0 {
                self.frames.push(piece.clone());
            }
            skip = 0;
        }
        &self.bytes
    }

    /// At most `limit` bytes of `pieces`, behind the first `sent`.
    pub(super) fn part(&mut self, pieces: PieceIter<'_>, sent: usize, limit: usize) -> &[u8] {
        self.forget();
        let mut skip = sent;
        for piece in pieces {
            let part = &piece[skip..];
            let part = &part[..part.len().min(limit - self.bytes.len())];
            self.bytes.extend_from_slice(part);
            if self.bytes.len() == limit {
                break;
            }
            skip = 0;
        }
        &self.bytes
    }

    fn holds(&self, mut pieces: PieceIter<'_>) -> bool {
        let mut mine = self.frames.iter();
        !self.frames.is_empty()
            && pieces.all(|piece| mine.next().is_some_and(|frame| frame.is_same(piece)))
            && mine.next().is_none()
    }

    /// Gives the buffers back.
    pub(super) fn trim(&mut self) {
        *self = Self::default();
    }

    /// Lets go of the frames; at the end of a flush nobody else may be holding them.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Conn;
    use crate::table::Table;

    #[test]
    #[cfg(not(debug_assertions))]
    fn a_link_with_its_generation_takes_24_bytes() {
        assert!(size_of::<(std::num::NonZeroU32, Link)>() <= 24);
    }

    #[test]
    fn a_gathered_copy_serves_only_the_very_same_frames() {
        let mut conns: Table<Conn, ()> = Table::new();
        let mut out = Outbox::default();
        let mut gather = Gather::default();
        let frames: Vec<Frame> = [&b"ab"[..], b"cd", b"ef"].map(Frame::from).into();
        let peers: Vec<ConnId> = (0..4).map(|_| conns.insert(())).collect();
        for (peer, picks) in peers
            .iter()
            .zip([&[0, 1][..], &[0, 1], &[0, 1, 2], &[0, 2]])
        {
            out.open(*peer);
            for &pick in picks {
                out.push(*peer, &frames[pick]);
            }
        }
        for (peer, sent, expected) in [
            (0, 0, &b"abcd"[..]),
            (1, 0, b"abcd"),
            (2, 0, b"abcdef"),
            (3, 0, b"abef"),
            (3, 1, b"bef"),
            (3, 0, b"abef"),
        ] {
            let (pieces, _) = out.pieces(peers[peer]);
            assert_eq!(
                gather.whole(pieces, sent),
                expected,
                "peer {peer} sent {sent}"
            );
        }
        assert!(gather.holds(out.pieces(peers[3]).0));
        assert!(!gather.holds(out.pieces(peers[0]).0));
        gather.forget();
        assert!(!gather.holds(out.pieces(peers[3]).0));
    }
}
