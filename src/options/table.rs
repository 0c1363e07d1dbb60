//! Every option there is, but for those of apps ([`apps`]): the one list behind the reader, the names in the environment, the dump
//! and the documentation. The order is that of the dump; options of a section stand together.

pub(super) mod apps;

use super::config::Config;
use super::opt::{Field, Opt, Slot};
use super::value::Unit;
use crate::limits::{BUSY_POLL_MS_MAX, HTTP_HEADERS_MAX, READ_BUFFER_BYTES, WHEEL_SLOT_MS};

const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;
const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// More than anybody has, and small enough to be multiplied.
const MANY: u64 = 1_000_000_000;

const fn row<R>(
    section: &'static str,
    name: &'static str,
    field: Field<R>,
    short: &'static str,
    long: &'static str,
) -> Opt<R> {
    Opt {
        section,
        name,
        short,
        long,
        field,
    }
}

const fn number<R>(at: Slot<R>, unit: Unit, least: u64, most: u64) -> Field<R> {
    Field::Number {
        at,
        unit,
        least,
        most,
        none: false,
    }
}

/// A limit that can be taken away.
const fn limit<R>(at: Slot<R>, unit: Unit, least: u64, most: u64) -> Field<R> {
    Field::Number {
        at,
        unit,
        least,
        most,
        none: true,
    }
}

/// A time: from one slot of the wheel to a day.
const fn time(at: fn(&mut Config) -> &mut u64) -> Field<Config> {
    number(Slot::U64(at), Unit::Ms, WHEEL_SLOT_MS, DAY_MS)
}

/// All options.
pub const OPTIONS: &[Opt] = &[
    row(
        "",
        "listen",
        Field::Listen(|c| &mut c.listen),
        "Addresses to listen on; each serves every protocol",
        "\"127.0.0.1:8000\" and \"[::1]:8000\" are TCP, \"tls:0.0.0.0:8443\" is TCP with TLS, \
         \"unix:/run/fanwire.sock\" is a Unix socket. `--listen` replaces the list.",
    ),
    row(
        "",
        "trusted_proxies",
        Field::Peers(|c| &mut c.trusted_proxies),
        "Peers whose X-Forwarded-*, X-Scheme and X-Script-Name headers are believed",
        "Addresses, no networks; \"unix\" is a peer on a Unix socket.",
    ),
    row(
        "",
        "log",
        Field::Level(|c| &mut c.log),
        "The least severe level that is logged",
        "Text on a terminal, JSON lines otherwise; to standard error.",
    ),
    row(
        "",
        "busy_poll",
        number(
            Slot::U64(|c| &mut c.busy_poll_ms),
            Unit::Ms,
            0,
            BUSY_POLL_MS_MAX,
        ),
        "How long the loop and the store look for more to do before they sleep",
        "Takes up to a core each while anything happens, and spares what it takes to wake them: \
         tens of microseconds on a virtual machine. 0s: they sleep at once. A change needs a restart.",
    ),
    row(
        "tls",
        "cert",
        Field::Path(|c| &mut c.tls.cert),
        "PEM file with the certificate chain for `tls:` listeners",
        "The server's own certificate comes first. Paths start at the working directory.",
    ),
    row(
        "tls",
        "key",
        Field::Path(|c| &mut c.tls.key),
        "PEM file with the private key for `tls:` listeners",
        "",
    ),
    row(
        "tls",
        "listeners",
        Field::TlsListeners(|c| &mut c.tls.listeners),
        "Certificates of `tls:` listeners that show another one than that",
        "Each names its address as in `listen`; without an entry an address shows `cert`.",
    ),
    row(
        "store",
        "path",
        Field::Path(|c| &mut c.store.path),
        "The database file with stored apps, events, subscriptions and more",
        "Its log and two small files lie beside it. Empty: all is kept in memory, and gone after a \
         restart. Paths start at the working directory. A change needs a restart, as for the whole \
         section.",
    ),
    row(
        "store",
        "durability",
        Field::Durability(|c| &mut c.store.durability),
        "When something counts as stored",
        "\"synced\": once it is on disk. \"relaxed\": at once; the disk has it within about a second, \
         and what came in between is lost if the machine fails.",
    ),
    row(
        "store",
        "max_age",
        limit(
            Slot::U64(|c| &mut c.store.max_age_s),
            Unit::S,
            60,
            100 * 365 * 24 * 60 * 60,
        ),
        "How old stored events may become",
        "",
    ),
    row(
        "store",
        "max_bytes",
        limit(
            Slot::U64(|c| &mut c.store.max_bytes),
            Unit::Bytes,
            1 << 20,
            1024 * TIB,
        ),
        "Bytes that the stored events of one app may take; beyond it the oldest are removed",
        "",
    ),
    row(
        "channelstream",
        "enabled",
        Field::Switch(|c| &mut c.channelstream.enabled),
        "Whether Channelstream is served",
        "",
    ),
    row(
        "channelstream",
        "secret",
        Field::Secret(|c| &mut c.channelstream.secret),
        "The secret that requests of the web application are signed with",
        "The default is Channelstream's own and known to everybody.",
    ),
    row(
        "channelstream",
        "admin_user",
        Field::Text(|c| &mut c.channelstream.admin_user),
        "Login name of the admin pages, where [admin] has no password",
        "",
    ),
    row(
        "channelstream",
        "admin_secret",
        Field::Secret(|c| &mut c.channelstream.admin_secret),
        "Password of the admin pages, where [admin] has none",
        "The default is Channelstream's own and known to everybody.",
    ),
    row(
        "channelstream",
        "cookie_secret",
        Field::Secret(|c| &mut c.channelstream.cookie_secret),
        "Key of the login cookie",
        "Empty: a random one at each start, so that a restart ends logins.",
    ),
    row(
        "channelstream",
        "allow_posting_from",
        Field::Peers(|c| &mut c.channelstream.allow_posting_from),
        "Peers that may send signed requests",
        "Addresses, no networks; \"0.0.0.0\" is anyone, \"unix\" a peer on a Unix socket. Empty: \
         nobody.",
    ),
    row(
        "channelstream",
        "allow_cors",
        Field::Texts(|c| &mut c.channelstream.allow_cors),
        "Origins whose pages may read answers",
        "A host stands for itself and its subdomains, an entry with a scheme for exactly that \
         origin. Empty: every origin.",
    ),
    row(
        "channelstream",
        "validate_requests",
        Field::Switch(|c| &mut c.channelstream.validate_requests),
        "Whether the age of a signature is checked",
        "With false, a signed string that somebody overheard is good for ever.",
    ),
    row(
        "channelstream",
        "enforce_https",
        Field::Switch(|c| &mut c.channelstream.enforce_https),
        "Whether requests that are not https are refused",
        "What a trusted proxy says about the scheme counts.",
    ),
    row(
        "channelstream",
        "http_scheme",
        Field::Scheme(|c| &mut c.channelstream.http_scheme),
        "Forces the scheme of generated links",
        "",
    ),
    row(
        "channelstream",
        "app",
        Field::Text(|c| &mut c.channelstream.app),
        "The id of the app whose channels it shares with other protocols",
        "Its `protocols` must have \"channelstream\". Empty: an app of its own, so that nobody else \
         sees its channels. A change needs a restart.",
    ),
    row(
        "channelstream",
        "persist",
        Field::Switch(|c| &mut c.channelstream.persist),
        "Whether history, settings of channels, users and their state survive a restart",
        "Then a request is answered once what it changed is stored. A change needs a restart.",
    ),
    row(
        "pushi",
        "enabled",
        Field::Switch(|c| &mut c.pushi.enabled),
        "Whether Pushi is served, to the apps that allow it and those in the store",
        "",
    ),
    row(
        "pushi",
        "open_registration",
        Field::Switch(|c| &mut c.pushi.open_registration),
        "Whether anybody may make an app with POST /apps, as in Pushi itself",
        "With false apps are made with `fanwire app add`.",
    ),
    row(
        "pushi",
        "app_key_routes",
        Field::Switch(|c| &mut c.pushi.app_key_routes),
        "Whether the routes for browser push take `app_key` instead of a session",
        "Browser clients of Pushi 0.4 need it. The key is public, so anybody can register a browser \
         for public channels, and remove one whose address is known.",
    ),
    row(
        "pushi",
        "origins",
        Field::Texts(|c| &mut c.pushi.origins),
        "Origins whose pages may log in and use the cookie of the session",
        "As browsers send them, such as \"https://example.com\". Pages of other origins may read \
         answers, but the cookie is not sent along.",
    ),
    row(
        "pushi",
        "registrations_per_minute",
        limit(
            Slot::U32(|c| &mut c.pushi.registrations_per_minute),
            Unit::Count,
            1,
            MANY,
        ),
        "Apps that one address may make per minute, where anybody may",
        "",
    ),
    row(
        "pusher",
        "enabled",
        Field::Switch(|c| &mut c.pusher.enabled),
        "Whether Pusher is served, to the apps that allow it",
        "",
    ),
    row(
        "pusher",
        "path_prefix",
        Field::Text(|c| &mut c.pusher.path_prefix),
        "What stands in front of Pusher's paths, such as \"/ws\"",
        "What pusher-js calls wsPath. It is no part of what is signed.",
    ),
    row(
        "deliveries",
        "allow_private_networks",
        Field::Switch(|c| &mut c.deliveries.allow_private_networks),
        "Whether webhooks may go to loopback and private addresses",
        "This section is checked and not used yet.",
    ),
    row(
        "deliveries",
        "timeout",
        number(
            Slot::U64(|c| &mut c.deliveries.timeout_ms),
            Unit::Ms,
            WHEEL_SLOT_MS,
            HOUR_MS,
        ),
        "How long one attempt to deliver may take",
        "",
    ),
    row(
        "deliveries",
        "attempts",
        number(
            Slot::U32(|c| &mut c.deliveries.attempts),
            Unit::Count,
            1,
            1000,
        ),
        "How often a delivery is tried",
        "",
    ),
    row(
        "deliveries",
        "enabled",
        Field::Switch(|c| &mut c.deliveries.enabled),
        "Whether events go to the addresses that are registered for them",
        "",
    ),
    row(
        "deliveries",
        "web_push_ttl",
        number(
            Slot::U64(|c| &mut c.deliveries.web_push_ttl_s),
            Unit::S,
            0,
            365 * 24 * 60 * 60,
        ),
        "How long a push service may keep a message for a browser that is away",
        "",
    ),
    row(
        "deliveries",
        "smtp_url",
        Field::Secret(|c| &mut c.deliveries.smtp_url),
        "The mail server of apps that name none",
        "smtp://user:password@host:port?sender=address; smtps:// means STARTTLS.",
    ),
    row(
        "limits",
        "connections",
        number(
            Slot::Usize(|c| &mut c.limits.connections),
            Unit::Count,
            0,
            MANY,
        ),
        "Open connections; beyond it accepting pauses",
        "0: as many as the descriptor limit leaves.",
    ),
    row(
        "limits",
        "connections_per_address",
        number(
            Slot::Usize(|c| &mut c.limits.connections_per_address),
            Unit::Count,
            0,
            MANY,
        ),
        "Open connections per peer address; beyond it 429, or over TLS a close without a word",
        "0: not counted. 1000 is a good start where no proxy stands in front.",
    ),
    row(
        "limits",
        "head_bytes",
        number(
            Slot::Usize(|c| &mut c.limits.head_bytes),
            Unit::Bytes,
            256,
            READ_BUFFER_BYTES as u64,
        ),
        "Request line and headers of one request; beyond it 431",
        "",
    ),
    row(
        "limits",
        "head_count",
        number(
            Slot::Usize(|c| &mut c.limits.head_count),
            Unit::Count,
            8,
            HTTP_HEADERS_MAX as u64,
        ),
        "Headers of one request; beyond it 431",
        "",
    ),
    row(
        "limits",
        "target_bytes",
        number(
            Slot::Usize(|c| &mut c.limits.target_bytes),
            Unit::Bytes,
            64,
            READ_BUFFER_BYTES as u64,
        ),
        "The target of one request; beyond it 414",
        "",
    ),
    row(
        "limits",
        "body_bytes",
        limit(
            Slot::Usize(|c| &mut c.limits.body_bytes),
            Unit::Bytes,
            1,
            TIB,
        ),
        "The body of one request; beyond it 413",
        "Paths that need none, or only an id, take 16KiB at most.",
    ),
    row(
        "limits",
        "message_bytes",
        limit(
            Slot::Usize(|c| &mut c.limits.message_bytes),
            Unit::Bytes,
            1,
            TIB,
        ),
        "One WebSocket message, put together; beyond it close code 1009",
        "",
    ),
    row(
        "limits",
        "message_fragments",
        limit(
            Slot::U32(|c| &mut c.limits.message_fragments),
            Unit::Count,
            1,
            MANY,
        ),
        "Fragments of one WebSocket message, empty ones counted; beyond it close code 1009",
        "",
    ),
    row(
        "limits",
        "control_frames_per_second",
        limit(
            Slot::U32(|c| &mut c.limits.control_frames_per_second),
            Unit::Count,
            1,
            MANY,
        ),
        "Pings a WebSocket peer may send per second; beyond it close code 1008",
        "",
    ),
    row(
        "limits",
        "messages_per_second",
        limit(
            Slot::U32(|c| &mut c.limits.messages_per_second),
            Unit::Count,
            1,
            MANY,
        ),
        "Messages a WebSocket client may send per second, twice as many at once",
        "Never counted for requests of the web application.",
    ),
    row(
        "limits",
        "channels_per_subscriber",
        limit(
            Slot::Usize(|c| &mut c.limits.channels_per_subscriber),
            Unit::Count,
            1,
            MANY,
        ),
        "Channels one subscriber may be in; beyond it the request is refused",
        "",
    ),
    row(
        "limits",
        "members_per_channel",
        limit(
            Slot::Usize(|c| &mut c.limits.members_per_channel),
            Unit::Count,
            1,
            MANY,
        ),
        "Members listed per channel; counting goes on",
        "",
    ),
    row(
        "limits",
        "history_messages",
        limit(
            Slot::Usize(|c| &mut c.limits.history_messages),
            Unit::Count,
            0,
            MANY,
        ),
        "Messages a channel's history keeps, whatever its own setting says",
        "",
    ),
    row(
        "limits",
        "history_bytes",
        limit(
            Slot::Usize(|c| &mut c.limits.history_bytes),
            Unit::Bytes,
            0,
            TIB,
        ),
        "Bytes a channel's history keeps; beyond it the oldest is forgotten",
        "",
    ),
    row(
        "limits",
        "out_queue_bytes",
        limit(
            Slot::Usize(|c| &mut c.limits.out_queue_bytes),
            Unit::Bytes,
            4 * KIB,
            TIB,
        ),
        "Bytes a peer may leave unread; beyond it the connection is closed as a slow consumer",
        "Judged after each write; what one turn publishes may be eight times as much before it. One \
         message larger than that still goes into an empty queue.",
    ),
    row(
        "timeouts",
        "tls_handshake",
        time(|c| &mut c.timeouts.tls_handshake_ms),
        "A TLS handshake must be over by then",
        "",
    ),
    row(
        "timeouts",
        "head",
        time(|c| &mut c.timeouts.head_ms),
        "A request head must be whole by then, however it trickles; then 408",
        "",
    ),
    row(
        "timeouts",
        "body_stall",
        time(|c| &mut c.timeouts.body_stall_ms),
        "How long a request body may stand still; then 408",
        "",
    ),
    row(
        "timeouts",
        "idle",
        time(|c| &mut c.timeouts.idle_ms),
        "How long a connection may idle between requests",
        "Make it longer than a proxy in front keeps idle connections, or it meets closed ones.",
    ),
    row(
        "timeouts",
        "write_stall",
        time(|c| &mut c.timeouts.write_stall_ms),
        "Without progress in writing for this long, a peer is a slow consumer",
        "",
    ),
    row(
        "timeouts",
        "websocket_ping",
        time(|c| &mut c.timeouts.websocket_ping_ms),
        "After silence of this length the server pings a WebSocket",
        "",
    ),
    row(
        "timeouts",
        "websocket_pong",
        time(|c| &mut c.timeouts.websocket_pong_ms),
        "How long such a ping waits for any byte",
        "",
    ),
    row(
        "timeouts",
        "websocket_close",
        time(|c| &mut c.timeouts.websocket_close_ms),
        "How long a Close of ours waits for theirs",
        "",
    ),
    row(
        "timeouts",
        "channelstream_heartbeat",
        time(|c| &mut c.timeouts.channelstream_heartbeat_ms),
        "Channelstream: an empty frame is sent on every open socket this often",
        "",
    ),
    row(
        "timeouts",
        "channelstream_expire",
        time(|c| &mut c.timeouts.channelstream_expire_ms),
        "Channelstream: a connection without socket expires this long after its last activity",
        "",
    ),
    row(
        "timeouts",
        "channelstream_return",
        time(|c| &mut c.timeouts.channelstream_return_ms),
        "Channelstream: how long a connection whose socket closed may take to come back",
        "",
    ),
    row(
        "timeouts",
        "channelstream_poll",
        time(|c| &mut c.timeouts.channelstream_poll_ms),
        "Channelstream: a poll without news is answered after this long",
        "",
    ),
    row(
        "timeouts",
        "channelstream_poll_gather",
        time(|c| &mut c.timeouts.channelstream_poll_gather_ms),
        "Channelstream: a poll with news is answered once nothing more has come for this long",
        "",
    ),
    row(
        "timeouts",
        "channelstream_poll_longest",
        time(|c| &mut c.timeouts.channelstream_poll_longest_ms),
        "Channelstream: or this long after the first news, whatever comes",
        "",
    ),
    row(
        "timeouts",
        "channelstream_stream_grace",
        time(|c| &mut c.timeouts.channelstream_stream_grace_ms),
        "Channelstream: how long a connection whose event stream ended may take to come back",
        "",
    ),
    row(
        "timeouts",
        "user_forget",
        number(
            Slot::U64(|c| &mut c.timeouts.user_forget_ms),
            Unit::Ms,
            WHEEL_SLOT_MS,
            365 * DAY_MS,
        ),
        "A user with state but without connections is forgotten after this long",
        "",
    ),
    row(
        "timeouts",
        "drain",
        time(|c| &mut c.timeouts.drain_ms),
        "How long a stop may take; then exit code 3",
        "Who is in the middle of a request has half of it to send the rest, 2s at most for the head; \
         then 503.",
    ),
    row(
        "admin",
        "user",
        Field::Text(|c| &mut c.admin.user),
        "Login name of admin pages and metrics",
        "",
    ),
    row(
        "admin",
        "password",
        Field::Secret(|c| &mut c.admin.password),
        "Password of admin pages and metrics",
        "Empty: Channelstream's admin_user and admin_secret serve.",
    ),
    row(
        "admin",
        "metrics_token",
        Field::Secret(|c| &mut c.admin.metrics_token),
        "Bearer token for scrapers of /metrics",
        "Empty: there is none.",
    ),
];

#[cfg(test)]
mod tests;
