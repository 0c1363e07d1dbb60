//! Bytes per idle WebSocket, and whether memory comes back after thousands came and went.
//!
//! The heap is counted by the allocator, so the figures are exact and the same on every run; they
//! leave out what the reactor keeps of a socket. Resident memory is the system's word. All of it
//! takes a second or two, so `--quick` changes nothing, and CI guards the whole.

mod support;

use fanwire::handler::ConnId;
use stats_alloc::StatsAlloc;
use std::alloc::System;
use support::Bench;
use support::heap::{COUNTING, live_bytes, resident_kib};
use support::world::World;

#[global_allocator]
static HEAP: &StatsAlloc<System> = COUNTING;

/// An idle WebSocket with its subscriber, user and one subscription may take this much.
const IDLE_BYTES_MAX: f64 = 1_024.0;
const ROUNDS: usize = 10;
/// How many come and go in a round, and how many are held at once.
const GUESTS: usize = 9_000;
/// How far the heap in use may have grown when all have gone, and resident memory since the second
/// round.
const LIVE_GROWTH_MAX: f64 = 1.01;
const RESIDENT_GROWTH_MAX: f64 = 1.05;

fn idle(bench: Bench) {
    let count = GUESTS;
    let mut world = World::new();
    let backend = world.open();
    let before = live_bytes(HEAP);
    for number in 0..count {
        world.join(backend, &format!("user-{number}"), "room");
    }
    world.trim();
    assert_eq!(world.engine.connections(), count + 1);
    assert_eq!(world.engine.hub().counts(), (1, count, count));
    let each = (live_bytes(HEAP) - before) as f64 / count as f64;
    bench.report(
        &format!("{count} idle websockets, one user each"),
        each,
        "B/connection",
    );
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes per idle connection");
}

/// A round: everybody comes, a message is heard, everybody goes, and their time passes.
fn round(world: &mut World, backend: ConnId, number: usize, count: usize) {
    let mut conns = Vec::with_capacity(count);
    for place in 0..count {
        let user = format!("user-{number}-{place}");
        conns.push(world.join(backend, &user, &format!("room-{}", place % 10)));
    }
    let request = world.signed("/message", &support::world::message_body("room-0"));
    world.receive(backend, &request);
    let (frames, _) = world.drain();
    assert_eq!(frames, 1 + count.div_ceil(10) as u64);
    for conn in conns {
        world.hang_up(conn);
    }
    // Subscribers are kept for a second, catch-up for a minute. The backend stays: it asks. Once a
    // second memory is given back, as the server does.
    for _ in 0..70 {
        world.pass(1_000);
        world.trim();
        let answer = world.ask(backend, b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
    assert!(world.engine.hub().is_empty(), "the hub has forgotten all");
    assert_eq!(world.engine.connections(), 1);
    world.trim();
}

fn churn(bench: Bench) {
    let count = GUESTS;
    let mut world = World::new();
    let backend = world.open();
    // From a fresh engine on. What is made at first need and kept for good is a few hundred bytes:
    // the words for slow consumers, and the counters of answers by status.
    let start = live_bytes(HEAP);
    let (mut most, mut second_kib) = (0, None);
    for number in 0..ROUNDS {
        round(&mut world, backend, number, count);
        most = most.max(live_bytes(HEAP));
        if number == 1 {
            second_kib = resident_kib();
        }
    }
    let end = live_bytes(HEAP);
    bench.report("live heap of a fresh engine", start as f64, "B");
    bench.report(
        &format!("live heap after {count} came and went {ROUNDS} times"),
        end as f64,
        "B",
    );
    assert!(
        end as f64 <= start as f64 * LIVE_GROWTH_MAX,
        "live heap grew from {start} to {end} bytes ({most} at most between rounds)"
    );
    if let (Some(second), Some(tenth)) = (second_kib, resident_kib()) {
        bench.report("resident after the second round", second as f64, "KiB");
        bench.report(
            &format!("resident after {ROUNDS} rounds"),
            tenth as f64,
            "KiB",
        );
        assert!(
            tenth as f64 <= second as f64 * RESIDENT_GROWTH_MAX,
            "resident memory grew from {second} to {tenth} KiB"
        );
    }
}

fn main() {
    let bench = Bench::from_args("memory");
    // First, as resident memory depends on what a heap has been through, and no server drops an
    // engine with everybody in it.
    churn(bench);
    idle(bench);
}
