//! A fixed amount of fan-out for `.ci/instructions`, which counts what it takes under valgrind.
//!
//! `cargo bench --bench fanout_instructions -- 200` publishes 200 messages to 1,000 subscribers:
//! real `POST /message` bytes into the engine, queues drained as the reactor drains them.

mod support;

use support::Bench;
use support::world::{World, message_body};

const SUBSCRIBERS: usize = 1_000;

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let publishes: u64 = asked.unwrap_or(200);
    let mut world = World::new();
    let backend = world.open();
    for number in 0..SUBSCRIBERS {
        world.join(backend, &format!("user-{number}"), "room");
    }
    let request = world.signed("/message", &message_body("room"));
    let mut frames = 0;
    for _ in 0..publishes {
        world.receive(backend, &request);
        frames += world.drain().0;
    }
    // One more each: the answer to the publisher.
    assert_eq!(frames, publishes * (SUBSCRIBERS as u64 + 1));
    let delivered = world.engine.hub().totals().delivered;
    assert_eq!(delivered, publishes * SUBSCRIBERS as u64);
    Bench::from_args("instructions").report("deliveries made", delivered as f64, "deliveries");
}
