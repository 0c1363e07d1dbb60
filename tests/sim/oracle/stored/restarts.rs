//! The server ends and begins again: what is left.

use super::super::{Channel, Oracle, Settings, User, pusher, pushi};
use super::Remembered;
use super::db::{KeptChannel, KeptUser};
use fanwire::time::{Now, Timer, Wheel};
use std::collections::BTreeSet;

impl Oracle {
    // ---- restarts ----------------------------------------------------------------------------

    /// What Channelstream's app is remembered by.
    pub(super) fn remembered(&self) -> Remembered {
        let own = |name: &str| pusher::bare(name) == name;
        let survives = |channel: &&Channel| {
            let has_settings = !channel.is_bare && channel.settings != Settings::default();
            own(&channel.name)
                && (channel.is_configured || has_settings || !channel.history.is_empty())
        };
        let channels = self.channels.iter().filter(survives);
        let channels = channels.map(|channel| KeptChannel {
            key: channel.key,
            name: channel.name.clone(),
            settings: channel.settings,
            is_configured: channel.is_configured,
            is_bare: channel.is_bare,
            history: channel.history.clone(),
        });
        let users = self.users.iter();
        let users = users.filter(|user| own(&user.name) && !user.state.is_empty());
        let users = users.map(|user| KeptUser {
            key: user.key,
            name: user.name.clone(),
            state: user.state.clone(),
            public_keys: user.public_keys.clone(),
        });
        Remembered {
            channels: channels.collect(),
            users: users.collect(),
        }
    }

    /// The ids of the events that are stored, oldest first, as far as they are known.
    fn mids(&self) -> Vec<&String> {
        let events = self.stored.db.events.iter();
        events
            .map(|event| self.bound.get(&event.mid).expect("handed over"))
            .collect()
    }

    /// The server has died, and starts again with what the store has: all that was kept, or, if the
    /// power was lost before that was synced, what is on disk. `found` are the ids of the events that are there.
    pub fn restart(&mut self, is_power_lost: bool, found: &[String], now: Now) {
        if is_power_lost {
            self.stored.db = self.stored.synced.clone();
        } else {
            self.stored.synced = self.stored.db.clone();
        }
        let known = self.mids();
        assert!(
            known.iter().copied().eq(found),
            "the store has {found:?} after the crash, expected {known:?}"
        );
        let acknowledged = std::mem::take(&mut self.stored.acknowledged);
        for mid in &acknowledged {
            let text = self.bound.get(mid).expect("handed over");
            let count = found.iter().filter(|found| *found == text).count();
            assert!(
                count == 1 || (count == 0 && is_power_lost),
                "{text} was acknowledged, and is there {count} times after the crash"
            );
        }
        self.pushi.counts.survived += found.len() as u64;
        let mut acknowledged = acknowledged;
        acknowledged.retain(|mid| found.contains(&self.bound[mid]));
        self.stored.acknowledged = acknowledged;
        self.stored.jobs.clear();
        self.stored.fresh.clear();
        self.stored.trouble = None;
        // Nobody is there any more, and nothing is known but what is remembered.
        self.lines.clear();
        self.subs.clear();
        self.users.clear();
        self.channels.clear();
        self.hang_ups.clear();
        self.facts.clear();
        self.wheel = Wheel::new();
        self.places = Default::default();
        self.is_draining = false;
        self.pushi.start_again(&self.stored.db.ended);
        let apps = self.stored.db.apps.clone();
        self.learn_apps_again(&apps);
        if !self.stored.persists {
            return;
        }
        let remembered = self.stored.db.remembered.clone();
        self.pushi.counts.remembered += remembered.channels.len() as u64;
        for kept in remembered.channels {
            self.channels.push(Channel {
                key: kept.key,
                name: kept.name.clone(),
                settings: kept.settings,
                is_configured: kept.is_configured,
                is_bare: kept.is_bare,
                members: Vec::new(),
                history: kept.history,
                recent: Vec::new(),
                // Told as it was, which is not known here.
                last_active: 0,
                guests: Vec::new(),
                cached: None,
                told_count: 0,
                timer: Timer::default(),
            });
            self.settle_channel(&kept.name, now);
        }
        for kept in remembered.users {
            self.users.push(User {
                key: kept.key,
                name: kept.name.clone(),
                state: kept.state,
                public_keys: kept.public_keys,
                private: Vec::new(),
                subs: Vec::new(),
                timer: Timer::default(),
            });
            self.settle_user(&kept.name, now);
        }
    }
}

impl pushi::Pushi {
    /// The server has started again: nobody is paired, and sessions are over that are stored as such.
    fn start_again(&mut self, ended: &BTreeSet<usize>) {
        self.forget_pairs();
        for (place, session) in self.sessions.iter_mut().enumerate() {
            session.is_over = ended.contains(&place);
        }
    }
}
