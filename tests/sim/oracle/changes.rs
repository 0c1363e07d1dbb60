//! What changes afterwards: messages are edited and taken back, users change what they say of
//! themselves, channels get other settings.

use super::{
    Amendment, Edit, Event, Kind, Oracle, PLACEHOLDER, Sabotage, Settings, User, public, stamp,
};
use fanwire::time::Now;
use serde_json::{Value, json};

impl Edit {
    /// Puts what is replaced into an object. `now` is when it was edited if nothing else is said.
    pub fn write(&self, object: &mut Value, now: &str) {
        if let Some(at) = &self.at {
            object["timestamp"] = json!(at);
        }
        if let Some(user) = &self.user {
            object["user"] = json!(user);
        }
        if let Some(body) = &self.body {
            object["message"] = body.clone();
        }
        object["edited"] = json!(self.edited.as_deref().unwrap_or(now));
    }
}

impl User {
    /// Sets one key of the state. Whether that changed anything.
    pub fn set(&mut self, key: &str, value: &Value) -> bool {
        let is_same = match self.state.get(key) {
            Some(before) => before == value,
            None => value.is_null(),
        };
        if !is_same {
            self.state.insert(key.to_owned(), value.clone());
        }
        !is_same
    }
}

impl Oracle {
    /// A message is edited or taken back. What the answer says of it.
    pub(super) fn amend(&mut self, amendment: &Amendment, now: Now) -> Value {
        let stamp = stamp(now.unix_micros);
        let event = self.events.len();
        self.sequence += 1;
        self.events.push(Event {
            told: self.sequence,
            id: amendment.id.clone(),
            kind: Kind::Amendment(amendment.clone()),
            stamp: stamp.clone(),
            edited: None,
        });
        match &amendment.channel {
            Some(name) => {
                if self.channels.iter().any(|c| c.name == *name) {
                    self.amend_channel(name, event, amendment, now);
                }
            }
            None => self.amend_private(event, amendment, now),
        }
        let mut said = json!({
            "pm_users": amendment.only,
            "exclude_users": amendment.except,
            "channel": amendment.channel,
            "no_history": amendment.no_history,
            "uuid": amendment.id,
        });
        if let Some(edit) = &amendment.edit {
            edit.write(&mut said, &stamp);
        }
        said
    }

    fn amend_channel(&mut self, name: &str, event: usize, amendment: &Amendment, now: Now) {
        let channel = self.channel(name);
        channel.last_active = now.unix_micros;
        let (history, recent) = (channel.history.clone(), channel.recent.clone());
        let stamp = stamp(now.unix_micros);
        let becomes = |oracle: &mut Self, event| oracle.becomes(event, amendment, &stamp);
        let history = history.into_iter().filter_map(|event| becomes(self, event));
        let history = history.collect();
        let recent = recent.into_iter();
        let recent = recent.filter_map(|(at, event)| Some((at, becomes(self, event)?)));
        let recent = recent.collect();
        let channel = self.channel(name);
        (channel.history, channel.recent) = (history, recent);
        if let Some(event) = channel.cached.as_ref().and_then(|cached| cached.event) {
            let after = becomes(self, event);
            let cached = &mut self.channel(name).cached;
            *cached = cached.take().filter(|_| after.is_some());
            if let Some(cached) = cached {
                cached.event = after;
            }
        }
        self.keep_recent(name, event);
        let except = self.those(name, &amendment.except);
        let only = self.those(name, &amendment.only);
        self.tell(event, |sub| {
            sub.channels.iter().any(|channel| channel == name)
                && !except.contains(&sub.key)
                && (amendment.only.is_empty() || only.contains(&sub.key))
        });
        self.settle_channel(name, now);
    }

    fn amend_private(&mut self, event: usize, amendment: &Amendment, now: Now) {
        let stamp = stamp(now.unix_micros);
        for name in &amendment.only {
            let is_known = self.users.iter().any(|user| user.name == *name);
            if !is_known || amendment.except.contains(name) {
                continue;
            }
            let private = std::mem::take(&mut self.user(name).private);
            let becomes = |(at, event)| Some((at, self.becomes(event, amendment, &stamp)?));
            let private = private.into_iter().filter_map(becomes).collect();
            self.user(name).private = private;
        }
        self.tell_users(event, &amendment.only, &amendment.except, now);
    }

    /// What a kept event becomes; nothing, if it was taken back. Those who are to hear what it was
    /// hear that, so what it becomes is an event of its own.
    fn becomes(&mut self, event: usize, amendment: &Amendment, now: &str) -> Option<usize> {
        let before = &self.events[event];
        let Kind::Message(message) = &before.kind else {
            return Some(event);
        };
        // The client does not know the ids that the server draws.
        if before.id != amendment.id {
            return Some(event);
        }
        let Some(edit) = &amendment.edit else {
            return (self.sabotage == Sabotage::KeepDeleted).then_some(event);
        };
        if self.sabotage == Sabotage::ForgetEdit {
            return Some(event);
        }
        let mut message = message.clone();
        message.user = edit.user.clone().unwrap_or(message.user);
        message.body = edit.body.clone().or(message.body);
        let after = Event {
            told: before.told,
            id: before.id.clone(),
            stamp: edit.at.clone().unwrap_or_else(|| before.stamp.clone()),
            kind: Kind::Message(message),
            edited: Some(edit.edited.clone().unwrap_or_else(|| now.to_owned())),
        };
        self.events.push(after);
        Some(self.events.len() - 1)
    }

    pub(super) fn user_state(
        &mut self,
        name: &str,
        state: &[(String, Value)],
        public_keys: Option<&[String]>,
        now: Now,
    ) -> (u16, Option<Value>) {
        if !self.users.iter().any(|user| user.name == name) {
            return (422, Some(json!({"user": ["Unknown user"]})));
        }
        let tells_all = self.sabotage == Sabotage::TellPrivateState;
        let user = self.user(name);
        if let Some(keys) = public_keys {
            user.public_keys = keys.to_vec();
        }
        let changed = state.iter().filter(|(key, value)| user.set(key, value));
        let changed: Vec<(String, Value)> = changed.cloned().collect();
        let listed = |(key, value): &(String, Value)| json!({"key": key, "value": value});
        let mut keys = user.public_keys.clone();
        keys.sort();
        let said = json!({
            "user_state": user.state,
            "changed_state": changed.iter().map(listed).collect::<Vec<Value>>(),
            "public_keys": keys,
        });
        let seen = changed.iter().filter(|(key, _)| keys.contains(key));
        let seen: Vec<Value> = seen.map(listed).collect();
        let state = public(user);
        self.touch(name, now);
        if seen.is_empty() && (changed.is_empty() || !tells_all) {
            return (200, Some(said));
        }
        // Somebody of this name who is there only is not enough.
        let is_in = |channel: &super::Channel| {
            let is_there =
                |sub: &super::Sub| sub.user == name && sub.channels.contains(&channel.name);
            let is_member = channel.members.iter().any(|there| there.user == name);
            is_member && self.subs.iter().any(is_there)
        };
        let channels = self.channels.iter();
        let channels = channels.filter(|c| c.settings.notify_state && is_in(c));
        let mut channels: Vec<String> = channels.map(|c| c.name.clone()).collect();
        channels.sort();
        for channel in channels {
            self.channel(&channel).last_active = now.unix_micros;
            self.sequence += 1;
            let event = self.events.len();
            self.events.push(Event {
                told: self.sequence,
                id: format!("{PLACEHOLDER}event{event}"),
                kind: Kind::State {
                    channel: channel.clone(),
                    user: name.to_owned(),
                    state: state.clone(),
                    changed: seen.clone(),
                },
                stamp: stamp(now.unix_micros),
                edited: None,
            });
            self.tell(event, |sub| sub.channels.contains(&channel));
            self.keep_recent(&channel, event);
        }
        (200, Some(said))
    }

    /// A channel gets these settings, and is remembered with them.
    pub(super) fn configure(&mut self, name: &str, settings: Settings, now: Now) {
        self.ensure_channel(name, settings, now);
        let channel = self.channel(name);
        channel.settings = settings;
        (channel.is_configured, channel.is_bare) = (true, false);
        // Whether coming and going is told may be another matter now.
        self.lines
            .values_mut()
            .for_each(super::Line::forget_presence);
        self.settle_channel(name, now);
    }
}
