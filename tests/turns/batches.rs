//! Work that is too much for one turn: it goes on over several, others come between, and nothing of
//! it is lost, repeated or out of order.

use crate::world::{LIVE, World, status};
use fanwire::dialect::{Ctx, Dialect, Job, Reply, SocketEnd};
use fanwire::handler::{CloseReason, ConnId, Handler};
use fanwire::hub::{Event, Format, HangUp, SubscriberId};
use fanwire::limits::{CS_RETURN_MS, JOB_BYTES_MAX, WHEEL_SLOT_MS, WORK_PER_CALL, WORK_PER_TURN};
use fanwire::transport::http::{Request, Response};
use std::fmt::Write;

/// The body of a request that publishes messages numbered `from..to`.
pub(crate) fn batch(channel: &str, from: usize, to: usize) -> String {
    let mut body = String::from("[");
    for number in from..to {
        let comma = if number > from { "," } else { "" };
        let message =
            format!(r#"{comma}{{"user":"bob","channel":"{channel}","message":{{"n":{number}}}}}"#);
        body.push_str(&message);
    }
    body + "]"
}

#[test]
fn others_come_between_and_everyone_hears_all_of_it_in_order() {
    let mut world = World::new();
    let (backend, other) = (world.open(), world.open());
    let listeners: Vec<ConnId> = (0..400)
        .map(|user| world.subscriber(backend, &format!("u{user}"), "c", false))
        .collect();
    let before = world.out.totals().pushed;
    let request = world.signed("/message", &batch("c", 0, 1_000));
    world.send(backend, &request);
    let first = world.out.totals().pushed - before;
    assert!(
        first < WORK_PER_CALL + 400,
        "{first} in the turn of the call"
    );
    let mut turns = 0;
    while world.engine.jobs() > 0 {
        assert!(world.take(backend).is_empty(), "not answered yet");
        let before = world.out.totals().pushed;
        world.send(other, LIVE);
        let pushed = world.turn(before);
        assert!(
            pushed < WORK_PER_TURN + 400 + 2,
            "{pushed} frames in one turn"
        );
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    assert!(turns >= 5, "{turns} turns for 400,000 deliveries");
    world.rest();
    let answer = world.take_text(backend);
    assert_eq!(status(&answer), "200");
    assert_eq!(answer.matches("\"uuid\"").count(), 1_000);
    let expected: Vec<usize> = (0..1_000).collect();
    for conn in listeners {
        assert_eq!(world.numbers(conn), expected);
    }
    world.engine.hub().check();
}

#[test]
fn what_is_sent_behind_a_batch_is_answered_behind_it() {
    let mut world = World::new();
    let backend = world.open();
    for user in 0..100 {
        world.subscriber(backend, &format!("u{user}"), "c", false);
    }
    let listener = world.subscriber(backend, "last", "c", false);
    // In one piece, in two, and with the rest while the batch goes on; then the end, too.
    for behind_later in [false, true] {
        for ends in [false, true] {
            let conn = world.open();
            let mut request = world.signed("/message", &batch("c", 0, 900));
            let behind = world.signed("/message", &batch("c", 900, 901)) + LIVE;
            if !behind_later {
                request.push_str(&behind);
            }
            world.send(conn, &request);
            assert_eq!(world.engine.jobs(), 1);
            if behind_later {
                let before = world.out.totals().pushed;
                world.turn(before);
                assert_eq!(world.engine.jobs(), 1);
                let (one, two) = behind.split_at(70);
                world.send(conn, one);
                world.turn(0);
                world.send(conn, two);
            }
            if ends {
                world.call(|engine, turn| engine.ended(conn, turn));
            }
            world.rest();
            let answers = world.take_text(conn);
            assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
            let place = |text: &str| answers.find(text).expect(text);
            assert!(place("\"n\":899}") < place("\"n\":900}"));
            assert!(place("\"n\":900}") < place("\"status\":\"ok\""));
            assert_eq!(world.numbers(listener), (0..901).collect::<Vec<_>>());
            assert_eq!(
                world.conns.contains(conn),
                !ends,
                "a peer that ended is let go"
            );
        }
    }
}

#[test]
fn a_caller_that_hangs_up_loses_nothing() {
    let mut world = World::new();
    let backend = world.open();
    let listeners: Vec<ConnId> = (0..100)
        .map(|user| world.subscriber(backend, &format!("u{user}"), "c", false))
        .collect();
    let conn = world.open();
    let request = world.signed("/message", &batch("c", 0, 2_000));
    world.send(conn, &request);
    world.turn(0);
    world.close(conn, CloseReason::Peer);
    assert_eq!(world.engine.jobs(), 1);
    world.rest();
    assert!(world.take(conn).is_empty());
    for listener in listeners {
        assert_eq!(world.numbers(listener), (0..2_000).collect::<Vec<_>>());
    }
}

#[test]
fn jobs_take_turns_and_a_single_message_passes_them() {
    let mut world = World::new();
    let backend = world.open();
    for user in 0..200 {
        world.subscriber(backend, &format!("u{user}"), "c", false);
    }
    let listener = world.subscriber(backend, "last", "c", false);
    let conns: Vec<ConnId> = (0..3).map(|_| world.open()).collect();
    for (at, &conn) in conns.iter().enumerate() {
        let request = world.signed("/message", &batch("c", at * 10_000, at * 10_000 + 2_000));
        world.send(conn, &request);
    }
    for _ in 0..4 {
        world.turn(0);
    }
    let request = world.signed("/message", &batch("c", 99_999, 100_000));
    world.send(backend, &request);
    assert_eq!(world.engine.jobs(), 3);
    world.turn(0);
    assert_eq!(status(&world.take_text(backend)), "200", "at once");
    let heard = world.numbers(listener);
    for at in 0..3 {
        let count = heard.iter().filter(|&&n| n / 10_000 == at).count();
        // What the call itself published, and one share at least.
        assert!(count > 300, "{count} messages of batch {at} by now");
    }
    assert!(heard.contains(&99_999));
    world.rest();
    let rest = world.numbers(listener);
    for (at, conn) in conns.into_iter().enumerate() {
        let own = heard.iter().chain(&rest).filter(|&&n| n / 10_000 == at);
        assert!(own.copied().eq(at * 10_000..at * 10_000 + 2_000));
        assert_eq!(status(&world.take_text(conn)), "200");
    }
}

#[test]
fn no_more_begins_than_may_wait_and_what_is_refused_is_not_done() {
    let mut world = World::new();
    let backend = world.open();
    for user in 0..50 {
        world.subscriber(backend, &format!("u{user}"), "c", false);
    }
    let listener = world.subscriber(backend, "last", "c", false);
    // Each has a message for everyone and very many for nobody.
    let mut body = batch("c", 0, 1_000);
    body.pop();
    while body.len() < 7_900_000 {
        let padding = "x".repeat(4_000);
        write!(
            body,
            r#",{{"user":"bob","channel":"nobody","message":{{"p":"{padding}"}}}}"#
        )
        .expect("memory");
    }
    body.push(']');
    let mut begun = 0;
    let refused = loop {
        let conn = world.open();
        let request = world.signed("/message", &body);
        for piece in request.as_bytes().chunks(65_536) {
            let mut piece = piece.to_vec();
            world.call(|engine, turn| engine.received(conn, &mut piece, turn));
        }
        if world.engine.jobs() == begun {
            break conn;
        }
        begun += 1;
        assert!(begun * 8_000_000 < 2 * JOB_BYTES_MAX, "a bound is kept");
    };
    assert!(begun > 4, "{begun} began");
    // Nothing has gone on meanwhile, so that what was published is the first share of each.
    world.flush(refused);
    let answer = world.take_text(refused);
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
    // A single message needs no room to wait.
    let request = world.signed("/message", &batch("c", 5_000, 5_001));
    world.send(backend, &request);
    world.rest();
    assert_eq!(status(&world.take_text(backend)), "200");
    let heard = world.numbers(listener);
    assert_eq!(heard.len(), begun * 1_000 + 1, "none of those refused");
    world.send(refused, &request);
    world.rest();
    assert_eq!(status(&world.take_text(refused)), "200", "room again");
}

#[test]
fn a_stop_lets_a_batch_end_and_then_the_connection() {
    let mut world = World::new();
    let backend = world.open();
    let listener = world.subscriber(backend, "ann", "c", false);
    let request = world.signed("/message", &batch("c", 0, 5_000));
    world.send(backend, &request);
    assert_eq!(world.engine.jobs(), 1);
    world.call(|engine, turn| engine.drain(10_000, turn));
    world.rest();
    let answer = world.take_text(backend);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"));
    assert_eq!(answer.matches("\"uuid\"").count(), 5_000);
    assert!(!world.conns.contains(backend));
    // Who listened is told to come back, and hears the rest from whoever takes over.
    let bytes = world.take(listener);
    assert!(bytes.ends_with(b"come back in a moment"));
}

#[test]
fn a_crowd_that_goes_is_told_of_over_several_turns() {
    let mut world = World::new();
    let backend = world.open();
    let stay: Vec<ConnId> = (0..300)
        .map(|user| world.subscriber(backend, &format!("stay{user}"), "c", true))
        .collect();
    let go: Vec<ConnId> = (0..600)
        .map(|user| world.subscriber(backend, &format!("go{user}"), "c", true))
        .collect();
    for &conn in &go {
        world.close(conn, CloseReason::Peer);
    }
    world.rest();
    for &conn in &stay {
        world.take(conn);
    }
    world.pass(CS_RETURN_MS + 2 * WHEEL_SLOT_MS);
    let mut turns = 0;
    while world
        .engine
        .next_deadline()
        .is_some_and(|due| due <= world.now.mono)
    {
        let before = world.out.totals().pushed;
        let pushed = world.turn(before);
        assert!(pushed < WORK_PER_TURN + 300, "{pushed} frames in one turn");
        turns += 1;
    }
    assert!(turns >= 3, "180,000 deliveries in {turns} turns");
    for conn in stay {
        let left = world
            .texts(conn)
            .iter()
            .filter(|text| text.contains("\"parted\""))
            .count();
        assert_eq!(left, 600);
    }
    world.engine.hub().check();
}

#[test]
fn a_long_listing_is_written_over_several_turns() {
    let mut world = World::new();
    let (backend, other) = (world.open(), world.open());
    for user in 0..80 {
        let names: Vec<String> = (0..100)
            .map(|place| format!("\"c{user:02}-{place:02}\""))
            .collect();
        let body = format!(
            r#"{{"username":"u{user:02}","channels":[{}],"info":{{"channels":[]}}}}"#,
            names.join(",")
        );
        let request = world.signed("/connect", &body);
        world.send(backend, &request);
        world.rest();
        assert_eq!(status(&world.take_text(backend)), "200");
    }
    let request = world.signed("/info", "");
    world.send(backend, &request);
    let mut turns = 0;
    while world.engine.jobs() > 0 {
        assert!(world.take(backend).is_empty(), "not answered yet");
        // What comes into being meanwhile may be in it or not; what goes is left out.
        world.send(other, LIVE);
        world.turn(0);
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    world.rest();
    assert!(turns >= 2, "{turns} turns");
    let answer = world.take_text(backend);
    assert_eq!(status(&answer), "200");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let channels = body["channels"].as_object().expect("a mapping");
    assert_eq!(channels.len(), 8_000);
    for (name, channel) in channels {
        let user = format!("u{}", &name[1..3]);
        assert_eq!(channel["users"], serde_json::json!([user]), "{name}");
    }
    assert_eq!(body["users"].as_array().map(Vec::len), Some(80));
}

#[test]
fn the_admin_report_lets_others_between_and_is_whole() {
    const USERS: usize = 2_000;
    let mut world = World::new();
    let (backend, other) = (world.open(), world.open());
    for user in 0..USERS {
        let body = format!(
            r#"{{"username":"u{user}","channels":["c{}","c{}"],"info":{{"channels":[]}},
               "fresh_user_state":{{"seen":"{}"}},"state_public_keys":["seen"]}}"#,
            user % 200,
            200 + user % 100,
            "x".repeat(1_000)
        );
        let request = world.signed("/connect", &body);
        world.send(backend, &request);
        world.rest();
        assert_eq!(status(&world.take_text(backend)), "200");
    }
    let request = world.signed("/admin/admin.json", "{}");
    world.send(backend, &request);
    let mut turns = 0;
    while world.engine.jobs() > 0 {
        assert!(world.take(backend).is_empty(), "not answered yet");
        world.send(other, LIVE);
        world.turn(0);
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    world.rest();
    assert!(turns >= 2, "{turns} turns");
    let answer = world.take_text(backend);
    assert_eq!(status(&answer), "200");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["channels"].as_object().map(|all| all.len()), Some(300));
    assert_eq!(body["users"].as_array().map(Vec::len), Some(USERS));
    for name in [
        "remembered_user_count",
        "unique_user_count",
        "total_connections",
    ] {
        assert_eq!(body[name], USERS, "{name}");
    }
    assert_eq!(body["total_channels"], 300);
    assert_eq!(body["uptime"], "0:00:01");
}

/// A dialect whose every request is a job that panics at its third step.
struct Clumsy;

struct Stumble(u32);

impl Job for Stumble {
    fn go_on(&mut self, _ctx: &mut Ctx<'_>) -> Option<Response> {
        self.0 += 1;
        assert!(self.0 < 3, "on purpose");
        None
    }

    fn bytes(&self) -> usize {
        4
    }
}

impl Dialect for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }
    fn request(&self, _request: &Request<'_>, _ctx: &mut Ctx<'_>) -> Reply {
        Reply::Later(Box::new(Stumble(0)))
    }
    fn upgraded(&self, _who: SubscriberId, _ctx: &mut Ctx<'_>) {}
    fn text(&self, _text: &str, _from: SubscriberId, _ctx: &mut Ctx<'_>) {}
    fn encode(&self, _: Format, _: &Event<'_>, _catch_up: bool, _told: u64, _: &mut Vec<u8>) {}
    fn gone(&self, _who: SubscriberId, _end: SocketEnd, _ctx: &mut Ctx<'_>) {}
    fn hang_up(&self, _why: HangUp) -> (u16, &'static str) {
        (1000, "")
    }
}

#[test]
fn a_panic_in_a_job_costs_its_own_connection() {
    let mut world = World::with(vec![Box::new(Clumsy)]);
    let (one, two) = (world.open(), world.open());
    world.send(one, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    world.rest();
    assert_eq!(status(&world.take_text(one)), "500");
    assert!(!world.conns.contains(one));
    assert_eq!((world.engine.metrics().panics, world.engine.jobs()), (1, 0));
    world.send(two, LIVE);
    world.rest();
    assert_eq!(status(&world.take_text(two)), "200");
}
