//! The thread that writes.

use super::batch::Batch;
use super::reader::{self, Asked, Reader};
use super::sweep::Sweep;
use super::{Letter, Tell};
use crate::limits::{
    STORE_RETENTION_ROWS_PER_STEP, STORE_RETRY_MS_MAX, STORE_RETRY_MS_MIN, STORE_SESSIONS_SWEEP_MS,
    STORE_SYNC_EVERY_MS, STORE_TICK_MS,
};
use crate::side::store::storage::{Committed, Retention, Storage};
use crate::side::store::{Durability, Moment, Options};
use crate::store::{Answer, AppRecord, COMMIT_EDGES_US, Job, News, StoreStats, Trouble};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

pub(super) struct Writer {
    storage: Box<dyn Storage>,
    options: Options,
    tell: Tell,
    reader: Option<Reader>,
    queue: VecDeque<Job>,
    /// What is being done; empty between steps, unless a panic ended one.
    batch: Batch,
    is_closing: bool,
    /// When it last had something to do.
    busy_at: Moment,
    trouble: Option<Trouble>,
    /// While there is trouble: when it is tried whether it is over, and how long after that once more.
    retry: (Moment, u64),
    last_event: u64,
    /// When something was first committed that is not synced.
    unsynced_since: Option<Moment>,
    last_tick: Moment,
    last_sweep: Moment,
    /// For what is too old behind what is not.
    old: Sweep,
    /// Events since something was cleared away; none if there is nothing to clear away.
    behind: Option<u64>,
    /// Whether anything was written since the log was copied over.
    is_untidy: bool,
    /// As the loop knows them.
    apps: Vec<AppRecord>,
    stats: StoreStats,
    told_stats: StoreStats,
}

impl Writer {
    pub(super) fn new(
        mut storage: Box<dyn Storage>,
        options: Options,
        tell: Tell,
        reader: Option<Reader>,
    ) -> Result<Self, Trouble> {
        let now = (options.clock)();
        let last_event = storage.last_event()?;
        Ok(Self {
            last_event,
            old: Sweep::new(now, last_event),
            apps: storage.apps()?,
            storage,
            options,
            tell,
            reader,
            queue: VecDeque::new(),
            batch: Batch::default(),
            is_closing: false,
            busy_at: now,
            trouble: None,
            retry: (now, STORE_RETRY_MS_MIN),
            unsynced_since: None,
            last_tick: now,
            last_sweep: now,
            behind: None,
            // Whether there is room to copy it shows whether anything can be stored.
            is_untidy: true,
            stats: StoreStats::default(),
            told_stats: StoreStats::default(),
        })
    }

    /// Works until it is closed. Whether all is in order then.
    pub(super) fn run(mut self, letters: &Receiver<Letter>) -> bool {
        // A panic ends a step, never the thread: somebody waits for every job.
        while catch_unwind(AssertUnwindSafe(|| self.work(letters))).is_err() {
            log::error!("the store panicked");
            self.fail(Trouble::Failing);
            self.ask(None);
        }
        let is_in_order = catch_unwind(AssertUnwindSafe(|| self.finish()));
        if let Some(reader) = self.reader.take() {
            reader.close();
        }
        is_in_order.unwrap_or(false)
    }

    fn work(&mut self, letters: &Receiver<Letter>) {
        while self.gather(letters) {
            self.step();
        }
    }

    fn now(&self) -> Moment {
        (self.options.clock)()
    }

    fn say(&self, news: Vec<News>) {
        if !news.is_empty() {
            // Without a listener what was handed over is still done.
            (self.tell)(news);
        }
    }

    // ---- jobs ----------------------------------------------------------------------------------

    /// Takes in what was sent, and waits if there is nothing to do. Whether to go on.
    fn gather(&mut self, letters: &Receiver<Letter>) -> bool {
        if self.queue.is_empty() && !self.is_closing {
            match self.wait(letters) {
                Ok(letter) => self.take(letter),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.is_closing = true,
            }
        }
        while let Ok(letter) = letters.try_recv() {
            self.take(letter);
        }
        !self.is_closing || !self.queue.is_empty()
    }

    /// For the next letter, or until something else is to be done.
    fn wait(&self, letters: &Receiver<Letter>) -> Result<Letter, RecvTimeoutError> {
        let busy_us = self.options.busy_poll_ms.saturating_mul(1000);
        let most_us = self.patience().as_micros() as u64;
        let began = self.now();
        let mut now = began;
        while now.since_us(self.busy_at) < busy_us && now.since_us(began) < most_us {
            // Where nobody sends any more, the wait below says so.
            if let Ok(letter) = letters.try_recv() {
                return Ok(letter);
            }
            // Whoever it is that would send one may want this core.
            std::thread::yield_now();
            now = self.now();
        }
        letters.recv_timeout(self.patience())
    }

    fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Jobs(jobs) => self.queue.extend(jobs),
            Letter::Close => self.is_closing = true,
        }
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        if self.behind.is_some() && self.trouble.is_none() {
            return Duration::ZERO;
        }
        let now = self.now();
        let left = |since: Moment, ms: u64| (ms * 1000).saturating_sub(now.since_us(since));
        let mut wait = left(self.last_tick, STORE_TICK_MS);
        if let Some(since) = self.unsynced_since {
            wait = wait.min(left(since, STORE_SYNC_EVERY_MS));
        }
        if self.options.age_max_us.is_some()
            && self.trouble.is_none()
            && let Some(pause) = self.old.pause_us(now)
        {
            wait = wait.min(pause);
        }
        if self.trouble.is_some() {
            wait = wait.min(self.retry.0.since_us(now));
        }
        Duration::from_micros(wait)
    }

    fn step(&mut self) {
        if self.trouble.is_some() {
            self.try_again();
        }
        let is_idle = self.queue.is_empty();
        self.batch.fill(&mut self.queue);
        let leading = self.batch.leading(self.last_event);
        self.hand_on(leading);
        if self.batch.has_writes() {
            match self.trouble {
                None => self.commit(),
                Some(why) => self.say_failed(why),
            }
        }
        self.ask(None);
        if !is_idle {
            self.busy_at = self.now();
        }
        self.tend();
    }

    fn commit(&mut self) {
        let started = self.now();
        let writes = self.batch.writes();
        match self.storage.commit(&writes) {
            Ok(Committed {
                answers,
                last_event,
            }) => {
                let written = writes.len() as u64;
                let took_us = self.now().since_us(started);
                self.count(took_us, written);
                for answer in &answers {
                    if let Answer::App(app) = answer {
                        self.note_app(app);
                    }
                }
                // Its writes are kept: a panic from here on must not say otherwise.
                let news = self.batch.done(answers);
                self.say(news);
                if self.options.durability == Durability::Relaxed {
                    self.unsynced_since.get_or_insert(started);
                }
                self.ask(Some(last_event));
            }
            Err(why) => self.fail(why),
        }
    }

    /// The loop knows of this one by the answer. There may be very many others.
    fn note_app(&mut self, app: &AppRecord) {
        match self.apps.binary_search_by_key(&app.row, |known| known.row) {
            Ok(place) => self.apps[place] = app.clone(), // just found
            Err(place) => self.apps.insert(place, app.clone()),
        }
    }

    fn count(&mut self, took_us: u64, writes: u64) {
        let stats = &mut self.stats;
        let bucket = COMMIT_EDGES_US.partition_point(|&edge| edge < took_us);
        stats.commits += 1;
        stats.commit_lengths[bucket] += 1;
        stats.commit_us += took_us;
        stats.writes += writes;
        stats.events += self.batch.events();
        if let Some(events) = &mut self.behind {
            *events += self.batch.events();
        }
        self.is_untidy = true;
    }

    /// Hands on the questions behind the writes of the batch. `last_event`: of those, if they are kept.
    fn ask(&mut self, last_event: Option<u64>) {
        // Not what was known before: others may have stored events as well.
        let first = last_event.map_or(self.last_event, |last| {
            last.saturating_sub(self.batch.events())
        });
        self.last_event = last_event.unwrap_or(self.last_event);
        let questions = self.batch.questions(first, last_event.is_some());
        self.hand_on(questions);
    }

    fn hand_on(&mut self, questions: Vec<Asked>) {
        self.stats.questions += questions.len() as u64;
        for asked in questions {
            let left = match &self.reader {
                Some(reader) => reader.ask(asked).err(),
                None => Some(asked),
            };
            if let Some(asked) = left {
                self.answer(&asked);
            }
        }
    }

    fn answer(&mut self, asked: &Asked) {
        let news = reader::answer(&mut *self.storage, asked);
        self.say(vec![news]);
    }

    // ---- failures ------------------------------------------------------------------------------

    fn say_failed(&mut self, why: Trouble) {
        let news = self.batch.failed(why);
        self.say(news);
    }

    /// From now on the store cannot write, until it has been seen to.
    fn fail(&mut self, why: Trouble) {
        self.stats.failures += 1;
        let mut news = self.batch.failed(why);
        // What was not synced may be lost or not; there is nothing more to be done for it.
        self.unsynced_since = None;
        self.behind = None;
        self.retry = (after(self.now(), STORE_RETRY_MS_MIN), STORE_RETRY_MS_MIN);
        // In one letter, so that nothing more is handed over in between.
        news.extend(self.is_now(Some(why)));
        self.say(news);
    }

    /// What is to be said of it, if anything has changed.
    fn is_now(&mut self, trouble: Option<Trouble>) -> Option<News> {
        if self.trouble == trouble {
            return None;
        }
        self.trouble = trouble;
        match trouble {
            Some(why) => log::error!("the store: {why}"),
            None => log::info!("the store works again"),
        }
        Some(News::State(trouble))
    }

    fn try_again(&mut self) {
        let (at, waited_ms) = self.retry;
        let now = self.now();
        if now.mono_us < at.mono_us && !self.is_closing {
            return;
        }
        let mut tried = self.storage.recover();
        if tried == Err(Trouble::DiskFull) {
            // What is too old or too much may be what is in the way.
            let keep = self.retention(now);
            let rows = STORE_RETENTION_ROWS_PER_STEP;
            if self.storage.retire(&keep, rows).is_ok_and(|r| r.events > 0) {
                tried = self.storage.recover();
            }
        }
        let tried = tried.and_then(|()| self.storage.last_event());
        match tried {
            Ok(last_event) => {
                self.last_event = last_event;
                let news = self.is_now(None);
                self.say(news.into_iter().collect());
            }
            Err(why) => {
                let wait_ms = (2 * waited_ms).min(STORE_RETRY_MS_MAX);
                self.retry = (after(self.now(), wait_ms), wait_ms);
                let news = self.is_now(Some(why));
                self.say(news.into_iter().collect());
            }
        }
    }

    // ---- between jobs --------------------------------------------------------------------------

    fn tend(&mut self) {
        let now = self.now();
        if let Some(since) = self.unsynced_since
            && now.since_us(since) >= STORE_SYNC_EVERY_MS * 1000
        {
            self.sync();
        }
        let is_due = now.since_us(self.last_tick) >= STORE_TICK_MS * 1000;
        if is_due {
            self.last_tick = now;
            self.tell_stats();
        }
        if self.trouble.is_some() {
            return;
        }
        // Under load as much is cleared away as comes in.
        let is_behind = self.behind.is_some_and(|events| {
            self.queue.is_empty() || events >= STORE_RETENTION_ROWS_PER_STEP as u64 / 2
        });
        if is_due || is_behind {
            self.retire(now);
        } else {
            // Not both, so that nobody waits for more than one step.
            self.go_through(now);
        }
        if is_due {
            self.look_at_apps();
            self.sweep(now);
            self.rest();
        }
    }

    fn sync(&mut self) {
        self.unsynced_since = None;
        if let Err(why) = self.storage.sync() {
            self.fail(why);
        }
    }

    fn retention(&self, now: Moment) -> Retention {
        Retention {
            from_micros: self
                .options
                .age_max_us
                .map(|age| now.unix_us.saturating_sub(age)),
            bytes_max: self.options.bytes_max,
        }
    }

    fn retire(&mut self, now: Moment) {
        let keep = self.retention(now);
        if keep == Retention::default() {
            return;
        }
        match self.storage.retire(&keep, STORE_RETENTION_ROWS_PER_STEP) {
            Ok(retired) => {
                self.stats.retired += retired.events;
                self.is_untidy |= retired.events > 0;
                self.behind = retired.is_behind.then_some(0);
            }
            Err(why) => self.fail(why),
        }
    }

    /// A step of looking for what is too old behind what is not.
    fn go_through(&mut self, now: Moment) {
        let Some(age_us) = self.options.age_max_us else {
            return;
        };
        let Some(after) = self.old.step(now, age_us, self.last_event) else {
            return;
        };
        let from = now.unix_us.saturating_sub(age_us);
        let swept = self
            .storage
            .sweep(from, after, STORE_RETENTION_ROWS_PER_STEP);
        match swept {
            Ok(swept) => {
                self.stats.retired += swept.events;
                self.is_untidy |= swept.events > 0;
                self.old.came(swept.upto);
            }
            Err(why) => self.fail(why),
        }
    }

    fn look_at_apps(&mut self) {
        let looked = self.storage.was_changed_by_others();
        let apps = match looked {
            Ok(false) => return,
            Ok(true) => self.storage.last_event().and_then(|last_event| {
                self.last_event = last_event;
                self.old.extend(last_event);
                self.storage.apps()
            }),
            Err(why) => Err(why),
        };
        match apps {
            Ok(apps) if apps != self.apps => {
                self.apps.clone_from(&apps);
                self.say(vec![News::Apps(apps)]);
            }
            Ok(_) => {}
            Err(why) => self.fail(why),
        }
    }

    /// The sessions themselves are known to the loop; what is past is dropped.
    fn sweep(&mut self, now: Moment) {
        if now.since_us(self.last_sweep) >= STORE_SESSIONS_SWEEP_MS * 1000 {
            self.last_sweep = now;
            if let Err(why) = self.storage.ended_sessions(now.unix_us / 1_000_000) {
                self.fail(why);
            }
        }
    }

    /// When nobody wants anything, the log is copied over, so that nobody waits for that later.
    fn rest(&mut self) {
        if !self.queue.is_empty() || !std::mem::take(&mut self.is_untidy) {
            return;
        }
        if let Err(why) = self.storage.rest() {
            self.fail(why);
        }
    }

    fn tell_stats(&mut self) {
        self.stats.waiting = self.queue.len() as u64;
        if self.stats != self.told_stats {
            self.told_stats = self.stats;
            self.say(vec![News::Stats(Box::new(self.stats))]);
        }
    }

    /// Everything is done: leaves the file in order.
    fn finish(&mut self) -> bool {
        let mut is_in_order = self.trouble.is_none();
        if self.unsynced_since.take().is_some() {
            is_in_order &= self.storage.sync().is_ok();
        }
        is_in_order &= self.storage.close().is_ok();
        is_in_order
    }
}

/// So much later.
fn after(now: Moment, ms: u64) -> Moment {
    Moment {
        mono_us: now.mono_us.saturating_add(ms * 1000),
        ..now
    }
}
