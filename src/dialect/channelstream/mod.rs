//! The Channelstream 0.7.1 dialect.
//!
//! What it speaks: a server API of signed JSON requests (`/connect`, `/subscribe`, `/message` and
//! so on), a client API of one WebSocket or a long-poll, and error answers in the shape of the
//! original's validation library.
//!
//! The half that knows no hub: [`sign`] checks callers, [`access`] says who they are and what a
//! proxy said; [`json`], [`dates`], [`fields`], [`errors`] and [`words`] turn bodies into typed
//! requests; [`stamps`] writes dates, ids and texts; [`pages`] words refusals.
//!
//! The half that does: `speaker` says which request is what, `calls` acts on it, `entries` on each
//! message, edit and deletion of a list, `states` on what users say of themselves; `info` tells of
//! channels, `encode` writes frames, `listen` waits for news, `admin` has everything below
//! `/admin`. Requests that ask for much go on over several turns (`batch`). What survives a restart
//! is put in words for the store, and read back, in [`persist`].
//!
//! What describes it and what speaks to it: `openapi` is the description of all endpoints, made
//! from one table; `assets` are the files that pages load, and `explorer` is the page on which an
//! operator tries things out.

pub mod access;
mod admin;
mod assets;
mod batch;
mod calls;
pub mod dates;
mod encode;
mod entries;
pub mod errors;
mod explorer;
pub mod fields;
#[doc(hidden)]
pub mod fuzz;
mod info;
mod joining;
mod listen;
mod openapi;
pub mod pages;
pub mod persist;
pub mod sign;
mod speaker;
pub mod stamps;
mod states;
pub mod words;

pub use super::json;
pub(in crate::dialect) use admin::client;
pub(super) use encode::{foreign, frame_object};
pub use speaker::{APP, Channelstream, Config, FORMAT};
