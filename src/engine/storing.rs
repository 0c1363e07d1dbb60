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
use crate::time::Now;
use crate::transport::http::Response;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// What takes the jobs that the engine hands over: the store's end of the queue. It must not block.
/// False: nobody takes them, and nobody ever will.
pub type StoreLink = Box<dyn FnMut(Vec<Job>) -> bool>;

/// What a request has put into the store's queue without asking for the outcome.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// From the first to the last place of each stretch, in order. What stands between them is of the
    /// same request.
    stretches: Vec<(Place, Place)>,
    /// Why some of it is not kept, or was not even put in.
    failed: Option<Trouble>,
}

impl Written {
    /// What can be said of all of it, before the store has said anything more.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.failed, self.stretches.last()) {
            (Some(why), _) => Outcome::Failed(why),
            (None, Some(&(_, last))) => Outcome::Open(last),
            (None, None) => Outcome::Known,
        }
    }

    /// And this after it.
    pub(super) fn add(&mut self, more: Self) {
        self.stretches.extend(more.stretches);
        self.failed = self.failed.or(more.failed);
    }

    /// What stands in these places was not kept.
    pub(super) fn not_kept(&mut self, from: Place, upto: Place, why: Trouble) {
        if self.has_any(from, upto) {
            self.failed = Some(why);
        }
    }

    fn has_any(&self, from: Place, upto: Place) -> bool {
        let mut stretches = self.stretches.iter();
        stretches.any(|&(first, last)| first <= upto && from <= last)
    }
}

/// What is known of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All are kept, or there are none.
    Known,
    /// Some are not kept.
    Failed(Trouble),
    /// They are under way up to this place.
    Open(Place),
}

/// Who waits for an answer of the store.
struct Asked {
    conn: ConnId,
    from: Origin,
    dialect: usize,
    /// What the request has put in before it asked.
    written: Written,
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
    pub(super) written: Written,
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
    /// What sockets said that is not kept yet, in order, from its first to its last place, and who is
    /// to be told if it cannot be.
    said: VecDeque<((Place, Place), Said)>,
    count: u64,
    link: Option<StoreLink>,
}

impl Storing {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.unkept.is_empty() && self.said.is_empty()
    }

    /// What a socket said is handed over at these places.
    pub(super) fn note_said(&mut self, written: &Written, said: Said) {
        for &stretch in &written.stretches {
            self.said.push_back((stretch, said));
        }
    }

    /// What was said up to `upto` is kept.
    fn said_is_kept(&mut self, upto: Place) {
        let count = self.said.partition_point(|((_, last), _)| *last <= upto);
        self.said.drain(..count);
    }

    /// Takes out what was said of which something stands in these places. All before it is kept.
    fn take_lost(&mut self, from: Place, upto: Place) -> Vec<Said> {
        let count = self.said.partition_point(|((first, _), _)| *first <= upto);
        let told = self.said.drain(..count);
        let lost = told.filter(|((_, last), _)| *last >= from);
        lost.map(|(_, said)| said).collect()
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
        let hit = self.unkept.iter();
        let hit = hit.filter(|(_, unkept)| unkept.written.has_any(from, upto));
        let keys: Vec<(Place, u64)> = hit.map(|(&key, _)| key).collect();
        keys.iter()
            .filter_map(|key| self.unkept.remove(key))
            .collect()
    }
}

impl World {
    /// Where the next job is put. [`World::written_since`] is asked later.
    pub(super) fn begin_writing(&mut self) -> Place {
        self.unstored = None;
        Place(self.store.last_place().0 + 1)
    }

    /// What was put in from `first` on, nobody having asked for its outcome, and what could not be.
    pub(super) fn written_since(&mut self, first: Place) -> Written {
        let last = self.store.last_write();
        Written {
            stretches: (last >= first)
                .then_some((first, last))
                .into_iter()
                .collect(),
            failed: self.unstored.take(),
        }
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
                self.hub.lost_reports();
                continue;
            };
            let write = Write::Keep { app, changes };
            // Whoever asked for it is told, and may ask again: then it is reported again. Messages are
            // turned away before they are told to anybody. What only time brings is lost, and comes
            // again with the next change.
            match self.store.has_room(1, write.bytes()) {
                Ok(()) => {
                    self.store.write(write);
                }
                Err(why) => {
                    self.metrics.changes_not_stored += 1;
                    self.unstored = Some(why);
                    self.hub.lost_reports();
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
        self.looks_at_apps |= apps.iter().any(|known| !known.record.is_enabled());
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
        self.adopt_apps(turn.now);
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
    pub(super) fn adopt_apps(&mut self, now: Now) {
        let unix_s = now.unix_seconds();
        let rowless = self.expect_apps();
        if self.world.store.trouble().is_some() {
            return;
        }
        for ident in rowless {
            // The answer is an app, which is learned whoever asks for it.
            self.world
                .store
                .write_and_tell(Write::AdoptApp { ident, unix_s });
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
    pub(super) fn hand_over(&mut self, turn: &mut Turn<'_>) {
        if !self.world.store.has_jobs() {
            return;
        }
        let Some(link) = &mut self.storing.link else {
            return;
        };
        if !link(self.world.store.take()) {
            self.lose_store(turn);
        }
    }

    /// The store has ended, and answers nothing any more: whoever waits is told so.
    #[cold]
    fn lose_store(&mut self, turn: &mut Turn<'_>) {
        log::error!("the store has ended; nothing is stored until this server is started again");
        let why = Trouble::Failing;
        let mut news = vec![News::State(Some(why))];
        let tickets = self.storing.asked.keys().copied();
        let answer = |ticket| News::Answer {
            ticket,
            answer: Answer::Trouble(why),
        };
        news.extend(tickets.map(answer));
        news.push(News::Failed {
            from: Place(0),
            upto: self.world.store.last_place(),
            why,
        });
        self.hear_store(news, turn);
    }

    /// A request waits for an answer of the store.
    pub(super) fn ask(
        &mut self,
        conn: ConnId,
        from: Origin,
        dialect: usize,
        (shape, written): (Shape, Written),
        (ticket, then): (Ticket, AnswerThen),
    ) {
        let asked = Asked {
            conn,
            from,
            dialect,
            written,
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
            written: Written::default(),
            then: Then::Hear(then),
        };
        self.storing.ask(ticket, asked);
    }

    /// Gives an answer once all is kept that it acknowledges; at once if nothing is to be waited for.
    pub(super) fn answer_when_kept(&mut self, unkept: Unkept, turn: &mut Turn<'_>) {
        match unkept.written.outcome() {
            Outcome::Failed(why) => {
                let response = self.not_stored(unkept.dialect, why);
                self.finish(unkept.conn, unkept.shape, &response, turn);
            }
            Outcome::Open(last) if self.world.store.is_waiting_for(last) => {
                self.hold_until_kept(last, unkept);
            }
            Outcome::Open(_) | Outcome::Known => {
                self.finish(unkept.conn, unkept.shape, &unkept.response, turn);
            }
        }
    }

    /// An answer waits until all up to `last` is kept.
    pub(super) fn hold_until_kept(&mut self, last: Place, unkept: Unkept) {
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
                    self.storing.said_is_kept(upto);
                    for (_, unkept) in self.storing.kept(upto) {
                        self.finish(unkept.conn, unkept.shape, &unkept.response, turn);
                    }
                }
                News::Failed { from, upto, why } => self.not_kept(from, upto, why, turn),
                News::Answer { ticket, answer } => self.answered(ticket, answer, turn),
                // Apps that could not get a row get one now. The store itself says in the log how it
                // fares.
                News::State(None) => self.world.looks_at_apps = true,
                News::State(Some(_)) => {}
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
        self.world.hub.lost_reports();
        for asked in self.storing.asked.values_mut() {
            asked.written.not_kept(from, upto, why);
        }
        for unkept in self.storing.failed(from, upto) {
            let response = self.not_stored(unkept.dialect, why);
            self.finish(unkept.conn, unkept.shape, &response, turn);
        }
        self.world.jobs.not_kept(from, upto, why);
        for Said { conn, dialect, who } in self.storing.take_lost(from, upto) {
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
    pub(super) fn not_stored(&mut self, dialect: usize, why: Trouble) -> Response {
        let random = self.world.random.id();
        let dialect = self.world.dialects.get(dialect);
        dialect.map_or_else(
            || dialect::not_stored(why),
            |dialect| dialect.not_stored(why, random),
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
                let first = self.world.begin_writing();
                let (conn, from, dialect) = (asked.conn, asked.from, asked.dialect);
                let world = &mut self.world;
                let reply = catch_unwind(AssertUnwindSafe(|| {
                    world.with(dialect, conn, from, turn, |_, ctx| {
                        ctx.io.begin(WORK_PER_CALL);
                        then(answer, ctx)
                    })
                }));
                let mut written = asked.written;
                written.add(self.world.written_since(first));
                match reply {
                    Ok(Some(reply)) => {
                        self.replied(conn, from, dialect, (shape, written), reply, turn)
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
    fn replied(
        &mut self,
        conn: ConnId,
        from: Origin,
        dialect: usize,
        (shape, written): (Shape, Written),
        reply: Reply,
        turn: &mut Turn<'_>,
    ) {
        match reply {
            Reply::Now(response) => {
                let unkept = Unkept {
                    conn,
                    dialect,
                    shape,
                    response,
                    written,
                };
                self.answer_when_kept(unkept, turn);
            }
            Reply::Ask(ticket, then) => {
                self.ask(conn, from, dialect, (shape, written), (ticket, then));
            }
            Reply::Later(job) => self.world.jobs.push(Waiting {
                conn,
                from,
                dialect,
                shape,
                job,
                written,
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
        let who = open.who();
        let first = self.world.begin_writing();
        let world = &mut self.world;
        let heard = catch_unwind(AssertUnwindSafe(|| {
            world.with(dialect, conn, NOWHERE, turn, |_, ctx| {
                ctx.io.begin(WORK_PER_CALL);
                then(answer, ctx);
                ctx.waits_for.take()
            })
        }));
        let written = self.world.written_since(first);
        self.storing
            .note_said(&written, Said { conn, dialect, who });
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

#[cfg(test)]
mod tests;
