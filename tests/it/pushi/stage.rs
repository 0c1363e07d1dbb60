//! A stage for stories: an engine with a store in memory or the binary behind real sockets, sockets
//! that speak the protocol, and applications that ask by HTTP.
//!
//! Frames are compared as JSON; what is a text that holds JSON, and what an object, is part of what is
//! compared.

use super::replay::encoded;
use super::values::AppKeys;
use crate::client::{Caller, Client, Heard};
use crate::http::{self, Answer};
use crate::kept::{Kept, Manner};
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use crate::websocket::{self, Event};
use fanwire::dialect::pushi::config::{App, Config};
use fanwire::hub::AppId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long anything is waited for.
const WAIT_MS: u64 = 12_000;

/// Two apps of the same kind.
pub(crate) const MAIN: &str = "main";
pub(crate) const OTHER: &str = "other";
/// One that is switched off.
pub(crate) const DISABLED: &str = "disabled";
/// Pages of one host only.
pub(crate) const ORIGINS: &str = "origins";
const ALL: [&str; 4] = [MAIN, OTHER, DISABLED, ORIGINS];

/// The credentials of an app: keys are 64 hex digits.
pub(crate) fn keys(app: &str) -> AppKeys {
    let place = ALL.iter().position(|known| *known == app);
    let place = place.expect("one of them");
    AppKeys {
        name: app.to_owned(),
        ident: app.to_owned(),
        key: format!("{:064x}", 0xfeed_0000 + place),
        secret: format!("secret of {app}"),
    }
}

/// The settings of the protocol, for an engine in memory.
pub(crate) fn config() -> Config {
    let app = |(place, app): (usize, &str)| {
        let keys = keys(app);
        let number = AppId(1 + place as u16);
        let plain = App::new(number, &keys.ident, &keys.key, &keys.secret);
        match app {
            DISABLED => App {
                enabled: false,
                ..plain
            },
            ORIGINS => App {
                origins: vec!["https://example.com".to_owned()],
                ..plain
            },
            _ => plain,
        }
    };
    Config {
        apps: ALL.into_iter().enumerate().map(app).collect(),
        ..Config::default()
    }
}

/// The same as the text of a file.
#[cfg(feature = "server")]
fn file() -> String {
    let app = |app: &str| {
        let AppKeys {
            ident, key, secret, ..
        } = keys(app);
        let more = match app {
            DISABLED => "enabled = false",
            ORIGINS => "origins = [\"https://example.com\"]",
            _ => "",
        };
        format!(
            "[[app]]\nid = {ident:?}\nkey = {key:?}\nsecret = {secret:?}\n\
             protocols = [\"pushi\"]\n{more}\n"
        )
    };
    let apps: Vec<String> = ALL.into_iter().map(app).collect();
    format!("[channelstream]\nsecret = \"of nobody\"\n{}", apps.concat())
}

/// What is tested.
enum Scene {
    Memory(Box<Memory<Kept>>),
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
    caller: Caller,
    sids: BTreeMap<String, String>,
}

/// A socket by its number, and the id that the server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sock {
    at: usize,
    pub(crate) id: String,
    app: &'static str,
}

impl Stage {
    /// In memory, with a store that answers in this manner; writes are cut as `cut` says.
    pub(crate) fn new(manner: Manner, cut: Cut) -> Self {
        Self::of(config(), manner, cut)
    }

    /// The same, where everybody may make apps.
    pub(crate) fn open_to_all(manner: Manner, cut: Cut) -> Self {
        let config = Config {
            open_registration: true,
            ..config()
        };
        Self::of(config, manner, cut)
    }

    fn of(config: Config, manner: Manner, cut: Cut) -> Self {
        let memory = super::memory(config, manner, cut);
        Self {
            scene: Scene::Memory(Box::new(memory)),
            clients: Vec::new(),
            caller: Caller::default(),
            sids: BTreeMap::new(),
        }
    }

    /// The binary.
    #[cfg(feature = "server")]
    pub(crate) fn real() -> Self {
        Self::of_file(&file())
    }

    /// The binary, where everybody may make apps.
    #[cfg(feature = "server")]
    pub(crate) fn real_open_to_all() -> Self {
        Self::of_file(&format!("{}[pushi]\nopen_registration = true\n", file()))
    }

    #[cfg(feature = "server")]
    fn of_file(text: &str) -> Self {
        let process = crate::server::Process::of_file("pushi", text);
        let tcp = crate::tcp::Tcp::new(process.address(), "", Cut::Whole);
        Self {
            scene: Scene::Real(tcp, process),
            clients: Vec::new(),
            caller: Caller::default(),
            sids: BTreeMap::new(),
        }
    }

    pub(crate) fn sut(&mut self) -> &mut dyn Sut {
        self.scene.sut()
    }

    /// The engine in memory.
    pub(crate) fn memory(&mut self) -> &mut Memory<Kept> {
        match &mut self.scene {
            Scene::Memory(memory) => memory,
            #[cfg(feature = "server")]
            Scene::Real(..) => panic!("this story is told in memory only"),
        }
    }

    /// The store answers in this manner from now on.
    pub(crate) fn behave(&mut self, manner: Manner) {
        self.memory().with(|kept, turn| kept.behave(manner, turn));
    }

    /// Ends it: in memory nothing may be left.
    pub(crate) fn finish(mut self) -> usize {
        let links: Vec<_> = self.clients.iter().map(|client| client.link).collect();
        let (mut caller, sut) = (std::mem::take(&mut self.caller), self.sut());
        for link in links {
            sut.close(link);
        }
        caller.close(sut);
        match self.scene {
            Scene::Memory(mut memory) => {
                // A late store answers, though nobody listens; empty channels are forgotten.
                memory.wait_ms(120_000);
                memory.handler().engine().hub().check();
                assert!(memory.handler().engine().is_empty(), "something is left");
                let longest = memory.longest_write();
                memory.finish();
                longest
            }
            #[cfg(feature = "server")]
            Scene::Real(..) => 0,
        }
    }

    // ---- sockets ---------------------------------------------------------------------------

    /// A socket of an app, welcomed.
    pub(crate) fn open(&mut self, app: &'static str) -> Sock {
        self.open_at(app, &format!("/{}", keys(app).key), &[])
    }

    /// The same by another path, with words in the packet of the handshake.
    pub(crate) fn open_at(
        &mut self,
        app: &'static str,
        path: &str,
        behind: &[(u8, &[u8])],
    ) -> Sock {
        self.open_with(app, path, &[], behind)
    }

    /// The same with further headers.
    pub(crate) fn open_with(
        &mut self,
        app: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        behind: &[(u8, &[u8])],
    ) -> Sock {
        let opened = Client::open(self.sut(), path, headers, behind);
        let (answer, client) = opened.expect("a handshake");
        assert_eq!(answer.status, 101, "{path}: {}", http::lossy(&answer.body));
        assert_eq!(answer.header("sec-websocket-protocol"), None);
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        self.clients.push(client.expect("a socket"));
        let sock = Sock {
            at: self.clients.len() - 1,
            id: String::new(),
            app,
        };
        let frame = self.hear(&sock);
        assert_eq!(frame["event"], "pusher:connection_established");
        assert_eq!(frame.as_object().map(serde_json::Map::len), Some(2));
        let data = inside(&frame["data"]);
        let id = data["socket_id"].as_str().expect("a text").to_owned();
        assert_eq!(data, json!({ "socket_id": id }));
        assert!(crate::bindings::is_uuid(&id), "{id}");
        Sock { id, ..sock }
    }

    /// A handshake that comes to something else than a socket: the answer.
    pub(crate) fn no_socket(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let opened = Client::open(self.sut(), path, headers, &[]);
        let (answer, client) = opened.expect("an answer");
        assert!(client.is_none(), "{path} is a socket");
        answer
    }

    /// What comes next on a socket: control frames are given as they are.
    pub(crate) fn event(&mut self, sock: &Sock) -> Heard {
        let (client, sut) = self.client(sock);
        client.hear(sut, WAIT_MS).expect("frames in order")
    }

    /// What has come already.
    pub(crate) fn event_now(&mut self, sock: &Sock) -> Heard {
        let (client, sut) = self.client(sock);
        client.hear(sut, 0).expect("frames in order")
    }

    /// Closes have gone both ways: TCP ends.
    #[track_caller]
    pub(crate) fn ends(&mut self, sock: &Sock) {
        let (client, sut) = self.client(sock);
        client.ends(sut).expect("an end in order");
    }

    fn client(&mut self, sock: &Sock) -> (&mut Client, &mut dyn Sut) {
        (&mut self.clients[sock.at], self.scene.sut())
    }

    /// The next frame.
    #[track_caller]
    pub(crate) fn hear(&mut self, sock: &Sock) -> Value {
        match self.event(sock) {
            Heard::Event(Event::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("want a frame, heard {other:?}"),
        }
    }

    /// The next frame must be this.
    #[track_caller]
    pub(crate) fn hears(&mut self, sock: &Sock, want: &Value) {
        assert_eq!(self.hear(sock), *want);
    }

    /// An event of a channel that is not stored: `data` is the text that it carries.
    #[track_caller]
    pub(crate) fn hears_event(&mut self, sock: &Sock, channel: &str, event: &str, data: &str) {
        let want = json!({"channel": channel, "event": event, "data": data});
        self.hears(sock, &want);
    }

    /// One that is stored. Gives its id.
    #[track_caller]
    pub(crate) fn hears_stored(
        &mut self,
        sock: &Sock,
        channel: &str,
        event: &str,
        data: &str,
    ) -> String {
        let got = self.hear(sock);
        let mid = got["mid"].as_str().unwrap_or("none").to_owned();
        assert!(crate::bindings::is_uuid(&mid), "{got}");
        assert!(got["timestamp"].is_f64(), "{got}");
        let want = json!({"channel": channel, "event": event, "data": data, "mid": mid,
                          "timestamp": got["timestamp"]});
        assert_eq!(got, want);
        mid
    }

    /// One of the three answers: gives the description of the channel.
    #[track_caller]
    pub(crate) fn hears_answer(&mut self, sock: &Sock, event: &str, channel: &str) -> Value {
        let got = self.hear(sock);
        assert_eq!(got["event"], format!("pusher_internal:{event}"), "{got}");
        assert_eq!(got["channel"], channel, "{got}");
        assert_eq!(got.as_object().map(serde_json::Map::len), Some(3), "{got}");
        let description = inside(&got["data"]);
        assert_eq!(description["name"], channel);
        let keys = description.as_object().expect("an object").keys();
        let mut keys: Vec<&str> = keys.map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["alias", "events", "members", "name"]);
        description
    }

    /// Somebody came to a presence channel or left it.
    #[track_caller]
    pub(crate) fn hears_member(&mut self, sock: &Sock, what: &str, channel: &str, data: &Value) {
        let got = self.hear(sock);
        assert_eq!(got["event"], format!("pusher:{what}"), "{got}");
        assert_eq!(got["channel"], channel, "{got}");
        assert_eq!(got.as_object().map(serde_json::Map::len), Some(3), "{got}");
        assert_eq!(inside(&got["member"]), *data);
    }

    /// Something is refused, with the code that it would have over HTTP. The connection goes on.
    #[track_caller]
    pub(crate) fn hears_error(&mut self, sock: &Sock, channel: &str, code: u16) -> String {
        self.hears_refusal(sock, "pusher:error", channel, code)
    }

    /// A subscription is refused. The connection goes on.
    #[track_caller]
    pub(crate) fn hears_no(&mut self, sock: &Sock, channel: &str, code: u16) -> String {
        self.hears_refusal(sock, "pusher:subscription_error", channel, code)
    }

    #[track_caller]
    fn hears_refusal(&mut self, sock: &Sock, event: &str, channel: &str, code: u16) -> String {
        let got = self.hear(sock);
        let (heard, named) = (&got["event"], &got["channel"]);
        assert_eq!((heard, named), (&json!(event), &json!(channel)), "{got}");
        assert_eq!(got.as_object().map(serde_json::Map::len), Some(3), "{got}");
        let data = inside(&got["data"]);
        assert_eq!(data["code"], code, "{got}");
        let message = data["message"].as_str().expect("a text").to_owned();
        assert!(!message.is_empty());
        assert_eq!(data.as_object().map(serde_json::Map::len), Some(2), "{got}");
        message
    }

    /// A Close with this code comes, and TCP ends once it is answered.
    #[track_caller]
    pub(crate) fn hears_close(&mut self, sock: &Sock, code: u16) {
        match self.event(sock) {
            Heard::Event(Event::Close(got, payload)) => {
                assert_eq!(got, code);
                let (client, sut) = self.client(sock);
                client.say(sut, websocket::CLOSE, &payload);
                client.ends(sut).expect("an end in order");
            }
            other => panic!("want a Close with {code}, heard {other:?}"),
        }
    }

    pub(crate) fn say(&mut self, sock: &Sock, word: &Value) {
        self.say_text(sock, &word.to_string());
    }

    pub(crate) fn say_text(&mut self, sock: &Sock, text: &str) {
        self.say_frame(sock, websocket::TEXT, text.as_bytes());
    }

    pub(crate) fn say_frame(&mut self, sock: &Sock, opcode: u8, payload: &[u8]) {
        let (client, sut) = self.client(sock);
        client.say(sut, opcode, payload);
    }

    /// One frame of a message in several.
    pub(crate) fn say_part(&mut self, sock: &Sock, opcode: u8, is_last: bool, part: &[u8]) {
        let (client, sut) = self.client(sock);
        client.say_part(sut, opcode, is_last, part);
    }

    /// A frame without a mask.
    pub(crate) fn say_bare(&mut self, sock: &Sock, payload: &[u8]) {
        let (client, sut) = self.client(sock);
        client.say_bare(sut, websocket::TEXT, payload);
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
        let before = self.sockets_open();
        let (client, sut) = self.client(sock);
        client.over = true;
        sut.abort(client.link);
        for _ in 0..10_000 {
            if self.sockets_open() < before {
                return;
            }
        }
        panic!("the server goes on counting a socket that was reset");
    }

    fn sockets_open(&mut self) -> u64 {
        let (status, told) = self.call("GET", "/health/detailed", None);
        assert_eq!(status, 200);
        let open = &told["checks"]["websocket"]["connections"];
        open.as_u64().expect("a number")
    }

    /// All that was sent has been acted on, and nobody hears anything that was not looked at.
    #[track_caller]
    pub(crate) fn nothing_else(&mut self) {
        // Twice: what the first round makes an earlier socket hear shows in the second.
        for round in ["one", "two"] {
            for at in 0..self.clients.len() {
                if self.clients[at].over {
                    continue;
                }
                let sock = Sock {
                    at,
                    id: String::new(),
                    app: MAIN,
                };
                self.say_frame(&sock, websocket::PING, round.as_bytes());
                let heard = self.event(&sock);
                let pong = Heard::Event(Event::Pong(round.as_bytes().to_vec()));
                assert_eq!(heard, pong, "socket {at}");
            }
        }
    }

    // ---- what clients say ------------------------------------------------------------------

    /// Asks for a channel, with a good signature.
    pub(crate) fn ask(&mut self, sock: &Sock, channel: &str, data: Option<&Value>) {
        let auth = keys(sock.app).sign(&sock.id, channel);
        let mut asked = json!({"channel": channel, "auth": auth});
        if let Some(data) = data {
            asked["channel_data"] = data.clone();
        }
        self.say(sock, &json!({"event": "pusher:subscribe", "data": asked}));
    }

    /// Joins a channel. Gives its description.
    #[track_caller]
    pub(crate) fn join(&mut self, sock: &Sock, channel: &str) -> Value {
        self.ask(sock, channel, None);
        self.hears_answer(sock, "subscription_succeeded", channel)
    }

    /// Joins a presence or a personal channel as somebody.
    #[track_caller]
    pub(crate) fn join_as(&mut self, sock: &Sock, channel: &str, data: &Value) -> Value {
        self.ask(sock, channel, Some(data));
        self.hears_answer(sock, "subscription_succeeded", channel)
    }

    pub(crate) fn ask_to_leave(&mut self, sock: &Sock, channel: &str) {
        let word = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
        self.say(sock, &word);
    }

    /// Leaves a channel. Gives its description.
    #[track_caller]
    pub(crate) fn part(&mut self, sock: &Sock, channel: &str) -> Value {
        self.ask_to_leave(sock, channel);
        self.hears_answer(sock, "unsubscription_succeeded", channel)
    }

    /// Asks for the latest events of a channel with these further fields. Gives its description.
    #[track_caller]
    pub(crate) fn latest(&mut self, sock: &Sock, channel: &str, more: &Value) -> Value {
        let mut data = more.clone();
        data["channel"] = json!(channel);
        self.say(sock, &json!({"event": "pusher:latest", "data": data}));
        self.hears_answer(sock, "latest", channel)
    }

    /// The data of the latest events of a channel, newest first.
    #[track_caller]
    pub(crate) fn latest_data(&mut self, sock: &Sock, channel: &str) -> Vec<String> {
        let told = self.latest(sock, channel, &json!({}));
        let events = told["events"].as_array().expect("a list").iter();
        let data = events.map(|event| event["data"]["data"].as_str().unwrap_or("").to_owned());
        data.collect()
    }

    /// Publishes something that is not stored.
    pub(crate) fn tell(&mut self, sock: &Sock, channel: &str, data: &str) {
        let word = json!({"event": "message", "data": data, "channel": channel, "persist": false});
        self.say(sock, &word);
    }

    /// Publishes something that is stored.
    pub(crate) fn keep(&mut self, sock: &Sock, channel: &str, data: &str) {
        let word = json!({"event": "message", "data": data, "channel": channel});
        self.say(sock, &word);
    }

    /// The socket goes on as before: it gets what it asks for.
    #[track_caller]
    pub(crate) fn is_well(&mut self, sock: &Sock) {
        self.join(sock, "a-good-channel");
        let word = json!({"event": "e", "data": "good", "channel": "a-good-channel",
                          "persist": false, "echo": true});
        self.say(sock, &word);
        self.hears_event(sock, "a-good-channel", "e", "good");
        self.part(sock, "a-good-channel");
    }

    // ---- the application -------------------------------------------------------------------

    /// A request of an app that has logged in. Gives the status and the JSON of the answer.
    pub(crate) fn rest(
        &mut self,
        app: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> (u16, Value) {
        let sid = self.is_known(app);
        let mut path = format!("{path}?sid={sid}");
        for (name, value) in query {
            path = format!("{path}&{}={}", encoded(name), encoded(value));
        }
        self.call(method, &path, body)
    }

    /// An app has logged in. Gives its session.
    pub(crate) fn is_known(&mut self, app: &str) -> String {
        if let Some(sid) = self.sids.get(app) {
            return sid.clone();
        }
        let AppKeys {
            ident, key, secret, ..
        } = keys(app);
        let secret = encoded(&secret);
        let query = format!("app_id={ident}&app_key={key}&app_secret={secret}");
        let (status, told) = self.call("GET", &format!("/login?{query}"), None);
        assert_eq!(status, 200, "{told}");
        let sid = told["token"].as_str().expect("a text").to_owned();
        self.sids.insert(app.to_owned(), sid.clone());
        sid
    }

    /// A request of an app that has logged in, on its way.
    pub(crate) fn begin(&mut self, app: &str, method: &str, path: &str, body: &Value) -> Link {
        let sid = self.is_known(app);
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let body = body.to_string();
        let path = format!("{path}?sid={sid}");
        let request = http::request(method, &path, "h", &[json], Some(body.as_bytes()));
        let sut = self.sut();
        let link = sut.dial();
        sut.send(link, &request);
        link
    }

    /// The answer, if it is there.
    pub(crate) fn answered(&mut self, link: Link) -> Option<(u16, Value)> {
        let now = self.sut().now_ms();
        let Received::Bytes { bytes, .. } = self.sut().receive(link, now) else {
            return None;
        };
        let answer = http::answer(&bytes, false, false).expect("in order");
        let (answer, _) = answer.expect("in one piece");
        let told = serde_json::from_slice(&answer.body).expect("JSON");
        Some((answer.status, told))
    }

    /// Whoever asked goes.
    pub(crate) fn end(&mut self, link: Link) {
        self.sut().close(link);
    }

    /// A client vanishes, whether anybody notices or not.
    pub(crate) fn drop_now(&mut self, sock: &Sock) {
        let (client, sut) = self.client(sock);
        client.over = true;
        sut.abort(client.link);
    }

    /// Any request.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.call_for_all(method, path, body);
        let told = serde_json::from_slice(&answer.body);
        let told = told.unwrap_or_else(|why| panic!("{why}: {}", http::lossy(&answer.body)));
        (answer.status, told)
    }

    /// Any request. Gives all of the answer.
    pub(crate) fn call_for_all(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string);
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let headers: Vec<_> = body.iter().map(|_| json.clone()).collect();
        let bytes = body.as_deref().map(str::as_bytes);
        let request = http::request(method, path, "h", &headers, bytes);
        let mut caller = std::mem::take(&mut self.caller);
        let answer = caller.ask(self.sut(), &request).expect("an answer");
        self.caller = caller;
        answer
    }

    /// Publishes by HTTP; it must succeed.
    #[track_caller]
    pub(crate) fn publish(&mut self, app: &str, body: &Value) {
        let (status, told) = self.rest(app, "POST", "/events", &[], Some(body));
        assert_eq!(status, 200, "{told}");
    }

    /// A user subscribes to a channel for good.
    #[track_caller]
    pub(crate) fn subscribe_user(&mut self, app: &str, user: &str, channel: &str) {
        let body = json!({"user_id": user, "event": channel});
        let (status, told) = self.rest(app, "POST", "/subscriptions", &[], Some(&body));
        assert_eq!(status, 200, "{told}");
    }
}

/// The JSON in a text.
#[track_caller]
pub(crate) fn inside(value: &Value) -> Value {
    let text = value.as_str();
    let text = text.unwrap_or_else(|| panic!("{value} is no text"));
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}
