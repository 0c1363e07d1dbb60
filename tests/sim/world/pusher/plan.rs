//! Which apps there are in a run, for the server and for the oracle.

use super::GUESSED;
use crate::Sabotage;
use crate::chance::Chance;
use crate::oracle::{Oracle, Rules, Served};
use crate::watched::{Watched, WatchedPusher, WatchedPushi};
use fanwire::dialect::Dialect;
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{App, Config};
use fanwire::hub::AppId;

/// Which apps there are in a run.
#[derive(Debug)]
pub struct Plan {
    pub(super) apps: Vec<App>,
    deeds: u64,
    /// So many more sockets are opened at once and want to be in one channel.
    pub(super) crowd: u64,
}

/// The app that is Pusher's alone, the one that is shared, and one that is switched off.
const MARKS: [&str; 3] = ["\u{2}", "", "\u{2}\u{2}"];

impl Plan {
    pub fn draw(chance: &mut Chance) -> Self {
        let count = match chance.below(3) {
            0 => 0,
            1 => 1,
            _ => 2,
        };
        let mut apps = Vec::new();
        for at in [0, 1, 2] {
            if count == 0 || (at == 1 && count == 1) {
                continue;
            }
            let number = at as u16 + 1;
            let (id, key) = (number.to_string(), format!("key-{number}"));
            let mut app = App::new(AppId(number), &id, &key, &format!("secret {number}"));
            app.is_shared = at == 1;
            app.enabled = at != 2;
            app.subscription_count = chance.one_in(2);
            app.activity_s = *chance.pick(&[1, 10, 120]);
            app.channels_per_connection = 3;
            app.members_max = *chance.pick(&[2, 100]);
            app.watchlist_max = *chance.pick(&[2, 100]);
            app.cache_ms = *chance.pick(&[500, 2_000, 1_800_000]);
            app.event_bytes = *chance.pick(&[300, 1_500]);
            app.client_events = !chance.one_in(8);
            app.client_events_per_s = *chance.pick(&[2, 10]);
            app.signin = !chance.one_in(8);
            app.watchlist = !chance.one_in(4);
            app.connections_max = *chance.pick(&[6, usize::MAX, usize::MAX]);
            app.authorized_only = chance.one_in(8);
            apps.push(app);
        }
        let crowd = match apps.first() {
            Some(app) if chance.one_in(16) && app.connections_max > 1_000 => 104,
            _ => 0,
        };
        if crowd > 0 {
            apps[0].subscription_count = true;
            apps[0].authorized_only = false;
        }
        Self {
            deeds: chance.within(1, 3),
            apps,
            crowd,
        }
    }

    pub fn is_none(&self) -> bool {
        self.apps.is_empty()
    }

    pub fn is_shared(&self) -> bool {
        self.apps.iter().any(|app| app.is_shared)
    }

    /// How much is done in each step.
    pub fn deeds(&self) -> u64 {
        match self.is_none() {
            true => 0,
            false => self.deeds,
        }
    }

    /// The app in which Channelstream lives.
    pub fn channelstream(&self) -> AppId {
        let shared = self.apps.iter().find(|app| app.is_shared);
        shared.map_or(AppId::FIRST, |app| app.app)
    }

    /// The dialects of the server.
    pub fn dialects(&self, watched: Watched, pushi: Option<WatchedPushi>) -> Vec<Box<dyn Dialect>> {
        let mut dialects: Vec<Box<dyn Dialect>> = Vec::new();
        dialects.extend(
            self.dialect(&watched)
                .map(|own| Box::new(own) as Box<dyn Dialect>),
        );
        dialects.extend(pushi.map(|pushi| Box::new(pushi) as Box<dyn Dialect>));
        dialects.push(Box::new(watched));
        dialects
    }

    fn dialect(&self, watched: &Watched) -> Option<WatchedPusher> {
        if self.is_none() {
            return None;
        }
        let mut apps = self.apps.clone();
        for app in &mut apps {
            match watched.sabotage {
                Sabotage::KeepCached => app.cache_ms += 1_000,
                Sabotage::MixApps if self.is_shared() => app.app = self.channelstream(),
                Sabotage::SmallRooms => app.members_max -= 1,
                _ => {}
            }
        }
        let config = |apps| Config {
            apps,
            ..Config::default()
        };
        let is_planted = watched.sabotage == Sabotage::AcceptForged;
        let forger = is_planted.then(|| {
            let mut apps = apps.clone();
            for app in &mut apps {
                GUESSED.clone_into(&mut app.secret);
            }
            Pusher::new(config(apps))
        });
        Some(WatchedPusher {
            inner: Pusher::new(config(apps)),
            forger,
            gone: watched.gone.clone(),
            sabotage: watched.sabotage,
        })
    }

    /// The apps: their numbers, their ids, and whether Channelstream lives there.
    pub fn names(&self) -> Vec<(AppId, String, bool)> {
        let apps = self.apps.iter();
        apps.map(|app| (app.app, app.id.clone(), app.is_shared))
            .collect()
    }

    /// An oracle that knows the apps.
    pub fn oracle(&self, rules: Rules, sabotage: Sabotage) -> Oracle {
        let mut oracle = Oracle::new(rules, sabotage);
        let served = self.apps.iter().map(|app| Served {
            app: app.clone(),
            mark: MARKS[usize::from(app.app.0) - 1],
        });
        oracle.served = served.collect();
        oracle
    }

    pub(super) fn keys(&self, app: usize) -> Keys {
        let app = &self.apps[app];
        Keys::new(&app.key, &app.secret)
    }
}
