//! Publishing: one delivery per publish, whatever the number of channels.

use super::stage::{MAIN, Stage};
use serde_json::{Value, json};

/// The channel and the data of what comes next.
#[track_caller]
fn heard(stage: &mut Stage, sock: &super::stage::Sock) -> (String, String) {
    let told = stage.hear(sock);
    let text = |key: &str| told[key].as_str().expect("a text").to_owned();
    (text("channel"), text("data"))
}

fn pair(channel: &str, data: &str) -> (String, String) {
    (channel.to_owned(), data.to_owned())
}

pub(crate) fn a_socket_hears_a_publish_once(stage: &mut Stage) {
    let (both, one, two) = (stage.open(MAIN), stage.open(MAIN), stage.open(MAIN));
    for (sock, channel) in [(&both, "one"), (&both, "two"), (&one, "one"), (&two, "two")] {
        stage.join(sock, channel);
    }
    for persist in [true, false] {
        for (channels, first) in [
            (json!(["one", "two"]), "one"),
            (json!(["two", "one"]), "two"),
            (json!(["nobody", "two", "one", "two", "one"]), "two"),
            (json!(["one", "one", "two"]), "one"),
        ] {
            let body = json!({"channel": channels, "data": "d", "persist": persist});
            stage.publish(MAIN, &body);
            assert_eq!(heard(stage, &both), pair(first, "d"));
            assert_eq!(heard(stage, &one), pair("one", "d"));
            assert_eq!(heard(stage, &two), pair("two", "d"));
            stage.nothing_else();
        }
    }
    // Each publish anew.
    for _ in 0..2 {
        stage.publish(MAIN, &json!({"channel": ["one", "two"], "data": "again"}));
        assert_eq!(heard(stage, &both), pair("one", "again"));
    }
}

pub(crate) fn every_channel_keeps_its_own(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    for channel in ["one", "two", "three"] {
        stage.join(&sock, channel);
    }
    let body = json!({"channel": ["one", "two"], "data": {"n": 1}, "event": "e", "extra": [1, {}]});
    stage.publish(MAIN, &body);
    let live = stage.hear(&sock);
    let mut mids = Vec::new();
    for channel in ["one", "two"] {
        let told = stage.latest(&sock, channel, &json!({}));
        let [event] = &told["events"].as_array().expect("a list")[..] else {
            panic!("one event, not {told}");
        };
        let payload = json!({"channel": channel, "event": "e", "data": "{\"n\":1}",
                             "extra": [1, {}]});
        let mut stored = event["data"].clone();
        let data: String = stored["data"]
            .as_str()
            .expect("a text")
            .split(' ')
            .collect();
        stored["data"] = json!(data);
        assert_eq!(stored, payload);
        assert_eq!(event["channel"], channel);
        assert_eq!(event["owner_id"], Value::Null);
        assert_eq!(event["timestamp"], live["timestamp"], "one moment for all");
        mids.push(event["mid"].clone());
    }
    assert_eq!(live["mid"], mids[0]);
    assert_ne!(mids[0], mids[1]);
    assert_eq!(stage.latest_data(&sock, "three"), [""; 0]);
    stage.nothing_else();
}

pub(crate) fn nobody_speaks_as_the_server(stage: &mut Stage) {
    let sock = stage.open(MAIN);
    stage.join(&sock, "room");
    let body = |name: &str| json!({"channel": "room", "event": name, "data": "d"});
    for name in ["pusher:member_added", "pusher:", "pusher_internal:latest"] {
        let (status, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body(name)));
        // Not 403, at which the clients log in anew and try again.
        assert_eq!((status, &told["code"]), (400, &json!(400)), "{told}");
    }
    stage.nothing_else();
    assert_eq!(stage.latest_data(&sock, "room"), [""; 0]);
    for name in ["pusher", "Pusher:x", " pusher:", "pusher_:"] {
        stage.publish(MAIN, &body(name));
        assert_eq!(stage.hear(&sock)["event"], name);
    }
}

pub(crate) fn what_is_not_to_be_stored_is_not(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    stage.subscribe_user(MAIN, "u", "room");
    stage.publish(
        MAIN,
        &json!({"channel": "room", "data": "d", "persist": false}),
    );
    for socket in [&sock, &other] {
        let told = stage.hear(socket);
        let want = json!({"channel": "room", "event": "message", "data": "d", "persist": false});
        assert_eq!(told, want);
    }
    stage.tell(&sock, "room", "d");
    stage.hears_event(&other, "room", "message", "d");
    assert_eq!(stage.latest_data(&sock, "room"), [""; 0]);
    let told = stage.join(&sock, "personal-u");
    assert_eq!(told["events"], json!([]));
    let (_, told) = stage.rest(MAIN, "GET", "/events", &[], None);
    assert_eq!(told["events"], json!([]));
}

pub(crate) fn what_was_delivered_is_there_for_whoever_asks(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    let mut want: Vec<String> = Vec::new();
    for number in 0..3 {
        let data = number.to_string();
        stage.keep(&sock, "room", &data);
        stage.hears_stored(&other, "room", "message", &data);
        want.insert(0, data);
        assert_eq!(stage.latest_data(&other, "room"), want);
        // Acknowledged, told and there.
        let data = format!("{number} by the application");
        stage.publish(MAIN, &json!({"channel": "room", "data": data}));
        for socket in [&sock, &other] {
            assert_eq!(heard(stage, socket), pair("room", &data));
        }
        want.insert(0, data);
        assert_eq!(stage.latest_data(&sock, "room"), want);
    }
    stage.nothing_else();
}

pub(crate) fn words_are_acted_on_in_their_order(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.join(&other, "room");
    // One after the other without waiting, some of them for the store.
    stage.ask(&sock, "room", None);
    stage.keep(&sock, "room", "one");
    stage.say(
        &sock,
        &json!({"event": "pusher:latest", "data": {"channel": "room"}}),
    );
    stage.keep(&sock, "room", "two");
    stage.ask(&sock, "personal-u", None);
    stage.say(
        &sock,
        &json!({"event": "pusher:latest", "data": {"channel": "room"}}),
    );
    stage.ask_to_leave(&sock, "room");
    stage.keep(&sock, "room", "three");
    stage.hears_answer(&sock, "subscription_succeeded", "room");
    let told = stage.hears_answer(&sock, "latest", "room");
    assert_eq!(told["events"].as_array().map(Vec::len), Some(1));
    stage.hears_answer(&sock, "subscription_succeeded", "personal-u");
    let told = stage.hears_answer(&sock, "latest", "room");
    assert_eq!(told["events"].as_array().map(Vec::len), Some(2));
    stage.hears_answer(&sock, "unsubscription_succeeded", "room");
    stage.hears_error(&sock, "room", 403);
    for data in ["one", "two"] {
        stage.hears_stored(&other, "room", "message", data);
    }
    stage.nothing_else();
}

pub(crate) fn a_hundred_thousand_channels(stage: &mut Stage) {
    const COUNT: usize = 100_000;
    let names: Vec<String> = (0..COUNT).map(|number| format!("c{number}")).collect();
    let (sock, last) = (stage.open(MAIN), stage.open(MAIN));
    for name in [&names[7], &names[50_000], &names[COUNT - 1]] {
        stage.join(&sock, name);
    }
    stage.join(&last, &names[COUNT - 1]);
    stage.subscribe_user(MAIN, "u", &names[3]);
    stage.subscribe_user(MAIN, "u", &names[COUNT - 2]);
    for persist in [false, true] {
        stage.publish(
            MAIN,
            &json!({"channel": names, "data": "d", "persist": persist}),
        );
        assert_eq!(heard(stage, &sock), pair("c7", "d"));
        assert_eq!(heard(stage, &last), pair("c99999", "d"));
        stage.nothing_else();
    }
    assert_eq!(stage.latest_data(&last, "c99999"), ["d"]);
    assert_eq!(stage.latest_data(&sock, "c7"), ["d"]);
    let told = stage.join(&sock, "personal-u");
    assert_eq!(told["events"].as_array().map(Vec::len), Some(1), "once");
    assert_eq!(told["events"][0]["channel"], "c3");
    // One more is too many.
    let mut more = names;
    more.push("c".to_owned());
    let body = json!({"channel": more, "data": "d"});
    let (status, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body));
    assert_eq!((status, &told["code"]), (413, &json!(413)));
    stage.nothing_else();
}

/// Each of its channels has its own, so a body of a few mebibytes could be stored as many gibibytes.
pub(crate) fn an_event_is_not_stored_without_end(stage: &mut Stage) {
    const COUNT: usize = 1000;
    let sock = stage.open(MAIN);
    stage.join(&sock, "c7");
    let names: Vec<String> = (0..COUNT).map(|number| format!("c{number}")).collect();
    let data = "d".repeat(fanwire::limits::PUSHI_STORED_BYTES_MAX / COUNT + 1);
    let mut body = json!({"channel": names, "event": "", "data": data});
    let (status, told) = stage.rest(MAIN, "POST", "/events", &[], Some(&body));
    assert_eq!((status, &told["code"]), (413, &json!(413)), "{told}");
    assert_eq!(stage.latest_data(&sock, "c7"), [""; 0]);
    // Told it may be, and stored for fewer.
    body["persist"] = json!(false);
    stage.publish(MAIN, &body);
    assert_eq!(heard(stage, &sock), pair("c7", &data));
    let fewer = json!({"channel": &names[..COUNT - 1], "event": "", "data": data});
    stage.publish(MAIN, &fewer);
    assert_eq!(heard(stage, &sock), pair("c7", &data));
    assert_eq!(stage.latest_data(&sock, "c7"), [data]);
}

pub(crate) fn a_mebibyte(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    for socket in [&sock, &other] {
        stage.join(socket, "room");
    }
    // A frame may have so many bytes, and not one more.
    let frame = |persist: bool, bytes: usize| {
        let around = json!({"event": "e", "data": "", "channel": "room", "persist": persist});
        let data = "d".repeat(bytes - around.to_string().len());
        let word = json!({"event": "e", "data": data, "channel": "room", "persist": persist});
        assert_eq!(word.to_string().len(), bytes);
        (word.to_string(), data)
    };
    const MOST: usize = fanwire::limits::MESSAGE_BYTES_MAX;
    let (word, data) = frame(false, MOST);
    stage.say_text(&sock, &word);
    stage.hears_event(&other, "room", "e", &data);
    let (word, data) = frame(true, MOST);
    stage.say_text(&sock, &word);
    let mid = stage.hears_stored(&other, "room", "e", &data);
    let told = stage.latest(&other, "room", &json!({}));
    assert_eq!(told["events"][0]["mid"], mid);
    assert_eq!(told["events"][0]["data"]["data"], data);
    // By the application as well.
    stage.publish(MAIN, &json!({"channel": "room", "data": data}));
    for socket in [&sock, &other] {
        assert_eq!(heard(stage, socket), pair("room", &data));
    }
    let (word, _) = frame(false, MOST + 1);
    stage.say_text(&sock, &word);
    stage.hears_close(&sock, 1009);
    stage.is_well(&other);
}
