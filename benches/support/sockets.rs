//! The ends of real connections that belong to the clients: a backend that asks, a browser that
//! listens.

use super::timed;
use super::world::{connect_body, id_in, upgrade};
use fanwire::dialect::channelstream::{Channelstream, Config};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

/// The backend's side: requests and answers on one connection.
pub(crate) struct Backend {
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
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            signer: Channelstream::new(Config::default()),
        }
    }

    pub(crate) fn request(&self, path: &str, body: &str) -> String {
        let signature = self.signer.sign(path, unix_seconds());
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nX-Channelstream-Secret: {signature}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads so many answers and returns them.
    pub(crate) fn answers(&mut self, count: usize) -> String {
        let (mut bytes, mut seen, mut at) = (Vec::new(), 0, 0);
        let mut piece = vec![0; 64 * 1024];
        // Nothing is looked at before a whole answer can be there: some are megabytes long.
        let mut enough = 0;
        loop {
            let text = match bytes.len() >= enough {
                true => String::from_utf8_lossy(&bytes[at..]).into_owned(),
                false => String::new(),
            };
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
                enough = at + head + 4 + length;
            }
            let read = self.stream.read(&mut piece).expect("the server answers");
            assert!(read > 0, "the server keeps the connection");
            bytes.extend_from_slice(&piece[..read]);
        }
    }
}

/// One browser: a WebSocket, and what has come on it.
pub(crate) struct Listener {
    pub(crate) stream: TcpStream,
    /// The id of its connection, for the backend.
    #[allow(dead_code, reason = "not every bench names one")]
    pub(crate) id: String,
    /// The beginning of a frame whose rest has not come.
    rest: Vec<u8>,
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Listener {
    pub(crate) fn join(address: SocketAddr, backend: &mut Backend, user: &str) -> Self {
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
            id: id_in(&answer).to_owned(),
            rest: Vec::new(),
            messages: 0,
            bytes: 0,
        }
    }

    /// Reads until so many messages have come in all.
    pub(crate) fn read_until(&mut self, messages: usize) {
        let mut piece = [0; 16 * 1024];
        while self.messages < messages {
            let read = self.stream.read(&mut piece).expect("the server writes");
            assert!(read > 0, "the server keeps the connection");
            self.take(&piece[..read]);
        }
        assert_eq!(self.messages, messages, "not one too many");
    }

    /// Reads what there is, from a socket that does not block.
    pub(crate) fn read_all(&mut self) {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => panic!("the server keeps the connection"),
                Ok(read) => self.take(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Counts the messages in what came. Heartbeats are not messages.
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
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
}

/// Asks a short question again and again until `done`. The longest wait for an answer.
#[allow(
    clippy::disallowed_methods,
    reason = "a client lives in real time: it asks at a pace"
)]
pub(crate) fn ask_until(address: SocketAddr, done: impl Fn() -> bool) -> Duration {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let (mut longest, mut answer) = (Duration::ZERO, [0; 4096]);
    while !done() {
        let (took, ()) = timed(|| {
            stream
                .write_all(b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n")
                .expect("the server reads");
            let read = stream.read(&mut answer).expect("the server answers");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        });
        longest = longest.max(took);
        thread::sleep(Duration::from_micros(500));
    }
    longest
}

/// Nanoseconds the server's thread has spent on a processor; none where there is no `/proc`.
pub(crate) fn server_cpu_ns() -> Option<u64> {
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
