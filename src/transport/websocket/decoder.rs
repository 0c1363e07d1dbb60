//! The way in: bytes to items, in whatever pieces the bytes come.
//!
//! Two roads lead to an item. A frame that lies whole in the input is unmasked there and lent on:
//! no copy, no heap. Everything else, be it a header cut in two, a payload that goes on in the next
//! read or a message in fragments, goes through [`Busy`], a box that exists only while something
//! is unfinished.
//!
//! What can be refused is refused early: a header as soon as it is whole, before its payload; text
//! at the first byte that cannot belong to it, before the end of its frame. The same bytes give the
//! same items and the same fault however they were cut.

use super::mask::unmask;
use super::{Fault, Item, WsLimits};
use crate::limits::WS_CONTROL_BYTES_MAX;
use std::io::Cursor;
use std::str;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Longest header of a client's frame: two bytes, an eight-byte length, the mask.
const HEADER_BYTES_MAX: usize = 14;

/// Reads the frames of one client. Idle, it is one empty pointer.
#[derive(Debug, Default)]
pub struct Decoder {
    busy: Option<Box<Busy>>,
}

/// What is unfinished, or was handed out by the call before.
#[derive(Debug)]
struct Busy {
    /// A message whose end has not come.
    message: Option<Message>,
    /// Where in the stream of frames the input was cut.
    part: Part,
    /// Whether what `part` completed is lent to the caller; the next call lets go of it.
    is_lent: bool,
}

/// Where the input was cut.
#[derive(Debug)]
enum Part {
    /// Between two frames of a message.
    Between,
    /// In a header, of which this much is there.
    Header([u8; HEADER_BYTES_MAX], usize),
    /// In a frame of [`Busy::message`].
    Data { rest: Rest, is_final: bool },
    /// In a control frame, which may stand between two fragments.
    Control {
        rest: Rest,
        kind: ControlKind,
        bytes: [u8; WS_CONTROL_BYTES_MAX],
        length: usize,
    },
}

/// The part of a payload that has not come yet.
#[derive(Debug, Clone, Copy)]
struct Rest {
    bytes: usize,
    /// Turned so that it begins with the next byte.
    mask: [u8; 4],
}

/// What has come of a message.
#[derive(Debug)]
struct Message {
    kind: MessageKind,
    fragments: u32,
    bytes: Vec<u8>,
    /// Of a text: how many of `bytes` are whole characters. At most three bytes follow them, the
    /// beginning of the next character.
    valid_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum MessageKind {
    Text,
    Binary,
}

#[derive(Debug, Clone, Copy)]
enum ControlKind {
    Close,
    Ping,
    Pong,
}

/// What a frame is to the message it belongs to, or that it belongs to none.
#[derive(Debug, Clone, Copy)]
enum Role {
    Start(MessageKind),
    Continue,
    Control(ControlKind),
}

/// A header that was found good.
#[derive(Debug, Clone, Copy)]
struct Header {
    role: Role,
    is_final: bool,
    payload: Rest,
}

/// How far [`Decoder::advance`] came.
enum Step<'b> {
    /// All input is taken.
    Starved,
    /// An item that lies in the input.
    Whole(Item<'b>),
    /// `Busy::part` is complete.
    Collected,
}

impl Decoder {
    /// A decoder before the first byte after the upgrade.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of `input`, unmasking them where they lie, until one item is
    /// whole. With `None`, all of `input` was taken and what it held of an item is kept.
    ///
    /// Call it until it gives `None`: what was collected for the last item is let go by the next
    /// call. After [`Item::Close`] nothing more is to be read. After a [`Fault`] neither, and
    /// everything collected is gone.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b mut [u8],
        limits: &WsLimits,
    ) -> Result<Option<Item<'a>>, Fault> {
        self.let_go();
        match self.advance(input, limits) {
            Ok(Step::Starved) => Ok(None),
            Ok(Step::Whole(item)) => Ok(Some(item)),
            Ok(Step::Collected) => self.busy.as_deref_mut().map(Busy::lend).transpose(),
            Err(fault) => {
                self.busy = None;
                Err(fault)
            }
        }
    }

    /// Whether nothing unfinished is held: neither part of a frame nor part of a message.
    pub fn is_idle(&self) -> bool {
        match self.busy.as_deref() {
            None => true,
            Some(busy) => busy.is_lent && (busy.message.is_none() || busy.part.is_data()),
        }
    }

    /// Bytes of heap held. Zero between messages; else below `WsLimits::message_bytes` or twice
    /// what has come of the message, and a constant.
    pub fn held_bytes(&self) -> usize {
        self.busy.as_deref().map_or(0, |busy| {
            let message = busy.message.as_ref();
            size_of::<Busy>() + message.map_or(0, |message| message.bytes.capacity())
        })
    }

    /// Frees what the last call lent, and the box if nothing else is in it.
    fn let_go(&mut self) {
        let Some(busy) = self.busy.as_deref_mut() else {
            return;
        };
        if !busy.is_lent {
            return;
        }
        if busy.part.is_data() {
            busy.message = None;
        }
        busy.part = Part::Between;
        busy.is_lent = false;
        if busy.message.is_none() {
            self.busy = None;
        }
    }

    fn advance<'b>(
        &mut self,
        input: &mut &'b mut [u8],
        limits: &WsLimits,
    ) -> Result<Step<'b>, Fault> {
        loop {
            if !self
                .busy
                .as_deref()
                .is_some_and(|busy| busy.part.is_payload())
            {
                let Some(header) = self.header(input, limits)? else {
                    return Ok(Step::Starved);
                };
                let length = header.payload.bytes;
                if let Some(kind) = header.alone()
                    && length <= input.len()
                {
                    // A box that held no more than the front of this header is done.
                    if self
                        .busy
                        .as_deref()
                        .is_some_and(|busy| busy.message.is_none())
                    {
                        self.busy = None;
                    }
                    let payload = take(input, length);
                    unmask(payload, header.payload.mask);
                    return Ok(Step::Whole(kind.item(payload)?));
                }
                self.busy().begin(header);
            }
            if self.busy().collect(input, limits)? {
                return Ok(Step::Collected);
            }
            if input.is_empty() {
                return Ok(Step::Starved);
            }
        }
    }

    /// The box, made if there is none.
    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_with(|| {
            Box::new(Busy {
                message: None,
                part: Part::Between,
                is_lent: false,
            })
        })
    }

    /// Takes a header off the input and judges it. `None` if its end has not come.
    fn header(
        &mut self,
        input: &mut &mut [u8],
        limits: &WsLimits,
    ) -> Result<Option<Header>, Fault> {
        let busy = self.busy.as_deref_mut();
        let (message, part) = match busy {
            None => (None, None),
            Some(busy) => (busy.message.as_ref(), Some(&mut busy.part)),
        };
        if let Some(Part::Header(bytes, length)) = part {
            // The room behind what is there is filled from the input before it is known how much
            // of it is header; what is not is left in the input.
            let (_, room) = bytes.split_at_mut(*length);
            let count = room.len().min(input.len());
            for (to, from) in room.iter_mut().zip(input.iter()) {
                *to = *from;
            }
            let (known, _) = bytes.split_at(*length + count);
            let Some((header, header_bytes)) = parse(known, message, limits)? else {
                // Fourteen bytes hold any header, so this was all of the input.
                take(input, count);
                *length += count;
                return Ok(None);
            };
            take(input, header_bytes.saturating_sub(*length));
            self.busy().part = Part::Between;
            return Ok(Some(header));
        }
        if let Some((header, header_bytes)) = parse(input, message, limits)? {
            take(input, header_bytes);
            return Ok(Some(header));
        }
        if !input.is_empty() {
            let mut bytes = [0; HEADER_BYTES_MAX];
            for (to, from) in bytes.iter_mut().zip(input.iter()) {
                *to = *from;
            }
            let length = input.len();
            take(input, length);
            self.busy().part = Part::Header(bytes, length);
        }
        Ok(None)
    }
}

/// Takes up to `count` bytes off the front of `input`.
fn take<'b>(input: &mut &'b mut [u8], count: usize) -> &'b mut [u8] {
    let whole = std::mem::take(input);
    let (front, rest) = whole.split_at_mut(count.min(whole.len()));
    *input = rest;
    front
}

/// Reads a header from the front of `bytes` and says how long it is. `None` if its end is not there.
fn parse(
    bytes: &[u8],
    message: Option<&Message>,
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
        message: Option<&Message>,
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
    fn alone(&self) -> Option<Alone> {
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
    message: Option<&Message>,
    limits: &WsLimits,
) -> Result<(), Fault> {
    let (collected, fragments) = match (role, message) {
        (Role::Continue, None) => return Err(Fault::NothingToContinue),
        (Role::Continue, Some(message)) => {
            (message.bytes.len(), message.fragments.saturating_add(1))
        }
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

/// A payload that is an item by itself.
enum Alone {
    Message(MessageKind),
    Control(ControlKind),
}

impl Alone {
    fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
        match self {
            Self::Message(kind) => kind.item(payload),
            Self::Control(kind) => kind.item(payload),
        }
    }
}

impl MessageKind {
    fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
        Ok(match self {
            Self::Text => Item::Text(str::from_utf8(payload).map_err(|_| Fault::NotUtf8)?),
            Self::Binary => Item::Binary(payload),
        })
    }
}

impl ControlKind {
    /// Looks at what has come of a payload, which may be all of it.
    fn check(self, payload: &[u8]) -> Result<(), Fault> {
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

    fn item(self, payload: &[u8]) -> Result<Item<'_>, Fault> {
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
fn valid_prefix(text: &[u8]) -> Result<usize, Fault> {
    match str::from_utf8(text) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Fault::NotUtf8),
    }
}

impl Busy {
    /// Starts on a payload that cannot be lent from the input.
    fn begin(&mut self, header: Header) {
        let rest = header.payload;
        self.part = match header.role {
            Role::Control(kind) => Part::Control {
                rest,
                kind,
                bytes: [0; WS_CONTROL_BYTES_MAX],
                length: 0,
            },
            Role::Start(_) | Role::Continue => Part::Data {
                rest,
                is_final: header.is_final,
            },
        };
        match (header.role, &mut self.message) {
            (Role::Start(kind), message) => *message = Some(Message::new(kind)),
            (Role::Continue, Some(message)) => {
                message.fragments = message.fragments.saturating_add(1);
            }
            (Role::Continue, None) | (Role::Control(_), _) => {}
        }
    }

    /// Takes what the input has of the current payload. True if `part` is complete, which is then
    /// to be lent; false if the frame, or the message, goes on.
    fn collect(&mut self, input: &mut &mut [u8], limits: &WsLimits) -> Result<bool, Fault> {
        match (&mut self.part, &mut self.message) {
            (
                Part::Control {
                    rest,
                    kind,
                    bytes,
                    length,
                },
                _,
            ) => {
                let piece = rest.take(input);
                // The header was refused if the payload is longer than this buffer.
                for (to, from) in bytes.iter_mut().skip(*length).zip(piece.iter()) {
                    *to = *from;
                }
                *length += piece.len();
                let payload = bytes.get(..*length).unwrap_or_default();
                match rest.bytes {
                    0 => kind.item(payload).map(|_| true),
                    1.. => kind.check(payload).map(|()| false),
                }
            }
            (Part::Data { rest, is_final }, Some(message)) => {
                let most = match is_final {
                    true => message.bytes.len().saturating_add(rest.bytes),
                    false => limits.message_bytes,
                };
                message.push(rest.take(input), most)?;
                match (rest.bytes, is_final) {
                    (0, true) => message.finish().map(|()| true),
                    (0, false) => {
                        self.part = Part::Between;
                        Ok(false)
                    }
                    (1.., _) => Ok(false),
                }
            }
            (Part::Data { .. }, None) | (Part::Between | Part::Header(..), _) => Ok(false),
        }
    }

    /// The item that `part` completed.
    fn lend(&mut self) -> Result<Item<'_>, Fault> {
        self.is_lent = true;
        match (&self.part, &self.message) {
            (
                Part::Control {
                    kind,
                    bytes,
                    length,
                    ..
                },
                _,
            ) => kind.item(bytes.get(..*length).unwrap_or_default()),
            (Part::Data { .. } | Part::Between | Part::Header(..), Some(message)) => {
                message.kind.item(&message.bytes)
            }
            // Nothing is complete without a message; a refusal is the mildest answer to a mistake.
            (Part::Data { .. } | Part::Between | Part::Header(..), None) => {
                Err(Fault::NothingToContinue)
            }
        }
    }
}

impl Part {
    fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. })
    }

    fn is_payload(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Control { .. })
    }
}

impl Rest {
    /// Takes what the input has of this payload, unmasked.
    fn take<'b>(&mut self, input: &mut &'b mut [u8]) -> &'b [u8] {
        let piece = take(input, self.bytes);
        self.mask = unmask(piece, self.mask);
        self.bytes -= piece.len();
        piece
    }
}

impl Message {
    fn new(kind: MessageKind) -> Self {
        Self {
            kind,
            fragments: 1,
            bytes: Vec::new(),
            valid_bytes: 0,
        }
    }

    /// Adds a piece. The buffer doubles, so it follows what came, not what was announced; `most` is
    /// a length it will not need to exceed.
    fn push(&mut self, piece: &[u8], most: usize) -> Result<(), Fault> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2).min(most);
            self.bytes
                .reserve_exact(doubled.max(needed) - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        match self.kind {
            MessageKind::Binary => {}
            // Every byte is looked at once here, and the beginning of a character again with its
            // end. The second look, at the whole, is the price of a `&str` without `unsafe`.
            MessageKind::Text => {
                let unchecked = self.bytes.get(self.valid_bytes..).unwrap_or_default();
                self.valid_bytes += valid_prefix(unchecked)?;
            }
        }
        Ok(())
    }

    /// A text must not end inside a character.
    fn finish(&self) -> Result<(), Fault> {
        match self.kind {
            MessageKind::Text if self.valid_bytes < self.bytes.len() => Err(Fault::NotUtf8),
            MessageKind::Text | MessageKind::Binary => Ok(()),
        }
    }
}

const _: () = assert!(size_of::<Decoder>() == size_of::<usize>());
