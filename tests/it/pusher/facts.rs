//! What the rest of the world may want to know: each transition, once.

use super::apps::{COUNTS, PLAIN};
use super::stage::Stage;
use serde_json::json;

fn expect(stage: &mut Stage, want: &[&str]) {
    // All of it has been acted on.
    stage.sut().wait_ms(1);
    assert_eq!(stage.facts(), want);
}

pub(super) fn each_transition_once(stage: &mut Stage) {
    let [a, a2, b] = [(); 3].map(|()| stage.open(PLAIN));
    expect(stage, &[]);
    stage.join(&a, "news");
    expect(stage, &["occupied news"]);
    stage.join(&b, "news");
    stage.ask(&b, "news", None);
    stage.hears_error(&b, None);
    stage.part(&a, "news");
    expect(stage, &[]);
    stage.part(&b, "news");
    expect(stage, &["vacated news"]);
    let room = "presence-room";
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&a, room, r#"{"user_id":1}"#, one);
    expect(
        stage,
        &["occupied presence-room", "added 1 to presence-room"],
    );
    stage.join_as(&a2, room, r#"{"user_id":1}"#, one);
    expect(stage, &[]);
    let both = r#"{"ids":["1","2"],"hash":{"1":null,"2":null},"count":2}"#;
    stage.join_as(&b, room, r#"{"user_id":2}"#, both);
    expect(stage, &["added 2 to presence-room"]);
    let word = |channel: &str, data: &str| {
        format!(r#"{{"event":"client-e","channel":"{channel}","data":{data}}}"#)
    };
    stage.say(&b, &word(room, r#"{ "a": 1 }"#));
    expect(
        stage,
        &[r#"client-e {"a":1} in presence-room by Some("2")"#],
    );
    // What is refused is nothing.
    stage.say(&b, &word("private-a", "1"));
    stage.ask_with(&b, "private-a", "", None);
    stage.ask(&b, "presence-b", Some("{}"));
    stage.part(&b, "never");
    expect(stage, &[]);
    stage.hears_error(&b, None);
    stage.hears_refusal(&b, "private-a", 401);
    stage.hears_refusal(&b, "presence-b", 400);
    stage.hears_error(&b, None);
    stage.join(&b, "private-a");
    stage.say(&b, &word("private-a", "\"x\""));
    expect(
        stage,
        &["occupied private-a", "client-e x in private-a by None"],
    );
    stage.part(&a, room);
    expect(stage, &[]);
    stage.part(&a2, room);
    expect(stage, &["removed 1 from presence-room"]);
    stage.hears_event(
        &b,
        "pusher_internal:member_removed",
        room,
        r#"{"user_id":"1"}"#,
    );
    // All that a socket was in, in order of name.
    stage.leave(&b);
    expect(
        stage,
        &[
            "removed 2 from presence-room",
            "vacated presence-room",
            "vacated private-a",
        ],
    );
    // What is for a user is no channel.
    let a = stage.open(PLAIN);
    stage.sign_in(&a, r#"{"id":"u"}"#);
    stage.hears_signed_in(&a, r#"{"id":"u"}"#);
    stage.join(&a, "#server-to-user-u");
    let body = json!({"name": "e", "data": "x", "channels": ["#server-to-user-u", "nobody"]});
    stage.trigger(PLAIN, &body.to_string(), "{}");
    expect(stage, &[]);
}

pub(super) fn counts_are_announced_as_they_are_told(stage: &mut Stage) {
    let (a, b) = (stage.open(COUNTS), stage.open(COUNTS));
    stage.join(&a, "news");
    expect(stage, &["occupied news", "count 1 in news"]);
    stage.join(&b, "news");
    stage.hear(&b);
    expect(stage, &["count 2 in news"]);
    stage.part(&a, "news");
    expect(stage, &["count 1 in news"]);
    stage.hear(&b);
    stage.part(&b, "news");
    expect(stage, &["vacated news"]);
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&b, "presence-a", r#"{"user_id":1}"#, one);
    expect(stage, &["occupied presence-a", "added 1 to presence-a"]);
}

pub(super) fn a_miss_is_announced_once(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let joins = |stage: &mut Stage, sock| {
        stage.join(sock, "cache-a");
        stage.hear(sock);
    };
    joins(stage, &a);
    expect(stage, &["occupied cache-a", "miss cache-a"]);
    joins(stage, &b);
    expect(stage, &[]);
    stage.part(&a, "cache-a");
    stage.part(&b, "cache-a");
    expect(stage, &["vacated cache-a"]);
    joins(stage, &a);
    expect(stage, &["occupied cache-a"]);
    let body = r#"{"name":"e","data":"x","channel":"cache-a"}"#;
    stage.trigger(PLAIN, body, "{}");
    joins(stage, &b);
    expect(stage, &[]);
    // Once that is forgotten, it is another period.
    for _ in 0..31 {
        stage.sut().wait_ms(60_000);
        for sock in [&a, &b] {
            stage.say(sock, r#"{"event":"pusher:pong"}"#);
        }
    }
    stage.part(&b, "cache-a");
    stage.ask(&b, "cache-a", None);
    expect(stage, &["miss cache-a"]);
    let c = stage.open(PLAIN);
    stage.ask(&c, "cache-a", None);
    expect(stage, &[]);
}

pub(super) fn whoever_vanishes_is_removed(stage: &mut Stage) {
    let (a, b) = (stage.open(PLAIN), stage.open(PLAIN));
    let one = r#"{"ids":["1"],"hash":{"1":null},"count":1}"#;
    stage.join_as(&a, "presence-a", r#"{"user_id":1}"#, one);
    stage.join(&a, "news");
    stage.join(&b, "news");
    stage.facts();
    stage.vanish(&a);
    expect(stage, &["removed 1 from presence-a", "vacated presence-a"]);
    // Detected by silence.
    stage.sut().wait_ms(200_000);
    expect(stage, &["vacated news"]);
}
