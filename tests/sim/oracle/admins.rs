//! Admins: who has signed in and until when, who has to wait, what they are told, and whom they
//! throw out.

mod heard;

use super::{Call, Expect, Info, Oracle, PLACEHOLDER, Phase, Sabotage, Signed, public};
use fanwire::handler::ConnId;
use fanwire::limits::{SESSION_S, SIGN_IN_DELAY_MS, SIGN_IN_FAILURES_MAX, SIGN_IN_WINDOW_MS};
use fanwire::time::{Millis, Now};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A request for one of the admin pages.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The sessions whose cookies it carries, in their order. Forged ones do not count.
    pub cookies: Vec<usize>,
    /// A page of another site asks.
    pub is_foreign: bool,
    /// What a proxy says of where it comes from; read only from addresses that may sign, which
    /// are those of the proxies.
    pub forwarded: Option<String>,
    pub what: Asked,
}

/// See [`Admin`].
#[derive(Debug, Clone)]
pub enum Asked {
    SignIn {
        is_right: bool,
    },
    /// With the token of this session, if with any.
    SignOut {
        token: Option<usize>,
    },
    /// The report, in so many turns more than it takes.
    Report {
        slow: u32,
    },
    Session,
    Connections,
    Close {
        token: Option<usize>,
        whom: Whom,
    },
}

/// Whom an admin throws out.
#[derive(Debug, Clone)]
pub enum Whom {
    Socket(ConnId),
    Connection(String),
    /// The body names nobody.
    Nobody,
}

/// What an admin is to hear.
#[derive(Debug, Clone)]
pub enum Told {
    SignedIn(usize),
    SignedOut,
    /// The form again, with these words in it.
    Form {
        status: u16,
        words: &'static str,
        retry_s: Option<u64>,
    },
    Session(usize),
    Report(Value),
    /// All connections there are, by their number: what they are, and for whom.
    Connections(BTreeMap<String, Value>),
}

/// Somebody signed in.
#[derive(Debug)]
struct Session {
    expires_s: u64,
    is_over: bool,
    cookie: Option<String>,
    token: Option<String>,
}

/// An answer that is not given yet; meanwhile nothing is taken from the connection.
#[derive(Debug)]
pub struct Held {
    closes: bool,
    /// None: a job makes it.
    told: Option<Told>,
    /// When it is given, if that is a matter of time.
    due: Option<Millis>,
}

/// A report that takes several turns.
#[derive(Debug)]
struct Report {
    conn: ConnId,
    left: u32,
    /// The keys of the channels that there were.
    channels: VecDeque<u32>,
    listed: Map<String, Value>,
    users: Option<Vec<Value>>,
}

/// What is known of admins.
#[derive(Debug, Default)]
pub struct Desk {
    sessions: Vec<Session>,
    /// By address: since when, and how many.
    failures: BTreeMap<String, (u64, u32)>,
    reports: VecDeque<Report>,
    /// The names of the channels in the server's order, which alone knows it.
    order: Vec<String>,
    /// Whether the server has places for users that it has to look at.
    has_places: bool,
    pub counts: Counts,
}

/// What happened, to see that everything does.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub sign_ins: u64,
    pub wrong: u64,
    pub locked: u64,
    pub sign_outs: u64,
    pub over: u64,
    pub expired: u64,
    pub reports: u64,
    pub slow_reports: u64,
    pub amid_jobs: u64,
    pub thrown_out: u64,
    pub foreign: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.sign_ins += other.sign_ins;
        self.wrong += other.wrong;
        self.locked += other.locked;
        self.sign_outs += other.sign_outs;
        self.over += other.over;
        self.expired += other.expired;
        self.reports += other.reports;
        self.slow_reports += other.slow_reports;
        self.amid_jobs += other.amid_jobs;
        self.thrown_out += other.thrown_out;
        self.foreign += other.foreign;
    }
}

/// What counts as one address: of IPv6 the first half.
fn address(text: &str) -> String {
    match text.split_once("::") {
        Some((network, _)) => network.to_owned(),
        None => text.to_owned(),
    }
}

/// The time since the start as Python writes it.
fn uptime(ms: u64) -> String {
    let s = ms / 1000;
    let time = format!("{}:{:02}:{:02}", s / 3600 % 24, s / 60 % 60, s % 60);
    match s / 86_400 {
        0 => time,
        1 => format!("1 day, {time}"),
        days => format!("{days} days, {time}"),
    }
}

impl Oracle {
    /// The first of these sessions that is good, by its place.
    fn session(&self, cookies: &[usize], now_s: u64) -> Option<usize> {
        let keeps = self.sabotage == Sabotage::KeepExpired;
        let is_good = |&&place: &&usize| {
            let session = &self.desk.sessions[place];
            !session.is_over && (keeps || now_s < session.expires_s)
        };
        cookies.iter().find(is_good).copied()
    }

    /// The answer to a request of an admin that nobody may make.
    pub(super) fn refuses_admin(
        &self,
        admin: &Admin,
        signed: Signed,
        (may_sign, is_wrong): (bool, bool),
        now_s: u64,
    ) -> Option<(u16, Option<Value>)> {
        let is_in = self.session(&admin.cookies, now_s).is_some();
        if is_in {
            return None;
        }
        if may_sign && is_wrong {
            return Some((401, Some(json!({"request": "Bad Signature"}))));
        }
        if may_sign && signed != Signed::No {
            return None;
        }
        match admin.what {
            Asked::SignIn { .. } | Asked::SignOut { .. } => None,
            Asked::Report { .. } => Some((302, None)),
            Asked::Session | Asked::Connections | Asked::Close { .. } => {
                let words = "sign in at /admin/sign_in, or sign the request";
                Some((
                    401,
                    Some(json!({"error": "unauthorized", "message": words})),
                ))
            }
        }
    }

    /// A request of an admin has come whole, and may be made.
    pub(super) fn admin(
        &mut self,
        conn: ConnId,
        admin: &Admin,
        may_sign: bool,
        asks_close: bool,
        now: Now,
    ) {
        let now_s = now.unix_seconds();
        let session = self.session(&admin.cookies, now_s);
        self.desk.counts.amid_jobs += u64::from(!self.desk.reports.is_empty());
        let close = asks_close || self.is_draining;
        let plain = |status, body| Expect::Answer {
            status,
            close,
            body,
        };
        let told = |told| Expect::Admin { close, told };
        let answer = match &admin.what {
            Asked::SignIn { .. } if admin.is_foreign => {
                self.desk.counts.foreign += 1;
                plain(403, None)
            }
            Asked::SignIn { is_right } => {
                let peer = if may_sign { "127.0.0.1" } else { "192.0.2.1" };
                let forwarded = admin.forwarded.as_deref().filter(|_| may_sign);
                let from = address(forwarded.unwrap_or(peer));
                match self.sign_in(from, *is_right, now) {
                    Ok(place) => told(Told::SignedIn(place)),
                    Err(told) => {
                        return self.hold(
                            conn,
                            Some(told),
                            asks_close,
                            Some(SIGN_IN_DELAY_MS),
                            now,
                        );
                    }
                }
            }
            Asked::SignOut { token } => match session {
                Some(place) if admin.is_foreign && *token != Some(place) => {
                    self.desk.counts.foreign += 1;
                    plain(403, None)
                }
                Some(place) => {
                    self.desk.sessions[place].is_over = true;
                    self.desk.counts.sign_outs += 1;
                    told(Told::SignedOut)
                }
                None => told(Told::SignedOut),
            },
            Asked::Session => match session {
                Some(place) => told(Told::Session(place)),
                None => plain(200, Some(json!({"by": "signature"}))),
            },
            Asked::Connections => told(Told::Connections(self.connections(conn))),
            Asked::Report { slow } => {
                let mut report = self.begin_report(conn, *slow);
                let is_slow = *slow > 0;
                match self.report_step(&mut report, is_slow, now) {
                    Some(body) => told(Told::Report(body)),
                    None => {
                        report.left = slow - 1;
                        self.desk.reports.push_back(report);
                        return self.hold(conn, None, asks_close, None, now);
                    }
                }
            }
            Asked::Close { token, whom } => {
                if let Some(place) = session
                    && (admin.is_foreign || *token != Some(place))
                {
                    self.desk.counts.foreign += 1;
                    plain(403, None)
                } else if let Whom::Socket(other) = whom
                    && *other == conn
                {
                    self.expect(
                        conn,
                        Expect::Answer {
                            status: 200,
                            close: true,
                            body: Some(json!({"closed": true})),
                        },
                    );
                    self.line(conn).phase = Phase::Done;
                    return;
                } else {
                    match self.throw_out(whom, now) {
                        None => plain(422, None),
                        Some(true) => {
                            self.desk.counts.thrown_out += 1;
                            plain(200, Some(json!({"closed": true})))
                        }
                        Some(false) => plain(404, None),
                    }
                }
            }
        };
        self.expect(conn, answer);
        if close {
            self.line(conn).phase = Phase::Done;
        }
    }

    /// Somebody gives a password. The place of the session, or what is said after a while.
    fn sign_in(&mut self, from: String, is_right: bool, now: Now) -> Result<usize, Told> {
        let (now_ms, desk) = (now.mono.0, &mut self.desk);
        if let Some((since, count)) = desk.failures.get(&from).copied() {
            let left_ms = (since + SIGN_IN_WINDOW_MS).saturating_sub(now_ms);
            if count >= SIGN_IN_FAILURES_MAX && left_ms > 0 {
                desk.counts.locked += 1;
                return Err(Told::Form {
                    status: 429,
                    words: "Too many wrong passwords",
                    retry_s: Some(left_ms.div_ceil(1000)),
                });
            }
        }
        if !is_right {
            desk.counts.wrong += 1;
            let row = desk.failures.entry(from).or_insert((now_ms, 0));
            if now_ms - row.0 >= SIGN_IN_WINDOW_MS {
                *row = (now_ms, 0);
            }
            row.1 += 1;
            return Err(Told::Form {
                status: 200,
                words: "User name or password is wrong.",
                retry_s: None,
            });
        }
        desk.failures.remove(&from);
        desk.counts.sign_ins += 1;
        desk.sessions.push(Session {
            expires_s: now.unix_seconds() + SESSION_S,
            is_over: false,
            cookie: None,
            token: None,
        });
        Ok(desk.sessions.len() - 1)
    }

    /// Whether somebody was there to be thrown out; none: nobody was named.
    fn throw_out(&mut self, whom: &Whom, now: Now) -> Option<bool> {
        let key = match whom {
            Whom::Nobody => return None,
            Whom::Connection(id) => match self.find(id) {
                Some(key) => key,
                None => return Some(false),
            },
            Whom::Socket(conn) => {
                let Some(line) = self.lines.get_mut(conn) else {
                    return Some(false);
                };
                match line.phase {
                    Phase::Open(key) | Phase::Parked(key) | Phase::Streaming(key) => key,
                    Phase::Http | Phase::Held | Phase::Closing | Phase::Done => {
                        line.phase = Phase::Done;
                        return Some(true);
                    }
                }
            }
        };
        self.depart(key, now);
        Some(true)
    }

    // ---- answers that are not given at once --------------------------------------------------

    fn hold(
        &mut self,
        conn: ConnId,
        told: Option<Told>,
        closes: bool,
        after_ms: Option<u64>,
        now: Now,
    ) {
        // Whoever asked while the server already stopped has asked for the last time.
        let closes = closes || self.is_draining;
        let line = self.line(conn);
        line.phase = Phase::Held;
        line.held = Some(Held {
            closes,
            told,
            due: after_ms.map(|ms| now.mono + ms),
        });
    }

    /// Those whose answer is held back, and until when.
    pub fn held(&self) -> Vec<(ConnId, Millis)> {
        let held = self.lines.iter().filter_map(|(&conn, line)| {
            let held = line.held.as_ref()?;
            (line.phase == Phase::Held).then_some((conn, held.due?))
        });
        held.collect()
    }

    /// The time of an answer that was held back has come.
    pub fn is_due(&mut self, conn: ConnId) {
        let held = self.line(conn).held.as_mut();
        let told = held.and_then(|held| held.told.take());
        self.give(conn, told.expect("what a job makes has no time"));
    }

    fn give(&mut self, conn: ConnId, told: Told) {
        let is_draining = self.is_draining;
        let Some(line) = self.lines.get_mut(&conn) else {
            return;
        };
        let held = line.held.take();
        if line.phase != Phase::Held {
            return;
        }
        let close = is_draining || held.is_some_and(|held| held.closes);
        line.phase = if close { Phase::Done } else { Phase::Http };
        line.expect.push_back(Expect::Admin { close, told });
    }

    // ---- the report --------------------------------------------------------------------------

    /// The channels there are, in the server's order, and whether it has places for users.
    pub fn look(&mut self, order: Vec<String>, has_places: bool) {
        self.desk.order = order;
        self.desk.has_places = has_places;
    }

    fn begin_report(&mut self, conn: ConnId, slow: u32) -> Report {
        self.desk.counts.reports += 1;
        self.desk.counts.slow_reports += u64::from(slow > 0);
        let by_name = |name: &String| self.channels.iter().find(|c| c.name == *name);
        let in_order = self.desk.order.iter().filter_map(by_name);
        // In which order they are written matters only where something may happen in between.
        let channels = match slow {
            0 => self.channels.iter().map(|channel| channel.key).collect(),
            _ => in_order.map(|channel| channel.key).collect(),
        };
        Report {
            conn,
            left: 0,
            channels,
            listed: Map::new(),
            users: None,
        }
    }

    /// One stretch of work on a report: all of it, or one step. The body, if that was all.
    fn report_step(&self, report: &mut Report, is_slow: bool, now: Now) -> Option<Value> {
        let info = Info {
            history: true,
            users: true,
            public_state: false,
        };
        while let Some(key) = report.channels.pop_front() {
            let Some(channel) = self.channels.iter().find(|channel| channel.key == key) else {
                continue;
            };
            let name = channel.name.clone();
            let mut said = self.info(std::slice::from_ref(&name), info);
            let said = said["channels"][&name].take();
            report.listed.insert(name, said);
            if is_slow {
                return None;
            }
        }
        if report.users.is_none() {
            report.users = Some(self.report_users());
            if is_slow && self.desk.has_places {
                return None;
            }
        }
        let users = report.users.take().unwrap_or_default();
        let (channels, subs, known) = self.counts();
        Some(json!({
            "channels": std::mem::take(&mut report.listed),
            "remembered_user_count": known,
            "unique_user_count": users.len(),
            "users": users,
            "total_connections": subs,
            "total_channels": channels,
            "total_messages": self.delivered,
            "total_unique_messages": self.published,
            "uptime": uptime(now.mono.0),
            "version": "0.7.1",
        }))
    }

    fn report_users(&self) -> Vec<Value> {
        let mut users = Vec::new();
        for user in &self.users {
            let theirs = self.subs.iter().filter(|sub| sub.user == user.name);
            let ids: Vec<&str> = theirs.map(|sub| sub.id.as_str()).collect();
            if !ids.is_empty() {
                users.push(json!({
                    "user": user.name,
                    "uuid": format!("{PLACEHOLDER}user{}", user.key),
                    "state": public(user),
                    "connections": ids,
                }));
            }
        }
        users
    }

    /// The jobs of a turn: each in its order, until one of them has done all that a turn may.
    pub(super) fn go_on(&mut self, now: Now) {
        for _ in 0..self.desk.reports.len() {
            let Some(mut report) = self.desk.reports.pop_front() else {
                return;
            };
            let is_slow = report.left > 0;
            report.left = report.left.saturating_sub(1);
            match self.report_step(&mut report, is_slow, now) {
                None => self.desk.reports.push_back(report),
                Some(body) => self.give(report.conn, Told::Report(body)),
            }
            if is_slow {
                return;
            }
        }
    }

    /// What the list of connections says.
    fn connections(&self, asking: ConnId) -> BTreeMap<String, Value> {
        let rows = self.lines.iter().map(|(conn, line)| {
            let (transport, key) = match line.phase {
                Phase::Open(key) => ("websocket", Some(key)),
                Phase::Parked(key) => ("poll", Some(key)),
                Phase::Streaming(key) => ("stream", Some(key)),
                Phase::Held => ("http", None),
                // Whether it is about to go is not always known here.
                Phase::Http | Phase::Closing | Phase::Done => ("", None),
            };
            let mut row = json!({ "transport": transport, "asking": *conn == asking });
            if let Some(sub) = self.subs.iter().find(|sub| Some(sub.key) == key) {
                row["user"] = json!(sub.user);
                row["conn_id"] = json!(sub.id);
                row["channels"] = json!(sub.channels.len());
            }
            (conn.to_bits().to_string(), row)
        });
        rows.collect()
    }

    /// What happened with admins.
    pub fn admin_counts(&self) -> Counts {
        self.desk.counts
    }

    /// Counts requests with the cookie of a session that was signed out or has expired.
    pub(super) fn note_stale(&mut self, call: &Call, now_s: u64) {
        let Call::Admin(admin) = call else {
            return;
        };
        if self.session(&admin.cookies, now_s).is_none()
            && let Some(&last) = admin.cookies.last()
        {
            let counts = &mut self.desk.counts;
            match self.desk.sessions[last].is_over {
                true => counts.over += 1,
                false => counts.expired += 1,
            }
        }
    }
}

/// What an admin's client learns from an answer.
#[derive(Debug)]
pub enum Learned {
    Nothing,
    /// Of this session the cookie.
    Cookie(usize, String),
    /// Of this session the token.
    Token(usize, String),
}
