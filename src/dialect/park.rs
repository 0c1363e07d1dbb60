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
