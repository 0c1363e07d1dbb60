//! Joins transport, dialects and hub: a pure state machine.
//!
//! Bytes, time and chance come in as arguments; frames go out through the outbox. The reactor
//! drives it in production, a seeded world drives it in tests, a host program may drive it itself.
//! It opens no socket, starts no thread and reads no clock.
//!
//! A connection's phase says what its next bytes mean:
//!
//! ```text
//! opened ─► Http ──(101)──► Open ──(our Close)──► Closing ─► Done
//!            └───────────────┴──(their Close, a refusal)────► Done   nothing more is read
//! ```

mod http;
mod jobs;
mod metrics;
mod own;
mod poll;
mod report;
mod storing;
mod stream;
mod websocket;
mod world;

pub use metrics::{Metrics, ProcessStats};
pub use own::{AdminAccess, DevApp, DevPage};
pub use storing::StoreLink;

use world::World;

use crate::dialect::{self, Apps, Desk, Dialect, Facts, KeptFact, Meter};
use crate::frame::{Frame, FrameWriter, Opcode};
use crate::handler::{CloseReason, Conn, ConnId, Handler, Origin, Turn};
use crate::hub::{AppId, Effects, HangUp, Hub, HubConfig, NewMessage, Stamp, SubscriberId};
use crate::limits;
use crate::outbox::{Ending, Farewell};
use crate::random::Random;
use crate::room;
use crate::store::{News, Port};
use crate::table::Column;
use crate::time::{Millis, Now, Surfaced, Timer, Wheel};
use crate::transport::http::response::DateCache;
use crate::transport::http::{HttpLimits, Phase as Progress};
use crate::transport::websocket::WsLimits;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;

/// Bounds and intervals of the engine; defaults are those of [`crate::limits`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named and explained in limits.rs")]
pub struct EngineConfig {
    pub http: HttpLimits,
    pub websocket: WsLimits,
    pub hub: HubConfig,
    pub head_ms: u64,
    pub idle_ms: u64,
    pub body_stall_ms: u64,
    pub ws_close_ms: u64,
    pub ws_ping_after_ms: u64,
    pub ws_pong_ms: u64,
    pub pings_per_s: u32,
    pub messages_per_s: u32,
    /// Facts that may wait until [`Engine::take_facts`] takes them; 0: none are kept.
    pub facts_kept: usize,
    /// Apps of the settings that something is stored of, and the ids that they have there.
    pub stored_apps: Vec<(AppId, String)>,
    /// Who may read metrics.
    pub admin: AdminAccess,
    /// What `dev` adds; absent elsewhere.
    pub dev: Option<DevPage>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            http: HttpLimits::default(),
            websocket: WsLimits::default(),
            hub: HubConfig::default(),
            head_ms: limits::HTTP_HEAD_MS,
            idle_ms: limits::HTTP_IDLE_MS,
            body_stall_ms: limits::HTTP_BODY_STALL_MS,
            ws_close_ms: limits::WS_CLOSE_MS,
            ws_ping_after_ms: limits::WS_PING_AFTER_MS,
            ws_pong_ms: limits::WS_PONG_MS,
            pings_per_s: limits::PINGS_PER_S_MAX,
            messages_per_s: limits::MESSAGES_PER_S_MAX,
            facts_kept: 0,
            stored_apps: Vec::new(),
            admin: AdminAccess::default(),
            dev: None,
        }
    }
}

/// A message published by the host program.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The sender's name.
    pub user: String,
    /// Where it goes.
    pub channel: String,
    /// JSON text, checked by whoever made this.
    pub message: String,
}

/// Numbers for a host program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Open sockets.
    pub connections: u64,
    /// Channels there are.
    pub channels: u64,
    /// Subscribers there are, with a socket or waiting for one.
    pub subscribers: u64,
    /// Users anything is known of.
    pub users: u64,
    /// Messages published since the start.
    pub published: u64,
    /// Messages handed to a connection since the start.
    pub delivered: u64,
    /// Bytes waiting in all out-queues.
    pub queued_bytes: u64,
}

/// What other threads send to the loop.
pub enum Mail {
    /// Publish a message in the first app.
    Publish(Publication),
    /// Say how things stand.
    Stats(SyncSender<Stats>),
    /// What the operating system says of the process.
    Process(ProcessStats),
    /// What the store says.
    Store(Vec<News>),
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Publish(_) => "Publish",
            Self::Stats(_) => "Stats",
            Self::Process(_) => "Process",
            Self::Store(_) => "Store",
        })
    }
}

/// What the next bytes from a peer mean.
#[derive(Debug)]
enum Phase {
    /// Requests.
    Http(Box<http::Http>),
    /// Frames.
    Open(websocket::Open),
    /// A request that waits for news.
    Parked(Box<poll::Parked>),
    /// News without end.
    Streaming(stream::Streaming),
    /// We have sent a Close: frames that are ignored, but for theirs.
    Closing(crate::transport::websocket::Decoder),
    /// Nothing more is read; the queue drains.
    Done,
}

/// The row of a connection that `received` touches; its queue lies in the outbox, its socket in
/// the reactor.
#[derive(Debug)]
struct Inbound {
    /// The one deadline of this connection, whatever its phase makes of it.
    timer: Timer,
    opened: Millis,
    phase: Phase,
}

/// Until when requests that had begun when the stop did may still come.
#[derive(Debug, Clone, Copy)]
struct Draining {
    heads_until: Millis,
    bodies_until: Millis,
}

impl Draining {
    fn until(self, phase: Progress) -> Millis {
        match phase {
            Progress::Idle | Progress::Head => self.heads_until,
            Progress::Body { .. } => self.bodies_until,
        }
    }
}

/// The state machine of the whole server. See the module's comment.
pub struct Engine {
    config: EngineConfig,
    inbound: Column<Conn, Inbound>,
    wheel: Wheel<ConnId>,
    /// Deadlines that have surfaced and wait for their turn.
    due: VecDeque<Surfaced<ConnId>>,
    world: World,
    storing: storing::Storing,
    date: DateCache,
    /// The last word to slow consumers, per dialect; registered with the outbox at first use.
    farewells: Vec<Farewell>,
    draining: Option<Draining>,
    /// WebSockets that are outlets.
    sockets_open: u64,
    /// Requests that wait for news, and those among them whose wait ends with this turn.
    polls_open: u64,
    streams_open: u64,
    polls_due: Vec<ConnId>,
    /// While they are told.
    told: Option<poll::Told>,
    /// The heartbeat's text and its frame, made once.
    heartbeat: Option<(&'static str, Frame)>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Engine({} connections, {:?})",
            self.inbound.len(),
            self.world.hub.counts()
        )
    }
}

impl Engine {
    /// An engine without connections. The last of `dialects` gets every request that is nobody's.
    pub fn new(config: EngineConfig, dialects: Vec<Box<dyn Dialect>>, mut random: Random) -> Self {
        let hub = Hub::new(config.hub.clone(), random.seed());
        let desk = Desk::new(&mut random);
        let notes = dialects.iter().map(|dialect| dialect.new_notes()).collect();
        let mut engine = Self {
            config,
            inbound: Column::new(),
            wheel: Wheel::new(),
            due: VecDeque::new(),
            world: World {
                hub,
                dialects,
                random,
                writer: FrameWriter::new(),
                hang_ups: VecDeque::new(),
                meter: Meter::default(),
                facts: Facts::default(),
                jobs: jobs::Jobs::default(),
                desk,
                metrics: Metrics::default(),
                store: Port::default(),
                remembered: Vec::new(),
                unstored: None,
                apps: Apps::default(),
                looks_at_apps: false,
                notes,
            },
            storing: storing::Storing::default(),
            date: DateCache::default(),
            farewells: Vec::new(),
            draining: None,
            sockets_open: 0,
            polls_open: 0,
            streams_open: 0,
            polls_due: Vec::new(),
            told: None,
            heartbeat: None,
        };
        engine.learn_rules();
        engine
    }

    /// What the dialects say of their apps.
    fn learn_rules(&mut self) {
        self.world.facts.keep_at_most(self.config.facts_kept);
        self.world.learn_rules();
    }

    /// The facts since the last call, oldest first; none unless [`EngineConfig::facts_kept`] says so.
    pub fn take_facts(&mut self) -> Vec<KeptFact> {
        self.world.facts.take()
    }

    /// The hub, to look at.
    pub fn hub(&self) -> &Hub {
        &self.world.hub
    }

    /// Connections there are.
    pub fn connections(&self) -> usize {
        self.inbound.len()
    }

    /// What has been counted.
    pub fn metrics(&self) -> &Metrics {
        &self.world.metrics
    }

    /// From now on these bounds and these dialects, which must be the same ones in the same order
    /// with other settings. Connections stay.
    pub fn reload(&mut self, config: EngineConfig, dialects: Vec<Box<dyn Dialect>>) {
        self.config = config;
        self.world.hub.reconfigure(self.config.hub.clone());
        self.world.dialects = dialects;
        self.world.tell_all_apps();
        self.learn_rules();
        self.world.looks_at_apps = true;
    }

    /// Settings were read again, or an app is not what it was, or the store works again: apps of the
    /// settings get their rows, and whoever is not served any more is let go of.
    fn look_at_apps(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.world.looks_at_apps) {
            self.adopt_apps(turn.now);
            self.close_unserved(turn);
        }
    }

    fn close_unserved(&mut self, turn: &mut Turn<'_>) {
        let outlets: Vec<SubscriberId> = self
            .inbound
            .iter()
            .filter_map(|(_, inbound)| match &inbound.phase {
                Phase::Open(open) => Some((open.who(), open.dialect())),
                Phase::Http(_)
                | Phase::Parked(_)
                | Phase::Streaming(_)
                | Phase::Closing(_)
                | Phase::Done => None,
            })
            .filter(|&(who, dialect)| {
                let known = self.world.hub.subscriber(who);
                let dialect = self.world.dialects.get(dialect);
                known.is_some_and(|known| dialect.is_some_and(|dialect| !dialect.serves(known)))
            })
            .map(|(who, _)| who)
            .collect();
        let now = turn.now;
        self.world.hub_with(turn, |hub, io| {
            io.begin(limits::WORK_PER_CALL);
            for who in outlets {
                hub.remove(who, HangUp::AppClosed, now, io);
            }
        });
    }

    /// Whether it was told to say goodbye.
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Requests that are answered over several turns and are not done yet.
    pub fn jobs(&self) -> usize {
        self.world.jobs.len()
    }

    /// Whether nothing is left that a test would have to explain: no connection, no job, and a hub
    /// that has forgotten everything.
    pub fn is_empty(&self) -> bool {
        let dialects = self.world.dialects.iter().zip(&self.world.notes);
        let mut at_rest = dialects.map(|(dialect, notes)| dialect.is_at_rest(&**notes));
        self.inbound.is_empty()
            && self.jobs() == 0
            && self.storing.is_empty()
            && self.world.hub.is_empty()
            && at_rest.all(|at_rest| at_rest)
    }

    /// Publishes a message of the host program. Returns how many connections it was handed to.
    pub fn publish(&mut self, publication: &Publication, turn: &mut Turn<'_>) -> u64 {
        let now = turn.now;
        // The last dialect's, who has whatever is nobody else's.
        let app = self
            .world
            .dialects
            .last()
            .map_or(AppId::FIRST, |own| own.app());
        let delivered = self.world.hub_with(turn, |hub, io| {
            let message = NewMessage {
                id: io.id(),
                at: Stamp::from_unix_micros(now.unix_micros),
                user: (&*publication.user).into(),
                channel: Some((&*publication.channel).into()),
                only: Vec::new(),
                except: Vec::new(),
                no_history: false,
                event: None,
                body: Some(&publication.message),
                extra: None,
                stored: false,
                except_subscriber: SubscriberId::NONE,
            };
            hub.publish(app, &message, now, io)
        });
        self.hang_up_all(turn);
        delivered
    }

    /// How things stand.
    pub fn stats(&self, turn: &Turn<'_>) -> Stats {
        let (channels, subscribers, users) = self.world.hub.counts();
        let totals = self.world.hub.totals();
        Stats {
            connections: self.inbound.len() as u64,
            channels: channels as u64,
            subscribers: subscribers as u64,
            users: users as u64,
            published: totals.published,
            delivered: totals.delivered,
            queued_bytes: turn.out.queued_bytes() as u64,
        }
    }

    /// Says goodbye: WebSockets get a Close in their dialect's words, idle connections end,
    /// requests that are under way are answered first. The listeners have closed before.
    ///
    /// All of it is meant to be over after `within_ms`. So a head that has begun gets
    /// [`limits::DRAIN_HEAD_MS`], a body half of `within_ms`, and whoever has not sent it by then
    /// is told 503: the other half is left for the answers.
    pub fn drain(&mut self, within_ms: u64, turn: &mut Turn<'_>) {
        let (now, half_ms) = (turn.now.mono, within_ms / 2);
        self.draining = Some(Draining {
            heads_until: now + half_ms.min(limits::DRAIN_HEAD_MS),
            bodies_until: now + half_ms,
        });
        let conns: Vec<ConnId> = self.inbound.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            let Some(inbound) = self.inbound.get_mut(conn) else {
                continue;
            };
            match &mut inbound.phase {
                Phase::Http(http) if http.is_idle() => {
                    inbound.phase = Phase::Done;
                    // Who has not read his answers yet may have sent more, which we have not read;
                    // that must not reset those answers away.
                    let ending = match turn.out.queued(conn) {
                        0 => Ending::Drain,
                        _ => Ending::Linger,
                    };
                    turn.out.end(conn, ending);
                }
                Phase::Open(open) => {
                    let dialect = open.dialect();
                    let words = self.world.dialects.get(dialect).map(|d| d.going_away());
                    let (code, reason) = words.unwrap_or((1001, ""));
                    self.close_socket(conn, code, reason, turn);
                }
                // It has its own time, which stands.
                Phase::Http(http) if http.waits() => {}
                Phase::Http(_) => self.watch_progress(conn, now),
                Phase::Parked(_) => self.poll_is_due(conn),
                Phase::Streaming(_) => self.end_stream(conn, turn),
                Phase::Closing(_) | Phase::Done => {}
            }
        }
    }

    /// Words and ends whatever the hub wants ended.
    fn hang_up_all(&mut self, turn: &mut Turn<'_>) {
        // One by one, so that a panic costs one of them and the others have their turn later.
        while let Some((conn, format, why)) = self.world.hang_ups.pop_front() {
            let Some(dialect) = dialect::owner(&self.world.dialects, format) else {
                continue;
            };
            let (code, reason) = dialect.hang_up(why);
            self.close_socket(conn, code, reason, turn);
            // If it waits, it has waited long enough.
            self.answer_poll(conn, turn);
            self.end_stream(conn, turn);
        }
    }

    /// Gives back memory that is only kept for whoever comes next. For quiet times, after
    /// [`Outbox::trim`](crate::outbox::Outbox::trim) and whatever else the driver gives back: this lets the
    /// allocator's caches settle, too.
    pub fn trim(&mut self) {
        self.inbound.trim();
        self.world.hub.trim();
        self.world.writer.trim();
        room::trim_queue(&mut self.world.hang_ups);
        room::settle();
    }

    fn on_timer(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        match &inbound.phase {
            Phase::Http(_) => self.http_timer(conn, turn),
            Phase::Open(_) => self.socket_timer(conn, turn),
            Phase::Parked(_) => self.poll_is_due(conn),
            Phase::Streaming(_) => self.stream_timer(conn, turn),
            Phase::Closing(_) => {
                inbound.phase = Phase::Done;
                turn.out.end(conn, Ending::Abort);
            }
            Phase::Done => {}
        }
    }

    /// Arms the one timer of a connection.
    fn arm(&mut self, conn: ConnId, at: Millis) {
        if let Some(inbound) = self.inbound.get_mut(conn) {
            self.wheel.arm(conn, &mut inbound.timer, at);
        }
    }

    fn farewell(&mut self, dialect: usize, turn: &mut Turn<'_>) -> Option<Farewell> {
        if self.farewells.is_empty() {
            for dialect in &self.world.dialects {
                let (code, reason) = dialect.slow_consumer();
                let mut words = Vec::new();
                dialect.last_words(code, reason, &mut words);
                let writer = &mut self.world.writer;
                let mut farewell = match words.is_empty() {
                    true => Vec::new(),
                    false => writer.websocket(Opcode::Text, &words).to_vec(),
                };
                farewell.extend_from_slice(&writer.close(code, reason));
                let frame = Frame::from(&farewell[..]);
                self.farewells.push(turn.out.register_farewell(frame));
            }
        }
        self.farewells.get(dialect).copied()
    }
}

impl Handler for Engine {
    type Mail = Mail;

    fn opened(&mut self, conn: ConnId, from: Origin, turn: &mut Turn<'_>) {
        self.world.metrics.connections_opened += 1;
        let phase = Phase::Http(Box::new(http::Http::new(from, turn.now.mono)));
        self.inbound.insert(
            conn,
            Inbound {
                timer: Timer::default(),
                opened: turn.now.mono,
                phase,
            },
        );
        let peak = &mut self.world.metrics.connections_peak;
        *peak = (*peak).max(self.inbound.len() as u64);
        if self.is_draining() {
            turn.out.end(conn, Ending::Drain);
        }
        self.arm(conn, turn.now.mono + self.config.head_ms);
    }

    fn refused(&mut self, limit: usize, turn: &mut Turn<'_>) -> Option<Frame> {
        Some(self.too_many_connections(limit, turn))
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        match &mut inbound.phase {
            Phase::Http(_) => self.requests(conn, bytes, turn),
            Phase::Open(_) => self.frames(conn, bytes, turn),
            Phase::Parked(parked) => {
                parked.http.keep(bytes);
                turn.out.pause(conn);
            }
            Phase::Closing(_) => self.last_frames(conn, bytes, turn),
            Phase::Streaming(_) | Phase::Done => {}
        }
        self.hang_up_all(turn);
    }

    fn resumed(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        if let Phase::Open(_) = &inbound.phase {
            self.kept_frames(conn, turn);
            self.hang_up_all(turn);
        } else if let Phase::Http(http) = &mut inbound.phase {
            if http.waits() {
                turn.out.pause(conn);
                return;
            }
            self.take_kept(conn, turn);
            self.hang_up_all(turn);
        }
    }

    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        match &mut inbound.phase {
            Phase::Http(_) => self.requests_ended(conn, turn),
            Phase::Parked(_) => self.poll_ended(conn, turn),
            Phase::Streaming(_) => self.end_stream(conn, turn),
            Phase::Open(_) | Phase::Closing(_) => {
                self.leave_socket(conn, Ending::Drain, turn);
            }
            Phase::Done => turn.out.end(conn, Ending::Drain),
        }
        self.hang_up_all(turn);
    }

    fn closed(&mut self, conn: ConnId, why: CloseReason, turn: &mut Turn<'_>) {
        // First of all, so that nothing that goes wrong from here on leaves the row behind.
        let row = self.inbound.remove(conn);
        self.world.metrics.count_closed(why);
        match row.map(|row| row.phase) {
            Some(Phase::Open(open)) => self.socket_closed(conn, &open, why, turn),
            Some(Phase::Parked(parked)) => {
                self.polls_open -= 1;
                self.poll_lost(conn, &parked, turn);
            }
            Some(Phase::Streaming(streaming)) => {
                self.stream_closed(conn, &streaming, why, turn);
            }
            Some(Phase::Http(_) | Phase::Closing(_) | Phase::Done) | None => {}
        }
        self.hang_up_all(turn);
    }

    fn mail(&mut self, mail: Mail, turn: &mut Turn<'_>) {
        match mail {
            Mail::Publish(publication) => {
                self.publish(&publication, turn);
            }
            Mail::Stats(answer) => {
                // Whoever asked may have stopped waiting.
                let _ = answer.try_send(self.stats(turn));
            }
            Mail::Process(stats) => self.world.metrics.process = stats,
            Mail::Store(news) => {
                self.hear_store(news, turn);
                self.hang_up_all(turn);
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.look_at_apps(turn);
        // What has surfaced is kept outside of this call: a panic costs one of them, not all.
        self.wheel.surface(turn.now.mono, &mut self.due);
        for _ in 0..limits::ALARMS_PER_TURN {
            let Some(entry) = self.due.pop_front() else {
                room::release_queue(&mut self.due);
                break;
            };
            let Some(inbound) = self.inbound.get_mut(entry.key) else {
                continue;
            };
            if self.wheel.rings(entry, &mut inbound.timer, turn.now.mono) {
                self.on_timer(entry.key, turn);
            }
        }
        let now: Now = turn.now;
        self.world.hub_with(turn, |hub, io| {
            io.begin(limits::WORK_PER_TURN);
            hub.tick(now, io);
        });
        self.go_on(turn);
        self.hang_up_all(turn);
    }

    fn settle(&mut self, turn: &mut Turn<'_>) {
        self.settle_polls(turn);
        self.hand_over(turn);
    }

    fn next_deadline(&self) -> Option<Millis> {
        let goes_on = self.jobs() > 0 || self.world.looks_at_apps;
        if !self.due.is_empty() || !self.polls_due.is_empty() || goes_on {
            return Some(Millis(0));
        }
        match (self.wheel.next_deadline(), self.world.hub.next_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
