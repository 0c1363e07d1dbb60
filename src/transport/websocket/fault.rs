//! What a peer can do wrong in a frame, and which Close it gets for it.

use std::fmt;
use tungstenite::protocol::frame::coding::CloseCode;

/// Why nothing more is read from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A client's frames are masked (RFC 6455 section 5.1).
    NotMasked,
    /// A reserved bit is set and no extension was negotiated (section 5.2).
    ReservedBits,
    /// An op code without a meaning (section 5.2).
    ReservedOpcode,
    /// The top bit of an eight-byte length is set (section 5.2).
    LengthTopBit,
    /// A length is not in its shortest form (section 5.2).
    LengthNotShortest,
    /// A control frame without the final bit (section 5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A continuation, and no message was begun (section 5.4).
    NothingToContinue,
    /// A new message inside an unfinished one (section 5.4).
    MessageUnfinished,
    /// A Close of one byte, which is half a code (section 5.5.1).
    CloseLength,
    /// A Close with a code that must not be sent (section 7.4).
    CloseCode,
    /// A text or a close reason that is not UTF-8 (section 8.1).
    NotUtf8,
    /// A message larger than [`super::WsLimits::message_bytes`].
    TooLarge,
    /// A message of more pieces than [`super::WsLimits::message_fragments`].
    TooManyFragments,
}

impl Fault {
    /// The code of the Close to send: 1002, 1007 or 1009 (RFC 6455 section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::NotMasked
            | Self::ReservedBits
            | Self::ReservedOpcode
            | Self::LengthTopBit
            | Self::LengthNotShortest
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::NothingToContinue
            | Self::MessageUnfinished
            | Self::CloseLength
            | Self::CloseCode => CloseCode::Protocol.into(),
            Self::NotUtf8 => CloseCode::Invalid.into(),
            Self::TooLarge | Self::TooManyFragments => CloseCode::Size.into(),
        }
    }

    /// What to tell the peer, in at most 123 bytes. Nothing of its input is repeated.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotMasked => "frames of a client must be masked",
            Self::ReservedBits => "reserved bits must be zero, no extension was negotiated",
            Self::ReservedOpcode => "reserved op code",
            Self::LengthTopBit => "the top bit of a length must be zero",
            Self::LengthNotShortest => "a length must be in its shortest form",
            Self::ControlFragmented => "a control frame must not be fragmented",
            Self::ControlTooLong => "a control frame holds at most 125 bytes",
            Self::NothingToContinue => "a continuation without a message to continue",
            Self::MessageUnfinished => "a new message before the end of the last one",
            Self::CloseLength => "a close frame is empty or begins with a code of two bytes",
            Self::CloseCode => "this close code must not be sent",
            Self::NotUtf8 => "text must be UTF-8",
            Self::TooLarge => "the message is too large",
            Self::TooManyFragments => "the message has too many fragments",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Fault {}
