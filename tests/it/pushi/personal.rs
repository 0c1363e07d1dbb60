//! Personal channels: all that a user has a stored subscription for.

use super::replay::encoded;
use super::stage::{MAIN, Sock, Stage};
use fanwire::limits;
use serde_json::{Value, json};

fn data_of(told: &Value) -> Vec<&str> {
    let events = told["events"].as_array().expect("a list").iter();
    let data = events.map(|event| event["data"]["data"].as_str().expect("a text"));
    data.collect()
}

fn publish(stage: &mut Stage, channel: &Value, data: &str) {
    stage.publish(MAIN, &json!({"channel": channel, "data": data}));
}

/// Whether what the application says in a channel reaches a socket. Nothing else may come.
#[track_caller]
fn is_in(stage: &mut Stage, sock: &Sock, channel: &str) -> bool {
    stage.ask_to_leave(sock, &format!("not-{channel}"));
    stage.hears_error(sock, &format!("not-{channel}"), 403);
    stage.publish(
        MAIN,
        &json!({"channel": channel, "data": "?", "persist": false}),
    );
    stage.ask_to_leave(sock, "a mark");
    let told = stage.hear(sock);
    if told["channel"] == "a mark" {
        return false;
    }
    assert_eq!(
        (&told["channel"], &told["data"]),
        (&json!(channel), &json!("?"))
    );
    stage.hears_error(sock, "a mark", 403);
    true
}

pub(crate) fn a_users_channels_come_with_what_waits(stage: &mut Stage) {
    stage.subscribe_user(MAIN, "u", "news");
    publish(stage, &json!("news"), "before anybody was there");
    for number in 0..12 {
        stage.subscribe_user(MAIN, "u", "private-more");
        publish(stage, &json!("private-more"), &number.to_string());
    }
    publish(stage, &json!("elsewhere"), "not for u");
    let sock = stage.open(MAIN);
    let told = stage.join(&sock, "personal-u");
    assert_eq!(told["alias"], json!(["news", "private-more"]));
    let newest = ["11", "10", "9", "8", "7", "6", "5", "4", "3", "2"];
    assert_eq!(data_of(&told), newest);
    // Live events come under the names of those channels, which need no signature of their own.
    publish(stage, &json!("private-more"), "live");
    let told = stage.hear(&sock);
    assert_eq!(
        (&told["channel"], &told["data"]),
        (&json!("private-more"), &json!("live"))
    );
    let other = stage.open(MAIN);
    stage.join(&other, "news");
    stage.tell(&sock, "news", "by the user");
    stage.hears_event(&other, "news", "message", "by the user");
    // Asking again takes along what has been added since.
    stage.subscribe_user(MAIN, "u", "late");
    assert!(!is_in(stage, &sock, "late"));
    let told = stage.join(&sock, "personal-u");
    assert_eq!(told["alias"], json!(["news", "private-more", "late"]));
    assert_eq!(data_of(&told)[0], "live", "it goes on waiting");
    assert!(is_in(stage, &sock, "late"));
    stage.nothing_else();
}

pub(crate) fn the_latest_of_a_personal_channel_is_what_waits(stage: &mut Stage) {
    stage.subscribe_user(MAIN, "u", "news");
    for number in 0..12 {
        publish(stage, &json!("news"), &number.to_string());
    }
    let sock = stage.open(MAIN);
    stage.say(
        &sock,
        &json!({"event": "pusher:latest", "data": {"channel": "personal-u"}}),
    );
    stage.hears_error(&sock, "personal-u", 403);
    stage.join(&sock, "personal-u");
    for (more, want) in [
        (
            json!({}),
            &["11", "10", "9", "8", "7", "6", "5", "4", "3", "2"][..],
        ),
        (json!({"skip": 10}), &["1", "0"]),
        (json!({"skip": 1, "count": 2}), &["10", "9"]),
        (json!({"skip": 12}), &[]),
    ] {
        let told = stage.latest(&sock, "personal-u", &more);
        assert_eq!(data_of(&told), want, "{more}");
        assert_eq!(told["alias"], json!(["news"]));
    }
    let told = stage.latest(&sock, "personal-u", &json!({"count": 0}));
    assert_eq!(data_of(&told).len(), 12);
    stage.nothing_else();
}

pub(crate) fn leaving_takes_along_what_it_brought_and_no_more(stage: &mut Stage) {
    for channel in ["one", "two", "three", "presence-four"] {
        stage.subscribe_user(MAIN, "u", channel);
    }
    let sock = stage.open(MAIN);
    let member = json!({"user_id": "u"});
    // One by name before, one by name after, two by the personal channel alone.
    stage.join(&sock, "one");
    stage.join_as(&sock, "personal-u", &member);
    stage.join(&sock, "two");
    // One that is brought may be left by name, and comes again with the next time.
    stage.part(&sock, "three");
    assert!(!is_in(stage, &sock, "three"));
    stage.join_as(&sock, "personal-u", &member);
    let watcher = stage.open(MAIN);
    let told = stage.join_as(&watcher, "presence-four", &json!({"user_id": "w"}));
    assert_eq!(told["members"], json!({"u": member, "w": {"user_id": "w"}}));
    stage.hears_member(
        &sock,
        "member_added",
        "presence-four",
        &json!({"user_id": "w"}),
    );
    let told = stage.part(&sock, "personal-u");
    assert_eq!(
        told["alias"],
        json!(["one", "two", "three", "presence-four"])
    );
    stage.hears_member(&watcher, "member_removed", "presence-four", &member);
    for (channel, want) in [("one", true), ("two", true), ("three", false)] {
        assert_eq!(is_in(stage, &sock, channel), want, "{channel}");
    }
    // The second time there is nothing left to leave.
    let told = stage.part(&sock, "personal-u");
    assert_eq!(told["alias"], json!([]));
    stage.nothing_else();
}

pub(crate) fn two_may_bring_the_same(stage: &mut Stage) {
    for user in ["u", "v"] {
        stage.subscribe_user(MAIN, user, "news");
    }
    let sock = stage.open(MAIN);
    for user in ["personal-u", "personal-v"] {
        stage.join(&sock, user);
    }
    stage.part(&sock, "personal-u");
    assert!(is_in(stage, &sock, "news"));
    stage.part(&sock, "personal-v");
    assert!(!is_in(stage, &sock, "news"));
    stage.nothing_else();
}

pub(crate) fn a_circle_comes_to_an_end(stage: &mut Stage) {
    for (user, channel) in [
        ("u", "one"),
        ("u", "personal-v"),
        ("u", "two"),
        ("v", "three"),
        ("v", "personal-u"),
        ("v", "personal-v"),
        ("v", "one"),
    ] {
        stage.subscribe_user(MAIN, user, channel);
    }
    let sock = stage.open(MAIN);
    let told = stage.join(&sock, "personal-u");
    assert_eq!(told["alias"], json!(["one", "personal-v", "three", "two"]));
    for channel in ["one", "two", "three"] {
        assert!(is_in(stage, &sock, channel), "{channel}");
    }
    let told = stage.join(&sock, "personal-v");
    assert_eq!(told["alias"], json!(["three", "personal-u", "one", "two"]));
    stage.part(&sock, "personal-u");
    stage.part(&sock, "personal-v");
    assert!(!is_in(stage, &sock, "two"));
    stage.nothing_else();
}

pub(crate) fn applications_reach_a_user_by_it(stage: &mut Stage) {
    let (sock, other) = (stage.open(MAIN), stage.open(MAIN));
    stage.join(&sock, "personal-u");
    stage.join(&other, "personal-v");
    stage.publish(
        MAIN,
        &json!({"channel": "personal-u", "data": "d", "persist": false}),
    );
    let told = stage.hear(&sock);
    assert_eq!(
        (&told["channel"], &told["data"]),
        (&json!("personal-u"), &json!("d"))
    );
    // Sockets do not.
    for from in [&sock, &other] {
        stage.tell(from, "personal-u", "d");
        stage.hears_error(from, "personal-u", 403);
    }
    stage.nothing_else();
}

pub(crate) fn what_it_brings_is_joined_as_said(stage: &mut Stage) {
    stage.subscribe_user(MAIN, "u", "presence-room");
    let watcher = stage.open(MAIN);
    stage.join_as(&watcher, "presence-room", &json!({"user_id": "w"}));
    // Without saying who it is, a socket is there as nobody.
    let (quiet, sock) = (stage.open(MAIN), stage.open(MAIN));
    stage.join(&quiet, "personal-u");
    let member = json!({"user_id": "u", "name": "U"});
    stage.join_as(&sock, "personal-u", &member);
    stage.hears_member(&watcher, "member_added", "presence-room", &member);
    stage.tell(&watcher, "presence-room", "hello");
    for to in [&quiet, &sock] {
        stage.hears_event(to, "presence-room", "message", "hello");
    }
    stage.vanish(&sock);
    stage.hears_member(&watcher, "member_removed", "presence-room", &member);
    stage.nothing_else();
}

pub(crate) fn a_subscription_that_goes_leaves_sockets_where_they_are(stage: &mut Stage) {
    for channel in ["one", "two"] {
        stage.subscribe_user(MAIN, "u", channel);
    }
    let sock = stage.open(MAIN);
    stage.join(&sock, "personal-u");
    let (status, _) = stage.rest(MAIN, "DELETE", "/subscriptions/u/one", &[], None);
    assert_eq!(status, 200);
    assert!(is_in(stage, &sock, "one"));
    // It is not listed any more, and yet left with the rest.
    let told = stage.part(&sock, "personal-u");
    assert_eq!(told["alias"], json!(["two"]));
    for channel in ["one", "two"] {
        assert!(!is_in(stage, &sock, channel), "{channel}");
    }
    stage.nothing_else();
}

pub(crate) fn users_have_odd_ids(stage: &mut Stage) {
    for user in [
        "a&b",
        "a:b",
        "a/b",
        "a\"b'c\\d",
        "é\u{1f600}",
        " ",
        "%2F",
        "?x=1#y",
        "<any>",
    ] {
        stage.subscribe_user(MAIN, user, "news");
        let (sock, personal) = (stage.open(MAIN), format!("personal-{user}"));
        let told = stage.join(&sock, &personal);
        assert_eq!(told["alias"], json!(["news"]), "{user}");
        publish(stage, &json!("news"), user);
        assert_eq!(stage.hear(&sock)["data"], user);
        let told = stage.latest(&sock, &personal, &json!({"count": 1}));
        assert_eq!(data_of(&told), [user]);
        stage.leave(&sock);
        let (status, told) = stage.rest(MAIN, "GET", "/subscriptions", &[("user_id", user)], None);
        assert_eq!(
            (status, &told["subscriptions"][0]["user_id"]),
            (200, &json!(user))
        );
        let path = format!("/subscriptions/{}/news", encoded(user));
        let (status, told) = stage.rest(MAIN, "DELETE", &path, &[], None);
        assert_eq!(status, 200, "{user}: {told}");
    }
    let (_, told) = stage.rest(MAIN, "GET", "/subscriptions", &[], None);
    assert_eq!(told["subscriptions"], json!([]));
}

pub(crate) fn an_event_waits_once_for_each_user(stage: &mut Stage) {
    for (user, channel) in [("u", "one"), ("u", "two"), ("v", "two"), ("w", "three")] {
        stage.subscribe_user(MAIN, user, channel);
    }
    publish(stage, &json!(["one", "two"]), "of both");
    publish(stage, &json!(["three", "two"]), "of others");
    let sock = stage.open(MAIN);
    for (user, want) in [
        ("u", json!([["two", "of others"], ["one", "of both"]])),
        ("v", json!([["two", "of others"], ["two", "of both"]])),
        ("w", json!([["three", "of others"]])),
    ] {
        let told = stage.join(&sock, &format!("personal-{user}"));
        let events = told["events"].as_array().expect("a list").iter();
        let got: Vec<Value> = events
            .map(|event| json!([event["channel"], event["data"]["data"]]))
            .collect();
        assert_eq!(json!(got), want, "{user}");
    }
    stage.nothing_else();
}

pub(crate) fn so_much_may_be_brought(stage: &mut Stage) {
    // So many users with the same channels, so that the socket is in few of them.
    let each = 2_000;
    let users = limits::PUSHI_BROUGHT_MAX / each;
    for user in 0..=users {
        stage.memory().with(|kept, _| {
            for number in 0..each {
                kept.subscribe_user(MAIN, &user.to_string(), &number.to_string());
            }
        });
    }
    let sock = stage.open(MAIN);
    for user in 0..users {
        let told = stage.join(&sock, &format!("personal-{user}"));
        assert_eq!(told["alias"].as_array().map(Vec::len), Some(each));
    }
    let one_more = format!("personal-{users}");
    stage.ask(&sock, &one_more, None);
    stage.hears_no(&sock, &one_more, 400);
    stage.tell(&sock, "7", "still");
    stage.part(&sock, "personal-0");
    stage.join(&sock, &one_more);
    stage.nothing_else();
}

pub(crate) fn a_personal_channel_may_bring_another(stage: &mut Stage) {
    for (user, channel) in [
        ("u", "one"),
        ("u", "personal-v"),
        ("u", "two"),
        ("v", "three"),
    ] {
        stage.subscribe_user(MAIN, user, channel);
    }
    let sock = stage.open(MAIN);
    let told = stage.join(&sock, "personal-u");
    let all = json!(["one", "personal-v", "three", "two"]);
    assert_eq!(told["alias"], all);
    stage.publish(MAIN, &json!({"channel": "personal-v", "data": "d"}));
    stage.hears_stored(&sock, "personal-v", "message", "d");
    stage.publish(MAIN, &json!({"channel": "three", "data": "for v"}));
    stage.hears_stored(&sock, "three", "message", "for v");
    assert_eq!(stage.latest_data(&sock, "personal-v"), ["for v"]);
    // It may be left alone: what it led to came by the other one.
    stage.part(&sock, "personal-v");
    assert!(is_in(stage, &sock, "three"));
    let unstored = json!({"channel": "personal-v", "data": "d", "persist": false});
    stage.publish(MAIN, &unstored);
    stage.nothing_else();
    // It goes with the one that brought it, unless it is wanted for itself.
    for is_wanted in [false, true] {
        assert_eq!(stage.join(&sock, "personal-u")["alias"], all);
        if is_wanted {
            stage.join(&sock, "personal-v");
        }
        stage.part(&sock, "personal-u");
        for (channel, want) in [("one", false), ("three", is_wanted)] {
            assert_eq!(is_in(stage, &sock, channel), want, "{channel}");
        }
        stage.publish(MAIN, &unstored);
        if is_wanted {
            assert_eq!(stage.hear(&sock)["channel"], "personal-v");
        }
        stage.nothing_else();
    }
}

pub(crate) fn what_is_refused_is_not_listed(stage: &mut Stage) {
    for channel in ["presence-room", "news"] {
        stage.subscribe_user(MAIN, "u", channel);
    }
    let sock = stage.open(MAIN);
    // A presence channel wants to know who it is.
    stage.ask(&sock, "personal-u", Some(&json!({"x": 1})));
    stage.hears_no(&sock, "presence-room", 400);
    let told = stage.hears_answer(&sock, "subscription_succeeded", "personal-u");
    assert_eq!(told["alias"], json!(["news"]));
    stage.nothing_else();
}

pub(crate) fn channels_are_left_in_the_order_of_joining(stage: &mut Stage) {
    let joined = ["presence-m", "presence-z", "presence-a"];
    let watcher = stage.open(MAIN);
    for channel in joined {
        stage.join_as(&watcher, channel, &json!({"user_id": "w"}));
        stage.subscribe_user(MAIN, "u", channel);
    }
    let member = json!({"user_id": "u"});
    for by_leaving in [true, false] {
        let sock = stage.open(MAIN);
        stage.join_as(&sock, "personal-u", &member);
        for channel in joined {
            stage.hears_member(&watcher, "member_added", channel, &member);
        }
        match by_leaving {
            true => {
                stage.part(&sock, "personal-u");
            }
            false => stage.leave(&sock),
        }
        for channel in joined {
            stage.hears_member(&watcher, "member_removed", channel, &member);
        }
    }
    stage.nothing_else();
}
