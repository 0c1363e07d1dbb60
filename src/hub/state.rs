//! The state of users: what is set, how much of it is kept, and who is told of changes.

use super::event::KeptEvent;
use super::{ChannelId, Effects, Event, Hub, Stamp, StateChange, ToldState, User, UserId};
use crate::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};
use crate::time::Now;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

impl Hub {
    /// Sets one key of a user's state to a JSON scalar. A null for a key that is not there is not
    /// stored. True: the value is another one than before. After the last of several changes
    /// [`Hub::remember_user`] is to be called.
    pub fn set_state(&mut self, user: UserId, key: &str, value: &str) -> bool {
        let Some(user) = self.users.get_mut(user) else {
            return false;
        };
        let old = user.state.as_ref().and_then(|state| state.get(key));
        if old.map_or(value == "null", |old| &**old == value) {
            return false;
        }
        user.state
            .get_or_insert_default()
            .insert(Box::from(key), Box::from(value));
        user.is_changed = true;
        true
    }

    /// Whether `changes` can be set without the user's state growing beyond its bounds. Of a name
    /// that is not known the state is empty.
    pub fn state_fits<'k>(
        &'k self,
        user: Option<UserId>,
        changes: impl Iterator<Item = (&'k str, &'k str)>,
    ) -> bool {
        let mut state: BTreeMap<&str, &str> = BTreeMap::new();
        if let Some(user) = user.and_then(|user| self.users.get(user)) {
            state.extend(user.state());
        }
        state.extend(changes);
        let bytes: usize = state.iter().map(|(k, v)| k.len() + v.len()).sum();
        state.len() <= STATE_KEYS_MAX && bytes <= STATE_BYTES_MAX
    }

    /// Replaces the keys of a user's state that others may see. Here, too, [`Hub::remember_user`]
    /// is to be called.
    pub fn set_public_keys<'k>(&mut self, user: UserId, keys: impl Iterator<Item = &'k str>) {
        let Some(user) = self.users.get_mut(user) else {
            return;
        };
        let keys: BTreeSet<Box<str>> = keys.map(Box::from).collect();
        if !keys.iter().map(|key| &**key).eq(user.public_keys()) {
            user.is_changed = true;
        }
        user.public_keys = if keys.is_empty() {
            None
        } else {
            Some(Box::new(keys))
        };
    }

    /// Whether a channel is told when the state of its members changes.
    pub fn tells_state(&self, channel: ChannelId) -> bool {
        let channel = self.channels.get(channel);
        channel.is_some_and(|channel| channel.settings.notify_state)
    }

    /// Tells a channel that these keys of a user's state have changed, if it wants to know that,
    /// the user is in it, and any of the keys is public. All members are told, the user included.
    ///
    /// What is told is what holds now, whenever the change was made: so those who are told of
    /// several changes are told of the newest last. `last` is what was told before; channels that
    /// are told the same share it. Returns the bytes that were told, roughly; 0 for none.
    pub fn tell_state(
        &mut self,
        user_key: UserId,
        channel_key: ChannelId,
        changed: &[Box<str>],
        last: &mut Option<Rc<ToldState>>,
        now: Now,
        fx: &mut impl Effects,
    ) -> usize {
        if !self.tells_state(channel_key) || self.find_membership(channel_key, user_key).is_none() {
            return 0;
        }
        let Some(user) = self.users.get(user_key) else {
            return 0;
        };
        let told = told_state(user, changed);
        if told.changed.is_empty() {
            return 0;
        }
        let told = match last {
            Some(last) if **last == told => last.clone(),
            Some(_) | None => last.insert(Rc::new(told)).clone(),
        };
        let name = user.name.clone();
        let Some(channel) = self.channels.get_mut(channel_key) else {
            return 0;
        };
        channel.last_active_micros = now.unix_micros;
        let change = Rc::new(StateChange {
            id: fx.id(),
            at: Stamp::from_unix_micros(now.unix_micros),
            channel: channel.name.clone(),
            user: name,
            told,
        });
        self.sequence += 1;
        let bytes = change.told.bytes();
        self.tell_all(channel_key, &Event::UserState(&change), fx);
        self.keep_recent(channel_key, KeptEvent::State(change));
        bytes
    }
}

fn told_state(user: &User, changed: &[Box<str>]) -> ToldState {
    let value = |key: &str| Some((Box::from(key), Box::from(user.state_value(key)?)));
    let public = changed.iter().filter(|key| user.is_public(key));
    ToldState {
        changed: public.filter_map(|key| value(key)).collect(),
        state: user.public_snapshot(),
    }
}
