//! What a client says: its messages, and what it tells of itself when it subscribes.

use super::names::{Kind, is_channel_length, is_event_length, is_reserved_event, is_user_length};
use crate::dialect::json::{Raw, Slots, checked, compact, read_object};
pub use crate::dialect::pusher::words::Data;
use crate::dialect::pusher::words::decimal;
use crate::limits::{
    PUSHI_CHANNEL_BYTES_MAX, PUSHI_CHANNEL_DATA_BYTES_MAX, PUSHI_EVENT_BYTES_MAX, PUSHI_SKIP_MAX,
    PUSHI_USER_BYTES_MAX, STORE_EVENTS_LISTED_MAX,
};
use std::borrow::Cow;

/// Events that are asked for if no number is said.
const COUNT_DEFAULT: u64 = 10;
/// One message of a client. Names of channels and events have a length that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// `pusher:subscribe`
    Subscribe {
        /// Which channel.
        channel: Cow<'a, str>,
        /// `key:digest`, unless something else than a text was given.
        auth: Option<Cow<'a, str>>,
        /// What the client tells of itself; only for presence and personal channels.
        channel_data: Option<ChannelData>,
    },
    /// `pusher:unsubscribe`
    Unsubscribe {
        /// Which channel.
        channel: Cow<'a, str>,
    },
    /// `pusher:latest`
    Latest {
        /// Which channel.
        channel: Cow<'a, str>,
        /// How many of the newest events are passed over, at most [`PUSHI_SKIP_MAX`].
        skip: u64,
        /// How many are wanted, 1 to [`STORE_EVENTS_LISTED_MAX`].
        count: u64,
    },
    /// An event for the other sockets of a channel.
    Event {
        /// Its name, not empty and none of the server's own.
        event: Cow<'a, str>,
        /// Which channel.
        channel: Cow<'a, str>,
        /// What it carries.
        data: Data<'a>,
        /// Whether the sender gets it as well.
        echo: bool,
        /// Whether it is stored.
        persist: bool,
    },
}

/// What a socket tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelData {
    /// Its user as a text: of a number, a boolean or `null` the JSON text, and the same for equal
    /// numbers. `None` if there is no such field; presence channels need one. It may be empty.
    pub user_id: Option<String>,
    /// The whole object as compact JSON, as it is shown to others.
    pub text: String,
    /// Whether it wants a channel with each of the others.
    pub peer: bool,
}

/// A message that is not acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub fault: Fault,
    /// What was asked for.
    pub refused: Refused,
    /// The channel that it was about, if that was said and is not longer than a name may be.
    pub channel: Option<String>,
}

/// What a message that is not acted on asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody can tell: such a client speaks something else, and the connection ends.
    Anything,
    /// To subscribe. The connection goes on.
    Subscription,
    /// Something else about one channel. The connection goes on.
    Request,
}

/// Why a message is not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say what they are")]
pub enum Fault {
    NotJson,
    /// JSON, with half of a surrogate pair in it or nested too deeply.
    NotTaken,
    NoObject,
    NoEvent,
    LongEvent,
    /// The name of the event is one of the server's own.
    ReservedEvent,
    NoDataObject,
    NoData,
    NoChannel,
    LongChannel,
    BadChannelData,
    LongChannelData,
    BadUserId,
    LongUserId,
    BadSkip,
    FarSkip,
    BadCount,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::NotJson,
        Self::NotTaken,
        Self::NoObject,
        Self::NoEvent,
        Self::LongEvent,
        Self::ReservedEvent,
        Self::NoDataObject,
        Self::NoData,
        Self::NoChannel,
        Self::LongChannel,
        Self::BadChannelData,
        Self::LongChannelData,
        Self::BadUserId,
        Self::LongUserId,
        Self::BadSkip,
        Self::FarSkip,
        Self::BadCount,
    ];

    /// The code in the error event, with the meaning it has as a status of HTTP.
    pub const fn code(self) -> u16 {
        match self {
            Self::ReservedEvent => 403,
            Self::LongEvent | Self::LongChannel | Self::LongChannelData | Self::LongUserId => 413,
            Self::NotJson
            | Self::NotTaken
            | Self::NoObject
            | Self::NoEvent
            | Self::NoDataObject
            | Self::NoData
            | Self::NoChannel
            | Self::BadChannelData
            | Self::BadUserId
            | Self::BadSkip
            | Self::FarSkip
            | Self::BadCount => 400,
        }
    }

    /// What is said to humans; short enough for a close frame.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotJson => "the message is not JSON",
            Self::NotTaken => "half of a surrogate pair, or more than 64 levels of nesting",
            Self::NoObject => "the message must be an object",
            Self::NoEvent => "event must be a text that is not empty",
            Self::LongEvent => "the name of an event has at most 1024 bytes",
            Self::ReservedEvent => "names of events that begin with pusher: are the server's own",
            Self::NoDataObject => "data must be an object",
            Self::NoData => "data is missing",
            Self::NoChannel => "channel must be a text",
            Self::LongChannel => "the name of a channel has at most 1024 bytes",
            Self::BadChannelData => "channel_data must be an object",
            Self::LongChannelData => "channel_data has at most 8192 bytes",
            Self::BadUserId => "user_id must be a text or a number",
            Self::LongUserId => "user_id has at most 512 bytes",
            Self::BadSkip => "skip must be a whole number, not negative",
            Self::FarSkip => "skip is at most 100000",
            Self::BadCount => "count must be a whole number, not negative",
        }
    }
}

const _: () = assert!(
    PUSHI_EVENT_BYTES_MAX == 1024
        && PUSHI_CHANNEL_BYTES_MAX == 1024
        && PUSHI_CHANNEL_DATA_BYTES_MAX == 8192
        && PUSHI_USER_BYTES_MAX == 512
        && PUSHI_SKIP_MAX == 100_000,
    "the messages say so"
);

/// Reads one message. An empty text is nothing that this is asked about: it is passed over.
///
/// Of repeated fields the last counts, as everywhere. The size is bounded by the transport; nesting
/// by [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX), the same within data that is a text.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(text: &str) -> Result<Word<'_>, Unreadable> {
    let anything = |fault| Unreadable {
        fault,
        refused: Refused::Anything,
        channel: None,
    };
    let text = checked(text.as_bytes()).map_err(|_| unreadable(text))?;
    let names = ["event", "data", "channel", "echo", "persist"];
    let [event, data, channel, echo, persist] = read_object(text, &names)
        .map_err(|_| anything(Fault::NotJson))?
        .ok_or_else(|| anything(Fault::NoObject))?;
    let event = text_in(event)
        .filter(|event| !event.is_empty())
        .ok_or_else(|| anything(Fault::NoEvent))?;
    // A colon and an underscore mean the same in a name that is looked up.
    match &*event {
        "pusher:subscribe" | "pusher_subscribe" => subscribe(data),
        "pusher:unsubscribe" | "pusher_unsubscribe" => unsubscribe(data),
        "pusher:latest" | "pusher_latest" => latest(data),
        _ => ordinary(event, [data, channel, echo, persist]),
    }
}

/// What is not taken, though it may be JSON: then it is a word about a channel all the same.
#[cold]
fn unreadable(text: &str) -> Unreadable {
    let Ok(Some([event, data, channel])) = read_object(text, &["event", "data", "channel"]) else {
        return Unreadable {
            fault: Fault::NotJson,
            refused: Refused::Anything,
            channel: None,
        };
    };
    let event = text_in(event);
    let refused = match event.as_deref() {
        Some("pusher:subscribe" | "pusher_subscribe") => Refused::Subscription,
        _ => Refused::Request,
    };
    // What the server is asked for names its channel in the data.
    let inner = data.and_then(|data| read_object(data, &["channel"]).ok().flatten());
    let inner = inner.and_then(|[channel]| channel);
    let channel = match event.as_deref() {
        Some(name) if name.starts_with("pusher") => inner.or(channel),
        _ => channel,
    };
    Unreadable {
        fault: Fault::NotTaken,
        refused,
        channel: channel_in(channel, refused).ok().map(Cow::into_owned),
    }
}

fn subscribe(data: Option<&str>) -> Result<Word<'_>, Unreadable> {
    let refused = Refused::Subscription;
    let [channel, auth, channel_data] =
        fields(data, &["channel", "auth", "channel_data"], refused)?;
    let channel = channel_in(channel, refused)?;
    let channel_data = match Kind::of(&channel) {
        Kind::Presence | Kind::Personal => member(channel_data),
        Kind::Public | Kind::Private | Kind::Peer => Ok(None),
    };
    Ok(Word::Subscribe {
        auth: text_in(auth),
        channel_data: channel_data.map_err(|fault| about(&channel, fault, refused))?,
        channel,
    })
}

fn unsubscribe(data: Option<&str>) -> Result<Word<'_>, Unreadable> {
    let [channel] = fields(data, &["channel"], Refused::Request)?;
    Ok(Word::Unsubscribe {
        channel: channel_in(channel, Refused::Request)?,
    })
}

fn latest(data: Option<&str>) -> Result<Word<'_>, Unreadable> {
    let refused = Refused::Request;
    let [channel, skip, count] = fields(data, &["channel", "skip", "count"], refused)?;
    let channel = channel_in(channel, refused)?;
    let refuse = |fault| about(&channel, fault, refused);
    let skip = number(skip, 0).ok_or_else(|| refuse(Fault::BadSkip))?;
    if skip > PUSHI_SKIP_MAX {
        return Err(refuse(Fault::FarSkip));
    }
    let count = number(count, COUNT_DEFAULT).ok_or_else(|| refuse(Fault::BadCount))?;
    Ok(Word::Latest {
        skip,
        count: listed(count),
        channel,
    })
}

fn ordinary<'a>(
    event: Cow<'a, str>,
    [data, channel, echo, persist]: Slots<'a, 4>,
) -> Result<Word<'a>, Unreadable> {
    let refused = Refused::Request;
    let channel = channel_in(channel, refused);
    let refuse = |fault| Unreadable {
        fault,
        refused,
        channel: channel.as_deref().ok().map(str::to_owned),
    };
    if is_reserved_event(&event) {
        return Err(refuse(Fault::ReservedEvent));
    }
    if !is_event_length(&event) {
        return Err(refuse(Fault::LongEvent));
    }
    let data = data.ok_or_else(|| refuse(Fault::NoData))?;
    Ok(Word::Event {
        event,
        channel: channel?,
        data: Data::of(data),
        echo: echo.is_some_and(is_true),
        persist: persist.is_none_or(is_true),
    })
}

/// The fields of the data of a request, which is an object.
fn fields<'a, const N: usize>(
    data: Option<&'a str>,
    names: &[&str; N],
    refused: Refused,
) -> Result<Slots<'a, N>, Unreadable> {
    // It is a piece of what was checked, so that only its kind may be wrong.
    let slots = data.and_then(|data| read_object(data, names).ok().flatten());
    slots.ok_or(Unreadable {
        fault: Fault::NoDataObject,
        refused,
        channel: None,
    })
}

/// The name of the channel that a message is about.
fn channel_in(piece: Option<&str>, refused: Refused) -> Result<Cow<'_, str>, Unreadable> {
    let fault = match text_in(piece) {
        Some(name) if is_channel_length(&name) => return Ok(name),
        Some(_) => Fault::LongChannel,
        None => Fault::NoChannel,
    };
    Err(Unreadable {
        fault,
        refused,
        channel: None,
    })
}

fn about(channel: &str, fault: Fault, refused: Refused) -> Unreadable {
    Unreadable {
        fault,
        refused,
        channel: Some(channel.to_owned()),
    }
}

fn text_in(piece: Option<&str>) -> Option<Cow<'_, str>> {
    match Raw::of(piece?) {
        Raw::Text(text) => Some(text),
        Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_) => None,
    }
}

/// A whole number that is not negative, of any size: what is beyond 64 bits is as much as they hold.
/// What is missing or `null` is `otherwise`.
fn number(piece: Option<&str>, otherwise: u64) -> Option<u64> {
    match piece.map(Raw::of) {
        None | Some(Raw::Null) => Some(otherwise),
        Some(Raw::Number(number)) => whole(number),
        Some(Raw::Bool(_) | Raw::Text(_) | Raw::List(_) | Raw::Object(_)) => None,
    }
}

/// The number that these digits are, as large as 64 bits hold. `None` if there is anything but
/// digits.
pub fn whole(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only too many of them can go wrong.
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// How many events an answer lists of so many that were asked for. Zero asks for all.
pub fn listed(count: u64) -> u64 {
    match count {
        0 => STORE_EVENTS_LISTED_MAX,
        count => count.min(STORE_EVENTS_LISTED_MAX),
    }
}

/// Whether a piece of a body is true as the original's language has it: not `null`, not zero, and
/// not empty.
pub fn is_true(piece: &str) -> bool {
    let is_empty = |inner: Option<&str>| inner.is_none_or(|inner| inner.trim().is_empty());
    match Raw::of(piece) {
        Raw::Null => false,
        Raw::Bool(value) => value,
        // What is too small for a float is zero there, too.
        Raw::Number(number) => number.parse::<f64>().is_ok_and(|value| value != 0.0),
        Raw::Text(text) => !text.is_empty(),
        Raw::List(list) => !is_empty(inside(list, '[', ']')),
        Raw::Object(object) => !is_empty(inside(object, '{', '}')),
    }
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// Reads what a client tells of itself: an object, or a text that holds one. An empty text is
/// nothing, as clients of other protocols have it.
fn member(piece: Option<&str>) -> Result<Option<ChannelData>, Fault> {
    match piece.map(Raw::of) {
        None | Some(Raw::Null) => Ok(None),
        Some(Raw::Object(object)) => channel_data(object).map(Some),
        Some(Raw::Text(text)) if text.is_empty() => Ok(None),
        Some(Raw::Text(text)) => {
            let text = checked(text.as_bytes()).map_err(|_| Fault::BadChannelData)?;
            channel_data(text).map(Some)
        }
        Some(Raw::Bool(_) | Raw::Number(_) | Raw::List(_)) => Err(Fault::BadChannelData),
    }
}

fn channel_data(object: &str) -> Result<ChannelData, Fault> {
    let [user, peer] = read_object(object, &["user_id", "peer"])
        .ok()
        .flatten()
        .ok_or(Fault::BadChannelData)?;
    let user_id = match user.map(|piece| (piece, Raw::of(piece))) {
        None => None,
        Some((_, Raw::Text(text))) => Some(text.into_owned()),
        Some((_, Raw::Number(number))) => Some(decimal(number).ok_or(Fault::LongUserId)?),
        Some((word, Raw::Null | Raw::Bool(_))) => Some(word.to_owned()),
        Some((_, Raw::List(_) | Raw::Object(_))) => return Err(Fault::BadUserId),
    };
    if user_id.as_deref().is_some_and(|id| !is_user_length(id)) {
        return Err(Fault::LongUserId);
    }
    let text = compact(object);
    if text.len() > PUSHI_CHANNEL_DATA_BYTES_MAX {
        return Err(Fault::LongChannelData);
    }
    Ok(ChannelData {
        user_id,
        text: text.into_owned(),
        peer: peer.is_some_and(is_true),
    })
}

#[cfg(test)]
mod tests;
