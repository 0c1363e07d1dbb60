//! Those who do not read, who send rubbish, who are too many; and what is left of them.

use crate::client::{
    Peer, Socket, assert_refused, conn_id, connect, connect_narrow, get, header, metric, metrics,
    publish, signed, subscriber, upgrade,
};
use crate::http;
use crate::process::{Folder, SECRET, Server, fanwire_within, until};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Opens a socket whose receiving end holds little, and does not read from it.
fn slow_subscriber(address: SocketAddr, user: &str, channel: &str) -> Socket {
    let id = conn_id(&mut Peer::new(address), user, &[channel]);
    Socket::open(connect_narrow(address), &id)
}

/// It has ended, in order or with a reset, and in bounded time.
#[track_caller]
fn is_gone(mut slow: Socket) {
    let stream = &mut slow.peer.stream;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return;
            }
        }
    }
}

#[test]
fn who_never_reads_is_closed_and_nobody_else_misses_anything() {
    let server = Server::run(&["limits.out_queue_bytes=256KiB"]);
    let address = server.address();
    let slow = slow_subscriber(address, "slow", "news");
    let mut healthy: Vec<Socket> = (0..3)
        .map(|number| subscriber(address, &format!("reader{number}"), "news"))
        .collect();
    let mut app = Peer::new(address);
    let padding = "x".repeat(60_000);
    // The kernel takes a few megabytes before anything is left in the server's own queue.
    let mut published = 0;
    until("the slow one is closed", || {
        for _ in 0..10 {
            let text = format!("{published} {padding}");
            assert_eq!(app.ask(&publish("news", &text)).status, 200);
            for reader in &mut healthy {
                assert!(reader.message() == text, "number {published}");
            }
            published += 1;
        }
        let page = metrics(&server);
        let queued = metric(&page, "fanwire_outbound_queue_bytes").expect("there");
        assert!(queued <= 256.0 * 1024.0, "{queued} bytes wait");
        metric(&page, "fanwire_slow_consumers_total") == Some(1.0)
    });
    is_gone(slow);
    let page = metrics(&server);
    for (name, value) in [
        (
            "fanwire_connections_ended_total{reason=\"slow_consumer\"}",
            1.0,
        ),
        ("fanwire_websockets", 3.0),
        ("fanwire_outbound_queue_bytes", 0.0),
    ] {
        assert_eq!(metric(&page, name), Some(value), "{name}");
    }
    let lost = metric(
        &page,
        "fanwire_messages_dropped_total{reason=\"connection_ended\"}",
    );
    assert!(
        lost.is_some_and(|lost| lost >= 1.0),
        "what is lost is counted: {lost:?}"
    );
    assert_eq!(app.ask(&publish("news", "after it")).status, 200);
    for reader in &mut healthy {
        assert_eq!(reader.message(), "after it");
    }
}

#[test]
fn who_makes_no_progress_in_reading_is_closed() {
    let server = Server::run(&[
        "timeouts.write_stall=300ms",
        "limits.out_queue_bytes=64MiB",
        "timeouts.channelstream_return=60s",
    ]);
    let address = server.address();
    let id = conn_id(&mut Peer::new(address), "slow", &["news"]);
    let slow = Socket::open(connect_narrow(address), &id);
    let mut healthy = subscriber(address, "reader", "news");
    let mut app = Peer::new(address);
    let text = "x".repeat(60_000);
    until("it is a slow consumer", || {
        assert_eq!(app.ask(&publish("news", &text)).status, 200);
        assert!(healthy.message() == text);
        metric(&metrics(&server), "fanwire_slow_consumers_total") == Some(1.0)
    });
    is_gone(slow);
    assert_eq!(app.ask(&publish("news", "after it")).status, 200);
    assert_eq!(healthy.message(), "after it");
    // What was thrown away is missing for good: it may not come back as if nothing had been, though
    // others whose socket ended might.
    let mut again = Socket::open(connect(address), &id);
    assert_eq!(again.is_closed(), 1000);
}

#[test]
fn who_is_not_read_from_is_not_called_silent() {
    let server = Server::run(&[
        "timeouts.websocket_ping=500ms",
        "timeouts.websocket_pong=500ms",
    ]);
    let address = server.address();
    let mut slow = slow_subscriber(address, "slow", "news");
    let mut app = Peer::new(address);
    let padding = "x".repeat(200_000);
    let mut published = 0;
    // Beyond this its own words wait until it has read.
    until("much waits for the slow one", || {
        let text = format!("{published} {padding}");
        assert_eq!(app.ask(&publish("news", &text)).status, 200);
        published += 1;
        let queued = metric(&metrics(&server), "fanwire_outbound_queue_bytes");
        queued.is_some_and(|queued| queued > 300_000.0)
    });
    // Several times as long as silence may last.
    thread::sleep(Duration::from_secs(2));
    for number in 0..published {
        assert!(slow.message() == format!("{number} {padding}"));
    }
    assert_eq!(app.ask(&publish("news", "after it")).status, 200);
    assert_eq!(slow.message(), "after it");
}

#[test]
fn one_message_beyond_the_whole_limit_reaches_who_reads() {
    let server = Server::run(&["limits.out_queue_bytes=64KiB"]);
    let mut reader = subscriber(server.address(), "reader", "news");
    let mut app = Peer::new(server.address());
    let text = "x".repeat(1 << 20);
    for _ in 0..3 {
        assert_eq!(app.ask(&publish("news", &text)).status, 200);
        assert!(reader.message() == text);
    }
}

/// Bytes without any sense, the same for the same seed (xorshift).
fn rubbish(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Longest delay that one in a hundred messages may have beside the rubbish.
fn p99_max() -> Duration {
    // A binary that is named is a release build; the one beside these tests is as they are.
    let is_debug = cfg!(debug_assertions) && std::env::var_os("FANWIRE_BIN").is_none();
    Duration::from_millis(if is_debug { 200 } else { 50 })
}

#[test]
fn rubbish_on_many_connections_delays_nobody() {
    let mut server = Server::run(&[]);
    let address = server.address();
    let mut reader = subscriber(address, "reader", "news");
    let mut app = Peer::new(address);
    let over = Arc::new(AtomicBool::new(false));
    let throwers: Vec<_> =
        (0..2_u64)
            .map(|thread| {
                let over = Arc::clone(&over);
                thread::spawn(move || {
                    let mut thrown = 0_u64;
                    while thrown < 20 || !over.load(Ordering::Relaxed) {
                        let id = conn_id(&mut Peer::new(address), "thrower", &["rubbish"]);
                        // Where a request, a body, a chunk or a frame is expected.
                        let prefix = match thrown % 4 {
                        0 => Vec::new(),
                        1 => upgrade(&format!("/ws?conn_id={id}")),
                        2 => signed("/message", &"[".repeat(1 << 17)),
                        _ => b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            .to_vec(),
                    };
                        let mut stream = connect(address);
                        // The server ends it when it has seen enough.
                        let _ = stream.write_all(&prefix);
                        let _ = stream.write_all(&rubbish(thrown * 2 + thread, 1_000_000));
                        thrown += 1;
                    }
                    thrown
                })
            })
            .collect();
    let mut delays: Vec<Duration> = (0..300)
        .map(|number| {
            let text = format!("number {number}");
            let started = Instant::now();
            app.send(&publish("news", &text));
            assert_eq!(reader.message(), text);
            let delay = started.elapsed();
            assert_eq!(app.answer().status, 200);
            delay
        })
        .collect();
    over.store(true, Ordering::Relaxed);
    let thrown: u64 = throwers
        .into_iter()
        .map(|t| t.join().expect("it throws"))
        .sum();
    delays.sort_unstable();
    let p99 = delays[delays.len() * 99 / 100];
    assert!(
        p99 < p99_max(),
        "p99 is {p99:?} beside {thrown} connections"
    );
    assert!(server.lives());
    until("nothing is left of it", || {
        let page = metrics(&server);
        assert_eq!(metric(&page, "fanwire_panics_total"), Some(0.0));
        metric(&page, "fanwire_connections") == Some(3.0)
    });
}

#[test]
fn out_of_descriptors_who_is_there_is_served_and_the_process_is_calm() {
    let secret = format!("channelstream.secret={SECRET:?}");
    let connections = "limits.connections=1000";
    let args = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--set",
        &secret,
        "--set",
        connections,
    ];
    let mut server = Server::start(fanwire_within(64, &args), 1);
    let address = server.address();
    let mut reader = subscriber(address, "reader", "news");
    let mut app = Peer::new(address);
    assert_eq!(app.ask(&publish("news", "before")).status, 200);
    assert_eq!(reader.message(), "before");

    // The kernel takes them all; the server can take only some of them.
    let mut crowd: Vec<Peer> = (0..100).map(|_| Peer::new(address)).collect();
    server.says("accepting pauses");
    let mut last = crowd.pop().expect("a hundred");
    last.send(&get("/health/live"));

    let started = Instant::now();
    let ticks = server.cpu_ticks();
    last.hears_nothing_for(Duration::from_secs(2));
    let ticks = server.cpu_ticks() - ticks;
    let percent = ticks as f64 / started.elapsed().as_secs_f64();
    assert!(
        percent < 10.0,
        "{percent} % of a processor while nothing can be done"
    );

    for number in 0..20 {
        let text = format!("number {number}");
        assert_eq!(app.ask(&publish("news", &text)).status, 200);
        assert_eq!(reader.message(), text);
    }
    crowd.drain(..60);
    assert_eq!(last.answer().status, 200);
    server.says("accepting again");
}

#[test]
fn at_the_most_connections_the_reserve_keeps_the_server_manageable() {
    let folder = Folder::new();
    let toml = |secret: &str| format!("[channelstream]\nsecret = {secret:?}\n");
    let config = folder.file("fanwire.toml", &toml("old"));
    let args = ["run", "--listen", "127.0.0.1:0", "--config", &config];
    let mut server = Server::start(fanwire_within(128, &args), 1);
    let mut app = Peer::new(server.address());
    assert_eq!(app.ask(&get("/health/live")).status, 200);
    let crowd: Vec<Peer> = (0..100).map(|_| Peer::new(server.address())).collect();
    assert!(server.says("accepting pauses").contains("the most allowed"));
    folder.file("fanwire.toml", &toml(SECRET));
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(app.ask(&publish("news", "one")).status, 200);
    server.signal("TERM");
    app.ends();
    drop((app, crowd));
    assert_eq!(server.exits(), 0);
}

/// What a peer is told that is one too many.
#[track_caller]
fn is_one_too_many(peer: &mut Peer, limit: u64) {
    let answer = peer.answer();
    assert_refused(&answer, 429, "too_many_connections");
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(answer.header("date").is_some(), "{answer:?}");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["limit"], limit);
    peer.ends();
}

#[test]
fn many_too_many_are_all_told_and_cost_nobody_else_anything() {
    let server = Server::run(&["limits.connections_per_address=2"]);
    let address = server.address();
    let mut app = Peer::new(address);
    let id = conn_id(&mut app, "reader", &["news"]);
    let mut reader = Socket::open(connect(address), &id);
    // The web application that has gone over its limit goes on trying, with whole requests.
    for number in 0..300 {
        let mut peer = Peer::new(address);
        peer.send(&publish("news", "never published"));
        is_one_too_many(&mut peer, 2);
        if number % 100 == 0 {
            let text = format!("number {number}");
            assert_eq!(app.ask(&publish("news", &text)).status, 200);
            assert_eq!(reader.message(), text);
        }
    }
    // So does a crowd that neither sends nor ends.
    let mut crowd: Vec<Peer> = (0..200).map(|_| Peer::new(address)).collect();
    for peer in &mut crowd {
        is_one_too_many(peer, 2);
    }
    let login = [header("Authorization", "Basic YWRtaW46YWRtaW5fc2VjcmV0")];
    let request = http::request("GET", "/metrics", "localhost", &login, None);
    let page = String::from_utf8(app.ask(&request).body).expect("text");
    for (name, value) in [
        ("fanwire_connections", 2.0),
        ("fanwire_connections_opened_total", 2.0),
        ("fanwire_http_answers_total{code=\"429\"}", 500.0),
    ] {
        assert_eq!(metric(&page, name), Some(value), "{name}");
    }
}

#[test]
fn beyond_the_connections_of_one_address_new_ones_are_refused() {
    let server = Server::run(&["limits.connections_per_address=3"]);
    let address = server.address();
    let mut kept: Vec<Peer> = (0..2).map(|_| Peer::new(address)).collect();
    let third = Peer::new(address);
    let mut fourth = Peer::new(address);
    is_one_too_many(&mut fourth, 3);
    for peer in &mut kept {
        assert_eq!(peer.ask(&get("/health/live")).status, 200);
    }
    drop(third);
    until("the place is free, and the fourth was counted", || {
        // Admin: "admin:admin_secret". Told on a connection that has its place.
        let login = [header("Authorization", "Basic YWRtaW46YWRtaW5fc2VjcmV0")];
        let request = http::request("GET", "/metrics", "localhost", &login, None);
        let page = String::from_utf8(kept[0].ask(&request).body).expect("text");
        let refused = metric(
            &page,
            "fanwire_handshakes_rejected_total{reason=\"address\"}",
        );
        refused == Some(1.0) && metric(&page, "fanwire_connections") == Some(2.0)
    });
    assert_eq!(Peer::new(address).ask(&get("/health/live")).status, 200);
}

/// A thousand come, hear one message, and go, half of them in order.
fn round(server: &Server, number: usize) {
    let address = server.address();
    let mut app = Peer::new(address);
    for batch in 0..5 {
        let mut readers: Vec<Socket> = (0..200)
            .map(|place| {
                let user = format!("user {number} {batch} {place}");
                let id = conn_id(&mut app, &user, &["news"]);
                Socket::open(connect(address), &id)
            })
            .collect();
        let text = "x".repeat(1000);
        assert_eq!(app.ask(&publish("news", &text)).status, 200);
        for (place, reader) in readers.iter_mut().enumerate() {
            assert!(reader.message() == text);
            if place % 2 == 0 {
                reader.send(crate::websocket::CLOSE, &[3, 232]);
                assert_eq!(reader.close_code(), 1000);
            }
        }
    }
    drop(app);
    until("everybody has gone", || {
        let page = metrics(server);
        let is_zero = |name| metric(&page, name) == Some(0.0);
        is_zero("fanwire_websockets")
            && is_zero("fanwire_users")
            && is_zero("fanwire_subscriptions")
    });
}

#[test]
fn memory_does_not_grow_with_those_who_came_and_went() {
    let server = Server::run(&["timeouts.channelstream_return=50ms"]);
    let mut resident = Vec::new();
    // The first round only fills the allocator's caches, by an amount that differs from run to run;
    // what stays after each of the others would add up.
    for number in 0..6 {
        round(&server, number);
        resident.push(server.resident_kib());
    }
    let growth = resident[5] as f64 / resident[1] as f64;
    assert!(growth <= 1.08, "KiB after each round: {resident:?}");
}
