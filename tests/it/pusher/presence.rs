//! Who is there.

use super::apps::{PLAIN, SMALL};
use super::stage::{Stage, keys};
use serde_json::json;

const ADDED: &str = "pusher_internal:member_added";
const REMOVED: &str = "pusher_internal:member_removed";

pub(super) fn members_come_and_go(stage: &mut Stage) {
    let [a, b, b2, c] = [(); 4].map(|()| stage.open(PLAIN));
    let room = "presence-room";
    stage.join_as(
        &a,
        room,
        r#"{"user_id":"ann","user_info":{"name":"Ann \"A\" Ä"}}"#,
        r#"{"ids":["ann"],"hash":{"ann":{"name":"Ann \"A\" Ä"}},"count":1}"#,
    );
    stage.join_as(
        &b,
        room,
        r#"{"user_id":"bob"}"#,
        r#"{"ids":["ann","bob"],"hash":{"ann":{"name":"Ann \"A\" Ä"},"bob":null},"count":2}"#,
    );
    // What was not said is left out.
    stage.hears_event(&a, ADDED, room, r#"{"user_id":"bob"}"#);
    // One more of the same user is nothing to the others.
    stage.join_as(
        &b2,
        room,
        r#"{"user_id":"bob","user_info":[1,2.50]}"#,
        r#"{"ids":["ann","bob"],"hash":{"ann":{"name":"Ann \"A\" Ä"},"bob":null},"count":2}"#,
    );
    stage.nothing_else();
    stage.ask(
        &c,
        room,
        Some(r#"{ "user_info": {"a" : [1, 2.50]}, "user_id":"c\"d" }"#),
    );
    stage.hears_members(
        &c,
        room,
        r#"{"ids":["ann","bob","c\"d"],"hash":{"ann":{"name":"Ann \"A\" Ä"},"bob":null,"c\"d":{"a":[1,2.50]}},"count":3}"#,
    );
    for sock in [&a, &b, &b2] {
        stage.hears_event(
            sock,
            ADDED,
            room,
            r#"{"user_id":"c\"d","user_info":{"a":[1,2.50]}}"#,
        );
    }
    // By leaving the channel, by closing, by vanishing; each time only the last one counts.
    stage.part(&b, room);
    stage.nothing_else();
    stage.vanish(&b2);
    for sock in [&a, &c] {
        stage.hears_event(sock, REMOVED, room, r#"{"user_id":"bob"}"#);
    }
    stage.leave(&c);
    stage.hears_event(&a, REMOVED, room, r#"{"user_id":"c\"d"}"#);
    stage.part(&a, room);
    stage.nothing_else();
}

pub(super) fn numbers_become_texts(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let room = "presence-room";
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&a, room, r#"{"user_id":1}"#, one);
    stage.join_as(&b, room, r#"{"user_id":"1"}"#, one);
    stage.nothing_else();
    stage.part(&b, room);
    let big = "12345678901234567890123";
    stage.join_as(
        &b,
        room,
        &format!("{{\"user_id\":{big},\"user_info\":null}}"),
        &format!(r#"{{"ids":["1","{big}"],"hash":{{"1":null,"{big}":null}},"count":2}}"#),
    );
    let told = format!("{{\"user_id\":\"{big}\",\"user_info\":null}}");
    stage.hears_event(&a, ADDED, room, &told);
    stage.nothing_else();
}

pub(super) fn one_socket_as_two_users(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    for (room, user) in [("presence-1", "one"), ("presence-2", "two")] {
        let other = r#"{"ids":["other"],"hash":{"other":null},"count":1}"#;
        stage.join_as(&b, room, r#"{"user_id":"other"}"#, other);
        stage.join_as(
            &a,
            room,
            &format!("{{\"user_id\":\"{user}\"}}"),
            &format!(
                r#"{{"ids":["other","{user}"],"hash":{{"other":null,"{user}":null}},"count":2}}"#
            ),
        );
        stage.hears_event(&b, ADDED, room, &format!("{{\"user_id\":\"{user}\"}}"));
    }
    for (room, user) in [("presence-1", "one"), ("presence-2", "two")] {
        let word = json!({"event": "client-e", "channel": room, "data": "x"});
        stage.say(&a, &word.to_string());
        stage.hears(
            &b,
            &format!(r#"{{"event":"client-e","channel":"{room}","data":"x","user_id":"{user}"}}"#),
        );
    }
    stage.part(&a, "presence-1");
    stage.hears_event(&b, REMOVED, "presence-1", r#"{"user_id":"one"}"#);
    let users = stage.get(PLAIN, "/channels/presence-2/users", &[]);
    assert_eq!(
        users,
        (200, r#"{"users":[{"id":"other"},{"id":"two"}]}"#.to_owned())
    );
    stage.vanish(&a);
    stage.hears_event(&b, REMOVED, "presence-2", r#"{"user_id":"two"}"#);
    stage.nothing_else();
}

pub(super) fn the_oldest_socket_says_who_it_is(stage: &mut Stage) {
    let [a, b, c, d] = [(); 4].map(|()| stage.open(PLAIN));
    let room = "presence-room";
    for (sock, n) in [(&a, 1), (&b, 2), (&c, 3)] {
        let data = format!("{{\"user_id\":\"u\",\"user_info\":{n}}}");
        stage.join_as(
            sock,
            room,
            &data,
            r#"{"ids":["u"],"hash":{"u":1},"count":1}"#,
        );
    }
    let shows = |stage: &mut Stage, info: &str| {
        stage.nothing_else();
        let members = format!(r#"{{"ids":["u"],"hash":{{"u":{info}}},"count":1}}"#);
        stage.join_as(&d, room, r#"{"user_id":"u","user_info":4}"#, &members);
        stage.part(&d, room);
    };
    shows(stage, "1");
    stage.part(&a, room);
    shows(stage, "2");
    // The one in between leaves first.
    let last = r#"{"ids":["u"],"hash":{"u":2},"count":1}"#;
    stage.join_as(&a, room, r#"{"user_id":"u"}"#, last);
    stage.vanish(&c);
    stage.nothing_else();
    shows(stage, "2");
    stage.part(&b, room);
    shows(stage, "null");
    stage.nothing_else();
}

pub(super) fn without_data_by_signing_in(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let room = "presence-room";
    stage.join_as(
        &b,
        room,
        r#"{"user_id":"b"}"#,
        r#"{"ids":["b"],"hash":{"b":null},"count":1}"#,
    );
    stage.ask(&a, room, None);
    stage.hears_refusal(&a, room, 400);
    let user = r#"{"id":"u1","user_info":{"n": 1}}"#;
    stage.sign_in(&a, user);
    stage.hears_signed_in(&a, user);
    stage.ask(&a, room, None);
    stage.hears_members(
        &a,
        room,
        r#"{"ids":["b","u1"],"hash":{"b":null,"u1":{"n":1}},"count":2}"#,
    );
    stage.hears_event(&b, ADDED, room, r#"{"user_id":"u1","user_info":{"n":1}}"#);
    stage.part(&a, room);
    stage.hears_event(&b, REMOVED, room, r#"{"user_id":"u1"}"#);
    // What comes along wins, and must be signed then.
    let data = r#"{"user_id":"u2"}"#;
    let auth = keys(PLAIN).channel_auth(&a.id, room, None);
    stage.ask_with(&a, room, &auth, Some(data));
    stage.hears_refusal(&a, room, 401);
    stage.join_as(
        &a,
        room,
        data,
        r#"{"ids":["b","u2"],"hash":{"b":null,"u2":null},"count":2}"#,
    );
    stage.hears_event(&b, ADDED, room, data);
    stage.nothing_else();
}

pub(super) fn unusable_data_is_refused(stage: &mut Stage) {
    let sock = stage.open(PLAIN);
    let long = |length| format!("{{\"user_id\":\"{}\"}}", "ü".repeat(length));
    // Ten of these bytes are not part of the text between the quotes.
    let info = |length: usize| {
        format!(
            "{{\"user_id\":\"u\",\"user_info\":\"{}\"}}",
            "x".repeat(length - 2)
        )
    };
    for data in [
        "nonsense",
        "{",
        "[]",
        "\"u\"",
        "{}",
        r#"{"user_id":null}"#,
        r#"{"user_id":""}"#,
        r#"{"user_id":true}"#,
        r#"{"user_id":["1"]}"#,
        r#"{"user_info":{"name":"n"}}"#,
        &long(129),
        &info(1025),
    ] {
        stage.ask(&sock, "presence-a", Some(data));
        stage.hears_refusal(&sock, "presence-a", 400);
    }
    for data in [long(128), info(1024)] {
        stage.ask(&sock, "presence-a", Some(&data));
        assert!(stage.hear(&sock).contains("subscription_succeeded"));
        stage.part(&sock, "presence-a");
    }
    stage.nothing_else();
    let (status, body) = stage.get(PLAIN, "/channels/presence-a", &[("info", "user_count")]);
    assert_eq!(
        (status, &*body),
        (200, r#"{"occupied":false,"user_count":0}"#)
    );
}

pub(super) fn a_channel_is_full(stage: &mut Stage) {
    let [a, b, b2, c] = [(); 4].map(|()| stage.open(SMALL));
    let room = "presence-room";
    stage.join_as(
        &a,
        room,
        r#"{"user_id":"a"}"#,
        r#"{"ids":["a"],"hash":{"a":null},"count":1}"#,
    );
    let both = r#"{"ids":["a","b"],"hash":{"a":null,"b":null},"count":2}"#;
    stage.join_as(&b, room, r#"{"user_id":"b"}"#, both);
    stage.hears_event(&a, ADDED, room, r#"{"user_id":"b"}"#);
    stage.ask(&c, room, Some(r#"{"user_id":"c"}"#));
    stage.hears_refusal(&c, room, 400);
    // One more of somebody who is there is not counted.
    stage.join_as(&b2, room, r#"{"user_id":"b"}"#, both);
    stage.vanish(&a);
    stage.hears_event(&b, REMOVED, room, r#"{"user_id":"a"}"#);
    stage.hears_event(&b2, REMOVED, room, r#"{"user_id":"a"}"#);
    stage.ask(&c, room, Some(r#"{"user_id":"c"}"#));
    stage.hears_members(
        &c,
        room,
        r#"{"ids":["b","c"],"hash":{"b":null,"c":null},"count":2}"#,
    );
    stage.hears_event(&b, ADDED, room, r#"{"user_id":"c"}"#);
    stage.hears_event(&b2, ADDED, room, r#"{"user_id":"c"}"#);
    stage.nothing_else();
}
