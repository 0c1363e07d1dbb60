//! The naive hub: who is told what, who comes and goes, and what is forgotten when.

use super::{
    Alarm, Channel, Event, Kind, Message, Oracle, PLACEHOLDER, Sabotage, Settings, Sub, public,
    stamp,
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
        self.keep_recent(name, event);
        let forgets = self.sabotage == Sabotage::ForgetExclude;
        let is_for = |user: &str| {
            (forgets || !message.except.iter().any(|name| name == user))
                && (message.only.is_empty() || message.only.iter().any(|name| name == user))
        };
        self.delivered += self.tell(event, |sub| {
            sub.channels.contains(name) && is_for(&sub.user)
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
        for sub in &self.subs {
            if let Some(outlet) = sub.outlet
                && hears(sub)
                && let Some(line) = self.lines.get_mut(&outlet)
            {
                line.tell(event, false);
                told += 1;
            }
        }
        told
    }

    pub(super) fn ensure_channel(&mut self, name: &str, settings: Settings, now: Now) {
        if self.channels.iter().any(|c| c.name == *name) {
            return;
        }
        let channel = Channel {
            key: self.key(),
            name: name.to_owned(),
            settings,
            is_configured: false,
            members: Vec::new(),
            history: Vec::new(),
            recent: Vec::new(),
            last_active: now.unix_micros,
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
            let channel = self.channel(name);
            let member = channel.members.iter_mut().find(|(who, _)| *who == user);
            match member {
                Some((_, count)) => *count += 1,
                None => {
                    channel.members.push((user.clone(), 1));
                    self.sequence += 1;
                    self.presence(name, &user, true, now);
                }
            }
            let channel = self.channel(name);
            channel.timer.disarm();
            channel.last_active = now.unix_micros;
            self.sub(key).channels.push(name.clone());
            joined.push(name.clone());
        }
        joined
    }

    /// Tells a channel's others that `user` came or went.
    fn presence(&mut self, name: &str, user: &str, joined: bool, now: Now) {
        let channel = self.channel(name);
        if !channel.settings.notify_presence {
            return;
        }
        channel.last_active = now.unix_micros;
        let mut members = Vec::new();
        if channel.settings.with_members {
            let names: Vec<String> = channel.members.iter().map(|(who, _)| who.clone()).collect();
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
            },
            stamp: stamp(now.unix_micros),
        });
        let name = name.to_owned();
        self.tell(event, |sub| {
            sub.channels.contains(&name) && sub.user != *user
        });
        self.keep_recent(&name, event);
    }

    pub(super) fn unsubscribe(&mut self, key: u32, name: &str, now: Now) -> bool {
        let sub = self.sub(key);
        let Some(place) = sub.channels.iter().position(|known| known == name) else {
            return false;
        };
        sub.channels.swap_remove(place);
        let user = sub.user.clone();
        let channel = self.channel(name);
        let member = channel.members.iter().position(|(who, _)| *who == user);
        let member = member.expect("a subscriber's user is a member");
        channel.members[member].1 -= 1;
        if channel.members[member].1 == 0 {
            channel.members.remove(member);
            self.presence(name, &user, false, now);
        }
        self.settle_channel(name, now);
        true
    }

    pub(super) fn depart(&mut self, key: u32, now: Now) {
        let mut names = self.sub(key).channels.clone();
        names.sort_unstable();
        for name in names {
            self.unsubscribe(key, &name, now);
        }
        let place = self.subs.iter().position(|sub| sub.key == key);
        let sub = self.subs.remove(place.expect("it departs once"));
        self.settle_user(&sub.user, now);
        if let Some(outlet) = sub.outlet {
            self.hang_ups.push((outlet, "the connection was removed"));
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
        let rules = &self.rules;
        let channel = &mut self.channels[place];
        if !channel.members.is_empty() {
            return;
        }
        let wait_ms = if !channel.history.is_empty() || channel.is_configured {
            return channel.timer.disarm();
        } else if channel.settings != Settings::default() {
            rules.channel_configured_forget_ms
        } else {
            rules.channel_forget_ms
        };
        let alarm = Alarm::Channel(channel.key);
        let at = now.mono + wait_ms;
        self.wheel.arm(alarm, &mut channel.timer, at);
    }

    fn settle_user(&mut self, name: &str, now: Now) {
        if self.subs.iter().any(|sub| sub.user == name) {
            return;
        }
        let place = self.users.iter().position(|user| user.name == name);
        let place = place.expect("a subscriber's user is known");
        let at = now.mono + self.rules.user_forget_ms;
        let user = &mut self.users[place];
        user.private.clear();
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
                        self.depart(key, now);
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
                            self.channels.remove(place);
                        }
                    }
                }
            }
        }
        self.go_on(now);
    }
}
