//! `fanwire sign`: what a web application sends along, for scripts.

use super::args::Sign;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use std::time::{SystemTime, UNIX_EPOCH};

/// The value that the original's own clients sign.
const DEFAULT_VALUE: &str = "channelstream";

/// The signed string and a line feed.
pub(super) fn line(secret: &str, sign: &Sign) -> String {
    let value = sign.value.as_deref().unwrap_or(DEFAULT_VALUE);
    channelstream(secret, value, sign.at.unwrap_or_else(now)) + "\n"
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool has no loop to stamp the time"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// `value.time.mac`, as itsdangerous 1.1 makes it (docs/protocols/channelstream.md).
fn channelstream(secret: &str, value: &str, at: u64) -> String {
    let key = Sha1::new()
        .chain_update(b"itsdangerous.Signer")
        .chain_update(b"signer")
        .chain_update(secret.as_bytes())
        .finalize();
    let time = at.to_be_bytes();
    let zeros = time.iter().take_while(|byte| **byte == 0).count();
    let time = BASE64URL_NOPAD.encode(time.get(zeros..).unwrap_or_default());
    let signed = format!("{value}.{time}");
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("a MAC takes a key of any length");
    mac.update(signed.as_bytes());
    let mac = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
    format!("{signed}.{mac}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_original() {
        let at = 1_600_000_000;
        for (secret, value, at, expected) in [
            (
                "secret",
                "channelstream",
                at,
                "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI",
            ),
            (
                "secret",
                "/connect",
                at,
                "/connect.X14QAA.SPM6sHtinEBU8MmBZnatiO-Vq0A",
            ),
            ("secret", "", at, ".X14QAA.3eoSzHEDpqVQaJci5wEH9uvQtYU"),
            (
                "s3cret",
                "a.b.c",
                at,
                "a.b.c.X14QAA.hLYY3MXl6W_9rLd7yqVUy9OYlJ4",
            ),
            (
                "secret",
                "channelstream",
                1_600_003_600,
                "channelstream.X14eEA.CFsc5ZMSa6Ea-E2OrpVWoj_DVUg",
            ),
        ] {
            assert_eq!(channelstream(secret, value, at), expected);
        }
    }
}
