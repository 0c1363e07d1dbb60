//! An engine in the hands of a test: it can be held, made to fail, and watched.

#![allow(clippy::disallowed_types, reason = "two threads meet here")]

use super::delegate::pass_on;
use fanwire::side::store::{Committed, Reading, Storage};
use fanwire::store::{Answer, Question, Trouble, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a test has in hand.
pub(crate) struct Rig<E> {
    state: Mutex<State<E>>,
    changed: Condvar,
}

struct State<E> {
    /// Commits wait before they begin.
    is_held: bool,
    is_waiting: bool,
    /// What the next commits come to; later ones succeed.
    fate: Vec<Fate>,
    /// Recovering fails for as long as this is set.
    trouble: Option<Trouble>,
    /// Done to the engine before the next call that writes.
    act: Option<Act<E>>,
    /// Writes of each commit that succeeded.
    commits: Vec<usize>,
    /// Writes that were committed, and those of them that were synced by a call of its own.
    committed: usize,
    synced: usize,
}

type Act<E> = Box<dyn FnOnce(&mut E) + Send>;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// Nothing is kept.
    Fails(Trouble),
    /// Somebody made a mistake.
    Panics,
}

impl<E> Rig<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().expect("no test panics with it in hand")
    }

    /// Commits wait from now on.
    pub(crate) fn hold(&self) {
        self.lock().is_held = true;
    }

    /// Returns once a commit waits.
    pub(crate) fn wait_until_held(&self) {
        let state = self.lock();
        let waits = self.changed.wait_while(state, |state| !state.is_waiting);
        drop(waits.expect("no test panics with it in hand"));
    }

    pub(crate) fn let_go(&self) {
        self.lock().is_held = false;
        self.changed.notify_all();
    }

    pub(crate) fn next(&self, fate: &[Fate]) {
        self.lock().fate = fate.iter().rev().copied().collect();
    }

    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        self.lock().trouble = trouble;
    }

    #[cfg(any(feature = "store", target_os = "linux"))]
    pub(crate) fn act(&self, act: impl FnOnce(&mut E) + Send + 'static) {
        self.lock().act = Some(Box::new(act));
    }

    pub(crate) fn commits(&self) -> Vec<usize> {
        self.lock().commits.clone()
    }

    pub(crate) fn committed(&self) -> usize {
        self.lock().committed
    }

    pub(crate) fn synced(&self) -> usize {
        self.lock().synced
    }
}

/// The engine.
pub(crate) struct Rigged<E> {
    inner: E,
    rig: Arc<Rig<E>>,
}

impl<E: Storage> Rigged<E> {
    pub(crate) fn new(inner: E) -> (Self, Arc<Rig<E>>) {
        let state = State {
            is_held: false,
            is_waiting: false,
            fate: Vec::new(),
            trouble: None,
            act: None,
            commits: Vec::new(),
            committed: 0,
            synced: 0,
        };
        let rig = Arc::new(Rig {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let ours = Arc::clone(&rig);
        (Self { inner, rig }, ours)
    }

    fn act(&mut self) {
        let act = self.rig.lock().act.take();
        if let Some(act) = act {
            act(&mut self.inner);
        }
    }
}

impl<E: Storage> Reading for Rigged<E> {
    fn answer(&mut self, question: &Question, upto: u64) -> Result<Answer, Trouble> {
        self.inner.answer(question, upto)
    }
}

impl<E: Storage> Storage for Rigged<E> {
    fn commit(&mut self, writes: &[&Write]) -> Result<Committed, Trouble> {
        self.act();
        let mut state = self.rig.lock();
        state.is_waiting = true;
        self.rig.changed.notify_all();
        let waited = self.rig.changed.wait_while(state, |state| state.is_held);
        let mut state = waited.expect("no test panics with it in hand");
        state.is_waiting = false;
        let fate = state.fate.pop();
        drop(state);
        match fate {
            Some(Fate::Fails(trouble)) => return Err(trouble),
            Some(Fate::Panics) => panic!("as the test asked for"),
            None => {}
        }
        let done = self.inner.commit(writes)?;
        let mut state = self.rig.lock();
        state.commits.push(writes.len());
        state.committed += writes.len();
        Ok(done)
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.inner.sync()?;
        let mut state = self.rig.lock();
        state.synced = state.committed;
        Ok(())
    }

    fn recover(&mut self) -> Result<(), Trouble> {
        self.act();
        let trouble = self.rig.lock().trouble;
        trouble.map_or(Ok(()), Err)?;
        self.inner.recover()
    }

    pass_on!();
}
