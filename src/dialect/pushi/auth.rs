//! Signatures of who subscribes: a socket, or the address that a record names.
//!
//! ```text
//! auth   = key ":" digest
//! digest = hex(HMAC-SHA-256(secret, first ":" channel))
//! ```
//!
//! `first` is the id of the socket, or the address. What a member tells of itself is no part of what
//! is signed: whoever may subscribe may say that it is anybody.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Makes and checks signatures with the credentials of one app.
///
/// It holds the keyed state of the HMAC. Cloning that for each signature saves the hashing of the
/// secret.
#[derive(Clone)]
pub struct Keys {
    key: Box<str>,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Keys {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.key)
    }
}

impl Keys {
    /// For this public key and this secret, which is used as the text that it is.
    pub fn new(key: &str, secret: &str) -> Self {
        let keyed = Hmac::new_from_slice(secret.as_bytes());
        Self {
            key: key.into(),
            keyed: keyed.expect("HMAC takes keys of any length"),
        }
    }

    /// The public key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What lets `first` into a channel: `key:digest`, with the text signed as UTF-8.
    pub fn sign(&self, first: &str, channel: &str) -> String {
        self.auth(first.as_bytes(), channel.as_bytes())
    }

    /// Whether `auth` lets `first` into this channel.
    ///
    /// The text may have been signed as UTF-8, or as Latin-1 as the original and its Python client
    /// do, if every character is in that. So a signature for a name may fit a second name, which is
    /// the first one's UTF-8 read as Latin-1 and nobody's name but by mistake.
    ///
    /// It takes the same time whatever `auth` is, malformed or not.
    pub fn allows(&self, auth: &str, first: &str, channel: &str) -> bool {
        let is_it = |expected: &str| expected.as_bytes().ct_eq(auth.as_bytes());
        let mut allows = is_it(&self.sign(first, channel));
        let is_ascii = first.is_ascii() && channel.is_ascii();
        if let (false, Some(first), Some(channel)) = (is_ascii, latin_1(first), latin_1(channel)) {
            allows |= is_it(&self.auth(&first, &channel));
        }
        allows.into()
    }

    fn auth(&self, first: &[u8], channel: &[u8]) -> String {
        let mut state = self.keyed.clone();
        for piece in [first, b":", channel] {
            state.update(piece);
        }
        let mut auth = String::with_capacity(self.key.len() + 65);
        auth.push_str(&self.key);
        auth.push(':');
        HEXLOWER.encode_append(&state.finalize().into_bytes(), &mut auth);
        auth
    }
}

/// The text in Latin-1, where a byte is the code point of its character.
fn latin_1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|character| u8::try_from(character).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: &str = "19174e6b-8ad0-4230-bd18-135812f6fa12";

    /// What another program signed, as HMAC-SHA-256 of these bytes with the key `secret`.
    fn signed(text: &[u8]) -> String {
        let mut state = Hmac::<Sha256>::new_from_slice(b"secret").expect("any length");
        state.update(text);
        format!("key:{}", HEXLOWER.encode(&state.finalize().into_bytes()))
    }

    #[test]
    fn a_signature_is_good_for_one_channel_and_one_socket() {
        let keys = Keys::new("key", "secret");
        let auth = keys.sign(SOCKET, "private-a");
        assert_eq!(auth, signed(format!("{SOCKET}:private-a").as_bytes()));
        assert!(keys.allows(&auth, SOCKET, "private-a"));
        assert!(!keys.allows(&auth, SOCKET, "private-b"));
        assert!(!keys.allows(&auth, SOCKET, "private-a "));
        assert!(!keys.allows(&auth, "other", "private-a"));
        assert!(!Keys::new("key", "other").allows(&auth, SOCKET, "private-a"));
        assert!(!Keys::new("yek", "secret").allows(&auth, SOCKET, "private-a"));
        assert_eq!(format!("{keys:?}"), "Keys(key)");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let keys = Keys::new("key", "secret");
        let auth = keys.sign(SOCKET, "private-a");
        let digest = auth.strip_prefix("key:").expect("our key");
        for wrong in [
            "",
            ":",
            "key",
            "key:",
            digest,
            &format!(":{digest}"),
            &format!("key:{}", digest.to_uppercase()),
            &format!("KEY:{digest}"),
            &format!("key::{digest}"),
            &format!("key:{digest} "),
            &format!(" key:{digest}"),
            &format!("key:{digest}0"),
            &auth[..auth.len() - 1],
            "key:é",
        ] {
            assert!(!keys.allows(wrong, SOCKET, "private-a"), "{wrong}");
        }
    }

    #[test]
    fn texts_beyond_ascii_may_be_signed_either_way() {
        let keys = Keys::new("key", "secret");
        let utf_8 = format!("{SOCKET}:private-décor");
        let mut latin = format!("{SOCKET}:private-d").into_bytes();
        latin.extend_from_slice(b"\xe9cor");
        assert!(keys.allows(&signed(utf_8.as_bytes()), SOCKET, "private-décor"));
        assert!(keys.allows(&signed(&latin), SOCKET, "private-décor"));
        assert_eq!(keys.sign(SOCKET, "private-décor"), signed(utf_8.as_bytes()));
        // An address beyond ASCII counts as well.
        assert!(keys.allows(&signed(b"\xfc:private-a"), "ü", "private-a"));
        // One character that does not fit leaves only UTF-8.
        let name = "private-é€";
        let text = format!("{SOCKET}:{name}");
        assert!(keys.allows(&signed(text.as_bytes()), SOCKET, name));
        let mut cut = format!("{SOCKET}:private-").into_bytes();
        cut.extend_from_slice(b"\xe9\xac");
        assert!(!keys.allows(&signed(&cut), SOCKET, name));
    }

    #[test]
    fn odd_texts_are_signed_like_others() {
        let keys = Keys::new("", "");
        for (first, channel) in [("", ""), ("a:b", "c"), ("\0", "\n"), ("x", "peer-a:b&c")] {
            let auth = keys.sign(first, channel);
            assert!(auth.starts_with(':') && auth.len() == 65);
            assert!(keys.allows(&auth, first, channel));
        }
    }
}
