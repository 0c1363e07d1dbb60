//! Heads before bodies: who may send one, how large it may be, and how long it may take.

use crate::http::{self, Answer};
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use crate::signature;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::limits::{DRAIN_HEAD_MS, HTTP_SMALL_BODY_BYTES_MAX};
use fanwire::random::Random;

const SECRET: &str = "of these tests";
/// A body that no test sends to its end.
const LARGE: usize = 8 * 1024 * 1024;

/// What a client hears next.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Answer(Answer),
    /// `100 Continue`.
    Continue,
    Nothing,
    End,
}

/// A client of an engine in memory.
struct Client {
    memory: Memory<Engine>,
    link: Link,
    bytes: Vec<u8>,
}

impl Client {
    fn with(cut: Cut, enforce_https: bool) -> Self {
        let config = Config {
            secret: SECRET.to_owned(),
            enforce_https,
            ..Config::default()
        };
        let dialect: Box<dyn Dialect> = Box::new(Channelstream::new(config));
        let engine = Engine::new(EngineConfig::default(), vec![dialect], Random::seeded(1));
        let mut memory = Memory::new(engine, SECRET, cut);
        let link = memory.dial();
        Self {
            memory,
            link,
            bytes: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::with(Cut::Whole, false)
    }

    /// A header with a signature that was made so many seconds ago.
    fn signature(&self, age_s: u64) -> String {
        let at = self.memory.unix_seconds() - age_s;
        let signed = signature::sign(SECRET, "channelstream", at);
        format!("X-Channelstream-Secret: {signed}\r\n")
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.memory.send(self.link, bytes.as_ref());
    }

    /// What there is to hear without waiting.
    fn hear(&mut self) -> Heard {
        self.hear_within(0)
    }

    fn hear_within(&mut self, ms: u64) -> Heard {
        let until = self.memory.now_ms() + ms;
        loop {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            if self.bytes.starts_with(go_on) {
                self.bytes.drain(..go_on.len());
                return Heard::Continue;
            }
            let read = http::answer(&self.bytes, false, false).expect("an answer in order");
            if let Some((answer, length)) = read {
                self.bytes.drain(..length);
                return Heard::Answer(answer);
            }
            match self.memory.receive(self.link, until) {
                Received::Bytes { bytes, .. } => self.bytes.extend(bytes),
                Received::Ended { .. } => {
                    assert!(self.bytes.is_empty(), "nothing is cut short");
                    return Heard::End;
                }
                Received::Nothing => return Heard::Nothing,
            }
        }
    }

    #[track_caller]
    fn answer(&mut self) -> Answer {
        match self.hear() {
            Heard::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }
}

fn head(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// A request that is refused by its head, and how.
struct Refused {
    line: &'static str,
    /// How old its signature is, if it has one.
    signed_s_ago: Option<u64>,
    header: &'static str,
    enforce_https: bool,
    status: u16,
}

fn refused(line: &'static str, status: u16) -> Refused {
    Refused {
        line,
        signed_s_ago: None,
        header: "",
        enforce_https: false,
        status,
    }
}

fn all_refused() -> Vec<Refused> {
    let forged = "X-Channelstream-Secret: channelstream.X14QAA.bm9uc2Vuc2Vub25zZW5zZQ\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    vec![
        refused("POST /message", 403),
        refused("POST /connect", 403),
        refused("POST /subscribe", 403),
        refused("POST /unsubscribe?secret=", 403),
        refused("GET /info", 403),
        refused("PATCH /message", 403),
        refused("DELETE /message", 403),
        refused("POST /user_state", 403),
        refused("POST /channel_config", 403),
        refused("GET /channel_config", 404),
        refused("POST /nothing", 404),
        refused("PUT /message", 404),
        refused("POST /static/x", 404),
        refused("GET /static/x", 404),
        refused("GET /admin", 501),
        Refused {
            signed_s_ago: Some(0),
            ..refused("POST /openapi.json", 501)
        },
        Refused {
            signed_s_ago: Some(61),
            ..refused("POST /message", 401)
        },
        // A wrong signature is refused everywhere, and before anything else is said.
        Refused {
            header: forged,
            ..refused("POST /disconnect", 401)
        },
        Refused {
            header: forged,
            ..refused("OPTIONS /nothing", 401)
        },
        Refused {
            header: forged,
            ..refused("POST /nothing", 401)
        },
        refused("POST /message?secret=a.b.c", 401),
        // But for the scheme.
        Refused {
            header: forged,
            enforce_https: true,
            ..refused("POST /message", 406)
        },
        Refused {
            header: form,
            enforce_https: true,
            ..refused("POST /message", 406)
        },
    ]
}

impl Refused {
    /// A client that has sent the head with `framing`, and what of the body comes with it.
    fn asked(&self, cut: Cut, framing: &str, behind: &str) -> Client {
        let mut client = Client::with(cut, self.enforce_https);
        let signature = self.signed_s_ago.map(|age| client.signature(age));
        let headers = signature.unwrap_or_default() + self.header + framing;
        client.send(head(self.line, &headers) + behind);
        client
    }
}

#[test]
fn whoever_may_not_ask_is_told_before_the_body() {
    for case in all_refused() {
        // As if the body had come with the head; then the connection stays.
        let mut client = case.asked(Cut::Whole, "Content-Length: 2\r\n", "[]");
        let expected = client.answer();
        assert_eq!(expected.status, case.status, "{}", case.line);
        assert_eq!(expected.header("connection"), None, "{}", case.line);
        assert_eq!(client.hear(), Heard::Nothing);

        let large = format!("Content-Length: {LARGE}\r\n");
        for framing in [
            "Content-Length: 2\r\n",
            &large,
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\nContent-Length: 2\r\n",
            &format!("Expect: 100-continue\r\n{large}"),
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
        ] {
            for cut in [Cut::Whole, Cut::At(30), Cut::Bytewise] {
                let mut client = case.asked(cut, framing, "");
                let answer = client.answer();
                // The same words, and the same headers but for the last.
                assert_eq!(answer.status, expected.status, "{}", case.line);
                assert_eq!(answer.body, expected.body, "{}", case.line);
                assert_eq!(answer.header("connection"), Some("close"));
                for (name, value) in &expected.headers {
                    if name != "Date" {
                        assert_eq!(answer.header(name), Some(&**value), "{name}");
                    }
                }
                assert_eq!(client.hear(), Heard::End);
                let engine = client.memory.handler();
                assert_eq!(engine.metrics().turned_away, 1);
                assert_eq!(engine.metrics().requests, 1);
                // What is sent all the same is not looked at.
                client.send("2\r\n[]\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
                assert_eq!(client.hear(), Heard::End);
            }
        }
    }
}

#[test]
fn what_comes_before_is_answered_and_what_comes_behind_is_not() {
    let live = head("GET /health/live", "");
    let unsigned = head("POST /message", "Content-Length: 1000\r\n");
    let mut client = Client::new();
    client.send(format!("{live}{live}{unsigned}[]{live}"));
    for status in [200, 200, 403] {
        assert_eq!(client.answer().status, status);
    }
    assert_eq!(client.hear(), Heard::End);
    // Behind a body that is taken there is the next request.
    let mut client = Client::new();
    let signature = client.signature(0);
    let signed = head("POST /message", &(signature + "Content-Length: 10\r\n"));
    client.send(format!("{live}{signed}[    "));
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.hear(), Heard::Nothing);
    client.send(format!("    ]{live}{unsigned}"));
    for status in [200, 200, 403] {
        assert_eq!(client.answer().status, status);
    }
    assert_eq!(client.hear(), Heard::End);
}

#[test]
fn a_head_has_no_body_in_its_answer() {
    for (framing, is_last) in [("Content-Length: 5\r\n", true), ("", false)] {
        let mut client = Client::new();
        client.send(head("HEAD /nothing", framing));
        let now = client.memory.now_ms();
        let Received::Bytes { bytes, .. } = client.memory.receive(client.link, now) else {
            panic!("there is an answer");
        };
        let (answer, length) = http::answer(&bytes, true, false)
            .expect("in order")
            .expect("whole");
        assert_eq!((answer.status, length), (404, bytes.len()));
        let last = answer.header("connection") == Some("close");
        assert_eq!(last, is_last);
    }
}

#[test]
fn each_path_has_its_own_limit() {
    let small = HTTP_SMALL_BODY_BYTES_MAX;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (line, header, at_limit) in [
        // The status says that the body was read.
        ("POST /disconnect", "", 400),
        ("GET /disconnect", "", 422),
        ("OPTIONS /message", "", 200),
        ("GET /health/live", "", 200),
        ("POST /metrics", "", 405),
        ("GET /ws", "", 400),
        // The secret may be in it, and was not.
        ("POST /message", form, 403),
        ("POST /nothing", form, 404),
    ] {
        for (size, status) in [(small - 1, at_limit), (small, at_limit), (small + 1, 413)] {
            let body = "x".repeat(size);
            let sized = head(line, &format!("{header}Content-Length: {size}\r\n"));
            let chunked = head(line, &format!("{header}Transfer-Encoding: chunked\r\n"));
            let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", size);
            for (head, body) in [(sized, body), (chunked, chunks)] {
                for later in [false, true] {
                    let mut client = Client::new();
                    if later {
                        client.send(&head);
                        if status == 413 && head.contains("Length") {
                            // Decided from the length alone.
                            assert_eq!(client.answer().status, status, "{line}");
                            assert_eq!(client.hear(), Heard::End);
                            continue;
                        }
                        assert_eq!(client.hear(), Heard::Nothing, "{line}");
                        client.send(&body);
                    } else {
                        client.send(head.clone() + &body);
                    }
                    let answer = client.answer();
                    assert_eq!(answer.status, status, "{line} {size} {later}");
                    if status == 413 {
                        let text = http::lossy(&answer.body);
                        assert!(text.contains(&format!("\"limit\":{small}")), "{text}");
                        assert_eq!(client.hear(), Heard::End);
                    }
                }
            }
        }
    }
    // Where lists are read there is room for them.
    for path in [
        "/connect",
        "/subscribe",
        "/unsubscribe",
        "/message",
        "/info",
    ] {
        let mut client = Client::new();
        let headers = format!("Content-Length: {LARGE}\r\n") + &client.signature(0);
        client.send(head(&format!("POST {path}"), &headers));
        assert_eq!(client.hear(), Heard::Nothing);
        client.send("[".repeat(LARGE));
        assert_eq!(client.answer().status, 400, "it is no JSON");
        let mut client = Client::new();
        let headers = format!("Content-Length: {}\r\n", LARGE + 1) + &client.signature(0);
        client.send(head(&format!("POST {path}"), &headers));
        assert_eq!(client.answer().status, 413);
    }
}

#[test]
fn a_signature_may_come_in_the_body_of_a_form() {
    let client = Client::new();
    let good = signature::sign(SECRET, "channelstream", client.memory.unix_seconds());
    for (signed, status) in [(&*good, 200), ("a.b.c", 401), ("", 403)] {
        let body = format!("secret={signed}");
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let head = head("GET /info", &headers);
        for later in [false, true] {
            let mut client = Client::new();
            if later {
                client.send(&head);
                assert_eq!(client.hear(), Heard::Nothing);
                client.send(&body);
            } else {
                client.send(head.clone() + &body);
            }
            let answer = client.answer();
            // A form is no JSON, but its sender was recognised.
            let status = if status == 200 { 400 } else { status };
            assert_eq!(answer.status, status, "{}", http::lossy(&answer.body));
            assert_eq!(answer.header("connection"), None);
        }
    }
}

#[test]
fn whoever_waits_is_told_to_go_on_once_it_may() {
    for cut in [Cut::Whole, Cut::At(40), Cut::Bytewise] {
        let mut client = Client::with(cut, false);
        let headers = "Expect: 100-continue\r\nContent-Length: 2\r\n".to_owned();
        let signed = head("POST /message", &(headers.clone() + &client.signature(0)));
        for _ in 0..2 {
            client.send(&signed);
            assert_eq!(client.hear(), Heard::Continue);
            assert_eq!(client.hear(), Heard::Nothing);
            client.send("[]");
            assert_eq!(client.answer().status, 200);
        }
        if cut == Cut::Whole {
            // Who does not wait for it needs no word.
            client.send(format!("{signed}["));
            assert_eq!(client.hear(), Heard::Nothing);
            client.send("]");
            assert_eq!(client.answer().status, 200);
        }
        // What is too large is refused from its length, and not asked for.
        let headers = format!("Expect: 100-continue\r\nContent-Length: {LARGE}\r\n");
        client.send(head("POST /disconnect", &headers));
        assert_eq!(client.answer().status, 413);
        assert_eq!(client.hear(), Heard::End);
    }
}

#[test]
fn whoever_waits_behind_many_is_told_as_well() {
    // More requests than are taken at once, so that the last head is met at each place.
    for count in 28..70 {
        let mut client = Client::new();
        let headers = "Expect: 100-continue\r\nContent-Length: 2\r\n".to_owned();
        let last = head("POST /message", &(headers + &client.signature(0)));
        client.send(head("GET /health/live", "").repeat(count) + &last);
        for _ in 0..count {
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(client.hear(), Heard::Continue, "behind {count}");
        client.send("[]");
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_body_that_takes_long_is_as_good_as_its_head_was() {
    // So many bytes come at a time, every ten seconds: for more than a minute.
    let pieces = 8;
    let body = format!("[{}]", " ".repeat(100_000 - 2));
    for (age_s, framing) in [
        (0, "Content-Length"),
        (60, "Content-Length"),
        (60, "chunked"),
    ] {
        let mut client = Client::new();
        let headers = match framing {
            "chunked" => "Transfer-Encoding: chunked\r\n".to_owned(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let headers = headers + &client.signature(age_s);
        client.send(head("POST /message", &headers));
        for piece in body.as_bytes().chunks(body.len().div_ceil(pieces)) {
            assert_eq!(client.hear_within(10_000), Heard::Nothing);
            if framing == "chunked" {
                client.send(format!("{:x}\r\n", piece.len()));
                client.send(piece);
                client.send("\r\n");
            } else {
                client.send(piece);
            }
        }
        if framing == "chunked" {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer().status, 200, "{age_s}");
        // The next one is as old as it is.
        let now_too_old = client.signature(61);
        client.send(head("POST /message", &(now_too_old + "Content-Length: 2\r\n")) + "[]");
        assert_eq!(client.answer().status, 401);
    }
    // A head in pieces is as old as it is when it is whole.
    let mut client = Client::new();
    let headers = "Content-Length: 2\r\n".to_owned() + &client.signature(58);
    let head = head("POST /message", &headers);
    let (most, last) = head.split_at(head.len() - 2);
    client.send(most);
    assert_eq!(client.hear_within(5_000), Heard::Nothing);
    client.send(last);
    assert_eq!(client.answer().status, 401);
}

#[test]
fn a_stop_gives_what_has_begun_some_time() {
    let within_ms = 10_000;
    let stopping = |client: &mut Client, after_ms: u64| {
        assert_eq!(client.hear_within(after_ms - 100), Heard::Nothing);
        match client.hear_within(200) {
            Heard::Answer(answer) => {
                assert_eq!(answer.status, 503);
                assert_eq!(answer.header("connection"), Some("close"));
                assert!(http::lossy(&answer.body).contains("\"stopping\""));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.hear(), Heard::End);
    };
    let drain = |client: &mut Client| {
        client
            .memory
            .with(|engine, turn| engine.drain(within_ms, turn));
    };
    let mut client = Client::new();
    client.send("POST /message HT");
    drain(&mut client);
    stopping(&mut client, DRAIN_HEAD_MS);

    let mut client = Client::new();
    let headers = "Content-Length: 12\r\n".to_owned() + &client.signature(0);
    let signed = head("POST /message", &headers);
    client.send(&signed);
    drain(&mut client);
    stopping(&mut client, within_ms / 2);

    // However it trickles.
    let mut client = Client::new();
    client.send(&signed);
    drain(&mut client);
    for _ in 0..9 {
        assert_eq!(client.hear_within(500), Heard::Nothing);
        client.send(" ");
    }
    stopping(&mut client, 500);

    // A head that comes in time has as much for its body as others, and is answered.
    let mut client = Client::new();
    let (one, other) = signed.split_at(20);
    client.send(one);
    drain(&mut client);
    assert_eq!(client.hear_within(1_900), Heard::Nothing);
    client.send(other);
    assert_eq!(client.hear_within(3_000), Heard::Nothing);
    client.send("[          ]");
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(client.hear(), Heard::End);

    // Who has begun nothing is not told anything.
    let mut client = Client::new();
    drain(&mut client);
    assert_eq!(client.hear(), Heard::End);
}
