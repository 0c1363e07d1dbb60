//! End to end through real sockets: the server on its thread, and a client that blocks on this
//! one. With two cores each has its own; with one they take turns, which the figures show.
//!
//! The client reads every byte and counts every frame: what was published must arrive whole, once,
//! and at everyone.

mod support;

use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Stopped};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::SystemTime;
use support::world::{connect_body, id_in, message_body, upgrade};
use support::{Bench, median, timed};

/// The backend's side: requests and answers on one connection.
struct Backend {
    stream: TcpStream,
    signer: Channelstream,
}

#[allow(
    clippy::disallowed_methods,
    reason = "a signature has the date of today"
)]
fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

impl Backend {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            signer: Channelstream::new(Config::default()),
        }
    }

    fn request(&self, path: &str, body: &str) -> String {
        let signature = self.signer.sign(path, unix_seconds());
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nX-Channelstream-Secret: {signature}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads so many answers and returns them.
    fn answers(&mut self, count: usize) -> String {
        let (mut bytes, mut seen, mut at) = (Vec::new(), 0, 0);
        let mut piece = [0; 16 * 1024];
        loop {
            let text = String::from_utf8_lossy(&bytes[at..]).into_owned();
            if let Some(head) = text.find("\r\n\r\n") {
                let length = text
                    .lines()
                    .find_map(|line| {
                        line.to_ascii_lowercase()
                            .strip_prefix("content-length: ")?
                            .parse::<usize>()
                            .ok()
                    })
                    .expect("answers have a length");
                if text.len() >= head + 4 + length {
                    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                    at += head + 4 + length;
                    seen += 1;
                    if seen == count {
                        return String::from_utf8_lossy(&bytes).into_owned();
                    }
                    continue;
                }
            }
            let read = self.stream.read(&mut piece).expect("the server answers");
            assert!(read > 0, "the server keeps the connection");
            bytes.extend_from_slice(&piece[..read]);
        }
    }
}

/// One browser: a WebSocket, and what has come on it.
struct Listener {
    stream: TcpStream,
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    messages: usize,
    bytes: usize,
}

impl Listener {
    fn join(address: SocketAddr, backend: &mut Backend, user: &str) -> Self {
        let request = backend.request("/connect", &connect_body(user, "room"));
        backend.send(request.as_bytes());
        let answer = backend.answers(1);
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
            .write_all(upgrade(id_in(&answer)).as_bytes())
            .expect("the server reads");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("the server answers");
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        Self {
            stream,
            rest: Vec::new(),
            messages: 0,
            bytes: 0,
        }
    }

    /// Reads until so many messages have come in all. Heartbeats are not messages.
    fn read_until(&mut self, messages: usize) {
        let mut piece = [0; 16 * 1024];
        while self.messages < messages {
            let read = self.stream.read(&mut piece).expect("the server writes");
            assert!(read > 0, "the server keeps the connection");
            self.rest.extend_from_slice(&piece[..read]);
            let mut at = 0;
            while let Some(&[first, length]) = self.rest.get(at..at + 2) {
                assert_eq!(first, 0x81, "only whole texts are sent");
                let (start, length) = match length {
                    126 => match self.rest.get(at + 2..at + 4) {
                        Some(&[high, low]) => (at + 4, usize::from(high) << 8 | usize::from(low)),
                        _ => break,
                    },
                    short => (at + 2, usize::from(short)),
                };
                let Some(payload) = self.rest.get(start..start + length) else {
                    break;
                };
                if payload != b"[]" {
                    assert!(payload.ends_with(b"}]"), "a list of one message");
                    self.messages += 1;
                    self.bytes += payload.len();
                }
                at = start + length;
            }
            self.rest.drain(..at);
        }
        assert_eq!(self.messages, messages, "not one too many");
    }
}

/// Nanoseconds the server's thread has spent on a processor; none where there is no `/proc`.
fn server_cpu_ns() -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let named = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "fanwire")
    };
    let task = tasks
        .flatten()
        .map(|task| task.path())
        .find(|path| named(path))?;
    let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn main() {
    let bench = Bench::from_args("loopback");
    // Both ends of every connection are ours.
    let limit = rlimit::increase_nofile_limit(16 * 1024).unwrap_or(1024) as usize;
    let listeners = bench.size(200, 2_000).min((limit - 100) / 2);
    let server = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
        .channelstream(Config::default())
        .spawn()
        .expect("an address of this machine");
    let address = server.bound()[0].address().expect("a TCP address");
    let mut backend = Backend::new(address);

    let (took, mut all) = timed(|| {
        let join = |n| Listener::join(address, &mut backend, &format!("user-{n}"));
        (0..listeners).map(join).collect::<Vec<Listener>>()
    });
    let each = took.as_nanos() as f64 / listeners as f64 / 1000.0;
    bench.report("set-up: /connect, then /ws, one by one", each, "us");

    let request = backend.request("/message", &message_body("room"));
    let (mut published, rounds) = (0, bench.size(20, 100));
    for per_write in [1, 10] {
        let (mut ms, cpu) = (Vec::new(), server_cpu_ns());
        let batch = request.repeat(per_write);
        for _ in 0..rounds {
            published += per_write;
            let (took, ()) = timed(|| {
                backend.send(batch.as_bytes());
                all.iter_mut().for_each(|one| one.read_until(published));
            });
            backend.answers(per_write);
            ms.push(took.as_nanos() as f64 / 1e6);
        }
        let case = format!("{per_write} to {listeners} sockets");
        let median = median(ms);
        let deliveries = (per_write * listeners) as f64;
        bench.report(&format!("{case}: all have read"), median, "ms");
        bench.report(
            &format!("{case}: deliveries"),
            deliveries / median * 1e3,
            "per second",
        );
        if let (Some(before), Some(after)) = (cpu, server_cpu_ns()) {
            let each = (after - before) as f64 / (deliveries * rounds as f64);
            bench.report(
                &format!("{case}: the server's thread"),
                each,
                "ns CPU/delivery",
            );
        }
    }
    let bytes = all[0].bytes;
    assert!(bytes > published * 100, "the messages are there");
    assert!(
        all.iter().all(|one| one.bytes == bytes),
        "everybody got the same"
    );
    let stats = server.handle().stats().expect("the server runs");
    assert_eq!(stats.delivered, (published * listeners) as u64);
    assert_eq!(
        (stats.queued_bytes, stats.subscribers),
        (0, listeners as u64)
    );
    drop(all);
    drop(backend);
    server.handle().stop().expect("the server runs");
    assert_eq!(
        server.wait().expect("the loop ended in order"),
        Stopped::Clean
    );
}
