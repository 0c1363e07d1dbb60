//! What a payload says: the text in it, or the code and the reason of a Close.

use super::{Fault, Item};
use std::str;
use tungstenite::protocol::frame::coding::CloseCode;

/// What a message is.
#[derive(Debug, Clone, Copy)]
pub(super) enum MessageKind {
    Text,
    Binary,
}

/// What a control frame is.
#[derive(Debug, Clone, Copy)]
pub(super) enum ControlKind {
    Close,
    Ping,
    Pong,
}

/// A payload that is an item by itself.
pub(super) enum Alone {
    Message(MessageKind),
    Control(ControlKind),
}

impl Alone {
    pub(super) fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
        match self {
            Self::Message(kind) => kind.item(payload),
            Self::Control(kind) => kind.item(payload),
        }
    }
}

impl MessageKind {
    pub(super) fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
        Ok(match self {
            Self::Text => Item::Text(str::from_utf8(payload).map_err(|_| Fault::NotUtf8)?),
            Self::Binary => Item::Binary(payload),
        })
    }
}

impl ControlKind {
    /// Looks at what has come of a payload, which may be all of it.
    pub(super) fn check(self, payload: &[u8]) -> Result<(), Fault> {
        match (self, payload) {
            (Self::Close, [high, low, reason @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                if !may_be_sent(code) {
                    return Err(Fault::CloseCode);
                }
                valid_prefix(reason).map(drop)
            }
            (Self::Close | Self::Ping | Self::Pong, _) => Ok(()),
        }
    }

    pub(super) fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
        self.check(payload)?;
        Ok(match (self, payload) {
            (Self::Ping, _) => Item::Ping(payload),
            (Self::Pong, _) => Item::Pong(payload),
            (Self::Close, []) => Item::Close(None),
            (Self::Close, [_]) => return Err(Fault::CloseLength),
            (Self::Close, [high, low, reason @ ..]) => {
                let reason = str::from_utf8(reason).map_err(|_| Fault::NotUtf8)?;
                Item::Close(Some((u16::from_be_bytes([*high, *low]), reason)))
            }
        })
    }
}

/// Whether a close code may stand on the wire: the registered ones except those that only report
/// something to the own side, and 3000 to 4999 (RFC 6455 section 7.4).
fn may_be_sent(code: u16) -> bool {
    // 1014, "bad gateway", was registered later than tungstenite's list.
    CloseCode::from(code).is_allowed() || code == 1014
}

/// How many bytes at the front of `text` are whole characters. What follows them is the beginning
/// of one more (at most three bytes); if it cannot be one, that is the fault.
pub(super) fn valid_prefix(text: &[u8]) -> Result<usize, Fault> {
    match str::from_utf8(text) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Fault::NotUtf8),
    }
}
