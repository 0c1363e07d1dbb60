//! Peers: bytes, requests, subscribers.

use crate::http::{self, Answer};
use crate::process::{PATIENCE, SECRET, Server};
use crate::signature;
use crate::websocket::{self, Event, Reader};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A header, for [`http::request`].
pub(crate) fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The bytes of a request without a body.
pub(crate) fn get(path: &str) -> Vec<u8> {
    http::request("GET", path, "localhost", &[], None)
}

/// The bytes of a request that a web application makes.
pub(crate) fn signed(path: &str, body: &str) -> Vec<u8> {
    signed_with(SECRET, path, body)
}

/// A signature made with `secret` so many seconds ago.
pub(crate) fn signature(secret: &str, age_s: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.expect("it is later than 1970").as_secs();
    signature::sign(secret, "channelstream", now - age_s)
}

/// A head with `lines` that a web application has signed; the body is to follow.
pub(crate) fn signed_head(request_line: &str, lines: &str) -> Vec<u8> {
    let signature = signature(SECRET, 0);
    format!(
        "{request_line} HTTP/1.1\r\nHost: x\r\nX-Channelstream-Secret: {signature}\r\n{lines}\r\n\r\n"
    )
    .into_bytes()
}

/// The bytes of a request that is signed with some secret.
pub(crate) fn signed_with(secret: &str, path: &str, body: &str) -> Vec<u8> {
    let signature = signature(secret, 0);
    let headers = [header("x-channelstream-secret", &signature)];
    http::request("POST", path, "localhost", &headers, Some(body.as_bytes()))
}

/// The bytes of a request that publishes `text` in `channel`.
pub(crate) fn publish(channel: &str, text: &str) -> Vec<u8> {
    let message = serde_json::json!({ "text": text });
    let body = serde_json::json!([{ "user": "app", "channel": channel, "message": message }]);
    signed("/message", &body.to_string())
}

/// One peer on one connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    /// Read and not taken yet.
    bytes: Vec<u8>,
    ended: bool,
}

/// A plain connection that gives up when nothing comes for too long.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    stream
}

/// The same with a receiving end that holds little.
pub(crate) fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("one more descriptor");
    socket.set_recv_buffer_size(4096).expect("an option");
    socket.connect(&address.into()).expect("connected");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.set_write_timeout(Some(PATIENCE)).expect("an option");
    stream
}

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// No more will be sent.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shut");
    }

    /// Nothing has come and nothing has ended, now and for a while.
    #[track_caller]
    pub(crate) fn hears_nothing_for(&mut self, a_while: Duration) {
        let old = self.stream.read_timeout().expect("an option");
        self.stream
            .set_read_timeout(Some(a_while))
            .expect("an option");
        let came = self.stream.read(&mut [0; 1024]);
        let kind = came.map_err(|error| error.kind());
        assert!(
            matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{kind:?}"
        );
        self.stream.set_read_timeout(old).expect("an option");
    }
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            ended: false,
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
        self.stream.flush().expect("sent");
    }

    /// Reads more. False at the end.
    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = loop {
            match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("read: {error}; before it {}", http::lossy(&self.bytes)),
                Ok(count) => break count,
            }
        };
        self.bytes.extend_from_slice(&buffer[..count]);
        self.ended |= count == 0;
        count > 0
    }

    #[track_caller]
    fn answer_to(&mut self, head_only: bool) -> Answer {
        loop {
            let read = http::answer(&self.bytes, head_only, self.ended);
            if let Some((answer, used)) = read.expect("an answer in order") {
                self.bytes.drain(..used);
                return answer;
            }
            self.more();
        }
    }

    /// The next whole answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to(false)
    }

    /// The next answer, to a HEAD.
    #[track_caller]
    pub(crate) fn head_answer(&mut self) -> Answer {
        self.answer_to(true)
    }

    /// Asks and returns the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Nothing more came, and the end came in order.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        while self.more() {}
        assert_eq!(http::lossy(&self.bytes), "", "nothing comes before the end");
    }

    /// Reads so many bytes, whatever they are.
    #[track_caller]
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            assert!(self.more(), "cut short: {}", http::lossy(&self.bytes));
        }
        self.bytes.drain(..count).collect()
    }
}

/// A refusal: its status, its word, and that the connection ends.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, word: &str) {
    let text = http::lossy(&answer.body);
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["error"], word, "{text}");
    assert!(body["message"].as_str().is_some_and(|m| !m.is_empty()));
}

/// What is under `name` in the metrics, labels included in the name.
pub(crate) fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// The page of metrics, with the login that a server has by default.
#[track_caller]
pub(crate) fn metrics(server: &Server) -> String {
    // "admin:admin_secret"
    let login = [header("Authorization", "Basic YWRtaW46YWRtaW5fc2VjcmV0")];
    let request = http::request("GET", "/metrics", "localhost", &login, None);
    let answer = Peer::new(server.address()).ask(&request);
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).expect("text")
}

/// An open WebSocket.
pub(crate) struct Socket<S = TcpStream> {
    pub(crate) peer: Peer<S>,
    reader: Reader,
    pub(crate) writer: websocket::Writer,
    /// Whether Pings are answered and Closes too.
    pub(crate) is_polite: bool,
}

/// The bytes that ask for a WebSocket.
pub(crate) fn upgrade(path: &str) -> Vec<u8> {
    let headers = [
        header("Upgrade", "websocket"),
        header("Connection", "Upgrade"),
        header("Sec-WebSocket-Version", "13"),
        header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    http::request("GET", path, "localhost", &headers, None)
}

/// Makes `user` a subscriber of `channels`; the id of the connection.
#[track_caller]
pub(crate) fn conn_id(peer: &mut Peer<impl Read + Write>, user: &str, channels: &[&str]) -> String {
    let body = serde_json::json!({ "username": user, "channels": channels });
    let answer = peer.ask(&signed("/connect", &body.to_string()));
    assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    body["conn_id"].as_str().expect("an id").to_owned()
}

/// Makes `user` a subscriber of `channel` with an open socket.
#[track_caller]
pub(crate) fn subscriber(address: SocketAddr, user: &str, channel: &str) -> Socket {
    let id = conn_id(&mut Peer::new(address), user, &[channel]);
    Socket::open(connect(address), &id)
}

impl<S: Read + Write> Socket<S> {
    /// Opens the socket of a connection that `/connect` has made.
    #[track_caller]
    pub(crate) fn open(stream: S, id: &str) -> Self {
        let mut peer = Peer::over(stream);
        let answer = peer.ask(&upgrade(&format!("/ws?conn_id={id}")));
        assert_eq!(answer.status, 101);
        let accept = websocket::accept_of("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer.header("sec-websocket-accept"), Some(&accept[..]));
        Self {
            peer,
            reader: Reader::default(),
            writer: websocket::Writer::default(),
            is_polite: true,
        }
    }

    /// Sends one frame.
    #[track_caller]
    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.writer.frame(opcode, payload);
        self.peer.send(&frame);
    }

    /// What comes next; none at the end.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.reader.next().expect("frames in order");
            match &event {
                Some(Event::Ping(payload)) if self.is_polite => {
                    let pong = self.writer.frame(websocket::PONG, payload);
                    self.peer.send(&pong);
                }
                Some(Event::Close(_, payload)) if self.is_polite => {
                    let close = self.writer.frame(websocket::CLOSE, payload);
                    // The server need not wait for it.
                    let _ = self.peer.stream.write_all(&close);
                }
                _ => {}
            }
            if event.is_some() {
                return event;
            }
            if self.peer.bytes.is_empty() && !self.peer.more() {
                assert!(self.reader.is_between_messages(), "cut short");
                return None;
            }
            self.reader.feed(&std::mem::take(&mut self.peer.bytes));
        }
    }

    /// The text of the next message; presence, heartbeats and Pings are passed over.
    #[track_caller]
    pub(crate) fn message(&mut self) -> String {
        loop {
            match self.next() {
                Some(Event::Text(text)) => {
                    let list: Value = serde_json::from_str(&text).expect("JSON");
                    if list[0]["type"] == "message" {
                        let text = list[0]["message"]["text"].as_str();
                        return text.expect("a text").to_owned();
                    }
                }
                Some(Event::Ping(_)) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// The code of the Close that comes; anything before it is passed over. Then the end.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> u16 {
        let code = self.close_code();
        assert_eq!(self.next(), None, "after a Close nothing comes but the end");
        code
    }

    /// The code of the Close that comes, and no look at what follows.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> u16 {
        loop {
            match self.next() {
                Some(Event::Close(code, payload)) => {
                    assert!(payload.len() <= 125);
                    return code;
                }
                Some(_) => {}
                None => panic!("the end came without a Close"),
            }
        }
    }
}

/// How long `f` took.
pub(crate) fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = f();
    (result, started.elapsed())
}
