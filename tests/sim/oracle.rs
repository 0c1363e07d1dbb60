//! What ought to happen: a naive hub of vectors and loops, and for each connection the list of what
//! its client ought to hear, in order.
//!
//! It is written from the protocol's specification and knows nothing of the product but its timer
//! wheel, which alone decides in which order things that are due at once ring. Ids that the server
//! draws stand as placeholders in what is expected and are bound at first sight: from then on they
//! must be the same everywhere.

use super::Sabotage;
use fanwire::dialect::channelstream::stamps::push_stamp;
use fanwire::handler::ConnId;
use fanwire::time::{Millis, Now, Timer, Wheel};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Marks a string that stands for an id which the server draws.
const PLACEHOLDER: char = '\u{1}';

/// The settings of a channel that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub notify_presence: bool,
    pub with_members: bool,
    pub store_history: bool,
    pub history_size: usize,
    pub store_frames: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notify_presence: false,
            with_members: false,
            store_history: false,
            history_size: 10,
            store_frames: true,
        }
    }
}

impl Settings {
    pub fn to_json(self) -> Value {
        json!({
            "notify_presence": self.notify_presence,
            "store_history": self.store_history,
            "broadcast_presence_with_user_lists": self.with_members,
            "notify_state": false,
            "store_frames": self.store_frames,
            "history_size": self.history_size,
        })
    }
}

/// What a caller wants to know of channels.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    pub history: bool,
    pub users: bool,
    pub public_state: bool,
}

/// A message to be published.
#[derive(Debug, Clone)]
pub struct Message {
    pub user: String,
    pub channel: Option<String>,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub no_history: bool,
    pub body: Option<Value>,
}

/// A request of the server API or of a client.
#[derive(Debug, Clone)]
pub enum Call {
    Connect {
        user: String,
        id: Option<String>,
        channels: Vec<String>,
        configs: Vec<(String, Settings)>,
        fresh_state: Vec<(String, Value)>,
        state: Vec<(String, Value)>,
        public_keys: Vec<String>,
        info: Info,
    },
    Subscribe {
        id: String,
        channels: Vec<String>,
        configs: Vec<(String, Settings)>,
        info: Info,
    },
    Unsubscribe {
        id: String,
        channels: Vec<String>,
        info: Info,
    },
    Publish(Vec<Message>),
    Info {
        channels: Option<Vec<String>>,
        info: Info,
    },
    Disconnect {
        id: String,
    },
    /// Something that changes nothing and is answered with this status.
    Odd {
        status: u16,
        is_signed: bool,
    },
}

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    No,
    Wrongly,
    /// At this second of the client's clock.
    At(u64),
}

/// What a client is to hear next.
#[derive(Debug, Clone)]
pub enum Expect {
    Answer {
        status: u16,
        close: bool,
        /// What the body says, if that matters.
        body: Option<Value>,
    },
    /// Some refusal, after which the connection ends.
    Refusal,
    Upgraded,
    /// An event, by its place in the list of all that ever happened.
    Frame {
        event: usize,
        catch_up: bool,
    },
    Pong(Vec<u8>),
    Close(u16, &'static str),
    /// A Close because of a broken frame.
    BadFrame,
}

/// What the next bytes on a connection mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Http,
    /// The socket of this subscriber.
    Open(u32),
    Closing,
    Done,
}

/// One connection as the oracle sees it.
#[derive(Debug)]
pub struct Line {
    pub phase: Phase,
    pub expect: VecDeque<Expect>,
    /// When a byte last came on the open socket.
    pub heard_ms: u64,
    /// Catch-up is queued, which is not held to the limit.
    pub caught_up: bool,
    /// Who was last seen to join (true) or part, by channel and user, while nothing was missed.
    pub presence: BTreeMap<(String, String), bool>,
}

#[derive(Debug)]
struct Event {
    kind: Kind,
    stamp: String,
}

#[derive(Debug)]
enum Kind {
    Message(Message),
    Presence {
        joined: bool,
        channel: String,
        user: String,
        state: Value,
        members: Vec<Value>,
    },
}

#[derive(Debug)]
struct User {
    key: u32,
    name: String,
    state: BTreeMap<String, Value>,
    public_keys: Vec<String>,
    private: Vec<(u64, usize)>,
    timer: Timer,
}

#[derive(Debug)]
struct Channel {
    key: u32,
    name: String,
    settings: Settings,
    /// User and how many of its subscribers, in order of joining.
    members: Vec<(String, usize)>,
    history: Vec<usize>,
    recent: Vec<(u64, usize)>,
    last_active: u64,
    timer: Timer,
}

#[derive(Debug)]
struct Sub {
    key: u32,
    /// As the client chose it, or a placeholder.
    id: String,
    user: String,
    outlet: Option<ConnId>,
    seen: u64,
    channels: Vec<String>,
    timer: Timer,
}

#[derive(Debug, Clone, Copy)]
enum Alarm {
    Sub(u32),
    User(u32),
    Channel(u32),
}

/// Bounds and times that the oracle shares with the engine.
#[derive(Debug, Clone)]
pub struct Rules {
    pub channels_per_subscriber: usize,
    pub catch_up_events: usize,
    pub catch_up_private: usize,
    pub signature_age_s: Option<u64>,
    pub expire_ms: u64,
    pub return_ms: u64,
    pub channel_forget_ms: u64,
    pub channel_configured_forget_ms: u64,
    pub user_forget_ms: u64,
}

/// The naive hub.
pub struct Oracle {
    pub rules: Rules,
    pub lines: BTreeMap<ConnId, Line>,
    pub is_draining: bool,
    pub sabotage: Sabotage,
    users: Vec<User>,
    channels: Vec<Channel>,
    subs: Vec<Sub>,
    events: Vec<Event>,
    wheel: Wheel<Alarm>,
    sequence: u64,
    keys: u32,
    /// What the placeholders turned out to stand for.
    bound: BTreeMap<String, String>,
    /// Sockets to be told with a Close, at the end of the call.
    hang_ups: Vec<(ConnId, &'static str)>,
}

fn stamp(micros: u64) -> String {
    let mut text = Vec::new();
    push_stamp(&mut text, micros);
    String::from_utf8(text).expect("dates are ASCII")
}

impl Oracle {
    pub fn new(rules: Rules, sabotage: Sabotage) -> Self {
        Self {
            rules,
            lines: BTreeMap::new(),
            is_draining: false,
            sabotage,
            users: Vec::new(),
            channels: Vec::new(),
            subs: Vec::new(),
            events: Vec::new(),
            wheel: Wheel::new(),
            sequence: 0,
            keys: 0,
            bound: BTreeMap::new(),
            hang_ups: Vec::new(),
        }
    }

    // ---- connections -----------------------------------------------------------------------

    pub fn opened(&mut self, conn: ConnId) {
        let line = Line {
            phase: Phase::Http,
            expect: VecDeque::new(),
            heard_ms: 0,
            caught_up: false,
            presence: BTreeMap::new(),
        };
        assert!(self.lines.insert(conn, line).is_none(), "a fresh key");
    }

    pub fn line(&mut self, conn: ConnId) -> &mut Line {
        self.lines.get_mut(&conn).expect("the connection is open")
    }

    pub fn phase(&self, conn: ConnId) -> Phase {
        self.lines[&conn].phase
    }

    pub fn expect(&mut self, conn: ConnId, what: Expect) {
        self.line(conn).expect.push_back(what);
    }

    /// The connection has gone. Whether something was still to be heard on it.
    pub fn closed(&mut self, conn: ConnId, now: Now) -> Line {
        self.gone(conn, now);
        self.lines.remove(&conn).expect("closed once")
    }

    /// Bytes came on an open socket.
    pub fn heard(&mut self, conn: ConnId, now: Now) {
        let line = self.line(conn);
        if matches!(line.phase, Phase::Open(_)) {
            line.heard_ms = now.mono.0;
        }
    }

    /// A socket has ended, or is about to: its subscriber is away.
    pub fn gone(&mut self, conn: ConnId, now: Now) {
        let line = self.line(conn);
        let Phase::Open(key) = std::mem::replace(&mut line.phase, Phase::Done) else {
            return;
        };
        let (sequence, at) = (self.sequence, now.mono + self.rules.return_ms);
        if let Some(sub) = self.subs.iter_mut().find(|sub| sub.key == key)
            && sub.outlet == Some(conn)
        {
            sub.outlet = None;
            sub.seen = sequence;
            self.expire_at(key, at);
        }
    }

    /// The peer sent a Close; it gets the same code back.
    pub fn closes(&mut self, conn: ConnId, code: u16, now: Now) {
        match self.phase(conn) {
            Phase::Open(_) => {
                self.expect(conn, Expect::Close(code, ""));
                self.gone(conn, now);
            }
            Phase::Closing => self.line(conn).phase = Phase::Done,
            Phase::Http | Phase::Done => {}
        }
    }

    /// The server closes a socket in its own words.
    pub fn hang_up(&mut self, conn: ConnId, code: u16, reason: &'static str, now: Now) {
        if self.lines.contains_key(&conn) && matches!(self.phase(conn), Phase::Open(_)) {
            self.expect(conn, Expect::Close(code, reason));
            self.gone(conn, now);
            self.line(conn).phase = Phase::Closing;
        }
    }

    /// At the end of each call into the engine: the sockets that the hub wants closed.
    pub fn hang_up_all(&mut self, now: Now) {
        for (conn, reason) in std::mem::take(&mut self.hang_ups) {
            self.hang_up(conn, 1000, reason, now);
        }
    }

    // ---- requests --------------------------------------------------------------------------

    /// A request has come whole. `may_sign`: it came from an address that may.
    pub fn request(
        &mut self,
        conn: ConnId,
        call: &Call,
        signed: Signed,
        may_sign: bool,
        asks_close: bool,
        now: Now,
    ) {
        let close = asks_close || self.is_draining;
        let is_wrong = match (signed, self.rules.signature_age_s) {
            (Signed::No, _) | (Signed::At(_), None) => false,
            (Signed::Wrongly, _) => true,
            (Signed::At(at), Some(age)) => now.unix_seconds().saturating_sub(at) > age,
        };
        let must_sign = match call {
            Call::Disconnect { .. } => false,
            Call::Odd { is_signed, .. } => *is_signed,
            Call::Connect { .. }
            | Call::Subscribe { .. }
            | Call::Unsubscribe { .. }
            | Call::Publish(_)
            | Call::Info { .. } => true,
        };
        let (status, body) = if may_sign && is_wrong {
            (401, Some(json!({"request": "Bad Signature"})))
        } else if must_sign && (!may_sign || signed == Signed::No) {
            (403, None)
        } else {
            self.answer(call, now)
        };
        let status = match self.sabotage {
            Sabotage::WrongStatus if status == 422 => 400,
            _ => status,
        };
        let answer = Expect::Answer {
            status,
            close,
            body,
        };
        self.expect(conn, answer);
        if close {
            self.line(conn).phase = Phase::Done;
        }
    }

    fn answer(&mut self, call: &Call, now: Now) -> (u16, Option<Value>) {
        let unknown = || (422, Some(json!({"conn_id": ["Unknown connection"]})));
        let too_many = || {
            let words = "Too many channels for one connection.";
            (422, Some(json!({"channels": [words]})))
        };
        match call {
            Call::Odd { status, .. } => (*status, None),
            Call::Info { channels, info } => {
                let names: Vec<String> = match channels {
                    Some(names) => names.clone(),
                    None => self.channels.iter().map(|c| c.name.clone()).collect(),
                };
                (200, Some(self.info(&names, *info)))
            }
            Call::Disconnect { id } => match self.find(id) {
                Some(key) => {
                    self.depart(key, now);
                    (200, Some(json!(true)))
                }
                None => (200, Some(json!(false))),
            },
            Call::Publish(messages) => {
                let mut accepted = Vec::new();
                for message in messages {
                    if message.channel.is_none() && message.only.is_empty() {
                        continue;
                    }
                    let event = self.publish(message, now);
                    accepted.push(self.accepted(event));
                }
                (200, Some(Value::Array(accepted)))
            }
            Call::Subscribe {
                id,
                channels,
                configs,
                info,
            } => {
                let Some(key) = self.find(id) else {
                    return unknown();
                };
                let distinct: BTreeSet<String> = channels.iter().cloned().collect();
                let has = self.sub(key).channels.clone();
                let new = distinct.iter().filter(|name| !has.contains(name)).count();
                if has.len() + new > self.rules.channels_per_subscriber {
                    return too_many();
                }
                let mut joined = self.join_all(key, channels, configs, now);
                joined.sort();
                self.forget_presence(key);
                (200, Some(self.changed(key, "subscribed_to", joined, *info)))
            }
            Call::Unsubscribe { id, channels, info } => {
                let Some(key) = self.find(id) else {
                    return unknown();
                };
                let mut left: Vec<String> = Vec::new();
                for name in channels {
                    if self.unsubscribe(key, name, now) {
                        left.push(name.clone());
                    }
                }
                left.sort();
                self.forget_presence(key);
                let body = self.changed(key, "unsubscribed_from", left, *info);
                (200, Some(body))
            }
            Call::Connect { channels, .. } => {
                let distinct: BTreeSet<String> = channels.iter().cloned().collect();
                if distinct.len() > self.rules.channels_per_subscriber {
                    return too_many();
                }
                (200, Some(self.connect(call, distinct, now)))
            }
        }
    }

    fn connect(&mut self, call: &Call, distinct: BTreeSet<String>, now: Now) -> Value {
        let Call::Connect {
            user: name,
            id,
            channels,
            configs,
            fresh_state,
            state,
            public_keys,
            info,
        } = call
        else {
            unreachable!("only for connect");
        };
        if !self.users.iter().any(|user| user.name == *name) {
            let user = User {
                key: self.key(),
                name: name.clone(),
                state: fresh_state.iter().cloned().collect(),
                public_keys: Vec::new(),
                private: Vec::new(),
                timer: Timer::default(),
            };
            self.users.push(user);
        }
        let user = self.user(name);
        user.public_keys.clone_from(public_keys);
        user.state.extend(state.iter().cloned());

        let at = now.mono + self.rules.expire_ms;
        let known = id.as_deref().and_then(|id| self.find(id));
        let same = known.filter(|&key| self.sub(key).user == *name);
        let key = match same {
            Some(key) => {
                if self.sub(key).outlet.is_none() {
                    self.expire_at(key, at);
                }
                key
            }
            None => {
                if let Some(key) = known {
                    self.depart(key, now);
                }
                let key = self.key();
                let id = id.clone();
                self.subs.push(Sub {
                    key,
                    id: id.unwrap_or_else(|| format!("{PLACEHOLDER}sub{key}")),
                    user: name.clone(),
                    outlet: None,
                    seen: self.sequence,
                    channels: Vec::new(),
                    timer: Timer::default(),
                });
                self.user(name).timer.disarm();
                self.expire_at(key, at);
                key
            }
        };
        let distinct: Vec<String> = distinct.into_iter().collect();
        self.join_all(key, &distinct, configs, now);
        self.forget_presence(key);
        let mut sorted = channels.clone();
        sorted.sort();
        let id = self.sub(key).id.clone();
        let user = self.user(name);
        json!({
            "conn_id": id,
            "username": name,
            "state": user.state,
            "public_state": public(user),
            "channels": sorted,
            "channels_info": self.info(&distinct, *info),
        })
    }

    fn changed(&mut self, key: u32, word: &str, names: Vec<String>, info: Info) -> Value {
        let mut all = self.sub(key).channels.clone();
        all.sort();
        let mut body = json!({"channels": all, "channels_info": self.info(&all, info)});
        body[word] = json!(names);
        body
    }

    fn info(&self, names: &[String], info: Info) -> Value {
        let mut listed = Map::new();
        let mut users: BTreeSet<&str> = BTreeSet::new();
        for channel in self.channels.iter().filter(|c| names.contains(&c.name)) {
            let mut members: Vec<&str> = Vec::new();
            let mut connections = 0;
            for (user, count) in &channel.members {
                connections += count;
                if info.users {
                    members.push(user);
                    users.insert(user);
                }
            }
            members.sort_unstable();
            let history: Vec<Value> = channel
                .history
                .iter()
                .filter(|_| info.history)
                .map(|&event| {
                    let mut message = self.accepted(event);
                    message["catchup"] = json!(false);
                    message["type"] = json!("message");
                    message
                })
                .collect();
            let said = json!({
                "uuid": format!("{PLACEHOLDER}channel{}", channel.key),
                "name": channel.name,
                "long_name": null,
                "settings": channel.settings.to_json(),
                "history": history,
                "last_active": stamp(channel.last_active),
                "total_connections": connections,
                "total_users": members.len(),
                "users": members,
            });
            listed.insert(channel.name.clone(), said);
        }
        let users: Vec<Value> = self
            .users
            .iter()
            .filter(|user| users.contains(&*user.name))
            .map(|user| {
                let state = if info.public_state {
                    public(user)
                } else {
                    json!(user.state)
                };
                json!({"user": user.name, "state": state})
            })
            .collect();
        json!({"channels": listed, "users": users})
    }

    /// A message as the answer repeats it.
    fn accepted(&self, event: usize) -> Value {
        let Kind::Message(message) = &self.events[event].kind else {
            unreachable!("only messages are accepted");
        };
        let mut said = json!({
            "pm_users": message.only,
            "exclude_users": message.except,
            "channel": message.channel,
            "no_history": message.no_history,
            "uuid": format!("{PLACEHOLDER}event{event}"),
            "timestamp": self.events[event].stamp,
            "user": message.user,
            "edited": null,
        });
        if let Some(body) = &message.body {
            said["message"] = body.clone();
        }
        said
    }

    /// What the frame of an event says.
    fn frame(&self, event: usize, catch_up: bool) -> Value {
        let uuid = format!("{PLACEHOLDER}event{event}");
        let stamp = &self.events[event].stamp;
        let object = match &self.events[event].kind {
            Kind::Message(message) => {
                let mut object = json!({
                    "uuid": uuid, "timestamp": stamp, "channel": message.channel,
                    "user": message.user, "edited": null, "catchup": catch_up, "type": "message",
                });
                if let Some(body) = &message.body {
                    object["message"] = body.clone();
                }
                object
            }
            Kind::Presence {
                joined,
                channel,
                user,
                state,
                members,
            } => json!({
                "uuid": uuid, "timestamp": stamp, "channel": channel, "user": user,
                "type": "presence", "users": members, "state": state, "catchup": catch_up,
                "message": {"action": if *joined { "joined" } else { "parted" }},
            }),
        };
        json!([object])
    }

    // ---- sockets ---------------------------------------------------------------------------

    /// The handshake of a WebSocket has come whole.
    pub fn upgrade(&mut self, conn: ConnId, id: Option<&str>, now: Now) {
        self.expect(conn, Expect::Upgraded);
        let Some(id) = id else {
            self.line(conn).phase = Phase::Closing;
            let words = "conn_id is missing or no UUID";
            return self.expect(conn, Expect::Close(1008, words));
        };
        let Some(key) = self.find(id) else {
            self.line(conn).phase = Phase::Closing;
            return self.expect(conn, Expect::Close(1000, "unknown connection"));
        };
        let line = self.line(conn);
        line.phase = Phase::Open(key);
        line.heard_ms = now.mono.0;
        let sequence = self.sequence;
        let sub = self.subs.iter_mut().find(|sub| sub.key == key);
        let sub = sub.expect("just found");
        sub.timer.disarm();
        if let Some(former) = sub.outlet.replace(conn) {
            // All that was told so far was told to the former one.
            sub.seen = sequence;
            self.hang_ups.push((former, "another socket took over"));
        }
        self.catch_up(key, conn);
    }

    fn catch_up(&mut self, key: u32, conn: ConnId) {
        let sequence = self.sequence;
        let sub = self.subs.iter_mut().find(|sub| sub.key == key);
        let sub = sub.expect("it was there a moment ago");
        let seen = std::mem::replace(&mut sub.seen, sequence);
        let (user, mut names) = (sub.user.clone(), sub.channels.clone());
        names.sort();
        let mut missed: Vec<usize> = Vec::new();
        for name in &names {
            let channel = self.channels.iter().find(|c| c.name == *name);
            let recent = &channel.expect("it is in it").recent;
            let told = recent.iter().filter(|(sequence, _)| *sequence > seen);
            missed.extend(
                told.map(|(_, event)| *event)
                    .filter(|&e| self.is_for(e, &user)),
            );
        }
        let private = &self.user(&user).private;
        let told = private.iter().filter(|(sequence, _)| *sequence > seen);
        missed.extend(told.map(|(_, event)| *event));
        if self.sabotage == Sabotage::NoCatchUp {
            missed.clear();
        }
        let line = self.line(conn);
        line.caught_up |= !missed.is_empty();
        line.expect.extend(missed.into_iter().map(|event| {
            let catch_up = true;
            Expect::Frame { event, catch_up }
        }));
    }

    fn is_for(&self, event: usize, user: &str) -> bool {
        match &self.events[event].kind {
            Kind::Message(message) => {
                !message.except.iter().any(|name| name == user)
                    && (message.only.is_empty() || message.only.iter().any(|name| name == user))
            }
            Kind::Presence { user: about, .. } => about != user,
        }
    }

    // ---- what happens ----------------------------------------------------------------------

    /// Somebody publishes. The event's place is returned.
    pub fn publish(&mut self, message: &Message, now: Now) -> usize {
        self.sequence += 1;
        let sequence = self.sequence;
        let event = self.events.len();
        self.events.push(Event {
            kind: Kind::Message(message.clone()),
            stamp: stamp(now.unix_micros),
        });
        let Some(name) = &message.channel else {
            let names: BTreeSet<&String> = message.only.iter().collect();
            for name in names {
                if message.except.contains(name) || !self.subs.iter().any(|s| s.user == *name) {
                    continue;
                }
                let most = self.rules.catch_up_private;
                let private = &mut self.user(name).private;
                private.push((sequence, event));
                private.drain(..private.len().saturating_sub(most));
                self.tell(event, |sub| sub.user == *name);
            }
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
        self.tell(event, |sub| {
            sub.channels.contains(name) && is_for(&sub.user)
        });
        self.settle_channel(name, now);
        event
    }

    fn keep_recent(&mut self, name: &str, event: usize) {
        let (sequence, most) = (self.sequence, self.rules.catch_up_events);
        let channel = self.channels.iter_mut().find(|c| c.name == name);
        let channel = channel.expect("only called for one that is there");
        if channel.settings.store_frames {
            channel.recent.push((sequence, event));
            let over = channel.recent.len().saturating_sub(most);
            channel.recent.drain(..over);
        }
    }

    /// Tells every attached subscriber that `hears`.
    fn tell(&mut self, event: usize, hears: impl Fn(&Sub) -> bool) {
        for sub in &self.subs {
            if let Some(outlet) = sub.outlet
                && hears(sub)
                && let Some(line) = self.lines.get_mut(&outlet)
            {
                let catch_up = false;
                line.expect.push_back(Expect::Frame { event, catch_up });
            }
        }
    }

    fn join_all(
        &mut self,
        key: u32,
        names: &[String],
        configs: &[(String, Settings)],
        now: Now,
    ) -> Vec<String> {
        let mut joined = Vec::new();
        for name in names {
            if !self.channels.iter().any(|c| c.name == *name) {
                let config = configs.iter().find(|(of, _)| of == name);
                let channel = Channel {
                    key: self.key(),
                    name: name.clone(),
                    settings: config.map(|(_, settings)| *settings).unwrap_or_default(),
                    members: Vec::new(),
                    history: Vec::new(),
                    recent: Vec::new(),
                    last_active: now.unix_micros,
                    timer: Timer::default(),
                };
                self.channels.push(channel);
            }
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

    fn unsubscribe(&mut self, key: u32, name: &str, now: Now) -> bool {
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

    fn depart(&mut self, key: u32, now: Now) {
        while let Some(name) = self.sub(key).channels.last().cloned() {
            self.unsubscribe(key, &name, now);
        }
        let place = self.subs.iter().position(|sub| sub.key == key);
        let sub = self.subs.remove(place.expect("it departs once"));
        self.settle_user(&sub.user, now);
        if let Some(outlet) = sub.outlet {
            self.hang_ups.push((outlet, "the connection was removed"));
        }
    }

    fn expire_at(&mut self, key: u32, at: Millis) {
        let late = u64::from(self.sabotage == Sabotage::LateExpiry) * 1_000;
        let sub = self.subs.iter_mut().find(|sub| sub.key == key);
        let sub = sub.expect("a subscriber that lives");
        self.wheel.arm(Alarm::Sub(key), &mut sub.timer, at + late);
    }

    fn settle_channel(&mut self, name: &str, now: Now) {
        let place = self.channels.iter().position(|c| c.name == name);
        let place = place.expect("only called for one that is there");
        let rules = &self.rules;
        let channel = &mut self.channels[place];
        if !channel.members.is_empty() {
            return;
        }
        let wait_ms = if !channel.history.is_empty() {
            return channel.timer.disarm();
        } else if channel.settings != Settings::default() {
            rules.channel_configured_forget_ms
        } else if !channel.recent.is_empty() {
            rules.channel_forget_ms
        } else {
            self.channels.remove(place);
            return;
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
    }

    // ---- finding ---------------------------------------------------------------------------

    fn key(&mut self) -> u32 {
        self.keys += 1;
        self.keys
    }

    fn find(&self, id: &str) -> Option<u32> {
        let known = |sub: &&Sub| sub.id == id || self.bound.get(&sub.id).is_some_and(|b| b == id);
        self.subs.iter().find(known).map(|sub| sub.key)
    }

    fn sub(&mut self, key: u32) -> &mut Sub {
        let sub = self.subs.iter_mut().find(|sub| sub.key == key);
        sub.expect("a subscriber that lives")
    }

    fn user(&mut self, name: &str) -> &mut User {
        let user = self.users.iter_mut().find(|user| user.name == name);
        user.expect("a user that is known")
    }

    fn channel(&mut self, name: &str) -> &mut Channel {
        let channel = self.channels.iter_mut().find(|c| c.name == name);
        channel.expect("a channel that is there")
    }

    /// The subscriber may have missed some coming and going.
    fn forget_presence(&mut self, key: u32) {
        if let Some(outlet) = self.sub(key).outlet
            && let Some(line) = self.lines.get_mut(&outlet)
        {
            line.presence.clear();
        }
    }

    /// Channels, subscribers and users there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.channels.len(), self.subs.len(), self.users.len())
    }

    /// Whether nothing is left but channels that remember their history.
    pub fn is_over(&self) -> bool {
        let remembers = |channel: &Channel| !channel.history.is_empty();
        self.subs.is_empty() && self.users.is_empty() && self.channels.iter().all(remembers)
    }

    // ---- comparing -------------------------------------------------------------------------

    /// Whether a text is the frame of this event.
    pub fn check_frame(&mut self, event: usize, catch_up: bool, text: &str) {
        let expected = self.frame(event, catch_up);
        let got: Value = serde_json::from_str(text).expect("a frame is JSON");
        assert!(
            same(&expected, &got, &mut self.bound),
            "a frame says {got}, expected {expected}"
        );
    }

    /// Whether a body says what it ought to.
    pub fn check_body(&mut self, expected: &Value, body: &[u8]) {
        let mut got: Value = serde_json::from_slice(body).expect("an answer is JSON");
        let mut expected = expected.clone();
        for value in [&mut expected, &mut got] {
            sort_users(value);
            if let Some(info) = value.get_mut("channels_info") {
                sort_users(info);
            }
        }
        assert!(
            same(&expected, &got, &mut self.bound),
            "an answer says {got}, expected {expected}"
        );
    }
}

/// The outer list of users comes in no fixed order.
fn sort_users(info: &mut Value) {
    if let Some(users) = info.get_mut("users").and_then(Value::as_array_mut) {
        users.sort_by_key(|user| user["user"].as_str().map(str::to_owned));
    }
}

fn public(user: &User) -> Value {
    let keys = &user.public_keys;
    let state = user.state.iter().filter(|(key, _)| keys.contains(key));
    let state: Map<String, Value> = state.map(|(k, v)| (k.clone(), v.clone())).collect();
    Value::Object(state)
}

/// Compares, and binds placeholders at first sight.
fn same(expected: &Value, got: &Value, bound: &mut BTreeMap<String, String>) -> bool {
    match (expected, got) {
        (Value::String(expected), Value::String(got)) if expected.starts_with(PLACEHOLDER) => {
            if let Some(known) = bound.get(expected) {
                return known == got;
            }
            bound.insert(expected.clone(), got.clone());
            got.len() == 36
        }
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| same(e, g, bound))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected
                    .iter()
                    .all(|(key, e)| got.get(key).is_some_and(|g| same(e, g, bound)))
        }
        (expected, got) => expected == got,
    }
}
