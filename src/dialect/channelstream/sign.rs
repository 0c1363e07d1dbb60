//! Signatures of callers: the timed signer of itsdangerous 1.1.0 with all its defaults.
//!
//! ```text
//! signed = value "." time "." mac
//! time   = base64url(seconds since 1970, big-endian, leading zero bytes removed)
//! key    = SHA-1("itsdangerous.Signer" + "signer" + secret)
//! mac    = base64url(HMAC-SHA-1(key, value "." time))
//! ```
//!
//! The value is not looked at: one signed text opens every endpoint until it is too old.

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use std::fmt;

/// Length of an HMAC-SHA-1.
const MAC_BYTES: usize = 20;
/// Longest time part that is decoded: eight bytes of number and a few leading zeros.
const TIME_BYTES_MAX: usize = 16;

/// Why a signed text is refused. All are the same answer to the caller: 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFault {
    /// Not three parts, or a part that is not base64 of a fitting length.
    Malformed,
    /// Made with another secret, or changed since.
    Forged,
    /// Signed too long ago.
    Expired {
        /// Seconds between signing and now.
        age_s: u64,
    },
}

/// Checks and makes signatures with one secret.
///
/// It holds the keyed state of the HMAC. Cloning that for each signature saves the hashing of the
/// key, half of the work for a text this short.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha1>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key must not reach a log.
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer for this shared secret, of any length.
    pub fn new(secret: &[u8]) -> Self {
        let key = derive_key(secret);
        let keyed = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Self { keyed }
    }

    /// Checks a signed text at the time `now_unix_s`, in seconds since 1970-01-01 UTC.
    ///
    /// A text signed `max_age_s` ago is still good, so is one from the future. With `None` the age
    /// is not checked, but a readable time must be there all the same.
    pub fn verify(
        &self,
        signed: &str,
        now_unix_s: u64,
        max_age_s: Option<u64>,
    ) -> Result<(), SignatureFault> {
        let (timed, mac) = signed.rsplit_once('.').ok_or(SignatureFault::Malformed)?;
        let mac: [u8; MAC_BYTES] = decode(mac).ok_or(SignatureFault::Malformed)?;
        let (_, time) = timed.rsplit_once('.').ok_or(SignatureFault::Malformed)?;
        let signed_unix_s = read_time(time).ok_or(SignatureFault::Malformed)?;

        let mut state = self.keyed.clone();
        state.update(timed.as_bytes());
        // Compares in constant time.
        state
            .verify_slice(&mac)
            .map_err(|_| SignatureFault::Forged)?;

        let age_s = now_unix_s.saturating_sub(signed_unix_s);
        match max_age_s {
            Some(max) if age_s > max => Err(SignatureFault::Expired { age_s }),
            Some(_) | None => Ok(()),
        }
    }

    /// Signs a value at the time `now_unix_s`, in seconds since 1970-01-01 UTC.
    pub fn sign(&self, value: &str, now_unix_s: u64) -> String {
        let mut signed = String::with_capacity(value.len() + 40);
        signed.push_str(value);
        signed.push('.');
        let time = now_unix_s.to_be_bytes();
        let zeros = now_unix_s.leading_zeros() as usize / 8;
        data_encoding::BASE64URL_NOPAD.encode_append(time.get(zeros..).unwrap_or(&[]), &mut signed);
        let mut state = self.keyed.clone();
        state.update(signed.as_bytes());
        signed.push('.');
        data_encoding::BASE64URL_NOPAD.encode_append(&state.finalize().into_bytes(), &mut signed);
        signed
    }
}

/// The key of the HMAC: salt and secret, hashed.
fn derive_key(secret: &[u8]) -> [u8; MAC_BYTES] {
    let mut hash = Sha1::new();
    hash.update(b"itsdangerous.Signer");
    hash.update(b"signer");
    hash.update(secret);
    hash.finalize().into()
}

/// Seconds since 1970 from the time part; nothing for what is no base64 or beyond 64 bits.
fn read_time(text: &str) -> Option<u64> {
    let mut bytes = [0; TIME_BYTES_MAX];
    let count = decode_into(text, &mut bytes)?;
    let number = bytes
        .get(..count)?
        .iter()
        .fold(0, |number: u128, &byte| number << 8 | u128::from(byte));
    u64::try_from(number).ok()
}

/// Base64 of exactly `N` bytes.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (decode_into(text, &mut bytes)? == N).then_some(bytes)
}

/// Decodes base64 into `bytes` and says how many were filled.
///
/// Both alphabets are read, even mixed: the signer in the project's browser client turns only the
/// first `+` and the first `/` into `-` and `_`. Padding may be there or not. Bits that are left
/// over at the end are not looked at, as in the original.
fn decode_into(text: &str, bytes: &mut [u8]) -> Option<usize> {
    let text = text.strip_suffix('=').unwrap_or(text);
    let text = text.strip_suffix('=').unwrap_or(text);
    if text.len() % 4 == 1 {
        return None;
    }
    let mut places = bytes.iter_mut();
    let mut filled = 0;
    let mut bits = 0u32;
    let mut bit_count = 0u32;
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        // At most six bits are left from before, so twelve are in use.
        bits = (bits & 0x3f) << 6 | u32::from(six);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            *places.next()? = (bits >> bit_count & 0xff) as u8;
            filled += 1;
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_derived_as_in_the_vectors() {
        let file = include_str!("../../../tests/data/channelstream/signatures.json");
        let file: serde_json::Value = serde_json::from_str(file).expect("JSON");
        let keys = file["derived_keys"].as_array().expect("a list");
        assert_eq!(keys.len(), 4);
        for case in keys {
            let secret = case["secret"].as_str().expect("text");
            let key = data_encoding::HEXLOWER.encode(&derive_key(secret.as_bytes()));
            assert_eq!(key, case["derived_key_hex"].as_str().expect("text"));
        }
    }

    #[test]
    fn what_is_signed_verifies_until_it_is_too_old() {
        let signer = Signer::new("zażółć-ключ".as_bytes());
        for value in ["", "channelstream", "/connect", "a.b.c", "użytkownik", "x."] {
            for at in [
                0,
                1,
                255,
                256,
                1_600_000_000,
                1 << 32,
                u64::MAX - 61,
                u64::MAX,
            ] {
                let signed = signer.sign(value, at);
                assert!(signed.starts_with(value));
                assert_eq!(signer.verify(&signed, at, Some(60)), Ok(()), "{signed}");
                assert_eq!(signer.verify(&signed, 0, Some(60)), Ok(()), "the future");
                if let Some(late) = at.checked_add(61) {
                    assert_eq!(signer.verify(&signed, late - 1, Some(60)), Ok(()));
                    assert_eq!(
                        signer.verify(&signed, late, Some(60)),
                        Err(SignatureFault::Expired { age_s: 61 })
                    );
                    assert_eq!(signer.verify(&signed, late, None), Ok(()));
                }
            }
        }
    }

    #[test]
    fn changing_any_byte_is_refused() {
        let signer = Signer::new(b"secret");
        let signed = signer.sign("channelstream", 1_600_000_000);
        for at in 0..signed.len() {
            for other in ["A", "-", ".", "=", " ", "é"] {
                let mut changed = signed.clone();
                changed.replace_range(at..=at, other);
                if changed == signed || at + 1 == signed.len() {
                    // The last character carries two bits that nobody looks at.
                    continue;
                }
                assert!(
                    signer.verify(&changed, 1_600_000_000, None).is_err(),
                    "{changed}"
                );
            }
        }
    }

    #[test]
    fn both_alphabets_may_be_mixed() {
        let signer = Signer::new(b"secret");
        for mac in [
            "Cqj/FdBLBfqpP+gjLGmWLaLxxRk",
            "Cqj_FdBLBfqpP-gjLGmWLaLxxRk",
            "Cqj_FdBLBfqpP+gjLGmWLaLxxRk=",
            "Cqj/FdBLBfqpP-gjLGmWLaLxxRk",
        ] {
            let signed = format!("v31.X14QAA.{mac}");
            assert_eq!(signer.verify(&signed, 1_600_000_000, Some(60)), Ok(()));
        }
    }

    #[test]
    fn times_are_read_to_64_bits_and_no_further() {
        let base64 = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        assert_eq!(read_time(""), Some(0));
        assert_eq!(read_time(&base64(&[0xff; 8])), Some(u64::MAX));
        assert_eq!(read_time(&base64(&[0, 0, 0, 0, 0, 0, 0, 0, 7])), Some(7));
        assert_eq!(read_time(&base64(&[1, 0, 0, 0, 0, 0, 0, 0, 0])), None);
        assert_eq!(read_time(&base64(&[0; 17])), None);
        for text in ["A", "AAAAA", "A A=", "-1.5", "é", "===", "A==="] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        assert_eq!(format!("{:?}", Signer::new(b"hush")), "Signer");
    }
}
