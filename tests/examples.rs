//! The three examples as processes of their own, used as their comments say.

#![allow(
    clippy::disallowed_methods,
    reason = "threads read what the processes say, and a signature is made now"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Message, WebSocket};

#[path = "it/signature.rs"]
#[allow(dead_code, reason = "only a plain signature is needed here")]
mod signature;

const PATIENCE: Duration = Duration::from_secs(20);

/// An example that runs until the test is over.
struct Example {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Example {
    /// Starts the example `name`, which `cargo test` has built beside this test.
    fn start(name: &str, args: &[&str]) -> Self {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
        let path = profile.join("examples").join(name);
        assert!(
            path.exists(),
            "{} is not there; `cargo test` without a choice of targets builds it, and so does \
             `cargo build --examples`",
            path.display()
        );
        let mut child = Command::new(path)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an example runs");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = mpsc::channel();
        let example = Self {
            child,
            stdin,
            lines,
        };
        let stdout = stdout.expect("it was asked for");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        example
    }

    /// The rest of the next line that begins so.
    #[track_caller]
    fn says(&self, start: &str) -> String {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
            said.push(line);
        }
        panic!("it never said {start:?}, but {said:?}");
    }

    #[track_caller]
    fn address(&self) -> SocketAddr {
        let said = self.says("listening on ");
        said.parse().expect("an address and nothing else")
    }

    /// Waits until it ends by itself.
    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        // Its end closes its output, and with it the channel.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        self.child.wait().expect("it has ended")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

fn open(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{address}{path}");
    let (socket, answer) = tungstenite::client(url, connect(address)).expect("a handshake");
    assert_eq!(answer.status(), 101);
    socket
}

/// What the server sends next, its pings and the client's own answers left out.
fn next(socket: &mut WebSocket<TcpStream>) -> Message {
    socket.read().expect("a message")
}

#[test]
fn echo_sends_back_what_comes_and_says_goodbye() {
    let example = Example::start("echo", &["127.0.0.1:0"]);
    let mut socket = open(example.address(), "/");
    let large: String = "0123456789abcdef".repeat((1 << 20) / 16 + 1);
    assert!(large.len() > 1 << 20);
    for message in [
        Message::text("text, and beyond ASCII: é ∞ 🎈"),
        Message::text(""),
        Message::binary(vec![0, 159, 255]),
        Message::text(large.clone()),
        Message::binary(large.into_bytes()),
    ] {
        socket.send(message.clone()).expect("sent");
        assert!(next(&mut socket) == message, "it came back changed");
    }

    socket
        .send(Message::Ping("are you there".into()))
        .expect("sent");
    assert_eq!(next(&mut socket), Message::Pong("are you there".into()));

    let goodbye = CloseFrame {
        code: CloseCode::Library(4321),
        reason: "enough".into(),
    };
    socket.close(Some(goodbye.clone())).expect("sent");
    let answer = next(&mut socket);
    let Message::Close(Some(close)) = answer else {
        panic!("no Close came back but {answer:?}");
    };
    assert_eq!(close.code, goodbye.code);
    let end = socket.read().expect_err("it is over");
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

/// `count` fragments of one message; every other one is empty.
fn send_fragments(socket: &mut WebSocket<TcpStream>, count: usize) -> String {
    let mut whole = String::new();
    for number in 0..count {
        let piece = if number % 2 == 0 { "é" } else { "" };
        whole.push_str(piece);
        let data = if number == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let frame = Frame::message(
            piece.as_bytes().to_vec(),
            OpCode::Data(data),
            number + 1 == count,
        );
        socket.write(Message::Frame(frame)).expect("sent");
    }
    socket.flush().expect("sent");
    whole
}

#[test]
fn echo_puts_fragments_together() {
    let example = Example::start("echo", &["127.0.0.1:0"]);
    let mut socket = open(example.address(), "/");
    for count in [2, 3, 65_536] {
        let whole = send_fragments(&mut socket, count);
        assert!(next(&mut socket) == Message::text(whole), "of {count}");
    }
    // One more than it takes is too large a message.
    send_fragments(&mut socket, 65_537);
    let answer = next(&mut socket);
    let Message::Close(Some(close)) = answer else {
        panic!("it was taken: {} bytes", answer.len());
    };
    assert_eq!(close.code, CloseCode::Size);
}

/// Makes the user `user` a subscriber of `lobby`, over HTTP, and returns its open socket.
fn subscribe(address: SocketAddr, user: &str) -> WebSocket<TcpStream> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.expect("it is later than 1970").as_secs();
    let signature = signature::sign("secret", "channelstream", now);
    let body = format!(r#"{{"username":"{user}","channels":["lobby"]}}"#);
    let mut stream = connect(address);
    write!(
        stream,
        "POST /connect HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         x-channelstream-secret: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let id = body["conn_id"].as_str().expect("an id");
    open(address, &format!("/ws?conn_id={id}"))
}

/// The next message to `lobby`: who sent it, and its text.
fn message(socket: &mut WebSocket<TcpStream>) -> (String, String) {
    loop {
        let Message::Text(text) = next(socket) else {
            continue;
        };
        let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let event = &list[0];
        if event["type"] == "message" {
            assert_eq!(event["channel"], "lobby");
            let words = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
            return (words(&event["user"]), words(&event["message"]["text"]));
        }
    }
}

/// The server says that it goes, and goes.
fn is_told_to_come_back(socket: &mut WebSocket<TcpStream>) {
    loop {
        match next(socket) {
            Message::Close(close) => {
                assert_eq!(close.map(|close| close.code), Some(CloseCode::Restart));
                break;
            }
            Message::Text(_) | Message::Ping(_) => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    let end = socket.read().expect_err("it is over");
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

#[test]
fn embed_publishes_what_is_typed_and_stops_at_the_end_of_input() {
    let mut example = Example::start("embed", &["127.0.0.1:0"]);
    let mut socket = subscribe(example.address(), "reader");
    let mut stdin = example.stdin.take().expect("it was asked for");
    for line in ["hello", "with \"quotes\" and \\", "é ∞ 🎈"] {
        writeln!(stdin, "{line}").expect("typed");
        let expected = ("embed".to_owned(), line.to_owned());
        assert_eq!(message(&mut socket), expected);
    }
    assert_eq!(example.says("published 3, "), "delivered 3");
    drop(stdin);
    is_told_to_come_back(&mut socket);
    example.says("everybody has gone");
    assert!(example.ends().success());
}

#[test]
fn own_loop_publishes_datagrams_and_stops_when_told() {
    let mut example = Example::start("own_loop", &["127.0.0.1:0", "127.0.0.1:0"]);
    let mut socket = subscribe(example.address(), "reader");
    let target = example.says("datagrams to ");
    let host = UdpSocket::bind("127.0.0.1:0").expect("bound");
    host.connect(&target).expect("an address");
    for text in ["hello", "\"", "é ∞ 🎈"] {
        host.send(text.as_bytes()).expect("sent");
        let expected = ("own_loop".to_owned(), text.to_owned());
        assert_eq!(message(&mut socket), expected);
    }
    host.send(b"stop\n").expect("sent");
    is_told_to_come_back(&mut socket);
    example.says("stopped: Clean");
    assert!(example.ends().success());
}
