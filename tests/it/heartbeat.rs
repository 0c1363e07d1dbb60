//! The pace of an open socket: a heartbeat every five seconds, whatever else is said on it.

use crate::engine::new_engine;
use crate::http;
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Setup, Sut};
use crate::signature;
use crate::websocket::{self, Event, Reader, Writer};
use fanwire::engine::Engine;
use fanwire::limits::{CS_HEARTBEAT_MS, WHEEL_SLOT_MS, WS_PING_AFTER_MS, WS_PONG_MS};
use serde_json::Value;

/// A socket in memory, and what was heard on it when.
struct Socket {
    memory: Memory<Engine>,
    link: Link,
    reader: Reader,
    writer: Writer,
    opened_ms: u64,
    /// Whether pings are answered.
    answers: bool,
    beats: Vec<u64>,
    pings: Vec<u64>,
    closed: Option<(u64, u16)>,
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

impl Socket {
    /// Opens one. Links before it shift its place, and with it the time of its beats.
    fn open(links_before: usize, answers: bool) -> Self {
        let setup = Setup::named("default");
        let mut memory = Memory::new(new_engine(&setup), setup.secret, Cut::Whole);
        let app = (0..links_before)
            .map(|_| memory.dial())
            .next()
            .expect("one to ask on");
        let signature = signature::sign(&memory.secret(), "x", memory.unix_seconds());
        let signed = [header("x-channelstream-secret", &signature)];
        let body = br#"{"username": "ann", "channels": ["news"]}"#;
        let request = http::request("POST", "/connect", "h", &signed, Some(body));
        memory.send(app, &request);
        let bytes = bytes_of(memory.receive(app, 0));
        let (answer, _) = http::answer(&bytes, false, false)
            .expect("an answer")
            .expect("a whole one");
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let id = body["conn_id"].as_str().expect("an id");

        let link = memory.dial();
        let upgrade = [
            header("Upgrade", "websocket"),
            header("Connection", "Upgrade"),
            header("Sec-WebSocket-Version", "13"),
            header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let path = format!("/ws?conn_id={id}");
        memory.send(link, &http::request("GET", &path, "h", &upgrade, None));
        let bytes = bytes_of(memory.receive(link, 0));
        assert!(
            bytes.starts_with(b"HTTP/1.1 101"),
            "{}",
            http::lossy(&bytes)
        );
        Self {
            opened_ms: memory.now_ms(),
            memory,
            link,
            reader: Reader::default(),
            writer: Writer::default(),
            answers,
            beats: Vec::new(),
            pings: Vec::new(),
            closed: None,
        }
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.writer.frame(opcode, payload);
        self.memory.send(self.link, &frame);
    }

    /// Listens for so long.
    fn listen(&mut self, ms: u64) {
        let until_ms = self.memory.now_ms() + ms;
        while let Received::Bytes { at_ms, bytes } = self.memory.receive(self.link, until_ms) {
            self.reader.feed(&bytes);
            while let Some(event) = self.reader.next().expect("frames in order") {
                match event {
                    Event::Text(text) => {
                        assert_eq!(text, "[]", "nothing but heartbeats");
                        self.beats.push(at_ms);
                    }
                    Event::Ping(payload) => {
                        self.pings.push(at_ms);
                        if self.answers {
                            self.send(websocket::PONG, &payload);
                        }
                    }
                    Event::Close(code, _) => self.closed = Some((at_ms, code)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// The first heartbeat came in time, and each of the others five seconds after the one before.
    #[track_caller]
    fn kept_pace(&self, count: usize) {
        assert_eq!(self.beats.len(), count, "{:?}", self.beats);
        let first = self.beats[0] - self.opened_ms;
        assert!(first <= CS_HEARTBEAT_MS + WHEEL_SLOT_MS, "{first} ms");
        let gaps: Vec<u64> = self.beats.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(gaps, vec![CS_HEARTBEAT_MS; count - 1], "{:?}", self.beats);
    }

    /// A moment so long after the opening, as the wheel sees it: up to a slot late.
    #[track_caller]
    fn is_after(&self, at_ms: u64, ms: u64) {
        let late = at_ms.checked_sub(self.opened_ms + ms);
        assert!(
            late.is_some_and(|late| late < WHEEL_SLOT_MS),
            "{at_ms}: {late:?} ms"
        );
    }
}

#[track_caller]
fn bytes_of(received: Received) -> Vec<u8> {
    match received {
        Received::Bytes { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn heartbeats_keep_their_pace_beside_pings() {
    // Places at which the ping falls before, between and on heartbeats.
    for links_before in 1..12 {
        let mut socket = Socket::open(links_before, true);
        socket.listen(60_000);
        socket.kept_pace(12);
        let [first, second] = socket.pings[..] else {
            panic!("pings at {:?}", socket.pings);
        };
        socket.is_after(first, WS_PING_AFTER_MS);
        // Its answer came in the same moment.
        let gap = second - first;
        assert!(
            (WS_PING_AFTER_MS..WS_PING_AFTER_MS + WHEEL_SLOT_MS).contains(&gap),
            "{gap} ms"
        );
        assert_eq!(socket.closed, None);
    }
}

#[test]
fn heartbeats_keep_their_pace_while_the_peer_talks() {
    let mut socket = Socket::open(3, true);
    for _ in 0..20 {
        socket.listen(3_000);
        socket.send(websocket::TEXT, br#"{"type": "heartbeat"}"#);
    }
    socket.kept_pace(12);
    assert!(
        socket.pings.is_empty(),
        "whoever talks is not asked whether he lives"
    );
}

#[test]
fn a_silent_peer_is_asked_once_and_let_go_though_it_takes_its_heartbeats() {
    let mut socket = Socket::open(2, false);
    socket.listen(60_000);
    socket.kept_pace(11);
    let [ping] = socket.pings[..] else {
        panic!("pings at {:?}", socket.pings);
    };
    socket.is_after(ping, WS_PING_AFTER_MS);
    let (at_ms, code) = socket.closed.expect("a Close");
    socket.is_after(at_ms, WS_PING_AFTER_MS + WS_PONG_MS);
    assert_eq!(code, 1008);
}
