//! HTTP/1.1 without a socket (RFC 9110, RFC 9112).

pub mod message;

pub use message::{Header, Headers, Method, Request, Response, Status};
