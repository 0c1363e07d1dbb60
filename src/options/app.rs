//! One `[[app]]` of the settings: a world of channels with credentials of its own.

use super::config::{Secret, UNLIMITED};
use super::nearest::nearest;
use super::value::{Value, quoted};
use crate::limits;

/// Apps that the settings may name: the hub counts them in 16 bits, and reloads use up numbers.
pub const APPS_MAX: usize = 4096;

/// One `[[app]]`. Limits that may be `"none"` hold [`UNLIMITED`] or
/// [`UNLIMITED_U32`](super::UNLIMITED_U32) then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Which protocols may use it.
    pub protocols: Vec<Protocol>,
    /// As it stands in the paths of HTTP APIs.
    pub id: String,
    /// As browsers name it.
    pub key: String,
    /// What signatures are made with.
    pub secret: Secret,
    /// A disabled app refuses everybody.
    pub enabled: bool,
    /// Whether connections that are not encrypted are refused.
    pub tls_only: bool,
    /// Whether connections must sign in, or join a channel that asks who they are.
    pub authorized_only: bool,
    /// Origins whose pages may connect; every origin if empty.
    pub origins: Vec<String>,
    /// Whether sockets may send events to each other.
    pub client_events: bool,
    /// Client events that one socket may send per second, and at once.
    pub client_events_per_second: u32,
    /// Whether sockets may sign in as a user.
    pub user_authentication: bool,
    /// Whether those who signed in may watch others come and go.
    pub watchlist: bool,
    /// Users that one socket may watch.
    pub watchlist_max: usize,
    /// Whether sockets are told how many are in their channels.
    pub subscription_count: bool,
    /// Silence after which a client is to ping, in seconds.
    pub activity_timeout_s: u64,
    /// How long a cache channel remembers its last event, in milliseconds.
    pub cache_time_ms: u64,
    /// Sockets that may be open at a time.
    pub connections: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// Bytes of the data of one event.
    pub event_bytes: usize,
    /// Channels that one socket may be in.
    pub channels_per_connection: usize,
    /// Characters of a channel's name.
    pub channel_chars: usize,
    /// Channels that one event may go to.
    pub channels_per_event: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Users that may be present in one channel.
    pub presence_members: usize,
    /// Bytes of what a member tells of itself.
    pub presence_info_bytes: usize,
    /// Who is told of what happens in channels.
    pub webhooks: Vec<Webhook>,
}

/// The id of the app that `fanwire dev` makes.
pub(super) const DEV_ID: &str = "1";
/// Its key: hex digits, as Pushi wants them.
const DEV_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Its secret; everybody knows it.
pub(super) const DEV_SECRET: &str = "dev-secret";

impl Default for App {
    /// Everything but the credentials, which have no default.
    fn default() -> Self {
        Self {
            protocols: vec![Protocol::Pusher],
            id: String::new(),
            key: String::new(),
            secret: Secret::default(),
            enabled: true,
            tls_only: false,
            authorized_only: false,
            origins: Vec::new(),
            client_events: true,
            client_events_per_second: limits::PUSHER_CLIENT_EVENTS_PER_S,
            user_authentication: true,
            watchlist: true,
            watchlist_max: limits::PUSHER_WATCHLIST_MAX,
            subscription_count: false,
            activity_timeout_s: limits::PUSHER_ACTIVITY_S,
            cache_time_ms: limits::PUSHER_CACHE_MS,
            connections: UNLIMITED,
            message_bytes: limits::PUSHER_MESSAGE_BYTES_MAX,
            event_bytes: limits::PUSHER_EVENT_BYTES_MAX,
            channels_per_connection: UNLIMITED,
            channel_chars: limits::PUSHER_CHANNEL_CHARS,
            channels_per_event: limits::PUSHER_CHANNELS_PER_EVENT_MAX,
            batch_events: limits::PUSHER_BATCH_EVENTS_MAX,
            presence_members: limits::PUSHER_MEMBERS_MAX,
            presence_info_bytes: limits::PUSHER_MEMBER_INFO_BYTES_MAX,
            webhooks: Vec::new(),
        }
    }
}

impl App {
    /// The app of `fanwire dev`: for all protocols, so that one can see them talk to each other. Its
    /// credentials are the same everywhere, and no secret.
    pub fn dev() -> Self {
        Self {
            protocols: Protocol::ALL.to_vec(),
            id: DEV_ID.to_owned(),
            key: DEV_KEY.to_owned(),
            secret: Secret::from(DEV_SECRET),
            ..Self::default()
        }
    }

    /// Whether this protocol may use it.
    pub fn allows(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

/// A protocol that an app can be open to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Pusher Channels.
    Pusher,
    /// Pushi.
    Pushi,
    /// Channelstream, where `channelstream.app` names the app.
    Channelstream,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pusher, Self::Pushi, Self::Channelstream];

    /// As it is written in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pusher => "pusher",
            Self::Pushi => "pushi",
            Self::Channelstream => "channelstream",
        }
    }

    /// The protocol of this name, or what to say about the word.
    pub(super) fn read(word: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str);
        let found = Self::ALL.into_iter().find(|known| known.as_str() == word);
        found.ok_or_else(|| unknown_word("protocol", word, &names))
    }
}

/// An address that is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where requests go: `http://` or `https://`.
    pub url: String,
    /// What it is told of; never empty, nothing twice.
    pub events: Vec<WebhookEvent>,
}

/// What a webhook can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// The first subscriber came.
    ChannelOccupied,
    /// The last subscriber left.
    ChannelVacated,
    /// A user became present.
    MemberAdded,
    /// A user is no longer present.
    MemberRemoved,
    /// A socket sent an event to others.
    ClientEvent,
    /// Somebody joined a cache channel that remembers nothing.
    CacheMiss,
    /// The number of subscribers changed.
    SubscriptionCount,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::ClientEvent,
        Self::CacheMiss,
        Self::SubscriptionCount,
    ];

    /// As it is written in a file, and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChannelOccupied => "channel_occupied",
            Self::ChannelVacated => "channel_vacated",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
            Self::ClientEvent => "client_event",
            Self::CacheMiss => "cache_miss",
            Self::SubscriptionCount => "subscription_count",
        }
    }
}

impl Webhook {
    /// Reads `{ url = "...", events = ["..."] }`. Without `events` it is told of everything.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let Value::Table(fields) = value else {
            return Err(format!(
                "expected tables such as {{ url = \"https://example.com/hook\" }}; found {}",
                value.kind()
            ));
        };
        let mut url = None;
        let mut events = WebhookEvent::ALL.to_vec();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("url", Value::Text(text)) => {
                    is_web_address(text)?;
                    url = Some(text.clone());
                }
                ("url", _) => return Err(format!("url: expected a text; found {}", value.kind())),
                ("events", Value::List(names)) => events = read_events(names)?,
                ("events", _) => {
                    return Err(format!("events: expected a list; found {}", value.kind()));
                }
                (unknown, _) => return Err(unknown_word("key", unknown, &["url", "events"])),
            }
        }
        let url = url.ok_or("url: missing")?;
        Ok(Self { url, events })
    }

    /// As it is written in a file.
    pub(super) fn show(&self) -> String {
        let events: Vec<String> = self.events.iter().map(|e| quoted(e.as_str())).collect();
        let url = quoted(&self.url);
        format!("{{ url = {url}, events = [{}] }}", events.join(", "))
    }
}

fn read_events(names: &[Value]) -> Result<Vec<WebhookEvent>, String> {
    let known = WebhookEvent::ALL.map(WebhookEvent::as_str);
    let mut events = Vec::new();
    for name in names {
        let Value::Text(word) = name else {
            return Err(format!("events: expected names; found {}", name.kind()));
        };
        let event = WebhookEvent::ALL.into_iter().find(|e| e.as_str() == word);
        let event = event.ok_or_else(|| unknown_word("event", word, &known))?;
        if !events.contains(&event) {
            events.push(event);
        }
    }
    if events.is_empty() {
        return Err("events: empty: it would be told of nothing; leave it out for all".to_owned());
    }
    Ok(events)
}

/// Checks the address of a webhook. A password in it would stand in every dump of the settings.
fn is_web_address(text: &str) -> Result<(), String> {
    let expected = |what: &str| Err(format!("url: {text:?}: expected {what}"));
    let Some(rest) = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return expected("an address that begins with https:// or http://");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("url: expected an address without user and password".to_owned());
    }
    // `[::1]:8080` and `host:8080`: whatever follows the last colon outside brackets is the port.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| {
        let number = super::value::digits_only(port);
        number.is_some_and(|number| (1..=65_535).contains(&number))
    };
    if host.is_empty() || port.is_some_and(|port| !is_port(port)) {
        return expected("a host, and after a colon its port");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return expected("no spaces, and letters outside ASCII escaped");
    }
    if path.contains('#') {
        return expected("no fragment");
    }
    Ok(())
}

/// What to say about a word that is none of those known.
fn unknown_word(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown {what} {word:?}; did you mean {near:?}?"),
        None => format!("unknown {what} {word:?}; expected {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn table(fields: &[(&str, Value)]) -> Value {
        let own = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        Value::Table(fields.iter().map(own).collect())
    }

    #[test]
    fn addresses_of_webhooks() {
        for (address, piece) in [
            ("https://example.com/hook?a=b", ""),
            ("http://127.0.0.1:8080", ""),
            ("http://[::1]:8080/x", ""),
            ("http://[::1]", ""),
            ("ftp://example.com", "https://"),
            ("example.com", "https://"),
            ("HTTPS://example.com", "https://"),
            ("", "https://"),
            ("https://", "host"),
            ("https:///hook", "host"),
            ("https://:80/", "host"),
            ("https://a:0/", "port"),
            ("https://a:65536/", "port"),
            ("https://a:+80/", "port"),
            ("https://a:/", "port"),
            ("https://user:hunter2@a/", "without user"),
            ("https://a/b c", "spaces"),
            ("https://a/é", "ASCII"),
            ("https://a/#x", "fragment"),
        ] {
            let read = Webhook::read(&table(&[("url", text(address))]));
            match read {
                Ok(hook) => {
                    assert_eq!(piece, "", "{address} is refused");
                    assert_eq!(hook.events, WebhookEvent::ALL);
                }
                Err(message) => {
                    assert!(
                        !piece.is_empty() && message.contains(piece),
                        "{address}: {message}"
                    );
                    assert!(!message.contains("hunter2"), "{message}");
                }
            }
        }
    }

    #[test]
    fn events_of_webhooks() {
        let read = |events: Value| {
            let url = text("http://a");
            let read = Webhook::read(&table(&[("url", url), ("events", events)]));
            read.map(|hook| hook.show())
        };
        let list = |names: &[&str]| Value::List(names.iter().map(|name| text(name)).collect());
        assert_eq!(
            read(list(&["member_added", "cache_miss", "member_added"])).as_deref(),
            Ok(r#"{ url = "http://a", events = ["member_added", "cache_miss"] }"#)
        );
        for (events, piece) in [
            (list(&[]), "nothing"),
            (
                list(&["chanel_occupied"]),
                "did you mean \"channel_occupied\"?",
            ),
            (
                list(&["everything"]),
                "channel_occupied, channel_vacated, member_added",
            ),
            (Value::List(vec![Value::Bool(true)]), "names"),
            (text("member_added"), "a list"),
        ] {
            let message = read(events).expect_err("it is refused");
            assert!(message.contains(piece), "{message}");
        }
        let all: Vec<&str> = WebhookEvent::ALL.iter().map(|e| e.as_str()).collect();
        assert!(read(list(&all)).is_ok());
    }

    #[test]
    fn shapes_of_webhooks() {
        for (value, piece) in [
            (table(&[]), "url: missing"),
            (table(&[("url", Value::Integer(1))]), "expected a text"),
            (table(&[("ulr", text("http://a"))]), "did you mean \"url\"?"),
            (text("http://a"), "found a text"),
        ] {
            let message = Webhook::read(&value).expect_err("it is refused");
            assert!(message.contains(piece), "{message}");
        }
    }

    #[test]
    fn protocols_by_name() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::read(protocol.as_str()), Ok(protocol));
        }
        let message = Protocol::read("pushr").expect_err("unknown");
        assert!(message.contains("did you mean"), "{message}");
        assert!(Protocol::read("Pusher").is_err() && Protocol::read("").is_err());
    }
}
