//! The engine in memory, and the reactor's part of it in its simplest form: everyone reads at once.

use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::handler::{CloseReason, Conn, ConnId, Handler, Origin, Turn};
use fanwire::outbox::{Ending, Outbox};
use fanwire::random::Random;
use fanwire::table::Table;
use fanwire::time::{Millis, Now};
use std::collections::BTreeMap;

/// Turns after which something that should have ended has not.
const TURNS_MAX: usize = 10_000;

/// An engine, and the reactor's part of it in its simplest form: everyone reads at once.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) out: Outbox,
    pub(crate) conns: Table<Conn, ()>,
    /// What came on each connection.
    pub(crate) heard: BTreeMap<ConnId, Vec<u8>>,
    pub(crate) resume: Vec<ConnId>,
    pub(crate) now: Now,
    pub(crate) signer: Channelstream,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(vec![Box::new(Channelstream::new(Config::default()))])
    }

    pub(crate) fn with(dialects: Vec<Box<dyn Dialect>>) -> Self {
        Self {
            engine: Engine::new(EngineConfig::default(), dialects, Random::seeded(1)),
            out: Outbox::default(),
            conns: Table::new(),
            heard: BTreeMap::new(),
            resume: Vec::new(),
            now: Now {
                mono: Millis(1_000),
                unix_micros: 1_795_359_723_000_000,
            },
            signer: Channelstream::new(Config::default()),
        }
    }

    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut Engine, &mut Turn<'_>) -> R) -> R {
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        call(&mut self.engine, &mut turn)
    }

    pub(crate) fn open(&mut self) -> ConnId {
        let conn = self.conns.insert(());
        self.out.open(conn);
        let from = Origin {
            peer: "127.0.0.1:1".parse().ok(),
            tls: false,
        };
        self.call(|engine, turn| engine.opened(conn, from, turn));
        self.heard.insert(conn, Vec::new());
        conn
    }

    /// Bytes come, in the turn that is under way.
    pub(crate) fn send(&mut self, conn: ConnId, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        self.call(|engine, turn| engine.received(conn, &mut bytes, turn));
    }

    pub(crate) fn close(&mut self, conn: ConnId, why: CloseReason) {
        if self.conns.remove(conn).is_some() {
            self.out.remove(conn);
            self.call(|engine, turn| engine.closed(conn, why, turn));
        }
    }

    /// The rest of the turn, and the beginning of the next one. Says how many frames were queued
    /// since the last call.
    pub(crate) fn turn(&mut self, before: u64) -> u64 {
        let due = self.engine.next_deadline();
        if due.is_some_and(|due| due <= self.now.mono) {
            self.call(Engine::tick);
        }
        self.call(|engine, turn| engine.settle(turn));
        let pushed = self.out.totals().pushed - before;
        while self.out.is_dirty() {
            for conn in self.out.take_dirty() {
                self.flush(conn);
            }
        }
        for conn in std::mem::take(&mut self.resume) {
            self.call(|engine, turn| engine.resumed(conn, turn));
        }
        pushed
    }

    pub(crate) fn flush(&mut self, conn: ConnId) {
        let Some(state) = self.out.visit(conn) else {
            return;
        };
        let heard = self.heard.entry(conn).or_default();
        for piece in self.out.pieces(conn).0 {
            heard.extend_from_slice(piece);
        }
        self.out.advance(conn, state.bytes);
        match state.ending {
            Ending::Open if state.paused => {
                self.out.unpause(conn);
                self.resume.push(conn);
            }
            Ending::Open => {}
            Ending::Drain | Ending::Linger | Ending::Abort => self.close(conn, CloseReason::Asked),
            Ending::Slow => panic!("everyone reads"),
        }
    }

    /// Turns until nothing is left to go on with. Says how many, and how many frames were queued in
    /// the busiest.
    pub(crate) fn rest(&mut self) -> (usize, u64) {
        let mut most = 0;
        for turns in 0..TURNS_MAX {
            let goes_on = self.engine.jobs() > 0 || self.engine.hub().leaving() > 0;
            if !goes_on && self.resume.is_empty() && !self.out.is_dirty() {
                return (turns, most);
            }
            let before = self.out.totals().pushed;
            most = most.max(self.turn(before));
        }
        panic!("it does not come to rest");
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono + ms;
        self.now.unix_micros += ms * 1000;
    }

    pub(crate) fn signed(&self, path: &str, body: &str) -> String {
        self.signed_as("POST", path, body)
    }

    pub(crate) fn signed_as(&self, method: &str, path: &str, body: &str) -> String {
        let signature = self.signer.sign(path, self.now.unix_seconds());
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nX-Channelstream-Secret: {signature}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// What came on a connection since it was last asked for.
    pub(crate) fn take(&mut self, conn: ConnId) -> Vec<u8> {
        std::mem::take(self.heard.get_mut(&conn).expect("it was opened"))
    }

    pub(crate) fn take_text(&mut self, conn: ConnId) -> String {
        String::from_utf8(self.take(conn)).expect("text")
    }

    /// An open WebSocket in `channel`.
    pub(crate) fn subscriber(
        &mut self,
        backend: ConnId,
        user: &str,
        channel: &str,
        presence: bool,
    ) -> ConnId {
        let body = format!(
            r#"{{"username":"{user}","channels":["{channel}"],"info":{{"include_users":false}},
               "channel_configs":{{"{channel}":{{"notify_presence":{presence}}}}}}}"#
        );
        let request = self.signed("/connect", &body);
        self.send(backend, &request);
        self.rest();
        let answer = self.take_text(backend);
        let id = answer.split("\"conn_id\":\"").nth(1).expect(&answer);
        let id = id.split('"').next().expect("a closing quote").to_owned();
        let conn = self.open();
        self.send(
            conn,
            &format!(
                "GET /ws?conn_id={id} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
        );
        self.rest();
        assert!(self.take_text(conn).starts_with("HTTP/1.1 101"));
        conn
    }

    /// The texts of the WebSocket frames that came.
    pub(crate) fn texts(&mut self, conn: ConnId) -> Vec<String> {
        let bytes = self.take(conn);
        let (mut rest, mut texts) = (&bytes[..], Vec::new());
        while let [first, length, behind @ ..] = rest {
            assert_eq!(*first, 0x81, "a text in one frame");
            let (length, behind) = match *length {
                126 => (
                    usize::from(u16::from_be_bytes([behind[0], behind[1]])),
                    &behind[2..],
                ),
                127 => panic!("longer than any here"),
                short => (usize::from(short), behind),
            };
            texts.push(String::from_utf8(behind[..length].to_vec()).expect("UTF-8"));
            rest = &behind[length..];
        }
        texts
    }

    /// The numbers of the messages that came, for those that were made by [`batch`].
    pub(crate) fn numbers(&mut self, conn: ConnId) -> Vec<usize> {
        self.texts(conn).iter().map(|text| number(text)).collect()
    }
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

/// The shortest question there is.
pub(crate) const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";

/// The number of a message.
fn number(text: &str) -> usize {
    let number = text.split("\"n\":").nth(1).expect(text);
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .expect("a brace follows");
    number[..end].parse().expect("a number")
}
