//! What applications post: events, one at a time or several.
//!
//! A body is read and checked whole before anything of it is done.

use super::config::App;
use super::names::{
    Access, Kind, is_channel, is_event_for_api, is_socket_id, parse_socket_id, server_to_user,
};
use super::words::Data;
use crate::dialect::json::{Raw, Slots, checked, each_entry, is_null, read_list, read_object};
use crate::transport::http::query::pairs;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// 400, or 413 for an event that is too large.
    pub status: u16,
    /// For humans.
    pub message: Cow<'static, str>,
}

impl Fault {
    fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: 400,
            message: message.into(),
        }
    }
}

/// Which attributes of channels the answer is to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// How many users are present.
    pub user_count: bool,
    /// How many sockets subscribe.
    pub subscription_count: bool,
    /// The event that a cache channel keeps.
    pub cache: bool,
}

impl Wants {
    /// Names with commas between them. Names of nothing are passed over.
    pub fn of(info: &str) -> Self {
        let mut wants = Self::default();
        wants.add(info);
        wants
    }

    /// What the parameter `info` of a query asks for, as one value or as a list.
    pub fn in_query(query: &str) -> Self {
        let mut wants = Self::default();
        for (name, value) in pairs(query) {
            let name = name.split_once('[').map_or(&*name, |(name, _)| name);
            if name.eq_ignore_ascii_case("info") {
                wants.add(&value);
            }
        }
        wants
    }

    fn add(&mut self, info: &str) {
        for name in info.split(',') {
            match name.trim() {
                "user_count" => self.user_count = true,
                "subscription_count" => self.subscription_count = true,
                "cache" => self.cache = true,
                _ => {}
            }
        }
    }

    /// Whether anything is asked for.
    pub fn is_any(self) -> bool {
        self.user_count || self.subscription_count || self.cache
    }
}

/// One event, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Its name, not one of the server's own.
    pub name: Cow<'a, str>,
    /// What it carries, as it was posted; other values than texts as compact JSON.
    pub data: Cow<'a, str>,
    /// Where it goes: at least one channel, each once, in order. Channels of single users
    /// (`#server-to-user-…`) are among them.
    pub channels: Vec<Cow<'a, str>>,
    /// The socket that is left out, as [`parse_socket_id`] reads it; `None` too if the id is that
    /// of a socket elsewhere.
    pub socket_id: Option<u128>,
    /// What the answer is to tell of the channels.
    pub info: Wants,
}

const NOT_JSON: &str = "the body must be a JSON object";

/// Reads the body of `POST /apps/{id}/events`.
///
/// # Errors
/// The first thing that is wrong.
pub fn event<'a>(body: &'a [u8], app: &App) -> Result<NewEvent<'a>, Fault> {
    let names = ["name", "data", "socket_id", "info", "channel", "channels"];
    let [name, data, socket_id, info, channel, channels] = object(body, &names)?;
    let to = match channels.filter(|channels| !is_null(channels)) {
        Some(list) => many_channels(list, app)?,
        None => vec![one_channel(channel, app)?],
    };
    new_event([name, data, socket_id, info], to, app)
}

/// Reads the body of `POST /apps/{id}/batch_events`: events that go to one channel each.
///
/// # Errors
/// The first thing that is wrong; in an event it refuses all of them, and says which it was.
pub fn batch<'a>(body: &'a [u8], app: &App) -> Result<Vec<NewEvent<'a>>, Fault> {
    const NO_LIST: &str = "batch must be a list of events";
    let [list] = object(body, &["batch"])?;
    let list = list.ok_or_else(|| Fault::bad(NO_LIST))?;
    let names = ["name", "data", "socket_id", "info", "channel"];
    let mut events = Vec::new();
    let mut fault = None;
    let whole = read_list(list, &names, |slots| {
        let at = events.len();
        let read = if at == app.batch_events {
            let most = app.batch_events;
            Err(Fault::bad(format!("a batch has at most {most} events")))
        } else {
            batched(slots, app).map_err(|fault| Fault {
                message: format!("batch[{at}]: {}", fault.message).into(),
                ..fault
            })
        };
        match read {
            Ok(event) => events.push(event),
            Err(wrong) => fault = Some(wrong),
        }
        match fault {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    });
    match (fault, whole) {
        (Some(fault), _) => Err(fault),
        (None, Ok(Some(()))) => Ok(events),
        (None, Ok(None) | Err(_)) => Err(Fault::bad(NO_LIST)),
    }
}

/// One entry of a batch.
fn batched<'a>(slots: Option<Slots<'a, 5>>, app: &App) -> Result<NewEvent<'a>, Fault> {
    let [name, data, socket_id, info, channel] =
        slots.ok_or_else(|| Fault::bad("an event must be an object"))?;
    let to = vec![one_channel(channel, app)?];
    new_event([name, data, socket_id, info], to, app)
}

/// The fields of a body.
fn object<'a, const N: usize>(body: &'a [u8], names: &[&str; N]) -> Result<Slots<'a, N>, Fault> {
    let slots = checked(body).and_then(|text| read_object(text, names));
    slots.ok().flatten().ok_or_else(|| Fault::bad(NOT_JSON))
}

/// The rest of an event that goes to these channels.
fn new_event<'a>(
    [name, data, socket_id, info]: Slots<'a, 4>,
    channels: Vec<Cow<'a, str>>,
    app: &App,
) -> Result<NewEvent<'a>, Fault> {
    let name = text(name, "name must be a text")?;
    is_event_for_api(&name).map_err(Fault::bad)?;
    let data = data.ok_or_else(|| Fault::bad("data is missing"))?;
    let data = Data::of(data).into_text();
    if data.len() > app.event_bytes {
        let (length, most) = (data.len(), app.event_bytes);
        return Err(Fault {
            status: 413,
            message: format!("data has {length} bytes, more than the {most} that are allowed")
                .into(),
        });
    }
    let socket_id = match some(socket_id) {
        None => None,
        Some(id) => {
            let id = text(Some(id), "socket_id must be a text")?;
            if !is_socket_id(&id) {
                return Err(Fault::bad(
                    "socket_id must be two numbers with a dot between",
                ));
            }
            parse_socket_id(&id)
        }
    };
    let info = match some(info) {
        None => Wants::default(),
        Some(info) => Wants::of(&text(Some(info), "info must be a text")?),
    };
    Ok(NewEvent {
        name,
        data,
        channels,
        socket_id,
        info,
    })
}

/// A field that is not `null`.
fn some(field: Option<&str>) -> Option<&str> {
    field.filter(|field| !is_null(field))
}

/// A field that must be a text.
fn text<'a>(field: Option<&'a str>, otherwise: &'static str) -> Result<Cow<'a, str>, Fault> {
    match field.map(Raw::of) {
        Some(Raw::Text(text)) => Ok(text),
        None | Some(Raw::Null | Raw::Bool(_) | Raw::Number(_) | Raw::List(_) | Raw::Object(_)) => {
            Err(Fault::bad(otherwise))
        }
    }
}

/// A channel that may be published to.
fn one_channel<'a>(field: Option<&'a str>, app: &App) -> Result<Cow<'a, str>, Fault> {
    let name = text(field, "the name of a channel must be a text")?;
    if is_channel(&name, app.channel_chars) || server_to_user(&name).is_some() {
        Ok(name)
    } else {
        // A name may be as long as the body; its beginning is enough to find it.
        let shown: String = name.chars().take(40).collect();
        Err(Fault::bad(format!(
            "{shown:?} is not the name of a channel"
        )))
    }
}

/// The channels of one event.
fn many_channels<'a>(list: &'a str, app: &App) -> Result<Vec<Cow<'a, str>>, Fault> {
    let most = app.channels_per_event;
    let mut count = 0;
    let mut seen = BTreeSet::new();
    let mut channels = Vec::new();
    let mut fault = None;
    let whole = each_entry(list, |entry| {
        count += 1;
        if count > most || fault.is_some() {
            return;
        }
        match one_channel(Some(entry), app) {
            Ok(name) => {
                if seen.insert(name.clone()) {
                    channels.push(name);
                }
            }
            Err(wrong) => fault = Some(wrong),
        }
    });
    if !matches!(whole, Ok(Some(()))) {
        return Err(Fault::bad("channels must be a list of names"));
    }
    if count == 0 {
        return Err(Fault::bad("channels must not be empty"));
    }
    if count > most {
        return Err(Fault::bad(format!(
            "an event goes to at most {most} channels"
        )));
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    // What is encrypted for one channel is nothing to another.
    let is_encrypted = |name: &Cow<'_, str>| Kind::of(name).access == Access::Encrypted;
    if channels.len() > 1 && channels.iter().any(is_encrypted) {
        return Err(Fault::bad(
            "an event for an encrypted channel goes to that channel only",
        ));
    }
    Ok(channels)
}

#[cfg(test)]
mod tests;
