//! The rules of RFC 6455 and our own limits, as data.

use crate::transport::websocket::fuzz::Said;
use crate::transport::websocket::{Fault, WsLimits};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub(super) const FIN: u8 = 0x80;
pub(super) const CONTINUE: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A masked frame with the shortest header, written without the code under test.
pub(in super::super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ 0..=125 => vec![0x80 | length as u8],
        length @ 126..=0xffff => [&[0xfe][..], &(length as u16).to_be_bytes()].concat(),
        length => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    frame_with(first, &length, payload)
}

/// A masked frame with these bytes for its length.
pub(in super::super) fn frame_with(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let masked = (payload.iter().enumerate()).map(|(i, byte)| byte ^ KEY[i % 4]);
    let header = [&[first][..], length, &KEY].concat();
    header.into_iter().chain(masked).collect()
}

pub(super) fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

pub(super) const LIMITS: WsLimits = WsLimits {
    message_bytes: 70_000,
    message_fragments: 4,
};

/// One stream and what it comes to.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Said>,
    pub(super) fault: Option<Fault>,
    /// Whether a control frame may follow: the bytes do not end inside a frame.
    pub(super) is_whole: bool,
}

fn good(name: &'static str, frames: &[Vec<u8>], items: Vec<Said>) -> Case {
    Case {
        name,
        bytes: frames.concat(),
        items,
        fault: None,
        is_whole: true,
    }
}

fn bad(name: &'static str, frames: &[Vec<u8>], fault: Fault) -> Case {
    Case {
        name,
        bytes: frames.concat(),
        items: vec![],
        fault: Some(fault),
        is_whole: true,
    }
}

/// The stream ends inside a frame, and what has come is enough to say this.
fn cut(name: &'static str, frames: &[Vec<u8>], keep: usize, fault: Option<Fault>) -> Case {
    let mut bytes = frames.concat();
    bytes.truncate(keep);
    Case {
        name,
        bytes,
        items: vec![],
        fault,
        is_whole: false,
    }
}

fn messages() -> Vec<Case> {
    let sizes = [1, 7, 8, 9, 125, 126, 127, 128, 4096, 65_535, 65_536, 70_000];
    let mut cases: Vec<Case> = (sizes.into_iter())
        .flat_map(|size| {
            let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let letters = "x".repeat(size);
            [
                good(
                    "binary of some size",
                    &[frame(FIN | BINARY, &payload)],
                    vec![Said::Binary(payload)],
                ),
                good(
                    "text of some size",
                    &[frame(FIN | TEXT, letters.as_bytes())],
                    vec![text(&letters)],
                ),
            ]
        })
        .collect();
    let umlauts = "a\u{e4}\u{20ac}\u{1f600}\u{10ffff}\u{0}z".to_owned();
    let (front, back) = umlauts.as_bytes().split_at(8);
    cases.extend([
        good("empty text", &[frame(FIN | TEXT, b"")], vec![text("")]),
        good(
            "empty binary",
            &[frame(FIN | BINARY, b"")],
            vec![Said::Binary(vec![])],
        ),
        good(
            "characters of every length",
            &[frame(FIN | TEXT, umlauts.as_bytes())],
            vec![text(&umlauts)],
        ),
        good(
            "a character cut by a fragment",
            &[frame(TEXT, front), frame(FIN, back)],
            vec![text(&umlauts)],
        ),
        good(
            "a character in one fragment per byte",
            &[
                frame(TEXT, b"\xf0"),
                frame(CONTINUE, b"\x9f"),
                frame(CONTINUE, b"\x98"),
                frame(FIN, b"\x80"),
            ],
            vec![text("\u{1f600}")],
        ),
        good(
            "binary fragments may cut anything",
            &[frame(BINARY, b"\xff\xf0"), frame(FIN, b"\x80")],
            vec![Said::Binary(b"\xff\xf0\x80".to_vec())],
        ),
        good(
            "empty fragments, as many as allowed",
            &[
                frame(TEXT, b""),
                frame(CONTINUE, b""),
                frame(CONTINUE, b""),
                frame(FIN, b""),
            ],
            vec![text("")],
        ),
        good(
            "control frames between fragments",
            &[
                frame(TEXT, b"a"),
                frame(FIN | PING, b"1"),
                frame(CONTINUE, b"b"),
                frame(FIN | PONG, b""),
                frame(FIN | PING, b"2"),
                frame(FIN, b"c"),
            ],
            vec![
                Said::Ping(b"1".to_vec()),
                Said::Pong(vec![]),
                Said::Ping(b"2".to_vec()),
                text("abc"),
            ],
        ),
        good(
            "a close inside a message ends it",
            &[frame(TEXT, b"a"), frame(FIN | CLOSE, b"")],
            vec![Said::Close(None)],
        ),
        good(
            "one message after another",
            &[
                frame(FIN | TEXT, b"one"),
                frame(TEXT, b"t"),
                frame(FIN, b"wo"),
                frame(FIN | BINARY, b"three"),
                frame(BINARY, b""),
                frame(FIN, b"four"),
            ],
            vec![
                text("one"),
                text("two"),
                Said::Binary(b"three".to_vec()),
                Said::Binary(b"four".to_vec()),
            ],
        ),
        good(
            "an unfinished message says nothing",
            &[frame(TEXT, b"never")],
            vec![],
        ),
    ]);
    cases
}

fn controls() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [0, 1, 124, 125] {
        let payload = vec![0xff; size];
        cases.extend([
            good(
                "ping",
                &[frame(FIN | PING, &payload)],
                vec![Said::Ping(payload.clone())],
            ),
            good(
                "pong",
                &[frame(FIN | PONG, &payload)],
                vec![Said::Pong(payload.clone())],
            ),
        ]);
    }
    for opcode in [CLOSE, PING, PONG] {
        cases.extend([
            bad(
                "control too long",
                &[frame(FIN | opcode, &[0; 126])],
                Fault::ControlTooLong,
            ),
            bad(
                "control fragmented",
                &[frame(opcode, b"")],
                Fault::ControlFragmented,
            ),
            bad(
                "control not final",
                &[frame(opcode, b"12"), frame(FIN, b"")],
                Fault::ControlFragmented,
            ),
        ]);
    }
    let allowed = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    for code in allowed {
        cases.push(good(
            "close code",
            &[frame(
                FIN | CLOSE,
                &close_payload(code, "r\u{fc}ck".as_bytes()),
            )],
            vec![Said::Close(Some((code, "r\u{fc}ck".to_owned())))],
        ));
    }
    let refused = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ];
    for code in refused {
        let payload = close_payload(code, b"");
        cases.push(bad(
            "refused close code",
            &[frame(FIN | CLOSE, &payload)],
            Fault::CloseCode,
        ));
    }
    let long = "l".repeat(123);
    cases.extend([
        good(
            "empty close",
            &[frame(FIN | CLOSE, b"")],
            vec![Said::Close(None)],
        ),
        good(
            "nothing after a close is read",
            &[frame(FIN | CLOSE, b""), frame(0xff, b"junk")],
            vec![Said::Close(None)],
        ),
        good(
            "longest close reason",
            &[frame(FIN | CLOSE, &close_payload(1000, long.as_bytes()))],
            vec![Said::Close(Some((1000, long)))],
        ),
        bad(
            "close of one byte",
            &[frame(FIN | CLOSE, b"\x03")],
            Fault::CloseLength,
        ),
        bad(
            "close reason not UTF-8",
            &[frame(FIN | CLOSE, &close_payload(1000, b"a\xffb"))],
            Fault::NotUtf8,
        ),
        bad(
            "close reason ends inside a character",
            &[frame(FIN | CLOSE, &close_payload(1000, b"a\xe2\x82"))],
            Fault::NotUtf8,
        ),
        bad(
            "of two faults in a close the code comes first",
            &[frame(FIN | CLOSE, &close_payload(1005, b"\xff"))],
            Fault::CloseCode,
        ),
    ]);
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let bytes = frame(FIN | bit | opcode, b"xx");
            cases.push(bad("reserved bit", &[bytes], Fault::ReservedBits));
        }
        cases.push(bad(
            "reserved bit in a continuation",
            &[frame(TEXT, b"a"), frame(FIN | bit, b"b")],
            Fault::ReservedBits,
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.extend([
            bad(
                "reserved op code",
                &[frame(FIN | opcode, b"x")],
                Fault::ReservedOpcode,
            ),
            bad(
                "reserved op code",
                &[frame(opcode, b"")],
                Fault::ReservedOpcode,
            ),
            bad(
                "reserved op code inside a message",
                &[frame(TEXT, b"a"), frame(FIN | opcode, b"x")],
                Fault::ReservedOpcode,
            ),
        ]);
    }
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        cases.push(bad(
            "not masked",
            &[vec![FIN | opcode, 0]],
            Fault::NotMasked,
        ));
        cases.push(bad(
            "not masked",
            &[vec![FIN | opcode, 2, b'h', b'i']],
            Fault::NotMasked,
        ));
    }
    let eight = |length: u64| [&[0xff][..], &length.to_be_bytes()].concat();
    let two = |length: u16| [&[0xfe][..], &length.to_be_bytes()].concat();
    for length in [0_u8, 1, 125] {
        let payload = vec![b'x'; usize::from(length)];
        for form in [two(length.into()), eight(length.into())] {
            let bytes = frame_with(FIN | TEXT, &form, &payload);
            cases.push(bad(
                "length not in shortest form",
                &[bytes],
                Fault::LengthNotShortest,
            ));
            let bytes = frame_with(FIN | PING, &form, &payload);
            cases.push(bad("nor of a ping", &[bytes], Fault::LengthNotShortest));
        }
    }
    for length in [126_u64, 65_535] {
        let payload = vec![b'x'; length as usize];
        let bytes = frame_with(FIN | BINARY, &eight(length), &payload);
        cases.push(bad(
            "length not in shortest form",
            &[bytes],
            Fault::LengthNotShortest,
        ));
    }
    for length in [1 << 63, u64::MAX] {
        let bytes = frame_with(FIN | BINARY, &eight(length), b"abc");
        cases.push(bad("top bit of the length", &[bytes], Fault::LengthTopBit));
    }
    let bytes = frame_with(FIN | BINARY, &eight(u64::MAX >> 1), b"abc");
    cases.push(bad("longest length there is", &[bytes], Fault::TooLarge));
    cases
}

fn sequences() -> Vec<Case> {
    let largest = vec![b'x'; LIMITS.message_bytes];
    let (most, _) = largest.split_at(LIMITS.message_bytes - 1);
    vec![
        bad(
            "nothing to continue",
            &[frame(FIN, b"a")],
            Fault::NothingToContinue,
        ),
        bad(
            "nothing to continue",
            &[frame(CONTINUE, b"")],
            Fault::NothingToContinue,
        ),
        bad(
            "text inside text",
            &[frame(TEXT, b"a"), frame(FIN | TEXT, b"b")],
            Fault::MessageUnfinished,
        ),
        bad(
            "binary inside text",
            &[frame(TEXT, b""), frame(BINARY, b"")],
            Fault::MessageUnfinished,
        ),
        bad(
            "text inside binary",
            &[frame(BINARY, b"a"), frame(TEXT, b"b")],
            Fault::MessageUnfinished,
        ),
        bad(
            "a byte too many in one frame",
            &[frame(FIN | BINARY, &vec![b'x'; LIMITS.message_bytes + 1])],
            Fault::TooLarge,
        ),
        bad(
            "a byte too many in a first fragment",
            &[frame(BINARY, &vec![b'x'; LIMITS.message_bytes + 1])],
            Fault::TooLarge,
        ),
        bad(
            "a byte too many in two fragments",
            &[frame(BINARY, &largest), frame(FIN, b"x")],
            Fault::TooLarge,
        ),
        good(
            "the largest in two fragments",
            &[frame(TEXT, most), frame(FIN, b"x")],
            vec![Said::Text("x".repeat(LIMITS.message_bytes))],
        ),
        good(
            "an empty fragment after the largest",
            &[frame(BINARY, &largest), frame(FIN, b"")],
            vec![Said::Binary(largest.clone())],
        ),
        bad(
            "one fragment too many",
            &[
                frame(TEXT, b""),
                frame(CONTINUE, b""),
                frame(CONTINUE, b""),
                frame(CONTINUE, b""),
                frame(FIN, b""),
            ],
            Fault::TooManyFragments,
        ),
    ]
}

/// Texts that are not UTF-8, with the number of bytes after which that is certain.
const NOT_UTF8: &[(&[u8], usize)] = &[
    (b"\xff", 1),
    (b"ab\x80cd", 3),
    (b"ab\xc0\x80", 3),
    (b"ab\xc1\xbf", 3),
    (b"\xf5\x80\x80\x80", 1),
    (b"a\xe0\x9f\xbf", 3),
    (b"a\xed\xa0\x80", 3),
    (b"a\xf4\x90\x80\x80", 3),
    (b"a\xf0\x8f\xbf\xbf", 3),
    (b"a\xc3b", 3),
    (b"\xe2\x82b", 3),
    (b"\xf0\x9f\x98b", 4),
    (b"\xf0\x9f\x98\x80\x80", 5),
    (
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}\u{d7ff}".as_bytes(),
        usize::MAX,
    ),
];

fn texts() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(payload, certain) in NOT_UTF8 {
        if certain == usize::MAX {
            let said = String::from_utf8(payload.to_vec()).expect("the one good text");
            cases.push(good(
                "good after all",
                &[frame(FIN | TEXT, payload)],
                vec![Said::Text(said)],
            ));
            continue;
        }
        cases.push(bad(
            "not UTF-8",
            &[frame(FIN | TEXT, payload)],
            Fault::NotUtf8,
        ));
        for at in 0..payload.len() {
            let (front, back) = payload.split_at(at);
            let frames = [frame(TEXT, front), frame(FIN, back)];
            cases.push(bad("not UTF-8 in two fragments", &frames, Fault::NotUtf8));
        }
        // The frame announces more than will ever come.
        let long = [payload, &[b'x'; 1000]].concat();
        let frames = [frame(TEXT, &long)];
        let header = frames[0].len() - long.len();
        cases.extend([
            cut(
                "certain before the end",
                &frames,
                header + certain,
                Some(Fault::NotUtf8),
            ),
            cut("not certain yet", &frames, header + certain - 1, None),
        ]);
        let frames = [frame(
            FIN | CLOSE,
            &close_payload(1000, &long[..payload.len() + 9]),
        )];
        cases.extend([
            cut(
                "certain in a reason",
                &frames,
                8 + certain,
                Some(Fault::NotUtf8),
            ),
            cut("not certain in a reason", &frames, 8 + certain - 1, None),
        ]);
    }
    for ending in [&b"a\xc3"[..], b"a\xe2\x82", b"\xf0\x9f\x98", b"\xf0"] {
        cases.extend([
            bad(
                "ends inside a character",
                &[frame(FIN | TEXT, ending)],
                Fault::NotUtf8,
            ),
            bad(
                "ends inside a character, in an empty fragment",
                &[frame(TEXT, ending), frame(FIN, b"")],
                Fault::NotUtf8,
            ),
        ]);
    }
    cases
}

/// Refusals that must not wait for the payload, and waits that must not refuse.
fn early() -> Vec<Case> {
    let header = |first, length: &[u8]| frame_with(first, length, b"");
    vec![
        cut(
            "too large",
            &[header(FIN | TEXT, b"\xff\0\0\0\0\0\x01\x11\x71")],
            99,
            Some(Fault::TooLarge),
        ),
        cut(
            "largest",
            &[header(FIN | TEXT, b"\xff\0\0\0\0\0\x01\x11\x70")],
            99,
            None,
        ),
        cut(
            "close of one byte",
            &[header(FIN | CLOSE, b"\x81")],
            99,
            Some(Fault::CloseLength),
        ),
        cut(
            "long ping",
            &[header(FIN | PING, b"\xfe\0\x7e")],
            99,
            Some(Fault::ControlTooLong),
        ),
        cut(
            "reserved bit",
            &[header(0xc1, b"\x85")],
            99,
            Some(Fault::ReservedBits),
        ),
        cut(
            "nothing to continue",
            &[header(FIN, b"\x85")],
            99,
            Some(Fault::NothingToContinue),
        ),
        cut(
            "not masked",
            &[vec![0x81, 0x05]],
            99,
            Some(Fault::NotMasked),
        ),
        cut(
            "close code",
            &[header(FIN | CLOSE, b"\x85"), vec![0x34, 0x17]],
            99,
            Some(Fault::CloseCode),
        ),
        cut(
            "half a header",
            &[header(FIN | TEXT, b"\xff\0\0\0\0\0\0\x20\0")],
            13,
            None,
        ),
        cut("one byte", &[header(FIN | TEXT, b"\x85")], 1, None),
        cut("no byte", &[], 0, None),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [
        messages(),
        controls(),
        headers(),
        sequences(),
        texts(),
        early(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
