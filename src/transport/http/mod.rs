//! HTTP/1.1 without a socket (RFC 9110, RFC 9112).
//!
//! Bytes go into a [`Decoder`], requests or a refusal come out; [`response::write`] turns an answer
//! into bytes. Nothing here knows a connection, a clock or a route. Strict where framing is
//! decided: whatever another hop could read differently is refused.

mod body;
pub mod decoder;
#[doc(hidden)]
pub mod fuzz;
mod head;
pub mod message;
pub mod query;
pub mod refusal;
pub mod response;
pub mod upgrade;

pub use decoder::{Decoder, HttpLimits, Phase, Scratch, Step};
pub use message::{Header, Headers, Method, Request, Response, Status};
pub use refusal::Refusal;
