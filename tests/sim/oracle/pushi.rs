//! Sockets that speak Pushi, as the oracle sees them: who is in what, by its own wish or because of
//! a personal channel, and which pairs of members talk.
//!
//! Pairs are a plain list here: who joins puts entries in, who leaves takes them out. Names of apps
//! that are Pushi's alone begin with a mark of their own, as those of Pusher do.

mod pairs;
mod rest;
mod told;

pub use rest::{Rest, RestCall, Session, SidOf};
pub use told::Counts;

use super::pusher::{TEXT, bare};
use super::stored::{Ask, Own, OwnAnswer, OwnPublish, Waiter};
use super::{Expect, Guest, Message, Oracle, Phase, Said, Sub};
use fanwire::handler::ConnId;
use fanwire::hub::AppId;
use fanwire::limits::{PUSHI_PING_AFTER_MS, WS_PONG_MS};
use fanwire::time::{Now, Timer};
use serde_json::{Map, Value, json};

pub use super::pusher::ANY;
/// With what a placeholder for 64 hex digits begins.
pub const HEX: &str = "\u{1}hex";
/// With what the id of a socket begins until it is known.
pub const CHAT: &str = "\u{1}chat";

/// An app that speaks Pushi.
#[derive(Debug, Clone)]
pub struct PushiApp {
    pub app: AppId,
    /// With what its names begin here; nothing for the app that is shared.
    pub mark: String,
    pub ident: String,
    pub key: String,
    pub secret: String,
    /// Its number in the store.
    pub row: u32,
    /// Channelstream uses it, too.
    pub is_shared: bool,
    /// It was made by a request: what is stored of it.
    pub made: Option<Made>,
    /// It was lost with the power.
    pub is_gone: bool,
}

/// What is stored of an app that was made by a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub name: String,
    pub description: Value,
    pub created_s: u64,
    pub modified_s: u64,
}

/// What the oracle knows of Pushi beside what all protocols share.
#[derive(Debug, Default)]
pub struct Pushi {
    pub apps: Vec<PushiApp>,
    pub sessions: Vec<Session>,
    pub counts: Counts,
    pairs: Vec<pairs::Pair>,
}

/// What is known of a socket that speaks Pushi.
#[derive(Debug)]
pub struct Talk {
    pub app: usize,
    /// Personal channels and what the socket is in because of them.
    brought: Vec<(String, String)>,
}

/// What Pushi tells of an event beside its name and its data.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub extra: Map<String, Value>,
    /// When it was published, in microseconds, if it is stored.
    pub stored: Option<u64>,
}

/// What a client says.
#[derive(Debug)]
pub enum Chat {
    Subscribe {
        channel: String,
        is_signed: bool,
        data: Option<ChatData>,
    },
    Unsubscribe(String),
    Latest {
        channel: String,
        skip: usize,
        count: usize,
    },
    Event {
        event: String,
        channel: String,
        /// As it is told.
        data: String,
        echo: bool,
        persist: bool,
    },
    /// Refused for what it is, with this code.
    Bad {
        channel: String,
        code: u16,
        is_subscription: bool,
    },
    /// None of the protocol: the connection ends.
    Nonsense,
    Nothing,
}

/// What comes along with a subscription.
#[derive(Debug, Clone)]
pub struct ChatData {
    pub user: Option<String>,
    pub words: Value,
    pub peer: bool,
}

/// What goes on once the store has answered a socket.
#[derive(Debug)]
pub enum Then {
    Join {
        channel: String,
        data: Option<ChatData>,
    },
    Leave(String),
    Tell(String),
}

impl Said {
    pub(super) fn in_pusher(words: Value) -> Self {
        let is_pushi = false;
        Self { words, is_pushi }
    }
}

/// Whether a name needs a signature.
fn must_sign(name: &str) -> bool {
    let prefixes = ["private-", "presence-", "personal-", "peer-"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The time as Pushi writes it.
pub(super) fn seconds(micros: u64) -> Value {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    serde_json::from_str(&text).expect("a number")
}

impl Oracle {
    /// The app in which this name lives, if that speaks Pushi.
    pub(super) fn pushi_of(&self, name: &str) -> Option<&PushiApp> {
        let mark = &name[..name.len() - bare(name).len()];
        self.pushi.apps.iter().find(|app| app.mark == mark)
    }

    /// What is published is kept for those who catch up by Channelstream.
    pub(super) fn is_shared(&self, name: &str) -> bool {
        match (self.served_of(name), self.pushi_of(name)) {
            (Some(served), _) => served.app.is_shared,
            (None, Some(app)) => app.is_shared,
            (None, None) => true,
        }
    }

    /// A bare channel goes with its last subscriber.
    pub(super) fn is_fleeting(&self, name: &str) -> bool {
        self.served_of(name).is_some() || self.pushi_of(name).is_some()
    }

    // ---- opening -----------------------------------------------------------------------------

    /// The handshake of a socket has come whole.
    pub fn open_pushi(&mut self, conn: ConnId, app: Option<usize>, now: Now) {
        let Some(app) = app else {
            self.pushi.counts.no_app += 1;
            let close = self.is_draining;
            if close {
                self.line(conn).phase = Phase::Done;
            }
            let body = Some(rest::fault(404));
            return self.expect_rest(conn, (404, body, super::Cookie::No), close);
        };
        self.expect(conn, Expect::Upgraded);
        let key = self.key();
        let id = format!("{CHAT}{key}");
        self.subs.push(Sub {
            key,
            id: id.clone(),
            user: String::new(),
            outlet: Some(conn),
            seen: self.sequence,
            born: self.sequence,
            channels: Vec::new(),
            socket: Some(super::pusher::Socket {
                app: usize::MAX,
                info: None,
                watches: Vec::new(),
                taken: (0, now.mono),
                talk: Some(Talk {
                    app,
                    brought: Vec::new(),
                }),
            }),
            timer: Timer::default(),
        });
        self.pushi.counts.sockets += 1;
        let line = self.line(conn);
        line.phase = Phase::Open(key);
        line.silence_ms = Some(PUSHI_PING_AFTER_MS + WS_PONG_MS);
        line.is_pushi = true;
        line.heard_ms = now.mono.0;
        let data = json!({ TEXT: { "socket_id": id } });
        let words = json!({ "event": "pusher:connection_established", "data": data });
        self.expect(conn, Expect::Said(words));
    }

    fn talk(&mut self, key: u32) -> &mut Talk {
        let socket = self.sub(key).socket.as_mut();
        let talk = socket.and_then(|socket| socket.talk.as_mut());
        talk.expect("only asked of sockets of Pushi's")
    }

    fn full_chat(&mut self, key: u32, name: &str) -> String {
        let app = self.talk(key).app;
        format!("{}{name}", self.pushi.apps[app].mark)
    }

    fn is_in(&mut self, key: u32, full: &str) -> bool {
        self.sub(key).channels.iter().any(|known| known == full)
    }

    /// Whether a subscriber is somebody in a channel only.
    pub(super) fn is_guest(&self, key: u32, name: &str) -> bool {
        let channel = self.channels.iter().find(|c| c.name == name);
        channel.is_some_and(|channel| channel.guests.iter().any(|guest| guest.key == key))
    }

    // ---- what clients say --------------------------------------------------------------------

    /// A client said something.
    pub fn chat(&mut self, conn: ConnId, chat: &Chat, now: Now) {
        let Phase::Open(key) = self.phase(conn) else {
            return;
        };
        if !self.subs.iter().any(|sub| sub.key == key) {
            return;
        }
        match chat {
            Chat::Nothing => {}
            Chat::Nonsense => {
                self.pushi.counts.nonsense += 1;
                self.gripe(conn, "", 400);
                self.depart_as(key, (1003, "what was sent cannot be understood"), now);
            }
            Chat::Bad {
                channel,
                code,
                is_subscription: true,
            } => self.deny(conn, channel, *code),
            Chat::Bad { channel, code, .. } => self.gripe(conn, channel, *code),
            Chat::Subscribe {
                channel,
                is_signed,
                data,
            } => {
                if must_sign(channel) && !is_signed {
                    self.pushi.counts.forged += 1;
                    return self.deny(conn, channel, 403);
                }
                if let Some(user) = channel.strip_prefix("personal-") {
                    let then = Then::Join {
                        channel: channel.clone(),
                        data: data.clone(),
                    };
                    return self.ask_personal(conn, key, user, (0, 10), then);
                }
                let full = self.full_chat(key, channel);
                match self.join_chat(key, &full, data.as_ref(), now) {
                    Ok(()) => self.describe(conn, "subscription_succeeded", &full, &[], vec![]),
                    Err(code) => self.deny(conn, channel, code),
                }
            }
            Chat::Unsubscribe(channel) => self.leave_chat(conn, key, channel, now),
            Chat::Latest {
                channel,
                skip,
                count,
            } => {
                let full = self.full_chat(key, channel);
                if !self.is_in(key, &full) && !self.is_eligible(key, channel) {
                    return self.gripe(conn, channel, 403);
                }
                let then = Then::Tell(channel.clone());
                if let Some(user) = channel.strip_prefix("personal-") {
                    return self.ask_personal(conn, key, user, (*skip, *count), then);
                }
                let ask = Ask::Latest {
                    channel: Some(channel.clone()),
                    skip: *skip,
                    count: *count,
                };
                self.ask_for_chat(conn, key, ask, then);
            }
            Chat::Event {
                event,
                channel,
                data,
                echo,
                persist,
            } => self.chat_event(conn, key, (event, channel, data), (*echo, *persist), now),
        }
    }

    /// Something about one channel could not be done.
    pub(super) fn gripe(&mut self, conn: ConnId, channel: &str, code: u16) {
        self.pushi.counts.gripes += 1;
        let data = json!({ TEXT: { "code": code, "message": ANY } });
        let words = json!({"event": "pusher:error", "channel": channel, "data": data});
        self.expect(conn, Expect::Said(words));
    }

    /// A channel was not joined.
    fn deny(&mut self, conn: ConnId, channel: &str, code: u16) {
        self.pushi.counts.denied += 1;
        let data = json!({ TEXT: { "code": code, "message": ANY } });
        let words = json!({"event": "pusher:subscription_error", "channel": channel, "data": data});
        self.expect(conn, Expect::Said(words));
    }

    fn ask_personal(
        &mut self,
        conn: ConnId,
        key: u32,
        user: &str,
        (skip, count): (usize, usize),
        then: Then,
    ) {
        let is_leaving = matches!(then, Then::Leave(_));
        let user = user.to_owned();
        let ask = Ask::Personal { user, skip, count };
        self.pushi.counts.personal += u64::from(!is_leaving);
        self.ask_for_chat(conn, key, ask, then);
    }

    fn ask_for_chat(&mut self, conn: ConnId, key: u32, ask: Ask, then: Then) {
        let app = self.talk(key).app;
        self.line(conn).waits = true;
        let waiter = Waiter::Socket { conn, key, then };
        self.hand_over(app, Own::Ask(ask), waiter);
    }

    /// The store has answered a socket that waits, and still is there.
    pub(super) fn hear_again(
        &mut self,
        conn: ConnId,
        key: u32,
        then: Then,
        answer: OwnAnswer,
        now: Now,
    ) {
        let is_open = self.lines.get(&conn).map(|line| line.phase) == Some(Phase::Open(key));
        if !is_open || !self.subs.iter().any(|sub| sub.key == key) {
            return;
        }
        self.line(conn).waits = false;
        self.pushi.counts.waited += 1;
        match (then, answer) {
            (Then::Tell(channel), OwnAnswer::Events(events)) => {
                self.pushi.counts.latest += u64::from(!events.is_empty());
                let full = self.full_chat(key, &channel);
                let events = self.stored_events(&events, false);
                self.describe(conn, "latest", &full, &[], events);
            }
            (Then::Tell(channel), OwnAnswer::Personal(aliases, events)) => {
                let full = self.full_chat(key, &channel);
                let events = self.stored_events(&events, false);
                self.describe(conn, "latest", &full, &aliases, events);
            }
            (Then::Join { channel, data }, OwnAnswer::Personal(aliases, events)) => {
                self.pushi.counts.waiting += events.len() as u64;
                let full = self.full_chat(key, &channel);
                if let Err(code) = self.join_chat(key, &full, None, now) {
                    return self.deny(conn, &channel, code);
                }
                let mut joined = Vec::new();
                for alias in &aliases {
                    let alias_full = self.full_chat(key, alias);
                    let is_brought = self.brought_by(key, &alias_full);
                    let is_own = is_brought.is_empty() && self.is_in(key, &alias_full);
                    let stays = alias.starts_with("personal-") && self.is_in(key, &alias_full);
                    let entered = match stays {
                        true => Ok(()),
                        false => self.join_chat(key, &alias_full, data.as_ref(), now),
                    };
                    if entered.is_ok() {
                        joined.push(alias.clone());
                    }
                    match entered {
                        Err(code) => self.deny(conn, alias, code),
                        Ok(()) if is_own => {}
                        Ok(()) => {
                            let brought = &mut self.talk(key).brought;
                            brought.retain(|(_, channel)| *channel != alias_full);
                            // What it was in because of others it is in because of them still.
                            let mut because_of = is_brought;
                            if !because_of.contains(&full) {
                                because_of.push(full.clone());
                            }
                            let brought = because_of.into_iter();
                            let brought = brought.map(|of| (of, alias_full.clone()));
                            self.talk(key).brought.extend(brought);
                        }
                    }
                }
                let events = self.stored_events(&events, false);
                self.describe(conn, "subscription_succeeded", &full, &joined, events);
            }
            (Then::Leave(channel), OwnAnswer::Personal(aliases, events)) => {
                let full = self.full_chat(key, &channel);
                let brought = self.take_brought(key, &full);
                let mut left = self.sub(key).channels.clone();
                left.retain(|name| brought.contains(name));
                left.push(full.clone());
                for name in left {
                    self.part_chat(key, &name, now);
                }
                let events = self.stored_events(&events, false);
                self.describe(conn, "unsubscription_succeeded", &full, &aliases, events);
            }
            (Then::Join { channel, .. }, _) => self.deny(conn, &channel, 503),
            (Then::Leave(channel) | Then::Tell(channel), _) => self.gripe(conn, &channel, 503),
        }
    }

    // ---- personal channels -------------------------------------------------------------------

    /// The personal channels because of which a socket is in a channel.
    fn brought_by(&mut self, key: u32, full: &str) -> Vec<String> {
        let brought = self.talk(key).brought.iter();
        let by = brought.filter(|(_, channel)| channel == full);
        by.map(|(by, _)| by.clone()).collect()
    }

    /// What a socket is in because of this personal channel and nothing else.
    fn take_brought(&mut self, key: u32, personal: &str) -> Vec<String> {
        let talk = self.talk(key);
        let of = |(by, _): &(String, String)| by == personal;
        let mut taken: Vec<String> = Vec::new();
        for (_, channel) in talk.brought.iter().filter(|entry| of(entry)) {
            taken.push(channel.clone());
        }
        talk.brought.retain(|entry| !of(entry));
        taken.retain(|channel| !talk.brought.iter().any(|(_, other)| other == channel));
        taken
    }

    // ---- joining and leaving -----------------------------------------------------------------

    fn join_chat(
        &mut self,
        key: u32,
        full: &str,
        data: Option<&ChatData>,
        now: Now,
    ) -> Result<(), u16> {
        let is_presence = bare(full).starts_with("presence-");
        let data = data.filter(|_| is_presence);
        let member = match data {
            Some(ChatData { user: None, .. }) => return Err(400),
            Some(ChatData {
                user: Some(user),
                words,
                peer,
            }) => Some((self.full_chat(key, user), words.clone(), *peer)),
            None => None,
        };
        let is_in = self.is_in(key, full);
        if !is_in && self.sub(key).channels.len() >= self.rules.channels_per_subscriber {
            self.pushi.counts.too_many += 1;
            return Err(400);
        }
        if is_in {
            self.pushi.counts.again += 1;
            self.part_chat(key, full, now);
        }
        if let Some((user, _, _)) = &member {
            self.ensure_user(user);
        }
        self.ensure_bare_channel(full, now);
        if let Some((user, words, peer)) = member {
            let is_pushi = true;
            let said = Some(Said { words, is_pushi });
            self.become_member(full, &user, said.clone(), now);
            let guest = Guest {
                key,
                user: user.clone(),
                said,
            };
            self.channel(full).guests.push(guest);
            self.pair(key, full, &user, peer);
        }
        self.enter(key, full, now);
        self.count_changed(full, now);
        self.pushi.counts.joined += 1;
        Ok(())
    }

    fn part_chat(&mut self, key: u32, full: &str, now: Now) {
        self.talk(key)
            .brought
            .retain(|(_, channel)| channel != full);
        self.unsubscribe(key, full, now);
    }

    fn leave_chat(&mut self, conn: ConnId, key: u32, channel: &str, now: Now) {
        let full = self.full_chat(key, channel);
        let is_in = self.is_in(key, &full);
        if let Some(user) = channel.strip_prefix("personal-") {
            if !is_in {
                return self.describe(conn, "unsubscription_succeeded", &full, &[], vec![]);
            }
            let then = Then::Leave(channel.to_owned());
            return self.ask_personal(conn, key, user, (0, 10), then);
        }
        if !is_in && !self.is_eligible(key, channel) {
            return self.gripe(conn, channel, 403);
        }
        self.unpair(key, channel);
        if is_in {
            self.part_chat(key, &full, now);
        }
        self.describe(conn, "unsubscription_succeeded", &full, &[], vec![]);
    }

    // ---- events ------------------------------------------------------------------------------

    fn chat_event(
        &mut self,
        conn: ConnId,
        key: u32,
        (event, channel, data): (&str, &str, &str),
        (echo, persist): (bool, bool),
        now: Now,
    ) {
        let full = self.full_chat(key, channel);
        let may = match channel.starts_with("personal-") {
            true => false,
            false => self.is_in(key, &full) || self.is_paired(key, channel),
        };
        if !may {
            return self.gripe(conn, channel, 403);
        }
        let jobs = 1 + usize::from(self.keeps(&full));
        if persist && self.stored.refuses(jobs).is_some() {
            self.pushi.counts.no_room += 1;
            return self.gripe(conn, channel, 503);
        }
        self.pushi.counts.events += 1;
        let guests = self.channels.iter().find(|c| c.name == full);
        let guest = guests.and_then(|c| c.guests.iter().find(|guest| guest.key == key));
        let user = guest.map_or(String::new(), |guest| bare(&guest.user).to_owned());
        let message = Message {
            user,
            not_to: (!echo).then_some(key),
            ..plain(event, data, Map::new(), persist, now)
        };
        let mid = self.tell_chat(&full, message, now);
        if persist {
            let app = self.talk(key).app;
            let own = OwnPublish {
                owner: Some(self.sub(key).id.clone()),
                micros: now.unix_micros,
                name: event.to_owned(),
                data: data.to_owned(),
                extra: Map::new(),
                channels: vec![(channel.to_owned(), mid)],
            };
            let waiter = Waiter::Said { conn, key };
            self.hand_over(app, Own::Publish(own), waiter);
        }
    }

    /// One channel of a publish hears of it. The placeholder of its id is returned.
    fn tell_chat(&mut self, full: &str, mut message: Message, now: Now) -> String {
        message.channel = Some(full.to_owned());
        let not_to = message.not_to;
        let event = self.publish(&message, now);
        if bare(full).starts_with("peer-") {
            self.tell_pair(event, full, not_to);
        }
        self.events[event].id.clone()
    }
}

/// A message of Pushi's for nobody yet.
fn plain(event: &str, data: &str, extra: Map<String, Value>, persist: bool, now: Now) -> Message {
    Message {
        id: None,
        user: String::new(),
        channel: None,
        only: Vec::new(),
        except: Vec::new(),
        no_history: !persist,
        body: None,
        named: Some((event.to_owned(), data.to_owned())),
        not_to: None,
        pushed: Some(Pushed {
            extra,
            stored: persist.then_some(now.unix_micros),
        }),
    }
}
