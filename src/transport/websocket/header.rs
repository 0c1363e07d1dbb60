//! A frame's header: where it ends, and everything that can be wrong with it.

use super::payload::{Alone, ControlKind, MessageKind};
use super::{Fault, WsLimits};
use crate::limits::WS_CONTROL_BYTES_MAX;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest header of a client's frame: two bytes, an eight-byte length, the mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// What a frame is to the message it belongs to, or that it belongs to none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Start(MessageKind),
    Continue,
    Control(ControlKind),
}

/// A header that was found good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) role: Role,
    pub(super) is_final: bool,
    pub(super) payload: Rest,
}

/// What has come of an unfinished message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfinished {
    pub(super) bytes: usize,
    pub(super) fragments: u32,
}

/// The part of a payload that has not come yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    pub(super) bytes: usize,
    /// Turned so that it begins with the next byte.
    pub(super) mask: [u8; 4],
}

/// Reads a header from the front of `bytes` and says how long it is. `None` if its end is not
/// there.
pub(super) fn parse(
    bytes: &[u8],
    message: Option<Unfinished>,
    limits: &WsLimits,
) -> Result<Option<(Header, usize)>, Fault> {
    let mut cursor = Cursor::new(bytes);
    // Reading from a slice cannot fail, so an error is the one thing that is checked there.
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::ReservedOpcode)?;
    let Some((header, length)) = parsed else {
        return Ok(None);
    };
    // The cursor stands within `bytes`.
    let header_bytes = cursor.position() as usize;
    let header = Header::judge(&header, header_bytes, length, message, limits)?;
    Ok(Some((header, header_bytes)))
}

impl Header {
    /// Everything that can be wrong before the first byte of the payload.
    fn judge(
        header: &FrameHeader,
        header_bytes: usize,
        length: u64,
        message: Option<Unfinished>,
        limits: &WsLimits,
    ) -> Result<Self, Fault> {
        let Some(mask) = header.mask else {
            return Err(Fault::NotMasked);
        };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::ReservedBits);
        }
        if length >> 63 != 0 {
            return Err(Fault::LengthTopBit);
        }
        // `FrameHeader::len` is the length of the shortest header that says the same.
        if header_bytes != header.len(length) {
            return Err(Fault::LengthNotShortest);
        }
        let role = match header.opcode {
            OpCode::Control(Control::Close) => Role::Control(ControlKind::Close),
            OpCode::Control(Control::Ping) => Role::Control(ControlKind::Ping),
            OpCode::Control(Control::Pong) => Role::Control(ControlKind::Pong),
            OpCode::Data(Data::Continue) => Role::Continue,
            OpCode::Data(Data::Text) => Role::Start(MessageKind::Text),
            OpCode::Data(Data::Binary) => Role::Start(MessageKind::Binary),
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(Fault::ReservedOpcode);
            }
        };
        // On a machine of 64 bits the length always fits.
        let length = usize::try_from(length).map_err(|_| Fault::TooLarge)?;
        match role {
            Role::Control(kind) => judge_control(kind, header.is_final, length)?,
            Role::Start(_) | Role::Continue => {
                judge_data(role, header.is_final, length, message, limits)?;
            }
        }
        Ok(Self {
            role,
            is_final: header.is_final,
            payload: Rest {
                bytes: length,
                mask,
            },
        })
    }

    /// What the payload is by itself, if it needs no other frame.
    pub(super) fn alone(&self) -> Option<Alone> {
        match self.role {
            Role::Control(kind) => Some(Alone::Control(kind)),
            Role::Start(kind) if self.is_final => Some(Alone::Message(kind)),
            Role::Start(_) | Role::Continue => None,
        }
    }
}

fn judge_control(kind: ControlKind, is_final: bool, length: usize) -> Result<(), Fault> {
    if !is_final {
        return Err(Fault::ControlFragmented);
    }
    if length > WS_CONTROL_BYTES_MAX {
        return Err(Fault::ControlTooLong);
    }
    match kind {
        ControlKind::Close if length == 1 => Err(Fault::CloseLength),
        ControlKind::Close | ControlKind::Ping | ControlKind::Pong => Ok(()),
    }
}

fn judge_data(
    role: Role,
    is_final: bool,
    length: usize,
    message: Option<Unfinished>,
    limits: &WsLimits,
) -> Result<(), Fault> {
    let (collected, fragments) = match (role, message) {
        (Role::Continue, None) => return Err(Fault::NothingToContinue),
        (Role::Continue, Some(message)) => (message.bytes, message.fragments.saturating_add(1)),
        (Role::Start(_) | Role::Control(_), Some(_)) => return Err(Fault::MessageUnfinished),
        (Role::Start(_) | Role::Control(_), None) => (0, u32::from(!is_final)),
    };
    if collected.saturating_add(length) > limits.message_bytes {
        return Err(Fault::TooLarge);
    }
    if fragments > limits.message_fragments {
        return Err(Fault::TooManyFragments);
    }
    Ok(())
}
