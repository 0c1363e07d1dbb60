//! The store at the server's side: what its thread does with the jobs, and when, is drawn. It keeps
//! them in the engine that forgets; a clone of that is what is on disk.

use super::World;
use crate::Sabotage;
use crate::chance::Chance;
use fanwire::handler::Turn;
use fanwire::limits::STORE_SYNC_EVERY_MS;
use fanwire::random::Random;
use fanwire::side::store::{Memory, Reading, Storage};
use fanwire::store::{Answer, Job, Loaded, News, Place, Question, Task, Ticket, Trouble, Write};
use std::collections::VecDeque;

/// The store.
#[derive(Debug)]
pub struct Side {
    memory: Memory,
    /// What would be there after a loss of power, where not every commit is synced.
    synced: Memory,
    /// What was there before that.
    older: Memory,
    /// Jobs that were handed over, and whether one must not be parted from the next.
    queue: VecDeque<(Job, bool)>,
    /// What the writer has to say, in its order, and when.
    told: VecDeque<(u64, News)>,
    /// What is still to be looked up, among the events up to one.
    asked: Vec<(u64, Ticket, Question, u64)>,
    /// Answers, in whatever order they come.
    answers: Vec<(u64, News)>,
    commit_at: Option<u64>,
    trouble: Option<u64>,
    last_event: u64,
    unsynced_since: Option<u64>,
    is_relaxed: bool,
    /// One in so many commits fails; zero: none.
    fails: u64,
    slowest_ms: u64,
    idents: Vec<String>,
    persists: bool,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It dies, and the machine does not.
    Crash,
    /// What is not on disk is lost.
    PowerCut,
    /// It stops, and everything is written first.
    InOrder,
}

impl Side {
    pub fn new(chance: &mut Chance, idents: Vec<String>, persists: bool) -> Self {
        let mut memory = Memory::new();
        let names: Vec<&str> = idents.iter().map(String::as_str).collect();
        memory.adopt(&names, 0).expect("memory takes all");
        Self {
            synced: memory.clone(),
            older: memory.clone(),
            memory,
            queue: VecDeque::new(),
            told: VecDeque::new(),
            asked: Vec::new(),
            answers: Vec::new(),
            commit_at: None,
            trouble: None,
            last_event: 0,
            unsynced_since: None,
            is_relaxed: chance.one_in(3),
            fails: *chance.pick(&[0, 0, 6, 20]),
            slowest_ms: *chance.pick(&[0, 3, 40, 400]),
            idents,
            persists,
        }
    }

    /// Jobs of one call are handed over.
    fn take(&mut self, jobs: &[Job], now_ms: u64, chance: &mut Chance) {
        let is_keep = |job: &Job| matches!(job.what, Task::Write(Write::Keep { .. }));
        let first = jobs.iter().position(is_keep);
        let last = jobs.iter().rposition(is_keep);
        for (at, job) in jobs.iter().enumerate() {
            let is_inside = first.is_some_and(|first| first <= at);
            let is_glued = is_inside && last.is_some_and(|last| at < last);
            self.queue.push_back((job.clone(), is_glued));
        }
        if !self.queue.is_empty() && self.commit_at.is_none() {
            self.commit_at = Some(now_ms + self.pause(chance));
        }
    }

    fn pause(&self, chance: &mut Chance) -> u64 {
        match chance.below(3) {
            0 => 0,
            _ => chance.within(0, self.slowest_ms),
        }
    }

    /// When it next does something by itself.
    pub fn deadline(&self) -> Option<u64> {
        let told = self.told.front().map(|(at, _)| *at);
        let asked = self.asked.iter().map(|(at, ..)| *at).min();
        let answers = self.answers.iter().map(|(at, _)| *at).min();
        let synced = self.unsynced_since.map(|at| at + STORE_SYNC_EVERY_MS);
        let all = [self.commit_at, told, asked, answers, synced, self.trouble];
        all.into_iter().flatten().min()
    }

    fn tell(&mut self, news: News, at: u64) {
        // One after the other, and so not before those that go before.
        let at = self.told.back().map_or(at, |(before, _)| at.max(*before));
        self.told.push_back((at, news));
    }

    /// What is to be told by now.
    fn due(&mut self, now_ms: u64, chance: &mut Chance) -> Vec<News> {
        let mut due: Vec<News> = Vec::new();
        while let Some((_, news)) = self.told.pop_front_if(|(at, _)| *at <= now_ms) {
            due.push(news);
        }
        let mut place = 0;
        while place < self.answers.len() {
            if self.answers[place].0 > now_ms {
                place += 1;
                continue;
            }
            let (_, news) = self.answers.swap_remove(place);
            let at = chance.below(due.len() + 1);
            due.insert(at, news);
        }
        due
    }

    fn loaded(&mut self, unix_s: u64) -> Loaded {
        let memory = &mut self.memory;
        let idents: Vec<&str> = self.idents.iter().map(String::as_str).collect();
        let rows = memory.adopt(&idents, unix_s).expect("memory takes all");
        let mut loaded = Loaded {
            apps: memory.apps().expect("memory knows all"),
            ended: memory.ended_sessions(unix_s).expect("memory knows all"),
            remembered: Vec::new(),
        };
        if self.persists {
            for row in rows {
                let remembered = memory.remembered(row).expect("memory knows all");
                loaded.remembered.push((row, remembered));
            }
        }
        loaded
    }

    /// The ids of all events of all apps, oldest first.
    fn mids(&mut self) -> Vec<String> {
        let apps = self.memory.apps().expect("memory knows all");
        let mut all: Vec<(u64, u128)> = Vec::new();
        for app in apps {
            let mut skip = 0;
            loop {
                let question = Question::Latest {
                    app: app.row,
                    channel: None,
                    skip,
                    count: 0,
                };
                match self.memory.answer(&question, u64::MAX) {
                    Ok(Answer::Events(events)) if !events.is_empty() => {
                        skip += events.len() as u64;
                        all.extend(events.iter().map(|event| (event.id, event.mid)));
                    }
                    _ => break,
                }
            }
        }
        all.sort_unstable();
        let twice = all.windows(2).any(|two| two[0].0 == two[1].0);
        assert!(!twice, "each event has a number of its own");
        let text = |mid: u128| fanwire::dialect::pushi::names::uuid(mid);
        all.into_iter().map(|(_, mid)| text(mid)).collect()
    }
}

impl World {
    /// What the last call has handed over is on its way; the oracle is told what that is.
    pub fn take_jobs(&mut self) {
        let jobs = self.engine.take_store_jobs();
        if let Some(side) = &mut self.side {
            side.take(&jobs, self.now.mono.0, &mut self.chance);
            if self.sabotage == Sabotage::DoneTooEarly {
                // Said to the server only.
                let place = jobs.iter().rev().find(|job| job.ticket.is_none());
                if let Some(upto) = place.map(|job| job.place) {
                    self.early = Some(upto);
                }
            }
        }
        let unstored = self.engine.metrics().changes_not_stored;
        let more = unstored - std::mem::replace(&mut self.unstored, unstored);
        self.oracle.stored.untold = more;
        self.oracle.stored.is_unsure |= more > 0;
        self.oracle.begin_call(jobs);
    }

    /// The same where nobody asks for anything.
    pub fn pass_jobs_on(&mut self) {
        self.take_jobs();
        self.oracle.end_call();
    }

    /// The store's part in a turn: it works, and says what it has done.
    pub fn store_turn(&mut self) {
        if let Some(upto) = self.early.take() {
            let mut turn = Turn {
                out: &mut self.out,
                now: self.now,
            };
            let news = vec![News::Done { upto }];
            let mail = fanwire::engine::Mail::Store(news);
            fanwire::handler::Handler::mail(&mut self.engine, mail, &mut turn);
        }
        let Some(mut side) = self.side.take() else {
            return;
        };
        let now_ms = self.now.mono.0;
        if side.commit_at.is_some_and(|at| at <= now_ms) {
            self.work(&mut side, now_ms);
        }
        self.look_up(&mut side, now_ms);
        if side.trouble.is_some_and(|at| at <= now_ms) {
            side.trouble = None;
            side.tell(News::State(None), now_ms);
        }
        if side
            .unsynced_since
            .is_some_and(|since| since + STORE_SYNC_EVERY_MS <= now_ms)
        {
            self.sync(&mut side);
        }
        let news = side.due(now_ms, &mut self.chance);
        self.side = Some(side);
        self.hear_store(news);
    }

    /// All is on disk that was committed. Where every commit is, nothing else is remembered.
    fn sync(&mut self, side: &mut Side) {
        side.unsynced_since = None;
        if side.is_relaxed || self.sabotage == Sabotage::LoseAtCrash {
            side.older = std::mem::replace(&mut side.synced, side.memory.clone());
            self.oracle.sync();
        }
    }

    /// The store takes some of what waits, and keeps it or does not.
    fn work(&mut self, side: &mut Side, now_ms: u64) {
        let most = match self.chance.below(3) {
            0 => 1,
            1 => 1 + self.chance.below(side.queue.len()),
            _ => side.queue.len(),
        };
        let mut batch: Vec<Job> = Vec::new();
        while let Some((job, is_glued)) = side.queue.pop_front() {
            batch.push(job);
            if batch.len() >= most && !is_glued {
                break;
            }
        }
        let pause = side.pause(&mut self.chance);
        side.commit_at = (!side.queue.is_empty()).then_some(now_ms + pause);
        let has_writes = batch.iter().any(|job| matches!(job.what, Task::Write(_)));
        let fails = side.fails > 0 && has_writes && self.chance.one_in(side.fails);
        let is_new = side.trouble.is_none() && fails;
        let why = match self.chance.one_in(2) {
            true => Trouble::DiskFull,
            false => Trouble::Failing,
        };
        let is_kept = side.trouble.is_none() && !fails;
        let (mut answers, mut ends): (Vec<News>, Option<(Place, Place)>) = (Vec::new(), None);
        let first_event = side.last_event;
        let mut brought = 0;
        for job in batch {
            let write = match job.what {
                Task::Ask(question) => {
                    let ticket = job.ticket.expect("somebody asks");
                    let upto = first_event + if is_kept { brought } else { 0 };
                    let at = now_ms + side.pause(&mut self.chance);
                    side.asked.push((at, ticket, question, upto));
                    continue;
                }
                Task::Write(write) => write,
            };
            ends = Some((ends.map_or(job.place, |(from, _)| from), job.place));
            let answer = match is_kept {
                true => {
                    brought += fanwire::side::store::events_of(&write);
                    self.commit(side, job.place, &write)
                }
                false => Answer::Trouble(why),
            };
            let told = |ticket| News::Answer { ticket, answer };
            answers.extend(job.ticket.map(told));
        }
        if is_kept {
            side.last_event += brought;
        }
        let at = now_ms + side.pause(&mut self.chance);
        for news in answers {
            side.tell(news, at);
        }
        let Some((from, upto)) = ends else {
            return;
        };
        if is_kept {
            self.oracle.pushi.counts.commits += 1;
            match side.is_relaxed {
                true => drop(side.unsynced_since.get_or_insert(now_ms)),
                false => self.sync(side),
            }
            side.tell(News::Done { upto }, at);
        } else {
            side.tell(News::Failed { from, upto, why }, at);
        }
        if is_new {
            let most = *self.chance.pick(&[120, 5_000]);
            side.trouble = Some(now_ms + self.chance.within(100, most));
            side.tell(News::State(Some(why)), at);
        }
    }

    fn commit(&mut self, side: &mut Side, place: Place, write: &Write) -> Answer {
        self.oracle.commit(place);
        let mut writes = vec![write.clone()];
        if let Write::Publish(publish) = write {
            match self.sabotage {
                // Each channel as if nobody had been served.
                Sabotage::ServeTwice => {
                    writes = publish
                        .channels
                        .iter()
                        .enumerate()
                        .map(|(at, channel)| {
                            let mut publish = publish.clone();
                            publish.number += 1_000_000 * at as u64;
                            publish.channels = vec![channel.clone()];
                            Write::Publish(publish)
                        })
                        .collect();
                }
                Sabotage::LoseWrite if self.chance.one_in(4) => writes.clear(),
                _ => {}
            }
        }
        let writes: Vec<&Write> = writes.iter().collect();
        let done = side.memory.commit(&writes).expect("memory takes all");
        done.answers.into_iter().next_back().unwrap_or(Answer::Done)
    }

    /// Answers what was asked, those first whose time has come first.
    fn look_up(&mut self, side: &mut Side, now_ms: u64) {
        let mut place = 0;
        while place < side.asked.len() {
            if side.asked[place].0 > now_ms {
                place += 1;
                continue;
            }
            let (_, ticket, question, upto) = side.asked.remove(place);
            let seen = match self.sabotage {
                Sabotage::LookTooEarly => upto.saturating_sub(1),
                _ => upto,
            };
            let mut answer = side.memory.answer(&question, seen);
            if side.fails > 0 && self.chance.one_in(20) {
                answer = Err(Trouble::Failing);
            }
            self.oracle.look_up(ticket, upto);
            let answer = answer.unwrap_or_else(Answer::Trouble);
            let at = now_ms + side.pause(&mut self.chance);
            side.answers.push((at, News::Answer { ticket, answer }));
        }
    }

    // ---- the end of a process ----------------------------------------------------------------

    /// Whether what is there after a restart is known.
    pub(super) fn may_restart(&self) -> bool {
        let is_known = !self.oracle.stored.persists || !self.oracle.stored.is_unsure;
        self.side.is_some() && is_known
    }

    /// The process ends and another one begins. Clients notice, and come back or not.
    pub(super) fn restart(&mut self, end: End) {
        self.note(format!("the server ends: {end:?}"));
        if end == End::InOrder {
            // The store does what it was handed before it closes.
            let mut side = self.side.take().expect("only with one");
            let fails = std::mem::take(&mut side.fails);
            while !side.queue.is_empty() {
                self.work(&mut side, self.now.mono.0);
            }
            self.sync(&mut side);
            side.fails = fails;
            self.side = Some(side);
        }
        let counts = &mut self.oracle.pushi.counts;
        match end {
            End::Crash => counts.crashes += 1,
            End::PowerCut => counts.cuts += 1,
            End::InOrder => counts.restarts += 1,
        }
        self.lose_everybody();
        let mut side = self.side.take().expect("only with one");
        let is_power_lost = end == End::PowerCut && side.is_relaxed;
        if is_power_lost {
            side.memory = side.synced.clone();
        } else {
            side.synced = side.memory.clone();
        }
        if self.sabotage == Sabotage::LoseAtCrash {
            side.memory = std::mem::take(&mut side.older);
        }
        side.queue.clear();
        side.told.clear();
        side.asked.clear();
        side.answers.clear();
        (side.commit_at, side.trouble, side.unsynced_since) = (None, None, None);
        side.last_event = side.memory.last_event().expect("memory knows all");
        let found = side.mids();
        let mut loaded = side.loaded(self.now.unix_seconds());
        match self.sabotage {
            Sabotage::ForgetLogout => loaded.ended.clear(),
            Sabotage::ForgetRemembered => loaded.remembered.clear(),
            _ => {}
        }
        self.side = Some(side);
        self.oracle.restart(is_power_lost, &found, self.now);
        // Nobody comes for an app that was lost.
        let apps = &self.oracle.pushi.apps;
        self.knocking
            .retain(|row| row.chatter.as_ref().is_none_or(|c| !apps[c.app()].is_gone));
        let random = Random::seeded(self.chance.bits());
        self.engine = self.new_engine(random);
        self.open_store(&loaded);
    }

    /// The server hears of what is stored.
    pub(super) fn open_store(&mut self, loaded: &Loaded) {
        let jobs_max = self.oracle.stored.jobs_max;
        self.engine.store_port().bound(jobs_max, usize::MAX);
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        self.engine.open_store(loaded, None, &mut turn);
        self.unstored = 0;
        self.early = None;
        self.pass_jobs_on();
    }

    /// What the store holds at the very start.
    pub(super) fn first_load(&mut self) {
        let Some(side) = &mut self.side else {
            return;
        };
        let loaded = side.loaded(0);
        self.open_store(&loaded);
    }
}
