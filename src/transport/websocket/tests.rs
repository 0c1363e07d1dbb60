//! Every rule as data: bytes in, items and a fault out, in every split.

use super::fuzz::{Said, fuzz, run};
use super::*;
use cases::{BINARY, CONTINUE, Case, FIN, LIMITS, PING, TEXT, cases, text};

mod cases;
pub(super) use cases::{frame, frame_with};

impl Case {
    #[track_caller]
    fn check(&self, how: &str, bytes: &[u8], expected: &[Said], cut: impl FnMut() -> usize) {
        let outcome = run(bytes, &LIMITS, cut);
        assert_eq!(outcome.fault, self.fault, "{}: {how}", self.name);
        assert!(outcome.items == expected, "{}: {how}", self.name);
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
