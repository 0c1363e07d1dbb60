//! Taking new sockets in: a budget per turn, a bound on connections, and calm when the process has
//! no descriptors left.

use super::Core;
use super::listener::CertId;
use super::socket::{Flags, Link, Socket};
use crate::handler::{CloseReason, Handler, Origin};
use crate::limits::{ACCEPT_PAUSE_MS, ACCEPTS_PER_TURN};
use crate::time::Millis;
use mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;

/// Whether sockets are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Yes.
    Open,
    /// As many connections as there may be; the next burial opens again.
    Full,
    /// The system refused one; tried again then, or at the next burial.
    Starved { until: Millis },
}

impl<H: Handler> Core<H> {
    /// Takes what waits on the listeners, each in its turn.
    pub(super) fn accept(&mut self, registry: &Registry) {
        if let Accepting::Starved { until } = self.accepting
            && until <= self.now.mono
        {
            self.accepting = Accepting::Open;
        }
        if self.accepting != Accepting::Open || !self.someone_knocks() {
            return;
        }
        let mut budget = ACCEPTS_PER_TURN;
        // Whoever was first this time is last the next time.
        self.first_listener = self.first_listener.wrapping_add(1);
        for step in 0..self.listeners.len() {
            let index = self.first_listener.wrapping_add(step) % self.listeners.len();
            while budget > 0 && self.listeners[index].ready {
                if self.links.len() >= self.connections_max {
                    return self.hold(Accepting::Full, None);
                }
                match self.listeners[index].accept() {
                    Ok((socket, peer)) => {
                        budget -= 1;
                        let tls = self.listeners[index].tls;
                        if let Err(error) = self.admit(socket, peer, tls, registry) {
                            return self.starve(&error);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.listeners[index].ready = false;
                    }
                    // It was there and is not any more; the next one may be.
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::ConnectionAborted
                                | io::ErrorKind::ConnectionReset
                                | io::ErrorKind::Interrupted
                        ) =>
                    {
                        budget -= 1;
                    }
                    Err(error) => return self.starve(&error),
                }
            }
        }
        if !self.someone_knocks() && std::mem::take(&mut self.accept_trouble) {
            log::info!("accepting again; {} connections", self.links.len());
        }
    }

    /// Whether a socket may be waiting.
    pub(super) fn someone_knocks(&self) -> bool {
        self.listeners.iter().any(|listener| listener.ready)
    }

    /// Out of descriptors, or of what else the system gives. The backlog waits, and so do we: no
    /// call is made that cannot succeed.
    fn starve(&mut self, error: &io::Error) {
        let until = self.now.mono + ACCEPT_PAUSE_MS;
        self.hold(Accepting::Starved { until }, Some(error));
    }

    /// Logged once, until the backlog was emptied again.
    fn hold(&mut self, state: Accepting, error: Option<&io::Error>) {
        self.accepting = state;
        self.stats.accept_pauses += 1;
        if std::mem::replace(&mut self.accept_trouble, true) {
            return;
        }
        let connections = self.links.len();
        match error {
            Some(error) => log::warn!("accepting pauses at {connections} connections: {error}"),
            None => log::warn!("accepting pauses at {connections} connections, the most allowed"),
        }
    }

    /// Gives a fresh socket its row and its queue. An error means that the system gave no room to
    /// watch it; the socket is closed then.
    fn admit(
        &mut self,
        socket: Socket,
        peer: Option<SocketAddr>,
        tls: Option<CertId>,
        registry: &Registry,
    ) -> io::Result<()> {
        let address = match peer {
            Some(peer) if self.connections_per_address > 0 => Some(peer.ip()),
            _ => None,
        };
        if let Some(address) = address
            && self.per_address.get(&address).copied().unwrap_or(0) >= self.connections_per_address
        {
            self.stats.refused_per_address += 1;
            if tls.is_none() {
                self.refuse(socket, registry);
            }
            return Ok(());
        }
        let socket = match tls {
            None => socket,
            Some(certificate) => match self.with_tls(socket, peer, certificate) {
                Some(socket) => socket,
                None => return Ok(()),
            },
        };
        let conn = self.links.insert(Link {
            socket,
            flags: Flags::fresh(),
        });
        if let Some(link) = self.links.get_mut(conn)
            && let Err(error) = link
                .socket
                .register(registry, Token(conn.to_bits() as usize))
        {
            self.links.remove(conn);
            return Err(error);
        }
        if let Some(address) = address {
            *self.per_address.entry(address).or_insert(0) += 1;
            self.addresses.insert(conn, address);
        }
        self.stats.accepted += 1;
        self.outbox.open(conn);
        if tls.is_some() {
            let until = self.now.mono + self.tls_handshake_ms;
            self.handshakes.push_back((until, conn));
            return Ok(());
        }
        if let Some(link) = self.links.get_mut(conn) {
            link.flags.set(Flags::OPENED);
        }
        let origin = Origin { peer, tls: false };
        self.call(Some(conn), "opened", |handler, turn| {
            handler.opened(conn, origin, turn);
        });
        Ok(())
    }

    /// Tells a socket that it may not stay. It gets one write, which a fresh socket takes whole.
    ///
    /// Its request may be on its way, or lie unread already: closing at once would have the kernel
    /// reset the answer away. So the last few that were refused are lingered with, and one that
    /// comes in ends the oldest. Whoever keeps knocking thus takes a bounded number of sockets.
    #[cold]
    fn refuse(&mut self, mut socket: Socket, registry: &Registry) {
        let limit = self.connections_per_address;
        let mut words = None;
        self.call(None, "refused", |handler, turn| {
            words = handler.refused(limit, turn);
        });
        let Some(words) = words else {
            return;
        };
        if socket.write(&words).is_err() {
            return;
        }
        socket.shut_sending();
        if self.refused_max == 0 {
            // No room to linger. What has come by now is taken, so that it causes no reset.
            let _ = socket.read(&mut self.buffer);
            return;
        }
        let mut flags = Flags::fresh();
        flags.set(Flags::LINGERING | Flags::REFUSED);
        let conn = self.links.insert(Link { socket, flags });
        let watched = self.links.get_mut(conn).is_some_and(|link| {
            let token = Token(conn.to_bits() as usize);
            link.socket.register(registry, token).is_ok()
        });
        if !watched {
            self.links.remove(conn);
            return;
        }
        self.lingered.insert(conn, 0);
        if self.refused.len() >= self.refused_max
            && let Some((_, oldest)) = self.refused.pop_front()
        {
            self.kill(oldest, CloseReason::Asked);
        }
        self.refused
            .push_back((self.now.mono + self.linger_ms, conn));
    }

    #[cfg(feature = "tls")]
    fn with_tls(
        &mut self,
        socket: Socket,
        peer: Option<SocketAddr>,
        certificate: CertId,
    ) -> Option<Socket> {
        let config = self.certificates.iter().find(|(id, _)| *id == certificate);
        let (Socket::Tcp(stream), Some((_, config))) = (socket, config) else {
            return None;
        };
        match super::tls::TlsLink::new(stream, peer, config) {
            Ok(link) => Some(Socket::Tls(Box::new(link))),
            Err(error) => {
                log::error!("no TLS session could be made: {error}");
                self.stats.tls_failures += 1;
                None
            }
        }
    }

    /// Listening with TLS is refused without the feature, so nothing comes this way.
    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut)]
    fn with_tls(
        &mut self,
        _socket: Socket,
        _peer: Option<SocketAddr>,
        _certificate: CertId,
    ) -> Option<Socket> {
        None
    }
}
