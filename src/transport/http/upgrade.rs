//! From HTTP to WebSocket: the opening handshake (RFC 6455 section 4.2).
//!
//! Extensions and sub-protocols are never chosen. Who may open a socket is not decided here.

use super::message::{Method, Request, Response, Status};
use super::response;
use data_encoding::BASE64;
use sha1::{Digest, Sha1};

/// What a server adds to the key before hashing (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key is this many base64 characters: 16 bytes.
const KEY_CHARS: usize = 24;
const KEY_BYTES: usize = 16;
/// The answer to a key: 20 bytes as base64.
const ACCEPT_CHARS: usize = 28;

/// The version of the protocol that the client chose. The two differ in nothing but the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 6455.
    V13,
    /// A draft before it (draft-ietf-hybi-thewebsocketprotocol-08 to -12). RFC 6455 section 4.4
    /// asks for nothing but 13; this one is taken as well because the server that Channelstream
    /// comes with accepts both, and old clients of it would otherwise find the door shut. Frames
    /// and handshake are the same, but for the header that says where the page came from
    /// (`Sec-WebSocket-Origin`), which is not looked at here. Who offers anything else is told 13.
    V8,
}

/// A handshake that is to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub value: [u8; ACCEPT_CHARS],
    /// What the client speaks; said back to it.
    pub version: Version,
}

/// Why a handshake is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeRefusal {
    /// Not GET, not HTTP/1.1, with a body, or without the words `websocket` and `Upgrade` where
    /// they belong.
    NoHandshake,
    /// `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    BadKey,
    /// `Sec-WebSocket-Version` is missing, repeated, or a version that is not spoken here.
    BadVersion,
}

impl UpgradeRefusal {
    /// The status of the answer.
    pub fn status(self) -> Status {
        match self {
            Self::NoHandshake | Self::BadKey => 400,
            Self::BadVersion => 426,
        }
    }

    /// One word for programs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoHandshake => "bad_upgrade",
            Self::BadKey => "bad_key",
            Self::BadVersion => "bad_version",
        }
    }

    /// What was wrong, and what was expected.
    pub fn message(self) -> &'static str {
        match self {
            Self::NoHandshake => {
                "a WebSocket handshake is a GET request in HTTP/1.1 without a body, with \
                 Upgrade: websocket and Connection: Upgrade"
            }
            Self::BadKey => "Sec-WebSocket-Key must be there once: 16 bytes in base64",
            Self::BadVersion => "Sec-WebSocket-Version must be 13",
        }
    }

    /// The answer that says so. It ends the connection: what follows may be frames already.
    pub fn response(self) -> Response {
        let response = response::refusal(self.status(), self.word(), self.message(), None);
        match self {
            Self::NoHandshake | Self::BadKey => response,
            // RFC 6455 section 4.4, and RFC 9110 section 15.5.22 for the second header.
            Self::BadVersion => response
                .with("Sec-WebSocket-Version", "13")
                .with("Upgrade", "websocket"),
        }
    }
}

/// Whether a request wants to become a WebSocket, rightly or wrongly.
pub fn is_upgrade(request: &Request<'_>) -> bool {
    request.headers.has_word("upgrade", "websocket")
}

/// Checks a handshake (RFC 6455 section 4.2.1).
///
/// # Errors
///
/// If it is none, or one that cannot be answered; see [`UpgradeRefusal`].
pub fn websocket(request: &Request<'_>) -> Result<Accept, UpgradeRefusal> {
    let is_handshake = request.method == Method::Get
        && request.is_1_1
        && request.body.is_empty()
        && is_upgrade(request)
        && request.headers.has_word("connection", "upgrade");
    if !is_handshake {
        return Err(UpgradeRefusal::NoHandshake);
    }
    let version = match only(request, "sec-websocket-version") {
        Some(b"13") => Version::V13,
        Some(b"8") => Version::V8,
        Some(_) | None => return Err(UpgradeRefusal::BadVersion),
    };
    let key = only(request, "sec-websocket-key").ok_or(UpgradeRefusal::BadKey)?;
    // The room that the base64 decoder wants is for the padding as well.
    let mut decoded = [0; KEY_BYTES + 2];
    if key.len() != KEY_CHARS || BASE64.decode_mut(key, &mut decoded) != Ok(KEY_BYTES) {
        return Err(UpgradeRefusal::BadKey);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut value = [0; ACCEPT_CHARS];
    BASE64.encode_mut(&digest, &mut value);
    Ok(Accept { value, version })
}

/// The value of a header that came exactly once.
fn only<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = request.headers.all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Appends the answer that accepts; behind it the connection carries frames.
pub fn switching(accept: &Accept, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: ",
    );
    out.extend_from_slice(match accept.version {
        Version::V13 => b"13",
        Version::V8 => b"8",
    });
    out.extend_from_slice(b"\r\nSec-WebSocket-Accept: ");
    out.extend_from_slice(&accept.value);
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, HttpLimits, Scratch, Step};
    use super::*;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const WORDS: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";

    fn answer(line: &str, headers: &[&str]) -> Result<Accept, UpgradeRefusal> {
        let text = format!("{line}\r\nHost: a\r\n{}\r\nframes", headers.concat());
        let mut input = text.as_bytes();
        let mut decoder = Decoder::new();
        let mut scratch = Scratch::new();
        let Step::Request(request) = decoder.next(&mut input, &HttpLimits::default(), &mut scratch)
        else {
            panic!("not a request: {text}");
        };
        let accept = websocket(&request);
        assert_eq!(input, b"frames", "what is behind a handshake stays");
        accept
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accept = answer("GET /ws HTTP/1.1", &[WORDS, KEY, VERSION]).unwrap();
        assert_eq!(&accept.value, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut out = Vec::new();
        switching(&accept, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             \r\n",
        );
    }

    #[test]
    fn version_8_is_said_back() {
        let version = "Sec-WebSocket-Version: 8\r\n";
        let accept = answer("GET / HTTP/1.1", &[WORDS, KEY, version]).unwrap();
        let mut out = Vec::new();
        switching(&accept, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("Sec-WebSocket-Version: 8\r\n"), "{out}");
    }

    #[test]
    fn words_may_be_in_any_case_and_among_others() {
        let words = "UPGRADE: h2c, WebSocket\r\nconnection: upgrade\r\n";
        assert!(answer("GET / HTTP/1.1", &[words, KEY, VERSION]).is_ok());
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        use UpgradeRefusal::{BadKey, BadVersion, NoHandshake};
        let cases: &[(&str, &[&str], UpgradeRefusal)] = &[
            ("POST / HTTP/1.1", &[WORDS, KEY, VERSION], NoHandshake),
            ("HEAD / HTTP/1.1", &[WORDS, KEY, VERSION], NoHandshake),
            ("GET / HTTP/1.0", &[WORDS, KEY, VERSION], NoHandshake),
            ("GET / HTTP/1.1", &[KEY, VERSION], NoHandshake),
            (
                "GET / HTTP/1.1",
                &["Upgrade: websocket\r\n", KEY, VERSION],
                NoHandshake,
            ),
            (
                "GET / HTTP/1.1",
                &["Connection: Upgrade\r\n", KEY, VERSION],
                NoHandshake,
            ),
            ("GET / HTTP/1.1", &[WORDS, VERSION], BadKey),
            ("GET / HTTP/1.1", &[WORDS, KEY, KEY, VERSION], BadKey),
            ("GET / HTTP/1.1", &[WORDS, KEY], BadVersion),
            (
                "GET / HTTP/1.1",
                &[WORDS, KEY, VERSION, VERSION],
                BadVersion,
            ),
            (
                "GET / HTTP/1.1",
                &[WORDS, KEY, "Sec-WebSocket-Version: 12\r\n"],
                BadVersion,
            ),
            (
                "GET / HTTP/1.1",
                &[WORDS, KEY, "Sec-WebSocket-Version: 13, 8\r\n"],
                BadVersion,
            ),
        ];
        for (line, headers, expected) in cases {
            assert_eq!(answer(line, headers), Err(*expected), "{line} {headers:?}");
        }
        for key in [
            "",
            "AAAA",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=A",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25jZTE=",
            "dGhlIHNhbXBsZSBub25jZTEy",
            "dGhlIHNhbXBsZSBub25-ZQ==",
            "dGhlIHNhbXBsZSBub25jZTEyMzQ=",
        ] {
            let header = format!("Sec-WebSocket-Key: {key}\r\n");
            let found = answer("GET / HTTP/1.1", &[WORDS, &header, VERSION]);
            assert_eq!(found, Err(BadKey), "{key}");
        }
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        let response = UpgradeRefusal::BadVersion.response();
        assert_eq!(response.status, 426);
        assert!(response.close);
        let says_13 = |(name, value): &(&str, std::borrow::Cow<'_, str>)| {
            *name == "Sec-WebSocket-Version" && value == "13"
        };
        assert!(response.headers.iter().any(says_13));
        assert_eq!(UpgradeRefusal::BadKey.response().status, 400);
    }

    #[test]
    fn only_requests_that_ask_for_it_are_upgrades() {
        for (value, expected) in [("websocket", true), ("h2c", false)] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: {value}\r\n\r\n");
            let mut input = text.as_bytes();
            let mut decoder = Decoder::new();
            let mut scratch = Scratch::new();
            match decoder.next(&mut input, &HttpLimits::default(), &mut scratch) {
                Step::Request(request) => assert_eq!(is_upgrade(&request), expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
