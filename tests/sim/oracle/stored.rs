//! What is stored, as lists that are searched from end to end: what was handed to the store, in which
//! order; what it has come to; who waits for that; and what is left after a crash.
//!
//! The oracle says which jobs it expects, and compares them with those that the server hands over.
//! What the store does with them, and when, is the world's choice: it says so here at the same time.

use super::pushi::{Made, PushiApp, Rest, Then, seconds};
use super::{Channel, Expect, Oracle, Phase, Settings, pusher, pushi};
use fanwire::handler::ConnId;
use fanwire::store::{
    Answer, Job, News, Place, Question, RecordKind, Task, Ticket, Trouble, Write,
};
use fanwire::time::{Now, Timer, Wheel};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What an answer says of the cookie of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    No,
    Sid,
    Gone,
}

/// An answer that waits until something is kept.
#[derive(Debug)]
pub struct Kept {
    from: Place,
    upto: Place,
    closes: bool,
    is_pushi: bool,
    said: (u16, Option<Value>, Cookie),
}

/// Something that the store is to do.
#[derive(Debug, Clone)]
pub(super) enum Own {
    Publish(OwnPublish),
    Put {
        kind: RecordKind,
        target: String,
        channel: String,
        replaces: bool,
        unix_s: u64,
    },
    Delete {
        kind: RecordKind,
        target: String,
        channel: Option<String>,
    },
    EndSession(usize),
    NewApp {
        name: String,
        unix_s: u64,
        /// Id, key and secret, as the server draws them.
        credentials: [String; 3],
    },
    Update {
        description: Value,
        unix_s: u64,
    },
    /// What Channelstream's app is remembered by from then on, where that is known.
    Keep(Option<Box<Remembered>>),
    Ask(Ask),
}

#[derive(Debug, Clone)]
pub(super) struct OwnPublish {
    /// The socket that published.
    pub owner: Option<String>,
    pub micros: u64,
    pub name: String,
    pub data: String,
    pub extra: Map<String, Value>,
    /// With the placeholders of their ids.
    pub channels: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum Ask {
    Latest {
        channel: Option<String>,
        skip: usize,
        count: usize,
    },
    Personal {
        user: String,
        skip: usize,
        count: usize,
    },
    Records {
        kind: RecordKind,
        target: Option<String>,
        channel: Option<String>,
    },
    Counts,
}

/// What something came to.
#[derive(Debug, Clone)]
pub(super) enum OwnAnswer {
    /// By their places in the list.
    Events(Vec<usize>),
    Personal(Vec<String>, Vec<usize>),
    Records(Vec<OwnRecord>),
    App(Box<PushiApp>),
    Duplicate,
    Nothing,
    Done,
    Trouble,
}

/// Who waits.
#[derive(Debug)]
pub(super) enum Waiter {
    /// Nobody, or an answer that is kept back.
    Kept,
    /// A request.
    Answer {
        conn: ConnId,
        app: usize,
        what: Rest,
        closes: bool,
    },
    /// A socket that is not heard meanwhile.
    Socket { conn: ConnId, key: u32, then: Then },
    /// A socket that is told if it cannot be kept.
    Said { conn: ConnId, key: u32 },
}

/// A job on its way.
#[derive(Debug)]
struct Pending {
    ticket: Option<Ticket>,
    app: usize,
    own: Own,
    waiter: Option<Waiter>,
    answer: Option<OwnAnswer>,
}

impl Pending {
    fn is_write(&self) -> bool {
        !matches!(self.own, Own::Ask(_))
    }
}

#[derive(Debug, Clone)]
struct OwnEvent {
    id: u64,
    app: usize,
    owner: Option<String>,
    micros: u64,
    name: String,
    data: String,
    extra: Map<String, Value>,
    channel: String,
    mid: String,
    /// For whom it waits.
    users: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct OwnRecord {
    id: u64,
    app: usize,
    kind: RecordKind,
    target: String,
    channel: String,
    made_s: u64,
}

impl OwnRecord {
    pub(super) fn shown(&self, ident: &str) -> Value {
        let target = match self.kind {
            RecordKind::Subscription => "user_id",
            RecordKind::Web => "url",
            RecordKind::Apn => "token",
            RecordKind::WebPush => "endpoint",
            RecordKind::Smtp => "email",
        };
        let mut shown = json!({
            "event": self.channel, "enabled": true, "description": null, "meta": {},
            "id": self.id, "created": self.made_s, "modified": self.made_s, "instance": ident,
            "_id": pusher::ANY,
        });
        shown[target] = json!(self.target);
        shown
    }
}

/// What is remembered of Channelstream's app.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Remembered {
    channels: Vec<KeptChannel>,
    /// Key, name, state and what of it is public.
    users: Vec<(u32, String, BTreeMap<String, Value>, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq)]
struct KeptChannel {
    key: u32,
    name: String,
    settings: Settings,
    is_configured: bool,
    is_bare: bool,
    history: Vec<usize>,
}

/// All that is stored.
#[derive(Debug, Clone, Default)]
struct Db {
    events: Vec<OwnEvent>,
    last_event: u64,
    records: Vec<OwnRecord>,
    last_records: BTreeMap<RecordKind, u64>,
    ended: BTreeSet<usize>,
    apps: Vec<PushiApp>,
    last_app: u32,
    remembered: Remembered,
}

/// The store as the oracle sees it.
#[derive(Debug, Default)]
pub struct Stored {
    db: Db,
    /// As it is on disk, where that is another matter.
    synced: Db,
    jobs: BTreeMap<Place, Pending>,
    /// What was handed over in the call that is being looked at, and nobody has asked for yet.
    fresh: VecDeque<Job>,
    /// The writes of that call that somebody may wait for, if it is the last request that is looked at.
    writes: Option<(Place, Place)>,
    /// Changes to what Channelstream's app is remembered by, of that call.
    keeps: Vec<Place>,
    is_last: bool,
    /// It is not known which of the requests of that call were those.
    is_open: bool,
    /// The request that is looked at may be one of them.
    pub(super) may_fail: bool,
    /// Requests of that call whose changes there was no room for.
    pub untold: u64,
    pub trouble: Option<Trouble>,
    /// Writes that may wait.
    pub jobs_max: usize,
    /// Channelstream's app is remembered.
    pub persists: bool,
    /// Some of its changes were lost, so that it is not known what is remembered.
    pub is_unsure: bool,
    mids: BTreeSet<u128>,
    /// Ids of events that somebody was told are kept.
    acknowledged: Vec<String>,
}

impl Stored {
    pub fn new(jobs_max: usize, persists: bool, apps: u32) -> Self {
        let db = Db {
            last_app: apps,
            ..Db::default()
        };
        Self {
            synced: db.clone(),
            db,
            jobs_max,
            persists,
            ..Self::default()
        }
    }

    /// Why so many more writes are not taken, if they are not.
    pub(super) fn refuses(&self, count: usize) -> Option<Trouble> {
        let waiting = self.jobs.values().filter(|job| job.is_write()).count();
        let is_full = waiting + count > self.jobs_max;
        self.trouble.or(is_full.then_some(Trouble::Busy))
    }

    /// The writes that the answer to the request that is looked at has to wait for.
    pub(super) fn is_held_until(&self) -> Option<(Place, Place)> {
        self.writes.filter(|_| self.is_last)
    }

    /// Whether the request that is looked at is the last one of a call into the server.
    pub fn look_at(&mut self, is_last: bool) {
        self.is_last = is_last;
    }
}

impl Oracle {
    // ---- handing over ------------------------------------------------------------------------

    /// What one call into the server has handed over.
    pub fn begin_call(&mut self, jobs: Vec<Job>) {
        let places = jobs.iter().filter(|job| job.ticket.is_none());
        let mut places = places.map(|job| job.place);
        let first = places.next();
        self.stored.writes = first.map(|first| (first, places.next_back().unwrap_or(first)));
        self.stored.is_last = false;
        self.stored.is_open = false;
        for job in jobs {
            if matches!(job.what, Task::Write(Write::Keep { .. })) {
                let pending = Pending {
                    ticket: None,
                    app: 0,
                    own: Own::Keep(None),
                    waiter: None,
                    answer: None,
                };
                assert!(self.stored.persists, "nobody wants {job:?}");
                self.stored.keeps.push(job.place);
                self.stored.jobs.insert(job.place, pending);
            } else {
                self.stored.fresh.push_back(job);
            }
        }
    }

    /// All that the call has led to is known.
    pub fn end_call(&mut self) {
        let fresh = &self.stored.fresh;
        assert!(fresh.is_empty(), "nobody asked the store for {fresh:?}");
        self.stored.writes = None;
        self.stored.is_last = false;
        // All changes of a call are kept together or not at all.
        for place in std::mem::take(&mut self.stored.keeps) {
            let remembered = Box::new(self.remembered());
            if let Some(job) = self.stored.jobs.get_mut(&place) {
                job.own = Own::Keep(Some(remembered));
            }
        }
    }

    /// The server was to hand this over, and has.
    pub(super) fn hand_over(&mut self, app: usize, mut own: Own, waiter: Waiter) {
        let job = self.stored.fresh.pop_front();
        let job = job.unwrap_or_else(|| panic!("the store was not asked for {own:?}"));
        self.compare_job(app, &mut own, &job);
        let pending = Pending {
            ticket: job.ticket,
            app,
            own,
            waiter: Some(waiter),
            answer: None,
        };
        self.stored.jobs.insert(job.place, pending);
    }

    fn compare_job(&mut self, app: usize, own: &mut Own, job: &Job) {
        let row = self.pushi.apps.get(app).map_or(0, |app| app.row);
        let fits = match (&mut *own, &job.what) {
            (Own::Publish(own), Task::Write(Write::Publish(publish))) => {
                let text: Value = serde_json::from_str(&format!("{{{}}}", publish.extra))
                    .expect("members of an object");
                let mut are_same = own.channels.len() == publish.channels.len();
                for ((name, placeholder), (got, mid)) in own.channels.iter().zip(&publish.channels)
                {
                    assert!(self.stored.mids.insert(*mid), "no id comes twice");
                    are_same &= *name == **got && self.binds(placeholder, *mid);
                }
                let owner = match (&own.owner, publish.owner) {
                    (Some(own), Some(got)) => self.binds(own, got),
                    (own, got) => own.is_none() && got.is_none(),
                };
                are_same
                    && owner
                    && publish.app.0 == row
                    && publish.is_last
                    && publish.micros == own.micros
                    && *publish.name == *own.name
                    && *publish.data == *own.data
                    && text == Value::Object(own.extra.clone())
                    && job.ticket.is_none()
            }
            (
                Own::Put {
                    kind,
                    target,
                    channel,
                    replaces,
                    unix_s: at,
                },
                Task::Write(Write::PutRecord {
                    app,
                    record,
                    replaces_oldest,
                    unix_s,
                }),
            ) => {
                app.0 == row
                    && record.kind == *kind
                    && *record.target == **target
                    && *record.channel == **channel
                    && replaces == replaces_oldest
                    && at == unix_s
            }
            (
                Own::Delete {
                    kind,
                    target,
                    channel,
                },
                Task::Write(Write::DeleteRecords {
                    app,
                    kind: of,
                    target: from,
                    channel: on,
                }),
            ) => {
                app.0 == row
                    && kind == of
                    && **target == **from
                    && channel.as_deref() == on.as_deref()
            }
            (Own::EndSession(_), Task::Write(Write::EndSession { app, .. })) => {
                app.0 == row && job.ticket.is_none()
            }
            (
                Own::NewApp {
                    name,
                    unix_s: at,
                    credentials,
                },
                Task::Write(Write::CreateApp(new)),
            ) => {
                *credentials = [&new.ident, &new.key, &new.secret].map(|text| text.to_string());
                let is_hex = |text: &String| text.len() == 64;
                credentials.iter().all(is_hex) && **name == *new.name && *at == new.unix_s
            }
            (Own::Update { unix_s: at, .. }, Task::Write(Write::UpdateApp { app, unix_s, .. })) => {
                app.0 == row && at == unix_s
            }
            (Own::Ask(ask), Task::Ask(question)) => ask.is(row, question),
            _ => false,
        };
        assert!(fits, "the store is asked for {:?}, not {own:?}", job.what);
    }

    /// Whether an id is what a placeholder stands for, from now on if not before.
    fn binds(&mut self, placeholder: &str, id: u128) -> bool {
        let mut text = Vec::new();
        fanwire::dialect::pushi::names::push_uuid(&mut text, id);
        let text = String::from_utf8(text).expect("digits and hyphens");
        super::answers::same(&json!(placeholder), &json!(text), &mut self.bound)
    }

    /// An answer waits until these writes are kept.
    pub(super) fn keep_back(
        &mut self,
        conn: ConnId,
        (from, upto): (Place, Place),
        said: (u16, Option<Value>, Cookie),
        closes: bool,
    ) {
        self.pushi.counts.kept_back += 1;
        let is_pushi = self.stored.jobs.range(from..=upto);
        let is_pushi = is_pushi.into_iter().any(|(_, job)| job.waiter.is_some());
        let line = self.line(conn);
        line.phase = Phase::Held;
        line.kept = Some(Kept {
            from,
            upto,
            closes,
            is_pushi,
            said,
        });
    }

    /// A request of Channelstream's, unless it is turned away for what the store cannot keep.
    pub(super) fn answer_kept(&mut self, call: &super::Call, now: Now) -> (u16, Option<Value>) {
        if !self.stored.persists {
            return self.answer(call, now);
        }
        let keeps = |oracle: &Self, name: &Option<String>| {
            let channel = oracle
                .channels
                .iter()
                .find(|c| Some(&c.name) == name.as_ref());
            channel.is_some_and(|channel| channel.settings.store_history)
        };
        let has_history = match call {
            super::Call::Publish(messages) => messages.iter().any(|m| keeps(self, &m.channel)),
            super::Call::Amend(amendments) => amendments.iter().any(|a| keeps(self, &a.channel)),
            _ => false,
        };
        if has_history && let Some(why) = self.stored.refuses(1) {
            self.pushi.counts.refused += 1;
            return (503, Some(Self::not_kept_body(false, why)));
        }
        let before = self.remembered();
        let answer = self.answer(call, now);
        let is_changed = before != self.remembered()
            || matches!(call, super::Call::Configure(configs) if !configs.is_empty());
        let reports = match call {
            super::Call::Info { .. } | super::Call::Disconnect { .. } | super::Call::Odd { .. } => {
                false
            }
            _ => self.stored.untold > 0,
        };
        if let Some(why) = self.stored.refuses(1).filter(|_| reports) {
            // What was done is not undone; whoever asked is told, and may ask again. Once something
            // was lost, more is reported than what changes.
            let is_alone = self.stored.is_last && !self.stored.is_open;
            if is_changed || is_alone {
                self.stored.untold -= 1;
                self.pushi.counts.refused += 1;
                return (503, Some(Self::not_kept_body(false, why)));
            }
            self.stored.is_open = true;
            self.stored.may_fail = true;
        }
        answer
    }

    // ---- the store at work -------------------------------------------------------------------

    /// The store keeps a write.
    pub fn commit(&mut self, place: Place) {
        let Some(job) = self.stored.jobs.get_mut(&place) else {
            panic!("{place:?} was never handed over");
        };
        let db = &mut self.stored.db;
        let app = job.app;
        let answer = match &job.own {
            Own::Ask(_) => panic!("{place:?} is no write"),
            Own::Publish(publish) => {
                db.publish(app, publish);
                OwnAnswer::Done
            }
            Own::Put {
                kind,
                target,
                channel,
                replaces,
                unix_s,
            } => OwnAnswer::Records(vec![db.put(
                app,
                (*kind, target, channel),
                *replaces,
                *unix_s,
            )]),
            Own::Delete {
                kind,
                target,
                channel,
            } => OwnAnswer::Records(db.delete(app, *kind, target, channel.as_ref())),
            Own::EndSession(session) => {
                db.ended.insert(*session);
                OwnAnswer::Done
            }
            Own::NewApp {
                name,
                unix_s,
                credentials,
            } => db.make_app(name, *unix_s, credentials),
            Own::Update {
                description,
                unix_s,
            } => {
                let row = self.pushi.apps[app].row;
                db.update_app(row, description, *unix_s)
            }
            Own::Keep(remembered) => {
                if let Some(remembered) = remembered {
                    db.remembered = (**remembered).clone();
                }
                OwnAnswer::Done
            }
        };
        job.answer = Some(answer);
    }

    /// What was kept so far is on disk.
    pub fn sync(&mut self) {
        self.stored.synced = self.stored.db.clone();
    }

    /// The store looks something up, among the events up to one.
    pub fn look_up(&mut self, ticket: Ticket, upto: u64) {
        let mut jobs = self.stored.jobs.values_mut();
        let job = jobs.find(|job| job.ticket == Some(ticket));
        let job = job.expect("somebody asked");
        let Own::Ask(ask) = &job.own else {
            panic!("a write is not looked up");
        };
        job.answer = Some(self.stored.db.answer(job.app, ask, upto));
    }

    /// Events as applications see them, or as sockets do.
    pub(super) fn stored_events(&self, events: &[usize], with_underscore: bool) -> Vec<Value> {
        let all = &self.stored.db.events;
        let shown = events.iter().map(|&place| {
            let event = &all[place];
            let mut data = json!({"channel": event.channel, "event": event.name});
            if !event.data.is_empty() {
                data["data"] = json!(event.data);
            }
            for (key, value) in &event.extra {
                data[key] = value.clone();
            }
            let second = event.micros / 1_000_000;
            let ident = &self.pushi.apps[event.app].ident;
            let mut shown = json!({
                "id": event.id, "enabled": true, "description": null, "created": second,
                "modified": second, "meta": {}, "instance": ident, "mid": event.mid,
                "channel": event.channel, "owner_id": event.owner,
                "timestamp": seconds(event.micros), "data": data,
            });
            if with_underscore {
                shown["_id"] = json!(pusher::ANY);
            }
            shown
        });
        shown.collect()
    }

    // ---- news --------------------------------------------------------------------------------

    /// The server has heard this of the store.
    pub fn hear_news(&mut self, news: &News, now: Now) {
        match news {
            News::State(trouble) => self.stored.trouble = *trouble,
            News::Done { upto } => {
                let mut rest = self.stored.jobs.split_off(&Place(upto.0 + 1));
                for (place, job) in std::mem::take(&mut self.stored.jobs) {
                    match (&job.own, &job.answer) {
                        (Own::Ask(_), _) => drop(rest.insert(place, job)),
                        (Own::Publish(publish), Some(_)) => {
                            let mids = publish.channels.iter().map(|(_, mid)| mid.clone());
                            self.stored.acknowledged.extend(mids);
                        }
                        (_, Some(_)) => {}
                        (own, None) => panic!("{own:?} is said to be done, and is not"),
                    }
                }
                self.stored.jobs = rest;
                self.give_kept(None, *upto);
            }
            News::Failed { from, upto, why } => {
                self.pushi.counts.failures += 1;
                let mut rest = self.stored.jobs.split_off(&Place(upto.0 + 1));
                for (place, job) in std::mem::take(&mut self.stored.jobs) {
                    if !job.is_write() {
                        rest.insert(place, job);
                        continue;
                    }
                    self.stored.is_unsure |= matches!(job.own, Own::Keep(_));
                    if let (true, Some(Waiter::Said { conn, key })) = (place >= *from, job.waiter) {
                        let phase = self.lines.get(&conn).map(|line| line.phase);
                        if phase == Some(Phase::Open(key)) {
                            self.pushi.counts.unsaid += 1;
                            self.gripe(conn, "", 503);
                        }
                    }
                }
                self.stored.jobs = rest;
                self.give_kept(Some((*from, *why)), *upto);
            }
            News::Answer { ticket, answer } => self.answered(*ticket, answer, now),
            News::Apps(_) | News::Stats(_) => {}
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: &Answer, now: Now) {
        let mut jobs = self.stored.jobs.iter_mut();
        let (&place, job) = jobs
            .find(|(_, job)| job.ticket == Some(ticket))
            .expect("somebody asked");
        let waiter = job.waiter.take();
        let own = match answer {
            Answer::Trouble(_) => OwnAnswer::Trouble,
            _ => job.answer.clone().expect("it was looked up"),
        };
        if !job.is_write() {
            self.stored.jobs.remove(&place);
        }
        match waiter {
            Some(Waiter::Answer {
                conn,
                app,
                what,
                closes,
            }) => {
                let (status, body) = self.word(app, &what, &own);
                let close = closes || self.is_draining;
                let waits = self.lines.get(&conn).map(|line| line.phase) == Some(Phase::Held);
                if waits {
                    self.line(conn).phase = Phase::Http;
                    self.expect_rest(conn, (status, body, Cookie::No), close);
                }
            }
            Some(Waiter::Socket { conn, key, then }) => self.hear_again(conn, key, then, own, now),
            Some(Waiter::Kept | Waiter::Said { .. }) | None => {
                panic!("nobody waits for an answer to {ticket:?}")
            }
        }
        self.hang_up_all(now);
    }

    /// Answers that waited for writes up to a place are given: those of the failed ones say so.
    fn give_kept(&mut self, failed: Option<(Place, Trouble)>, upto: Place) {
        let is_hit = |kept: &Kept| match failed {
            Some((from, _)) => kept.from <= upto && from <= kept.upto,
            None => kept.upto <= upto,
        };
        let lines = self.lines.iter();
        let hit = lines.filter(|(_, line)| line.kept.as_ref().is_some_and(is_hit));
        let hit: Vec<ConnId> = hit.map(|(conn, _)| *conn).collect();
        for conn in hit {
            let is_draining = self.is_draining;
            let line = self.line(conn);
            let Some(kept) = line.kept.take() else {
                continue;
            };
            if line.phase != Phase::Held {
                continue;
            }
            let close = kept.closes || is_draining;
            line.phase = if close { Phase::Done } else { Phase::Http };
            let (mut status, mut body, mut cookie) = kept.said;
            if let Some((_, why)) = failed {
                self.pushi.counts.not_kept += 1;
                let said = Self::not_kept_body(kept.is_pushi, why);
                (status, body, cookie) = (503, Some(said), Cookie::No);
            }
            let answer = match kept.is_pushi {
                true => Expect::Rest {
                    status,
                    close,
                    body,
                    cookie,
                },
                false => Expect::Answer {
                    status,
                    close,
                    body,
                },
            };
            self.expect(conn, answer);
        }
    }

    // ---- restarts ----------------------------------------------------------------------------

    /// What Channelstream's app is remembered by.
    pub(super) fn remembered(&self) -> Remembered {
        let own = |name: &str| pusher::bare(name) == name;
        let survives = |channel: &&Channel| {
            let has_settings = !channel.is_bare && channel.settings != Settings::default();
            own(&channel.name)
                && (channel.is_configured || has_settings || !channel.history.is_empty())
        };
        let channels = self.channels.iter().filter(survives);
        let channels = channels.map(|channel| KeptChannel {
            key: channel.key,
            name: channel.name.clone(),
            settings: channel.settings,
            is_configured: channel.is_configured,
            is_bare: channel.is_bare,
            history: channel.history.clone(),
        });
        let users = self.users.iter();
        let users = users.filter(|user| own(&user.name) && !user.state.is_empty());
        let users = users.map(|user| {
            let (state, keys) = (user.state.clone(), user.public_keys.clone());
            (user.key, user.name.clone(), state, keys)
        });
        Remembered {
            channels: channels.collect(),
            users: users.collect(),
        }
    }

    /// The ids of the events that are stored, oldest first, as far as they are known.
    fn mids(&self) -> Vec<&String> {
        let events = self.stored.db.events.iter();
        events
            .map(|event| self.bound.get(&event.mid).expect("handed over"))
            .collect()
    }

    /// The server has died, and starts again with what the store has: all that was kept, or, if the
    /// power was lost before that was synced, what is on disk. `found` are the ids of the events that are there.
    pub fn restart(&mut self, is_power_lost: bool, found: &[String], now: Now) {
        if is_power_lost {
            self.stored.db = self.stored.synced.clone();
        } else {
            self.stored.synced = self.stored.db.clone();
        }
        let known = self.mids();
        assert!(
            known.iter().copied().eq(found),
            "the store has {found:?} after the crash, expected {known:?}"
        );
        let acknowledged = std::mem::take(&mut self.stored.acknowledged);
        for mid in &acknowledged {
            let text = self.bound.get(mid).expect("handed over");
            let count = found.iter().filter(|found| *found == text).count();
            assert!(
                count == 1 || (count == 0 && is_power_lost),
                "{text} was acknowledged, and is there {count} times after the crash"
            );
        }
        self.pushi.counts.survived += found.len() as u64;
        let mut acknowledged = acknowledged;
        acknowledged.retain(|mid| found.contains(&self.bound[mid]));
        self.stored.acknowledged = acknowledged;
        self.stored.jobs.clear();
        self.stored.fresh.clear();
        self.stored.trouble = None;
        // Nobody is there any more, and nothing is known but what is remembered.
        self.lines.clear();
        self.subs.clear();
        self.users.clear();
        self.channels.clear();
        self.hang_ups.clear();
        self.facts.clear();
        self.wheel = Wheel::new();
        self.places = Default::default();
        self.is_draining = false;
        self.pushi.start_again(&self.stored.db.ended);
        let apps = self.stored.db.apps.clone();
        self.learn_apps_again(&apps);
        if !self.stored.persists {
            return;
        }
        let remembered = self.stored.db.remembered.clone();
        self.pushi.counts.remembered += remembered.channels.len() as u64;
        for kept in remembered.channels {
            self.channels.push(Channel {
                key: kept.key,
                name: kept.name.clone(),
                settings: kept.settings,
                is_configured: kept.is_configured,
                is_bare: kept.is_bare,
                members: Vec::new(),
                history: kept.history,
                recent: Vec::new(),
                // Told as it was, which is not known here.
                last_active: 0,
                guests: Vec::new(),
                cached: None,
                told_count: 0,
                timer: Timer::default(),
            });
            self.settle_channel(&kept.name, now);
        }
        for (key, name, state, public_keys) in remembered.users {
            self.users.push(super::User {
                key,
                name: name.clone(),
                state,
                public_keys,
                private: Vec::new(),
                subs: Vec::new(),
                timer: Timer::default(),
            });
            self.settle_user(&name, now);
        }
    }

    /// Whether nobody waits for the store.
    pub fn has_all(&self) -> bool {
        self.stored.jobs.is_empty()
    }
}

impl Ask {
    fn is(&self, row: u32, question: &Question) -> bool {
        match (self, question) {
            (
                Self::Latest {
                    channel,
                    skip,
                    count,
                },
                Question::Latest {
                    app,
                    channel: of,
                    skip: over,
                    count: most,
                },
            ) => {
                app.0 == row
                    && channel.as_deref() == of.as_deref()
                    && *skip as u64 == *over
                    && (*count as u64 == *most || *count == 0)
            }
            (
                Self::Personal { user, skip, count },
                Question::Personal {
                    app,
                    user: of,
                    skip: over,
                    count: most,
                },
            ) => {
                app.0 == row
                    && **user == **of
                    && *skip as u64 == *over
                    && (*count as u64 == *most || *count == 0)
            }
            (
                Self::Records {
                    kind,
                    target,
                    channel,
                },
                Question::Records {
                    app,
                    kind: of,
                    target: from,
                    channel: on,
                },
            ) => {
                app.0 == row
                    && kind == of
                    && target.as_deref() == from.as_deref()
                    && channel.as_deref() == on.as_deref()
            }
            (Self::Counts, Question::Counts) => true,
            _ => false,
        }
    }
}

impl Db {
    fn publish(&mut self, app: usize, publish: &OwnPublish) {
        let mut served = BTreeSet::new();
        for (channel, mid) in &publish.channels {
            self.last_event += 1;
            let hears = |record: &&OwnRecord| {
                record.app == app
                    && record.kind == RecordKind::Subscription
                    && record.channel == *channel
            };
            let users = self.records.iter().filter(hears);
            let users: Vec<String> = users.map(|record| record.target.clone()).collect();
            let users = users.into_iter();
            let users: Vec<String> = users.filter(|user| served.insert(user.clone())).collect();
            self.events.push(OwnEvent {
                id: self.last_event,
                app,
                owner: publish.owner.clone(),
                micros: publish.micros,
                name: publish.name.clone(),
                data: publish.data.clone(),
                extra: publish.extra.clone(),
                channel: channel.clone(),
                mid: mid.clone(),
                users,
            });
        }
    }

    fn put(
        &mut self,
        app: usize,
        (kind, target, channel): (RecordKind, &str, &str),
        replaces: bool,
        unix_s: u64,
    ) -> OwnRecord {
        let is_of = |record: &OwnRecord| {
            record.app == app && record.kind == kind && record.target == target
        };
        if replaces && let Some(oldest) = self.records.iter().position(is_of) {
            self.records.remove(oldest);
        }
        let mut records = self.records.iter();
        if let Some(known) = records.find(|record| is_of(record) && record.channel == channel) {
            return known.clone();
        }
        let id = self.last_records.entry(kind).or_default();
        *id += 1;
        let record = OwnRecord {
            id: *id,
            app,
            kind,
            target: target.to_owned(),
            channel: channel.to_owned(),
            made_s: unix_s,
        };
        self.records.push(record.clone());
        record
    }

    fn delete(
        &mut self,
        app: usize,
        kind: RecordKind,
        target: &str,
        channel: Option<&String>,
    ) -> Vec<OwnRecord> {
        let is_it = |record: &OwnRecord| {
            record.app == app
                && record.kind == kind
                && record.target == target
                && channel.is_none_or(|channel| record.channel == *channel)
        };
        let deleted = self.records.iter().filter(|record| is_it(record));
        let deleted = deleted.cloned().collect();
        self.records.retain(|record| !is_it(record));
        deleted
    }

    fn make_app(&mut self, name: &str, unix_s: u64, credentials: &[String; 3]) -> OwnAnswer {
        let is_taken = |app: &PushiApp| app.made.as_ref().is_some_and(|made| made.name == name);
        if self.apps.iter().any(is_taken) {
            return OwnAnswer::Duplicate;
        }
        self.last_app += 1;
        let [ident, key, secret] = credentials.clone();
        let app = PushiApp {
            app: fanwire::hub::AppId(0),
            mark: String::new(),
            ident,
            key,
            secret,
            row: self.last_app,
            is_shared: false,
            made: Some(Made::new(name, unix_s)),
            is_gone: false,
        };
        self.apps.push(app.clone());
        OwnAnswer::App(Box::new(app))
    }

    fn update_app(&mut self, row: u32, description: &Value, unix_s: u64) -> OwnAnswer {
        let Some(app) = self.apps.iter_mut().find(|app| app.row == row) else {
            return OwnAnswer::Nothing;
        };
        if let Some(made) = &mut app.made {
            made.description = description.clone();
            made.modified_s = unix_s;
        }
        OwnAnswer::App(Box::new(app.clone()))
    }

    /// The newest of these events, which are given oldest first.
    fn page(
        &self,
        upto: u64,
        (skip, count): (usize, usize),
        wanted: impl Fn(&OwnEvent) -> bool,
    ) -> Vec<usize> {
        let places = (0..self.events.len()).rev();
        let found = places.filter(|&place| {
            let event = &self.events[place];
            event.id <= upto && wanted(event)
        });
        let most = if count == 0 { usize::MAX } else { count };
        found.skip(skip).take(most).collect()
    }

    fn aliases(&self, app: usize, user: &str, found: &mut Vec<String>, users: &mut Vec<String>) {
        users.push(user.to_owned());
        let is_of = |record: &&OwnRecord| {
            record.app == app && record.kind == RecordKind::Subscription && record.target == user
        };
        for record in self.records.iter().filter(is_of) {
            match record.channel.strip_prefix("personal-") {
                Some(other) if users.iter().any(|known| known == other) => {}
                Some(other) => self.aliases(app, other, found, users),
                None if found.contains(&record.channel) => {}
                None => found.push(record.channel.clone()),
            }
        }
    }

    fn answer(&self, app: usize, ask: &Ask, upto: u64) -> OwnAnswer {
        match ask {
            Ask::Latest {
                channel,
                skip,
                count,
            } => OwnAnswer::Events(self.page(upto, (*skip, *count), |event| {
                event.app == app && channel.as_ref().is_none_or(|name| event.channel == *name)
            })),
            Ask::Personal { user, skip, count } => {
                let mut aliases = Vec::new();
                self.aliases(app, user, &mut aliases, &mut Vec::new());
                let events = self.page(upto, (*skip, *count), |event| {
                    event.app == app && event.users.contains(user)
                });
                OwnAnswer::Personal(aliases, events)
            }
            Ask::Records {
                kind,
                target,
                channel,
            } => {
                let is_wanted = |record: &&OwnRecord| {
                    record.app == app
                        && record.kind == *kind
                        && target
                            .as_ref()
                            .is_none_or(|target| record.target == *target)
                        && channel.as_ref().is_none_or(|name| record.channel == *name)
                };
                OwnAnswer::Records(self.records.iter().filter(is_wanted).cloned().collect())
            }
            Ask::Counts => OwnAnswer::Done,
        }
    }
}

impl pushi::Pushi {
    /// The server has started again: nobody is paired, and sessions are over that are stored as such.
    fn start_again(&mut self, ended: &BTreeSet<usize>) {
        self.forget_pairs();
        for (place, session) in self.sessions.iter_mut().enumerate() {
            session.is_over = ended.contains(&place);
        }
    }
}
