//! Every connection's queue of frames on their way out, the list of those that have something
//! new, and the rule for peers that do not read.
//!
//! Pushing never writes to a socket and never fails: the caller is in the middle of a fan-out and
//! has nothing useful to do with an error. The peer goes on the dirty list (once), and whoever
//! drives the handler writes to everyone on it at the end of the turn. Two messages in one turn
//! thus cost one system call.
//!
//! Whether a peer reads is seen when its socket takes no more, not while a turn still queues: a
//! batch larger than the limit says nothing about who receives it. So the driver writes first and
//! then asks [`Outbox::judge`]. Within a turn a queue may grow to [`OUT_QUEUE_TURN_FACTOR`] times
//! the limit, and what goes beyond that is too much for anybody.
//!
//! Handlers use the first half of [`Outbox`]; the second half is for the driver (the reactor, or a
//! test world), which takes the bytes out.

use crate::frame::Frame;
use crate::handler::{Conn, ConnId};
use crate::limits::{OUT_QUEUE_BYTES_MAX, OUT_QUEUE_TURN_FACTOR, PIECE_OVERHEAD_BYTES};
use crate::room;
use crate::table::Column;
use std::collections::VecDeque;
use std::mem;

/// How a connection ends once its handler is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Not at all for now.
    Open,
    /// When everything queued has left, the socket is closed. For peers whose bytes were all read.
    Drain,
    /// When everything queued has left, the sending side is shut and what the peer still sends is
    /// read and thrown away for a while, so that a reset does not eat the last answer.
    Linger,
    /// The peer did not read: what can still leave at once leaves, then the socket is closed.
    Slow,
    /// At once; what is queued is dropped.
    Abort,
}

/// A frame that is sent to a slow consumer as its last, by [`Outbox::register_farewell`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell(u8);

/// The pieces of one queue. Most hold nothing or one frame, and neither needs the heap.
#[derive(Debug, Default)]
enum Pieces {
    #[default]
    None,
    One(Frame),
    /// Boxed to keep the empty queue narrow; boxes are used again.
    Many(Box<VecDeque<Frame>>),
}

#[derive(Debug)]
struct OutQueue {
    pieces: Pieces,
    bytes: u32,
    /// Bytes of the front piece that have left. Always less than its length; zero when empty.
    sent_of_front: u32,
    /// Bytes in the queue that somebody keeps anyway and that are not charged to the limit.
    kept: u32,
    ending: Ending,
    farewell: u8,
    dirty: bool,
    /// [`PAUSED`], [`HELD`], [`BEHIND`] and [`STOPPED`]; one byte keeps the row narrow.
    state: u8,
}

/// No more bytes are wanted from the peer, see [`Outbox::pause`].
const PAUSED: u8 = 1;
/// Frames go to the handler's own list instead, see [`Outbox::hold`].
const HELD: u8 = 2;
/// The socket did not take all, see [`Outbox::is_behind`].
const BEHIND: u8 = 4;
/// A pause lasts until the handler lets go, see [`Outbox::stop_reading`].
const STOPPED: u8 = 8;

impl OutQueue {
    #[inline]
    fn is_held(&self) -> bool {
        self.state & HELD != 0
    }

    fn is_paused(&self) -> bool {
        self.state & PAUSED != 0
    }

    /// Whether a pause outlasts an empty queue.
    fn outlasts(&self) -> bool {
        self.state & (HELD | STOPPED) != 0
    }
}

/// What a queue looks like to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Bytes waiting.
    pub bytes: usize,
    /// How the connection is to end.
    pub ending: Ending,
    /// Whether the handler asked not to be given more bytes.
    pub paused: bool,
    /// Whether the handler holds back what is pushed, or still has to answer. A queue that is empty
    /// then is no sign that the peer has been answered: a pause lasts until the handler lets go.
    pub held: bool,
}

/// What has passed through an [`Outbox`]; plain counters, one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxTotals {
    /// Frames queued, or put aside for connections on hold.
    pub pushed: u64,
    /// Bytes queued.
    pub bytes_pushed: u64,
    /// Bytes taken out by the driver.
    pub bytes_sent: u64,
    /// Bytes that were queued and never left.
    pub bytes_dropped: u64,
    /// Frames that were queued and never left whole.
    pub frames_dropped: u64,
    /// Peers that were ended because they did not read.
    pub slow_consumers: u64,
}

/// All out-queues. The driver owns it and lends it to the handler for each turn.
#[derive(Debug)]
pub struct Outbox {
    queues: Column<Conn, OutQueue>,
    dirty: Vec<ConnId>,
    farewells: Vec<Frame>,
    /// Frames that were pushed to connections on hold, in order.
    held: Vec<(ConnId, Frame)>,
    /// Emptied boxes, ready for the next queue that grows beyond one piece.
    spare: Vec<Box<VecDeque<Frame>>>,
    queue_bytes_max: usize,
    /// The same within a turn, before the socket was asked.
    turn_bytes_max: usize,
    queued: usize,
    totals: OutboxTotals,
}

/// Boxes kept for the next turn, and how long a deque in one may be. Enough for a fan-out to all
/// peers of a busy loop; a quiet second gives them back ([`Outbox::trim`]).
const SPARE_MAX: usize = 16 * 1024;
const SPARE_PIECES_MAX: usize = 64;
/// What a place is charged within a turn. The bytes of a batch are shared by all who receive it, its
/// places are not: so many of them fit as do without a turn's allowance.
const TURN_PLACE_BYTES: usize = PIECE_OVERHEAD_BYTES * OUT_QUEUE_TURN_FACTOR;
const NO_FAREWELL: u8 = u8::MAX;

impl Default for Outbox {
    fn default() -> Self {
        Self::new(OUT_QUEUE_BYTES_MAX)
    }
}

impl Outbox {
    /// An outbox whose peers may leave `queue_bytes_max` bytes unread (or one frame, where that
    /// is larger).
    pub fn new(queue_bytes_max: usize) -> Self {
        Self {
            queues: Column::new(),
            dirty: Vec::new(),
            farewells: Vec::new(),
            held: Vec::new(),
            spare: Vec::new(),
            queue_bytes_max: queue_bytes_max.min(u32::MAX as usize / 2),
            turn_bytes_max: queue_bytes_max.saturating_mul(OUT_QUEUE_TURN_FACTOR),
            queued: 0,
            totals: OutboxTotals::default(),
        }
    }

    // ---- for handlers ----------------------------------------------------------------------

    /// Queues `frame` for `conn`. A peer that has gone, or is going, is skipped; a peer whose queue
    /// grows beyond every measure within a turn is marked to be closed at its end.
    #[inline]
    pub fn push(&mut self, conn: ConnId, frame: &Frame) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        if queue.ending != Ending::Open || queue.is_held() || frame.is_empty() {
            if queue.is_held() {
                self.put_aside(conn, frame);
            }
            return;
        }
        // The common case in a fan-out: an empty queue takes its one frame inline.
        if matches!(queue.pieces, Pieces::None) && frame.len() <= u32::MAX as usize / 2 {
            queue.pieces = Pieces::One(frame.clone());
            queue.bytes = frame.len() as u32;
        } else if Self::charged(queue, TURN_PLACE_BYTES) + frame.len() + TURN_PLACE_BYTES
            > self.turn_bytes_max
            || !Self::push_behind(queue, frame, &mut self.spare)
        {
            self.overflow(conn);
            return;
        }
        self.queued += frame.len();
        self.totals.pushed += 1;
        self.totals.bytes_pushed += frame.len() as u64;
        if !mem::replace(&mut queue.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// What a queue is charged for: its bytes but those that somebody keeps anyway, and its places.
    #[inline]
    fn charged(queue: &OutQueue, place_bytes: usize) -> usize {
        (queue.bytes - queue.kept) as usize + queue.pieces.len() * place_bytes
    }

    /// Queues behind what is there; false if that is more than a queue can count.
    fn push_behind(
        queue: &mut OutQueue,
        frame: &Frame,
        spare: &mut Vec<Box<VecDeque<Frame>>>,
    ) -> bool {
        if queue.bytes as usize + frame.len() > u32::MAX as usize / 2 {
            return false;
        }
        match &mut queue.pieces {
            Pieces::Many(many) => many.push_back(frame.clone()),
            Pieces::None => queue.pieces = Pieces::One(frame.clone()),
            Pieces::One(_) => {
                let mut many = spare.pop().unwrap_or_default();
                if let Pieces::One(first) = mem::take(&mut queue.pieces) {
                    many.push_back(first);
                }
                many.push_back(frame.clone());
                queue.pieces = Pieces::Many(many);
            }
        }
        queue.bytes += frame.len() as u32;
        true
    }

    /// Queues a frame that somebody keeps anyway, such as a channel's catch-up: its bytes are not
    /// charged to the limit, only its place in the queue is. A peer that comes back may thus be
    /// given more than a live one may leave unread.
    pub fn push_kept(&mut self, conn: ConnId, frame: &Frame) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        if queue.ending != Ending::Open || queue.is_held() || frame.is_empty() {
            if queue.is_held() {
                self.put_aside(conn, frame);
            }
            return;
        }
        if !Self::push_behind(queue, frame, &mut self.spare) {
            self.overflow(conn);
            return;
        }
        queue.kept += frame.len() as u32;
        self.count_pushed(conn, frame.len());
    }

    #[cold]
    fn put_aside(&mut self, conn: ConnId, frame: &Frame) {
        if !frame.is_empty() {
            // It is work like any other, and counted as such.
            self.totals.pushed += 1;
            self.held.push((conn, frame.clone()));
        }
    }

    /// From now on frames that are pushed to `conn` are not queued: the handler takes them with
    /// [`Outbox::take_held`] and makes an answer of them in its own time.
    pub fn hold(&mut self, conn: ConnId) {
        if let Some(queue) = self.queues.get_mut(conn) {
            queue.state |= HELD;
        }
    }

    /// No more bytes are wanted from `conn` until [`Outbox::let_go`], whatever leaves meanwhile.
    pub fn stop_reading(&mut self, conn: ConnId) {
        if let Some(queue) = self.queues.get_mut(conn) {
            queue.state |= PAUSED | STOPPED;
        }
    }

    /// Undoes [`Outbox::hold`] and [`Outbox::stop_reading`]: a pause is over when the queue is
    /// empty.
    pub fn let_go(&mut self, conn: ConnId) {
        if let Some(queue) = self.queues.get_mut(conn) {
            queue.state &= !(HELD | STOPPED);
            self.mark(conn);
        }
    }

    /// Whether anything was pushed to connections on hold.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// What was pushed to connections on hold, in order. Some of them may have gone since.
    pub fn take_held(&mut self) -> Vec<(ConnId, Frame)> {
        mem::take(&mut self.held)
    }

    /// Books a push that succeeded.
    #[inline]
    fn count_pushed(&mut self, conn: ConnId, bytes: usize) {
        self.queued += bytes;
        self.totals.pushed += 1;
        self.totals.bytes_pushed += bytes as u64;
        self.mark(conn);
    }

    /// Ends `conn` as `ending` says; an earlier, harsher ending stays.
    pub fn end(&mut self, conn: ConnId, ending: Ending) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        queue.ending = queue.ending.max(ending);
        if !mem::replace(&mut queue.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// No more bytes are wanted from `conn` until everything queued for it has left; then the
    /// driver calls `resumed`.
    pub fn pause(&mut self, conn: ConnId) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        queue.state |= PAUSED;
        if !mem::replace(&mut queue.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// Bytes that wait for `conn`; zero if it has gone.
    pub fn queued(&self, conn: ConnId) -> usize {
        self.queues
            .get(conn)
            .map_or(0, |queue| queue.bytes as usize)
    }

    /// How `conn` is to end; none if it has gone.
    pub fn ending(&self, conn: ConnId) -> Option<Ending> {
        self.queues.get(conn).map(|queue| queue.ending)
    }

    /// Keeps a frame that can be chosen as the last word to slow consumers. At most 255 of them.
    pub fn register_farewell(&mut self, frame: Frame) -> Farewell {
        self.farewells.push(frame);
        Farewell((self.farewells.len() - 1).min(usize::from(NO_FAREWELL - 1)) as u8)
    }

    /// Should `conn` turn out to be a slow consumer, it is told with this frame, if the socket
    /// takes it.
    pub fn set_farewell(&mut self, conn: ConnId, farewell: Farewell) {
        if let Some(queue) = self.queues.get_mut(conn) {
            queue.farewell = farewell.0;
        }
    }

    // ---- for the driver --------------------------------------------------------------------

    /// A connection begins: gives it a queue.
    pub fn open(&mut self, conn: ConnId) {
        let queue = OutQueue {
            pieces: Pieces::None,
            bytes: 0,
            sent_of_front: 0,
            kept: 0,
            ending: Ending::Open,
            farewell: NO_FAREWELL,
            dirty: false,
            state: 0,
        };
        self.queues.insert(conn, queue);
    }

    /// A connection has ended: drops its queue and what was in it.
    pub fn remove(&mut self, conn: ConnId) {
        let Some(mut queue) = self.queues.remove(conn) else {
            return;
        };
        self.queued -= Self::drop_pieces(&mut queue, 0, &mut self.spare, &mut self.totals);
    }

    /// Everyone whose queue changed since this was last called, once each, oldest first. Give the
    /// vector back with [`Outbox::recycle`].
    pub fn take_dirty(&mut self) -> Vec<ConnId> {
        mem::take(&mut self.dirty)
    }

    /// Gives the vector of [`Outbox::take_dirty`] back, for the next turn.
    pub fn recycle(&mut self, mut dirty: Vec<ConnId>) {
        if self.dirty.is_empty() {
            dirty.clear();
            self.dirty = dirty;
        }
    }

    /// Whether anything changed since [`Outbox::take_dirty`].
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes `conn` off the dirty list's books and says how its queue stands.
    #[inline]
    pub fn visit(&mut self, conn: ConnId) -> Option<QueueState> {
        let queue = self.queues.get_mut(conn)?;
        queue.dirty = false;
        Some(QueueState {
            bytes: queue.bytes as usize,
            ending: queue.ending,
            paused: queue.is_paused(),
            held: queue.outlasts(),
        })
    }

    /// How the queue of `conn` stands.
    pub fn state(&self, conn: ConnId) -> Option<QueueState> {
        let queue = self.queues.get(conn)?;
        Some(QueueState {
            bytes: queue.bytes as usize,
            ending: queue.ending,
            paused: queue.is_paused(),
            held: queue.outlasts(),
        })
    }

    /// Puts `conn` on the dirty list again, to be visited in the next pass.
    pub fn mark(&mut self, conn: ConnId) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        if !mem::replace(&mut queue.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// The pieces that wait for `conn`, front first, and how many bytes of the front have left.
    #[inline]
    pub fn pieces(&self, conn: ConnId) -> (PieceIter<'_>, usize) {
        match self.queues.get(conn) {
            Some(queue) => (queue.pieces.iter(), queue.sent_of_front as usize),
            None => (Pieces::None.iter_empty(), 0),
        }
    }

    /// `count` bytes have left, from the front on. Returns how many of them were charged to the
    /// limit: bytes that somebody keeps anyway count as the last to leave.
    #[inline]
    pub fn advance(&mut self, conn: ConnId, count: usize) -> usize {
        let Some(queue) = self.queues.get_mut(conn) else {
            return 0;
        };
        let count = count.min(queue.bytes as usize);
        let charged = count.min((queue.bytes - queue.kept) as usize);
        self.totals.bytes_sent += count as u64;
        self.queued -= count;
        queue.bytes -= count as u32;
        queue.kept = queue.kept.min(queue.bytes);
        if queue.bytes == 0 {
            queue.sent_of_front = 0;
            queue.state &= !BEHIND;
            if let Pieces::Many(many) = mem::take(&mut queue.pieces) {
                Self::keep_spare(&mut self.spare, many);
            }
            return charged;
        }
        let mut left = count + queue.sent_of_front as usize;
        if let Pieces::Many(many) = &mut queue.pieces {
            while let Some(front) = many.front() {
                if left < front.len() {
                    break;
                }
                left -= front.len();
                many.pop_front();
            }
        }
        queue.sent_of_front = left as u32;
        charged
    }

    /// The socket of `conn` has taken what it takes for now. If more than the limit stays behind,
    /// the peer is a slow consumer: says so, and treats it as one. A single frame, of any size, is
    /// never too much.
    ///
    /// `held` bytes have left the queue but not the process, as [`Outbox::advance`] counted them;
    /// the peer has not taken them either.
    pub fn judge(&mut self, conn: ConnId, held: usize) -> bool {
        let is_over = self.queues.get_mut(conn).is_some_and(|queue| {
            if queue.bytes > 0 {
                queue.state |= BEHIND;
            }
            queue.ending == Ending::Open
                && queue.pieces.len() > 1
                && Self::charged(queue, PIECE_OVERHEAD_BYTES) + held > self.queue_bytes_max
        });
        if is_over {
            self.overflow(conn);
        }
        is_over
    }

    /// Whether something waits for `conn` that its socket did not take when it was last written to.
    /// What was queued since then does not count: it may be taken at once.
    pub fn is_behind(&self, conn: ConnId) -> bool {
        let queue = self.queues.get(conn);
        queue.is_some_and(|queue| queue.state & BEHIND != 0)
    }

    /// `conn` made no progress for too long: treat it as over its limit.
    pub fn stalled(&mut self, conn: ConnId) {
        if self
            .queues
            .get(conn)
            .is_some_and(|queue| queue.ending < Ending::Slow)
        {
            self.overflow(conn);
        }
    }

    /// Undoes [`Outbox::pause`].
    pub fn unpause(&mut self, conn: ConnId) {
        if let Some(queue) = self.queues.get_mut(conn) {
            queue.state &= !PAUSED;
        }
    }

    /// Bytes in all queues together.
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// Queues there are, one per connection.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// What has passed through.
    pub fn totals(&self) -> OutboxTotals {
        self.totals
    }

    // ---- slow consumers --------------------------------------------------------------------

    /// The peer is a slow consumer. A frame that is half written stays, to be finished; what is
    /// queued behind it is thrown away, and the farewell takes its place.
    #[cold]
    fn overflow(&mut self, conn: ConnId) {
        let Some(queue) = self.queues.get_mut(conn) else {
            return;
        };
        self.totals.slow_consumers += 1;
        let keep = usize::from(queue.sent_of_front > 0);
        let dropped = Self::drop_pieces(queue, keep, &mut self.spare, &mut self.totals);
        self.queued -= dropped;
        if let Some(farewell) = self.farewells.get(usize::from(queue.farewell)) {
            self.queued += farewell.len();
            self.totals.pushed += 1;
            self.totals.bytes_pushed += farewell.len() as u64;
            Self::push_behind(queue, farewell, &mut self.spare);
        }
        queue.ending = Ending::Slow;
        if !mem::replace(&mut queue.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// Drops all pieces but the first `keep` and says how many bytes that were.
    fn drop_pieces(
        queue: &mut OutQueue,
        keep: usize,
        spare: &mut Vec<Box<VecDeque<Frame>>>,
        totals: &mut OutboxTotals,
    ) -> usize {
        let pieces = queue.pieces.len();
        if pieces <= keep {
            return 0;
        }
        let front = queue.pieces.iter().next().cloned();
        let stays = match (&front, keep) {
            (Some(front), 1) => front.len() - queue.sent_of_front as usize,
            _ => 0,
        };
        let dropped = queue.bytes as usize - stays;
        totals.frames_dropped += (pieces - keep) as u64;
        totals.bytes_dropped += dropped as u64;
        queue.bytes = stays as u32;
        // What was not charged has gone with the rest.
        queue.kept = queue.kept.min(queue.bytes);
        if let Pieces::Many(many) = mem::take(&mut queue.pieces) {
            Self::keep_spare(spare, many);
        }
        match front {
            Some(front) if keep == 1 => queue.pieces = Pieces::One(front),
            _ => queue.sent_of_front = 0,
        }
        dropped
    }

    fn keep_spare(spare: &mut Vec<Box<VecDeque<Frame>>>, mut many: Box<VecDeque<Frame>>) {
        if spare.len() < SPARE_MAX && many.capacity() <= SPARE_PIECES_MAX {
            many.clear();
            spare.push(many);
        }
    }

    /// Gives back what is only kept for speed. For quiet times and for judging memory.
    pub fn trim(&mut self) {
        room::release(&mut self.spare);
        room::trim(&mut self.dirty);
        self.queues.trim();
    }
}

/// The pieces of one queue, front first.
pub type PieceIter<'a> = std::iter::Chain<
    std::option::IntoIter<&'a Frame>,
    std::iter::Flatten<std::option::IntoIter<&'a VecDeque<Frame>>>,
>;

impl Pieces {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    fn iter(&self) -> PieceIter<'_> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(frame) => (Some(frame), None),
            Self::Many(many) => (None, Some(&**many)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn iter_empty<'a>(&self) -> PieceIter<'a> {
        None.into_iter().chain(None.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests;
