//! The world: what is drawn for a run, what clients do in it, and how time passes.

use super::Sabotage;
use super::chance::Chance;
use super::link::{Link, Reading};
use super::mischief::{self, ODD};
use super::oracle::{Call, Info, Message, Oracle, Rules, Settings, Signed};
use super::peer::{self, Inbox, Item};
use super::turn::Conns;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::dialect::{Ctx, Dialect, Heartbeat, Reply};
use fanwire::engine::{Engine, EngineConfig, Publication};
use fanwire::handler::{CloseReason, ConnId, Handler, Origin};
use fanwire::hub::{Event, Format, HangUp, SubscriberId};
use fanwire::limits;
use fanwire::outbox::Outbox;
use fanwire::random::Random;
use fanwire::time::{Millis, Now};
use fanwire::transport::http::{Request, Response};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Where a run is; read after it has failed.
#[derive(Default)]
pub struct Progress {
    pub step: Cell<u32>,
    pub trace: Cell<Vec<String>>,
}

/// What happened in a run, to see that everything does.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub hash: u64,
    pub trace: Vec<String>,
    pub opened: u64,
    pub closed: u64,
    pub requests: u64,
    pub sockets: u64,
    pub frames: u64,
    pub caught_up: u64,
    pub presence: u64,
    pub heartbeats: u64,
    pub pings: u64,
    pub pauses: u64,
    pub junk: u64,
    pub silent: u64,
    pub stalled: u64,
    pub slow: u64,
    pub timeouts: u64,
    pub drained: u64,
    pub emptied: u64,
    pub queued_max: usize,
    pub statuses: BTreeSet<u16>,
}

impl Summary {
    /// FNV-1a over everything that leaves.
    pub fn hash(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn close(&mut self, why: CloseReason) {
        self.closed += 1;
        self.slow += u64::from(why == CloseReason::SlowConsumer);
    }

    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.requests += other.requests;
        self.sockets += other.sockets;
        self.frames += other.frames;
        self.caught_up += other.caught_up;
        self.presence += other.presence;
        self.heartbeats += other.heartbeats;
        self.pings += other.pings;
        self.pauses += other.pauses;
        self.junk += other.junk;
        self.silent += other.silent;
        self.stalled += other.stalled;
        self.slow += other.slow;
        self.timeouts += other.timeouts;
        self.drained += other.drained;
        self.emptied += other.emptied;
        self.queued_max = self.queued_max.max(other.queued_max);
        self.statuses.extend(&other.statuses);
    }

    /// A world in which something never happens proves nothing about it.
    pub fn check_that_everything_happened(&self) {
        for (what, count) in [
            ("frames", self.frames),
            ("catch-up", self.caught_up),
            ("presence", self.presence),
            ("heartbeats", self.heartbeats),
            ("pings", self.pings),
            ("pauses", self.pauses),
            ("junk", self.junk),
            ("silent sockets", self.silent),
            ("stalled peers", self.stalled),
            ("slow consumers", self.slow),
            ("time-outs", self.timeouts),
            ("drains", self.drained),
            ("empty ends", self.emptied),
        ] {
            assert!(count > 0, "no {what} in all these runs");
        }
        for status in [200, 400, 401, 403, 404, 413, 414, 422, 431, 501, 505] {
            assert!(
                self.statuses.contains(&status),
                "no {status} in all these runs"
            );
        }
    }
}

/// What a client sent, and where in all that it sent it ends.
#[derive(Debug)]
pub struct Unit {
    pub end: u64,
    pub length: u64,
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
    /// A frame that changes nothing; of a ping, what is to come back.
    Frame(Option<Vec<u8>>),
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
    pub units: std::collections::VecDeque<Unit>,
    pub written: u64,
    pub delivered: u64,
    pub digested: u64,
    pub opened_ms: u64,
    pub last_read_ms: u64,
    /// Since when a request is incomplete.
    pub began_ms: Option<u64>,
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
        self.written += bytes.len() as u64;
        self.units.push_back(Unit {
            end: self.written,
            length: bytes.len() as u64,
            what,
        });
        self.link.send(bytes, at_ms);
    }
}

/// What a client, or time, may do. The mix is drawn for each run.
const DEEDS: usize = 24;

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
    pub dead: Vec<ConnId>,
    pub gone_log: Rc<Cell<Vec<ConnId>>>,
    pub queue_bytes_max: usize,
    pub silence_ms: u64,
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
    delay_ms: u64,
    ids: Vec<String>,
    serial: u64,
    steps: u32,
}

/// Channelstream, watched: in which order sockets go, and a wire to stumble over.
struct Watched {
    inner: Channelstream,
    gone: Rc<Cell<Vec<ConnId>>>,
    requests_left: Cell<u32>,
    texts_left: Cell<u32>,
}

fn count_down(left: &Cell<u32>) {
    left.set(left.get() - 1);
    assert!(left.get() > 0, "the planted panic");
}

impl Dialect for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        count_down(&self.requests_left);
        self.inner.request(request, ctx)
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.upgraded(who, ctx);
    }
    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        count_down(&self.texts_left);
        self.inner.text(text, from, ctx);
    }
    fn encode(&self, format: Format, event: &Event<'_>, catch_up: bool, out: &mut Vec<u8>) {
        self.inner.encode(format, event, catch_up, out);
    }
    fn gone(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        let mut gone = self.gone.take();
        gone.push(ctx.conn);
        self.gone.set(gone);
        self.inner.gone(who, ctx);
    }
    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        self.inner.hang_up(why)
    }
    fn heartbeat(&self) -> Option<Heartbeat> {
        self.inner.heartbeat()
    }
    fn dress(&self, request: &Request<'_>, response: &mut Response) {
        self.inner.dress(request, response);
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl World {
    pub fn new(seed: u64, sabotage: Sabotage, progress: Rc<Progress>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let dialect = Config {
            validate_requests: !chance.one_in(3),
            ..Config::default()
        };
        let mut config = EngineConfig::default();
        let message_bytes = 4_096;
        config.websocket.message_bytes = message_bytes;
        config.http.body_bytes = 64 * limits::KIB;
        config.hub.channels_per_subscriber = 3;
        config.hub.catch_up_events = *chance.pick(&[2, 5, 100]);
        config.hub.catch_up_private = *chance.pick(&[1, 4, 50]);
        let rules = Rules {
            channels_per_subscriber: config.hub.channels_per_subscriber,
            catch_up_events: config.hub.catch_up_events,
            catch_up_private: config.hub.catch_up_private,
            signature_age_s: dialect.validate_requests.then_some(60),
            expire_ms: 15_000,
            return_ms: 1_000,
            channel_forget_ms: 60_000,
            channel_configured_forget_ms: 3 * DAY_MS,
            user_forget_ms: DAY_MS,
        };
        let gone_log = Rc::new(Cell::new(Vec::new()));
        let planted = |here: Sabotage| Cell::new(if sabotage == here { 5 } else { u32::MAX });
        let watched = Watched {
            inner: Channelstream::new(dialect.clone()),
            gone: gone_log.clone(),
            requests_left: planted(Sabotage::PanicInRequest),
            texts_left: planted(Sabotage::PanicInText),
        };
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
        for rare in [11, 12, 14, 15, 16, 20, 23] {
            weights[rare] = weights[rare].min(1);
        }
        let silence_ms = config.ws_ping_after_ms + config.ws_pong_ms;
        Self {
            engine: Engine::new(
                config,
                vec![Box::new(watched)],
                Random::seeded(chance.bits()),
            ),
            out: Outbox::new(queue_bytes_max),
            conns: Conns::new(),
            oracle: Oracle::new(rules, sabotage),
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
            dead: Vec::new(),
            gone_log,
            queue_bytes_max,
            silence_ms,
            reply_at_ms: 0,
            sent: 0,
            frames: 0,
            progress,
            signer: Channelstream::new(dialect),
            signature: (0, String::new()),
            wall_offset_micros: 1_795_000_000_000_000,
            weights,
            message_bytes,
            delay_ms: *chance.pick(&[0, 0, 5, 200]),
            ids: Vec::new(),
            serial: 0,
            steps: 40 + chance.below(160) as u32,
            chance,
        }
    }

    pub fn note(&mut self, words: String) {
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
                self.drain();
            }
            for _ in 0..=self.chance.below(3) {
                self.deed();
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
        self.summary.trace = self.progress.trace.take();
        self.summary.clone()
    }

    /// Everyone leaves and time passes: nothing may be left.
    fn end(&mut self) {
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            match self.chance.below(3) {
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
        self.pass(days * DAY_MS, !in_steps);
        // A jump leaves what was filed beyond the wheel's horizon to the next wakes.
        self.pass(2 * DAY_MS, false);
        assert!(
            self.oracle.is_over(),
            "the oracle has nothing left to wait for"
        );
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
            for _ in 0..200_000 {
                if !self.resume.is_empty() || self.out.is_dirty() {
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
                self.set_time(next);
                self.turn();
            }
        }
        self.set_time(until);
        self.turn();
    }

    // ---- deeds -----------------------------------------------------------------------------

    fn deed(&mut self) {
        let total: u64 = self.weights.iter().sum();
        let mut at = self.chance.within(0, total - 1);
        let mut deed = 0;
        while at >= self.weights[deed] {
            at -= self.weights[deed];
            deed += 1;
        }
        match deed {
            0 => self.ask_connect(),
            1 => self.open_socket(),
            2 | 3 => self.ask_subscribe(),
            4 => self.ask_unsubscribe(),
            5..=7 => self.ask_publish(),
            8 => self.ask_info(),
            9 => self.ask_disconnect(),
            10 => self.ask_odd(),
            11 => self.http_junk(),
            12 => self.on_socket(|world, row, at| {
                let junk = mischief::frame_junk(world.1, &mut world.0);
                row.is_done = true;
                row.send(junk, What::Junk, at);
            }),
            13 => self.on_socket(|world, row, at| {
                let length = world.0.below(200);
                for (bytes, ping) in peer::text(&"tü".repeat(length), &mut world.0) {
                    row.send(bytes, What::Frame(ping), at);
                }
            }),
            14 => self.on_socket(|world, row, at| {
                row.is_done = true;
                let code = *world.0.pick(&[1000, 1001, 3000, 4999]);
                row.send(peer::close(code, &mut world.0), What::Close(code), at);
            }),
            15 => self.on_any(|chance, row| {
                row.is_silent = true;
                if chance.one_in(2) {
                    row.link.cut(chance);
                }
            }),
            16 => self.on_any(|chance, row| {
                if chance.one_in(2) {
                    row.link.is_reset = true;
                } else {
                    row.link.is_finished = true;
                }
                row.is_done = true;
            }),
            17 => self.on_any(|chance, row| {
                row.link.reading = match chance.below(3) {
                    0 => Reading::Stopped(chance.below(3_000)),
                    _ => Reading::Some,
                };
            }),
            18 => self.read_again(),
            19 => self.on_socket(|world, row, at| {
                let payload = vec![b'p'; world.0.below(126)];
                let bytes = peer::masked(0x89, &payload, &mut world.0);
                row.send(bytes, What::Frame(Some(payload)), at);
            }),
            20 => {
                let ms = match self.chance.below(4) {
                    0 => self.chance.within(500, 2_000),
                    1 => self.chance.within(5_000, 20_000),
                    2 => self.chance.within(20_000, 100_000),
                    _ if self.chance.one_in(4) => DAY_MS,
                    _ => 900_000,
                };
                let asleep = self.chance.one_in(3);
                self.note(format!(
                    "{ms} ms pass{}",
                    if asleep { " asleep" } else { "" }
                ));
                self.pass(ms, asleep);
            }
            21 => {
                let step = self.chance.within(0, 200_000_000);
                self.wall_offset_micros -= step;
                if self.chance.one_in(2) {
                    self.wall_offset_micros += step + self.chance.within(0, 50_000_000);
                }
            }
            22 => {
                let message = self.message(true);
                let publication = Publication {
                    user: message.user.clone(),
                    channel: message.channel.clone().unwrap_or_default(),
                    message: message.body.clone().unwrap_or_default().to_string(),
                };
                let message = Message {
                    only: Vec::new(),
                    except: Vec::new(),
                    no_history: false,
                    body: Some(message.body.clone().unwrap_or_default()),
                    ..message
                };
                self.mail.push((publication, message));
            }
            _ => self.burst(),
        }
    }

    fn send_at(&mut self) -> u64 {
        self.now.mono.0 + self.chance.within(0, self.delay_ms)
    }

    /// Does something with one of the connections that are there.
    fn on_any(&mut self, deed: impl FnOnce(&mut Chance, &mut Row)) {
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        if conns.is_empty() {
            return;
        }
        let conn = *self.chance.pick(&conns);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        deed(&mut self.chance, row);
    }

    /// Lets the client of one open socket do something.
    fn on_socket(&mut self, deed: impl FnOnce(&mut (Chance, usize), &mut Row, u64)) {
        let open = |(_, row): &(ConnId, &Row)| row.is_socket && !row.is_done && !row.is_silent;
        let conns: Vec<ConnId> = self
            .conns
            .iter()
            .filter(open)
            .map(|(conn, _)| conn)
            .collect();
        if conns.is_empty() {
            return;
        }
        let conn = *self.chance.pick(&conns);
        let at = self.send_at();
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        let mut lent = (self.chance.clone(), self.message_bytes);
        deed(&mut lent, row, at);
        self.chance = lent.0;
    }

    fn read_again(&mut self) {
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            if self.chance.one_in(3) {
                continue;
            }
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            if self.chance.one_in(2) {
                row.link.reading = Reading::All;
            }
            if !row.is_writable {
                row.is_writable = true;
                self.out.mark(conn);
            }
        }
    }

    fn row(&mut self, is_socket: bool) -> Row {
        let may_sign = is_socket || !self.chance.one_in(12);
        let address = if may_sign {
            "127.0.0.1:9"
        } else {
            "192.0.2.1:9"
        };
        Row {
            from: Origin {
                peer: address.parse().ok(),
                tls: false,
            },
            may_sign,
            is_socket,
            is_done: false,
            is_silent: false,
            link: Link::new(),
            inbox: Inbox::default(),
            held_back: None,
            units: std::collections::VecDeque::new(),
            written: 0,
            delivered: 0,
            digested: 0,
            opened_ms: self.now.mono.0,
            last_read_ms: self.now.mono.0,
            began_ms: None,
            is_writable: true,
            held: false,
            resume_due: false,
            has_ended: false,
            lingering_until: None,
            discarded: 0,
            stuck_since_ms: None,
            dead: None,
        }
    }

    /// Lets a client that speaks HTTP send something: one that is there, or a fresh one.
    fn send(&mut self, bytes: Vec<u8>, what: What, is_last: bool) {
        let at = self.send_at();
        let able = |row: &Row| !row.is_socket && !row.is_done && !row.is_silent;
        let there: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, row)| able(row))
            .map(|(conn, _)| conn)
            .collect();
        if there.is_empty() || self.chance.one_in(6) {
            let mut row = self.row(false);
            row.send(bytes, what, at);
            row.is_done = is_last;
            self.knocking.push(row);
            return;
        }
        let conn = *self.chance.pick(&there);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.send(bytes, what, at);
        row.is_done = is_last;
    }

    /// Sends a request of the server API.
    fn ask(&mut self, method: &str, target: &str, body: &str, call: Call) {
        let signed = match self.chance.below(25) {
            0 => Signed::No,
            1 => Signed::Wrongly,
            _ => Signed::At(self.now.unix_seconds()),
        };
        self.ask_as(method, target, body, call, signed, false);
    }

    fn ask_as(
        &mut self,
        method: &str,
        target: &str,
        body: &str,
        call: Call,
        signed: Signed,
        closes: bool,
    ) {
        let secret = match signed {
            Signed::No => String::new(),
            Signed::Wrongly => "channelstream.X14QAA.bm9uc2Vuc2Vub25zZW5zZQ".to_owned(),
            Signed::At(second) => {
                if self.signature.0 != second {
                    self.signature = (second, self.signer.sign("channelstream", second));
                }
                self.signature.1.clone()
            }
        };
        let mut headers = Vec::new();
        if signed != Signed::No {
            headers.push(("X-Channelstream-Secret", &*secret));
        }
        let asks_close = self.chance.one_in(20);
        if asks_close {
            headers.push(("Connection", "close"));
        }
        let body = body.as_bytes();
        let bytes = peer::request(method, target, &headers, body, &mut self.chance);
        let asks_close = asks_close || closes;
        let what = What::Request {
            call,
            signed,
            asks_close,
        };
        self.send(bytes, what, asks_close);
    }

    fn user(&mut self) -> String {
        self.chance
            .pick(&["ada", "bob", "cyd", "zoë \"q\""])
            .to_string()
    }

    fn every_channel(&self) -> Vec<String> {
        ["a", "b", "c", "d", "é\\"].map(str::to_owned).to_vec()
    }

    fn channels(&mut self, most: usize) -> Vec<String> {
        let names = self.every_channel();
        self.chance.some(&names, most)
    }

    fn id(&mut self) -> String {
        if self.ids.is_empty() || self.chance.one_in(20) {
            return self.fresh_id();
        }
        // Mostly one of the last.
        let from = self.ids.len().saturating_sub(4);
        self.chance.pick(&self.ids[from..]).clone()
    }

    fn fresh_id(&mut self) -> String {
        let (high, low) = (self.chance.bits(), self.chance.bits());
        let hex = format!("{high:016x}{low:016x}");
        let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
        format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
    }

    fn info(&mut self) -> (Info, Value) {
        let info = Info {
            history: !self.chance.one_in(4),
            users: !self.chance.one_in(4),
            public_state: self.chance.one_in(4),
        };
        let words = json!({
            "include_history": info.history,
            "include_users": info.users,
            "return_public_state": info.public_state,
        });
        (info, words)
    }

    fn configs(&mut self) -> (Vec<(String, Settings)>, Value) {
        let mut configs: Vec<(String, Settings)> = Vec::new();
        let mut words = json!({});
        let names = match self.chance.below(3) {
            0 => self.channels(5),
            _ => self.every_channel(),
        };
        for name in names {
            if configs.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let settings = Settings {
                notify_presence: !self.chance.one_in(4),
                with_members: self.chance.one_in(2),
                store_history: self.chance.one_in(8),
                history_size: self.chance.below(4),
                store_frames: !self.chance.one_in(4),
            };
            words[&name] = settings.to_json();
            configs.push((name, settings));
        }
        (configs, words)
    }

    fn state(&mut self) -> (Vec<(String, Value)>, Value) {
        if !self.chance.one_in(4) {
            return (Vec::new(), json!({}));
        }
        let key = self.chance.pick(&["mood", "age"]).to_string();
        let value = match self.chance.below(3) {
            0 => json!(true),
            1 => json!(self.chance.below(100)),
            _ => json!("good"),
        };
        let words = json!({ key.clone(): value });
        (vec![(key, value)], words)
    }

    /// What the client learns from an answer.
    pub fn learn(&mut self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).expect("compared before");
        if let Some(id) = body.get("conn_id").and_then(Value::as_str)
            && !self.ids.iter().any(|known| known == id)
        {
            self.ids.push(id.to_owned());
        }
    }

    fn ask_connect(&mut self) {
        let user = self.user();
        let id = match self.chance.below(8) {
            0..=3 => None,
            4..=6 => Some(self.fresh_id()),
            _ => Some(self.id()),
        };
        self.ids
            .extend(id.clone().filter(|id| !self.ids.contains(id)));
        let most = if self.chance.one_in(10) { 6 } else { 3 };
        let channels = self.channels(most);
        let (configs, config_words) = self.configs();
        let (fresh_state, fresh_words) = self.state();
        let (state, state_words) = self.state();
        let public_keys = if self.chance.one_in(2) {
            vec!["mood".to_owned()]
        } else {
            Vec::new()
        };
        let (info, info_words) = self.info();
        let mut body = json!({
            "username": user, "channels": channels, "channel_configs": config_words,
            "fresh_user_state": fresh_words, "user_state": state_words,
            "state_public_keys": public_keys, "info": info_words,
        });
        if let Some(id) = &id {
            body["conn_id"] = json!(id);
        }
        let call = Call::Connect {
            user,
            id,
            channels,
            configs,
            fresh_state,
            state,
            public_keys,
            info,
        };
        self.ask("POST", "/connect", &body.to_string(), call);
    }

    fn ask_subscribe(&mut self) {
        let id = self.id();
        let mut channels = self.channels(3);
        channels.push("a".to_owned());
        let (configs, config_words) = self.configs();
        let (info, info_words) = self.info();
        let body = json!({
            "conn_id": id, "channels": channels, "channel_configs": config_words,
            "info": info_words,
        });
        let call = Call::Subscribe {
            id,
            channels,
            configs,
            info,
        };
        self.ask("POST", "/subscribe", &body.to_string(), call);
    }

    fn ask_unsubscribe(&mut self) {
        let id = self.id();
        let mut channels = self.channels(2);
        channels.push("b".to_owned());
        let (info, info_words) = self.info();
        let body = json!({"conn_id": id, "channels": channels, "info": info_words});
        let call = Call::Unsubscribe { id, channels, info };
        self.ask("POST", "/unsubscribe", &body.to_string(), call);
    }

    fn message(&mut self, to_channel: bool) -> Message {
        self.serial += 1;
        let users = ["ada", "bob", "cyd", "zoë \"q\"", "nobody"].map(str::to_owned);
        let channel = if to_channel {
            self.channels(1).pop()
        } else {
            None
        };
        let channel = channel.or_else(|| to_channel.then(|| "a".to_owned()));
        let padding = match self.chance.below(6) {
            0 => self.chance.below(1_500),
            _ => self.chance.below(40),
        };
        let body = json!({"n": self.serial, "pad": "x".repeat(padding)});
        Message {
            user: self.user(),
            channel,
            only: if to_channel && !self.chance.one_in(4) {
                Vec::new()
            } else {
                self.chance.some(&users, 2)
            },
            except: if self.chance.one_in(4) {
                self.chance.some(&users, 2)
            } else {
                Vec::new()
            },
            no_history: self.chance.one_in(5),
            body: (!self.chance.one_in(15)).then_some(body),
        }
    }

    fn ask_publish(&mut self) {
        let count = if self.chance.one_in(5) {
            self.chance.within(0, 8)
        } else {
            1
        };
        let messages: Vec<Message> = (0..count)
            .map(|_| {
                let to_channel = !self.chance.one_in(4);
                self.message(to_channel)
            })
            .collect();
        let words: Vec<Value> = messages
            .iter()
            .map(|message| {
                let mut words = json!({
                    "user": message.user, "pm_users": message.only,
                    "exclude_users": message.except, "no_history": message.no_history,
                });
                if let Some(channel) = &message.channel {
                    words["channel"] = json!(channel);
                }
                if let Some(body) = &message.body {
                    words["message"] = body.clone();
                }
                words
            })
            .collect();
        let body = json!(words).to_string();
        self.ask("POST", "/message", &body, Call::Publish(messages));
    }

    fn ask_info(&mut self) {
        if self.chance.one_in(3) {
            let info = Info {
                history: true,
                users: true,
                public_state: false,
            };
            let channels = None;
            return self.ask("GET", "/info", "", Call::Info { channels, info });
        }
        let (info, mut words) = self.info();
        let channels = self.chance.one_in(2).then(|| self.channels(3));
        if let Some(channels) = &channels {
            words["channels"] = json!(channels);
        }
        let body = json!({ "info": words }).to_string();
        self.ask("POST", "/info", &body, Call::Info { channels, info });
    }

    fn ask_disconnect(&mut self) {
        let id = self.id();
        if self.chance.one_in(2) {
            let body = json!({ "conn_id": id }).to_string();
            return self.ask("POST", "/disconnect", &body, Call::Disconnect { id });
        }
        let target = format!("/disconnect?conn_id={id}");
        self.ask("GET", &target, "", Call::Disconnect { id });
    }

    fn ask_odd(&mut self) {
        let odd = *self.chance.pick(&ODD);
        let call = Call::Odd {
            status: odd.status,
            is_signed: odd.is_signed,
        };
        if odd.sees_secret {
            self.ask(odd.method, odd.target, odd.body, call);
        } else {
            let closes = odd.target == "/ws";
            self.ask_as(odd.method, odd.target, odd.body, call, Signed::No, closes);
        }
    }

    fn http_junk(&mut self) {
        let junk = mischief::http_junk(&mut self.chance);
        self.send(junk, What::Junk, true);
    }

    /// More requests in a row than are taken in one turn.
    fn burst(&mut self) {
        let mut row = self.row(false);
        let at = self.send_at();
        for _ in 0..self.chance.within(20, 70) {
            let id = self.fresh_id();
            let target = format!("/disconnect?conn_id={id}");
            let bytes = peer::request("GET", &target, &[], b"", &mut self.chance);
            let what = What::Request {
                call: Call::Disconnect { id },
                signed: Signed::No,
                asks_close: false,
            };
            row.send(bytes, what, at);
        }
        self.knocking.push(row);
    }

    /// A browser opens its socket, and perhaps talks at once.
    fn open_socket(&mut self) {
        let mut row = self.row(true);
        let at = self.send_at();
        let id = if self.chance.one_in(15) {
            None
        } else {
            Some(self.id())
        };
        let target = match &id {
            Some(id) => format!("/ws?conn_id={id}"),
            None => self
                .chance
                .pick(&["/ws", "/ws?conn_id=", "/ws?conn_id=7"])
                .to_string(),
        };
        let bytes = peer::handshake(&target, &mut self.chance);
        row.send(bytes, What::Handshake(id), at);
        if self.chance.one_in(4) {
            for (bytes, ping) in peer::text("hello", &mut self.chance) {
                row.send(bytes, What::Frame(ping), at);
            }
        }
        if self.chance.one_in(8) {
            row.link.reading = Reading::Some;
        }
        self.knocking.push(row);
    }
}
