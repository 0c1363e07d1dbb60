//! What the thread before an engine promises: order, sharing, failures, an end in order.

#![allow(
    clippy::disallowed_methods,
    reason = "the store is given the real time, and a test waits for no more than so long"
)]

use crate::world::{latest, new_app, publish, texts};
use crate::wrap::{Fate, Rig, Rigged};
use fanwire::limits::STORE_COMMIT_ROWS_MAX;
use fanwire::side::store::{Durability, Link, Memory, Moment, Options, Running, Storage, Store};
use fanwire::store::{
    Answer, AppRow, Job, News, Place, Port, Question, StoreStats, Ticket, Trouble, Write,
};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A condition that does not come about within this time never does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const APP: AppRow = AppRow(1);

pub(crate) fn options() -> Options {
    let start = Instant::now();
    let clock = move || Moment {
        mono_us: start.elapsed().as_micros() as u64,
        unix_us: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64),
    };
    Options {
        path: None,
        durability: Durability::Synced,
        age_max_us: None,
        bytes_max: None,
        busy_poll_ms: 0,
        clock: Arc::new(clock),
    }
}

/// The loop, as the store sees it.
pub(crate) struct Loop {
    port: Port,
    link: Link,
    running: Option<Running>,
    letters: Receiver<Vec<News>>,
    heard: Vec<News>,
}

impl Loop {
    pub(crate) fn start(storage: impl Storage + 'static, options: Options) -> Self {
        Self::watched(storage, options, |_| ())
    }

    /// `watch` sees the news on the store's own threads.
    fn watched(
        storage: impl Storage + 'static,
        options: Options,
        watch: impl Fn(&[News]) + Send + Sync + 'static,
    ) -> Self {
        let (sender, letters) = channel();
        let store = Store::with(Box::new(storage), options);
        let running = store.start(move |news| {
            watch(&news);
            sender.send(news).is_ok()
        });
        let running = running.expect("there are threads");
        let mut port = Port::default();
        port.open();
        Self {
            port,
            link: running.link(),
            running: Some(running),
            letters,
            heard: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self) {
        assert!(self.link.send(self.port.take()));
    }

    pub(crate) fn publish(&mut self, data: &str) -> Place {
        let number = self.port.last_place().0 + 1;
        let publish = publish(APP, number, &["room"], data);
        self.port.write(Write::Publish(Box::new(publish)))
    }

    fn publish_and_tell(&mut self, data: &str) -> Ticket {
        let number = self.port.last_place().0 + 1;
        let publish = publish(APP, number, &["room"], data);
        self.port.write_and_tell(Write::Publish(Box::new(publish)))
    }

    pub(crate) fn ask_latest(&mut self) -> Ticket {
        self.port.ask(latest(APP, Some("room"), 0, 0))
    }

    /// Hears one letter.
    fn hear(&mut self) {
        let news = self.letters.recv_timeout(PATIENCE);
        let news = news.expect("the store has something to say");
        news.iter().for_each(|news| self.port.hear(news));
        self.heard.extend(news);
    }

    /// Hears until something was said, and what it was.
    fn until<T>(&mut self, what: impl Fn(&News) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.heard.iter().find_map(&what) {
                return found;
            }
            self.hear();
        }
    }

    fn answer(&mut self, wanted: Ticket) -> Answer {
        self.until(|news| match news {
            News::Answer { ticket, answer } if *ticket == wanted => Some(answer.clone()),
            _ => None,
        })
    }

    pub(crate) fn texts(&mut self, wanted: Ticket) -> Vec<String> {
        match self.answer(wanted) {
            Answer::Events(events) => texts(&events),
            other => panic!("{other:?}"),
        }
    }

    /// Until everything up to a place was told of.
    pub(crate) fn until_done(&mut self, place: Place) {
        self.until(|news| match news {
            News::Done { upto } | News::Failed { upto, .. } if *upto >= place => Some(()),
            _ => None,
        });
    }

    fn until_state(&mut self, state: Option<Trouble>) {
        self.until(|news| (*news == News::State(state)).then_some(()));
    }

    /// Everything but the statistics, and forgets it.
    fn take_heard(&mut self) -> Vec<News> {
        let heard = std::mem::take(&mut self.heard);
        let is_said = |news: &News| !matches!(news, News::Stats(_));
        heard.into_iter().filter(is_said).collect()
    }

    pub(crate) fn close(&mut self) -> bool {
        let running = self.running.take().expect("it is closed once");
        let is_in_order = running.close();
        while let Ok(news) = self.letters.try_recv() {
            self.heard.extend(news);
        }
        is_in_order
    }
}

pub(crate) fn rigged() -> (Rigged<Memory>, Arc<Rig<Memory>>) {
    Rigged::new(Memory::new())
}

#[test]
fn nothing_is_said_to_be_done_before_it_is() {
    let (storage, rig) = rigged();
    let watched = Arc::clone(&rig);
    let mut store = Loop::watched(storage, options(), move |news| {
        for news in news {
            match news {
                News::Done { upto } => assert!(watched.committed() as u64 >= upto.0),
                News::Answer { ticket, .. } => assert!(watched.committed() as u64 >= ticket.0),
                _ => {}
            }
        }
    });
    // Every job has a ticket, so that tickets and places are the same numbers.
    for _ in 0..20 {
        for n in 0..50 {
            store.publish_and_tell(&n.to_string());
        }
        store.send();
    }
    store.until_done(Place(1000));
    let mut told = 0;
    for news in store.take_heard() {
        match news {
            News::Answer { ticket, answer } => {
                told += 1;
                assert_eq!((ticket, answer), (Ticket(told), Answer::Done), "in order");
            }
            News::Done { upto } => assert_eq!(upto, Place(told), "its answers come first"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.port.waiting(), (0, 0));
    assert!(store.close());
}

#[test]
fn what_waits_shares_commits_and_a_lone_write_waits_for_nobody() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    rig.hold();
    store.publish("first");
    store.send();
    rig.wait_until_held();
    let most = STORE_COMMIT_ROWS_MAX;
    for n in 0..2 * most + 10 {
        store.publish(&n.to_string());
        store.send();
    }
    // More rows than a commit may have: by itself.
    let names: Vec<String> = (0..3 * most).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large = publish(APP, 77, &names, "large");
    store.port.write(Write::Publish(Box::new(large)));
    let last = store.publish("last");
    store.send();
    rig.let_go();
    store.until_done(last);
    assert_eq!(rig.commits(), [1, most, most, 10, 1, 1]);
    let done = store.take_heard();
    assert_eq!(done.len(), 6, "one word for each commit: {done:?}");
    assert!(store.close());
}

/// What a question sees is what was written before it, whatever was committed with that.
fn questions_see_what_is_before_them(storage: impl Storage + 'static) {
    let (storage, rig) = Rigged::new(storage);
    let mut store = Loop::start(storage, options());
    rig.hold();
    store.publish("0");
    store.send();
    rig.wait_until_held();
    let mut tickets = Vec::new();
    for n in 1..=5 {
        tickets.push(store.ask_latest());
        store.publish(&n.to_string());
    }
    tickets.push(store.ask_latest());
    store.send();
    rig.let_go();
    for (before, ticket) in tickets.into_iter().enumerate() {
        let expected: Vec<String> = (0..=before).rev().map(|n| n.to_string()).collect();
        assert_eq!(store.texts(ticket), expected);
    }
    assert_eq!(rig.commits(), [1, 5]);
    let early = store.ask_latest();
    store.send();
    assert_eq!(
        store.texts(early).len(),
        6,
        "without a write before it as well"
    );
    assert_eq!(store.port.waiting(), (0, 0));
    assert!(store.close());
}

#[test]
fn questions_see_what_is_before_them_in_memory() {
    questions_see_what_is_before_them(Memory::new());
}

#[test]
fn a_failed_commit_is_told_for_exactly_its_writes() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    let kept = store.publish("kept");
    store.send();
    store.until_done(kept);
    store.take_heard();

    rig.trouble(Some(Trouble::DiskFull));
    rig.next(&[Fate::Fails(Trouble::DiskFull)]);
    let from = store.publish("lost");
    let ticket = store.publish_and_tell("lost as well");
    let asked = store.ask_latest();
    let why = Trouble::DiskFull;
    store.send();
    store.until_state(Some(why));
    assert_eq!(store.texts(asked), ["kept"], "reading goes on");
    let answer = Answer::Trouble(why);
    let upto = Place(from.0 + 1);
    let told = store.take_heard();
    let expected = [
        News::Answer {
            ticket,
            answer: answer.clone(),
        },
        News::Failed { from, upto, why },
        News::State(Some(why)),
    ];
    assert_eq!(told[..3], expected);
    assert_eq!(store.port.trouble(), Some(why));

    // What comes meanwhile is refused at once.
    let ticket = store.publish_and_tell("refused");
    let place = store.port.last_place();
    let asked = store.ask_latest();
    store.send();
    assert_eq!(store.texts(asked), ["kept"]);
    store.until_done(place);
    let told = store.take_heard();
    let (from, upto) = (place, place);
    assert!(told.contains(&News::Answer { ticket, answer }));
    assert!(told.contains(&News::Failed { from, upto, why }));

    // The reason may change, and be told.
    rig.trouble(Some(Trouble::Failing));
    store.until_state(Some(Trouble::Failing));
    rig.trouble(None);
    store.until_state(None);
    assert_eq!(store.port.trouble(), None);
    let last = store.publish("works again");
    let asked = store.ask_latest();
    store.send();
    store.until_done(last);
    assert_eq!(store.texts(asked), ["works again", "kept"]);
    assert_eq!(store.port.waiting(), (0, 0));
    assert!(store.close());
}

#[test]
fn a_panic_is_a_failure_that_passes() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    rig.next(&[Fate::Panics]);
    let from = store.publish("lost");
    let asked = store.ask_latest();
    store.send();
    let why = Trouble::Failing;
    store.until_state(Some(why));
    assert_eq!(store.texts(asked), [""; 0]);
    let upto = from;
    assert_eq!(store.heard[0], News::Failed { from, upto, why });
    store.until_state(None);
    let last = store.publish("kept");
    store.send();
    store.until_done(last);
    assert_eq!(rig.commits(), [1]);
    assert!(store.close());
}

#[test]
fn relaxed_is_synced_soon_after_and_at_the_end() {
    let (storage, rig) = rigged();
    let relaxed = Options {
        durability: Durability::Relaxed,
        ..options()
    };
    let mut store = Loop::start(storage, relaxed);
    let last = store.publish("a");
    store.send();
    store.until_done(last);
    let started = Instant::now();
    while rig.synced() < 1 {
        assert!(
            started.elapsed() < PATIENCE,
            "it is synced without a further write"
        );
        std::thread::yield_now();
    }
    let last = store.publish("b");
    store.send();
    store.until_done(last);
    assert!(store.close());
    assert_eq!(rig.synced(), 2);
}

#[test]
fn closing_does_what_was_handed_over() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    rig.hold();
    for n in 0..1000 {
        store.publish(&n.to_string());
    }
    let asked = store.ask_latest();
    store.send();
    rig.wait_until_held();
    let running = store.running.take().expect("it runs");
    let closing = std::thread::Builder::new().spawn(move || running.close());
    rig.let_go();
    assert!(closing.expect("a thread").join().expect("no panic"));
    store.until_done(Place(1000));
    assert_eq!(store.texts(asked).len(), 1000);
    assert!(!store.link.send(Vec::new()), "nobody is there any more");
}

#[test]
fn nobody_listening_keeps_nothing_from_being_done() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    rig.hold();
    store.publish("a");
    store.send();
    rig.wait_until_held();
    store.publish("b");
    store.send();
    // The loop goes, and with it who listens and every way in.
    let Loop { running, .. } = store;
    rig.let_go();
    assert!(running.expect("it runs").close());
    assert_eq!(rig.commits(), [1, 1]);
}

#[test]
fn an_app_never_has_much_more_than_it_may() {
    let (storage, _rig) = rigged();
    let most = 50_000;
    let bounded = Options {
        bytes_max: Some(most),
        ..options()
    };
    let mut store = Loop::start(storage, bounded);
    // Each takes about a thousand bytes, so fifty may stay.
    let data = "x".repeat(900);
    for _ in 0..200 {
        let mut last = Place(0);
        for _ in 0..100 {
            last = store.publish(&data);
        }
        store.send();
        store.until_done(last);
        store.heard.clear();
    }
    let started = Instant::now();
    loop {
        let asked = store.port.ask(Question::Counts);
        store.send();
        let Answer::Counts(counts) = store.answer(asked) else {
            panic!("counts were asked for");
        };
        if counts.events <= 50 {
            assert!(counts.events > 40, "no more than needed is cleared away");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{counts:?}");
    }
    let stats = store.until(|news| match news {
        News::Stats(stats) if stats.retired > 19_900 => Some(**stats),
        _ => None,
    });
    assert_eq!(stats.events, 20_000);
    assert!(store.close());
}

#[test]
fn what_was_done_is_counted() {
    let (storage, rig) = rigged();
    let mut store = Loop::start(storage, options());
    rig.next(&[Fate::Fails(Trouble::Failing)]);
    store.publish("lost");
    store.send();
    store.until_state(None);
    let channels = publish(APP, 9, &["a", "b", "c"], "x");
    store.port.write(Write::Publish(Box::new(channels)));
    let app = Write::CreateApp(Box::new(new_app("new")));
    store.port.write_and_tell(app);
    store.ask_latest();
    store.send();
    let stats = store.until(|news| match news {
        News::Stats(stats) if stats.questions > 0 => Some(**stats),
        _ => None,
    });
    let expected = StoreStats {
        commits: 1,
        failures: 1,
        writes: 2,
        events: 3,
        questions: 1,
        commit_lengths: stats.commit_lengths,
        commit_us: stats.commit_us,
        ..StoreStats::default()
    };
    assert_eq!(stats, expected);
    assert_eq!(stats.commit_lengths.iter().sum::<u64>(), 1);
    assert!(store.close());
}

#[test]
fn jobs_nobody_waits_for_are_no_trouble() {
    let mut store = Loop::start(Memory::new(), options());
    let question = Job {
        place: Place(1),
        ticket: None,
        what: fanwire::store::Task::Ask(Question::Counts),
    };
    assert!(store.link.send(vec![question]));
    assert!(store.link.send(Vec::new()));
    assert!(store.close());
    assert!(store.take_heard().is_empty());
}

#[cfg(feature = "store")]
mod in_a_file {
    use super::*;
    use crate::world::{Folder, World};
    use fanwire::side::store::{Sqlite, open};

    fn file(folder: &Folder) -> Sqlite {
        let path = folder.file("fanwire.db");
        Sqlite::open(&path, Durability::Synced).expect("it opens")
    }

    #[test]
    fn questions_see_what_is_before_them() {
        let folder = Folder::new();
        super::questions_see_what_is_before_them(file(&folder));
    }

    #[test]
    fn apps_that_others_make_are_told() {
        let folder = Folder::new();
        let mut store = Loop::start(file(&folder), options());
        let ours = store
            .port
            .write_and_tell(Write::CreateApp(Box::new(new_app("ours"))));
        store.send();
        assert!(matches!(store.answer(ours), Answer::App(_)));
        let path = folder.file("fanwire.db");
        let mut tool = Sqlite::open_beside(&path).expect("a server does not keep it out");
        let theirs = Write::CreateApp(Box::new(new_app("theirs")));
        tool.commit(&[&theirs]).expect("it can write");
        let apps = store.until(|news| match news {
            News::Apps(apps) => Some(apps.clone()),
            _ => None,
        });
        let idents: Vec<&str> = apps.iter().map(|app| &*app.ident).collect();
        assert_eq!(idents, ["ident of ours", "ident of theirs"]);
        // What the other one stores is neither lost nor in the way.
        let other = Write::Publish(Box::new(publish(APP, 1, &["room"], "theirs")));
        tool.commit(&[&other]).expect("it can write");
        let last = store.publish("ours");
        let asked = store.ask_latest();
        store.send();
        store.until_done(last);
        assert_eq!(store.texts(asked), ["ours", "theirs"]);
        assert!(store.close());
    }

    #[test]
    fn a_full_disk_refuses_until_there_is_room() {
        let folder = Folder::new();
        let reserve = folder.file("fanwire.db.reserve");
        let (storage, rig) = Rigged::new(file(&folder));
        assert!(reserve.exists());
        let mut store = Loop::start(storage, options());
        let data = "x".repeat(1000);
        rig.act(|file: &mut Sqlite| file.bound_pages(Some(200)).expect("it can read"));
        let mut kept = 0;
        while store.port.trouble().is_none() {
            let last = store.publish(&data);
            store.send();
            store.until_done(last);
            let is_kept = store.heard.contains(&News::Done { upto: last });
            kept += usize::from(is_kept);
            if !is_kept {
                let state = News::State(Some(Trouble::DiskFull));
                assert!(store.heard.contains(&state), "in the same letter");
            }
            store.heard.clear();
            assert!(kept < 1000, "the disk is full at some time");
        }
        assert!(kept > 100, "there was some room");
        assert!(!reserve.exists(), "the reserve was given up");
        let asked = store.ask_latest();
        store.send();
        assert_eq!(
            store.texts(asked).len(),
            kept,
            "what was kept is there, and no more"
        );

        rig.act(|file: &mut Sqlite| file.bound_pages(None).expect("it can read"));
        store.until_state(None);
        assert!(reserve.exists(), "there is room again");
        let last = store.publish(&data);
        store.send();
        store.until_done(last);
        assert!(store.close());
        let mut world = World::at(folder);
        assert_eq!(world.texts(APP, "room").len(), kept + 1);
        world.run(|_| ());
    }

    #[test]
    fn clearing_away_makes_room_on_a_full_disk() {
        let folder = Folder::new();
        let (storage, rig) = Rigged::new(file(&folder));
        let bounded = Options {
            // More than there is room for, so that only age makes room.
            age_max_us: Some(3_600_000_000),
            ..options()
        };
        rig.act(|file: &mut Sqlite| file.bound_pages(Some(500)).expect("it can read"));
        let mut store = Loop::start(storage, bounded);
        // Their time is 1970, so all are too old.
        let data = "x".repeat(10_000);
        let mut troubles = 0;
        for _ in 0..400 {
            let last = store.publish(&data);
            store.send();
            store.until_done(last);
            if store.port.trouble().is_some() {
                troubles += 1;
                store.until_state(None);
            }
            store.heard.clear();
        }
        // 4 MB went through 2 MB.
        assert!(store.port.trouble().is_none(), "{troubles}");
        assert!(store.close());
    }

    #[test]
    fn opening_loads_what_the_last_one_left() {
        let folder = Folder::new();
        let at = |folder: &Folder| Options {
            path: Some(folder.file("fanwire.db")),
            durability: Durability::Relaxed,
            ..options()
        };
        let (mut store, loaded) = open(at(&folder)).expect("it opens");
        assert!(loaded.apps.is_empty());
        let rows = store
            .storage()
            .adopt(&["settings"], 1)
            .expect("it can write");
        assert_eq!(rows, [APP]);
        let running = store.start(|_| true).expect("there are threads");
        let until_unix_s = u64::MAX / 2_000_000;
        let ended = Write::EndSession {
            app: APP,
            session: [7; 32],
            until_unix_s,
        };
        let job = Job {
            place: Place(1),
            ticket: None,
            what: fanwire::store::Task::Write(ended),
        };
        assert!(running.link().send(vec![job]));
        assert!(running.close());
        let log = folder.file("fanwire.db-wal");
        assert!(!log.exists(), "nothing is left beside the file");

        let (_, loaded) = open(at(&folder)).expect("it opens");
        assert_eq!(loaded.apps.len(), 1);
        assert_eq!(loaded.ended.len(), 1);
        assert_eq!(loaded.ended[0].until_unix_s, until_unix_s);
    }
}
