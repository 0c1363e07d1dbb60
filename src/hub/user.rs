//! Users: what subscribers say they are. One user may have many subscribers.

use super::event::{KeptEvent, PublicState};
use super::few::Few;
use super::recent::Recent;
use super::{AppId, Id, SubscriberId};
use crate::time::Timer;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Tag of [`UserId`](super::UserId).
#[derive(Debug)]
pub enum UserTag {}

/// A user's state: names to JSON scalars, kept as the text they came in.
pub type State = BTreeMap<Box<str>, Box<str>>;

/// A user of one app.
#[derive(Debug)]
pub struct User {
    pub(crate) app: AppId,
    pub(crate) id: Id,
    pub(crate) name: Rc<str>,
    /// Absent while empty: most users have none.
    pub(crate) state: Option<Box<State>>,
    pub(crate) public_keys: Option<Box<BTreeSet<Box<str>>>>,
    pub(crate) subscribers: Few<SubscriberId>,
    /// Channels it is a member of.
    pub(crate) memberships: u32,
    /// Private messages, and changes to them, for catch-up.
    pub(crate) private: Option<Box<Recent<KeptEvent>>>,
    pub(crate) timer: Timer,
    /// Order of going away, while there are no subscribers but a state to remember.
    pub(crate) away: Option<u64>,
    /// Its state or what is public of it was changed since that was last reported.
    pub(crate) is_changed: bool,
    /// It was reported as one that survives a restart.
    pub(crate) is_remembered: bool,
    /// How often reports had been lost when it was last reported.
    pub(crate) reported_at: u32,
}

impl User {
    /// Nothing is known of it but its name.
    pub(crate) fn new(app: AppId, id: Id, name: &str) -> Self {
        Self {
            app,
            id,
            name: Rc::from(name),
            state: None,
            public_keys: None,
            subscribers: Few::None,
            memberships: 0,
            private: None,
            timer: Timer::default(),
            away: None,
            is_changed: false,
            is_remembered: false,
            reported_at: 0,
        }
    }

    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's own id, random at creation.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Subscribers this user has.
    pub fn subscribers(&self) -> &[SubscriberId] {
        self.subscribers.as_slice()
    }

    /// The whole state, by key.
    pub fn state(&self) -> impl Iterator<Item = (&str, &str)> {
        self.state
            .iter()
            .flat_map(|state| state.iter())
            .map(|(key, value)| (&**key, &**value))
    }

    /// The value of one key of the state.
    pub fn state_value(&self, key: &str) -> Option<&str> {
        self.state.as_ref()?.get(key).map(|value| &**value)
    }

    /// The keys that others may see, whether the state has them or not, in order.
    pub fn public_keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.public_keys.as_deref();
        keys.into_iter().flatten().map(|key| &**key)
    }

    /// Whether others may see this key.
    pub fn is_public(&self, key: &str) -> bool {
        let keys = self.public_keys.as_deref();
        keys.is_some_and(|keys| keys.contains(key))
    }

    /// The part of the state whose keys are public, by key.
    pub fn public_state(&self) -> impl Iterator<Item = (&str, &str)> {
        self.state().filter(|(key, _)| self.is_public(key))
    }

    pub(crate) fn public_snapshot(&self) -> PublicState {
        self.public_state()
            .map(|(key, value)| (Box::from(key), Box::from(value)))
            .collect()
    }

    /// Whether there is anything to remember when the last subscriber has gone.
    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }
}
