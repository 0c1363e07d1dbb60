//! Clients that speak Pushi: sockets and what they say.

mod applications;
mod plan;

pub use plan::Plan;

use super::store::End;
use super::{Row, What, World};
use crate::link::Reading;
use crate::mischief;
use crate::oracle::{Chat, ChatData};
use crate::peer;
use fanwire::dialect::pushi::auth::Keys;
use fanwire::handler::ConnId;
use serde_json::{Value, json};

/// What a client of Pushi's knows.
#[derive(Debug, Clone)]
pub struct Chatter {
    app: usize,
    socket_id: Option<String>,
    /// Those that it asked for.
    channels: Vec<String>,
}

impl Chatter {
    /// The place of its app.
    pub fn app(&self) -> usize {
        self.app
    }
}

const NAMES: [&str; 10] = [
    "room",
    "room",
    "news",
    "",
    "private-desk",
    "presence-chat",
    "presence-chat",
    "presence-chat",
    "presence-hall",
    "peer-chat:ada&bob",
];

const PAIRS: [&str; 4] = [
    "peer-chat:ada&bob",
    "peer-chat:ada&cyd",
    "peer-chat:bob&cyd",
    "peer-hall:ada&bob",
];

const USERS: [&str; 4] = ["ada", "bob", "cyd", "zoë \"q\""];

impl World {
    pub(super) fn pushi_deed(&mut self) {
        if self.pushi.is_none() {
            return;
        }
        match self.chance.below(40) {
            0..=4 => self.open_chatter(),
            5..=11 => self.on_chatter(Self::chat_subscribe),
            12 | 27 => self.on_chatter(|world, chatter| {
                let mut present = chatter.channels.iter();
                let channel = match present.any(|name| name.starts_with("presence-")) {
                    true if world.chance.one_in(3) => world.chance.pick(&PAIRS).to_string(),
                    _ => world.chat_joined(chatter),
                };
                let body = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
                vec![(body, Chat::Unsubscribe(channel))]
            }),
            13..=19 => self.on_chatter(Self::chat_event),
            20 | 21 => self.on_chatter(Self::chat_latest),
            22 => self.on_chatter(|world, _| vec![world.chat_badly()]),
            23 => self.chat_ping(),
            24 if self.chance.one_in(3) => self.lose_chatter(),
            25 => {
                let ms = self.chance.within(0, 3_000);
                let asleep = self.chance.one_in(4);
                self.pass(ms, asleep);
            }
            26 if self.pushi.restarts > 0 && self.may_restart() => {
                self.pushi.restarts -= 1;
                let end = *self.chance.pick(&[End::Crash, End::PowerCut, End::InOrder]);
                self.restart(end);
            }
            _ => self.rest_deed(),
        }
    }

    /// One of the apps that are there.
    fn pushi_app(&mut self) -> usize {
        let apps = self.oracle.pushi.apps.iter().enumerate();
        let there: Vec<usize> = apps
            .filter(|(_, app)| !app.is_gone)
            .map(|(at, _)| at)
            .collect();
        match self.chance.one_in(3) {
            true => *self.chance.pick(&there),
            false => there[0],
        }
    }

    fn pushi_channel(&mut self, app: usize) -> String {
        if self.chance.one_in(7) {
            let user = USERS[[0, 0, 1, 1, 2, 3][self.chance.below(6)]];
            return format!("personal-{user}");
        }
        if self.oracle.pushi.apps[app].is_shared && !self.chance.one_in(4) {
            return self.chance.pick(&self.every_channel()).clone();
        }
        self.chance.pick(&NAMES).to_string()
    }

    fn chat_joined(&mut self, chatter: &Chatter) -> String {
        let is_present = chatter
            .channels
            .iter()
            .any(|name| name.starts_with("presence-"));
        if is_present && self.chance.one_in(3) {
            return self.chance.pick(&PAIRS).to_string();
        }
        let mut personal = chatter.channels.iter();
        let personal = personal.find(|name| name.starts_with("personal-"));
        if let Some(personal) = personal
            && self.chance.one_in(8)
        {
            return personal.clone();
        }
        match chatter.channels.is_empty() || self.chance.one_in(12) {
            true => self.pushi_channel(chatter.app),
            false => self.chance.pick(&chatter.channels).clone(),
        }
    }

    fn open_chatter(&mut self) {
        let app = self.pushi_app();
        let (known, key) = match self.chance.one_in(20) {
            true => (None, "0".repeat(64)),
            false => (Some(app), self.oracle.pushi.apps[app].key.clone()),
        };
        let mut row = self.row(true);
        let at = self.send_at();
        let before = *self.chance.pick(&["", "/anything"]);
        let after = *self.chance.pick(&["", "?x=1"]);
        let bytes = peer::handshake(&format!("{before}/{key}{after}"), &mut self.chance);
        row.send(bytes, What::Door(known), at);
        // Whoever names a key that nobody has is told so, and says no more.
        row.is_done = known.is_none();
        row.chatter = Some(Chatter {
            app,
            socket_id: None,
            channels: Vec::new(),
        });
        if self.chance.one_in(8) {
            row.link.reading = Reading::Some;
        }
        if known.is_some() && self.chance.one_in(4) {
            let words = json!({"event": "pusher:subscribe", "data": {"channel": "room"}});
            let chat = Chat::Subscribe {
                channel: "room".to_owned(),
                is_signed: false,
                data: None,
            };
            for (bytes, what) in self.chat_phrase(&words, chat) {
                row.send(bytes, what, at);
            }
        }
        self.knocking.push(row);
    }

    /// A text as frames, perhaps in fragments, or as bytes.
    fn chat_phrase(&mut self, words: &Value, chat: Chat) -> Vec<(Vec<u8>, What)> {
        let text = match words {
            Value::String(text) => text.clone(),
            words => words.to_string(),
        };
        if self.chance.one_in(20) && !text.is_empty() {
            let bytes = peer::masked(0x82, text.as_bytes(), &mut self.chance);
            return vec![(bytes, What::Chat(chat))];
        }
        let mut frames = peer::text(&text, &mut self.chance);
        let (last, _) = frames.pop().expect("one at least");
        let frames = frames.into_iter();
        let mut frames: Vec<_> = frames
            .map(|(bytes, ping)| (bytes, What::Frame(ping)))
            .collect();
        frames.push((last, What::Chat(chat)));
        frames
    }

    fn any_chatter(&mut self) -> Option<ConnId> {
        let able = |row: &Row| row.chatter.is_some() && !row.is_done && !row.is_silent;
        let there = self.conns.iter().filter(|(_, row)| able(row));
        let there: Vec<ConnId> = there.map(|(conn, _)| conn).collect();
        (!there.is_empty()).then(|| *self.chance.pick(&there))
    }

    /// Lets one of the clients say something, or several things at once.
    fn on_chatter(&mut self, words: impl Fn(&mut Self, &mut Chatter) -> Vec<(Value, Chat)>) {
        let Some(conn) = self.any_chatter() else {
            return self.open_chatter();
        };
        let row = self.conns.get(conn).expect("listed a moment ago");
        let mut chatter = row.chatter.clone().expect("chosen for that");
        let at = self.send_at();
        let mut said = words(self, &mut chatter);
        if self.chance.one_in(6) {
            let more = self.chat_event(&mut chatter);
            said.extend(more);
        }
        if self.chance.one_in(8) {
            let more = self.chat_latest(&mut chatter);
            said.extend(more);
        }
        for (words, chat) in said {
            let frames = self.chat_phrase(&words, chat);
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            for (bytes, what) in frames {
                row.send(bytes, what, at);
            }
        }
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.chatter = Some(chatter);
    }

    fn chat_data(&mut self) -> ChatData {
        self.serial += 1;
        let peer = !self.chance.one_in(3);
        let mut words = json!({"n": self.serial});
        if peer {
            words["peer"] = json!(true);
        }
        let user = match self.chance.below(16) {
            0 => None,
            1 => {
                words["user_id"] = json!(7);
                Some("7".to_owned())
            }
            at => {
                let user = USERS[at % if at == 2 { 4 } else { 3 }];
                words["user_id"] = json!(user);
                Some(user.to_owned())
            }
        };
        ChatData { user, words, peer }
    }

    fn chat_subscribe(&mut self, chatter: &mut Chatter) -> Vec<(Value, Chat)> {
        let is_present = chatter.channels.iter().any(|name| name == "presence-chat");
        let channel = match chatter.socket_id {
            // In two rooms at once, so that what holds for one is not taken for the other.
            Some(_) if is_present && self.chance.one_in(6) => "presence-hall".to_owned(),
            Some(_) => self.pushi_channel(chatter.app),
            // Nothing can be signed yet.
            None => self
                .chance
                .pick(&["room", "news", "private-desk"])
                .to_string(),
        };
        let data = (!self.chance.one_in(6)).then(|| self.chat_data());
        let app = &self.oracle.pushi.apps[chatter.app];
        let keys = Keys::new(&app.key, &app.secret);
        let id = chatter.socket_id.as_deref();
        let (auth, is_signed) = match (id, self.chance.below(40)) {
            (Some(id), 0) => (keys.sign(id, "private-other"), false),
            (Some(_), 1) => (keys.sign("1.1", &channel), false),
            (Some(id), 2) => (Keys::new(&app.key, "guessed").sign(id, &channel), false),
            (None, _) | (_, 3) => (String::new(), false),
            (Some(id), _) => (keys.sign(id, &channel), true),
        };
        chatter.channels.push(channel.clone());
        let excess = chatter.channels.len().saturating_sub(5);
        chatter.channels.drain(..excess);
        let mut body = json!({"channel": channel, "auth": auth});
        if let Some(data) = &data {
            body["channel_data"] = match self.chance.one_in(8) {
                // As Pusher's own protocol has it.
                true => json!(data.words.to_string()),
                false => data.words.clone(),
            };
        }
        let chat = Chat::Subscribe {
            channel,
            is_signed,
            data,
        };
        vec![(json!({"event": "pusher:subscribe", "data": body}), chat)]
    }

    fn chat_event(&mut self, chatter: &mut Chatter) -> Vec<(Value, Chat)> {
        let count = match self.chance.one_in(5) {
            true => 3,
            false => 1,
        };
        let mut said = Vec::new();
        for _ in 0..count {
            let channel = self.chat_joined(chatter);
            self.serial += 1;
            let length = match self.chance.below(12) {
                0 => 900,
                _ => self.chance.below(60),
            };
            let body = json!({"n": self.serial, "pad": "p".repeat(length)});
            let (data, told) = match self.chance.below(6) {
                0 => (json!("said \"so\" é"), "said \"so\" é".to_owned()),
                1 => (json!(""), String::new()),
                2 => (json!(self.serial), self.serial.to_string()),
                _ => (body.clone(), body.to_string()),
            };
            let (echo, persist) = (self.chance.one_in(3), !self.chance.one_in(4));
            let mut words = json!({"event": "typed", "channel": channel, "data": data});
            if echo || self.chance.one_in(2) {
                words["echo"] = json!(echo);
            }
            if !persist || self.chance.one_in(2) {
                words["persist"] = match persist {
                    true => json!("yes"),
                    false => json!(0),
                };
            }
            let chat = Chat::Event {
                event: "typed".to_owned(),
                channel,
                data: told,
                echo,
                persist,
            };
            said.push((words, chat));
        }
        said
    }

    fn chat_latest(&mut self, chatter: &mut Chatter) -> Vec<(Value, Chat)> {
        let channel = self.chat_joined(chatter);
        let (skip, count) = match self.chance.below(3) {
            0 => (0, 10),
            1 => (self.chance.below(4), 1 + self.chance.below(4)),
            _ => (0, 0),
        };
        let mut data = json!({"channel": channel});
        if (skip, count) != (0, 10) {
            data["skip"] = json!(skip);
            data["count"] = json!(count);
        }
        let chat = Chat::Latest {
            channel,
            skip,
            count,
        };
        vec![(json!({"event": "pusher:latest", "data": data}), chat)]
    }

    fn chat_badly(&mut self) -> (Value, Chat) {
        let bad = |channel: &str, code, is_subscription| Chat::Bad {
            channel: channel.to_owned(),
            code,
            is_subscription,
        };
        let subscribe = |data: Value| json!({"event": "pusher:subscribe", "data": data});
        match self.chance.below(14) {
            0 if self.chance.one_in(3) => (json!("no JSON"), Chat::Nonsense),
            1 if self.chance.one_in(3) => (json!("[1]"), Chat::Nonsense),
            2 if self.chance.one_in(3) => (json!({"event": 7}), Chat::Nonsense),
            3 => (json!({"event": "pusher:subscribe"}), bad("", 400, true)),
            4 => (subscribe(json!({"channel": 5})), bad("", 400, true)),
            5 => {
                let data = json!({"channel": "presence-chat", "channel_data": [1]});
                (subscribe(data), bad("presence-chat", 400, true))
            }
            6 => {
                let words = json!({"event": "e", "channel": "room"});
                (words, bad("room", 400, false))
            }
            7 => {
                let words = json!({"event": "pusher:member_added", "channel": "room", "data": 1});
                (words, bad("room", 403, false))
            }
            8 => {
                let data = json!({"channel": "room", "skip": -1});
                let words = json!({"event": "pusher:latest", "data": data});
                (words, bad("room", 400, false))
            }
            9 => {
                let long = "c".repeat(1_025);
                let data = json!({ "channel": long });
                (subscribe(data), bad("", 413, true))
            }
            10 => {
                let words = json!({"event": "x", "data": 1});
                (words, bad("", 400, false))
            }
            _ => (json!(""), Chat::Nothing),
        }
    }

    fn chat_ping(&mut self) {
        let Some(conn) = self.any_chatter() else {
            return;
        };
        let at = self.send_at();
        let bytes = peer::masked(0x89, b"there?", &mut self.chance);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.send(bytes, What::Frame(Some(b"there?".to_vec())), at);
    }

    fn lose_chatter(&mut self) {
        let Some(conn) = self.any_chatter() else {
            return;
        };
        let at = self.send_at();
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        match self.chance.below(6) {
            0 => {
                row.is_done = true;
                let bytes = peer::close(1000, &mut self.chance);
                row.send(bytes, What::Close(1000), at);
            }
            1 => {
                row.is_done = true;
                let junk = mischief::frame_junk(self.message_bytes, &mut self.chance);
                row.send(junk, What::Junk, at);
            }
            2 => {
                row.is_done = true;
                row.link.is_reset = true;
            }
            3 => {
                row.is_done = true;
                row.link.is_finished = true;
            }
            4 => {
                row.is_silent = true;
                row.link.cut(&mut self.chance);
            }
            _ => row.is_silent = true,
        }
    }

    /// A socket of Pushi's was told something; it learns who it is.
    pub fn heard_chat(&mut self, conn: ConnId, text: &str) {
        let words: Value = serde_json::from_str(text).expect("compared before");
        if words["event"] != "pusher:connection_established" {
            return;
        }
        let data = words["data"].as_str().expect("a text");
        let data: Value = serde_json::from_str(data).expect("compared before");
        let row = self.conns.get_mut(conn).expect("it has just heard");
        if let Some(chatter) = &mut row.chatter {
            chatter.socket_id = data["socket_id"].as_str().map(str::to_owned);
        }
    }
}
