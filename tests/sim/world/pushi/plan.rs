//! Whether a run has Pushi and a store, and how.

use crate::Sabotage;
use crate::chance::Chance;
use crate::oracle::{PushiApp, Stored};
use crate::watched::WatchedPushi;
use crate::world::store::Side;
use fanwire::dialect::pushi::Pushi;
use fanwire::dialect::pushi::config::{App, Config};
use fanwire::handler::ConnId;
use fanwire::hub::AppId;
use std::cell::Cell;
use std::rc::Rc;

/// What is drawn for a run.
#[derive(Debug)]
pub struct Plan {
    apps: Vec<App>,
    deeds: u64,
    /// So often the server may still end and begin again.
    pub(super) restarts: u64,
    /// Channelstream's app is remembered.
    pub persists: bool,
    jobs_max: usize,
    /// The app in which Channelstream lives.
    channelstream: AppId,
}

/// What Channelstream's own app is called in the store.
const OWN: &str = "@channelstream";

fn digits(text: &str) -> String {
    text.repeat(64).chars().take(64).collect()
}

impl Plan {
    /// Drawn apart from everything else, so that runs without it are what they were before.
    pub fn draw(seed: u64, pusher: &[(AppId, String, bool)]) -> Self {
        let mut chance = Chance::new(!seed);
        let mut plan = Self {
            apps: Vec::new(),
            deeds: chance.within(1, 3),
            restarts: chance.within(0, 4),
            persists: false,
            jobs_max: 65_536,
            channelstream: AppId::FIRST,
        };
        let shared = pusher.iter().find(|(.., is_shared)| *is_shared);
        plan.channelstream = shared.map_or(AppId::FIRST, |(app, ..)| *app);
        // Runs without Pusher have admins, unless they have Pushi.
        let is_off = match pusher.is_empty() {
            true => !chance.one_in(4),
            false => chance.one_in(3),
        };
        if is_off {
            return plan;
        }
        plan.apps.push(App::new(
            AppId(9),
            "own",
            &digits("a1"),
            "pushi's own secret",
        ));
        match shared {
            Some((app, ident, _)) if !chance.one_in(4) => {
                let mut app = App::new(*app, ident, &digits("b2"), "a shared secret");
                (app.is_shared, app.is_pushers) = (true, true);
                plan.apps.push(app);
            }
            None if pusher.is_empty() && chance.one_in(2) => {
                let mut app = App::new(AppId::FIRST, OWN, &digits("c3"), "Channelstream's");
                app.is_shared = true;
                plan.apps.push(app);
            }
            Some(_) | None => {}
        }
        plan.persists = chance.one_in(2);
        if !plan.persists && chance.one_in(3) {
            plan.jobs_max = *chance.pick(&[2, 4]);
        }
        plan
    }

    pub fn is_none(&self) -> bool {
        self.apps.is_empty()
    }

    /// How much is done in each step.
    pub fn deeds(&self) -> u64 {
        match self.is_none() {
            true => 0,
            false => self.deeds,
        }
    }

    /// The apps of the settings that something is stored of.
    pub fn stored_apps(&self) -> Vec<(AppId, String)> {
        let apps = self.apps.iter();
        let mut stored: Vec<(AppId, String)> =
            apps.map(|app| (app.app, app.ident.clone())).collect();
        let is_there = stored.iter().any(|(app, _)| *app == self.channelstream);
        if self.persists && !is_there {
            stored.push((self.channelstream, OWN.to_owned()));
        }
        stored
    }

    pub fn side(&self, chance: &mut Chance) -> Option<Side> {
        if self.is_none() {
            return None;
        }
        let idents = self.stored_apps().into_iter().map(|(_, ident)| ident);
        Some(Side::new(chance, idents.collect(), self.persists))
    }

    pub fn dialect(
        &self,
        gone: &Rc<Cell<Vec<ConnId>>>,
        sabotage: Sabotage,
    ) -> Option<WatchedPushi> {
        if self.is_none() {
            return None;
        }
        let config = Config {
            apps: self.apps.clone(),
            open_registration: true,
            registrations_per_minute: u32::MAX,
            ..Config::default()
        };
        Some(WatchedPushi {
            inner: Pushi::new(config),
            gone: gone.clone(),
            sabotage,
        })
    }

    /// What the oracle knows of it.
    pub fn oracle(&self) -> (Vec<PushiApp>, Stored) {
        let marks = ["\u{2}\u{2}\u{2}", ""];
        let apps = self.apps.iter().zip(marks).enumerate();
        let apps = apps.map(|(at, (app, mark))| PushiApp {
            app: app.app,
            mark: mark.to_owned(),
            ident: app.ident.clone(),
            key: app.key.clone(),
            secret: app.secret.clone(),
            row: at as u32 + 1,
            is_shared: app.is_shared,
            made: None,
            is_gone: false,
        });
        let stored = self.stored_apps().len() as u32;
        (
            apps.collect(),
            Stored::new(self.jobs_max, self.persists, stored),
        )
    }
}
