//! The world: what is drawn for a run, what clients do in it, and how time passes.

mod admins;
mod changes;
mod deeds;
mod listening;
mod pusher;
mod pushi;
mod store;

use super::Sabotage;
use super::chance::Chance;
use super::link::Link;
use super::oracle::{Call, Chat, Message, Opening, Oracle, Rules, Say, Signed};
use super::peer::{Inbox, Item};
use super::summary::Summary;
use super::turn::Conns;
use super::watched::Watched;
use admins::{Login, RIGHT};
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig, Publication};
use fanwire::handler::{CloseReason, ConnId, Handler, Origin};
use fanwire::limits;
use fanwire::outbox::Outbox;
use fanwire::random::Random;
use fanwire::time::{Millis, Now};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Where a run is; read after it has failed.
#[derive(Default)]
pub struct Progress {
    pub step: Cell<u32>,
    pub trace: Cell<Vec<String>>,
}

/// What a client sent, and where in all that it sent it ends.
#[derive(Debug)]
pub struct Unit {
    pub end: u64,
    pub length: u64,
    /// Where the head of a request ends, if that was ever sent.
    pub head_end: u64,
    pub what: What,
}

/// See [`Unit`].
#[derive(Debug)]
pub enum What {
    Request {
        call: Call,
        signed: Signed,
        asks_close: bool,
    },
    Handshake(Option<String>),
    /// The handshake of a socket of Pusher's.
    Opening(Opening),
    /// What is said on it.
    Say(Say),
    /// The handshake of a socket of Pushi's, for an app if there is one of its key.
    Door(Option<usize>),
    /// What is said on that.
    Chat(Chat),
    /// A frame that changes nothing; of a ping, what is to come back.
    Frame(Option<Vec<u8>>),
    Pong,
    Close(u16),
    Junk,
}

/// One connection: its client, its link, and what the reactor keeps of it.
#[derive(Debug)]
pub struct Row {
    pub from: Origin,
    pub may_sign: bool,
    pub is_socket: bool,
    /// The client sends nothing more.
    pub is_done: bool,
    /// The client does not react.
    pub is_silent: bool,
    pub link: Link,
    pub inbox: Inbox,
    pub held_back: Option<Item>,
    /// For whom its client listens, if it does.
    pub listens: Option<listening::Listener>,
    /// What its client knows, if it speaks Pusher.
    pub talker: Option<pusher::Talker>,
    /// The same, if it speaks Pushi.
    pub chatter: Option<pushi::Chatter>,
    pub units: std::collections::VecDeque<Unit>,
    pub written: u64,
    pub delivered: u64,
    pub digested: u64,
    pub opened_ms: u64,
    pub last_read_ms: u64,
    /// Since when a request is incomplete.
    pub began_ms: Option<u64>,
    /// When the head was admitted whose body has still to come, by the wall clock in seconds.
    pub admitted_s: Option<u64>,
    pub is_turned_away: bool,
    pub is_writable: bool,
    pub held: bool,
    pub resume_due: bool,
    pub has_ended: bool,
    pub lingering_until: Option<u64>,
    pub discarded: usize,
    pub stuck_since_ms: Option<u64>,
    pub dead: Option<CloseReason>,
}

impl Row {
    /// The client sends something.
    pub fn send(&mut self, bytes: Vec<u8>, what: What, at_ms: u64) {
        let blank = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let head_end = blank.map_or(u64::MAX, |at| self.written + at as u64 + 4);
        self.written += bytes.len() as u64;
        self.units.push_back(Unit {
            end: self.written,
            length: bytes.len() as u64,
            head_end,
            what,
        });
        self.link.send(bytes, at_ms);
    }

    /// What was sent last lacks so many bytes, and they never come.
    pub fn expects_more(&mut self, count: usize) {
        self.written += count as u64;
        self.is_done = true;
        self.is_silent = true;
        if let Some(unit) = self.units.back_mut() {
            unit.end += count as u64;
            unit.length += count as u64;
        }
    }
}

/// What a client, or time, may do. The mix is drawn for each run.
const DEEDS: usize = 28;

/// A message that a client can name.
pub struct Sent {
    pub id: String,
    pub channel: Option<String>,
    pub only: Vec<String>,
}

/// The world of one run.
pub struct World {
    pub engine: Engine,
    pub out: Outbox,
    pub conns: Conns,
    pub oracle: Oracle,
    pub now: Now,
    pub chance: Chance,
    pub sabotage: Sabotage,
    pub summary: Summary,
    pub traced: bool,
    pub mail: Vec<(Publication, Message)>,
    pub knocking: Vec<Row>,
    pub resume: Vec<ConnId>,
    /// Those for whom a turn had no time any more to write to them.
    pub behind: Vec<ConnId>,
    pub dead: Vec<ConnId>,
    /// Connections that were opened and not closed.
    pub ledger: BTreeSet<ConnId>,
    pub gone_log: Rc<Cell<Vec<ConnId>>>,
    pub answered_log: Rc<Cell<Vec<ConnId>>>,
    pub queue_bytes_max: usize,
    /// Connections and slow consumers before the server last started.
    pub before: (u64, u64),
    pub side: Option<store::Side>,
    /// Writes that were said to be kept too early.
    pub early: Option<fanwire::store::Place>,
    /// Changes that the store had no room for, since the server started.
    unstored: u64,
    config: EngineConfig,
    dialect: Config,
    pub silence_ms: u64,
    pub drained_ms: u64,
    /// During a jump clients react only at its end.
    pub reply_at_ms: u64,
    pub sent: u64,
    pub frames: u64,
    progress: Rc<Progress>,
    signer: Channelstream,
    signature: (u64, String),
    wall_offset_micros: u64,
    weights: [u64; DEEDS],
    message_bytes: usize,
    padding_max: usize,
    delay_ms: u64,
    ids: Vec<String>,
    /// The last ids that streams told, by connection id.
    last_ids: BTreeMap<String, Vec<u64>>,
    /// How much is listened over HTTP; zero: not at all.
    listens: u64,
    messages: Vec<Sent>,
    pusher: pusher::Plan,
    pushi: pushi::Plan,
    /// How much admins do; zero: nothing.
    admins: u64,
    logins: Vec<Login>,
    /// Connections that were there at some time, for an admin to close.
    seen: Vec<ConnId>,
    serial: u64,
    steps: u32,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl World {
    pub fn new(seed: u64, sabotage: Sabotage, progress: Rc<Progress>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let mut dialect = Config {
            validate_requests: !chance.one_in(3),
            ..Config::default()
        };
        dialect.admin_secret = RIGHT.1.to_owned();
        // A desk that a fault swaps for another must not have another key as well.
        if sabotage != Sabotage::None || chance.one_in(2) {
            dialect.cookie_secret = "of the cookies".to_owned();
        }
        dialect.poll.frames = *chance.pick(&[3, 10, dialect.poll.frames]);
        let plan = pusher::Plan::draw(&mut chance);
        dialect.app = plan.channelstream();
        let pushi = pushi::Plan::draw(seed, &plan.names());
        dialect.persist = pushi.persists;
        let mut config = EngineConfig {
            facts_kept: usize::MAX,
            ..EngineConfig::default()
        };
        let message_bytes = 4_096;
        config.websocket.message_bytes = message_bytes;
        config.http.body_bytes = 512 * limits::KIB;
        config.hub.channels_per_subscriber = if pushi.is_none() { 3 } else { 5 };
        config.stored_apps = pushi.stored_apps();
        config.hub.catch_up_events = *chance.pick(&[2, 5, 100]);
        config.hub.catch_up_private = *chance.pick(&[1, 4, 50]);
        let rules = Rules {
            channels_per_subscriber: config.hub.channels_per_subscriber,
            catch_up_events: config.hub.catch_up_events,
            catch_up_private: config.hub.catch_up_private,
            signature_age_s: dialect.validate_requests.then_some(60),
            expire_ms: 15_000,
            return_ms: 1_000,
            stream_grace_ms: dialect.stream_grace_ms,
            poll: dialect.poll,
            channel_forget_ms: 60_000,
            channel_configured_forget_ms: 3 * DAY_MS,
            user_forget_ms: DAY_MS,
        };
        let gone_log = Rc::new(Cell::new(Vec::new()));
        let answered_log = Rc::new(Cell::new(Vec::new()));
        let queue_bytes_max = *chance.pick(&[2_048, 4_096, 16_384, limits::OUT_QUEUE_BYTES_MAX]);
        // Per run some deeds are off and others frequent.
        let mut weights = [0; DEEDS];
        for weight in &mut weights {
            *weight = if chance.one_in(5) {
                0
            } else {
                chance.within(1, 8)
            };
        }
        // Without these nothing else happens.
        weights[0] = weights[0].max(3);
        weights[1] = weights[1].max(3);
        // And these end everything quickly.
        for rare in [11, 12, 14, 15, 16, 20, 23, 27] {
            weights[rare] = weights[rare].min(1);
        }
        // In calm runs clients stay, so that much is heard.
        if chance.one_in(2) {
            for harsh in [9, 11, 12, 14, 15, 16, 20] {
                weights[harsh] = 0;
            }
            for friendly in [0, 1, 2, 3, 5, 6, 7, 24, 25, 26] {
                weights[friendly] = weights[friendly].max(5);
            }
        }
        let silence_ms = config.ws_ping_after_ms + config.ws_pong_ms;
        let random = Random::seeded(chance.bits());
        let mut apart = Chance::new(seed.rotate_left(32) ^ 0x5709e);
        let side = pushi.side(&mut apart);
        let mut oracle = plan.oracle(rules, sabotage);
        (oracle.pushi.apps, oracle.stored) = pushi.oracle();
        let mut world = Self {
            // Replaced below, once there is something to make it of.
            engine: Engine::new(EngineConfig::default(), Vec::new(), Random::seeded(0)),
            before: (0, 0),
            side,
            early: None,
            unstored: 0,
            config,
            dialect: dialect.clone(),
            out: Outbox::new(queue_bytes_max),
            conns: Conns::new(),
            oracle,
            now: Now {
                mono: Millis(chance.within(0, 10_000)),
                unix_micros: 0,
            },
            sabotage,
            summary: Summary::default(),
            traced,
            mail: Vec::new(),
            knocking: Vec::new(),
            resume: Vec::new(),
            behind: Vec::new(),
            dead: Vec::new(),
            ledger: BTreeSet::new(),
            gone_log,
            answered_log,
            queue_bytes_max,
            silence_ms,
            drained_ms: 0,
            reply_at_ms: 0,
            sent: 0,
            frames: 0,
            progress,
            signer: Channelstream::new(dialect),
            signature: (0, String::new()),
            wall_offset_micros: 1_795_000_000_000_000,
            weights,
            message_bytes,
            padding_max: *chance.pick(&[100, 1_500, 1_500, 40_000]),
            delay_ms: *chance.pick(&[0, 0, 5, 200]),
            ids: Vec::new(),
            last_ids: BTreeMap::new(),
            listens: *chance.pick(&[0, 1, 1, 2]),
            messages: Vec::new(),
            // Reports tell of all apps together, which is not modelled.
            admins: match plan.is_none() && pushi.is_none() {
                true => *chance.pick(&[0, 0, 1, 2]),
                false => 0,
            },
            pusher: plan,
            pushi,
            logins: Vec::new(),
            seen: Vec::new(),
            serial: 0,
            steps: 40 + chance.below(160) as u32,
            chance,
        };
        world.engine = world.new_engine(random);
        if world.side.is_some() {
            world.set_time(world.now.mono.0);
            world.first_load();
        }
        world
    }

    /// The server of this run, as it starts.
    fn new_engine(&self, random: Random) -> Engine {
        let planted = |here: Sabotage| Cell::new(if self.sabotage == here { 5 } else { u32::MAX });
        let watched = Watched {
            inner: Channelstream::new(self.dialect.clone()),
            gone: self.gone_log.clone(),
            answered: self.answered_log.clone(),
            requests_left: planted(Sabotage::PanicInRequest),
            texts_left: planted(Sabotage::PanicInText),
            sabotage: self.sabotage,
            bystander: Cell::new(None),
        };
        let pushi = self.pushi.dialect(&self.gone_log, self.sabotage);
        let dialects = self.pusher.dialects(watched, pushi);
        Engine::new(self.config.clone(), dialects, random)
    }

    pub fn note(&self, words: String) {
        if self.traced {
            let mut trace = self.progress.trace.take();
            let words: String = words.chars().take(400).collect();
            trace.push(format!(
                "{:>4} {:>9} ms  {words}",
                self.progress.step.get(),
                self.now.mono.0
            ));
            self.progress.trace.set(trace);
        }
    }

    /// The whole run.
    pub fn run(&mut self) -> Summary {
        self.set_time(self.now.mono.0);
        let drains_at = self
            .chance
            .one_in(5)
            .then(|| self.chance.below(self.steps as usize));
        for step in 0..self.steps {
            self.progress.step.set(step);
            if drains_at == Some(step as usize) {
                self.summary.drained += 1;
                if self.chance.one_in(2) {
                    // Somebody is in the middle of a request.
                    self.stop_midway();
                    self.pass(self.delay_ms, false);
                }
                self.drain();
            }
            for _ in 0..=self.chance.below(if self.pusher.is_none() { 3 } else { 2 }) {
                self.deed();
            }
            for _ in 0..self.listens {
                self.listening_deed();
            }
            for _ in 0..self.pusher.deeds() {
                self.pusher_deed();
            }
            for _ in 0..self.pushi.deeds() {
                self.pushi_deed();
            }
            for _ in 0..self.admins {
                self.admin_deed();
            }
            let ms = match self.chance.below(4) {
                0 => 0,
                1 => self.chance.within(0, 3),
                2 => self.chance.within(0, 60),
                _ => self.chance.within(0, 400),
            };
            self.pass(ms, false);
        }
        self.progress.step.set(self.steps);
        self.end();
        self.summary.admins = self.oracle.admin_counts();
        self.summary.pusher = self.oracle.sockets;
        self.summary.pushi = self.oracle.pushi.counts;
        self.summary.trace = self.progress.trace.take();
        self.summary.clone()
    }

    /// Everyone leaves and time passes: nothing may be left.
    fn end(&mut self) {
        self.knocking.clear();
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            // A stream says nothing, and so is never silent for too long; a client of Pushi's may be
            // mute.
            let is_stream = row
                .listens
                .as_ref()
                .is_some_and(|listens| listens.is_stream);
            let may_stay = is_stream || row.chatter.is_some();
            match self.chance.below(if may_stay { 2 } else { 3 }) {
                0 => row.link.is_finished = true,
                1 => row.link.is_reset = true,
                _ => {}
            }
            row.is_silent = true;
        }
        self.pass(200_000, false);
        assert!(
            self.conns.is_empty(),
            "whoever is silent for long is let go"
        );
        let (in_steps, days) = (self.chance.one_in(2), self.chance.within(4, 6));
        if self.sabotage != Sabotage::LeaveEarly {
            self.pass(days * DAY_MS, !in_steps);
            // A jump leaves what was filed beyond the wheel's horizon to the next wakes.
            self.pass(2 * DAY_MS, false);
            assert!(self.oracle.is_over(), "nothing is left but history");
        }
        let (channels, _, _) = self.oracle.counts();
        assert_eq!(
            self.engine.is_empty(),
            channels == 0,
            "what is left is history"
        );
        self.summary.emptied += u64::from(channels == 0);
        if channels == 0 {
            assert_eq!(self.engine.hub().kept_bytes(), 0);
        }
        assert!(
            self.engine.next_deadline().is_none(),
            "nothing is left to wait for"
        );
        assert!(self.out.is_empty() && self.out.queued_bytes() == 0 && !self.out.is_dirty());
        self.out.trim();
        assert_eq!(self.engine.hub().totals().subscriptions, 0);
        if self.sabotage != Sabotage::LeaveEarly {
            assert!(
                self.oracle.has_all(),
                "the store has done all it was handed"
            );
        }
        assert_eq!(
            self.summary.opened, self.summary.closed,
            "opened and closed, once each"
        );
    }

    // ---- time ------------------------------------------------------------------------------

    fn set_time(&mut self, ms: u64) {
        let micros = self.chance.below(1000) as u64;
        self.now = Now {
            mono: Millis(ms),
            unix_micros: self.wall_offset_micros + ms * 1000 + micros,
        };
    }

    /// Time passes; the loop wakes for its deadlines, or only at the end if it slept through them.
    fn pass(&mut self, ms: u64, asleep: bool) {
        let until = self.now.mono.0 + ms;
        self.reply_at_ms = until;
        if !asleep {
            self.turn();
            let mut restless = 0;
            for _ in 0..200_000 {
                restless += 1;
                assert!(restless < 2_000, "the loop comes to rest");
                if !self.resume.is_empty() || !self.behind.is_empty() || self.out.is_dirty() {
                    self.turn();
                    continue;
                }
                let own = self.own_deadline();
                let handlers = self.engine.next_deadline().map(|next| next.0);
                let Some(next) = own.into_iter().chain(handlers).min() else {
                    break;
                };
                let late = self.chance.within(0, 3);
                let next = next.max(self.now.mono.0) + late;
                if next > until {
                    break;
                }
                restless *= u32::from(next == self.now.mono.0);
                self.set_time(next);
                self.turn();
            }
        }
        self.set_time(until);
        self.turn();
    }
}
