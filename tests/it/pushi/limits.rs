//! Limits: exactly as much, and one more.

use super::stage::{MAIN, Stage};
use fanwire::limits;
use serde_json::json;

pub(crate) fn names_have_their_lengths(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    let longest = "é".repeat(limits::PUSHI_CHANNEL_BYTES_MAX / 2);
    let longer = format!("{longest}x");
    for socket in [&sock, &other] {
        stage.join(socket, &longest);
    }
    stage.ask(&sock, &longer, None);
    stage.hears_no(&sock, "", 413);
    for word in ["unsubscribe", "latest"] {
        stage.say(
            &sock,
            &json!({"event": format!("pusher:{word}"), "data": {"channel": longer}}),
        );
        stage.hears_error(&sock, "", 413);
    }
    stage.tell(&sock, &longer, "d");
    stage.hears_error(&sock, "", 413);
    let event = "e".repeat(limits::PUSHI_EVENT_BYTES_MAX);
    for (event, fits) in [(event.clone(), true), (format!("{event}e"), false)] {
        let word = json!({"event": event, "data": "d", "channel": longest, "persist": false});
        stage.say(&sock, &word);
        match fits {
            true => stage.hears_event(&other, &longest, &event, "d"),
            false => drop(stage.hears_error(&sock, &longest, 413)),
        }
    }
    for (name, status) in [(&longest, 200), (&longer, 400)] {
        let body = json!({"channel": ["room", name], "data": "d", "persist": false});
        let (got, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body));
        assert_eq!(got, status, "{told}");
    }
    for socket in [&sock, &other] {
        assert_eq!(stage.hear(socket)["channel"], longest);
    }
    stage.is_well(&sock);
    stage.nothing_else();
}

pub(crate) fn members_say_so_much(stage: &mut Stage) {
    let (sock, watcher) = (stage.open(MAIN), stage.open(MAIN));
    let room = "presence-room";
    stage.join_as(&watcher, room, &json!({"user_id": "w"}));
    let id = "u".repeat(limits::PUSHI_USER_BYTES_MAX);
    stage.ask(&sock, room, Some(&json!({"user_id": format!("{id}u")})));
    stage.hears_no(&sock, room, 413);
    let around = json!({"user_id": id, "about": ""}).to_string().len();
    let about = "a".repeat(limits::PUSHI_CHANNEL_DATA_BYTES_MAX - around);
    let member = json!({"user_id": id, "about": format!("{about}a")});
    stage.ask(&sock, room, Some(&member));
    stage.hears_no(&sock, room, 413);
    stage.is_well(&sock);
    let member = json!({"user_id": id, "about": about});
    stage.join_as(&sock, room, &member);
    stage.hears_member(&watcher, "member_added", room, &member);
    // The pair of two such users has a name that is taken.
    stage.nothing_else();
}

pub(crate) fn the_longest_pair_has_a_channel(stage: &mut Stage) {
    let base = "b".repeat(limits::PUSHI_CHANNEL_BYTES_MAX - "presence-".len());
    let presence = format!("presence-{base}");
    let ids = ["1", "2"].map(|id| id.repeat(limits::PUSHI_USER_BYTES_MAX));
    let socks = [stage.open(MAIN), stage.open(MAIN)];
    for (sock, id) in socks.iter().zip(&ids) {
        stage.join_as(sock, &presence, &json!({"user_id": id, "peer": true}));
    }
    stage.hear(&socks[0]);
    let pair = format!("peer-{base}:{}&{}", ids[0], ids[1]);
    stage.keep(&socks[0], &pair, "d");
    stage.hears_stored(&socks[1], &pair, "message", "d");
    assert_eq!(stage.latest_data(&socks[1], &pair), ["d"]);
    stage.nothing_else();
}

pub(crate) fn a_socket_is_in_so_many_channels(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    let most = limits::CHANNELS_PER_SUBSCRIBER_MAX;
    for number in 0..most {
        stage.join(&sock, &number.to_string());
        if number % 500 == 0 {
            // So many words in a second, and no more.
            stage.sut().wait_ms(1_000);
        }
    }
    stage.ask(&sock, "one more", None);
    stage.hears_no(&sock, "one more", 400);
    // Again in one that it is in already; and another one in the place of one.
    stage.join(&sock, "7");
    stage.part(&sock, "7");
    stage.join(&sock, "one more");
    stage.nothing_else();
    stage.leave(&sock);
}

pub(crate) fn a_socket_says_so_much_in_a_second(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    let most = limits::MESSAGES_PER_S_MAX;
    // Thrown away is what is too much; the connection stays.
    for number in 0..3 * most {
        stage.tell(&sock, "room", &number.to_string());
    }
    stage.hears_error(&sock, "", 429);
    stage.sut().wait_ms(2_000);
    let mut heard = 0;
    while let crate::client::Heard::Event(event) = stage.event_now(&other) {
        assert!(matches!(event, crate::websocket::Event::Text(_)));
        heard += 1;
    }
    // As many again may come at once.
    assert!(
        (2 * most..=2 * most + most / 10).contains(&heard),
        "{heard}"
    );
    while let crate::client::Heard::Event(_) = stage.event_now(&sock) {}
    stage.is_well(&sock);
}

pub(crate) fn so_many_events_are_listed(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.join(&sock, "room");
    let most = limits::STORE_EVENTS_LISTED_MAX;
    for number in 0..most + 5 {
        stage.keep(&sock, "room", &number.to_string());
        if number % 500 == 0 {
            stage.sut().wait_ms(1_000);
        }
    }
    for count in [0, most + 1, 1_000_000_000] {
        let told = stage.latest(&sock, "room", &json!({"count": count}));
        let events = told["events"].as_array().expect("a list");
        assert_eq!(events.len() as u64, most);
        assert_eq!(events[0]["data"]["data"], (most + 4).to_string());
    }
    let told = stage.latest(&sock, "room", &json!({"skip": most, "count": 0}));
    assert_eq!(told["events"].as_array().map(Vec::len), Some(5));
    stage.nothing_else();
}

pub(crate) fn a_newcomer_is_among_the_members_it_is_told_of(stage: &mut Stage) {
    let channel = "presence-crowd";
    let most = limits::MEMBERS_STATE_BYTES_MAX;
    let said = "m".repeat(8_000);
    let crowd = most / said.len() + 2;
    let mut socks = Vec::new();
    for number in 0..crowd {
        let sock = stage.open(MAIN);
        let data = json!({"user_id": number.to_string(), "said": said});
        let told = stage.join_as(&sock, channel, &data);
        let members = told["members"].as_object().expect("an object");
        assert_eq!(members.get(&number.to_string()), Some(&data));
        if number + 1 == crowd {
            assert!(members.len() < crowd, "{} are too many", members.len());
            assert_eq!(
                members.get("0").map(|first| &first["user_id"]),
                Some(&json!("0"))
            );
        }
        // Nobody may be left behind with what it has not read.
        for sock in &socks {
            stage.hears_member(sock, "member_added", channel, &data);
        }
        socks.push(sock);
    }
}
