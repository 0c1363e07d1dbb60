//! Changes to what was said before: many edits and deletions, and states of users in many channels.

use crate::batches::batch;
use crate::world::{LIVE, World, status};
use fanwire::handler::ConnId;
use fanwire::limits::{WORK_PER_CALL, WORK_PER_TURN};
use std::collections::BTreeMap;

const ID: &str = "11111111-1111-4111-8111-111111111111";

#[test]
fn edits_and_deletions_are_shared_out_as_messages_are() {
    for method in ["PATCH", "DELETE"] {
        let mut world = World::new();
        let (backend, other) = (world.open(), world.open());
        let listeners: Vec<ConnId> = (0..100)
            .map(|user| world.subscriber(backend, &format!("u{user}"), "c", false))
            .collect();
        let entries: Vec<String> = (0..1_000)
            .map(|n| {
                let pad = "\u{e9}\\n";
                format!(
                    r#"{{"uuid":"{ID}","channel":"c","exclude_users":["u{}"],"no_history":true,
                       "message":{{"n":{n},"pad":"{pad}"}},"pm_users":[]}}"#,
                    n % 100
                )
            })
            .collect();
        let body = format!("[{}]", entries.join(","));
        let request = world.signed_as(method, "/message", &body);
        let before = world.out.totals().pushed;
        world.send(backend, &request);
        let first = world.out.totals().pushed - before;
        assert!(first < WORK_PER_CALL + 100, "{first}");
        assert_eq!(world.engine.jobs(), 1, "{method}");
        let mut turns = 0;
        while world.engine.jobs() > 0 {
            assert!(world.take(backend).is_empty(), "not answered yet");
            let before = world.out.totals().pushed;
            world.send(other, LIVE);
            assert!(world.turn(before) < WORK_PER_TURN + 100 + 2);
            assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
            turns += 1;
        }
        assert!(turns >= 2, "{turns} turns for 99,000 deliveries");
        world.rest();
        let answer = world.take_text(backend);
        assert_eq!(status(&answer), "200");
        assert_eq!(answer.matches("\"uuid\"").count(), 1_000);
        for (user, conn) in listeners.into_iter().enumerate() {
            if method == "DELETE" {
                assert_eq!(world.texts(conn).len(), 990);
                continue;
            }
            let expected: Vec<usize> = (0..1_000).filter(|n| n % 100 != user).collect();
            assert_eq!(world.numbers(conn), expected);
        }
        world.engine.hub().check();
    }
}

#[test]
fn looking_through_what_is_kept_is_work_as_well() {
    let mut world = World::new();
    let backend = world.open();
    let settings = r#"{"c":{"store_history":true,"history_size":5000}}"#;
    let request = world.signed("/channel_config", settings);
    world.send(backend, &request);
    let request = world.signed("/message", &batch("c", 0, 5_000));
    world.send(backend, &request);
    world.rest();
    world.take(backend);
    // Nobody hears of it, and none is found.
    let entry = format!(r#"{{"uuid":"{ID}","channel":"c"}}"#);
    let body = format!("[{}]", vec![entry; 500].join(","));
    let request = world.signed_as("DELETE", "/message", &body);
    world.send(backend, &request);
    let (turns, _) = world.rest();
    assert!(turns > 3, "{turns} turns to look 500 times through 5,000");
    assert_eq!(status(&world.take_text(backend)), "200");
}

#[test]
fn a_user_in_thousands_of_channels_changes_its_state() {
    const CHANNELS: usize = 4_096;
    let mut world = World::new();
    let (backend, second, other) = (world.open(), world.open(), world.open());
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("c{n:04}")).collect();
    let configs: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":{{"notify_state":true}}"#))
        .collect();
    let request = world.signed("/channel_config", &format!("{{{}}}", configs.join(",")));
    world.send(backend, &request);
    world.rest();
    world.take(backend);
    let listener = world.subscriber(backend, "ann", &names[0], false);
    for half in [&names[..CHANNELS / 2], &names[CHANNELS / 2..]] {
        let body = format!(
            r#"{{"username":"ann","conn_id":"{ID}","channels":{half:?},"state_public_keys":["k"]}}"#
        );
        let request = world.signed("/connect", &body);
        world.send(backend, &request);
        world.rest();
        world.take(backend);
    }
    world.texts(listener);
    let state = |value| format!(r#"{{"user":"ann","user_state":{{"k":{value}}}}}"#);
    let request = world.signed("/user_state", &state(1));
    world.send(backend, &request);
    assert_eq!(world.engine.jobs(), 1);
    // While it is told, it changes again; and others come between.
    let request = world.signed("/user_state", &state(2));
    world.send(second, &request);
    assert_eq!(world.engine.jobs(), 2);
    let mut turns = 0;
    while world.engine.jobs() > 0 {
        world.send(other, LIVE);
        world.turn(0);
        assert_eq!(status(&world.take_text(other)), "200", "in the same turn");
        turns += 1;
    }
    assert!(turns >= 5, "{turns} turns");
    world.rest();
    for (conn, value) in [(backend, "1"), (second, "2")] {
        let answer = world.take_text(conn);
        let said = format!(r#""user_state":{{"k":{value}}},"changed_state":[{{"key":"k","#);
        assert!(answer.contains(&said), "{answer}");
    }
    // The listener is in one of them, and hears of the newest state last.
    let texts = world.texts(listener);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[1].contains(r#""state":{"k":2},"changed":[{"key":"k","value":2}]"#));
    // Who comes to all of them hears the same of each.
    let conn = world.open();
    world.send(
        conn,
        &format!(
            "GET /ws?conn_id={ID} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ),
    );
    world.rest();
    let heard = world.take(conn);
    let heard = String::from_utf8_lossy(&heard);
    assert_eq!(heard.matches("user_state_change").count(), 2 * CHANNELS);
    let mut last = BTreeMap::new();
    for text in heard.split("user_state_change").skip(1) {
        let channel = text.split("\"channel\":\"").nth(1).expect(text);
        last.insert(&channel[..5], text.contains(r#""state":{"k":2}"#));
    }
    let newest: Vec<&str> = last
        .iter()
        .filter(|(_, is)| **is)
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(newest, names);
    world.engine.hub().check();
}
