//! The process is killed at any moment: under load, while it starts again, and while it makes a backup.

use crate::ledger::Ledger;
use crate::load;
use crate::look::{self, Highest};
use crate::process::{Folder, Server, as_text, fanwire, until};
use crate::setup::{Chance, Home, number, ready};
use fanwire::side::store::{Durability, Sqlite, Storage};
use fanwire::store::{AppRow, Publish, Write};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How soon it is ready again.
const READY: Duration = Duration::from_secs(2);
/// How long it works before it is killed.
const WORKS_MS: std::ops::Range<u64> = 20..800;
/// Rounds with one file; then there is a new one, as looking takes longer with each.
const ROUNDS_PER_FILE: u64 = 50;

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    let rounds = number("FANWIRE_CRASH_ROUNDS", 50);
    let mut tally = Tally::default();
    for first in (0..rounds).step_by(ROUNDS_PER_FILE as usize) {
        lives_of_one_file(first..rounds.min(first + ROUNDS_PER_FILE), &mut tally);
    }
    tally.report();
    assert!(
        tally.acked > 10 * rounds,
        "hardly anything was said: {tally:?}"
    );
}

/// How much was tried, so that nobody takes an idle test for a passed one.
#[derive(Debug, Default)]
struct Tally {
    acked: u64,
    unknown: u64,
    slowest: Duration,
}

impl Tally {
    fn count(&mut self, ledger: &Ledger) {
        let sent = ledger.sent.values().flatten().chain(&ledger.messages);
        for sent in sent {
            match sent.is_acked {
                true => self.acked += 1,
                false => self.unknown += 1,
            }
        }
    }

    #[allow(clippy::print_stdout, reason = "what was measured")]
    fn report(&self) {
        println!(
            "{} acknowledged, {} not; ready again after at most {} ms",
            self.acked,
            self.unknown,
            self.slowest.as_millis()
        );
    }
}

fn lives_of_one_file(rounds: std::ops::Range<u64>, tally: &mut Tally) {
    let home = Home::new("");
    let mut chance = Chance::new(rounds.start);
    let mut highest = Highest::default();
    let mut ledgers: Vec<Ledger> = Vec::new();
    for round in rounds {
        if chance.one_in(4) {
            // Killed while it starts, whatever it is at.
            let server = Server::launch(home.command());
            thread::sleep(Duration::from_millis(chance.below(120)));
            drop(server);
        }
        let server = start(&home, tally);
        if let Some(ledger) = ledgers.last() {
            look::over_the_wire(server.address(), ledger, &mut highest);
        }
        let works = WORKS_MS.start + chance.below(WORKS_MS.end - WORKS_MS.start);
        let ledger = load::run(server.address(), round, || {
            thread::sleep(Duration::from_millis(works));
            // Kills it, and waits until it is gone.
            drop(server);
        });
        tally.count(&ledger);
        ledgers.push(ledger);
    }
    let server = start(&home, tally);
    let last = ledgers.last().expect("there was a round");
    look::over_the_wire(server.address(), last, &mut highest);
    drop(server);
    look::into_the_file(&home.store(), &ledgers);
}

/// Starts it, and takes the time until it is ready.
fn start(home: &Home, tally: &mut Tally) -> Server {
    let began = Instant::now();
    let server = ready(Server::start(home.command(), 1));
    let took = began.elapsed();
    tally.slowest = tally.slowest.max(took);
    assert!(took < READY, "it took {took:?} until it was ready");
    server
}

/// Whenever a backup is killed, its name is not there, or all of it is. And what it left is gone after
/// the next one.
#[test]
fn a_backup_that_was_killed_is_none() {
    const EVENTS: u64 = 40;
    let folder = Folder::new();
    let path = folder.path("fanwire.db");
    let mut store = Sqlite::open(&path, Durability::Relaxed).expect("it is made");
    let publish = |number: u64| {
        Write::Publish(Box::new(Publish {
            app: AppRow(1),
            number,
            is_last: true,
            owner: None,
            micros: number,
            name: "message".into(),
            data: "x".repeat(1 << 20).into(),
            extra: "".into(),
            channels: vec![("room".into(), u128::from(number))],
        }))
    };
    for number in 0..EVENTS {
        store.commit(&[&publish(number)]).expect("it can write");
    }
    store.close().expect("it can write");
    drop(store);
    let path = as_text(&path);
    let copies = folder.path("copies");
    fs::create_dir(&copies).expect("there is room");
    let copy = copies.join("copy.db");
    let there = || {
        let files = fs::read_dir(&copies).expect("it is there");
        let files = files.map(|file| file.expect("it is there"));
        let bytes = |file: fs::DirEntry| file.metadata().map_or(0, |about| about.len());
        files
            .map(|file| (file.file_name(), bytes(file)))
            .collect::<Vec<_>>()
    };
    let backup = || fanwire(&["store", "backup", &as_text(&copy), "--path", &path]);
    let mut killed = 0;
    for mib in [0, 1, 8, 20] {
        let mut running = backup().spawn().expect("it runs");
        let mut is_over = false;
        until("some of the copy is there", || {
            is_over = running.try_wait().expect("it is ours").is_some();
            let is_begun = |(_, bytes): &(_, u64)| *bytes > mib << 20;
            is_over || (there().iter().any(is_begun) || mib == 0 && !there().is_empty())
        });
        let _ = running.kill();
        running.wait().expect("it is ours");
        if copy.exists() {
            let check = fanwire(&["store", "check", "--path", &as_text(&copy)]).status();
            assert!(check.expect("it runs").success(), "{:?}", there());
            let mut whole = Sqlite::open_beside(&copy).expect("it is whole");
            assert_eq!(whole.last_event(), Ok(EVENTS), "{:?}", there());
            drop(whole);
            for (name, _) in there() {
                fs::remove_file(copies.join(name)).expect("it is ours");
            }
        } else {
            killed += u32::from(!is_over);
        }
    }
    assert!(killed > 0, "it was never quick enough");
    let done = backup().status().expect("it runs");
    assert!(done.success());
    assert_eq!(
        there().len(),
        1,
        "nothing is left of the others: {:?}",
        there()
    );
    let mut whole = Sqlite::open_beside(&copy).expect("it is whole");
    assert_eq!(whole.last_event(), Ok(EVENTS));
}
