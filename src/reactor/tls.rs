//! TLS as one kind of link: rustls with ring, behind a small trait, so that another engine (or
//! another release of this one) changes nothing outside this file.
//!
//! Ciphertext is read into the loop's buffer like any bytes and fed to the session; a turn's
//! frames are gathered into one plaintext, sealed as one record and written with one call.

use super::Core;
use super::socket::{Flags, Gather, Socket, Written};
use crate::handler::{CloseReason, ConnId, Handler, Origin};
use crate::limits::{READ_BUFFER_BYTES, TLS_RECORD_BYTES, WRITE_BYTES_PER_TURN};
use crate::outbox::Outbox;
use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig, ServerConnection};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// Ciphertext a session may hold for a peer that does not take it: two records and the handshake's
/// own. The queue behind it has its own limit.
const SEALED_BYTES_MAX: usize = 4 * TLS_RECORD_BYTES;

/// What one record adds to its plaintext at most (RFC 8446 section 5.2, RFC 5246 section 6.2.3).
const RECORD_OVERHEAD_BYTES: usize = 2048 + 5;

/// Ciphertext read at a time: with a record that was cut before it, its plaintext still fits the
/// size that a handler is promised for one call.
pub(super) const CIPHER_READ_BYTES: usize =
    READ_BUFFER_BYTES - TLS_RECORD_BYTES - RECORD_OVERHEAD_BYTES;

/// What came of feeding a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fed {
    /// The peer said that nothing more comes.
    pub(super) ended: bool,
}

/// What the reactor needs of a TLS engine.
pub(super) trait Session {
    /// Takes all of `cipher`; appends what it says to `plain`.
    fn feed(&mut self, cipher: &[u8], plain: &mut Vec<u8>) -> Result<Fed, rustls::Error>;
    /// Seals up to [`TLS_RECORD_BYTES`] as one record; how many bytes were taken.
    fn seal(&mut self, plain: &[u8]) -> usize;
    /// Whether ciphertext waits for the socket.
    fn pending(&self) -> bool;
    /// One write of what waits; how many bytes left.
    fn drain(&mut self, socket: &mut TcpStream) -> io::Result<usize>;
    /// Whether the handshake is still under way.
    fn handshaking(&self) -> bool;
    /// Queues the word that nothing more comes from us.
    fn close_notify(&mut self);
}

impl Session for ServerConnection {
    fn feed(&mut self, mut cipher: &[u8], plain: &mut Vec<u8>) -> Result<Fed, rustls::Error> {
        let mut ended = false;
        while !cipher.is_empty() && !ended {
            let before = cipher.len();
            self.read_tls(&mut cipher)
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            let state = self.process_new_packets()?;
            let at = plain.len();
            plain.resize(at + state.plaintext_bytes_to_read(), 0);
            if self.reader().read_exact(&mut plain[at..]).is_err() {
                // The engine promised these bytes; without them the stream makes no sense.
                plain.truncate(at);
                return Err(rustls::Error::General("plaintext went missing".into()));
            }
            ended = state.peer_has_closed();
            if cipher.len() == before && !ended {
                return Err(rustls::Error::General("a record of no valid length".into()));
            }
        }
        Ok(Fed { ended })
    }

    fn seal(&mut self, plain: &[u8]) -> usize {
        let part = &plain[..plain.len().min(TLS_RECORD_BYTES)];
        self.writer().write(part).unwrap_or(0)
    }

    fn pending(&self) -> bool {
        self.wants_write()
    }

    fn drain(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        self.write_tls(&mut OneOrMany(socket))
    }

    fn handshaking(&self) -> bool {
        self.is_handshaking()
    }

    fn close_notify(&mut self) {
        self.send_close_notify();
    }
}

/// rustls always writes vectored; with a single chunk the plain call is the cheaper one.
struct OneOrMany<'a>(&'a mut TcpStream);

impl Write for OneOrMany<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.0.write(one),
            many => self.0.write_vectored(many),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A TCP socket with a session on it.
#[derive(Debug)]
pub(super) struct TlsLink {
    pub(super) stream: TcpStream,
    session: ServerConnection,
    peer: Option<SocketAddr>,
    /// Whether the socket refused ciphertext when it was last offered some.
    stuck: bool,
    /// Plaintext of the record that was sealed last, as far as it is charged to the peer's limit.
    sealed: usize,
    farewell_said: bool,
}

impl TlsLink {
    pub(super) fn new(
        stream: TcpStream,
        peer: Option<SocketAddr>,
        config: &Arc<ServerConfig>,
    ) -> Result<Self, rustls::Error> {
        let mut session = ServerConnection::new(Arc::clone(config))?;
        session.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Ok(Self {
            stream,
            session,
            peer,
            stuck: false,
            sealed: 0,
            farewell_said: false,
        })
    }

    pub(super) fn has_pending(&self) -> bool {
        self.session.pending()
    }

    /// What was sealed and has not left: one record at most, as the next one is sealed when the
    /// socket has taken all of the last. While any of it waits all of it counts.
    pub(super) fn held_bytes(&self) -> usize {
        if self.session.pending() {
            self.sealed
        } else {
            0
        }
    }

    pub(super) fn handshaking(&self) -> bool {
        self.session.handshaking()
    }

    /// Says close_notify, once; it waits with the ciphertext.
    pub(super) fn say_farewell(&mut self) {
        if !self.farewell_said && !self.session.handshaking() {
            self.session.close_notify();
        }
        self.farewell_said = true;
    }

    /// Offers the socket what waits; the bytes that left, and how far that came.
    fn drain(&mut self) -> (Written, usize) {
        let mut left = 0;
        while self.session.pending() {
            match self.session.drain(&mut self.stream) {
                Ok(0) => break,
                Ok(count) => left += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stuck = true;
                    return (Written::Full, left);
                }
                Err(_) => return (Written::Gone, left),
            }
        }
        self.stuck = false;
        (Written::All, left)
    }

    /// Writes the `bytes` bytes queued for `conn`, record by record. Returns how far that came,
    /// the ciphertext that left and the calls it took.
    pub(super) fn write_queue(
        &mut self,
        out: &mut Outbox,
        conn: ConnId,
        bytes: usize,
        gather: &mut Gather,
    ) -> (Written, usize, u32) {
        let (mut queued, mut left, mut calls) = (bytes, 0, 0);
        loop {
            // What the socket refused goes first: sealing more behind it would only pile up.
            if queued > 0 && !self.stuck && !self.session.handshaking() {
                let (pieces, sent) = out.pieces(conn);
                let plain = match pieces.clone().next() {
                    Some(front) if front.len() - sent >= queued.min(TLS_RECORD_BYTES) => {
                        &front[sent..]
                    }
                    _ if queued <= TLS_RECORD_BYTES => gather.whole(pieces, sent),
                    _ => gather.part(pieces, sent, TLS_RECORD_BYTES),
                };
                let count = self.session.seal(plain);
                self.sealed = out.advance(conn, count);
                queued -= count.min(queued);
                if count == 0 && !self.session.pending() {
                    // Neither taken nor waiting: a session that is over.
                    return (Written::Gone, left, calls);
                }
            }
            if !self.session.pending() {
                // During a handshake the queue has to wait for the peer, not for the socket.
                return (Written::All, left, calls);
            }
            let (written, count) = self.drain();
            calls += 1;
            left += count;
            match written {
                Written::All if queued == 0 || self.session.handshaking() => {
                    return (Written::All, left, calls);
                }
                Written::All if left >= WRITE_BYTES_PER_TURN => {
                    return (Written::Share, left, calls);
                }
                Written::All => {}
                Written::Full | Written::Share | Written::Gone => return (written, left, calls),
            }
        }
    }
}

impl<H: Handler> Core<H> {
    /// Ciphertext came: feeds it and hands on what it says.
    pub(super) fn received_tls(&mut self, conn: ConnId, cipher: &[u8]) {
        let Some(link) = self.links.get_mut(conn) else {
            return;
        };
        let Socket::Tls(tls) = &mut link.socket else {
            return;
        };
        let was_handshaking = tls.handshaking();
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let fed = tls.session.feed(cipher, &mut plain);
        let done = !tls.handshaking();
        let peer = tls.peer;
        let opened = done && was_handshaking;
        if opened {
            link.flags.set(Flags::OPENED);
        }
        if fed.is_err() {
            // The alert says why; if the socket does not take it at once it is not worth more.
            tls.drain();
        } else if tls.has_pending() {
            self.outbox.mark(conn);
        }
        if opened {
            self.stats.tls_handshakes += 1;
            let origin = Origin { peer, tls: true };
            self.call(Some(conn), "opened", |handler, turn| {
                handler.opened(conn, origin, turn);
            });
        }
        if !plain.is_empty() && self.listens(conn) {
            self.call(Some(conn), "received", |handler, turn| {
                handler.received(conn, &mut plain, turn);
            });
        }
        self.plain = plain;
        match fed {
            Ok(fed) if fed.ended => self.peer_ended(conn),
            Ok(_) => {}
            Err(error) => {
                log::debug!("TLS peer {peer:?}: {error}");
                self.stats.tls_failures += 1;
                self.kill(conn, CloseReason::Tls);
            }
        }
    }
}

/// Why a certificate and key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The chain is not PEM, or holds no certificate.
    Certificate(String),
    /// The key is not PEM, or of no kind that is known.
    Key(String),
    /// The key is not the one that the first certificate speaks of.
    Mismatch,
    /// Anything else rustls finds wrong.
    Other(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) => write!(f, "the certificate chain cannot be read: {why}"),
            Self::Key(why) => write!(f, "the private key cannot be read: {why}"),
            Self::Mismatch => f.write_str("the private key does not belong to the certificate"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TlsConfigError {}

/// A server's TLS configuration from a certificate chain and its key, both PEM: TLS 1.2 and 1.3,
/// ring's algorithms, `http/1.1` as the only application protocol (h2 would break WebSocket), and
/// tickets, so that a resumption needs no memory per peer.
///
/// # Errors
/// When either cannot be read, or the two do not belong together.
pub fn tls_config(
    cert_chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let chain = CertificateDer::pem_slice_iter(cert_chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsConfigError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsConfigError::Certificate("no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|error| TlsConfigError::Key(error.to_string()))?;
    let other = |error: rustls::Error| TlsConfigError::Other(error.to_string());
    // Always explicitly: with two providers in a tree the process-wide default panics.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsConfigError::Mismatch
            }
            rustls::Error::InvalidCertificate(why) => TlsConfigError::Certificate(why.to_string()),
            rustls::Error::General(why) => TlsConfigError::Key(why),
            error => TlsConfigError::Other(error.to_string()),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(other)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .expect("a self-signed certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_chain_and_its_own_key_make_a_configuration_others_do_not() {
        let (chain, key) = pair();
        let (_, foreign) = pair();
        let made = |chain: &str, key: &str| tls_config(chain.as_bytes(), key.as_bytes());
        let config = made(&chain, &key).expect("they belong together");
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
        assert!(config.ticketer.enabled());
        assert_eq!(made(&chain, &foreign).err(), Some(TlsConfigError::Mismatch));
        for (chain, key) in [("", &*key), ("no PEM", &key), (&key, &key)] {
            assert!(
                matches!(made(chain, key), Err(TlsConfigError::Certificate(_))),
                "{chain:.20}"
            );
        }
        for key in ["", "no PEM", &chain] {
            assert!(
                matches!(made(&chain, key), Err(TlsConfigError::Key(_))),
                "{key:.20}"
            );
        }
    }
}
