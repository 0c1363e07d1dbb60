//! Busy polling: the store's thread looks for more to do before it sleeps, and sleeps at last.

#![allow(
    clippy::disallowed_methods,
    reason = "what another thread does is looked at again and again for no more than so long"
)]

use crate::thread::{Loop, PATIENCE, options, rigged};
use fanwire::side::store::Options;
use std::fs;
use std::sync::mpsc::channel;
use std::time::Instant;

/// The store's thread, as Linux sees it.
struct Task {
    stat: String,
}

impl Task {
    /// The thread that keeps something for `store` meanwhile.
    fn of(busy_poll_ms: u64) -> (Loop, Self) {
        let (storage, rig) = rigged();
        let options = Options {
            busy_poll_ms,
            ..options()
        };
        let mut store = Loop::start(storage, options);
        let (tell, told) = channel();
        rig.act(move |_| {
            let task = fs::read_link("/proc/thread-self").expect("Linux");
            tell.send(task).expect("it is waited for");
        });
        keep(&mut store);
        let task = told.recv().expect("something was kept");
        let stat = format!("/proc/{}/stat", task.display());
        (store, Self { stat })
    }

    /// What it is doing, and the hundredths of a second of processor time that it has had.
    fn now(&self) -> (String, u64) {
        let stat = fs::read_to_string(&self.stat).expect("it is there");
        // Behind the name, which may hold anything.
        let (_, fields) = stat.rsplit_once(')').expect("Linux");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        (fields[0].to_owned(), ticks(11) + ticks(12))
    }

    fn until(&self, what: impl Fn(&str, u64) -> bool) {
        let began = Instant::now();
        loop {
            let (state, ticks) = self.now();
            if what(&state, ticks) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{state} after {ticks} ticks");
            std::thread::yield_now();
        }
    }
}

fn keep(store: &mut Loop) {
    let place = store.publish("something");
    store.send();
    store.until_done(place);
}

#[test]
fn it_looks_for_more_before_it_sleeps() {
    let (mut store, task) = Task::of(600_000);
    for _ in 0..3 {
        let (_, before) = task.now();
        // Only looking takes processor time now.
        task.until(|_, ticks| ticks >= before + 5);
        keep(&mut store);
    }
    assert!(store.close(), "it ends though it looks");
}

#[test]
fn it_sleeps_at_last() {
    for busy_poll_ms in [0, 1] {
        let (mut store, task) = Task::of(busy_poll_ms);
        for _ in 0..3 {
            task.until(|state, _| state == "S");
            keep(&mut store);
        }
        assert!(store.close());
    }
}
