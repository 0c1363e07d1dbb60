//! Event streams: what is on them, and how one goes on where another has ended.

use crate::world::{World, status};
use fanwire::handler::{CloseReason, ConnId, Handler};
use fanwire::limits::{CS_HEARTBEAT_MS, CS_STREAM_GRACE_MS, WHEEL_SLOT_MS};
use serde_json::Value;

/// One event as a browser understands it.
#[derive(Debug, PartialEq)]
struct Heard {
    id: u64,
    number: u64,
    catch_up: bool,
}

/// A stream as a browser reads it (HTML section 9.2.6): events, and the id to come back with.
#[derive(Debug, Default)]
struct Source {
    last: Option<u64>,
    retry: Option<u64>,
    comments: usize,
    heard: Vec<Heard>,
}

impl Source {
    fn read(&mut self, text: &str) {
        assert!(
            text.is_empty() || text.ends_with("\n\n"),
            "whole events: {text:?}"
        );
        for block in text.split_terminator("\n\n") {
            let mut data = None;
            for line in block.split('\n') {
                match line.split_once(": ") {
                    Some(("id", id)) => self.last = Some(id.parse().expect(id)),
                    Some(("retry", ms)) => self.retry = Some(ms.parse().expect(ms)),
                    Some(("data", text)) => data = Some(text),
                    _ if line.starts_with(':') => self.comments += 1,
                    _ => panic!("no line of a stream: {line:?}"),
                }
            }
            if let Some(data) = data {
                let list: Value = serde_json::from_str(data).expect(data);
                assert_eq!(list.as_array().map(Vec::len), Some(1));
                self.heard.push(Heard {
                    id: self.last.expect("each event has one"),
                    number: list[0]["message"]["n"].as_u64().expect(data),
                    catch_up: list[0]["catchup"] == true,
                });
            }
        }
    }

    fn numbers(&self) -> Vec<(u64, bool)> {
        let heard = self.heard.iter();
        heard.map(|one| (one.number, one.catch_up)).collect()
    }
}

impl World {
    /// Opens a stream and checks its head; what follows is left.
    fn stream(&mut self, id: &str, last: Option<u64>) -> (ConnId, Source) {
        let conn = self.open();
        let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
        self.send(
            conn,
            &format!(
                "GET /listen?conn_id={id} HTTP/1.1\r\nHost: h\r\n\
                 Accept: text/event-stream\r\n{last}\r\n"
            ),
        );
        self.rest();
        let mut source = Source::default();
        let text = self.take_text(conn);
        let (head, body) = text.split_once("\r\n\r\n").expect(&text);
        for line in [
            "HTTP/1.1 200 OK",
            "Content-Type: text/event-stream",
            "Cache-Control: no-store",
            "X-Accel-Buffering: no",
            "Connection: close",
            "Access-Control-Allow-Origin: *",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert!(!head.contains("Content-Length"), "{head}");
        source.read(body);
        (conn, source)
    }

    fn hear(&mut self, conn: ConnId, source: &mut Source) {
        let text = self.take_text(conn);
        source.read(&text);
    }
}

#[test]
fn news_come_at_once_with_growing_ids_and_silence_is_filled() {
    let mut world = World::new();
    let backend = world.open();
    let id = world.identity(backend, "ann", r#""channels":["a","b"]"#);
    let (conn, mut source) = world.stream(&id, None);
    assert_eq!(source.retry, Some(2_000));
    for number in 0..5 {
        world.publish(backend, if number % 2 == 0 { "a" } else { "b" }, number);
        world.hear(conn, &mut source);
        assert_eq!(source.heard.len(), number + 1, "at once");
    }
    let ids: Vec<u64> = source.heard.iter().map(|one| one.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for _ in 0..20 * CS_HEARTBEAT_MS / WHEEL_SLOT_MS {
        world.pass(WHEEL_SLOT_MS);
        world.turn(0);
        world.rest();
        world.hear(conn, &mut source);
    }
    assert!((19..=20).contains(&source.comments), "{source:?}");
    assert_eq!(source.heard.len(), 5);
    world.engine.hub().check();
}

#[test]
fn a_stream_goes_on_where_the_browser_says() {
    let mut world = World::new();
    let backend = world.open();
    let id = world.identity(backend, "ann", r#""channels":["z","a"]"#);
    let (conn, mut source) = world.stream(&id, None);
    for number in 0..6 {
        world.publish(backend, if number % 2 == 0 { "z" } else { "a" }, number);
    }
    world.hear(conn, &mut source);
    // The last three were sent, but never arrived.
    let last = source.heard[2].id;
    world.close(conn, CloseReason::Peer);
    world.publish(backend, "a", 6);
    world.pass(CS_STREAM_GRACE_MS - 1_000);
    world.turn(0);
    let (conn, mut source) = world.stream(&id, Some(last));
    let expected = [(3, true), (4, true), (5, true), (6, true)];
    assert_eq!(
        source.numbers(),
        expected,
        "in order of time, of whatever channel"
    );
    world.publish(backend, "z", 7);
    world.hear(conn, &mut source);
    assert_eq!(source.numbers().last(), Some(&(7, false)));
    let ids: Vec<u64> = source.heard.iter().map(|one| one.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");

    // A second one takes over, also before the first is known to have gone.
    let last = source.heard[1].id;
    let (second, source) = world.stream(&id, Some(last));
    assert!(!world.conns.contains(conn), "the first one has ended");
    assert_eq!(source.numbers(), [(5, true), (6, true), (7, true)]);
    world.engine.hub().check();

    // One that was lost before its first event, and one that comes from the future.
    let (third, source) = world.stream(&id, None);
    assert!(source.heard.is_empty());
    world.close(third, CloseReason::Peer);
    world.publish(backend, "a", 8);
    let (_, source) = world.stream(&id, source.last);
    assert_eq!(source.numbers(), [(8, true)]);
    let (_, source) = world.stream(&id, Some(u64::MAX));
    assert!(source.heard.is_empty());
    assert!(!world.conns.contains(second));
}

#[test]
fn a_stream_begins_behind_what_a_socket_or_a_poll_was_told() {
    for is_poll in [false, true] {
        let mut world = World::new();
        let (backend, former) = (world.open(), world.open());
        let id = world.identity(backend, "ann", r#""channels":["c"]"#);
        let more = match is_poll {
            true => "",
            false => {
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            }
        };
        let path = if is_poll { "listen" } else { "ws" };
        let request = format!("GET /{path}?conn_id={id} HTTP/1.1\r\nHost: h\r\n{more}\r\n");
        world.send(former, &request);
        world.rest();
        world.publish(backend, "c", 1);
        let (conn, source) = world.stream(&id, None);
        assert!(source.heard.is_empty());
        let told = world.take(former);
        assert!(String::from_utf8_lossy(&told).contains("\"n\":1"));
        // It is lost before the first event, and comes back to where it began.
        world.close(conn, CloseReason::Peer);
        world.publish(backend, "c", 2);
        let (_, source) = world.stream(&id, source.last);
        assert_eq!(source.numbers(), [(2, true)]);
    }
}

#[test]
fn nothing_from_before_its_birth_is_told() {
    let mut world = World::new();
    let backend = world.open();
    let _first = world.identity(backend, "bob", r#""channels":["c"]"#);
    world.publish(backend, "c", 1);
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.publish(backend, "c", 2);
    let (_, source) = world.stream(&id, Some(0));
    assert_eq!(source.numbers(), [(2, true)]);
}

#[test]
fn who_stays_away_is_forgotten_and_who_is_removed_hears_no_more() {
    let mut world = World::new();
    let backend = world.open();
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let (conn, _) = world.stream(&id, None);
    world.call(|engine, turn| engine.ended(conn, turn));
    world.rest();
    assert!(!world.conns.contains(conn));
    world.pass(CS_STREAM_GRACE_MS + 2 * WHEEL_SLOT_MS);
    world.turn(0);
    let conn = world.open();
    let late = format!(
        "GET /listen?conn_id={id} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n"
    );
    world.send(conn, &late);
    world.rest();
    assert_eq!(status(&world.take_text(conn)), "401");

    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let (conn, _) = world.stream(&id, None);
    let gone = format!("GET /disconnect?conn_id={id} HTTP/1.1\r\nHost: h\r\n\r\n");
    world.send(backend, &gone);
    world.rest();
    assert!(!world.conns.contains(conn), "at once");

    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let (conn, _) = world.stream(&id, None);
    world.call(|engine, turn| engine.drain(10_000, turn));
    world.rest();
    assert!(!world.conns.contains(conn), "a stop ends streams");
    world.engine.hub().check();
}

#[test]
fn streams_and_sockets_of_one_channel_hear_the_same() {
    let mut world = World::new();
    let backend = world.open();
    let sockets: Vec<ConnId> = (0..5)
        .map(|user| world.subscriber(backend, &format!("s{user}"), "c", false))
        .collect();
    let mut streams = Vec::new();
    for user in 0..5 {
        let id = world.identity(backend, &format!("t{user}"), r#""channels":["c"]"#);
        streams.push(world.stream(&id, None));
    }
    // A payload over several lines, as people write them.
    let body = "[{\"user\":\"b\",\"channel\":\"c\",\"message\":{\n \"n\":\r\n 1}}]";
    let request = world.signed("/message", body);
    world.send(backend, &request);
    world.rest();
    for (conn, mut source) in streams {
        world.hear(conn, &mut source);
        assert_eq!(source.numbers(), [(1, false)]);
    }
    for socket in sockets {
        assert_eq!(world.texts(socket).len(), 1);
    }
    world.engine.hub().check();
}
