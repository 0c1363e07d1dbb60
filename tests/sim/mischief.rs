//! What a client should not send: broken HTTP, broken frames, requests that are wrong.

use super::chance::Chance;
use super::peer::masked;

/// Bytes that a connection which speaks HTTP must be refused for. After them the client is done.
pub fn http_junk(chance: &mut Chance) -> Vec<u8> {
    let head = "POST /message HTTP/1.1\r\nHost: sim.example\r\n";
    let anyone = head.replace("/message", "/disconnect");
    let text = match chance.below(17) {
        0 => "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(),
        1 => "GET\r\n\r\n".to_owned(),
        2 => "GET /info HTTP/1.1\r\n\r\n".to_owned(),
        3 => "GET /info HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(),
        4 => "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        5 => format!("{head}Bad Header: x\r\n\r\n"),
        6 => format!("{head}{}\r\n", "A: b\r\n".repeat(80)),
        7 => format!("{head}Long: {}\r\n\r\n", "x".repeat(20_000)),
        // Where anybody may send a body; elsewhere its head is refused before its length is.
        8 | 14 | 15 => format!("{anyone}Content-Length: 99999999\r\n\r\n"),
        9 => format!("{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        // Where anybody may send a body, or its head alone would be refused.
        10 => format!("{anyone}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        11 => format!("{head}Content-Length: -1\r\n\r\n"),
        12 => format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(10_000)),
        _ => {
            let mut bytes: Vec<u8> = (0..chance.within(2, 40))
                .map(|_| chance.bits() as u8)
                .collect();
            // A byte with which no method begins.
            bytes[0] = *chance.pick(&[0, b'{', 0x80, 0xff, b'(', b' ']);
            return bytes;
        }
    };
    text.into_bytes()
}

/// A frame that an open socket must be refused for. After it the client is done. `message_bytes`
/// is the most that a message may have.
pub fn frame_junk(message_bytes: usize, chance: &mut Chance) -> Vec<u8> {
    match chance.below(10) {
        // Not masked.
        0 => vec![0x81, 2, b'h', b'i'],
        // A reserved bit, a reserved op code.
        1 => masked(0xc1, b"x", chance),
        2 => masked(0x83, b"x", chance),
        // A control frame in fragments, one that is too long.
        3 => masked(0x09, b"x", chance),
        4 => masked(0x89, &[b'p'; 126], chance),
        // Nothing to continue.
        5 => masked(0x80, b"x", chance),
        // A new message inside of an unfinished one.
        6 => {
            let mut bytes = masked(0x01, b"x", chance);
            bytes.extend(masked(0x81, b"y", chance));
            bytes
        }
        // No UTF-8.
        7 => masked(0x81, b"\xff\xfe", chance),
        // Too large.
        8 => masked(0x82, &vec![7; message_bytes + 1], chance),
        // Closes that are none: half a code, a code that must not be sent.
        _ if chance.one_in(2) => masked(0x88, b"\x03", chance),
        _ => masked(0x88, &1005_u16.to_be_bytes(), chance),
    }
}

/// A request that changes nothing, with the status of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Odd {
    pub method: &'static str,
    pub target: &'static str,
    pub body: &'static str,
    pub status: u16,
    /// Whether callers must sign it.
    pub is_signed: bool,
    /// Whether a secret is looked at at all.
    pub sees_secret: bool,
}

const fn odd(
    method: &'static str,
    target: &'static str,
    body: &'static str,
    status: u16,
    is_signed: bool,
) -> Odd {
    Odd {
        method,
        target,
        body,
        status,
        is_signed,
        sees_secret: true,
    }
}

/// Requests that are wrong, or merely beside the matter.
pub const ODD: [Odd; 14] = [
    odd("POST", "/message", "{", 400, true),
    odd("POST", "/message", "nonsense", 400, true),
    odd("POST", "/message", "{\"user\":5}", 422, true),
    odd("POST", "/message", "[{\"message\":{}}]", 422, true),
    odd("POST", "/connect", "{}", 422, true),
    odd("POST", "/connect", "{\"username\":\"\"}", 422, true),
    odd("POST", "/subscribe", "[1]", 422, true),
    odd("POST", "/disconnect", "{\"conn_id\":7}", 422, false),
    odd("GET", "/disconnect", "", 422, false),
    odd("POST", "/no-such-path", "{}", 404, false),
    odd("GET", "/listen", "", 422, false),
    odd("GET", "/nothing", "", 404, false),
    Odd {
        sees_secret: false,
        ..odd("GET", "/health/live", "", 200, false)
    },
    Odd {
        sees_secret: false,
        ..odd("GET", "/ws", "", 400, false)
    },
];
