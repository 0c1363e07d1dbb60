//! Events that are stored, from the request to the answer that says so, over real sockets: how many a
//! second, what each costs in processor time over all threads, and what a busy or a slow store does
//! to messages that are not stored.
//!
//! The database lies on the disk that holds the build; beside it runs a bare loop that writes and
//! syncs, as the least that the disk allows.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and its clients on threads of their own"
)]

#[path = "../tests/store/delegate.rs"]
mod delegate;
mod support;

use delegate::pass_on;
use fanwire::dialect::pushi::config::{App, Config};
use fanwire::dialect::pushi::{Pushi, session::SessionKey};
use fanwire::engine::EngineConfig;
use fanwire::hub::AppId;
use fanwire::reactor::{Clock, Listen, ReactorOptions};
use fanwire::server::{Builder, OpenedStore, Running};
use fanwire::side::store::{self as side, Reading, Sqlite, Storage};
use fanwire::store::{self, Answer, AppRow, Loaded, Question, Trouble};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use support::{Bench, timed};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SECRET: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
/// Bytes that each event carries.
const DATA_BYTES: usize = 300;
/// How often things are done by turns that are compared with each other. An odd number.
const TURNS: usize = 5;
/// How long a server looks for more before it sleeps, where it does that at all.
const BUSY_POLL_MS: u64 = 2;

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stored-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the build's folder is ours");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A disk on which every sync takes so long.
struct Slow {
    inner: Sqlite,
    sync: Duration,
}

impl Reading for Slow {
    fn answer(&mut self, question: &Question, upto: u64) -> Result<Answer, Trouble> {
        self.inner.answer(question, upto)
    }
}

impl Storage for Slow {
    fn commit(&mut self, writes: &[&store::Write]) -> Result<side::Committed, Trouble> {
        std::thread::sleep(self.sync);
        self.inner.commit(writes)
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.inner.sync()
    }

    fn recover(&mut self) -> Result<(), Trouble> {
        self.inner.recover()
    }

    pass_on!();
}

/// A store on a file in `folder`, with one app of the settings.
fn open(folder: &Folder, sync: Duration, busy_poll_ms: u64) -> OpenedStore {
    let clock = Clock::new();
    let options = side::Options {
        path: Some(folder.0.join("fanwire.db")),
        durability: side::Durability::Synced,
        age_max_us: None,
        bytes_max: None,
        busy_poll_ms,
        clock: Arc::new(move || side::Moment {
            mono_us: clock.micros(),
            unix_us: clock.now().unix_micros,
        }),
    };
    let path = options.path.clone().expect("just given");
    let mut inner = Sqlite::open(&path, options.durability).expect("a fresh file");
    inner.adopt(&["bench"], 1).expect("there is room");
    let loaded = Loaded {
        apps: inner.apps().expect("it can be read"),
        ..Loaded::default()
    };
    OpenedStore::of(
        side::Store::with(Box::new(Slow { inner, sync }), options),
        loaded,
    )
}

/// A server with one app of Pushi's, on a file in `folder`.
fn server(folder: &Folder, sync: Duration, busy_poll_ms: u64) -> (Running, SocketAddr) {
    let store = open(folder, sync, busy_poll_ms);
    let running = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
        .reactor(ReactorOptions {
            busy_poll_ms,
            ..ReactorOptions::default()
        })
        .engine(EngineConfig {
            stored_apps: vec![(AppId(1), "bench".to_owned())],
            ..EngineConfig::default()
        })
        .dialect(Box::new(|| {
            Box::new(Pushi::new(Config {
                apps: vec![App::new(AppId(1), "bench", KEY, SECRET)],
                ..Config::default()
            }))
        }))
        .store(store)
        .spawn()
        .expect("an address of this machine");
    let address = running.bound()[0].address().expect("a TCP address");
    (running, address)
}

#[allow(clippy::disallowed_methods, reason = "a session has the date of today")]
fn session() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let unix_s = now.expect("after 1970").as_secs();
    SessionKey::new(SECRET)
        .issue(AppRow(1), unix_s, [7; 16])
        .to_string()
}

/// One event for each of these channels.
fn request(channels: &[&str], persist: bool) -> Vec<u8> {
    let data = "x".repeat(DATA_BYTES);
    let channels = format!("{channels:?}");
    let body = format!(r#"{{"channel":{channels},"data":"{data}","persist":{persist}}}"#);
    let (sid, length) = (session(), body.len());
    format!(
        "POST /events HTTP/1.1\r\nHost: bench\r\nX-Session-Id: {sid}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Publishers with one request under way each.
struct Publishers {
    poll: Poll,
    streams: Vec<TcpStream>,
    request: Vec<u8>,
    /// How long to sleep while nothing is answered; none: until something is.
    nap: Option<Duration>,
}

impl Publishers {
    fn new(address: SocketAddr, count: usize, request: Vec<u8>) -> Self {
        let poll = Poll::new().expect("the system polls");
        let streams = (0..count)
            .map(|at| {
                let stream = std::net::TcpStream::connect(address).expect("the server listens");
                stream.set_nodelay(true).expect("a TCP socket");
                stream.set_nonblocking(true).expect("a TCP socket");
                let mut stream = TcpStream::from_std(stream);
                let registry = poll.registry();
                registry
                    .register(&mut stream, Token(at), Interest::READABLE)
                    .expect("a socket");
                stream
            })
            .collect();
        Self {
            poll,
            streams,
            request,
            nap: None,
        }
    }

    /// They do not sleep while they wait, but look again and again.
    fn sleepless(mut self) -> Self {
        self.nap = Some(Duration::ZERO);
        self
    }

    /// Publishes until `enough` says so. How many were acknowledged.
    fn run(&mut self, mut enough: impl FnMut(usize) -> bool) -> usize {
        let mut events = Events::with_capacity(self.streams.len());
        let mut piece = [0; 16 * 1024];
        let (mut sent, mut answered) = (0, 0);
        for stream in &mut self.streams {
            stream.write_all(&self.request).expect("a short request");
            sent += 1;
        }
        while answered < sent {
            self.poll
                .poll(&mut events, self.nap)
                .expect("the system polls");
            if events.is_empty() {
                // Who does not sleep leaves the processor to who has something to do.
                std::thread::yield_now();
            }
            for event in &events {
                let stream = &mut self.streams[event.token().0];
                // Edge-triggered: to the end, though an answer is never cut here.
                let read = match stream.read(&mut piece) {
                    Ok(read) => read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(error) => panic!("{error}"),
                };
                let answer = &piece[..read];
                assert!(
                    answer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(answer)
                );
                answered += 1;
                if !enough(answered) {
                    stream.write_all(&self.request).expect("a short request");
                    sent += 1;
                }
            }
        }
        answered
    }
}

/// Nanoseconds of processor time that the server's threads have taken: the loop and the store.
fn server_cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let ours = tasks.flatten().map(|task| task.path()).filter(|path| {
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        matches!(name.trim(), "fanwire" | "store" | "store-reader")
    });
    ours.filter_map(|path| cpu_ns(&path)).sum()
}

/// Nanoseconds of processor time that a thread has taken.
fn cpu_ns(task: &Path) -> Option<u64> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// How many commits the store has made once it has told of so many events, which it does about once a
/// second.
fn commits(running: &Running, events: usize) -> u64 {
    loop {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        running
            .handle()
            .change(move |server| {
                let stats = &server.engine().metrics().store;
                let _ = tell.send((stats.events, stats.commits));
            })
            .expect("the server runs");
        let (counted, commits) = told.recv().expect("the server answers");
        if counted >= events as u64 {
            return commits;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many times a second the disk writes and syncs as much as one event takes, and the microseconds
/// of processor time that each takes.
fn bare_loop(folder: &Folder, count: usize) -> (f64, f64) {
    let ours = || cpu_ns(Path::new("/proc/thread-self")).expect("Linux");
    let before = ours();
    let mut file = File::create(folder.0.join("bare")).expect("a fresh file");
    let bytes = vec![7; DATA_BYTES + 100];
    let (took, ()) = timed(|| {
        for _ in 0..count {
            file.write_all(&bytes).expect("there is room");
            file.sync_data().expect("the disk syncs");
        }
    });
    let cpu = (ours() - before) as f64 / count as f64 / 1e3;
    (count as f64 / took.as_secs_f64(), cpu)
}

/// Acknowledged requests per second, and the microseconds of processor time that each takes the
/// server's threads.
fn rate(publishers: &mut Publishers, count: usize) -> (f64, f64) {
    let at_once = publishers.streams.len();
    let before = server_cpu_ns();
    let (took, done) = timed(|| publishers.run(|answered| answered + at_once > count));
    let cpu = (server_cpu_ns() - before) as f64 / done as f64 / 1e3;
    (done as f64 / took.as_secs_f64(), cpu)
}

/// The one in the middle.
fn median(mut all: [f64; TURNS]) -> f64 {
    all.sort_by(f64::total_cmp);
    all[TURNS / 2]
}

/// What one publisher reaches who waits for each answer, beside a bare loop and beside requests of
/// which nothing is stored: by turns, as disks and machines have moods.
///
/// `busy_poll_ms`: for how long the server's threads look for more before they sleep. They all sleep
/// while the bare loop runs, which would be faster on a machine that is kept awake.
fn lone(bench: Bench, name: &str, busy_poll_ms: u64) {
    let folder = Folder::new("lone");
    let (running, address) = server(&folder, Duration::ZERO, busy_poll_ms);
    let count = bench.size(200, 2_000);
    // They stand for another machine: how long it takes to wake this one is not the server's.
    let mut stored = Publishers::new(address, 1, request(&["room"], true)).sleepless();
    let mut told = Publishers::new(address, 1, request(&["room"], false)).sleepless();
    rate(&mut stored, count);
    let turns = [(); TURNS].map(|()| {
        std::thread::sleep(Duration::from_millis(5 * busy_poll_ms));
        let bare = bare_loop(&folder, count);
        (bare, rate(&mut stored, count), rate(&mut told, count))
    });
    let report = |what: &str, value: f64, unit: &str| {
        bench.report(&format!("1 publisher, {name}: {what}"), value, unit);
    };
    let bare = median(turns.map(|(bare, _, _)| bare.0));
    let stored = median(turns.map(|(_, stored, _)| stored.0));
    let told = median(turns.map(|(_, _, told)| told.0));
    report("acknowledged", stored, "per second");
    let cpu = median(turns.map(|(_, stored, _)| stored.1));
    report("all threads", cpu, "us CPU/event");
    report("not stored", told, "per second");
    report("a bare loop instead", bare, "per second");
    let cpu = median(turns.map(|(bare, _, _)| bare.1));
    report("the bare loop's thread", cpu, "us CPU/event");
    let ratio = median(turns.map(|(bare, stored, _)| stored.0 / bare.0));
    report("of the bare loop", ratio, "(wanted: 0.75)");
    let rest = 1e6 / stored - 1e6 / told - 1e6 / bare;
    report("neither disk nor exchange", rest, "us/event");
    running.handle().stop().expect("the server runs");
    running.wait().expect("the loop ended in order");
}

fn throughput(bench: Bench) {
    let folder = Folder::new("throughput");
    let (running, address) = server(&folder, Duration::ZERO, 0);
    let count = bench.size(2_000, 20_000);
    let mut published = 0;
    for publishers in [16, 256] {
        let many = count * publishers.min(64) / 16;
        let mut all = Publishers::new(address, publishers, request(&["room"], true));
        published += all.run(|answered| answered >= publishers * 4);
        let made = commits(&running, published);
        let (took, (per_s, cpu)) = timed(|| rate(&mut all, many));
        let case = format!("{publishers} publishers, synced");
        bench.report(&format!("{case}: acknowledged"), per_s, "per second");
        bench.report(&format!("{case}: all threads"), cpu, "us CPU/event");
        published += many;
        let made = commits(&running, published) - made;
        let commits_per_s = made as f64 / took.as_secs_f64();
        bench.report(&format!("{case}: commits"), commits_per_s, "per second");
    }
    running.handle().stop().expect("the server runs");
    running.wait().expect("the loop ended in order");
}

/// Sockets that listen to a channel, on one thread.
struct Listeners(Vec<std::net::TcpStream>);

impl Listeners {
    fn join(address: SocketAddr, count: usize, channel: &str) -> Self {
        let join = |_| {
            let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            let upgrade = format!(
                "GET /{KEY} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            );
            stream
                .write_all(upgrade.as_bytes())
                .expect("the server reads");
            let text =
                format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#);
            assert!(text.len() < 126);
            let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
            frame.extend_from_slice(text.as_bytes());
            stream.write_all(&frame).expect("the server reads");
            let mut seen = Vec::new();
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&seen).contains("subscription_succeeded") {
                let read = stream.read(&mut piece).expect("the server answers");
                assert!(read > 0, "the server keeps the connection");
                seen.extend_from_slice(&piece[..read]);
            }
            stream
        };
        Self((0..count).map(join).collect())
    }

    /// Reads one frame each. Its head says how long it is.
    fn read_one(&mut self) {
        for stream in &mut self.0 {
            let mut head = [0; 4];
            stream.read_exact(&mut head).expect("the server writes");
            assert_eq!(
                (head[0], head[1]),
                (0x81, 126),
                "one text of some hundred bytes"
            );
            let mut text = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            stream.read_exact(&mut text).expect("the server writes");
        }
    }
}

/// How long it takes until all listeners have an event that is not stored: p50 and p99 in
/// milliseconds.
fn latency(publisher: &mut Publishers, listeners: &mut Listeners, rounds: usize) -> (f64, f64) {
    let round = |_| {
        let (took, ()) = timed(|| {
            publisher.run(|answered| answered >= 1);
            listeners.read_one();
        });
        std::thread::sleep(Duration::from_millis(2));
        took.as_nanos() as f64 / 1e6
    };
    let mut ms: Vec<f64> = (0..rounds).map(round).collect();
    ms.sort_by(f64::total_cmp);
    (ms[rounds / 2], ms[rounds * 99 / 100])
}

/// Publishers that each always have one request on its way into the store, until this is stopped.
struct Saturation {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl Saturation {
    /// Only a handful, so that the store is what is busy and not the loop. It is under way when this
    /// returns.
    fn begin(address: SocketAddr, request: Vec<u8>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicBool::new(false));
        let (stops, begins) = (stop.clone(), begun.clone());
        let thread = std::thread::spawn(move || {
            let mut all = Publishers::new(address, 4, request);
            all.run(|answered| {
                begins.store(answered > 8, Ordering::Relaxed);
                stops.load(Ordering::Relaxed)
            })
        });
        while !begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let stored = self.thread.join().expect("all were acknowledged");
        assert!(stored > 8, "the store was at work");
    }
}

/// What the store, saturated, does to those who want nothing of it: by turns without and with, as
/// machines have moods.
///
/// `width`: so many events for the store come in one request. Of single ones the loop takes in and
/// answers tens of thousands a second, and is itself what is busy; many at a time are the store's work.
fn beside_the_store(bench: Bench, name: &str, sync: Duration, width: usize) {
    let rooms: Vec<String> = (0..width).map(|at| format!("room-{at}")).collect();
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let folder = Folder::new("latency");
    let (running, address) = server(&folder, sync, 0);
    let mut listeners = Listeners::join(address, 100, "live");
    let mut publisher = Publishers::new(address, 1, request(&["live"], false));
    let rounds = bench.size(50, 1_000);
    latency(&mut publisher, &mut listeners, rounds);
    let turns = [(); TURNS].map(|()| {
        let quiet = latency(&mut publisher, &mut listeners, rounds);
        let saturation = Saturation::begin(address, request(&rooms, true));
        let beside = latency(&mut publisher, &mut listeners, rounds);
        saturation.end();
        (quiet, beside)
    });
    let ms = |what: &str, turns: [f64; TURNS]| {
        let case = format!("unstored to 100, {name}, store {what}");
        bench.report(&case, median(turns), "ms");
    };
    ms("idle: p50", turns.map(|(quiet, _)| quiet.0));
    ms("idle: p99", turns.map(|(quiet, _)| quiet.1));
    ms("saturated: p50", turns.map(|(_, beside)| beside.0));
    ms("saturated: p99", turns.map(|(_, beside)| beside.1));
    let ratio = median(turns.map(|(quiet, beside)| beside.1 / quiet.1));
    let case = format!("unstored to 100, {name}: p99 of that");
    bench.report(&case, ratio, "times");
    running.handle().stop().expect("the server runs");
    running.wait().expect("the loop ended in order");
}

fn main() {
    let bench = Bench::from_args("stored");
    if bench.wants("lone") {
        lone(bench, "synced", 0);
        lone(bench, "busy polling", BUSY_POLL_MS);
    }
    if bench.wants("throughput") {
        throughput(bench);
    }
    if bench.wants("latency") {
        beside_the_store(bench, "single events", Duration::ZERO, 1);
        beside_the_store(bench, "64 at a time", Duration::ZERO, 64);
        beside_the_store(bench, "100 ms a sync", Duration::from_millis(100), 1);
    }
}
