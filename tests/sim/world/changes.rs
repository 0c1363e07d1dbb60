//! What clients change afterwards: messages, what users say of themselves, settings of channels.

use super::World;
use crate::oracle::{Amendment, Call, Edit};
use serde_json::{Value, json};

impl World {
    /// A message that is to be changed: mostly one of the last, where it went.
    fn amendment(&mut self) -> Amendment {
        let from = self.messages.len().saturating_sub(6);
        let is_known = from < self.messages.len() && !self.chance.one_in(10);
        let (id, channel, only) = if is_known {
            let sent = self.chance.pick(&self.messages[from..]);
            (sent.id.clone(), sent.channel.clone(), sent.only.clone())
        } else {
            let only = vec![self.user()];
            (self.fresh_id(), self.channels(1).pop(), only)
        };
        let is_private = channel.is_none();
        // Whom a change is for is its own affair.
        let only = match self.chance.below(6) {
            0 => vec![self.user()],
            1 => Vec::new(),
            _ if is_private => only,
            _ => Vec::new(),
        };
        Amendment {
            id,
            channel,
            only,
            except: match self.chance.below(6) {
                0 => vec![self.user()],
                _ => Vec::new(),
            },
            no_history: self.chance.one_in(5),
            edit: None,
        }
    }

    fn edit(&mut self) -> Edit {
        self.serial += 1;
        let time = |second: usize| format!("2020-01-02T03:04:{second:02}.000007");
        let second = self.chance.below(60);
        let padding = self.chance.below(200);
        let body = json!({"n": self.serial, "edit": "y".repeat(padding)});
        Edit {
            user: self.chance.one_in(4).then(|| self.user()),
            body: (!self.chance.one_in(4)).then_some(body),
            at: self.chance.one_in(4).then(|| time(second)),
            edited: self.chance.one_in(4).then(|| time(59 - second)),
        }
    }

    fn amendments(&mut self) -> Vec<Amendment> {
        let count = match self.chance.below(4) {
            0 => self.chance.within(0, 5),
            _ => 1,
        };
        (0..count).map(|_| self.amendment()).collect()
    }

    pub(super) fn ask_edit(&mut self) {
        let mut amendments = self.amendments();
        for amendment in &mut amendments {
            amendment.edit = Some(self.edit());
        }
        self.ask_amend("PATCH", amendments);
    }

    pub(super) fn ask_delete(&mut self) {
        let amendments = self.amendments();
        self.ask_amend("DELETE", amendments);
    }

    fn ask_amend(&mut self, method: &str, amendments: Vec<Amendment>) {
        let words = |amendment: &Amendment| {
            let mut words = json!({
                "uuid": amendment.id, "channel": amendment.channel, "pm_users": amendment.only,
                "exclude_users": amendment.except, "no_history": amendment.no_history,
            });
            for (key, text) in amendment.edit.iter().flat_map(|edit| {
                [
                    ("user", &edit.user),
                    ("timestamp", &edit.at),
                    ("edited", &edit.edited),
                ]
            }) {
                if let Some(text) = text {
                    words[key] = json!(text);
                }
            }
            let body = amendment.edit.as_ref().and_then(|edit| edit.body.as_ref());
            if let Some(body) = body {
                words["message"] = body.clone();
            }
            words
        };
        let body: Value = amendments.iter().map(words).collect();
        self.ask(
            method,
            "/message",
            &body.to_string(),
            Call::Amend(amendments),
        );
    }

    pub(super) fn ask_user_state(&mut self) {
        let user = match self.chance.below(12) {
            0 => "nobody".to_owned(),
            _ => self.user(),
        };
        let mut state = Vec::new();
        let mut words = json!({});
        // In the order in which an object is written.
        for key in ["age", "mood"] {
            if self.chance.one_in(3) {
                continue;
            }
            let value = match self.chance.below(6) {
                0 => json!(null),
                1 => json!(true),
                2 => json!(1),
                3 => json!("1"),
                4 => json!(false),
                _ => json!("good"),
            };
            words[key] = value.clone();
            state.push((key.to_owned(), value));
        }
        let mut body = json!({"user": user, "user_state": words});
        let keys = ["age", "mood"].map(str::to_owned);
        let public_keys = match self.chance.below(4) {
            0 => Some(keys[self.chance.below(2)..].to_vec()),
            1 => {
                body["state_public_keys"] = json!(null);
                None
            }
            _ => None,
        };
        if let Some(keys) = &public_keys {
            body["state_public_keys"] = json!(keys);
        }
        let call = Call::UserState {
            user,
            state,
            public_keys,
        };
        self.ask("POST", "/user_state", &body.to_string(), call);
    }

    pub(super) fn ask_configure(&mut self) {
        let (mut configs, mut words) = self.configs();
        if self.chance.one_in(2) {
            let keep = self.chance.below(configs.len() + 1);
            for (name, _) in configs.drain(keep..) {
                words.as_object_mut().expect("made as one").remove(&name);
            }
        }
        let body = words.to_string();
        self.ask("POST", "/channel_config", &body, Call::Configure(configs));
    }
}
