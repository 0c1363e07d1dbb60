//! The engine's part in storing: who waits for what, and what is handed over when.
//!
//! A request that has put writes in without asking for their outcome is answered when they are kept,
//! whatever its dialect; one that asks waits for the answer and goes on from there. A socket that
//! asks is not read from meanwhile, so that what it says next finds done what it said before.

use super::http::Shape;
use super::jobs::Waiting;
use super::websocket::NOWHERE;
use super::world::World;
use super::{Engine, Phase};
use crate::dialect::{self, AnswerThen, KnownApp, Reply, SocketThen};
use crate::handler::{ConnId, Origin, Turn};
use crate::hub::{AppId, SubscriberId};
use crate::limits::WORK_PER_CALL;
use crate::store::{
    Answer, AppRecord, Change, Job, Loaded, News, Place, Port, Ticket, Trouble, Write,
};
use crate::transport::http::Response;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// What takes the jobs that the engine hands over: the store's end of the queue. It must not block.
pub type StoreLink = Box<dyn FnMut(Vec<Job>)>;

/// Who waits for an answer of the store.
struct Asked {
    conn: ConnId,
    from: Origin,
    dialect: usize,
    then: Then,
}

/// How it goes on.
enum Then {
    /// A request is answered.
    Answer(Shape, AnswerThen),
    /// A socket is heard again.
    Hear(SocketThen),
}

/// An answer that waits until what it acknowledges is kept.
pub(super) struct Unkept {
    pub(super) conn: ConnId,
    pub(super) dialect: usize,
    pub(super) shape: Shape,
    pub(super) response: Response,
    /// The writes, in order.
    pub(super) places: Vec<Place>,
}

/// A socket that said something, by one of the dialects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) conn: ConnId,
    pub(super) dialect: usize,
    pub(super) who: SubscriberId,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Storing {
    asked: BTreeMap<Ticket, Asked>,
    /// By their last write, and by the order in which they came.
    unkept: BTreeMap<(Place, u64), Unkept>,
    /// What sockets said that is not kept yet, in order, and who is to be told if it cannot be.
    said: VecDeque<(Place, Said)>,
    count: u64,
    link: Option<StoreLink>,
}

impl Storing {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.unkept.is_empty() && self.said.is_empty()
    }

    /// What a socket said is handed over at this place.
    pub(super) fn note_said(&mut self, place: Place, said: Said) {
        self.said.push_back((place, said));
    }

    /// Takes out what was said up to `upto`.
    fn take_said(&mut self, upto: Place) -> impl Iterator<Item = (Place, Said)> {
        let count = self.said.partition_point(|(place, _)| *place <= upto);
        self.said.drain(..count)
    }

    fn ask(&mut self, ticket: Ticket, asked: Asked) {
        self.asked.insert(ticket, asked);
    }

    /// Takes out the answers whose last write is done up to `upto`.
    fn kept(&mut self, upto: Place) -> BTreeMap<(Place, u64), Unkept> {
        let rest = self.unkept.split_off(&(Place(upto.0 + 1), 0));
        std::mem::replace(&mut self.unkept, rest)
    }

    /// Takes out the answers that one of these writes belongs to.
    fn failed(&mut self, from: Place, upto: Place) -> Vec<Unkept> {
        let is_hit = |unkept: &Unkept| {
            let mut places = unkept.places.iter();
            places.any(|place| (from..=upto).contains(place))
        };
        let hit = self.unkept.iter();
        let hit = hit.filter(|(_, unkept)| is_hit(unkept));
        let keys: Vec<(Place, u64)> = hit.map(|(&key, _)| key).collect();
        keys.iter()
            .filter_map(|key| self.unkept.remove(key))
            .collect()
    }
}

impl World {
    /// The writes that were put in since `before`, nobody having asked for their outcome.
    pub(super) fn write_since(&self, before: Place) -> Option<Place> {
        let last = self.store.last_write();
        (last > before).then_some(last)
    }

    /// Changes that have gathered become writes, one for each app.
    #[cold]
    pub(super) fn store_remembered(&mut self) {
        let mut by_app: BTreeMap<AppId, Vec<Change>> = BTreeMap::new();
        for (app, change) in self.remembered.drain(..) {
            by_app.entry(app).or_default().push(change);
        }
        for (app, changes) in by_app {
            let Some(app) = self.apps.row(app) else {
                self.metrics.changes_not_stored += changes.len() as u64;
                self.unstored = Some(Trouble::Failing);
                continue;
            };
            let write = Write::Keep { app, changes };
            // Whoever asked for it is told, and may ask again: all of this is the same when it is done
            // twice. Messages are turned away before they are told to anybody. What only time
            // brings is lost, and comes again with the next change.
            match self.store.has_room(1, write.bytes()) {
                Ok(()) => {
                    self.store.write(write);
                }
                Err(why) => {
                    self.metrics.changes_not_stored += 1;
                    self.unstored = Some(why);
                }
            }
        }
    }

    /// Tells the dialects of apps that have changed.
    #[cold]
    pub(super) fn tell_apps(&mut self) {
        let changed = self.apps.take_changed();
        self.tell_these_apps(&changed);
    }

    /// Tells the dialects of all apps.
    pub(super) fn tell_all_apps(&mut self) {
        let _ = self.apps.take_changed();
        let all: Vec<Rc<KnownApp>> = self.apps.iter().cloned().collect();
        self.tell_these_apps(&all);
    }

    fn tell_these_apps(&mut self, apps: &[Rc<KnownApp>]) {
        let apps: Vec<&Rc<KnownApp>> = apps
            .iter()
            .filter(|known| !known.record.is_of_settings)
            .collect();
        if apps.is_empty() {
            return;
        }
        for dialect in &mut self.dialects {
            for &app in &apps {
                dialect.learn_app(app);
            }
        }
        self.learn_rules();
    }
}

impl Engine {
    /// There is a store. What it held when it was opened comes in, before anybody connects; whatever
    /// is to be stored from now on goes through `link`, or waits for [`Engine::take_store_jobs`].
    pub fn open_store(&mut self, loaded: &Loaded, link: Option<StoreLink>, turn: &mut Turn<'_>) {
        self.world.store.open();
        self.storing.link = link;
        self.expect_apps();
        for record in &loaded.apps {
            self.learn(record.clone());
        }
        self.adopt_apps();
        self.world.keep_up();
        for dialect in 0..self.world.dialects.len() {
            let nobody = ConnId::NONE;
            self.world
                .with(dialect, nobody, NOWHERE, turn, |dialect, ctx| {
                    dialect.restore(loaded, ctx);
                });
        }
        // That it is there already need not be written down again.
        self.world.remembered.clear();
    }

    fn learn(&mut self, record: AppRecord) {
        let is_of_settings = record.is_of_settings;
        if self.world.apps.learn(record).is_none() && !is_of_settings {
            log::error!("an app of the store is not served: there are too many");
        }
    }

    /// Apps of the settings that something is stored of. Gives those that have no row.
    fn expect_apps(&mut self) -> Vec<Box<str>> {
        let apps = self.config.stored_apps.iter();
        let apps = apps.map(|(app, ident)| (*app, ident.as_str()));
        self.world.apps.expect(apps)
    }

    /// Apps of the settings that have no row yet get one.
    pub(super) fn adopt_apps(&mut self) {
        let rowless = self.expect_apps();
        if self.world.store.trouble().is_some() {
            return;
        }
        for ident in rowless {
            // The answer is an app, which is learned whoever asks for it.
            self.world
                .store
                .write_and_tell(Write::AdoptApp { ident, unix_s: 0 });
        }
    }

    /// The loop's end of the store's queue.
    pub fn store_port(&mut self) -> &mut Port {
        &mut self.world.store
    }

    /// The jobs for the store since the last call, in order, where nobody takes them by a link.
    pub fn take_store_jobs(&mut self) -> Vec<Job> {
        self.world.store.take()
    }

    /// Hands over what is to be stored.
    pub(super) fn hand_over(&mut self) {
        if self.world.store.has_jobs()
            && let Some(link) = &mut self.storing.link
        {
            link(self.world.store.take());
        }
    }

    /// A request waits for an answer of the store.
    pub(super) fn ask(
        &mut self,
        conn: ConnId,
        from: Origin,
        dialect: usize,
        shape: Shape,
        (ticket, then): (Ticket, AnswerThen),
    ) {
        let asked = Asked {
            conn,
            from,
            dialect,
            then: Then::Answer(shape, then),
        };
        self.storing.ask(ticket, asked);
    }

    /// A socket waits for an answer of the store.
    pub(super) fn ask_for_socket(
        &mut self,
        conn: ConnId,
        dialect: usize,
        (ticket, then): (Ticket, SocketThen),
    ) {
        let asked = Asked {
            conn,
            from: NOWHERE,
            dialect,
            then: Then::Hear(then),
        };
        self.storing.ask(ticket, asked);
    }

    /// An answer waits until its last write is kept.
    pub(super) fn hold_until_kept(&mut self, unkept: Unkept) {
        let Some(&last) = unkept.places.last() else {
            return;
        };
        self.storing.count += 1;
        let count = self.storing.count;
        self.storing.unkept.insert((last, count), unkept);
    }

    /// The store has spoken.
    pub(super) fn hear_store(&mut self, news: Vec<News>, turn: &mut Turn<'_>) {
        for news in news {
            self.world.store.hear(&news);
            match news {
                News::Done { upto } => {
                    drop(self.storing.take_said(upto));
                    for (_, unkept) in self.storing.kept(upto) {
                        self.finish(unkept.conn, unkept.shape, &unkept.response, turn);
                    }
                }
                News::Failed { from, upto, why } => self.not_kept(from, upto, why, turn),
                News::Answer { ticket, answer } => self.answered(ticket, answer, turn),
                News::State(None) => log::info!("the store works again"),
                News::State(Some(why)) => log::error!("the store: {why}"),
                News::Stats(stats) => self.world.metrics.store = *stats,
                News::Apps(records) => {
                    for record in records {
                        self.learn(record);
                    }
                    self.world.keep_up();
                }
            }
        }
    }

    fn not_kept(&mut self, from: Place, upto: Place, why: Trouble, turn: &mut Turn<'_>) {
        for unkept in self.storing.failed(from, upto) {
            let response = self.not_stored(unkept.dialect, why);
            self.finish(unkept.conn, unkept.shape, &response, turn);
        }
        self.world.jobs.not_kept(from, upto, why);
        let said: Vec<(Place, Said)> = self.storing.take_said(upto).collect();
        let lost = said.into_iter().filter(|(place, _)| *place >= from);
        for (_, Said { conn, dialect, who }) in lost {
            let is_there = self.world.hub.subscriber(who);
            if is_there.is_some_and(|known| known.outlet() == conn) {
                self.world
                    .with(dialect, conn, NOWHERE, turn, |dialect, ctx| {
                        dialect.not_kept(who, why, ctx);
                    });
            }
        }
    }

    /// What is said to whoever asked for something that could not be kept.
    pub(super) fn not_stored(&self, dialect: usize, why: Trouble) -> Response {
        let dialect = self.world.dialects.get(dialect);
        dialect.map_or_else(
            || dialect::not_stored(why),
            |dialect| dialect.not_stored(why),
        )
    }

    /// An answer came: whoever asked goes on.
    fn answered(&mut self, ticket: Ticket, answer: Answer, turn: &mut Turn<'_>) {
        let Some(asked) = self.storing.asked.remove(&ticket) else {
            if let Answer::App(record) = answer {
                self.learn(*record);
                self.world.keep_up();
            }
            return;
        };
        match asked.then {
            Then::Answer(shape, then) => {
                let before = self.world.store.last_write();
                let (conn, from, dialect) = (asked.conn, asked.from, asked.dialect);
                let world = &mut self.world;
                let reply = catch_unwind(AssertUnwindSafe(|| {
                    world.with(dialect, conn, from, turn, |_, ctx| {
                        ctx.io.begin(WORK_PER_CALL);
                        then(answer, ctx)
                    })
                }));
                match reply {
                    Ok(Some(reply)) => {
                        self.replied(conn, from, dialect, shape, reply, before, turn)
                    }
                    Ok(None) | Err(_) => {
                        let response = self.panicked();
                        self.finish(conn, shape, &response, turn);
                    }
                }
            }
            Then::Hear(then) => self.hear_again(asked.conn, asked.dialect, answer, then, turn),
        }
    }

    /// A request that has waited goes on to its end, or waits for something else.
    #[allow(
        clippy::too_many_arguments,
        reason = "all of it belongs to one request"
    )]
    fn replied(
        &mut self,
        conn: ConnId,
        from: Origin,
        dialect: usize,
        shape: Shape,
        reply: Reply,
        before: Place,
        turn: &mut Turn<'_>,
    ) {
        let places: Vec<Place> = self.world.write_since(before).into_iter().collect();
        match reply {
            Reply::Now(response) if places.is_empty() => {
                self.finish(conn, shape, &response, turn);
            }
            Reply::Now(response) => self.hold_until_kept(Unkept {
                conn,
                dialect,
                shape,
                response,
                places,
            }),
            Reply::Ask(ticket, then) => self.ask(conn, from, dialect, shape, (ticket, then)),
            Reply::Later(job) => self.world.jobs.push(Waiting {
                conn,
                from,
                dialect,
                shape,
                job,
                places,
                failed: None,
            }),
            Reply::Park(_)
            | Reply::Stream(_)
            | Reply::After { .. }
            | Reply::Report(_)
            | Reply::Upgrade(..)
            | Reply::UpgradeAndClose(..) => {
                log::error!("a dialect ended a wait for the store in a way that there is none");
                let response = self.panicked();
                self.finish(conn, shape, &response, turn);
            }
        }
    }

    /// What a socket waited for is there.
    fn hear_again(
        &mut self,
        conn: ConnId,
        dialect: usize,
        answer: Answer,
        then: SocketThen,
        turn: &mut Turn<'_>,
    ) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        let Phase::Open(open) = &mut inbound.phase else {
            return;
        };
        open.stop_waiting();
        let world = &mut self.world;
        let heard = catch_unwind(AssertUnwindSafe(|| {
            world.with(dialect, conn, NOWHERE, turn, |_, ctx| {
                ctx.io.begin(WORK_PER_CALL);
                then(answer, ctx);
                ctx.waits_for.take()
            })
        }));
        match heard {
            Ok(Some(Some(asked))) => {
                self.wait_on_socket(conn, dialect, asked, turn);
                return;
            }
            Ok(Some(None) | None) => {}
            Err(_) => {
                self.world.metrics.panics += 1;
                log::error!("a dialect panicked; the socket is closed");
                self.close_socket(conn, 1011, "the server failed at this message", turn);
            }
        }
        turn.out.let_go(conn);
        // What came meanwhile is taken once this has left.
        turn.out.pause(conn);
    }
}
