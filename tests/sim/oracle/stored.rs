//! What is stored, as lists that are searched from end to end: what was handed to the store, in which
//! order; what it has come to; who waits for that; and what is left after a crash.
//!
//! The oracle says which jobs it expects, and compares them with those that the server hands over.
//! What the store does with them, and when, is the world's choice: it says so here at the same time.

mod db;
mod jobs;
mod restarts;

use db::Db;
pub(super) use db::{OwnRecord, Remembered};

use super::pushi::{PushiApp, Rest, Then, seconds};
use super::{Expect, Oracle, Phase, pusher};
use fanwire::handler::ConnId;
use fanwire::store::{Answer, Job, News, Place, RecordKind, Task, Ticket, Trouble, Write};
use fanwire::time::Now;
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
        // What a channel of Channelstream's remembers of it stands right behind.
        let next = self.stored.jobs.get_mut(&Place(job.place.0 + 1));
        if let (Waiter::Said { conn, key }, Some(keep)) = (&waiter, next) {
            let (conn, key) = (*conn, *key);
            keep.waiter = Some(Waiter::Said { conn, key });
        }
        let pending = Pending {
            ticket: job.ticket,
            app,
            own,
            waiter: Some(waiter),
            answer: None,
        };
        self.stored.jobs.insert(job.place, pending);
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

    /// Whether what is published to a channel goes into a history that survives a restart.
    pub(super) fn keeps(&self, full: &str) -> bool {
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.name == full);
        let has_history = channel.is_some_and(|channel| channel.settings.store_history);
        self.stored.persists && has_history
    }

    /// A request of Channelstream's or Pusher's, unless it is turned away for what the store cannot keep.
    pub(super) fn answer_kept(&mut self, call: &super::Call, now: Now) -> (u16, Option<Value>) {
        if !self.stored.persists {
            return self.answer(call, now);
        }
        let keeps = |name: &Option<String>| name.as_ref().is_some_and(|name| self.keeps(name));
        let has_history = match call {
            super::Call::Publish(messages) => messages.iter().any(|m| keeps(&m.channel)),
            super::Call::Amend(amendments) => amendments.iter().any(|a| keeps(&a.channel)),
            super::Call::Api(call) => self.triggers_kept(call),
            _ => false,
        };
        if has_history && let Some(why) = self.stored.refuses(1) {
            self.pushi.counts.refused += 1;
            return match call {
                super::Call::Api(_) => pusher::refusal(503),
                _ => (503, Some(Self::not_kept_body(false, why))),
            };
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
                let mut told_of = None;
                for (place, job) in std::mem::take(&mut self.stored.jobs) {
                    if !job.is_write() {
                        rest.insert(place, job);
                        continue;
                    }
                    let is_keep = matches!(job.own, Own::Keep(_));
                    self.stored.is_unsure |= is_keep;
                    let is_told = is_keep && told_of == Some(place);
                    let is_lost = place >= *from && !is_told;
                    if let (true, Some(Waiter::Said { conn, key })) = (is_lost, job.waiter) {
                        // Once, whatever of it is lost.
                        told_of = Some(Place(place.0 + 1));
                        let keep = rest.get_mut(&Place(place.0 + 1));
                        if let Some(keep) = keep.filter(|job| matches!(job.own, Own::Keep(_))) {
                            keep.waiter = None;
                        }
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

    /// Whether nobody waits for the store.
    pub fn has_all(&self) -> bool {
        self.stored.jobs.is_empty()
    }
}
