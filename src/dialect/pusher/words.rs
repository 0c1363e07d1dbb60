//! What a client says: its messages, and what it tells of itself when it joins or signs in.

use super::names::is_user_id;
use crate::dialect::json::{Raw, Slots, checked, compact, each_entry, is_null, read_object};
use crate::limits::PUSHER_USER_CHARS_MAX;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One message of a client. Fields that it may not set, such as `user_id`, are not among these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// `pusher:ping`, whatever its data.
    Ping,
    /// `pusher:pong`, whatever its data.
    Pong,
    /// `pusher:subscribe`
    Subscribe {
        /// The name as it came; it has not been looked at.
        channel: Cow<'a, str>,
        /// `key:digest`. Clients send an empty text for channels that need none.
        auth: Option<Cow<'a, str>>,
        /// The JSON text of a member, as it was signed. An empty one is none.
        channel_data: Option<Cow<'a, str>>,
    },
    /// `pusher:unsubscribe`
    Unsubscribe {
        /// The name as it came.
        channel: Cow<'a, str>,
    },
    /// `pusher:signin`, however malformed: whoever fails to sign in is told so in its own way. What
    /// is missing is empty, and no signature fits that.
    Signin {
        /// `key:digest`
        auth: Cow<'a, str>,
        /// The JSON text of a user, as it was signed.
        user_data: Cow<'a, str>,
    },
    /// An event for the other sockets of a channel.
    Client {
        /// Begins with `client-`; of any length.
        event: Cow<'a, str>,
        /// The name as it came.
        channel: Cow<'a, str>,
        /// What it carries.
        data: Data<'a>,
    },
    /// A message with a name that means nothing here.
    Other {
        /// That name.
        event: Cow<'a, str>,
    },
}

/// What an event carries: always a text on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data<'a> {
    /// It came as a text and stays as it is.
    Text(Cow<'a, str>),
    /// It came as another value, or not at all, which is `null`: the compact JSON text of that,
    /// with numbers as they were written.
    Json(Cow<'a, str>),
}

impl<'a> Data<'a> {
    /// From a piece of a checked message.
    pub fn of(piece: &'a str) -> Self {
        match Raw::of(piece) {
            Raw::Text(text) => Self::Text(text),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => {
                Self::Json(compact(piece))
            }
        }
    }

    /// The text that goes out, and whose bytes count.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }

    /// The same, given away.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }
}

/// A message that says nothing, with the reason for humans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

const NOT_JSON: Unreadable = Unreadable("the message is not JSON");
const NO_OBJECT: Unreadable = Unreadable("the message must be an object");
const NO_EVENT: Unreadable = Unreadable("event must be a text");
const NO_DATA: Unreadable = Unreadable("data must be an object");
const NO_CHANNEL: Unreadable = Unreadable("channel must be a text");
const NO_AUTH: Unreadable = Unreadable("auth must be a text");
const NO_CHANNEL_DATA: Unreadable = Unreadable("channel_data must be a text");

/// Reads one message.
///
/// Of repeated fields the last counts, as everywhere. Sizes are bounded by the transport; nesting
/// by [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX), the same within data that is a text.
///
/// # Errors
/// What is no JSON object with the name of an event, and what lacks a field of its event. The
/// connection goes on.
pub fn read(text: &str) -> Result<Word<'_>, Unreadable> {
    let text = checked(text.as_bytes()).map_err(|_| NOT_JSON)?;
    let [event, channel, data] = read_object(text, &["event", "channel", "data"])
        .map_err(|_| NOT_JSON)?
        .ok_or(NO_OBJECT)?;
    let event = text_in(event).ok_or(NO_EVENT)?;
    match &*event {
        "pusher:ping" => Ok(Word::Ping),
        "pusher:pong" => Ok(Word::Pong),
        "pusher:subscribe" => {
            let [channel, auth, channel_data] =
                fields(data, &["channel", "auth", "channel_data"]).ok_or(NO_DATA)?;
            Ok(Word::Subscribe {
                channel: channel.text().ok_or(NO_CHANNEL)?,
                auth: auth.text_or_none().ok_or(NO_AUTH)?,
                channel_data: channel_data
                    .text_or_none()
                    .ok_or(NO_CHANNEL_DATA)?
                    .filter(|data| !data.is_empty()),
            })
        }
        "pusher:unsubscribe" => {
            let [channel] = fields(data, &["channel"]).ok_or(NO_DATA)?;
            Ok(Word::Unsubscribe {
                channel: channel.text().ok_or(NO_CHANNEL)?,
            })
        }
        "pusher:signin" => {
            let names = ["auth", "user_data"];
            let [auth, user_data] =
                fields(data, &names).unwrap_or([Field::Missing, Field::Missing]);
            Ok(Word::Signin {
                auth: auth.text().unwrap_or_default(),
                user_data: user_data.text().unwrap_or_default(),
            })
        }
        name if name.starts_with(super::names::CLIENT_EVENT) => Ok(Word::Client {
            channel: text_in(channel).ok_or(NO_CHANNEL)?,
            data: Data::of(data.unwrap_or("null")),
            event,
        }),
        _ => Ok(Word::Other { event }),
    }
}

/// One field of the data of a message.
#[derive(Debug, Clone)]
enum Field<'a> {
    /// It is not there, or `null`.
    Missing,
    /// A text.
    Text(Cow<'a, str>),
    /// Another value.
    Other,
}

impl<'a> Field<'a> {
    fn of(piece: Option<&'a str>) -> Self {
        match piece.map(Raw::of) {
            None | Some(Raw::Null) => Self::Missing,
            Some(Raw::Text(text)) => Self::Text(text),
            Some(Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_)) => Self::Other,
        }
    }

    fn into_owned(self) -> Field<'static> {
        match self {
            Self::Missing => Field::Missing,
            Self::Text(text) => Field::Text(Cow::Owned(text.into_owned())),
            Self::Other => Field::Other,
        }
    }

    /// The text, if it is one.
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::Other => None,
        }
    }

    /// The text if there is one; nothing if it is something else.
    fn text_or_none(self) -> Option<Option<Cow<'a, str>>> {
        match self {
            Self::Text(text) => Some(Some(text)),
            Self::Missing => Some(None),
            Self::Other => None,
        }
    }
}

/// The fields of the data of a message, which is an object or a text that holds one.
fn fields<'a, const N: usize>(data: Option<&'a str>, names: &[&str; N]) -> Option<[Field<'a>; N]> {
    match Raw::of(data?) {
        Raw::Object(object) => Some(object_fields(object, names)?.map(Field::of)),
        Raw::Text(Cow::Borrowed(text)) => Some(object_fields(text, names)?.map(Field::of)),
        Raw::Text(Cow::Owned(text)) => {
            let slots = object_fields(&text, names)?;
            Some(slots.map(|slot| Field::of(slot).into_owned()))
        }
        Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::List(_) => None,
    }
}

/// The fields of an object in a text that was not looked at yet.
fn object_fields<'a, const N: usize>(text: &'a str, names: &[&str; N]) -> Option<Slots<'a, N>> {
    let text = checked(text.as_bytes()).ok()?;
    read_object(text, names).ok()?
}

fn text_in(piece: Option<&str>) -> Option<Cow<'_, str>> {
    Field::of(piece).text()
}

/// What a socket is in one presence channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its user; numbers as decimal text.
    pub user: String,
    /// What it tells of itself: compact JSON text, of any kind. `None` if nothing was said.
    pub info: Option<String>,
}

/// Reads the data of a member, whose signature was right. `info_bytes_max` is for the compact form
/// of what it tells of itself.
///
/// # Errors
/// Why it cannot be used, for humans.
pub fn member(channel_data: &str, info_bytes_max: usize) -> Result<Member, &'static str> {
    let [user, info] = object_fields(channel_data, &["user_id", "user_info"])
        .ok_or("channel_data must be the text of a JSON object")?;
    let user = match user.map(Raw::of) {
        Some(Raw::Text(text)) => text.into_owned(),
        Some(Raw::Number(number)) => decimal(number).ok_or("user_id is too long a number")?,
        None | Some(Raw::Null | Raw::Bool(_) | Raw::List(_) | Raw::Object(_)) => {
            return Err("channel_data needs a user_id that is a text or a number");
        }
    };
    if user.is_empty() {
        return Err("user_id must not be empty");
    }
    if user.len() > PUSHER_USER_CHARS_MAX && user.chars().count() > PUSHER_USER_CHARS_MAX {
        return Err("user_id has at most 128 characters");
    }
    let info = info.map(|info| compact(info).into_owned());
    if info
        .as_ref()
        .is_some_and(|info| info.len() > info_bytes_max)
    {
        return Err("user_info is too large");
    }
    Ok(Member { user, info })
}

const _: () = assert!(
    PUSHER_USER_CHARS_MAX == 128,
    "the texts of member and user say so"
);

/// A number without exponent, so that equal ones are the same text; `None` for one that would be
/// too long for an id anyway. Whole numbers are exact in any size.
pub(in crate::dialect) fn decimal(number: &str) -> Option<String> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let text = if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        number.to_owned()
    } else {
        let value: f64 = number.parse().ok()?;
        if !value.is_finite() {
            return None;
        }
        value.to_string()
    };
    // There is one zero.
    let text = if text == "-0" { "0".to_owned() } else { text };
    (text.len() <= PUSHER_USER_CHARS_MAX).then_some(text)
}

/// Who a socket has signed in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Characters as in names of channels.
    pub id: String,
    /// What it tells of itself: compact JSON text, of any kind and size. `None` if nothing was
    /// said.
    pub info: Option<String>,
    /// The users it wants to hear of, each once, in order. What can be nobody's id is left out.
    pub watchlist: Vec<String>,
    /// Whether the list was longer than it may be, so that its end was left out.
    pub is_watchlist_cut: bool,
}

/// Reads the data of a user, whose signature was right. Of a longer list of users to watch, the
/// first `watchlist_max` entries count.
///
/// # Errors
/// Why it cannot be used, for humans.
pub fn user(user_data: &str, watchlist_max: usize) -> Result<User, &'static str> {
    let [id, info, watchlist] = object_fields(user_data, &["id", "user_info", "watchlist"])
        .ok_or("user_data must be the text of a JSON object")?;
    // A number is refused here: the common client ignores a success with such an id.
    let id = text_in(id).ok_or("user_data needs an id that is a text")?;
    if !is_user_id(&id) {
        return Err("id must be 1 to 128 letters, digits or any of _-=@,.;");
    }
    let mut seen = BTreeSet::new();
    let mut watched = Vec::new();
    let mut count = 0;
    if let Some(list) = watchlist.filter(|list| !is_null(list)) {
        let whole = each_entry(list, |entry| {
            count += 1;
            if count > watchlist_max {
                return;
            }
            let id = match Raw::of(entry) {
                Raw::Text(text) => Some(text),
                Raw::Number(number) => decimal(number).map(Cow::Owned),
                Raw::Null | Raw::Bool(_) | Raw::List(_) | Raw::Object(_) => None,
            };
            if let Some(id) = id.filter(|id| is_user_id(id))
                && seen.insert(id.clone())
            {
                watched.push(id.into_owned());
            }
        });
        if !matches!(whole, Ok(Some(()))) {
            return Err("watchlist must be a list of ids");
        }
    }
    Ok(User {
        id: id.into_owned(),
        info: info.map(|info| compact(info).into_owned()),
        watchlist: watched,
        is_watchlist_cut: count > watchlist_max,
    })
}

#[cfg(test)]
mod tests;
