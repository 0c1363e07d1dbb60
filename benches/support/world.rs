//! The engine in memory, driven as the reactor drives it: bytes in, queues drained at the end of
//! each turn, the dead buried. No sockets, no clock.

use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::handler::{CloseReason, Conn, ConnId, Handler, Origin, Turn};
use fanwire::outbox::{Ending, Outbox};
use fanwire::random::Random;
use fanwire::table::Table;
use fanwire::time::{Millis, Now};
use std::net::SocketAddr;

/// An engine, and what the reactor would hold beside it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) out: Outbox,
    pub(crate) now: Now,
    conns: Table<Conn, ()>,
    signer: Channelstream,
    /// What left on the connection that is listened to.
    heard: Option<(ConnId, Vec<u8>)>,
    scratch: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dialect = Channelstream::new(Config::default());
        Self {
            engine: Engine::new(
                EngineConfig::default(),
                vec![Box::new(dialect)],
                Random::seeded(1),
            ),
            out: Outbox::default(),
            now: Now {
                mono: Millis(1_000),
                unix_micros: 1_600_000_000_000_000,
            },
            conns: Table::new(),
            signer: Channelstream::new(Config::default()),
            heard: None,
            scratch: Vec::new(),
        }
    }

    /// A connection is accepted.
    pub(crate) fn open(&mut self) -> ConnId {
        let conn = self.conns.insert(());
        self.out.open(conn);
        let from = Origin {
            peer: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
            tls: false,
        };
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.opened(conn, from, &mut turn);
        conn
    }

    /// Bytes come; what they caused is left in the queues.
    pub(crate) fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        // The engine may change what it reads, as it may the reactor's buffer.
        self.scratch.clear();
        self.scratch.extend_from_slice(bytes);
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.received(conn, &mut self.scratch, &mut turn);
    }

    /// The peer's end of a connection goes.
    pub(crate) fn hang_up(&mut self, conn: ConnId) {
        self.bury(conn, CloseReason::Peer);
    }

    fn bury(&mut self, conn: ConnId, why: CloseReason) {
        if self.conns.remove(conn).is_none() {
            return;
        }
        self.out.remove(conn);
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.closed(conn, why, &mut turn);
    }

    /// The end of a turn: everything queued leaves. Returns frames and bytes.
    pub(crate) fn drain(&mut self) -> (u64, u64) {
        let (mut frames, mut bytes) = (0, 0);
        while self.out.is_dirty() {
            let dirty = self.out.take_dirty();
            for &conn in &dirty {
                let Some(queue) = self.out.visit(conn) else {
                    continue;
                };
                if queue.bytes > 0 {
                    let (pieces, sent) = self.out.pieces(conn);
                    let mut count = 0;
                    for piece in pieces {
                        frames += 1;
                        count += piece.len();
                        if let Some((listened, heard)) = &mut self.heard
                            && *listened == conn
                        {
                            heard.extend_from_slice(piece);
                        }
                    }
                    count -= sent;
                    bytes += count as u64;
                    self.out.advance(conn, count);
                }
                if queue.ending != Ending::Open {
                    self.bury(conn, CloseReason::Asked);
                }
            }
            self.out.recycle(dirty);
        }
        (frames, bytes)
    }

    /// Time goes by, and whoever is due is told.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono + ms;
        self.now.unix_micros += ms * 1000;
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.tick(&mut turn);
        self.drain();
    }

    /// What the server does once a second between two turns: gives back what is only kept for
    /// speed.
    pub(crate) fn trim(&mut self) {
        self.out.trim();
        self.conns.trim();
        self.engine.trim();
    }

    /// A request of the server API, signed.
    pub(crate) fn signed(&self, path: &str, body: &str) -> Vec<u8> {
        let signature = self.signer.sign(path, self.now.unix_seconds());
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nX-Channelstream-Secret: {signature}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends a request, ends the turn, and as many more as it takes, and returns the answer.
    pub(crate) fn ask(&mut self, conn: ConnId, request: &[u8]) -> String {
        self.heard = Some((conn, Vec::new()));
        self.receive(conn, request);
        let is_long = self.engine.jobs() > 0;
        while self.engine.jobs() > 0 {
            self.pass(0);
        }
        self.drain();
        if is_long {
            // Whatever would have come behind it is taken from now on.
            self.out.unpause(conn);
            let mut turn = Turn {
                out: &mut self.out,
                now: self.now,
            };
            self.engine.resumed(conn, &mut turn);
        }
        let (_, answer) = self.heard.take().expect("just put there");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What a browser's backend and the browser do: a signed `/connect`, then `/ws` on a
    /// connection of its own. Returns that connection.
    pub(crate) fn join(&mut self, backend: ConnId, user: &str, channel: &str) -> ConnId {
        let id = self.connect(backend, user, channel);
        let conn = self.open();
        let answer = self.ask(conn, upgrade(&id).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        conn
    }

    /// A signed `/connect`. Returns the id of the new connection.
    pub(crate) fn connect(&mut self, backend: ConnId, user: &str, channel: &str) -> String {
        let body = connect_body(user, channel);
        let answer = self.ask(backend, &self.signed("/connect", &body));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        id_in(&answer).to_owned()
    }
}

/// The body of a `/connect` that asks for no list of members, whose length would be what is
/// measured.
pub(crate) fn connect_body(user: &str, channel: &str) -> String {
    format!(
        r#"{{"username":"{user}","channels":["{channel}"],"info":{{"include_users":false,"include_history":false}}}}"#
    )
}

/// The request that makes a connection a WebSocket.
pub(crate) fn upgrade(id: &str) -> String {
    format!(
        "GET /ws?conn_id={id} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The `conn_id` of an answer to `/connect`.
pub(crate) fn id_in(answer: &str) -> &str {
    let start = answer.find(r#""conn_id":""#).expect("an id in the answer") + 11;
    let rest = &answer[start..];
    &rest[..rest.find('"').expect("the id ends")]
}

/// A message of about a hundred bytes.
pub(crate) fn message_body(channel: &str) -> String {
    let text = "all things considered, a short text";
    format!(r#"[{{"user":"bench","channel":"{channel}","message":{{"text":"{text}","n":12345}}}}]"#)
}
