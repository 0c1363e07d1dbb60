//! An engine with a store behind it, in memory: plays the part of the store's thread.

use fanwire::engine::{Engine, Mail};
use fanwire::frame::Frame;
use fanwire::handler::{CloseReason, ConnId, Handler, Origin, Turn};
use fanwire::side::store::{Memory as Plain, Reading, Storage};
use fanwire::store::{Answer, Job, Loaded, NewRecord, News, RecordKind, Task, Trouble, Write};
use fanwire::time::Millis;

/// How long a late store takes: longer than anything that follows without waiting.
const LATE_MS: u64 = 100;

/// How the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Within the turn.
    AtOnce,
    /// When nothing else can go on.
    Late,
    /// Not until it is told to go on.
    Stuck,
    /// No write is kept; what is there can be read.
    Failing(Trouble),
    /// Nothing can be read.
    Unreadable,
}

/// See the module's comment.
pub(crate) struct Kept {
    engine: Engine,
    store: Plain,
    /// What it held when it was opened.
    loaded: Loaded,
    manner: Manner,
    jobs: Vec<Job>,
    /// When a late store has done what it was given.
    due: Option<Millis>,
}

impl Kept {
    /// `engine`, and an empty store that answers in this manner, but for these apps of the settings.
    pub(crate) fn new(engine: Engine, apps: &[&str], manner: Manner) -> Self {
        let mut store = Plain::new();
        store.adopt(apps, 0).expect("plain memory");
        let loaded = Loaded {
            apps: store.apps().expect("plain memory"),
            ..Loaded::default()
        };
        Self {
            engine,
            store,
            loaded,
            manner,
            jobs: Vec::new(),
            due: None,
        }
    }

    /// The store is opened. Comes first of all.
    pub(crate) fn open(&mut self, turn: &mut Turn<'_>) {
        self.engine.open_store(&self.loaded, None, turn);
    }

    /// How many sessions are kept as ended before their time.
    pub(crate) fn ended_sessions(&mut self) -> usize {
        self.store.ended_sessions(0).expect("plain memory").len()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// From now on the store answers in this manner. What it has not answered yet it does so now.
    pub(crate) fn behave(&mut self, manner: Manner, turn: &mut Turn<'_>) {
        let before = std::mem::replace(&mut self.manner, manner);
        if let (Manner::Failing(_), Manner::AtOnce | Manner::Late) = (before, manner) {
            self.engine.mail(Mail::Store(vec![News::State(None)]), turn);
        }
        self.due = (manner == Manner::Late && !self.jobs.is_empty()).then_some(turn.now.mono);
    }

    /// A user subscribes to a channel for good, with no request for it.
    pub(crate) fn subscribe_user(&mut self, app: &str, user: &str, channel: &str) {
        let apps = self.store.apps().expect("plain memory");
        let app = apps.iter().find(|known| &*known.ident == app);
        let record = NewRecord {
            kind: RecordKind::Subscription,
            target: user.into(),
            channel: channel.into(),
            keys: None,
        };
        let write = Write::PutRecord {
            app: app.expect("an app of the store").row,
            record: Box::new(record),
            replaces_oldest: false,
            unix_s: 0,
        };
        self.store.commit(&[&write]).expect("plain memory");
    }

    /// Takes what the engine hands over, and does it if the time has come.
    fn serve(&mut self, turn: &mut Turn<'_>) {
        loop {
            self.jobs.extend(self.engine.take_store_jobs());
            if self.jobs.is_empty() {
                return;
            }
            match self.manner {
                Manner::AtOnce | Manner::Failing(_) | Manner::Unreadable => {}
                Manner::Stuck => return,
                Manner::Late => {
                    let due = *self.due.get_or_insert(turn.now.mono + LATE_MS);
                    if due > turn.now.mono {
                        return;
                    }
                    self.due = None;
                }
            }
            let jobs = std::mem::take(&mut self.jobs);
            let news = self.work(jobs);
            self.engine.mail(Mail::Store(news), turn);
            self.engine.settle(turn);
        }
    }

    /// Does the jobs in order. Answers come before the word that their writes are kept.
    fn work(&mut self, jobs: Vec<Job>) -> Vec<News> {
        let (mut news, mut written) = (Vec::new(), None);
        for job in jobs {
            let answer = match job.what {
                Task::Ask(_) if self.manner == Manner::Unreadable => {
                    Answer::Trouble(Trouble::Failing)
                }
                Task::Ask(question) => {
                    let upto = self.store.last_event().expect("plain memory");
                    self.store.answer(&question, upto).expect("plain memory")
                }
                Task::Write(write) => {
                    let (from, _) = written.unwrap_or((job.place, job.place));
                    written = Some((from, job.place));
                    self.write(&write)
                }
            };
            if let Some(ticket) = job.ticket {
                news.push(News::Answer { ticket, answer });
            }
        }
        if let Some((from, upto)) = written {
            match self.manner {
                Manner::Failing(why) => {
                    news.push(News::Failed { from, upto, why });
                    news.push(News::State(Some(why)));
                }
                _ => news.push(News::Done { upto }),
            }
        }
        news
    }

    fn write(&mut self, write: &Write) -> Answer {
        match self.manner {
            Manner::Failing(why) => Answer::Trouble(why),
            _ => {
                let done = self.store.commit(&[write]).expect("plain memory");
                done.answers.into_iter().next().expect("one for each write")
            }
        }
    }
}

impl Handler for Kept {
    type Mail = Mail;

    fn opened(&mut self, conn: ConnId, from: Origin, turn: &mut Turn<'_>) {
        self.engine.opened(conn, from, turn);
    }

    fn refused(&mut self, limit: usize, turn: &mut Turn<'_>) -> Option<Frame> {
        self.engine.refused(limit, turn)
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        self.engine.received(conn, bytes, turn);
    }

    fn resumed(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        self.engine.resumed(conn, turn);
    }

    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        self.engine.ended(conn, turn);
    }

    fn closed(&mut self, conn: ConnId, why: CloseReason, turn: &mut Turn<'_>) {
        self.engine.closed(conn, why, turn);
    }

    fn mail(&mut self, mail: Mail, turn: &mut Turn<'_>) {
        self.engine.mail(mail, turn);
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.engine.tick(turn);
    }

    fn settle(&mut self, turn: &mut Turn<'_>) {
        self.engine.settle(turn);
        self.serve(turn);
    }

    fn next_deadline(&self) -> Option<Millis> {
        match (self.engine.next_deadline(), self.due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
