//! Heads that are shown before their body: when, what they say, and what follows.

use super::super::super::fuzz::{drive_with, take_some};
use super::*;

/// Where the head ends that `stream` begins with.
fn head_end(stream: &[u8]) -> usize {
    let blank = stream.windows(4).position(|four| four == b"\r\n\r\n");
    blank.expect("there is a head") + 4
}

#[test]
fn a_head_is_shown_once_if_its_body_comes_later() {
    let limits = HttpLimits::default();
    let sized = NEIGHBOUR;
    let chunked = chunked("2\r\nok\r\n0\r\n\r\n");
    for stream in [sized, chunked.as_bytes()] {
        let is_sized = stream == sized;
        assert_eq!(drive(stream, [], &limits).heads, usize::from(!is_sized));
        assert_eq!(drive(stream, 1..stream.len(), &limits).heads, 1);
        let end = head_end(stream);
        for cut in 1..stream.len() {
            let run = drive(stream, [cut], &limits);
            let comes_later = cut >= end || !is_sized;
            assert_eq!(run.heads, usize::from(comes_later), "cut at {cut}");
            // However many requests there are around it.
            let three = [NEIGHBOUR, stream, NEIGHBOUR].concat();
            let run = drive(&three, [NEIGHBOUR.len() + cut], &limits);
            assert_eq!(run.heads, usize::from(comes_later), "cut at {cut}");
            assert_eq!(summary(&run), [Body(b"ok"), Body(b"ok"), Body(b"ok")]);
        }
    }
    // Without a body there is nothing to ask about.
    for head in [with_header("X: y"), with_header("Content-Length: 0")] {
        assert_eq!(drive(head.as_bytes(), 1..head.len(), &limits).heads, 0);
    }
    // A head that is refused is not shown.
    for lines in [
        "Content-Length: 8388609",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Content-Length: 1\r\nExpect: x",
        "Content-Length: 1\r\nContent-Length: 2",
    ] {
        let head = with_header(lines);
        assert_eq!(drive(head.as_bytes(), [], &limits).heads, 0, "{lines}");
    }
}

#[test]
fn a_head_says_all_but_the_body() {
    let stream = b"PUT /a?x=1 HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 9\r\n\r\n12345";
    for cuts in [vec![], (1..stream.len()).collect::<Vec<_>>()] {
        let mut decoder = Decoder::new();
        let mut start = 0;
        let mut heads = 0;
        for end in cuts.into_iter().chain([stream.len()]) {
            let mut input = &stream[start..end];
            start = end;
            loop {
                let mut scratch = Scratch::new();
                match decoder.next(&mut input, &HttpLimits::default(), &mut scratch) {
                    Step::More => break,
                    Step::Head(head) => {
                        heads += 1;
                        assert_eq!((head.method, head.path), (Method::Put, "/a"));
                        assert_eq!((head.query, head.is_1_1), (Some("x=1"), true));
                        assert_eq!(head.headers.get("x"), Some("y"));
                        assert_eq!(head.headers.0.len(), 3);
                        assert!(head.body.is_empty());
                        // Nothing of the body was taken for it.
                        assert!(input.is_empty() || input == b"12345");
                        assert_eq!(decoder.phase(), Phase::Body { received: 0 });
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(heads, 1);
        assert_eq!(decoder.phase(), Phase::Body { received: 5 });
    }
}

/// The same in every split, with a caller that turns some away (see [`fuzz::take_some`]).
#[track_caller]
fn picky(stream: &[u8], limits: &HttpLimits) -> Run {
    let whole = drive_with(stream, [], limits, take_some);
    let agree = |run: &Run| {
        assert_eq!(run.outcomes, whole.outcomes, "{}", stream.escape_ascii());
        assert_eq!(run.phase, whole.phase, "{}", stream.escape_ascii());
    };
    agree(&drive_with(stream, 1..stream.len(), limits, take_some));
    for at in 0..stream.len() {
        agree(&drive_with(stream, [at], limits, take_some));
    }
    whole
}

#[test]
fn whoever_is_turned_away_is_heard_no_further() {
    let limits = HttpLimits::default();
    let refused = "/abc";
    let head = format!("POST {refused} HTTP/1.1\r\nHost: a\r\n");
    for rest in [
        "Content-Length: 4\r\n\r\nbody",
        "Content-Length: 4\r\n\r\n",
        "Content-Length: 8388608\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        // What is wrong with a body that nobody wanted, nobody says.
        "Transfer-Encoding: chunked\r\n\r\nno chunk",
        "\r\n",
    ] {
        let stream = format!("{head}{rest}");
        let run = picky(stream.as_bytes(), &limits);
        assert_eq!(summary(&run), [TurnedAway(refused)], "{rest}");
        assert_eq!(run.continues, 0, "{rest}");
        let behind = [NEIGHBOUR, NEIGHBOUR, stream.as_bytes(), NEIGHBOUR].concat();
        let run = picky(&behind, &limits);
        let expected = [Body(b"ok"), Body(b"ok"), TurnedAway(refused)];
        assert_eq!(summary(&run), expected, "{rest}");
    }
}

#[test]
fn a_body_may_be_limited_when_its_head_is_there() {
    let limits = HttpLimits::default();
    // As many bytes as a quarter of the path's.
    let path = "/23456789012345678901";
    let above = Refused(413, "body_too_large");
    for (size, expected) in [
        (4, None),
        (5, None),
        (6, Some(above)),
        (60_000, Some(above)),
    ] {
        let body = "x".repeat(size);
        let sized = format!("Content-Length: {size}\r\n\r\n{body}");
        let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", size);
        let one_by_one = "1\r\nx\r\n".repeat(size.min(100)) + "0\r\n\r\n";
        let encoding = "Transfer-Encoding: chunked\r\n\r\n";
        for rest in [
            sized,
            format!("{encoding}{chunk}"),
            format!("{encoding}{one_by_one}"),
        ] {
            let stream = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{rest}");
            let stream = stream.get(..300).unwrap_or(&stream).as_bytes();
            let run = picky(stream, &limits);
            let expected = expected.unwrap_or(Body(body.as_bytes()));
            assert_eq!(summary(&run), [expected], "{size}");
            if let [Outcome::Refused(refusal)] = run.outcomes[..] {
                assert_eq!(refusal, Refusal::BodyTooLarge { limit: 5 });
            }
        }
    }
    // A length that is too much is refused before a byte of the body, and nobody is told to send
    // it. A limit that is more than there is anyway changes nothing.
    for (most, continues, refused) in [(9, 0, true), (10, 1, false), (usize::MAX, 1, false)] {
        let head = with_header("Expect: 100-continue\r\nContent-Length: 10");
        let mut decoder = Decoder::new();
        let mut input = head.as_bytes();
        let mut continued = 0;
        loop {
            match decoder.next(&mut input, &limits, &mut Scratch::new()) {
                Step::Head(_) => decoder.limit_body(most),
                Step::Continue => continued += 1,
                Step::Refused(refusal) => {
                    assert_eq!(refusal, Refusal::BodyTooLarge { limit: 9 });
                    break;
                }
                Step::More => break,
                Step::Request(_) => panic!("there is no body"),
            }
        }
        assert_eq!(continued, continues);
        assert_eq!(decoder.held_bytes() == 0, refused);
    }
}
