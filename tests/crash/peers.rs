//! Peers that bear the end of the server: nothing more comes then, and that is no failure.

use crate::client::{get, upgrade};
use crate::http::{self, Answer};
use crate::process::PATIENCE;
use crate::setup::{APP_SECRET, KEY};
use crate::websocket::{self, Event, Reader, Writer};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Bytes that come and go; none once the server has gone.
struct Line {
    stream: TcpStream,
    /// Read and not taken yet.
    bytes: Vec<u8>,
}

impl Line {
    fn connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        let bytes = Vec::new();
        Some(Self { stream, bytes })
    }

    fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).ok()
    }

    /// Reads more.
    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(count) => {
                self.bytes.extend_from_slice(&buffer[..count]);
                Some(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server is there and says nothing")
            }
            Err(_) => None,
        }
    }

    fn answer(&mut self) -> Option<Answer> {
        loop {
            let read = http::answer(&self.bytes, false, false);
            if let Some((answer, used)) = read.expect("an answer in order") {
                self.bytes.drain(..used);
                return Some(answer);
            }
            self.more()?;
        }
    }
}

/// A connection for requests, one after the other.
pub(crate) struct Api(Line);

impl Api {
    pub(crate) fn connect(address: SocketAddr) -> Option<Self> {
        Line::connect(address).map(Self)
    }

    /// Asks; none: the server went before it answered.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Option<Answer> {
        self.0.send(request)?;
        self.0.answer()
    }

    pub(crate) fn get(&mut self, path: &str) -> Option<Answer> {
        self.ask(&get(path))
    }

    /// The same for an answer that is a success, and JSON.
    #[track_caller]
    pub(crate) fn ask_well(&mut self, request: &[u8]) -> Option<Value> {
        let answer = self.ask(request)?;
        let text = http::lossy(&answer.body);
        assert_eq!(answer.status, 200, "{text}");
        Some(serde_json::from_slice(&answer.body).expect("JSON"))
    }
}

/// The signature with which a socket subscribes to a channel.
pub(crate) fn auth(socket_id: &str, channel: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).expect("any length");
    mac.update(format!("{socket_id}:{channel}").as_bytes());
    format!("{KEY}:{}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

/// A socket of Pushi.
pub(crate) struct Socket {
    line: Line,
    reader: Reader,
    writer: Writer,
    pub(crate) id: String,
}

impl Socket {
    pub(crate) fn open(address: SocketAddr) -> Option<Self> {
        let mut line = Line::connect(address)?;
        line.send(&upgrade(&format!("/{KEY}")))?;
        assert_eq!(line.answer()?.status, 101);
        let mut socket = Self {
            line,
            reader: Reader::default(),
            writer: Writer::default(),
            id: String::new(),
        };
        let first = socket.hear()?;
        assert_eq!(first["event"], "pusher:connection_established");
        let id = &inside(&first)["socket_id"];
        socket.id = id.as_str().expect("a text").to_owned();
        Some(socket)
    }

    pub(crate) fn say(&mut self, what: &Value) -> Option<()> {
        self.say_text(&what.to_string())
    }

    pub(crate) fn say_text(&mut self, text: &str) -> Option<()> {
        let frame = self.writer.frame(websocket::TEXT, text.as_bytes());
        self.line.send(&frame)
    }

    /// The next frame that is not about the connection itself. A Close is the end.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        loop {
            match self.reader.next().expect("frames in order") {
                Some(Event::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Event::Ping(payload)) => {
                    let pong = self.writer.frame(websocket::PONG, &payload);
                    self.line.send(&pong)?;
                }
                Some(Event::Close(..)) => return None,
                Some(other) => panic!("nobody says {other:?}"),
                None => {
                    if self.line.bytes.is_empty() {
                        self.line.more()?;
                    }
                    self.reader.feed(&std::mem::take(&mut self.line.bytes));
                }
            }
        }
    }

    /// The next frame with this event; others go to `by_the_way`.
    #[track_caller]
    pub(crate) fn hear_of(
        &mut self,
        event: &str,
        by_the_way: &mut impl FnMut(&Value),
    ) -> Option<Value> {
        loop {
            let frame = self.hear()?;
            if frame["event"] == event {
                return Some(frame);
            }
            let is_refusal = frame["event"]
                .as_str()
                .is_some_and(|e| e.ends_with("error"));
            assert!(!is_refusal, "{frame}");
            by_the_way(&frame);
        }
    }

    /// Subscribes, signed if that is needed. What the answer says of the channel.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, channel: &str) -> Option<Value> {
        let auth = auth(&self.id, channel);
        self.say(
            &json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}),
        )?;
        let answer = self.hear_of("pusher_internal:subscription_succeeded", &mut |_| ())?;
        Some(inside(&answer))
    }

    /// The newest events of a channel, newest first.
    #[track_caller]
    pub(crate) fn latest(
        &mut self,
        channel: &str,
        (skip, count): (usize, usize),
        by_the_way: &mut impl FnMut(&Value),
    ) -> Option<Vec<Value>> {
        let data = json!({"channel": channel, "skip": skip, "count": count});
        self.say(&json!({"event": "pusher:latest", "data": data}))?;
        let answer = self.hear_of("pusher_internal:latest", by_the_way)?;
        assert_eq!(answer["channel"], channel);
        Some(
            inside(&answer)["events"]
                .as_array()
                .expect("a list")
                .clone(),
        )
    }

    /// All events of a channel, oldest first.
    #[track_caller]
    pub(crate) fn all(&mut self, channel: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = self.latest(channel, (all.len(), 200), &mut |_| ());
            let page = page.expect("it is there");
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.reverse();
        all
    }
}

/// The JSON that a frame's data holds as a text.
pub(crate) fn inside(frame: &Value) -> Value {
    let text = frame["data"].as_str().expect("a text");
    serde_json::from_str(text).expect("JSON in it")
}
