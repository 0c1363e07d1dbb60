//! What the hub wants done, as a sink that is passed in.
//!
//! The hub is pure: everything it wants leaves through this trait, and the trait cannot reach back
//! into it. Tests record what was asked for; the engine encodes and queues.

use super::event::Event;
use super::{AppId, Fact, Remember};
use crate::frame::Frame;
use crate::handler::ConnId;

/// A wire format: one per dialect, version and transport. The dialect that encodes it is found by
/// this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Format(pub u8);

/// A random 128-bit id, written as a UUID of version 4 where a protocol wants one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u128);

/// Why the hub ends a connection; the dialect words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// Another connection has taken its place as the outlet of the same subscriber.
    Replaced,
    /// The subscriber was removed: it asked to go, or its time was over.
    Removed,
    /// The subscriber was removed because it missed more than it could be caught up with.
    TooFarBehind,
    /// Its user was to be disconnected everywhere.
    Terminated,
    /// It had to prove something, and did not in time.
    Unauthorized,
    /// Its app is there no more.
    AppClosed,
    /// It said something that is none of its protocol.
    Garbled,
}

/// What the hub wants done. Implementations only append: they never fail, never block, and never
/// call back into the hub.
pub trait Effects {
    /// The bytes of `event` in `format`, if that tells such events; with `catch_up`, as something that happened earlier.
    /// Asked at most once per format for each event and flag, however many receive it. `told` is
    /// the event's place in the hub's order: later events have greater ones.
    fn encode(
        &mut self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
    ) -> Option<Frame>;
    /// A fresh random id: the only door by which the hub gets chance.
    fn id(&mut self) -> Id;
    /// Queue a frame on a connection. A connection that has gone is skipped.
    fn send(&mut self, to: ConnId, frame: &Frame);
    /// Queue a frame that the hub keeps anyway (catch-up): it is not charged to the peer's limit.
    fn send_kept(&mut self, to: ConnId, frame: &Frame);
    /// End a connection, in its dialect's words, once what is queued on it has left.
    fn hang_up(&mut self, conn: ConnId, format: Format, why: HangUp);
    /// Whether a loop over many, each of which may be told to many, should leave the rest for the
    /// next turn.
    fn has_done_enough(&self) -> bool {
        false
    }
    /// Tell the rest of the world.
    fn announce(&mut self, _app: AppId, _fact: Fact<&str>) {}
    /// Note a change to what survives a restart, in an app where that is wanted. Changes come in the
    /// order in which they are to be made.
    fn remember(&mut self, _app: AppId, _what: Remember<'_>) {}
    /// Counts work that is not seen by what is asked for here, in units of about the time in which
    /// one frame is queued.
    fn spend(&mut self, _units: u64) {}
}
