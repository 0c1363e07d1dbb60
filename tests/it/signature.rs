//! Signatures as Channelstream's callers make them (section 4 of the specification).
//!
//! This is a second implementation on purpose: the server's own code does not vouch for itself.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

fn key_of(secret: &str) -> [u8; 20] {
    let mut hash = Sha1::new();
    hash.update(b"itsdangerous.Signer");
    hash.update(b"signer");
    hash.update(secret.as_bytes());
    hash.finalize().into()
}

fn mac_of(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(&key_of(secret)).expect("any length is a key");
    mac.update(text.as_bytes());
    BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
}

fn stamp_of(unix_seconds: u64) -> String {
    let bytes = unix_seconds.to_be_bytes();
    let zeros = unix_seconds.leading_zeros() as usize / 8;
    BASE64URL_NOPAD.encode(&bytes[zeros..])
}

/// Signs `value` at the second `unix_seconds`.
pub(crate) fn sign(secret: &str, value: &str, unix_seconds: u64) -> String {
    let payload = format!("{value}.{}", stamp_of(unix_seconds));
    let mac = mac_of(secret, &payload);
    format!("{payload}.{mac}")
}

/// Makes what the placeholder `<signature OPTIONS>` stands for at the second `unix_seconds`.
/// Panics on an option that the transcripts' description does not know.
pub(crate) fn from_options(secret: &str, options: &str, unix_seconds: u64) -> String {
    let (mut secret, mut value, mut age) = (secret, "channelstream", 0_i64);
    let (mut pad, mut untimed, mut tamper) = (false, false, "");
    for option in options.split_whitespace() {
        match option.split_once('=') {
            Some(("value", text)) => value = text,
            Some(("secret", text)) => secret = text,
            Some(("age", seconds)) => age = seconds.parse().expect("age is in whole seconds"),
            Some(("tamper", part)) => tamper = part,
            None if option == "pad" => pad = true,
            None if option == "untimed" => untimed = true,
            Some(_) | None => panic!("no such option of <signature>: {option}"),
        }
    }
    if untimed {
        return format!("{value}.{}", mac_of(secret, value));
    }
    let signed_at = unix_seconds.saturating_add_signed(-age);
    let signed = sign(secret, value, signed_at);
    let mut parts = signed.rsplitn(3, '.');
    let mut part = || {
        parts
            .next()
            .expect("just put together from three")
            .to_owned()
    };
    let (mut mac, mut stamp, mut value) = (part(), part(), part());
    match tamper {
        "" => {}
        "value" => value.push('x'),
        "time" => stamp = stamp_of(unix_seconds + 1000),
        "mac" => {
            let other = if mac.starts_with('A') { "B" } else { "A" };
            mac.replace_range(..1, other);
        }
        part => panic!("no such part to tamper with: {part}"),
    }
    let padding = if pad { "=" } else { "" };
    format!("{value}.{stamp}.{mac}{padding}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_are_those_of_itsdangerous() {
        assert_eq!(
            data_encoding::HEXLOWER.encode(&key_of("secret")),
            "3a1c28f7aad5a02fe672d24f1003fb52a7312ed7"
        );
        for (secret, value, at, signed) in [
            (
                "secret",
                "channelstream",
                1_600_000_000,
                "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI",
            ),
            (
                "secret",
                "",
                1_600_000_000,
                ".X14QAA.3eoSzHEDpqVQaJci5wEH9uvQtYU",
            ),
            (
                "s3cret",
                "a.b.c",
                1_600_000_000,
                "a.b.c.X14QAA.hLYY3MXl6W_9rLd7yqVUy9OYlJ4",
            ),
        ] {
            assert_eq!(sign(secret, value, at), signed);
        }
        assert_eq!(
            from_options("secret", " untimed", 0),
            "channelstream.fGFyjyEgd-1SOsY7X_LJ1TB9z1E"
        );
    }

    #[test]
    fn options_change_what_they_name() {
        let now = 1_600_003_600;
        let plain = "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI";
        let made = |options| from_options("secret", options, now);
        assert_eq!(made(" age=3600"), plain);
        assert_eq!(from_options("secret", " age=-3600", now - 7200), plain);
        assert_eq!(made(" age=3600 pad"), format!("{plain}="));
        assert_eq!(from_options("x", " age=3600 secret=secret", now), plain);
        assert!(made(" age=3600 tamper=value").starts_with("channelstreamx.X14QAA.QLT3"));
        assert!(made(" age=3600 tamper=mac").starts_with("channelstream.X14QAA.ALT3"));
        let retimed = made(" age=3600 tamper=time");
        assert!(retimed.ends_with(".QLT3kgcJYg14C3PAy4wtyg5uGgI") && retimed != plain);
        assert!(made(" value=").starts_with(".X14"));
    }
}
