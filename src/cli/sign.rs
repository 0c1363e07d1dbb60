//! `fanwire sign`: what a web application sends along, for scripts.

use super::args::Sign;
use fanwire::dialect::channelstream::sign::Signer;
use std::time::{SystemTime, UNIX_EPOCH};

/// The value that the original's own clients sign.
const DEFAULT_VALUE: &str = "channelstream";

/// The signed string and a line feed.
pub(super) fn line(secret: &str, sign: &Sign) -> String {
    let value = sign.value.as_deref().unwrap_or(DEFAULT_VALUE);
    Signer::new(secret.as_bytes()).sign(value, sign.at.unwrap_or_else(now)) + "\n"
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool has no loop to stamp the time"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
