//! The wheel of deadlines: arming, pushing back and ringing, beside a binary heap that does the
//! same. What rings in each slot of time must be what the heap gives up.

mod support;

use fanwire::limits::WHEEL_SLOT_MS;
use fanwire::time::{Millis, Timer, Wheel};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use support::{Bench, Dice, median, timed};

/// Deadlines lie at most this far ahead, as those of idle connections do.
const AHEAD_MS: u64 = 75_000;
/// How often a deadline is pushed back before it may ring.
const PUSHES: usize = 4;

/// Nanoseconds per arming, per pushing back, per ringing.
struct Times([Vec<f64>; 3]);

/// The heap's way: an entry per change, those overtaken are dropped as they surface.
fn heap(deadlines: &[Vec<u64>]) -> ([f64; 3], Vec<(u64, usize)>) {
    let count = deadlines[0].len();
    let mut due = vec![0; count];
    let mut heap = BinaryHeap::new();
    let mut file = |at: &[u64]| {
        for (key, &at) in at.iter().enumerate() {
            due[key] = at;
            heap.push(Reverse((at, key)));
        }
    };
    let (armed, ()) = timed(|| file(&deadlines[0]));
    let (pushed, ()) = timed(|| deadlines[1..].iter().for_each(|at| file(at)));
    let mut rung = Vec::with_capacity(count);
    let (rang, ()) = timed(|| {
        while let Some(Reverse((at, key))) = heap.pop() {
            if due[key] == at {
                rung.push((at, key));
            }
        }
    });
    let each = |took: std::time::Duration, of: usize| took.as_nanos() as f64 / of as f64;
    let times = [
        each(armed, count),
        each(pushed, count * PUSHES),
        each(rang, count),
    ];
    (times, rung)
}

fn wheel(deadlines: &[Vec<u64>]) -> ([f64; 3], Vec<(u64, usize)>) {
    let count = deadlines[0].len();
    let mut timers = vec![Timer::default(); count];
    let mut wheel: Wheel<u32> = Wheel::new();
    let mut arm = |at: &[u64]| {
        for (key, (timer, &at)) in timers.iter_mut().zip(at).enumerate() {
            wheel.arm(key as u32, timer, Millis(at));
        }
    };
    let (armed, ()) = timed(|| arm(&deadlines[0]));
    let (pushed, ()) = timed(|| deadlines[1..].iter().for_each(|at| arm(at)));
    let mut rung = Vec::with_capacity(count);
    let (rang, ()) = timed(|| {
        let mut surfaced = Vec::new();
        while let Some(at) = wheel.next_deadline() {
            wheel.surface(at, &mut surfaced);
            for entry in surfaced.drain(..) {
                if wheel.rings(entry, &mut timers[entry.key as usize], at) {
                    rung.push((at.0, entry.key as usize));
                }
            }
        }
    });
    let each = |took: std::time::Duration, of: usize| took.as_nanos() as f64 / of as f64;
    let times = [
        each(armed, count),
        each(pushed, count * PUSHES),
        each(rang, count),
    ];
    (times, rung)
}

fn main() {
    let bench = Bench::from_args("wheel");
    for count in [10_000, bench.size(100_000, 1_000_000)] {
        let rounds = bench.size(3, 7);
        let mut wheels = Times([const { Vec::new() }; 3]);
        let mut heaps = Times([const { Vec::new() }; 3]);
        for round in 0..rounds {
            let mut dice = Dice(round as u64 + 1);
            let mut deadlines = vec![Vec::new(); 1 + PUSHES];
            for _ in 0..count {
                let mut at = 1 + dice.throw() % AHEAD_MS;
                for list in &mut deadlines {
                    list.push(at);
                    // Never more than the whole wheel ahead, and always later.
                    at += 1 + dice.throw() % (AHEAD_MS / 4);
                }
            }
            let (times, mut by_heap) = heap(&deadlines);
            heaps
                .0
                .iter_mut()
                .zip(times)
                .for_each(|(list, t)| list.push(t));
            let (times, mut by_wheel) = wheel(&deadlines);
            wheels
                .0
                .iter_mut()
                .zip(times)
                .for_each(|(list, t)| list.push(t));

            // In the wheel a deadline rings with its slot, and in order of filing there.
            assert!(by_wheel.is_sorted_by_key(|(at, _)| *at), "slots in order");
            by_heap
                .iter_mut()
                .for_each(|(at, _)| *at = at.div_ceil(WHEEL_SLOT_MS) * WHEEL_SLOT_MS);
            by_heap.sort_unstable();
            by_wheel.sort_unstable();
            assert_eq!(by_wheel.len(), count, "every timer rings once");
            assert_eq!(by_wheel, by_heap, "the wheel and the heap agree");
        }
        for (name, times) in [("wheel", wheels), ("heap", heaps)] {
            for (what, list) in ["arm", "push back", "ring"].iter().zip(times.0) {
                bench.report(
                    &format!("{count} timers, {name}: {what}"),
                    median(list),
                    "ns",
                );
            }
        }
    }
}
