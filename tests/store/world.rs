//! An engine to be tried, and short words for what is done with it.

use fanwire::side::store::{Memory, Reading, Storage};
use fanwire::store::{
    Answer, AppFields, AppRecord, AppRow, Counts, NewApp, NewRecord, Publish, Question, Record,
    RecordKind, StoredEvent, Write,
};

/// Names that break what is careless: separators, quotes, what looks like the end of a text, none.
pub(crate) const ODD_NAMES: &[&str] = &[
    "",
    " ",
    "a&b",
    "peer-chat:ann&bob",
    "a/b//c",
    "it's",
    "say \"hi\"",
    "nul\0inside",
    "\0",
    "%_*?",
    "décor",
    "🦀",
    "new\nline",
    "'; DROP TABLE event; --",
    "personal-",
];

/// A folder that goes with the test.
#[cfg(feature = "store")]
pub(crate) struct Folder(std::path::PathBuf);

#[cfg(feature = "store")]
impl Folder {
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanwire-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

#[cfg(feature = "store")]
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Anew = Box<dyn Fn(Box<dyn Storage>) -> Box<dyn Storage>>;

/// An engine.
pub(crate) struct World {
    store: Option<Box<dyn Storage>>,
    /// What a restart makes of it. Dropped behind it, as its files may go with this.
    anew: Anew,
    publishes: u64,
}

impl World {
    fn with(store: Box<dyn Storage>, anew: Anew) -> Self {
        Self {
            store: Some(store),
            anew,
            publishes: 0,
        }
    }

    /// This one outlives nothing, so it is never restarted.
    pub(crate) fn in_memory() -> Self {
        Self::with(Box::new(Memory::new()), Box::new(|store| store))
    }

    #[cfg(feature = "store")]
    pub(crate) fn in_a_file() -> Self {
        Self::at(Folder::new())
    }

    /// The one in a folder.
    #[cfg(feature = "store")]
    pub(crate) fn at(folder: Folder) -> Self {
        use fanwire::side::store::{Durability, Sqlite};
        let open = move || {
            let path = folder.file("fanwire.db");
            Box::new(Sqlite::open(&path, Durability::Synced).expect("it opens"))
        };
        let anew = move |store: Box<dyn Storage>| -> Box<dyn Storage> {
            // Not closed: as after a crash, all it has is in its log.
            drop(store);
            open()
        };
        let nothing = Box::new(Memory::new());
        Self::with(anew(nothing), Box::new(anew))
    }

    /// One that is open already, and stays so.
    #[cfg(feature = "store")]
    pub(crate) fn at_file(store: fanwire::side::store::Sqlite) -> Self {
        Self::with(Box::new(store), Box::new(|store| store))
    }

    /// Does a case, and looks for contradictions after it.
    pub(crate) fn run(mut self, case: fn(&mut Self)) {
        case(&mut self);
        self.check();
        self.reopen();
        self.check();
    }

    fn check(&mut self) {
        let faults = self.store().check().expect("it can be read");
        assert_eq!(faults, [""; 0]);
    }

    pub(crate) fn store(&mut self) -> &mut dyn Storage {
        &mut **self.store.as_mut().expect("it is open")
    }

    /// As after a restart, for an engine that outlives one.
    pub(crate) fn reopen(&mut self) {
        let store = self.store.take().expect("it is open");
        self.store = Some((self.anew)(store));
    }

    /// As after a failure: a new beginning that forgets nothing, not even what is under way.
    #[cfg(feature = "store")]
    pub(crate) fn recover(&mut self) {
        self.store().recover().expect("it can write");
    }

    pub(crate) fn commit(&mut self, writes: &[Write]) -> Vec<Answer> {
        let writes: Vec<&Write> = writes.iter().collect();
        let done = self.store().commit(&writes).expect("it can write");
        assert_eq!(done.answers.len(), writes.len());
        assert_eq!(self.store().last_event(), Ok(done.last_event));
        done.answers
    }

    pub(crate) fn write(&mut self, write: Write) -> Answer {
        self.commit(&[write]).remove(0)
    }

    /// Asks the engine and, if it has one, its reader.
    pub(crate) fn ask(&mut self, question: &Question) -> Answer {
        self.ask_upto(question, u64::MAX)
    }

    pub(crate) fn ask_upto(&mut self, question: &Question, upto: u64) -> Answer {
        let store = self.store();
        let answer = store.answer(question, upto).expect("it can be read");
        let reader: Option<Box<dyn Reading>> = store.reader().expect("it can be read");
        if let Some(mut reader) = reader {
            let other = reader.answer(question, upto).expect("it can be read");
            assert_eq!(answer, other, "{question:?}");
        }
        answer
    }

    // ---- short words ---------------------------------------------------------------------------

    pub(crate) fn app(&mut self, name: &str) -> AppRow {
        match self.write(Write::CreateApp(Box::new(new_app(name)))) {
            Answer::App(app) => app.row,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn apps(&mut self) -> Vec<AppRecord> {
        self.store().apps().expect("it can be read")
    }

    /// Publishes to channels, with as many random ids.
    pub(crate) fn publish(&mut self, app: AppRow, channels: &[&str], data: &str) -> Answer {
        self.publishes += 1;
        let publish = publish(app, self.publishes, channels, data);
        self.write(Write::Publish(Box::new(publish)))
    }

    pub(crate) fn subscribe(&mut self, app: AppRow, user: &str, channel: &str) -> Record {
        self.put(app, RecordKind::Subscription, user, channel, false)
    }

    pub(crate) fn put(
        &mut self,
        app: AppRow,
        kind: RecordKind,
        target: &str,
        channel: &str,
        replaces_oldest: bool,
    ) -> Record {
        let write = put(app, kind, target, channel, replaces_oldest);
        match self.write(write) {
            Answer::Record(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delete(
        &mut self,
        app: AppRow,
        kind: RecordKind,
        target: &str,
        channel: Option<&str>,
    ) -> Vec<Record> {
        let write = Write::DeleteRecords {
            app,
            kind,
            target: target.into(),
            channel: channel.map(Into::into),
        };
        match self.write(write) {
            Answer::Records(records) => records,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn records(
        &mut self,
        app: AppRow,
        kind: RecordKind,
        target: Option<&str>,
        channel: Option<&str>,
    ) -> Vec<Record> {
        let question = Question::Records {
            app,
            kind,
            target: target.map(Into::into),
            channel: channel.map(Into::into),
        };
        match self.ask(&question) {
            Answer::Records(records) => records,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn latest(
        &mut self,
        app: AppRow,
        channel: Option<&str>,
        skip: u64,
        count: u64,
    ) -> Vec<StoredEvent> {
        match self.ask(&latest(app, channel, skip, count)) {
            Answer::Events(events) => events,
            other => panic!("{other:?}"),
        }
    }

    /// The texts of all events of a channel, newest first.
    pub(crate) fn texts(&mut self, app: AppRow, channel: &str) -> Vec<String> {
        texts(&self.latest(app, Some(channel), 0, 0))
    }

    /// A user's channels, and the texts of what waits.
    pub(crate) fn personal(&mut self, app: AppRow, user: &str) -> (Vec<String>, Vec<String>) {
        let question = Question::Personal {
            app,
            user: user.into(),
            skip: 0,
            count: 0,
        };
        match self.ask(&question) {
            Answer::Personal { aliases, events } => (
                aliases.iter().map(ToString::to_string).collect(),
                texts(&events),
            ),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn counts(&mut self) -> Counts {
        match self.ask(&Question::Counts) {
            Answer::Counts(counts) => *counts,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn texts(events: &[StoredEvent]) -> Vec<String> {
    events.iter().map(|event| event.data.to_string()).collect()
}

pub(crate) fn latest(app: AppRow, channel: Option<&str>, skip: u64, count: u64) -> Question {
    Question::Latest {
        app,
        channel: channel.map(Into::into),
        skip,
        count,
    }
}

pub(crate) fn new_app(name: &str) -> NewApp {
    NewApp {
        name: name.into(),
        ident: format!("ident of {name}").into(),
        key: format!("key of {name}").into(),
        secret: format!("secret of {name}").into(),
        protocols: 1,
        more: AppFields::default(),
        unix_s: 1_000,
    }
}

pub(crate) fn publish(app: AppRow, number: u64, channels: &[&str], data: &str) -> Publish {
    let ids = (u128::from(number) << 64)..;
    Publish {
        app,
        number,
        is_last: true,
        owner: None,
        micros: number,
        name: "message".into(),
        data: data.into(),
        extra: "".into(),
        channels: channels.iter().map(|c| Box::from(*c)).zip(ids).collect(),
    }
}

pub(crate) fn put(
    app: AppRow,
    kind: RecordKind,
    target: &str,
    channel: &str,
    replaces_oldest: bool,
) -> Write {
    let keys = (kind == RecordKind::WebPush).then(|| ("key".into(), "secret".into()));
    Write::PutRecord {
        app,
        record: Box::new(NewRecord {
            kind,
            target: target.into(),
            channel: channel.into(),
            keys,
        }),
        replaces_oldest,
        unix_s: 2_000,
    }
}
