//! The requests of the server API as types, and how they are read from bodies.
//!
//! A parser checks every field and reports all that is wrong at once. What it gives borrows from
//! the body wherever the body says it plainly; unknown fields are ignored. A field that the caller
//! may leave out and that has no fixed default is an `Option`.

use super::dates::DateTime;
pub use super::errors::BodyFault;
use super::errors::{self, Errors, Faults, Place};
use super::fields::{self, NameOf};
use super::json::{self, Slots};
use crate::limits::{CS_CHANNEL_CHARS_MAX, CS_MESSAGES_PER_REQUEST_MAX, HISTORY_MESSAGES_DEFAULT};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// Text that is borrowed from the body, unless it was written with escapes.
pub type Text<'a> = Cow<'a, str>;

/// State values by key, each as it was written: a JSON string, number, boolean or `null`. A key
/// comes once.
pub type StateMap<'a> = Vec<(Text<'a>, &'a str)>;

/// The settings of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Joined and parted frames are sent.
    pub notify_presence: bool,
    /// Presence frames carry all members with their public state.
    pub broadcast_presence_with_user_lists: bool,
    /// Frames about changes of user state are sent.
    pub notify_state: bool,
    /// Messages are kept for channel information.
    pub store_history: bool,
    /// How many of them; any number, the hub has its own bound.
    pub history_size: u64,
    /// Frames are kept for catch-up.
    pub store_frames: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notify_presence: false,
            broadcast_presence_with_user_lists: false,
            notify_state: false,
            store_history: false,
            history_size: HISTORY_MESSAGES_DEFAULT,
            store_frames: true,
        }
    }
}

/// Which channel information is wanted, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info<'a> {
    /// Otherwise histories are empty.
    pub include_history: bool,
    /// Otherwise user lists are empty.
    pub include_users: bool,
    /// Only these channels; read by `/info` alone.
    pub channels: Option<Vec<Text<'a>>>,
    /// Not these channels.
    pub exclude_channels: Option<Vec<Text<'a>>>,
    /// Has no effect.
    pub include_connections: bool,
    /// Of the users' state only what is public.
    pub return_public_state: bool,
}

impl Default for Info<'_> {
    fn default() -> Self {
        Self {
            include_history: true,
            include_users: true,
            channels: None,
            exclude_channels: None,
            include_connections: false,
            return_public_state: false,
        }
    }
}

/// Body of `POST /connect`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectBody<'a> {
    /// 1 to 512 code points.
    pub username: Text<'a>,
    /// Left out: a random one.
    pub conn_id: Option<u128>,
    /// As given, repeats kept.
    pub channels: Vec<Text<'a>>,
    /// The state of a user who is new.
    pub fresh_user_state: StateMap<'a>,
    /// What is merged into the state of any user.
    pub user_state: StateMap<'a>,
    /// Which keys of the state others may see.
    pub state_public_keys: Vec<Text<'a>>,
    /// Settings of channels that this call creates. A name comes once, of any length.
    pub channel_configs: Vec<(Text<'a>, Settings)>,
    /// What to say about the channels.
    pub info: Info<'a>,
}

/// Body of `POST /subscribe` and `POST /unsubscribe`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscribeBody<'a> {
    /// A known connection.
    pub conn_id: u128,
    /// At least one, as given.
    pub channels: Vec<Text<'a>>,
    /// As for `/connect`.
    pub channel_configs: Vec<(Text<'a>, Settings)>,
    /// What to say about the channels.
    pub info: Info<'a>,
}

/// One entry of the body of `POST /message`.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageBody<'a> {
    /// The sender, 1 to 512 code points; need not be known.
    pub user: Text<'a>,
    /// Where to, if not to users alone.
    pub channel: Option<Text<'a>>,
    /// Only these users; empty for all.
    pub pm_users: Vec<Text<'a>>,
    /// Not these users.
    pub exclude_users: Vec<Text<'a>>,
    /// Not to be kept for channel information.
    pub no_history: bool,
    /// Left out: a random one.
    pub uuid: Option<u128>,
    /// Left out: now.
    pub timestamp: Option<DateTime>,
    /// The payload, a JSON object as it was written.
    pub message: Option<Text<'a>>,
}

/// One entry of the body of `PATCH /message`.
#[derive(Debug, Clone, PartialEq)]
pub struct EditBody<'a> {
    /// Which message.
    pub uuid: u128,
    /// Where it was sent to.
    pub channel: Option<Text<'a>>,
    /// Only these users hear of it; empty for all.
    pub pm_users: Vec<Text<'a>>,
    /// These users do not.
    pub exclude_users: Vec<Text<'a>>,
    /// Echoed, no effect.
    pub no_history: bool,
    /// The new sender, if given.
    pub user: Option<Text<'a>>,
    /// The new payload, if given, a JSON object as it was written.
    pub message: Option<Text<'a>>,
    /// The new time, if given.
    pub timestamp: Option<DateTime>,
    /// Left out: now.
    pub edited: Option<DateTime>,
}

/// One entry of the body of `DELETE /message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteBody<'a> {
    /// Which message.
    pub uuid: u128,
    /// Where it was sent to.
    pub channel: Option<Text<'a>>,
    /// Only these users hear of it; empty for all.
    pub pm_users: Vec<Text<'a>>,
    /// These users do not.
    pub exclude_users: Vec<Text<'a>>,
    /// Echoed, no effect.
    pub no_history: bool,
}

/// Body of `POST /user_state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStateBody<'a> {
    /// A known user.
    pub user: Text<'a>,
    /// What is merged into the state.
    pub user_state: StateMap<'a>,
    /// The new public keys; `None` keeps what they are.
    pub state_public_keys: Option<Vec<Text<'a>>>,
}

/// Reads the body of `/connect`.
pub fn parse_connect(body: &[u8]) -> Result<ConnectBody<'_>, BodyFault> {
    const NAMES: [&str; 8] = [
        "username",
        "conn_id",
        "channels",
        "fresh_user_state",
        "user_state",
        "state_public_keys",
        "channel_configs",
        "info",
    ];
    let [
        username,
        conn_id,
        channels,
        fresh_user_state,
        user_state,
        state_public_keys,
        channel_configs,
        info,
    ] = object(body, &NAMES)?;
    let mut faults = Faults::default();
    let connect = ConnectBody {
        username: faults.take("username", required(username, user)),
        conn_id: faults.take("conn_id", optional(conn_id, fields::uuid)),
        channels: faults.take("channels", or_default(channels, channel_names)),
        fresh_user_state: faults.take("fresh_user_state", or_default(fresh_user_state, state)),
        user_state: faults.take("user_state", or_default(user_state, state)),
        state_public_keys: faults.take(
            "state_public_keys",
            or_default(state_public_keys, channel_names),
        ),
        channel_configs: faults.take("channel_configs", or_default(channel_configs, configs)),
        info: faults.take("info", or_default(info, read_info)),
    };
    faults.finish()?;
    Ok(connect)
}

/// Reads the body of `/subscribe` and `/unsubscribe`. `query_conn_id` is the query parameter
/// `conn_id`, which counts if the body has none; `is_known` says whether somebody has this id.
pub fn parse_subscribe<'a>(
    body: &'a [u8],
    query_conn_id: Option<&str>,
    is_known: impl FnOnce(u128) -> bool,
) -> Result<SubscribeBody<'a>, BodyFault> {
    const NAMES: [&str; 4] = ["conn_id", "channels", "channel_configs", "info"];
    let [conn_id, channels, channel_configs, info] = object(body, &NAMES)?;
    let conn_id = match conn_id {
        Some(json) => fields::uuid(json),
        None => query_uuid(query_conn_id),
    };
    let conn_id = conn_id.and_then(|id| {
        if is_known(id) {
            Ok(id)
        } else {
            Err(Errors::one(errors::UNKNOWN_CONNECTION))
        }
    });
    let some_channels = |json| fields::some_names(json, NameOf::Channel);
    let mut faults = Faults::default();
    let subscribe = SubscribeBody {
        conn_id: faults.take("conn_id", conn_id),
        channels: faults.take("channels", required(channels, some_channels)),
        channel_configs: faults.take("channel_configs", or_default(channel_configs, configs)),
        info: faults.take("info", or_default(info, read_info)),
    };
    faults.finish()?;
    Ok(subscribe)
}

/// Reads the body of `/info`. No body at all asks for everything.
pub fn parse_info(body: &[u8]) -> Result<Info<'_>, BodyFault> {
    if body.is_empty() {
        return Ok(Info::default());
    }
    let text = json::checked(body)?;
    let [info] = json::read_object(text, &["info"])?
        .ok_or_else(|| Errors::schema(errors::WRONG_TYPE_INFO))?;
    let mut faults = Faults::default();
    let info = faults.take("info", required(info, read_info));
    faults.finish()?;
    Ok(info)
}

/// Reads the body of `POST /disconnect`: the id of a connection, known or not.
pub fn parse_disconnect(body: &[u8]) -> Result<u128, BodyFault> {
    let [conn_id] = object(body, &["conn_id"])?;
    let conn_id = match conn_id {
        Some(json) => fields::uuid(json),
        None => query_uuid(None),
    };
    finish_disconnect(conn_id)
}

/// Reads the id of a connection for `/disconnect` by any method but POST, from the query parameter
/// `conn_id`.
pub fn parse_disconnect_query(conn_id: Option<&str>) -> Result<u128, BodyFault> {
    finish_disconnect(query_uuid(conn_id))
}

fn finish_disconnect(conn_id: Result<u128, Errors>) -> Result<u128, BodyFault> {
    let mut faults = Faults::default();
    let conn_id = faults.take("conn_id", conn_id);
    faults.finish()?;
    Ok(conn_id)
}

/// Reads the body of `POST /message`. If one message is wrong, none is given.
pub fn parse_messages(body: &[u8]) -> Result<Vec<MessageBody<'_>>, BodyFault> {
    const NAMES: [&str; 8] = [
        "user",
        "channel",
        "pm_users",
        "exclude_users",
        "no_history",
        "uuid",
        "timestamp",
        "message",
    ];
    entries(body, &NAMES, |slots, faults| {
        let [
            sender,
            channel,
            pm_users,
            exclude_users,
            no_history,
            uuid,
            timestamp,
            message,
        ] = slots;
        MessageBody {
            user: faults.take("user", required(sender, user)),
            channel: faults.take("channel", or_default(channel, channel_or_null)),
            pm_users: faults.take("pm_users", or_default(pm_users, user_names)),
            exclude_users: faults.take("exclude_users", or_default(exclude_users, user_names)),
            no_history: faults.take("no_history", or_default(no_history, fields::boolean)),
            uuid: faults.take("uuid", optional(uuid, fields::uuid)),
            timestamp: faults.take("timestamp", optional(timestamp, fields::date_time)),
            message: faults
                .take("message", optional(message, fields::payload))
                .map(Text::Borrowed),
        }
    })
}

/// Reads the body of `PATCH /message`. If one entry is wrong, none is given.
pub fn parse_edits(body: &[u8]) -> Result<Vec<EditBody<'_>>, BodyFault> {
    const NAMES: [&str; 9] = [
        "uuid",
        "channel",
        "pm_users",
        "exclude_users",
        "no_history",
        "user",
        "message",
        "timestamp",
        "edited",
    ];
    entries(body, &NAMES, |slots, faults| {
        let [
            uuid,
            channel,
            pm_users,
            exclude_users,
            no_history,
            sender,
            message,
            timestamp,
            edited,
        ] = slots;
        EditBody {
            uuid: faults.take("uuid", required(uuid, fields::uuid)),
            channel: faults.take("channel", or_default(channel, channel_or_null)),
            pm_users: faults.take("pm_users", or_default(pm_users, user_names)),
            exclude_users: faults.take("exclude_users", or_default(exclude_users, user_names)),
            no_history: faults.take("no_history", or_default(no_history, fields::boolean)),
            user: faults.take("user", optional(sender, user)),
            message: faults
                .take("message", optional(message, fields::payload))
                .map(Text::Borrowed),
            timestamp: faults.take("timestamp", optional(timestamp, fields::date_time)),
            edited: faults.take("edited", optional(edited, fields::date_time)),
        }
    })
}

/// Reads the body of `DELETE /message`. If one entry is wrong, none is given.
pub fn parse_deletes(body: &[u8]) -> Result<Vec<DeleteBody<'_>>, BodyFault> {
    const NAMES: [&str; 5] = ["uuid", "channel", "pm_users", "exclude_users", "no_history"];
    entries(body, &NAMES, |slots, faults| {
        let [uuid, channel, pm_users, exclude_users, no_history] = slots;
        DeleteBody {
            uuid: faults.take("uuid", required(uuid, fields::uuid)),
            channel: faults.take("channel", or_default(channel, channel_or_null)),
            pm_users: faults.take("pm_users", or_default(pm_users, user_names)),
            exclude_users: faults.take("exclude_users", or_default(exclude_users, user_names)),
            no_history: faults.take("no_history", or_default(no_history, fields::boolean)),
        }
    })
}

/// Reads the body of `/user_state`; `is_known` says whether there is a user of this name.
pub fn parse_user_state<'a>(
    body: &'a [u8],
    is_known: impl FnOnce(&str) -> bool,
) -> Result<UserStateBody<'a>, BodyFault> {
    const NAMES: [&str; 3] = ["user", "user_state", "state_public_keys"];
    let [user, user_state, state_public_keys] = object(body, &NAMES)?;
    let known_user = |json| {
        let name = fields::text(json)?;
        // Both checks are made, and both complaints listed.
        let mut messages: Vec<_> = NameOf::User.check(&name).err().into_iter().collect();
        if !is_known(&name) {
            messages.push(errors::UNKNOWN_USER);
        }
        if messages.is_empty() {
            Ok(name)
        } else {
            Err(Errors::Messages(messages))
        }
    };
    let keys_or_null = |json| {
        if json::is_null(json) {
            return Ok(None);
        }
        channel_names(json).map(Some)
    };
    let mut faults = Faults::default();
    let user_state = UserStateBody {
        user: faults.take("user", required(user, known_user)),
        user_state: faults.take("user_state", or_default(user_state, state)),
        state_public_keys: faults.take(
            "state_public_keys",
            or_default(state_public_keys, keys_or_null),
        ),
    };
    faults.finish()?;
    Ok(user_state)
}

/// Reads the body of `/channel_config`: settings by channel name, each name once. A name may be
/// empty, but no longer than in other requests: what is kept under it could not be asked for.
/// The complaints are those of the first channel that is wrong, and do not name it.
pub fn parse_channel_config(body: &[u8]) -> Result<Vec<(Text<'_>, Settings)>, BodyFault> {
    let text = json::checked(body)?;
    // Reads the grammar of the whole body before anything in it is looked at.
    let [] = json::read_object(text, &[])?.ok_or_else(|| Errors::schema(errors::WRONG_TYPE))?;
    let mut configs = Vec::new();
    for (name, json) in fields::members(text).map_err(schema_of)? {
        if name.chars().count() > CS_CHANNEL_CHARS_MAX {
            return Err(Errors::schema(errors::LONG_NAME).into());
        }
        let settings = if json::is_null(json) {
            Settings::default()
        } else {
            read_settings(json)?
        };
        configs.push((name, settings));
    }
    Ok(configs)
}

/// A complaint about a body as a whole.
fn schema_of(errors: Errors) -> Errors {
    Errors::Parts(vec![(Place::Field("_schema"), errors)])
}

/// The fields of these names of a body that must be an object.
fn object<'a, const N: usize>(
    body: &'a [u8],
    names: &[&str; N],
) -> Result<Slots<'a, N>, BodyFault> {
    let text = json::checked(body)?;
    let slots = json::read_object(text, names)?;
    slots.ok_or_else(|| Errors::schema(errors::WRONG_TYPE).into())
}

/// The entries of a body that must be a list of objects. An entry that is none is complained about
/// at its index, with the words that a body of the wrong type would get.
fn entries<'a, const N: usize, T>(
    body: &'a [u8],
    names: &[&str; N],
    mut read: impl FnMut(Slots<'a, N>, &mut Faults) -> T,
) -> Result<Vec<T>, BodyFault> {
    let text = json::checked(body)?;
    let mut values = Vec::new();
    let mut faults = Faults::default();
    let mut index = 0;
    let list = json::read_list(text, names, |slots| {
        // Nothing would be done with more of them, nor would more faults be told: neither is worth
        // anybody's time.
        if index == CS_MESSAGES_PER_REQUEST_MAX || faults.is_full() {
            index += 1;
            return ControlFlow::Break(());
        }
        let entry = slots
            .ok_or_else(|| Errors::schema(errors::WRONG_TYPE))
            .and_then(|slots| {
                let mut faults = Faults::default();
                let value = read(slots, &mut faults);
                faults.finish().map(|()| value)
            });
        match entry {
            Ok(value) if faults.is_empty() => values.push(value),
            Ok(_) => {}
            Err(errors) => faults.push(|| Place::Index(index), errors),
        }
        index += 1;
        ControlFlow::Continue(())
    });
    if index > CS_MESSAGES_PER_REQUEST_MAX {
        return Err(Errors::schema(errors::TOO_MANY).into());
    }
    if !faults.is_full() {
        list?.ok_or_else(|| Errors::schema(errors::WRONG_TYPE))?;
    }
    faults.finish()?;
    Ok(values)
}

/// A field that must be there.
fn required<'a, T>(
    slot: Option<&'a str>,
    read: impl FnOnce(&'a str) -> Result<T, Errors>,
) -> Result<T, Errors> {
    slot.map_or_else(|| Err(Errors::one(errors::MISSING)), read)
}

/// A field that may be left out.
fn optional<'a, T>(
    slot: Option<&'a str>,
    read: impl FnOnce(&'a str) -> Result<T, Errors>,
) -> Result<Option<T>, Errors> {
    slot.map(read).transpose()
}

/// A field that may be left out and then has its type's default.
fn or_default<'a, T: Default>(
    slot: Option<&'a str>,
    read: impl FnOnce(&'a str) -> Result<T, Errors>,
) -> Result<T, Errors> {
    slot.map_or_else(|| Ok(T::default()), read)
}

/// An id from a query parameter, with the words that a field of a body would get.
fn query_uuid(text: Option<&str>) -> Result<u128, Errors> {
    let text = text.ok_or_else(|| Errors::one(errors::NULL))?;
    fields::parse_uuid(text).ok_or_else(|| Errors::one(errors::NO_UUID))
}

fn user(json: &str) -> Result<Text<'_>, Errors> {
    fields::name(json, NameOf::User)
}

fn user_names(json: &str) -> Result<Vec<Text<'_>>, Errors> {
    fields::names(json, NameOf::User)
}

fn channel_names(json: &str) -> Result<Vec<Text<'_>>, Errors> {
    fields::names(json, NameOf::Channel)
}

fn channel_or_null(json: &str) -> Result<Option<Text<'_>>, Errors> {
    if json::is_null(json) {
        return Ok(None);
    }
    fields::name(json, NameOf::Channel).map(Some)
}

fn state(json: &str) -> Result<StateMap<'_>, Errors> {
    fields::mapping(json, fields::state_value)
}

fn configs(json: &str) -> Result<Vec<(Text<'_>, Settings)>, Errors> {
    fields::mapping(json, read_settings)
}

/// The fields of these names of a structure inside a body.
fn structure<'a, const N: usize>(json: &'a str, names: &[&str; N]) -> Result<Slots<'a, N>, Errors> {
    if json::is_null(json) {
        return Err(Errors::one(errors::NULL));
    }
    match json::read_object(json, names) {
        Ok(Some(slots)) => Ok(slots),
        // The body was checked, so it can only be of another type.
        Ok(None) | Err(_) => Err(Errors::schema(errors::WRONG_TYPE)),
    }
}

/// A channel's settings; those left out have their defaults.
fn read_settings(json: &str) -> Result<Settings, Errors> {
    const NAMES: [&str; 6] = [
        "notify_presence",
        "broadcast_presence_with_user_lists",
        "notify_state",
        "store_history",
        "history_size",
        "store_frames",
    ];
    let [presence, lists, state, history, size, frames] = structure(json, &NAMES)?;
    let or = |slot: Option<&str>, default| slot.map_or(Ok(default), fields::boolean);
    let default = Settings::default();
    let mut faults = Faults::default();
    let settings = Settings {
        notify_presence: faults.take("notify_presence", or(presence, default.notify_presence)),
        broadcast_presence_with_user_lists: faults.take(
            "broadcast_presence_with_user_lists",
            or(lists, default.broadcast_presence_with_user_lists),
        ),
        notify_state: faults.take("notify_state", or(state, default.notify_state)),
        store_history: faults.take("store_history", or(history, default.store_history)),
        history_size: faults.take(
            "history_size",
            size.map_or(Ok(default.history_size), fields::count),
        ),
        store_frames: faults.take("store_frames", or(frames, default.store_frames)),
    };
    faults.finish()?;
    Ok(settings)
}

/// What channel information is wanted.
fn read_info(json: &str) -> Result<Info<'_>, Errors> {
    const NAMES: [&str; 6] = [
        "include_history",
        "include_users",
        "channels",
        "exclude_channels",
        "include_connections",
        "return_public_state",
    ];
    let [history, users, channels, excluded, connections, public] = structure(json, &NAMES)?;
    let or = |slot: Option<&str>, default| slot.map_or(Ok(default), fields::boolean);
    let mut faults = Faults::default();
    let info = Info {
        include_history: faults.take("include_history", or(history, true)),
        include_users: faults.take("include_users", or(users, true)),
        channels: faults.take("channels", optional(channels, channel_names)),
        exclude_channels: faults.take("exclude_channels", optional(excluded, channel_names)),
        include_connections: faults.take("include_connections", or(connections, false)),
        return_public_state: faults.take("return_public_state", or(public, false)),
    };
    faults.finish()?;
    Ok(info)
}

#[cfg(test)]
mod tests;
