//! Whose a subscriber is, who is in a channel, and how fast a socket may talk.

use super::super::{Channel, Message, Oracle, Sub, User};
use super::{Socket, bare};
use fanwire::time::{Now, Timer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    pub(in super::super) fn ensure_user(&mut self, name: &str) {
        if self.users.iter().any(|user| user.name == name) {
            return;
        }
        let key = self.key();
        self.users.push(User {
            key,
            name: name.to_owned(),
            state: BTreeMap::new(),
            public_keys: Vec::new(),
            private: Vec::new(),
            subs: Vec::new(),
            timer: Timer::default(),
        });
    }

    /// A subscriber is this user's; whoever watches it is told of the first.
    pub(in super::super) fn own(&mut self, key: u32, user: &str) {
        let known = self.user(user);
        known.subs.push(key);
        if known.subs.len() == 1 {
            self.tell_watchers(user, true);
        }
    }

    /// It has gone.
    pub(in super::super) fn disown(&mut self, key: u32, user: &str) {
        let known = self.user(user);
        let place = known.subs.iter().position(|&sub| sub == key);
        known.subs.swap_remove(place.expect("one of its own"));
        if known.subs.is_empty() {
            self.tell_watchers(user, false);
        }
    }

    pub(in super::super) fn own_channels(&self) -> Vec<String> {
        let own = self.channels.iter().filter(|c| bare(&c.name) == c.name);
        own.map(|c| c.name.clone()).collect()
    }

    pub(in super::super) fn subscribers(&self, name: &str) -> usize {
        let is_in = |sub: &&Sub| sub.channels.iter().any(|known| known == name);
        self.subs.iter().filter(is_in).count()
    }

    /// Those in a channel who are one of these users, everywhere or there only.
    pub(in super::super) fn those(&self, name: &str, users: &[String]) -> BTreeSet<u32> {
        let guests = self.channels.iter().find(|c| c.name == name);
        let guests = guests.map_or(&[][..], |c: &Channel| &c.guests);
        let guests = guests.iter().filter(|guest| users.contains(&guest.user));
        let owners = self.subs.iter().filter(|sub| users.contains(&sub.user));
        let guests = guests.map(|guest| guest.key);
        guests.chain(owners.map(|sub| sub.key)).collect()
    }
}

impl Socket {
    pub(super) fn may_talk(&mut self, per_s: u64, now: Now) -> bool {
        let (taken, at) = self.taken;
        let refilled = now.mono.since(at) * per_s;
        let taken = taken.saturating_sub(refilled) + 1_000;
        let fits = taken <= per_s * 1_000;
        self.taken = (taken - u64::from(!fits) * 1_000, now.mono);
        fits
    }
}

impl Message {
    /// Puts what it carries into an object.
    pub(in super::super) fn write_body(&self, object: &mut Value) {
        if let Some((event, data)) = &self.named {
            object["message"] = json!({"event": event, "data": data});
        } else if let Some(body) = &self.body {
            object["message"] = body.clone();
        }
    }

    /// Whether a cached channel shows it.
    pub(in super::super) fn is_cached(&self) -> bool {
        !self.no_history && self.only.is_empty() && self.except.is_empty()
    }
}
