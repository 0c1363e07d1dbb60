//! What clients do: each deed is drawn, and so is everything about it.

use super::{DAY_MS, Row, Sent, What, World};
use crate::chance::Chance;
use crate::link::{Link, Reading};
use crate::mischief::{self, ODD};
use crate::oracle::{Call, Info, Message, Settings, Signed};
use crate::peer::{self, Inbox};
use fanwire::engine::Publication;
use fanwire::handler::{ConnId, Origin};
use serde_json::{Value, json};

impl World {
    pub(super) fn deed(&mut self) {
        let total: u64 = self.weights.iter().sum();
        let mut at = self.chance.within(0, total - 1);
        let mut deed = 0;
        while at >= self.weights[deed] {
            at -= self.weights[deed];
            deed += 1;
        }
        match deed {
            0 => self.ask_connect(),
            1 => self.open_socket(),
            2 | 3 => self.ask_subscribe(),
            4 => self.ask_unsubscribe(),
            5..=7 => self.ask_publish(),
            8 => self.ask_info(),
            9 => self.ask_disconnect(),
            10 => self.ask_odd(),
            11 => self.http_junk(),
            12 => self.on_socket(|world, row, at| {
                let junk = mischief::frame_junk(world.1, &mut world.0);
                row.is_done = true;
                row.send(junk, What::Junk, at);
            }),
            13 => self.on_socket(|world, row, at| {
                let length = world.0.below(200);
                for (bytes, ping) in peer::text(&"tü".repeat(length), &mut world.0) {
                    row.send(bytes, What::Frame(ping), at);
                }
            }),
            14 => self.on_socket(|world, row, at| {
                row.is_done = true;
                let code = *world.0.pick(&[1000, 1001, 3000, 4999]);
                row.send(peer::close(code, &mut world.0), What::Close(code), at);
            }),
            15 => self.on_any(|chance, row| {
                row.is_silent = true;
                if chance.one_in(2) {
                    row.link.cut(chance);
                }
            }),
            16 => self.on_any(|chance, row| {
                if chance.one_in(2) {
                    row.link.is_reset = true;
                } else {
                    row.link.is_finished = true;
                }
                row.is_done = true;
            }),
            17 => self.on_any(|chance, row| {
                row.link.reading = match chance.below(3) {
                    0 => Reading::Stopped(chance.below(3_000)),
                    _ => Reading::Some,
                };
            }),
            18 => self.read_again(),
            19 => self.on_socket(|world, row, at| {
                let payload = vec![b'p'; world.0.below(126)];
                let bytes = peer::masked(0x89, &payload, &mut world.0);
                row.send(bytes, What::Frame(Some(payload)), at);
            }),
            20 => {
                let ms = match self.chance.below(4) {
                    0 => self.chance.within(500, 2_000),
                    1 => self.chance.within(5_000, 20_000),
                    2 => self.chance.within(20_000, 100_000),
                    _ if self.chance.one_in(4) => DAY_MS,
                    _ => 900_000,
                };
                let asleep = self.chance.one_in(3);
                self.note(format!(
                    "{ms} ms pass{}",
                    if asleep { " asleep" } else { "" }
                ));
                self.pass(ms, asleep);
            }
            21 => {
                let step = self.chance.within(0, 200_000_000);
                self.wall_offset_micros -= step;
                if self.chance.one_in(2) {
                    self.wall_offset_micros += step + self.chance.within(0, 50_000_000);
                }
            }
            22 => {
                let message = self.message(true);
                let publication = Publication {
                    user: message.user.clone(),
                    channel: message.channel.clone().unwrap_or_default(),
                    message: message.body.clone().unwrap_or_default().to_string(),
                };
                let message = Message {
                    id: None,
                    only: Vec::new(),
                    except: Vec::new(),
                    no_history: false,
                    body: Some(message.body.clone().unwrap_or_default()),
                    ..message
                };
                self.mail.push((publication, message));
            }
            23 => self.burst(),
            24 => self.ask_edit(),
            25 => self.ask_delete(),
            26 => self.ask_user_state(),
            _ => self.ask_configure(),
        }
    }

    pub(super) fn send_at(&mut self) -> u64 {
        self.now.mono.0 + self.chance.within(0, self.delay_ms)
    }

    /// Does something with one of the connections that are there.
    fn on_any(&mut self, deed: impl FnOnce(&mut Chance, &mut Row)) {
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        if conns.is_empty() {
            return;
        }
        let conn = *self.chance.pick(&conns);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        deed(&mut self.chance, row);
    }

    /// Lets the client of one open socket do something.
    fn on_socket(&mut self, deed: impl FnOnce(&mut (Chance, usize), &mut Row, u64)) {
        let open = |(_, row): &(ConnId, &Row)| {
            let is_own = row.talker.is_none() && row.chatter.is_none();
            row.is_socket && is_own && !row.is_done && !row.is_silent
        };
        let conns: Vec<ConnId> = self
            .conns
            .iter()
            .filter(open)
            .map(|(conn, _)| conn)
            .collect();
        if conns.is_empty() {
            return;
        }
        let conn = *self.chance.pick(&conns);
        let at = self.send_at();
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        let mut lent = (self.chance.clone(), self.message_bytes);
        deed(&mut lent, row, at);
        self.chance = lent.0;
    }

    fn read_again(&mut self) {
        let conns: Vec<ConnId> = self.conns.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            if self.chance.one_in(3) {
                continue;
            }
            let row = self.conns.get_mut(conn).expect("listed a moment ago");
            if self.chance.one_in(2) {
                row.link.reading = Reading::All;
            }
            if !row.is_writable {
                row.is_writable = true;
                self.out.mark(conn);
            }
        }
    }

    pub(super) fn row(&mut self, is_socket: bool) -> Row {
        let may_sign = is_socket || !self.chance.one_in(12);
        let address = if may_sign {
            "127.0.0.1:9"
        } else {
            "192.0.2.1:9"
        };
        Row {
            from: Origin {
                peer: address.parse().ok(),
                tls: false,
            },
            may_sign,
            is_socket,
            is_done: false,
            is_silent: false,
            link: Link::new(),
            inbox: Inbox::default(),
            held_back: None,
            listens: None,
            talker: None,
            chatter: None,
            units: std::collections::VecDeque::new(),
            written: 0,
            delivered: 0,
            digested: 0,
            opened_ms: self.now.mono.0,
            last_read_ms: self.now.mono.0,
            began_ms: None,
            admitted_s: None,
            is_turned_away: false,
            is_writable: true,
            held: false,
            resume_due: false,
            has_ended: false,
            lingering_until: None,
            discarded: 0,
            stuck_since_ms: None,
            dead: None,
        }
    }

    /// Lets a client that speaks HTTP send something: one that is there, or a fresh one.
    fn send(&mut self, bytes: Vec<u8>, what: What, is_last: bool) {
        let at = self.send_at();
        let able =
            |row: &Row| !row.is_socket && !row.is_done && !row.is_silent && row.listens.is_none();
        let there: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, row)| able(row))
            .map(|(conn, _)| conn)
            .collect();
        if there.is_empty() || self.chance.one_in(6) {
            let mut row = self.row(false);
            row.send(bytes, what, at);
            row.is_done = is_last;
            self.knocking.push(row);
            return;
        }
        let conn = *self.chance.pick(&there);
        let row = self.conns.get_mut(conn).expect("listed a moment ago");
        row.send(bytes, what, at);
        row.is_done = is_last;
    }

    /// Sends a request of the server API.
    pub(super) fn ask(&mut self, method: &str, target: &str, body: &str, call: Call) {
        let signed = match self.chance.below(25) {
            0 => Signed::No,
            1 => Signed::Wrongly,
            _ => Signed::At(self.now.unix_seconds()),
        };
        self.ask_as((method, target, &[], body), call, signed, false);
    }

    /// Sends a request: method, target, headers and body.
    pub(super) fn ask_as(
        &mut self,
        (method, target, headers, body): (&str, &str, &[(&str, &str)], &str),
        call: Call,
        signed: Signed,
        closes: bool,
    ) {
        let secret = self.secret(signed);
        let mut headers = headers.to_vec();
        if signed != Signed::No {
            headers.push(("X-Channelstream-Secret", &*secret));
        }
        let asks_close = self.chance.one_in(20);
        if asks_close {
            headers.push(("Connection", "close"));
        }
        let body = body.as_bytes();
        let bytes = peer::request(method, target, &headers, body, &mut self.chance);
        let asks_close = asks_close || closes;
        let what = What::Request {
            call,
            signed,
            asks_close,
        };
        self.send(bytes, what, asks_close);
    }

    fn secret(&mut self, signed: Signed) -> String {
        match signed {
            Signed::No => String::new(),
            Signed::Wrongly => "channelstream.X14QAA.bm9uc2Vuc2Vub25zZW5zZQ".to_owned(),
            Signed::At(second) => {
                if self.signature.0 != second {
                    self.signature = (second, self.signer.sign("channelstream", second));
                }
                self.signature.1.clone()
            }
        }
    }

    pub(super) fn user(&mut self) -> String {
        self.chance
            .pick(&["ada", "bob", "cyd", "zoë \"q\""])
            .to_string()
    }

    pub(super) fn every_channel(&self) -> Vec<String> {
        let names = match self.pusher.is_shared() {
            false => ["a", "b", "c", "d", "é\\"],
            true => ["a", "b", "cache-e", "presence-f", "private-g"],
        };
        names.map(str::to_owned).to_vec()
    }

    pub(super) fn channels(&mut self, most: usize) -> Vec<String> {
        let names = self.every_channel();
        self.chance.some(&names, most)
    }

    pub(super) fn id(&mut self) -> String {
        if self.ids.is_empty() || self.chance.one_in(20) {
            return self.fresh_id();
        }
        // Mostly one of the last.
        let from = self.ids.len().saturating_sub(4);
        self.chance.pick(&self.ids[from..]).clone()
    }

    pub(super) fn fresh_id(&mut self) -> String {
        let (high, low) = (self.chance.bits(), self.chance.bits());
        let hex = format!("{high:016x}{low:016x}");
        let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
        format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
    }

    fn info(&mut self) -> (Info, Value) {
        let info = Info {
            history: !self.chance.one_in(4),
            users: !self.chance.one_in(4),
            public_state: self.chance.one_in(4),
        };
        let words = json!({
            "include_history": info.history,
            "include_users": info.users,
            "return_public_state": info.public_state,
        });
        (info, words)
    }

    pub(super) fn configs(&mut self) -> (Vec<(String, Settings)>, Value) {
        let mut configs: Vec<(String, Settings)> = Vec::new();
        let mut words = json!({});
        let names = match self.chance.below(3) {
            0 => self.channels(5),
            _ => self.every_channel(),
        };
        for name in names {
            if configs.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let settings = Settings {
                notify_presence: !self.chance.one_in(4),
                with_members: self.chance.one_in(2),
                notify_state: self.chance.one_in(2),
                store_history: self.chance.one_in(8),
                history_size: self.chance.below(4),
                store_frames: !self.chance.one_in(4),
            };
            words[&name] = settings.to_json();
            configs.push((name, settings));
        }
        (configs, words)
    }

    fn state(&mut self) -> (Vec<(String, Value)>, Value) {
        if !self.chance.one_in(4) {
            return (Vec::new(), json!({}));
        }
        let key = self.chance.pick(&["mood", "age"]).to_string();
        let value = match self.chance.below(4) {
            0 => json!(true),
            1 => json!(null),
            2 => json!(self.chance.below(100)),
            _ => json!("good"),
        };
        let words = json!({ key.clone(): value });
        (vec![(key, value)], words)
    }

    /// What the client learns from an answer.
    pub fn learn(&mut self, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).expect("compared before");
        if let Some(id) = body.get("conn_id").and_then(Value::as_str)
            && !self.ids.iter().any(|known| known == id)
        {
            self.ids.push(id.to_owned());
        }
    }

    fn ask_connect(&mut self) {
        let user = self.user();
        let id = match self.chance.below(8) {
            0..=3 => None,
            4..=6 => Some(self.fresh_id()),
            _ => Some(self.id()),
        };
        self.ids
            .extend(id.clone().filter(|id| !self.ids.contains(id)));
        let most = if self.chance.one_in(10) { 6 } else { 3 };
        let channels = self.channels(most);
        let (configs, config_words) = self.configs();
        let (fresh_state, fresh_words) = self.state();
        let (state, state_words) = self.state();
        let public_keys = if self.chance.one_in(2) {
            vec!["mood".to_owned()]
        } else {
            Vec::new()
        };
        let (info, info_words) = self.info();
        let mut body = json!({
            "username": user, "channels": channels, "channel_configs": config_words,
            "fresh_user_state": fresh_words, "user_state": state_words,
            "state_public_keys": public_keys, "info": info_words,
        });
        if let Some(id) = &id {
            body["conn_id"] = json!(id);
        }
        let call = Call::Connect {
            user,
            id,
            channels,
            configs,
            fresh_state,
            state,
            public_keys,
            info,
        };
        self.ask("POST", "/connect", &body.to_string(), call);
    }

    fn ask_subscribe(&mut self) {
        let id = self.id();
        let mut channels = self.channels(3);
        channels.push("a".to_owned());
        let (configs, config_words) = self.configs();
        let (info, info_words) = self.info();
        let body = json!({
            "conn_id": id, "channels": channels, "channel_configs": config_words,
            "info": info_words,
        });
        let call = Call::Subscribe {
            id,
            channels,
            configs,
            info,
        };
        self.ask("POST", "/subscribe", &body.to_string(), call);
    }

    fn ask_unsubscribe(&mut self) {
        let id = self.id();
        let mut channels = self.channels(2);
        channels.push("b".to_owned());
        let (info, info_words) = self.info();
        let body = json!({"conn_id": id, "channels": channels, "info": info_words});
        let call = Call::Unsubscribe { id, channels, info };
        self.ask("POST", "/unsubscribe", &body.to_string(), call);
    }

    pub(super) fn message(&mut self, to_channel: bool) -> Message {
        self.serial += 1;
        let users = ["ada", "bob", "cyd", "zoë \"q\"", "nobody"].map(str::to_owned);
        let channel = if to_channel {
            self.channels(1).pop()
        } else {
            None
        };
        let channel = channel.or_else(|| to_channel.then(|| "a".to_owned()));
        let padding = match self.chance.below(6) {
            0 => self.chance.below(self.padding_max),
            _ => self.chance.below(40),
        };
        let body = json!({"n": self.serial, "pad": "x".repeat(padding)});
        let only = if to_channel && !self.chance.one_in(4) {
            Vec::new()
        } else {
            self.chance.some(&users, 2)
        };
        let id = self.chance.one_in(2).then(|| {
            // Nobody forbids to use an id twice.
            let id = match self.messages.last() {
                Some(last) if self.chance.one_in(10) => last.id.clone(),
                Some(_) | None => self.fresh_id(),
            };
            self.messages.push(Sent {
                id: id.clone(),
                channel: channel.clone(),
                only: only.clone(),
            });
            id
        });
        Message {
            id,
            user: self.user(),
            channel,
            only,
            except: if self.chance.one_in(4) {
                self.chance.some(&users, 2)
            } else {
                Vec::new()
            },
            no_history: self.chance.one_in(5),
            body: (!self.chance.one_in(15)).then_some(body),
            named: None,
            not_to: None,
            pushed: None,
        }
    }

    fn ask_publish(&mut self) {
        let count = if self.chance.one_in(5) {
            self.chance.within(0, 8)
        } else {
            1
        };
        let padding_max = self.padding_max;
        if count > 1 {
            // Told in two formats, much more would be done in several turns, which is not modelled.
            self.padding_max = padding_max.min(4_000);
        }
        let messages: Vec<Message> = (0..count)
            .map(|_| {
                let to_channel = !self.chance.one_in(4);
                self.message(to_channel)
            })
            .collect();
        self.padding_max = padding_max;
        let words: Vec<Value> = messages
            .iter()
            .map(|message| {
                let mut words = json!({
                    "user": message.user, "pm_users": message.only,
                    "exclude_users": message.except, "no_history": message.no_history,
                });
                if let Some(channel) = &message.channel {
                    words["channel"] = json!(channel);
                }
                if let Some(body) = &message.body {
                    words["message"] = body.clone();
                }
                if let Some(id) = &message.id {
                    words["uuid"] = json!(id);
                }
                words
            })
            .collect();
        let body = json!(words).to_string();
        self.ask("POST", "/message", &body, Call::Publish(messages));
    }

    fn ask_info(&mut self) {
        if self.chance.one_in(3) {
            let info = Info {
                history: true,
                users: true,
                public_state: false,
            };
            let channels = None;
            return self.ask("GET", "/info", "", Call::Info { channels, info });
        }
        let (info, mut words) = self.info();
        let channels = self.chance.one_in(2).then(|| self.channels(3));
        if let Some(channels) = &channels {
            words["channels"] = json!(channels);
        }
        let body = json!({ "info": words }).to_string();
        self.ask("POST", "/info", &body, Call::Info { channels, info });
    }

    fn ask_disconnect(&mut self) {
        let id = self.id();
        if self.chance.one_in(2) {
            let body = json!({ "conn_id": id }).to_string();
            return self.ask("POST", "/disconnect", &body, Call::Disconnect { id });
        }
        let target = format!("/disconnect?conn_id={id}");
        self.ask("GET", &target, "", Call::Disconnect { id });
    }

    fn ask_odd(&mut self) {
        let odd = *self.chance.pick(&ODD);
        let call = Call::Odd {
            status: odd.status,
            is_signed: odd.is_signed,
        };
        if odd.sees_secret {
            self.ask(odd.method, odd.target, odd.body, call);
        } else {
            let closes = odd.target == "/ws";
            let request = (odd.method, odd.target, &[][..], odd.body);
            self.ask_as(request, call, Signed::No, closes);
        }
    }

    fn http_junk(&mut self) {
        if self.chance.one_in(3) {
            return self.stop_midway();
        }
        let junk = mischief::http_junk(&mut self.chance);
        self.send(junk, What::Junk, true);
    }

    /// A request whose end never comes.
    pub(super) fn stop_midway(&mut self) {
        let mut row = self.row(false);
        // Somewhere anybody may send a body, or somewhere nobody may.
        let (target, call) = if self.chance.one_in(2) {
            let id = self.fresh_id();
            ("/disconnect", Call::Disconnect { id })
        } else {
            let (status, is_signed) = (404, false);
            ("/nothing", Call::Odd { status, is_signed })
        };
        let what = What::Request {
            call,
            signed: Signed::No,
            asks_close: false,
        };
        let body = b"a body of some length";
        let mut bytes = peer::request("POST", target, &[], body, &mut self.chance);
        let at = self.send_at();
        let length = 1 + self.chance.below(bytes.len() - 1);
        let rest = bytes.split_off(length);
        row.send(bytes, what, at);
        row.expects_more(rest.len());
        self.knocking.push(row);
    }

    /// More requests in a row than are taken in one turn.
    fn burst(&mut self) {
        let mut row = self.row(false);
        let at = self.send_at();
        if self.chance.one_in(3) {
            // Large answers, as many as come before the server pauses.
            let signed = Signed::At(self.now.unix_seconds());
            let secret = self.secret(signed);
            let headers = [("X-Channelstream-Secret", &*secret)];
            for _ in 0..self.chance.within(5, 30) {
                let bytes = peer::request("GET", "/info", &headers, b"", &mut self.chance);
                let info = Info {
                    history: true,
                    users: true,
                    public_state: false,
                };
                let channels = None;
                let what = What::Request {
                    call: Call::Info { channels, info },
                    signed,
                    asks_close: false,
                };
                row.send(bytes, what, at);
            }
            return self.knocking.push(row);
        }
        for _ in 0..self.chance.within(20, 70) {
            let id = self.fresh_id();
            let target = format!("/disconnect?conn_id={id}");
            let bytes = peer::request("GET", &target, &[], b"", &mut self.chance);
            let what = What::Request {
                call: Call::Disconnect { id },
                signed: Signed::No,
                asks_close: false,
            };
            row.send(bytes, what, at);
        }
        self.knocking.push(row);
    }

    /// A browser opens its socket, and perhaps talks at once.
    fn open_socket(&mut self) {
        let mut row = self.row(true);
        let at = self.send_at();
        let id = if self.chance.one_in(15) {
            None
        } else {
            Some(self.id())
        };
        let target = match &id {
            Some(id) => format!("/ws?conn_id={id}"),
            None => self
                .chance
                .pick(&["/ws", "/ws?conn_id=", "/ws?conn_id=7"])
                .to_string(),
        };
        let bytes = peer::handshake(&target, &mut self.chance);
        row.send(bytes, What::Handshake(id), at);
        if self.chance.one_in(4) {
            for (bytes, ping) in peer::text("hello", &mut self.chance) {
                row.send(bytes, What::Frame(ping), at);
            }
        }
        if self.chance.one_in(8) {
            row.link.reading = Reading::Some;
        }
        self.knocking.push(row);
    }
}
