//! Pusher Channels, protocol 7: `/app/{key}` for browsers, a signed JSON API under `/apps/{id}/`
//! for applications.
//!
//! What is spoken, where it is tested and where it differs from Pusher's own service stands in
//! `docs/protocols/pusher.md`.

pub mod config;
