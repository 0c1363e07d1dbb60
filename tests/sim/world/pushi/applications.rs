//! Applications that speak Pushi: they log in, publish, and look after records.

use super::super::World;
use super::USERS;
use crate::oracle::{Call, Rest, RestCall, Session, SidOf, Signed};
use fanwire::dialect::pushi::auth::Keys;
use fanwire::store::RecordKind;
use serde_json::{Map, Value, json};

/// A request before its session is named.
struct Draft {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    what: Rest,
}

fn get(path: &str, what: Rest) -> Draft {
    Draft {
        method: "GET",
        path: path.to_owned(),
        query: Vec::new(),
        body: None,
        what,
    }
}

/// Everything but letters and digits is escaped.
fn escaped(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    each.collect()
}

impl World {
    pub(super) fn rest_deed(&mut self) {
        let sid = self.any_session();
        let app = match sid {
            SidOf::Session(place) => self.oracle.pushi.sessions[place].app,
            SidOf::Nobody | SidOf::Garbage => self.pushi_app(),
        };
        let draft = match self.chance.below(30) {
            _ if sid == SidOf::Nobody && !self.chance.one_in(3) => self.login(),
            0 | 1 => self.login(),
            2 if self.chance.one_in(2) => get("/logout", Rest::Logout),
            3..=9 => self.rest_publish(app),
            10 | 11 => {
                let count = *self.chance.pick(&[0, 3, 10]);
                let query = vec![("count", count.to_string())];
                Draft {
                    query,
                    ..get("/events", Rest::Events { count })
                }
            }
            12..=15 => self.put_record(app),
            16 | 17 | 26 => self.delete_record(),
            18 | 19 => self.list_records(),
            20 => {
                let known = self
                    .conns
                    .iter()
                    .filter_map(|(_, row)| row.chatter.as_ref());
                let known: Vec<String> = known.filter_map(|c| c.socket_id.clone()).collect();
                let id = match known.is_empty() || self.chance.one_in(6) {
                    true => self.fresh_id(),
                    false => self.chance.pick(&known).clone(),
                };
                Draft {
                    method: ["GET", "POST"][self.chance.below(2)],
                    ..get(&format!("/sockets/{id}"), Rest::Socket(id))
                }
            }
            21 => self.new_app(),
            22 | 25 => self.show_or_change(app),
            23 => get("/health/detailed", Rest::Health),
            24 => self.rest_badly(),
            _ => self.rest_publish(app),
        };
        self.send_rest(sid, draft);
    }

    /// Mostly a session that is good.
    fn any_session(&mut self) -> SidOf {
        let count = self.oracle.pushi.sessions.len();
        let known: Vec<usize> = (0..count)
            .filter(|&place| self.oracle.known(&Session::placeholder(place)).is_some())
            .collect();
        match self.chance.below(30) {
            0 => SidOf::Nobody,
            1 => SidOf::Garbage,
            _ if known.is_empty() => SidOf::Nobody,
            2 => SidOf::Session(*self.chance.pick(&known)),
            _ => {
                let from = known.len().saturating_sub(4);
                SidOf::Session(*self.chance.pick(&known[from..]))
            }
        }
    }

    fn login(&mut self) -> Draft {
        let mut app = self.pushi_app();
        let last = self.oracle.pushi.apps.len() - 1;
        if self.chance.one_in(3) && !self.oracle.pushi.apps[last].is_gone {
            // One that was made not long ago.
            app = last;
        }
        let known = &self.oracle.pushi.apps[app];
        let is_right = !self.chance.one_in(8);
        let secret = match is_right {
            true => known.secret.clone(),
            false => "guessed".to_owned(),
        };
        let query = vec![
            ("app_id", escaped(&known.ident)),
            ("app_key", known.key.clone()),
            ("app_secret", escaped(&secret)),
        ];
        Draft {
            method: ["GET", "POST"][self.chance.below(2)],
            query,
            ..get("/login", Rest::Login { app, is_right })
        }
    }

    fn rest_publish(&mut self, app: usize) -> Draft {
        self.serial += 1;
        let count = match self.chance.below(3) {
            0 => 1 + self.chance.below(4),
            _ => 1,
        };
        let length = match self.chance.below(10) {
            // Much for many channels would be told over several turns, which is not modelled.
            0 if count > 1 => self.chance.below(self.padding_max.min(2_000)),
            0 => self.chance.below(self.padding_max),
            _ => self.chance.below(50),
        };
        let body = json!({"n": self.serial, "pad": "r".repeat(length)});
        let (data, told) = match self.chance.below(3) {
            0 => (json!("sent \"so\" é"), "sent \"so\" é".to_owned()),
            _ => (body.clone(), body.to_string()),
        };
        let channels: Vec<String> = (0..count).map(|_| self.pushi_channel(app)).collect();
        let mut words = json!({ "data": data });
        let mut extra = Map::new();
        let name = match self.chance.one_in(4) {
            true => "message".to_owned(),
            false => {
                let name = match self.chance.one_in(12) {
                    // The server's own: refused.
                    true => "pusher:member_added",
                    false => *self.chance.pick(&["news", "a \"b\"", "member_added"]),
                };
                words["event"] = json!(name);
                name.to_owned()
            }
        };
        let is_named = channels.len() > 1 || !channels[0].is_empty();
        let channels = match (channels.len(), is_named, self.chance.one_in(8)) {
            (1, _, true) | (1, false, _) => vec!["global".to_owned()],
            (1, ..) if self.chance.one_in(2) => {
                words["channel"] = json!(channels[0]);
                channels
            }
            _ => {
                words["channel"] = json!(channels);
                channels
            }
        };
        let persist = !self.chance.one_in(4);
        if !persist || self.chance.one_in(2) {
            words["persist"] = json!(persist);
            extra.insert("persist".to_owned(), json!(persist));
        }
        if self.chance.one_in(5) {
            words["more"] = json!({"a": [1, "é"]});
            extra.insert("more".to_owned(), words["more"].clone());
        }
        Draft {
            method: "POST",
            body: Some(words),
            ..get(
                "/events",
                Rest::Publish {
                    name,
                    data: told,
                    channels,
                    persist,
                    extra,
                },
            )
        }
    }

    /// Which records, and what their path and their target are called.
    fn kind(&mut self) -> (RecordKind, &'static str, &'static str) {
        *self.chance.pick(&[
            (RecordKind::Subscription, "subscriptions", "user_id"),
            (RecordKind::Subscription, "subscriptions", "user_id"),
            (RecordKind::Subscription, "subscriptions", "user_id"),
            (RecordKind::Web, "webs", "url"),
            (RecordKind::Smtp, "smtps", "email"),
        ])
    }

    fn target(&mut self, kind: RecordKind) -> String {
        match kind {
            RecordKind::Subscription => {
                USERS[[0, 0, 0, 1, 1, 2, 3][self.chance.below(7)]].to_owned()
            }
            _ => self
                .chance
                .pick(&[
                    "https://a.example/in?x=1",
                    "https://b.example/",
                    "c@d.example",
                ])
                .to_string(),
        }
    }

    /// A channel that somebody may be told of.
    fn told_channel(&mut self) -> String {
        if self.chance.one_in(2) {
            return "room".to_owned();
        }
        self.chance
            .pick(&[
                "news",
                "a",
                "b",
                "private-desk",
                "presence-chat",
                "peer-chat:ada&bob",
                "personal-bob",
                "personal-ada",
            ])
            .to_string()
    }

    fn put_record(&mut self, app: usize) -> Draft {
        let (kind, path, field) = self.kind();
        let (target, channel) = (self.target(kind), self.told_channel());
        let mut body = json!({"event": channel});
        body[field] = json!(target);
        let mut query = Vec::new();
        let (mut is_signed, mut replaces) = (false, false);
        if kind != RecordKind::Subscription {
            let app = &self.oracle.pushi.apps[app];
            let secret = match self.chance.one_in(6) {
                true => "guessed",
                false => &app.secret,
            };
            is_signed = secret != "guessed";
            let keys = Keys::new(&app.key, secret);
            query.push(("auth", escaped(&keys.sign(&target, &channel))));
            replaces = self.chance.one_in(3);
            if replaces || self.chance.one_in(2) {
                let word = if replaces { "True" } else { "False" };
                query.push(("unsubscribe", word.to_owned()));
            }
        }
        Draft {
            method: "POST",
            query,
            body: Some(body),
            ..get(
                &format!("/{path}"),
                Rest::Put {
                    kind,
                    target,
                    channel,
                    is_signed,
                    replaces,
                },
            )
        }
    }

    fn delete_record(&mut self) -> Draft {
        let (kind, path, _) = self.kind();
        let (target, channel) = (self.target(kind), self.told_channel());
        let is_one = kind == RecordKind::Subscription || !self.chance.one_in(3);
        let channel = is_one.then_some(channel);
        let force = is_one && self.chance.one_in(4);
        let mut path = format!("/{path}/{}", escaped(&target));
        if let Some(channel) = &channel {
            path = format!("{path}/{}", escaped(channel));
        }
        let query = match force {
            true => vec![("force", "1".to_owned())],
            false => Vec::new(),
        };
        Draft {
            method: "DELETE",
            query,
            ..get(
                &path,
                Rest::Delete {
                    kind,
                    target,
                    channel,
                    force,
                },
            )
        }
    }

    fn list_records(&mut self) -> Draft {
        let (kind, path, field) = self.kind();
        let target = self.chance.one_in(2).then(|| self.target(kind));
        let channel = self.chance.one_in(3).then(|| self.told_channel());
        let mut query = Vec::new();
        query.extend(target.iter().map(|target| (field, escaped(target))));
        query.extend(channel.iter().map(|channel| ("event", escaped(channel))));
        Draft {
            query,
            ..get(
                &format!("/{path}"),
                Rest::Records {
                    kind,
                    target,
                    channel,
                },
            )
        }
    }

    fn new_app(&mut self) -> Draft {
        if self.oracle.pushi.apps.len() > 5 {
            return get("/health/detailed", Rest::Health);
        }
        let name = self.chance.pick(&["first", "second", "third"]).to_string();
        Draft {
            method: "POST",
            body: Some(json!({ "name": name })),
            ..get("/apps", Rest::NewApp { name })
        }
    }

    fn show_or_change(&mut self, app: usize) -> Draft {
        let known = &self.oracle.pushi.apps[app];
        let path = format!("/apps/{}", known.ident);
        if known.made.is_none() || self.chance.one_in(4) {
            return get(&path, Rest::Show);
        }
        self.serial += 1;
        let description = json!(format!("changed {} times", self.serial));
        Draft {
            method: "PUT",
            body: Some(json!({ "description": description })),
            ..get(&path, Rest::Update { description })
        }
    }

    /// Logged in, and wrong all the same.
    fn rest_badly(&mut self) -> Draft {
        let odd = |status, errors| Rest::Odd { status, errors };
        let post = |path, body: Value, what| Draft {
            method: "POST",
            body: Some(body),
            ..get(path, what)
        };
        match self.chance.below(8) {
            0 => post("/events", json!({"data": ""}), odd(400, None)),
            1 => post("/events", json!({"data": 1, "mid": "x"}), odd(400, None)),
            2 => post(
                "/events",
                json!({"data": 1, "channel": {"a": 1}}),
                odd(400, None),
            ),
            3 => {
                let errors = json!({"user_id": ["value is not set"], "event": ["value is empty"]});
                post(
                    "/subscriptions",
                    json!({"event": ""}),
                    odd(400, Some(errors)),
                )
            }
            4 => get("/events/more", Rest::Nowhere),
            5 => Draft {
                query: vec![("count", "many".to_owned())],
                ..get("/events", odd(400, None))
            },
            6 => get("/apps/another", odd(404, None)),
            _ => post("/events", json!("no object"), odd(400, None)),
        }
    }

    fn send_rest(&mut self, sid: SidOf, draft: Draft) {
        let token = match sid {
            SidOf::Nobody => None,
            SidOf::Garbage => Some("9".repeat(64)),
            SidOf::Session(place) => self.oracle.known(&Session::placeholder(place)).cloned(),
        };
        let mut headers: Vec<(&str, &str)> = Vec::new();
        let mut query = draft.query;
        let cookie;
        if let Some(token) = &token {
            match self.chance.below(3) {
                0 => headers.push(("X-Session-Id", token)),
                1 => query.push(("sid", token.clone())),
                _ => {
                    cookie = format!("a=b; sid={token}");
                    headers.push(("Cookie", &cookie));
                }
            }
        }
        let body = draft.body.map_or(String::new(), |body| body.to_string());
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let words: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let target = match words.is_empty() {
            true => draft.path,
            false => format!("{}?{}", draft.path, words.join("&")),
        };
        let call = Call::Rest(RestCall {
            sid,
            what: draft.what,
        });
        if self.chance.one_in(30) && !body.is_empty() {
            return self.cut_request((draft.method, &target), &headers, &body, call);
        }
        let request = (draft.method, &*target, &headers[..], &*body);
        self.ask_as(request, call, Signed::No, false);
    }
}
