//! Those who listen over HTTP: polls, which are answered with what was gathered for them, and event
//! streams, whose ids must be a growing order of all that happened.

use super::{Expect, Line, Oracle, Phase, Sabotage};
use fanwire::handler::ConnId;
use fanwire::limits::WHEEL_SLOT_MS;
use fanwire::time::{Millis, Now};
use std::collections::BTreeMap;

/// How somebody listens.
#[derive(Debug, Clone)]
pub enum Listening {
    /// Until there are news; the answer calls this function, if any.
    Poll { callback: Option<String> },
    /// From behind the event with this id, if the client says one.
    Stream { last: Option<u64> },
}

/// A poll that has not been answered.
#[derive(Debug)]
pub struct Wait {
    key: u32,
    closes: bool,
    callback: Option<String>,
    /// Up to where everything had been told before.
    seen: u64,
    /// When the first of the news came.
    since: Millis,
    due: Millis,
    /// It is answered with this turn, whatever the time.
    is_due: bool,
    /// Its time had come when more news came in the same turn: it depends on which was first.
    may_be_due: bool,
    news: Vec<(usize, bool)>,
    /// Told since the last look, with the time still to be noted.
    fresh: Vec<(usize, bool)>,
}

/// Which ids streams gave to what happened. The oracle counts differently from the server, so ids
/// are taken as they come; but they must be the same for everyone, and must grow with time.
#[derive(Debug, Default)]
pub struct Places {
    /// By the oracle's count.
    events: BTreeMap<u64, u64>,
    /// Where streams began: the oracle's count, and the id.
    starts: Vec<(u64, u64)>,
}

impl Places {
    /// An event is told with an id.
    fn note_event(&mut self, told: u64, id: u64) {
        let known = *self.events.entry(told).or_insert(id);
        assert_eq!(known, id, "the id of an event is the same for everyone");
        let before = self.events.range(..told).next_back();
        let after = self.events.range(told + 1..).next();
        assert!(
            before.is_none_or(|(_, before)| *before < id)
                && after.is_none_or(|(_, after)| id < *after),
            "the ids of events grow: {id} between {before:?} and {after:?}"
        );
        for &(start, place) in &self.starts {
            assert_eq!(
                told <= start,
                id <= place,
                "what came before a stream's start has a smaller id, what comes after a larger one"
            );
        }
    }

    /// A stream begins with an id.
    fn note_start(&mut self, seen: u64, id: u64) {
        for (&told, &known) in &self.events {
            assert_eq!(
                told <= seen,
                known <= id,
                "a stream that begins at {id} knows what is before it: {known}"
            );
        }
        if !self.starts.contains(&(seen, id)) {
            self.starts.push((seen, id));
        }
    }

    /// The oracle's count for an id that was told; none for one from the future.
    fn find(&self, id: u64) -> Option<u64> {
        let event = self.events.iter().find(|(_, known)| **known == id);
        let start = self.starts.iter().find(|(_, known)| *known == id);
        match event.map(|(told, _)| *told).or(start.map(|start| start.0)) {
            None if id == 0 => Some(0),
            found => found,
        }
    }
}

impl Line {
    /// Somebody is told of an event, in whatever way it listens.
    pub(super) fn tell(&mut self, event: usize, catch_up: bool) {
        match (&mut self.wait, self.phase) {
            (Some(wait), _) => wait.fresh.push((event, catch_up)),
            (None, Phase::Streaming(_)) => {
                self.expect.push_back(Expect::Told { event, catch_up });
            }
            (None, _) => self.expect.push_back(Expect::Frame { event, catch_up }),
        }
    }
}

impl Oracle {
    /// A request for `/listen` has come whole.
    pub(super) fn listen(
        &mut self,
        conn: ConnId,
        id: &str,
        how: &Listening,
        closes: bool,
        now: Now,
    ) {
        let Some(key) = self.find(id) else {
            let close = closes || self.is_draining;
            let (status, body) = (401, None);
            self.expect(
                conn,
                Expect::Answer {
                    status,
                    close,
                    body,
                },
            );
            if close {
                self.line(conn).phase = Phase::Done;
            }
            return;
        };
        match how {
            Listening::Poll { callback } => {
                self.begin_poll(conn, key, callback.clone(), closes, now);
            }
            Listening::Stream { last } => self.begin_stream(conn, key, *last, now),
        }
    }

    /// Makes a connection the outlet; what was told so far was told to a former one.
    pub(super) fn attach(&mut self, key: u32, conn: ConnId) {
        let sequence = self.sequence;
        let sub = self.sub(key);
        sub.timer.disarm();
        if let Some(former) = sub.outlet.replace(conn) {
            sub.seen = sequence;
            self.hang_ups
                .push((former, 1000, "another socket took over"));
        }
    }

    fn begin_poll(
        &mut self,
        conn: ConnId,
        key: u32,
        callback: Option<String>,
        closes: bool,
        now: Now,
    ) {
        self.gather(now);
        let (mut seen, mut news) = (self.sub(key).seen, Vec::new());
        if let Some(former) = self.sub(key).outlet {
            // What is told to a socket or a stream has been told.
            seen = self.sequence;
            if let Some(former) = &mut self.line(former).wait {
                seen = former.seen;
                news = std::mem::take(&mut former.news);
            }
        }
        let mut wait = Wait {
            key,
            closes,
            callback,
            seen,
            since: now.mono,
            due: now.mono + self.rules.poll.wake_ms,
            is_due: self.is_draining,
            may_be_due: false,
            news: Vec::new(),
            fresh: Vec::new(),
        };
        for piece in news {
            wait.add(piece, &self.rules.poll, now);
        }
        let line = self.line(conn);
        line.phase = Phase::Parked(key);
        line.wait = Some(wait);
        self.attach(key, conn);
        self.catch_up(key, conn, false);
    }

    fn begin_stream(&mut self, conn: ConnId, key: u32, last: Option<u64>, now: Now) {
        let line = self.line(conn);
        line.phase = Phase::Streaming(key);
        line.beat_ms = now.mono.0;
        self.attach(key, conn);
        if self.sabotage != Sabotage::NoRewind
            && let Some(last) = last.and_then(|last| self.places.find(last))
        {
            let sub = self.sub(key);
            sub.seen = last.max(sub.born);
        }
        let seen = self.sub(key).seen;
        self.expect(conn, Expect::StreamHead);
        self.expect(conn, Expect::Start(seen));
        self.catch_up(key, conn, true);
    }

    /// Whatever was told to those who wait comes to their news.
    fn gather(&mut self, now: Now) {
        let pace = self.rules.poll;
        for line in self.lines.values_mut() {
            if let Some(wait) = &mut line.wait {
                for piece in std::mem::take(&mut wait.fresh) {
                    wait.add(piece, &pace, now);
                }
            }
        }
    }

    /// The server stops: nobody is let wait.
    pub fn end_waits(&mut self) {
        for line in self.lines.values_mut() {
            if let Some(wait) = &mut line.wait {
                wait.is_due = true;
            }
        }
    }

    /// The end of a turn, in which these polls were answered: those whose time had come. Deadlines
    /// are kept to a slot of the wheel.
    pub fn settle(&mut self, answered: &[ConnId], now: Now) {
        self.gather(now);
        for &conn in answered {
            let wait = self.line(conn).wait.as_ref();
            let wait = wait.unwrap_or_else(|| panic!("{conn:?} does not wait"));
            assert!(
                wait.is_due || wait.may_be_due || wait.due <= now.mono,
                "{conn:?} is answered too early: {wait:?}"
            );
            self.answer_poll(conn, now);
        }
        let slot = Millis(now.mono.0 / WHEEL_SLOT_MS * WHEEL_SLOT_MS);
        for (conn, line) in &mut self.lines {
            if let Some(wait) = &mut line.wait {
                wait.may_be_due = false;
            }
            let is_due = |wait: &Wait| wait.is_due || wait.due <= slot;
            assert!(
                !line.wait.as_ref().is_some_and(is_due),
                "{conn:?} is answered too late: {:?}",
                line.wait
            );
        }
    }

    /// A poll is answered with what there is.
    pub(super) fn answer_poll(&mut self, conn: ConnId, now: Now) {
        self.gather(now);
        let is_draining = self.is_draining;
        let line = self.line(conn);
        let Some(wait) = line.wait.take() else {
            return;
        };
        let close = wait.closes || is_draining;
        line.phase = if close { Phase::Done } else { Phase::Http };
        line.expect.push_back(Expect::News {
            news: wait.news,
            close,
            callback: wait.callback,
        });
        let sequence = self.sequence;
        self.no_longer_waits(conn, wait.key, sequence, now);
    }

    /// The client that waits sends no more: it is told nothing, and its news wait for the next.
    pub fn poll_ended(&mut self, conn: ConnId, now: Now) {
        let wait = self.line(conn).wait.as_ref().expect("it waits");
        let callback = wait.callback.clone();
        let (news, close) = (Vec::new(), true);
        self.expect(
            conn,
            Expect::News {
                news,
                close,
                callback,
            },
        );
        self.poll_lost(conn, now);
    }

    /// A wait has ended without an answer.
    pub(super) fn poll_lost(&mut self, conn: ConnId, now: Now) {
        let line = self.line(conn);
        if let Some(wait) = line.wait.take() {
            line.phase = Phase::Done;
            let seen = match self.sabotage {
                Sabotage::ForgetUntold => self.sequence,
                _ => wait.seen,
            };
            self.no_longer_waits(conn, wait.key, seen, now);
        }
    }

    fn no_longer_waits(&mut self, conn: ConnId, key: u32, seen: u64, now: Now) {
        let at = now.mono + self.rules.expire_ms;
        if let Some(sub) = self.subs.iter_mut().find(|sub| sub.key == key)
            && sub.outlet == Some(conn)
        {
            sub.outlet = None;
            sub.seen = seen;
            self.expire_at(key, at);
        }
    }

    /// Whether the answer to a poll says what it ought to.
    pub fn check_news(&mut self, news: &[(usize, bool)], callback: Option<&str>, body: &[u8]) {
        let text = std::str::from_utf8(body).expect("JSON is UTF-8");
        let list = match callback {
            Some(name) => text
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'))
                .unwrap_or_else(|| panic!("a call of {name}: {text}")),
            None => text,
        };
        let got: serde_json::Value = serde_json::from_str(list).expect("an answer is JSON");
        let got = got.as_array().expect("news are a list");
        assert_eq!(got.len(), news.len(), "a poll hears {list}, not {news:?}");
        for (&(event, catch_up), got) in news.iter().zip(got) {
            self.check_frame(event, catch_up, &format!("[{got}]"));
        }
    }

    /// Whether a stream tells an event as it ought to.
    pub fn check_told(&mut self, event: usize, catch_up: bool, id: u64, data: &str) {
        self.check_frame(event, catch_up, data);
        self.places.note_event(self.events[event].told, id);
    }

    /// Whether a stream begins where its client stands.
    pub fn check_start(&mut self, seen: u64, id: u64) {
        self.places.note_start(seen, id);
    }
}

impl Wait {
    fn add(&mut self, piece: (usize, bool), pace: &fanwire::dialect::Pace, now: Now) {
        if self.news.is_empty() {
            self.since = now.mono;
        }
        self.may_be_due |= self.due <= now.mono;
        self.news.push(piece);
        if self.news.len() >= pace.frames {
            self.is_due = true;
        } else {
            let longest = self.since + pace.longest_ms;
            self.due = (now.mono + pace.gather_ms).min(longest);
        }
    }
}
