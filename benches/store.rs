//! The store at its queue: acknowledged publishes per second beside a bare write-and-sync loop on the
//! same disk, how soon a large file is open, how soon the latest events are there, and what an event
//! takes on disk.
//!
//! All of it on the disk that the system keeps temporary files on (`TMPDIR` names another). The whole
//! run is held to what the store promises; a quick one only to what no disk and no neighbour change.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and a publisher on another thread than the store"
)]

mod support;

use fanwire::side::store::{Clock, Durability, Moment, Options, Running, open};
use fanwire::store::{Answer, AppRow, News, Place, Port, Publish, Question, StoreStats, Write};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{Bench, Dice, median, timed};

const APP: AppRow = AppRow(1);
/// What an event carries.
const DATA_BYTES: usize = 300;

/// Acknowledged by 256 publishers in a second, at least.
const CROWD_PER_S_MIN: f64 = 20_000.0;
/// What a lone publisher gets of the bare loop, at least.
const LONE_SHARE_MIN: f64 = 0.75;
const CPU_US_MAX: f64 = 40.0;
const START_MILLION_S_MAX: f64 = 5.0;
const START_KILLED_S_MAX: f64 = 2.0;
const LATEST_P99_MS_MAX: f64 = 2.0;
const FILE_BYTES_MAX: f64 = 450.0;

/// A folder that goes with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("fanwire-bench-store-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("fanwire.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(path: &Path) -> Options {
    let start = Instant::now();
    let clock: Clock = Arc::new(move || Moment {
        mono_us: start.elapsed().as_micros() as u64,
        unix_us: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64),
    });
    Options {
        path: Some(path.to_owned()),
        durability: Durability::Synced,
        age_max_us: None,
        bytes_max: None,
        busy_poll_ms: 0,
        clock,
    }
}

/// The loop's end of a store.
struct Publishers {
    port: Port,
    running: Running,
    letters: Receiver<Vec<News>>,
    dice: Dice,
    channels: u64,
    stats: StoreStats,
}

impl Publishers {
    fn open(path: &Path, channels: u64) -> Self {
        let (mut store, _) = open(options(path)).expect("it opens");
        let rows = store.storage().adopt(&["bench"], 0);
        assert_eq!(rows, Ok(vec![APP]));
        let (sender, letters) = channel();
        let running = store.start(move |news| sender.send(news).is_ok());
        let mut port = Port::default();
        port.open();
        Self {
            port,
            running: running.expect("there are threads"),
            letters,
            dice: Dice(0x0123_4567_89ab_cdef),
            channels,
            stats: StoreStats::default(),
        }
    }

    fn publish(&mut self) -> Place {
        let mut id = || {
            let (high, low) = (self.dice.throw(), self.dice.throw());
            u128::from(high) << 64 | u128::from(low)
        };
        let (mid, owner) = (id() | 1 << 127, id());
        let room = format!("room-{}", self.dice.throw() % self.channels);
        let text = format!("{:x}", self.dice.throw());
        let data = text.repeat(DATA_BYTES / text.len() + 1);
        let number = self.port.last_place().0 + 1;
        self.port.write(Write::Publish(Box::new(Publish {
            app: APP,
            number,
            is_last: true,
            owner: Some(owner),
            micros: 1_795_300_668_631_074 + number,
            name: "message".into(),
            data: data[..DATA_BYTES].into(),
            extra: "".into(),
            channels: vec![(room.into(), mid)],
        })))
    }

    /// Hears one letter; up to where everything is done.
    fn hear(&mut self) -> Option<Place> {
        let news = self.letters.recv().expect("the store runs");
        let mut done = None;
        for news in news {
            self.port.hear(&news);
            match news {
                News::Done { upto } => done = Some(upto),
                News::Stats(stats) => self.stats = *stats,
                News::Failed { why, .. } | News::State(Some(why)) => panic!("{why}"),
                _ => {}
            }
        }
        done
    }

    /// So many publishers, each of which waits for its acknowledgement before it goes on, until so
    /// many publishes were acknowledged. How many that were in a second.
    fn run(&mut self, publishers: usize, count: usize) -> f64 {
        let (took, ()) = timed(|| {
            let first = self.port.last_place();
            let last = Place(first.0 + count as u64);
            let mut done = first;
            while done < last {
                let under_way = self.port.last_place().0 - done.0;
                let left = last.0 - self.port.last_place().0;
                for _ in 0..left.min(publishers as u64 - under_way) {
                    self.publish();
                }
                if self.port.has_jobs() {
                    assert!(self.running.link().send(self.port.take()));
                }
                done = self.hear().unwrap_or(done);
            }
        });
        count as f64 / took.as_secs_f64()
    }

    fn ask(&mut self, question: Question) -> Answer {
        let wanted = self.port.ask(question);
        assert!(self.running.link().send(self.port.take()));
        loop {
            for news in self.letters.recv().expect("the store runs") {
                self.port.hear(&news);
                if let News::Answer { ticket, answer } = news
                    && ticket == wanted
                {
                    return answer;
                }
            }
        }
    }

    fn close(self) {
        assert!(self.running.close(), "all is on disk");
    }
}

/// Writes and syncs of as many bytes as an event has, appended to a file, in a second.
fn bare(folder: &Folder, count: usize) -> f64 {
    let mut file = File::create(folder.0.join("bare")).expect("there is room");
    let event = [b'x'; DATA_BYTES];
    let (took, ()) = timed(|| {
        for _ in 0..count {
            file.write_all(&event).expect("there is room");
            file.sync_data().expect("it is a disk");
        }
    });
    count as f64 / took.as_secs_f64()
}

/// The processor time of this process so far, in microseconds.
fn cpu_us() -> f64 {
    /// Ticks in a second, as Linux tells them to everybody.
    const HZ: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / HZ * 1e6
}

/// A lone publisher is compared with the bare loop round by round, and the middle of the rounds counts:
/// a disk may be twenty times as fast in one moment as in the next. Of the crowd the best round counts,
/// as neighbours only ever slow it down.
fn publishes(bench: Bench) {
    let folder = Folder::new("publishes");
    let mut store = Publishers::open(&folder.file(), 100);
    store.run(16, 1_000);
    let (mut alone, mut lone, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.size(5, 31) {
        let count = bench.size(50, 300);
        let (one, other) = (bare(&folder, count), store.run(1, count));
        alone.push(one);
        lone.push(other);
        shares.push(other / one);
    }
    let share = median(shares);
    bench.report("a bare loop: writes and syncs", median(alone), "/s");
    bench.report("1 publisher: acknowledged", median(lone), "/s");
    bench.report("1 publisher: share of the bare loop", share, "");
    let rounds = bench.size(2, 7);
    for (publishers, count) in [
        (16, bench.size(3_000, 30_000)),
        (256, bench.size(20_000, 200_000)),
    ] {
        let mut best = (0.0, 0.0, 0.0);
        for _ in 0..rounds {
            let commits = store.commits();
            let cpu = cpu_us();
            let per_s = store.run(publishers, count);
            let cpu = (cpu_us() - cpu) / count as f64;
            let commits = (store.commits() - commits) as f64 / (count as f64 / per_s);
            if per_s > best.0 {
                best = (per_s, commits, cpu);
            }
        }
        let (per_s, commits, cpu) = best;
        bench.report(
            &format!("{publishers} publishers: acknowledged"),
            per_s,
            "/s",
        );
        bench.report(&format!("{publishers} publishers: commits"), commits, "/s");
        bench.report(
            &format!("{publishers} publishers: processor, each"),
            cpu,
            "us",
        );
        if publishers == 256 && !bench.quick {
            assert!(
                per_s >= CROWD_PER_S_MIN,
                "{per_s:.0} acknowledged in a second"
            );
            assert!(cpu <= CPU_US_MAX, "{cpu:.1} us of the processor for each");
        }
    }
    store.close();
    if !bench.quick {
        assert!(share >= LONE_SHARE_MIN, "{share:.2} of the bare loop");
    }
}

impl Publishers {
    /// Commits so far. The store tells about once a second, so this may have to wait for it.
    fn commits(&mut self) -> u64 {
        let last = self.port.last_place().0;
        while self.stats.writes < last {
            self.hear();
        }
        self.stats.commits
    }
}

/// A file with many events in one channel: its size, its start, its latest events.
fn many(bench: Bench, channels: u64) {
    let folder = Folder::new("many");
    let count = bench.size(50_000, 1_000_000);
    let case = format!("{count} events in {channels} channels");
    let mut store = Publishers::open(&folder.file(), channels);
    let per_s = store.run(4_096, count);
    bench.report(&format!("{case}: acknowledged"), per_s, "/s");
    store.close();
    let bytes = fs::metadata(folder.file()).expect("it is there").len();
    let each = bytes as f64 / count as f64;
    bench.report(&format!("{case}: file, each"), each, "bytes");
    assert!(each <= FILE_BYTES_MAX, "{each:.0} bytes for each");

    let (took, mut store) = timed(|| Publishers::open(&folder.file(), channels));
    bench.report(&format!("{case}: start"), took.as_secs_f64() * 1e3, "ms");
    assert!(took.as_secs_f64() <= START_MILLION_S_MAX, "{took:?}");
    let question = Question::Latest {
        app: APP,
        channel: Some("room-0".into()),
        skip: 0,
        count: 10,
    };
    let mut waits = Vec::new();
    for _ in 0..bench.size(1_000, 20_000) {
        let (took, answer) = timed(|| store.ask(question.clone()));
        match answer {
            Answer::Events(events) => assert_eq!(events.len(), 10),
            other => panic!("{other:?}"),
        }
        waits.push(took.as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);
    let p99 = waits[waits.len() * 99 / 100];
    bench.report(&format!("{case}: latest 10, p50"), median(waits), "ms");
    bench.report(&format!("{case}: latest 10, p99"), p99, "ms");
    if !bench.quick {
        assert!(p99 <= LATEST_P99_MS_MAX, "{p99:.2} ms");
    }
    store.close();
}

/// Names the file that a child writes to until it is killed.
const CHILD: &str = "FANWIRE_BENCH_STORE_CHILD";

fn child(path: &Path) {
    let mut store = Publishers::open(path, 100);
    loop {
        store.run(256, 1_000);
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn killed(bench: Bench) {
    let folder = Folder::new("killed");
    let path = folder.file();
    let wanted = bench.size(5, 100) as u64 * 1_000_000;
    let program = std::env::current_exe().expect("this is a program");
    let mut writer = Command::new(program);
    writer.env(CHILD, &path).stdout(Stdio::null());
    let writer = Killed(writer.spawn().expect("it can be run again"));
    let started = Instant::now();
    let bytes = || fs::metadata(&path).map_or(0, |file| file.len());
    while bytes() < wanted {
        assert!(started.elapsed() < Duration::from_secs(300), "it is filled");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(writer);
    let log = fs::metadata(folder.0.join("fanwire.db-wal"));
    let log = log.map_or(0, |log| log.len());
    let (took, store) = timed(|| Publishers::open(&path, 100));
    let case = format!("{} MB after a kill", wanted / 1_000_000);
    bench.report(&format!("{case}: log left behind"), log as f64 / 1e6, "MB");
    bench.report(&format!("{case}: start"), took.as_secs_f64() * 1e3, "ms");
    assert!(took.as_secs_f64() <= START_KILLED_S_MAX, "{took:?}");
    store.close();
}

fn main() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(Path::new(&path));
        return;
    }
    let bench = Bench::from_args("store");
    publishes(bench);
    killed(bench);
    many(bench, 1);
    many(bench, 1_000);
}
