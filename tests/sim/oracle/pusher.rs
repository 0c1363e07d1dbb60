//! Sockets that speak Pusher, as the oracle sees them: who is in what as whom, who is told of it,
//! and what an app keeps and counts.
//!
//! All apps share the oracle's lists. The names of an app that is Pusher's alone begin with a mark
//! of its own, which no client can write; those of the app that is shared with Channelstream are
//! plain. So two apps never meet, and the shared one is one world.

mod api;
mod told;
mod users;

pub(super) use api::refusal;
pub use api::{Api, ApiCall, NewEvent, Proof, Wants};
pub use told::Sockets;

use super::{Expect, Guest, Message, Oracle, PLACEHOLDER, Phase, Said, Sub};
use fanwire::dialect::pusher::config::App;
use fanwire::handler::ConnId;
use fanwire::hub::{Fact, Id};
use fanwire::limits::PUSHER_AUTHORIZE_MS;
use fanwire::time::{Millis, Now, Timer};
use serde_json::{Value, json};

/// Stands for any text but an empty one.
pub const ANY: &str = "\u{1}any";
/// With what the id of a socket begins until it is known.
pub const SOCKET: &str = "\u{1}socket";
/// `{TEXT: value}` stands for a text that is the JSON of that value.
pub const TEXT: &str = "\u{1}text";

/// An app that speaks Pusher.
#[derive(Debug)]
pub struct Served {
    pub app: App,
    /// With what its names begin here; nothing for the app that is shared.
    pub mark: &'static str,
}

/// How a client opens a socket.
#[derive(Debug)]
pub struct Opening {
    /// Whose key it names, if anybody's.
    pub app: Option<usize>,
    /// What is wrong with its version or its path: the code of the Close.
    pub fault: Option<u16>,
}

/// What a client says.
#[derive(Debug)]
pub enum Say {
    Ping,
    Pong,
    Subscribe {
        channel: String,
        is_signed: bool,
        member: Member,
    },
    Unsubscribe(String),
    Event {
        event: String,
        channel: String,
        /// As it is told.
        data: String,
    },
    /// Nothing that anybody can sign in with, if there is none.
    SignIn(Option<SignIn>),
    /// Bytes, which mean nothing.
    Bytes,
    /// Something that means nothing, and is answered with an error without a code.
    Nonsense,
}

/// What comes along with a subscription.
#[derive(Debug)]
pub enum Member {
    None,
    Unusable,
    Of(MemberOf),
}

#[derive(Debug, Clone)]
pub struct MemberOf {
    pub user: String,
    pub info: Option<Value>,
}

#[derive(Debug, Clone)]
pub struct SignIn {
    pub user: String,
    pub info: Option<Value>,
    pub watchlist: Vec<String>,
    /// As it was sent.
    pub text: String,
}

/// What is known of a subscriber because it is a socket of Pusher's.
#[derive(Debug)]
pub struct Socket {
    pub(super) app: usize,
    pub(super) info: Option<Value>,
    pub(super) watches: Vec<String>,
    /// Thousandths of client events that were taken, and when that was right.
    pub(super) taken: (u64, Millis),
    /// It speaks Pushi instead.
    pub(super) talk: Option<super::Talk>,
}

/// What a cached channel shows; nothing, if it was found empty and that was announced.
#[derive(Debug)]
pub struct Cached {
    pub(super) event: Option<usize>,
    pub(super) until: Millis,
}

/// What a channel is by its name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    pub(super) has_members: bool,
    pub(super) is_cached: bool,
    is_encrypted: bool,
    must_sign: bool,
}

fn traits(bare: &str) -> Traits {
    let of = |prefix: &str| bare.strip_prefix(prefix);
    let is_encrypted = of("private-encrypted-").is_some();
    let rest = of("private-encrypted-")
        .or(of("private-"))
        .or(of("presence-"));
    Traits {
        has_members: of("presence-").is_some(),
        is_cached: rest.unwrap_or(bare).starts_with("cache-"),
        is_encrypted,
        must_sign: rest.is_some(),
    }
}

/// The name as clients know it.
pub(super) fn bare(name: &str) -> &str {
    name.trim_start_matches('\u{2}')
}

fn is_plain(name: &str, most: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-=@,.;".contains(c);
    !name.is_empty() && name.len() <= most && name.chars().all(fits)
}

pub fn is_socket_id(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let halves = text.split_once('.');
    halves.is_some_and(|(one, two)| is_number(one) && is_number(two))
}

fn user_of_channel(name: &str) -> Option<&str> {
    let user = name.strip_prefix("#server-to-user-")?;
    is_plain(user, 128).then_some(user)
}

impl Oracle {
    // ---- opening and closing -----------------------------------------------------------------

    /// The handshake of a socket has come whole.
    pub fn open_pusher(&mut self, conn: ConnId, opening: &Opening, now: Now) {
        self.expect(conn, Expect::Upgraded);
        let fault = opening.fault.or_else(|| {
            let Some(app) = opening.app else {
                return Some(4001);
            };
            let served = &self.served[app];
            let count = |sub: &&Sub| self.is_in_app(sub, app);
            match () {
                () if !served.app.enabled => Some(4003),
                () if self.subs.iter().filter(count).count() >= served.app.connections_max => {
                    Some(4004)
                }
                () => None,
            }
        });
        if let Some(code) = fault {
            self.sockets.refused += 1;
            self.line(conn).phase = Phase::Closing;
            self.expect(conn, Expect::Said(error(json!(code))));
            return self.expect(conn, Expect::CloseWith(code));
        }
        let app = opening.app.expect("seen a moment ago");
        let key = self.key();
        self.subs.push(Sub {
            key,
            id: format!("{SOCKET}{key}"),
            user: String::new(),
            outlet: Some(conn),
            seen: self.sequence,
            born: self.sequence,
            channels: Vec::new(),
            socket: Some(Socket {
                app,
                info: None,
                watches: Vec::new(),
                taken: (0, now.mono),
                talk: None,
            }),
            timer: Timer::default(),
        });
        let settings = &self.served[app].app;
        let activity_s = settings.activity_s;
        if settings.authorized_only {
            self.expire_at(key, now.mono + PUSHER_AUTHORIZE_MS);
        }
        let line = self.line(conn);
        line.phase = Phase::Open(key);
        line.silence_ms = Some(activity_s * 1_250 + 30_000);
        line.heard_ms = now.mono.0;
        let id = format!("{SOCKET}{key}");
        let data = json!({ TEXT: { "socket_id": id, "activity_timeout": activity_s } });
        let words = json!({ "event": "pusher:connection_established", "data": data });
        self.expect(conn, Expect::Said(words));
    }

    /// A Close in the server's own words, and what is said before it.
    pub fn expect_close(&mut self, conn: ConnId, code: u16, reason: &'static str) {
        if self.line(conn).silence_ms.is_some() && code >= 4000 {
            self.expect(conn, Expect::Said(error(json!(code))));
        }
        self.expect(conn, Expect::Close(code, reason));
    }

    fn is_in_app(&self, sub: &Sub, app: usize) -> bool {
        match &sub.socket {
            Some(socket) => match &socket.talk {
                Some(talk) => self.pushi.apps[talk.app].mark == self.served[app].mark,
                None => socket.app == app,
            },
            None => self.served[app].mark.is_empty(),
        }
    }

    /// The settings of the app in which this name lives, if that speaks Pusher.
    pub(super) fn served_of(&self, name: &str) -> Option<&Served> {
        let mark = &name[..name.len() - bare(name).len()];
        self.served.iter().find(|served| served.mark == mark)
    }

    pub(super) fn traits(&self, name: &str) -> Traits {
        match self.served_of(name) {
            Some(_) => traits(bare(name)),
            None => Traits {
                has_members: self.pushi_of(name).is_some() && bare(name).starts_with("presence-"),
                ..Traits::default()
            },
        }
    }

    // ---- what clients say --------------------------------------------------------------------

    /// A client said something.
    pub fn say(&mut self, conn: ConnId, say: &Say, now: Now) {
        let Phase::Open(key) = self.phase(conn) else {
            return;
        };
        if let Say::Bytes = say {
            return self.complain(conn);
        }
        // Whoever was removed within this call is not heard any more.
        if !self.subs.iter().any(|sub| sub.key == key) {
            return;
        }
        match say {
            Say::Ping => {
                self.expect(
                    conn,
                    Expect::Said(json!({"event": "pusher:pong", "data": {}})),
                );
            }
            Say::Pong | Say::Bytes => {}
            Say::Nonsense => self.complain(conn),
            Say::Subscribe {
                channel,
                is_signed,
                member,
            } => self.subscribe_socket(conn, key, channel, (*is_signed, member), now),
            Say::Unsubscribe(channel) => {
                if user_of_channel(channel).is_none() {
                    let name = self.full(key, channel);
                    if !self.unsubscribe(key, &name, now) {
                        self.complain(conn);
                    }
                }
            }
            Say::Event {
                event,
                channel,
                data,
            } => self.client_event(conn, key, (event, channel, data), now),
            Say::SignIn(sign_in) => self.identify(conn, key, sign_in.as_ref(), now),
        }
    }

    pub(super) fn complain(&mut self, conn: ConnId) {
        self.expect(conn, Expect::Said(error(Value::Null)));
    }

    fn socket(&mut self, key: u32) -> &mut Socket {
        let socket = self.sub(key).socket.as_mut();
        socket.expect("only asked of sockets of Pusher's")
    }

    fn settings_of(&mut self, key: u32) -> App {
        let app = self.socket(key).app;
        self.served[app].app.clone()
    }

    fn full(&mut self, key: u32, name: &str) -> String {
        let app = self.socket(key).app;
        format!("{}{name}", self.served[app].mark)
    }

    fn subscribe_socket(
        &mut self,
        conn: ConnId,
        key: u32,
        channel: &str,
        (is_signed, member): (bool, &Member),
        now: Now,
    ) {
        let app = self.settings_of(key);
        let full = self.full(key, channel);
        if let Some(user) = user_of_channel(channel) {
            let user = self.full(key, user);
            if self.sub(key).user != user {
                return self.refuse(conn, channel, 401);
            }
            return self.succeeded(conn, channel, json!({}));
        }
        if !is_plain(channel, app.channel_chars) {
            return self.refuse(conn, channel, 400);
        }
        if self.sub(key).channels.contains(&full) {
            return self.complain(conn);
        }
        let kind = traits(channel);
        if kind.must_sign && !is_signed {
            return self.refuse(conn, channel, 401);
        }
        if self.sub(key).channels.len() >= app.channels_per_connection {
            return self.refuse(conn, channel, 400);
        }
        let role = match member {
            _ if !kind.has_members => None,
            Member::Of(member) => Some((self.full(key, &member.user), member.info.clone())),
            Member::None if !self.sub(key).user.is_empty() => {
                let info = self.socket(key).info.clone();
                Some((self.sub(key).user.clone(), info))
            }
            Member::None | Member::Unusable => return self.refuse(conn, channel, 400),
        };
        if let Some((user, _)) = &role {
            let there = self.channels.iter().find(|known| known.name == full);
            let members = there.map_or(&[][..], |known| &known.members);
            let is_in = members.iter().any(|there| there.user == *user);
            if !is_in && members.len() >= app.members_max {
                self.sockets.full += 1;
                return self.refuse(conn, channel, 400);
            }
        }
        self.ensure_bare_channel(&full, now);
        if let Some((user, info)) = role {
            self.ensure_user(&user);
            let said = info.map(Said::in_pusher);
            self.become_member(&full, &user, said.clone(), now);
            self.channel(&full).guests.push(Guest { key, user, said });
        }
        self.enter(key, &full, now);
        self.sockets.subscribed += 1;
        let data = match kind.has_members {
            true => self.present(&full),
            false => json!({}),
        };
        self.succeeded(conn, channel, data);
        if kind.is_cached {
            self.show_cached(conn, &full, now);
        }
        self.count_changed(&full, now);
        if kind.must_sign {
            self.sub(key).timer.disarm();
        }
    }

    fn succeeded(&mut self, conn: ConnId, channel: &str, data: Value) {
        let words = json!({
            "event": "pusher_internal:subscription_succeeded", "channel": channel,
            "data": { TEXT: data },
        });
        self.expect(conn, Expect::Said(words));
    }

    fn refuse(&mut self, conn: ConnId, channel: &str, status: u16) {
        self.sockets.refusals += 1;
        let kind = match status {
            401 => "AuthError",
            _ => "SubscriptionError",
        };
        for event in [
            "pusher:subscription_error",
            "pusher_internal:subscription_error",
        ] {
            let data = json!({"type": kind, "error": ANY, "status": status});
            let words = json!({"event": event, "channel": channel, "data": data});
            self.expect(conn, Expect::Said(words));
        }
        self.complain(conn);
    }

    /// The list of members, for who has just joined.
    fn present(&mut self, name: &str) -> Value {
        let channel = self.channel(name);
        let members = channel.members.iter().map(|there| there.user.clone());
        let members: Vec<String> = members.collect();
        let (mut ids, mut hash) = (Vec::new(), json!({}));
        for user in members {
            let guests = &self.channel(name).guests;
            let oldest = guests.iter().find(|guest| guest.user == user);
            let info = match oldest.and_then(|guest| guest.said.clone()) {
                Some(said) => said.words,
                None => match super::public(self.user(&user)) {
                    Value::Object(state) if !state.is_empty() => Value::Object(state),
                    _ => Value::Null,
                },
            };
            ids.push(bare(&user).to_owned());
            hash[bare(&user)] = info;
        }
        json!({"presence": {"count": ids.len(), "ids": ids, "hash": hash}})
    }

    fn client_event(
        &mut self,
        conn: ConnId,
        key: u32,
        (event, channel, data): (&str, &str, &str),
        now: Now,
    ) {
        let app = self.settings_of(key);
        let name = self.full(key, channel);
        let kind = traits(channel);
        let takes = app.client_events && kind.must_sign && !kind.is_encrypted;
        if !takes || !self.sub(key).channels.contains(&name) {
            return self.complain(conn);
        }
        let per_s = u64::from(app.client_events_per_s);
        let is_small = event.chars().count() <= 200 && data.len() <= app.event_bytes;
        if !is_small || !self.socket(key).may_talk(per_s, now) {
            self.sockets.rejected += 1;
            return self.expect(conn, Expect::Said(error(json!(4301))));
        }
        self.sockets.client_events += 1;
        let guests = &self.channel(&name).guests;
        let user = guests.iter().find(|guest| guest.key == key);
        let user = user.map(|guest| bare(&guest.user).to_owned());
        let message = Message {
            id: None,
            user: user.clone().unwrap_or_default(),
            channel: Some(name.clone()),
            only: Vec::new(),
            except: Vec::new(),
            no_history: true,
            body: None,
            named: Some((event.to_owned(), data.to_owned())),
            not_to: Some(key),
            pushed: None,
        };
        self.publish(&message, now);
        let subscriber = self.id_of(key);
        let own = |text: &str| Box::from(text);
        let fact = Fact::ClientEvent {
            channel: own(channel),
            event: own(event),
            data: own(data),
            subscriber,
            user: user.as_deref().map(own),
        };
        self.announce(&name, fact);
    }

    /// The id of a socket that has said what it is.
    fn id_of(&self, key: u32) -> Id {
        let id = self.bound.get(&format!("{SOCKET}{key}"));
        let (high, low) = id
            .and_then(|id| id.split_once('.'))
            .expect("heard of before");
        let half = |text: &str| text.parse::<u128>().expect("digits");
        Id(half(high) << 32 | half(low))
    }

    fn identify(&mut self, conn: ConnId, key: u32, sign_in: Option<&SignIn>, now: Now) {
        let app = self.settings_of(key);
        if !app.signin {
            return self.complain(conn);
        }
        let Some(SignIn {
            user,
            info,
            watchlist,
            text,
        }) = sign_in.filter(|sign_in| is_plain(&sign_in.user, 128))
        else {
            self.sockets.unauthorized += 1;
            return self.depart_as(key, (4009, "this connection is not authorized"), now);
        };
        let full = self.full(key, user);
        if self.sub(key).user.is_empty() {
            self.ensure_user(&full);
            self.sub(key).user.clone_from(&full);
            self.user(&full).timer.disarm();
            self.own(key, &full);
            self.sub(key).timer.disarm();
        } else if self.sub(key).user != full {
            return self.complain(conn);
        }
        self.sockets.signed_in += 1;
        self.socket(key).info.clone_from(info);
        let words = json!({
            "event": "pusher:signin_success", "data": { TEXT: { "user_data": text } },
        });
        self.expect(conn, Expect::Said(words));
        if !app.watchlist {
            return;
        }
        self.watch(conn, key, watchlist, &app);
    }
}

fn error(code: Value) -> Value {
    json!({"event": "pusher:error", "data": {"code": code, "message": ANY}})
}

const _: () = assert!(
    PLACEHOLDER == '\u{1}',
    "what stands for something begins with it"
);
