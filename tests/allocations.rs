//! No delivery asks for memory: a publish costs the same number of allocations whether a hundred
//! listen or a thousand.

#[path = "../benches/support/mod.rs"]
mod support;

use stats_alloc::StatsAlloc;
use std::alloc::System;
use support::heap::{COUNTING, requests};
use support::world::{World, message_body};

#[global_allocator]
static HEAP: &StatsAlloc<System> = COUNTING;

/// Requests for memory of each of 200 publishes to `subscribers`, after as many to warm up. With
/// `per_turn` messages between two drains.
fn requests_per_turn(subscribers: usize, per_turn: usize) -> Vec<usize> {
    let mut world = World::new();
    let backend = world.open();
    for number in 0..subscribers {
        world.join(backend, &format!("user-{number}"), "room");
    }
    let request = world.signed("/message", &message_body("room"));
    let mut turn = || {
        let before = requests(HEAP);
        (0..per_turn).for_each(|_| world.receive(backend, &request));
        let (frames, _) = world.drain();
        assert_eq!(frames, (per_turn * (subscribers + 1)) as u64);
        requests(HEAP) - before
    };
    // What is kept for catch-up is full after a hundred.
    (0..200).for_each(|_| assert!(turn() > 0));
    (0..200).map(|_| turn()).collect()
}

/// One test and not several: others that run at the same time would be counted.
#[test]
fn a_delivery_allocates_nothing() {
    let few = requests_per_turn(100, 1);
    let many = requests_per_turn(5_000, 1);
    assert!(
        few.iter().all(|count| *count == few[0]),
        "always the same: {few:?}"
    );
    assert_eq!(few, many, "none of them is for a listener");
    assert!(
        few[0] > 0,
        "the frame and the answer are allocated, so counting works"
    );

    // Several messages for each peer in one turn: queues beyond one piece are kept and used again.
    let few = requests_per_turn(100, 3);
    let many = requests_per_turn(5_000, 3);
    assert_eq!(few, many, "queues of several pieces are used again");
}
