//! Limits that an app sets, each at its edge.

use super::apps::SMALL;
use super::stage::Stage;
use serde_json::json;

pub(super) fn small_limits_are_kept(stage: &mut Stage) {
    let sock = stage.open(SMALL);
    // Channels of one socket.
    for name in ["a", "b", "private-c"] {
        stage.join(&sock, name);
    }
    stage.ask(&sock, "d", None);
    stage.hears_refusal(&sock, "d", 400);
    stage.ask(&sock, "presence-d", Some(r#"{"user_id":"1"}"#));
    stage.hears_refusal(&sock, "presence-d", 400);
    stage.part(&sock, "b");
    // Characters of a name.
    let longest = "x".repeat(24);
    stage.ask(&sock, &format!("{longest}x"), None);
    stage.hears_refusal(&sock, &format!("{longest}x"), 400);
    stage.join(&sock, &longest);
    let event =
        |channels: &[&str]| json!({"name": "e", "data": "x", "channels": channels}).to_string();
    stage.refused(
        SMALL,
        "/events",
        &event(&["a", &format!("{longest}x")]),
        400,
    );
    stage.part(&sock, &longest);
    // Channels of an event, events of a batch, bytes of data.
    stage.trigger(SMALL, &event(&["x", "y", "a"]), "{}");
    stage.hears_event(&sock, "e", "a", "x");
    stage.refused(SMALL, "/events", &event(&["a", "x", "y", "z"]), 400);
    let one = json!({"name": "e", "data": "x", "channel": "a"});
    let batch = |count: usize| json!({"batch": vec![&one; count]}).to_string();
    let answer = stage.call(SMALL, "POST", "/batch_events", &[], &batch(2));
    assert_eq!(answer, (200, "{}".to_owned()));
    stage.hears_event(&sock, "e", "a", "x");
    stage.hears_event(&sock, "e", "a", "x");
    stage.refused(SMALL, "/batch_events", &batch(3), 400);
    let data = |length: usize| {
        json!({"name": "e", "data": "x".repeat(length), "channel": "a"}).to_string()
    };
    stage.trigger(SMALL, &data(32), "{}");
    stage.hears_event(&sock, "e", "a", &"x".repeat(32));
    stage.refused(SMALL, "/events", &data(33), 413);
    for (length, code) in [(32, None), (33, Some(4301))] {
        let data = "x".repeat(length);
        let word = json!({"event": "client-e", "channel": "private-c", "data": data});
        stage.say(&sock, &word.to_string());
        if code.is_some() {
            stage.hears_error(&sock, code);
        }
    }
    // What a member tells of itself.
    let info = |length: usize| format!(r#"{{"user_id":"1","user_info":"{}"}}"#, "x".repeat(length));
    stage.ask(&sock, "presence-d", Some(&info(15)));
    stage.hears_refusal(&sock, "presence-d", 400);
    let members = format!(
        r#"{{"ids":["1"],"hash":{{"1":"{}"}},"count":1}}"#,
        "x".repeat(14)
    );
    stage.join_as(&sock, "presence-d", &info(14), &members);
    // The same by signing in, where there is no such limit.
    let other = stage.open(SMALL);
    let user = json!({"id": "u", "user_info": "x".repeat(15)}).to_string();
    stage.sign_in(&other, &user);
    stage.hears_signed_in(&other, &user);
    stage.ask(&other, "presence-d", None);
    stage.hears_refusal(&other, "presence-d", 400);
    stage.nothing_else();
}
