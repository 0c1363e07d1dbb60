//! Shared, immutable bytes on their way out, and the writer that makes them.
//!
//! A frame is encoded once per wire format and shared by all who receive it: cloning one is a
//! counter on the same thread. Frames sent by a server are not masked (RFC 6455 section 5.1), so
//! one encoding fits every peer. This module knows no JSON.

use crate::room;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Encoded bytes, shared. Cloning copies a pointer, never the bytes.
#[derive(Clone)]
pub struct Frame(Rc<[u8]>);

impl Frame {
    /// Whether both are the same allocation, not merely equal bytes.
    #[inline]
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The payload of a WebSocket frame as a server sends it.
    pub fn payload(&self) -> &[u8] {
        let header = match self.get(1) {
            Some(127) => HEADER_BYTES_MAX,
            Some(126) => 4,
            Some(_) | None => 2,
        };
        self.get(header..).unwrap_or_default()
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self(Rc::from(bytes))
    }
}

impl Deref for Frame {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.len())
    }
}

/// The first byte of a final WebSocket frame, by its kind (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 0x81,
    /// Bytes.
    Binary = 0x82,
    /// The end of the conversation.
    Close = 0x88,
    /// Are you there?
    Ping = 0x89,
    /// I am.
    Pong = 0x8a,
}

/// Longest header of a frame that a server sends: two bytes and an eight-byte length.
const HEADER_BYTES_MAX: usize = 10;

/// Collects the bytes of one frame after another in one buffer of its own.
///
/// The length of a payload is known only when it is written, and the header stands before it. So
/// room for the longest header is kept in front, and the header is written backwards from the
/// payload when that is complete.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    written: u64,
}

/// A writer whose buffer grew beyond this gives it back after the frame.
const KEEP_BYTES_MAX: usize = 64 * 1024;

impl FrameWriter {
    /// A writer without a buffer; it grows with the first frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a frame. Returns where its payload is to be appended; only append to it.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES_MAX, 0);
        &mut self.bytes
    }

    /// Bytes of all frames made so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Ends the frame begun last and puts a WebSocket header before it.
    pub fn finish(&mut self, opcode: Opcode) -> Frame {
        let length = self.bytes.len() - HEADER_BYTES_MAX;
        let start = match length {
            0..=125 => {
                self.bytes[9] = length as u8;
                8
            }
            126..=0xffff => {
                self.bytes[7] = 126;
                self.bytes[8..10].copy_from_slice(&(length as u16).to_be_bytes());
                6
            }
            _ => {
                self.bytes[1] = 127;
                self.bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                0
            }
        };
        self.bytes[start] = opcode as u8;
        self.take(start)
    }

    /// Ends the frame begun last as it is, without a header.
    pub fn finish_raw(&mut self) -> Frame {
        self.take(HEADER_BYTES_MAX)
    }

    /// A whole WebSocket frame around `payload`.
    pub fn websocket(&mut self, opcode: Opcode, payload: &[u8]) -> Frame {
        self.begin().extend_from_slice(payload);
        self.finish(opcode)
    }

    /// A Close frame with `code` and `reason`; the reason is cut to what a control frame holds.
    pub fn close(&mut self, code: u16, reason: &str) -> Frame {
        let end = reason.floor_char_boundary(crate::limits::WS_CONTROL_BYTES_MAX - 2);
        let payload = self.begin();
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(&reason.as_bytes()[..end]);
        self.finish(Opcode::Close)
    }

    fn take(&mut self, start: usize) -> Frame {
        let frame = Frame::from(&self.bytes[start..]);
        self.written += frame.len() as u64;
        if self.bytes.capacity() > KEEP_BYTES_MAX {
            self.trim();
        }
        frame
    }

    /// Gives the buffer back; the next frame makes a new one. Not between begin and finish.
    pub fn trim(&mut self) {
        room::release(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_the_shortest_form_at_every_edge() {
        let mut writer = FrameWriter::new();
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![b'x'; length];
            let frame = writer.websocket(Opcode::Text, &payload);
            assert_eq!(&frame[..header.len()], &header[..], "{length}");
            assert_eq!(&frame[header.len()..], &payload[..], "{length}");
            assert_eq!(frame.payload(), &payload[..], "{length}");
        }
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = FrameWriter::new().close(1001, &"ü".repeat(100));
        assert_eq!(frame[0], 0x88);
        assert_eq!(usize::from(frame[1]), frame.len() - 2);
        assert!(frame[1] <= 125);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn cloning_shares() {
        let frame = Frame::from(&b"abc"[..]);
        assert!(frame.clone().is_same(&frame));
        assert!(!Frame::from(&b"abc"[..]).is_same(&frame));
    }
}
