//! Applications that speak Pushi: what they ask over HTTP and what they are answered, at once or when
//! the store has done its part.

use super::super::pusher::bare;
use super::super::stored::{Ask, Own, OwnAnswer, OwnPublish, Waiter};
use super::super::{Cookie, Expect, Oracle, Phase, Sabotage};
use super::{ANY, HEX, Made, PushiApp, plain};
use fanwire::handler::ConnId;
use fanwire::hub::AppId;
use fanwire::limits::{PUSHI_SESSION_AHEAD_S, PUSHI_SESSION_S};
use fanwire::store::{RecordKind, Trouble};
use fanwire::time::Now;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A session of an application.
#[derive(Debug, Clone)]
pub struct Session {
    pub app: usize,
    pub issued_s: u64,
    pub is_over: bool,
}

impl Session {
    /// What its id stands as until it is known.
    pub fn placeholder(place: usize) -> String {
        format!("{HEX}sid{place}")
    }
}

/// Which session a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidOf {
    Nobody,
    Garbage,
    Session(usize),
}

#[derive(Debug, Clone)]
pub struct RestCall {
    pub sid: SidOf,
    pub what: Rest,
}

/// A request of an application.
#[derive(Debug, Clone)]
pub enum Rest {
    Login {
        app: usize,
        is_right: bool,
    },
    Logout,
    Publish {
        name: String,
        data: String,
        channels: Vec<String>,
        persist: bool,
        extra: Map<String, Value>,
    },
    Events {
        count: usize,
    },
    Put {
        kind: RecordKind,
        target: String,
        channel: String,
        is_signed: bool,
        replaces: bool,
    },
    Delete {
        kind: RecordKind,
        target: String,
        channel: Option<String>,
        force: bool,
    },
    Records {
        kind: RecordKind,
        target: Option<String>,
        channel: Option<String>,
    },
    /// The channels of a socket.
    Socket(String),
    NewApp {
        name: String,
    },
    Show,
    Update {
        description: Value,
    },
    Health,
    /// For what is not there, whoever asks.
    Nowhere,
    /// Wrong, and refused with this status, and these fields.
    Odd {
        status: u16,
        errors: Option<Value>,
    },
}

impl Rest {
    fn needs_session(&self) -> bool {
        match self {
            Self::Login { .. }
            | Self::Logout
            | Self::NewApp { .. }
            | Self::Health
            | Self::Nowhere => false,
            Self::Publish { .. }
            | Self::Events { .. }
            | Self::Put { .. }
            | Self::Delete { .. }
            | Self::Records { .. }
            | Self::Socket(_)
            | Self::Show
            | Self::Update { .. }
            | Self::Odd { .. } => true,
        }
    }
}

/// What is said of something that went wrong.
pub(in super::super) fn fault(status: u16) -> Value {
    json!({
        "result": "error", "name": ANY, "message": ANY, "code": status, "uid": ANY,
        "session": null,
    })
}

fn success() -> Value {
    json!({"result": "success"})
}

/// What a request comes to, where it waits for nothing.
type Said = (u16, Option<Value>, Cookie);

fn refused(status: u16) -> Said {
    (status, Some(fault(status)), Cookie::No)
}

impl PushiApp {
    /// The app as it is shown to itself, if all of that is known here.
    pub fn record(&self) -> Option<Value> {
        let made = self.made.as_ref()?;
        Some(json!({
            "name": made.name, "enabled": true, "description": made.description, "meta": {},
            "apn_sandbox": false, "apn_key": null, "apn_cer": null, "vapid_key": null,
            "vapid_email": null, "smtp_url": null, "created": made.created_s,
            "modified": made.modified_s, "ident": self.ident, "key": self.key,
            "secret": self.secret, "instance": self.ident, "id": self.row, "_id": ANY,
        }))
    }
}

impl Oracle {
    /// Whether a session is good, unless it was ended before its time.
    fn is_good(&self, place: usize, now_s: u64) -> bool {
        let session = &self.pushi.sessions[place];
        let has_begun = session.issued_s <= now_s + PUSHI_SESSION_AHEAD_S;
        let is_gone = self.pushi.apps[session.app].is_gone;
        has_begun && now_s < session.issued_s + PUSHI_SESSION_S && !is_gone
    }

    fn caller(&self, sid: SidOf, now_s: u64) -> Option<usize> {
        match sid {
            SidOf::Session(place) => {
                let session = &self.pushi.sessions[place];
                let is_good = self.is_good(place, now_s) && !session.is_over;
                is_good.then_some(session.app)
            }
            SidOf::Nobody | SidOf::Garbage => None,
        }
    }

    /// The answer to a request without a session, where one is needed: by its head alone.
    pub(in super::super) fn refuses_rest(
        &self,
        call: &RestCall,
        asked_s: u64,
    ) -> Option<(u16, Option<Value>)> {
        let is_in = self.caller(call.sid, asked_s).is_some();
        let is_refused = call.what.needs_session() && !is_in;
        is_refused.then(|| (403, Some(fault(403))))
    }

    pub(in super::super) fn expect_rest(&mut self, conn: ConnId, said: Said, close: bool) {
        let (status, body, cookie) = said;
        self.expect(
            conn,
            Expect::Rest {
                status,
                close,
                body,
                cookie,
            },
        );
        if close {
            self.line(conn).phase = Phase::Done;
        }
    }

    /// A request has come whole, or was refused at its head.
    pub(in super::super) fn rest(
        &mut self,
        conn: ConnId,
        call: &RestCall,
        refused: Option<(u16, Option<Value>)>,
        asks_close: bool,
        now: Now,
    ) {
        let close = asks_close || self.is_draining;
        if let Some((status, body)) = refused {
            let ended =
                matches!(call.sid, SidOf::Session(place) if self.pushi.sessions[place].is_over);
            self.pushi.counts.no_session += 1;
            self.pushi.counts.ended += u64::from(ended);
            return self.expect_rest(conn, (status, body, Cookie::No), close);
        }
        let app = self.caller(call.sid, now.unix_seconds());
        if let Some(said) = self.rest_now(conn, call, app, close, now) {
            match self.stored.is_held_until() {
                Some(upto) => self.keep_back(conn, upto, said, close),
                None => self.expect_rest(conn, said, close),
            }
        }
    }

    /// What a request is answered as soon as what it has stored is kept. None: it waits for the store.
    fn rest_now(
        &mut self,
        conn: ConnId,
        call: &RestCall,
        app: Option<usize>,
        close: bool,
        now: Now,
    ) -> Option<Said> {
        let no_room = |oracle: &mut Self, count| {
            let refuses = oracle.stored.refuses(count).is_some();
            oracle.pushi.counts.refused += u64::from(refuses);
            refuses
        };
        let done = || Some((200, Some(success()), Cookie::No));
        match &call.what {
            Rest::Login {
                app,
                is_right: true,
            } if !self.pushi.apps[*app].is_gone => {
                self.pushi.counts.logins += 1;
                let place = self.pushi.sessions.len();
                self.pushi.sessions.push(Session {
                    app: *app,
                    issued_s: now.unix_seconds(),
                    is_over: false,
                });
                let sid = Session::placeholder(place);
                let body = json!({ "token": sid });
                Some((200, Some(body), Cookie::Sid))
            }
            Rest::Login { .. } => {
                self.pushi.counts.wrong += 1;
                Some(refused(403))
            }
            Rest::Logout => {
                let forgotten = (200, Some(success()), Cookie::Gone);
                // One that is over is ended again: it may not have been kept that it is.
                let SidOf::Session(place) = call.sid else {
                    return Some(forgotten);
                };
                if !self.is_good(place, now.unix_seconds()) {
                    return Some(forgotten);
                }
                let app = self.pushi.sessions[place].app;
                if no_room(self, 2) {
                    return Some(refused(503));
                }
                self.pushi.counts.logouts += 1;
                self.pushi.sessions[place].is_over = true;
                self.hand_over(app, Own::EndSession(place), Waiter::Kept);
                Some(forgotten)
            }
            Rest::Publish {
                name,
                data,
                channels,
                persist,
                extra,
            } => {
                let app = app.expect("others are refused");
                if name.starts_with("pusher:") {
                    self.pushi.counts.reserved += 1;
                    return Some(refused(400));
                }
                let mark = &self.pushi.apps[app].mark;
                let is_kept = channels
                    .iter()
                    .any(|name| self.keeps(&format!("{mark}{name}")));
                if *persist && no_room(self, 1 + usize::from(is_kept)) {
                    return Some(refused(503));
                }
                self.pushi.counts.published += 1;
                self.publish_all(app, (name, data, extra), channels, *persist, now);
                done()
            }
            Rest::Socket(id) => {
                let app = app.expect("others are refused");
                let body = json!({ "channels": self.channels_of_chat(app, id) });
                Some((200, Some(body), Cookie::No))
            }
            Rest::Nowhere => Some(refused(404)),
            Rest::Odd { status, errors } => {
                let mut body = fault(*status);
                if let Some(errors) = errors {
                    body["errors"] = errors.clone();
                }
                Some((*status, Some(body), Cookie::No))
            }
            Rest::Put {
                channel,
                is_signed: false,
                kind,
                ..
            } if *kind != RecordKind::Subscription && super::must_sign(channel) => {
                self.pushi.counts.forged += 1;
                Some(refused(403))
            }
            Rest::Show => {
                let app = app.expect("others are refused");
                Some((200, self.pushi.apps[app].record(), Cookie::No))
            }
            Rest::Put { .. } | Rest::Delete { .. } | Rest::Update { .. } | Rest::NewApp { .. } => {
                if no_room(self, 1) {
                    return Some(refused(503));
                }
                let own = match &call.what {
                    Rest::Put {
                        kind,
                        target,
                        channel,
                        replaces,
                        ..
                    } => Own::Put {
                        kind: *kind,
                        target: target.clone(),
                        channel: channel.clone(),
                        replaces: *replaces && *kind != RecordKind::Subscription,
                        unix_s: now.unix_seconds(),
                    },
                    Rest::Delete {
                        kind,
                        target,
                        channel,
                        ..
                    } => Own::Delete {
                        kind: *kind,
                        target: target.clone(),
                        channel: channel.clone(),
                    },
                    Rest::Update { description } => Own::Update {
                        description: description.clone(),
                        unix_s: now.unix_seconds(),
                    },
                    Rest::NewApp { name } => Own::NewApp {
                        name: name.clone(),
                        unix_s: now.unix_seconds(),
                        credentials: Default::default(),
                    },
                    _ => unreachable!("listed above"),
                };
                self.wait_for(conn, app.unwrap_or(0), own, &call.what, close);
                None
            }
            Rest::Events { count } => {
                let ask = Ask::Latest {
                    channel: None,
                    skip: 0,
                    count: *count,
                };
                self.wait_for(conn, app?, Own::Ask(ask), &call.what, close);
                None
            }
            Rest::Records {
                kind,
                target,
                channel,
            } => {
                let ask = Ask::Records {
                    kind: *kind,
                    target: target.clone(),
                    channel: channel.clone(),
                };
                self.wait_for(conn, app?, Own::Ask(ask), &call.what, close);
                None
            }
            Rest::Health => {
                self.wait_for(conn, 0, Own::Ask(Ask::Counts), &call.what, close);
                None
            }
        }
    }

    fn wait_for(&mut self, conn: ConnId, app: usize, own: Own, what: &Rest, closes: bool) {
        self.line(conn).phase = Phase::Held;
        let waiter = Waiter::Answer {
            conn,
            app,
            what: what.clone(),
            closes,
        };
        self.hand_over(app, own, waiter);
    }

    fn publish_all(
        &mut self,
        app: usize,
        (name, data, extra): (&str, &str, &Map<String, Value>),
        channels: &[String],
        persist: bool,
        now: Now,
    ) {
        let mark = self.pushi.apps[app].mark.clone();
        if channels.len() > 1 {
            self.pushi.counts.to_many += 1;
            let forgets = self.sabotage == Sabotage::TellTwice;
            self.once = (!forgets).then(BTreeSet::new);
        }
        let mut stored = Vec::new();
        for channel in channels {
            let message = plain(name, data, extra.clone(), persist, now);
            let mid = self.tell_chat(&format!("{mark}{channel}"), message, now);
            stored.push((channel.clone(), mid));
        }
        self.once = None;
        if persist {
            let own = OwnPublish {
                owner: None,
                micros: now.unix_micros,
                name: name.to_owned(),
                data: data.to_owned(),
                extra: extra.clone(),
                channels: stored,
            };
            self.hand_over(app, Own::Publish(own), Waiter::Kept);
        }
    }

    fn channels_of_chat(&self, app: usize, id: &str) -> Vec<String> {
        let is_it = |sub: &&super::Sub| {
            let talk = sub.socket.as_ref().and_then(|socket| socket.talk.as_ref());
            talk.is_some_and(|talk| talk.app == app)
                && self.bound.get(&sub.id).is_some_and(|known| known == id)
        };
        let Some(sub) = self.subs.iter().find(is_it) else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for channel in &sub.channels {
            if bare(channel).starts_with("personal-") {
                continue;
            }
            names.push(bare(channel).to_owned());
            let mark = &channel[..channel.len() - bare(channel).len()];
            let pairs = self.pair_names(sub.key, channel).into_iter();
            // One that it asked for by name, too, stands where it joined it.
            names.extend(pairs.filter(|pair| !sub.channels.contains(&format!("{mark}{pair}"))));
        }
        names
    }

    /// The store has done what a request waits for.
    pub(in super::super) fn word(
        &mut self,
        app: usize,
        what: &Rest,
        answer: &OwnAnswer,
    ) -> (u16, Option<Value>) {
        let ident = self.pushi.apps[app].ident.clone();
        let failed = |status| (status, Some(fault(status)));
        let record = |record: &super::super::stored::OwnRecord| record.shown(&ident);
        match (what, answer) {
            (Rest::Health, _) => (200, None),
            (_, OwnAnswer::Trouble) => {
                self.pushi.counts.not_kept += 1;
                failed(503)
            }
            (Rest::Events { .. }, OwnAnswer::Events(events)) => {
                self.pushi.counts.listed += 1;
                let events = self.stored_events(events, true);
                (200, Some(json!({ "events": events })))
            }
            (Rest::Put { .. }, OwnAnswer::Records(records)) => {
                self.pushi.counts.records += 1;
                (200, Some(record(&records[0])))
            }
            (
                Rest::Delete {
                    channel: Some(_),
                    force,
                    ..
                },
                OwnAnswer::Records(records),
            ) => match (records.first(), force) {
                (Some(deleted), _) => {
                    self.pushi.counts.deleted += 1;
                    (200, Some(record(deleted)))
                }
                (None, true) => failed(404),
                (None, false) => (200, Some(success())),
            },
            (Rest::Delete { .. } | Rest::Records { .. }, OwnAnswer::Records(records)) => {
                self.pushi.counts.listed += 1;
                let records: Vec<Value> = records.iter().map(record).collect();
                (200, Some(json!({ "subscriptions": records })))
            }
            (Rest::NewApp { .. }, OwnAnswer::Duplicate) => {
                let mut body = fault(400);
                body["errors"] = json!({"name": ["value is duplicate"]});
                (400, Some(body))
            }
            (Rest::NewApp { .. } | Rest::Update { .. }, OwnAnswer::App(app)) => {
                self.learn_app(app);
                (200, app.record())
            }
            (Rest::Update { .. }, OwnAnswer::Nothing) => failed(404),
            (what, answer) => panic!("{answer:?} is no answer to {what:?}"),
        }
    }

    /// An app of the store is there, or is another.
    fn learn_app(&mut self, app: &PushiApp) {
        let mut known = self.pushi.apps.iter_mut();
        match known.find(|known| known.row == app.row && !known.is_gone) {
            Some(known) => {
                self.pushi.counts.changed += 1;
                known.made.clone_from(&app.made);
            }
            None => {
                self.pushi.counts.made += 1;
                self.push_app(app);
            }
        }
    }

    fn push_app(&mut self, app: &PushiApp) {
        let known = self.pushi.apps.iter();
        let made = known.filter(|app| app.made.is_some() && !app.is_gone);
        let number = u16::MAX - made.count() as u16;
        let place = self.pushi.apps.len();
        self.pushi.apps.push(PushiApp {
            app: AppId(number),
            mark: "\u{2}".repeat(3 + place),
            ..app.clone()
        });
    }

    /// The server has started again, and knows these apps beside those of the settings. Sessions and
    /// clients know apps by their places here, so what has gone stays in its place.
    pub(in super::super) fn learn_apps_again(&mut self, stored: &[PushiApp]) {
        for known in self.pushi.apps.iter_mut().filter(|app| app.made.is_some()) {
            let found = stored.iter().find(|app| app.ident == known.ident);
            match found {
                Some(found) => known.made.clone_from(&found.made),
                None => known.is_gone = true,
            }
        }
        for app in stored {
            if !self.pushi.apps.iter().any(|known| known.ident == app.ident) {
                self.push_app(app);
            }
        }
        let known = self.pushi.apps.iter_mut();
        let mut made: Vec<&mut PushiApp> = known
            .filter(|app| app.made.is_some() && !app.is_gone)
            .collect();
        made.sort_by_key(|app| app.row);
        for (at, app) in made.into_iter().enumerate() {
            app.app = AppId(u16::MAX - at as u16);
        }
    }

    pub(in super::super) fn not_kept_body(is_pushi: bool, why: Trouble) -> Value {
        match is_pushi {
            true => fault(503),
            false => json!({"error": why.word(), "message": ANY}),
        }
    }

    /// Whether the placeholder is known, and what it stands for.
    pub fn known(&self, placeholder: &str) -> Option<&String> {
        self.bound.get(placeholder)
    }
}

/// Made for a place in the list.
impl Made {
    pub(in super::super) fn new(name: &str, unix_s: u64) -> Self {
        Self {
            name: name.to_owned(),
            description: Value::Null,
            created_s: unix_s,
            modified_s: unix_s,
        }
    }
}
