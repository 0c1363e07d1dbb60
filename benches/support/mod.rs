//! A tiny harness: runs each case a few times, takes the median, and prints one line.
//!
//! Every bench checks its own answer with plain assertions, so a fast wrong result is a failed run.
//!
//! ```text
//! cargo bench --bench fanout                 # text
//! cargo bench --bench fanout -- --quick      # in seconds, for a first look
//! cargo bench --bench fanout -- --json       # a JSON line beside each line of text
//! cargo bench --bench stored -- lone         # a part of it, of those benches that have parts
//! ```

#![allow(dead_code, reason = "each bench uses its part of this")]
#![allow(clippy::print_stdout, reason = "the lines are the result")]

pub(crate) mod heap;
pub(crate) mod sockets;
pub(crate) mod world;

use std::time::{Duration, Instant};

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench {
    name: &'static str,
    /// Smaller and fewer, for a first look.
    pub(crate) quick: bool,
    json: bool,
}

impl Bench {
    /// Reads the arguments; unknown ones, such as cargo's own `--bench`, are passed over.
    pub(crate) fn from_args(name: &'static str) -> Self {
        let has = |flag: &str| std::env::args().any(|argument| argument == flag);
        Self {
            name,
            quick: has("--quick"),
            json: has("--json"),
        }
    }

    /// Whether this part is to be run: all are, unless some are named.
    pub(crate) fn wants(self, part: &str) -> bool {
        let words = std::env::args().skip(1);
        let named: Vec<String> = words.filter(|word| !word.starts_with('-')).collect();
        named.is_empty() || named.iter().any(|name| name == part)
    }

    /// One of two numbers: for a quick run, and for a whole one.
    pub(crate) fn size(self, quick: usize, whole: usize) -> usize {
        if self.quick { quick } else { whole }
    }

    /// Prints one result.
    pub(crate) fn report(self, case: &str, value: f64, unit: &str) {
        let text = if value.abs() >= 1000.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.2}")
        };
        println!("{:<12} {case:<56} {text:>14} {unit}", self.name);
        if self.json {
            println!(
                r#"{{"bench":"{}","case":"{case}","value":{value},"unit":"{unit}"}}"#,
                self.name
            );
        }
    }
}

/// How long `work` takes.
#[allow(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// The median; of an even number the upper one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of `rounds` runs of `work`, in nanoseconds per one of `count`.
pub(crate) fn ns_each(rounds: usize, count: usize, mut work: impl FnMut()) -> f64 {
    let one = |_| timed(&mut work).0.as_nanos() as f64 / count as f64;
    median((0..rounds).map(one).collect())
}

/// A small generator: the same numbers for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Puts a list into another order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.throw() as usize % (at + 1));
        }
    }
}
