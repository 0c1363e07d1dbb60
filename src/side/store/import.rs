//! What Pushi has stored, as `mongoexport` writes it: one document a line, in MongoDB's extended JSON.
//!
//! [`read`] turns a line into a [`Document`], or says what is wrong with it; an engine that keeps
//! them says with an [`Outcome`] what came of each. Nothing here opens a file.

mod extended;

use crate::limits::IMPORT_AHEAD_S_MAX;
use crate::store::{AppFields, Field, NewRecord, RecordKind};
use extended::{Members, bool_of, micros_of, plain, seconds_of, text_of, whole_of};
use std::fmt::Write as _;

/// What Pushi calls its collections. The order is that in which they are taken over: what others
/// refer to comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collection {
    /// `app`
    App,
    /// `pushievent`
    Event,
    /// `association`: an event that waits for a user
    Association,
    /// `subscription`
    Subscription,
    /// `web`
    Web,
    /// `apn`
    Apn,
    /// `webpush`
    WebPush,
    /// `smtp`
    Smtp,
}

impl Collection {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::App,
        Self::Event,
        Self::Association,
        Self::Subscription,
        Self::Web,
        Self::Apn,
        Self::WebPush,
        Self::Smtp,
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Event => "pushievent",
            Self::Association => "association",
            Self::Subscription => "subscription",
            Self::Web => "web",
            Self::Apn => "apn",
            Self::WebPush => "webpush",
            Self::Smtp => "smtp",
        }
    }

    /// The collection that a file is named after: `web.json`, `pushi.web.json`, `2026-01-31_web.ndjson`.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let stem = match name.rsplit_once('.') {
            Some((stem, "json" | "jsonl" | "ndjson" | "txt")) => stem,
            _ => name,
        };
        let last = stem.rsplit(['.', '-', '_']).next().unwrap_or(stem);
        let known = Self::ALL.into_iter();
        let mut known = known.filter(|of| of.as_str().eq_ignore_ascii_case(last));
        known.next()
    }

    /// The collection that a document can only come from.
    fn of_document(members: &Members<'_>) -> Option<Self> {
        let has = |names: &[&str]| names.iter().all(|name| members.get(name).is_some());
        let signs: [(&[&str], Self); 8] = [
            (&["ident", "key", "secret"], Self::App),
            (&["mid", "channel", "data"], Self::Event),
            (&["mid", "user_id"], Self::Association),
            (&["user_id", "event"], Self::Subscription),
            (&["url", "event"], Self::Web),
            (&["token", "event"], Self::Apn),
            (&["endpoint", "event"], Self::WebPush),
            (&["email", "event"], Self::Smtp),
        ];
        let mut found = signs.into_iter().filter(|(names, _)| has(names));
        found.next().map(|(_, of)| of)
    }

    /// The kind of its records, and the field that says what is told.
    fn record(self) -> Option<(RecordKind, &'static str)> {
        match self {
            Self::App | Self::Event | Self::Association => None,
            Self::Subscription => Some((RecordKind::Subscription, "user_id")),
            Self::Web => Some((RecordKind::Web, "url")),
            Self::Apn => Some((RecordKind::Apn, "token")),
            Self::WebPush => Some((RecordKind::WebPush, "endpoint")),
            Self::Smtp => Some((RecordKind::Smtp, "email")),
        }
    }
}

/// A document that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its number within the collection, counted up over all apps. Zero if it has none.
    pub id: u64,
    /// The ident of the app that it belongs to, or that it is.
    pub app: Box<str>,
    /// What it says.
    pub what: What,
}

impl Document {
    /// Refuses an event that is dated far ahead of this time. It would outstay its age, and whatever
    /// comes after it would look older than it.
    ///
    /// # Errors
    /// What is wrong with it, as with [`read`].
    pub fn has_been(&self, unix_s: u64) -> Result<(), String> {
        let last_s = unix_s.saturating_add(IMPORT_AHEAD_S_MAX);
        match &self.what {
            What::Event(event) if event.micros > last_s.saturating_mul(1_000_000) => {
                let seconds = event.micros as f64 / 1e6;
                Err(format!(
                    "timestamp: {seconds} is more than a day ahead of now"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// There is an app.
    App(Box<ImportedApp>),
    /// Something was published.
    Event(Box<ImportedEvent>),
    /// An event waits for a user.
    Waiting {
        /// Who.
        user: Box<str>,
        /// The id of the event.
        mid: u128,
    },
    /// Somebody or something is told of a channel.
    Record {
        /// Who, and of which.
        record: Box<NewRecord>,
        /// When it was made, in seconds since 1970-01-01 UTC.
        created_s: u64,
        /// When it was last changed.
        modified_s: u64,
    },
}

/// An app as Pushi has it; its ident is the document's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedApp {
    /// As clients name it.
    pub key: Box<str>,
    /// What signatures are made with.
    pub secret: Box<str>,
    /// All else.
    pub fields: AppFields,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created_s: u64,
    /// When it was last changed.
    pub modified_s: u64,
}

/// An event as Pushi has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedEvent {
    /// Where.
    pub channel: Box<str>,
    /// Its id.
    pub mid: u128,
    /// The socket that published, if one did.
    pub owner: Option<u128>,
    /// When, in microseconds since 1970-01-01 UTC.
    pub micros: u64,
    /// The name of the event.
    pub name: Box<str>,
    /// What it carries; empty for nothing.
    pub data: Box<str>,
    /// Further members of the payload as JSON without braces.
    pub extra: Box<str>,
}

/// What came of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the store now.
    Added,
    /// It was there already.
    There,
    /// It has no place in the store, and why.
    Refused(String),
}

/// Reads a line of an export. `from` is the collection that the file is named after; without it the
/// fields tell.
///
/// # Errors
/// What is wrong with the line, as a sentence without a full stop.
pub fn read(line: &str, from: Option<Collection>) -> Result<(Collection, Document), String> {
    if line.trim_start().starts_with('[') {
        return Err("a list; export one document a line, without --jsonArray".to_owned());
    }
    let members: Members<'_> = serde_json::from_str(line).map_err(|error| {
        let why = error.to_string().replace(" at line 1 column", " at column");
        format!("no document in JSON: {why}")
    })?;
    let collection = from.or_else(|| Collection::of_document(&members));
    let collection = collection.ok_or("none of Pushi's collections has such documents")?;
    let id = members.get("id").map_or(Ok(0), |raw| {
        whole_of(raw).ok_or("id: expected a whole number")
    })?;
    let (app, what) = match collection.record() {
        Some((kind, target)) => record(&members, kind, target)?,
        None => match collection {
            Collection::App => app(&members)?,
            Collection::Event => event(&members)?,
            _ => waiting(&members)?,
        },
    };
    Ok((collection, Document { id, app, what }))
}

/// A text that must be there and not be empty.
fn needed(members: &Members<'_>, name: &str) -> Result<Box<str>, String> {
    let text = text(members, name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("{name}: missing"))
}

/// A text that may be null or missing. A number stands for its digits.
fn text(members: &Members<'_>, name: &str) -> Result<Option<Box<str>>, String> {
    match members.get(name) {
        None => Ok(None),
        Some(raw) => text_of(raw).map_err(|()| format!("{name}: expected a text")),
    }
}

/// When a document was made and last changed.
fn times(members: &Members<'_>) -> (u64, u64) {
    let time = |name| members.get(name).and_then(seconds_of);
    let created = time("created").unwrap_or(0);
    (created, time("modified").unwrap_or(created))
}

fn uuid(text: &str, name: &str) -> Result<u128, String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_uuid);
    number.ok_or_else(|| format!("{name}: {text:?} is no UUID"))
}

fn app(members: &Members<'_>) -> Result<(Box<str>, What), String> {
    let field = |name| -> Result<Field<Box<str>>, String> {
        Ok(text(members, name)?.map_or(Field::Absent, Field::Is))
    };
    let switch = |name, default| {
        let is = members.get(name).and_then(bool_of);
        Field::Is(is.unwrap_or(default))
    };
    let mut meta = String::new();
    match members.get("meta").map(str::trim) {
        Some(raw) if raw.starts_with('{') => plain(raw, &mut meta)?,
        _ => meta.push_str("{}"),
    }
    let (created_s, modified_s) = times(members);
    let app = ImportedApp {
        key: needed(members, "key")?,
        secret: needed(members, "secret")?,
        fields: AppFields {
            name: Field::Is(needed(members, "name")?),
            enabled: switch("enabled", true),
            description: field("description")?,
            meta: Field::Is(meta.into()),
            apn_sandbox: switch("apn_sandbox", false),
            apn_key: field("apn_key")?,
            apn_cer: field("apn_cer")?,
            vapid_key: field("vapid_key")?,
            vapid_email: field("vapid_email")?,
            smtp_url: field("smtp_url")?,
        },
        created_s,
        modified_s,
    };
    Ok((needed(members, "ident")?, What::App(Box::new(app))))
}

fn event(members: &Members<'_>) -> Result<(Box<str>, What), String> {
    let mid = uuid(&needed(members, "mid")?, "mid")?;
    // The socket is told to nobody who could act on it, and old versions had other ids.
    let owner = text(members, "owner_id")?.and_then(|owner| uuid(&owner, "owner_id").ok());
    let micros = members.get("timestamp").and_then(micros_of);
    let payload = members.get("data").ok_or("data: missing")?;
    let payload: Members<'_> =
        serde_json::from_str(payload).map_err(|_| "data: expected an object")?;
    let mut extra = String::new();
    for (name, raw) in payload.all() {
        if matches!(name, "channel" | "event" | "data") {
            continue;
        }
        if !extra.is_empty() {
            extra.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(extra, "{}:", serde_json::Value::from(name));
        plain(raw, &mut extra)?;
    }
    let channel = match text(members, "channel")? {
        Some(channel) => channel,
        None => text(&payload, "channel")?.ok_or("channel: missing")?,
    };
    let event = ImportedEvent {
        channel,
        mid,
        owner,
        micros: micros.ok_or("timestamp: expected seconds since 1970")?,
        name: text(&payload, "event")?.unwrap_or_default(),
        data: text(&payload, "data")?.unwrap_or_default(),
        extra: extra.into(),
    };
    Ok((needed(members, "instance")?, What::Event(Box::new(event))))
}

fn waiting(members: &Members<'_>) -> Result<(Box<str>, What), String> {
    let what = What::Waiting {
        user: needed(members, "user_id")?,
        mid: uuid(&needed(members, "mid")?, "mid")?,
    };
    Ok((needed(members, "instance")?, what))
}

fn record(
    members: &Members<'_>,
    kind: RecordKind,
    target: &str,
) -> Result<(Box<str>, What), String> {
    let keys = match kind {
        RecordKind::WebPush => Some((needed(members, "p256dh")?, needed(members, "auth")?)),
        RecordKind::Subscription | RecordKind::Web | RecordKind::Apn | RecordKind::Smtp => None,
    };
    let record = NewRecord {
        kind,
        target: needed(members, target)?,
        channel: needed(members, "event")?,
        keys,
    };
    let (created_s, modified_s) = times(members);
    let what = What::Record {
        record: Box::new(record),
        created_s,
        modified_s,
    };
    Ok((needed(members, "instance")?, what))
}

#[cfg(test)]
mod tests;
