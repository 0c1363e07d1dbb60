//! What sockets of Pusher's are told, and the rest of the world: events in Pusher's words, what a
//! cached channel shows, who is there, how many there are.

use super::super::{Channel, Expect, Kind, Oracle};
use super::{Cached, TEXT, bare, error};
use crate::Sabotage;
use fanwire::dialect::pusher::config::App;
use fanwire::handler::ConnId;
use fanwire::hub::{AppId, Fact};
use fanwire::limits::{COUNT_AT_ONCE_MAX, COUNT_EVERY_MS};
use fanwire::time::{Millis, Now};
use serde_json::{Value, json};

/// What happened to sockets of Pusher's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sockets {
    pub refused: u64,
    pub subscribed: u64,
    pub refusals: u64,
    pub full: u64,
    pub client_events: u64,
    pub rejected: u64,
    pub signed_in: u64,
    pub unauthorized: u64,
    pub expired: u64,
    pub came: u64,
    pub went: u64,
    pub shown: u64,
    pub missed: u64,
    pub counted: u64,
    pub throttled: u64,
    pub watched: u64,
    pub foreign: u64,
    pub facts: u64,
    pub published: u64,
    pub left_out: u64,
    pub to_users: u64,
    pub terminated: u64,
    pub looked: u64,
    pub silent: u64,
    pub asked: u64,
    pub turned_away: u64,
}

impl Sockets {
    /// Each by its name.
    pub fn all(&mut self) -> [(&'static str, &mut u64); 26] {
        [
            ("sockets of Pusher's that were refused", &mut self.refused),
            ("subscriptions of theirs", &mut self.subscribed),
            ("refused subscriptions", &mut self.refusals),
            ("full presence channels", &mut self.full),
            ("client events", &mut self.client_events),
            ("rejected client events", &mut self.rejected),
            ("users that signed in", &mut self.signed_in),
            ("users that did not", &mut self.unauthorized),
            ("sockets that proved nothing", &mut self.expired),
            ("members that came", &mut self.came),
            ("members that went", &mut self.went),
            ("cached events that were shown", &mut self.shown),
            ("cache misses", &mut self.missed),
            ("subscription counts", &mut self.counted),
            ("counts that had to wait", &mut self.throttled),
            ("watched users that came or went", &mut self.watched),
            ("events of the other protocol", &mut self.foreign),
            ("facts", &mut self.facts),
            ("events of applications", &mut self.published),
            ("sockets that were left out", &mut self.left_out),
            ("events for users", &mut self.to_users),
            ("terminated sockets", &mut self.terminated),
            ("looks at channels", &mut self.looked),
            ("silent sockets of Pusher's", &mut self.silent),
            ("sockets that were asked", &mut self.asked),
            ("refused requests of applications", &mut self.turned_away),
        ]
    }

    pub fn add(&mut self, mut other: Self) {
        for ((_, count), (_, more)) in self.all().into_iter().zip(other.all()) {
            *count += *more;
        }
    }
}

impl Oracle {
    // ---- events ------------------------------------------------------------------------------

    /// Whether an event is told to a subscriber in the words of its protocol.
    pub(in super::super) fn is_told(&self, event: usize, sub: &super::Sub) -> bool {
        let to_pusher = sub.socket.is_some();
        let is_pushi = sub.socket.as_ref().is_some_and(|s| s.talk.is_some());
        match &self.events[event].kind {
            // Whoever is there as nobody is not told who is.
            Kind::Presence { channel, .. } if is_pushi => self.is_guest(sub.key, channel),
            Kind::Message(message) => !to_pusher || message.channel.is_some(),
            Kind::Amendment(amendment) => !to_pusher || amendment.channel.is_some(),
            Kind::State { .. } => true,
            Kind::Presence {
                channel,
                by_settings,
                ..
            } => match to_pusher {
                true => self.traits(channel).has_members,
                false => *by_settings,
            },
        }
    }

    /// An event in Pusher's words.
    pub(in super::super) fn in_pusher(&self, event: usize) -> Value {
        let foreign = |name: &str, channel: &Option<String>| {
            let channel = channel.as_deref().expect("not told otherwise");
            let [object] = self
                .frame(event, false)
                .as_array_mut()
                .map(std::mem::take)
                .and_then(|list| <[Value; 1]>::try_from(list).ok())
                .expect("a list of one");
            json!({"event": name, "channel": bare(channel), "data": { TEXT: object }})
        };
        match &self.events[event].kind {
            Kind::Message(message) => match &message.named {
                None => foreign("message", &message.channel),
                Some((name, data)) => {
                    let channel = message.channel.as_deref().expect("not told otherwise");
                    let mut words = json!({"event": name, "channel": bare(channel), "data": data});
                    if !message.user.is_empty() && self.traits(channel).has_members {
                        words["user_id"] = json!(message.user);
                    }
                    words
                }
            },
            Kind::Amendment(amendment) => match amendment.edit {
                Some(_) => foreign("message:edit", &amendment.channel),
                None => foreign("message:delete", &amendment.channel),
            },
            Kind::State { channel, .. } => foreign("user_state_change", &Some(channel.clone())),
            Kind::Presence {
                joined,
                channel,
                user,
                state,
                members: _,
                info,
                by_settings: _,
            } => {
                let mut data = json!({"user_id": bare(user)});
                let name = match joined {
                    true => "pusher_internal:member_added",
                    false => "pusher_internal:member_removed",
                };
                match (info, state.as_object()) {
                    _ if !joined => {}
                    (Some(said), _) => data["user_info"] = said.words.clone(),
                    (None, Some(state)) if !state.is_empty() => data["user_info"] = json!(state),
                    (None, _) => {}
                }
                json!({"event": name, "channel": bare(channel), "data": { TEXT: data }})
            }
        }
    }

    /// Whether a text is this event in Pusher's words.
    pub fn check_pusher(&mut self, event: usize, text: &str) {
        let is_foreign = match &self.events[event].kind {
            Kind::Message(message) => message.named.is_none(),
            Kind::Amendment(_) | Kind::State { .. } => true,
            Kind::Presence { .. } => false,
        };
        self.sockets.foreign += u64::from(is_foreign);
        let expected = self.in_pusher(event);
        self.check_said(&expected, text);
    }

    /// Whether a socket is told what it ought to be.
    pub fn check_said(&mut self, expected: &Value, text: &str) {
        let got: Value = serde_json::from_str(text).expect("a frame is JSON");
        assert!(
            super::super::answers::same(expected, &got, &mut self.bound),
            "a frame says {got}, expected {expected}"
        );
    }

    // ---- facts -------------------------------------------------------------------------------

    fn app_id(&self, name: &str) -> AppId {
        let served = self.served_of(name);
        let pushi = self.pushi_of(name).map_or(AppId::FIRST, |app| app.app);
        served.map_or(pushi, |served| served.app.app)
    }

    pub(super) fn announce(&mut self, name: &str, fact: Fact<Box<str>>) {
        self.sockets.facts += 1;
        let app = self.app_id(name);
        self.facts.push((app, fact));
    }

    /// What the rest of the world was to be told since the last look.
    pub fn take_facts(&mut self) -> Vec<fanwire::dialect::KeptFact> {
        std::mem::take(&mut self.facts)
    }

    /// The first came to a channel, or the last left it.
    pub(in super::super) fn occupied(&mut self, name: &str, is_occupied: bool) {
        let channel = bare(name).into();
        let fact = match is_occupied {
            true => Fact::Occupied { channel },
            false => Fact::Vacated { channel },
        };
        self.announce(name, fact);
    }

    /// A user came to a channel that has members, or left it.
    pub(in super::super) fn came(&mut self, name: &str, user: &str, joined: bool) {
        let (channel, user) = (bare(name).into(), bare(user).into());
        self.sockets.came += u64::from(joined);
        self.sockets.went += u64::from(!joined);
        let fact = match joined {
            true => Fact::MemberAdded { channel, user },
            false => Fact::MemberRemoved { channel, user },
        };
        self.announce(name, fact);
    }

    // ---- cached channels ---------------------------------------------------------------------

    /// A cached channel shows this from now on, or was found to show nothing.
    pub(in super::super) fn cache(&mut self, name: &str, event: Option<usize>, now: Now) {
        let served = self.served_of(name).expect("others keep nothing");
        let until = now.mono + served.app.cache_ms;
        self.channel(name).cached = Some(Cached { event, until });
    }

    /// What a cached channel shows, and until when.
    pub(super) fn shown(&self, name: &str, now: Now) -> Option<(usize, Millis)> {
        let channel = self.channels.iter().find(|c: &&Channel| c.name == name)?;
        let cached = channel
            .cached
            .as_ref()
            .filter(|cached| cached.until > now.mono)?;
        Some((cached.event?, cached.until))
    }

    pub(super) fn show_cached(&mut self, conn: ConnId, name: &str, now: Now) {
        if let Some((event, _)) = self.shown(name, now) {
            self.sockets.shown += 1;
            let catch_up = false;
            return self.expect(conn, Expect::Frame { event, catch_up });
        }
        self.sockets.missed += 1;
        let cached = self.channel(name).cached.as_ref();
        if !cached.is_some_and(|cached| cached.event.is_none() && cached.until > now.mono) {
            let channel = bare(name).into();
            self.announce(name, Fact::CacheMiss { channel });
            self.cache(name, None, now);
        }
        let words = json!({"event": "pusher:cache_miss", "channel": bare(name), "data": "{}"});
        self.expect(conn, Expect::Said(words));
    }

    // ---- counts ------------------------------------------------------------------------------

    /// One more is in a channel, or one fewer.
    pub(in super::super) fn count_changed(&mut self, name: &str, now: Now) {
        let tells = self
            .served_of(name)
            .is_some_and(|served| served.app.subscription_count);
        if !tells || self.traits(name).has_members {
            return;
        }
        let count = self.subscribers(name);
        if count > COUNT_AT_ONCE_MAX {
            if self.channel(name).timer.due() != Millis::NEVER {
                self.sockets.throttled += 1;
                return;
            }
            self.count_at(name, now.mono + COUNT_EVERY_MS);
        } else {
            self.channel(name).timer.disarm();
        }
        self.tell_count(name, count);
    }

    fn count_at(&mut self, name: &str, at: Millis) {
        let place = self.channels.iter().position(|c| c.name == name);
        let channel = &mut self.channels[place.expect("it is there")];
        let alarm = super::super::Alarm::Channel(channel.key);
        self.wheel.arm(alarm, &mut channel.timer, at);
    }

    /// The time for the next number has come.
    pub(in super::super) fn count_due(&mut self, name: &str, now: Now) {
        let count = self.subscribers(name);
        if self.channel(name).told_count != count {
            self.tell_count(name, count);
            self.count_at(name, now.mono + COUNT_EVERY_MS);
        }
    }

    fn tell_count(&mut self, name: &str, count: usize) {
        self.sockets.counted += 1;
        self.channel(name).told_count = count;
        let data = json!({ "subscription_count": count });
        let words = json!({
            "event": "pusher_internal:subscription_count", "channel": bare(name),
            "data": { TEXT: data },
        });
        let is_in = |channels: &[String]| channels.iter().any(|known| known == name);
        let is_pushers = |sub: &&super::Sub| sub.socket.as_ref().is_some_and(|s| s.talk.is_none());
        let hear = self.subs.iter().filter(is_pushers);
        let hear = hear.filter(|sub| is_in(&sub.channels));
        let hear: Vec<ConnId> = hear.filter_map(|sub| sub.outlet).collect();
        self.say_to(&hear, &words);
        let channel = bare(name).into();
        let count = count as u64;
        self.announce(name, Fact::Count { channel, count });
    }

    pub(super) fn say_to(&mut self, conns: &[ConnId], words: &Value) {
        for conn in conns {
            if let Some(line) = self.lines.get_mut(conn) {
                line.expect.push_back(Expect::Said(words.clone()));
            }
        }
    }

    // ---- watching ----------------------------------------------------------------------------

    pub(super) fn watch(&mut self, conn: ConnId, key: u32, watchlist: &[String], app: &App) {
        let (mut lists, mut watches) = ([Vec::new(), Vec::new()], Vec::new());
        for user in watchlist.iter().take(app.watchlist_max) {
            let full = self.full(key, user);
            if !watches.contains(&full) {
                let is_online = self.subs.iter().any(|sub| sub.user == full);
                lists[usize::from(!is_online)].push(user.clone());
                watches.push(full);
            }
        }
        if !watches.is_empty() {
            let [online, offline] = &lists;
            let words = watchlist_events(online, offline);
            self.expect(conn, Expect::Said(words));
        }
        self.socket(key).watches = watches;
        if watchlist.len() > app.watchlist_max {
            self.expect(conn, Expect::Said(error(json!(4302))));
        }
    }

    pub(super) fn tell_watchers(&mut self, user: &str, is_online: bool) {
        if self.sabotage == Sabotage::ForgetOffline && !is_online {
            return;
        }
        let name = [bare(user).to_owned()];
        let words = match is_online {
            true => watchlist_events(&name, &[]),
            false => watchlist_events(&[], &name),
        };
        let watches = |sub: &&super::Sub| {
            let socket = sub.socket.as_ref();
            socket.is_some_and(|socket| socket.watches.iter().any(|known| known == user))
        };
        let hear: Vec<ConnId> = self
            .subs
            .iter()
            .filter(watches)
            .filter_map(|s| s.outlet)
            .collect();
        self.sockets.watched += hear.len() as u64;
        self.say_to(&hear, &words);
    }
}

fn watchlist_events(online: &[String], offline: &[String]) -> Value {
    let lists = [("online", online), ("offline", offline)];
    let lists = lists.iter().filter(|(_, users)| !users.is_empty());
    let events: Vec<Value> = lists
        .map(|(name, users)| json!({"name": name, "user_ids": users}))
        .collect();
    json!({
        "event": "pusher_internal:watchlist_events", "data": { TEXT: { "events": events } },
    })
}
