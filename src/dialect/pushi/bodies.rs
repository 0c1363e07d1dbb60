//! What applications ask for, read from the fields of their requests: events, records, apps, and
//! what a path names.
//!
//! A body is read and checked whole before anything of it is done.

use super::encode::records::target_field;
use super::errors::{EMPTY, Fault, HAS_NUL, NOT_SET, TOO_LONG};
use super::form::Fields;
use super::names::{is_channel_length, is_event_length, is_reserved_event, is_user_length};
use super::words::{self, Data, is_true};
use crate::dialect::json::{Raw, compact, each_entry, push_text};
use crate::limits::{
    PUSHI_APP_FIELD_BYTES_MAX, PUSHI_APP_NAME_BYTES_MAX, PUSHI_BROWSER_KEY_BYTES_MAX,
    PUSHI_CHANNEL_BYTES_MAX, PUSHI_CHANNELS_PER_EVENT_MAX, PUSHI_EVENT_BYTES_MAX,
    PUSHI_TARGET_BYTES_MAX,
};
use crate::store::{AppFields, Field, NewRecord, RecordKind};
use crate::transport::http::query::{BadPath, decode_path, last};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Where an event goes if no channel is said.
pub const CHANNEL_DEFAULT: &str = "global";
/// The name of an event if none is said.
pub const EVENT_DEFAULT: &str = "message";

/// An event that an application publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Its name; may be empty, and none that the server has for itself.
    pub name: Cow<'a, str>,
    /// What it carries, as text; not empty.
    pub data: Cow<'a, str>,
    /// Where it goes, in order: at least one channel, and one may be there twice.
    pub channels: Vec<Cow<'a, str>>,
    /// Whether it is stored.
    pub persist: bool,
    /// What else the body has, as members of an object without braces; each name once.
    pub extra: String,
}

/// Reads the body of `POST /events`. Only JSON counts.
///
/// # Errors
/// The first thing that is wrong.
pub fn event<'a>(fields: &Fields<'a>) -> Result<NewEvent<'a>, Fault> {
    let mut others: Vec<(&str, &'a str)> = Vec::new();
    // Where the members of these names are in `others`. Ordered, so that no choice of names makes it
    // slow.
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut name, mut data, mut channel) = (None, None, None);
    for (key, value) in fields.json() {
        match &**key {
            "event" => name = Some(*value),
            "data" => data = Some(*value),
            "channel" => channel = Some(*value),
            key => match places.get(key).and_then(|&place| others.get_mut(place)) {
                Some(earlier) => earlier.1 = value,
                None => {
                    places.insert(key, others.len());
                    others.push((key, value));
                }
            },
        }
    }
    let data = data
        .filter(|data| is_true(data))
        .ok_or_else(Fault::no_data)?;
    let given = |name: &str| {
        let place = places.get(name)?;
        others.get(*place).map(|(_, value)| *value)
    };
    let persist = given("persist").is_none_or(is_true);
    if persist && (given("mid").is_some() || given("timestamp").is_some()) {
        return Err(Fault::made_here());
    }
    let name = match name.map(Raw::of) {
        None | Some(Raw::Null) => EVENT_DEFAULT.into(),
        Some(Raw::Text(name)) => name,
        Some(Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_)) => {
            return Err(Fault::wrong_type("event", "str"));
        }
    };
    // Those who may publish here know the secret; but it would reach sockets as the server's own word.
    if is_reserved_event(&name) {
        return Err(Fault::bad(words::Fault::ReservedEvent.message()));
    }
    if !is_event_length(&name) {
        return Err(Fault::bad(format!(
            "the name of an event has at most {PUSHI_EVENT_BYTES_MAX} bytes"
        )));
    }
    Ok(NewEvent {
        name,
        data: Data::of(data).into_text(),
        channels: channels(channel)?,
        persist,
        extra: extra(&others),
    })
}

/// Members of an object as JSON.
fn extra(members: &[(&str, &str)]) -> String {
    let mut extra = Vec::new();
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            extra.push(b',');
        }
        push_text(&mut extra, name);
        extra.push(b':');
        extra.extend_from_slice(compact(value).as_bytes());
    }
    // Only texts were put together.
    String::from_utf8(extra).unwrap_or_default()
}

/// The channels that an event goes to: a name, or a list of names.
fn channels(piece: Option<&str>) -> Result<Vec<Cow<'_, str>>, Fault> {
    let Some(piece) = piece.filter(|piece| is_true(piece)) else {
        return Ok(vec![CHANNEL_DEFAULT.into()]);
    };
    let list = match Raw::of(piece) {
        Raw::Text(name) => return Ok(vec![channel(name)?]),
        Raw::List(list) => list,
        Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::Object(_) => {
            return Err(Fault::bad("channel must be a name or a list of names"));
        }
    };
    let mut channels = Vec::new();
    let mut count = 0;
    let mut fault = None;
    let whole = each_entry(list, |entry| {
        count += 1;
        if count > PUSHI_CHANNELS_PER_EVENT_MAX || fault.is_some() {
            return;
        }
        let name = match Raw::of(entry) {
            Raw::Text(name) => channel(name),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => {
                Err(Fault::bad("channel must be a name or a list of names"))
            }
        };
        match name {
            Ok(name) => channels.push(name),
            Err(wrong) => fault = Some(wrong),
        }
    });
    debug_assert!(whole == Ok(Some(())), "the body was checked");
    if count > PUSHI_CHANNELS_PER_EVENT_MAX {
        let most = PUSHI_CHANNELS_PER_EVENT_MAX;
        let message = format!("an event goes to at most {most} channels");
        return Err(Fault::too_large(message));
    }
    match fault {
        Some(fault) => Err(fault),
        None => Ok(channels),
    }
}

fn channel(name: Cow<'_, str>) -> Result<Cow<'_, str>, Fault> {
    if is_channel_length(&name) {
        return Ok(name);
    }
    Err(Fault::bad(format!(
        "the name of a channel has at most {PUSHI_CHANNEL_BYTES_MAX} bytes"
    )))
}

/// Reads a record of this kind that is to be made. That of a browser is read from JSON alone, as the signature in the
/// query has the name of one of its fields.
///
/// # Errors
/// Every field that is missing, empty or too long, or that no path could name to remove the record
/// again; or one that is no text.
pub fn record(kind: RecordKind, fields: Fields<'_>) -> Result<NewRecord, Fault> {
    let fields = match kind {
        RecordKind::WebPush => fields.json_only(),
        RecordKind::Subscription | RecordKind::Web | RecordKind::Apn | RecordKind::Smtp => fields,
    };
    let mut reader = Reader::new(&fields);
    let is_target = |target: &str| match kind {
        RecordKind::Subscription => is_user_length(target),
        RecordKind::Web | RecordKind::Apn | RecordKind::WebPush | RecordKind::Smtp => {
            target.len() <= PUSHI_TARGET_BYTES_MAX
        }
    };
    let is_key = |key: &str| key.len() <= PUSHI_BROWSER_KEY_BYTES_MAX;
    let target = reader.nameable(target_field(kind), is_target)?;
    let keys = match kind {
        RecordKind::WebPush => Some((
            reader.required("p256dh", is_key)?,
            reader.required("auth", is_key)?,
        )),
        RecordKind::Subscription | RecordKind::Web | RecordKind::Apn | RecordKind::Smtp => None,
    };
    let channel = reader.nameable("event", is_channel_length)?;
    reader.done()?;
    Ok(NewRecord {
        kind,
        target,
        channel,
        keys,
    })
}

/// Reads which subscription is to be removed, where its fields say so: a user and a channel. What could
/// not be made any more can still be removed.
///
/// # Errors
/// Every field that is missing, empty or too long; or one that is no text.
pub fn subscription(fields: &Fields<'_>) -> Result<(Box<str>, Box<str>), Fault> {
    let mut reader = Reader::new(fields);
    let user = reader.required(target_field(RecordKind::Subscription), is_user_length)?;
    let channel = reader.required("event", is_channel_length)?;
    reader.done()?;
    Ok((user, channel))
}

/// Reads the name of an app that is to be made, and what else is said of it.
///
/// # Errors
/// The name is missing, empty or too long; other fields as with [`app_fields`].
pub fn new_app(fields: &Fields<'_>) -> Result<(Box<str>, AppFields), Fault> {
    let mut reader = Reader::new(fields);
    let name = reader.required("name", is_app_name)?;
    let more = reader.app(Field::Absent)?;
    reader.done()?;
    Ok((name, more))
}

/// Reads what is to be changed of an app. Fields that an app may not change are passed over.
///
/// # Errors
/// A name as with [`new_app`], if one is given; a field that is too long or of another type.
pub fn app_fields(fields: &Fields<'_>) -> Result<AppFields, Fault> {
    let mut reader = Reader::new(fields);
    let name = match fields.text("name")? {
        Field::Absent => Field::Absent,
        Field::Null | Field::Is(_) => Field::Is(reader.required("name", is_app_name)?),
    };
    let fields = reader.app(name)?;
    reader.done()?;
    Ok(fields)
}

fn is_app_name(name: &str) -> bool {
    name.len() <= PUSHI_APP_NAME_BYTES_MAX
}

/// Reads fields of a record and gathers what is wrong with them: one text for each field.
struct Reader<'f, 'a> {
    fields: &'f Fields<'a>,
    errors: Vec<(&'static str, &'static str)>,
}

impl<'f, 'a> Reader<'f, 'a> {
    fn new(fields: &'f Fields<'a>) -> Self {
        Self {
            fields,
            errors: Vec::new(),
        }
    }

    /// A text that must be there; empty if it is not, which is an error in the end.
    fn required(
        &mut self,
        name: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Box<str>, Fault> {
        let wrong = match self.fields.text(name)? {
            Field::Absent | Field::Null => NOT_SET,
            Field::Is(text) if text.is_empty() => EMPTY,
            Field::Is(text) if !fits(&text) => TOO_LONG,
            Field::Is(text) => return Ok(text.into()),
        };
        self.errors.push((name, wrong));
        Ok(Box::default())
    }

    /// A text that must be there, and that a path can name.
    fn nameable(
        &mut self,
        name: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Box<str>, Fault> {
        let text = self.required(name, fits)?;
        if text.contains('\0') {
            self.errors.push((name, HAS_NUL));
        }
        Ok(text)
    }

    /// A text that may be there.
    fn text(&mut self, name: &'static str) -> Result<Field<Box<str>>, Fault> {
        Ok(match self.fields.text(name)? {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Is(text) => self.bounded(name, text.into()),
        })
    }

    /// The fields of an app, which has this name.
    fn app(&mut self, name: Field<Box<str>>) -> Result<AppFields, Fault> {
        let meta = match self.fields.object("meta")? {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Is(text) => self.bounded("meta", text.into()),
        };
        Ok(AppFields {
            name,
            enabled: self.fields.boolean("enabled")?,
            description: self.text("description")?,
            meta,
            apn_sandbox: self.fields.boolean("apn_sandbox")?,
            apn_key: self.text("apn_key")?,
            apn_cer: self.text("apn_cer")?,
            vapid_key: self.text("vapid_key")?,
            vapid_email: self.text("vapid_email")?,
            smtp_url: self.text("smtp_url")?,
        })
    }

    fn bounded(&mut self, name: &'static str, text: Box<str>) -> Field<Box<str>> {
        if text.len() > PUSHI_APP_FIELD_BYTES_MAX {
            self.errors.push((name, TOO_LONG));
        }
        Field::Is(text)
    }

    fn done(self) -> Result<(), Fault> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(Fault::invalid(self.errors)),
        }
    }
}

/// What an app logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Which app it says it is.
    pub ident: Cow<'a, str>,
    /// The key of that app.
    pub key: Cow<'a, str>,
    /// The secret of that app.
    pub secret: Cow<'a, str>,
}

impl std::fmt::Debug for Credentials<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({:?})", self.ident)
    }
}

/// Reads what an app logs in with. Only the query counts, whatever the method.
///
/// # Errors
/// The first one that is missing.
pub fn credentials(query: &str) -> Result<Credentials<'_>, Fault> {
    let field = |name| last(query, name).ok_or_else(|| Fault::missing(name));
    Ok(Credentials {
        ident: field("app_id")?,
        key: field("app_key")?,
        secret: field("app_secret")?,
    })
}

/// What the path of a deletion names: a target, and one of its channels.
pub type Named<'p> = (Cow<'p, str>, Option<Cow<'p, str>>);

/// Reads what stands behind `/webs/` or the like, still escaped.
///
/// A single segment is a target. Of several the last one is a channel, and everything before it the
/// target: an address, which clients put there as it is, slashes and all.
///
/// # Errors
/// What does not decode to text.
pub fn named(rest: &str) -> Result<Named<'_>, BadPath> {
    match rest.rsplit_once('/') {
        None => Ok((decode_path(rest)?, None)),
        Some((target, channel)) => Ok((decode_path(target)?, Some(decode_path(channel)?))),
    }
}

#[cfg(test)]
mod tests;
