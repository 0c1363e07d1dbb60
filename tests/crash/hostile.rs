//! What the protocol has no place for, and what is as large as may be, said to a server with a store:
//! each gets its answer, nobody else is bothered, and all of what was taken is there after a kill.

use crate::client::{self, upgrade};
use crate::http::{self, Answer};
use crate::peers::{Api, Socket, auth, inside};
use crate::process::{Server, as_text, fanwire};
use crate::setup::{APP, APP_SECRET, Home, KEY, log_in, post};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
/// Channels that one event may have.
const CHANNELS: usize = 100_000;
/// How long others wait at most for an answer while something large is done. The binary may be one
/// that was built to be looked into, on a machine that has much else to do.
const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// User ids that careless code would take apart.
const ODD_USERS: &[&str] = &[
    "a&b",
    "a:b",
    "a/b//c",
    "/",
    "..",
    "it's",
    "say \"hi\"",
    "back\\slash",
    "%41",
    "a+b c",
    "?q=1#top",
    "décor",
    "🦀",
    "new\nline",
    "'; DROP TABLE record; --",
    "personal-ann",
];

/// A server, and an application that is logged in.
struct Scene {
    home: Home,
    server: Server,
    api: Api,
    sid: String,
}

impl Scene {
    fn new() -> Self {
        Self::at(Home::new(""))
    }

    fn at(home: Home) -> Self {
        let server = home.start();
        let mut api = Api::connect(server.address()).expect("it is there");
        let sid = log_in(&mut api).expect("it is there");
        Self {
            home,
            server,
            api,
            sid,
        }
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}sid={}", self.sid);
        let request = match body {
            Some(body) => post(&path, &body.to_string()),
            None => http::request(method, &path, "localhost", &[], None),
        };
        self.api.ask(&request).expect("it is there")
    }

    #[track_caller]
    fn asks_well(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// It is refused with this status, in the shape that refusals have; what it says.
    #[track_caller]
    fn is_refused(
        &mut self,
        status: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> String {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, status, "{}", http::lossy(&answer.body));
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let shape = (&told["result"], &told["code"]);
        assert_eq!(shape, (&json!("error"), &json!(status)), "{told}");
        told["message"].as_str().expect("a text").to_owned()
    }

    fn socket(&self) -> Socket {
        Socket::open(self.server.address()).expect("it is there")
    }

    /// Killed, and started again.
    fn killed(self) -> Self {
        assert_eq!(panics(&self.server), 0.0);
        drop(self.server);
        Self::at(self.home)
    }

    /// Nothing panicked, and the file is sound.
    fn ends_well(self) {
        assert_eq!(panics(&self.server), 0.0);
        let store = as_text(&self.home.store());
        drop(self.server);
        let check = fanwire(&["store", "check", "--path", &store]).output();
        let check = check.expect("it runs");
        assert!(check.status.success(), "{}", http::lossy(&check.stderr));
    }
}

fn panics(server: &Server) -> f64 {
    let page = client::metrics(server);
    client::metric(&page, "fanwire_panics_total").expect("it is counted")
}

#[test]
fn events_of_a_mebibyte_are_kept_and_larger_ones_refused() {
    let mut scene = Scene::new();
    let mut socket = scene.socket();
    let mut bystander = scene.socket();
    socket.subscribe("room").expect("it is there");
    bystander.subscribe("room").expect("it is there");
    let large = |tag: &str| format!("{tag}{}", "é\"\\x".repeat(MIB / 5))[..MIB].to_owned();
    for tag in ["a", "b", "c", "d", "e", "f"] {
        let body = json!({"channel": "room", "data": large(tag)});
        scene.asks_well("POST", "/events", Some(&body));
        for socket in [&mut socket, &mut bystander] {
            let frame = socket.hear().expect("it is there");
            assert!(frame["data"] == *large(tag), "as it was sent");
        }
    }
    // As much as a frame may have, and one byte more.
    let event = |filling: usize| {
        let event = json!({"event": "e", "channel": "room", "data": "x".repeat(filling)});
        event.to_string()
    };
    let most = MIB - event(0).len();
    socket.say_text(&event(most)).expect("it is there");
    let frame = bystander.hear().expect("it is there");
    assert_eq!(frame["data"].as_str().map(str::len), Some(most));
    // The server may be gone before all of it is sent.
    let _ = socket.say_text(&event(most + 1));
    assert_eq!(socket.hear(), None, "too large for anything but the end");
    let head = format!(
        "POST /events?sid={} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        scene.sid,
        9 * MIB
    );
    let answer = scene.api.ask(head.as_bytes()).expect("it is there");
    assert_eq!(answer.status, 413, "{}", http::lossy(&answer.body));
    let mut scene = scene.killed();
    // An answer is bounded in bytes, and still tells of all, page by page.
    let listed = scene.asks_well("GET", "/events?count=0", None);
    let listed = listed["events"].as_array().expect("a list").len();
    assert!((1..7).contains(&listed), "{listed} of them");
    let mut socket = scene.socket();
    socket.subscribe("room").expect("it is there");
    let all = socket.all("room");
    let sizes = all
        .iter()
        .map(|event| event["data"]["data"].as_str().expect("a text").len());
    let sizes: Vec<usize> = sizes.collect();
    assert_eq!(sizes, [MIB, MIB, MIB, MIB, MIB, MIB, most]);
    scene.ends_well();
}

#[test]
fn an_event_for_a_hundred_thousand_channels_is_kept_in_each() {
    let mut scene = Scene::new();
    let name = |number: usize| format!("c{number}");
    let names: Vec<String> = (0..CHANNELS).map(name).collect();
    // One who hears of three of them has it waiting once.
    for number in [7, 50_000, CHANNELS - 1] {
        let body = json!({"user_id": "ann", "event": name(number)});
        scene.asks_well("POST", "/subscriptions", Some(&body));
    }
    let mut socket = scene.socket();
    for number in [9, 99_998] {
        socket.subscribe(&name(number)).expect("it is there");
    }
    let body = json!({"data": "all", "channel": names});
    let path = format!("/events?sid={}", scene.sid);
    let mut publisher = Api::connect(scene.server.address()).expect("it is there");
    let slowest = std::thread::scope(|scope| {
        let published = scope.spawn(|| {
            let answer = publisher.ask_well(&post(&path, &body.to_string()));
            assert_eq!(answer, Some(json!({"result": "success"})));
        });
        let mut slowest = Duration::ZERO;
        while !published.is_finished() {
            let began = Instant::now();
            let answer = scene.api.get("/health/ready").expect("it is there");
            assert_eq!(answer.status, 200);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    });
    assert!(slowest < OTHERS_WAIT, "others waited for {slowest:?}");
    let frame = socket.hear().expect("it is there");
    assert_eq!(
        (&frame["channel"], &frame["data"]),
        (&json!("c9"), &json!("all"))
    );
    let names: Vec<String> = (0..=CHANNELS).map(name).collect();
    let one_more = json!({"data": "none", "channel": names});
    scene.is_refused(413, "POST", "/events", Some(&one_more));
    // Each channel has a copy, so that what is large does not go to many.
    let copies = json!({"data": "x".repeat(MIB), "channel": names[..300]});
    scene.is_refused(413, "POST", "/events", Some(&copies));
    let scene = scene.killed();
    let mut socket = scene.socket();
    for number in [0, 1, 255, 256, 257, 49_999, CHANNELS - 1] {
        socket.subscribe(&name(number)).expect("it is there");
        let events = socket.all(&name(number));
        assert_eq!(events.len(), 1, "{number}");
        assert_eq!(
            events[0]["id"],
            json!(number + 1),
            "in the order of the list"
        );
    }
    socket.subscribe("personal-ann").expect("it is there");
    let waiting = socket.all("personal-ann");
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["channel"], "c7");
    scene.ends_well();
}

#[test]
fn keys_of_a_wrong_length_open_nothing() {
    let mut scene = Scene::new();
    let long = format!("{KEY}0");
    let not_hex = format!("{}g", &KEY[1..]);
    let unknown = "f".repeat(64);
    for key in [
        "",
        "x",
        &KEY[1..],
        &long,
        &not_hex,
        &unknown,
        &KEY.to_uppercase(),
    ] {
        let answer = scene
            .api
            .ask(&upgrade(&format!("/{key}")))
            .expect("it is there");
        assert!(
            (400..500).contains(&answer.status),
            "{key:?}: {}",
            answer.status
        );
        let address = scene.server.address();
        scene.api = Api::connect(address).expect("it is there");
        let path = format!("/login?app_id={APP}&app_key={key}&app_secret={APP_SECRET}");
        let answer = scene.api.get(&path).expect("it is there");
        assert!(
            matches!(answer.status, 400 | 403),
            "{key:?}: {}",
            answer.status
        );
    }
    // What follows the key is none of it.
    let answer = scene.api.ask(&upgrade(&format!("/{KEY}?x=1")));
    assert_eq!(answer.expect("it is there").status, 101);
    scene.api = Api::connect(scene.server.address()).expect("it is there");
    for sid in ["", "0", &"0".repeat(64), &"0".repeat(1000)] {
        let answer = scene.api.get(&format!("/apps?sid={sid}"));
        assert_eq!(answer.expect("it is there").status, 403, "{sid:?}");
    }
    scene.ends_well();
}

#[test]
fn counts_are_numbers_and_bounded() {
    let mut scene = Scene::new();
    const STORED: usize = 1_100;
    const LISTED_MAX: usize = 1_000;
    let names: Vec<String> = (0..STORED - 1).map(|number| format!("c{number}")).collect();
    scene.asks_well(
        "POST",
        "/events",
        Some(&json!({"data": "x", "channel": names})),
    );
    scene.asks_well(
        "POST",
        "/events",
        Some(&json!({"data": "x", "channel": "room"})),
    );
    for (count, expected) in [
        ("0", LISTED_MAX),
        ("1", 1),
        ("1000000000", LISTED_MAX),
        ("18446744073709551615", LISTED_MAX),
        ("18446744073709551616", LISTED_MAX),
    ] {
        let answer = scene.ask("GET", &format!("/events?count={count}"), None);
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            told["events"].as_array().map(Vec::len),
            Some(expected),
            "{count}: {told}"
        );
    }
    for count in ["-1", "-9999999999999999999999", "ten", "1e3", "1.5", "0x10"] {
        let message = scene.is_refused(400, "GET", &format!("/events?count={count}"), None);
        assert!(message.contains("'count'"), "{message}");
    }
    let mut socket = scene.socket();
    socket.subscribe("room").expect("it is there");
    for (count, expected) in [
        ("0", Some(1)),
        ("1000000000", Some(1)),
        ("-1", None),
        ("1.5", None),
    ] {
        socket
            .say_text(&format!(
                r#"{{"event":"pusher:latest","data":{{"channel":"room","count":{count}}}}}"#
            ))
            .expect("it is there");
        let frame = socket.hear().expect("it is there");
        match expected {
            Some(count) => {
                assert_eq!(
                    inside(&frame)["events"].as_array().map(Vec::len),
                    Some(count)
                );
            }
            None => {
                assert_eq!(frame["event"], "pusher:error", "{frame}");
                assert_eq!(frame["channel"], "room");
            }
        }
    }
    let past_all = socket.latest("room", (100_000, 1), &mut |_| ());
    assert_eq!(past_all, Some(Vec::new()));
    let data = json!({"channel": "room", "skip": 1_000_000_000, "count": 1});
    socket
        .say(&json!({"event": "pusher:latest", "data": data}))
        .expect("it is there");
    let frame = socket.hear().expect("it is there");
    assert_eq!(frame["event"], "pusher:error", "so far nobody looks");
    scene.ends_well();
}

#[test]
fn odd_user_ids_are_ids_like_others() {
    let mut scene = Scene::new();
    for user in ODD_USERS {
        let body = json!({"user_id": user, "event": "room"});
        let made = scene.asks_well("POST", "/subscriptions", Some(&body));
        let again = scene.asks_well("POST", "/subscriptions", Some(&body));
        assert_eq!(made["user_id"], *user);
        assert_eq!(made["id"], again["id"], "{user:?}");
    }
    scene.asks_well(
        "POST",
        "/events",
        Some(&json!({"data": "hi", "channel": "room"})),
    );
    let mut scene = scene.killed();
    let escaped = |user: &str| {
        user.bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>()
    };
    for user in ODD_USERS {
        let listed = scene.asks_well(
            "GET",
            &format!("/subscriptions?user_id={}", escaped(user)),
            None,
        );
        assert_eq!(
            listed["subscriptions"].as_array().map(Vec::len),
            Some(1),
            "{user:?}"
        );
        let mut socket = scene.socket();
        let personal = format!("personal-{user}");
        let told = socket.subscribe(&personal).expect("it is there");
        assert_eq!(told["alias"], json!(["room"]), "{user:?}");
        let waiting = socket.all(&personal);
        assert_eq!(waiting.len(), 1, "{user:?}");
        let path = format!("/subscriptions/{}/room", escaped(user));
        let removed = scene.asks_well("DELETE", &path, None);
        assert_eq!(removed["user_id"], *user);
    }
    let listed = scene.asks_well("GET", "/subscriptions", None);
    assert_eq!(listed["subscriptions"], json!([]));
    meet(&scene);
    let long = json!({"user_id": "u".repeat(100_000), "event": "room"});
    let answer = scene.ask("POST", "/subscriptions", Some(&long));
    assert_eq!(answer.status, 400, "{}", http::lossy(&answer.body));
    scene.ends_well();
}

/// All of them meet in a presence channel, as peers: the channels of their pairs have names that say
/// little of who they are.
fn meet(scene: &Scene) {
    let channel = "presence-a:b&c";
    let mut sockets = Vec::new();
    for user in ODD_USERS {
        let mut socket = scene.socket();
        let auth = auth(&socket.id, channel);
        let data = json!({"user_id": user, "peer": true});
        let data = json!({"channel": channel, "auth": auth, "channel_data": data});
        socket
            .say(&json!({"event": "pusher:subscribe", "data": data}))
            .expect("it is there");
        let told = socket.hear_of("pusher_internal:subscription_succeeded", &mut |_| ());
        let members = inside(&told.expect("it is there"))["members"].clone();
        assert_eq!(
            members.as_object().map(serde_json::Map::len),
            Some(sockets.len() + 1)
        );
        assert_eq!(members[user]["user_id"], *user);
        sockets.push(socket);
    }
    // Each tells the first one something, where only the two of them are.
    let first = ODD_USERS[0];
    for (user, at) in ODD_USERS.iter().zip(0..).skip(1) {
        let (one, other) = if first < *user {
            (first, *user)
        } else {
            (*user, first)
        };
        let pair = format!("peer-a:b&c:{one}&{other}");
        let event = json!({"event": "message", "channel": pair, "data": user});
        let socket: &mut Socket = &mut sockets[at];
        socket.say(&event).expect("it is there");
        let frame = sockets[0]
            .hear_of("message", &mut |_| ())
            .expect("it is there");
        assert_eq!(
            (&frame["channel"], &frame["data"]),
            (&json!(pair), &json!(user))
        );
        let latest = sockets[at]
            .latest(&pair, (0, 10), &mut |_| ())
            .expect("it is there");
        assert_eq!(latest.len(), 1, "{pair}");
    }
    // They go in an order that is not that in which they came; nobody else falls.
    sockets.remove(3);
    sockets.remove(0);
    let last = sockets.last_mut().expect("there are more");
    assert_eq!(last.latest(channel, (0, 1), &mut |_| ()), Some(Vec::new()));
}
