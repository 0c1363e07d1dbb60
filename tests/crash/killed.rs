//! The process is killed at any moment: under load, and while it starts again.

use crate::ledger::Ledger;
use crate::load;
use crate::look::{self, Highest};
use crate::process::Server;
use crate::setup::{Chance, Home, number, ready};
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
