//! Members of presence channels, by all three protocols.

use super::super::stage::{Stage, member};
use super::{NOTHING, ROOM, added, event, removed, says, told_of};
use serde_json::json;

#[test]
fn members_of_pushi_are_told_to_all() {
    let mut stage = Stage::three();
    let mut pia = stage.pusher(1);
    stage.join_as(&mut pia, ROOM, Some(&member("pia")));
    let mut ann = stage.connect(&json!({
        "username": "ann", "channels": [ROOM],
        "channel_configs": {ROOM: {"notify_presence": true}},
    }));
    for socket in [&mut pia, &mut ann] {
        stage.heard(socket);
    }
    let said = json!({"user_id": 7, "name": "Seven"});
    let mut one = stage.pushi(1);
    let members = stage.pushi_joins(&mut one, ROOM, Some(&said));
    let all = json!({"pia": {"user_id": "pia", "user_info": {"from": "pusher"}},
                     "ann": {"user_id": "ann"}, "7": said});
    assert_eq!(members, all);
    // Its channel_data is what Pusher is told about it.
    let expected = json!({"user_id": "7", "user_info": said});
    let (event, data) = stage.event(&mut pia);
    assert_eq!((&*event, data), ("pusher_internal:member_added", expected));
    let joined = stage.object(&mut ann);
    assert_eq!(
        (&joined["type"], &joined["user"]),
        (&json!("presence"), &json!("7"))
    );
    assert_eq!(joined["message"], json!({"action": "joined"}));
    assert_eq!(
        joined["state"],
        json!({}),
        "what it says of itself is no state"
    );
    let mut late = stage.pusher(1);
    let told = stage.join_as(&mut late, ROOM, Some(&member("pia")));
    assert_eq!(told["presence"]["hash"]["7"], said);
    assert_eq!(told["presence"]["count"], 3);
    stage.close(one);
    let (event, data) = stage.event(&mut pia);
    assert_eq!(
        (&*event, data),
        ("pusher_internal:member_removed", json!({"user_id": "7"}))
    );
    assert_eq!(
        stage.object(&mut ann)["message"],
        json!({"action": "parted"})
    );
}

#[test]
fn members_of_the_others_are_told_to_pushi() {
    let mut stage = Stage::three();
    let (mut one, mut quiet) = (stage.pushi(1), stage.pushi(1));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "u"})));
    // Who is there as nobody hears of nobody.
    stage.pushi_joins(&mut quiet, ROOM, None);
    let mut pia = stage.pusher(1);
    stage.join_as(&mut pia, ROOM, Some(&member("pia")));
    let of_pusher = json!({"user_id": "pia", "user_info": {"from": "pusher"}});
    assert_eq!(told_of(&mut stage, &mut one), added(of_pusher.clone()));
    let ann = stage.connect(&json!({
        "username": "ann", "channels": [ROOM],
        "user_state": {"mood": "good", "secret": 1}, "state_public_keys": ["mood"],
    }));
    let of_channelstream = json!({"user_id": "ann", "user_info": {"mood": "good"}});
    assert_eq!(told_of(&mut stage, &mut one), added(of_channelstream));
    stage.close(pia);
    assert_eq!(told_of(&mut stage, &mut one), removed(of_pusher));
    stage.ask("GET", &format!("/disconnect?conn_id={}", ann.id), &[], None);
    let (event, member) = told_of(&mut stage, &mut one);
    assert_eq!(
        (&*event, &member["user_id"]),
        ("pusher:member_removed", &json!("ann"))
    );
    assert_eq!(stage.heard(&mut quiet), NOTHING);
    // Elsewhere nobody is told who comes and goes.
    stage.pushi_joins(&mut one, "room", None);
    let _bob = stage.connect(&json!({
        "username": "bob", "channels": ["room"],
        "channel_configs": {"room": {"notify_presence": true}},
    }));
    assert_eq!(stage.heard(&mut one), NOTHING);
}

#[test]
fn one_name_is_one_member_in_all_three() {
    let mut stage = Stage::three();
    let (mut one, mut pia) = (stage.pushi(1), stage.pusher(1));
    stage.pushi_joins(&mut one, ROOM, Some(&json!({"user_id": "w"})));
    stage.join_as(&mut pia, ROOM, Some(&member("x")));
    for socket in [&mut one, &mut pia] {
        stage.heard(socket);
    }
    let listener = stage.listener("ann", ROOM);
    assert_eq!(told_of(&mut stage, &mut one).1, json!({"user_id": "ann"}));
    assert_eq!(stage.event(&mut pia).0, "pusher_internal:member_added");
    // The same user by two more protocols: nobody new.
    let (mut by_pushi, mut by_pusher) = (stage.pushi(1), stage.pusher(1));
    let said = json!({"user_id": "ann", "from": "pushi"});
    stage.pushi_joins(&mut by_pushi, ROOM, Some(&said));
    let told = stage.join_as(&mut by_pusher, ROOM, Some(&member("ann")));
    assert_eq!(told["presence"]["count"], 3);
    // For Pusher the socket that has been there longest says who it is, for Pushi what was said last.
    assert_eq!(told["presence"]["hash"]["ann"], said);
    let mut late = stage.pushi(1);
    let members = stage.pushi_joins(&mut late, ROOM, None);
    assert_eq!(
        members["ann"],
        json!({"user_id": "ann", "user_info": {"from": "pusher"}})
    );
    for socket in [&mut one, &mut pia] {
        assert_eq!(stage.heard(socket), NOTHING);
    }
    stage.ask(
        "GET",
        &format!("/disconnect?conn_id={}", listener.id),
        &[],
        None,
    );
    stage.close(by_pusher);
    for socket in [&mut one, &mut pia] {
        assert_eq!(stage.heard(socket), NOTHING);
    }
    stage.close(by_pushi);
    assert_eq!(told_of(&mut stage, &mut one), removed(said));
    assert_eq!(stage.event(&mut pia).0, "pusher_internal:member_removed");
}

#[test]
fn peers_are_sockets_of_pushi() {
    let mut stage = Stage::three();
    let mut pia = stage.pusher(1);
    stage.join_as(&mut pia, ROOM, Some(&member("ann")));
    let (mut one, mut two) = (stage.pushi(1), stage.pushi(1));
    for (socket, user) in [(&mut one, "bob"), (&mut two, "cid")] {
        let said = json!({"user_id": user, "peer": true});
        stage.pushi_joins(socket, ROOM, Some(&said));
    }
    for socket in [&mut one, &mut pia] {
        stage.heard(socket);
    }
    says(
        &mut stage,
        &mut one,
        "peer-room:bob&cid",
        &json!("d"),
        false,
    );
    assert_eq!(
        stage.heard(&mut two),
        [event("peer-room:bob&cid", "said", "d")]
    );
    // A member by Pusher has such a channel in name only: it has nothing to hear it with.
    says(
        &mut stage,
        &mut one,
        "peer-room:ann&bob",
        &json!("d"),
        false,
    );
    for socket in [&mut one, &mut two, &mut pia] {
        assert_eq!(stage.heard(socket), NOTHING);
    }
}
