//! Stopping: who is under way is served, who is there is told, and the time for it is bounded.

use crate::client::{
    Peer, assert_refused, connect, connect_narrow, get, header, metric, metrics, publish, signed,
    signed_head, subscriber, timed,
};
use crate::http;
use crate::process::{SECRET, Server, until};
use fanwire::dialect::channelstream;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Flow, Stopped};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// Waits until nobody can connect any more.
#[track_caller]
fn shut(address: SocketAddr) {
    until("the port is shut", || TcpStream::connect(address).is_err());
}

#[test]
fn a_request_under_way_is_answered_whole_and_everybody_else_is_told() {
    let mut server = Server::run(&[]);
    let address = server.address();
    let mut reader = subscriber(address, "reader", "news");
    let mut idle = Peer::new(address);
    assert_eq!(idle.ask(&get("/health/ready")).status, 200);
    let mut fresh = Peer::new(address);

    let request = String::from_utf8(publish("news", "the last one")).expect("text");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut app = Peer::new(address);
    app.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    // With this answer the server has the head and waits for the rest.
    assert_eq!(app.exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    let (first, second) = body.as_bytes().split_at(body.len() / 2);
    app.send(first);

    server.signal("TERM");
    shut(address);
    assert_eq!(reader.is_closed(), 1012);
    idle.ends();
    fresh.ends();

    app.send(second);
    let answer = app.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    app.ends();
    drop(app);
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn answers_that_were_given_arrive_though_more_was_asked() {
    // A receiver as narrow as this one may take many seconds on a machine that is busy elsewhere,
    // and whoever is left at the end of a stop is cut off.
    let mut server = Server::run(&["admin.metrics_token=scraper", "timeouts.drain=60s"]);
    let mut peer = Peer::over(connect_narrow(server.address()));
    // Short questions with long answers: more than the kernel holds for him.
    let login = [header("Authorization", "Bearer scraper")];
    let request = http::request("GET", "/metrics", "localhost", &login, None);
    let mut sender = peer.stream.try_clone().expect("one more descriptor");
    let sends = thread::spawn(move || {
        for _ in 0..2000 {
            // The server stops in the middle of it.
            if sender.write_all(&request).is_err() {
                return;
            }
        }
    });
    // How much waits is the kernel's affair: what is left of the last turn's answers when it takes
    // no more. That he gets no further is seen by two looks in a row which count no answer but one
    // look's own; that there is more to answer, by the number of answers in the end.
    let mut answered = 0.0;
    until("answers wait for him, and questions for the server", || {
        let page = metrics(&server);
        let queued = metric(&page, "fanwire_outbound_queue_bytes").expect("there");
        let before = answered;
        answered = metric(&page, "fanwire_http_answers_total{code=\"200\"}").unwrap_or(0.0);
        queued > 0.0 && answered <= before + 1.0
    });
    server.signal("TERM");
    shut(server.address());
    let mut answers = 0;
    loop {
        let answer = peer.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body.ends_with(b"\n"), "it is whole");
        answers += 1;
        if answer.header("connection") == Some("close") {
            break;
        }
    }
    peer.ends();
    assert!((2..2000).contains(&answers), "{answers}");
    drop(peer);
    sends.join().expect("it ends with the connection");
    assert_eq!(server.exits(), 0);
}

#[test]
fn sigint_stops_as_well_and_nobody_to_wait_for_is_no_wait() {
    let mut server = Server::run(&[]);
    server.signal("INT");
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn who_does_not_answer_the_close_is_cut_off_and_the_exit_is_clean() {
    let mut server = Server::run(&["timeouts.websocket_close=100ms"]);
    let mut rude = subscriber(server.address(), "rude", "news");
    rude.is_polite = false;
    server.signal("TERM");
    assert_eq!(rude.close_code(), 1012);
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn who_refuses_to_go_makes_it_exit_code_3_in_time() {
    let mut server = Server::run(&["timeouts.drain=300ms", "timeouts.websocket_close=1h"]);
    let mut rude = subscriber(server.address(), "rude", "news");
    rude.is_polite = false;
    server.signal("TERM");
    let (code, took) = timed(|| {
        assert_eq!(rude.close_code(), 1012);
        server.exits()
    });
    assert_eq!(code, 3);
    assert!(took > Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let mut server = Server::run(&["timeouts.drain=1h", "timeouts.websocket_close=1h"]);
    let mut rude = subscriber(server.address(), "rude", "news");
    rude.is_polite = false;
    server.signal("TERM");
    assert_eq!(rude.close_code(), 1012);
    assert!(server.lives());
    server.signal("INT");
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 3);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_peer_that_lingers_does_not_hold_up_the_exit_for_long() {
    let mut server = Server::run(&[]);
    let mut rude = Peer::new(server.address());
    rude.send(b"rubbish\r\n\r\n");
    assert_eq!(rude.answer().status, 400);
    // It has the answer and the end, and does not go.
    server.signal("TERM");
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(rude);
}

#[test]
fn who_has_begun_a_request_and_stops_does_not_hold_up_the_exit() {
    let mut server = Server::run(&["timeouts.drain=4s"]);
    let address = server.address();
    let mut half_head = Peer::new(address);
    half_head.send(b"POST /message HTTP/1.1\r\nHo");
    let mut half_body = Peer::new(address);
    half_body.send(&signed_head("POST /message", "Content-Length: 10"));
    let mut slow = Peer::new(address);
    let head = signed_head("POST /message", "Expect: 100-continue\r\nContent-Length: 2");
    slow.send(&head[..20]);
    // The server has taken what they sent before it stops.
    assert_eq!(Peer::new(address).ask(&get("/health/live")).status, 200);

    server.signal("TERM");
    shut(address);
    // Who goes on in time is served.
    slow.send(&head[20..]);
    assert_eq!(slow.exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.send(b"[]");
    assert_eq!(slow.answer().status, 200);
    slow.ends();
    // Who does not is told why, and that nothing was done.
    let (code, took) = timed(|| {
        for peer in [&mut half_head, &mut half_body] {
            assert_refused(&peer.answer(), 503, "stopping");
            peer.ends();
        }
        drop((slow, half_head, half_body));
        server.exits()
    });
    assert_eq!(code, 0);
    assert!(took > Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn many_are_told_at_once() {
    let mut server = Server::run(&[]);
    let address = server.address();
    let mut readers: Vec<_> = (0..100)
        .map(|number| subscriber(address, &format!("reader{number}"), "news"))
        .collect();
    let idle: Vec<_> = (0..100).map(|_| connect(address)).collect();
    server.signal("TERM");
    for reader in &mut readers {
        assert_eq!(reader.is_closed(), 1012);
    }
    drop(readers);
    let (code, took) = timed(|| server.exits());
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(idle);
}

#[test]
fn a_batch_whose_caller_has_gone_is_published_before_the_stop() {
    const MESSAGES: u64 = 30_000;
    let config = channelstream::Config {
        secret: SECRET.to_owned(),
        ..channelstream::Config::default()
    };
    let mut server = Builder::new()
        .listen(Listen::Tcp(([127, 0, 0, 1], 0).into()))
        .channelstream(config)
        .build()
        .expect("an address of this machine");
    let address = server.bound()[0].address().expect("a TCP address");
    let body = vec![r#"{"user":"b","channel":"c"}"#; MESSAGES as usize].join(",");
    let request = signed("/message", &format!("[{body}]"));
    let sends = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(&request).expect("it reads");
    });
    while server.engine().jobs() == 0 {
        assert!(matches!(server.turn(None), Ok(Flow::Running)));
    }
    sends
        .join()
        .expect("all was sent, and the connection closed");
    server.stop();
    let how = server.run().expect("turns work");
    assert_eq!(how, Stopped::Clean);
    assert_eq!(server.engine().hub().totals().published, MESSAGES);
}
