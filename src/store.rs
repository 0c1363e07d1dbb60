//! What the loop and the store say to each other: plain owned data, and the loop's end of the queue.
//!
//! The loop never waits for the store. It hands over [`Job`]s in order; the store works through them
//! in that order and answers with [`News`]. A job's *place* is its number in the order in which the
//! loop handed jobs over: when the store says that it is done up to a place, every write up to
//! there is as durable as the settings ask for.
//!
//! Nothing here opens a file: `side::store` does, on a thread of its own.

mod port;

pub use port::Port;

use crate::limits::STORE_JOB_OVERHEAD_BYTES;
use std::fmt;

/// The number of an app in the store; its `id` in Pushi's records. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AppRow(pub u32);

/// Which of the questions and writes an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The number of a job in the order of handing over, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place(pub u64);

/// One thing for the store to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub place: Place,
    /// Who waits for what it comes to. A write without one is only counted as done.
    pub ticket: Option<Ticket>,
    /// What is to be done.
    pub what: Task,
}

/// What a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Something to be kept.
    Write(Write),
    /// Something to be looked up, in what every write before it has left.
    Ask(Question),
}

/// Something to be kept. Writes are all or nothing, each by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A message for one channel or several.
    Publish(Box<Publish>),
    /// A new app. [`Answer::App`] or [`Answer::Duplicate`].
    CreateApp(Box<NewApp>),
    /// An app of the settings, which needs a number for what is stored of it. The same one if it
    /// has one already. [`Answer::App`].
    AdoptApp {
        /// Its id in the settings.
        ident: Box<str>,
        /// When, in seconds since 1970-01-01 UTC.
        unix_s: u64,
    },
    /// Other fields for an app, one of the settings too. [`Answer::App`], [`Answer::Duplicate`] or
    /// [`Answer::Nothing`].
    UpdateApp {
        /// Which.
        app: AppRow,
        /// The fields that were given; others stay.
        fields: Box<AppFields>,
        /// When, in seconds since 1970-01-01 UTC.
        unix_s: u64,
    },
    /// A record that says where something is to go. If the same one is there it stays as it is.
    /// [`Answer::Record`].
    PutRecord {
        /// Whose.
        app: AppRow,
        /// What it says.
        record: Box<NewRecord>,
        /// Before that, the oldest record with the same target is removed, whatever its channel.
        replaces_oldest: bool,
        /// When, in seconds since 1970-01-01 UTC.
        unix_s: u64,
    },
    /// Removes records. [`Answer::Records`] with those that were removed, oldest first.
    DeleteRecords {
        /// Whose.
        app: AppRow,
        /// Of which kind.
        kind: RecordKind,
        /// With this target.
        target: Box<str>,
        /// And for this channel; none: whatever their channel.
        channel: Option<Box<str>>,
    },
    /// A session is over before its time.
    EndSession {
        /// Of which app.
        app: AppRow,
        /// The session.
        session: [u8; 32],
        /// When it would have been over by itself, in seconds since 1970-01-01 UTC.
        until_unix_s: u64,
    },
    /// All sessions of an app that began before a time are over.
    EndSessionsBefore {
        /// Of which app.
        app: AppRow,
        /// The time, in seconds since 1970-01-01 UTC.
        unix_s: u64,
        /// Those of them that were ended one by one would have been over by themselves before this
        /// time. They need not be remembered any more.
        until_unix_s: u64,
    },
    /// Changes to what an app's channels and users are remembered by.
    Keep {
        /// Whose.
        app: AppRow,
        /// In order.
        changes: Vec<Change>,
    },
}

/// A message to be stored, once for each of its channels, and once for each user who subscribes to
/// any of these and has not been served by this publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whose.
    pub app: AppRow,
    /// The number of the publish: a large one is several writes with the same number, and a user is
    /// served once by all of them.
    pub number: u64,
    /// Whether no more writes of this publish follow.
    pub is_last: bool,
    /// The socket that published, if one did.
    pub owner: Option<u128>,
    /// When, in microseconds since 1970-01-01 UTC.
    pub micros: u64,
    /// The name of the event.
    pub name: Box<str>,
    /// What it carries; empty for nothing.
    pub data: Box<str>,
    /// Further members of the payload as JSON, `"a":1,"b":[]`, without braces; nearly always empty.
    pub extra: Box<str>,
    /// Where it goes, each with the id of the event there.
    pub channels: Vec<(Box<str>, u128)>,
}

/// An app to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApp {
    /// Its name, unique.
    pub name: Box<str>,
    /// Its id in paths and logins; 64 hex digits if the server made it.
    pub ident: Box<str>,
    /// As clients name it.
    pub key: Box<str>,
    /// What signatures are made with.
    pub secret: Box<str>,
    /// Which protocols may use it: bit 0 Pushi, bit 1 Pusher.
    pub protocols: u8,
    /// What else is said of it; what is not given is as with every new app.
    pub more: AppFields,
    /// When, in seconds since 1970-01-01 UTC.
    pub unix_s: u64,
}

/// [`AppRecord::protocols`]: Pushi.
pub const BY_PUSHI: u8 = 1;
/// [`AppRecord::protocols`]: Pusher.
pub const BY_PUSHER: u8 = 2;

/// An app as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRecord {
    /// Its number.
    pub row: AppRow,
    /// As in [`NewApp`], and so are the next four.
    pub ident: Box<str>,
    #[allow(missing_docs)]
    pub key: Box<str>,
    #[allow(missing_docs)]
    pub secret: Box<str>,
    #[allow(missing_docs)]
    pub protocols: u8,
    /// Whether it stands in the settings and not here: then its row only numbers what is stored of
    /// it, and its key and secret are empty.
    pub is_of_settings: bool,
    /// What may be changed.
    pub fields: AppFields,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created_s: u64,
    /// When it was last changed.
    pub modified_s: u64,
    /// Sessions that began before this time are over.
    pub sessions_from_s: u64,
}

impl AppRecord {
    /// Whether it serves anybody.
    pub fn is_enabled(&self) -> bool {
        self.fields.enabled.value() != Some(&false)
    }
}

/// The fields of an app that may be changed. None: not set, or, as an update, to stay.
///
/// To set a text to `null` in an update, give JSON `null`; the difference is made by [`Field`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "section 5.4 of the protocol names them")]
pub struct AppFields {
    pub name: Field<Box<str>>,
    pub enabled: Field<bool>,
    pub description: Field<Box<str>>,
    /// JSON text of an object.
    pub meta: Field<Box<str>>,
    pub apn_sandbox: Field<bool>,
    pub apn_key: Field<Box<str>>,
    pub apn_cer: Field<Box<str>>,
    pub vapid_key: Field<Box<str>>,
    pub vapid_email: Field<Box<str>>,
    pub smtp_url: Field<Box<str>>,
}

/// A field of a record, or what an update says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// Not given: stays as it is. In a record: null.
    #[default]
    Absent,
    /// Set to null.
    Null,
    /// Set to this.
    Is(T),
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

/// The kinds of records that say where something is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A user hears of a channel. The target is the user.
    Subscription,
    /// A web hook. The target is its URL.
    Web,
    /// An Apple device. The target is its token.
    Apn,
    /// A browser. The target is its endpoint.
    WebPush,
    /// A mail address. The target is that.
    Smtp,
}

impl RecordKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Subscription,
        Self::Web,
        Self::Apn,
        Self::WebPush,
        Self::Smtp,
    ];
}

/// A record to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Of which kind.
    pub kind: RecordKind,
    /// Who or what is told.
    pub target: Box<str>,
    /// Of which channel.
    pub channel: Box<str>,
    /// The two keys of a browser, `p256dh` and `auth`; of other kinds none.
    pub keys: Option<(Box<str>, Box<str>)>,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Counted up over all apps, one count for each kind; never used again.
    pub id: u64,
    /// What it says.
    pub record: NewRecord,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created_s: u64,
    /// When it was last changed.
    pub modified_s: u64,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Counted up over all apps in the order of publishing; never used again.
    pub id: u64,
    /// Its random id.
    pub mid: u128,
    /// Where it went.
    pub channel: Box<str>,
    /// As in [`Publish`], and so are the others.
    pub owner: Option<u128>,
    #[allow(missing_docs)]
    pub micros: u64,
    #[allow(missing_docs)]
    pub name: Box<str>,
    #[allow(missing_docs)]
    pub data: Box<str>,
    #[allow(missing_docs)]
    pub extra: Box<str>,
}

/// A change to what an app's channels and users are remembered by. Values are JSON texts that the
/// store does not look into.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub enum Change {
    /// A channel is there with this value.
    Channel { name: Box<str>, value: Box<str> },
    /// A channel is forgotten, with its messages.
    NoChannel { name: Box<str> },
    /// A message joins the history of a channel, of which the newest `most` stay.
    Message {
        channel: Box<str>,
        id: u128,
        value: Box<str>,
        most: u32,
    },
    /// Every message of this id in the channel's history has another value.
    Edited {
        channel: Box<str>,
        id: u128,
        value: Box<str>,
    },
    /// Every message of this id leaves the channel's history.
    NoMessage { channel: Box<str>, id: u128 },
    /// A user is there with this value.
    User { name: Box<str>, value: Box<str> },
    /// A user is forgotten.
    NoUser { name: Box<str> },
}

/// A channel's name, its value, and its messages (ids and values, oldest first).
pub type RememberedChannel = (Box<str>, Box<str>, Vec<(u128, Box<str>)>);

/// What is remembered of one app's channels and users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Names, values, and messages (ids and values, oldest first).
    pub channels: Vec<RememberedChannel>,
    /// Names and values.
    pub users: Vec<(Box<str>, Box<str>)>,
}

/// What a store held when it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All apps, those of the settings among them.
    pub apps: Vec<AppRecord>,
    /// Sessions that were ended before their time, which has not come yet.
    pub ended: Vec<EndedSession>,
    /// What is remembered of channels and users.
    pub remembered: Vec<(AppRow, Remembered)>,
}

/// Something to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The events of a channel, newest first. [`Answer::Events`].
    Latest {
        /// Whose.
        app: AppRow,
        /// Which; none: all of the app.
        channel: Option<Box<str>>,
        /// How many of the newest are passed over.
        skip: u64,
        /// How many are wanted.
        count: u64,
    },
    /// The channels that a user subscribes to, and what waits for it. [`Answer::Personal`].
    Personal {
        /// Whose.
        app: AppRow,
        /// Who.
        user: Box<str>,
        /// How many of the newest events are passed over.
        skip: u64,
        /// How many are wanted.
        count: u64,
    },
    /// Records, oldest first. [`Answer::Records`].
    Records {
        /// Whose.
        app: AppRow,
        /// Of which kind.
        kind: RecordKind,
        /// Only those with this target.
        target: Option<Box<str>>,
        /// Only those for this channel.
        channel: Option<Box<str>>,
    },
    /// How much there is. [`Answer::Counts`].
    Counts,
}

/// What a question or a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and there is no more to say.
    Done,
    /// There is no such thing.
    Nothing,
    /// The name is taken.
    Duplicate,
    /// The app as it is now.
    App(Box<AppRecord>),
    /// The record as it is now.
    Record(Box<Record>),
    /// Records, oldest first.
    Records(Vec<Record>),
    /// Events, newest first.
    Events(Vec<StoredEvent>),
    /// A user's channels in the order in which the subscriptions were made, each once; subscriptions
    /// to personal channels are followed, and not among them. And the events that wait, newest first.
    Personal {
        /// The channels.
        aliases: Vec<Box<str>>,
        /// The events.
        events: Vec<StoredEvent>,
    },
    /// How much there is.
    Counts(Box<Counts>),
    /// It could not be done.
    Trouble(Trouble),
}

/// How much is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub struct Counts {
    pub apps: u64,
    pub events: u64,
    /// By [`RecordKind`], in the order of [`RecordKind::ALL`].
    pub records: [u64; 5],
    /// Apps that have such records.
    pub apps_with: [u64; 5],
}

/// Why the store does not do what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// More waits for it already than may.
    Busy,
    /// There is no room left on the disk.
    DiskFull,
    /// It cannot write, or cannot read.
    Failing,
    /// There is none.
    Absent,
}

impl Trouble {
    /// One lower-case word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy => "storage_busy",
            Self::DiskFull => "storage_full",
            Self::Failing => "storage_failing",
            Self::Absent => "storage_absent",
        }
    }

    /// A sentence for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::Busy => "too much waits to be stored already; try again",
            Self::DiskFull => "nothing can be stored, as the disk is full",
            Self::Failing => "nothing can be stored right now",
            Self::Absent => "this server has no store",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// What the store tells the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Every write up to and including this place is kept, but for those that were told as failed.
    Done {
        /// The last of them.
        upto: Place,
    },
    /// No write from `from` to `upto` is kept.
    Failed {
        /// The first of them.
        from: Place,
        /// The last of them.
        upto: Place,
        /// Why.
        why: Trouble,
    },
    /// What a job with a ticket came to. For a write it comes once that is done, before the
    /// [`News::Done`] or [`News::Failed`] of it.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// How the store fares from now on; none: well.
    State(Option<Trouble>),
    /// Somebody else has changed the apps: these are all there are.
    Apps(Vec<AppRecord>),
    /// What the store has done so far. Comes about once a second while it does anything.
    Stats(Box<StoreStats>),
}

/// Upper edges of the histogram of commits in microseconds; a last bucket takes what is longer.
pub const COMMIT_EDGES_US: [u64; 12] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000,
];

/// What the store counts since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Commits, and how many fell into each bucket of [`COMMIT_EDGES_US`] by the time they took,
    /// syncing included where that is done for each.
    pub commits: u64,
    /// See [`StoreStats::commits`].
    pub commit_lengths: [u64; COMMIT_EDGES_US.len() + 1],
    /// The time all of them took together, in microseconds.
    pub commit_us: u64,
    /// Commits that failed.
    pub failures: u64,
    /// Writes that were kept.
    pub writes: u64,
    /// Events that were kept, one for each channel of a publish.
    pub events: u64,
    /// Questions that were handed on to be answered.
    pub questions: u64,
    /// Events that were cleared away for their age or because an app had too many.
    pub retired: u64,
    /// Jobs that wait in the store's own queue.
    pub waiting: u64,
}

/// A session that was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedSession {
    /// Of which app.
    pub app: AppRow,
    /// The session.
    pub session: [u8; 32],
    /// When it would have been over by itself, in seconds since 1970-01-01 UTC.
    pub until_unix_s: u64,
}

impl Write {
    /// What it takes while it waits, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        let more = match self {
            Self::Publish(publish) => publish.bytes(),
            Self::CreateApp(app) => app.name.len() + 3 * 64 + app.more.bytes(),
            Self::AdoptApp { ident, .. } => ident.len(),
            Self::UpdateApp { fields, .. } => fields.bytes(),
            Self::PutRecord { record, .. } => record.bytes(),
            Self::DeleteRecords {
                target, channel, ..
            } => target.len() + channel.as_ref().map_or(0, |channel| channel.len()),
            Self::EndSession { .. } | Self::EndSessionsBefore { .. } => 0,
            Self::Keep { changes, .. } => changes.iter().map(Change::bytes).sum(),
        };
        STORE_JOB_OVERHEAD_BYTES + more
    }
}

impl Publish {
    fn bytes(&self) -> usize {
        let channels = self.channels.iter();
        let names: usize = channels.map(|(name, _)| name.len() + 48).sum();
        self.name.len() + self.data.len() + self.extra.len() + names
    }
}

impl AppFields {
    fn bytes(&self) -> usize {
        let texts = [
            &self.name,
            &self.description,
            &self.meta,
            &self.apn_key,
            &self.apn_cer,
            &self.vapid_key,
            &self.vapid_email,
            &self.smtp_url,
        ];
        let texts = texts.iter().filter_map(|text| text.value());
        texts.map(|text| text.len()).sum()
    }
}

impl NewRecord {
    fn bytes(&self) -> usize {
        let keys = self.keys.as_ref();
        let keys = keys.map_or(0, |(one, other)| one.len() + other.len());
        self.target.len() + self.channel.len() + keys
    }
}

impl Change {
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Channel { name, value } | Self::User { name, value } => name.len() + value.len(),
            Self::NoChannel { name } | Self::NoUser { name } => name.len(),
            Self::Message { channel, value, .. } | Self::Edited { channel, value, .. } => {
                channel.len() + value.len()
            }
            Self::NoMessage { channel, .. } => channel.len(),
        };
        size_of::<Self>() + texts
    }
}
