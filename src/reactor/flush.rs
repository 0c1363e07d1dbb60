//! The writing half of a turn: everyone whose queue changed gets one write, those who are done get
//! their end, and the dead are buried.

use super::Core;
use super::accept::Accepting;
use super::clock::Slice;
use super::socket::{Flags, Socket, Written, write_queue};
use crate::handler::{CloseReason, ConnId, Handler};
use crate::limits::{CLOSE_MS_PER_TURN, WRITE_MS_PER_TURN};
use crate::outbox::{Ending, QueueState};
use crate::time::Millis;
use std::mem;

/// Writes between two looks at the clock.
const WRITES_PER_LOOK: u32 = 16;
/// How often the progress of peers with a full socket is looked at, at most.
const WATCH_MS: u64 = 1_000;

impl<H: Handler> Core<H> {
    /// The end of a turn is a loop: the burial of one peer may queue words for others, and those
    /// leave in the same turn. Every pass but the last buries somebody, so it stops; earlier, if a
    /// crowd goes at once.
    pub(super) fn end_turn(&mut self) {
        let waited = !self.behind.is_empty();
        self.settle();
        self.flush();
        if waited {
            self.flush_behind();
        }
        let mut slice = Slice::new(&self.clock, CLOSE_MS_PER_TURN, 1);
        while self.bury(&mut slice) {
            self.settle();
            self.flush();
        }
        // Who was cut short by his share goes on in the next turn.
        for index in 0..self.cut_short.len() {
            self.outbox.mark(self.cut_short[index]);
        }
        self.cut_short.clear();
    }

    /// Those who are new on the list come first: who is told the answer to a short question does
    /// not wait behind a large audience. If there is not time for all, who waited before has half of
    /// it, and who is left goes behind them.
    fn flush(&mut self) {
        let dirty = self.outbox.take_dirty();
        let share_ms = match self.behind.is_empty() {
            true => WRITE_MS_PER_TURN,
            false => WRITE_MS_PER_TURN / 2,
        };
        let mut slice = Slice::new(&self.clock, share_ms, WRITES_PER_LOOK);
        for (at, &conn) in dirty.iter().enumerate() {
            self.flush_peer(conn);
            if slice.step(&self.clock) {
                self.behind.extend(dirty.iter().skip(at + 1));
                break;
            }
        }
        self.outbox.recycle(dirty);
        self.gather.forget();
    }

    fn settle(&mut self) {
        self.call(None, "settle", |handler, turn| handler.settle(turn));
    }

    #[cold]
    fn flush_behind(&mut self) {
        let mut slice = Slice::new(&self.clock, WRITE_MS_PER_TURN / 2, WRITES_PER_LOOK);
        while let Some(conn) = self.behind.pop_front() {
            self.flush_peer(conn);
            if slice.step(&self.clock) {
                break;
            }
        }
        self.gather.forget();
    }

    #[inline]
    fn flush_peer(&mut self, conn: ConnId) {
        let (Some(queue), Some(link)) = (self.outbox.visit(conn), self.links.get_mut(conn)) else {
            return;
        };
        if link.flags.any(Flags::DEAD) {
            return;
        }
        if queue.ending == Ending::Abort {
            return self.kill(conn, CloseReason::Asked);
        }
        if queue.bytes > 0 || link.socket.has_pending() {
            if !link.flags.any(Flags::WRITABLE) {
                // The kernel has said no and will say when it changes its mind.
                let held = link.socket.held_bytes();
                if queue.ending == Ending::Slow || self.outbox.judge(conn, held) {
                    self.kill(conn, CloseReason::SlowConsumer);
                }
                return;
            }
            let (out, gather) = (&mut self.outbox, &mut self.gather);
            let (written, count, calls) = match &mut link.socket {
                #[cfg(feature = "tls")]
                Socket::Tls(tls) => tls.write_queue(out, conn, queue.bytes, gather),
                plain @ (Socket::Tcp(_) | Socket::Unix(_)) => {
                    write_queue(plain, out, conn, queue.bytes, gather)
                }
            };
            self.stats.writes += u64::from(calls);
            self.stats.bytes_written += count as u64;
            if count > 0 && link.flags.any(Flags::WATCHED) {
                link.flags.set(Flags::PROGRESS);
            }
            match written {
                Written::All => {}
                Written::Full | Written::Share => return self.not_all(conn, written, queue),
                Written::Gone => return self.kill(conn, CloseReason::Peer),
            }
        }
        let idle = !link.flags.any(Flags::READABLE | Flags::HELD);
        if idle && queue.ending == Ending::Open && !queue.paused {
            return;
        }
        self.drained(conn, queue);
    }

    /// Something stays behind.
    #[cold]
    fn not_all(&mut self, conn: ConnId, written: Written, queue: QueueState) {
        if queue.ending == Ending::Slow {
            return self.kill(conn, CloseReason::SlowConsumer);
        }
        if written == Written::Share {
            self.cut_short.push(conn);
            return;
        }
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        // The kernel has taken what it takes. Whoever is over the limit now does not read.
        if self.outbox.judge(conn, link.socket.held_bytes()) {
            return self.kill(conn, CloseReason::SlowConsumer);
        }
        link.flags.clear(Flags::WRITABLE);
        if !link.flags.any(Flags::WATCHED) {
            link.flags.set(Flags::WATCHED);
            self.watched.push((conn, self.now.mono));
            if self.watched.len() == 1 {
                self.watch_at = self.now.mono + self.watch_ms();
            }
        }
    }

    /// Everything queued for `conn` has left, and something was waiting for that.
    fn drained(&mut self, conn: ConnId, queue: QueueState) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        match queue.ending {
            Ending::Open => {
                if queue.held {
                    return;
                }
                let held = link.flags.take(Flags::HELD);
                let readable = link.flags.any(Flags::READABLE);
                if queue.paused {
                    self.outbox.unpause(conn);
                }
                if queue.paused || held {
                    link.flags.set(Flags::RESUME_DUE);
                }
                if queue.paused || held || readable {
                    self.resume_later(conn);
                }
            }
            Ending::Drain => {
                self.say_farewell(conn);
                self.kill(conn, CloseReason::Asked);
            }
            Ending::Linger => self.linger(conn),
            Ending::Slow => self.kill(conn, CloseReason::SlowConsumer),
            Ending::Abort => self.kill(conn, CloseReason::Asked),
        }
    }

    /// Shuts our side and gives the peer time to read what we said.
    fn linger(&mut self, conn: ConnId) {
        self.say_farewell(conn);
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        if link.flags.any(Flags::LINGERING) {
            return;
        }
        if link.flags.any(Flags::ENDED) {
            // Nothing can come any more that would have to be thrown away.
            return self.kill(conn, CloseReason::Asked);
        }
        link.socket.shut_sending();
        link.flags.set(Flags::LINGERING);
        let readable = link.flags.any(Flags::READABLE);
        self.lingered.insert(conn, 0);
        self.lingers
            .push_back((self.now.mono + self.linger_ms, conn));
        if readable {
            self.resume_later(conn);
        }
    }

    /// TLS peers are told that the end is meant; the socket takes that small record or it does
    /// not.
    #[cfg(feature = "tls")]
    fn say_farewell(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(conn)
            && let Socket::Tls(tls) = &mut link.socket
        {
            tls.say_farewell();
            let (_, count, calls) = tls.write_queue(&mut self.outbox, conn, 0, &mut self.gather);
            self.stats.writes += u64::from(calls);
            self.stats.bytes_written += count as u64;
        }
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn say_farewell(&mut self, _conn: ConnId) {}

    /// Has `conn` buried at the end of the turn. The first reason is the one that counts.
    pub(super) fn kill(&mut self, conn: ConnId, why: CloseReason) {
        if let Some(link) = self.links.get_mut(conn)
            && !link.flags.any(Flags::DEAD)
        {
            link.flags.set(Flags::DEAD);
            self.dead.push((conn, why));
        }
    }

    /// Closes the sockets of the dead and tells the handler, as long as there is time. Whether
    /// there were any.
    pub(super) fn bury(&mut self, slice: &mut Slice) -> bool {
        if self.dead.is_empty() || slice.is_over() {
            return false;
        }
        let mut dead = mem::take(&mut self.dead);
        let mut buried = 0;
        for &(conn, why) in &dead {
            buried += 1;
            self.bury_one(conn, why);
            if slice.step(&self.clock) {
                break;
            }
        }
        dead.drain(..buried);
        // Who died meanwhile comes behind those who are left.
        dead.append(&mut self.dead);
        self.dead = dead;
        // There is room now, or a descriptor.
        self.accepting = Accepting::Open;
        true
    }

    fn bury_one(&mut self, conn: ConnId, why: CloseReason) {
        let Some(link) = self.links.remove(conn) else {
            return;
        };
        // That the peer went, too, does not change that its queue was thrown away before.
        let is_slow = self.outbox.ending(conn) == Some(Ending::Slow);
        let why = if is_slow && why == CloseReason::Peer {
            CloseReason::SlowConsumer
        } else {
            why
        };
        let opened = link.flags.any(Flags::OPENED);
        let refused = link.flags.any(Flags::REFUSED);
        // Closing the descriptor is all: the kernel forgets its registration with it.
        drop(link);
        self.stats.closed += u64::from(!refused);
        self.lingered.remove(&conn);
        self.outbox.remove(conn);
        if let Some(address) = self.addresses.remove(conn)
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        if opened {
            self.call(None, "closed", |handler, turn| {
                handler.closed(conn, why, turn);
            });
        }
    }

    // ---- what takes too long ---------------------------------------------------------------

    fn watch_ms(&self) -> u64 {
        WATCH_MS.min(self.write_stall_ms / 2)
    }

    /// When the reactor itself next has something to do.
    pub(super) fn own_deadline(&self) -> Option<Millis> {
        let fronts = [
            self.handshakes.front(),
            self.lingers.front(),
            self.refused.front(),
        ];
        let watch = (!self.watched.is_empty()).then_some(self.watch_at);
        let accept = match self.accepting {
            Accepting::Starved { until } if self.someone_knocks() => Some(until),
            Accepting::Open | Accepting::Full | Accepting::Starved { .. } => None,
        };
        let fronts = fronts.into_iter().flatten().map(|&(until, _)| until);
        fronts.chain(watch).chain(accept).min()
    }

    /// Ends all handshakes that are under way.
    pub(super) fn drop_handshakes(&mut self) {
        for (_, conn) in mem::take(&mut self.handshakes) {
            let waiting = self
                .links
                .get(conn)
                .is_some_and(|link| !link.flags.any(Flags::OPENED));
            if waiting {
                self.kill(conn, CloseReason::Stopped);
            }
        }
    }

    /// Ends handshakes, lingering and writes that have taken too long.
    pub(super) fn own_time(&mut self) {
        let now = self.now.mono;
        while let Some(&(until, conn)) = self.handshakes.front() {
            let waiting = self
                .links
                .get(conn)
                .is_some_and(|link| !link.flags.any(Flags::OPENED | Flags::DEAD));
            if waiting && until > now {
                break;
            }
            self.handshakes.pop_front();
            if waiting {
                self.stats.tls_failures += 1;
                self.kill(conn, CloseReason::Tls);
            }
        }
        while let Some(&(until, conn)) = self.lingers.front() {
            if until > now && self.links.contains(conn) {
                break;
            }
            self.lingers.pop_front();
            self.kill(conn, CloseReason::Asked);
        }
        while let Some(&(until, conn)) = self.refused.front() {
            if until > now && self.links.contains(conn) {
                break;
            }
            self.refused.pop_front();
            self.kill(conn, CloseReason::Asked);
        }
        if !self.watched.is_empty() && self.watch_at <= now {
            self.watch_at = now + self.watch_ms();
            self.watch_progress();
        }
    }

    fn watch_progress(&mut self) {
        let now = self.now.mono;
        let mut index = 0;
        while let Some(&mut (conn, ref mut since)) = self.watched.get_mut(index) {
            let Some(link) = self.links.get_mut(conn) else {
                self.watched.swap_remove(index);
                continue;
            };
            if link.flags.take(Flags::PROGRESS) {
                *since = now;
            }
            let waits = self.outbox.queued(conn) > 0 || link.socket.has_pending();
            if waits && now.since(*since) < self.write_stall_ms {
                index += 1;
                continue;
            }
            link.flags.clear(Flags::WATCHED);
            self.watched.swap_remove(index);
            if waits {
                self.stats.stalled += 1;
                self.outbox.stalled(conn);
            }
        }
    }
}
