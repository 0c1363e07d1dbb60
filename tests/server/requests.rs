//! HTTP as odd, slow and hostile peers speak it. Every case leaves a server that serves.

use crate::client::{
    Peer, assert_refused, connect_narrow, get, header, metric, metrics, publish, signed,
    signed_head, timed,
};
use crate::http::{self, lossy};
use crate::process::Server;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// A path that answers 200 with a short body.
const ALIVE: &str = "/health/live";

/// Another peer is served as ever.
#[track_caller]
fn serves(server: &Server) {
    assert_eq!(Peer::new(server.address()).ask(&get(ALIVE)).status, 200);
}

#[test]
fn who_sends_no_more_is_owed_an_answer_all_the_same() {
    let server = Server::run(&[]);
    let mut peer = Peer::new(server.address());
    peer.send(&[get(ALIVE), publish("news", "one"), get("/nothing")].concat());
    peer.half_close();
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.answer().status, 404);
    peer.ends();

    // In the middle of a request there is something to say as well.
    for cut in [
        &b"GET /health/live HTTP/1.1\r\nHo"[..],
        b"POST /disconnect HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[",
        b"POST /disconnect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let mut peer = Peer::new(server.address());
        peer.send(cut);
        peer.half_close();
        assert_refused(&peer.answer(), 400, "unexpected_end");
        peer.ends();
    }
    // Outside of one there is nothing to say.
    let mut peer = Peer::new(server.address());
    peer.half_close();
    peer.ends();
    serves(&server);
}

#[test]
fn a_head_that_takes_too_long_is_told_so_however_it_trickles() {
    let server = Server::run(&["timeouts.head=300ms"]);
    let mut peer = Peer::new(server.address());
    let mut slow = peer.stream.try_clone().expect("one more descriptor");
    let trickle = thread::spawn(move || {
        // A byte at a time, until the server has had enough.
        for byte in get(ALIVE).iter().chain(std::iter::repeat(&b'x')) {
            if slow.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    // The head alone has some forty bytes, and would take twice as long.
    let (answer, took) = timed(|| peer.answer());
    assert_refused(&answer, 408, "timeout");
    assert!(took > Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    peer.ends();
    drop(peer);
    trickle.join().expect("it ends with the connection");

    // Who has said nothing is told nothing.
    let mut peer = Peer::new(server.address());
    let ((), took) = timed(|| peer.ends());
    assert!(took > Duration::from_millis(200), "{took:?}");
    // Neither is who has had his answer; the next head has its own time, though.
    let mut peer = Peer::new(server.address());
    assert_eq!(peer.ask(&get(ALIVE)).status, 200);
    peer.send(b"GET /he");
    let (answer, took) = timed(|| peer.answer());
    assert_refused(&answer, 408, "timeout");
    assert!(took > Duration::from_millis(200), "{took:?}");
    serves(&server);
}

#[test]
fn a_body_that_stands_still_is_told_so() {
    let server = Server::run(&["timeouts.body_stall=300ms"]);
    let mut peer = Peer::new(server.address());
    let request = publish("news", "never");
    peer.send(&request[..request.len() - 1]);
    let (answer, took) = timed(|| peer.answer());
    assert_refused(&answer, 408, "timeout");
    assert!(took > Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    peer.ends();
    serves(&server);
    let page = metrics(&server);
    let answers = metric(&page, "fanwire_http_answers_total{code=\"408\"}");
    assert_eq!(answers, Some(1.0));
    assert_eq!(metric(&page, "fanwire_messages_published_total"), Some(0.0));
}

#[test]
fn who_idles_is_dropped_without_a_word() {
    let server = Server::run(&["timeouts.idle=300ms"]);
    let mut peer = Peer::new(server.address());
    assert_eq!(peer.ask(&get(ALIVE)).status, 200);
    let ((), took) = timed(|| peer.ends());
    assert!(took > Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_refusal_can_be_read_by_who_goes_on_sending() {
    let server = Server::run(&["limits.body_bytes=1000"]);
    let limit = 1000;
    // At the limit it is taken, one beyond is not, and both without a byte of it being read twice.
    for (length, status) in [(limit, 200), (limit + 1, 413)] {
        let body = format!("[{}]", " ".repeat(length - 2));
        let answer = Peer::new(server.address()).ask(&signed("/message", &body));
        assert_eq!(answer.status, status, "{length}");
    }

    let more = vec![b'x'; 200 * 1024];
    let large = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(9000));
    let headers = |count: usize| "A: b\r\n".repeat(count);
    for (head, status, word) in [
        // Decided from the length alone.
        (
            "POST /message HTTP/1.1\r\nHost: x\r\nContent-Length: 204800\r\n\r\n",
            413,
            "body_too_large",
        ),
        (
            "POST /disconnect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n32000\r\n",
            413,
            "body_too_large",
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\nLong: ", 431, "head_too_large"),
        (
            &format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", headers(64)),
            431,
            "too_many_headers",
        ),
        (&large, 414, "target_too_long"),
    ] {
        let mut peer = Peer::new(server.address());
        peer.send(head.as_bytes());
        // Sent without looking whether there is an answer already.
        peer.send(&more);
        let answer = peer.answer();
        assert_refused(&answer, status, word);
        assert!(lossy(&answer.body).contains("\"limit\":"), "{word}");
        peer.ends();
    }
    serves(&server);
}

#[test]
fn two_hundred_requests_at_once_are_answered_in_order() {
    let server = Server::run(&[]);
    let mut peer = Peer::new(server.address());
    let all: Vec<u8> = (0..200)
        .flat_map(|number| publish("news", &format!("number {number}")))
        .collect();
    peer.send(&all);
    for number in 0..200 {
        let answer = peer.answer();
        assert_eq!(answer.status, 200);
        let text = format!("{{\"text\":\"number {number}\"}}");
        assert!(lossy(&answer.body).contains(&text), "{number}: {answer:?}");
    }

    // With answers that are far more than a peer may leave unread. It is not read from meanwhile,
    // and loses nothing.
    let padding = "x".repeat(50_000);
    let mut sender = peer.stream.try_clone().expect("one more descriptor");
    let sends = thread::spawn(move || {
        for number in 0..200 {
            let request = publish("news", &format!("number {number} {padding}"));
            sender.write_all(&request).expect("sent");
        }
    });
    for number in 0..200 {
        let answer = peer.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() > 50_000);
        let text = format!("{{\"text\":\"number {number} x");
        assert!(lossy(&answer.body).contains(&text), "{number}");
    }
    sends.join().expect("all was sent");
    let page = metrics(&server);
    assert_eq!(
        metric(&page, "fanwire_messages_published_total"),
        Some(400.0)
    );
    assert_eq!(metric(&page, "fanwire_slow_consumers_total"), Some(0.0));
}

#[test]
fn who_is_not_read_from_is_not_timed() {
    let server = Server::run(&["timeouts.head=300ms", "timeouts.body_stall=300ms"]);
    let mut peer = Peer::over(connect_narrow(server.address()));
    let padding = "x".repeat(50_000);
    let mut sender = peer.stream.try_clone().expect("one more descriptor");
    let sends = thread::spawn(move || {
        for number in 0..200 {
            let request = publish("news", &format!("number {number} {padding}"));
            sender.write_all(&request).expect("sent");
        }
    });
    // As it does not read, it is not read from: in the middle of some request the server stops.
    // That the rest does not come is the server's own doing, for however long.
    thread::sleep(Duration::from_secs(1));
    for number in 0..200 {
        let answer = peer.answer();
        assert_eq!(answer.status, 200, "{number}");
        let text = format!("{{\"text\":\"number {number} x");
        assert!(lossy(&answer.body).contains(&text), "{number}");
    }
    sends.join().expect("all was sent");
}

#[test]
fn expectations_are_met_or_refused() {
    let server = Server::run(&["limits.body_bytes=1000"]);
    let mut peer = Peer::new(server.address());
    let expecting = |value: &str, length: usize| {
        let lines = format!("Expect: {value}\r\nContent-Length: {length}");
        signed_head("POST /message", &lines)
    };
    peer.send(&expecting("100-continue", 2));
    assert_eq!(peer.exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    peer.send(b"[]");
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.ask(&get(ALIVE)).status, 200);
    // Refusals come first.
    peer.send(&expecting("100-continue", 1001));
    let start = peer.exactly(12);
    assert_eq!(lossy(&start), "HTTP/1.1 413");
    let mut peer = Peer::new(server.address());
    peer.send(&expecting("a miracle", 2));
    assert_refused(&peer.answer(), 417, "bad_expectation");
    peer.ends();
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::run(&[]);
    let mut peer = Peer::new(server.address());
    let get_answer = peer.ask(&get(ALIVE));
    peer.send(&http::request("HEAD", ALIVE, "localhost", &[], None));
    let head_answer = peer.head_answer();
    assert_eq!(head_answer.status, 200);
    let without_date = |answer: &http::Answer| -> Vec<_> {
        let headers = answer.headers.iter();
        headers
            .filter(|(name, _)| name != "Date")
            .cloned()
            .collect()
    };
    assert_eq!(without_date(&head_answer), without_date(&get_answer));
    // Nothing of a body came: the next answer is where it belongs.
    assert_eq!(peer.ask(&get(ALIVE)).body, get_answer.body);
}

#[test]
fn http_1_0_ends_unless_it_asks_not_to() {
    let server = Server::run(&[]);
    let mut peer = Peer::new(server.address());
    let answer = peer.ask(b"GET /health/live HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    peer.ends();

    let mut peer = Peer::new(server.address());
    for _ in 0..2 {
        let answer = peer.ask(b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    // The last one of HTTP/1.1 says so, and what follows is not answered.
    let close = http::request("GET", ALIVE, "x", &[header("Connection", "close")], None);
    let answer = peer.ask(&[close, get(ALIVE), vec![b'x'; 100_000]].concat());
    assert_eq!(answer.header("connection"), Some("close"));
    peer.ends();
}

#[test]
fn nothing_can_be_smuggled() {
    let server = Server::run(&[]);
    let hidden = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let cases: &[(&str, &str, u16, &str)] = &[
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
            400,
            "ambiguous_length",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "0\r\n\r\n",
            400,
            "ambiguous_length",
        ),
        (
            "Content-Length: 0\r\nContent-Length: 5",
            "",
            400,
            "bad_length",
        ),
        ("Content-Length: +5", "", 400, "bad_length"),
        ("Content-Length: 0x5", "", 400, "bad_length"),
        ("Content-Length: 0, 5", "", 400, "bad_length"),
        (
            "Content-Length: 18446744073709551616",
            "",
            400,
            "bad_length",
        ),
        ("Content-Length: ", "", 400, "bad_length"),
        ("Content-Length : 5", "", 400, "bad_header"),
        ("Content-Length\t: 5", "", 400, "bad_header"),
        ("X: y\r\n Content-Length: 5", "", 400, "bad_header"),
        ("X: y\rContent-Length: 5", "", 400, "bad_header"),
        ("X: y\nContent-Length: 5", "", 400, "bad_header"),
        ("X: \0", "", 400, "bad_header"),
        ("Transfer-Encoding: identity", "", 501, "unknown_encoding"),
        (
            "Transfer-Encoding: gzip, chunked",
            "0\r\n\r\n",
            501,
            "unknown_encoding",
        ),
        (
            "Transfer-Encoding: xchunked",
            "0\r\n\r\n",
            501,
            "unknown_encoding",
        ),
        (
            "Transfer-Encoding: \x0bchunked",
            "0\r\n\r\n",
            400,
            "bad_header",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
            400,
            "bad_encoding",
        ),
        (
            "Transfer-Encoding: chunked",
            "0x1\r\nx\r\n0\r\n\r\n",
            400,
            "bad_chunk",
        ),
        (
            "Transfer-Encoding: chunked",
            "+1\r\nx\r\n0\r\n\r\n",
            400,
            "bad_chunk",
        ),
        (
            "Transfer-Encoding: chunked",
            "1\nx\r\n0\r\n\r\n",
            400,
            "bad_chunk",
        ),
        (
            "Transfer-Encoding: chunked",
            "1\r\nxy\r\n0\r\n\r\n",
            400,
            "bad_chunk",
        ),
        (
            "Transfer-Encoding: chunked",
            "00000000000000001\r\n",
            400,
            "bad_chunk",
        ),
        ("Host: y", "", 400, "bad_host"),
    ];
    for (headers, body, status, word) in cases {
        let mut peer = Peer::new(server.address());
        peer.send(
            format!("POST /disconnect HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}{hidden}")
                .as_bytes(),
        );
        let answer = peer.answer();
        assert_refused(&answer, *status, word);
        assert!(!lossy(&answer.body).contains("0x"), "nothing is echoed");
        // The hidden request is not answered.
        peer.ends();
    }
    for (line, status, word) in [
        ("get / HTTP/1.1", 501, "unknown_method"),
        ("GET  / HTTP/1.1", 400, "bad_request_line"),
        ("GET / http/1.1", 400, "bad_request_line"),
        ("GET /", 400, "bad_request_line"),
        ("GET /\x01 HTTP/1.1", 400, "bad_request_line"),
        ("GET /%0 HTTP/1.1", 400, "bad_target"),
        ("GET /%00 HTTP/1.1", 400, "bad_target"),
        ("GET / HTTP/1.2", 505, "unsupported_version"),
        ("GET / HTTP/2.0", 505, "unsupported_version"),
        ("PRI * HTTP/2.0", 505, "unsupported_version"),
        ("\x16\x03\x01\x02", 400, "bad_request_line"),
    ] {
        let mut peer = Peer::new(server.address());
        peer.send(format!("{line}\r\nHost: x\r\n\r\n{hidden}").as_bytes());
        let answer = peer.answer();
        assert_eq!(answer.status, status, "{line:?}: {answer:?}");
        assert_refused(&answer, status, word);
        peer.ends();
    }
    let mut peer = Peer::new(server.address());
    peer.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_refused(&peer.answer(), 400, "bad_host");
    serves(&server);
}
