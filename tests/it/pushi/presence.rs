//! Presence channels: members, their sockets, and what is said of them.

use super::stage::{MAIN, Stage};
use serde_json::json;

const ROOM: &str = "presence-room";

pub(crate) fn a_user_is_there_as_long_as_one_socket_is(stage: &mut Stage) {
    let watcher = stage.open(MAIN);
    stage.join_as(&watcher, ROOM, &json!({"user_id": "w"}));
    let first = json!({"user_id": "u", "from": "first"});
    let second = json!({"user_id": "u", "from": "second"});
    let (one, two) = (stage.open(MAIN), stage.open(MAIN));
    stage.join_as(&one, ROOM, &first);
    stage.hears_member(&watcher, "member_added", ROOM, &first);
    // The second socket is told to nobody; what it says is what is shown from now on.
    let told = stage.join_as(&two, ROOM, &second);
    assert_eq!(told["members"], json!({"w": {"user_id": "w"}, "u": second}));
    stage.nothing_else();
    // Also when it has gone and the first one stays.
    stage.leave(&two);
    let told = stage.latest(&watcher, ROOM, &json!({}));
    assert_eq!(told["members"]["u"], second);
    // The last one to leave says what was said by itself.
    stage.part(&one, ROOM);
    stage.hears_member(&watcher, "member_removed", ROOM, &first);
    let told = stage.latest(&watcher, ROOM, &json!({}));
    assert_eq!(told["members"], json!({"w": {"user_id": "w"}}));
    stage.nothing_else();
}

pub(crate) fn nobody_in_particular_hears_events_only(stage: &mut Stage) {
    let (quiet, watcher, member) = (stage.open(MAIN), stage.open(MAIN), stage.open(MAIN));
    stage.join_as(&watcher, ROOM, &json!({"user_id": "w"}));
    // Whoever is not there as anybody sees the members, and is none.
    let told = stage.join(&quiet, ROOM);
    assert_eq!(told["members"], json!({"w": {"user_id": "w"}}));
    let one = json!({"user_id": "u"});
    let told = stage.join_as(&member, ROOM, &one);
    assert_eq!(
        told["members"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    stage.hears_member(&watcher, "member_added", ROOM, &one);
    stage.tell(&quiet, ROOM, "of nobody");
    for sock in [&watcher, &member] {
        stage.hears_event(sock, ROOM, "message", "of nobody");
    }
    stage.tell(&member, ROOM, "of somebody");
    for sock in [&watcher, &quiet] {
        stage.hears_event(sock, ROOM, "message", "of somebody");
    }
    stage.vanish(&member);
    stage.hears_member(&watcher, "member_removed", ROOM, &one);
    // It becomes somebody by asking again, and nobody likewise.
    let told = stage.join_as(&quiet, ROOM, &one);
    assert_eq!(
        told["members"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    stage.hears_member(&watcher, "member_added", ROOM, &one);
    let told = stage.join(&quiet, ROOM);
    assert_eq!(
        told["members"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    stage.hears_member(&watcher, "member_removed", ROOM, &one);
    stage.part(&quiet, ROOM);
    stage.nothing_else();
}

pub(crate) fn ids_are_compared_as_texts_and_shown_as_sent(stage: &mut Stage) {
    let watcher = stage.open(MAIN);
    stage.join_as(&watcher, ROOM, &json!({"user_id": "w"}));
    for (id, key) in [
        (json!(7), "7"),
        (json!(-7), "-7"),
        (json!(true), "true"),
        (json!(null), "null"),
        (json!(""), ""),
        (json!("a&b:c/d\"e'f\\g"), "a&b:c/d\"e'f\\g"),
        (json!("é\u{1f600}\u{0}"), "é\u{1f600}\u{0}"),
        (json!("<any>"), "<any>"),
    ] {
        let sock = stage.open(MAIN);
        let member = json!({"user_id": id, "n": 1e300, "list": [null, {"é": "\u{1f600}"}]});
        let told = stage.join_as(&sock, ROOM, &member);
        assert_eq!(told["members"][key], member);
        stage.hears_member(&watcher, "member_added", ROOM, &member);
        if key == "7" {
            // The same user by another type.
            let other = stage.open(MAIN);
            let same = json!({"user_id": "7"});
            let told = stage.join_as(&other, ROOM, &same);
            assert_eq!(
                told["members"].as_object().map(serde_json::Map::len),
                Some(2)
            );
            assert_eq!(told["members"]["7"], same, "what was said last");
            stage.leave(&other);
        }
        stage.leave(&sock);
        stage.hears_member(&watcher, "member_removed", ROOM, &member);
    }
    stage.nothing_else();
}

pub(crate) fn others_hear_of_a_member_before_what_it_says(stage: &mut Stage) {
    let watcher = stage.open(MAIN);
    stage.join_as(&watcher, ROOM, &json!({"user_id": "w"}));
    for round in 0..3 {
        let sock = stage.open(MAIN);
        let member = json!({"user_id": "u", "round": round});
        // In one go: to join, to speak and to leave.
        stage.ask(&sock, ROOM, Some(&member));
        stage.tell(&sock, ROOM, "hello");
        stage.ask_to_leave(&sock, ROOM);
        let told = stage.hears_answer(&sock, "subscription_succeeded", ROOM);
        let members = json!({"w": {"user_id": "w"}, "u": member});
        assert_eq!(told["members"], members);
        let told = stage.hears_answer(&sock, "unsubscription_succeeded", ROOM);
        assert_eq!(
            told["members"],
            json!({"w": {"user_id": "w"}}),
            "as it is after leaving"
        );
        stage.hears_member(&watcher, "member_added", ROOM, &member);
        stage.hears_event(&watcher, ROOM, "message", "hello");
        stage.hears_member(&watcher, "member_removed", ROOM, &member);
        stage.nothing_else();
        stage.leave(&sock);
    }
}

pub(crate) fn members_stand_in_the_order_of_joining(stage: &mut Stage) {
    let mut socks = Vec::new();
    for id in ["zoe", "ann", "mia", "bob"] {
        let sock = stage.open(MAIN);
        stage.ask(&sock, ROOM, Some(&json!({"user_id": id})));
        socks.push(sock);
    }
    let last = socks.last().expect("some").clone();
    match stage.event(&last) {
        crate::client::Heard::Event(crate::websocket::Event::Text(text)) => {
            let places = ["zoe", "ann", "mia", "bob"].map(|id| text.find(id));
            assert!(places.is_sorted() && places[0].is_some(), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn asking_again_is_leaving_and_coming(stage: &mut Stage) {
    let (sock, watcher) = (stage.open(MAIN), stage.open(MAIN));
    stage.join_as(&watcher, ROOM, &json!({"user_id": "w"}));
    let (before, after) = (json!({"user_id": "u"}), json!({"user_id": "v"}));
    stage.join_as(&sock, ROOM, &before);
    stage.hears_member(&watcher, "member_added", ROOM, &before);
    // As another user: the former one has gone.
    let told = stage.join_as(&sock, ROOM, &after);
    assert_eq!(told["members"], json!({"w": {"user_id": "w"}, "v": after}));
    stage.hears_member(&watcher, "member_removed", ROOM, &before);
    stage.hears_member(&watcher, "member_added", ROOM, &after);
    // What is refused leaves it as it was.
    stage.ask(&sock, ROOM, Some(&json!({"name": "nobody"})));
    stage.hears_no(&sock, ROOM, 400);
    stage.tell(&sock, ROOM, "still here");
    stage.hears_event(&watcher, ROOM, "message", "still here");
    stage.nothing_else();
    stage.vanish(&sock);
    stage.hears_member(&watcher, "member_removed", ROOM, &after);
}
