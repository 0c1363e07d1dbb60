//! The protocol as a dialect: which requests are its own, and what happens to sockets.

use super::auth::{Keys, param};
use super::config::{App, Config};
use super::encode;
use super::errors::{Close, push_error};
use super::names::Kind;
use crate::dialect::channelstream::access::Seen;
use crate::dialect::pushi::names::OF_USERS;
use crate::dialect::{Ctx, Dialect, KnownApp, Liveness, Reply, SocketEnd};
use crate::hub::{
    AppId, AppRules, Event, Format, HangUp, Hub, Settings, Subscriber, SubscriberId, Traits,
};
use crate::limits::{PUSHER_BODY_BYTES_MAX, PUSHER_PONG_MS};
use crate::store::{BY_PUSHER, BY_PUSHI};
use crate::transport::http::{Request, Response, upgrade};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// The one wire format: JSON objects in WebSocket texts. All versions that are spoken are the same
/// on the wire.
pub const FORMAT: Format = Format(8);

/// An app and what is made of its settings once.
pub(super) struct Served {
    pub(super) app: App,
    pub(super) keys: Keys,
}

impl Served {
    /// The settings of channels that this protocol makes.
    pub(super) fn channel_settings(&self) -> Settings {
        Settings {
            store_recent: self.app.is_shared,
            ..Settings::default()
        }
    }
}

/// The protocol. Everything that changes is in the hub.
pub struct Pusher {
    pub(super) config: Config,
    served: Vec<Served>,
    by_key: BTreeMap<String, usize>,
    by_id: BTreeMap<String, usize>,
    by_app: BTreeMap<AppId, usize>,
}

impl std::fmt::Debug for Pusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pusher({} apps)", self.served.len())
    }
}

/// What a request is to this protocol, by its head.
pub(super) enum Whose<'r> {
    /// A socket for the app with this key; none where the path is malformed.
    Socket(Option<&'r str>),
    /// The HTTP API of this app.
    Api {
        /// As it stands in the path.
        app: &'r str,
        /// What stands behind it, without its first slash.
        rest: &'r str,
    },
    /// The HTTP API, of an app that only the key tells.
    Terminate {
        /// The user, as it stands in the path.
        user: &'r str,
    },
    /// A path that is kept for this protocol, with nothing there.
    Nothing,
    /// Another's.
    Other,
}

/// What a channel is by its name, in every app that this protocol uses.
fn traits(name: &str) -> Traits {
    let kind = Kind::of(name);
    Traits {
        has_members: kind.has_members(),
        is_cached: kind.is_cached,
        is_fleeting: true,
    }
}

impl Pusher {
    /// The protocol with these settings.
    pub fn new(config: Config) -> Self {
        let mut pusher = Self {
            served: Vec::with_capacity(config.apps.len()),
            by_key: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_app: BTreeMap::new(),
            config,
        };
        for app in pusher.config.apps.clone() {
            pusher.serve(app);
        }
        pusher
    }

    /// Serves an app from now on, or with other settings.
    fn serve(&mut self, app: App) {
        self.stop_serving(app.app);
        let at = self.served.len();
        self.by_key.insert(app.key.clone(), at);
        self.by_id.insert(app.id.clone(), at);
        self.by_app.insert(app.app, at);
        let keys = Keys::new(&app.key, &app.secret);
        self.served.push(Served { app, keys });
    }

    fn stop_serving(&mut self, app: AppId) {
        let Some(at) = self.by_app.remove(&app) else {
            return;
        };
        self.by_key.retain(|_, of| *of != at);
        self.by_id.retain(|_, of| *of != at);
        // The last one moves into its place.
        let last = self.served.len() - 1;
        self.served.swap_remove(at);
        let of_key = self.by_key.values_mut();
        let of_id = self.by_id.values_mut();
        let of_app = self.by_app.values_mut();
        for of in of_key.chain(of_id).chain(of_app) {
            if *of == last {
                *of = at;
            }
        }
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&Served> {
        self.served.get(*self.by_key.get(key)?)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Served> {
        self.served.get(*self.by_id.get(id)?)
    }

    /// The app of a subscriber that has not gone.
    pub(super) fn app_of(&self, who: SubscriberId, hub: &Hub) -> Option<&Served> {
        let app = hub.subscriber(who)?.app();
        self.served.get(*self.by_app.get(&app)?)
    }

    /// The path without the prefix that the server was given.
    pub(super) fn path<'r>(&self, request: &Request<'r>) -> &'r str {
        let prefix = &*self.config.path_prefix;
        match request.path.strip_prefix(prefix) {
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) | None => request.path,
        }
    }

    /// Whether the caller came by TLS, by the socket or by what a trusted proxy says.
    pub(super) fn is_https(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> bool {
        let peer = ctx.from.peer.map(|peer| peer.ip());
        let is_trusted = self.config.trusted_proxies.lists(peer);
        Seen::new(request, ctx.from.tls, None, is_trusted).is_https
    }

    /// What a request is to this protocol.
    pub(super) fn whose<'r>(&self, request: &Request<'r>) -> Whose<'r> {
        let path = self.path(request);
        let query = request.query.unwrap_or("");
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let is_upgrade = upgrade::is_upgrade(request);
        match (first, second, third) {
            (Some("app"), key, None) if is_upgrade => match key {
                // Without a version it is ours only if the key is.
                Some(key) if param(query, "protocol").is_some() || self.by_key(key).is_some() => {
                    Whose::Socket(Some(key))
                }
                Some(_) => Whose::Other,
                None => Whose::Socket(None),
            },
            (Some("app"), Some(_), Some(_)) if is_upgrade => Whose::Socket(None),
            // Pushi's, whoever else serves the app.
            (Some("apps"), Some(_), Some("subscribe" | "unsubscribe")) => Whose::Other,
            (Some("apps"), Some(app), Some(_)) => {
                let behind = path
                    .trim_start_matches('/')
                    .strip_prefix("apps")
                    .map(|path| path.trim_start_matches('/'))
                    .and_then(|path| path.strip_prefix(app))
                    .map_or("", |path| path.trim_start_matches('/'));
                let is_ours = ["events", "batch_events", "channels", "users", "connections"]
                    .contains(&behind.split('/').next().unwrap_or(""));
                match is_ours || self.by_id(app).is_some() {
                    true => Whose::Api { app, rest: behind },
                    false => Whose::Other,
                }
            }
            (Some("users"), Some(user), Some("terminate_connections"))
                if param(query, "auth_signature").is_some() =>
            {
                Whose::Terminate { user }
            }
            (Some("pusher"), _, _) => Whose::Nothing,
            _ => Whose::Other,
        }
    }
}

impl Dialect for Pusher {
    fn name(&self) -> &'static str {
        "pusher"
    }

    fn formats(&self) -> Range<u8> {
        8..16
    }

    fn claims(&self, request: &Request<'_>) -> bool {
        !matches!(self.whose(request), Whose::Other)
    }

    fn rules(&self) -> Vec<(AppId, AppRules)> {
        let rules = |served: &Served| {
            let app = &served.app;
            let rules = AppRules {
                traits,
                tells_count: app.subscription_count,
                cache_ms: app.cache_ms,
                settings: served.channel_settings(),
                remembers: false,
            };
            (app.app, rules)
        };
        self.served.iter().map(rules).collect()
    }

    /// Apps of the store have everything but their credentials as it is by default.
    fn learn_app(&mut self, known: &Rc<KnownApp>) {
        let record = &known.record;
        if record.protocols & BY_PUSHER == 0 {
            self.stop_serving(known.app);
            return;
        }
        let mut app = App::new(known.app, &record.ident, &record.key, &record.secret);
        app.enabled = record.fields.enabled.value() != Some(&false);
        if record.protocols & BY_PUSHI != 0 {
            app.closed = &OF_USERS;
        }
        // Whoever was there first keeps the key and the id.
        let is_taken = |at: Option<&usize>| {
            let other = at.and_then(|&at| self.served.get(at));
            other.is_some_and(|other| other.app.app != known.app)
        };
        if is_taken(self.by_key.get(&app.key)) || is_taken(self.by_id.get(&app.id)) {
            let ident = &record.ident;
            log::error!("app {ident:?} of the store has the key or the id of another: not served");
            return;
        }
        self.serve(app);
    }

    fn serves(&self, who: &Subscriber) -> bool {
        let served = self.by_app.get(&who.app());
        let served = served.and_then(|&at| self.served.get(at));
        served.is_some_and(|served| served.app.enabled)
    }

    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        self.admit_api(head, ctx)?;
        let length = head.headers.get("Content-Length");
        match length.and_then(|length| length.parse::<usize>().ok()) {
            Some(bytes) if bytes > PUSHER_BODY_BYTES_MAX => Err(super::api::too_large()),
            Some(_) | None => Ok(PUSHER_BODY_BYTES_MAX),
        }
    }

    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        match self.whose(request) {
            Whose::Socket(key) => self.open(key, request, ctx),
            Whose::Api { app, rest } => self.api(app, rest, request, ctx),
            Whose::Terminate { user } => self.terminate_by_key(user, request, ctx),
            Whose::Nothing | Whose::Other => super::api::nothing().into(),
        }
    }

    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.welcome(who, ctx);
    }

    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.hear(text, from, ctx);
    }

    /// The protocol has no binary messages. Whoever sends one is told.
    fn binary(&self, _bytes: &[u8], _from: SubscriberId, ctx: &mut Ctx<'_>) {
        let conn = ctx.conn;
        ctx.io.text(conn, |out| {
            push_error(out, None, "messages are JSON texts, not bytes");
        });
    }

    fn over_rate(&self, _from: SubscriberId, ctx: &mut Ctx<'_>) {
        super::socket::reject_event(ctx, "too many messages");
    }

    fn liveness(&self, who: SubscriberId, hub: &Hub) -> Option<Liveness> {
        let served = self.app_of(who, hub)?;
        Some(Liveness {
            // The client asks first; whoever has not for a quarter longer cannot, or is gone.
            ask_after_ms: served.app.activity_s * 1250,
            ask: Some(encode::PING),
            wait_ms: PUSHER_PONG_MS,
            close: (Close::NoPong.number(), Close::NoPong.message()),
            may_be_mute: false,
        })
    }

    fn message_bytes(&self, who: SubscriberId, hub: &Hub) -> Option<usize> {
        Some(self.app_of(who, hub)?.app.message_bytes)
    }

    fn last_words(&self, code: u16, reason: &str, out: &mut Vec<u8>) {
        // Codes of WebSocket itself mean nothing as errors of the protocol.
        if (4000..5000).contains(&code) {
            push_error(out, Some(code), reason);
        }
    }

    fn encode(
        &self,
        _format: Format,
        event: &Event<'_>,
        catch_up: bool,
        _told: u64,
        out: &mut Vec<u8>,
    ) {
        encode::push_event(out, event, catch_up);
    }

    /// A subscriber lives and dies with its socket.
    fn gone(&self, who: SubscriberId, _end: SocketEnd, ctx: &mut Ctx<'_>) {
        ctx.hub.depart(who, ctx.now, &mut ctx.io);
    }

    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        let later = Close::ServerFull.number();
        match why {
            HangUp::Replaced | HangUp::Removed | HangUp::Garbled => {
                (later, "the connection was closed")
            }
            HangUp::TooFarBehind => (later, "too much was missed"),
            HangUp::Terminated => (Close::Unauthorized.number(), "the user was disconnected"),
            HangUp::Unauthorized => (Close::Unauthorized.number(), Close::Unauthorized.message()),
            HangUp::AppClosed => (Close::AppDisabled.number(), Close::AppDisabled.message()),
        }
    }

    /// Nobody accepts yet when this is said, so that coming back at once would be too early.
    fn going_away(&self) -> (u16, &'static str) {
        (
            Close::ServerFull.number(),
            "the server is restarting, come back in a moment",
        )
    }

    fn slow_consumer(&self) -> (u16, &'static str) {
        (
            Close::ServerFull.number(),
            "too much was sent that was not read",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AppFields, AppRecord, AppRow, Field};

    fn known(app: u16, key: &str, protocols: u8, enabled: bool) -> Rc<KnownApp> {
        let record = AppRecord {
            row: AppRow(u32::from(app)),
            ident: format!("id-{key}").into(),
            key: key.into(),
            secret: "secret".into(),
            protocols,
            is_of_settings: false,
            fields: AppFields {
                enabled: Field::Is(enabled),
                ..AppFields::default()
            },
            created_s: 0,
            modified_s: 0,
            sessions_from_s: 0,
        };
        let app = AppId(app);
        Rc::new(KnownApp { app, record })
    }

    #[test]
    fn apps_of_the_store_come_and_go_and_never_take_anothers_place() {
        let own = App::new(AppId(1), "1", "own", "s");
        let apps = vec![own, App::new(AppId(2), "2", "two", "s")];
        let mut pusher = Pusher::new(Config {
            apps,
            ..Config::default()
        });
        let found = |pusher: &Pusher, key: &str| pusher.by_key(key).map(|served| served.app.app.0);
        pusher.learn_app(&known(900, "store", BY_PUSHER, true));
        assert_eq!(found(&pusher, "store"), Some(900));
        // What is for single users of Pushi is public by its name here.
        pusher.learn_app(&known(903, "both", BY_PUSHER | BY_PUSHI, true));
        let closed = |key: &str| pusher.by_key(key).map(|served| served.app.closed);
        assert_eq!(closed("both"), Some(&OF_USERS[..]));
        assert_eq!(closed("store"), Some(&[][..]));
        assert!(pusher.by_id("id-store").is_some());
        // One with a key of the settings is not served.
        pusher.learn_app(&known(901, "own", BY_PUSHER, true));
        assert_eq!(found(&pusher, "own"), Some(1));
        // A new key takes the place of the old one.
        pusher.learn_app(&known(900, "fresh", BY_PUSHER, false));
        assert_eq!(found(&pusher, "store"), None);
        assert!(
            pusher
                .by_key("fresh")
                .is_some_and(|served| !served.app.enabled)
        );
        // Another protocol's only: it goes, and the others stay who they are.
        pusher.learn_app(&known(902, "last", BY_PUSHER, true));
        pusher.learn_app(&known(900, "fresh", 0, true));
        assert_eq!(found(&pusher, "fresh"), None);
        let left = ["own", "two", "last"].map(|key| found(&pusher, key));
        assert_eq!(left, [Some(1), Some(2), Some(902)]);
        assert_eq!(pusher.rules().len(), 4);
    }
}
