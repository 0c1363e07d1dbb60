//! Long-poll: what a waiting poll takes in memory, and what a message costs that is told to polls
//! which ask again at once, beside what it costs on WebSockets.

#![allow(
    clippy::disallowed_methods,
    reason = "clients live in real time: they look at the clock"
)]

mod support;

use fanwire::dialect::channelstream::Config;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Stopped};
use stats_alloc::StatsAlloc;
use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use support::heap::{COUNTING, live_bytes};
use support::sockets::{Backend, Listener, server_cpu_ns};
use support::world::{World, connect_body, id_in, message_body};
use support::{Bench, median};

#[global_allocator]
static HEAP: &StatsAlloc<System> = COUNTING;

/// A waiting poll with its connection, subscriber, user and one subscription may take this much.
const POLL_BYTES_MAX: f64 = 1_536.0;
/// A delivery to a poll may cost so many to a WebSocket.
const RATIO_MAX: f64 = 12.0;

fn parked(bench: Bench) {
    let count = bench.size(1_000, 9_000);
    let mut world = World::new();
    let backend = world.open();
    let before = live_bytes(HEAP);
    for number in 0..count {
        let id = world.connect(backend, &format!("user-{number}"), "room");
        let conn = world.open();
        let poll = format!("GET /listen?conn_id={id} HTTP/1.1\r\nHost: bench\r\n\r\n");
        world.receive(conn, poll.as_bytes());
        world.drain();
    }
    world.out.trim();
    let each = (live_bytes(HEAP) - before) as f64 / count as f64;
    bench.report(
        &format!("{count} waiting polls, one user each"),
        each,
        "B/poll",
    );
    assert!(each <= POLL_BYTES_MAX, "{each} bytes per waiting poll");
}

/// One browser that polls.
struct Poller {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Poller {
    fn start(address: SocketAddr, backend: &mut Backend, user: &str) -> Self {
        let request = backend.request("/connect", &connect_body(user, "polled"));
        backend.send(request.as_bytes());
        let answer = backend.answers(1);
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let id = id_in(&answer);
        let mut poller = Self {
            stream,
            request: format!("GET /listen?conn_id={id} HTTP/1.1\r\nHost: bench\r\n\r\n"),
            answer: vec![0; 64 * 1024],
        };
        poller.ask();
        poller
    }

    fn ask(&mut self) {
        self.stream
            .write_all(self.request.as_bytes())
            .expect("the server reads");
    }

    /// Reads one answer and asks again. How many messages were in it.
    fn hear(&mut self) -> usize {
        let mut length = 0;
        loop {
            let room = self.answer.get_mut(length..).expect("answers are short");
            let read = self.stream.read(room).expect("the server answers");
            assert!(read > 0, "the server keeps the connection");
            length += read;
            if self.answer[..length].ends_with(b"]") {
                break;
            }
        }
        self.ask();
        let text = std::str::from_utf8(&self.answer[..length]).expect("text");
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        text.matches("\"uuid\"").count()
    }
}

fn cost(bench: Bench) {
    let count = bench.size(100, 1_000);
    let mut config = Config::default();
    // Gathering is waiting, not work; a short one makes for more rounds.
    config.poll.gather_ms = 50;
    let server = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
        .channelstream(config)
        .spawn()
        .expect("an address of this machine");
    let address = server.bound()[0].address().expect("a TCP address");
    let mut backend = Backend::new(address);
    let mut polls: Vec<Poller> = (0..count)
        .map(|n| Poller::start(address, &mut backend, &format!("poll-{n}")))
        .collect();
    let mut sockets: Vec<Listener> = (0..count)
        .map(|n| Listener::join(address, &mut backend, &format!("user-{n}")))
        .collect();
    let to_polls = backend.request("/message", &message_body("polled"));
    let to_sockets = backend.request("/message", &message_body("room"));
    let (mut poll_ns, mut socket_ns) = (Vec::new(), Vec::new());
    let spent = || server_cpu_ns().unwrap_or(0);
    for round in 1..=bench.size(10, 40) {
        let before = spent();
        backend.send(to_polls.as_bytes());
        backend.answers(1);
        for poll in &mut polls {
            // A poll that was answered meanwhile with nothing has asked again.
            while poll.hear() == 0 {}
        }
        poll_ns.push((spent() - before) as f64 / count as f64);
        let before = spent();
        backend.send(to_sockets.as_bytes());
        for socket in &mut sockets {
            socket.read_until(round);
        }
        backend.answers(1);
        socket_ns.push((spent() - before) as f64 / count as f64);
    }
    let (poll, socket) = (median(poll_ns), median(socket_ns));
    if socket > 0.0 {
        let case = format!("a message to {count}");
        bench.report(
            &format!("{case} polls that poll again"),
            poll,
            "ns CPU/delivery",
        );
        bench.report(&format!("{case} sockets"), socket, "ns CPU/delivery");
        bench.report("the one to the other", poll / socket, "");
        assert!(poll <= RATIO_MAX * socket, "{poll} ns against {socket} ns");
    }
    drop((polls, sockets, backend));
    server.handle().stop().expect("the server runs");
    assert_eq!(
        server.wait().expect("the loop ended in order"),
        Stopped::Clean
    );
}

fn main() {
    let bench = Bench::from_args("polls");
    let _ = rlimit::increase_nofile_limit(16 * 1024);
    parked(bench);
    cost(bench);
}
