//! The engine that forgets: plain collections, gone with the process.
//!
//! It serves where no file is wanted, and the simulation, which clones it to know what was synced.
//! It does everything in the most obvious way, so that it can also be what the other engine is
//! compared with.

mod app;
mod kept;
mod records;

use super::storage::{
    Committed, Reading, Retention, Retired, Room, Serving, Storage, Swept, aliases, event_bytes,
    record_bytes,
};
use crate::limits::{STORE_EVENT_OVERHEAD_BYTES, STORE_EVENTS_LISTED_MAX};
use crate::store::{
    Answer, AppRecord, AppRow, Counts, EndedSession, Publish, Question, RecordKind, Remembered,
    StoredEvent, Trouble, Write,
};
use kept::Kept;
use records::Records;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

/// The engine. A clone is a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    apps: BTreeMap<AppRow, AppRecord>,
    last_event: u64,
    /// By [`RecordKind`].
    last_records: [u64; 5],
    worlds: BTreeMap<AppRow, World>,
    serving: Serving<Box<str>>,
    /// The app that clearing away looked at last.
    last_retired: AppRow,
}

/// What is stored of one app.
#[derive(Debug, Clone, Default)]
struct World {
    events: BTreeMap<u64, Event>,
    /// What all of them are charged.
    bytes: u64,
    channels: BTreeMap<Box<str>, BTreeSet<u64>>,
    waiting: BTreeMap<Box<str>, BTreeSet<u64>>,
    /// By [`RecordKind`].
    records: [Records; 5],
    kept: Kept,
    ended: BTreeMap<[u8; 32], u64>,
}

/// An event, and for whom it waits.
#[derive(Debug, Clone)]
struct Event {
    event: Arc<StoredEvent>,
    users: Vec<Box<str>>,
}

impl Event {
    /// What it is charged.
    fn bytes(&self) -> u64 {
        let event = &self.event;
        let texts = event.name.len() + event.data.len() + event.extra.len();
        (texts + STORE_EVENT_OVERHEAD_BYTES) as u64
    }
}

/// Where a kind of records stands in a list of all of them.
fn place(kind: RecordKind) -> usize {
    RecordKind::ALL.iter().position(|k| *k == kind).unwrap_or(0)
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn keep(&mut self, write: &Write) -> Answer {
        match write {
            Write::Publish(publish) => self.publish(publish),
            Write::CreateApp(new) => return self.create_app(new),
            Write::AdoptApp { ident, unix_s } => {
                let row = self.adopt_app(ident, *unix_s);
                let app = self.apps.get(&row).cloned();
                return app.map_or(Answer::Nothing, |app| Answer::App(Box::new(app)));
            }
            Write::UpdateApp {
                app,
                fields,
                unix_s,
            } => return self.update_app(*app, fields, *unix_s),
            Write::PutRecord {
                app,
                record,
                replaces_oldest,
                unix_s,
            } => {
                let place = place(record.kind);
                let records = &mut self.world(*app).records[place];
                if *replaces_oldest {
                    records.remove_oldest(&record.target);
                }
                if let Some(there) = records.find(&record.target, &record.channel) {
                    return Answer::Record(Box::new(there.clone()));
                }
                self.last_records[place] += 1;
                let id = self.last_records[place];
                let made = self.world(*app).records[place].insert(id, record, *unix_s);
                return Answer::Record(Box::new(made));
            }
            Write::DeleteRecords {
                app,
                kind,
                target,
                channel,
            } => {
                let records = &mut self.world(*app).records[place(*kind)];
                let mut room = Room::new(0, crate::limits::STORE_RECORDS_LISTED_MAX as u64);
                let mut removed = records.remove_all(target, channel.as_deref());
                // All are gone; as many are told of as an answer holds.
                let told = removed.iter().take_while(|r| room.takes(record_bytes(r)));
                removed.truncate(told.count());
                return Answer::Records(removed);
            }
            Write::EndSession {
                app,
                session,
                until_unix_s,
            } => {
                self.world(*app).ended.insert(*session, *until_unix_s);
            }
            Write::EndSessionsBefore {
                app,
                unix_s,
                until_unix_s,
            } => {
                let Some(known) = self.apps.get_mut(app) else {
                    return Answer::Nothing;
                };
                known.sessions_from_s = known.sessions_from_s.max(*unix_s);
                let ended = &mut self.world(*app).ended;
                ended.retain(|_, until| *until >= *until_unix_s);
            }
            Write::Keep { app, changes } => {
                let kept = &mut self.world(*app).kept;
                changes.iter().for_each(|change| kept.change(change));
            }
        }
        Answer::Done
    }

    fn world(&mut self, app: AppRow) -> &mut World {
        self.worlds.entry(app).or_default()
    }

    fn publish(&mut self, publish: &Publish) {
        let mut served = self.serving.begin(publish);
        let world = self.worlds.entry(publish.app).or_default();
        for (channel, mid) in &publish.channels {
            self.last_event += 1;
            let id = self.last_event;
            let listeners = world.records[place(RecordKind::Subscription)].targets_of(channel);
            let users: Vec<Box<str>> = listeners
                .filter(|user| served.insert(Box::from(*user)))
                .map(Box::from)
                .collect();
            for user in &users {
                world.waiting.entry(user.clone()).or_default().insert(id);
            }
            let of_channel = world.channels.entry(channel.clone()).or_default();
            of_channel.insert(id);
            let event = Arc::new(StoredEvent {
                id,
                mid: *mid,
                channel: channel.clone(),
                owner: publish.owner,
                micros: publish.micros,
                name: publish.name.clone(),
                data: publish.data.clone(),
                extra: publish.extra.clone(),
            });
            let event = Event { event, users };
            world.bytes += event.bytes();
            world.events.insert(id, event);
        }
        self.serving.end(publish, served);
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts {
            apps: self.apps.values().filter(|app| !app.is_of_settings).count() as u64,
            ..Counts::default()
        };
        for world in self.worlds.values() {
            counts.events += world.events.len() as u64;
            for (at, records) in world.records.iter().enumerate() {
                counts.records[at] += records.len() as u64;
                counts.apps_with[at] += u64::from(records.len() > 0);
            }
        }
        counts
    }
}

impl World {
    /// The newest of these that are no newer than `upto`, after so many.
    fn page<'a>(
        &self,
        ids: impl DoubleEndedIterator<Item = &'a u64>,
        upto: u64,
        skip: u64,
        count: u64,
    ) -> Vec<StoredEvent> {
        let mut room = Room::new(count, STORE_EVENTS_LISTED_MAX);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let newest = ids.rev().filter(|id| **id <= upto).skip(skip);
        newest
            .filter_map(|id| self.events.get(id))
            .take_while(|event| room.takes(event_bytes(&event.event)))
            .map(|event| StoredEvent::clone(&event.event))
            .collect()
    }

    /// Clears one event away.
    fn retire(&mut self, id: u64) {
        let Some(event) = self.events.remove(&id) else {
            return;
        };
        self.bytes -= event.bytes();
        forget(&mut self.channels, &event.event.channel, id);
        for user in &event.users {
            forget(&mut self.waiting, user, id);
        }
    }

    fn channels_of(&self, user: &str) -> Vec<Box<str>> {
        self.records[place(RecordKind::Subscription)].channels_of(user)
    }
}

/// Takes a number out of the list under a name, and the list with the last one.
fn forget(lists: &mut BTreeMap<Box<str>, BTreeSet<u64>>, name: &str, id: u64) {
    if let Some(list) = lists.get_mut(name) {
        list.remove(&id);
        if list.is_empty() {
            lists.remove(name);
        }
    }
}

impl Reading for Memory {
    fn answer(&mut self, question: &Question, upto: u64) -> Result<Answer, Trouble> {
        let nowhere = World::default();
        let world = |app: &AppRow| self.worlds.get(app).unwrap_or(&nowhere);
        Ok(match question {
            Question::Latest {
                app,
                channel,
                skip,
                count,
            } => {
                let world = world(app);
                Answer::Events(match channel {
                    None => world.page(world.events.keys(), upto, *skip, *count),
                    Some(channel) => world
                        .channels
                        .get(channel)
                        .map_or_else(Vec::new, |ids| world.page(ids.iter(), upto, *skip, *count)),
                })
            }
            Question::Personal {
                app,
                user,
                skip,
                count,
            } => {
                let world = world(app);
                let channels = |user: &str| Ok::<_, Infallible>(world.channels_of(user));
                let aliases = aliases(user, channels).unwrap_or_else(|never| match never {});
                let waiting = world.waiting.get(user);
                let events = waiting
                    .map_or_else(Vec::new, |ids| world.page(ids.iter(), upto, *skip, *count));
                Answer::Personal { aliases, events }
            }
            Question::Records {
                app,
                kind,
                target,
                channel,
            } => {
                let records = &world(app).records[place(*kind)];
                Answer::Records(records.list(target.as_deref(), channel.as_deref()))
            }
            Question::Counts => Answer::Counts(Box::new(self.counts())),
        })
    }
}

impl Storage for Memory {
    fn commit(&mut self, writes: &[&Write]) -> Result<Committed, Trouble> {
        Ok(Committed {
            answers: writes.iter().map(|write| self.keep(write)).collect(),
            last_event: self.last_event,
        })
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn last_event(&mut self) -> Result<u64, Trouble> {
        Ok(self.last_event)
    }

    fn reader(&mut self) -> Result<Option<Box<dyn Reading>>, Trouble> {
        Ok(None)
    }

    fn apps(&mut self) -> Result<Vec<AppRecord>, Trouble> {
        Ok(self.apps.values().cloned().collect())
    }

    fn adopt(&mut self, idents: &[&str], unix_s: u64) -> Result<Vec<AppRow>, Trouble> {
        let rows = idents.iter();
        Ok(rows.map(|ident| self.adopt_app(ident, unix_s)).collect())
    }

    fn remembered(&mut self, app: AppRow) -> Result<Remembered, Trouble> {
        let world = self.worlds.get(&app);
        Ok(world.map_or_else(Remembered::default, |world| world.kept.remembered()))
    }

    fn ended_sessions(&mut self, unix_s: u64) -> Result<Vec<EndedSession>, Trouble> {
        let mut all = Vec::new();
        for (&app, world) in &mut self.worlds {
            world.ended.retain(|_, until| *until > unix_s);
            all.extend(world.ended.iter().map(|(&session, &until)| EndedSession {
                app,
                session,
                until_unix_s: until,
            }));
        }
        Ok(all)
    }

    fn retire(&mut self, keep: &Retention, rows: usize) -> Result<Retired, Trouble> {
        let mut retired = Retired::default();
        // From behind the app that was looked at last, once around.
        let last = self.last_retired;
        let behind = self.worlds.keys().copied().filter(|app| *app > last);
        let before = self.worlds.keys().copied().filter(|app| *app <= last);
        let apps: Vec<AppRow> = behind.chain(before).collect();
        for app in apps {
            let world = self.worlds.entry(app).or_default();
            while let Some((&id, event)) = world.events.first_key_value() {
                let is_old = keep.from_micros.is_some_and(|t| event.event.micros < t);
                let is_much = keep.bytes_max.is_some_and(|most| world.bytes > most);
                if !is_old && !is_much {
                    break;
                }
                if retired.events as usize == rows {
                    retired.is_behind = true;
                    return Ok(retired);
                }
                world.retire(id);
                retired.events += 1;
                self.last_retired = app;
            }
        }
        Ok(retired)
    }

    fn sweep(&mut self, from_micros: u64, after: u64, rows: usize) -> Result<Swept, Trouble> {
        let mut found = Vec::new();
        for (&app, world) in &self.worlds {
            let behind = world.events.range(after.saturating_add(1)..).take(rows);
            found.extend(behind.map(|(&id, event)| (id, app, event.event.micros)));
        }
        found.sort_unstable();
        found.truncate(rows);
        let mut swept = Swept::default();
        for &(id, app, micros) in &found {
            if micros < from_micros {
                self.world(app).retire(id);
                swept.events += 1;
            }
        }
        let last = found.last().map(|(id, ..)| *id);
        swept.upto = last.filter(|_| found.len() == rows);
        Ok(swept)
    }

    fn was_changed_by_others(&mut self) -> Result<bool, Trouble> {
        Ok(false)
    }

    fn rest(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn recover(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn check(&mut self) -> Result<Vec<String>, Trouble> {
        let mut faults = Vec::new();
        for (app, world) in &self.worlds {
            let bytes: u64 = world.events.values().map(Event::bytes).sum();
            let in_channels: usize = world.channels.values().map(BTreeSet::len).sum();
            if bytes != world.bytes || in_channels != world.events.len() {
                faults.push(format!("the events of app {} are miscounted", app.0));
            }
            let waiting = world.waiting.values().flatten();
            let lost = waiting.filter(|id| !world.events.contains_key(id)).count();
            if lost > 0 {
                faults.push(format!("{lost} events that wait in app {} are gone", app.0));
            }
        }
        Ok(faults)
    }

    fn close(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}
