//! Clients and applications that speak Pusher: which apps there are in a run, and what is done in
//! them.

mod applications;
mod plan;

pub use plan::Plan;

use super::{Row, What, World};
use crate::link::Reading;
use crate::mischief;
use crate::oracle::{Member, MemberOf, Opening, Say, SignIn};
use crate::peer;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::handler::ConnId;
use serde_json::{Value, json};

/// What a client of Pusher's knows.
#[derive(Debug, Clone)]
pub struct Talker {
    app: usize,
    socket_id: Option<String>,
    /// Those that it asked for.
    channels: Vec<String>,
}

/// A secret that is nobody's.
const GUESSED: &str = "guessed";

const OWN: [&str; 7] = [
    "lobby",
    "cache-news",
    "private-desk",
    "private-cache-x",
    "presence-room",
    "presence-cache-hall",
    "private-encrypted-z",
];

impl World {
    pub(super) fn pusher_deed(&mut self) {
        if self.pusher.crowd > 0 && self.chance.one_in(20) {
            self.crowd();
        }
        match self.chance.below(30) {
            0..=4 => self.open_talker(),
            5..=11 => self.on_talker(|world, talker| world.subscribe(talker)),
            12 => self.on_talker(|world, talker| {
                let channel = world.joined(talker);
                let body = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
                vec![(body, Say::Unsubscribe(channel))]
            }),
            13..=15 => self.on_talker(|world, talker| world.client_events(talker)),
            16 | 17 => self.on_talker(|world, talker| world.sign_in(talker)),
            18 if self.chance.one_in(3) => self.send_frame(),
            18 => self.on_talker(|world, _| world.small_talk()),
            19 if self.chance.one_in(3) => self.lose_talker(),
            20 => {
                let ms = self.chance.within(0, 3_000);
                let asleep = self.chance.one_in(4);
                self.pass(ms, asleep);
            }
            _ => self.application_deed(),
        }
    }

    fn app(&mut self) -> usize {
        match self.chance.one_in(20) {
            true => self.pusher.apps.len() - 1,
            false => self.chance.below(self.pusher.apps.len() - 1),
        }
    }

    fn pusher_channel(&mut self, app: usize) -> String {
        if self.chance.one_in(15) {
            let odd = [
                "",
                "no spaces",
                "pri:vate",
                "#server-to-user-ada",
                "#server-to-user-",
                "é",
            ];
            return self.chance.pick(&odd).to_string();
        }
        match self.pusher.apps[app].is_shared {
            true => self.chance.pick(&self.every_channel()).clone(),
            false => self.chance.pick(&OWN).to_string(),
        }
    }

    /// A channel that the client thinks it is in, mostly.
    fn joined(&mut self, talker: &Talker) -> String {
        match talker.channels.is_empty() || self.chance.one_in(5) {
            true => self.pusher_channel(talker.app),
            false => self.chance.pick(&talker.channels).clone(),
        }
    }

    fn open_talker(&mut self) {
        let app = self.app();
        let (known, key) = match self.chance.one_in(20) {
            true => (None, "nobodys".to_owned()),
            false => (Some(app), self.pusher.apps[app].key.clone()),
        };
        let (query, fault) = match self.chance.below(40) {
            0 => ("protocol=3", Some(4007)),
            1 => ("protocol=seven", Some(4006)),
            2 => ("protocol=&version=8.6.0", Some(4006)),
            3 if known.is_some() => ("client=js", Some(4008)),
            4 if known.is_some() => ("client=js&version=8.6.0", None),
            5..=9 => ("protocol=5", None),
            _ => ("protocol=7&client=js&version=8.6.0&flash=false", None),
        };
        let mut row = self.row(true);
        let at = self.send_at();
        let target = format!("/app/{key}?{query}");
        let bytes = peer::handshake(&target, &mut self.chance);
        let opening = Opening { app: known, fault };
        row.send(bytes, What::Opening(opening), at);
        row.talker = Some(Talker {
            app,
            socket_id: None,
            channels: Vec::new(),
        });
        if self.chance.one_in(8) {
            row.link.reading = Reading::Some;
        }
        if self.chance.one_in(4) {
            self.say(
                &mut row,
                &json!({"event": "pusher:ping", "data": ""}),
                Say::Ping,
            );
        }
        self.knocking.push(row);
    }

    /// Many open sockets and want to be in one channel.
    fn crowd(&mut self) {
        let count = std::mem::take(&mut self.pusher.crowd);
        for _ in 0..count {
            let mut row = self.row(true);
            let at = self.now.mono.0 + self.chance.within(0, 2_000);
            let target = format!("/app/{}?protocol=7", self.pusher.apps[0].key);
            let bytes = peer::handshake(&target, &mut self.chance);
            let opening = Opening {
                app: Some(0),
                fault: None,
            };
            row.send(bytes, What::Opening(opening), at);
            let say = Say::Subscribe {
                channel: "lobby".to_owned(),
                is_signed: false,
                member: Member::None,
            };
            let words = json!({"event": "pusher:subscribe", "data": {"channel": "lobby"}});
            self.say(&mut row, &words, say);
            row.talker = Some(Talker {
                app: 0,
                socket_id: None,
                channels: vec!["lobby".to_owned()],
            });
            self.knocking.push(row);
        }
        self.pass(2_500, false);
    }

    /// A text as frames, perhaps in fragments.
    fn phrase(&mut self, words: &Value, say: Say) -> Vec<(Vec<u8>, What)> {
        let text = match words {
            Value::String(text) => text.clone(),
            words => words.to_string(),
        };
        let mut frames = peer::text(&text, &mut self.chance);
        let (last, _) = frames.pop().expect("one at least");
        let frames = frames.into_iter();
        let mut frames: Vec<_> = frames
            .map(|(bytes, ping)| (bytes, What::Frame(ping)))
            .collect();
        frames.push((last, What::Say(say)));
        frames
    }

    fn say(&mut self, row: &mut Row, words: &Value, say: Say) {
        let at = self.send_at();
        for (bytes, what) in self.phrase(words, say) {
            row.send(bytes, what, at);
        }
    }

    /// Lets one of the clients say something.
    fn on_talker(&mut self, words: impl FnOnce(&mut Self, &mut Talker) -> Vec<(Value, Say)>) {
        let able = |row: &Row| row.talker.is_some() && !row.is_done && !row.is_silent;
        let there = self.conns.iter().filter(|(_, row)| able(row));
        let there: Vec<ConnId> = there.map(|(conn, _)| conn).collect();
        if there.is_empty() {
            return self.open_talker();
        }
        let conn = *self.chance.pick(&there);
        let row = self.conns.get(conn).expect("listed a moment ago");
        let mut talker = row.talker.clone().expect("chosen for that");
        let (words, at) = (words(self, &mut talker), self.send_at());
        for (words, say) in words {
            let frames = self.phrase(&words, say);
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            for (bytes, what) in frames {
                row.send(bytes, what, at);
            }
        }
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.talker = Some(talker);
    }

    fn subscribe(&mut self, talker: &mut Talker) -> Vec<(Value, Say)> {
        let channel = self.pusher_channel(talker.app);
        let (member, data) = match self.chance.below(12) {
            0 | 1 => (Member::None, None),
            2 => (Member::Unusable, Some(json!({"user_info": 1}).to_string())),
            3 => (Member::Unusable, Some("not JSON".to_owned())),
            _ => {
                let user = match self.chance.one_in(5) {
                    true => json!(7),
                    false => json!(self.user()),
                };
                let info = self.info_of_self();
                let mut data = json!({ "user_id": user });
                if let Some(info) = &info {
                    data["user_info"] = info.clone();
                }
                let user = user.as_str().map_or("7".to_owned(), str::to_owned);
                (Member::Of(MemberOf { user, info }), Some(data.to_string()))
            }
        };
        let keys = self.pusher.keys(talker.app);
        let id = talker.socket_id.as_deref();
        let (auth, is_signed) = match (id, self.chance.below(12)) {
            (Some(id), 0) => (keys.channel_auth(id, "private-other", None), false),
            (Some(_), 1) => (keys.channel_auth("1.1", &channel, data.as_deref()), false),
            (Some(id), 2) => {
                let other = Keys::new("key-1", GUESSED);
                (other.channel_auth(id, &channel, data.as_deref()), false)
            }
            (Some(id), 3) if data.is_some() && channel.starts_with("presence-") => {
                let data = json!({"user_id": "boss"}).to_string();
                (keys.channel_auth(id, &channel, Some(&data)), false)
            }
            (None, _) | (_, 4) => (String::new(), false),
            (Some(id), _) => (keys.channel_auth(id, &channel, data.as_deref()), true),
        };
        talker.channels.push(channel.clone());
        let excess = talker.channels.len().saturating_sub(4);
        talker.channels.drain(..excess);
        let data = json!({"channel": channel, "auth": auth, "channel_data": data});
        // Some clients send the data of a message as text.
        let data = match self.chance.one_in(10) {
            true => json!(data.to_string()),
            false => data,
        };
        let say = Say::Subscribe {
            channel,
            is_signed,
            member,
        };
        vec![(json!({"event": "pusher:subscribe", "data": data}), say)]
    }

    fn info_of_self(&mut self) -> Option<Value> {
        match self.chance.below(4) {
            0 => None,
            1 => Some(json!("just a text")),
            _ => {
                self.serial += 1;
                Some(json!({"name": "Zoë \"Q\"", "n": self.serial}))
            }
        }
    }

    fn client_events(&mut self, talker: &Talker) -> Vec<(Value, Say)> {
        let channel = self.joined(talker);
        let count = match self.chance.one_in(6) {
            true => 14,
            false => 1,
        };
        let one = |world: &mut Self| {
            world.serial += 1;
            let length = match world.chance.below(12) {
                0 => 2_000,
                1 => 300,
                _ => world.chance.below(60),
            };
            let body = json!({"n": world.serial, "pad": "e".repeat(length)});
            let (data, told) = match world.chance.below(3) {
                0 => (json!("typed \"so\" é"), "typed \"so\" é".to_owned()),
                _ => (body.clone(), body.to_string()),
            };
            let event = match world.chance.one_in(20) {
                true => format!("client-{}", "l".repeat(194)),
                false => "client-typing".to_owned(),
            };
            let mut words = json!({"event": event, "channel": channel, "data": data});
            if world.chance.one_in(4) {
                words["user_id"] = json!("boss");
            }
            let say = Say::Event {
                event,
                channel: channel.clone(),
                data: told,
            };
            (words, say)
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn sign_in(&mut self, talker: &Talker) -> Vec<(Value, Say)> {
        let Some(id) = talker.socket_id.clone() else {
            return self.small_talk();
        };
        let user = match self.chance.below(15) {
            0 => self.user(),
            at => ["ada", "bob", "cyd"][at % 3].to_owned(),
        };
        let (info, watchlist) = (self.info_of_self(), ["bob", "ada", "cyd", "dan", "bob"]);
        let watchlist = &watchlist[..self.chance.below(watchlist.len() + 1)];
        let watchlist: Vec<String> = watchlist.iter().map(|user| user.to_string()).collect();
        let mut data = json!({"id": user, "watchlist": watchlist});
        if let Some(info) = &info {
            data["user_info"] = info.clone();
        }
        let text = data.to_string();
        let keys = self.pusher.keys(talker.app);
        let (auth, is_signed) = match self.chance.below(15) {
            0 => (keys.signin_auth("1.1", &text), false),
            1 => (keys.channel_auth(&id, "private-desk", None), false),
            _ => (keys.signin_auth(&id, &text), true),
        };
        let words = json!({
            "event": "pusher:signin", "data": {"auth": auth, "user_data": text},
        });
        let sign_in = SignIn {
            user,
            info,
            watchlist,
            text,
        };
        vec![(words, Say::SignIn(is_signed.then_some(sign_in)))]
    }

    fn small_talk(&mut self) -> Vec<(Value, Say)> {
        let (words, say) = match self.chance.below(9) {
            0 => (json!({"event": "pusher:ping", "data": {}}), Say::Ping),
            1 => (json!({"event": "pusher:pong"}), Say::Pong),
            2 => (json!("no JSON"), Say::Nonsense),
            3 => (json!("[1, 2]"), Say::Nonsense),
            4 => (json!("{\"event\": 7}"), Say::Nonsense),
            5 => (json!({"event": "pusher:subscribe"}), Say::Nonsense),
            6 => {
                let data = json!({"channel": {"deep": []}});
                let words = json!({"event": "pusher:subscribe", "data": data});
                (words, Say::Nonsense)
            }
            7 => {
                let words = json!({
                    "event": "pusher_internal:member_removed", "channel": "presence-room",
                    "data": "{\"user_id\":\"ada\"}",
                });
                (words, Say::Nonsense)
            }
            _ => (
                json!({"event": "pusher:signin", "data": 3}),
                Say::SignIn(None),
            ),
        };
        vec![(words, say)]
    }

    /// Bytes, which mean nothing here, or a ping of WebSocket itself.
    fn send_frame(&mut self) {
        let able = |row: &Row| row.talker.is_some() && !row.is_done && !row.is_silent;
        let there = self.conns.iter().filter(|(_, row)| able(row));
        let there: Vec<ConnId> = there.map(|(conn, _)| conn).collect();
        if there.is_empty() {
            return;
        }
        let (conn, at) = (*self.chance.pick(&there), self.send_at());
        let (first, what) = match self.chance.one_in(2) {
            true => (0x82, What::Say(Say::Bytes)),
            false => (0x89, What::Frame(Some(b"there?".to_vec()))),
        };
        let bytes = peer::masked(first, b"there?", &mut self.chance);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.send(bytes, what, at);
    }

    /// A client goes: with a Close, without a word, or so that nobody notices.
    fn lose_talker(&mut self) {
        let able = |row: &Row| row.talker.is_some() && !row.is_done && !row.is_silent;
        let there = self.conns.iter().filter(|(_, row)| able(row));
        let there: Vec<ConnId> = there.map(|(conn, _)| conn).collect();
        if there.is_empty() {
            return;
        }
        let (conn, at) = (*self.chance.pick(&there), self.send_at());
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        match self.chance.below(5) {
            0 => {
                row.is_done = true;
                let code = *self.chance.pick(&[1000, 1001, 4999]);
                let bytes = peer::close(code, &mut self.chance);
                row.send(bytes, What::Close(code), at);
            }
            3 => {
                row.is_done = true;
                let junk = mischief::frame_junk(self.message_bytes, &mut self.chance);
                row.send(junk, What::Junk, at);
            }
            1 => {
                row.is_done = true;
                row.link.is_reset = true;
            }
            2 => {
                row.is_done = true;
                row.link.is_finished = true;
            }
            _ => {
                row.is_silent = true;
                if self.chance.one_in(3) {
                    self.pass(45_000, false);
                }
            }
        }
    }

    /// A socket of Pusher's was told something; it learns who it is.
    pub fn heard_said(&mut self, conn: ConnId, text: &str) {
        let words: Value = serde_json::from_str(text).expect("compared before");
        if words["event"] != "pusher:connection_established" {
            return;
        }
        let data = words["data"].as_str().expect("a text");
        let data: Value = serde_json::from_str(data).expect("compared before");
        let row = self.conns.get_mut(conn).expect("it has just heard");
        if let Some(talker) = &mut row.talker {
            talker.socket_id = data["socket_id"].as_str().map(str::to_owned);
        }
    }
}
