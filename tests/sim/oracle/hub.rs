//! The naive hub: who is told what, who comes and goes, and what is forgotten when.

use super::{
    Alarm, Channel, Event, Kind, Message, Oracle, PLACEHOLDER, Present, Sabotage, Said, Settings,
    Sub, public, stamp,
};
use fanwire::time::{Millis, Now, Timer};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Oracle {
    /// Somebody publishes. The event's place is returned.
    pub fn publish(&mut self, message: &Message, now: Now) -> usize {
        self.sequence += 1;
        self.published += 1;
        let event = self.events.len();
        let drawn = || format!("{PLACEHOLDER}event{event}");
        self.events.push(Event {
            told: self.sequence,
            id: message.id.clone().unwrap_or_else(drawn),
            kind: Kind::Message(message.clone()),
            stamp: stamp(now.unix_micros),
            edited: None,
        });
        let Some(name) = &message.channel else {
            self.delivered += self.tell_users(event, &message.only, &message.except, now);
            return event;
        };
        let is_cached = message.is_cached() && self.traits(name).is_cached;
        if is_cached {
            // Who comes next is to see it.
            self.ensure_bare_channel(name, now);
        }
        let Some(channel) = self.channels.iter_mut().find(|c| c.name == *name) else {
            return event;
        };
        channel.last_active = now.unix_micros;
        let settings = channel.settings;
        if settings.store_history && !message.no_history && settings.history_size > 0 {
            channel.history.push(event);
            let most = settings.history_size;
            let over = channel.history.len().saturating_sub(most);
            channel.history.drain(..over);
        }
        if is_cached {
            self.cache(name, Some(event), now);
        }
        self.keep_recent(name, event);
        let except = match self.sabotage {
            Sabotage::ForgetExclude => BTreeSet::new(),
            _ => self.those(name, &message.except),
        };
        let only = self.those(name, &message.only);
        let not_to = message
            .not_to
            .filter(|_| self.sabotage != Sabotage::ForgetSocket);
        self.delivered += self.tell(event, |sub| {
            sub.channels.contains(name)
                && Some(sub.key) != not_to
                && !except.contains(&sub.key)
                && (message.only.is_empty() || only.contains(&sub.key))
        });
        self.settle_channel(name, now);
        event
    }

    /// Tells the users of these names, and keeps it for them.
    pub(super) fn tell_users(
        &mut self,
        event: usize,
        only: &[String],
        except: &[String],
        now: Now,
    ) -> u64 {
        let sequence = self.sequence;
        let mut told = 0;
        let names: BTreeSet<&String> = only.iter().collect();
        for name in names {
            if except.contains(name) || !self.users.iter().any(|user| user.name == *name) {
                continue;
            }
            if !self.subs.iter().any(|sub| sub.user == *name) {
                self.touch(name, now);
                continue;
            }
            let most = self.rules.catch_up_private;
            let private = &mut self.user(name).private;
            private.push((sequence, event));
            private.drain(..private.len().saturating_sub(most));
            told += self.tell(event, |sub| sub.user == *name);
        }
        told
    }

    /// A user who is only remembered is so from now on.
    pub(super) fn touch(&mut self, name: &str, now: Now) {
        if !self.subs.iter().any(|sub| sub.user == name) {
            self.user(name).timer.disarm();
            self.settle_user(name, now);
        }
    }

    pub(super) fn keep_recent(&mut self, name: &str, event: usize) {
        let (sequence, most) = (self.sequence, self.rules.catch_up_events);
        let channel = self.channels.iter_mut().find(|c| c.name == name);
        let channel = channel.expect("only called for one that is there");
        if channel.settings.store_frames {
            channel.recent.push((sequence, event));
            let over = channel.recent.len().saturating_sub(most);
            channel.recent.drain(..over);
        }
    }

    /// Tells every attached subscriber that `hears`. How many that are.
    pub(super) fn tell(&mut self, event: usize, hears: impl Fn(&Sub) -> bool) -> u64 {
        let mut told = 0;
        let mut once = self.once.take();
        for sub in &self.subs {
            if let Some(outlet) = sub.outlet
                && self.is_told(event, sub)
                && hears(sub)
                && once.as_mut().is_none_or(|once| once.insert(sub.key))
                && let Some(line) = self.lines.get_mut(&outlet)
            {
                line.tell(event, false);
                told += 1;
            }
        }
        self.once = once;
        told
    }

    /// By a protocol with settings, which the first such caller gives.
    pub(super) fn ensure_channel(&mut self, name: &str, settings: Settings, now: Now) {
        self.ensure_bare_channel(name, now);
        let channel = self.channel(name);
        if std::mem::take(&mut channel.is_bare) {
            channel.settings = settings;
        }
    }

    /// By one without.
    pub(super) fn ensure_bare_channel(&mut self, name: &str, now: Now) {
        if self.channels.iter().any(|c| c.name == *name) {
            return;
        }
        let settings = Settings {
            store_frames: self.is_shared(name),
            ..Settings::default()
        };
        let channel = Channel {
            key: self.key(),
            name: name.to_owned(),
            settings,
            is_configured: false,
            is_bare: true,
            members: Vec::new(),
            history: Vec::new(),
            recent: Vec::new(),
            last_active: now.unix_micros,
            guests: Vec::new(),
            cached: None,
            told_count: 0,
            timer: Timer::default(),
        };
        self.channels.push(channel);
    }

    pub(super) fn join_all(
        &mut self,
        key: u32,
        names: &[String],
        configs: &[(String, Settings)],
        now: Now,
    ) -> Vec<String> {
        let mut joined = Vec::new();
        for name in names {
            let config = configs.iter().find(|(of, _)| of == name);
            let settings = config.map(|(_, settings)| *settings).unwrap_or_default();
            self.ensure_channel(name, settings, now);
            let most = self.rules.channels_per_subscriber;
            let sub = self.sub(key);
            if sub.channels.contains(name) {
                continue;
            }
            if sub.channels.len() >= most {
                self.settle_channel(name, now);
                continue;
            }
            let user = sub.user.clone();
            self.become_member(name, &user, None, now);
            self.enter(key, name, now);
            self.count_changed(name, now);
            joined.push(name.clone());
        }
        joined
    }

    /// One more subscriber of `user` is in a channel; the others are told of the first.
    pub(super) fn become_member(&mut self, name: &str, user: &str, info: Option<Said>, now: Now) {
        let channel = self.channel(name);
        let member = channel.members.iter_mut().find(|there| there.user == user);
        match member {
            Some(member) => {
                member.count += 1;
                member.said = info.or(member.said.take());
            }
            None => {
                channel.members.push(Present {
                    user: user.to_owned(),
                    count: 1,
                    said: info.clone(),
                });
                // That somebody is there at all comes before who it is.
                if self.subscribers(name) == 0 {
                    self.occupied(name, true);
                }
                self.sequence += 1;
                self.user(user).timer.disarm();
                self.presence(name, user, (true, info), now);
            }
        }
    }

    /// A subscriber is in a channel from here on.
    pub(super) fn enter(&mut self, key: u32, name: &str, now: Now) {
        let is_first = self.subscribers(name) == 0;
        let channel = self.channel(name);
        channel.last_active = now.unix_micros;
        if is_first {
            channel.timer.disarm();
            channel.told_count = 0;
            // Else that was said with the first member.
            if channel.members.is_empty() {
                self.occupied(name, true);
            }
        }
        self.sub(key).channels.push(name.to_owned());
    }

    /// Tells a channel's others that `user` came, saying something of itself, or went.
    fn presence(&mut self, name: &str, user: &str, (joined, info): (bool, Option<Said>), now: Now) {
        let has_members = self.traits(name).has_members;
        let channel = self.channel(name);
        let by_settings = channel.settings.notify_presence;
        if !by_settings && !has_members {
            return;
        }
        channel.last_active = now.unix_micros;
        let mut members = Vec::new();
        if by_settings && channel.settings.with_members {
            let names = channel.members.iter().map(|there| there.user.clone());
            let names: Vec<String> = names.collect();
            for name in names {
                let state = public(self.user(&name));
                members.push(json!({"user": name, "state": state}));
            }
        }
        let state = if joined {
            public(self.user(user))
        } else {
            Value::Null
        };
        self.sequence += 1;
        let event = self.events.len();
        self.events.push(Event {
            told: self.sequence,
            id: format!("{PLACEHOLDER}event{event}"),
            edited: None,
            kind: Kind::Presence {
                joined,
                channel: name.to_owned(),
                user: user.to_owned(),
                state,
                members,
                info,
                by_settings,
            },
            stamp: stamp(now.unix_micros),
        });
        if has_members {
            self.came(name, user, joined);
        }
        let name = name.to_owned();
        // The one it is about is not in yet, or not any more.
        self.tell(event, |sub| sub.channels.contains(&name));
        if by_settings {
            self.keep_recent(&name, event);
        }
    }

    pub(super) fn unsubscribe(&mut self, key: u32, name: &str, now: Now) -> bool {
        let sub = self.sub(key);
        let Some(place) = sub.channels.iter().position(|known| known == name) else {
            return false;
        };
        sub.channels.remove(place);
        let own = sub.socket.is_none().then(|| sub.user.clone());
        let channel = self.channel(name);
        let guest = channel.guests.iter().position(|guest| guest.key == key);
        let guest = guest.map(|place| channel.guests.remove(place));
        let guest = guest.map(|guest| (guest.user, guest.said));
        if let Some((user, said)) = guest.or(own.map(|own| (own, None))) {
            let member = channel.members.iter().position(|there| there.user == user);
            let member = member.expect("a subscriber's user is a member");
            channel.members[member].count -= 1;
            let is_last = channel.members[member].count == 0;
            self.leave_pairs(key, name, is_last.then_some(&user));
            if is_last {
                self.channel(name).members.remove(member);
                self.presence(name, &user, (false, said), now);
                self.settle_user(&user, now);
            }
        }
        match self.subscribers(name) {
            0 => self.occupied(name, false),
            _ => self.count_changed(name, now),
        }
        self.settle_channel(name, now);
        true
    }

    pub(super) fn depart(&mut self, key: u32, now: Now) {
        self.depart_as(key, (1000, "the connection was removed"), now);
    }

    /// The same, with the last words for its connection.
    pub(super) fn depart_as(&mut self, key: u32, words: (u16, &'static str), now: Now) {
        let sub = self.sub(key);
        let outlet = sub.outlet.take();
        if let Some(socket) = &mut sub.socket {
            socket.watches.clear();
        }
        for name in self.sub(key).channels.clone() {
            self.unsubscribe(key, &name, now);
        }
        let place = self.subs.iter().position(|sub| sub.key == key);
        let sub = self.subs.remove(place.expect("it departs once"));
        if !sub.user.is_empty() {
            self.disown(key, &sub.user);
            self.settle_user(&sub.user, now);
        }
        if let Some(outlet) = outlet {
            self.hang_ups.push((outlet, words.0, words.1));
        }
    }

    pub(super) fn expire_at(&mut self, key: u32, at: Millis) {
        let late = u64::from(self.sabotage == Sabotage::LateExpiry) * 1_000;
        let sub = self.subs.iter_mut().find(|sub| sub.key == key);
        let sub = sub.expect("a subscriber that lives");
        self.wheel.arm(Alarm::Sub(key), &mut sub.timer, at + late);
    }

    pub(super) fn settle_channel(&mut self, name: &str, now: Now) {
        let place = self.channels.iter().position(|c| c.name == name);
        let place = place.expect("only called for one that is there");
        if self.subscribers(name) > 0 {
            return;
        }
        let is_served = self.is_fleeting(name);
        let rules = &self.rules;
        let channel = &mut self.channels[place];
        let wait_ms = if !channel.history.is_empty() || channel.is_configured {
            return channel.timer.disarm();
        } else if is_served && channel.is_bare {
            // It is there for what it shows, or not at all.
            let until = channel.cached.as_ref().map(|cached| cached.until);
            match until.filter(|until| *until > now.mono) {
                None => drop(self.channels.remove(place)),
                Some(until) => {
                    let alarm = Alarm::Channel(channel.key);
                    self.wheel.arm(alarm, &mut channel.timer, until);
                }
            }
            return;
        } else if channel.settings != Settings::default() {
            rules.channel_configured_forget_ms
        } else {
            rules.channel_forget_ms
        };
        let alarm = Alarm::Channel(channel.key);
        let shown = channel.cached.as_ref().map(|cached| cached.until);
        let at = shown.map_or(now.mono + wait_ms, |until| until.max(now.mono + wait_ms));
        self.wheel.arm(alarm, &mut channel.timer, at);
    }

    pub(super) fn settle_user(&mut self, name: &str, now: Now) {
        if self.subs.iter().any(|sub| sub.user == name) {
            return;
        }
        let place = self.users.iter().position(|user| user.name == name);
        let place = place.expect("a subscriber's user is known");
        let at = now.mono + self.rules.user_forget_ms;
        let is_member = |channel: &Channel| channel.members.iter().any(|there| there.user == name);
        let is_present = self.channels.iter().any(is_member);
        let user = &mut self.users[place];
        user.private.clear();
        if is_present {
            return;
        }
        if user.state.is_empty() {
            self.users.remove(place);
        } else {
            let alarm = Alarm::User(user.key);
            self.wheel.arm(alarm, &mut user.timer, at);
        }
    }

    /// Time has come to `now`.
    pub fn tick(&mut self, now: Now) {
        let mut surfaced = Vec::new();
        self.wheel.surface(now.mono, &mut surfaced);
        for entry in surfaced {
            match entry.key {
                Alarm::Sub(key) => {
                    let sub = self.subs.iter_mut().find(|sub| sub.key == key);
                    if let Some(sub) = sub
                        && self.wheel.rings(entry, &mut sub.timer, now.mono)
                    {
                        self.sockets.expired += u64::from(sub.outlet.is_some());
                        let words = match sub.outlet {
                            None => (1000, "the connection was removed"),
                            // It had so long to prove something.
                            Some(_) => (4009, "this connection is not authorized"),
                        };
                        self.depart_as(key, words, now);
                    }
                }
                Alarm::User(key) => {
                    let place = self.users.iter().position(|user| user.key == key);
                    if let Some(place) = place {
                        let timer = &mut self.users[place].timer;
                        if self.wheel.rings(entry, timer, now.mono) {
                            self.users.remove(place);
                        }
                    }
                }
                Alarm::Channel(key) => {
                    let place = self.channels.iter().position(|c| c.key == key);
                    if let Some(place) = place {
                        let timer = &mut self.channels[place].timer;
                        if self.wheel.rings(entry, timer, now.mono) {
                            let name = self.channels[place].name.clone();
                            match self.subscribers(&name) {
                                0 => drop(self.channels.remove(place)),
                                _ => self.count_due(&name, now),
                            }
                        }
                    }
                }
            }
        }
        self.go_on(now);
    }
}
