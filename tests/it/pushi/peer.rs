//! Peer channels: a channel for each two members of a presence channel.

use super::stage::{MAIN, Sock, Stage};
use serde_json::{Value, json};

const CHAT: &str = "presence-chat";
const PAIR: &str = "peer-chat:ann&bob";

/// A socket that is a member of a presence channel.
fn member(stage: &mut Stage, channel: &str, data: &Value) -> Sock {
    let sock = stage.open(MAIN);
    stage.join_as(&sock, channel, data);
    sock
}

/// One that wants channels with the others.
fn peer(stage: &mut Stage, id: &str) -> Sock {
    member(stage, CHAT, &json!({"user_id": id, "peer": true}))
}

fn as_peer(id: &str) -> Value {
    json!({"user_id": id, "peer": true})
}

pub(crate) fn two_members_have_a_channel(stage: &mut Stage) {
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    let carl = peer(stage, "carl");
    for sock in [&ann, &bob] {
        stage.hears_member(sock, "member_added", CHAT, &as_peer("carl"));
    }
    // Another socket of the same user is on it, too, and hears what the user says elsewhere.
    let bobs = peer(stage, "bob");
    stage.tell(&ann, PAIR, "to bob");
    for sock in [&bob, &bobs] {
        stage.hears_event(sock, PAIR, "message", "to bob");
    }
    stage.tell(&bobs, PAIR, "to ann");
    for sock in [&ann, &bob] {
        stage.hears_event(sock, PAIR, "message", "to ann");
    }
    // Not for others, and in no other order of the two.
    stage.tell(&carl, PAIR, "in between");
    stage.hears_error(&carl, PAIR, 403);
    stage.tell(&ann, "peer-chat:ann&carl", "to carl");
    stage.hears_event(&carl, "peer-chat:ann&carl", "message", "to carl");
    for none in [
        "peer-chat:bob&ann",
        "peer-chat:bob&ann&",
        "peer-chat:ann",
        "peer-chat",
        "peer-",
        "peer-other:ann&bob",
    ] {
        stage.tell(&ann, none, "d");
        stage.hears_error(&ann, none, 403);
    }
    // With an echo the sender hears it once.
    let word = json!({"event": "e", "data": "d", "channel": PAIR, "echo": true, "persist": false});
    stage.say(&ann, &word);
    for sock in [&ann, &bob, &bobs] {
        stage.hears_event(sock, PAIR, "e", "d");
    }
    stage.nothing_else();
}

pub(crate) fn who_comes_later_decides(stage: &mut Stage) {
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let data = |id: &str, peer: bool| match peer {
            true => as_peer(id),
            false => json!({"user_id": id}),
        };
        let ann = member(stage, CHAT, &data("ann", first));
        let bob = member(stage, CHAT, &data("bob", second));
        stage.hears_member(&ann, "member_added", CHAT, &data("bob", second));
        for (from, to) in [(&ann, &bob), (&bob, &ann)] {
            stage.tell(from, PAIR, "d");
            match second {
                true => stage.hears_event(to, PAIR, "message", "d"),
                false => drop(stage.hears_error(from, PAIR, 403)),
            }
            // Whoever is one of the two may ask for what was said.
            stage.latest(from, PAIR, &json!({}));
        }
        stage.leave(&bob);
        stage.hears_member(&ann, "member_removed", CHAT, &data("bob", second));
        stage.leave(&ann);
    }
}

pub(crate) fn numbers_are_users_too(stage: &mut Stage) {
    let nine = member(stage, CHAT, &json!({"user_id": 9, "peer": true}));
    let ten = member(stage, CHAT, &json!({"user_id": 10, "peer": true}));
    stage.hears_member(
        &nine,
        "member_added",
        CHAT,
        &json!({"user_id": 10, "peer": true}),
    );
    // In the order of texts.
    let pair = "peer-chat:10&9";
    for (from, to) in [(&nine, &ten), (&ten, &nine)] {
        stage.tell(from, pair, "d");
        stage.hears_event(to, pair, "message", "d");
    }
    stage.tell(&nine, "peer-chat:9&10", "d");
    stage.hears_error(&nine, "peer-chat:9&10", 403);
    stage.latest(&nine, pair, &json!({}));
    stage.vanish(&ten);
    let ten = json!({"user_id": 10, "peer": true});
    stage.hears_member(&nine, "member_removed", CHAT, &ten);
    stage.part(&nine, CHAT);
    let sock = stage.open(MAIN);
    stage.is_well(&sock);
}

pub(crate) fn names_that_can_be_read_in_several_ways(stage: &mut Stage) {
    for (base, one, other, name) in [
        ("chat", "Bea", "ada", "peer-chat:Bea&ada"),
        ("a:b", "x", "y", "peer-a:b:x&y"),
        ("a:b", "c:d", "e:f", "peer-a:b:c:d&e:f"),
        ("a&b", "u&v", "w", "peer-a&b:u&v&w"),
        ("", "", "x", "peer-:&x"),
        (":", "&", "&&", "peer-::&&&&"),
        ("q", "a\"b/c", "d'e\\f", "peer-q:a\"b/c&d'e\\f"),
        ("é", "\u{ff5e}", "\u{1f600}", "peer-é:\u{ff5e}&\u{1f600}"),
    ] {
        let presence = format!("presence-{base}");
        // Who is there without peers, and in a channel of a base that is the beginning of this one.
        let bystander = member(stage, &presence, &json!({"user_id": "bystander"}));
        let first = member(stage, &presence, &as_peer(one));
        let second = member(stage, &presence, &as_peer(other));
        stage.hears_member(&bystander, "member_added", &presence, &as_peer(one));
        stage.hears_member(&bystander, "member_added", &presence, &as_peer(other));
        stage.hears_member(&first, "member_added", &presence, &as_peer(other));
        for (from, to) in [(&first, &second), (&second, &first)] {
            stage.keep(from, name, "d");
            stage.hears_stored(to, name, "message", "d");
            assert_eq!(stage.latest_data(to, name)[0], "d");
        }
        stage.tell(&bystander, name, "d");
        stage.hears_error(&bystander, name, 403);
        let body = json!({"channel": [name, presence], "data": "to both", "persist": false});
        stage.publish(MAIN, &body);
        for (sock, channel) in [(&first, name), (&second, name), (&bystander, &*presence)] {
            let told = stage.hear(sock);
            assert_eq!(
                told["channel"], channel,
                "once, by the first of its channels"
            );
            assert_eq!(told["data"], "to both");
        }
        // They go in whatever way, and the one who is left keeps nothing of it.
        stage.vanish(&second);
        for sock in [&bystander, &first] {
            stage.hears_member(sock, "member_removed", &presence, &as_peer(other));
        }
        stage.tell(&first, name, "anyone?");
        stage.hears_error(&first, name, 403);
        stage.nothing_else();
        stage.leave(&first);
        stage.hears_member(&bystander, "member_removed", &presence, &as_peer(one));
        stage.leave(&bystander);
    }
}

pub(crate) fn who_leaves_is_off_its_pairs(stage: &mut Stage) {
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.part(&bob, CHAT);
    stage.hears_member(&ann, "member_removed", CHAT, &as_peer("bob"));
    for sock in [&ann, &bob] {
        stage.tell(sock, PAIR, "anyone?");
        stage.hears_error(sock, PAIR, 403);
    }
    // One is still of that channel, the other is not.
    stage.latest(&ann, PAIR, &json!({}));
    stage.say(
        &bob,
        &json!({"event": "pusher:latest", "data": {"channel": PAIR}}),
    );
    stage.hears_error(&bob, PAIR, 403);
    // The id comes back, by another socket, and all is as before.
    let again = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.tell(&ann, PAIR, "welcome");
    stage.hears_event(&again, PAIR, "message", "welcome");
    stage.tell(&again, PAIR, "thanks");
    stage.hears_event(&ann, PAIR, "message", "thanks");
    // It comes back without wanting peers: then it has none.
    stage.vanish(&again);
    stage.hears_member(&ann, "member_removed", CHAT, &as_peer("bob"));
    let plain = member(stage, CHAT, &json!({"user_id": "bob"}));
    stage.hears_member(&ann, "member_added", CHAT, &json!({"user_id": "bob"}));
    stage.tell(&ann, PAIR, "hello?");
    stage.hears_error(&ann, PAIR, 403);
    stage.leave(&plain);
    stage.hears_member(&ann, "member_removed", CHAT, &json!({"user_id": "bob"}));
    stage.nothing_else();
}

pub(crate) fn a_pair_may_be_left_by_name(stage: &mut Stage) {
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.part(&bob, PAIR);
    stage.tell(&bob, PAIR, "d");
    stage.hears_error(&bob, PAIR, 403);
    // The other one is there still, and so is the presence channel.
    stage.tell(&ann, PAIR, "to nobody");
    stage.tell(&bob, CHAT, "to all");
    stage.hears_event(&ann, CHAT, "message", "to all");
    stage.nothing_else();
    // What was left is forgotten with the presence channel.
    stage.part(&bob, CHAT);
    stage.hears_member(&ann, "member_removed", CHAT, &as_peer("bob"));
    stage.join_as(&bob, CHAT, &as_peer("bob"));
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.tell(&ann, PAIR, "again");
    stage.hears_event(&bob, PAIR, "message", "again");
    stage.nothing_else();
}

pub(crate) fn a_pair_that_was_left_stays_so_when_another_channel_is(stage: &mut Stage) {
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.join_as(&bob, "presence-other", &as_peer("bob"));
    stage.part(&bob, PAIR);
    stage.part(&bob, "presence-other");
    stage.tell(&bob, PAIR, "d");
    stage.hears_error(&bob, PAIR, 403);
    stage.tell(&ann, PAIR, "to nobody");
    stage.nothing_else();
}

pub(crate) fn a_member_may_ask_for_the_latest_of_its_pairs(stage: &mut Stage) {
    let ann = member(stage, CHAT, &json!({"user_id": "ann"}));
    let nobody = stage.open(MAIN);
    stage.join(&nobody, CHAT);
    for _ in 0..2 {
        // The other one need never have been there.
        let told = stage.latest(&ann, "peer-chat:ann&carl", &json!({}));
        let want = json!({"name": "peer-chat:ann&carl", "members": {}, "alias": [], "events": []});
        assert_eq!(told, want);
    }
    for name in [
        "peer-chat:bob&carl",
        "peer-chat:ann",
        "peer-chat:annn&carl",
        "peer-other:ann&carl",
        "peer-chat",
        "peer-",
    ] {
        stage.say(
            &ann,
            &json!({"event": "pusher:latest", "data": {"channel": name}}),
        );
        stage.hears_error(&ann, name, 403);
    }
    stage.say(
        &nobody,
        &json!({"event": "pusher:latest", "data": {"channel": PAIR}}),
    );
    stage.hears_error(&nobody, PAIR, 403);
    // And leave it, though it is not on it.
    stage.part(&ann, "peer-chat:ann&carl");
    stage.is_well(&ann);
    stage.nothing_else();
}

pub(crate) fn a_signature_opens_it_by_name(stage: &mut Stage) {
    let outsider = stage.open(MAIN);
    stage.join(&outsider, PAIR);
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    // Whoever is on it in both ways hears everything once.
    stage.join(&ann, PAIR);
    stage.tell(&bob, PAIR, "to both");
    for sock in [&outsider, &ann] {
        stage.hears_event(sock, PAIR, "message", "to both");
    }
    stage.tell(&outsider, PAIR, "from outside");
    for sock in [&ann, &bob] {
        stage.hears_event(sock, PAIR, "message", "from outside");
    }
    // By name it stays, whoever is present.
    stage.leave(&bob);
    stage.hears_member(&ann, "member_removed", CHAT, &as_peer("bob"));
    stage.tell(&ann, PAIR, "still");
    stage.hears_event(&outsider, PAIR, "message", "still");
    stage.part(&ann, CHAT);
    stage.tell(&outsider, PAIR, "and still");
    stage.hears_event(&ann, PAIR, "message", "and still");
    stage.part(&ann, PAIR);
    stage.tell(&ann, PAIR, "not any more");
    stage.hears_error(&ann, PAIR, 403);
    stage.nothing_else();
}

pub(crate) fn what_was_left_stays_left_wherever_else_one_leaves(stage: &mut Stage) {
    let ann = peer(stage, "ann");
    let bob = peer(stage, "bob");
    stage.hears_member(&ann, "member_added", CHAT, &as_peer("bob"));
    stage.join_as(&bob, "presence-other", &as_peer("bob"));
    stage.part(&bob, PAIR);
    stage.part(&bob, "presence-other");
    stage.tell(&bob, PAIR, "d");
    stage.hears_error(&bob, PAIR, 403);
    stage.tell(&ann, PAIR, "to nobody");
    stage.nothing_else();
    // Another socket of the same user has not left it.
    let bobs = peer(stage, "bob");
    stage.tell(&ann, PAIR, "to one of them");
    stage.hears_event(&bobs, PAIR, "message", "to one of them");
    stage.nothing_else();
}

/// Bases and ids may hold colons and ampersands, so that two pairs have one name.
pub(crate) fn pairs_of_one_name_do_not_hear_each_other(stage: &mut Stage) {
    let name = "peer-room:1:c&d";
    let one_of_two = |stage: &mut Stage, channel: &str, [one, other]: [&str; 2]| {
        let first = member(stage, channel, &as_peer(one));
        let second = member(stage, channel, &as_peer(other));
        stage.hears_member(&first, "member_added", channel, &as_peer(other));
        [first, second]
    };
    let [c, d] = one_of_two(stage, "presence-room:1", ["c", "d"]);
    let [x, y] = one_of_two(stage, "presence-room", ["1:c", "d"]);
    for (from, to) in [(&c, &d), (&d, &c), (&x, &y), (&y, &x)] {
        stage.tell(from, name, "between us");
        stage.hears_event(to, name, "message", "between us");
        stage.nothing_else();
    }
    // To whoever is none of them it is one name.
    stage.publish(
        MAIN,
        &json!({"channel": name, "data": "to all", "persist": false}),
    );
    for sock in [&c, &d, &x, &y] {
        let told = stage.hear(sock);
        assert_eq!(
            (&told["channel"], &told["data"]),
            (&json!(name), &json!("to all"))
        );
    }
    // The same where only the ids hold them.
    let name = "peer-x:a&b&c";
    let [a, bc] = one_of_two(stage, "presence-x", ["a", "b&c"]);
    let ab = member(stage, "presence-x", &as_peer("a&b"));
    let c = member(stage, "presence-x", &as_peer("c"));
    for sock in [&a, &bc] {
        stage.hears_member(sock, "member_added", "presence-x", &as_peer("a&b"));
    }
    for sock in [&a, &bc, &ab] {
        stage.hears_member(sock, "member_added", "presence-x", &as_peer("c"));
    }
    for (from, to) in [(&a, &bc), (&bc, &a), (&ab, &c), (&c, &ab)] {
        stage.tell(from, name, "between us");
        stage.hears_event(to, name, "message", "between us");
        stage.nothing_else();
    }
    // Who is of two such pairs has the name once.
    let [_, both] = one_of_two(stage, "presence-z:1", ["c", "d"]);
    let other = member(stage, "presence-z", &as_peer("1:c"));
    stage.join_as(&both, "presence-z", &as_peer("d"));
    stage.hears_member(&other, "member_added", "presence-z", &as_peer("d"));
    let path = format!("/sockets/{}", both.id);
    let (status, told) = stage.rest(MAIN, "POST", &path, &[], None);
    assert_eq!(status, 200);
    let wanted = json!(["presence-z:1", "peer-z:1:c&d", "presence-z"]);
    assert_eq!(told["channels"], wanted);
}

pub(crate) fn a_name_of_a_pair_may_fit_where_nobody_is(stage: &mut Stage) {
    let name = "peer-q:b:c&d";
    let sock = stage.open(MAIN);
    // Here it would be the pair of this user and "b:c".
    stage.join_as(&sock, "presence-q", &json!({"user_id": "d"}));
    stage.join_as(&sock, "presence-q:b", &as_peer("d"));
    let other = member(stage, "presence-q:b", &as_peer("c"));
    stage.hears_member(&sock, "member_added", "presence-q:b", &as_peer("c"));
    stage.tell(&other, name, "to d");
    stage.hears_event(&sock, name, "message", "to d");
    stage.tell(&sock, name, "to c");
    stage.hears_event(&other, name, "message", "to c");
    stage.part(&sock, name);
    stage.tell(&sock, name, "not any more");
    stage.hears_error(&sock, name, 403);
    stage.tell(&other, name, "to nobody");
    stage.nothing_else();
}

pub(crate) fn a_pair_may_have_a_long_name(stage: &mut Stage) {
    for (base, one) in [
        ("amp".to_owned(), "&".repeat(80)),
        (":".repeat(80), "a".to_owned()),
    ] {
        let (channel, name) = (format!("presence-{base}"), format!("peer-{base}:{one}&z"));
        let first = member(stage, &channel, &as_peer(&one));
        let second = member(stage, &channel, &as_peer("z"));
        stage.hears_member(&first, "member_added", &channel, &as_peer("z"));
        stage.tell(&first, &name, "by one of them");
        stage.hears_event(&second, &name, "message", "by one of them");
        stage.publish(
            MAIN,
            &json!({"channel": name, "data": "to both", "persist": false}),
        );
        for sock in [&first, &second] {
            assert_eq!(stage.hear(sock)["data"], "to both");
        }
    }
}
