//! Pushi: `/{app_key}` for sockets, a JSON API with logins for applications, and a store behind
//! both.
//!
//! The half that knows no hub: [`names`] says what a channel's name means; [`auth`] checks and makes
//! signatures; [`words`] reads what clients send; [`encode`] writes what they are told, and the
//! records that applications see.

pub mod auth;
pub mod encode;
pub mod names;
pub mod words;
