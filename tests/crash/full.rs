//! The disk is full: in the middle of commits, for a while, over a restart.

use crate::client::{self, signed};
use crate::http::{self, Answer};
use crate::peers::{Api, Socket};
use crate::process::{Folder, Server, fanwire, until};
use crate::setup::{Chance, Home, log_in, post, ready, skipped};
use crate::volume::Volume;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

/// How many publish while the disk runs full.
const PUBLISHERS: usize = 4;
const MIB: usize = 1 << 20;
const FULL: &str = "nothing can be stored, as the disk is full";

/// A server on a small disk.
struct Scene {
    volume: Volume,
    home: Home,
}

impl Scene {
    fn new(bytes: usize) -> Option<Self> {
        let Some(volume) = Volume::new(bytes) else {
            skipped("nothing may be mounted here, so no disk runs full");
            return None;
        };
        let home = Home::over(Folder::new(), &volume.inside("fanwire.db"), "");
        Some(Self { volume, home })
    }

    fn launch(&self) -> Server {
        Server::start(self.volume.within(&self.home.command()), 1)
    }

    /// What `fanwire store check` says of it, and its exit code.
    fn check(&self) -> (Option<i32>, String) {
        let path = self.volume.inside("fanwire.db");
        let mut command = self
            .volume
            .within(&fanwire(&["store", "check", "--path", &path]));
        let output = command.output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

/// What was published, by its texts.
#[derive(Debug, Default)]
struct Published {
    kept: BTreeSet<String>,
    refused: BTreeSet<String>,
}

/// Publishes until something is refused.
fn publish_until_refused(address: SocketAddr, me: usize, seed: u64) -> Published {
    let mut published = Published::default();
    let mut chance = Chance::new(seed + me as u64);
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    for number in 0.. {
        let text = text(me, number, chance.below(60_000) as usize);
        let answer = publish(&mut api, &sid, &text, true);
        if answer.status == 200 {
            published.kept.insert(text);
        } else {
            assert_is_full(&answer);
            published.refused.insert(text);
            break;
        }
    }
    published
}

fn text(me: usize, number: usize, bytes: usize) -> String {
    format!("{me}/{number}/{}.", "x".repeat(bytes))
}

fn publish(api: &mut Api, sid: &str, text: &str, persist: bool) -> Answer {
    let body = json!({"channel": "room", "data": text, "persist": persist});
    let asked = api.ask(&post(&format!("/events?sid={sid}"), &body.to_string()));
    asked.expect("it is there")
}

/// The refusal has the shape that refusals have.
#[track_caller]
fn assert_is_full(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", http::lossy(&answer.body));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["result"], "error");
    assert_eq!(body["name"], "OperationalError");
    assert_eq!(body["message"], FULL);
    assert_eq!(body["code"], 503);
    let uid = answer.header("x-error-id").expect("it has an id");
    assert_eq!(body["uid"], uid);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

fn readiness(address: SocketAddr) -> (u16, Value) {
    let mut api = Api::connect(address).expect("it is there");
    let answer = api.get("/health/ready").expect("it is there");
    (
        answer.status,
        serde_json::from_slice(&answer.body).expect("JSON"),
    )
}

fn is_full(address: SocketAddr) -> bool {
    let reasons = json!({"status": "not_ready", "ready": false, "reasons": ["storage_full"]});
    readiness(address) == (503, reasons)
}

fn is_ready(address: SocketAddr) -> bool {
    readiness(address).0 == 200
}

/// All that was kept is there, each once and whole, and nothing that was refused.
#[track_caller]
fn assert_there(address: SocketAddr, published: &Published) {
    let mut socket = Socket::open(address).expect("it is there");
    socket.subscribe("room").expect("it is there");
    let events = socket.all("room");
    let there = events
        .iter()
        .map(|event| event["data"]["data"].as_str().expect("a text"));
    let there: Vec<&str> = there.collect();
    let heads = |text: &str| text.chars().take(12).collect::<String>();
    for text in &published.refused {
        assert!(!there.contains(&&**text), "{} was refused", heads(text));
    }
    for text in &published.kept {
        let count = there.iter().filter(|one| *one == text).count();
        assert_eq!(count, 1, "{} was kept", heads(text));
    }
    assert_eq!(there.len(), published.kept.len(), "nobody published more");
    let ids: Vec<u64> = events
        .iter()
        .map(|event| event["id"].as_u64().expect("a number"))
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_full_disk_refuses_what_is_to_be_stored_and_nothing_else() {
    // Each runs full somewhere else.
    for (seed, bytes) in [(1, 4 * MIB), (2, 7 * MIB), (3, 12 * MIB)] {
        let Some(scene) = Scene::new(bytes) else {
            return;
        };
        runs_full(&scene, seed);
    }
}

fn runs_full(scene: &Scene, seed: u64) {
    let server = ready(scene.launch());
    let address = server.address();
    let mut published = Published::default();
    thread::scope(|scope| {
        let publishers =
            (0..PUBLISHERS).map(|me| scope.spawn(move || publish_until_refused(address, me, seed)));
        for one in publishers.collect::<Vec<_>>() {
            let one = one.join().expect("it has said what was wrong");
            published.kept.extend(one.kept);
            published.refused.extend(one.refused);
        }
    });
    assert!(published.kept.len() > 10, "{}", published.kept.len());
    scene.volume.fill();
    until("it says that the disk is full", || is_full(address));
    while_full(address, &mut published);
    assert_there(address, &published);
    scene.volume.make_room();
    until("it says that there is room again", || is_ready(address));
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let text = text(9, 9, 9);
    assert_eq!(publish(&mut api, &sid, &text, true).status, 200);
    published.kept.insert(text);
    assert_there(address, &published);
    // And not a second time: what was refused is not in the log either.
    drop(server);
    let server = ready(scene.launch());
    assert_there(server.address(), &published);
    drop(server);
    let (code, said) = scene.check();
    assert_eq!(code, Some(0), "{said}");
}

/// What is refused on a full disk, in the words of whoever asked, and what is not.
fn while_full(address: SocketAddr, published: &mut Published) {
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let refused = text(8, 8, 8);
    assert_is_full(&publish(&mut api, &sid, &refused, true));
    published.refused.insert(refused);
    let subscribe = json!({"user_id": "ann", "event": "room"}).to_string();
    let subscribe = post(&format!("/subscriptions?sid={sid}"), &subscribe);
    assert_is_full(&api.ask(&subscribe).expect("it is there"));
    let make = post("/apps", &json!({"name": "one more"}).to_string());
    assert_is_full(&api.ask(&make).expect("it is there"));
    let list = client::get(&format!("/subscriptions?sid={sid}"));
    let listed = api.ask_well(&list).expect("it is there");
    assert_eq!(listed["subscriptions"], json!([]), "reading goes on");

    // The other protocol, in its words.
    let settings = json!({"corner": {"store_history": true}});
    let connect = json!({"username": "ann", "channels": ["corner"], "channel_configs": settings});
    let connect = api
        .ask(&signed("/connect", &connect.to_string()))
        .expect("it is there");
    assert_eq!(connect.status, 503, "{}", http::lossy(&connect.body));
    let body: Value = serde_json::from_slice(&connect.body).expect("JSON");
    assert_eq!(body["error"], "storage_full");

    // What is not to be stored goes on, by whichever way it comes.
    let mut socket = Socket::open(address).expect("it is there");
    let mut other = Socket::open(address).expect("it is there");
    socket.subscribe("room").expect("it is there");
    other.subscribe("room").expect("it is there");
    assert_eq!(publish(&mut api, &sid, "unstored", false).status, 200);
    let frame = socket.hear().expect("it is there");
    assert_eq!(
        (&frame["data"], frame.get("mid")),
        (&json!("unstored"), None)
    );
    let event = |persist: bool| json!({"event": "message", "channel": "room", "data": "by a socket", "persist": persist});
    other.hear().expect("it heard that, too");
    other.say(&event(true)).expect("it is there");
    let refusal = other.hear().expect("it is there");
    assert_eq!(refusal["event"], "pusher:error", "{refusal}");
    assert_eq!(refusal["channel"], "room");
    let told: Value =
        serde_json::from_str(refusal["data"].as_str().expect("a text")).expect("JSON");
    assert_eq!(
        (&told["code"], &told["message"]),
        (&json!(503), &json!(FULL))
    );
    other.say(&event(false)).expect("it is there");
    let frame = socket.hear().expect("it is there");
    assert_eq!(frame["data"], "by a socket");
    let detail = api
        .ask_well(&client::get("/health/detailed"))
        .expect("it is there");
    assert_eq!(detail["status"], "degraded");
}

#[test]
fn killed_on_a_full_disk_it_comes_back_with_all_that_it_kept() {
    let Some(scene) = Scene::new(5 * MIB) else {
        return;
    };
    let server = ready(scene.launch());
    let mut published = publish_until_refused(server.address(), 0, 4);
    scene.volume.fill();
    until("it says that the disk is full", || {
        is_full(server.address())
    });
    // Killed while nothing can be written, and started on what is left.
    drop(server);
    let server = scene.launch();
    let address = server.address();
    until("it says that the disk is full", || is_full(address));
    while_full(address, &mut published);
    assert_there(address, &published);
    scene.volume.make_room();
    until("it says that there is room again", || is_ready(address));
    assert_there(address, &published);
    drop(server);
    let (code, said) = scene.check();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn stopped_on_a_full_disk_it_starts_on_one() {
    let Some(scene) = Scene::new(5 * MIB) else {
        return;
    };
    let mut server = ready(scene.launch());
    let address = server.address();
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let mut published = Published::default();
    for number in 0..20 {
        let text = text(0, number, 10_000);
        assert_eq!(publish(&mut api, &sid, &text, true).status, 200);
        published.kept.insert(text);
    }
    drop(api);
    server.signal("TERM");
    assert_eq!(server.exits(), 0);
    // Nobody but others has filled it, up to the reserve.
    scene.volume.fill();
    let server = scene.launch();
    let address = server.address();
    assert_there(address, &published);
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    assert_eq!(publish(&mut api, &sid, "unstored", false).status, 200);
    scene.volume.make_room();
    until("what is to be stored is stored", || {
        let text = text(1, published.refused.len(), 1);
        let answer = publish(&mut api, &sid, &text, true);
        let is_kept = answer.status == 200;
        match is_kept {
            true => published.kept.insert(text),
            false => published.refused.insert(text),
        };
        is_kept
    });
    assert_there(address, &published);
}
