//! The power is cut: the server works under a tracer, and from what it did to its files those are made
//! that a disk would hold if the power had failed at one moment or another. Each is opened, and has all
//! that had been acknowledged by then.

use crate::disk::{Disk, Loss};
use crate::ledger::text;
use crate::look::all_events;
use crate::peers::Api;
use crate::process::{Folder, Server, until};
use crate::setup::{APP, Chance, Home, log_in, number, post, ready, skipped};
use crate::trace::{self, Deed};
use fanwire::limits::STORE_RESERVE_BYTES;
use fanwire::side::store::{Durability, Sqlite, Storage};
use fanwire::store::{Answer, AppRow, Publish, Write};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// How many publish at a time.
const PUBLISHERS: usize = 3;
/// Events of each in one life of the server. Together they fill the log more than once.
const EVENTS: u64 = 110;
/// As they are published one after another, these are in one channel after the other.
const CHANNELS: [&str; 3] = ["one", "two", "three"];

#[test]
fn what_was_acknowledged_outlives_the_power() {
    cuts(Durability::Synced, number("FANWIRE_CRASH_CUTS", 240));
}

#[test]
fn relaxed_the_power_takes_what_came_last_and_never_the_file() {
    cuts(Durability::Relaxed, number("FANWIRE_CRASH_CUTS", 240) / 2);
}

fn cuts(durability: Durability, count: u64) {
    let home = match durability {
        Durability::Synced => Home::new(""),
        Durability::Relaxed => Home::new("durability = \"relaxed\""),
    };
    let Some(lives) = lives(&home) else {
        return skipped("there is no strace that may trace, so the power is not cut");
    };
    let folder = home.path("");
    let folder = folder.components().as_path();
    let moments = moments(&lives, &mut Chance::new(1), count);
    let mut world = World::new(durability);
    let mut results = Results::default();
    let mut chance = Chance::new(2);
    for (life, deeds) in lives.iter().enumerate() {
        for (at, deed) in deeds.iter().enumerate() {
            world.take(deed, folder);
            if moments.contains(&(life, at)) {
                let losses = Loss::ANY.len() as u64;
                let loss = Loss::ANY[chance.below(losses) as usize];
                world.cut(loss, &mut chance, &mut results, (life, at));
            }
        }
        world.disk.is_left();
    }
    results.report();
    assert_eq!(results.cuts, moments.len() as u64);
    // Else this has shown nothing.
    assert!(results.lossy > results.cuts / 4, "{results:?}");
    assert!(results.acked > results.cuts, "{results:?}");
}

/// What the server did in two lives with one file: it is killed in the first, and closes the second.
fn lives(home: &Home) -> Option<[Vec<Deed>; 2]> {
    let store = home.store();
    let mut disk = Disk::default();
    let mut life = |name: &str, work: &dyn Fn(&Server), signal: &str| {
        let trace = home.path(name);
        let server = ready(Server::start(trace::traced(&home.command(), &trace)?, 1));
        work(&server);
        trace::end(server, signal, &trace);
        let deeds = trace::read(&trace, &store);
        fs::remove_file(&trace).expect("it was read");
        as_it_is(&mut disk, &deeds, &store);
        Some(deeds)
    };
    let first = |server: &Server| {
        let id = server.id().to_string();
        let kill = || {
            let kill = ["-c", "kill -s KILL \"$1\"", "sh", &id];
            let status = Command::new("/bin/sh").args(kill).status();
            assert!(status.expect("it runs").success());
        };
        burst(server.address(), 0, Some(&kill));
    };
    let first = life("first", &first, "KILL")?;
    let second = |server: &Server| {
        let copied = fs::metadata(&store).and_then(|file| file.modified());
        let copied = copied.expect("it is there");
        burst(server.address(), 1, None);
        // When nothing more comes the log is copied over. It goes on after that.
        until("the log is copied over", || {
            let now = fs::metadata(&store).and_then(|file| file.modified());
            now.expect("it is there") > copied
        });
        burst(server.address(), 2, None);
    };
    Some([first, life("second", &second, "TERM")?])
}

/// The trace comes to the very files that are there, so that nothing was missed. A write that was under
/// way when the process was killed may have been done or not.
fn as_it_is(disk: &mut Disk, deeds: &[Deed], store: &Path) {
    let folder = store.parent().expect("it is in a folder");
    deeds.iter().for_each(|deed| disk.take(deed, folder));
    disk.is_left();
    for more in ["", "-wal", "-journal"] {
        let mut path = store.as_os_str().to_owned();
        path.push(more);
        let path = PathBuf::from(path);
        let there = fs::read(&path).ok();
        if disk.shows(&path) != there {
            disk.take_back(&path);
        }
        assert!(
            disk.shows(&path) == there,
            "{} is otherwise",
            path.display()
        );
    }
}

/// All publish at once, and each waits for its answers. With `end` the first one calls that when it is
/// done; the others publish until the server has gone.
fn burst(address: SocketAddr, round: u64, end: Option<&(dyn Fn() + Sync)>) {
    thread::scope(|scope| {
        for me in 0..PUBLISHERS {
            scope.spawn(move || match end {
                None => publish(address, round, me, EVENTS).expect("the server is there"),
                Some(end) if me == 0 => {
                    publish(address, round, me, EVENTS).expect("the server is there");
                    end();
                }
                Some(_) => {
                    let gone = publish(address, round, me, u64::MAX);
                    assert_eq!(gone, None);
                }
            });
        }
    });
}

/// None: the server has gone.
fn publish(address: SocketAddr, round: u64, me: usize, count: u64) -> Option<()> {
    let mut api = Api::connect(address)?;
    let sid = log_in(&mut api)?;
    for number in 0..count {
        let body = json!({"data": text(round, me, number), "channel": channels(number)});
        api.ask_well(&post(&format!("/events?sid={sid}"), &body.to_string()))?;
    }
    Some(())
}

/// Where an event goes.
fn channels(number: u64) -> &'static [&'static str] {
    match number % 4 {
        3 => &CHANNELS,
        one => &CHANNELS[one as usize..=one as usize],
    }
}

/// When the power fails: half of the moments are anywhere, half of them near what is rare.
fn moments(lives: &[Vec<Deed>], chance: &mut Chance, count: u64) -> BTreeSet<(usize, usize)> {
    let (mut any, mut rare) = (Vec::new(), Vec::new());
    for (life, deeds) in lives.iter().enumerate() {
        for (at, deed) in deeds.iter().enumerate() {
            let is_rare = match deed {
                Deed::Wrote { path, at, .. } => !is_log(path) || *at == 0,
                Deed::Opened(_) | Deed::Removed(_) | Deed::Cut { .. } => true,
                Deed::Syncs(_, path) | Deed::Synced(_, path) => !is_log(path),
                Deed::Heard(..) | Deed::Said(..) => continue,
            };
            any.push((life, at));
            if is_rare {
                rare.push((life, at));
            }
        }
    }
    assert!(
        any.len() > 1000 && rare.len() > 100,
        "{} {}",
        any.len(),
        rare.len()
    );
    let mut moments = BTreeSet::new();
    let mut draw = |from: &[(usize, usize)]| {
        moments.insert(from[chance.below(from.len() as u64) as usize]);
    };
    for number in 0..count {
        draw(if number % 2 == 0 { &any } else { &rare });
    }
    moments
}

fn is_log(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-wal")
}

#[derive(Debug, Default)]
struct Results {
    cuts: u64,
    /// Those that lost something.
    lossy: u64,
    /// Acknowledged events that were looked for, and found.
    acked: u64,
    /// Others that were there.
    more: u64,
}

impl Results {
    #[allow(clippy::print_stdout, reason = "what was tried")]
    fn report(&self) {
        println!(
            "{} cuts, {} with a loss; {} acknowledged events found, and {} others",
            self.cuts, self.lossy, self.acked, self.more
        );
    }
}

/// The head of the text of an event: its round, publisher and number.
type Event = (u64, usize, u64);

/// The disk, and what was said by those who wait at the other end of the sockets.
struct World {
    durability: Durability,
    disk: Disk,
    /// What came over a socket and was not answered yet.
    heard: BTreeMap<String, Vec<u8>>,
    acked: BTreeSet<Event>,
    /// Those that had been acknowledged before the log was last synced.
    synced: BTreeSet<Event>,
    /// Those that a sync under way brings to the disk.
    coming: BTreeMap<u64, BTreeSet<Event>>,
}

impl World {
    fn new(durability: Durability) -> Self {
        Self {
            durability,
            disk: Disk::default(),
            heard: BTreeMap::new(),
            acked: BTreeSet::new(),
            synced: BTreeSet::new(),
            coming: BTreeMap::new(),
        }
    }

    fn take(&mut self, deed: &Deed, folder: &Path) {
        self.disk.take(deed, folder);
        match deed {
            Deed::Heard(from, bytes) => {
                self.heard.entry(from.clone()).or_default().extend(bytes);
            }
            Deed::Said(to, bytes) if bytes.starts_with(b"HTTP/1.1 200") => {
                let request = self.heard.remove(to).unwrap_or_default();
                self.acked.extend(event_in(&request));
            }
            Deed::Syncs(number, path) if is_log(path) => {
                self.coming.insert(*number, self.acked.clone());
            }
            Deed::Synced(number, path) if is_log(path) => {
                let synced = self.coming.remove(number);
                self.synced = synced.unwrap_or_else(|| self.acked.clone());
            }
            _ => {}
        }
    }

    /// What must be there if the power fails now.
    fn due(&self) -> &BTreeSet<Event> {
        match self.durability {
            Durability::Synced => &self.acked,
            Durability::Relaxed => &self.synced,
        }
    }

    fn cut(&self, loss: Loss, chance: &mut Chance, results: &mut Results, at: (usize, usize)) {
        let after = Folder::new();
        let store = after.path("fanwire.db");
        let is_less = self.disk.fail(loss, chance, &after.path(""));
        if chance.one_in(2) {
            // What was shared in memory may be there, too, and is worth nothing.
            fs::write(after.path("fanwire.db-shm"), [0x5a; 32 * 1024]).expect("there is room");
        }
        if fs::metadata(&store).is_ok_and(|file| file.len() > 0) {
            // As a server leaves it; making one for each cut would take longer than all the rest.
            let reserve = fs::File::create(after.path("fanwire.db.reserve"));
            let sized = reserve.and_then(|file| file.set_len(STORE_RESERVE_BYTES as u64));
            sized.expect("there is room");
        }
        let place = format!("cut at {at:?} with {loss:?}");
        let there = open_and_look(&store, chance.one_in(8), &place);
        for event in self.due() {
            assert!(there.contains(event), "{place}: {event:?} was acknowledged");
        }
        results.cuts += 1;
        results.lossy += u64::from(is_less);
        results.acked += self.due().len() as u64;
        results.more += (there.len() - self.due().len()) as u64;
    }
}

/// The event in a request that publishes one.
fn event_in(request: &[u8]) -> Option<Event> {
    let text = String::from_utf8_lossy(request);
    let (_, data) = text.split_once("\"data\":\"")?;
    event_of(data)
}

fn event_of(text: &str) -> Option<Event> {
    let mut parts = text.split('/');
    let mut next = || parts.next()?.parse::<u64>().ok();
    Some((next()?, next()? as usize, next()?))
}

/// Opens a file as a server would, and says which events are there: each whole, in all of its channels,
/// and none missing between others.
fn open_and_look(path: &Path, is_used: bool, place: &str) -> BTreeSet<Event> {
    let open = || {
        Sqlite::open(path, Durability::Synced).unwrap_or_else(|error| panic!("{place}: {error}"))
    };
    let mut store = open();
    assert_eq!(store.check().expect(place), [""; 0], "{place}");
    let row = store.adopt(&[APP], 1).expect(place)[0];
    let events = all_events(&mut store, row);
    let ids = events.iter().map(|event| event.id);
    assert!(
        ids.eq(1..=events.len() as u64),
        "{place}: ids count up without a gap"
    );
    let mut there: BTreeMap<Event, Vec<&str>> = BTreeMap::new();
    for event in &events {
        let known = event_of(&event.data).expect(place);
        assert!(
            *event.data == *text(known.0, known.1, known.2),
            "{place}: torn"
        );
        there.entry(known).or_default().push(&event.channel);
    }
    for (event, found) in &there {
        assert_eq!(found, channels(event.2), "{place}: {event:?}");
    }
    if is_used {
        let last = events.len() as u64;
        let done = store.commit(&[&one_more(row)]).expect(place);
        assert_eq!(done.answers, [Answer::Done]);
        drop(store);
        let mut store = open();
        let after = all_events(&mut store, row);
        assert_eq!(
            after.last().map(|event| event.id),
            Some(last + 1),
            "{place}"
        );
        assert_eq!(store.check().expect(place), [""; 0], "{place}");
    }
    there.into_keys().collect()
}

fn one_more(app: AppRow) -> Write {
    Write::Publish(Box::new(Publish {
        app,
        number: 1,
        is_last: true,
        owner: None,
        micros: 1,
        name: "message".into(),
        data: "one more".into(),
        extra: "".into(),
        channels: vec![("one".into(), 1)],
    }))
}
