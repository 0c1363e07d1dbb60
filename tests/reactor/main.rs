//! The reactor over real sockets: what only the kernel can show.

#![allow(
    clippy::disallowed_methods,
    reason = "blocking clients run on threads, and a test that waits has a deadline"
)]

mod descriptors;
mod harness;
mod plain;
#[cfg(feature = "tls")]
mod tls;
mod turns;
