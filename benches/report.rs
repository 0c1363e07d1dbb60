//! How long others wait while an admin has the server write down everything there is: the report
//! of `/admin/admin.json` on thousands of users and channels. Real sockets; everything is set up
//! by requests, as a host's backend would.
//!
//! What is asserted is the best of several runs: whatever else the machine does only adds to a wait.

mod support;

use fanwire::dialect::channelstream::Config;
use fanwire::reactor::Listen;
use fanwire::server::{Builder, Stopped};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use support::sockets::{Backend, ask_until};
use support::{Bench, median, timed};

/// Nobody may be kept waiting for longer by what somebody else asks for.
const WAIT_MS_MAX: f64 = 50.0;
const RUNS: usize = 5;
/// Channels that each user is in, and messages that each channel keeps.
const CHANNELS_EACH: usize = 5;
const MESSAGES_KEPT: usize = 5;
/// Requests that are sent before their answers are read.
const AT_ONCE: usize = 50;
/// Short questions that are asked before the report is.
const ASKED_BEFORE: usize = 5;

/// Sends requests of the server API, many at once.
fn ask_all(backend: &mut Backend, path: &str, bodies: &[String]) {
    for bodies in bodies.chunks(AT_ONCE) {
        let requests: Vec<String> = bodies
            .iter()
            .map(|body| backend.request(path, body))
            .collect();
        backend.send(requests.concat().as_bytes());
        backend.answers(bodies.len());
    }
}

fn channel(number: usize) -> String {
    format!("channel-{number}")
}

/// So many users, each with a state and in some of so many channels, which keep some messages.
fn populate(backend: &mut Backend, users: usize, channels: usize) {
    let connects: Vec<String> = (0..users)
        .map(|user| {
            let at = |n: usize| channel((user * CHANNELS_EACH + n) % channels);
            let names: Vec<String> = (0..CHANNELS_EACH).map(at).collect();
            let configs: Vec<String> = names
                .iter()
                .map(|name| format!(r#""{name}":{{"store_history":true,"history_size":10}}"#))
                .collect();
            let configs = configs.join(",");
            format!(
                r#"{{"username":"user-{user}","channels":{names:?},"channel_configs":{{{configs}}},
                   "user_state":{{"status":"here","color":"blue"}},"state_public_keys":["status"],
                   "info":{{"include_users":false,"include_history":false}}}}"#
            )
        })
        .collect();
    ask_all(backend, "/connect", &connects);
    let padding = "x".repeat(100);
    let messages: Vec<String> = (0..channels)
        .map(|number| {
            let name = channel(number);
            let one = format!(r#"{{"user":"b","channel":"{name}","message":{{"t":"{padding}"}}}}"#);
            format!("[{}]", vec![one; MESSAGES_KEPT].join(","))
        })
        .collect();
    ask_all(backend, "/message", &messages);
}

/// The report says all that was put there. Its length.
fn check(answer: &str, users: usize, channels: usize) -> usize {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head ends");
    let report: Value = serde_json::from_str(body).expect("JSON");
    let listed = report["users"].as_array().expect("a list of users");
    assert_eq!(listed.len(), users);
    assert_eq!(report["unique_user_count"], users);
    let listed = report["channels"].as_object().expect("channels");
    assert_eq!(listed.len(), channels);
    let members = listed
        .values()
        .map(|channel| channel["users"].as_array().expect("a list").len());
    assert_eq!(members.sum::<usize>(), users * CHANNELS_EACH);
    let kept = listed
        .values()
        .map(|channel| channel["history"].as_array().expect("a list").len());
    assert_eq!(kept.sum::<usize>(), channels * MESSAGES_KEPT);
    body.len()
}

fn main() {
    let bench = Bench::from_args("report");
    let (users, channels) = (bench.size(2_000, 10_000), bench.size(200, 1_000));
    let server = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
        .channelstream(Config {
            // Nobody opens a socket, and all of them stay.
            expire_ms: 600_000,
            ..Config::default()
        })
        .spawn()
        .expect("an address of this machine");
    let address = server.bound()[0].address().expect("a TCP address");
    let mut backend = Backend::new(address);
    populate(&mut backend, users, channels);

    let busy = AtomicBool::new(false);
    let (mut waits, mut took_ms, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        busy.store(true, Ordering::Relaxed);
        let request = backend.request("/admin/admin.json", "");
        let asked = AtomicUsize::new(0);
        let is_done = || {
            asked.fetch_add(1, Ordering::Relaxed);
            !busy.load(Ordering::Relaxed)
        };
        let answer = thread::scope(|scope| {
            let asker = scope.spawn(|| ask_until(address, is_done));
            // Who has not begun to ask waits for nothing.
            while asked.load(Ordering::Relaxed) < ASKED_BEFORE {
                thread::yield_now();
            }
            let (took, answer) = timed(|| {
                backend.send(request.as_bytes());
                backend.answers(1)
            });
            busy.store(false, Ordering::Relaxed);
            let wait = asker.join().expect("it was answered");
            waits.push(wait.as_secs_f64() * 1e3);
            took_ms.push(took.as_secs_f64() * 1e3);
            answer
        });
        bytes = check(&answer, users, channels);
    }
    let best = waits.iter().copied().fold(f64::INFINITY, f64::min);
    let case = format!("{users} users, {channels} channels");
    bench.report(&format!("{case}: the report"), bytes as f64 / 1e6, "MB");
    bench.report(&format!("{case}: it comes after"), median(took_ms), "ms");
    let middle = median(waits.clone());
    bench.report(&format!("{case}: another's longest wait"), best, "ms");
    bench.report(&format!("{case}: the same, the middle run"), middle, "ms");
    assert!(
        best <= WAIT_MS_MAX,
        "another peer waited for {waits:?} ms, {WAIT_MS_MAX} are the most"
    );
    drop(backend);
    server.handle().stop().expect("the server runs");
    assert_eq!(
        server.wait().expect("the loop ended in order"),
        Stopped::Clean
    );
}
