//! A stage for stories: an engine in memory or the binary behind real sockets, sockets that speak
//! the protocol, and an application that signs what it asks for.
//!
//! What is expected is compared byte by byte, as part of the protocol is where something is text
//! and where an object.

use super::apps;
use crate::client::{Client, Heard};
use crate::http;
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use crate::websocket::{self, Event};
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{self, Channelstream};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::Config;
use fanwire::engine::{Engine, EngineConfig};
use fanwire::random::Random;
use serde_json::{Value, json};

/// How long anything is waited for.
const WAIT_MS: u64 = 12_000;

/// What is tested.
enum Scene {
    Memory(Box<Memory<Engine>>),
    #[cfg(feature = "server")]
    Real(crate::tcp::Tcp, #[allow(dead_code)] crate::server::Process),
}

impl Scene {
    fn sut(&mut self) -> &mut dyn Sut {
        match self {
            Self::Memory(memory) => &mut **memory,
            #[cfg(feature = "server")]
            Self::Real(tcp, _) => tcp,
        }
    }
}

/// See the module's comment.
pub(crate) struct Stage {
    scene: Scene,
    clients: Vec<Client>,
}

/// A socket by its number, and the id that the server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sock {
    at: usize,
    pub(crate) id: String,
    app: &'static str,
}

/// The engine that the stories are told to.
pub(crate) fn engine(config: Config) -> Engine {
    let engine_config = EngineConfig {
        facts_kept: 1_000,
        ..EngineConfig::default()
    };
    Engine::new(engine_config, dialects(config), Random::seeded(1))
}

/// Pusher, and Channelstream in an app of its own.
pub(crate) fn dialects(config: Config) -> Vec<Box<dyn Dialect>> {
    let own = channelstream::Config::default();
    vec![
        Box::new(Pusher::new(config)),
        Box::new(Channelstream::new(own)),
    ]
}

impl Stage {
    /// In memory; writes are cut as `cut` says.
    pub(crate) fn new(cut: Cut) -> Self {
        Self::with(cut, apps::config())
    }

    pub(crate) fn with(cut: Cut, config: Config) -> Self {
        Self {
            scene: Scene::Memory(Box::new(Memory::new(engine(config), "", cut))),
            clients: Vec::new(),
        }
    }

    /// The binary.
    #[cfg(feature = "server")]
    pub(crate) fn real(cut: Cut) -> Self {
        let process = crate::server::Process::of_file("pusher", &apps::file());
        let tcp = crate::tcp::Tcp::new(process.address(), "", cut);
        Self {
            scene: Scene::Real(tcp, process),
            clients: Vec::new(),
        }
    }

    pub(crate) fn sut(&mut self) -> &mut dyn Sut {
        self.scene.sut()
    }

    /// The engine in memory.
    pub(crate) fn memory(&mut self) -> &mut Memory<Engine> {
        match &mut self.scene {
            Scene::Memory(memory) => memory,
            #[cfg(feature = "server")]
            Scene::Real(..) => panic!("this story is told in memory only"),
        }
    }

    /// The facts since the last call, one line each.
    pub(crate) fn facts(&mut self) -> Vec<String> {
        use fanwire::hub::Fact;
        let mut facts = Vec::new();
        self.memory().with(|engine, _| facts = engine.take_facts());
        let line = |fact: Fact<Box<str>>| match fact {
            Fact::Occupied { channel } => format!("occupied {channel}"),
            Fact::Vacated { channel } => format!("vacated {channel}"),
            Fact::MemberAdded { channel, user } => format!("added {user} to {channel}"),
            Fact::MemberRemoved { channel, user } => format!("removed {user} from {channel}"),
            Fact::ClientEvent {
                channel,
                event,
                data,
                user,
                subscriber: _,
            } => format!("{event} {data} in {channel} by {user:?}"),
            Fact::CacheMiss { channel } => format!("miss {channel}"),
            Fact::Count { channel, count } => format!("count {count} in {channel}"),
        };
        facts.into_iter().map(|(_, fact)| line(fact)).collect()
    }

    /// Ends it: in memory nothing may be left.
    pub(crate) fn finish(mut self) -> usize {
        let links: Vec<Link> = self.clients.iter().map(|client| client.link).collect();
        for link in links {
            self.sut().close(link);
        }
        match self.scene {
            Scene::Memory(memory) => {
                memory.handler().hub().check();
                let (_, subscribers, users) = memory.handler().hub().counts();
                assert_eq!((subscribers, users), (0, 0), "everybody has gone");
                let longest = memory.longest_write();
                memory.finish();
                longest
            }
            #[cfg(feature = "server")]
            Scene::Real(..) => 0,
        }
    }

    // ---- sockets ---------------------------------------------------------------------------

    /// A socket whose first frame has not been looked at.
    pub(crate) fn dial(&mut self, path: &str, headers: &[(&str, &str)]) -> Sock {
        let opened = Client::open(self.sut(), path, headers, &[]);
        let (answer, client) = opened.expect("a handshake");
        assert_eq!(answer.status, 101, "{path}: {}", http::lossy(&answer.body));
        assert_eq!(answer.header("sec-websocket-protocol"), None);
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        self.clients.push(client.expect("a socket"));
        Sock {
            at: self.clients.len() - 1,
            id: String::new(),
            app: apps::PLAIN,
        }
    }

    /// A socket of an app, welcomed.
    pub(crate) fn open(&mut self, app: &'static str) -> Sock {
        let path = format!(
            "/app/{}?protocol=7&client=js&version=8.6.0&flash=false",
            apps::key(app)
        );
        let sock = self.dial(&path, &[]);
        self.welcomed(sock, app)
    }

    /// Its first frame, which must be the welcome.
    pub(crate) fn welcomed(&mut self, sock: Sock, app: &'static str) -> Sock {
        let frame = self.hear(&sock);
        let frame: Value = serde_json::from_str(&frame).expect("JSON");
        assert_eq!(frame["event"], "pusher:connection_established");
        assert_eq!(frame.as_object().map(serde_json::Map::len), Some(2));
        let data: Value =
            serde_json::from_str(frame["data"].as_str().expect("a text")).expect("JSON");
        let timeout = if app == apps::BARE { 10 } else { 120 };
        assert_eq!(data["activity_timeout"], timeout);
        let id = data["socket_id"].as_str().expect("a text").to_owned();
        let (high, low) = id.split_once('.').expect("a dot");
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        assert!(is_number(high) && is_number(low) && id.len() <= 21, "{id}");
        Sock { id, app, ..sock }
    }

    /// What comes next on a socket: control frames are given as they are.
    pub(crate) fn event(&mut self, sock: &Sock, within_ms: u64) -> Option<Event> {
        let (client, sut) = self.client(sock);
        match client.hear(sut, within_ms).expect("frames in order") {
            Heard::Event(event) => Some(event),
            Heard::Ended | Heard::Nothing => None,
        }
    }

    fn client(&mut self, sock: &Sock) -> (&mut Client, &mut dyn Sut) {
        (&mut self.clients[sock.at], self.scene.sut())
    }

    /// The next text.
    pub(crate) fn hear(&mut self, sock: &Sock) -> String {
        match self.event(sock, WAIT_MS) {
            Some(Event::Text(text)) => text,
            other => panic!("want a text, heard {other:?}"),
        }
    }

    /// The next text must be this.
    #[track_caller]
    pub(crate) fn hears(&mut self, sock: &Sock, want: &str) {
        let got = self.hear(sock);
        assert_eq!(got, want);
    }

    /// An event of a channel: `data` is the text that it carries.
    #[track_caller]
    pub(crate) fn hears_event(&mut self, sock: &Sock, event: &str, channel: &str, data: &str) {
        let want = frame(event, channel, data);
        self.hears(sock, &want);
    }

    /// An error that ends nothing, with this code. Says its message.
    #[track_caller]
    pub(crate) fn hears_error(&mut self, sock: &Sock, code: Option<u16>) -> String {
        let got = self.hear(sock);
        let value: Value = serde_json::from_str(&got).expect("JSON");
        assert_eq!(value["event"], "pusher:error", "{got}");
        assert_eq!(
            value.as_object().map(serde_json::Map::len),
            Some(2),
            "no channel"
        );
        assert_eq!(value["data"]["code"], json!(code), "{got}");
        let message = value["data"]["message"].as_str().expect("a text");
        assert!(!message.is_empty());
        message.to_owned()
    }

    /// A subscription is refused in all three ways, and the connection stays.
    #[track_caller]
    pub(crate) fn hears_refusal(&mut self, sock: &Sock, channel: &str, status: u16) {
        for event in [
            "pusher:subscription_error",
            "pusher_internal:subscription_error",
        ] {
            let got = self.hear(sock);
            let value: Value = serde_json::from_str(&got).expect("JSON");
            assert_eq!(value["event"], event, "{got}");
            assert_eq!(value["channel"], channel, "{got}");
            let kind = if status == 401 {
                "AuthError"
            } else {
                "SubscriptionError"
            };
            assert_eq!(value["data"]["type"], kind);
            assert_eq!(value["data"]["status"], status);
            assert!(
                value["data"]["error"]
                    .as_str()
                    .is_some_and(|why| !why.is_empty())
            );
        }
        self.hears_error(sock, None);
    }

    /// A Close with this code comes, with the error frame before it, and TCP ends.
    #[track_caller]
    pub(crate) fn hears_close(&mut self, sock: &Sock, code: u16) {
        if (4000..5000).contains(&code) {
            self.hears_error(sock, Some(code));
        }
        match self.event(sock, WAIT_MS) {
            Some(Event::Close(got, payload)) => {
                assert_eq!(got, code);
                assert!((3..=125).contains(&payload.len()), "a reason");
                let (client, sut) = self.client(sock);
                client.say(sut, websocket::CLOSE, &payload);
                client.ends(sut).expect("an end in order");
            }
            other => panic!("want a Close with {code}, heard {other:?}"),
        }
    }

    /// Sends a text.
    pub(crate) fn say(&mut self, sock: &Sock, text: &str) {
        self.say_frame(sock, websocket::TEXT, text.as_bytes());
    }

    pub(crate) fn say_frame(&mut self, sock: &Sock, opcode: u8, payload: &[u8]) {
        let (client, sut) = self.client(sock);
        client.say(sut, opcode, payload);
    }

    /// One frame of a message in several.
    pub(crate) fn say_part(&mut self, sock: &Sock, opcode: u8, is_last: bool, payload: &[u8]) {
        let (client, sut) = self.client(sock);
        client.say_part(sut, opcode, is_last, payload);
    }

    /// The client goes: in order, with a Close.
    #[track_caller]
    pub(crate) fn leave(&mut self, sock: &Sock) {
        let (client, sut) = self.client(sock);
        client.close(sut, 1000).expect("an end in order");
    }

    /// The client vanishes, and the server has noticed.
    #[track_caller]
    pub(crate) fn vanish(&mut self, sock: &Sock) {
        let (client, _) = self.client(sock);
        client.over = true;
        let link = client.link;
        if matches!(self.scene, Scene::Memory(_)) {
            self.sut().abort(link);
            return;
        }
        let before = self.get(sock.app, "/connections", &[]);
        self.sut().abort(link);
        for _ in 0..10_000 {
            if self.get(sock.app, "/connections", &[]) != before {
                return;
            }
        }
        panic!("the server goes on counting a socket that was reset");
    }

    /// All that was sent has been acted on, and nobody hears anything that was not looked at.
    #[track_caller]
    pub(crate) fn nothing_else(&mut self) {
        // Twice: what the first round makes a later socket's neighbour hear shows in the second.
        for _ in 0..2 {
            for at in 0..self.clients.len() {
                if self.clients[at].over {
                    continue;
                }
                let sock = Sock {
                    at,
                    id: String::new(),
                    app: apps::PLAIN,
                };
                self.say(&sock, r#"{"event":"pusher:ping","data":{}}"#);
                self.hears(&sock, r#"{"event":"pusher:pong","data":{}}"#);
            }
        }
    }

    // ---- what clients say ------------------------------------------------------------------

    /// Asks for a channel, with a signature if it needs one.
    pub(crate) fn ask(&mut self, sock: &Sock, channel: &str, data: Option<&str>) {
        let keys = keys(sock.app);
        let is_public = !channel.starts_with("private-") && !channel.starts_with("presence-");
        let auth = match is_public {
            true => String::new(),
            false => keys.channel_auth(&sock.id, channel, data),
        };
        self.ask_with(sock, channel, &auth, data);
    }

    pub(crate) fn ask_with(&mut self, sock: &Sock, channel: &str, auth: &str, data: Option<&str>) {
        let data = match data {
            None => json!({"channel": channel, "auth": auth}),
            Some(data) => json!({"channel": channel, "auth": auth, "channel_data": data}),
        };
        let word = json!({"event": "pusher:subscribe", "data": data});
        self.say(sock, &word.to_string());
    }

    /// Joins a channel without members.
    #[track_caller]
    pub(crate) fn join(&mut self, sock: &Sock, channel: &str) {
        self.ask(sock, channel, None);
        self.hears_event(
            sock,
            "pusher_internal:subscription_succeeded",
            channel,
            "{}",
        );
    }

    /// Joins a presence channel; `members` is what must be told of it.
    #[track_caller]
    pub(crate) fn join_as(&mut self, sock: &Sock, channel: &str, data: &str, members: &str) {
        self.ask(sock, channel, Some(data));
        self.hears_members(sock, channel, members);
    }

    #[track_caller]
    pub(crate) fn hears_members(&mut self, sock: &Sock, channel: &str, members: &str) {
        let data = format!("{{\"presence\":{members}}}");
        self.hears_event(
            sock,
            "pusher_internal:subscription_succeeded",
            channel,
            &data,
        );
    }

    pub(crate) fn part(&mut self, sock: &Sock, channel: &str) {
        let word = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
        self.say(sock, &word.to_string());
    }

    pub(crate) fn sign_in(&mut self, sock: &Sock, user_data: &str) {
        let auth = keys(sock.app).signin_auth(&sock.id, user_data);
        self.sign_in_with(sock, &auth, user_data);
    }

    pub(crate) fn sign_in_with(&mut self, sock: &Sock, auth: &str, user_data: &str) {
        let data = json!({"auth": auth, "user_data": user_data});
        let word = json!({"event": "pusher:signin", "data": data});
        self.say(sock, &word.to_string());
    }

    #[track_caller]
    pub(crate) fn hears_signed_in(&mut self, sock: &Sock, user_data: &str) {
        let data = format!("{{\"user_data\":{}}}", json!(user_data));
        let want = format!(
            "{{\"event\":\"pusher:signin_success\",\"data\":{}}}",
            json!(data)
        );
        self.hears(sock, &want);
    }

    #[track_caller]
    pub(crate) fn hears_watched(&mut self, sock: &Sock, events: &str) {
        let data = format!("{{\"events\":{events}}}");
        let event = "pusher_internal:watchlist_events";
        let want = format!("{{\"event\":\"{event}\",\"data\":{}}}", json!(data));
        self.hears(sock, &want);
    }

    // ---- the application -------------------------------------------------------------------

    /// A signed request. Says the status and the body of the answer, which must be JSON.
    pub(crate) fn call(
        &mut self,
        app: &str,
        method: &str,
        path: &str,
        params: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let path = format!("/apps/{app}{path}");
        let now = self.sut().unix_seconds();
        let query = keys(app).sign_request(method, &path, params, body.as_bytes(), now);
        let answer = self.send(method, &format!("{path}?{query}"), body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        (answer.status, String::from_utf8(answer.body).expect("text"))
    }

    /// Any request.
    pub(crate) fn send(&mut self, method: &str, target: &str, body: &str) -> http::Answer {
        let given = (!body.is_empty()).then_some(body.as_bytes());
        let request = http::request(method, target, "h", &[], given);
        self.send_bytes(&request)
    }

    pub(crate) fn send_bytes(&mut self, request: &[u8]) -> http::Answer {
        let link = self.sut().dial();
        self.sut().send(link, request);
        let head_only = request.starts_with(b"HEAD");
        let mut bytes = Vec::new();
        loop {
            let until = self.sut().now_ms() + WAIT_MS;
            match self.sut().receive(link, until) {
                Received::Bytes { bytes: more, .. } => bytes.extend(more),
                other => panic!("no answer: {other:?} {}", http::lossy(&bytes)),
            }
            if let Some((answer, length)) =
                http::answer(&bytes, head_only, false).expect("in order")
            {
                assert_eq!(length, bytes.len(), "one answer, and nothing behind it");
                self.sut().close(link);
                return answer;
            }
        }
    }

    pub(crate) fn get(&mut self, app: &str, path: &str, params: &[(&str, &str)]) -> (u16, String) {
        self.call(app, "GET", path, params, "")
    }

    /// Publishes; it must succeed with this answer.
    #[track_caller]
    pub(crate) fn trigger(&mut self, app: &str, body: &str, want: &str) {
        let answer = self.call(app, "POST", "/events", &[], body);
        assert_eq!(answer, (200, want.to_owned()));
    }

    /// It is refused with this status, and a body that SDKs can show.
    #[track_caller]
    pub(crate) fn refused(&mut self, app: &str, path: &str, body: &str, status: u16) {
        let (got, text) = self.call(app, "POST", path, &[], body);
        assert_eq!(got, status, "{body}: {text}");
        check_error(&text, status);
    }
}

/// The body of an answer that says what was wrong.
#[track_caller]
pub(crate) fn check_error(body: &str, status: u16) {
    let value: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(value["code"], status, "{body}");
    assert!(
        value["error"].as_str().is_some_and(|why| !why.is_empty()),
        "{body}"
    );
}

/// The frame of a channel's event.
pub(crate) fn frame(event: &str, channel: &str, data: &str) -> String {
    let (event, channel, data) = (json!(event), json!(channel), json!(data));
    format!("{{\"event\":{event},\"channel\":{channel},\"data\":{data}}}")
}

/// The credentials of an app.
pub(crate) fn keys(app: &str) -> Keys {
    Keys::new(&apps::key(app), &apps::secret(app))
}
