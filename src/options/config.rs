//! The checked settings: every value parsed into a type that cannot be wrong.
//!
//! [`Config::default`] is the one place where a default is written; where the number is a bound it
//! comes from [`crate::limits`]. Durations are milliseconds, sizes are bytes, as everywhere.

use super::app::App;
use crate::limits;
use crate::peers::PeerList;
// The addresses as plain values: sockets, which live in `std::net`, are the reactor's.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use log::LevelFilter;
use std::fmt;
use std::path::PathBuf;

/// What a limit holds when the operator wrote `"none"`: half of the type's range, so that adding
/// to it does not overflow.
pub const UNLIMITED: usize = usize::MAX >> 1;
/// The same for limits of 32 bits.
pub const UNLIMITED_U32: u32 = u32::MAX >> 1;
/// The same for limits of 64 bits.
pub const UNLIMITED_U64: u64 = u64::MAX >> 1;

/// All settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; never empty, no two the same.
    pub listen: Vec<ListenAddr>,
    /// Whose `X-Forwarded-*`, `X-Scheme` and `X-Script-Name` headers are believed.
    pub trusted_proxies: PeerList,
    /// The least severe level that is logged.
    pub log: LevelFilter,
    /// For how long the loop and the store look for more to do before they sleep, in milliseconds;
    /// 0: they sleep at once.
    pub busy_poll_ms: u64,
    /// The certificate of `tls:` listeners.
    pub tls: Tls,
    /// The embedded store.
    pub store: Store,
    /// The Channelstream protocol.
    pub channelstream: Channelstream,
    /// The Pushi protocol.
    pub pushi: Pushi,
    /// The Pusher protocol.
    pub pusher: Pusher,
    /// Worlds of channels with credentials of their own; no two have the same id or key.
    pub apps: Vec<App>,
    /// What the server tells others of its own accord.
    pub deliveries: Deliveries,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// Who may see admin pages and metrics.
    pub admin: Admin,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddr {
    /// `127.0.0.1:8000` or `[::1]:8000`.
    Tcp(SocketAddr),
    /// `unix:/run/fanwire.sock`.
    Unix(PathBuf),
    /// `tls:0.0.0.0:8443`.
    Tls(SocketAddr),
}

impl ListenAddr {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) | Self::Tls(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddr {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls(address) => write!(f, "tls:{address}"),
        }
    }
}

/// Section `[tls]`. Certificate and key are both given or neither is. Ask [`Config::certificate`]
/// which of them an address shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// A PEM file with the certificate chain, the server's own first.
    pub cert: Option<PathBuf>,
    /// A PEM file with the private key.
    pub key: Option<PathBuf>,
    /// Addresses that show another certificate than that.
    pub listeners: Vec<TlsListener>,
}

impl Tls {
    /// The certificate of the section, if it names one.
    fn shared(&self) -> Option<Certificate> {
        let (cert, key) = (self.cert.clone()?, self.key.clone()?);
        Some(Certificate { cert, key })
    }

    /// Every certificate that is named.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        let own = self.listeners.iter().map(|of| of.certificate.clone());
        self.shared().into_iter().chain(own)
    }
}

/// An address with a certificate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsListener {
    /// The address, as in the list of those to listen on.
    pub listen: SocketAddr,
    /// What it shows.
    pub certificate: Certificate,
}

/// Two PEM files that belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Certificate {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Section `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The database file; none: everything is kept in memory and gone after a restart.
    pub path: Option<PathBuf>,
    /// When a write counts as kept.
    pub durability: Durability,
    /// How old events may become, in seconds; [`UNLIMITED_U64`]: they stay.
    pub max_age_s: u64,
    /// Bytes that the events of one app may take; [`UNLIMITED_U64`]: any number.
    pub max_bytes: u64,
}

/// When a write counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk.
    Synced,
    /// Once the system has it; the disk has it about a second later.
    Relaxed,
}

impl Durability {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Synced, Self::Relaxed];

    /// As it is written in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Relaxed => "relaxed",
        }
    }
}

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it stands in front of `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Section `[channelstream]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channelstream {
    /// Whether the protocol is served at all.
    pub enabled: bool,
    /// The secret that requests of the web application are signed with.
    pub secret: Secret,
    /// Login name of the admin pages, where `[admin]` has no password.
    pub admin_user: String,
    /// Password of the admin pages, where `[admin]` has none.
    pub admin_secret: Secret,
    /// Key of the login cookie; empty: a random one at each start.
    pub cookie_secret: Secret,
    /// Who may send signed requests; nobody if empty.
    pub allow_posting_from: PeerList,
    /// Origins that may read answers; every origin if empty.
    pub allow_cors: Vec<String>,
    /// Whether the age of a signature is checked.
    pub validate_requests: bool,
    /// Whether requests that are not https are refused.
    pub enforce_https: bool,
    /// Forces the scheme of generated links.
    pub http_scheme: Option<Scheme>,
    /// The id of the app whose channels it shares; empty: it has an app of its own.
    pub app: String,
    /// Whether history, settings of channels, users and their state are stored.
    pub persist: bool,
}

/// Section `[pushi]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushi {
    /// Whether the protocol is served at all.
    pub enabled: bool,
    /// Whether anybody may make an app over HTTP.
    pub open_registration: bool,
    /// Whether the routes for browser push take the app's public key instead of a session.
    pub app_key_routes: bool,
    /// Origins whose pages may use the cookie of a session.
    pub origins: Vec<String>,
    /// Apps that one address may make per minute.
    pub registrations_per_minute: u32,
}

/// Section `[pusher]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// Whether the protocol is served at all. It needs an app, too.
    pub enabled: bool,
    /// What stands in front of its paths: empty, or with a slash at the start and none at the end.
    pub path_prefix: String,
}

/// Section `[deliveries]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliveries {
    /// Whether loopback and private addresses may be called.
    pub allow_private_networks: bool,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often a delivery is tried.
    pub attempts: u32,
    /// Whether events are delivered at all to addresses that are registered for them.
    pub enabled: bool,
    /// How long a push service may keep a message for a browser that is away, in seconds.
    pub web_push_ttl_s: u64,
    /// The mail server of apps that name none, with user, password and sender; empty: there is none.
    pub smtp_url: Secret,
}

/// Section `[limits]`. What may be `"none"` holds [`UNLIMITED`] or [`UNLIMITED_U32`] then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; 0: as many as the descriptor limit leaves.
    pub connections: usize,
    /// Open connections per peer address; 0: not counted.
    pub connections_per_address: usize,
    /// Request line and headers of one request.
    pub head_bytes: usize,
    /// Headers of one request.
    pub head_count: usize,
    /// The request target.
    pub target_bytes: usize,
    /// The body of one request.
    pub body_bytes: usize,
    /// One WebSocket message, put together.
    pub message_bytes: usize,
    /// Fragments of one WebSocket message, empty ones counted.
    pub message_fragments: u32,
    /// Pings a peer may send per second.
    pub control_frames_per_second: u32,
    /// Messages a WebSocket client may send per second, on average.
    pub messages_per_second: u32,
    /// Channels one subscriber may be in.
    pub channels_per_subscriber: usize,
    /// Members listed per channel; counting goes on.
    pub members_per_channel: usize,
    /// Messages a channel's history keeps, whatever its own setting says.
    pub history_messages: usize,
    /// Bytes a channel's history keeps.
    pub history_bytes: usize,
    /// Bytes a peer may leave unread.
    pub out_queue_bytes: usize,
}

impl Limits {
    /// Messages a client may send at once: two seconds' worth of
    /// [`messages_per_second`](Self::messages_per_second).
    pub fn messages_burst(&self) -> u32 {
        self.messages_per_second.saturating_mul(2)
    }
}

/// Section `[timeouts]`, all in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// A TLS handshake must be over by then.
    pub tls_handshake_ms: u64,
    /// A request head must be whole after this time, however it trickles.
    pub head_ms: u64,
    /// A body may stand still for this long.
    pub body_stall_ms: u64,
    /// A connection may idle for this long between requests.
    pub idle_ms: u64,
    /// Without progress in writing for this long, a peer is a slow consumer.
    pub write_stall_ms: u64,
    /// After silence of this length the server pings a WebSocket.
    pub websocket_ping_ms: u64,
    /// How long a ping waits for any byte.
    pub websocket_pong_ms: u64,
    /// How long our Close waits for theirs.
    pub websocket_close_ms: u64,
    /// Channelstream: `[]` is sent on every open socket this often.
    pub channelstream_heartbeat_ms: u64,
    /// Channelstream: a connection without socket expires this long after its last activity.
    pub channelstream_expire_ms: u64,
    /// Channelstream: a connection whose socket closed may come back within this time.
    pub channelstream_return_ms: u64,
    /// Channelstream: a poll without news is answered after this long.
    pub channelstream_poll_ms: u64,
    /// Channelstream: a poll with news is answered once nothing more has come for this long.
    pub channelstream_poll_gather_ms: u64,
    /// Channelstream: or this long after the first news.
    pub channelstream_poll_longest_ms: u64,
    /// Channelstream: a connection whose event stream ended may come back within this time.
    pub channelstream_stream_grace_ms: u64,
    /// A user with state but without subscribers is forgotten after this long.
    pub user_forget_ms: u64,
    /// How long a stop may take.
    pub drain_ms: u64,
}

/// Section `[admin]`. Ask [`Config::admin_login`] who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Login name, where a password is given.
    pub user: String,
    /// Password; empty: not given.
    pub password: Secret,
    /// Bearer token for metrics; empty: there is none.
    pub metrics_token: Secret,
}

/// A text that no log, dump or `Debug` output shows.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Compare it with a peer's in constant time only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "***" })
    }
}

impl Config {
    /// The app with this id.
    pub fn app(&self, id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    /// The certificate that a `tls:` address shows: its own, else that of the section, if there is
    /// one.
    pub fn certificate(&self, address: SocketAddr) -> Option<Certificate> {
        let own = self.tls.listeners.iter().find(|of| of.listen == address);
        own.map(|own| own.certificate.clone())
            .or_else(|| self.tls.shared())
    }

    /// Name and password of the admin pages: those of `[admin]`, else Channelstream's, else nobody
    /// can log in. An empty password opens nothing.
    pub fn admin_login(&self) -> Option<(&str, &Secret)> {
        let channelstream = &self.channelstream;
        if !self.admin.password.is_empty() {
            Some((&self.admin.user, &self.admin.password))
        } else if channelstream.enabled && !channelstream.admin_secret.is_empty() {
            Some((&channelstream.admin_user, &channelstream.admin_secret))
        } else {
            None
        }
    }
}

/// The port of Channelstream, and ours.
pub(super) const DEFAULT_PORT: u16 = 8000;
/// The name of the database file.
const DEFAULT_STORE: &str = "fanwire.db";
/// The secret that Channelstream starts with; everybody knows it.
pub(super) const DEFAULT_SECRET: &str = "secret";
/// The admin password that Channelstream starts with; everybody knows it.
pub(super) const DEFAULT_ADMIN_SECRET: &str = "admin_secret";

impl Default for Config {
    fn default() -> Self {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        Self {
            listen: vec![ListenAddr::Tcp(SocketAddr::new(v4, DEFAULT_PORT))],
            trusted_proxies: PeerList::of(&[v4, v6]),
            log: LevelFilter::Info,
            busy_poll_ms: 0,
            tls: Tls::default(),
            store: Store::default(),
            channelstream: Channelstream::default(),
            pushi: Pushi::default(),
            pusher: Pusher::default(),
            apps: Vec::new(),
            deliveries: Deliveries::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            admin: Admin::default(),
        }
    }
}

impl Default for Channelstream {
    fn default() -> Self {
        Self {
            enabled: true,
            secret: Secret::from(DEFAULT_SECRET),
            admin_user: "admin".to_owned(),
            admin_secret: Secret::from(DEFAULT_ADMIN_SECRET),
            cookie_secret: Secret::default(),
            allow_posting_from: PeerList::of(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            allow_cors: Vec::new(),
            validate_requests: true,
            enforce_https: false,
            http_scheme: None,
            app: String::new(),
            persist: false,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: Some(DEFAULT_STORE.into()),
            durability: Durability::Synced,
            max_age_s: UNLIMITED_U64,
            max_bytes: UNLIMITED_U64,
        }
    }
}

impl Default for Pushi {
    fn default() -> Self {
        Self {
            enabled: true,
            open_registration: false,
            app_key_routes: true,
            origins: Vec::new(),
            registrations_per_minute: limits::PUSHI_REGISTRATIONS_PER_MINUTE,
        }
    }
}

impl Default for Pusher {
    fn default() -> Self {
        Self {
            enabled: true,
            path_prefix: String::new(),
        }
    }
}

impl Default for Deliveries {
    fn default() -> Self {
        Self {
            allow_private_networks: false,
            timeout_ms: limits::DELIVERY_MS,
            attempts: limits::DELIVERY_ATTEMPTS_MAX,
            enabled: true,
            web_push_ttl_s: limits::WEB_PUSH_TTL_S,
            smtp_url: Secret::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_per_address: 0,
            head_bytes: limits::HTTP_HEAD_BYTES_MAX,
            head_count: limits::HTTP_HEADERS_MAX,
            target_bytes: limits::HTTP_TARGET_BYTES_MAX,
            body_bytes: limits::HTTP_BODY_BYTES_MAX,
            message_bytes: limits::MESSAGE_BYTES_MAX,
            message_fragments: limits::MESSAGE_FRAGMENTS_MAX,
            control_frames_per_second: limits::PINGS_PER_S_MAX,
            messages_per_second: limits::MESSAGES_PER_S_MAX,
            channels_per_subscriber: limits::CHANNELS_PER_SUBSCRIBER_MAX,
            members_per_channel: limits::MEMBERS_LISTED_MAX,
            history_messages: limits::HISTORY_MESSAGES_MAX,
            history_bytes: limits::HISTORY_BYTES_MAX,
            out_queue_bytes: limits::OUT_QUEUE_BYTES_MAX,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tls_handshake_ms: limits::TLS_HANDSHAKE_MS,
            head_ms: limits::HTTP_HEAD_MS,
            body_stall_ms: limits::HTTP_BODY_STALL_MS,
            idle_ms: limits::HTTP_IDLE_MS,
            write_stall_ms: limits::WRITE_STALL_MS,
            websocket_ping_ms: limits::WS_PING_AFTER_MS,
            websocket_pong_ms: limits::WS_PONG_MS,
            websocket_close_ms: limits::WS_CLOSE_MS,
            channelstream_heartbeat_ms: limits::CS_HEARTBEAT_MS,
            channelstream_expire_ms: limits::CS_EXPIRE_MS,
            channelstream_return_ms: limits::CS_RETURN_MS,
            channelstream_poll_ms: limits::CS_POLL_WAKE_MS,
            channelstream_poll_gather_ms: limits::CS_POLL_GATHER_MS,
            channelstream_poll_longest_ms: limits::CS_POLL_LONGEST_MS,
            channelstream_stream_grace_ms: limits::CS_STREAM_GRACE_MS,
            user_forget_ms: limits::USER_FORGET_MS,
            drain_ms: limits::DRAIN_MS,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            user: "admin".to_owned(),
            password: Secret::default(),
            metrics_token: Secret::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let mut config = Config::default();
        config.admin.password = Secret::from("hunter2");
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("admin_secret\""));
        assert!(shown.contains("***"));
    }

    #[test]
    fn the_admin_is_ours_then_channelstreams_then_nobody() {
        let mut config = Config::default();
        let login = |config: &Config| {
            config
                .admin_login()
                .map(|(user, secret)| format!("{user}/{}", secret.expose()))
        };
        assert_eq!(login(&config).as_deref(), Some("admin/admin_secret"));
        config.admin.user = "root".to_owned();
        config.admin.password = Secret::from("pw");
        assert_eq!(login(&config).as_deref(), Some("root/pw"));
        config.admin.password = Secret::default();
        config.channelstream.admin_secret = Secret::default();
        assert_eq!(login(&config), None, "an empty password opens nothing");
        config = Config::default();
        config.channelstream.enabled = false;
        assert_eq!(login(&config), None);
    }

    #[test]
    fn an_address_shows_its_own_certificate_or_that_of_all() {
        let pair = |name: &str| Certificate {
            cert: format!("{name}.pem").into(),
            key: format!("{name}.key").into(),
        };
        let [one, other]: [SocketAddr; 2] =
            ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().expect("a test's address"));
        let mut config = Config::default();
        config.tls.listeners = vec![TlsListener {
            listen: other,
            certificate: pair("own"),
        }];
        assert_eq!(config.certificate(one), None);
        (config.tls.cert, config.tls.key) = (Some(pair("all").cert), Some(pair("all").key));
        assert_eq!(config.certificate(one), Some(pair("all")));
        assert_eq!(config.certificate(other), Some(pair("own")));
        let all: Vec<Certificate> = config.tls.certificates().collect();
        assert_eq!(all, [pair("all"), pair("own")]);
    }

    #[test]
    fn local_is_what_only_this_machine_reaches() {
        for (text, local) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            let address: SocketAddr = text.parse().expect("a test's address");
            assert_eq!(ListenAddr::Tcp(address).is_local(), local, "{text}");
            assert_eq!(ListenAddr::Tls(address).is_local(), local, "{text}");
        }
        assert!(ListenAddr::Unix("/run/x".into()).is_local());
    }
}
