//! The protocol as a dialect: which requests are its own, and what happens to sockets.

use super::auth::Keys;
use super::config::Config;
use super::errors::{Fault, dress};
use super::names::presence_base;
use super::notes::{self, Notes};
use super::session::{SessionKey, Sid};
use super::tell;
use crate::dialect::{Ctx, Dialect, KnownApp, Reply, SocketEnd};
use crate::hub::{
    AppId, AppRules, Event, Format, HangUp, Settings, Subscriber, SubscriberId, Traits,
};
use crate::limits::PUSHI_PING_AFTER_MS;
use crate::store::{BY_PUSHER, BY_PUSHI, Loaded, Trouble};
use crate::transport::http::query::decode_path;
use crate::transport::http::{Request, Response, upgrade};
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// The wire format: JSON objects in WebSocket texts.
pub const FORMAT: Format = Format(16);

/// The same for a socket that is in a presence channel without being a member: it is not told who
/// comes and goes.
pub(super) const QUIET: Format = Format(17);

/// Whether a format is one of this protocol's.
pub(super) fn is_ours(format: Format) -> bool {
    format == FORMAT || format == QUIET
}

/// An app and what is made of its credentials once.
pub(super) struct Served {
    pub(super) app: AppId,
    pub(super) ident: Box<str>,
    pub(super) key: Box<str>,
    pub(super) secret: Box<str>,
    pub(super) keys: Keys,
    pub(super) sessions: SessionKey,
    pub(super) enabled: bool,
    /// What is published is kept for those that catch up by another protocol.
    is_shared: bool,
    /// Its channels are what another protocol says.
    is_pushers: bool,
    pub(super) origins: Vec<String>,
    /// What is stored of it, unless it stands in the settings.
    pub(super) record: Option<Rc<KnownApp>>,
}

impl Served {
    /// The settings of channels that this protocol makes.
    pub(super) fn channel_settings(&self) -> Settings {
        Settings {
            store_recent: self.is_shared,
            ..Settings::default()
        }
    }
}

/// The protocol. Everything that changes is in the hub, the store, the table of apps and the notes.
pub struct Pushi {
    pub(super) config: Rc<Config>,
    served: BTreeMap<AppId, Rc<Served>>,
    by_key: BTreeMap<Box<str>, AppId>,
    by_ident: BTreeMap<Box<str>, AppId>,
}

impl std::fmt::Debug for Pushi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pushi({} apps)", self.served.len())
    }
}

/// What a request is to this protocol, by its head.
pub(super) enum Whose<'r> {
    /// A socket for the app with this key.
    Socket(&'r str),
    /// The HTTP API.
    Rest,
    /// Another's.
    Other,
}

/// First parts of the paths that are this protocol's, whatever stands behind.
const OWN: [&str; 10] = [
    "login",
    "logout",
    "events",
    "subscriptions",
    "sockets",
    "webs",
    "web_pushes",
    "apns",
    "smtps",
    "vapid_key",
];

/// What a channel is by its name, in apps that only this protocol uses.
fn traits(name: &str) -> Traits {
    Traits {
        has_members: presence_base(name).is_some(),
        is_cached: false,
        is_fleeting: true,
    }
}

/// Whether this is how the server writes keys.
fn is_key(part: &str) -> bool {
    part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Pushi {
    /// The protocol with these settings.
    pub fn new(config: Config) -> Self {
        let config = Rc::new(config);
        let mut pushi = Self {
            config: config.clone(),
            served: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_ident: BTreeMap::new(),
        };
        for app in &config.apps {
            pushi.serve(Served {
                app: app.app,
                ident: Box::from(&*app.ident),
                key: Box::from(&*app.key),
                secret: Box::from(&*app.secret),
                keys: Keys::new(&app.key, &app.secret),
                sessions: SessionKey::new(&app.secret),
                enabled: app.enabled,
                is_shared: app.is_shared,
                is_pushers: app.is_pushers,
                origins: app.origins.clone(),
                record: None,
            });
        }
        pushi
    }

    fn serve(&mut self, served: Served) {
        self.stop_serving(served.app);
        self.by_key.insert(served.key.clone(), served.app);
        self.by_ident.insert(served.ident.clone(), served.app);
        self.served.insert(served.app, Rc::new(served));
    }

    fn stop_serving(&mut self, app: AppId) {
        if let Some(former) = self.served.remove(&app) {
            self.by_key.remove(&former.key);
            self.by_ident.remove(&former.ident);
        }
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&Rc<Served>> {
        self.served.get(self.by_key.get(key)?)
    }

    pub(super) fn by_ident(&self, ident: &str) -> Option<&Rc<Served>> {
        self.served.get(self.by_ident.get(ident)?)
    }

    pub(super) fn by_app(&self, app: AppId) -> Option<&Rc<Served>> {
        self.served.get(&app)
    }

    /// What a request is to this protocol.
    pub(super) fn whose<'r>(&self, request: &Request<'r>) -> Whose<'r> {
        let path = request.path;
        if upgrade::is_upgrade(request) {
            let last = path.rsplit('/').next().unwrap_or("");
            return match is_key(last) {
                true => Whose::Socket(last),
                false => Whose::Other,
            };
        }
        // As routes are found: escapes are undone piece by piece. What is none is nobody's route.
        let mut parts = path.strip_prefix('/').unwrap_or("").split('/');
        let mut part = || {
            parts
                .next()
                .map(|part| decode_path(part).unwrap_or_default())
        };
        let parts = [part(), part(), part(), part()];
        let [first, second, third, fourth] = parts.each_ref().map(Option::as_deref);
        let is_rest = match (first, second, third, fourth) {
            (Some("apps"), None | Some(_), None, None) => true,
            (Some("apps"), Some(_), Some("subscribe" | "unsubscribe"), None) => true,
            (Some("messaging"), Some(_), None, None) => true,
            (Some("health"), None | Some("detailed"), None, None) => true,
            (Some("" | "info"), None, None, None) => self.config.owns_info,
            (Some(first), ..) => OWN.contains(&first),
            (None, ..) => false,
        };
        match is_rest {
            true => Whose::Rest,
            false => Whose::Other,
        }
    }
}

impl Dialect for Pushi {
    fn name(&self) -> &'static str {
        "pushi"
    }

    fn formats(&self) -> Range<u8> {
        16..24
    }

    fn claims(&self, request: &Request<'_>) -> bool {
        !matches!(self.whose(request), Whose::Other)
    }

    fn rules(&self) -> Vec<(AppId, AppRules)> {
        let own = self.served.values().filter(|served| !served.is_pushers);
        own.map(|served| {
            let rules = AppRules {
                traits,
                settings: served.channel_settings(),
                ..AppRules::default()
            };
            (served.app, rules)
        })
        .collect()
    }

    fn serves(&self, who: &Subscriber) -> bool {
        self.by_app(who.app()).is_some_and(|served| served.enabled)
    }

    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        self.admit_rest(head, ctx)
    }

    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        match self.whose(request) {
            Whose::Socket(key) => self.open(key, request, ctx),
            Whose::Rest | Whose::Other => self.rest(request, ctx),
        }
    }

    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.welcome(who, ctx);
    }

    fn text(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        self.hear(text, from, ctx);
    }

    /// Taken as text, as the original does.
    fn binary(&self, bytes: &[u8], from: SubscriberId, ctx: &mut Ctx<'_>) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.hear(text, from, ctx),
            Err(_) => super::socket::not_understood(from, "the message is not UTF-8", ctx),
        }
    }

    fn over_rate(&self, _from: SubscriberId, ctx: &mut Ctx<'_>) {
        super::socket::complain("", 429, "too many messages", ctx);
    }

    /// Clients of this protocol never say anything by themselves, so silence means nothing but that
    /// a ping is due; and some libraries do not answer one (section 2.3 of the specification).
    fn liveness(
        &self,
        _who: SubscriberId,
        _hub: &crate::hub::Hub,
    ) -> Option<crate::dialect::Liveness> {
        Some(crate::dialect::Liveness {
            ask_after_ms: PUSHI_PING_AFTER_MS,
            ask: None,
            wait_ms: crate::limits::WS_PONG_MS,
            close: (1008, "no answer to a ping"),
            may_be_mute: true,
        })
    }

    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        _told: u64,
        out: &mut Vec<u8>,
    ) {
        tell::push_event(out, event, catch_up, format == QUIET);
    }

    /// A subscriber lives and dies with its socket.
    fn gone(&self, who: SubscriberId, _end: SocketEnd, ctx: &mut Ctx<'_>) {
        notes::of(ctx.notes).forget(who);
        ctx.hub.depart(who, ctx.now, &mut ctx.io);
    }

    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        match why {
            HangUp::Replaced | HangUp::Removed => (1001, "the connection was closed"),
            HangUp::TooFarBehind => (1001, "too much was missed"),
            HangUp::Terminated | HangUp::Unauthorized => (1008, "the connection is not authorized"),
            HangUp::AppClosed => (1008, "this app is not served any more"),
            HangUp::Garbled => (1003, "what was sent cannot be understood"),
        }
    }

    fn new_notes(&self) -> Box<dyn Any> {
        Box::new(Notes::default())
    }

    fn is_at_rest(&self, notes: &dyn Any) -> bool {
        let notes = notes.downcast_ref::<Notes>();
        notes.is_none_or(Notes::is_at_rest)
    }

    fn learn_app(&mut self, known: &Rc<KnownApp>) {
        let record = &known.record;
        if record.protocols & BY_PUSHI == 0 {
            self.stop_serving(known.app);
            return;
        }
        // An app of the settings goes first, whoever came to the store with its key or id.
        let is_taken = |at: Option<&AppId>| at.is_some_and(|&app| app != known.app);
        if is_taken(self.by_key.get(&record.key)) || is_taken(self.by_ident.get(&record.ident)) {
            let ident = &record.ident;
            log::error!("app {ident:?} of the store has the key or the id of another: not served");
            return;
        }
        self.serve(Served {
            app: known.app,
            ident: record.ident.clone(),
            key: record.key.clone(),
            secret: record.secret.clone(),
            keys: Keys::new(&record.key, &record.secret),
            sessions: SessionKey::new(&record.secret),
            enabled: record.is_enabled(),
            is_shared: false,
            is_pushers: self.config.is_beside_pusher && record.protocols & BY_PUSHER != 0,
            origins: Vec::new(),
            record: Some(known.clone()),
        });
    }

    fn restore(&self, loaded: &Loaded, ctx: &mut Ctx<'_>) {
        let notes = notes::of(ctx.notes);
        for record in &loaded.apps {
            notes.ended.end_before(record.row, record.sessions_from_s);
        }
        for ended in &loaded.ended {
            notes.ended.restore(&Sid::from_bytes(ended.session));
        }
    }

    fn not_stored(&self, why: Trouble, random: [u8; 16]) -> Response {
        let mut response = Fault::trouble(why).response(random);
        // Nobody knows any more which page had asked.
        dress(&mut response, None, &self.config.origins);
        response
    }

    fn not_kept(&self, _from: SubscriberId, why: Trouble, ctx: &mut Ctx<'_>) {
        let message = "an event was delivered, but could not be stored";
        super::socket::complain("", 503, &format!("{message}: {why}"), ctx);
    }
}
