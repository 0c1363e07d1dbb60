//! WebSocket without a socket, the server's side (RFC 6455).
//!
//! [`Decoder`] takes bytes and gives texts, pings and closes. It is lent the bytes where the loop
//! read them, unmasks them there and lends them on, so a frame that came whole is neither copied
//! nor allocated for. Only what was cut is kept, and nothing once it was handed out: the decoder of
//! an idle connection is one empty pointer.
//!
//! The way out is short, as frames to many are encoded elsewhere ([`crate::frame`]): [`pong`],
//! [`close_answer`] and [`refusal`].
//!
//! The header's layout, the op codes and the close codes are tungstenite's. Its reader is not used,
//! because it keeps a buffer per connection and copies every payload; in the tests it is the oracle
//! that must come to the same results. No extension is negotiated, so the reserved bits are zero.

mod decoder;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod mask;
#[cfg(test)]
mod oracle;
mod payload;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use fault::Fault;

use crate::frame::{Frame, FrameWriter, Opcode};
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGE_FRAGMENTS_MAX};

/// How much one message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WsLimits {
    /// Payload bytes of one message, all fragments together.
    pub message_bytes: usize,
    /// Fragments of one message, empty ones counted. A message in one frame has no fragments.
    pub message_fragments: u32,
}

impl Default for WsLimits {
    fn default() -> Self {
        Self {
            message_bytes: MESSAGE_BYTES_MAX,
            message_fragments: MESSAGE_FRAGMENTS_MAX,
        }
    }
}

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// Answer with [`pong`]. At most 125 bytes.
    Ping(&'a [u8]),
    /// An answer to a ping, or an unasked sign of life. At most 125 bytes.
    Pong(&'a [u8]),
    /// The peer's last word: a close code that may stand on the wire and a reason, or neither.
    /// Answer with [`close_answer`] unless a Close was sent before, and read no further.
    Close(Option<(u16, &'a str)>),
}

/// The answer to a ping (RFC 6455 section 5.5.3).
pub fn pong(writer: &mut FrameWriter, payload: &[u8]) -> Frame {
    writer.websocket(Opcode::Pong, payload)
}

/// The answer to a peer's Close: the same code, and nothing for nothing (RFC 6455 section 5.5.1).
/// The reason is the peer's own and is not repeated.
pub fn close_answer(writer: &mut FrameWriter, close: Option<(u16, &str)>) -> Frame {
    match close {
        Some((code, _)) => writer.close(code, ""),
        None => writer.websocket(Opcode::Close, &[]),
    }
}

/// The Close that tells a peer what it did wrong. Nothing more is read from it.
pub fn refusal(writer: &mut FrameWriter, fault: Fault) -> Frame {
    writer.close(fault.close_code(), fault.reason())
}
