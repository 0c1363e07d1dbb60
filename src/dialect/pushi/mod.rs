//! Pushi: `/{app_key}` for sockets, a JSON API with logins for applications, and a store behind
//! both.
//!
//! The half that knows no hub: [`names`] says what a channel's name means; [`auth`] checks and makes
//! signatures; [`words`] reads what clients send; [`encode`] writes what they are told, and the
//! records that applications see; [`form`] finds the fields of applications' requests, and
//! [`bodies`] reads what they ask for; [`session`] says who has logged in; [`errors`] is what
//! applications are told when something is wrong.

pub mod auth;
pub mod bodies;
pub mod encode;
pub mod errors;
pub mod form;
#[doc(hidden)]
pub mod fuzz;
pub mod names;
pub mod session;
pub mod words;
