//! Events that are stored, from the request to the answer that says so, over real sockets: how many a
//! second, what each costs in processor time over all threads, and what a busy or a slow store does
//! to messages that are not stored.
//!
//! The database lies on the disk that holds the build; beside it runs a bare loop that writes and
//! syncs, as the least that the disk allows.

mod support;

use fanwire::dialect::pushi::auth::Keys;
use fanwire::dialect::pushi::config::{App, Config};
use fanwire::dialect::pushi::{Pushi, session::SessionKey};
use fanwire::engine::EngineConfig;
use fanwire::hub::AppId;
use fanwire::options;
use fanwire::reactor::Listen;
use fanwire::server::{AppIds, Builder, OpenedStore, Running};
use fanwire::store::AppRow;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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

/// A server with one app of Pushi's, on a file in `folder`.
fn server(folder: &Folder) -> (Running, SocketAddr) {
    let mut settings = options::Config::default();
    settings.store.path = Some(folder.0.join("fanwire.db"));
    settings.channelstream.enabled = false;
    settings.apps = vec![options::App {
        id: "bench".to_owned(),
        key: KEY.to_owned(),
        secret: options::Secret::from(SECRET),
        protocols: vec![options::Protocol::Pushi],
        ..options::App::default()
    }];
    let ids = AppIds::of(&settings);
    let store = OpenedStore::open(&settings, &ids).expect("a fresh file");
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
    let (running, address) = server(&folder);
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

fn main() {
    let bench = Bench::from_args("stored");
    let keys = Keys::new(KEY, SECRET);
    assert_eq!(keys.key(), KEY);
    throughput(bench);
}
