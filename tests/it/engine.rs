//! The engine in memory: the one place that knows how an engine is made.

use crate::memory::Memory;
use crate::replay::{Extent, Run, replay};
use crate::session::{Cut, Setup};
use crate::transcript::Scenario;

/// More cuts than this are thinned out.
const CUTS_MAX: usize = 200;

/// An engine that serves Channelstream with these settings.
fn new_engine(setup: &Setup) -> fanwire::engine::Engine {
    // To be completed with the engine: turn the fields of `setup` into its configuration (or its
    // `assignments` through the options), and give it a seed.
    fanwire::engine::Engine::new(setup)
}

/// Replays a scenario with every write cut in two at each of its places, then byte by byte.
pub(crate) fn run(text: &str, extent: Extent) {
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
            extent,
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
    let cuts = longest.min(CUTS_MAX);
    for cut in 1..cuts {
        once(Cut::At(cut * longest / cuts), cut);
    }
    once(Cut::Bytewise, cuts);
}
