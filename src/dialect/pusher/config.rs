//! What an app of Pusher's is configured to be.

use crate::hub::AppId;
use crate::limits::{
    PUSHER_ACTIVITY_S, PUSHER_BATCH_EVENTS_MAX, PUSHER_CACHE_MS, PUSHER_CHANNEL_CHARS,
    PUSHER_CHANNELS_PER_EVENT_MAX, PUSHER_CLIENT_EVENTS_PER_S, PUSHER_EVENT_BYTES_MAX,
    PUSHER_MEMBER_INFO_BYTES_MAX, PUSHER_MEMBERS_MAX, PUSHER_MESSAGE_BYTES_MAX,
    PUSHER_WATCHLIST_MAX,
};
use crate::peers::PeerList;

/// Settings of the protocol.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What stands in front of `/app/{key}` and `/apps/{id}/`, such as `/ws`; usually empty. It begins
    /// with a slash and does not end with one. It is no part of what is signed.
    pub path_prefix: String,
    /// Whose `X-Forwarded-Proto` is believed.
    pub trusted_proxies: PeerList,
    /// The apps that this protocol may use.
    pub apps: Vec<App>,
}

/// One app: a world of channels with credentials of its own.
#[derive(Clone)]
pub struct App {
    /// Its number in the hub.
    pub app: AppId,
    /// As it stands in the paths of the HTTP API; digits only, if every SDK is to like it.
    pub id: String,
    /// As browsers name it; holds none of `/`, `?`, `#` and `:`.
    pub key: String,
    /// What signatures are made with.
    pub secret: String,
    /// Whether another protocol uses its channels, too: what is published is then kept for those
    /// that catch up.
    pub is_shared: bool,
    /// Beginnings of names of channels that another protocol of this app opens to single users only:
    /// by this one, to which they would be public, nobody subscribes to them.
    pub closed: &'static [&'static str],
    /// A disabled app refuses everybody, with words of its own.
    pub enabled: bool,
    /// Refuses connections that are not encrypted.
    pub tls_only: bool,
    /// Ends connections that have neither signed in nor joined a private or presence channel
    /// within [`PUSHER_AUTHORIZE_MS`](crate::limits::PUSHER_AUTHORIZE_MS).
    pub authorized_only: bool,
    /// Whether sockets may send events to each other.
    pub client_events: bool,
    /// Client events that one socket may send in a second, and at once.
    pub client_events_per_s: u32,
    /// Whether sockets may sign in as a user.
    pub signin: bool,
    /// Whether those who signed in may watch others come and go.
    pub watchlist: bool,
    /// Users that one socket may watch.
    pub watchlist_max: usize,
    /// Whether sockets are told how many are in their channels.
    pub subscription_count: bool,
    /// Seconds of silence after which a client is to ping, 1 to 600.
    pub activity_s: u64,
    /// Origins whose pages may connect; everyone if empty.
    pub origins: Vec<String>,
    /// Sockets that may be open at a time.
    pub connections_max: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// Bytes of the data of one event, from the HTTP API or from a client.
    pub event_bytes: usize,
    /// Channels that one socket may be in.
    pub channels_per_connection: usize,
    /// Characters of a channel's name, at most
    /// [`PUSHER_CHANNEL_CHARS_MAX`](crate::limits::PUSHER_CHANNEL_CHARS_MAX).
    pub channel_chars: usize,
    /// Channels that one event may go to.
    pub channels_per_event: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Users that may be present in one channel.
    pub members_max: usize,
    /// Bytes of what a member tells of itself.
    pub member_info_bytes: usize,
    /// How long a cache channel remembers its last event.
    pub cache_ms: u64,
}

impl App {
    /// An app with these credentials, and everything else as it is by default.
    pub fn new(app: AppId, id: &str, key: &str, secret: &str) -> Self {
        Self {
            app,
            id: id.to_owned(),
            key: key.to_owned(),
            secret: secret.to_owned(),
            is_shared: false,
            closed: &[],
            enabled: true,
            tls_only: false,
            authorized_only: false,
            client_events: true,
            client_events_per_s: PUSHER_CLIENT_EVENTS_PER_S,
            signin: true,
            watchlist: true,
            watchlist_max: PUSHER_WATCHLIST_MAX,
            subscription_count: false,
            activity_s: PUSHER_ACTIVITY_S,
            origins: Vec::new(),
            connections_max: usize::MAX,
            message_bytes: PUSHER_MESSAGE_BYTES_MAX,
            event_bytes: PUSHER_EVENT_BYTES_MAX,
            channels_per_connection: usize::MAX,
            channel_chars: PUSHER_CHANNEL_CHARS,
            channels_per_event: PUSHER_CHANNELS_PER_EVENT_MAX,
            batch_events: PUSHER_BATCH_EVENTS_MAX,
            members_max: PUSHER_MEMBERS_MAX,
            member_info_bytes: PUSHER_MEMBER_INFO_BYTES_MAX,
            cache_ms: PUSHER_CACHE_MS,
        }
    }
}

impl std::fmt::Debug for App {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({} {:?})", self.id, self.app)
    }
}
