//! Who may send a body is decided when the head is there, over real sockets.

use crate::client::{Peer, assert_refused, get, metric, metrics, publish, signature, signed_head};
use crate::http::{self, lossy};
use crate::process::{SECRET, Server, until};

/// What a client says of a body that it has not begun to send, and never will.
const EIGHT_MIB: &str = "Content-Length: 8388608";

fn head(request_line: &str, lines: &str) -> Vec<u8> {
    format!("{request_line} HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n").into_bytes()
}

fn secret_line(secret: &str, age_s: u64) -> String {
    format!("X-Channelstream-Secret: {}\r\n", signature(secret, age_s))
}

#[test]
fn whoever_may_not_send_is_told_before_the_first_byte_of_the_body() {
    let server = Server::run(&[]);
    let forged = secret_line("another secret", 0);
    let too_old = secret_line(SECRET, 100);
    let framings = [
        EIGHT_MIB.to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
        format!("Expect: 100-continue\r\n{EIGHT_MIB}"),
        "Expect: 100-continue\r\nTransfer-Encoding: chunked".to_owned(),
    ];
    let cases = [
        ("POST /message", "", 403),
        ("GET /info", "", 403),
        ("POST /message", &*forged, 401),
        ("POST /message", &*too_old, 401),
        ("POST /disconnect", &*forged, 401),
        ("POST /nothing", "", 404),
        ("GET /admin", "", 501),
    ];
    for (line, secret, status) in cases {
        for framing in &framings {
            let mut peer = Peer::new(server.address());
            peer.send(&head(line, &format!("{secret}{framing}")));
            // The very first bytes that come are this answer.
            let answer = peer.answer();
            assert_eq!(answer.status, status, "{line} {framing}");
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            peer.ends();
        }
    }
    let mut peer = Peer::new(server.address());
    peer.send(&head("HEAD /nothing", EIGHT_MIB));
    assert_eq!(peer.head_answer().status, 404);
    peer.ends();
    let turned_away = metric(&metrics(&server), "fanwire_http_turned_away_total");
    let count = cases.len() * framings.len() + 1;
    assert_eq!(turned_away, Some(count as f64));
}

#[test]
fn what_is_too_large_for_its_path_is_refused_from_its_length() {
    let server = Server::run(&[]);
    for line in [
        "POST /disconnect",
        "GET /health/live",
        "GET /metrics",
        "OPTIONS /",
    ] {
        for lines in [
            "Content-Length: 16385".to_owned(),
            format!("Expect: 100-continue\r\n{EIGHT_MIB}"),
        ] {
            let mut peer = Peer::new(server.address());
            peer.send(&head(line, &lines));
            let answer = peer.answer();
            assert_refused(&answer, 413, "body_too_large");
            assert!(lossy(&answer.body).contains("\"limit\":16384"));
            peer.ends();
        }
        // In chunks it shows later.
        let mut peer = Peer::new(server.address());
        peer.send(&head(line, "Transfer-Encoding: chunked"));
        for _ in 0..16 {
            peer.send(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
        }
        peer.send(b"1\r\n");
        assert_refused(&peer.answer(), 413, "body_too_large");
        peer.ends();
    }
    // What fits is taken.
    let mut peer = Peer::new(server.address());
    peer.send(&head("GET /health/live", "Content-Length: 16384"));
    peer.send(&[b'x'; 16_384]);
    assert_eq!(peer.answer().status, 200);
    // An hour's news in one request is as welcome as ever.
    let text = "x".repeat(1000);
    let message = format!(r#"{{"user":"a","channel":"news","message":{{"text":"{text}"}}}}"#);
    let body = format!("[{}]", vec![message; 5000].join(","));
    let framing = format!("Expect: 100-continue\r\nContent-Length: {}", body.len());
    peer.send(&signed_head("POST /message", &framing));
    assert_eq!(peer.exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    peer.send(body.as_bytes());
    assert_eq!(peer.answer().status, 200);
}

#[test]
fn an_answer_at_the_head_can_be_read_by_who_goes_on_sending() {
    let server = Server::run(&[]);
    let live = get("/health/live");
    for (lines, body) in [
        ("Content-Length: 204800", vec![b'x'; 200 * 1024]),
        ("Content-Length: 3", b"[] ".to_vec()),
        (
            "Transfer-Encoding: chunked",
            b"2\r\n[]\r\n0\r\n\r\n".to_vec(),
        ),
        ("Transfer-Encoding: chunked", b"no chunk at all".to_vec()),
    ] {
        let mut peer = Peer::new(server.address());
        // Two before it, and one behind it that comes too late.
        peer.send(
            &[
                live.clone(),
                publish("news", "one"),
                head("POST /message", lines),
            ]
            .concat(),
        );
        assert_eq!(peer.answer().status, 200);
        assert_eq!(peer.answer().status, 200);
        peer.send(&[body, live.clone()].concat());
        assert_eq!(peer.answer().status, 403, "{lines}");
        peer.ends();
    }
    assert_eq!(Peer::new(server.address()).ask(&live).status, 200);
}

#[test]
fn a_thousand_who_may_not_send_hold_nothing() {
    let server = Server::run(&[]);
    let mut peers: Vec<Peer> = (0..1000).map(|_| Peer::new(server.address())).collect();
    let request = head("POST /message", EIGHT_MIB);
    for peer in &mut peers {
        peer.send(&request);
    }
    for peer in &mut peers {
        assert_eq!(peer.answer().status, 403);
        peer.ends();
    }
    drop(peers);
    until("they are forgotten", || {
        metric(&metrics(&server), "fanwire_connections") == Some(1.0)
    });
}

#[test]
fn https_is_asked_for_before_anything_else() {
    let server = Server::run(&["channelstream.enforce_https=true"]);
    let forged = secret_line("another secret", 0);
    let mut peer = Peer::new(server.address());
    peer.send(&head("POST /message", &format!("{forged}{EIGHT_MIB}")));
    assert_eq!(peer.answer().status, 406);
    peer.ends();
    let by_proxy = format!("X-Forwarded-Proto: https\r\n{EIGHT_MIB}");
    let mut peer = Peer::new(server.address());
    peer.send(&head("POST /message", &by_proxy));
    assert_eq!(peer.answer().status, 403);
    peer.ends();
    // The server's own pages are for whoever watches it.
    let live = http::request("GET", "/health/live", "x", &[], Some(b"why"));
    assert_eq!(Peer::new(server.address()).ask(&live).status, 200);
}
