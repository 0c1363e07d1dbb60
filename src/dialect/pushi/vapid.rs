//! The public half of the key that Web Push is signed with (RFC 8292).

#[cfg(feature = "push")]
use data_encoding::{BASE64URL, BASE64URL_NOPAD};

/// The public point that belongs to a private key, uncompressed, as base64url without padding: what
/// a browser subscribes with. The key is PEM (PKCS#8 or SEC 1) or the raw number in base64url.
///
/// # Errors
/// Why there is none.
#[cfg(feature = "push")]
pub(super) fn public_key(private: &str) -> Result<String, &'static str> {
    use p256::SecretKey;
    use p256::elliptic_curve::sec1::ToSec1Point;
    use p256::pkcs8::DecodePrivateKey;
    const NO_KEY: &str = "it is no private key of the curve P-256";
    let private = private.trim();
    let key = if private.starts_with("-----BEGIN EC PRIVATE KEY-----") {
        SecretKey::from_sec1_pem(private).map_err(|_| NO_KEY)?
    } else if private.starts_with("-----BEGIN") {
        SecretKey::from_pkcs8_pem(private).map_err(|_| NO_KEY)?
    } else {
        let raw = BASE64URL_NOPAD.decode(private.as_bytes());
        let raw = raw.or_else(|_| BASE64URL.decode(private.as_bytes()));
        let raw = raw.map_err(|_| "it is neither PEM nor base64url")?;
        SecretKey::from_slice(&raw).map_err(|_| NO_KEY)?
    };
    let point = key.public_key().to_sec1_point(false);
    Ok(BASE64URL_NOPAD.encode(point.as_bytes()))
}

/// Without the feature there is no arithmetic to find it with.
///
/// # Errors
/// Always.
#[cfg(not(feature = "push"))]
pub(super) fn public_key(_private: &str) -> Result<String, &'static str> {
    Err("this server was built without Web Push")
}

#[cfg(all(test, feature = "push"))]
mod tests {
    use super::*;

    /// A key that was thrown away, as PKCS#8, as SEC 1 and as the bare number.
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAHFBoxCUNQTfT2Sp\n\
        Qyz1RlW+zIhUqLcwzWnzETucMcWhRANCAASdwu9retYJGwocI50D1/cHP/KiwZkM\n\
        lvukR7UA26qObcxeSoGVvLVVvvuJMwxmepobkQ5mGAc5KAJVuZYvpvQP\n\
        -----END PRIVATE KEY-----\n";
    const RAW: &str = "AHFBoxCUNQTfT2SpQyz1RlW-zIhUqLcwzWnzETucMcU";
    const PUBLIC: &str =
        "BJ3C72t61gkbChwjnQPX9wc_8qLBmQyW-6RHtQDbqo5tzF5KgZW8tVW--4kzDGZ6mhuRDmYYBzkoAlW5li-m9A8";

    #[test]
    fn a_private_key_in_any_form_has_one_public_key() {
        assert_eq!(public_key(PKCS8).as_deref(), Ok(PUBLIC));
        assert_eq!(public_key(RAW).as_deref(), Ok(PUBLIC));
        assert_eq!(public_key(&format!(" {RAW}= ")).as_deref(), Ok(PUBLIC));
    }

    #[test]
    fn what_is_no_key_has_none() {
        let zero = "A".repeat(43);
        for bad in [
            "",
            "!",
            "AA",
            &zero,
            "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
            "-----BEGIN EC PRIVATE KEY-----",
        ] {
            assert!(public_key(bad).is_err(), "{bad}");
        }
    }
}
