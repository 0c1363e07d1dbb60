//! What an engine of the store does, whichever it is. `tests/store` is what it is held to.

use crate::limits::{STORE_ALIASES_MAX, STORE_ANSWER_BYTES_MAX, STORE_SERVING_MAX};
use crate::store::{
    Answer, AppFields, AppRecord, AppRow, EndedSession, Field, Publish, Question, Record,
    Remembered, StoredEvent, Trouble, Write,
};
use std::collections::{BTreeMap, BTreeSet};

/// Looks things up.
pub trait Reading: Send {
    /// Answers a question. Events with an id above `upto` are not seen, so that an answer shows
    /// exactly what the writes before the question have left, whenever it is given.
    ///
    /// # Errors
    /// It cannot read.
    fn answer(&mut self, question: &Question, upto: u64) -> Result<Answer, Trouble>;
}

/// An engine: keeps what it is told to keep.
///
/// One thread calls it, so nothing here is shared. After a call that failed, [`Storage::recover`]
/// comes before the next write.
pub trait Storage: Reading {
    /// Keeps all of these, or none of them if it fails. A write that finds nothing to do, or a name
    /// taken, says so in its answer, and keeps no other from being done.
    ///
    /// Where every commit is synced, all of it is on disk when this returns.
    ///
    /// # Errors
    /// Nothing of it is kept, and why.
    fn commit(&mut self, writes: &[&Write]) -> Result<Committed, Trouble>;

    /// Where commits are not synced one by one: brings what they have left to the disk.
    ///
    /// # Errors
    /// What was written since the last time may be lost when the power is.
    fn sync(&mut self) -> Result<(), Trouble>;

    /// The id of the last event there was, whether it is still there or not.
    ///
    /// # Errors
    /// It cannot read.
    fn last_event(&mut self) -> Result<u64, Trouble>;

    /// Something that answers questions on another thread while this one writes. None: this one
    /// answers them itself, between its commits.
    ///
    /// # Errors
    /// It cannot read.
    fn reader(&mut self) -> Result<Option<Box<dyn Reading>>, Trouble>;

    /// All apps in the order of their numbers.
    ///
    /// # Errors
    /// It cannot read.
    fn apps(&mut self) -> Result<Vec<AppRecord>, Trouble>;

    /// The numbers of apps that stand in the settings, made where they are new. An app that is
    /// stored under the same ident keeps its number and all it has; who asks decides which of the
    /// two is meant.
    ///
    /// # Errors
    /// It cannot write.
    fn adopt(&mut self, idents: &[&str], unix_s: u64) -> Result<Vec<AppRow>, Trouble>;

    /// What is remembered of an app's channels and users, by their names.
    ///
    /// # Errors
    /// It cannot read.
    fn remembered(&mut self, app: AppRow) -> Result<Remembered, Trouble>;

    /// The sessions that were ended before their time. Those whose time has come since are dropped.
    ///
    /// # Errors
    /// It cannot write.
    fn ended_sessions(&mut self, unix_s: u64) -> Result<Vec<EndedSession>, Trouble>;

    /// Clears away what is too old, or too much, of at most `rows` events, oldest first.
    ///
    /// # Errors
    /// It cannot write.
    fn retire(&mut self, keep: &Retention, rows: usize) -> Result<Retired, Trouble>;

    /// Goes through events by their ids, whoever they belong to: looks at up to `rows` of those behind
    /// `after`, and clears away what is from before `from_micros`. [`Storage::retire`] looks no further
    /// than the first of an app that is not too old, and behind that may be older ones: a clock was
    /// wrong, or they were imported.
    ///
    /// # Errors
    /// It cannot write.
    fn sweep(&mut self, from_micros: u64, after: u64, rows: usize) -> Result<Swept, Trouble>;

    /// Whether another process may have changed the apps since the last time.
    ///
    /// # Errors
    /// It cannot read.
    fn was_changed_by_others(&mut self) -> Result<bool, Trouble>;

    /// Nothing is to be done for now: time to tidy up.
    ///
    /// # Errors
    /// It cannot write.
    fn rest(&mut self) -> Result<(), Trouble>;

    /// After a failure: begins anew from what is surely there, and tries whether it can write.
    ///
    /// # Errors
    /// It cannot yet.
    fn recover(&mut self) -> Result<(), Trouble>;

    /// Looks through everything for contradictions, and says what it found.
    ///
    /// # Errors
    /// It cannot read.
    fn check(&mut self) -> Result<Vec<String>, Trouble>;

    /// The end: leaves everything in order, synced.
    ///
    /// # Errors
    /// It cannot write. What was committed is there all the same.
    fn close(&mut self) -> Result<(), Trouble>;
}

/// What a commit came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    /// One for each write, in their order.
    pub answers: Vec<Answer>,
    /// As [`Storage::last_event`] would have said right after it, whoever stored others before.
    pub last_event: u64,
}

/// What of an app's events stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those from this time on, in microseconds since 1970-01-01 UTC.
    pub from_micros: Option<u64>,
    /// The newest that together have so many bytes, counted as
    /// [`STORE_EVENT_OVERHEAD_BYTES`](crate::limits::STORE_EVENT_OVERHEAD_BYTES) and their texts.
    pub bytes_max: Option<u64>,
}

/// What a step of clearing away came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired {
    /// Events that are gone.
    pub events: u64,
    /// Whether there may be more to clear away at once.
    pub is_behind: bool,
}

/// What a step of going through all events came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events that are gone.
    pub events: u64,
    /// The last one that was looked at; none: there are no more behind it.
    pub upto: Option<u64>,
}

/// How many events a write brings.
pub fn events_of(write: &Write) -> u64 {
    match write {
        Write::Publish(publish) => publish.channels.len() as u64,
        _ => 0,
    }
}

/// Users that have been served by publishes of which more writes are to come.
#[derive(Debug, Clone)]
pub(super) struct Serving<U> {
    under_way: BTreeMap<(AppRow, u64), BTreeSet<U>>,
}

impl<U> Default for Serving<U> {
    fn default() -> Self {
        Self {
            under_way: BTreeMap::new(),
        }
    }
}

impl<U: Ord> Serving<U> {
    /// Whom this publish has served so far.
    pub(super) fn begin(&mut self, publish: &Publish) -> BTreeSet<U> {
        let key = (publish.app, publish.number);
        self.under_way.remove(&key).unwrap_or_default()
    }

    /// The other end of [`Serving::begin`].
    pub(super) fn end(&mut self, publish: &Publish, served: BTreeSet<U>) {
        if publish.is_last || served.is_empty() {
            return;
        }
        let key = (publish.app, publish.number);
        self.under_way.insert(key, served);
        if self.under_way.len() > STORE_SERVING_MAX {
            // Numbers count up, so the lowest one began first.
            let oldest = self.under_way.keys().min_by_key(|(_, number)| *number);
            if let Some(oldest) = oldest.copied() {
                self.under_way.remove(&oldest);
            }
        }
    }

    /// Whether nothing is under way, which is nearly always so.
    #[cfg(feature = "store")]
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// Changes the fields of an app by those that were given. Null and not set are one in a record.
pub(super) fn merge(fields: &mut AppFields, given: &AppFields) {
    fn one<T: Clone>(field: &mut Field<T>, given: &Field<T>) {
        match given {
            Field::Absent => {}
            Field::Null => *field = Field::Absent,
            Field::Is(value) => *field = Field::Is(value.clone()),
        }
    }
    one(&mut fields.name, &given.name);
    one(&mut fields.enabled, &given.enabled);
    one(&mut fields.description, &given.description);
    one(&mut fields.meta, &given.meta);
    one(&mut fields.apn_sandbox, &given.apn_sandbox);
    one(&mut fields.apn_key, &given.apn_key);
    one(&mut fields.apn_cer, &given.apn_cer);
    one(&mut fields.vapid_key, &given.vapid_key);
    one(&mut fields.vapid_email, &given.vapid_email);
    one(&mut fields.smtp_url, &given.smtp_url);
}

/// What the name of a personal channel begins with.
const PERSONAL: &str = "personal-";

/// Subscriptions that are looked at for one user, those of others that are followed included.
const SUBSCRIPTIONS_MAX: usize = 4 * STORE_ALIASES_MAX;

/// The channels that a user's subscriptions come to, each once, at most [`STORE_ALIASES_MAX`]. Where
/// one is the personal channel of a user, that user's channels stand behind it; nobody's twice, so
/// that users who subscribe to each other come to an end. `channels_of` gives the channels of a
/// user's own subscriptions, oldest first.
pub(super) fn aliases<E>(
    user: &str,
    mut channels_of: impl FnMut(&str) -> Result<Vec<Box<str>>, E>,
) -> Result<Vec<Box<str>>, E> {
    let mut found: Vec<Box<str>> = Vec::new();
    let (mut listed, mut followed) = (BTreeSet::new(), BTreeSet::new());
    followed.insert(Box::<str>::from(user));
    let mut under_way = vec![channels_of(user)?.into_iter()];
    let mut left = SUBSCRIPTIONS_MAX;
    while let Some(list) = under_way.last_mut() {
        let Some(channel) = list.next() else {
            under_way.pop();
            continue;
        };
        left -= 1;
        if left == 0 {
            break;
        }
        if let Some(other) = channel.strip_prefix(PERSONAL) {
            // Bounds the users as well: each may have nothing but one more personal channel.
            if followed.len() == STORE_ALIASES_MAX || !followed.insert(other.into()) {
                continue;
            }
            under_way.push(channels_of(other)?.into_iter());
        } else if !listed.insert(channel.clone()) {
            continue;
        }
        found.push(channel);
        if found.len() == STORE_ALIASES_MAX {
            break;
        }
    }
    Ok(found)
}

/// Counts what goes into an answer: so many, and so many bytes beyond the first.
#[derive(Debug)]
pub(super) struct Room {
    left: u64,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    /// For `count` things, or `most` if that is none or more.
    pub(super) fn new(count: u64, most: u64) -> Self {
        let left = if count == 0 { most } else { count.min(most) };
        Self {
            left,
            bytes: 0,
            is_empty: true,
        }
    }

    /// How many may be taken, whatever their bytes.
    #[cfg(any(feature = "store", test))]
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Whether one more of so many bytes goes in. If not, nothing more does.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        let is_first = std::mem::replace(&mut self.is_empty, false);
        self.bytes = if is_first { 0 } else { self.bytes + bytes };
        if self.left == 0 || self.bytes > STORE_ANSWER_BYTES_MAX {
            self.left = 0;
            return false;
        }
        self.left -= 1;
        true
    }
}

/// What an event takes in an answer.
pub(super) fn event_bytes(event: &StoredEvent) -> usize {
    size_of::<StoredEvent>()
        + event.channel.len()
        + event.name.len()
        + event.data.len()
        + event.extra.len()
}

/// What a record takes in an answer.
pub(super) fn record_bytes(record: &Record) -> usize {
    let keys = record.record.keys.as_ref();
    let keys = keys.map_or(0, |(one, other)| one.len() + other.len());
    size_of::<Record>() + record.record.target.len() + record.record.channel.len() + keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn aliases_in(world: &[(&str, &[&str])], user: &str) -> Vec<Box<str>> {
        let channels_of = |user: &str| -> Result<_, Infallible> {
            let of_user = world.iter().find(|(name, _)| *name == user);
            let channels = of_user.map_or(&[][..], |(_, channels)| channels);
            Ok(channels.iter().map(|&channel| channel.into()).collect())
        };
        match aliases(user, channels_of) {
            Ok(found) => found,
        }
    }

    #[test]
    fn personal_channels_are_followed_in_place_and_in_circles_once() {
        let world: &[(&str, &[&str])] = &[
            ("a", &["one", "personal-b", "two", "one"]),
            ("b", &["three", "personal-a", "personal-c", "two"]),
            ("c", &["personal-c", "four"]),
            ("", &["personal-"]),
        ];
        let found = aliases_in(world, "a");
        let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
        let expected = ["one", "personal-b", "three", "personal-c", "four", "two"];
        assert_eq!(found, expected);
        assert!(aliases_in(world, "").is_empty());
        assert!(aliases_in(world, "nobody").is_empty());
    }

    #[test]
    fn a_chain_without_end_is_cut() {
        let next = |user: &str| -> Result<Vec<Box<str>>, Infallible> {
            let number: usize = user.parse().unwrap_or(0);
            Ok(vec![format!("personal-{}", number + 1).into()])
        };
        let most = STORE_ALIASES_MAX - 1;
        let found = aliases("0", next).map(|found| (found.len(), found.last().cloned()));
        assert_eq!(found, Ok((most, Some(format!("personal-{most}").into()))));
        // As many users as there may be, each of whom follows all the others.
        let mut looked = 0;
        let all = |_: &str| -> Result<Vec<Box<str>>, Infallible> {
            looked += 1;
            Ok((0..STORE_ALIASES_MAX)
                .map(|n| format!("personal-{n}").into())
                .collect())
        };
        let found = aliases("0", all).map_or(0, |found| found.len());
        assert!((1..=most).contains(&found), "{found}");
        assert!(looked <= STORE_ALIASES_MAX);
        let many = |_: &str| -> Result<Vec<Box<str>>, Infallible> {
            Ok((0..2 * STORE_ALIASES_MAX)
                .map(|n| n.to_string().into())
                .collect())
        };
        assert_eq!(
            aliases("0", many).map(|found| found.len()),
            Ok(STORE_ALIASES_MAX)
        );
    }

    #[test]
    fn an_answer_holds_one_whatever_its_size() {
        let mut room = Room::new(0, 10);
        assert!(room.takes(2 * STORE_ANSWER_BYTES_MAX));
        assert!(room.takes(STORE_ANSWER_BYTES_MAX));
        assert!(!room.takes(1));
        assert!(!room.takes(0), "what comes behind a gap is no answer");
        let mut room = Room::new(2, 10);
        assert!(room.takes(1) && room.takes(1) && !room.takes(1));
        assert_eq!(Room::new(100, 10).left(), 10);
    }
}
