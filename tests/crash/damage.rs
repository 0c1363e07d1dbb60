//! Files that cannot be served: the server does not start, says what to do, and leaves them as they
//! are. `fanwire store check` says the same.

use crate::http;
use crate::ledger::text;
use crate::peers::{Api, Socket};
use crate::process::{Folder, Server, as_text, fanwire, listens_or_ends, until};
use crate::setup::{Home, log_in, post, ready, skipped};
use crate::volume::Volume;
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The store is damaged, or is none.
const STORE: i32 = 4;
/// The system is in the way.
const NOT_STARTED: i32 = 1;
const PAGE: usize = 4096;
const EVENTS: u64 = 60;

/// Starts a server that is not to start: its exit code, and the last that it says.
#[track_caller]
fn refusal(command: Command) -> (i32, String) {
    let mut server = Server::launch(command);
    let code = server.exits();
    let said = server.said().last().cloned().unwrap_or_default();
    (code, said)
}

/// The server does not start, `store check` agrees, and both name the file and say this.
#[track_caller]
fn assert_refused(home: &Home, code: i32, words: &[&str]) {
    let path = as_text(&home.store());
    let check = fanwire(&["store", "check", "--path", &path]).output();
    let check = check.expect("it runs");
    let complaint = String::from_utf8_lossy(&check.stderr).into_owned();
    let (server_code, said) = refusal(home.command());
    assert_eq!(server_code, code, "{said}");
    assert_eq!(check.status.code(), Some(code), "{complaint}");
    for text in [&said, &complaint] {
        assert!(text.contains(&path), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }
}

/// Publishes with a new server, and stops or kills that.
fn filled(home: &Home, signal: &str) {
    let mut server = home.start();
    let mut api = Api::connect(server.address()).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let bytes = || fs::metadata(home.store()).expect("it is there").len();
    let empty = bytes();
    for number in 0..EVENTS {
        let body = json!({"channel": "room", "data": text(0, 0, number)});
        let asked = post(&format!("/events?sid={sid}"), &body.to_string());
        api.ask_well(&asked).expect("it is there");
        if number == EVENTS / 2 {
            // Half of it stands in the file, half in the log.
            until("the log is copied over", || bytes() > empty);
        }
    }
    server.signal(signal);
    if signal == "TERM" {
        assert_eq!(server.exits(), 0);
    }
}

fn there(address: SocketAddr) -> Vec<String> {
    let mut socket = Socket::open(address).expect("it is there");
    socket.subscribe("room").expect("it is there");
    let events = socket.all("room");
    let texts = events
        .iter()
        .map(|event| event["data"]["data"].as_str().expect("a text"));
    texts.map(str::to_owned).collect()
}

/// Lengths to cut a file to: around what could be a border.
fn cuts(length: usize) -> BTreeSet<usize> {
    let pages = (0..length)
        .step_by(PAGE * 7)
        .flat_map(|page| [page, page + 1, page + PAGE / 2]);
    let start = [
        1,
        15,
        16,
        17,
        50,
        99,
        100,
        101,
        511,
        512,
        513,
        1024,
        PAGE - 1,
        PAGE,
        PAGE + 1,
    ];
    let end = [length - 1, length - PAGE, length - PAGE - 1];
    let all = start.into_iter().chain(pages).chain(end);
    all.filter(|cut| *cut < length).collect()
}

fn with_ending(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

#[test]
fn a_file_that_was_cut_off_is_damaged() {
    let home = Home::new("");
    filled(&home, "TERM");
    let store = home.store();
    let whole = fs::read(&store).expect("it is there");
    for cut in cuts(whole.len()) {
        fs::write(&store, &whole[..cut]).expect("there is room");
        // What is no more than the beginning of a beginning may be anybody's.
        let words: &[&str] = if cut < 16 {
            &[]
        } else {
            &["damaged", "restore a backup"]
        };
        assert_refused(&home, STORE, words);
        let left = fs::read(&store).expect("it is there");
        assert!(left == whole[..cut], "{cut}: it is left as it is");
    }
    fs::write(&store, &whole).expect("there is room");
    let server = home.start();
    assert_eq!(there(server.address()).len() as u64, EVENTS);
}

#[test]
fn what_a_crash_left_is_whole_or_damaged_and_never_less() {
    let home = Home::new("");
    filled(&home, "KILL");
    let store = home.store();
    let log = with_ending(&store, "-wal");
    let (whole, logged) = (
        fs::read(&store).expect("there"),
        fs::read(&log).expect("there"),
    );
    assert!(logged.len() > 10 * PAGE, "{}", logged.len());
    let (mut started, mut refused) = (0, 0);
    for cut in cuts(whole.len()) {
        fs::write(&store, &whole[..cut]).expect("there is room");
        fs::write(&log, &logged).expect("there is room");
        let _ = fs::remove_file(with_ending(&store, "-shm"));
        let mut server = Server::launch(home.command());
        // Whichever comes first.
        let is_up = listens_or_ends(&mut server, 1);
        if is_up {
            assert_eq!(there(server.address()).len() as u64, EVENTS, "cut at {cut}");
            started += 1;
        } else {
            assert_eq!(
                server.exits(),
                STORE,
                "cut at {cut}: {:?}",
                server.said().last()
            );
            refused += 1;
        }
    }
    assert!(refused > 10, "{started} started, {refused} refused");
    // Of the log what was last may be missing: that is normal after a crash.
    let texts: Vec<String> = (0..EVENTS).rev().map(|number| text(0, 0, number)).collect();
    for cut in cuts(logged.len()) {
        fs::write(&store, &whole).expect("there is room");
        fs::write(&log, &logged[..cut]).expect("there is room");
        let _ = fs::remove_file(with_ending(&store, "-shm"));
        let server = home.start();
        let there = there(server.address());
        let newest_first: Vec<String> = there.into_iter().rev().collect();
        assert!(texts.ends_with(&newest_first), "log cut at {cut}");
        assert!(newest_first.len() as u64 > EVENTS / 4, "log cut at {cut}");
    }
}

#[test]
fn what_is_not_ours_or_not_yet_is_left_as_it_is() {
    let home = Home::new("");
    filled(&home, "TERM");
    let store = home.store();
    let whole = fs::read(&store).expect("it is there");

    Connection::open(&store)
        .and_then(|file| file.pragma_update(None, "user_version", 99))
        .expect("it is a database");
    let future = fs::read(&store).expect("it is there");
    assert_refused(&home, STORE, &["later fanwire", "99", "restore a backup"]);
    assert!(fs::read(&store).expect("it is there") == future);

    fs::remove_file(&store).expect("it is there");
    Connection::open(&store)
        .and_then(|file| {
            file.execute_batch("CREATE TABLE note (text); INSERT INTO note VALUES (1)")
        })
        .expect("a database");
    let foreign = fs::read(&store).expect("it is there");
    let words = ["not a database of fanwire", "name another file"];
    assert_refused(&home, STORE, &words);
    assert!(fs::read(&store).expect("it is there") == foreign);

    let picture = [b"\x89PNG\r\n\x1a\n".to_vec(), vec![7; 9000]].concat();
    for other in [
        b"[store]\npath = \"x\"\n".to_vec(),
        picture,
        vec![0; 2 * PAGE],
    ] {
        fs::write(&store, &other).expect("there is room");
        assert_refused(&home, STORE, &[]);
        assert!(fs::read(&store).expect("it is there") == other);
    }

    let mut overwritten = whole.clone();
    overwritten[3 * PAGE..4 * PAGE].fill(0x5a);
    fs::write(&store, &overwritten).expect("there is room");
    assert_refused(&home, STORE, &["damaged", "restore a backup"]);

    fs::write(&store, &whole).expect("there is room");
    assert_eq!(there(home.start().address()).len() as u64, EVENTS);
}

#[test]
fn what_the_system_denies_is_said_with_what_to_do() {
    let home = Home::new("");
    let server = home.start();
    let (code, said) = refusal(home.command());
    assert_eq!(code, NOT_STARTED, "{said}");
    assert!(said.contains("in use by another fanwire"), "{said}");
    drop(server);

    let folder = Folder::new();
    let nowhere = as_text(&folder.path("nowhere/fanwire.db"));
    let (code, said) = refusal(Home::over(Folder::new(), &nowhere, "").command());
    assert_eq!(code, NOT_STARTED, "{said}");
    assert!(said.contains(&nowhere), "{said}");
    let a_folder = as_text(&folder.path(""));
    let (code, said) = refusal(Home::over(Folder::new(), &a_folder, "").command());
    assert_eq!(code, NOT_STARTED, "{said}");

    let Some(volume) = Volume::new(8 << 20) else {
        return skipped("nothing may be mounted here, so no disk is read-only");
    };
    let path = volume.inside("fanwire.db");
    let home = Home::over(Folder::new(), &path, "");
    drop(ready(Server::start(volume.within(&home.command()), 1)));
    volume.do_there(&["mount", "-o", "remount,ro", &volume.inside("")]);
    let (code, said) = refusal(volume.within(&home.command()));
    assert_eq!(code, STORE, "{said}");
    assert!(
        said.contains(&path) && said.contains("may not be written"),
        "{said}"
    );
    let check = volume
        .within(&fanwire(&["store", "check", "--path", &path]))
        .output();
    let check = check.expect("it runs");
    let complaint = http::lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(STORE), "{complaint}");
    for command in [
        &["app", "list"][..],
        &["app", "add", "x"],
        &["store", "compact"],
    ] {
        let args = [command, &["--path", &path]].concat();
        let done = volume.within(&fanwire(&args)).output().expect("it runs");
        let complaint = http::lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(STORE), "{complaint}");
        assert!(complaint.contains("may not be written"), "{complaint}");
    }
    // After an orderly stop all of it is in the one file, which can be read.
    volume.do_there(&["mount", "-o", "remount,rw", &volume.inside("")]);
    let mut server = ready(Server::start(volume.within(&home.command()), 1));
    server.signal("TERM");
    assert_eq!(server.exits(), 0);
    volume.do_there(&["mount", "-o", "remount,ro", &volume.inside("")]);
    let copy = as_text(&folder.path("copy.db"));
    for command in [&["check"][..], &["backup", &copy]] {
        let args = [&["store"], command, &["--path", &path]].concat();
        let done = volume.within(&fanwire(&args)).output().expect("it runs");
        assert!(done.status.success(), "{}", http::lossy(&done.stderr));
    }
    assert!(Path::new(&copy).exists());
}
