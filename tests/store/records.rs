//! Records that say where something is to go.

use crate::world::{ODD_NAMES, World, put};
use fanwire::limits::{STORE_ANSWER_BYTES_MAX, STORE_RECORDS_LISTED_MAX};
use fanwire::store::{Record, RecordKind, Write};

fn ids(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.id).collect()
}

pub(crate) fn are_made_once(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    for kind in RecordKind::ALL {
        let first = world.put(one, kind, "t", "c", false);
        assert_eq!(
            (first.id, first.created_s, first.modified_s),
            (1, 2_000, 2_000)
        );
        assert_eq!((&*first.record.target, &*first.record.channel), ("t", "c"));
        assert_eq!(first.record.keys.is_some(), kind == RecordKind::WebPush);
        let again = world.put(one, kind, "t", "c", false);
        assert_eq!(again, first, "what is there is given back");
        let of_another = world.put(two, kind, "t", "c", false);
        assert_eq!(of_another.id, 2, "ids count over all apps, for each kind");
        let turned = world.put(one, kind, "c", "t", false);
        assert_eq!(turned.id, 3);
        world.reopen();
        assert_eq!(
            world.records(one, kind, None, None),
            [first.clone(), turned]
        );
        assert_eq!(world.records(two, kind, None, None), [of_another]);
    }
    let other_keys = Write::PutRecord {
        app: one,
        record: Box::new(fanwire::store::NewRecord {
            kind: RecordKind::WebPush,
            target: "t".into(),
            channel: "c".into(),
            keys: Some(("other".into(), "keys".into())),
        }),
        replaces_oldest: false,
        unix_s: 9_000,
    };
    world.write(other_keys);
    let there = world.records(one, RecordKind::WebPush, Some("t"), None);
    assert_eq!(there[0].record.keys, Some(("key".into(), "secret".into())));
    assert_eq!(there[0].modified_s, 2_000);
    let counts = world.counts();
    assert_eq!((counts.records, counts.apps_with), ([3; 5], [2; 5]));
}

pub(crate) fn replace_the_oldest(world: &mut World) {
    let app = world.app("one");
    let kind = RecordKind::Web;
    world.put(app, kind, "url", "a", false);
    world.put(app, kind, "url", "b", false);
    world.put(app, kind, "other", "a", false);
    // One goes, whatever its channel; the first of another target stays.
    let third = world.put(app, kind, "url", "c", true);
    assert_eq!(third.id, 4);
    assert_eq!(ids(&world.records(app, kind, None, None)), [2, 3, 4]);
    // What is there already is given back, but one goes first all the same.
    let there = world.put(app, kind, "url", "c", true);
    assert_eq!(there.id, 4);
    assert_eq!(ids(&world.records(app, kind, Some("url"), None)), [4]);
    // Even if it is the very one.
    let anew = world.put(app, kind, "url", "c", true);
    assert_eq!(anew.id, 5);
    assert_eq!(ids(&world.records(app, kind, None, None)), [3, 5]);
    let none = world.put(app, kind, "new", "c", true);
    assert_eq!(none.id, 6);
    assert_eq!(world.counts().records, [0, 3, 0, 0, 0]);
}

pub(crate) fn are_listed_and_deleted(world: &mut World) {
    let app = world.app("one");
    let kind = RecordKind::Apn;
    for target in ["x", "y"] {
        for channel in ["b", "a", "c"] {
            world.put(app, kind, target, channel, false);
        }
    }
    let listed =
        |world: &mut World, target, channel| ids(&world.records(app, kind, target, channel));
    assert_eq!(
        listed(world, None, None),
        [1, 2, 3, 4, 5, 6],
        "oldest first"
    );
    assert_eq!(listed(world, Some("y"), None), [4, 5, 6]);
    assert_eq!(listed(world, None, Some("a")), [2, 5]);
    assert_eq!(listed(world, Some("y"), Some("a")), [5]);
    assert_eq!(listed(world, Some("z"), None), [0; 0]);
    assert_eq!(listed(world, Some(""), None), [0; 0]);

    assert_eq!(ids(&world.delete(app, kind, "y", Some("a"))), [5]);
    assert_eq!(ids(&world.delete(app, kind, "y", Some("a"))), [0; 0]);
    assert_eq!(ids(&world.delete(app, RecordKind::Web, "y", None)), [0; 0]);
    assert_eq!(ids(&world.delete(app, kind, "y", None)), [4, 6]);
    assert_eq!(listed(world, None, None), [1, 2, 3]);
    for name in ODD_NAMES {
        world.put(app, kind, name, name, false);
        assert_eq!(world.records(app, kind, Some(name), Some(name)).len(), 1);
    }
    for name in ODD_NAMES {
        assert_eq!(world.delete(app, kind, name, Some(name)).len(), 1);
    }
    world.reopen();
    assert_eq!(listed(world, None, None), [1, 2, 3]);
    assert_eq!(world.counts().records, [0, 0, 3, 0, 0]);
}

pub(crate) fn answers_are_bounded(world: &mut World) {
    let app = world.app("one");
    let kind = RecordKind::Subscription;
    let count = STORE_RECORDS_LISTED_MAX + 10;
    let many: Vec<Write> = (0..count)
        .map(|n| put(app, kind, "ann", &n.to_string(), false))
        .collect();
    world.commit(&many);
    assert_eq!(
        world.records(app, kind, None, None).len(),
        STORE_RECORDS_LISTED_MAX
    );
    let told = world.delete(app, kind, "ann", None);
    assert_eq!(told.len(), STORE_RECORDS_LISTED_MAX);
    assert!(
        world.records(app, kind, None, None).is_empty(),
        "all are gone"
    );
    assert_eq!(world.counts().records, [0; 5]);

    let kind = RecordKind::Web;
    for channel in 0..10 {
        let url = "u".repeat(STORE_ANSWER_BYTES_MAX / 4);
        world.put(app, kind, &url, &channel.to_string(), false);
    }
    assert_eq!(world.records(app, kind, None, None).len(), 4);
}

pub(crate) fn ids_are_never_used_again(world: &mut World) {
    let app = world.app("one");
    let kind = RecordKind::Smtp;
    for round in 1..=3 {
        assert_eq!(world.put(app, kind, "a@b", "room", false).id, round);
        world.delete(app, kind, "a@b", None);
        world.reopen();
    }
}
