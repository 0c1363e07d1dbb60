//! The decoder driven by arbitrary bytes in arbitrary cuts, with everything asserted that must hold
//! of any input. The fuzz target and the tests share it; nothing else may use it.

use super::{Decoder, Fault, Item, WsLimits};
use crate::limits::WS_CONTROL_BYTES_MAX;

/// An [`Item`] that owns what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Item<'_>> for Said {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.to_owned()),
            Item::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Item::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Item::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Item::Close(None) => Self::Close(None),
            Item::Close(Some((code, reason))) => Self::Close(Some((code, reason.to_owned()))),
        }
    }
}

/// What a stream of bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) items: Vec<Said>,
    pub(super) fault: Option<Fault>,
    /// Bytes that had come when the fault was seen, or the Close, or that there was no more.
    /// Depends on the cuts.
    pub(super) came_bytes: usize,
    /// Whether the bytes ended where a new message may begin.
    pub(super) is_idle: bool,
}

/// Feeds `bytes` to a new decoder; `cut` says how many to hand over next (at least one is).
///
/// Asserts that every step ends, that no limit is exceeded in what is given or held, and that
/// nothing is held when nothing is unfinished.
pub(super) fn run(bytes: &[u8], limits: &WsLimits, mut cut: impl FnMut() -> usize) -> Outcome {
    // The box; all that a decoder holds beside a message.
    const BOX_BYTES_MAX: usize = 320;
    let mut decoder = Decoder::new();
    let mut items = Vec::new();
    let mut fault = None;
    let mut came_bytes = 0;
    'stream: while came_bytes < bytes.len() {
        let end = bytes.len().min(came_bytes.saturating_add(cut().max(1)));
        let mut piece = bytes.get(came_bytes..end).unwrap_or_default().to_vec();
        came_bytes = end;
        let mut input = &mut piece[..];
        loop {
            let left_bytes = input.len();
            let item = match decoder.next(&mut input, limits) {
                Ok(Some(item)) => Said::from(item),
                Ok(None) => break,
                Err(found) => {
                    assert_eq!(decoder.held_bytes(), 0, "a fault frees everything");
                    fault = Some(found);
                    break 'stream;
                }
            };
            assert!(input.len() < left_bytes, "an item takes at least a byte");
            match &item {
                Said::Text(text) => assert!(text.len() <= limits.message_bytes),
                Said::Binary(bytes) => assert!(bytes.len() <= limits.message_bytes),
                Said::Ping(bytes) | Said::Pong(bytes) => {
                    assert!(bytes.len() <= WS_CONTROL_BYTES_MAX);
                }
                Said::Close(close) => {
                    let reason_bytes = close.as_ref().map_or(0, |(_, reason)| reason.len());
                    assert!(reason_bytes <= WS_CONTROL_BYTES_MAX - 2);
                }
            }
            let is_close = matches!(item, Said::Close(_));
            items.push(item);
            if is_close {
                break 'stream;
            }
        }
        assert!(input.is_empty(), "without an item all input is taken");
        let held_bytes = decoder.held_bytes();
        assert_eq!(decoder.is_idle(), held_bytes == 0, "idle holds nothing");
        let arrived_bytes = came_bytes.saturating_mul(2).min(limits.message_bytes);
        assert!(held_bytes <= BOX_BYTES_MAX + arrived_bytes, "{held_bytes}");
    }
    Outcome {
        items,
        fault,
        came_bytes,
        is_idle: decoder.is_idle(),
    }
}

/// The entry of the fuzz target. The first bytes choose limits and cuts; the rest is the stream,
/// whose result must not depend on the cuts.
pub fn fuzz(data: &[u8]) {
    let Some(([size, count, seed], stream)) = data.split_first_chunk::<3>().map(|(a, b)| (*a, b))
    else {
        return;
    };
    let limits = WsLimits {
        message_bytes: usize::from(size) * 16,
        message_fragments: u32::from(count),
    };
    let mut state = u32::from(seed) | 0x100;
    let pieces = run(stream, &limits, || {
        // A small generator of lengths, mostly short ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 << (state >> 29)
    });
    for outcome in [
        run(stream, &limits, || usize::MAX),
        run(stream, &limits, || 1),
    ] {
        assert_eq!(outcome.items, pieces.items);
        assert_eq!(outcome.fault, pieces.fault);
        assert_eq!(outcome.is_idle, pieces.is_idle);
    }
}
