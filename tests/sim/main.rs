//! The seeded world: a server without sockets, clients without patience, and an oracle.
//!
//! Everything is drawn from one seed, so that whatever goes wrong goes wrong again. How to run,
//! widen and replay it stands in `docs/simulation.md`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    reason = "a test, whose failures are for people to read"
)]

mod chance;
mod link;
mod mischief;
mod oracle;
mod peer;
mod selftest;
mod summary;
mod turn;
mod watched;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use summary::Summary;
use world::{Progress, World};

/// What a test of the world itself does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    None,
    // On the way to the client:
    DropFrame,
    RepeatFrame,
    SwapFrames,
    FlipCatchUp,
    TellMemberTwice,
    MissCount,
    ForgetMember,
    HoldSuccess,
    // In what the oracle expects:
    WrongStatus,
    NoCatchUp,
    ForgetExclude,
    ForgetEdit,
    KeepDeleted,
    TellPrivateState,
    LateExpiry,
    ForgetUntold,
    NoRewind,
    KeepExpired,
    ForgetSocket,
    ForgetOffline,
    SmallRooms,
    // In how the reactor's part is played:
    MissTick,
    ForgetClosed,
    CloseTwice,
    LoseBytes,
    Miscount,
    LeaveEarly,
    RepeatPresence,
    SkipBeat,
    DropHeld,
    HalfLimit,
    RepeatFact,
    // In the server:
    PanicInRequest,
    PanicInText,
    AdmitAnyone,
    AdmitForged,
    ForgetSignOut,
    ForgetFailures,
    AnswerAtOnce,
    CloseAnother,
    EchoClientEvent,
    KeepCached,
    MixApps,
    AcceptForged,
    TellRefused,
    // In what the store does, or the oracle expects of it:
    DoneTooEarly,
    LookTooEarly,
    ServeTwice,
    LoseWrite,
    LoseAtCrash,
    ForgetLogout,
    ForgetRemembered,
    HideFailure,
    KeepPair,
    TellTwice,
}

/// What went wrong, and where.
#[derive(Debug)]
pub struct Failure {
    pub step: u32,
    pub what: String,
    pub trace: Vec<String>,
}

/// One run. With `traced`, what happens is written down.
pub fn run(seed: u64, sabotage: Sabotage, traced: bool) -> Result<Summary, Failure> {
    let progress = Rc::new(Progress::default());
    let seen = progress.clone();
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        let mut world = World::new(seed, sabotage, seen, traced);
        world.run()
    }));
    outcome.map_err(|panic| Failure {
        step: progress.step.get(),
        what: panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| {
                panic
                    .downcast_ref::<&str>()
                    .map(|words| (*words).to_owned())
            })
            .unwrap_or_else(|| "a panic without words".to_owned()),
        trace: progress.trace.take(),
    })
}

/// Runs a seed and complains with all that is needed to see it again.
fn check(seed: u64) -> Summary {
    match run(seed, Sabotage::None, false) {
        Ok(summary) => summary,
        Err(failure) => {
            let traced = run(seed, Sabotage::None, true).err();
            let trace = traced.map(|failure| failure.trace).unwrap_or_default();
            let tail = trace.len().saturating_sub(60);
            eprintln!("{}", trace[tail..].join("\n"));
            panic!(
                "step {} of seed {seed:#x}: {}\nto see it again: \
                 FANWIRE_SEED={seed:#x} cargo test --test sim one_seed -- --nocapture",
                failure.step, failure.what
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Every `parts`-th seed from `part` on; all of them together are what was asked for.
fn check_part(part: u64, parts: u64) {
    if number("FANWIRE_SEED").is_some() {
        return;
    }
    let seeds = number("FANWIRE_SIM_SEEDS").unwrap_or(300);
    let mut total = Summary::default();
    for seed in (part..seeds).step_by(parts as usize) {
        let summary = check(seed);
        if seed % 8 < parts {
            let again = check(seed);
            assert_eq!(
                summary.hash, again.hash,
                "seed {seed:#x} gives the same bytes"
            );
        }
        total.add(&summary);
    }
    eprintln!("{total:?}");
    if seeds >= 200 {
        total.check_that_everything_happened();
    }
}

#[test]
fn the_even_seeds() {
    check_part(0, 2);
}

#[test]
fn the_odd_seeds() {
    check_part(1, 2);
}

/// Replays the seed that the environment names, with its trace.
#[test]
fn one_seed() {
    let Some(seed) = number("FANWIRE_SEED") else {
        return;
    };
    match run(seed, Sabotage::None, true) {
        Ok(summary) => eprintln!("{}\n{summary:?}", summary.trace.join("\n")),
        Err(failure) => {
            eprintln!("{}", failure.trace.join("\n"));
            panic!("step {} of seed {seed:#x}: {}", failure.step, failure.what);
        }
    }
}
