//! A small handler that answers as it was asked to, by which the ways to a server are tested: the
//! driver in memory and the client over TCP.
//!
//! | Request | Answer |
//! |---|---|
//! | `/echo` | the body, at once |
//! | `/late` | `{}`, after 300 ms |
//! | `/linger` | `{}`, then the server's sending side is shut |
//! | `/cut` | half an answer, then the connection is dropped |
//! | `/after-end` | `{}`, once the client has ended its sending side |
//! | `/ws` | a WebSocket that repeats what it is told and sends `[]` every second |

use crate::json::Json;
use crate::websocket::accept_of;
use fanwire::frame::{Frame, FrameWriter, Opcode};
use fanwire::handler::Conn;
use fanwire::handler::{CloseReason, ConnId, Handler, Origin, Turn};
use fanwire::outbox::Ending;
use fanwire::table::Column;
use fanwire::time::Millis;

/// See the module.
#[derive(Default)]
pub(crate) struct Double {
    peers: Column<Conn, Peer>,
    /// What is to be said when.
    deadlines: Vec<(Millis, ConnId)>,
    /// Connections that were told to be closed, and why.
    pub(crate) closed: Vec<CloseReason>,
}

#[derive(Default)]
struct Peer {
    heard: Vec<u8>,
    open: bool,
    waits_for_end: bool,
}

fn plain(body: &str) -> Frame {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
    Frame::from(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())
}

impl Double {
    fn request(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let peer = self.peers.get_mut(conn).expect("opened");
        let text = String::from_utf8_lossy(&peer.heard).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return;
        };
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = value("Content-Length: ").map_or(0, |n| n.parse().expect("a count"));
        if body.len() < length {
            return;
        }
        peer.heard.clear();
        match head.split(' ').nth(1).expect("a path") {
            "/echo" => turn.out.push(conn, &plain(body)),
            "/late" => self.deadlines.push((turn.now.mono + 300, conn)),
            "/linger" => {
                turn.out.push(conn, &plain("{}"));
                turn.out.end(conn, Ending::Linger);
            }
            "/cut" => {
                turn.out
                    .push(conn, &Frame::from(&b"HTTP/1.1 200 OK\r\nContent-"[..]));
                turn.out.end(conn, Ending::Drain);
            }
            "/after-end" => peer.waits_for_end = true,
            "/ws" => {
                let accept = accept_of(value("Sec-WebSocket-Key: ").expect("a key"));
                let head = format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
                turn.out.push(conn, &Frame::from(head.as_bytes()));
                peer.open = true;
                self.deadlines.push((turn.now.mono + 1_000, conn));
            }
            path => panic!("no such path: {path}"),
        }
    }

    fn frame(&mut self, conn: ConnId, turn: &mut Turn<'_>) -> bool {
        let heard = &mut self.peers.get_mut(conn).expect("opened").heard;
        let &[first, second, m0, m1, m2, m3, ..] = &heard[..] else {
            return false;
        };
        let length = usize::from(second & 0x7f);
        assert!(
            second & 0x80 != 0 && length < 126,
            "short masked frames only"
        );
        if heard.len() < 6 + length {
            return false;
        }
        let frame: Vec<u8> = heard.drain(..6 + length).collect();
        let masks = [m0, m1, m2, m3].into_iter().cycle();
        let payload: Vec<u8> = frame[6..]
            .iter()
            .zip(masks)
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        let mut writer = FrameWriter::new();
        let answer = match first & 0x0f {
            8 => writer.websocket(Opcode::Close, &payload),
            9 => writer.websocket(Opcode::Pong, &payload),
            _ => {
                let text = String::from_utf8_lossy(&payload).into_owned();
                let text = Json::List(vec![Json::Text(text)]).to_string();
                writer.websocket(Opcode::Text, text.as_bytes())
            }
        };
        turn.out.push(conn, &answer);
        if first & 0x0f == 8 {
            turn.out.end(conn, Ending::Drain);
        }
        true
    }
}

impl Handler for Double {
    type Mail = ();

    fn opened(&mut self, conn: ConnId, _from: Origin, _turn: &mut Turn<'_>) {
        self.peers.insert(conn, Peer::default());
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let peer = self.peers.get_mut(conn).expect("opened");
        peer.heard.extend_from_slice(bytes);
        if !peer.open {
            self.request(conn, turn);
        } else {
            while self.frame(conn, turn) {}
        }
    }

    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        if self.peers.get(conn).expect("opened").waits_for_end {
            turn.out.push(conn, &plain("{}"));
        }
        turn.out.end(conn, Ending::Drain);
    }

    fn closed(&mut self, conn: ConnId, why: CloseReason, _turn: &mut Turn<'_>) {
        assert!(self.peers.remove(conn).is_some(), "closed once");
        self.closed.push(why);
    }

    fn mail(&mut self, (): (), _turn: &mut Turn<'_>) {}

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let due: Vec<ConnId> = self
            .deadlines
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, conn)| conn)
            .collect();
        for conn in due {
            match self.peers.get(conn) {
                Some(peer) if peer.open => {
                    turn.out
                        .push(conn, &FrameWriter::new().websocket(Opcode::Text, b"[]"));
                    self.deadlines.push((now + 1_000, conn));
                }
                Some(_) => turn.out.push(conn, &plain("{}")),
                None => {}
            }
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.iter().map(|(at, _)| *at).min()
    }
}

mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::replay::{Run, replay};
    use crate::session::{Cut, Link, Received, Sut};
    use crate::tcp::Tcp;
    use crate::transcript::Scenario;
    use fanwire::handler::CloseReason::{Asked, Peer as ByPeer};
    use fanwire::outbox::Outbox;
    use fanwire::table::Table;
    use fanwire::time::Now;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    /// Every kind of step that needs no Channelstream.
    const SCENARIO: &str = r#"{"name": "double", "steps": [
        {"request": {"method": "POST", "path": "/echo", "body": {"a": ["<run>", "<uuid:1>"]}},
         "response": {"status": 200, "headers": {"Content-Type": "application/json", "X": null},
                      "body": {"a": ["<string>", "<uuid:1>"]}}},
        {"request": {"method": "HEAD", "path": "/echo"}, "response": {"status": 200}},
        {"start": "p", "request": {"method": "GET", "path": "/late"}},
        {"request": {"method": "GET", "path": "/linger"}, "response": {"body": {}}},
        {"ws_open": "w", "request": {"path": "/ws", "headers": {"Origin": "<origin>"}}},
        {"ws_send": "x-<uuid:1>", "ws": "w"},
        {"ws_send_binary_hex": "796f", "ws": "w"},
        {"ws_frame": ["x-<uuid:1>"], "ws": "w"},
        {"ws_frames": {"count": 1, "first": ["yo"]}, "ws": "w"},
        {"ws_ping": "p", "ws": "w"},
        {"ws_pong": "p", "ws": "w"},
        {"finish": "p", "response": {"status": 200, "body": {}}, "min_ms": 299, "max_ms": 2000},
        {"request": {"method": "GET", "path": "/late"}, "response": {"body": {}}, "min_ms": 299},
        {"ws_quiet_ms": 1100, "ws": "w"},
        {"ws_heartbeat": true, "ws": "w", "within_ms": 8000},
        {"sleep_ms": 50},
        {"ws_close": {"code": 4001, "reason": "bye"}, "ws": "w"},
        {"ws_closed": {"code": 4001}, "ws": "w"},
        {"ws_open": "v", "request": {"path": "/ws"}},
        {"ws_abort": true, "ws": "v"}]}"#;

    fn run(sut: &mut dyn Sut, resets: bool) -> Result<(), String> {
        let scenario = Scenario::parse(SCENARIO, "abcdefgh").expect("good");
        replay(
            &scenario,
            Run {
                text: "abcdefgh",
                resets,
            },
            sut,
        )
    }

    #[test]
    fn the_driver_in_memory_works_in_every_split_and_in_no_time() {
        for cut in (0..200).map(Cut::At).chain([Cut::Whole, Cut::Bytewise]) {
            let mut memory = Memory::new(Double::default(), "secret", cut);
            assert_eq!(run(&mut memory, cut == Cut::Whole), Ok(()), "{cut:?}");
            assert!(memory.longest_write() > 100);
            assert!(
                (2_000..4_000).contains(&memory.now_ms()),
                "{}",
                memory.now_ms()
            );
            memory.finish();
        }
    }

    #[test]
    fn the_client_over_tcp_works_whole_and_byte_by_byte() {
        let address = serve();
        for cut in [Cut::Whole, Cut::Bytewise] {
            let mut tcp = Tcp::new(address, "secret", cut);
            assert_eq!(run(&mut tcp, cut == Cut::Whole), Ok(()), "{cut:?}");
        }
    }

    fn until_end(sut: &mut dyn Sut, link: Link) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match sut.receive(link, sut.now_ms() + 5_000) {
                Received::Bytes { bytes, .. } => all.extend(bytes),
                Received::Ended { .. } => return all,
                Received::Nothing => panic!("neither bytes nor an end"),
            }
        }
    }

    /// The same checks on both: half-close, early end, reset, sending to who has gone.
    fn check_ends(sut: &mut dyn Sut) {
        let link = sut.dial();
        sut.send(link, b"GET /after-end HTTP/1.1\r\n\r\n");
        let soon = sut.now_ms() + 50;
        assert_eq!(sut.receive(link, soon), Received::Nothing);
        sut.half_close(link);
        assert!(until_end(sut, link).ends_with(b"\r\n\r\n{}"));
        let link = sut.dial();
        sut.send(link, b"GET /cut HTTP/1.1\r\n\r\n");
        assert!(until_end(sut, link).ends_with(b"Content-"));
        sut.send(link, b"GET /echo HTTP/1.1\r\n\r\n");
        sut.close(link);
        let link = sut.dial();
        sut.abort(link);
        sut.abort(link);
        sut.close(link);
        let link = sut.dial();
        sut.close(link);
        sut.close(link);
    }

    #[test]
    fn connections_end_in_every_way_in_memory() {
        let mut memory = Memory::new(Double::default(), "secret", Cut::Whole);
        check_ends(&mut memory);
        assert_eq!(memory.handler().closed, [Asked, Asked, ByPeer, Asked]);
        let link = memory.dial();
        memory.send(link, b"GET /linger HTTP/1.1\r\n\r\n");
        assert!(until_end(&mut memory, link).ends_with(b"{}"));
        memory.send(link, b"not looked at");
        assert_eq!(memory.handler().closed.len(), 4);
        memory.wait_ms(10_000);
        assert_eq!(memory.handler().closed[4..], [Asked]);
        memory.finish();
    }

    #[test]
    fn connections_end_in_every_way_over_tcp() {
        check_ends(&mut Tcp::new(serve(), "secret", Cut::Whole));
    }

    #[test]
    fn an_answer_that_is_cut_short_fails_the_replay() {
        let steps = r#"{"name": "x", "steps": [{"request": {"method": "GET", "path": "/cut"},
                        "response": {}}]}"#;
        let scenario = Scenario::parse(steps, "abcdefgh").expect("good");
        let run = Run {
            text: "abcdefgh",
            resets: false,
        };
        let mut memory = Memory::new(Double::default(), "secret", Cut::Whole);
        let why = replay(&scenario, run, &mut memory).expect_err("half an answer");
        assert!(why.starts_with("step 1: the answer is cut short"), "{why}");
    }

    /// The double behind a real port: one thread and one handler for each connection.
    #[allow(
        clippy::disallowed_methods,
        reason = "a server for tests, with real time"
    )]
    fn serve() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || drive(stream));
            }
        });
        address
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a server for tests, with real time"
    )]
    fn drive(mut stream: TcpStream) {
        let started = std::time::Instant::now();
        let (mut double, mut out) = (Double::default(), Outbox::default());
        let mut table: Table<Conn, ()> = Table::new();
        let conn = table.insert(());
        out.open(conn);
        let from = Origin {
            peer: stream.peer_addr().ok(),
            tls: false,
        };
        let mut buffer = [0; 4096];
        stream
            .set_read_timeout(Some(Duration::from_millis(10)))
            .expect("not zero");
        stream.set_nodelay(true).expect("any TCP socket can");
        let mut event = None;
        loop {
            let mono = Millis(started.elapsed().as_millis() as u64);
            let turn = &mut Turn {
                out: &mut out,
                now: Now {
                    mono,
                    unix_micros: 0,
                },
            };
            match event {
                None => double.opened(conn, from, turn),
                Some(Ok(0)) => double.ended(conn, turn),
                Some(Ok(count)) => double.received(conn, &mut buffer[..count], turn),
                Some(Err(())) => {}
            }
            double.tick(turn);
            let dirty = out.take_dirty();
            let (pieces, _) = out.pieces(conn);
            let bytes: Vec<u8> = pieces.flat_map(|piece| piece.to_vec()).collect();
            out.advance(conn, bytes.len());
            let ending = out.visit(conn).map(|state| state.ending);
            out.recycle(dirty);
            if stream.write_all(&bytes).is_err() || ending != Some(Ending::Open) {
                return;
            }
            event = match stream.read(&mut buffer) {
                Ok(count) => Some(Ok(count)),
                Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(_) => Some(Err(())),
            };
        }
    }
}
