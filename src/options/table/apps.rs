//! The options of an `[[app]]`.

use super::{DAY_MS, KIB, MANY, limit, number, row};
use crate::limits::{PUSHER_BODY_BYTES_MAX, PUSHER_CHANNEL_CHARS_MAX, WHEEL_SLOT_MS};
use crate::options::app::App;
use crate::options::opt::{Field, Opt, Slot};
use crate::options::value::Unit;

/// What stands for the section of an app.
pub(in crate::options) const SECTION: &str = "app";

/// Seconds of silence that pusher-js can bear to be told.
const ACTIVITY_S_MAX: u64 = 600;
const MIB: u64 = 1 << 20;

const fn app(name: &'static str, field: Field<App>, short: &'static str) -> Opt<App> {
    row(SECTION, name, field, short, "")
}

const fn app_more(
    name: &'static str,
    field: Field<App>,
    short: &'static str,
    long: &'static str,
) -> Opt<App> {
    row(SECTION, name, field, short, long)
}

/// All options of an app.
pub const APP_OPTIONS: &[Opt<App>] = &[
    app_more(
        "protocols",
        Field::Protocols(|a| &mut a.protocols),
        "Which protocols may use the app",
        "\"channelstream\" allows `channelstream.app` to name it. With \"pushi\" every subscriber may \
         publish to its channels, as Pushi's clients expect.",
    ),
    app_more(
        "id",
        Field::Text(|a| &mut a.id),
        "What the app is called in the paths of the HTTP API",
        "Pusher's SDK for Python accepts digits only.",
    ),
    app_more(
        "key",
        Field::Text(|a| &mut a.key),
        "What browsers call the app; it is public",
        "It holds none of / ? # : and %. For Pushi it has 64 hex digits (0-9, a-f).",
    ),
    app(
        "secret",
        Field::Secret(|a| &mut a.secret),
        "What requests, and who may join which channel, are signed with",
    ),
    app(
        "enabled",
        Field::Switch(|a| &mut a.enabled),
        "Whether the app is open; if not, clients are told so and do not come back",
    ),
    app(
        "tls_only",
        Field::Switch(|a| &mut a.tls_only),
        "Whether connections that are not encrypted are refused",
    ),
    app(
        "authorized_only",
        Field::Switch(|a| &mut a.authorized_only),
        "Whether connections end that within 30 seconds neither sign in nor join a private or \
         presence channel",
    ),
    app_more(
        "origins",
        Field::Texts(|a| &mut a.origins),
        "Origins whose pages may connect",
        "As browsers send them, such as \"https://example.com\". Empty: every origin, and programs \
         that send none.",
    ),
    app(
        "client_events",
        Field::Switch(|a| &mut a.client_events),
        "Whether sockets may send events to each other, in private and presence channels",
    ),
    app(
        "client_events_per_second",
        limit(
            Slot::U32(|a| &mut a.client_events_per_second),
            Unit::Count,
            1,
            MANY,
        ),
        "Client events one socket may send per second, and at once; beyond it they are dropped \
         with error 4301",
    ),
    app(
        "user_authentication",
        Field::Switch(|a| &mut a.user_authentication),
        "Whether sockets may sign in as a user",
    ),
    app(
        "watchlist",
        Field::Switch(|a| &mut a.watchlist),
        "Whether those who signed in are told when users they watch come and go",
    ),
    app(
        "watchlist_max",
        limit(
            Slot::Usize(|a| &mut a.watchlist_max),
            Unit::Count,
            1,
            100_000,
        ),
        "Users one socket may watch; beyond it the rest is left out with error 4302",
    ),
    app(
        "subscription_count",
        Field::Switch(|a| &mut a.subscription_count),
        "Whether sockets are told how many are in their channels",
    ),
    app(
        "activity_timeout",
        number(
            Slot::U64(|a| &mut a.activity_timeout_s),
            Unit::S,
            1,
            ACTIVITY_S_MAX,
        ),
        "Silence after which a client is to ping; after a quarter more the server does",
    ),
    app(
        "cache_time",
        number(
            Slot::U64(|a| &mut a.cache_time_ms),
            Unit::Ms,
            WHEEL_SLOT_MS,
            DAY_MS,
        ),
        "How long a cache channel remembers its last event",
    ),
    app(
        "connections",
        limit(Slot::Usize(|a| &mut a.connections), Unit::Count, 1, MANY),
        "Sockets that may be open at a time; beyond it close code 4004",
    ),
    app(
        "message_bytes",
        number(
            Slot::Usize(|a| &mut a.message_bytes),
            Unit::Bytes,
            KIB,
            256 * MIB,
        ),
        "One WebSocket message, put together; beyond it close code 1009",
    ),
    app(
        "event_bytes",
        number(
            Slot::Usize(|a| &mut a.event_bytes),
            Unit::Bytes,
            1,
            PUSHER_BODY_BYTES_MAX as u64,
        ),
        "The data of one event; beyond it 413, for client events error 4301",
    ),
    app(
        "channels_per_connection",
        limit(
            Slot::Usize(|a| &mut a.channels_per_connection),
            Unit::Count,
            1,
            MANY,
        ),
        "Channels one socket may be in; beyond it the subscription is refused",
    ),
    app(
        "channel_chars",
        number(
            Slot::Usize(|a| &mut a.channel_chars),
            Unit::Count,
            1,
            PUSHER_CHANNEL_CHARS_MAX as u64,
        ),
        "Characters of a channel's name, prefixes included",
    ),
    app(
        "channels_per_event",
        number(
            Slot::Usize(|a| &mut a.channels_per_event),
            Unit::Count,
            1,
            10_000,
        ),
        "Channels one event may go to; beyond it 400",
    ),
    app(
        "batch_events",
        number(Slot::Usize(|a| &mut a.batch_events), Unit::Count, 1, 10_000),
        "Events of one batch; beyond it 400",
    ),
    app(
        "presence_members",
        limit(
            Slot::Usize(|a| &mut a.presence_members),
            Unit::Count,
            1,
            MANY,
        ),
        "Users that may be present in one channel; beyond it the subscription is refused",
    ),
    app(
        "presence_info_bytes",
        number(
            Slot::Usize(|a| &mut a.presence_info_bytes),
            Unit::Bytes,
            1,
            PUSHER_BODY_BYTES_MAX as u64,
        ),
        "What a member may tell of itself; beyond it the subscription is refused",
    ),
    app_more(
        "webhooks",
        Field::Webhooks(|a| &mut a.webhooks),
        "Addresses that are told what happens in channels",
        "They are checked, and not called yet. Without `events` an address is told of everything.",
    ),
];
