//! Requests that wait for news: when they are answered, with what, and what becomes of news that
//! nobody was told.

use crate::world::{LIVE, World, status};
use fanwire::handler::{CloseReason, ConnId, Handler};
use fanwire::limits::{
    CS_EXPIRE_MS, CS_POLL_FRAMES_MAX, CS_POLL_GATHER_MS, CS_POLL_LONGEST_MS, CS_POLL_WAKE_MS,
    WHEEL_SLOT_MS,
};
use serde_json::Value;

/// Deadlines are kept to a slot of the wheel.
const SLOT: u64 = WHEEL_SLOT_MS;

impl World {
    /// Connects a user to channels and returns its id.
    pub(crate) fn identity(&mut self, backend: ConnId, user: &str, body: &str) -> String {
        let body = format!(r#"{{"username":"{user}",{body}}}"#);
        let request = self.signed("/connect", &body);
        self.send(backend, &request);
        self.rest();
        let answer = self.take_text(backend);
        let id = answer.split("\"conn_id\":\"").nth(1).expect(&answer);
        id.split('"').next().expect("a closing quote").to_owned()
    }

    fn poll(&mut self, conn: ConnId, id: &str) {
        self.send(conn, &listen(id, ""));
        self.rest();
    }

    pub(crate) fn publish(&mut self, backend: ConnId, channel: &str, number: usize) {
        let body =
            format!(r#"[{{"user":"bob","channel":"{channel}","message":{{"n":{number}}}}}]"#);
        let request = self.signed("/message", &body);
        self.send(backend, &request);
        self.rest();
        assert_eq!(status(&self.take_text(backend)), "200");
    }

    /// Time goes by in steps of a slot; the answer, and after how long it came.
    fn answer(&mut self, conn: ConnId, within_ms: u64) -> Option<(u64, String)> {
        for step in 0..=within_ms / SLOT {
            let text = self.take_text(conn);
            if !text.is_empty() {
                return Some((step * SLOT, text));
            }
            self.pass(SLOT);
            self.turn(0);
            self.rest();
        }
        None
    }
}

fn listen(id: &str, more: &str) -> String {
    format!("GET /listen?conn_id={id}{more} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn upgrade(id: &str) -> String {
    format!(
        "GET /ws?conn_id={id} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

/// The numbers of the messages in an answer, and which of them are said to be old.
fn numbers(answer: &str) -> Vec<(u64, bool)> {
    let list: Value = serde_json::from_str(body(answer)).expect(answer);
    let list = list.as_array().expect("a list");
    let number = |event: &Value| {
        let number = event["message"]["n"].as_u64().expect("a message of ours");
        (number, event["catchup"] == true)
    };
    list.iter().map(number).collect()
}

/// About as long as `ms`, and not sooner.
#[track_caller]
fn takes(took_ms: u64, ms: u64) {
    assert!(
        (ms..=ms + 2 * SLOT).contains(&took_ms),
        "{took_ms} ms where {ms} were wanted"
    );
}

#[test]
fn silence_news_and_a_stream_each_end_a_wait_in_time() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.poll(conn, &id);
    let (took, answer) = world.answer(conn, 10_000).expect("an answer");
    takes(took, CS_POLL_WAKE_MS);
    assert_eq!(body(&answer), "[]");
    assert!(!answer.contains("Connection: close"), "{answer}");

    world.poll(conn, &id);
    world.publish(backend, "c", 1);
    let (took, answer) = world.answer(conn, 10_000).expect("an answer");
    takes(took, CS_POLL_GATHER_MS);
    assert_eq!(numbers(&answer), [(1, false)]);

    // A message every slot: each puts the answer off, but not for ever.
    world.poll(conn, &id);
    let mut sent = 0;
    let took = loop {
        world.publish(backend, "c", sent);
        sent += 1;
        if let Some((took, answer)) = world.answer(conn, SLOT) {
            let all: Vec<(u64, bool)> = numbers(&answer);
            assert_eq!(all.len(), all.last().expect("some").0 as usize + 1);
            break sent as u64 * 2 * SLOT + took - 2 * SLOT;
        }
        assert!(sent < 100, "it is answered at last");
    };
    assert!(took <= CS_POLL_LONGEST_MS + 4 * SLOT, "{took} ms");
    world.engine.hub().check();
}

#[test]
fn one_turns_news_leave_in_one_answer_and_so_many_at_once() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.poll(conn, &id);
    let one = |n: usize| format!(r#"{{"user":"b","channel":"c","message":{{"n":{n}}}}}"#);
    let batch: Vec<String> = (0..CS_POLL_FRAMES_MAX + 7).map(one).collect();
    let request = world.signed("/message", &format!("[{}]", batch.join(",")));
    world.send(backend, &request);
    world.turn(0);
    let answer = world.take_text(conn);
    let expected: Vec<(u64, bool)> = (0..CS_POLL_FRAMES_MAX as u64 + 7)
        .map(|n| (n, false))
        .collect();
    assert_eq!(numbers(&answer), expected, "in the same turn");
}

#[test]
fn between_polls_nothing_is_lost_and_nothing_is_told_twice() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let mut heard = Vec::new();
    for round in 0..20 {
        world.publish(backend, "c", 10 * round);
        world.poll(conn, &id);
        world.publish(backend, "c", 10 * round + 1);
        let (_, answer) = world.answer(conn, 10_000).expect("an answer");
        heard.extend(numbers(&answer));
        world.pass(CS_EXPIRE_MS - 1_000);
        world.turn(0);
    }
    let expected: Vec<(u64, bool)> = (0..20)
        .flat_map(|round| [(10 * round, true), (10 * round + 1, false)])
        .collect();
    assert_eq!(heard, expected);
    // Who polls no more is forgotten.
    world.pass(CS_EXPIRE_MS + 2 * SLOT);
    world.turn(0);
    world.poll(conn, &id);
    assert_eq!(status(&world.take_text(conn)), "401");
}

#[test]
fn a_second_poll_ends_the_first_and_has_its_news() {
    let mut world = World::new();
    let (backend, one, two) = (world.open(), world.open(), world.open());
    // A channel that keeps nothing: what the first one was not told is in nobody's catch-up.
    let channels = r#""channels":["c"],"channel_configs":{"c":{"store_frames":false}}"#;
    let id = world.identity(backend, "ann", channels);
    world.poll(one, &id);
    world.publish(backend, "c", 1);
    assert!(world.take(one).is_empty());
    world.poll(two, &id);
    assert_eq!(body(&world.take_text(one)), "[]", "at once");
    world.publish(backend, "c", 2);
    let (_, answer) = world.answer(two, 10_000).expect("an answer");
    assert_eq!(numbers(&answer), [(1, false), (2, false)]);
    world.engine.hub().check();
}

#[test]
fn an_answer_has_the_date_of_its_own_turn() {
    let mut world = World::new();
    let (backend, one, two) = (world.open(), world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let date = |answer: &str| {
        let line = answer.lines().find(|line| line.starts_with("Date: "));
        line.expect(answer).to_owned()
    };
    // The same answer twice, five seconds apart.
    world.poll(one, &id);
    world.poll(two, &id);
    let hung_up = world.take_text(one);
    let (_, idle) = world.answer(two, 10_000).expect("an answer");
    assert_eq!(body(&hung_up), body(&idle));
    assert_ne!(date(&hung_up), date(&idle));
}

#[test]
fn who_hangs_up_while_waiting_is_told_again() {
    for ends in [false, true] {
        let mut world = World::new();
        let (backend, one, two) = (world.open(), world.open(), world.open());
        let id = world.identity(backend, "ann", r#""channels":["c"]"#);
        world.publish(backend, "c", 1);
        world.poll(one, &id);
        world.publish(backend, "c", 2);
        if ends {
            world.call(|engine, turn| engine.ended(one, turn));
            world.rest();
            assert_eq!(body(&world.take_text(one)), "[]");
            assert!(!world.conns.contains(one), "and is let go");
        } else {
            world.close(one, CloseReason::Peer);
        }
        world.poll(two, &id);
        let (_, answer) = world.answer(two, 10_000).expect("an answer");
        assert_eq!(numbers(&answer), [(1, true), (2, true)]);
        world.engine.hub().check();
    }
}

#[test]
fn a_poll_ends_at_once_when_its_connection_is_removed_or_the_server_stops() {
    let mut world = World::new();
    let (backend, one, two) = (world.open(), world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let other = world.identity(backend, "bob", r#""channels":["c"]"#);
    world.poll(one, &id);
    world.publish(backend, "c", 1);
    let gone = format!("GET /disconnect?conn_id={id} HTTP/1.1\r\nHost: h\r\n\r\n");
    world.send(backend, &gone);
    world.rest();
    assert_eq!(body(&world.take_text(backend)), "true");
    assert_eq!(numbers(&world.take_text(one)), [(1, false)]);
    world.poll(one, &id);
    assert_eq!(status(&world.take_text(one)), "401");

    world.poll(two, &other);
    world.call(|engine, turn| engine.drain(10_000, turn));
    world.rest();
    let answer = world.take_text(two);
    assert!(answer.contains("Connection: close"), "{answer}");
    assert!(!world.conns.contains(two));
}

#[test]
fn what_is_sent_behind_a_poll_waits_for_its_answer() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    // In the same piece, and in one of its own.
    for piece in [true, false] {
        let request = listen(&id, "");
        if piece {
            world.send(conn, &(request + LIVE));
        } else {
            world.send(conn, &request);
            world.rest();
            world.send(conn, LIVE);
        }
        world.rest();
        assert!(world.take(conn).is_empty(), "nothing yet");
        world.publish(backend, "c", 1);
        let (_, answers) = world.answer(conn, 10_000).expect("an answer");
        let answers = answers + &world.take_text(conn);
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
        let place = |text: &str| answers.find(text).expect(text);
        assert!(place("\"n\":1") < place("\"status\":\"ok\""), "in order");
    }
}

#[test]
fn a_socket_takes_over_from_a_poll() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.poll(conn, &id);
    world.publish(backend, "c", 1);
    let socket = world.open();
    world.send(socket, &upgrade(&id));
    world.rest();
    assert_eq!(numbers(&world.take_text(conn)), [(1, false)], "its own");
    assert!(
        world.take_text(socket).ends_with("\r\n\r\n"),
        "and not again"
    );
    world.publish(backend, "c", 2);
    assert_eq!(world.texts(socket).len(), 1);
    assert!(world.take(conn).is_empty());
}

#[test]
fn who_takes_over_in_the_turn_of_the_news_leaves_them_to_the_poll() {
    // By a socket, by a stream, and by its end.
    for how in 0..3 {
        let mut world = World::new();
        let (backend, conn, other) = (world.open(), world.open(), world.open());
        let id = world.identity(backend, "ann", r#""channels":["c"]"#);
        world.poll(conn, &id);
        let body = r#"[{"user":"bob","channel":"c","message":{"n":1}}]"#;
        let request = world.signed("/message", body);
        world.send(backend, &request);
        let request = match how {
            0 => upgrade(&id),
            1 => listen(&id, "").replace("\r\n\r\n", "\r\nAccept: text/event-stream\r\n\r\n"),
            _ => format!("GET /disconnect?conn_id={id} HTTP/1.1\r\nHost: h\r\n\r\n"),
        };
        world.send(other, &request);
        world.rest();
        assert_eq!(numbers(&world.take_text(conn)), [(1, false)], "case {how}");
        assert!(!world.take_text(other).contains("\"n\":1"), "case {how}");
        world.engine.hub().check();
    }
}

#[test]
fn a_poll_that_hangs_up_gives_back_only_what_came_after_a_socket() {
    let mut world = World::new();
    let (backend, socket, poll) = (world.open(), world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.send(socket, &upgrade(&id));
    world.rest();
    world.take(socket);
    world.publish(backend, "c", 1);
    assert_eq!(world.numbers(socket), [1]);
    world.poll(poll, &id);
    world.publish(backend, "c", 2);
    world.close(poll, CloseReason::Peer);
    let poll = world.open();
    world.poll(poll, &id);
    let (_, answer) = world.answer(poll, 10_000).expect("an answer");
    assert_eq!(
        numbers(&answer),
        [(2, true)],
        "and not what the socket was told"
    );
}

#[test]
fn a_poll_that_was_hung_up_and_waits_anew_waits_its_time() {
    let mut world = World::new();
    let (backend, conn, socket) = (world.open(), world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    world.poll(conn, &id);
    // All in one turn: enough news to answer at once, a socket that takes over, and the next poll.
    let one = |n: usize| format!(r#"{{"user":"b","channel":"c","message":{{"n":{n}}}}}"#);
    let batch: Vec<String> = (0..CS_POLL_FRAMES_MAX).map(one).collect();
    let request = world.signed("/message", &format!("[{}]", batch.join(",")));
    world.send(backend, &request);
    world.send(socket, &upgrade(&id));
    world.send(conn, &listen(&id, ""));
    world.rest();
    assert_eq!(numbers(&world.take_text(conn)).len(), CS_POLL_FRAMES_MAX);
    let (took, answer) = world.answer(conn, 10_000).expect("an answer");
    takes(took, CS_POLL_WAKE_MS);
    assert_eq!(body(&answer), "[]");
}

#[test]
fn a_poll_that_begins_during_a_stop_does_not_wait() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    let request = listen(&id, "");
    let (begun, rest) = request.split_at(10);
    world.send(conn, begun);
    world.call(|engine, turn| engine.drain(10_000, turn));
    world.send(conn, rest);
    world.turn(0);
    let answer = world.take_text(conn);
    assert_eq!(body(&answer), "[]", "at once");
    assert!(answer.contains("Connection: close"), "{answer}");
}

#[test]
fn callbacks_are_names_or_refused_and_head_takes_no_news_away() {
    let mut world = World::new();
    let (backend, conn) = (world.open(), world.open());
    let id = world.identity(backend, "ann", r#""channels":["c"]"#);
    for bad in ["alert(1)", "a%20b", "%3Cscript%3E", "a-b", &"x".repeat(129)] {
        world.send(conn, &listen(&id, &format!("&callback={bad}")));
        world.rest();
        let answer = world.take_text(conn);
        assert_eq!(status(&answer), "422", "{answer}");
        assert!(!answer.contains("script") && !answer.contains("alert"));
    }
    world.publish(backend, "c", 1);
    let texts = "é\u{2027}\u{2028}\u{2029}\u{202a}";
    let message = format!(r#"[{{"user":"{texts}","channel":"c","message":{{"t":"{texts}"}}}}]"#);
    let request = world.signed("/message", &message);
    world.send(backend, &request);
    world.rest();
    let head = listen(&id, "").replace("GET", "HEAD");
    world.send(conn, &head);
    world.rest();
    let answer = world.take_text(conn);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    world.send(conn, &listen(&id, "&callback=a.b_$1"));
    world.rest();
    let (_, answer) = world.answer(conn, 10_000).expect("an answer");
    assert!(answer.contains("Content-Type: application/javascript; charset=UTF-8\r\n"));
    assert!(answer.contains("X-Content-Type-Options: nosniff\r\n"));
    let list = body(&answer).strip_prefix("a.b_$1(").expect("the call");
    let list = list.strip_suffix(')').expect("its end");
    // Older browsers end a line of a script there, in the middle of a string.
    assert!(!list.contains(['\u{2028}', '\u{2029}']), "{list}");
    let list: Value = serde_json::from_str(list).expect("JSON");
    assert_eq!(list[0]["message"]["n"], 1);
    let second = (list[1]["user"].as_str(), list[1]["message"]["t"].as_str());
    assert_eq!(second, (Some(texts), Some(texts)));
}

#[test]
fn a_crowd_of_polls_hears_the_same() {
    let mut world = World::new();
    let backend = world.open();
    let polls: Vec<(ConnId, String)> = (0..200)
        .map(|user| {
            let id = world.identity(backend, &format!("u{user}"), r#""channels":["c"]"#);
            (world.open(), id)
        })
        .collect();
    for round in 0..3 {
        for (conn, id) in &polls {
            world.poll(*conn, id);
        }
        world.publish(backend, "c", round);
        world.pass(CS_POLL_GATHER_MS + 2 * SLOT);
        world.turn(0);
        world.rest();
        for (conn, _) in &polls {
            assert_eq!(numbers(&world.take_text(*conn)), [(round as u64, false)]);
        }
    }
    world.engine.hub().check();
}
