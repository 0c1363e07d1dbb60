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

use super::header::{HEADER_BYTES_MAX, Header, Rest, Role, Unfinished, parse};
use super::mask::unmask;
use super::payload::{ControlKind, MessageKind, valid_prefix};
use super::{Fault, Item, WsLimits};
use crate::limits::WS_CONTROL_BYTES_MAX;

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

    /// Bytes of heap held: a box of a constant size, and of an unfinished message at most twice
    /// what has come, never more than [`WsLimits::message_bytes`]. Zero once [`Decoder::next`] gave
    /// `None` between messages.
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
            Some(busy) => (
                busy.message.as_ref().map(Message::unfinished),
                Some(&mut busy.part),
            ),
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
            // Fewer than fourteen bytes, or the header were whole.
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

    fn unfinished(&self) -> Unfinished {
        Unfinished {
            bytes: self.bytes.len(),
            fragments: self.fragments,
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
