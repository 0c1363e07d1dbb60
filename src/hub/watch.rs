//! Users who are somebody beyond their channels: who is watched by whom, what they say of themselves,
//! and what is for them alone.
//!
//! A user is online while it has a subscriber. Who is watched need not be known.

use super::{AppId, Effects, Event, Format, Hub, SubscriberId, UserId, Watched};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Both sides of watching.
#[derive(Debug, Default)]
pub(super) struct Watching {
    pub(super) watchers: BTreeMap<(AppId, Rc<str>), BTreeSet<SubscriberId>>,
    pub(super) watched: BTreeMap<SubscriberId, Vec<Rc<str>>>,
    /// What subscribers say of themselves, as JSON text.
    pub(super) infos: BTreeMap<SubscriberId, Rc<str>>,
}

impl Watching {
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty() && self.watched.is_empty() && self.infos.is_empty()
    }
}

impl Hub {
    /// From now on `who` is told when one of these users of its app comes online or goes offline,
    /// and of nobody else. Says which of them are online now, in the order given.
    pub fn watch<'n>(
        &mut self,
        who: SubscriberId,
        users: impl IntoIterator<Item = &'n str>,
    ) -> Vec<(&'n str, bool)> {
        self.stop_watching(who);
        let Some(app) = self.subscriber(who).map(|known| known.app) else {
            return Vec::new();
        };
        let (mut told, mut watched) = (Vec::new(), Vec::new());
        for name in users {
            let is_online = self.find_user(app, name).is_some_and(|user| {
                let user = self.users.get(user);
                user.is_some_and(|user| !user.subscribers.is_empty())
            });
            let name_kept: Rc<str> = match self.find_user(app, name) {
                Some(user) => self.users.get(user).map_or(name.into(), |u| u.name.clone()),
                None => name.into(),
            };
            let key = (app, name_kept.clone());
            let is_new = self.watching.watchers.entry(key).or_default().insert(who);
            if is_new {
                watched.push(name_kept);
                told.push((name, is_online));
            }
        }
        if !watched.is_empty() {
            self.watching.watched.insert(who, watched);
        }
        told
    }

    /// What `who` says of itself wherever it says nothing else, as JSON text.
    pub fn describe(&mut self, who: SubscriberId, info: Option<&str>) {
        if self.subscriber(who).is_none() {
            return;
        }
        match info {
            Some(info) => self.watching.infos.insert(who, info.into()),
            None => self.watching.infos.remove(&who),
        };
    }

    /// What it said in [`Hub::describe`].
    pub fn description(&self, who: SubscriberId) -> Option<Rc<str>> {
        self.watching.infos.get(&who).cloned()
    }

    /// `who` has gone: it watches nobody any more, and nothing is known of it.
    pub(super) fn stop_being_known(&mut self, who: SubscriberId) {
        self.watching.infos.remove(&who);
        self.stop_watching(who);
    }

    /// Tells the connections of a user that are told in `format`, without keeping it for those that
    /// are away. Says how many there were.
    pub fn tell_user(
        &mut self,
        user: UserId,
        format: Format,
        event: &Event<'_>,
        fx: &mut impl Effects,
    ) -> u64 {
        self.sequence += 1;
        self.totals.published += 1;
        let Some(user) = self.users.get(user) else {
            return 0;
        };
        let subscribers = user.subscribers.as_slice().iter();
        let told = subscribers.filter_map(|&who| self.subscriber(who));
        let outlets = told.filter(|known| known.format == format && !known.outlet.is_none());
        let (mut frame, mut delivered) = (None, 0);
        for known in outlets {
            if frame.is_none() {
                frame = fx.encode(format, event, false, self.sequence);
            }
            if let Some(frame) = &frame {
                fx.send(known.outlet, frame);
                delivered += 1;
            }
        }
        self.totals.delivered += delivered;
        delivered
    }

    /// `who` watches nobody any more.
    fn stop_watching(&mut self, who: SubscriberId) {
        if self.watching.watched.is_empty() {
            return;
        }
        let Some(names) = self.watching.watched.remove(&who) else {
            return;
        };
        let Some(app) = self.subscribers.get(who).map(|known| known.app) else {
            return;
        };
        for name in names {
            let key = (app, name);
            if let Some(watchers) = self.watching.watchers.get_mut(&key) {
                watchers.remove(&who);
                if watchers.is_empty() {
                    self.watching.watchers.remove(&key);
                }
            }
        }
    }

    /// A user has come online, or gone offline: tells whoever watches it.
    pub(super) fn tell_watchers(&self, user: UserId, is_online: bool, fx: &mut impl Effects) {
        if self.watching.watchers.is_empty() {
            return;
        }
        let Some(user) = self.users.get(user) else {
            return;
        };
        let key = (user.app, user.name.clone());
        let Some(watchers) = self.watching.watchers.get(&key) else {
            return;
        };
        let event = Event::Watched(Watched {
            user: &user.name,
            is_online,
        });
        let mut frames: Vec<(Format, Option<crate::frame::Frame>)> = Vec::new();
        for watcher in watchers {
            let Some(watcher) = self.subscriber(*watcher) else {
                continue;
            };
            let known = frames.iter().find(|(format, _)| *format == watcher.format);
            let frame = match known {
                Some((_, frame)) => frame.clone(),
                None => {
                    let frame = fx.encode(watcher.format, &event, false, self.sequence);
                    frames.push((watcher.format, frame.clone()));
                    frame
                }
            };
            if let Some(frame) = frame {
                fx.send(watcher.outlet, &frame);
            }
        }
    }
}
