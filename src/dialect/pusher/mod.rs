//! Pusher Channels, protocol 7: `/app/{key}` for browsers, a signed JSON API under `/apps/{id}/`
//! for applications.
//!
//! What is spoken, where it is tested and where it differs from Pusher's own service stands in
//! `docs/protocols/pusher.md`.
//!
//! The half that knows no hub: [`names`] says what a channel's name means and writes the ids of
//! sockets; [`auth`] checks and makes signatures; [`words`] reads what clients send and [`bodies`]
//! what applications post; [`errors`] is the table of codes.
//!
//! The half that does: `speaker` is the dialect, and says what is whose; `opening` lets sockets in;
//! `socket` does what they ask for; `api` answers applications, with `trigger` to publish and
//! `listing` to tell of channels; `encode` writes what subscribers are told.

mod api;
pub mod auth;
pub mod bodies;
pub mod config;
mod encode;
pub mod errors;
#[doc(hidden)]
pub mod fuzz;
mod listing;
pub mod names;
mod opening;
mod socket;
mod speaker;
mod trigger;
pub mod words;

pub(in crate::dialect) use opening::allows_origin;
pub use speaker::{FORMAT, Pusher};
