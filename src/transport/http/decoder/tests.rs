//! The table of `reliability`: what each kind of bad input gets, cut in every way.

use super::super::fuzz::{self, Outcome, Run, drive};
use super::super::message::Method;
use super::*;
use proptest::prelude::*;

mod heads;
mod limits;
mod random;

/// A request that is always taken, to stand before and behind others.
const NEIGHBOUR: &[u8] = b"POST /n?x=1 HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\nok";

/// What is expected of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected<'a> {
    /// One request with this body.
    Body(&'a [u8]),
    /// A refusal of this status and word.
    Refused(u16, &'static str),
    /// The caller has turned away the request for this path.
    TurnedAway(&'a str),
}
use Expected::{Body, Refused, TurnedAway};

fn summary(run: &Run) -> Vec<Expected<'_>> {
    run.outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Request { body, .. } => Body(body),
            Outcome::Refused(refusal) => Refused(refusal.status(), refusal.word()),
            Outcome::TurnedAway(path) => TurnedAway(path),
        })
        .collect()
}

/// Whole, byte by byte, and (if it is not too long for that) at every split into two.
fn every_way(stream: &[u8], limits: &HttpLimits) -> Run {
    let whole = drive(stream, [], limits);
    let agree = |run: &Run, how: &str| {
        assert_eq!(
            run.outcomes,
            whole.outcomes,
            "{how}: {}",
            stream.escape_ascii()
        );
        assert_eq!(run.phase, whole.phase, "{how}: {}", stream.escape_ascii());
    };
    agree(&drive(stream, 1..stream.len(), limits), "byte by byte");
    // Every split of a long stream would take minutes; its ends and a sample tell as much.
    let step = stream.len() / 600 + 1;
    for at in (0..stream.len()).filter(|at| at % step == 0 || stream.len() - at < 80) {
        agree(&drive(stream, [at], limits), &format!("cut at {at}"));
    }
    whole
}

#[track_caller]
fn check_with(limits: &HttpLimits, input: &[u8], expected: Expected<'_>) {
    let shown = || input.get(..200).unwrap_or(input).escape_ascii().to_string();
    let alone = every_way(input, limits);
    assert_eq!(summary(&alone), [expected], "alone: {}", shown());
    assert_eq!(alone.phase, Phase::Idle);

    let after = every_way(&[NEIGHBOUR, input].concat(), limits);
    assert_eq!(
        summary(&after),
        [Body(b"ok"), expected],
        "after: {}",
        shown()
    );

    let before = every_way(&[input, NEIGHBOUR].concat(), limits);
    match expected {
        Body(_) => assert_eq!(
            summary(&before),
            [expected, Body(b"ok")],
            "before: {}",
            shown()
        ),
        // Nothing after a refusal is looked at.
        Refused(..) | TurnedAway(_) => {
            assert_eq!(summary(&before), [expected], "before: {}", shown())
        }
    }
}

#[track_caller]
fn check(input: impl AsRef<[u8]>, expected: Expected<'_>) {
    check_with(&HttpLimits::default(), input.as_ref(), expected);
}

/// A request with one more header line than it needs.
fn with_header(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

#[track_caller]
fn check_header(line: &str, expected: Expected<'_>) {
    check(with_header(line), expected);
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[track_caller]
fn check_chunked(body: &str, expected: Expected<'_>) {
    check(chunked(body), expected);
}

const BAD_LINE: Expected<'_> = Refused(400, "bad_request_line");
const BAD_HEADER: Expected<'_> = Refused(400, "bad_header");
const BAD_HOST: Expected<'_> = Refused(400, "bad_host");
const BAD_LENGTH: Expected<'_> = Refused(400, "bad_length");
const BAD_CHUNK: Expected<'_> = Refused(400, "bad_chunk");
const BAD_TARGET: Expected<'_> = Refused(400, "bad_target");
const EMPTY: Expected<'_> = Body(b"");

#[test]
fn a_request_says_what_was_sent() {
    let run = every_way(
        b"PATCH /a%20b/c?x=1&y=?2 HTTP/1.1\r\nHost: a:80\r\nX-One:  1 \r\nx-two:\r\n\
          X-Utf: \xc3\xbc\xff\r\nContent-Length: 3\r\n\r\n\0\r\n",
        &HttpLimits::default(),
    );
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(
        run.outcomes,
        [Outcome::Request {
            method: Method::Patch,
            path: "/a%20b/c".to_owned(),
            query: Some("x=1&y=?2".to_owned()),
            is_1_1: true,
            headers: vec![
                header("Host", b"a:80"),
                header("X-One", b"1"),
                header("x-two", b""),
                header("X-Utf", b"\xc3\xbc\xff"),
                header("Content-Length", b"3"),
            ],
            body: b"\0\r\n".to_vec(),
            taken: 102,
        }]
    );
}

#[test]
fn methods_that_are_known_are_taken() {
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
    ] {
        let run = every_way(
            format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
            &HttpLimits::default(),
        );
        match &run.outcomes[..] {
            [Outcome::Request { method: found, .. }] => assert_eq!(*found, method),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_request_line_is_refused() {
    for line in [
        "GET",
        "GET ",
        "GET /",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTP/1.x",
        "GET / HTTP /1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/1.1\r",
        "GET /\r HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\u{fc} HTTP/1.1",
        "GET /#top HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "OPTIONS *?a HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET ?a HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{fc}T / HTTP/1.1",
        "(GET / HTTP/1.1",
        "PROXY TCP4 10.0.0.1 10.0.0.2 1000 80",
        "SSH-2.0-client",
        "*1",
    ] {
        check(format!("{line}\r\nHost: a\r\n\r\n"), BAD_LINE);
    }
    check("GET / HTTP/1.1\nHost: a\r\n\r\n", BAD_LINE);
    check("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_LINE);
}

#[test]
fn another_protocol_is_refused_at_its_first_byte() {
    for first in (0..=255_u8).filter(|&byte| !head::is_token_byte(byte) && byte != b'\r') {
        let run = drive(&[first], [], &HttpLimits::default());
        assert_eq!(summary(&run), [BAD_LINE], "{first:#x}");
    }
    // A TLS handshake.
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD_LINE);
}

#[test]
fn a_bad_request_line_does_not_wait_for_the_blank_line() {
    for (input, expected) in [
        ("SSH-2.0-client\r\n", BAD_LINE),
        ("GET / HTTP/2.0\r\n", Refused(505, "unsupported_version")),
        ("BREW / HTTP/1.1\r\n", Refused(501, "unknown_method")),
        ("GET /%0 HTTP/1.1\r\n", BAD_TARGET),
    ] {
        check(input, expected);
    }
}

#[test]
fn some_blank_lines_before_a_request_are_passed_over() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    check(format!("\r\n{request}"), EMPTY);
    check(format!("\r\n\r\n{request}"), EMPTY);
    check(format!("\r\n\r\n\r\n{request}"), BAD_LINE);
    check(format!("\r{request}"), BAD_LINE);
    check(format!("\r\r\n{request}"), BAD_LINE);
    let run = drive(b"\r\n\r", [], &HttpLimits::default());
    assert_eq!((run.outcomes.len(), run.phase), (0, Phase::Idle));
}

#[test]
fn other_versions_are_refused() {
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        check(
            format!("GET / {version}\r\nHost: a\r\n\r\n"),
            Refused(505, "unsupported_version"),
        );
    }
    check(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Refused(505, "unsupported_version"),
    );
    check("GET / HTTP/1.0\r\n\r\n", EMPTY);
    check("GET / HTTP/1.0\r\nHost: a\r\n\r\n", EMPTY);
}

#[test]
fn unknown_methods_are_refused() {
    for method in ["TRACE", "CONNECT", "BREW", "get", "GETS", "GE", "X-1"] {
        check(
            format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Refused(501, "unknown_method"),
        );
    }
}

#[test]
fn hosts_are_hosts() {
    for host in [
        "a",
        "a.b",
        "A_b-c.~d:80",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8080",
        "[::ffff:1.2.3.4]:1",
        "a:",
        "a:0",
    ] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), EMPTY);
        check(format!("GET / HTTP/1.0\r\nhOST:{host}\r\n\r\n"), EMPTY);
    }
    for host in [
        "",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a,b",
        "a%20",
        ":80",
        "a:b",
        "a:80:90",
        "a:+80",
        "a:-1",
        "a:80 90",
        "a:65536",
        "a:99999999999999999999999",
        "[",
        "[]",
        "[::1",
        "[::1]80",
        "[::1]:x",
        "[1.2.3.4]",
        "[::1%eth0]",
        "::1",
        "http://a",
        "\u{fc}",
        "a\\b",
    ] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), BAD_HOST);
        check(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"), BAD_HOST);
    }
    let longest = "a".repeat(255);
    check(format!("GET / HTTP/1.1\r\nHost: {longest}\r\n\r\n"), EMPTY);
    check(
        format!("GET / HTTP/1.1\r\nHost: {longest}a\r\n\r\n"),
        BAD_HOST,
    );
    check("GET / HTTP/1.1\r\n\r\n", BAD_HOST);
    check("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", BAD_HOST);
    check_header("Host: a", BAD_HOST);
    check_header("host: b", BAD_HOST);
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", BAD_HOST);
}

#[test]
fn targets_in_absolute_form_are_taken_if_the_host_agrees() {
    for (target, path, query) in [
        ("http://a.b:80/c?d", "/c", Some("d")),
        ("HTTPS://A.B:80/", "/", None),
        ("http://a.b:80", "/", None),
        ("http://a.b:80?d", "/", Some("d")),
        ("/c://d", "/c://d", None),
    ] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: a.b:80\r\n\r\n");
        check(&input, EMPTY);
        match &drive(input.as_bytes(), [], &HttpLimits::default()).outcomes[..] {
            [
                Outcome::Request {
                    path: p, query: q, ..
                },
            ] => {
                assert_eq!((p.as_str(), q.as_deref()), (path, query));
            }
            other => panic!("{other:?}"),
        }
    }
    check("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD_HOST);
    check("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", BAD_HOST);
    check("GET http://u@a/ HTTP/1.0\r\n\r\n", BAD_HOST);
    check("GET http://a/ HTTP/1.0\r\n\r\n", EMPTY);
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", EMPTY);
}

#[test]
fn what_is_no_header_is_refused() {
    for line in [
        "X-A : 1",
        "X-A\t: 1",
        ": 1",
        "X-A",
        "X A: 1",
        "X(A): 1",
        "X\u{fc}: 1",
        " X-A: 1",
        "\tX-A: 1",
        "X-A: 1\r\n 2",
        "X-A: 1\r\n\t2",
        "X-A:\r\n 2",
        "X-A: \0",
        "X-A: 1\r2",
        "X-A: 1\r",
        "X-A: \r1",
        "X-A: \x01",
        "X-A: \x7f",
        "X-A\0: 1",
        "X-A\r: 1",
        "X-A: 1\nX-B: 2",
        "X-A: 1\n",
        "X-A:\n",
        "\r",
        "\rX-A: 1",
        "Content-Length : 5",
        "Transfer-Encoding : chunked",
    ] {
        check_header(line, BAD_HEADER);
    }
    // A blank line of bare line feeds must not end a head, nor start one.
    check("GET / HTTP/1.1\r\nHost: a\n\n", BAD_HEADER);
    check("GET / HTTP/1.1\r\nHost: a\r\n\n", BAD_HEADER);
    // The first header is no other.
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD_HEADER);
    for line in [
        "X-A:",
        "X-A: ",
        "X-A:1",
        "X-A: a\tb",
        "!#$%&'*+-.^_`|~09: ~",
        "X: \u{fc}",
    ] {
        check_header(line, EMPTY);
    }
}

#[test]
fn lengths_are_plain_numbers() {
    for length in [
        "",
        "+5",
        "-5",
        "5 5",
        "5,5",
        "5, 5",
        "0x5",
        "5.0",
        "five",
        "\u{665}",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999999999999999999",
    ] {
        check_header(&format!("Content-Length: {length}"), BAD_LENGTH);
    }
    check_header("Content-Length: 0\r\nContent-Length: 0", BAD_LENGTH);
    check_header("Content-Length: 0\r\ncontent-LENGTH: 1", BAD_LENGTH);
    check_header("Content-Length: 0", EMPTY);
    check_header("Content-Length:   000  ", EMPTY);
    let body = format!("{}hello", with_header("content-length: 5"));
    check(body, Body(b"hello"));
    // The largest number that is one is too large a body, said before any of it comes.
    check_header(
        "Content-Length: 9223372036854775807",
        Refused(413, "body_too_large"),
    );
}

#[test]
fn encodings_other_than_chunked_are_refused() {
    for encoding in [
        "",
        "xchunked",
        "chunkedx",
        "chunked, chunked",
        "chunked, identity",
        "gzip, chunked",
        "gzip",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        "Chunked",
        "chunked,",
        "\u{fc}",
    ] {
        check_header(
            &format!("Transfer-Encoding: {encoding}"),
            Refused(501, "unknown_encoding"),
        );
    }
    check_header(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        Refused(400, "bad_encoding"),
    );
    check_header(
        "Transfer-Encoding: gzip\r\ntransfer-encoding: chunked",
        Refused(400, "bad_encoding"),
    );
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400, "bad_encoding"),
    );
}

#[test]
fn length_and_encoding_together_are_ambiguous() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: x",
        "Transfer-Encoding: gzip\r\nContent-Length: 0",
    ] {
        let input = format!("{}0\r\n\r\n", with_header(lines));
        check(input, Refused(400, "ambiguous_length"));
    }
}

#[test]
fn chunks_are_put_together() {
    for (body, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        (
            "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n",
            "hello",
        ),
        (
            "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
        ),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("5;a\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5;a=b;c=\"d e\"\r\nhello\r\n0;z\r\n\r\n", "hello"),
        ("5;\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", ""),
        // Trailers never change framing.
        (
            "1\r\na\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n",
            "a",
        ),
    ] {
        check_chunked(body, Body(expected.as_bytes()));
    }
}

#[test]
fn broken_chunks_are_refused() {
    for body in [
        "\r\n",
        "x\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5 ;a\r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "5g\r\nhello\r\n",
        ";a\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\r\nhello\r\n",
        "5;a\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;\0\r\nhello\r\n",
        "5;\x7f\r\nhello\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "00000000000000000\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "11111111111111111\r\n",
        "0\r\n\n",
        "0\r\n\r\r\n",
        "0\r\nX-A: 1\n\r\n",
        "0\r\nX-A: 1\rX-B: 2\r\n\r\n",
        "0\r\nX-A: \0\r\n\r\n",
        "0\r\nX-A: 1\r\n\n",
        "0\r\n\0",
        "0\n\r\n",
    ] {
        check_chunked(body, BAD_CHUNK);
    }
    for size in ["ffffffffffffffff", "8000000000000000", "FFFFFFFFFF"] {
        check_chunked(&format!("{size}\r\n"), Refused(413, "body_too_large"));
    }
}

#[test]
fn percent_encoding_has_to_be_whole() {
    for target in [
        "/%",
        "/%4",
        "/%zz",
        "/%4z",
        "/%z4",
        "/%+1",
        "/%%41",
        "/%00",
        "/a%00b",
        "/?%",
        "/?a=%0",
        "/?a=%00",
        "/?a=%u1234",
    ] {
        check(
            format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            BAD_TARGET,
        );
    }
    for target in [
        "/%41",
        "/%0a%0A",
        "/%25",
        "/%2500",
        "/?%20=%ff",
        "/../a/./b//c",
        "/a?b?c",
    ] {
        check(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), EMPTY);
    }
}

#[test]
fn expectations_other_than_continue_are_refused() {
    for value in ["", "200-ok", "100-continue, 200-ok", "100-continu"] {
        check_header(&format!("Expect: {value}"), Refused(417, "bad_expectation"));
    }
    check_header(
        "Expect: 100-continue\r\nExpect: x",
        Refused(417, "bad_expectation"),
    );
    // In HTTP/1.0 it is to be ignored.
    check("GET / HTTP/1.0\r\nExpect: x\r\n\r\n", EMPTY);
    // Refusals that save the body come first.
    check_header(
        "Expect: 100-continue\r\nContent-Length: 9000000",
        Refused(413, "body_too_large"),
    );
}

#[test]
fn a_peer_that_waits_is_told_to_continue_once() {
    let limits = HttpLimits::default();
    let head = |lines: &str| with_header(&format!("Expect: 100-Continue\r\n{lines}"));
    for (lines, body) in [
        ("Content-Length: 2", "ok"),
        ("Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"),
    ] {
        let head = head(lines);
        let stream = format!("{head}{body}");
        let stream = stream.as_bytes();
        let run = drive(stream, [head.len()], &limits);
        assert_eq!((run.continues, summary(&run)), (1, vec![Body(b"ok")]));
        // However the head comes.
        let run = drive(stream, 1..stream.len(), &limits);
        assert_eq!((run.continues, summary(&run)), (1, vec![Body(b"ok")]));
        // With the body on its way nobody waits.
        for cut in [0, 20, head.len() + 1, stream.len()] {
            let run = drive(stream, [cut], &limits);
            assert_eq!(
                (run.continues, summary(&run)),
                (0, vec![Body(b"ok")]),
                "{cut}"
            );
        }
    }
    // Without a body, and in HTTP/1.0, nobody waits either.
    assert_eq!(drive(head("X: y").as_bytes(), [], &limits).continues, 0);
    assert_eq!(
        drive(head("Content-Length: 0").as_bytes(), [30], &limits).continues,
        0
    );
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(drive(old, [], &limits).continues, 0);
}

#[test]
fn a_request_that_is_whole_is_borrowed() {
    let mut decoder = Decoder::new();
    let stream = [NEIGHBOUR, NEIGHBOUR].concat();
    let mut input = &stream[..];
    for n in 1..=2 {
        let mut scratch = Scratch::new();
        match decoder.next(&mut input, &HttpLimits::default(), &mut scratch) {
            Step::Request(request) => {
                let within = stream.as_ptr_range();
                assert!(within.contains(&request.path.as_ptr()));
                assert!(within.contains(&request.body.as_ptr()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(input.len(), stream.len() - n * NEIGHBOUR.len());
        assert_eq!(decoder.held_bytes(), 0);
    }
}

/// Gives the decoder all of `input`, which is not the end of a request.
#[track_caller]
fn feed_all(decoder: &mut Decoder, input: &mut &[u8]) {
    loop {
        match decoder.next(input, &HttpLimits::default(), &mut Scratch::new()) {
            Step::Head(_) => {}
            Step::More => return,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn only_the_bytes_of_a_request_are_taken() {
    let limits = HttpLimits::default();
    for cut in 1..NEIGHBOUR.len() {
        let mut decoder = Decoder::new();
        let mut input = &NEIGHBOUR[..cut];
        feed_all(&mut decoder, &mut input);
        let behind = vec![b'G'; 50_000];
        let rest = [&NEIGHBOUR[cut..], &behind].concat();
        let mut input = &rest[..];
        match decoder.next(&mut input, &limits, &mut Scratch::new()) {
            Step::Request(request) => assert_eq!(request.body, b"ok"),
            other => panic!("{other:?}"),
        }
        assert_eq!(input.len(), behind.len());
        assert!(decoder.held_bytes() < 1024, "what is behind was not copied");
        decoder.release();
        assert_eq!(decoder.held_bytes(), 0);
    }
}

#[test]
fn phases_follow_what_has_come() {
    let limits = HttpLimits::default();
    let mut decoder = Decoder::new();
    let mut feed = |mut input: &[u8]| {
        if let Step::Head(_) = decoder.next(&mut input, &limits, &mut Scratch::new()) {
            let _ = decoder.next(&mut input, &limits, &mut Scratch::new());
        }
        assert!(input.is_empty());
        (decoder.phase(), decoder.held_bytes() > 0)
    };
    assert_eq!(feed(b""), (Phase::Idle, false));
    assert_eq!(feed(b"\r\n"), (Phase::Idle, false));
    assert_eq!(feed(b"P"), (Phase::Head, true));
    let rest = b"OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r";
    assert_eq!(feed(rest), (Phase::Head, true));
    assert_eq!(feed(b"\n"), (Phase::Body { received: 0 }, true));
    assert_eq!(feed(b"ab"), (Phase::Body { received: 2 }, true));
    // Whole, and lent until the next call.
    assert_eq!(feed(b"c"), (Phase::Idle, true));
    assert_eq!(feed(b""), (Phase::Idle, false));
    assert_eq!(
        feed(chunked("1\r\n").as_bytes()),
        (Phase::Body { received: 3 }, true)
    );
    assert_eq!(feed(b"a\r\n"), (Phase::Body { received: 6 }, true));
}

#[test]
fn the_end_inside_a_request_is_refused_and_frees() {
    let limits = HttpLimits::default();
    for (input, expected) in [
        (&b""[..], None),
        (NEIGHBOUR, None),
        (&NEIGHBOUR[..1], Some(Refusal::UnexpectedEnd)),
        (
            &NEIGHBOUR[..NEIGHBOUR.len() - 1],
            Some(Refusal::UnexpectedEnd),
        ),
    ] {
        for late in [false, true] {
            let mut decoder = Decoder::new();
            let mut given = input;
            if let Step::Head(_) = decoder.next(&mut given, &limits, &mut Scratch::new()) {
                feed_all(&mut decoder, &mut given);
            }
            let (found, expected) = if late {
                (decoder.time_out(), expected.map(|_| Refusal::TooSlow))
            } else {
                (decoder.end(), expected)
            };
            assert_eq!(found, expected);
            assert_eq!(decoder.held_bytes(), 0);
            let mut given = NEIGHBOUR;
            let mut scratch = Scratch::new();
            let step = decoder.next(&mut given, &limits, &mut scratch);
            assert!(matches!(step, Step::More) && given.is_empty());
        }
    }
}

#[test]
fn lowered_limits_do_not_reach_a_request_that_was_taken() {
    let mut decoder = Decoder::new();
    let (mut head, mut rest) = NEIGHBOUR.split_at(NEIGHBOUR.len() - 1);
    feed_all(&mut decoder, &mut head);
    let none = HttpLimits {
        head_bytes: 0,
        head_count: 0,
        target_bytes: 0,
        body_bytes: 0,
    };
    let mut scratch = Scratch::new();
    let second = decoder.next(&mut rest, &none, &mut scratch);
    assert!(matches!(second, Step::Request(request) if request.body == b"ok"));
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 16, "{}", size_of::<Decoder>());
}

#[test]
fn a_head_in_pieces_costs_as_much_as_a_whole_one() {
    let head = with_header(&"X-A: 0123456789\r\n".repeat(50));
    let head = head.trim_end().to_owned() + "\r\n\r\n";
    let cost = |cuts: Vec<usize>| {
        head::cost::SEARCHED.set(0);
        head::cost::PARSES.set(0);
        let run = drive(head.as_bytes(), cuts, &HttpLimits::default());
        assert_eq!(summary(&run), [EMPTY]);
        (head::cost::SEARCHED.get(), head::cost::PARSES.get())
    };
    assert_eq!(cost(vec![]), (head.len(), 1));
    // Once to judge it, once to lend it.
    assert_eq!(cost((1..head.len()).collect()), (head.len(), 2));
    assert_eq!(cost(vec![head.len() / 2]), (head.len(), 2));
}

#[test]
fn a_length_reserves_nothing() {
    let limits = HttpLimits::default();
    let mut decoder = Decoder::new();
    let head = with_header("Content-Length: 8388608");
    let mut input = head.as_bytes();
    let _ = decoder.next(&mut input, &limits, &mut Scratch::new());
    assert!(decoder.held_bytes() < 512, "{}", decoder.held_bytes());
    let piece = vec![0; 65_536];
    let mut sent = 0;
    while sent < 8_388_608 {
        let mut input = &piece[..];
        let _ = decoder.next(&mut input, &limits, &mut Scratch::new());
        sent += piece.len();
        // At most twice what has come, and at the end no more than that.
        let most = (2 * (sent + head.len()) + 512).min(8_388_608 + 1024);
        assert!(decoder.held_bytes() <= most, "{sent}");
    }
    let huge = chunked("7fffff\r\n");
    let mut decoder = Decoder::new();
    let mut input = huge.as_bytes();
    let _ = decoder.next(&mut input, &limits, &mut Scratch::new());
    assert!(decoder.held_bytes() < 512, "{}", decoder.held_bytes());
}
