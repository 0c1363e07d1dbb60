//! Bodies: of a length said before, and in chunks (RFC 9112 section 7.1).
//!
//! Both are appended to what the decoder keeps of the request. Nothing is reserved from a length
//! that was read: room grows with what has arrived.

use super::decoder::HttpLimits;
use super::head::is_text_byte;
use super::refusal::Refusal;
use crate::limits::HTTP_CHUNK_EXTENSION_BYTES_MAX;

/// Most hex digits of a chunk's size: what fits 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

/// Appends `piece`, of a body that makes `kept` end with `total` bytes. Room doubles with what
/// arrives, but never passes `total`, so that a large body is not held twice.
pub(super) fn append_sized(kept: &mut Vec<u8>, piece: &[u8], total: usize) {
    let needed = kept.len() + piece.len();
    if needed > kept.capacity() {
        let room = (kept.capacity() * 2).min(total).max(needed);
        kept.reserve_exact(room - kept.len());
    }
    kept.extend_from_slice(piece);
}

/// Where in a chunked body the next byte lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The digits of a size.
    Size,
    /// Behind the semicolon after a size; all of it is ignored.
    Extension,
    /// Between CR and LF of a size's line.
    SizeLineFeed,
    /// The bytes of a chunk.
    Data,
    /// The CR behind a chunk.
    DataReturn,
    /// The LF behind a chunk.
    DataLineFeed,
    /// The first byte of a trailer, or of the blank line that ends the body.
    TrailerStart,
    /// A trailer; all of it is ignored.
    Trailer,
    /// Between CR and LF of a trailer.
    TrailerLineFeed,
    /// Between CR and LF of the blank line.
    EndLineFeed,
}

/// The state of a chunked body.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// The size of the chunk while it is read, then the bytes that are still to come.
    left: u64,
    /// Digits of the size so far.
    digits: u8,
    /// Bytes of this chunk's extension.
    extension_bytes: usize,
    /// What extensions and trailers may still have, over the whole body.
    ignored_room: usize,
}

/// What [`Chunks::feed`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fed {
    /// Bytes taken from the piece.
    pub(super) taken: usize,
    /// Whether the body is whole.
    pub(super) is_whole: bool,
}

impl Chunks {
    /// A body behind a head of `head_bytes`. What is ignored of it shares the head's limit.
    pub(super) fn new(head_bytes: usize, limits: &HttpLimits) -> Self {
        Self {
            at: At::Size,
            left: 0,
            digits: 0,
            extension_bytes: 0,
            ignored_room: limits.head_bytes.saturating_sub(head_bytes),
        }
    }

    /// Appends the data in `piece` to `kept`, of which the body starts at `body_start`.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        kept: &mut Vec<u8>,
        body_start: usize,
        limits: &HttpLimits,
    ) -> Result<Fed, Refusal> {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            if self.at == At::Data {
                let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (data, behind) = rest.split_at(wanted.min(rest.len()));
                kept.extend_from_slice(data);
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                rest = behind;
                continue;
            }
            rest = behind;
            if self.step(byte, kept.len() - body_start, limits)? {
                return Ok(Fed {
                    taken: piece.len() - rest.len(),
                    is_whole: true,
                });
            }
        }
        Ok(Fed {
            taken: piece.len(),
            is_whole: false,
        })
    }

    /// Takes one byte that is not data; says whether it was the last of the body.
    fn step(&mut self, byte: u8, body_bytes: usize, limits: &HttpLimits) -> Result<bool, Refusal> {
        self.at = match (self.at, byte) {
            (At::Size, b'\r') => {
                self.check_size(body_bytes, limits)?;
                At::SizeLineFeed
            }
            (At::Size, b';') => {
                self.check_size(body_bytes, limits)?;
                self.ignore(limits)?;
                self.extension_bytes = 1;
                At::Extension
            }
            (At::Size, digit) => {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    b'A'..=b'F' => digit - b'A' + 10,
                    _ => return Err(Refusal::BadChunk),
                };
                if self.digits == SIZE_DIGITS_MAX {
                    return Err(Refusal::BadChunk);
                }
                self.digits += 1;
                self.left = self.left << 4 | u64::from(value);
                At::Size
            }
            (At::Extension, b'\r') => At::SizeLineFeed,
            (At::Extension, byte) if is_text_byte(byte) => {
                self.ignore(limits)?;
                self.extension_bytes += 1;
                if self.extension_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX {
                    return Err(Refusal::ChunkExtensionTooLong {
                        limit: HTTP_CHUNK_EXTENSION_BYTES_MAX,
                    });
                }
                At::Extension
            }
            (At::SizeLineFeed, b'\n') if self.left == 0 => At::TrailerStart,
            (At::SizeLineFeed, b'\n') => At::Data,
            (At::DataReturn, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => {
                self.digits = 0;
                At::Size
            }
            (At::TrailerStart, b'\r') => At::EndLineFeed,
            (At::Trailer, b'\r') => {
                self.ignore(limits)?;
                At::TrailerLineFeed
            }
            (At::TrailerStart | At::Trailer, byte) if is_text_byte(byte) => {
                self.ignore(limits)?;
                At::Trailer
            }
            (At::TrailerLineFeed, b'\n') => {
                self.ignore(limits)?;
                At::TrailerStart
            }
            (At::EndLineFeed, b'\n') => return Ok(true),
            (
                At::Extension
                | At::SizeLineFeed
                | At::Data
                | At::DataReturn
                | At::DataLineFeed
                | At::TrailerStart
                | At::Trailer
                | At::TrailerLineFeed
                | At::EndLineFeed,
                _,
            ) => return Err(Refusal::BadChunk),
        };
        Ok(false)
    }

    /// Judges a size as soon as its digits are over, before a byte of the chunk is read.
    fn check_size(&self, body_bytes: usize, limits: &HttpLimits) -> Result<(), Refusal> {
        if self.digits == 0 {
            return Err(Refusal::BadChunk);
        }
        let room = limits.body_bytes.saturating_sub(body_bytes);
        if self.left > room as u64 {
            return Err(Refusal::BodyTooLarge {
                limit: limits.body_bytes,
            });
        }
        Ok(())
    }

    /// Counts a byte that is read and thrown away.
    fn ignore(&mut self, limits: &HttpLimits) -> Result<(), Refusal> {
        self.ignored_room = self
            .ignored_room
            .checked_sub(1)
            .ok_or(Refusal::HeadTooLarge {
                limit: limits.head_bytes,
            })?;
        Ok(())
    }
}
