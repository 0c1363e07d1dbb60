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

mod support;

use fanwire::dialect::pushi::config::{App, Config};
use fanwire::dialect::pushi::{Pushi, session::SessionKey};
use fanwire::engine::EngineConfig;
use fanwire::hub::AppId;
use fanwire::reactor::{Clock, Listen};
use fanwire::server::{Builder, OpenedStore, Running};
use fanwire::side::store::{self as side, Reading, Retention, Retired, Sqlite, Storage, Swept};
use fanwire::store::{
    self, Answer, AppRecord, AppRow, EndedSession, Loaded, Question, Remembered, Trouble,
};
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
    fn commit(&mut self, writes: &[&store::Write]) -> Result<Vec<Answer>, Trouble> {
        std::thread::sleep(self.sync);
        self.inner.commit(writes)
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.inner.sync()
    }

    fn last_event(&mut self) -> Result<u64, Trouble> {
        self.inner.last_event()
    }

    fn reader(&mut self) -> Result<Option<Box<dyn Reading>>, Trouble> {
        self.inner.reader()
    }

    fn apps(&mut self) -> Result<Vec<AppRecord>, Trouble> {
        self.inner.apps()
    }

    fn adopt(&mut self, idents: &[&str], unix_s: u64) -> Result<Vec<AppRow>, Trouble> {
        self.inner.adopt(idents, unix_s)
    }

    fn remembered(&mut self, app: AppRow) -> Result<Remembered, Trouble> {
        self.inner.remembered(app)
    }

    fn ended_sessions(&mut self, unix_s: u64) -> Result<Vec<EndedSession>, Trouble> {
        self.inner.ended_sessions(unix_s)
    }

    fn retire(&mut self, keep: &Retention, rows: usize) -> Result<Retired, Trouble> {
        self.inner.retire(keep, rows)
    }

    fn sweep(&mut self, from_micros: u64, after: u64, rows: usize) -> Result<Swept, Trouble> {
        self.inner.sweep(from_micros, after, rows)
    }

    fn was_changed_by_others(&mut self) -> Result<bool, Trouble> {
        self.inner.was_changed_by_others()
    }

    fn rest(&mut self) -> Result<(), Trouble> {
        self.inner.rest()
    }

    fn recover(&mut self) -> Result<(), Trouble> {
        self.inner.recover()
    }

    fn check(&mut self) -> Result<Vec<String>, Trouble> {
        self.inner.check()
    }

    fn close(&mut self) -> Result<(), Trouble> {
        self.inner.close()
    }
}

/// A store on a file in `folder`, with one app of the settings.
fn open(folder: &Folder, sync: Duration) -> OpenedStore {
    let clock = Clock::new();
    let options = side::Options {
        path: Some(folder.0.join("fanwire.db")),
        durability: side::Durability::Synced,
        age_max_us: None,
        bytes_max: None,
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
fn server(folder: &Folder, sync: Duration) -> (Running, SocketAddr) {
    let store = open(folder, sync);
    let running = Builder::new()
        .listen(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
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

/// One event on its way to be stored.
fn request(channel: &str, persist: bool) -> Vec<u8> {
    let data = "x".repeat(DATA_BYTES);
    let body = format!(r#"{{"channel":"{channel}","data":"{data}","persist":{persist}}}"#);
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
        }
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
            self.poll.poll(&mut events, None).expect("the system polls");
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
        name.starts_with("fanwire") || name.starts_with("store")
    });
    ours.filter_map(|path| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    })
    .sum()
}

/// What the store has counted: commits.
fn commits(running: &Running) -> u64 {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    running
        .handle()
        .change(move |server| {
            let _ = tell.send(server.engine().metrics().store.commits);
        })
        .expect("the server runs");
    told.recv().expect("the server answers")
}

/// How many times a second the disk writes and syncs as much as one event takes.
fn bare_loop(folder: &Folder, count: usize) -> f64 {
    let mut file = File::create(folder.0.join("bare")).expect("a fresh file");
    let bytes = vec![7; DATA_BYTES + 100];
    let (took, ()) = timed(|| {
        for _ in 0..count {
            file.write_all(&bytes).expect("there is room");
            file.sync_data().expect("the disk syncs");
        }
    });
    count as f64 / took.as_secs_f64()
}

fn throughput(bench: Bench) {
    let folder = Folder::new("throughput");
    let (running, address) = server(&folder, Duration::ZERO);
    let count = bench.size(2_000, 20_000);
    // In the same run, before and after, as disks have moods.
    let before = bare_loop(&folder, count / 4);
    for publishers in [1, 16, 256] {
        let many = if publishers == 1 {
            count / 4
        } else {
            count * publishers.min(64) / 16
        };
        let mut all = Publishers::new(address, publishers, request("room", true));
        all.run(|answered| answered >= publishers * 4);
        let (cpu, made) = (server_cpu_ns(), commits(&running));
        let (took, done) = timed(|| all.run(|answered| answered + publishers > many));
        let cpu = (server_cpu_ns() - cpu) as f64 / done as f64 / 1e3;
        let per_s = done as f64 / took.as_secs_f64();
        let case = format!("{publishers} publishers, synced");
        bench.report(&format!("{case}: acknowledged"), per_s, "per second");
        bench.report(&format!("{case}: all threads"), cpu, "us CPU/event");
        // The store tells what it has counted about once a second.
        std::thread::sleep(Duration::from_millis(1_500));
        let made = commits(&running) - made;
        let commits_per_s = made as f64 / took.as_secs_f64();
        bench.report(&format!("{case}: commits"), commits_per_s, "per second");
        if publishers == 1 {
            let bare = (before + bare_loop(&folder, count / 4)) / 2.0;
            bench.report("a bare loop that writes and syncs", bare, "per second");
            bench.report("1 publisher: of that", per_s / bare, "(wanted: 0.75)");
        }
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
    let mut ms: Vec<f64> = (0..rounds)
        .map(|_| {
            let (took, _) = timed(|| {
                publisher.run(|answered| answered >= 1);
                listeners.read_one();
            });
            std::thread::sleep(Duration::from_millis(2));
            took.as_nanos() as f64 / 1e6
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    (ms[rounds / 2], ms[rounds * 99 / 100])
}

/// What the store, saturated, does to those who want nothing of it. Only a handful of publishers, each
/// of which always has one event under way, so that the store is never idle and the processors are
/// not what everybody waits for.
fn beside_the_store(bench: Bench, name: &str, sync: Duration) {
    let folder = Folder::new("latency");
    let (running, address) = server(&folder, sync);
    let mut listeners = Listeners::join(address, 100, "live");
    let mut publisher = Publishers::new(address, 1, request("live", false));
    let rounds = bench.size(200, 2_000);
    latency(&mut publisher, &mut listeners, rounds / 4);
    let quiet = latency(&mut publisher, &mut listeners, rounds);
    let stop = Arc::new(AtomicBool::new(false));
    let (stops, begun) = (stop.clone(), Arc::new(AtomicBool::new(false)));
    let begins = begun.clone();
    let saturating = std::thread::spawn(move || {
        let mut all = Publishers::new(address, 4, request("room", true));
        all.run(|answered| {
            begins.store(answered > 8, Ordering::Relaxed);
            stops.load(Ordering::Relaxed)
        })
    });
    while !begun.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    let beside = latency(&mut publisher, &mut listeners, rounds);
    stop.store(true, Ordering::Relaxed);
    let stored = saturating.join().expect("all were acknowledged");
    assert!(stored > 8, "the store was at work");
    for (what, (p50, p99)) in [("idle", quiet), ("saturated", beside)] {
        bench.report(
            &format!("unstored to 100, {name}, store {what}: p50"),
            p50,
            "ms",
        );
        bench.report(
            &format!("unstored to 100, {name}, store {what}: p99"),
            p99,
            "ms",
        );
    }
    bench.report(
        &format!("unstored to 100, {name}: p99 of that"),
        beside.1 / quiet.1,
        "times",
    );
    running.handle().stop().expect("the server runs");
    running.wait().expect("the loop ended in order");
}

fn main() {
    let bench = Bench::from_args("stored");
    throughput(bench);
    beside_the_store(bench, "the disk as it is", Duration::ZERO);
    beside_the_store(bench, "100 ms a sync", Duration::from_millis(100));
}
