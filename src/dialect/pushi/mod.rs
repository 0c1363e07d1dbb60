//! Pushi: `/{app_key}` for sockets, a JSON API with logins for applications, and a store behind
//! both.
//!
//! The half that knows no hub: [`names`] says what a channel's name means; [`auth`] checks and makes
//! signatures; [`words`] reads what clients send; [`encode`] writes what they are told, and the
//! records that applications see; [`form`] finds the fields of their requests, and [`bodies`] reads
//! what they ask for; [`errors`] is what they are told when something is wrong; [`session`] is how
//! they stay logged in.
//!
//! The half that does: `speaker` is the dialect, and says what is whose; `opening` lets sockets in;
//! `socket` does what they ask for, with `personal` and `peer` for the two kinds of channels that
//! come by themselves; `publish` tells and stores events; `tell` says how they look, whoever
//! published; `notes` is what is remembered beside the hub; `rest` answers applications.

pub mod auth;
pub mod bodies;
pub mod config;
pub mod encode;
pub mod errors;
pub mod form;
#[doc(hidden)]
pub mod fuzz;
pub mod names;
mod notes;
mod opening;
mod peer;
mod personal;
mod publish;
mod rest;
pub mod session;
mod socket;
mod speaker;
mod tell;
mod vapid;
pub mod words;

pub use speaker::{FORMAT, Pushi};
