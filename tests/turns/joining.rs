//! Joining and leaving many channels in which many want to know of it.

use crate::world::{LIVE, World, status};
use fanwire::handler::ConnId;
use fanwire::limits::{WORK_PER_CALL, WORK_PER_TURN};

/// Channels, and listeners in each of them.
const MANY: usize = 400;
/// Whoever comes and goes.
const BOB: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";

fn names() -> Vec<String> {
    (0..MANY).map(|n| format!("c{n:03}")).collect()
}

/// Listeners in all channels, who are told of who comes and goes.
fn crowd(world: &mut World, backend: ConnId) -> Vec<ConnId> {
    let mut listeners = Vec::new();
    for user in 0..MANY {
        let id = format!("00000000-0000-4000-8000-{user:012}");
        let body = format!(
            r#"{{"username":"u{user}","conn_id":"{id}","channels":{:?},
               "info":{{"include_users":false}}}}"#,
            names()
        );
        let request = world.signed("/connect", &body);
        world.send(backend, &request);
        let conn = world.open();
        world.rest();
        world.send(
            conn,
            &format!(
                "GET /ws?conn_id={id} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
        );
        world.rest();
        world.take(backend);
        assert!(world.take_text(conn).starts_with("HTTP/1.1 101"));
        listeners.push(conn);
    }
    let tell = names().iter().fold(String::new(), |all, name| {
        let comma = if all.is_empty() { "" } else { "," };
        format!(r#"{all}{comma}"{name}":{{"notify_presence":true}}"#)
    });
    let request = world.signed("/channel_config", &format!("{{{tell}}}"));
    world.send(backend, &request);
    world.rest();
    world.take(backend);
    listeners
}

/// Sends a request that takes several turns, in each of which another peer is answered. Gives the
/// request's own answer.
fn shared_out(world: &mut World, backend: ConnId, path: &str, body: &str) -> String {
    let other = world.open();
    let before = world.out.totals().pushed;
    let request = world.signed(path, body);
    world.send(backend, &request);
    let first = world.out.totals().pushed - before;
    let most = (WORK_PER_CALL + MANY as u64, WORK_PER_TURN + MANY as u64 + 2);
    assert!(first < most.0, "{path}: {first} frames at once");
    let mut turns = 0;
    while world.engine.jobs() + world.engine.hub().leaving() > 0 {
        world.engine.hub().check();
        let before = world.out.totals().pushed;
        world.send(other, LIVE);
        let pushed = world.turn(before);
        assert!(pushed < most.1, "{path}: {pushed} frames in a turn");
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    assert!(turns >= 2, "{path}: {turns} turns for 160,000 frames");
    world.rest();
    world.engine.hub().check();
    world.take_text(backend)
}

/// Everybody has heard of bob's coming or going, once in each channel and in order of name.
fn all_heard(world: &mut World, listeners: &[ConnId], action: &str) {
    let expected: Vec<(String, bool)> = names().into_iter().map(|name| (name, true)).collect();
    for &conn in listeners {
        let heard: Vec<(String, bool)> = world
            .texts(conn)
            .iter()
            .map(|text| {
                let name = text.split("\"channel\":\"").nth(1).expect(text);
                let is_his = text.contains(r#""user":"bob""#) && text.contains(action);
                (name[..4].to_owned(), is_his)
            })
            .collect();
        assert_eq!(heard, expected, "{action}");
    }
}

#[test]
fn who_joins_and_leaves_crowded_channels_holds_nobody_up() {
    let mut world = World::new();
    let backend = world.open();
    let listeners = crowd(&mut world, backend);
    let all = format!(r#"{:?},"info":{{"include_users":false}}"#, names());

    let connect = format!(r#"{{"username":"bob","conn_id":"{BOB}","channels":{all}}}"#);
    let answer = shared_out(&mut world, backend, "/connect", &connect);
    assert_eq!(status(&answer), "200");
    assert_eq!(answer.matches("\"total_connections\":401").count(), MANY);
    all_heard(&mut world, &listeners, "joined");

    let change = format!(r#"{{"conn_id":"{BOB}","channels":{all}}}"#);
    let answer = shared_out(&mut world, backend, "/unsubscribe", &change);
    let left = format!(r#""unsubscribed_from":{:?}"#, names()).replace(", ", ",");
    assert!(answer.ends_with(&format!("{left}}}")), "{answer}");
    all_heard(&mut world, &listeners, "parted");

    let answer = shared_out(&mut world, backend, "/subscribe", &change);
    let joined = format!(r#""subscribed_to":{:?}"#, names()).replace(", ", ",");
    assert!(answer.ends_with(&format!("{joined}}}")), "{answer}");
    assert_eq!(answer.matches("\"total_connections\":401").count(), MANY);
    all_heard(&mut world, &listeners, "joined");

    let gone = format!(r#"{{"conn_id":"{BOB}"}}"#);
    let answer = shared_out(&mut world, backend, "/disconnect", &gone);
    assert_eq!(status(&answer), "200");
    all_heard(&mut world, &listeners, "parted");
    assert!(world.engine.hub().leaving() == 0);
}

#[test]
fn the_id_of_who_is_leaving_is_free_at_once() {
    let mut world = World::new();
    let backend = world.open();
    let listeners = crowd(&mut world, backend);
    let all = format!(r#"{:?},"info":{{"include_users":false}}"#, names());
    let connect = format!(r#"{{"username":"bob","conn_id":"{BOB}","channels":{all}}}"#);
    shared_out(&mut world, backend, "/connect", &connect);
    all_heard(&mut world, &listeners, "joined");

    // It goes and comes again in the same turn, by the same name and into the last of its channels,
    // which it has not left yet: nobody there notices.
    let gone = world.signed("/disconnect", &format!(r#"{{"conn_id":"{BOB}"}}"#));
    let again = world.signed(
        "/connect",
        &format!(r#"{{"username":"bob","conn_id":"{BOB}","channels":["c399"]}}"#),
    );
    let (one, two) = (world.open(), world.open());
    world.send(one, &gone);
    assert_eq!(world.engine.hub().leaving(), 1);
    world.send(two, &again);
    let (_, users) = (world.rest(), world.engine.hub().counts().2);
    assert_eq!(status(&world.take_text(one)), "200");
    assert_eq!(status(&world.take_text(two)), "200");
    world.engine.hub().check();
    assert_eq!(users, MANY + 1);
    for &conn in &listeners {
        let texts = world.texts(conn);
        assert_eq!(texts.len(), MANY - 1);
        assert!(texts.iter().all(|text| text.contains("parted")));
        assert!(!texts.iter().any(|text| text.contains("c399")));
    }
}

#[test]
fn who_is_gone_joins_nothing_more() {
    let mut world = World::new();
    let backend = world.open();
    let listeners = crowd(&mut world, backend);
    let mut all = names();
    all.push("zzz".to_owned());
    let connect = format!(r#"{{"username":"bob","conn_id":"{BOB}","channels":{all:?}}}"#);
    let request = world.signed("/connect", &connect);
    world.send(backend, &request);
    assert_eq!(world.engine.jobs(), 1);
    let other = world.open();
    let gone = world.signed("/disconnect", &format!(r#"{{"conn_id":"{BOB}"}}"#));
    world.send(other, &gone);
    world.rest();
    assert_eq!(status(&world.take_text(backend)), "200");
    assert_eq!(status(&world.take_text(other)), "200");
    world.engine.hub().check();
    let (channels, subscribers, _) = world.engine.hub().counts();
    assert_eq!((channels, subscribers), (MANY, MANY), "no channel in vain");
    for &conn in &listeners {
        let texts = world.texts(conn);
        let joined = texts.iter().filter(|text| text.contains("joined")).count();
        assert!((1..MANY).contains(&joined), "{joined}");
        assert_eq!(texts.len(), 2 * joined, "and left all of them");
    }
}
