//! SIGHUP: settings anew, all or nothing, and nobody is dropped.

use crate::client::{Peer, conn_id, signed_with, subscriber};
use crate::process::{Folder, SECRET, Server, fanwire, until};
use std::fs;

const ONE: &str = r#"[{"user":"app","channel":"news","message":{"text":"one"}}]"#;

/// The status of a publish that is signed with `secret`.
#[track_caller]
fn status_with(peer: &mut Peer, secret: &str) -> u16 {
    peer.ask(&signed_with(secret, "/message", ONE)).status
}

#[test]
fn a_new_secret_counts_from_now_on_and_nobody_is_dropped() {
    let folder = Folder::new();
    let toml = |secret: &str, more: &str| format!("[channelstream]\nsecret = {secret:?}\n{more}");
    let config = folder.file("fanwire.toml", &toml(SECRET, ""));
    let listen = ["run", "--config", &config, "--listen", "127.0.0.1:0"];
    let mut server = Server::start(fanwire(&listen), 1);
    let mut reader = subscriber(server.address(), "reader", "news");
    let mut app = Peer::new(server.address());
    assert_eq!(status_with(&mut app, SECRET), 200);
    assert_eq!(status_with(&mut app, "changed"), 401);

    // A bad file changes nothing, and it is said what is wrong with it.
    for (bad, complaint) in [
        ("[channelstream]\nsecret = 5\n", "channelstream.secret"),
        ("[channelstream]\nsecrte = \"x\"\n", "secrte"),
        ("[channelstream\n", "fanwire.toml"),
    ] {
        fs::write(&config, bad).expect("written");
        server.signal("HUP");
        let line = server.says("not reloaded, the old settings stay");
        assert!(line.contains(complaint), "{line}");
        assert_eq!(status_with(&mut app, SECRET), 200);
    }
    fs::remove_file(&config).expect("removed");
    server.signal("HUP");
    server.says("not reloaded, the old settings stay");
    assert_eq!(status_with(&mut app, SECRET), 200);

    // A limit changes together with the secret, for connections that are there already.
    let more = "[limits]\nbody_bytes = 100\nout_queue_bytes = \"2MiB\"\n";
    fs::write(&config, toml("changed", more)).expect("written");
    server.signal("HUP");
    server.says("count from the next start on");
    server.says("\"reloaded\"");
    assert_eq!(status_with(&mut app, SECRET), 401);
    assert_eq!(status_with(&mut app, "changed"), 200);
    let long = format!("[{}]", " ".repeat(100));
    assert_eq!(
        app.ask(&signed_with("changed", "/message", &long)).status,
        413
    );

    for _ in 0..6 {
        assert_eq!(reader.message(), "one");
    }
    // Its id is known as before.
    let mut other = Peer::new(server.address());
    let request = signed_with(
        "changed",
        "/connect",
        r#"{"username":"new","channels":["news"]}"#,
    );
    assert_eq!(other.ask(&request).status, 200);
    assert_eq!(status_with(&mut other, "changed"), 200);
    assert_eq!(reader.message(), "one");
}

#[test]
fn an_ini_file_of_the_original_serves_and_is_reloaded() {
    let folder = Folder::new();
    let ini = |secret: &str| {
        format!("[channelstream]\nhost = 127.0.0.1\nport = 1\nsecret = {secret}\ndebug = false\n")
    };
    let config = folder.file("channelstream.ini", &ini(SECRET));
    let args = ["run", "-i", &config, "--listen", "127.0.0.1:0"];
    let mut server = Server::start(fanwire(&args), 1);
    let mut app = Peer::new(server.address());
    conn_id(&mut app, "somebody", &["news"]);
    assert_eq!(status_with(&mut app, "changed"), 401);
    fs::write(&config, ini("changed")).expect("written");
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(status_with(&mut app, "changed"), 200);
    assert_eq!(status_with(&mut app, SECRET), 401);
}

#[test]
fn the_level_of_the_log_is_reloaded() {
    let folder = Folder::new();
    let toml = |level: &str, secret: &str| {
        format!("log = {level:?}\n[channelstream]\nsecret = {secret:?}\n")
    };
    let config = folder.file("fanwire.toml", &toml("info", SECRET));
    let args = ["run", "--config", &config, "--listen", "127.0.0.1:0"];
    let mut server = Server::start(fanwire(&args), 1);
    let mut app = Peer::new(server.address());
    fs::write(&config, toml("error", "changed")).expect("written");
    server.signal("HUP");
    until("the new secret counts", || {
        status_with(&mut app, "changed") == 200
    });
    fs::write(&config, "log = 5\n").expect("written");
    server.signal("HUP");
    server.says("not reloaded");
    let said = server.said().iter();
    let told = said.filter(|line| line.contains("\"reloaded\"")).count();
    assert_eq!(told, 0, "of success nothing is said at this level");
}

#[test]
fn apps_come_and_go_and_channelstream_does_not_move() {
    let folder = Folder::new();
    let app = |id: u32, more: &str| {
        format!("[[app]]\nid = \"{id}\"\nkey = \"k{id}\"\nsecret = \"s\"\n{more}\n")
    };
    let toml = |of: &str, apps: &str| {
        format!("[channelstream]\nsecret = {SECRET:?}\napp = {of:?}\n{apps}")
    };
    let shared = app(7, "protocols = [\"pusher\", \"channelstream\"]");
    let config = folder.file("fanwire.toml", &toml("7", &shared));
    let listen = ["run", "--config", &config, "--listen", "127.0.0.1:0"];
    let mut server = Server::start(fanwire(&listen), 1);
    let mut reader = subscriber(server.address(), "reader", "news");
    let mut peer = Peer::new(server.address());
    assert_eq!(status_with(&mut peer, SECRET), 200);

    // Another in front of it does not take its place.
    fs::write(&config, toml("7", &(app(1, "") + &shared))).expect("written");
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(status_with(&mut peer, SECRET), 200);

    let elsewhere = app(8, "protocols = [\"channelstream\"]") + &shared;
    for (bad, complaint) in [
        (toml("", &shared), "needs a restart"),
        (toml("8", &elsewhere), "needs a restart"),
        (toml("7", &app(1, "")), "no [[app]] has the id"),
        (toml("7", &(shared.clone() + &shared)), "the id of app.0"),
    ] {
        fs::write(&config, bad).expect("written");
        server.signal("HUP");
        let line = server.says("not reloaded, the old settings stay");
        assert!(line.contains(complaint), "{line}");
        assert_eq!(status_with(&mut peer, SECRET), 200);
    }
    fs::write(&config, toml("7", &shared)).expect("written");
    server.signal("HUP");
    server.says("\"reloaded\"");
    assert_eq!(status_with(&mut peer, SECRET), 200);
    for _ in 0..7 {
        assert_eq!(reader.message(), "one");
    }
}
