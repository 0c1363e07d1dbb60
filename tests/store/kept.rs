//! What channels and users are remembered by.

use crate::world::{ODD_NAMES, World};
use fanwire::store::{Answer, AppRow, Change, Remembered, Write};

fn keep(world: &mut World, app: AppRow, changes: Vec<Change>) {
    let answer = world.write(Write::Keep { app, changes });
    assert_eq!(answer, Answer::Done);
}

fn remembered(world: &mut World, app: AppRow) -> Remembered {
    world.reopen();
    world.store().remembered(app).expect("it can be read")
}

fn message(channel: &str, id: u128, most: u32) -> Change {
    Change::Message {
        channel: channel.into(),
        id,
        value: format!("{id}").into(),
        most,
    }
}

fn channel(name: &str, value: &str) -> Change {
    let (name, value) = (name.into(), value.into());
    Change::Channel { name, value }
}

/// The ids of a channel's messages.
fn ids(world: &mut World, app: AppRow, name: &str) -> Vec<u128> {
    let remembered = remembered(world, app);
    let channel = remembered.channels.iter().find(|(n, ..)| &**n == name);
    let (.., messages) = channel.expect("the channel is remembered");
    messages.iter().map(|(id, _)| *id).collect()
}

pub(crate) fn history_keeps_the_newest(world: &mut World) {
    let app = world.app("one");
    keep(
        world,
        app,
        vec![channel("room", "{}"), channel("other", "{}")],
    );
    let both = (1..=5).flat_map(|id| [message("room", id, 3), message("other", 10 + id, 10)]);
    keep(world, app, both.collect());
    assert_eq!(ids(world, app, "room"), [3, 4, 5]);
    assert_eq!(ids(world, app, "other"), [11, 12, 13, 14, 15]);
    keep(world, app, vec![message("room", 6, 10)]);
    assert_eq!(
        ids(world, app, "room"),
        [3, 4, 5, 6],
        "what is gone does not come back"
    );
    keep(world, app, vec![message("room", 7, 1)]);
    assert_eq!(
        ids(world, app, "room"),
        [7],
        "a smaller number takes at once"
    );
    keep(world, app, vec![message("room", 8, 0)]);
    assert_eq!(ids(world, app, "room"), [0; 0]);
    keep(world, app, vec![message("early", 9, 5)]);
    let remembered = remembered(world, app);
    let early = (Box::from("early"), Box::from(""), vec![(9, Box::from("9"))]);
    assert_eq!(remembered.channels[0], early, "a message makes its channel");
}

pub(crate) fn messages_are_edited_and_taken_back(world: &mut World) {
    let app = world.app("one");
    // The same id may come twice.
    let ids_given = [1, 2, u128::MAX, 2, 3];
    keep(
        world,
        app,
        ids_given.map(|id| message("room", id, 10)).to_vec(),
    );
    let edited = |channel: &str, id, value: &str| Change::Edited {
        channel: channel.into(),
        id,
        value: value.into(),
    };
    let gone = |channel: &str, id| Change::NoMessage {
        channel: channel.into(),
        id,
    };
    let changes = vec![
        edited("room", 2, "new"),
        edited("room", 77, "none"),
        edited("nowhere", 2, "none"),
        gone("room", u128::MAX),
        gone("room", 78),
        gone("nowhere", 1),
    ];
    keep(world, app, changes);
    let remembered = remembered(world, app);
    assert_eq!(remembered.channels.len(), 1, "no channel is made by that");
    let messages = &remembered.channels[0].2;
    let messages: Vec<(u128, &str)> = messages.iter().map(|(id, v)| (*id, &**v)).collect();
    assert_eq!(messages, [(1, "1"), (2, "new"), (2, "new"), (3, "3")]);
    keep(
        world,
        app,
        vec![
            gone("room", 2),
            message("room", 4, 3),
            message("room", 5, 3),
        ],
    );
    assert_eq!(
        ids(world, app, "room"),
        [3, 4, 5],
        "what was taken back takes no place"
    );
}

pub(crate) fn channels_and_users_come_and_go(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    let user = |name: &str, value: &str| Change::User {
        name: name.into(),
        value: value.into(),
    };
    for name in ODD_NAMES {
        let changes = vec![channel(name, "1"), user(name, "2"), message(name, 3, 5)];
        keep(world, one, changes);
    }
    keep(
        world,
        two,
        vec![channel("room", "of two"), user("ann", "of two")],
    );
    let mut names = ODD_NAMES.to_vec();
    names.sort_unstable();
    let of_one = remembered(world, one);
    let listed: Vec<&str> = of_one.channels.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(listed, names, "by their names");
    let listed: Vec<&str> = of_one.users.iter().map(|(name, _)| &**name).collect();
    assert_eq!(listed, names);
    assert!(
        of_one
            .channels
            .iter()
            .all(|(_, v, list)| &**v == "1" && list.len() == 1)
    );

    keep(world, one, vec![channel("🦀", "new"), user("🦀", "new")]);
    let of_one = remembered(world, one);
    let crab = of_one.channels.iter().find(|(name, ..)| &**name == "🦀");
    let (_, value, messages) = crab.expect("it is there");
    assert_eq!((&**value, messages.len()), ("new", 1), "messages stay");
    assert!(of_one.users.contains(&("🦀".into(), "new".into())));

    let gone = ODD_NAMES.iter().flat_map(|name| {
        let (name, other) = (Box::from(*name), Box::from(*name));
        [Change::NoChannel { name }, Change::NoUser { name: other }]
    });
    keep(world, one, gone.collect());
    assert_eq!(remembered(world, one), Remembered::default());
    keep(world, one, vec![channel("🦀", "back")]);
    assert_eq!(ids(world, one, "🦀"), [0; 0], "its messages went with it");
    assert_eq!(remembered(world, two).channels.len(), 1);
    assert_eq!(remembered(world, AppRow(99)), Remembered::default());
}
