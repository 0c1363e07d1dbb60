//! What ought to happen: a naive hub of vectors and loops, and for each connection the list of what
//! its client ought to hear, in order.
//!
//! It is written from the protocol's specification and knows nothing of the product but its timer
//! wheel, which alone decides in which order things that are due at once ring. Ids that the server
//! draws stand as placeholders in what is expected and are bound at first sight: from then on they
//! must be the same everywhere.

mod admins;
mod answers;
mod calls;
mod changes;
mod hub;
mod listening;
mod pusher;
mod pushi;
mod stored;

pub use admins::{Admin, Asked, Counts, Learned, Told, Whom};
pub use calls::{Amendment, Call, Edit, Info, Message, Settings, Signed};
pub use listening::Listening;
pub use pusher::{
    Api, ApiCall, Member, MemberOf, NewEvent, Opening, Proof, Say, Served, SignIn, Sockets, Wants,
};
pub use pushi::{
    Chat, ChatData, Counts as PushiCounts, PushiApp, Rest, RestCall, Session, SidOf, Talk,
};
pub use stored::{Cookie, Kept, Stored};

use super::Sabotage;
use fanwire::dialect::channelstream::stamps::push_stamp;
use fanwire::dialect::{KeptFact, Pace};
use fanwire::handler::ConnId;
use fanwire::time::{Now, Timer, Wheel};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// Marks a string that stands for an id which the server draws.
const PLACEHOLDER: char = '\u{1}';

/// What a client is to hear next.
#[derive(Debug, Clone)]
pub enum Expect {
    Answer {
        status: u16,
        close: bool,
        /// What the body says, if that matters.
        body: Option<Value>,
    },
    /// The same, or that something could not be kept: which, is not known.
    AnswerOrNot {
        status: u16,
        close: bool,
        body: Option<Value>,
    },
    /// The answer to an application that speaks Pushi.
    Rest {
        status: u16,
        close: bool,
        body: Option<Value>,
        cookie: Cookie,
    },
    /// The answer to an admin.
    Admin {
        close: bool,
        told: Told,
    },
    /// Some refusal, after which the connection ends.
    Refusal,
    Upgraded,
    /// An event, by its place in the list of all that ever happened.
    Frame {
        event: usize,
        catch_up: bool,
    },
    /// The answer to a poll: events in order, and whether they are said to be old.
    News {
        news: Vec<(usize, bool)>,
        close: bool,
        callback: Option<String>,
    },
    /// The head of an event stream.
    StreamHead,
    /// Where a stream begins, by the oracle's count.
    Start(u64),
    /// An event on a stream.
    Told {
        event: usize,
        catch_up: bool,
    },
    Pong(Vec<u8>),
    /// What a socket of Pusher's is told and nobody else.
    Said(Value),
    Close(u16, &'static str),
    /// A Close with this code, in whatever words.
    CloseWith(u16),
    /// A Close because of a broken frame.
    BadFrame,
}

/// What the next bytes on a connection mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Http,
    /// The last request is not answered yet, and nothing else is taken.
    Held,
    /// The socket of this subscriber.
    Open(u32),
    /// A poll of this subscriber waits.
    Parked(u32),
    /// The event stream of this subscriber.
    Streaming(u32),
    Closing,
    Done,
}

/// One connection as the oracle sees it.
#[derive(Debug)]
pub struct Line {
    pub phase: Phase,
    /// It is a socket of Pusher's or Pushi's, and how long it may be silent.
    pub silence_ms: Option<u64>,
    /// Of Pushi's.
    pub is_pushi: bool,
    /// It has sent a Pong. Of Pushi's sockets nobody is let go for silence who has not.
    pub has_ponged: bool,
    /// It has asked the store, and is not heard until that has answered.
    pub waits: bool,
    pub expect: VecDeque<Expect>,
    /// When a byte last came on the open socket.
    pub heard_ms: u64,
    /// When something was last waiting for the client to read it; meanwhile it is not called
    /// silent, as our ping may be behind what waits.
    pub waited_ms: u64,
    /// When the client last got a heartbeat, or its socket was opened.
    pub beat_ms: u64,
    /// Catch-up is queued, which is not held to the limit.
    pub caught_up: bool,
    /// Who was last seen to join (true) or part, by channel and user, while nothing was missed.
    pub presence: BTreeMap<(String, String), bool>,
    /// The poll that waits.
    wait: Option<listening::Wait>,
    /// The answer that is held back.
    held: Option<admins::Held>,
    /// The answer that waits until something is kept.
    kept: Option<Kept>,
    /// So many of what is to be heard next are of before something was missed.
    pub unsure: usize,
}

impl Line {
    /// Some coming and going may not be told. What waits to be heard is of before.
    fn forget_presence(&mut self) {
        self.presence.clear();
        self.unsure = self.expect.len();
    }
}

#[derive(Debug)]
struct Event {
    /// Its place in the order of all that happened.
    told: u64,
    /// As a client chose it, or a placeholder.
    id: String,
    kind: Kind,
    /// When it happened, by the server or by who sent it.
    stamp: String,
    /// When it was edited, if this is what an edit made of a message.
    edited: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Message(Message),
    Amendment(Amendment),
    State {
        channel: String,
        user: String,
        state: Value,
        changed: Vec<Value>,
    },
    Presence {
        joined: bool,
        channel: String,
        user: String,
        state: Value,
        members: Vec<Value>,
        /// What it says of itself in this channel.
        info: Option<Said>,
        by_settings: bool,
    },
}

#[derive(Debug)]
struct User {
    key: u32,
    name: String,
    state: BTreeMap<String, Value>,
    public_keys: Vec<String>,
    private: Vec<(u64, usize)>,
    /// Its subscribers, in the order in which they are gone through.
    subs: Vec<u32>,
    timer: Timer,
}

#[derive(Debug)]
struct Channel {
    key: u32,
    name: String,
    settings: Settings,
    is_configured: bool,
    /// Only those named it so far that know no settings.
    is_bare: bool,
    /// In order of joining.
    members: Vec<Present>,
    history: Vec<usize>,
    recent: Vec<(u64, usize)>,
    last_active: u64,
    /// Who is somebody in this channel only, and what it says of itself, in order of joining.
    guests: Vec<Guest>,
    cached: Option<pusher::Cached>,
    told_count: usize,
    timer: Timer,
}

/// A user who is in a channel.
#[derive(Debug, Clone)]
struct Present {
    user: String,
    /// By how many subscribers.
    count: usize,
    /// What a guest said of it last.
    said: Option<Said>,
}

/// A subscriber that is somebody in one channel only.
#[derive(Debug, Clone)]
struct Guest {
    key: u32,
    user: String,
    said: Option<Said>,
}

/// What somebody says of itself, and whether that is in Pushi's words.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    words: Value,
    is_pushi: bool,
}

#[derive(Debug)]
struct Sub {
    key: u32,
    /// As the client chose it, or a placeholder.
    id: String,
    user: String,
    outlet: Option<ConnId>,
    seen: u64,
    /// Nothing from before was ever told to it.
    born: u64,
    channels: Vec<String>,
    /// It is a socket of Pusher's.
    socket: Option<pusher::Socket>,
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
    pub stream_grace_ms: u64,
    pub poll: Pace,
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
    hang_ups: Vec<(ConnId, u16, &'static str)>,
    places: listening::Places,
    desk: admins::Desk,
    /// Messages, and how often one was told as it came.
    published: u64,
    delivered: u64,
    /// The apps that speak Pusher.
    pub served: Vec<Served>,
    /// Those that speak Pushi.
    pub pushi: pushi::Pushi,
    pub stored: Stored,
    /// Who has had a message that goes to several channels, while it is told.
    once: Option<std::collections::BTreeSet<u32>>,
    /// What the rest of the world is told, since the last look.
    facts: Vec<KeptFact>,
    pub sockets: Sockets,
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
            places: listening::Places::default(),
            desk: admins::Desk::default(),
            published: 0,
            delivered: 0,
            served: Vec::new(),
            pushi: pushi::Pushi::default(),
            stored: Stored::default(),
            once: None,
            facts: Vec::new(),
            sockets: Sockets::default(),
        }
    }

    // ---- connections -----------------------------------------------------------------------

    pub fn opened(&mut self, conn: ConnId) {
        let line = Line {
            phase: Phase::Http,
            silence_ms: None,
            is_pushi: false,
            has_ponged: false,
            waits: false,
            expect: VecDeque::new(),
            heard_ms: 0,
            waited_ms: 0,
            beat_ms: 0,
            caught_up: false,
            presence: BTreeMap::new(),
            wait: None,
            held: None,
            kept: None,
            unsure: 0,
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

    /// Whether the next answer is to say that something cannot be done now.
    pub fn expects_503(&self, conn: ConnId) -> bool {
        matches!(
            self.lines[&conn].expect.front(),
            Some(
                Expect::AnswerOrNot { .. }
                    | Expect::Answer { status: 503, .. }
                    | Expect::Rest { status: 503, .. }
            )
        )
    }

    /// The connection has gone. Whether something was still to be heard on it. A slow consumer's
    /// subscriber goes with it, as it could not tell what was thrown away.
    pub fn closed(&mut self, conn: ConnId, is_slow: bool, now: Now) -> Line {
        let former = match self.phase(conn) {
            Phase::Open(key) if is_slow => Some(key),
            _ => None,
        };
        self.poll_lost(conn, now);
        self.gone(conn, now);
        if let Some(key) = former
            && self
                .subs
                .iter()
                .any(|sub| sub.key == key && sub.outlet.is_none())
        {
            self.depart(key, now);
        }
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
        let (key, grace_ms) = match std::mem::replace(&mut line.phase, Phase::Done) {
            Phase::Open(key) => (key, self.rules.return_ms),
            Phase::Streaming(key) => (key, self.rules.stream_grace_ms),
            Phase::Http | Phase::Held | Phase::Parked(_) | Phase::Closing | Phase::Done => return,
        };
        let (sequence, at) = (self.sequence, now.mono + grace_ms);
        if let Some(sub) = self.subs.iter_mut().find(|sub| sub.key == key)
            && sub.outlet == Some(conn)
        {
            if sub.socket.is_some() {
                // It lives and dies with its connection.
                return self.depart(key, now);
            }
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
            Phase::Http | Phase::Held | Phase::Parked(_) | Phase::Streaming(_) | Phase::Done => {}
        }
    }

    /// The server closes a socket in its own words; who listens otherwise is told what there is.
    pub fn hang_up(&mut self, conn: ConnId, code: u16, reason: &'static str, now: Now) {
        if !self.lines.contains_key(&conn) {
            return;
        }
        match self.phase(conn) {
            Phase::Open(_) => {
                self.expect_close(conn, code, reason);
                self.gone(conn, now);
                self.line(conn).phase = Phase::Closing;
            }
            Phase::Parked(_) => self.answer_poll(conn, now),
            Phase::Streaming(_) => self.gone(conn, now),
            Phase::Http | Phase::Held | Phase::Closing | Phase::Done => {}
        }
    }

    /// At the end of each call into the engine: the sockets that the hub wants closed.
    pub fn hang_up_all(&mut self, now: Now) {
        for (conn, code, reason) in std::mem::take(&mut self.hang_ups) {
            self.hang_up(conn, code, reason, now);
        }
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
        line.beat_ms = now.mono.0;
        self.attach(key, conn);
        self.catch_up(key, conn, false);
    }

    /// Tells what was missed: channel by channel, or as it happened.
    fn catch_up(&mut self, key: u32, conn: ConnId, by_time: bool) {
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
        if by_time {
            missed.sort_by_key(|&event| self.events[event].told);
        }
        let line = self.line(conn);
        line.caught_up |= !missed.is_empty();
        for event in missed {
            line.tell(event, true);
        }
    }

    fn is_for(&self, event: usize, user: &str) -> bool {
        let chosen = |only: &[String], except: &[String]| {
            !except.iter().any(|name| name == user)
                && (only.is_empty() || only.iter().any(|name| name == user))
        };
        match &self.events[event].kind {
            Kind::Message(message) => chosen(&message.only, &message.except),
            Kind::Amendment(amendment) => chosen(&amendment.only, &amendment.except),
            Kind::Presence { user: about, .. } => about != user,
            Kind::State { .. } => true,
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
            line.forget_presence();
        }
    }

    /// Channels, subscribers and users there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.channels.len(), self.subs.len(), self.users.len())
    }

    /// Whether nothing is left but channels that remember their history or settings.
    pub fn is_over(&self) -> bool {
        let remembers = |channel: &Channel| !channel.history.is_empty() || channel.is_configured;
        self.subs.is_empty() && self.users.is_empty() && self.channels.iter().all(remembers)
    }
}

/// The part of a user's state that others may see.
fn public(user: &User) -> Value {
    let keys = &user.public_keys;
    let state = user.state.iter().filter(|(key, _)| keys.contains(key));
    let state: Map<String, Value> = state.map(|(k, v)| (k.clone(), v.clone())).collect();
    Value::Object(state)
}
