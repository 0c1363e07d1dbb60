//! Two or three protocols in one engine, and clients of each.

use crate::http::{self, Answer};
use crate::kept::{Kept, Manner};
use crate::memory::Memory;
use crate::pushi::values::AppKeys;
use crate::session::{Cut, Link, Received, Sut};
use crate::signature;
use crate::websocket::{Event, Reader, TEXT, Writer};
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{self, Channelstream};
use fanwire::dialect::pusher::Pusher;
use fanwire::dialect::pusher::auth::Keys;
use fanwire::dialect::pusher::config::{self, App};
use fanwire::dialect::pushi::{self, Pushi};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::hub::AppId;
use fanwire::random::Random;
use serde_json::{Value, json};

const SECRET: &str = "of channelstream";
/// Channelstream's own app, where it has one.
pub(super) const OWN: AppId = AppId::FIRST;
/// The two apps of Pusher: ids, keys and secrets are `1`, `key-1`, `secret-1` and so on; where Pushi
/// is there keys are as it wants them.
pub(super) const ONE: AppId = AppId(1);

/// An engine with two apps of Pusher, and Channelstream; with Pushi if so wished.
pub(super) struct Stage {
    pub(super) memory: Memory<Kept>,
    has_pushi: bool,
}

/// A WebSocket of either protocol.
pub(super) struct Socket {
    link: Link,
    reader: Reader,
    writer: Writer,
    /// Its `socket_id`, or its `conn_id`.
    pub(super) id: String,
}

impl Stage {
    /// Channelstream lives in the first of the two apps.
    pub(super) fn shared() -> Self {
        Self::new(ONE, |_| {})
    }

    /// The same with Pushi in both apps: three protocols share the first one.
    pub(super) fn three() -> Self {
        Self::made(ONE, |_| {}, true)
    }

    /// The same, and what Channelstream remembers survives a restart.
    pub(super) fn persistent() -> Self {
        Self::built(ONE, |_| {}, true, true)
    }

    /// Pushi and Pusher in both apps, Channelstream in one of its own.
    pub(super) fn apart() -> Self {
        Self::made(OWN, |_| {}, true)
    }

    /// Channelstream lives in `app`; `adjust` changes both apps of Pusher.
    pub(super) fn new(app: AppId, adjust: impl Fn(&mut App)) -> Self {
        Self::made(app, adjust, false)
    }

    pub(super) fn made(app: AppId, adjust: impl Fn(&mut App), has_pushi: bool) -> Self {
        Self::built(app, adjust, has_pushi, false)
    }

    fn built(app: AppId, adjust: impl Fn(&mut App), has_pushi: bool, persist: bool) -> Self {
        let apps = [1, 2].map(|number: u16| {
            let keys = keys(number, has_pushi);
            let mut made = App::new(AppId(number), &keys.ident, &keys.key, &keys.secret);
            made.is_shared = made.app == app;
            if has_pushi {
                made.closed = &pushi::names::OF_USERS;
            }
            adjust(&mut made);
            made
        });
        let of_pushi = apps.iter().map(|of_pusher| {
            let (app, ident) = (of_pusher.app, &of_pusher.id);
            let keys = keys(app.0, has_pushi);
            let mut made = pushi::config::App::new(app, ident, &keys.key, &keys.secret);
            made.enabled = of_pusher.enabled;
            made.is_shared = of_pusher.is_shared;
            made.is_pushers = true;
            made
        });
        let pushi = Pushi::new(pushi::config::Config {
            apps: of_pushi.collect(),
            ..pushi::config::Config::default()
        });
        let pusher = Pusher::new(config::Config {
            apps: apps.to_vec(),
            ..config::Config::default()
        });
        let channelstream = Channelstream::new(channelstream::Config {
            app,
            secret: SECRET.to_owned(),
            persist,
            ..channelstream::Config::default()
        });
        let mut dialects: Vec<Box<dyn Dialect>> = vec![Box::new(pusher)];
        let mut config = EngineConfig {
            facts_kept: 1_000,
            ..EngineConfig::default()
        };
        if has_pushi {
            dialects.push(Box::new(pushi));
            config.stored_apps = [1, 2].map(|app| (AppId(app), app.to_string())).to_vec();
        }
        dialects.push(Box::new(channelstream));
        let engine = Engine::new(config, dialects, Random::seeded(1));
        let kept = Kept::new(engine, &["1", "2"], Manner::AtOnce);
        let mut memory = Memory::new(kept, SECRET, Cut::Whole);
        memory.with(Kept::open);
        Self { memory, has_pushi }
    }

    fn keys(&self, app: u16) -> AppKeys {
        keys(app, self.has_pushi)
    }

    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&str>,
    ) -> Answer {
        let body = body.map(str::as_bytes);
        let request = http::request(method, path, "h", headers, body);
        let link = self.memory.dial();
        self.memory.send(link, &request);
        let (mut bytes, until) = (Vec::new(), self.memory.now_ms() + 1_000);
        loop {
            match self.memory.receive(link, until) {
                Received::Bytes { bytes: more, .. } => bytes.extend(more),
                Received::Ended { .. } | Received::Nothing => panic!("no answer to {path}"),
            }
            if let Some((answer, _)) = http::answer(&bytes, false, false).expect("in order") {
                self.memory.close(link);
                return answer;
            }
        }
    }

    /// Opens a WebSocket; what the server sends at once is there to be read.
    fn open(&mut self, path: &str) -> Socket {
        let headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = http::request("GET", path, "h", &headers, None);
        let link = self.memory.dial();
        self.memory.send(link, &request);
        let mut bytes = Vec::new();
        while let Received::Bytes { bytes: more, .. } =
            self.memory.receive(link, self.memory.now_ms())
        {
            bytes.extend(more);
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("a whole head") + 4;
        assert!(bytes.starts_with(b"HTTP/1.1 101 "), "{path} is upgraded");
        let mut reader = Reader::default();
        reader.feed(&bytes[end..]);
        Socket {
            link,
            reader,
            writer: Writer::default(),
            id: String::new(),
        }
    }

    /// Everything that has come, closes included.
    pub(super) fn events(&mut self, socket: &mut Socket) -> Vec<Event> {
        loop {
            let now = self.memory.now_ms();
            match self.memory.receive(socket.link, now) {
                Received::Bytes { bytes, .. } => socket.reader.feed(&bytes),
                Received::Ended { .. } | Received::Nothing => break,
            }
        }
        std::iter::from_fn(|| socket.reader.next().expect("frames in order")).collect()
    }

    /// The texts that have come, read; heartbeats of Channelstream left out.
    pub(super) fn heard(&mut self, socket: &mut Socket) -> Vec<Value> {
        let read = |event| match event {
            Event::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?} is no text"),
        };
        let texts = self.events(socket).into_iter().map(read);
        texts.filter(|text| *text != json!([])).collect()
    }

    /// The one frame of Pusher that has come: its event's name, and its data read.
    pub(super) fn event(&mut self, socket: &mut Socket) -> (String, Value) {
        let heard = self.heard(socket);
        let [frame] = &heard[..] else {
            panic!("one frame, not {heard:?}");
        };
        let data = frame["data"].as_str().expect("data is text");
        let data = serde_json::from_str(data).unwrap_or_else(|_| json!(data));
        (frame["event"].as_str().expect("a name").to_owned(), data)
    }

    /// The one object of Channelstream that has come.
    pub(super) fn object(&mut self, socket: &mut Socket) -> Value {
        let heard = self.heard(socket);
        let [frame] = &heard[..] else {
            panic!("one frame, not {heard:?}");
        };
        assert_eq!(frame.as_array().map(Vec::len), Some(1), "{frame}");
        frame[0].clone()
    }

    pub(super) fn send(&mut self, socket: &mut Socket, text: &Value) {
        let frame = socket.writer.frame(TEXT, text.to_string().as_bytes());
        self.memory.send(socket.link, &frame);
    }

    pub(super) fn close(&mut self, socket: Socket) {
        self.memory.close(socket.link);
    }

    // ---- Pusher ----------------------------------------------------------------------------

    /// A socket of the app with this number.
    pub(super) fn pusher(&mut self, app: u16) -> Socket {
        let key = self.keys(app).key;
        let mut socket = self.open(&format!("/app/{key}?protocol=7"));
        let (event, data) = self.event(&mut socket);
        assert_eq!(event, "pusher:connection_established");
        socket.id = data["socket_id"].as_str().expect("an id").to_owned();
        socket
    }

    fn pusher_keys(&self, app: u16) -> Keys {
        let keys = self.keys(app);
        Keys::new(&keys.key, &keys.secret)
    }

    /// Asks to be let into a channel of the first app, with a good signature.
    pub(super) fn ask_in(&mut self, socket: &mut Socket, channel: &str, data: Option<&Value>) {
        let data = data.map(Value::to_string);
        let keys = self.pusher_keys(1);
        let signed = data.as_deref().filter(|_| channel.starts_with("presence-"));
        let auth = keys.channel_auth(&socket.id, channel, signed);
        let asked = json!({"channel": channel, "auth": auth, "channel_data": data});
        self.send(socket, &json!({"event": "pusher:subscribe", "data": asked}));
    }

    /// Joins a channel of the first app. Gives the data of the success.
    pub(super) fn join(&mut self, socket: &mut Socket, channel: &str) -> Value {
        self.join_as(socket, channel, None)
    }

    /// Joins it as a member.
    pub(super) fn join_as(
        &mut self,
        socket: &mut Socket,
        channel: &str,
        data: Option<&Value>,
    ) -> Value {
        self.ask_in(socket, channel, data);
        let (event, data) = self.event(socket);
        assert_eq!(event, "pusher_internal:subscription_succeeded");
        data
    }

    /// Signs in to the first app.
    pub(super) fn sign_in(&mut self, socket: &mut Socket, user: &Value) {
        let user = user.to_string();
        let auth = self.pusher_keys(1).signin_auth(&socket.id, &user);
        let data = json!({"auth": auth, "user_data": user});
        self.send(socket, &json!({"event": "pusher:signin", "data": data}));
    }

    /// A signed request to the HTTP API of the app with this number.
    pub(super) fn api(
        &mut self,
        app: u16,
        method: &str,
        rest: &str,
        params: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let path = format!("/apps/{app}/{rest}");
        let body = body.map(Value::to_string);
        let bytes = body.as_deref().unwrap_or("").as_bytes();
        let keys = self.pusher_keys(app);
        let unix_s = self.memory.unix_seconds();
        let query = keys.sign_request(method, &path, params, bytes, unix_s);
        self.ask(method, &format!("{path}?{query}"), &[], body.as_deref())
    }

    /// What the first app is told of itself.
    pub(super) fn told(&mut self, rest: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.api(1, "GET", rest, params, None);
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{rest}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Publishes in the app with this number.
    pub(super) fn trigger(&mut self, app: u16, channel: &str, name: &str, data: &str) {
        let body = json!({"name": name, "channel": channel, "data": data});
        let answer = self.api(app, "POST", "events", &[], Some(&body));
        assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    }

    /// What Pusher's applications sign for a socket of the first app.
    pub(super) fn pusher_auth(&self, id: &str, channel: &str, data: Option<&Value>) -> String {
        let data = data.map(Value::to_string);
        self.pusher_keys(1)
            .channel_auth(id, channel, data.as_deref())
    }

    // ---- Pushi -----------------------------------------------------------------------------

    /// A socket of the app with this number.
    pub(super) fn pushi(&mut self, app: u16) -> Socket {
        let key = self.keys(app).key;
        let mut socket = self.open(&format!("/{key}"));
        let (event, data) = self.event(&mut socket);
        assert_eq!(event, "pusher:connection_established");
        socket.id = data["socket_id"].as_str().expect("an id").to_owned();
        socket
    }

    /// What Pushi's applications sign for a socket of the first app.
    pub(super) fn pushi_auth(&self, id: &str, channel: &str) -> String {
        self.keys(1).sign(id, channel)
    }

    /// Asks to be let into a channel of the first app, with a good signature.
    pub(super) fn pushi_asks(&mut self, socket: &mut Socket, channel: &str, data: Option<&Value>) {
        let auth = self.keys(1).sign(&socket.id, channel);
        let mut asked = json!({"channel": channel, "auth": auth});
        if let Some(data) = data {
            asked["channel_data"] = data.clone();
        }
        self.send(socket, &json!({"event": "pusher:subscribe", "data": asked}));
    }

    /// Joins a channel of the first app. Gives the members.
    pub(super) fn pushi_joins(
        &mut self,
        socket: &mut Socket,
        channel: &str,
        data: Option<&Value>,
    ) -> Value {
        self.pushi_asks(socket, channel, data);
        let (event, data) = self.event(socket);
        assert_eq!(event, "pusher_internal:subscription_succeeded", "{data}");
        data["members"].clone()
    }

    /// The data of the latest events that are stored for a channel.
    pub(super) fn pushi_latest(&mut self, socket: &mut Socket, channel: &str) -> Vec<Value> {
        let asked = json!({"event": "pusher:latest", "data": {"channel": channel}});
        self.send(socket, &asked);
        let (event, data) = self.event(socket);
        assert_eq!(event, "pusher_internal:latest", "{data}");
        let events = data["events"].as_array().expect("a list").iter();
        events.map(|event| event["data"]["data"].clone()).collect()
    }

    /// Publishes in the first app.
    pub(super) fn pushi_publishes(&mut self, body: &Value) {
        let answer = self.pushi_asks_to_publish(body);
        assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    }

    /// What publishing in the first app is answered.
    pub(super) fn pushi_asks_to_publish(&mut self, body: &Value) -> Answer {
        let AppKeys {
            ident, key, secret, ..
        } = self.keys(1);
        let path = format!("/login?app_id={ident}&app_key={key}&app_secret={secret}");
        let answer = self.ask("GET", &path, &[], None);
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let sid = told["token"].as_str().expect("a session");
        let json = [("Content-Type".to_owned(), "application/json".to_owned())];
        let path = format!("/events?sid={sid}");
        self.ask("POST", &path, &json, Some(&body.to_string()))
    }

    // ---- Channelstream ---------------------------------------------------------------------

    pub(super) fn signed(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let now = self.memory.unix_seconds();
        let secret = signature::sign(SECRET, "channelstream", now);
        let headers = [("X-Channelstream-Secret".to_owned(), secret)];
        self.ask(method, path, &headers, Some(&body.to_string()))
    }

    /// A signed call that succeeds.
    pub(super) fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.signed(method, path, body);
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// `/connect`, and the socket.
    pub(super) fn connect(&mut self, body: &Value) -> Socket {
        let answer = self.call("POST", "/connect", body);
        let id = answer["conn_id"].as_str().expect("an id").to_owned();
        let mut socket = self.open(&format!("/ws?conn_id={id}"));
        socket.id = id;
        assert_eq!(self.heard(&mut socket), [] as [Value; 0]);
        socket
    }

    /// A subscriber to one channel.
    pub(super) fn listener(&mut self, user: &str, channel: &str) -> Socket {
        self.connect(&json!({"username": user, "channels": [channel]}))
    }

    /// Publishes one message, and gives its id.
    pub(super) fn say(&mut self, message: Value) -> String {
        let answer = self.call("POST", "/message", &json!([message]));
        answer[0]["uuid"].as_str().expect("an id").to_owned()
    }

    /// What is known of one channel.
    pub(super) fn info(&mut self, channel: &str) -> Value {
        let body = json!({"info": {"channels": [channel], "include_users": true,
                                   "include_history": true}});
        self.call("POST", "/info", &body)["channels"][channel].clone()
    }
}

fn keys(app: u16, has_pushi: bool) -> AppKeys {
    AppKeys {
        name: format!("app {app}"),
        ident: app.to_string(),
        key: match has_pushi {
            true => format!("{app:064x}"),
            false => format!("key-{app}"),
        },
        secret: format!("secret-{app}"),
    }
}

/// A member of a presence channel.
pub(super) fn member(id: &str) -> Value {
    json!({"user_id": id, "user_info": {"from": "pusher"}})
}

/// The event of a refused subscription.
pub(super) const REFUSED: &str = "pusher:subscription_error";

impl Stage {
    /// A socket that is closed as soon as it is open: the code.
    pub(super) fn refused(&mut self, path: &str) -> u16 {
        let mut socket = self.open(path);
        match &self.events(&mut socket)[..] {
            [.., Event::Close(code, _)] => *code,
            other => panic!("{other:?} is no close"),
        }
    }

    /// The socket of a connection that may have one already.
    pub(super) fn socket_of(&mut self, conn_id: &str) -> Socket {
        self.open(&format!("/ws?conn_id={conn_id}"))
    }
}
