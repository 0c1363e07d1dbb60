//! The engine in memory: the one place that knows how an engine is made.

use crate::memory::Memory;
use crate::replay::{Run, replay};
use crate::session::{Cut, Setup, cuts};
use crate::transcript::Scenario;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::access::Scheme;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::peers::PeerList;
use fanwire::random::Random;

/// An engine that serves Channelstream with these settings.
pub(crate) fn new_engine(setup: &Setup) -> Engine {
    let mut posting_from = PeerList::default();
    for entry in setup.allow_posting_from {
        posting_from.add_text(entry).expect("an address");
    }
    let config = Config {
        secret: setup.secret.to_owned(),
        allow_posting_from: posting_from,
        allow_cors: setup
            .allow_cors
            .iter()
            .map(|&entry| entry.to_owned())
            .collect(),
        validate_requests: setup.validate_requests,
        enforce_https: setup.enforce_https,
        http_scheme: Scheme::from_name(setup.http_scheme),
        admin_user: setup.admin_user.to_owned(),
        admin_secret: setup.admin_secret.to_owned(),
        ..Config::default()
    };
    let dialect: Box<dyn Dialect> = Box::new(Channelstream::new(config));
    Engine::new(EngineConfig::default(), vec![dialect], Random::seeded(1))
}

/// Replays a scenario with every write cut in two at each of its places, then byte by byte.
pub(crate) fn run(text: &str) {
    let once = |cut: Cut, number: usize| {
        // Eight letters, another for each run.
        let name: String = (0..8)
            .map(|place| char::from(b'a' + (number >> (place * 2) & 3) as u8))
            .collect();
        let scenario = Scenario::parse(text, &name).expect("the file is a scenario");
        let setup = Setup::named(&scenario.server);
        let mut memory = Memory::new(new_engine(&setup), setup.secret, cut);
        let run = Run {
            text: &name,
            resets: number % 2 == 1,
        };
        if let Err(why) = replay(&scenario, run, &mut memory) {
            panic!("{cut:?}: {why}");
        }
        let longest = memory.longest_write();
        memory.finish();
        longest
    };
    let longest = once(Cut::Whole, 0);
    let mut number = 1;
    for cut in cuts(longest) {
        once(Cut::At(cut), number);
        number += 1;
    }
    once(Cut::Bytewise, number);
}
