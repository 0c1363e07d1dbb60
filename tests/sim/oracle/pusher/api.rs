//! What applications ask over HTTP, and what they are answered.

use super::super::{Message, Oracle, Sub};
use super::{ANY, SOCKET, TEXT, bare, is_plain, traits, user_of_channel};
use fanwire::handler::ConnId;
use fanwire::time::Now;
use serde_json::{Map, Value, json};

/// A request of an application.
#[derive(Debug, Clone)]
pub struct ApiCall {
    /// For which app; none: for one that does not exist.
    pub app: Option<usize>,
    pub proof: Proof,
    /// When it was signed, by the clock of the caller in seconds.
    pub signed_s: u64,
    pub what: Api,
}

/// What a caller proves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Good,
    /// The key of another app.
    OtherKey,
    /// Anything else that is wrong.
    Bad,
}

#[derive(Debug, Clone)]
pub enum Api {
    Publish {
        events: Vec<NewEvent>,
        is_batch: bool,
    },
    Channels {
        prefix: String,
        wants: Wants,
    },
    Channel {
        name: String,
        wants: Wants,
    },
    Users(String),
    Terminate(String),
    Connections,
    /// Something wrong, which is answered with this status.
    Odd(u16),
}

/// An event that is to be published.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub name: String,
    pub data: String,
    pub channels: Vec<String>,
    /// The socket that is left out.
    pub socket_id: Option<String>,
    pub wants: Wants,
}

/// What is asked of channels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    pub user_count: bool,
    pub subscription_count: bool,
    pub cache: bool,
}

impl Wants {
    pub fn words(self) -> Option<String> {
        let words = [
            (self.user_count, "user_count"),
            (self.subscription_count, "subscription_count"),
            (self.cache, "cache"),
        ];
        let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
        let words: Vec<&str> = words.collect();
        (!words.is_empty()).then(|| words.join(","))
    }
}

pub(in super::super) fn refusal(status: u16) -> (u16, Option<Value>) {
    (status, Some(json!({"error": ANY, "code": status})))
}

impl Oracle {
    /// What a request is refused for by its head alone.
    pub(in super::super) fn refuses_api(&self, call: &ApiCall) -> Option<(u16, Option<Value>)> {
        match (call.app, call.proof) {
            (None, _) => Some(refusal(404)),
            (Some(_), Proof::OtherKey) => Some(refusal(401)),
            (Some(_), Proof::Good | Proof::Bad) => None,
        }
    }

    /// What it is refused for once it is there. `asked_s`: when its head had come.
    pub fn distrusts(&mut self, call: &ApiCall, asked_s: u64) -> Option<(u16, Option<Value>)> {
        let app = &self.served[call.app?].app;
        let refused = if !app.enabled {
            Some(refusal(403))
        } else if call.proof == Proof::Bad || call.signed_s.abs_diff(asked_s) > 600 {
            Some(refusal(401))
        } else {
            None
        };
        self.sockets.turned_away += u64::from(refused.is_some());
        refused
    }

    /// A request of an application is done.
    pub(in super::super) fn api(&mut self, call: &ApiCall, now: Now) -> (u16, Option<Value>) {
        let app = call.app.expect("others are refused");
        let mark = self.served[app].mark;
        let full = |name: &str| format!("{mark}{name}");
        match &call.what {
            Api::Odd(status) => refusal(*status),
            Api::Publish { events, is_batch } => self.trigger(app, events, *is_batch, now),
            Api::Channels { prefix, wants } => {
                self.sockets.looked += 1;
                if wants.user_count && !traits(prefix).has_members {
                    return refusal(400);
                }
                let wants = Wants {
                    cache: false,
                    ..*wants
                };
                let there: Vec<String> = self.channels.iter().map(|c| c.name.clone()).collect();
                let there = there.into_iter().filter(|name| {
                    let is_ours = *name == full(bare(name)) && bare(name).starts_with(prefix);
                    is_ours && is_plain(bare(name), 164) && self.subscribers(name) > 0
                });
                let there: Vec<String> = there.collect();
                let said: Map<String, Value> = there
                    .iter()
                    .map(|name| (bare(name).to_owned(), self.attributes(name, wants, now)))
                    .collect();
                (200, Some(json!({ "channels": said })))
            }
            Api::Channel { name, wants } => {
                self.sockets.looked += 1;
                let kind = traits(name);
                let is_wrong = wants.user_count && !kind.has_members
                    || wants.cache && !kind.is_cached
                    || !is_plain(name, 164);
                if is_wrong {
                    return refusal(400);
                }
                let mut said = self.attributes(&full(name), *wants, now);
                said["occupied"] = json!(self.subscribers(&full(name)) > 0);
                (200, Some(said))
            }
            Api::Users(name) => {
                self.sockets.looked += 1;
                if !traits(name).has_members {
                    return refusal(400);
                }
                let there = self.channels.iter().find(|c| c.name == full(name));
                let members = there.map_or(&[][..], |c| &c.members);
                let users = members.iter().map(|there| json!({"id": bare(&there.user)}));
                (200, Some(json!({"users": users.collect::<Vec<Value>>()})))
            }
            Api::Terminate(user) => {
                let known = self.users.iter().find(|known| known.name == full(user));
                let theirs = known.map_or(Vec::new(), |known| known.subs.clone());
                for key in theirs {
                    if self.sub(key).socket.is_some() {
                        self.sockets.terminated += 1;
                        self.depart_as(key, (4009, "the user was disconnected"), now);
                    }
                }
                (200, Some(json!({})))
            }
            Api::Connections => {
                let count = self
                    .subs
                    .iter()
                    .filter(|sub| self.is_in_app(sub, app))
                    .count();
                (200, Some(json!({ "connections": count })))
            }
        }
    }

    /// Whether it publishes something that goes into a history that survives a restart.
    pub(in super::super) fn triggers_kept(&self, call: &ApiCall) -> bool {
        let (Some(app), Api::Publish { events, .. }) = (call.app, &call.what) else {
            return false;
        };
        let mark = self.served[app].mark;
        let mut channels = events.iter().flat_map(|event| &event.channels);
        channels.any(|name| self.keeps(&format!("{mark}{name}")))
    }

    fn trigger(
        &mut self,
        app: usize,
        events: &[NewEvent],
        is_batch: bool,
        now: Now,
    ) -> (u16, Option<Value>) {
        let mark = self.served[app].mark;
        for event in events {
            for channel in &event.channels {
                self.trigger_one(app, event, &format!("{mark}{channel}"), now);
            }
        }
        if !events.iter().any(|event| event.wants.words().is_some()) {
            return (200, Some(json!({})));
        }
        let said = |name: &String, wants| self.attributes(&format!("{mark}{name}"), wants, now);
        if is_batch {
            let each = events
                .iter()
                .map(|event| said(&event.channels[0], event.wants));
            return (200, Some(json!({"batch": each.collect::<Vec<Value>>()})));
        }
        let wants = events[0].wants;
        let each = events[0].channels.iter();
        let each: Map<String, Value> = each.map(|c| (c.clone(), said(c, wants))).collect();
        (200, Some(json!({ "channels": each })))
    }

    fn trigger_one(&mut self, app: usize, event: &NewEvent, full: &str, now: Now) {
        self.sockets.published += 1;
        if let Some(user) = user_of_channel(bare(full)) {
            let user = format!("{}{user}", self.served[app].mark);
            let hears = |sub: &&Sub| sub.socket.is_some() && sub.user == user;
            let hear: Vec<ConnId> = self
                .subs
                .iter()
                .filter(hears)
                .filter_map(|sub| sub.outlet)
                .collect();
            self.sockets.to_users += hear.len() as u64;
            let words = json!({"event": event.name, "channel": bare(full), "data": event.data});
            return self.say_to(&hear, &words);
        }
        let left_out = event.socket_id.as_ref().and_then(|id| {
            let is_it = |sub: &&Sub| self.bound.get(&format!("{SOCKET}{}", sub.key)) == Some(id);
            let sub = self
                .subs
                .iter()
                .filter(|sub| self.is_in_app(sub, app))
                .find(is_it)?;
            Some((sub.key, sub.channels.iter().any(|name| name == full)))
        });
        self.sockets.left_out += u64::from(left_out.is_some_and(|(_, is_in)| is_in));
        let message = Message {
            id: None,
            user: String::new(),
            channel: Some(full.to_owned()),
            only: Vec::new(),
            except: Vec::new(),
            no_history: false,
            body: None,
            named: Some((event.name.clone(), event.data.clone())),
            not_to: left_out.map(|(key, _)| key),
            pushed: None,
        };
        self.publish(&message, now);
    }

    /// What is asked of a channel, as far as it has that.
    fn attributes(&self, full: &str, wants: Wants, now: Now) -> Value {
        let kind = traits(bare(full));
        let mut said = json!({});
        if wants.user_count && kind.has_members {
            let there = self.channels.iter().find(|c| c.name == full);
            said["user_count"] = json!(there.map_or(0, |c| c.members.len()));
        }
        if wants.subscription_count {
            said["subscription_count"] = json!(self.subscribers(full));
        }
        if wants.cache && kind.is_cached {
            said["cache"] = match self.shown(full, now) {
                None => Value::Null,
                Some((event, until)) => {
                    let ttl = until.since(now.mono).div_ceil(1000);
                    json!({"data": self.data_of(event), "ttl": ttl})
                }
            };
        }
        said
    }

    fn data_of(&self, event: usize) -> Value {
        match &self.events[event].kind {
            super::super::Kind::Message(message) if message.named.is_some() => {
                json!(message.named.as_ref().map(|(_, data)| data))
            }
            _ => json!({ TEXT: self.frame(event, false)[0] }),
        }
    }
}
