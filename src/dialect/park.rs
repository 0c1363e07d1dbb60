//! A request that waits for news: long-poll.

use crate::hub::SubscriberId;
use crate::transport::http::Response;
use std::borrow::Cow;

/// A request that is answered when there is something to say, or after a while without.
#[derive(Debug)]
pub struct Park {
    /// Whose news.
    pub who: SubscriberId,
    /// The answer but for its body.
    pub answer: Response,
    /// Stands before the body that [`Dialect::join`](super::Dialect::join) makes.
    pub before: Cow<'static, str>,
    /// Stands behind it.
    pub after: &'static str,
    /// How long to wait, and for how much.
    pub pace: Pace,
}

impl Park {
    /// Appends the body of the answer to `out`, which `join` is to append the news to. With
    /// something before it the body is a script: there the two line ends that JSON takes as they
    /// are end a line in the browsers that still need scripts for this (before ECMAScript 2019).
    pub fn push_body(&self, out: &mut Vec<u8>, join: impl FnOnce(&mut Vec<u8>)) {
        if self.before.is_empty() {
            join(out);
            return;
        }
        let mut news = Vec::new();
        join(&mut news);
        out.extend_from_slice(self.before.as_bytes());
        let mut rest = news.as_slice();
        while let Some((&byte, behind)) = rest.split_first() {
            match rest {
                // They can only stand in strings.
                [0xe2, 0x80, last @ (0xa8 | 0xa9), behind @ ..] => {
                    let escape: &[u8] = if *last == 0xa8 {
                        b"\\u2028"
                    } else {
                        b"\\u2029"
                    };
                    out.extend_from_slice(escape);
                    rest = behind;
                }
                _ => {
                    out.push(byte);
                    rest = behind;
                }
            }
        }
        out.extend_from_slice(self.after.as_bytes());
    }
}

/// A request that is answered with news from now on.
#[derive(Debug)]
pub struct Stream {
    /// Whose news.
    pub who: SubscriberId,
    /// Status and headers; the body has no end.
    pub head: Response,
    /// The last event that the client says it has, as a place in the hub's order.
    pub last: Option<u64>,
}

/// How long a waiting request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Without news it is answered after this long.
    pub wake_ms: u64,
    /// With news it is answered once nothing more has come for this long.
    pub gather_ms: u64,
    /// Or this long after the first news, whatever comes.
    pub longest_ms: u64,
    /// Or with so many of them.
    pub frames: usize,
}
