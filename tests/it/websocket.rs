//! The client's side of RFC 6455, over bytes: masked frames made, the server's frames read.
//!
//! The reader is strict: a masked frame, a reserved bit, a length not in its shortest form or a
//! fragmented control frame from the server is an error.

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code, 1005 if there was none, and the payload as it came.
    Close(u16, Vec<u8>),
}

/// Puts together what the server sends.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// Opcode and payload of a message that is not complete.
    message: Option<(u8, Vec<u8>)>,
}

impl Reader {
    /// More bytes came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether no part of a frame is waiting for its rest.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.bytes.is_empty() && self.message.is_none()
    }

    /// The next whole message or control frame, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, String> {
        while let Some((first, payload)) = self.frame()? {
            let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
            if opcode >= CLOSE {
                if !fin || payload.len() > 125 {
                    return Err(format!("a control frame that is none: {first:#x}"));
                }
                return Ok(Some(control(opcode, payload)?));
            }
            let (opcode, message) = match (opcode, self.message.take()) {
                (0, Some((opcode, mut before))) => {
                    before.extend_from_slice(&payload);
                    (opcode, before)
                }
                (TEXT | BINARY, None) => (opcode, payload),
                _ => return Err(format!("a frame out of place: {first:#x}")),
            };
            if !fin {
                self.message = Some((opcode, message));
                continue;
            }
            if opcode == BINARY {
                return Ok(Some(Event::Binary(message)));
            }
            let text = String::from_utf8(message).map_err(|_| "text that is not UTF-8")?;
            return Ok(Some(Event::Text(text)));
        }
        Ok(None)
    }

    /// First byte and payload of the next frame.
    fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        let [first, second, rest @ ..] = &self.bytes[..] else {
            return Ok(None);
        };
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err(format!("a frame no server sends: {first:#x} {second:#x}"));
        }
        let (length, header) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (126 | 127, _) => return Ok(None),
            (short, _) => (u64::from(short), 2),
        };
        let shortest = match length {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        if header != shortest {
            return Err(format!("a length of {length} in {header} bytes"));
        }
        let end = header + usize::try_from(length).map_err(|err| err.to_string())?;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let (first, payload) = (*first, self.bytes[header..end].to_vec());
        self.bytes.drain(..end);
        Ok(Some((first, payload)))
    }
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Event, String> {
    match (opcode, &payload[..]) {
        (CLOSE, []) => Ok(Event::Close(1005, payload)),
        (CLOSE, [high, low, reason @ ..]) => match std::str::from_utf8(reason) {
            Ok(_) => Ok(Event::Close(u16::from_be_bytes([*high, *low]), payload)),
            Err(_) => Err("a close reason that is not UTF-8".to_owned()),
        },
        (PING, _) => Ok(Event::Ping(payload)),
        (PONG, _) => Ok(Event::Pong(payload)),
        _ => Err(format!(
            "no such frame: {opcode} with {} bytes",
            payload.len()
        )),
    }
}

/// Makes frames, each with another mask.
#[derive(Debug)]
pub(crate) struct Writer {
    mask: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self { mask: 0x37fa_213d }
    }
}

impl Writer {
    /// One final frame.
    pub(crate) fn frame(&mut self, opcode: u8, payload: &[u8]) -> Vec<u8> {
        self.mask = self
            .mask
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let mask = self.mask.to_be_bytes();
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    /// A close frame.
    pub(crate) fn close(&mut self, code: u16, reason: &str) -> Vec<u8> {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        self.frame(CLOSE, &payload)
    }
}

/// The `Sec-WebSocket-Accept` that answers `key`.
pub(crate) fn accept_of(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire::frame::{FrameWriter, Opcode};

    fn read_all(reader: &mut Reader) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        while let Some(event) = reader.next()? {
            events.push(event);
        }
        Ok(events)
    }

    #[test]
    fn frames_are_read_in_every_split() {
        let mut writer = FrameWriter::new();
        let long = "é".repeat(100);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&writer.websocket(Opcode::Text, b"[]"));
        bytes.extend_from_slice(&[0x01, 2, b'a', b'b']);
        bytes.extend_from_slice(&writer.websocket(Opcode::Ping, b"p"));
        bytes.extend_from_slice(&[0x80, 1, b'c']);
        bytes.extend_from_slice(&writer.websocket(Opcode::Text, long.as_bytes()));
        bytes.extend_from_slice(&writer.websocket(Opcode::Binary, &[0xff]));
        bytes.extend_from_slice(&writer.websocket(Opcode::Pong, b""));
        bytes.extend_from_slice(&writer.close(1000, "bye"));
        let expected = [
            Event::Text("[]".to_owned()),
            Event::Ping(b"p".to_vec()),
            Event::Text("abc".to_owned()),
            Event::Text(long),
            Event::Binary(vec![0xff]),
            Event::Pong(Vec::new()),
            Event::Close(1000, b"\x03\xe8bye".to_vec()),
        ];
        for cut in 0..bytes.len() {
            let mut reader = Reader::default();
            reader.feed(&bytes[..cut]);
            let mut events = read_all(&mut reader).expect("good");
            reader.feed(&bytes[cut..]);
            events.extend(read_all(&mut reader).expect("good"));
            assert_eq!(events, expected, "cut at {cut}");
            assert!(reader.is_between_messages());
        }
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for byte in &bytes {
            reader.feed(&[*byte]);
            events.extend(read_all(&mut reader).expect("good"));
        }
        assert_eq!(events, expected);
    }

    #[test]
    fn long_messages_are_read() {
        let payload = vec![b'x'; 70_000];
        let mut reader = Reader::default();
        reader.feed(&FrameWriter::new().websocket(Opcode::Text, &payload));
        let events = read_all(&mut reader).expect("good");
        assert!(matches!(&events[..], [Event::Text(text)] if text.len() == 70_000));
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for bytes in [
            &[0x81, 0x81, 0, 0, 0, 0, b'x'][..], // masked
            &[0xc1, 0],                          // a reserved bit
            &[0x83, 0],                          // a reserved opcode
            &[0x8b, 0],                          // a reserved control opcode
            &[0x80, 0],                          // a continuation of nothing
            &[0x01, 0, 0x01, 0],                 // a message inside a message
            &[0x09, 0],                          // a control frame in parts
            &[0x88, 1, 3],                       // half a close code
            &[0x88, 3, 3, 0xe8, 0xff],           // a reason that is not UTF-8
            &[0x81, 1, 0xff],                    // text that is not UTF-8
            &[0x81, 126, 0, 5],                  // a length longer than it need be
        ] {
            let mut reader = Reader::default();
            reader.feed(bytes);
            assert!(read_all(&mut reader).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn frames_made_are_masked_and_long_enough() {
        let mut writer = Writer::default();
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let frame = writer.frame(BINARY, &payload);
            let header = match length {
                0..=125 => 2,
                126..=65_535 => 4,
                _ => 10,
            };
            assert_eq!((frame[0], frame[1] & 0x80), (0x82, 0x80));
            assert_eq!(frame.len(), header + 4 + length);
            let (mask, masked) = frame[header..].split_at(4);
            let clear: Vec<u8> = masked
                .iter()
                .zip(mask.iter().cycle())
                .map(|(a, b)| a ^ b)
                .collect();
            assert_eq!(clear, payload);
        }
        assert_ne!(writer.frame(PING, b""), writer.frame(PING, b""));
    }

    #[test]
    fn the_accept_header_is_that_of_the_rfc() {
        // RFC 6455 section 1.3.
        assert_eq!(
            accept_of("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
