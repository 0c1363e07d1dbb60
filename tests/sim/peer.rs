//! The client's side of HTTP and WebSocket, over byte buffers.
//!
//! It is written from the RFCs and shares no code with the server's side, so that a mistake on one
//! of them cannot hide the same mistake on the other.

use super::chance::Chance;

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A whole answer.
    Answer {
        /// Its status.
        status: u16,
        /// It says that it is the last one.
        close: bool,
        /// Its body.
        body: Vec<u8>,
        head: Head,
    },
    /// The answer that makes the connection a WebSocket.
    Upgraded,
    /// The head of an answer that has no end.
    StreamHead,
    /// A piece of that.
    Block(Block),
    /// A text message.
    Text(String),
    /// A ping, to be answered.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// The server's last word: code and reason.
    Close(u16, String),
}

/// What else the head of an answer says, where it matters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    pub location: Option<String>,
    pub cookie: Option<String>,
    pub retry: Option<String>,
}

/// What stands between two empty lines of an event stream (HTML section 9.2.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    pub id: Option<u64>,
    pub retry: Option<u64>,
    pub data: Option<String>,
    pub is_comment: bool,
}

/// Takes apart what the server sends on one connection.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    is_socket: bool,
    is_stream: bool,
}

impl Inbox {
    /// More has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole thing.
    ///
    /// # Panics
    /// When the server breaks the rules of the protocol.
    pub fn next(&mut self) -> Option<Item> {
        let (item, length) = if self.is_socket {
            frame(&self.bytes)?
        } else if self.is_stream {
            block(&self.bytes)?
        } else {
            answer(&self.bytes)?
        };
        self.bytes.drain(..length);
        self.is_socket |= item == Item::Upgraded;
        self.is_stream |= item == Item::StreamHead;
        Some(item)
    }

    /// Whether nothing is left of which the end has not come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// One answer at the front of `bytes`, and its length (RFC 9112).
fn answer(bytes: &[u8]) -> Option<(Item, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).expect("heads are ASCII");
    let mut lines = text.split("\r\n");
    let first = lines.next().expect("split gives one line at least");
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
        .unwrap_or_else(|| panic!("no status line: {first:?}"));
    let mut length = None;
    let (mut close, mut is_stream, mut head) = (false, false, Head::default());
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header has a colon");
        if name.eq_ignore_ascii_case("content-length") {
            assert!(length.is_none(), "one length per answer");
            length = Some(value.parse::<usize>().expect("a length is a number"));
        }
        let told = match name {
            "Location" => Some(&mut head.location),
            "Set-Cookie" => Some(&mut head.cookie),
            "Retry-After" => Some(&mut head.retry),
            _ => None,
        };
        if let Some(told) = told {
            assert!(told.is_none(), "{name} once per answer");
            *told = Some(value.to_owned());
        }
        is_stream |= name.eq_ignore_ascii_case("content-type") && value == "text/event-stream";
        close |= name.eq_ignore_ascii_case("connection") && value == "close";
    }
    let start = end + 4;
    if status == 101 {
        return Some((Item::Upgraded, start));
    }
    if is_stream && status == 200 {
        assert!(
            length.is_none() && close,
            "a stream ends with its connection"
        );
        return Some((Item::StreamHead, start));
    }
    let length = length.expect("an answer says how long it is");
    let body = bytes.get(start..start + length)?.to_vec();
    let answer = Item::Answer {
        status,
        close,
        body,
        head,
    };
    Some((answer, start + length))
}

/// One block of an event stream at the front of `bytes`, and its length.
fn block(bytes: &[u8]) -> Option<(Item, usize)> {
    let end = bytes.windows(2).position(|two| two == b"\n\n")?;
    let text = std::str::from_utf8(&bytes[..end]).expect("streams are UTF-8");
    let mut block = Block::default();
    for line in text.split('\n') {
        assert!(!line.contains('\r'), "a line ends once: {line:?}");
        match line.split_once(": ") {
            Some(("id", id)) => block.id = Some(id.parse().expect("our ids are numbers")),
            Some(("retry", ms)) => block.retry = Some(ms.parse().expect("a time is a number")),
            Some(("data", data)) => {
                assert!(block.data.is_none(), "an event is one line");
                block.data = Some(data.to_owned());
            }
            _ if line.starts_with(':') => block.is_comment = true,
            _ => panic!("no line of a stream: {line:?}"),
        }
    }
    Some((Item::Block(block), end + 2))
}

/// One frame at the front of `bytes`, and its length (RFC 6455 section 5.2).
fn frame(bytes: &[u8]) -> Option<(Item, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "whole frames without reserved bits");
    let (length, start) = match second {
        0..=125 => (u64::from(second), 2),
        126 => {
            let two: [u8; 2] = bytes.get(2..4)?.try_into().expect("two bytes");
            (u64::from(u16::from_be_bytes(two)), 4)
        }
        127 => {
            let eight: [u8; 8] = bytes.get(2..10)?.try_into().expect("eight bytes");
            (u64::from_be_bytes(eight), 10)
        }
        _ => panic!("a server masks nothing"),
    };
    let end = start + usize::try_from(length).expect("a length that fits");
    let payload = bytes.get(start..end)?.to_vec();
    let item = match first & 0xf {
        1 => Item::Text(String::from_utf8(payload).expect("texts are UTF-8")),
        8 => {
            let (code, reason) = match payload.split_at_checked(2) {
                Some((code, reason)) => (u16::from_be_bytes([code[0], code[1]]), reason),
                None => (1005, &[][..]),
            };
            let reason = String::from_utf8(reason.to_vec()).expect("reasons are UTF-8");
            Item::Close(code, reason)
        }
        9 => Item::Ping(payload),
        10 => Item::Pong(payload),
        opcode => panic!("op code {opcode} was never asked for"),
    };
    Some((item, end))
}

/// A request as bytes. A body is sent whole or in chunks.
pub fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    chance: &mut Chance,
) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: sim.example\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if body.is_empty() {
        bytes.extend_from_slice(b"\r\n");
        return bytes;
    }
    if !chance.one_in(6) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        return bytes;
    }
    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(1 + chance.below(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The handshake for a WebSocket (RFC 6455 section 4.1).
pub fn handshake(target: &str, chance: &mut Chance) -> Vec<u8> {
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    request("GET", target, &headers, b"", chance)
}

/// A masked frame. `first` is its first byte: final bit and op code.
pub fn masked(first: u8, payload: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = (chance.bits() as u32).to_be_bytes();
    bytes.extend_from_slice(&mask);
    let payload = payload.iter().zip(mask.iter().cycle());
    bytes.extend(payload.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A text as one frame or in fragments, perhaps with a ping between them: frames, and for each the
/// payload that is to come back, if any is.
pub fn text(text: &str, chance: &mut Chance) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    if !chance.one_in(3) || text.is_empty() {
        return vec![(masked(0x81, text.as_bytes(), chance), None)];
    }
    let (front, back) = text.as_bytes().split_at(chance.below(text.len()));
    let mut frames = vec![(masked(0x01, front, chance), None)];
    if chance.one_in(2) {
        frames.push((masked(0x89, b"between", chance), Some(b"between".to_vec())));
    }
    frames.push((masked(0x80, back, chance), None));
    frames
}

/// A Close with a code.
pub fn close(code: u16, chance: &mut Chance) -> Vec<u8> {
    masked(0x88, &code.to_be_bytes(), chance)
}
