//! What waits for a user, and which channels are a user's.

use crate::world::{ODD_NAMES, World, publish};
use fanwire::store::{RecordKind, Write};

pub(crate) fn one_event_waits_for_each_user(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    world.subscribe(one, "ann", "a");
    world.subscribe(one, "ann", "b");
    world.subscribe(one, "bob", "b");
    world.subscribe(two, "ann", "a");
    world.publish(one, &["b", "a", "c"], "first");
    world.publish(one, &["a"], "second");
    world.publish(two, &["a"], "of two");
    world.reopen();
    assert_eq!(world.personal(one, "ann").1, ["second", "first"]);
    assert_eq!(world.personal(one, "bob").1, ["first"]);
    assert_eq!(world.personal(two, "ann").1, ["of two"]);
    assert_eq!(world.personal(two, "bob").1, [""; 0]);
    let question = fanwire::store::Question::Personal {
        app: one,
        user: "ann".into(),
        skip: 1,
        count: 10,
    };
    match world.ask(&question) {
        fanwire::store::Answer::Personal { events, .. } => {
            assert_eq!(events.len(), 1);
            let event = &events[0];
            assert_eq!(&*event.channel, "b", "of the first channel in the list");
        }
        other => panic!("{other:?}"),
    }
    for name in ODD_NAMES {
        world.subscribe(one, name, name);
        world.publish(one, &[name], name);
        assert_eq!(world.personal(one, name).1, [*name]);
    }
}

pub(crate) fn parts_of_a_publish_serve_once(world: &mut World) {
    let app = world.app("one");
    for channel in ["a", "b", "c"] {
        world.subscribe(app, "ann", channel);
    }
    world.subscribe(app, "bob", "b");
    let part = |number, channel: &str, is_last| {
        let mut part = publish(app, number, &[channel], channel);
        part.is_last = is_last;
        Write::Publish(Box::new(part))
    };
    // Two that are under way at once, one of them over several commits.
    world.commit(&[part(5, "a", false), part(6, "b", true)]);
    world.commit(&[part(5, "b", false)]);
    world.commit(&[part(5, "c", true), part(5, "c", true)]);
    let (_, of_ann) = world.personal(app, "ann");
    assert_eq!(
        of_ann,
        ["c", "b", "a"],
        "a number may come again once it is over"
    );
    let (_, of_bob) = world.personal(app, "bob");
    assert_eq!(of_bob, ["b", "b"]);
    assert_eq!(world.counts().events, 5, "each channel has its own");
}

pub(crate) fn aliases_follow_personal_channels(world: &mut World) {
    let app = world.app("one");
    for (user, channel) in [
        ("ann", "news"),
        ("ann", "personal-bob"),
        ("ann", "private-x"),
        ("bob", "personal-ann"),
        ("bob", "of bob"),
        ("bob", "news"),
        ("carl", "personal-carl"),
    ] {
        world.subscribe(app, user, channel);
    }
    assert_eq!(
        world.personal(app, "ann").0,
        ["news", "personal-bob", "of bob", "private-x"]
    );
    assert_eq!(
        world.personal(app, "bob").0,
        ["personal-ann", "news", "private-x", "of bob"]
    );
    assert_eq!(world.personal(app, "carl").0, [""; 0]);
    assert_eq!(world.personal(app, "nobody").0, [""; 0]);
    // What is published to a personal channel waits for those who subscribe to just that.
    world.publish(app, &["personal-bob", "of bob"], "to bob");
    assert_eq!(world.personal(app, "ann").1, ["to bob"]);
    assert_eq!(world.personal(app, "bob").1, ["to bob"]);
    world.delete(app, RecordKind::Subscription, "ann", Some("personal-bob"));
    assert_eq!(world.personal(app, "ann").0, ["news", "private-x"]);
}

pub(crate) fn only_what_comes_after_waits(world: &mut World) {
    let app = world.app("one");
    world.publish(app, &["room"], "before");
    // Within one commit as well.
    world.commit(&[
        Write::Publish(Box::new(publish(app, 7, &["room"], "just before"))),
        crate::world::put(app, RecordKind::Subscription, "ann", "room", false),
        Write::Publish(Box::new(publish(app, 8, &["room"], "just after"))),
    ]);
    world.publish(app, &["room"], "after");
    world.delete(app, RecordKind::Subscription, "ann", None);
    world.publish(app, &["room"], "too late");
    assert_eq!(
        world.personal(app, "ann"),
        (vec![], vec!["after".into(), "just after".into()])
    );
    // Other kinds of records have nothing wait.
    world.put(app, RecordKind::Web, "bob", "room", false);
    world.publish(app, &["room"], "called");
    assert_eq!(world.personal(app, "bob").1, [""; 0]);
}
