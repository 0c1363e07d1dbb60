//! Through the thread: what is too old goes, even where it stands behind what is not.

#![allow(
    clippy::disallowed_methods,
    reason = "the store is given the real time, and a test waits for no more than so long"
)]

use crate::thread::{APP, Loop, PATIENCE, options};
use crate::world::publish;
use fanwire::side::store::{Memory, Moment, Options, Storage};
use fanwire::store::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const HOUR_US: u64 = 3_600_000_000;

/// Until no more than this is left.
#[track_caller]
fn until(store: &mut Loop, left: &[&str]) {
    let begun = Instant::now();
    loop {
        let asked = store.ask_latest();
        store.send();
        let there = store.texts(asked);
        if there == left {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{left:?}: {there:?}");
    }
}

/// What stands behind an event of the future, and would be looked at no more before its time comes.
#[test]
fn what_is_too_old_goes_wherever_it_stands() {
    let ahead_us = Arc::new(AtomicU64::new(0));
    let plain = options();
    let now_us = (plain.clock)().unix_us;
    let clock = {
        let (clock, ahead_us) = (Arc::clone(&plain.clock), Arc::clone(&ahead_us));
        move || {
            let (now, ahead_us) = (clock(), ahead_us.load(Ordering::Relaxed));
            Moment {
                mono_us: now.mono_us + ahead_us,
                unix_us: now.unix_us + ahead_us,
            }
        }
    };
    let mut memory = Memory::new();
    let day_us = 24 * HOUR_US;
    for (number, (micros, data)) in (1..).zip([
        (now_us + day_us, "ahead"),
        (now_us - day_us, "old"),
        (now_us - HOUR_US * 99 / 100, "soon"),
        (now_us, "young"),
    ]) {
        let mut publish = publish(APP, number, &["room"], data);
        publish.micros = micros;
        let write = Write::Publish(Box::new(publish));
        memory.commit(&[&write]).expect("it can write");
    }
    let bounded = Options {
        age_max_us: Some(HOUR_US),
        clock: Arc::new(clock),
        ..plain
    };
    let mut store = Loop::start(memory, bounded);
    // At the start; and then every six minutes, of which one is enough for another to be too old.
    until(&mut store, &["young", "soon", "ahead"]);
    ahead_us.fetch_add(HOUR_US / 10, Ordering::Relaxed);
    until(&mut store, &["young", "ahead"]);
    assert!(store.close());
}

#[cfg(feature = "store")]
#[test]
fn what_others_import_goes_when_it_is_too_old() {
    use crate::world::{Folder, new_app};
    use fanwire::side::store::import::{Document, ImportedEvent, Outcome, What};
    use fanwire::side::store::sqlite::Importer;
    use fanwire::side::store::{Durability, Sqlite};
    let folder = Folder::new();
    let path = folder.file("fanwire.db");
    let plain = options();
    let now_us = (plain.clock)().unix_us;
    let mut file = Sqlite::open(&path, Durability::Synced).expect("it is made");
    let mut young = publish(APP, 1, &["room"], "young");
    young.micros = now_us;
    let app = Write::CreateApp(Box::new(new_app("one")));
    let writes = [app, Write::Publish(Box::new(young))];
    let writes: Vec<&Write> = writes.iter().collect();
    file.commit(&writes).expect("it can write");
    let bounded = Options {
        age_max_us: Some(HOUR_US),
        ..plain
    };
    let mut store = Loop::start(file, bounded);
    // What was there has been gone through when these come, or has not: they are seen either way.
    for (number, micros, data) in [(2, now_us - 2 * HOUR_US, "old"), (3, now_us, "imported")] {
        let document = Document {
            id: number,
            app: "ident of one".into(),
            what: What::Event(Box::new(ImportedEvent {
                channel: "room".into(),
                mid: u128::from(number),
                owner: None,
                micros,
                name: "message".into(),
                data: data.into(),
                extra: "".into(),
            })),
        };
        let mut importer = Importer::open(&path).expect("it opens");
        let outcomes = importer.put(&[document]).expect("it can write");
        assert_eq!(outcomes, [Outcome::Added]);
        importer.close().expect("it can write");
    }
    until(&mut store, &["imported", "young"]);
    assert!(store.close());
}
