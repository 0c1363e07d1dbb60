//! Clearing away what is too old, or too much.

use crate::world::{World, publish};
use fanwire::limits::STORE_EVENT_OVERHEAD_BYTES;
use fanwire::side::store::{Retention, Retired};
use fanwire::store::{AppRow, Write};

fn retire(world: &mut World, keep: Retention, rows: usize) -> Retired {
    world.store().retire(&keep, rows).expect("it can write")
}

fn from(micros: u64) -> Retention {
    Retention {
        from_micros: Some(micros),
        bytes_max: None,
    }
}

fn bytes(most: u64) -> Retention {
    Retention {
        from_micros: None,
        bytes_max: Some(most),
    }
}

/// Steps until nothing is left to be done, and how many events went.
fn retire_all(world: &mut World, keep: Retention, rows: usize) -> u64 {
    let mut all = 0;
    loop {
        let step = retire(world, keep, rows);
        assert!(step.events <= rows as u64);
        all += step.events;
        if !step.is_behind {
            assert_eq!(retire(world, keep, rows), Retired::default());
            return all;
        }
    }
}

pub(crate) fn by_age(world: &mut World) {
    let app = world.app("one");
    world.subscribe(app, "ann", "room");
    // The micros are 1, 2, 3, ...
    for number in 1..=10 {
        world.publish(app, &["room", "other"], &number.to_string());
    }
    assert_eq!(retire(world, Retention::default(), 100), Retired::default());
    assert_eq!(retire(world, from(1), 100), Retired::default());
    assert_eq!(retire_all(world, from(4), 100), 6);
    world.reopen();
    let left = ["10", "9", "8", "7", "6", "5", "4"];
    assert_eq!(world.texts(app, "room"), left);
    assert_eq!(world.texts(app, "other"), left);
    assert_eq!(
        world.personal(app, "ann"),
        (vec!["room".into()], left.map(String::from).to_vec())
    );
    assert_eq!(world.counts().events, 14);
}

pub(crate) fn by_bytes(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    let each = (STORE_EVENT_OVERHEAD_BYTES + "message".len() + 10) as u64;
    for number in 0..10 {
        let data = format!("{number:010}");
        world.publish(one, &["room"], &data);
        world.publish(two, &["room"], &data);
    }
    world.publish(two, &["room"], "0123456789");
    assert_eq!(retire_all(world, bytes(11 * each), 100), 0);
    assert_eq!(
        retire_all(world, bytes(11 * each - 1), 100),
        1,
        "only of the app that has more"
    );
    assert_eq!(retire_all(world, bytes(4 * each), 100), 12);
    assert_eq!(world.texts(one, "room").len(), 4);
    assert_eq!(world.texts(two, "room").len(), 4);
    assert_eq!(world.texts(one, "room")[0], "0000000009");
    world.reopen();
    assert_eq!(
        retire_all(world, bytes(3 * each), 100),
        2,
        "it is known what there is"
    );
    let both = Retention {
        from_micros: Some(18),
        bytes_max: Some(2 * each),
    };
    assert_eq!(retire_all(world, both, 100), 3, "whichever comes first");
    assert_eq!(retire_all(world, bytes(0), 100), 3);
}

pub(crate) fn in_steps_and_in_turn(world: &mut World) {
    let apps: Vec<AppRow> = (0..5).map(|n| world.app(&n.to_string())).collect();
    for &app in &apps {
        for _ in 0..7 {
            world.publish(app, &["room"], "x");
        }
    }
    let mut steps = 0;
    let mut before = 35;
    while before > 0 {
        let step = retire(world, from(u64::MAX), 3);
        assert!((1..=3).contains(&step.events), "{step:?}");
        assert!(step.is_behind || step.events == before, "{step:?}");
        before -= step.events;
        assert_eq!(world.counts().events, before);
        steps += 1;
        assert!(steps <= 35);
    }
    assert_eq!(retire_all(world, from(u64::MAX), 3), 0);
    // An app that always has too much does not keep the others from being looked at.
    for &app in &apps {
        world.publish(app, &["room"], "x");
    }
    let mut rounds = 0;
    while apps[1..]
        .iter()
        .any(|&app| !world.texts(app, "room").is_empty())
    {
        world.publish(apps[0], &["room"], "x");
        retire(world, from(u64::MAX), 1);
        rounds += 1;
        assert!(rounds <= 10, "they get their turn");
    }
}

/// Goes through all of it in steps, and how many events went.
fn sweep_all(world: &mut World, from: u64, rows: usize) -> u64 {
    let (mut all, mut after) = (0, 0);
    loop {
        let swept = world.store().sweep(from, after, rows);
        let swept = swept.expect("it can write");
        assert!(swept.events <= rows as u64);
        all += swept.events;
        match swept.upto {
            Some(upto) => assert!(upto > std::mem::replace(&mut after, upto)),
            None => return all,
        }
    }
}

pub(crate) fn wherever_it_stands(world: &mut World) {
    let (one, two) = (world.app("one"), world.app("two"));
    world.subscribe(one, "ann", "room");
    let times = [900, 10, 20, 800, 30, 40, 700, 50];
    for (number, micros) in (1..).zip(times) {
        for app in [one, two] {
            let mut publish = publish(app, 10 * number + u64::from(app.0), &["room"], "");
            publish.micros = micros;
            publish.data = micros.to_string().into();
            world.write(Write::Publish(Box::new(publish)));
        }
    }
    assert_eq!(
        retire_all(world, from(45), 100),
        0,
        "the first one is young"
    );
    assert_eq!(sweep_all(world, 10, 3), 0);
    assert_eq!(sweep_all(world, 45, 3), 8);
    assert_eq!(world.counts().events, 8);
    world.reopen();
    let left = ["50", "700", "800", "900"];
    assert_eq!(world.texts(one, "room"), left);
    assert_eq!(world.texts(two, "room"), left);
    let waits = left.map(String::from).to_vec();
    assert_eq!(world.personal(one, "ann"), (vec!["room".into()], waits));
    assert_eq!(sweep_all(world, 45, 100), 0);
    assert_eq!(sweep_all(world, u64::MAX, 1), 8, "one at a time");
    assert_eq!(world.store().last_event(), Ok(16), "no id is used again");
    assert_eq!(sweep_all(world, u64::MAX, 1), 0);
}

pub(crate) fn of_everything_uses_no_id_again(world: &mut World) {
    let app = world.app("one");
    world.subscribe(app, "ann", "room");
    for round in 0..3 {
        world.publish(app, &["room", "other"], "x");
        assert_eq!(world.store().last_event(), Ok(2 * round + 2));
        assert_eq!(retire_all(world, from(u64::MAX), 100), 2);
        assert!(world.latest(app, None, 0, 0).is_empty());
        if round == 1 {
            world.reopen();
        }
    }
    assert_eq!(world.personal(app, "ann"), (vec!["room".into()], vec![]));
    world.publish(app, &["room"], "last");
    assert_eq!(world.latest(app, Some("room"), 0, 0)[0].id, 7);
}
