//! WebSockets: what breaks the rules, what keeps a connection alive, how it ends.

use crate::client::{
    Peer, Socket, conn_id, connect, header, metric, metrics, publish, subscriber, timed, upgrade,
};
use crate::http;
use crate::process::Server;
use crate::websocket::{BINARY, CLOSE, Event, PING, PONG, TEXT, Writer};
use std::io::Write;
use std::thread;
use std::time::Duration;

/// A masked frame whose first byte and length are as given; the mask is zero.
fn raw(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    frame.extend_from_slice(length);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn short(first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, &[0x80 | payload.len() as u8], payload)
}

#[test]
fn bad_frames_get_their_close_codes_even_with_junk_behind_them() {
    let server = Server::run(&["limits.message_bytes=1000", "limits.message_fragments=4"]);
    let (fin, continuation) = (0x80, 0);
    let piece = |opcode: u8, text: &str| short(opcode, text.as_bytes());
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![fin | TEXT, 1, b'x'], 1002),
        ("a reserved bit", short(fin | 0x40 | TEXT, b"x"), 1002),
        ("a reserved opcode", short(fin | 3, b"x"), 1002),
        ("a reserved control opcode", short(fin | 11, b"x"), 1002),
        (
            "a long ping",
            raw(fin | PING, &[0x80 | 126, 0, 126], &[0; 126]),
            1002,
        ),
        ("a fragmented ping", short(PING, b"x"), 1002),
        (
            "a continuation of nothing",
            short(fin | continuation, b"x"),
            1002,
        ),
        (
            "a message inside a message",
            [piece(TEXT, "a"), piece(fin | TEXT, "b")].concat(),
            1002,
        ),
        (
            "a length with the top bit",
            raw(fin | BINARY, &[0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], b""),
            1002,
        ),
        ("a close of one byte", short(fin | CLOSE, &[3]), 1002),
        (
            "a close with 1005",
            short(fin | CLOSE, &1005_u16.to_be_bytes()),
            1002,
        ),
        (
            "a close with 999",
            short(fin | CLOSE, &999_u16.to_be_bytes()),
            1002,
        ),
        ("no UTF-8", short(fin | TEXT, &[b'a', 0xff]), 1007),
        ("no UTF-8, not finished", short(TEXT, &[0xc3, 0x28]), 1007),
        (
            "no UTF-8 in a reason",
            short(fin | CLOSE, &[3, 0xe8, 0xff]),
            1007,
        ),
        (
            "too long by its header",
            raw(fin | TEXT, &[0x80 | 126, 3, 233], b""),
            1009,
        ),
        (
            "too long in pieces",
            [
                raw(TEXT, &[0x80 | 126, 3, 232], &[b'x'; 1000]),
                short(continuation, b"x"),
            ]
            .concat(),
            1009,
        ),
        (
            "too many pieces",
            [TEXT, continuation, continuation, continuation, continuation]
                .map(|opcode| piece(opcode, ""))
                .concat(),
            1009,
        ),
    ];
    let mut witness = subscriber(server.address(), "witness", "news");
    for (what, frames, code) in &cases {
        for junk in [0, 100_000] {
            let mut socket = subscriber(server.address(), "clumsy", "elsewhere");
            socket.is_polite = false;
            socket.peer.send(frames);
            socket.peer.send(&vec![0x55; junk]);
            assert_eq!(socket.is_closed(), *code, "{what} with {junk} behind it");
        }
    }
    assert_eq!(
        Peer::new(server.address())
            .ask(&publish("news", "one"))
            .status,
        200
    );
    assert_eq!(witness.message(), "one");
    let page = metrics(&server);
    for code in [1002, 1007, 1009] {
        let expected = 2 * cases.iter().filter(|(_, _, of)| *of == code).count();
        let name = format!("fanwire_connections_closed_total{{code=\"{code}\"}}");
        assert_eq!(metric(&page, &name), Some(expected as f64));
    }
    assert_eq!(metric(&page, "fanwire_websockets"), Some(1.0));
}

#[test]
fn a_close_is_answered_with_its_code_even_with_junk_behind_it() {
    let server = Server::run(&[]);
    for (payload, code) in [
        (&b""[..], 1005),
        (&[3, 232], 1000),
        (b"\x03\xe9going", 1001),
        (&[0x0f, 0xa0], 4000),
    ] {
        for junk in [0, 100_000] {
            let mut socket = subscriber(server.address(), "reader", "news");
            socket.is_polite = false;
            socket.send(CLOSE, payload);
            // The server may be quicker; whatever happens, its answer must be readable.
            let _ = socket.peer.stream.write_all(&vec![0x55; junk]);
            assert_eq!(
                socket.is_closed(),
                code,
                "{payload:?} with {junk} behind it"
            );
        }
    }
    // An end without a Close is an end.
    let mut socket = subscriber(server.address(), "reader", "news");
    socket.peer.half_close();
    assert_eq!(socket.next(), None);
}

#[test]
fn frames_may_come_with_the_request_and_in_any_pieces() {
    let server = Server::run(&[]);
    let id = conn_id(&mut Peer::new(server.address()), "reader", &["news"]);
    let mut writer = Writer::default();
    let bytes = [
        upgrade(&format!("/ws?conn_id={id}")),
        writer.frame(TEXT, b"{}"),
        writer.frame(PING, b"one"),
        writer.frame(BINARY, &[0; 1000]),
        writer.frame(PING, b"two"),
    ]
    .concat();
    for step in [bytes.len(), 7, 1] {
        let mut peer = Peer::new(server.address());
        for piece in bytes.chunks(step) {
            peer.send(piece);
        }
        assert_eq!(peer.answer().status, 101);
        let pongs = [&[0x8a, 3][..], b"one", &[0x8a, 3], b"two"].concat();
        assert_eq!(peer.exactly(10), pongs);
    }
}

#[test]
fn pings_are_answered_and_too_many_are_not() {
    let server = Server::run(&["limits.control_frames_per_second=10"]);
    let mut socket = subscriber(server.address(), "reader", "news");
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        socket.send(PING, payload);
        assert_eq!(socket.next(), Some(Event::Pong(payload.to_vec())));
    }
    for _ in 0..100 {
        let ping = socket.writer.frame(PING, b"");
        let _ = socket.peer.stream.write_all(&ping);
    }
    assert_eq!(socket.is_closed(), 1008);
}

#[test]
fn who_falls_silent_is_asked_and_then_dropped() {
    let server = Server::run(&[
        "timeouts.websocket_ping=200ms",
        "timeouts.websocket_pong=400ms",
        "timeouts.channelstream_heartbeat=1h",
        "timeouts.channelstream_expire=1d",
    ]);
    let mut silent = subscriber(server.address(), "silent", "quiet");
    silent.is_polite = false;
    let mut polite = subscriber(server.address(), "polite", "quiet");
    // Who answers is asked again and again, and stays.
    let polite = thread::spawn(move || {
        let mut pings = 0;
        while pings < 5 {
            match polite.next() {
                Some(Event::Ping(_)) => pings += 1,
                Some(Event::Text(_)) => {}
                other => panic!("no Ping but {other:?}"),
            }
        }
        polite
    });
    let (_, took) = timed(|| {
        loop {
            match silent.next() {
                Some(Event::Ping(_)) => break,
                Some(Event::Text(_)) => {}
                other => panic!("no Ping but {other:?}"),
            }
        }
    });
    assert!(took > Duration::from_millis(100), "{took:?}");
    let (code, took) = timed(|| silent.is_closed());
    assert_eq!(code, 1008);
    assert!(took > Duration::from_millis(250), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let mut polite = polite.join().expect("it was asked and stayed");
    assert_eq!(
        Peer::new(server.address())
            .ask(&publish("quiet", "one"))
            .status,
        200
    );
    assert_eq!(polite.message(), "one");
}

#[test]
fn heartbeats_come_at_their_pace() {
    let server = Server::run(&["timeouts.channelstream_heartbeat=200ms"]);
    let mut socket = subscriber(server.address(), "reader", "news");
    let mut beat = || {
        loop {
            match socket.next() {
                Some(Event::Text(text)) if text == "[]" => break,
                Some(Event::Text(_)) => {}
                other => panic!("no heartbeat but {other:?}"),
            }
        }
    };
    // The first one comes somewhere within the first interval.
    beat();
    let ((), took) = timed(|| (0..5).for_each(|_| beat()));
    assert!(took > Duration::from_millis(800), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn upgrades_that_are_none_are_refused() {
    let server = Server::run(&[]);
    let id = conn_id(&mut Peer::new(server.address()), "reader", &["news"]);
    let path = format!("/ws?conn_id={id}");
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let with = |name: &str, value: Option<&str>| -> Vec<u8> {
        let changed = good
            .iter()
            .filter_map(|(known, old)| match (*known == name, value) {
                (true, None) => None,
                (true, Some(new)) => Some(header(known, new)),
                (false, _) => Some(header(known, old)),
            });
        let headers: Vec<_> = changed.collect();
        http::request("GET", &path, "localhost", &headers, None)
    };
    let ask = |request: &[u8]| Peer::new(server.address()).ask(request);
    let answer = ask(&with("Sec-WebSocket-Version", Some("12")));
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    for (name, value) in [
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", Some("too short")),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ")),
        ("Connection", Some("close")),
        ("Upgrade", Some("h2c")),
    ] {
        assert_eq!(ask(&with(name, value)).status, 400, "{name} {value:?}");
    }
    // Ids that are not known are told so in the socket's own words.
    for (path, code) in [
        ("/ws?conn_id=00000000-0000-4000-8000-000000000000", 1000),
        ("/ws?conn_id=rubbish", 1008),
        ("/ws", 1008),
    ] {
        let mut peer = Peer::over(connect(server.address()));
        peer.send(&upgrade(path));
        assert_eq!(peer.answer().status, 101);
        let head = peer.exactly(4);
        assert_eq!(
            (head[0], u16::from_be_bytes([head[2], head[3]])),
            (0x88, code)
        );
    }
    // And the good one still works.
    let mut socket = Socket::open(connect(server.address()), &id);
    socket.send(PONG, b"unasked");
    socket.send(PING, b"there?");
    assert_eq!(socket.next(), Some(Event::Pong(b"there?".to_vec())));
}
