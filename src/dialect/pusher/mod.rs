//! Pusher Channels, protocol 7: `/app/{key}` for browsers, a signed JSON API under `/apps/{id}/`
//! for applications.
//!
//! What is spoken, where it is tested and where it differs from Pusher's own service stands in
//! `docs/protocols/pusher.md`.
//!
//! The half that knows no hub: [`names`] says what a channel's name means and writes the ids of
//! sockets; [`auth`] checks and makes signatures; [`words`] reads what clients send and [`bodies`]
//! what applications post; [`errors`] is the table of codes.

pub mod auth;
pub mod bodies;
pub mod config;
pub mod errors;
#[doc(hidden)]
pub mod fuzz;
pub mod names;
pub mod words;
