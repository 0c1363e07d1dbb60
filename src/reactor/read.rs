//! The reading half of a turn: readiness edges, the one buffer, shares per peer, and those who are
//! not read from for a while.
//!
//! An edge comes once. Whatever is not read to its end when it comes stays marked
//! [`Flags::READABLE`]; such a peer is either on the resume list, which keeps the next wait at
//! zero, or it waits for its own queue to leave, and the flush puts it on that list.

use super::Core;
use super::socket::Flags;
use crate::handler::{CloseReason, ConnId, Handler};
use crate::limits::{LINGER_BYTES_MAX, READ_BYTES_PER_TURN, READ_PAUSE_QUEUE_BYTES};
use crate::outbox::Ending;
use mio::event::Event;
use std::io;
use std::mem;

impl<H: Handler> Core<H> {
    /// The kernel says that something has changed with `conn`.
    pub(super) fn ready(&mut self, conn: ConnId, event: &Event) {
        // Events of this very batch may speak of a socket that has gone since.
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        let broken = event.is_error() || (event.is_read_closed() && event.is_write_closed());
        if broken {
            link.flags.set(Flags::BROKEN);
        }
        if event.is_read_closed() || broken {
            link.flags.set(Flags::HUNG);
        }
        if (event.is_writable() || broken) && !link.flags.any(Flags::WRITABLE) {
            link.flags.set(Flags::WRITABLE);
            self.outbox.mark(conn);
        }
        if event.is_readable() || event.is_read_closed() || broken {
            link.flags.set(Flags::READABLE);
            if link.flags.any(Flags::SERVED) || self.reading.is_over() {
                self.resume_later(conn);
            } else if !link.flags.any(Flags::ON_RESUME) {
                self.read(conn);
            }
        }
    }

    /// Goes on with those who were cut short, paused or held. They come before this turn's events,
    /// and an event does not get them a second share; [`Core::served`] ends that.
    pub(super) fn resume(&mut self) {
        if self.resume.is_empty() {
            return;
        }
        // Who is put on the list from here on has had his share of this turn.
        mem::swap(&mut self.resume, &mut self.resuming);
        for index in 0..self.resuming.len() {
            if self.reading.is_over() {
                // The rest comes first in the next turn.
                let mut rest = self.resuming.split_off(index);
                rest.append(&mut self.resume);
                self.resume = rest;
                return;
            }
            let conn = self.resuming[index];
            let Some(link) = self.links.get_mut(conn) else {
                continue;
            };
            link.flags.clear(Flags::ON_RESUME);
            link.flags.set(Flags::SERVED);
            if link.flags.take(Flags::RESUME_DUE) {
                self.call(Some(conn), "resumed", |handler, turn| {
                    handler.resumed(conn, turn);
                });
            }
            self.read(conn);
        }
    }

    /// This turn's reading is over.
    pub(super) fn served(&mut self) {
        for conn in self.resuming.drain(..) {
            if let Some(link) = self.links.get_mut(conn) {
                link.flags.clear(Flags::SERVED);
            }
        }
    }

    /// Puts `conn` on the list of those that the next turn goes on with.
    pub(super) fn resume_later(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(conn)
            && !link.flags.any(Flags::ON_RESUME)
        {
            link.flags.set(Flags::ON_RESUME);
            self.resume.push(conn);
        }
    }

    /// Reads what `conn` has, within its share, if it may be read from at all.
    fn read(&mut self, conn: ConnId) {
        let mut buffer = mem::take(&mut self.buffer);
        self.read_with(conn, &mut buffer);
        self.buffer = buffer;
        self.reading.step(&self.clock);
    }

    fn read_with(&mut self, conn: ConnId, buffer: &mut [u8]) {
        let mut share = READ_BYTES_PER_TURN;
        loop {
            let Some(link) = self.links.get_mut(conn) else {
                return;
            };
            if link.flags.any(Flags::LINGERING) {
                return self.discard(conn, buffer);
            }
            let Some(queue) = self.outbox.state(conn) else {
                return;
            };
            if link.flags.any(Flags::DEAD) || !link.flags.any(Flags::READABLE) {
                return;
            }
            let ended = link.flags.any(Flags::ENDED);
            let held = queue.bytes > READ_PAUSE_QUEUE_BYTES;
            if queue.ending != Ending::Open || queue.paused || held || ended {
                if link.flags.any(Flags::BROKEN) {
                    // It can neither be answered nor, in this state, listened to.
                    self.kill(conn, CloseReason::Peer);
                } else if ended {
                    // What the kernel reports now is the end that was already found.
                    link.flags.clear(Flags::READABLE);
                } else if held && queue.ending == Ending::Open {
                    link.flags.set(Flags::HELD);
                }
                return;
            }
            if share == 0 {
                return self.resume_later(conn);
            }
            if link.socket.handshaking() {
                if self.handshakes_left == 0 {
                    return self.resume_later(conn);
                }
                self.handshakes_left -= 1;
            }
            let tls = link.socket.is_tls();
            let room = share.min(if tls {
                self.tls_read_bytes
            } else {
                buffer.len()
            });
            self.stats.reads += 1;
            match link.socket.read(&mut buffer[..room]) {
                Ok(0) => return self.peer_ended(conn),
                Ok(count) => {
                    share -= count;
                    self.stats.bytes_read += count as u64;
                    // With edges, a short read says that there is no more; unless an end was
                    // announced, which only a further read finds.
                    if count < room && !link.flags.any(Flags::HUNG) {
                        link.flags.clear(Flags::READABLE);
                    }
                    let bytes = &mut buffer[..count];
                    if tls {
                        self.received_cipher(conn, bytes);
                    } else {
                        self.call(Some(conn), "received", |handler, turn| {
                            handler.received(conn, bytes, turn);
                        });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return link.flags.clear(Flags::READABLE);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.kill(conn, CloseReason::Peer),
            }
        }
    }

    /// Whether the handler still wants bytes of `conn`.
    #[cfg(feature = "tls")]
    pub(super) fn listens(&self, conn: ConnId) -> bool {
        self.outbox.ending(conn) == Some(Ending::Open)
            && self
                .links
                .get(conn)
                .is_some_and(|link| !link.flags.any(Flags::DEAD))
    }

    /// The peer will send no more.
    pub(super) fn peer_ended(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        link.flags.clear(Flags::READABLE);
        link.flags.set(Flags::ENDED);
        let (opened, broken) = (link.flags.any(Flags::OPENED), link.flags.any(Flags::BROKEN));
        if opened {
            self.call(Some(conn), "ended", |handler, turn| {
                handler.ended(conn, turn);
            });
        }
        if broken || !opened {
            self.kill(conn, CloseReason::Peer);
        }
    }

    /// Reads and throws away, within the bounds of lingering.
    fn discard(&mut self, conn: ConnId, buffer: &mut [u8]) {
        let mut share = READ_BYTES_PER_TURN;
        loop {
            let Some(link) = self.links.get_mut(conn) else {
                return;
            };
            if link.flags.any(Flags::DEAD) || !link.flags.any(Flags::READABLE) {
                return;
            }
            if share == 0 {
                return self.resume_later(conn);
            }
            self.stats.reads += 1;
            let room = share.min(buffer.len());
            match link.socket.read(&mut buffer[..room]) {
                Ok(0) => return self.kill(conn, CloseReason::Asked),
                Ok(count) => {
                    share -= count;
                    self.stats.bytes_read += count as u64;
                    if count < room && !link.flags.any(Flags::HUNG) {
                        link.flags.clear(Flags::READABLE);
                    }
                    let Some(thrown_away) = self.lingered.get_mut(&conn) else {
                        return;
                    };
                    *thrown_away = thrown_away.saturating_add(count as u32);
                    if *thrown_away as usize > LINGER_BYTES_MAX {
                        return self.kill(conn, CloseReason::Asked);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return link.flags.clear(Flags::READABLE);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.kill(conn, CloseReason::Asked),
            }
        }
    }

    #[cfg(feature = "tls")]
    fn received_cipher(&mut self, conn: ConnId, cipher: &[u8]) {
        self.received_tls(conn, cipher);
    }

    /// Without the feature no socket speaks TLS.
    #[cfg(not(feature = "tls"))]
    fn received_cipher(&mut self, conn: ConnId, _cipher: &[u8]) {
        self.kill(conn, CloseReason::Tls);
    }
}
