//! A server behind real sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "real time and threads that read are what this side of the replayer is about"
)]

use crate::session::{Cut, Link, Received, Sut};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A client of the server at one address.
pub(crate) struct Tcp {
    address: SocketAddr,
    secret: String,
    cut: Cut,
    started: Instant,
    links: Vec<TcpLink>,
}

struct TcpLink {
    stream: TcpStream,
    /// From the thread that reads, with the time of arrival. It is gone when the server has ended.
    arrivals: Receiver<(Instant, Vec<u8>)>,
    ended: Option<Instant>,
}

impl Tcp {
    /// Connections go to `address`; what is written is cut as `cut` says, every piece in a write
    /// and (with `TCP_NODELAY`) usually a segment of its own.
    pub(crate) fn new(address: SocketAddr, secret: &str, cut: Cut) -> Self {
        Self {
            address,
            secret: secret.to_owned(),
            cut,
            started: Instant::now(),
            links: Vec::new(),
        }
    }

    fn ms(&self, at: Instant) -> u64 {
        at.duration_since(self.started).as_millis() as u64
    }
}

impl Sut for Tcp {
    fn dial(&mut self) -> Link {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_nodelay(true).expect("any TCP socket can");
        let mut reader = stream.try_clone().expect("one more descriptor");
        let (sender, arrivals) = mpsc::channel();
        // The thread ends with the connection, which `close` or dropping the stream ends.
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender
                    .send((Instant::now(), buffer[..count].to_vec()))
                    .is_err()
                {
                    break;
                }
            }
        });
        self.links.push(TcpLink {
            stream,
            arrivals,
            ended: None,
        });
        Link(self.links.len() - 1)
    }

    fn send(&mut self, link: Link, bytes: &[u8]) {
        let cut = self.cut;
        let stream = &mut self.links[link.0].stream;
        for piece in cut.pieces(bytes) {
            // A server that refuses early may end before it has read everything.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
    }

    fn receive(&mut self, link: Link, until_ms: u64) -> Received {
        let until = self.started + Duration::from_millis(until_ms);
        let link = &mut self.links[link.0];
        if let Some(at) = link.ended {
            return Received::Ended { at_ms: self.ms(at) };
        }
        let wait = until.saturating_duration_since(Instant::now());
        match link.arrivals.recv_timeout(wait) {
            Ok((at, bytes)) => Received::Bytes {
                at_ms: self.ms(at),
                bytes,
            },
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => {
                let now = Instant::now();
                link.ended = Some(now);
                Received::Ended {
                    at_ms: self.ms(now),
                }
            }
        }
    }

    fn half_close(&mut self, link: Link) {
        // Fails if the server was first.
        let _ = self.links[link.0].stream.shutdown(Shutdown::Write);
    }

    fn close(&mut self, link: Link) {
        let _ = self.links[link.0].stream.shutdown(Shutdown::Both);
    }

    fn abort(&mut self, link: Link) {
        let stream = &self.links[link.0].stream;
        // A socket that lingers for no time is reset when its last descriptor goes. The thread
        // that reads holds another one; shutting the reading side wakes and ends it.
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        let _ = stream.shutdown(Shutdown::Read);
        let spare = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        self.links[link.0].stream = spare.expect("one more descriptor").into();
    }

    fn now_ms(&self) -> u64 {
        self.ms(Instant::now())
    }

    fn unix_seconds(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("it is later than 1970").as_secs()
    }

    fn wait_ms(&mut self, ms: u64) {
        // A transcript's pause is part of what it says; there is no condition to wait for.
        thread::sleep(Duration::from_millis(ms));
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn secret(&self) -> String {
        self.secret.clone()
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        for link in 0..self.links.len() {
            self.close(Link(link));
        }
    }
}
