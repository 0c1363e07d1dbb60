//! Pusher's protocol where much is asked for at once: it is shared out over turns, and stays within
//! bounds.

use crate::world::{LIVE, World, status};
use fanwire::dialect::channelstream::{self, Channelstream};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{App, Config};
use fanwire::handler::{CloseReason, ConnId, Handler};
use fanwire::hub::AppId;
use fanwire::limits::{CACHED_CHANNELS_MAX, MESSAGES_PER_S_MAX, WORK_PER_CALL, WORK_PER_TURN};
use serde_json::json;
use std::fmt::Write;

const APP: AppId = AppId(1);

/// A world with one app of Pusher's.
fn world(change: impl FnOnce(&mut App)) -> World {
    let mut app = App::new(APP, "1", "key", "secret");
    change(&mut app);
    let config = Config {
        apps: vec![app],
        ..Config::default()
    };
    World::with(vec![
        Box::new(Pusher::new(config)),
        Box::new(Channelstream::new(channelstream::Config::default())),
    ])
}

/// Appends a text from a client. A mask of zeros is a mask.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(0x81);
    match text.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            let long = u16::try_from(long).expect("no longer one here");
            out.extend_from_slice(&long.to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

fn say(world: &mut World, conn: ConnId, bytes: &mut [u8]) {
    for piece in bytes.chunks_mut(64 * 1024) {
        world.call(|engine, turn| engine.received(conn, piece, turn));
    }
}

/// A socket, and its id.
fn open(world: &mut World) -> (ConnId, String) {
    let conn = world.open();
    world.send(
        conn,
        "GET /app/key?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    world.turn(0);
    let bytes = world.take(conn);
    let answer = String::from_utf8_lossy(&bytes);
    assert_eq!(status(&answer), "101");
    let id = answer
        .split("socket_id\\\":\\\"")
        .nth(1)
        .expect("a welcome");
    let id = id.split('\\').next().expect("a quote").to_owned();
    (conn, id)
}

/// Joins channels without members; what is answered is thrown away.
fn join(world: &mut World, conn: ConnId, names: impl Iterator<Item = String>) {
    let mut bytes = Vec::new();
    for name in names {
        push_text(&mut bytes, &subscribe(&name));
    }
    say(world, conn, &mut bytes);
    world.turn(0);
    world.take(conn);
}

fn subscribe(name: &str) -> String {
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{name}"}}}}"#)
}

fn unsubscribe(name: &str) -> String {
    format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{name}"}}}}"#)
}

/// A signed request.
fn request(world: &World, method: &str, path: &str, params: &[(&str, &str)], body: &str) -> String {
    let (keys, now) = (Keys::new("key", "secret"), world.now.unix_seconds());
    let query = keys.sign_request(method, path, params, body.as_bytes(), now);
    let length = body.len();
    format!("{method} {path}?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Others are answered in each turn until the job is done; no turn does too much. Says how many
/// turns it took.
fn shared_out(world: &mut World, backend: ConnId, slack: u64) -> usize {
    let other = world.open();
    let mut turns = 0;
    while world.engine.jobs() > 0 {
        assert!(world.take(backend).is_empty(), "not answered yet");
        let before = world.out.totals().pushed;
        world.send(other, LIVE);
        let pushed = world.turn(before);
        assert!(
            pushed <= WORK_PER_TURN + slack,
            "{pushed} frames in one turn"
        );
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    world.rest();
    turns
}

#[test]
fn an_event_for_a_hundred_crowded_channels_is_shared_out() {
    const SOCKETS: usize = 800;
    let mut world = world(|_| {});
    let names = || (0..100).map(|n| format!("c{n:02}"));
    let listeners: Vec<ConnId> = (0..SOCKETS)
        .map(|_| {
            let (conn, _) = open(&mut world);
            join(&mut world, conn, names());
            conn
        })
        .collect();
    let backend = world.open();
    let body = json!({
        "name": "e", "data": "x", "channels": names().collect::<Vec<_>>(),
        "info": "subscription_count",
    });
    let request = request(&world, "POST", "/apps/1/events", &[], &body.to_string());
    let before = world.out.totals().pushed;
    world.send(backend, &request);
    let first = world.out.totals().pushed - before;
    assert!(
        first <= WORK_PER_CALL + SOCKETS as u64,
        "{first} in the turn of the call"
    );
    let turns = shared_out(&mut world, backend, SOCKETS as u64 + 2);
    assert!(turns >= 1, "{turns} turns for 80,000 deliveries");
    let answer = world.take_text(backend);
    assert_eq!(status(&answer), "200");
    assert_eq!(answer.matches("{\"subscription_count\":800}").count(), 100);
    for conn in listeners {
        let texts = world.texts(conn);
        let expected =
            names().map(|name| format!(r#"{{"event":"e","channel":"{name}","data":"x"}}"#));
        assert!(texts.into_iter().eq(expected));
    }
    world.engine.hub().check();
}

#[test]
fn a_batch_for_a_crowd_is_shared_out_in_order() {
    const SOCKETS: usize = 8_000;
    let mut world = world(|_| {});
    let listeners: Vec<ConnId> = (0..SOCKETS)
        .map(|_| {
            let (conn, _) = open(&mut world);
            join(&mut world, conn, std::iter::once("c".to_owned()));
            conn
        })
        .collect();
    let backend = world.open();
    let events: Vec<_> = (0..10)
        .map(|n| json!({"name": "e", "data": n.to_string(), "channel": "c"}))
        .collect();
    let body = json!({"batch": events}).to_string();
    let request = request(&world, "POST", "/apps/1/batch_events", &[], &body);
    world.send(backend, &request);
    let turns = shared_out(&mut world, backend, SOCKETS as u64 + 2);
    assert!(turns >= 1, "{turns} turns for 80,000 deliveries");
    assert!(world.take_text(backend).ends_with("\r\n\r\n{}"));
    for conn in listeners {
        let texts = world.texts(conn);
        let expected = (0..10).map(|n| format!(r#"{{"event":"e","channel":"c","data":"{n}"}}"#));
        assert!(texts.into_iter().eq(expected));
    }
}

#[test]
fn twenty_thousand_channels_are_listed_over_several_turns() {
    let mut world = world(|_| {});
    for socket in 0..20 {
        let (conn, _) = open(&mut world);
        let names = (0..1_000).map(|n| format!("channel-with-a-longer-name-{socket:02}-{n:03}"));
        join(&mut world, conn, names);
    }
    assert_eq!(world.engine.hub().counts().0, 20_000);
    let backend = world.open();
    for (params, count) in [
        (&[("info", "subscription_count")][..], 20_000),
        (
            &[("filter_by_prefix", "channel-with-a-longer-name-07-")],
            1_000,
        ),
        (&[("filter_by_prefix", "none")], 0),
    ] {
        let request = request(&world, "GET", "/apps/1/channels", params, "");
        world.send(backend, &request);
        let turns = shared_out(&mut world, backend, 2);
        assert!(turns >= 1 || count < 20_000, "{turns} turns");
        let answer = world.take_text(backend);
        assert_eq!(status(&answer), "200");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let listed = value["channels"].as_object().expect("an object");
        assert_eq!(listed.len(), count);
    }
}

#[test]
fn whoever_is_in_thousands_of_channels_leaves_them_over_several_turns() {
    const CHANNELS: usize = 1_000;
    const LISTENERS: usize = 40;
    let mut world = world(|_| {});
    let keys = Keys::new("key", "secret");
    let enter = |world: &mut World, user: &str| {
        let (conn, id) = open(world);
        let data = format!("{{\"user_id\":\"{user}\"}}");
        let mut bytes = Vec::new();
        for n in 0..CHANNELS {
            let name = format!("presence-{n:03}");
            let auth = keys.channel_auth(&id, &name, Some(&data));
            let word = json!({
                "event": "pusher:subscribe",
                "data": {"channel": name, "auth": auth, "channel_data": data},
            });
            push_text(&mut bytes, &word.to_string());
        }
        say(world, conn, &mut bytes);
        world.rest();
        conn
    };
    let listeners: Vec<ConnId> = (0..LISTENERS).map(|_| enter(&mut world, "all")).collect();
    let one = enter(&mut world, "one");
    for &conn in &listeners {
        world.take(conn);
    }
    let other = world.open();
    let before = world.out.totals().pushed;
    world.close(one, CloseReason::Peer);
    let mut pushed = world.out.totals().pushed - before;
    let mut turns = 0;
    loop {
        assert!(
            pushed <= WORK_PER_TURN + LISTENERS as u64 + 2,
            "{pushed} in one turn"
        );
        if world.engine.hub().leaving() == 0 {
            break;
        }
        let before = world.out.totals().pushed;
        world.send(other, LIVE);
        pushed = world.turn(before);
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    assert!(
        turns >= 1,
        "{turns} turns to tell 40,000 times that one has gone"
    );
    world.rest();
    for conn in listeners {
        let texts = world.texts(conn);
        assert_eq!(texts.len(), CHANNELS, "each once");
        assert!(texts.iter().all(|text| text.contains("member_removed")));
    }
    world.engine.hub().check();
}

#[test]
fn a_million_frames_for_different_names_stay_bounded() {
    const FRAMES: usize = 1_000_000;
    let at_once = MESSAGES_PER_S_MAX as usize;
    let mut world = world(|app| app.channels_per_connection = 50);
    let (conn, _) = open(&mut world);
    let (stays, _) = open(&mut world);
    join(&mut world, stays, std::iter::once("stays".to_owned()));
    let mut n = 0;
    let mut name = String::new();
    while n < FRAMES {
        let mut bytes = Vec::new();
        for at in 0..at_once {
            name.clear();
            // Four kinds of floods, a part of the time each: names that are joined and left, names
            // beyond the limit, cached ones that nothing was said in, and such that need a
            // signature.
            let joins = match n * 4 / FRAMES {
                0 | 2 => at % 2 == 0,
                _ => true,
            };
            let number = if joins { n } else { n - 1 };
            let _ = match n * 4 / FRAMES {
                0 => write!(name, "a{number}"),
                1 => write!(name, "b{number}"),
                2 => write!(name, "cache-{number}"),
                _ => write!(name, "presence-{number}"),
            };
            let text = match joins {
                true => subscribe(&name),
                false => unsubscribe(&name),
            };
            push_text(&mut bytes, &text);
            n += 1;
        }
        world.pass(1_000);
        say(&mut world, conn, &mut bytes);
        world.turn(0);
        world.rest();
        world.take(conn);
        let (channels, subscribers, users) = world.engine.hub().counts();
        let most = if n * 4 / FRAMES >= 2 {
            CACHED_CHANNELS_MAX
        } else {
            0
        };
        assert!(
            channels <= most + 51,
            "{channels} channels after {n} frames"
        );
        assert_eq!((subscribers, users), (2, 0));
        // It lives on its own words, the other one must say something.
        let mut ping = Vec::new();
        push_text(&mut ping, r#"{"event":"pusher:pong"}"#);
        say(&mut world, stays, &mut ping);
        if n * 4 == FRAMES * 2 {
            // What was left of the second flood is left again.
            let known = world.engine.hub().channels(APP);
            let names: Vec<String> = known
                .map(|(_, channel)| channel.name().to_owned())
                .collect();
            assert_eq!(names.len(), 51, "as many as one may be in");
            let mut bytes = Vec::new();
            for name in names.iter().filter(|name| *name != "stays") {
                push_text(&mut bytes, &unsubscribe(name));
            }
            world.pass(1_000);
            say(&mut world, conn, &mut bytes);
            world.rest();
            assert_eq!(world.engine.hub().counts().0, 1);
        }
    }
    assert!(world.conns.contains(conn), "it broke no rule that ends it");
    world.engine.hub().check();
    // After half an hour nothing is left of it but who is there.
    for _ in 0..200 {
        for who in [conn, stays] {
            let mut ping = Vec::new();
            push_text(&mut ping, r#"{"event":"pusher:pong"}"#);
            say(&mut world, who, &mut ping);
        }
        world.pass(20_000);
        world.turn(0);
    }
    assert_eq!(world.engine.hub().counts(), (1, 2, 0));
    world.engine.hub().check();
    world.close(conn, CloseReason::Peer);
    world.close(stays, CloseReason::Peer);
    world.rest();
    assert!(world.engine.is_empty());
}

#[test]
fn a_flood_of_client_events_reaches_nobody_beyond_its_rate() {
    let mut world = world(|_| {});
    let keys = Keys::new("key", "secret");
    let conns: Vec<ConnId> = (0..2)
        .map(|_| {
            let (conn, id) = open(&mut world);
            let auth = keys.channel_auth(&id, "private-a", None);
            let data = json!({"channel": "private-a", "auth": auth});
            let mut bytes = Vec::new();
            let word = json!({"event": "pusher:subscribe", "data": data});
            push_text(&mut bytes, &word.to_string());
            say(&mut world, conn, &mut bytes);
            world.turn(0);
            world.take(conn);
            conn
        })
        .collect();
    let mut bytes = Vec::new();
    for n in 0..5_000 {
        push_text(
            &mut bytes,
            &format!(r#"{{"event":"client-e","channel":"private-a","data":{n}}}"#),
        );
    }
    say(&mut world, conns[0], &mut bytes);
    world.turn(0);
    let told = world.texts(conns[0]);
    assert_eq!(told.len(), 4_990, "each is answered");
    assert!(told.iter().all(|text| text.contains("\"code\":4301")));
    let heard = world.texts(conns[1]);
    let expected =
        (0..10).map(|n| format!(r#"{{"event":"client-e","channel":"private-a","data":"{n}"}}"#));
    assert!(heard.into_iter().eq(expected));
    // Beyond ten times what the transport takes, it ends.
    for _ in 0..4 {
        say(&mut world, conns[0], &mut bytes);
        world.turn(0);
    }
    assert!(!world.conns.contains(conns[0]));
    assert!(world.conns.contains(conns[1]));
    world.engine.hub().check();
}
