//! Every rule as data: bytes in, items and a fault out, in every split.

use super::fuzz::{Outcome, Said, fuzz, run};
use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;
const CONTINUE: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A masked frame with the shortest header, written without the code under test.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ 0..=125 => vec![0x80 | length as u8],
        length @ 126..=0xffff => [&[0xfe][..], &(length as u16).to_be_bytes()].concat(),
        length => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    frame_with(first, &length, payload)
}

/// A masked frame with these bytes for its length.
pub(super) fn frame_with(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let masked = (payload.iter().enumerate()).map(|(i, byte)| byte ^ KEY[i % 4]);
    let header = [&[first][..], length, &KEY].concat();
    header.into_iter().chain(masked).collect()
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason].concat()
}

const LIMITS: WsLimits = WsLimits {
    message_bytes: 70_000,
    message_fragments: 4,
};

/// One stream and what it comes to.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    items: Vec<Said>,
    fault: Option<Fault>,
    /// Whether a control frame may follow: the bytes do not end inside a frame.
    is_whole: bool,
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

fn cases() -> Vec<Case> {
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

impl Case {
    #[track_caller]
    fn check(
        &self,
        how: &str,
        bytes: &[u8],
        expected: &[Said],
        cut: impl FnMut() -> usize,
    ) -> Outcome {
        let outcome = run(bytes, &LIMITS, cut);
        assert_eq!(outcome.fault, self.fault, "{}: {how}", self.name);
        assert!(outcome.items == expected, "{}: {how}", self.name);
        outcome
    }
}

#[test]
fn every_rule_whole_and_byte_by_byte() {
    for case in cases() {
        case.check("whole", &case.bytes, &case.items, || usize::MAX);
        case.check("byte by byte", &case.bytes, &case.items, || 1);
        for size in [2, 3, 5, 7, 64] {
            case.check("in small pieces", &case.bytes, &case.items, || size);
        }
    }
}

#[test]
fn every_rule_in_every_two_pieces() {
    for case in cases() {
        let length = case.bytes.len();
        // Of long streams every cut near an edge and some between.
        let step = if length > 600 { length / 97 } else { 1 };
        let edges = (0..length).filter(|at| at % step == 0 || *at < 40 || at + 40 > length);
        for at in edges {
            let mut sizes = [at, usize::MAX].into_iter().filter(|&size| size > 0);
            let next = || sizes.next().unwrap_or(usize::MAX);
            case.check(&format!("cut at {at}"), &case.bytes, &case.items, next);
        }
    }
}

#[test]
fn every_rule_beside_neighbours() {
    let before = frame(FIN | TEXT, b"before");
    let after = frame(FIN | PING, b"after");
    for case in cases() {
        let mut bytes = [&before[..], &case.bytes].concat();
        let mut expected = [&[text("before")][..], &case.items].concat();
        let is_over = case.fault.is_some() || matches!(case.items.last(), Some(Said::Close(_)));
        if case.is_whole {
            bytes.extend_from_slice(&after);
            if !is_over {
                expected.push(Said::Ping(b"after".to_vec()));
            }
        }
        case.check("merged", &bytes, &expected, || usize::MAX);
        case.check("merged and cut", &bytes, &expected, || 11);
        let mut sizes = [before.len() + 1, case.bytes.len()].into_iter();
        let shifted = || sizes.next().unwrap_or(usize::MAX);
        case.check("cuts moved by one", &bytes, &expected, shifted);
    }
}

#[test]
fn limits_below_at_and_above() {
    let message = |size: usize| frame(FIN | TEXT, "x".repeat(size).as_bytes());
    let fragments = |count: usize| {
        let mut bytes = frame(BINARY, b"");
        (2..count).for_each(|_| bytes.extend(frame(CONTINUE, b"")));
        bytes.extend(frame(FIN, b""));
        bytes
    };
    for (bytes_max, fragments_max) in [(125, 2), (126, 3), (1000, 1024)] {
        let limits = WsLimits {
            message_bytes: bytes_max,
            message_fragments: fragments_max as u32,
        };
        let fault = |bytes: &[u8]| run(bytes, &limits, || 700).fault;
        assert_eq!(fault(&message(bytes_max - 1)), None);
        assert_eq!(fault(&message(bytes_max)), None);
        assert_eq!(fault(&message(bytes_max + 1)), Some(Fault::TooLarge));
        assert_eq!(fault(&fragments(fragments_max.max(3) - 1)), None);
        assert_eq!(fault(&fragments(fragments_max)), None);
        let above = fault(&fragments(fragments_max + 1));
        assert_eq!(above, Some(Fault::TooManyFragments));
    }
    let none = WsLimits {
        message_bytes: 0,
        message_fragments: 0,
    };
    assert_eq!(run(&message(0), &none, || 1).items, [text("")]);
    assert_eq!(run(&message(1), &none, || 1).fault, Some(Fault::TooLarge));
    let first = run(&frame(TEXT, b""), &none, || 1).fault;
    assert_eq!(first, Some(Fault::TooManyFragments));
    // Control frames count for neither.
    assert_eq!(run(&frame(FIN | PING, &[0; 125]), &none, || 1).fault, None);
}

#[test]
fn a_whole_frame_is_lent_from_the_input() {
    let letters = "x".repeat(5000);
    let mut bytes = [
        frame(FIN | TEXT, letters.as_bytes()),
        frame(BINARY, b"begun"),
        frame(FIN | PING, b"between"),
    ]
    .concat();
    let range = bytes.as_ptr_range();
    let mut input = &mut bytes[..];
    let mut decoder = Decoder::new();
    let Ok(Some(Item::Text(text))) = decoder.next(&mut input, &LIMITS) else {
        panic!("a text");
    };
    assert_eq!(text, letters);
    assert!(range.contains(&text.as_ptr()));
    assert_eq!(decoder.held_bytes(), 0);
    assert!(decoder.is_idle());
    let Ok(Some(Item::Ping(payload))) = decoder.next(&mut input, &LIMITS) else {
        panic!("a ping");
    };
    assert_eq!(payload, b"between");
    assert!(range.contains(&payload.as_ptr()), "also inside a message");
    assert!(!decoder.is_idle());
}

#[test]
fn what_was_lent_is_let_go_by_the_next_call() {
    let mut bytes = frame(FIN | TEXT, &[b'x'; 1000]);
    let (front, back) = bytes.split_at_mut(500);
    let mut decoder = Decoder::new();
    let mut input = front;
    assert_eq!(decoder.next(&mut input, &LIMITS), Ok(None));
    assert!(!decoder.is_idle());
    let mut input = back;
    assert!(matches!(
        decoder.next(&mut input, &LIMITS),
        Ok(Some(Item::Text(_)))
    ));
    assert!(decoder.is_idle(), "lent is not unfinished");
    assert!(decoder.held_bytes() > 0);
    assert_eq!(decoder.next(&mut input, &LIMITS), Ok(None));
    assert_eq!(decoder.held_bytes(), 0);
}

#[test]
fn what_was_announced_is_not_reserved() {
    let mut bytes = frame_with(FIN | BINARY, b"\xff\0\0\0\0\0\x01\0\0", b"ten bytes.");
    let mut decoder = Decoder::new();
    let mut input = &mut bytes[..];
    let limits = WsLimits::default();
    assert_eq!(decoder.next(&mut input, &limits), Ok(None));
    assert!(decoder.held_bytes() < 400, "{}", decoder.held_bytes());
}

#[test]
fn a_long_message_in_small_pieces_costs_linear_time_and_bounded_memory() {
    let limits = WsLimits {
        message_bytes: 2_000_000,
        message_fragments: 1,
    };
    let letters = "\u{1f600}".repeat(500_000);
    let outcome = run(&frame(FIN | TEXT, letters.as_bytes()), &limits, || 61);
    assert!(outcome.items == [Said::Text(letters)]);
    assert!(outcome.is_idle);
}

#[test]
fn answers_are_what_the_peer_expects() {
    let mut writer = FrameWriter::new();
    assert_eq!(&pong(&mut writer, b"hi")[..], b"\x8a\x02hi");
    assert_eq!(&pong(&mut writer, b"")[..], b"\x8a\x00");
    assert_eq!(&close_answer(&mut writer, None)[..], b"\x88\x00");
    let close = Some((4321, "going"));
    assert_eq!(&close_answer(&mut writer, close)[..], b"\x88\x02\x10\xe1");
    let frame = refusal(&mut writer, Fault::NotUtf8);
    assert_eq!(&frame[..4], b"\x88\x14\x03\xef");
    assert_eq!(&frame[4..], b"text must be UTF-8");
}

#[test]
fn every_fault_has_a_code_and_a_reason_that_fits() {
    for (code, faults) in [
        (
            1002,
            &[
                Fault::NotMasked,
                Fault::ReservedBits,
                Fault::ReservedOpcode,
                Fault::LengthTopBit,
                Fault::LengthNotShortest,
                Fault::ControlFragmented,
                Fault::ControlTooLong,
                Fault::NothingToContinue,
                Fault::MessageUnfinished,
                Fault::CloseLength,
                Fault::CloseCode,
            ][..],
        ),
        (1007, &[Fault::NotUtf8]),
        (1009, &[Fault::TooLarge, Fault::TooManyFragments]),
    ] {
        for fault in faults {
            assert_eq!(fault.close_code(), code, "{fault:?}");
            assert!((1..=123).contains(&fault.reason().len()), "{fault:?}");
        }
    }
}

#[test]
fn the_fuzz_entry_holds_on_every_case() {
    fuzz(b"");
    for case in cases().iter().filter(|case| case.bytes.len() < 10_000) {
        for start in [[0, 0, 0], [1, 1, 1], [255, 3, 200], [255, 255, 255]] {
            fuzz(&[&start[..], &case.bytes].concat());
        }
    }
}
