//! What applications ask over the signed HTTP API, and what nobody should ask.

use super::super::{What, World};
use crate::oracle::{Api, ApiCall, Call, NewEvent, Proof, Signed, Wants};
use crate::peer;
use fanwire::dialect::pusher::auth::Keys;
use serde_json::{Value, json};

/// A request before it is signed.
struct Draft {
    method: &'static str,
    /// Behind `/apps/{id}`.
    path: String,
    params: Vec<(&'static str, String)>,
    body: String,
    what: Api,
    /// One SDK forgets what stands in front of the path: only the key says which app is meant.
    is_bare: bool,
}

impl Draft {
    fn post(path: &str, body: String, what: Api) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            params: Vec::new(),
            body,
            what,
            is_bare: false,
        }
    }

    fn get(path: String, params: Vec<(&'static str, String)>, what: Api) -> Self {
        Self {
            method: "GET",
            path,
            params,
            body: String::new(),
            what,
            is_bare: false,
        }
    }
}

impl World {
    pub(super) fn application_deed(&mut self) {
        let app = self.app();
        let draft = match self.chance.below(20) {
            0..=8 => self.trigger(app),
            9 | 10 => self.batch(app),
            11 => {
                let wants = self.wants();
                let prefixes = ["", "presence-", "pre", "private-", "lob"];
                let prefix = self.chance.pick(&prefixes).to_string();
                let mut params = vec![("filter_by_prefix", prefix.clone())];
                params.extend(wants.words().map(|words| ("info", words)));
                let what = Api::Channels { prefix, wants };
                Draft::get("/channels".to_owned(), params, what)
            }
            12 | 13 => {
                let (name, wants) = (self.fair_channel(app), self.wants());
                let params = wants.words().map(|words| ("info", words));
                let path = format!("/channels/{name}");
                let what = Api::Channel { name, wants };
                Draft::get(path, params.into_iter().collect(), what)
            }
            14 => {
                let name = self.fair_channel(app);
                Draft::get(format!("/channels/{name}/users"), vec![], Api::Users(name))
            }
            15 => {
                let user = self.chance.pick(&["ada", "bob", "nobody"]).to_string();
                let path = format!("/users/{user}/terminate_connections");
                Draft {
                    is_bare: self.chance.one_in(3),
                    ..Draft::post(&path, "{}".to_owned(), Api::Terminate(user))
                }
            }
            16 => Draft::get("/connections".to_owned(), vec![], Api::Connections),
            _ => self.odd_request(app),
        };
        self.sign_and_send(app, draft);
    }

    /// A name that may stand in a path.
    fn fair_channel(&mut self, app: usize) -> String {
        loop {
            let name = self.pusher_channel(app);
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return name;
            }
        }
    }

    fn wants(&mut self) -> Wants {
        if self.chance.one_in(2) {
            return Wants::default();
        }
        Wants {
            user_count: self.chance.one_in(4),
            subscription_count: self.chance.one_in(2),
            cache: self.chance.one_in(4),
        }
    }

    fn event(&mut self, app: usize, most: usize) -> NewEvent {
        self.serial += 1;
        let length = match self.chance.below(8) {
            0 => self.chance.below(self.pusher.apps[app].event_bytes - 60),
            _ => self.chance.below(40),
        };
        let data = json!({"n": self.serial, "pad": "d".repeat(length)}).to_string();
        let mut channels: Vec<String> = Vec::new();
        for _ in 0..=self.chance.below(most) {
            let channel = match self.chance.below(8) {
                0 => format!(
                    "#server-to-user-{}",
                    self.chance.pick(&["ada", "bob", "dan"])
                ),
                _ => self.fair_channel(app),
            };
            let is_encrypted = |name: &str| name.starts_with("private-encrypted-");
            if channels.is_empty() || !is_encrypted(&channel) && !is_encrypted(&channels[0]) {
                channels.push(channel);
            }
        }
        let known = self.conns.iter().filter_map(|(_, row)| row.talker.as_ref());
        let known: Vec<String> = known.filter_map(|t| t.socket_id.clone()).collect();
        let socket_id = match self.chance.below(4) {
            0 => Some("12345.678".to_owned()),
            1 | 2 if !known.is_empty() => Some(self.chance.pick(&known).clone()),
            _ => None,
        };
        let wants = self.wants();
        NewEvent {
            name: self
                .chance
                .pick(&["news", "App\\Events\\X", "a \"b\""])
                .to_string(),
            data,
            channels,
            socket_id,
            wants,
        }
    }

    fn trigger(&mut self, app: usize) -> Draft {
        let mut event = self.event(app, 3);
        let mut body = event_body(&event);
        let listed = match event.channels.len() {
            1 if self.chance.one_in(2) => ("channel", json!(event.channels[0])),
            _ => ("channels", json!(event.channels)),
        };
        body[listed.0] = listed.1;
        if self.chance.one_in(8) {
            // Some callers forget to make a text of it.
            body["data"] = serde_json::from_str(&event.data).expect("made as JSON");
        }
        // A name that stands there twice is told once.
        let mut once = std::collections::BTreeSet::new();
        event.channels.retain(|name| once.insert(name.clone()));
        let (events, is_batch) = (vec![event], false);
        let what = Api::Publish { events, is_batch };
        Draft::post("/events", body.to_string(), what)
    }

    fn batch(&mut self, app: usize) -> Draft {
        let count = self.chance.below(5);
        let events: Vec<NewEvent> = (0..count).map(|_| self.event(app, 1)).collect();
        let bodies = events.iter().map(|event| {
            let mut body = event_body(event);
            body["channel"] = json!(event.channels[0]);
            body
        });
        let body = json!({"batch": bodies.collect::<Vec<Value>>()}).to_string();
        let is_batch = true;
        Draft::post("/batch_events", body, Api::Publish { events, is_batch })
    }

    /// Signed well, and wrong all the same.
    fn odd_request(&mut self, app: usize) -> Draft {
        let good = json!({"name": "n", "data": "d", "channel": "lobby"});
        let with = |key: &str, value: Value| {
            let mut body = good.clone();
            body[key] = value;
            body.to_string()
        };
        let long = "x".repeat(self.pusher.apps[app].event_bytes + 1);
        let many: Vec<String> = (0..101).map(|n| format!("c{n}")).collect();
        let (path, body, status) = match self.chance.below(15) {
            0 => ("/events", "{".to_owned(), 400),
            1 => ("/events", "[]".to_owned(), 400),
            2 => ("/events", with("name", json!("pusher:ping")), 400),
            3 => ("/events", with("name", json!("x".repeat(201))), 400),
            4 => ("/events", with("data", json!(long)), 413),
            5 => ("/events", with("channels", json!(many)), 400),
            6 => ("/events", with("channels", json!([])), 400),
            7 => ("/events", with("channel", json!("no spaces")), 400),
            8 => ("/events", with("socket_id", json!("1234")), 400),
            9 => (
                "/batch_events",
                json!({"batch": vec![good; 11]}).to_string(),
                400,
            ),
            10 => ("/batch_events", json!({"batch": {}}).to_string(), 400),
            11 => ("/channels", "{}".to_owned(), 405),
            12 => ("/events/more", "{}".to_owned(), 404),
            13 => {
                let list = json!(["lobby", "private-encrypted-z"]);
                ("/events", with("channels", list), 400)
            }
            _ => {
                let (params, what) = (vec![("info", "user_count".to_owned())], Api::Odd(400));
                return Draft::get("/channels".to_owned(), params, what);
            }
        };
        Draft::post(path, body, Api::Odd(status))
    }

    fn sign_and_send(&mut self, app: usize, draft: Draft) {
        let mut keys = self.pusher.keys(app);
        let mut signed_s = self.now.unix_seconds();
        let mut known = Some(app);
        let mut body = draft.body.clone();
        let mut proof = Proof::Good;
        match self.chance.below(40) {
            0 if !draft.is_bare => known = None,
            1 if !draft.is_bare => {
                // That of another app, signed with its own secret.
                proof = Proof::OtherKey;
                keys = Keys::new("key-9", "secret 9");
                if self.pusher.apps.len() > 1 {
                    keys = self.pusher.keys((app + 1) % self.pusher.apps.len());
                }
            }
            2 => {
                proof = Proof::Bad;
                keys = Keys::new(&self.pusher.apps[app].key, super::GUESSED);
            }
            3 => signed_s = signed_s.saturating_sub(self.chance.within(500, 1_000)),
            4 => signed_s += self.chance.within(500, 1_000),
            5 if !body.is_empty() => {
                // What was signed is not what is sent.
                proof = Proof::Bad;
                body.push(' ');
            }
            _ => {}
        }
        let id = known.map_or("99", |app| &self.pusher.apps[app].id);
        let path = match draft.is_bare {
            true => draft.path.clone(),
            false => format!("/apps/{id}{}", draft.path),
        };
        let params: Vec<(&str, &str)> = draft.params.iter().map(|(k, v)| (*k, &**v)).collect();
        let mut query = keys.sign_request(
            draft.method,
            &path,
            &params,
            draft.body.as_bytes(),
            signed_s,
        );
        if proof == Proof::Good && self.chance.one_in(30) {
            // A parameter more than what was signed.
            proof = Proof::Bad;
            query.push_str("&more=1");
        }
        let call = ApiCall {
            app: known,
            proof,
            signed_s,
            what: draft.what,
        };
        let target = format!("{path}?{query}");
        let call = Call::Api(call);
        if self.chance.one_in(30) && !body.is_empty() {
            return self.cut_request(("POST", &target), &[], &body, call);
        }
        let request = (draft.method, &*target, &[][..], &*body);
        self.ask_as(request, call, Signed::No, false);
    }

    /// The end of a request never comes.
    pub(in super::super) fn cut_request(
        &mut self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
        call: Call,
    ) {
        let mut row = self.row(false);
        let at = self.send_at();
        let (signed, asks_close) = (Signed::No, false);
        let bytes = body.as_bytes();
        let mut bytes = peer::request(method, target, headers, bytes, &mut self.chance);
        let length = 1 + self.chance.below(bytes.len() - 1);
        let rest = bytes.split_off(length);
        let what = What::Request {
            call,
            signed,
            asks_close,
        };
        row.send(bytes, what, at);
        row.expects_more(rest.len());
        self.knocking.push(row);
    }
}

fn event_body(event: &NewEvent) -> Value {
    let mut body = json!({"name": event.name, "data": event.data});
    if let Some(id) = &event.socket_id {
        body["socket_id"] = json!(id);
    }
    if let Some(words) = event.wants.words() {
        body["info"] = json!(words);
    }
    body
}
