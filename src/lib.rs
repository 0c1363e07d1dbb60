//! fanwire: one event loop, three protocols, no runtime.
//!
//! Read in this order:
//!
//! 1. [`handler`]: what the loop calls. [`table`], [`frame`], [`outbox`], [`time`], [`limits`]: the
//!    leaves everything leans on.
//! 2. [`reactor`]: sockets in, bytes out, one thread.
//! 3. [`transport`]: bytes to requests and texts, answers to bytes.
//! 4. [`hub`]: channels, subscribers, users, presence, history, and the fan-out.
//! 5. [`dialect`]: a protocol's words, mapped to the hub and back.
//! 6. [`engine`]: joins the three; a pure state machine that the reactor, a test world or a host
//!    program drives.
//! 7. [`store`]: what the loop and the store say to each other. [`side`]: what works on threads of
//!    its own, the store first of all.
//! 8. [`server`]: wiring; [`server::Handle`] is what another thread holds.

pub mod dialect;
pub mod engine;
pub mod frame;
pub mod handler;
pub mod hub;
pub mod limits;
pub mod loop_stats;
pub mod options;
pub mod outbox;
pub mod peers;
pub mod random;
pub mod reactor;
mod room;
pub mod server;
pub mod side;
pub mod store;
pub mod table;
pub mod time;
pub mod transport;

/// The README's examples are compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
