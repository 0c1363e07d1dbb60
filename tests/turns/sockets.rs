//! One socket that asks for much in a few bytes.

use crate::world::{LIVE, World, status};
use fanwire::dialect::channelstream::{Channelstream, Config as ChannelstreamConfig};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{App, Config};
use fanwire::handler::ConnId;
use fanwire::hub::AppId;
use fanwire::limits::WORK_PER_CALL;

const MEMBERS: usize = 1_000;
const CHANNEL: &str = "presence-room";

/// A server with both protocols, and an app for crowds.
fn world() -> World {
    let mut app = App::new(AppId(1), "1", "key", "secret");
    app.members_max = MEMBERS + 1;
    let config = Config {
        apps: vec![app],
        ..Config::default()
    };
    World::with(vec![
        Box::new(Pusher::new(config)),
        Box::new(Channelstream::new(ChannelstreamConfig::default())),
    ])
}

/// An open socket, and its id.
fn socket(world: &mut World) -> (ConnId, String) {
    let conn = world.open();
    world.send(
        conn,
        "GET /app/key?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    world.rest();
    let answer = String::from_utf8_lossy(&world.take(conn)).into_owned();
    let id = answer.split(r#"socket_id\":\""#).nth(1).expect(&answer);
    let id = id.split('\\').next().expect("a backslash").to_owned();
    (conn, id)
}

/// A text as a client sends it, under a mask of zeros.
fn masked(text: &str) -> String {
    let length = u16::try_from(text.len()).expect("a short text");
    let [high, low] = length.to_be_bytes();
    let mut frame = match length {
        0..126 => vec![0x81, 0x80 | low, 0, 0, 0, 0],
        126.. => vec![0x81, 0x80 | 126, high, low, 0, 0, 0, 0],
    };
    frame.extend_from_slice(text.as_bytes());
    frame.iter().map(|&byte| char::from(byte)).collect()
}

fn send(world: &mut World, conn: ConnId, frames: &str) {
    let mut bytes: Vec<u8> = frames.chars().map(|byte| byte as u32 as u8).collect();
    world.call(|engine, turn| {
        fanwire::handler::Handler::received(engine, conn, &mut bytes, turn);
    });
}

fn subscribe(id: &str, user: usize) -> String {
    let data = format!(r#"{{"user_id":"u{user}"}}"#);
    let auth = Keys::new("key", "secret").channel_auth(id, CHANNEL, Some(&data));
    let data = data.replace('"', r#"\""#);
    masked(&format!(
        r#"{{"event":"pusher:subscribe","data":{{"channel":"{CHANNEL}","auth":"{auth}",
           "channel_data":"{data}"}}}}"#
    ))
}

#[test]
fn a_read_full_of_work_is_shared_out_in_order() {
    const TIMES: usize = 60;
    let mut world = world();
    let mut members = Vec::new();
    for user in 0..MEMBERS {
        let (conn, id) = socket(&mut world);
        send(&mut world, conn, &subscribe(&id, user));
        world.rest();
        world.take(conn);
        members.push(conn);
    }
    for &conn in &members {
        world.take(conn);
    }
    // It comes and goes again and again, and all are told each time.
    let (flipper, id) = socket(&mut world);
    let other = world.open();
    let leave = masked(&format!(
        r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{CHANNEL}"}}}}"#
    ));
    let both = subscribe(&id, MEMBERS) + &leave;
    let before = world.out.totals().pushed;
    send(&mut world, flipper, &both.repeat(TIMES));
    // More comes before that is done.
    send(&mut world, flipper, &masked(r#"{"event":"pusher:ping"}"#));
    let first = world.out.totals().pushed - before;
    assert!(first < 2 * WORK_PER_CALL, "{first} frames at once");
    let mut turns = 0;
    let all = (2 * TIMES * MEMBERS + TIMES + 1) as u64;
    while world.out.totals().pushed - before < all + turns {
        let pushed = world.out.totals().pushed;
        world.send(other, LIVE);
        let pushed = world.turn(pushed);
        assert!(pushed < 2 * WORK_PER_CALL, "{pushed} frames in a turn");
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
        assert!(turns < 100, "it comes to an end");
    }
    assert!(turns >= 2, "{turns} turns for 120,000 frames");
    world.rest();
    world.engine.hub().check();
    let answers = String::from_utf8_lossy(&world.take(flipper)).into_owned();
    assert_eq!(answers.matches("subscription_succeeded").count(), TIMES);
    assert!(answers.ends_with(r#"{"event":"pusher:pong","data":{}}"#));
    for conn in members {
        let heard = String::from_utf8_lossy(&world.take(conn)).into_owned();
        let added = heard.matches("member_added").count();
        let removed = heard.matches("member_removed").count();
        assert_eq!((added, removed), (TIMES, TIMES));
        let last = heard.rfind("member_added") < heard.rfind("member_removed");
        assert!(last, "in order");
    }
}
