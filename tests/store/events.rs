//! Publishing, and the latest events.

use crate::world::{ODD_NAMES, World, latest, publish, texts};
use fanwire::limits::{STORE_ANSWER_BYTES_MAX, STORE_EVENTS_LISTED_MAX};
use fanwire::store::{Answer, AppRow, Publish, StoredEvent, Write};

pub(crate) fn count_up_over_all_apps(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    assert_eq!(world.store().last_event(), Ok(0));
    assert_eq!(world.publish(one, &["a", "b"], "1"), Answer::Done);
    let writes: Vec<Write> = [(two, "a", "2"), (one, "b", "3")]
        .into_iter()
        .map(|(app, channel, data)| Write::Publish(Box::new(publish(app, 9, &[channel], data))))
        .collect();
    world.commit(&writes);
    world.reopen();
    world.publish(two, &["a"], "4");
    let ids = |events: Vec<StoredEvent>| events.iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(world.latest(one, Some("a"), 0, 0)), [1]);
    assert_eq!(ids(world.latest(one, Some("b"), 0, 0)), [4, 2]);
    assert_eq!(ids(world.latest(two, Some("a"), 0, 0)), [5, 3]);
    assert_eq!(ids(world.latest(one, None, 0, 0)), [4, 2, 1]);
    assert_eq!(world.store().last_event(), Ok(5));
    assert_eq!(world.counts().events, 5);
    // To no channel at all, nothing is stored.
    assert_eq!(world.publish(one, &[], "5"), Answer::Done);
    assert_eq!(world.counts().events, 5);
}

pub(crate) fn are_listed_newest_first(world: &mut World) {
    let app = world.app("one");
    for number in 0..30 {
        world.publish(app, &["room", "other"], &number.to_string());
    }
    let page =
        |world: &mut World, skip, count| texts(&world.latest(app, Some("room"), skip, count));
    assert_eq!(page(world, 0, 3), ["29", "28", "27"]);
    assert_eq!(page(world, 27, 10), ["2", "1", "0"]);
    assert_eq!(page(world, 30, 10), [""; 0]);
    assert_eq!(page(world, u64::MAX, u64::MAX), [""; 0]);
    assert_eq!(page(world, 0, 0).len(), 30, "none means no limit");
    assert_eq!(page(world, 0, u64::MAX).len(), 30);
    let all = world.latest(app, None, 1, 2);
    let all: Vec<(&str, &str)> = all.iter().map(|e| (&*e.channel, &*e.data)).collect();
    assert_eq!(all, [("room", "29"), ("other", "28")]);
    assert!(world.latest(app, Some("nowhere"), 0, 0).is_empty());
    assert!(world.latest(AppRow(99), Some("room"), 0, 0).is_empty());
    assert!(world.latest(AppRow(99), None, 0, 0).is_empty());
}

pub(crate) fn answers_are_bounded(world: &mut World) {
    let app = world.app("one");
    let most = STORE_EVENTS_LISTED_MAX;
    let names: Vec<String> = (0..=most).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.publish(app, &names, "small");
    world.subscribe(app, "ann", "many");
    let small = Write::Publish(Box::new(publish(app, 1, &["many"], "small")));
    world.commit(&vec![small; most as usize + 1]);
    let many = [Some("many"), None];
    for channel in many {
        for count in [0, most, most + 1, 1_000_000_000, u64::MAX] {
            assert_eq!(world.latest(app, channel, 0, count).len() as u64, most);
        }
    }
    assert_eq!(world.personal(app, "ann").1.len() as u64, most);

    let large = "x".repeat(STORE_ANSWER_BYTES_MAX / 4);
    for _ in 0..10 {
        world.publish(app, &["large"], &large);
    }
    let listed = world.latest(app, Some("large"), 0, 0);
    assert_eq!(
        listed.len(),
        4,
        "one, and as many as fit beside their names"
    );
    let huge = "x".repeat(2 * STORE_ANSWER_BYTES_MAX);
    world.publish(app, &["huge"], &huge);
    world.publish(app, &["huge"], &huge);
    assert_eq!(
        world.latest(app, Some("huge"), 0, 0).len(),
        1,
        "one at least"
    );
    assert_eq!(world.latest(app, Some("huge"), 1, 0).len(), 1);
}

pub(crate) fn keep_every_bit(world: &mut World) {
    let app = world.app("one");
    let base = publish(app, 1, &[], "");
    let mut expected = Vec::new();
    for (at, name) in ODD_NAMES.iter().enumerate() {
        let publish = Publish {
            owner: [None, Some(0), Some(u128::MAX), Some(1 << 64)][at % 4],
            micros: [0, 1, 1_795_300_668_631_074, 1 << 60][at % 4],
            name: (*name).into(),
            data: ODD_NAMES[(at + 1) % ODD_NAMES.len()].into(),
            extra: ["", r#""a":1,"b":[]"#][at % 2].into(),
            channels: vec![((*name).into(), u128::MAX - at as u128)],
            ..base.clone()
        };
        expected.push(StoredEvent {
            id: at as u64 + 1,
            mid: publish.channels[0].1,
            channel: publish.channels[0].0.clone(),
            owner: publish.owner,
            micros: publish.micros,
            name: publish.name.clone(),
            data: publish.data.clone(),
            extra: publish.extra.clone(),
        });
        world.write(Write::Publish(Box::new(publish)));
    }
    world.reopen();
    for event in &expected {
        let listed = world.latest(app, Some(&event.channel), 0, 0);
        assert_eq!(listed, std::slice::from_ref(event), "names are told apart");
    }
    expected.reverse();
    assert_eq!(world.latest(app, None, 0, 0), expected);
}

pub(crate) fn stop_where_the_question_was_asked(world: &mut World) {
    let app = world.app("one");
    world.subscribe(app, "ann", "room");
    for number in 1..=5 {
        world.publish(app, &["room"], &number.to_string());
    }
    for channel in [Some("room"), None] {
        match world.ask_upto(&latest(app, channel, 1, 2), 4) {
            Answer::Events(events) => assert_eq!(texts(&events), ["3", "2"]),
            other => panic!("{other:?}"),
        }
    }
    let personal = fanwire::store::Question::Personal {
        app,
        user: "ann".into(),
        skip: 0,
        count: 1,
    };
    match world.ask_upto(&personal, 2) {
        Answer::Personal { events, .. } => assert_eq!(texts(&events), ["2"]),
        other => panic!("{other:?}"),
    }
}
