//! Pushi's protocol: the recorded transcripts, and stories of our own.
//!
//! Everything is played over memory with every write cut at its places and byte by byte, with nothing
//! left behind; once more with a store that answers late; and once to the binary behind real sockets.

mod kept;
mod replay;
mod scenario;
mod transcripts;
mod values;

use crate::memory::Memory;
use crate::session::Cut;
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{self, Channelstream};
use fanwire::dialect::pushi::Pushi;
use fanwire::dialect::pushi::config::Config;
use fanwire::engine::{Engine, EngineConfig};
use fanwire::hub::AppId;
use fanwire::random::Random;
use kept::{Kept, Manner};

/// Pushi as its transcripts want it, and Channelstream in an app of its own.
fn engine(config: Config) -> Engine {
    let apps = config.apps.iter();
    let stored_apps: Vec<(AppId, String)> = apps.map(|app| (app.app, app.ident.clone())).collect();
    let dialects: Vec<Box<dyn Dialect>> = vec![
        Box::new(Pushi::new(config)),
        Box::new(Channelstream::new(channelstream::Config::default())),
    ];
    let config = EngineConfig {
        stored_apps,
        facts_kept: 1_000,
        ..EngineConfig::default()
    };
    Engine::new(config, dialects, Random::seeded(1))
}

/// The same in memory, with a store behind it. Writes are cut as `cut` says.
fn memory(config: Config, manner: Manner, cut: Cut) -> Memory<Kept> {
    let mut memory = Memory::new(Kept::new(engine(config), manner), "", cut);
    memory.with(Kept::open);
    memory
}
