//! What is stored: lists that are searched from end to end.

use super::super::pushi::{Made, PushiApp};
use super::super::{Settings, pusher};
use super::{Ask, OwnAnswer, OwnPublish};
use fanwire::store::RecordKind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(super) struct OwnEvent {
    pub(super) id: u64,
    pub(super) app: usize,
    pub(super) owner: Option<String>,
    pub(super) micros: u64,
    pub(super) name: String,
    pub(super) data: String,
    pub(super) extra: Map<String, Value>,
    pub(super) channel: String,
    pub(super) mid: String,
    /// For whom it waits.
    pub(super) users: Vec<String>,
}

#[derive(Debug, Clone)]
pub(in super::super) struct OwnRecord {
    id: u64,
    app: usize,
    kind: RecordKind,
    target: String,
    channel: String,
    made_s: u64,
}

impl OwnRecord {
    pub(in super::super) fn shown(&self, ident: &str) -> Value {
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
pub(in super::super) struct Remembered {
    pub(super) channels: Vec<KeptChannel>,
    pub(super) users: Vec<KeptUser>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptUser {
    pub(super) key: u32,
    pub(super) name: String,
    pub(super) state: BTreeMap<String, Value>,
    pub(super) public_keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptChannel {
    pub(super) key: u32,
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) is_configured: bool,
    pub(super) is_bare: bool,
    pub(super) history: Vec<usize>,
}

/// All that is stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Db {
    pub(super) events: Vec<OwnEvent>,
    pub(super) last_event: u64,
    pub(super) records: Vec<OwnRecord>,
    pub(super) last_records: BTreeMap<RecordKind, u64>,
    pub(super) ended: BTreeSet<usize>,
    pub(super) apps: Vec<PushiApp>,
    pub(super) last_app: u32,
    pub(super) remembered: Remembered,
}
impl Db {
    pub(super) fn publish(&mut self, app: usize, publish: &OwnPublish) {
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

    pub(super) fn put(
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

    pub(super) fn delete(
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

    pub(super) fn make_app(
        &mut self,
        name: &str,
        unix_s: u64,
        credentials: &[String; 3],
    ) -> OwnAnswer {
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

    pub(super) fn update_app(&mut self, row: u32, description: &Value, unix_s: u64) -> OwnAnswer {
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
                Some(other) => {
                    found.push(record.channel.clone());
                    self.aliases(app, other, found, users);
                }
                None if found.contains(&record.channel) => {}
                None => found.push(record.channel.clone()),
            }
        }
    }

    pub(super) fn answer(&self, app: usize, ask: &Ask, upto: u64) -> OwnAnswer {
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
