//! An installation of Pushi that moved: its data and its variables, and apps that come later.

use crate::client::{Peer, get};
use crate::process::{Folder, Server, fanwire, until};
use serde_json::Value;
use std::path::Path;

/// Of the app "shop" in `tests/data/pushi/export`.
const SHOP: [&str; 3] = [
    "edf0ec15d623aace74ccffdb252cb4420e58d3c77482b6ff74d32f160cf26475",
    "e81e2ca1a1ccb14d8551bd01fd28e2cdc5b02f793cb539276528ae5c6d71a3c1",
    "01c2a5ea24895c3c6275ffe2a1ad662f561feebe5f037e6eb2aff70a22a83566",
];

/// A session of the app with this id, key and secret; none if they are wrong.
fn log_in<T: AsRef<str>>(peer: &mut Peer, [id, key, secret]: &[T; 3]) -> Option<String> {
    let (id, key, secret) = (id.as_ref(), key.as_ref(), secret.as_ref());
    let path = format!("/login?app_id={id}&app_key={key}&app_secret={secret}");
    let answer = peer.ask(&get(&path));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    (answer.status == 200).then(|| body["token"].as_str().expect("a text").to_owned())
}

/// What a command prints that ends well.
fn printed(args: &[&str]) -> String {
    let output = fanwire(args).output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn value(of: &str, printed: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix(of));
    line.expect(of).trim().to_owned()
}

#[test]
fn clients_find_their_app_and_its_events_and_apps_come_while_it_runs() {
    let folder = Folder::new();
    let store = folder.path("moved.db");
    let store = store.to_str().expect("UTF-8");
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pushi/export");
    let file = |name: &str| export.join(name).to_str().expect("UTF-8").to_owned();
    let (apps, events) = (file("app.json"), file("pushievent.json"));
    printed(&["import", "pushi", "--path", store, &events, &apps]);
    let mut command = fanwire(&[
        "run",
        "--pushi-env",
        "--set",
        &format!("store.path={store}"),
    ]);
    command.envs([("APP_PORT", "0"), ("SERVER_PORT", "0")]);
    let server = Server::start(command, 2);

    for address in [server.addresses[0], server.addresses[1]] {
        let mut peer = Peer::new(address);
        let sid = log_in(&mut peer, &SHOP).expect("as before");
        let answer = peer.ask(&get(&format!("/events?count=2&sid={sid}")));
        assert_eq!(answer.status, 200);
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let newest: Vec<&Value> = body["events"].as_array().expect("a list").iter().collect();
        assert_eq!((&newest[0]["id"], &newest[1]["id"]), (&6.into(), &5.into()));
        assert_eq!(newest[1]["mid"], "6b0d549b-6f03-475a-9600-a35a099950d8");
        assert_eq!(newest[1]["data"]["subject"], "New");
        assert_eq!(newest[1]["data"]["data"], "{\"eur\": 5}");
    }
    let mut peer = Peer::new(server.addresses[0]);
    // Nobody else has something to say there.
    for path in ["/", "/info"] {
        let answer = peer.ask(&get(path));
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, &body["name"]),
            (200, &"pushi".into()),
            "{path}"
        );
    }
    // And what is nobody's is not there, whoever asks.
    for path in ["/nothing", "//login", "/%FF"] {
        let answer = peer.ask(&get(path));
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let want = (404, &"NotFoundError".into());
        assert_eq!((answer.status, &body["name"]), want, "{path}");
    }
    // Nobody makes apps unasked here.
    let body = "POST /apps?name=mine HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(peer.ask(body.as_bytes()).status, 403);

    let made = printed(&["app", "add", "later", "--path", store]);
    let mut later = ["id", "key", "secret"].map(|name| value(name, &made));
    until("the server knows the new app", || {
        log_in(&mut Peer::new(server.addresses[0]), &later).is_some()
    });
    let rotated = printed(&["app", "rotate", &later[0], "--path", store]);
    until("the old secret is good no more", || {
        log_in(&mut Peer::new(server.addresses[0]), &later).is_none()
    });
    later[2] = value("secret", &rotated);
    assert!(log_in(&mut peer, &later).is_some());
    // And more comes in beside it.
    let record = file("subscription.json");
    let said = printed(&["import", "pushi", "--path", store, &record, &events]);
    assert!(said.contains("5 added"), "{said}");
    let sid = log_in(&mut peer, &SHOP).expect("still");
    let answer = peer.ask(&get(&format!("/subscriptions?user_id=u2&sid={sid}")));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["subscriptions"][0]["event"], "news", "{body}");
}

#[test]
fn an_app_that_cannot_be_served_is_named() {
    let folder = Folder::new();
    let store = folder.path("moved.db");
    let store = store.to_str().expect("UTF-8");
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pushi/export");
    let apps = export.join("app.json");
    let apps = apps.to_str().expect("UTF-8");
    printed(&["import", "pushi", "--path", store, apps]);
    let settings = folder.path("fanwire.toml");
    let [ident, key, _] = &SHOP;
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\n[channelstream]\nsecret = \"of nobody\"\n\
         [store]\npath = {store:?}\n\
         [[app]]\nid = \"ours\"\nkey = {key:?}\nsecret = \"s\"\nprotocols = [\"pushi\"]\n"
    );
    std::fs::write(&settings, text).expect("room");
    let settings = settings.to_str().expect("UTF-8");
    let mut server = Server::launch(fanwire(&["run", "--config", settings]));
    let line = server.says("has the key or the id of another");
    assert!(line.contains(ident), "{line}");
}
