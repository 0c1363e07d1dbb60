//! The same bytes to our decoder, in random cuts, and to tungstenite's own reader: the same items
//! and the same class of fault.
//!
//! Where we differ on purpose is written down in [`compare`], for each fault as what exactly
//! tungstenite must make of the same frame:
//!
//! | We | tungstenite |
//! |---|---|
//! | refuse a header before its payload | waits for the payload: it is given filler up to its end |
//! | refuse text at the first impossible byte | at the end of the frame: filler again |
//! | insist on the shortest form of a length | does not: the header is rewritten, and both agree |
//! | count fragments | does not: both agree up to that fragment |
//! | judge a length against the limit last | first: a wrong frame that is too long is too long |
//! | refuse a close code that must not be sent | hands out 1002 in its place |
//! | take 1014 for a close code | does not know it, so the same |

use super::fuzz::{Said, run};
use super::tests::frame_with;
use super::{Fault, WsLimits};
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Write};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// What tungstenite found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Protocol,
    Utf8,
    Capacity,
}

/// A socket that has received these bytes and no more, and swallows what is written.
struct Socket<'a>(Cursor<&'a [u8]>);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of `bytes`, up to a Close or an error.
fn theirs(bytes: &[u8], limits: &WsLimits) -> (Vec<Said>, Option<Class>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut socket = Socket(Cursor::new(bytes));
    let mut items = Vec::new();
    loop {
        match context.read(&mut socket) {
            Ok(Message::Text(text)) => items.push(Said::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => items.push(Said::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => items.push(Said::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => items.push(Said::Pong(bytes.to_vec())),
            Ok(Message::Close(close)) => {
                let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                items.push(Said::Close(close));
                return (items, None);
            }
            Ok(Message::Frame(frame)) => panic!("never read: {frame:?}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (items, None);
            }
            Err(Error::Protocol(_)) => return (items, Some(Class::Protocol)),
            Err(Error::Utf8(_)) => return (items, Some(Class::Utf8)),
            Err(Error::Capacity(_)) => return (items, Some(Class::Capacity)),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// What tungstenite gives for a Close whose code it does not allow.
fn protocol_violation() -> Said {
    Said::Close(Some((1002, "Protocol violation".to_owned())))
}

/// A frame, as a reader that judges nothing sees it.
#[derive(Debug)]
struct Seen {
    start: usize,
    header_bytes: usize,
    /// As announced; the stream may end before.
    length: u64,
    payload: Vec<u8>,
}

impl Seen {
    /// Where the frame ends, or will.
    fn end(&self) -> u64 {
        (self.start as u64 + self.header_bytes as u64).saturating_add(self.length)
    }
}

/// The frame of `bytes` that the byte at `at` is in. Its header must be whole.
fn frame_at(bytes: &[u8], at: usize) -> Seen {
    let mut start = 0;
    loop {
        let second = bytes[start + 1];
        let form = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length = match form {
            0 => u64::from(second & 0x7f),
            _ => (bytes[start + 2..start + 2 + form].iter())
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let mask = match second & 0x80 {
            0 => &[][..],
            _ => &bytes[start + 2 + form..start + 6 + form],
        };
        let header_bytes = 2 + form + mask.len();
        let rest = &bytes[start + header_bytes..];
        let count = rest.len().min(usize::try_from(length).expect("64 bits"));
        let seen = Seen {
            start,
            header_bytes,
            length,
            payload: (rest[..count].iter().enumerate())
                .map(|(i, byte)| byte ^ mask.get(i % 4).unwrap_or(&0))
                .collect(),
        };
        if seen.end() > at as u64 {
            return seen;
        }
        start += header_bytes + count;
    }
}

/// Compares both on `bytes`. Returns our fault.
fn compare(bytes: &[u8], limits: &WsLimits, cuts: &[usize]) -> Option<Fault> {
    let ours = run(bytes, limits, || 1);
    let mut cuts = cuts.iter().cycle();
    let in_pieces = run(bytes, limits, || *cuts.next().unwrap_or(&1));
    assert_eq!(ours.items, in_pieces.items);
    assert_eq!(ours.fault, in_pieces.fault);

    // 1014 is a code to us; tungstenite answers it as any other that it does not know.
    let mut expected = ours.items;
    if let Some(Said::Close(Some((1014, _)))) = expected.last() {
        expected.pop();
        expected.push(protocol_violation());
    }
    let Some(fault) = ours.fault else {
        assert_eq!(theirs(bytes, limits), (expected, None));
        return None;
    };

    // Byte by byte, the last that came is the one that showed the fault.
    let seen = frame_at(bytes, ours.came_bytes - 1);
    let before = &bytes[..seen.start];
    let is_too_long = seen.length > limits.message_bytes as u64;
    // The stream up to the end of the frame. Zeros stand for what has not come.
    let mut whole = bytes.to_vec();
    if !is_too_long {
        whole.resize(seen.end() as usize, 0);
    }
    let class = match fault {
        Fault::ReservedOpcode => Class::Protocol,
        Fault::LengthTopBit => {
            assert!(is_too_long);
            Class::Capacity
        }
        Fault::NotMasked
        | Fault::ReservedBits
        | Fault::ControlFragmented
        | Fault::ControlTooLong
        | Fault::NothingToContinue
        | Fault::MessageUnfinished
        | Fault::CloseLength => match is_too_long {
            true => Class::Capacity,
            false => Class::Protocol,
        },
        Fault::TooLarge => Class::Capacity,
        Fault::NotUtf8 => Class::Utf8,
        Fault::LengthNotShortest => {
            // They agree before this frame, and after it is put in the shortest form.
            assert_eq!(theirs(before, limits), (expected, None));
            assert!(seen.header_bytes > 6 && seen.length <= 0xffff);
            let length = match seen.length {
                length @ 0..=125 => vec![0x80 | length as u8],
                length => [&[0xfe][..], &(length as u16).to_be_bytes()].concat(),
            };
            let mut shortest = before.to_vec();
            shortest.push(bytes[seen.start]);
            shortest.extend(length);
            shortest.extend(&bytes[seen.start + seen.header_bytes - 4..]);
            compare(&shortest, limits, &[1]);
            return Some(fault);
        }
        Fault::TooManyFragments => {
            assert_eq!(theirs(before, limits), (expected, None));
            return Some(fault);
        }
        Fault::CloseCode => {
            let payload = frame_at(&whole, seen.start).payload;
            if std::str::from_utf8(&payload[2..]).is_ok() {
                expected.push(protocol_violation());
                assert_eq!(theirs(&whole, limits), (expected, None));
                return Some(fault);
            }
            Class::Utf8
        }
    };
    assert_eq!(theirs(&whole, limits), (expected, Some(class)), "{fault:?}");
    Some(fault)
}

/// Pieces of text: whole and halved characters, and bytes that are neither.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => "[a-z\u{e4}\u{20ac}\u{1f600}]{0,12}".prop_map(String::into_bytes),
        2 => prop_oneof![
            Just(b"\xc3".to_vec()), Just(b"\xa4".to_vec()),
            Just(b"\xe2\x82".to_vec()), Just(b"\xac".to_vec()),
            Just(b"\xf0\x9f".to_vec()), Just(b"\x98\x80".to_vec()),
            Just(b"\xed".to_vec()), Just(b"\xf4".to_vec()),
        ],
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (100_usize..400).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn close() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        4 => 998_u16..1020,
        1 => prop_oneof![Just(2999_u16), Just(3000), Just(4999), Just(5000)],
        1 => any::<u16>(),
    ];
    let reason = prop_oneof![
        3 => "[a-z\u{e4}]{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop_oneof![
        1 => Just(vec![]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        6 => (code, reason).prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat()),
    ]
}

/// One message or control frame as a client should send it, in one to five frames.
fn well_formed() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let shortest = |first: u8, payload: &[u8]| super::tests::frame(first, payload);
    let pings = (0x89_u8..=0x8a, prop::collection::vec(any::<u8>(), 0..126));
    prop_oneof![
        4 => (1_u8..=2, prop::collection::vec(payload(), 1..6), any::<bool>()).prop_map(
            move |(opcode, fragments, has_ping)| {
                let last = fragments.len() - 1;
                let mut frames = Vec::new();
                for (i, fragment) in fragments.iter().enumerate() {
                    let opcode = if i == 0 { opcode } else { 0 };
                    let first = opcode | if i == last { 0x80 } else { 0 };
                    frames.push(shortest(first, fragment));
                    if has_ping {
                        frames.push(shortest(0x89, b"between"));
                    }
                }
                frames
            }
        ),
        3 => (0x81_u8..=0x82, payload()).prop_map(move |(first, payload)| {
            vec![shortest(first, &payload)]
        }),
        2 => pings.prop_map(move |(first, payload)| vec![shortest(first, &payload)]),
        1 => close().prop_map(move |payload| vec![shortest(0x88, &payload)]),
    ]
}

/// One frame that may break any rule of the header.
fn odd() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let eight = |length: u64| [&[0xff][..], &length.to_be_bytes()].concat();
    let two = |length: u16| [&[0xfe][..], &length.to_be_bytes()].concat();
    prop_oneof![
        // Any first byte.
        (any::<u8>(), payload())
            .prop_map(|(first, payload)| { vec![super::tests::frame(first, &payload)] }),
        // Longer forms of the length.
        (0x80_u8..=0x82, payload(), any::<bool>()).prop_map(move |(first, payload, is_eight)| {
            let form = match is_eight {
                true => eight(payload.len() as u64),
                false => two(payload.len() as u16),
            };
            vec![frame_with(first, &form, &payload)]
        }),
        // Lengths that have nothing to do with what follows.
        (0x81_u8..=0x8a, any::<u64>(), 0_u32..64).prop_map(move |(first, length, shift)| {
            vec![frame_with(first, &eight(length >> shift), b"what")]
        }),
        // No mask.
        (0x80_u8..=0x8a, 0_u8..126).prop_map(|(first, length)| {
            vec![[&[first, length][..], &vec![b'x'; usize::from(length)]].concat()]
        }),
        // Nothing but bytes.
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| vec![bytes]),
    ]
}

/// A stream: mostly good, sometimes with an odd frame, a byte changed, a frame gone, an early end.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![6 => well_formed(), 1 => odd()];
    (
        prop::collection::vec(part, 1..8),
        prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    )
        .prop_map(|(parts, change, drop, end)| {
            let mut frames = parts.concat();
            if let Some(drop) = drop {
                frames.remove(drop.index(frames.len()));
            }
            let mut bytes = frames.concat();
            if let (Some((at, to)), false) = (change, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            if let (Some(end), false) = (end, bytes.is_empty()) {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_stream_gives_what_tungstenite_gives(
        bytes in stream(),
        cuts in prop::collection::vec(1_usize..40, 1..8),
        message_bytes in prop_oneof![Just(130_usize), Just(500), Just(100_000)],
        message_fragments in 1_u32..6,
    ) {
        let limits = WsLimits { message_bytes, message_fragments };
        compare(&bytes, &limits, &cuts);
    }
}

/// The comparison is worth something only if the streams reach every fault, and no fault as well.
#[test]
fn the_streams_reach_every_fault() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{RngSeed, TestRunner};
    let mut runner = TestRunner::new(ProptestConfig {
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    });
    let limits = WsLimits {
        message_bytes: 500,
        message_fragments: 4,
    };
    let strategy = stream();
    let mut reached = Vec::new();
    for _ in 0..3000 {
        let tree = strategy.new_tree(&mut runner).expect("nothing is filtered");
        let fault = compare(&tree.current(), &limits, &[7]);
        if !reached.contains(&fault) {
            reached.push(fault);
        }
    }
    for fault in [
        None,
        Some(Fault::NotMasked),
        Some(Fault::ReservedBits),
        Some(Fault::ReservedOpcode),
        Some(Fault::LengthTopBit),
        Some(Fault::LengthNotShortest),
        Some(Fault::ControlFragmented),
        Some(Fault::ControlTooLong),
        Some(Fault::NothingToContinue),
        Some(Fault::MessageUnfinished),
        Some(Fault::CloseLength),
        Some(Fault::CloseCode),
        Some(Fault::NotUtf8),
        Some(Fault::TooLarge),
        Some(Fault::TooManyFragments),
    ] {
        assert!(reached.contains(&fault), "{fault:?}");
    }
}
