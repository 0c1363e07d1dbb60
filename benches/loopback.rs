//! End to end through real sockets: the server on its thread, and a client that blocks on this
//! one. With two cores each has its own; with one they take turns, which the figures show.
//!
//! The client reads every byte and counts every frame: what was published must arrive whole, once,
//! and at everyone.

mod support;

use fanwire::dialect::channelstream::Config;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Stopped};
use std::net::SocketAddr;
use support::sockets::{Backend, Listener, server_cpu_ns};
use support::world::message_body;
use support::{Bench, median, timed};

fn main() {
    let bench = Bench::from_args("loopback");
    // Both ends of every connection are ours.
    let limit = rlimit::increase_nofile_limit(16 * 1024).unwrap_or(1024) as usize;
    let listeners = bench.size(200, 2_000).min((limit - 100) / 2);
    let server = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
        .channelstream(Config::default())
        .spawn()
        .expect("an address of this machine");
    let address = server.bound()[0].address().expect("a TCP address");
    let mut backend = Backend::new(address);

    let (took, mut all) = timed(|| {
        let join = |n| Listener::join(address, &mut backend, &format!("user-{n}"));
        (0..listeners).map(join).collect::<Vec<Listener>>()
    });
    let each = took.as_nanos() as f64 / listeners as f64 / 1000.0;
    bench.report("set-up: /connect, then /ws, one by one", each, "us");

    let request = backend.request("/message", &message_body("room"));
    let (mut published, rounds) = (0, bench.size(20, 100));
    for per_write in [1, 10] {
        let (mut ms, cpu) = (Vec::new(), server_cpu_ns());
        let batch = request.repeat(per_write);
        for _ in 0..rounds {
            published += per_write;
            let (took, ()) = timed(|| {
                backend.send(batch.as_bytes());
                all.iter_mut().for_each(|one| one.read_until(published));
            });
            backend.answers(per_write);
            ms.push(took.as_nanos() as f64 / 1e6);
        }
        let case = format!("{per_write} to {listeners} sockets");
        let median = median(ms);
        let deliveries = (per_write * listeners) as f64;
        bench.report(&format!("{case}: all have read"), median, "ms");
        bench.report(
            &format!("{case}: deliveries"),
            deliveries / median * 1e3,
            "per second",
        );
        if let (Some(before), Some(after)) = (cpu, server_cpu_ns()) {
            let each = (after - before) as f64 / (deliveries * rounds as f64);
            bench.report(
                &format!("{case}: the server's thread"),
                each,
                "ns CPU/delivery",
            );
        }
    }
    let bytes = all[0].bytes;
    assert!(bytes > published * 100, "the messages are there");
    assert!(
        all.iter().all(|one| one.bytes == bytes),
        "everybody got the same"
    );
    let stats = server.handle().stats().expect("the server runs");
    assert_eq!(stats.delivered, (published * listeners) as u64);
    assert_eq!(
        (stats.queued_bytes, stats.subscribers),
        (0, listeners as u64)
    );
    drop(all);
    drop(backend);
    server.handle().stop().expect("the server runs");
    assert_eq!(
        server.wait().expect("the loop ended in order"),
        Stopped::Clean
    );
}
