//! A server with a store: its folder, its settings, the credentials of its app.

use crate::client::header;
use crate::http;
use crate::peers::Api;
use crate::process::{Folder, SECRET, Server, as_text, fanwire};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

pub(crate) const APP: &str = "crash";
pub(crate) const KEY: &str = "00000000000000000000000000000000000000000000000000000000000feed0";
pub(crate) const APP_SECRET: &str = "secret-of-crash";

/// Where a server keeps what it has; gone with the test.
pub(crate) struct Home {
    folder: Folder,
    settings: String,
}

impl Home {
    /// One with further lines for the section `store`.
    pub(crate) fn new(more: &str) -> Self {
        let folder = Folder::new();
        let store = as_text(&folder.path("fanwire.db"));
        Self::over(folder, &store, more)
    }

    /// One whose store lies somewhere else.
    pub(crate) fn over(folder: Folder, store: &str, more: &str) -> Self {
        // The load is as quick as the server lets it be; how many messages one socket may send in a
        // second is not what is tested here.
        let settings = format!(
            "log = \"info\"\n\
             [limits]\nmessages_per_second = \"none\"\n\
             [store]\npath = {store:?}\n{more}\n\
             [channelstream]\nsecret = {SECRET:?}\npersist = true\n\
             [pushi]\nopen_registration = true\nregistrations_per_minute = 100000\n\
             [[app]]\nprotocols = [\"pushi\"]\nid = {APP:?}\nkey = {KEY:?}\nsecret = {APP_SECRET:?}\n"
        );
        let settings = folder.file("fanwire.toml", &settings);
        Self { folder, settings }
    }

    /// The database.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("fanwire.db")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// What follows the name of the binary.
    pub(crate) fn args(&self) -> [&str; 5] {
        ["run", "--config", &self.settings, "--listen", "127.0.0.1:0"]
    }

    pub(crate) fn command(&self) -> Command {
        fanwire(&self.args())
    }

    /// Starts it, and waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        ready(Server::start(self.command(), 1))
    }
}

/// A server that listens, once it says that it is ready.
#[track_caller]
pub(crate) fn ready(server: Server) -> Server {
    let mut api = Api::connect(server.address()).expect("it listens");
    let answer = api.get("/health/ready").expect("it answers");
    assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    server
}

/// A session of the app.
pub(crate) fn log_in(api: &mut Api) -> Option<String> {
    log_in_as(api, (APP, KEY, APP_SECRET))
}

/// A session of this app: its ident, its key and its secret.
pub(crate) fn log_in_as(api: &mut Api, app: (&str, &str, &str)) -> Option<String> {
    let (ident, key, secret) = app;
    let path = format!("/login?app_id={ident}&app_key={key}&app_secret={secret}");
    let answer = api.get(&path)?;
    assert_eq!(answer.status, 200, "{}", http::lossy(&answer.body));
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    Some(body["token"].as_str().expect("a text").to_owned())
}

/// The bytes of a POST with JSON.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    let headers = [header("Content-Type", "application/json")];
    http::request("POST", path, "localhost", &headers, Some(body.as_bytes()))
}

/// A number from the environment.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => usual,
    }
}

/// Draws numbers, the same ones for the same seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// Of a seed of its own and of what the environment says.
    pub(crate) fn new(seed: u64) -> Self {
        Self(number("FANWIRE_CRASH_SEED", 0).wrapping_mul(1_000_003) ^ seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Something was not tested, as this machine does not allow it. It is said where nobody captures it;
/// with `FANWIRE_CRASH_ALL` set it is a failure.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("FANWIRE_CRASH_ALL").is_none(), "{why}");
    // What tests print is shown only of those that fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
