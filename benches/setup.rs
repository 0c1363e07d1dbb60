//! What a newcomer costs: a signed `/connect` and the `/ws` that follows; and whether joining and
//! leaving a channel costs the same among ten as among nine thousand.
//!
//! All of it through the engine in memory: this is the processor's time, without the kernel's.

mod support;

use fanwire::handler::ConnId;
use support::world::{World, connect_body, id_in, upgrade};
use support::{Bench, median, timed};

/// Joining or leaving a large channel may cost this much more than a small one: caches, not work.
const RATIO_MAX: f64 = 2.0;

fn newcomers(bench: Bench) {
    let count = bench.size(2_000, 20_000);
    let mut world = World::new();
    let backend = world.open();
    let (mut connects, mut upgrades) = (Vec::new(), Vec::new());
    for number in 0..count {
        let body = connect_body(&format!("user-{number}"), &format!("room-{}", number % 100));
        let request = world.signed("/connect", &body);
        let (took, answer) = timed(|| world.ask(backend, &request));
        connects.push(took.as_nanos() as f64 / 1000.0);
        let request = upgrade(id_in(&answer));
        let (took, answer) = timed(|| {
            let conn = world.open();
            world.ask(conn, request.as_bytes())
        });
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        upgrades.push(took.as_nanos() as f64 / 1000.0);
    }
    assert_eq!(world.engine.hub().counts(), (100, count, count));
    bench.report("signed /connect", median(connects), "us");
    bench.report("/ws", median(upgrades), "us");
}

/// An answer to `/connect` lists the members of its channels unless the caller asks for none: its
/// length is the protocol's, and this is what it costs.
fn listed(bench: Bench, members: usize) {
    let mut channel = Channel::with(members);
    let mut took_us = Vec::new();
    for number in 0..bench.size(20, 200) {
        let body = format!(r#"{{"username":"late-{number}","channels":["room"]}}"#);
        let request = channel.world.signed("/connect", &body);
        let (took, answer) = timed(|| channel.world.ask(channel.backend, &request));
        assert!(answer.contains(r#""user-9""#), "the members are listed");
        took_us.push(took.as_nanos() as f64 / 1000.0);
    }
    let case = format!("signed /connect that lists {members} members");
    bench.report(&case, median(took_us), "us");
}

/// The cost of joining and of leaving a channel in which `count` others are, in microseconds.
struct Channel {
    world: World,
    backend: ConnId,
    newcomer: String,
    members: usize,
    join_us: Vec<f64>,
    leave_us: Vec<f64>,
}

impl Channel {
    fn with(count: usize) -> Self {
        let mut world = World::new();
        let backend = world.open();
        for number in 0..count {
            world.join(backend, &format!("user-{number}"), "room");
        }
        let newcomer = world.connect(backend, "newcomer", "lobby");
        Self {
            world,
            backend,
            newcomer,
            members: count,
            join_us: Vec::new(),
            leave_us: Vec::new(),
        }
    }

    /// `/subscribe` of one more, then `/disconnect` of one of the first.
    fn round(&mut self, number: usize) {
        let body = format!(
            r#"{{"conn_id":"{}","channels":["room"],"info":{{"include_users":false,"include_history":false}}}}"#,
            self.newcomer
        );
        let request = self.world.signed("/subscribe", &body);
        let (took, answer) = timed(|| self.world.ask(self.backend, &request));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        self.join_us.push(took.as_nanos() as f64 / 1000.0);
        assert_eq!(self.subscribers(), self.members + 1);

        let request = self.world.signed(
            "/disconnect",
            &format!(r#"{{"conn_id":"{}"}}"#, self.newcomer),
        );
        let (took, answer) = timed(|| self.world.ask(self.backend, &request));
        assert!(answer.ends_with("true"), "{answer}");
        self.leave_us.push(took.as_nanos() as f64 / 1000.0);
        assert_eq!(self.subscribers(), self.members);

        self.newcomer = self
            .world
            .connect(self.backend, &format!("new-{number}"), "lobby");
    }

    fn subscribers(&self) -> usize {
        let hub = self.world.engine.hub();
        let room = hub.find_channel(fanwire::hub::AppId::FIRST, "room");
        let room = room
            .and_then(|room| hub.channel(room))
            .expect("the room is there");
        room.subscriber_count()
    }
}

fn main() {
    let bench = Bench::from_args("setup");
    newcomers(bench);
    listed(bench, 9_000);
    let rounds = bench.size(500, 5_000);
    let mut small = Channel::with(10);
    let mut large = Channel::with(9_000);
    // In turns, so that a busy moment of the machine meets both.
    for number in 0..rounds {
        small.round(number);
        large.round(number);
    }
    let pairs = [
        ("join", small.join_us, large.join_us),
        ("drop", small.leave_us, large.leave_us),
    ];
    for (what, small, large) in pairs {
        let (small, large) = (median(small), median(large));
        bench.report(&format!("{what} one, 10 in the channel"), small, "us");
        bench.report(&format!("{what} one, 9000 in the channel"), large, "us");
        assert!(
            large <= small * RATIO_MAX,
            "to {what} one among 9,000 takes {large:.1} us, among 10 {small:.1} us"
        );
    }
}
