//! What requests are answered with, and whether a body or a frame says what it ought to.

use super::{
    Call, Cookie, Event, Expect, Info, Kind, Oracle, PLACEHOLDER, Phase, Sabotage, Signed, Sub,
    User, public, pusher, pushi, stamp,
};
use fanwire::handler::ConnId;
use fanwire::time::{Now, Timer};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// The answer to a request that is not even let send its body: by its head alone.
    /// `may_sign`: it came from an address that may. `asked_s`: when its head had come; `now_s`:
    /// when this is judged.
    pub fn refuses(
        &self,
        call: &Call,
        signed: Signed,
        may_sign: bool,
        asked_s: u64,
        now_s: u64,
    ) -> Option<(u16, Option<Value>)> {
        let is_wrong = match (signed, self.rules.signature_age_s) {
            (Signed::No, _) | (Signed::At(_), None) => false,
            (Signed::Wrongly, _) => true,
            (Signed::At(at), Some(age)) => asked_s.saturating_sub(at) > age,
        };
        if let Call::Api(call) = call {
            return self.refuses_api(call);
        }
        if let Call::Rest(call) = call {
            return self.refuses_rest(call, asked_s);
        }
        if let Call::Admin(admin) = call {
            return self.refuses_admin(admin, signed, (may_sign, is_wrong), now_s);
        }
        let must_sign = match call {
            Call::Admin(_) | Call::Api(_) | Call::Rest(_) => unreachable!("judged above"),
            Call::Disconnect { .. } | Call::Listen { .. } => false,
            Call::Odd { is_signed, .. } => *is_signed,
            Call::Connect { .. }
            | Call::Subscribe { .. }
            | Call::Unsubscribe { .. }
            | Call::Publish(_)
            | Call::Amend(_)
            | Call::UserState { .. }
            | Call::Configure(_)
            | Call::Info { .. } => true,
        };
        if may_sign && is_wrong {
            return Some((401, Some(json!({"request": "Bad Signature"}))));
        }
        if must_sign && (!may_sign || signed == Signed::No) {
            return Some((403, None));
        }
        match call {
            Call::Odd {
                status: status @ 404,
                ..
            } => Some((*status, None)),
            _ => None,
        }
    }

    /// A request has come whole, or is refused at its head.
    pub fn request(
        &mut self,
        conn: ConnId,
        call: &Call,
        refused: Option<(u16, Option<Value>)>,
        (may_sign, asks_close): (bool, bool),
        now: Now,
    ) {
        self.note_stale(call, now.unix_seconds());
        if let (None, Call::Admin(admin)) = (&refused, call) {
            return self.admin(conn, admin, may_sign, asks_close, now);
        }
        if let (None, Call::Listen { id, how }) = (&refused, call) {
            return self.listen(conn, id, how, asks_close, now);
        }
        if let Call::Rest(call) = call {
            return self.rest(conn, call, refused, asks_close, now);
        }
        let close = asks_close || self.is_draining;
        let is_refused = refused.is_some();
        let (status, body) = match refused {
            Some(refused) => refused,
            None => self.answer_kept(call, now),
        };
        let status = match self.sabotage {
            Sabotage::WrongStatus if status == 422 => 400,
            _ => status,
        };
        if !is_refused && let Some(upto) = self.stored.is_held_until() {
            // It acknowledges what is not kept yet.
            let cookie = Cookie::No;
            return self.keep_back(conn, upto, (status, body, cookie), close);
        }
        let answer = match std::mem::take(&mut self.stored.may_fail) {
            true => Expect::AnswerOrNot {
                status,
                close,
                body,
            },
            false => Expect::Answer {
                status,
                close,
                body,
            },
        };
        self.expect(conn, answer);
        if close {
            self.line(conn).phase = Phase::Done;
        }
    }

    pub(super) fn answer(&mut self, call: &Call, now: Now) -> (u16, Option<Value>) {
        let unknown = || (422, Some(json!({"conn_id": ["Unknown connection"]})));
        let too_many = || {
            let words = "Too many channels for one connection.";
            (422, Some(json!({"channels": [words]})))
        };
        match call {
            Call::Odd { status, .. } => (*status, None),
            Call::Listen { .. } => unreachable!("waits for its answer"),
            Call::Admin(_) | Call::Rest(_) => unreachable!("answered elsewhere"),
            Call::Api(call) => self.api(call, now),
            Call::Info { channels, info } => {
                let names: Vec<String> = match channels {
                    Some(names) => names.clone(),
                    // Those of its own app.
                    None => self.own_channels(),
                };
                (200, Some(self.info(&names, *info)))
            }
            Call::Disconnect { id } => match self.find(id) {
                Some(key) => {
                    self.depart(key, now);
                    (200, Some(json!(true)))
                }
                None => (200, Some(json!(false))),
            },
            Call::Publish(messages) => {
                let mut accepted = Vec::new();
                for message in messages {
                    if message.channel.is_none() && message.only.is_empty() {
                        continue;
                    }
                    let event = self.publish(message, now);
                    accepted.push(self.accepted(event));
                }
                (200, Some(Value::Array(accepted)))
            }
            Call::Amend(amendments) => {
                let each = amendments
                    .iter()
                    .map(|amendment| self.amend(amendment, now));
                (200, Some(each.collect()))
            }
            Call::UserState {
                user,
                state,
                public_keys,
            } => self.user_state(user, state, public_keys.as_deref(), now),
            Call::Configure(configs) => {
                for (name, settings) in configs {
                    self.configure(name, *settings, now);
                }
                let names: Vec<String> = configs.iter().map(|(name, _)| name.clone()).collect();
                let info = Info {
                    history: false,
                    users: false,
                    public_state: false,
                };
                (200, Some(self.info(&names, info)))
            }
            Call::Subscribe {
                id,
                channels,
                configs,
                info,
            } => {
                let Some(key) = self.find(id) else {
                    return unknown();
                };
                let distinct: BTreeSet<String> = channels.iter().cloned().collect();
                let has = self.sub(key).channels.clone();
                let new = distinct.iter().filter(|name| !has.contains(name)).count();
                if has.len() + new > self.rules.channels_per_subscriber {
                    return too_many();
                }
                let mut joined = self.join_all(key, channels, configs, now);
                joined.sort();
                self.forget_presence(key);
                (200, Some(self.changed(key, "subscribed_to", joined, *info)))
            }
            Call::Unsubscribe { id, channels, info } => {
                let Some(key) = self.find(id) else {
                    return unknown();
                };
                let mut left: Vec<String> = Vec::new();
                for name in channels {
                    if self.unsubscribe(key, name, now) {
                        left.push(name.clone());
                    }
                }
                left.sort();
                self.forget_presence(key);
                let body = self.changed(key, "unsubscribed_from", left, *info);
                (200, Some(body))
            }
            Call::Connect {
                user, id, channels, ..
            } => {
                let distinct: BTreeSet<String> = channels.iter().cloned().collect();
                // A connection that this user has already keeps its channels.
                let known = id.as_deref().and_then(|id| self.find(id));
                let has = match known.map(|key| self.sub(key)) {
                    Some(sub) if sub.user == *user => sub.channels.clone(),
                    Some(_) | None => Vec::new(),
                };
                let new = distinct.iter().filter(|name| !has.contains(name)).count();
                if has.len() + new > self.rules.channels_per_subscriber {
                    return too_many();
                }
                (200, Some(self.connect(call, distinct, now)))
            }
        }
    }

    fn connect(&mut self, call: &Call, distinct: BTreeSet<String>, now: Now) -> Value {
        let Call::Connect {
            user: name,
            id,
            channels,
            configs,
            fresh_state,
            state,
            public_keys,
            info,
        } = call
        else {
            unreachable!("only for connect");
        };
        if !self.users.iter().any(|user| user.name == *name) {
            let user = User {
                key: self.key(),
                name: name.clone(),
                state: BTreeMap::new(),
                public_keys: Vec::new(),
                private: Vec::new(),
                subs: Vec::new(),
                timer: Timer::default(),
            };
            self.users.push(user);
        }
        // Whoever only came by the other protocol, which has no states, is as new as before.
        let own = |sub: &Sub| sub.user == *name && sub.socket.is_none();
        if self.user(name).state.is_empty() && !self.subs.iter().any(own) {
            for (key, value) in fresh_state {
                self.user(name).set(key, value);
            }
        }
        let user = self.user(name);
        user.public_keys.clone_from(public_keys);
        for (key, value) in state {
            user.set(key, value);
        }

        let at = now.mono + self.rules.expire_ms;
        let known = id.as_deref().and_then(|id| self.find(id));
        let same = known.filter(|&key| self.sub(key).user == *name);
        let key = match same {
            Some(key) => {
                if self.sub(key).outlet.is_none() {
                    self.expire_at(key, at);
                }
                key
            }
            None => {
                if let Some(key) = known {
                    self.depart(key, now);
                }
                let key = self.key();
                let id = id.clone();
                self.subs.push(Sub {
                    key,
                    id: id.unwrap_or_else(|| format!("{PLACEHOLDER}sub{key}")),
                    user: name.clone(),
                    outlet: None,
                    seen: self.sequence,
                    born: self.sequence,
                    channels: Vec::new(),
                    socket: None,
                    timer: Timer::default(),
                });
                self.user(name).timer.disarm();
                self.expire_at(key, at);
                self.own(key, name);
                key
            }
        };
        let distinct: Vec<String> = distinct.into_iter().collect();
        self.join_all(key, &distinct, configs, now);
        self.forget_presence(key);
        let mut sorted = channels.clone();
        sorted.sort();
        let id = self.sub(key).id.clone();
        let user = self.user(name);
        json!({
            "conn_id": id,
            "username": name,
            "state": user.state,
            "public_state": public(user),
            "channels": sorted,
            "channels_info": self.info(&distinct, *info),
        })
    }

    fn changed(&mut self, key: u32, word: &str, names: Vec<String>, info: Info) -> Value {
        let mut all = self.sub(key).channels.clone();
        all.sort();
        let mut body = json!({"channels": all, "channels_info": self.info(&all, info)});
        body[word] = json!(names);
        body
    }

    pub(super) fn info(&self, names: &[String], info: Info) -> Value {
        let mut listed = Map::new();
        let mut users: BTreeSet<&str> = BTreeSet::new();
        for channel in self.channels.iter().filter(|c| names.contains(&c.name)) {
            let mut members: Vec<&str> = Vec::new();
            let connections = self.subscribers(&channel.name);
            for there in &channel.members {
                if info.users {
                    members.push(&there.user);
                    users.insert(&there.user);
                }
            }
            members.sort_unstable();
            let history: Vec<Value> = channel
                .history
                .iter()
                .filter(|_| info.history)
                .map(|&event| {
                    let mut message = self.accepted(event);
                    message["catchup"] = json!(false);
                    message["type"] = json!("message");
                    message
                })
                .collect();
            let said = json!({
                "uuid": format!("{PLACEHOLDER}channel{}", channel.key),
                "name": channel.name,
                "long_name": null,
                "settings": channel.settings.to_json(),
                "history": history,
                "last_active": match channel.last_active {
                    // As it was before a restart.
                    0 => pusher::ANY.to_owned(),
                    micros => stamp(micros),
                },
                "total_connections": connections,
                "total_users": members.len(),
                "users": members,
            });
            listed.insert(channel.name.clone(), said);
        }
        let users: Vec<Value> = self
            .users
            .iter()
            .filter(|user| users.contains(&*user.name))
            .map(|user| {
                let state = if info.public_state {
                    public(user)
                } else {
                    json!(user.state)
                };
                json!({"user": user.name, "state": state})
            })
            .collect();
        json!({"channels": listed, "users": users})
    }

    /// A message as the answer repeats it.
    fn accepted(&self, event: usize) -> Value {
        let Kind::Message(message) = &self.events[event].kind else {
            unreachable!("only messages are accepted");
        };
        let mut said = json!({
            "pm_users": message.only,
            "exclude_users": message.except,
            "channel": message.channel,
            "no_history": message.no_history,
            "uuid": self.events[event].id,
            "timestamp": self.events[event].stamp,
            "user": message.user,
            "edited": self.events[event].edited,
        });
        message.write_body(&mut said);
        said
    }

    /// What the frame of an event says.
    pub(super) fn frame(&self, event: usize, catch_up: bool) -> Value {
        let Event {
            id: uuid,
            stamp,
            edited,
            kind,
            told: _,
        } = &self.events[event];
        let object = match kind {
            Kind::Message(message) => {
                let mut object = json!({
                    "uuid": uuid, "timestamp": stamp, "channel": message.channel,
                    "user": message.user, "edited": edited, "catchup": catch_up,
                    "type": "message",
                });
                message.write_body(&mut object);
                object
            }
            Kind::Amendment(amendment) => {
                let mut object = json!({"uuid": uuid, "channel": amendment.channel});
                match &amendment.edit {
                    Some(edit) => {
                        object["type"] = json!("message:edit");
                        edit.write(&mut object, stamp);
                    }
                    None => object["type"] = json!("message:delete"),
                }
                if catch_up {
                    object["catchup"] = json!(true);
                }
                object
            }
            Kind::State {
                channel,
                user,
                state,
                changed,
            } => json!({
                "uuid": uuid, "timestamp": stamp, "channel": channel, "user": user,
                "type": "user_state_change", "catchup": catch_up,
                "message": {"state": state, "changed": changed},
            }),
            Kind::Presence {
                joined,
                channel,
                user,
                state,
                members,
                info: _,
                by_settings: _,
            } => json!({
                "uuid": uuid, "timestamp": stamp, "channel": channel, "user": user,
                "type": "presence", "users": members, "state": state, "catchup": catch_up,
                "message": {"action": if *joined { "joined" } else { "parted" }},
            }),
        };
        json!([object])
    }

    /// Whether a text is the frame of this event.
    pub fn check_frame(&mut self, event: usize, catch_up: bool, text: &str) {
        let expected = self.frame(event, catch_up);
        let got: Value = serde_json::from_str(text).expect("a frame is JSON");
        assert!(
            same(&expected, &got, &mut self.bound),
            "a frame says {got}, expected {expected}"
        );
    }

    /// Whether a body says what it ought to.
    pub fn check_body(&mut self, expected: &Value, body: &[u8]) {
        let mut got: Value = serde_json::from_slice(body).expect("an answer is JSON");
        let mut expected = expected.clone();
        for value in [&mut expected, &mut got] {
            sort_users(value);
            if let Some(info) = value.get_mut("channels_info") {
                sort_users(info);
            }
        }
        assert!(
            same(&expected, &got, &mut self.bound),
            "an answer says {got}, expected {expected}"
        );
    }
}

/// The outer list of users comes in no fixed order.
fn sort_users(info: &mut Value) {
    if let Some(users) = info.get_mut("users").and_then(Value::as_array_mut) {
        users.sort_by_key(|user| user["user"].as_str().map(str::to_owned));
    }
}

/// Compares, and binds placeholders at first sight.
pub(super) fn same(expected: &Value, got: &Value, bound: &mut BTreeMap<String, String>) -> bool {
    match (expected, got) {
        (Value::String(expected), Value::String(got)) if expected == pusher::ANY => !got.is_empty(),
        (Value::String(expected), Value::String(got)) if expected.starts_with(PLACEHOLDER) => {
            if let Some(known) = bound.get(expected) {
                return known == got;
            }
            bound.insert(expected.clone(), got.clone());
            if expected.starts_with(pusher::SOCKET) {
                pusher::is_socket_id(got)
            } else if expected.starts_with(pushi::HEX) {
                got.len() == 64
            } else {
                got.len() == 36
            }
        }
        (Value::Object(expected), Value::String(got)) => {
            let text = expected.get(pusher::TEXT);
            let got = serde_json::from_str(got).ok();
            expected.len() == 1
                && text
                    .zip(got)
                    .is_some_and(|(text, got)| same(text, &got, bound))
        }
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| same(e, g, bound))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected
                    .iter()
                    .all(|(key, e)| got.get(key).is_some_and(|g| same(e, g, bound)))
        }
        (expected, got) => expected == got,
    }
}
