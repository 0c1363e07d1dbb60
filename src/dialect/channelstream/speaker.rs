//! The dialect itself: which request is what, who may make it, and what is said in return
//! (section 3 of the specification).

use super::access::{Caller, Scheme, Seen, may_sign_in_body};
use super::admin;
use super::encode::{is_told, push_event};
use super::errors::BodyFault;
use super::fields::parse_uuid;
use super::listen::{self, push_joined};
use super::pages::{self, Cors};
use super::persist;
use super::sign::Signer;
use super::words;
use super::{assets, explorer, openapi};
use crate::dialect::{Ctx, Dialect, Framing, Heartbeat, Pace, Reply, SocketEnd, Stream};
use crate::hub::Remember;
use crate::hub::{AppId, Event, Format, HangUp, Id, Order, SubscriberId};
use crate::limits::{
    CS_EXPIRE_MS, CS_HEARTBEAT_MS, CS_POLL_FRAMES_MAX, CS_POLL_GATHER_MS, CS_POLL_LONGEST_MS,
    CS_POLL_WAKE_MS, CS_RETURN_MS, CS_SIGNATURE_AGE_S, CS_STREAM_GRACE_MS,
    HTTP_SMALL_BODY_BYTES_MAX,
};
use crate::peers::PeerList;
use crate::store::{Change, Loaded};
use crate::transport::http::{Method, Refusal, Request, Response, query, upgrade};
use core::net::IpAddr;

/// The app whose channels and users Channelstream's are.
pub const APP: AppId = AppId::FIRST;
/// The format of frames on a socket.
pub const FORMAT: Format = Format(0);

/// The format of events on a stream.
pub(super) const STREAM_FORMAT: Format = Format(1);

/// The settings of this dialect.
#[derive(Clone)]
pub struct Config {
    /// The app whose channels and users are its own.
    pub app: AppId,
    /// The shared secret of the server API.
    pub secret: String,
    /// Addresses that may make signed requests; `0.0.0.0` is anyone, `unix` a Unix socket.
    pub allow_posting_from: PeerList,
    /// Origins that may read answers; empty: all.
    pub allow_cors: Vec<String>,
    /// Whether the age of a signature counts.
    pub validate_requests: bool,
    /// Refuse callers that did not come by https.
    pub enforce_https: bool,
    /// The scheme of links, if it is to be forced.
    pub http_scheme: Option<Scheme>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: PeerList,
    /// Who may sign in to the admin pages.
    pub admin_user: String,
    /// The password for that; empty: nobody may.
    pub admin_secret: String,
    /// What the login cookie is signed with; empty: a key that is new with each start.
    pub cookie_secret: String,
    /// `[]` is sent this often.
    pub heartbeat_ms: u64,
    /// A connection without socket lives this long.
    pub expire_ms: u64,
    /// A connection whose socket closed may come back within this time.
    pub return_ms: u64,
    /// How long a poll waits.
    pub poll: Pace,
    /// A connection whose event stream ended may come back within this time.
    pub stream_grace_ms: u64,
    /// Whether history, settings of channels, users and their state survive a restart.
    pub persist: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            app: AppId::FIRST,
            secret: "secret".to_owned(),
            allow_posting_from: PeerList::of(&[IpAddr::from([127, 0, 0, 1])]),
            allow_cors: Vec::new(),
            validate_requests: true,
            enforce_https: false,
            http_scheme: None,
            trusted_proxies: PeerList::of(&[
                IpAddr::from([127, 0, 0, 1]),
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ]),
            admin_user: "admin".to_owned(),
            admin_secret: String::new(),
            cookie_secret: String::new(),
            heartbeat_ms: CS_HEARTBEAT_MS,
            expire_ms: CS_EXPIRE_MS,
            return_ms: CS_RETURN_MS,
            poll: Pace {
                wake_ms: CS_POLL_WAKE_MS,
                gather_ms: CS_POLL_GATHER_MS,
                longest_ms: CS_POLL_LONGEST_MS,
                frames: CS_POLL_FRAMES_MAX,
            },
            stream_grace_ms: CS_STREAM_GRACE_MS,
            persist: false,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("channelstream::Config(secrets not shown)")
    }
}

/// Channelstream 0.7.1.
#[derive(Debug)]
pub struct Channelstream {
    pub(super) config: Config,
    signer: Signer,
    cors: Cors,
}

/// The connection of this id, if it is one of this protocol. In an app that others use, too, there are
/// theirs: what names them is no secret, and must not open what only a secret id may.
pub(super) fn find_connection(ctx: &Ctx<'_>, id: u128) -> Option<SubscriberId> {
    let who = ctx.hub.find_subscriber(ctx.app, Id(id))?;
    let format = ctx.hub.subscriber(who)?.format();
    [FORMAT, STREAM_FORMAT].contains(&format).then_some(who)
}

/// What a path and method come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    Options,
    Connect,
    Subscribe,
    Unsubscribe,
    Message,
    Edit,
    Delete,
    UserState,
    ChannelConfig,
    Info,
    Disconnect,
    OpenApi,
    Explorer,
    Static,
    Listen,
    Admin(admin::Page),
}

impl Built {
    /// A wrong method on a known path is an unknown path.
    fn of(method: Method, path: &str) -> Option<Self> {
        match (path, method) {
            (_, Method::Options) => Some(Self::Options),
            ("/connect", Method::Post) => Some(Self::Connect),
            ("/subscribe", Method::Post) => Some(Self::Subscribe),
            ("/unsubscribe", Method::Post) => Some(Self::Unsubscribe),
            ("/message", Method::Post) => Some(Self::Message),
            ("/message", Method::Patch) => Some(Self::Edit),
            ("/message", Method::Delete) => Some(Self::Delete),
            ("/user_state", Method::Post) => Some(Self::UserState),
            ("/channel_config", Method::Post) => Some(Self::ChannelConfig),
            ("/info", _) => Some(Self::Info),
            ("/disconnect", _) => Some(Self::Disconnect),
            ("/openapi.json", _) => Some(Self::OpenApi),
            ("/api-explorer", _) => Some(Self::Explorer),
            (path, Method::Get | Method::Head | Method::Post)
                if path.starts_with(explorer::PARTS) =>
            {
                Some(Self::Explorer)
            }
            ("/listen", Method::Get | Method::Head) => Some(Self::Listen),
            (path, Method::Get | Method::Head) if assets::is_there(path) => Some(Self::Static),
            (path, method) => admin::Page::of(method, path).map(Self::Admin),
        }
    }

    /// Whether the caller must have signed.
    fn is_signed(self) -> bool {
        match self {
            Self::Connect
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::Message
            | Self::Edit
            | Self::Delete
            | Self::UserState
            | Self::ChannelConfig
            | Self::Info
            | Self::OpenApi => true,
            // Where only admins are wanted, others are sent to sign in instead.
            Self::Options
            | Self::Disconnect
            | Self::Listen
            | Self::Static
            | Self::Explorer
            | Self::Admin(_) => false,
        }
    }
}

/// Whether there is an endpoint for this method at this path, other than OPTIONS on any path.
#[cfg(test)]
pub(super) fn is_routed(method: Method, path: &str) -> bool {
    Built::of(method, path).is_some_and(|endpoint| endpoint != Built::Options)
}

impl Built {
    /// The most bytes that a body may have here, if the transport allows as much.
    fn body_bytes_max(self) -> usize {
        match self {
            // Lists of messages, of channels, of values.
            Self::Connect
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::Message
            | Self::Edit
            | Self::Delete
            | Self::UserState
            | Self::ChannelConfig
            | Self::Info => usize::MAX,
            // One id, or nothing; and anyone may ask.
            Self::Options
            | Self::Disconnect
            | Self::Listen
            | Self::OpenApi
            | Self::Explorer
            | Self::Static
            | Self::Admin(_) => HTTP_SMALL_BODY_BYTES_MAX,
        }
    }
}

impl Channelstream {
    /// The dialect with these settings.
    pub fn new(config: Config) -> Self {
        Self {
            signer: Signer::new(config.secret.as_bytes()),
            cors: Cors::new(config.allow_cors.iter().map(String::as_str)),
            config,
        }
    }

    /// A signature as callers of the server API send it, made at `now_unix_s`.
    pub fn sign(&self, value: &str, now_unix_s: u64) -> String {
        self.signer.sign(value, now_unix_s)
    }

    pub(super) fn seen<'r>(&self, request: &Request<'r>, ctx: &Ctx<'_>) -> Seen<'r> {
        let peer = ctx.from.peer.map(|peer| peer.ip());
        // A peer on a Unix socket is somebody whom the file's mode let in: a proxy of ours.
        let is_trusted = peer.is_none() || self.config.trusted_proxies.lists(peer);
        Seen::new(request, ctx.from.tls, self.config.http_scheme, is_trusted)
    }

    fn check_scheme(&self, request: &Request<'_>, seen: &Seen<'_>) -> Result<(), Response> {
        if self.config.enforce_https && !seen.is_https {
            let accept = request.headers.get("Accept");
            let words = "SSL is required: come by https.";
            return Err(pages::generic(406, accept, words));
        }
        Ok(())
    }

    /// Whether only the body can tell who is calling: a form, from where signatures are looked at.
    fn may_sign_in_body(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> bool {
        let peer = ctx.from.peer.map(|peer| peer.ip());
        self.config.allow_posting_from.lists(peer) && may_sign_in_body(request)
    }

    /// What is checked before the body is read, in the order of section 3, but for `/ws`.
    fn admission(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Result<Built, Response> {
        let accept = request.headers.get("Accept");
        let seen = self.seen(request, ctx);
        self.check_scheme(request, &seen)?;
        if self.may_sign_in_body(request, ctx) {
            fits(request, HTTP_SMALL_BODY_BYTES_MAX)?;
        }
        let max_age_s = self.config.validate_requests.then_some(CS_SIGNATURE_AGE_S);
        let caller = if admin::looks_at_cookie(seen.path) && self.is_signed_in(request, ctx) {
            // Whose login is good needs no secret on these paths, and a bad one does no harm.
            Caller::Signed
        } else {
            Caller::check(
                request,
                ctx.from.peer.map(|peer| peer.ip()),
                &self.config.allow_posting_from,
                &self.signer,
                ctx.asked_unix_s,
                max_age_s,
            )
        };
        if caller == Caller::BadSignature {
            return Err(pages::bad_signature());
        }
        let Some(endpoint) = Built::of(request.method, seen.path) else {
            return Err(pages::nothing(accept));
        };
        if caller != Caller::Signed {
            if endpoint.is_signed() {
                let words = "This path needs a signed request.";
                return Err(pages::generic(403, accept, words));
            }
            if endpoint == Built::Explorer {
                return Err(admin::to_sign_in(request, &seen));
            }
            if let Built::Admin(page) = endpoint {
                Self::turn_away(page, request, &seen)?;
            }
        }
        fits(request, endpoint.body_bytes_max())?;
        Ok(endpoint)
    }

    /// The most bytes that the body of a request may have of which this is the head.
    fn body_bytes_max(&self, head: &Request<'_>, ctx: &Ctx<'_>) -> Result<usize, Response> {
        if is_socket(head) {
            return Ok(HTTP_SMALL_BODY_BYTES_MAX);
        }
        if self.may_sign_in_body(head, ctx) {
            // A form is no body that any endpoint reads: there has to be room for a signature only.
            self.check_scheme(head, &self.seen(head, ctx))?;
            return Ok(HTTP_SMALL_BODY_BYTES_MAX);
        }
        self.admission(head, ctx).map(Built::body_bytes_max)
    }

    /// Everything but `/ws`.
    fn answer(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        let endpoint = match self.admission(request, ctx) {
            Ok(endpoint) => endpoint,
            Err(refused) => return refused.into(),
        };
        let accept = request.headers.get("Accept");
        match endpoint {
            Built::Options => pages::options().into(),
            Built::Connect => reply(self.connect(request, ctx), accept),
            Built::Subscribe => reply(self.subscribe(request, ctx), accept),
            Built::Unsubscribe => reply(self.unsubscribe(request, ctx), accept),
            Built::Message => reply(self.message(request, ctx), accept),
            Built::Edit => reply(self.edit(request, ctx), accept),
            Built::Delete => reply(self.delete(request, ctx), accept),
            Built::UserState => reply(self.user_state(request, ctx), accept),
            Built::ChannelConfig => {
                reply(self.channel_config(request, ctx).map(Reply::Now), accept)
            }
            Built::Info => reply(self.info(request, ctx), accept),
            Built::Listen => self.listen(request, ctx),
            Built::Disconnect => reply(self.disconnect(request, ctx).map(Reply::Now), accept),
            Built::Admin(page) => self.admin(page, request, ctx),
            Built::OpenApi => openapi::answer(self.seen(request, ctx).prefix).into(),
            Built::Explorer => {
                let sign = || self.sign("api-explorer", ctx.now.unix_seconds());
                let seen = self.seen(request, ctx);
                let base = admin::base_in_html(request, &seen);
                explorer::answer(seen.path, request, &base, sign)
                    .unwrap_or_else(|| pages::nothing(accept))
                    .into()
            }
            Built::Static => assets::answer(self.seen(request, ctx).path, request)
                .unwrap_or_else(|| pages::nothing(accept))
                .into(),
        }
    }

    /// `response` with what every answer to `request` carries.
    pub(super) fn dressed(&self, request: &Request<'_>, mut response: Response) -> Response {
        self.dress(request, &mut response);
        response
    }

    /// `/disconnect`: the connection goes at once.
    fn disconnect(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<Response, BodyFault> {
        let id = match request.method {
            Method::Post => words::parse_disconnect(request.body)?,
            Method::Get
            | Method::Head
            | Method::Put
            | Method::Patch
            | Method::Delete
            | Method::Options => {
                let given = request
                    .query
                    .and_then(|query| query::last(query, "conn_id"));
                words::parse_disconnect_query(given.as_deref())?
            }
        };
        let known = find_connection(ctx, id);
        let is_gone = known.is_some_and(|who| ctx.hub.depart(who, ctx.now, &mut ctx.io));
        Ok(Response::json(200, if is_gone { "true" } else { "false" }))
    }

    /// `/ws`, which is taken out before everything else. The handshake succeeds for any id; one
    /// that is not known is told so with a Close.
    fn socket(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Reply {
        let fit = self
            .check_scheme(request, &self.seen(request, ctx))
            .and_then(|()| fits(request, HTTP_SMALL_BODY_BYTES_MAX));
        if let Err(refused) = fit {
            return Reply::Now(refused);
        }
        let accept = match upgrade::websocket(request) {
            Ok(accept) => accept,
            Err(refusal) => return Reply::Now(refusal.response()),
        };
        let given = request
            .query
            .and_then(|query| query::last(query, "conn_id"));
        let Some(id) = given.as_deref().and_then(parse_uuid) else {
            return Reply::UpgradeAndClose(accept, 1008, "conn_id is missing or no UUID");
        };
        match find_connection(ctx, id) {
            Some(who) => Reply::Upgrade(accept, who),
            None => Reply::UpgradeAndClose(accept, 1000, "unknown connection"),
        }
    }
}

/// What a call came to, its complaint in words.
fn reply(outcome: Result<Reply, BodyFault>, accept: Option<&str>) -> Reply {
    outcome.unwrap_or_else(|fault| pages::body_fault(&fault, accept).into())
}

/// Whether a request is for a WebSocket, by its path as sent.
fn is_socket(request: &Request<'_>) -> bool {
    request.path == "/ws"
}

/// Refuses a body that is larger than this path's may be.
fn fits(request: &Request<'_>, limit: usize) -> Result<(), Response> {
    if request.body.len() > limit {
        Err(Refusal::BodyTooLarge { limit }.response())
    } else {
        Ok(())
    }
}

impl Dialect for Channelstream {
    fn name(&self) -> &'static str {
        "channelstream"
    }

    fn app(&self) -> AppId {
        self.config.app
    }

    fn remembers(&self) -> Option<AppId> {
        self.config.persist.then_some(self.config.app)
    }

    fn write_down(&self, what: Remember<'_>) -> Change {
        persist::change(what)
    }

    fn restore(&self, loaded: &Loaded, ctx: &mut Ctx<'_>) {
        let row = ctx.apps.row(ctx.app).filter(|_| self.config.persist);
        let mut remembered = loaded.remembered.iter();
        let own = remembered.find(|(of, _)| Some(*of) == row);
        if let Some((_, remembered)) = own {
            let restored = persist::restore(remembered, ctx.app, ctx.now, ctx.hub);
            log::info!(
                "remembered: {} channels with {} messages, {} users",
                restored.channels,
                restored.messages,
                restored.users
            );
            if restored.skipped > 0 {
                log::warn!("{} remembered values make no sense", restored.skipped);
            }
        }
    }

    fn admit(&self, head: &Request<'_>, ctx: &mut Ctx<'_>) -> Result<usize, Response> {
        self.body_bytes_max(head, ctx)
            .map_err(|refused| self.dressed(head, refused))
    }

    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        let reply = match is_socket(request) {
            true => self.socket(request, ctx),
            false => self.answer(request, ctx),
        };
        match reply {
            Reply::Now(response) => Reply::Now(self.dressed(request, response)),
            Reply::After { ms, response } => Reply::After {
                ms,
                response: self.dressed(request, response),
            },
            // Dressed when it was begun.
            later @ (Reply::Later(_) | Reply::Ask(..) | Reply::Park(_) | Reply::Stream(_)) => later,
            // Dressed by the engine, which makes it.
            report @ Reply::Report(_) => report,
            upgrade @ (Reply::Upgrade(..) | Reply::UpgradeAndClose(..)) => upgrade,
        }
    }

    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        let Ctx { hub, io, conn, .. } = ctx;
        // Its client begins anew, and knows that it missed something.
        if hub.attach_as(who, *conn, FORMAT, io) && !hub.catch_up(who, Order::Channel, io) {
            ctx.hub
                .remove(who, HangUp::TooFarBehind, ctx.now, &mut ctx.io);
        }
    }

    fn streaming(&self, stream: &Stream, ctx: &mut Ctx<'_>) {
        listen::begin_stream(stream, ctx);
    }

    fn stream_heartbeat(&self) -> &'static str {
        ":\n\n"
    }

    fn framing(&self, format: Format) -> Framing {
        if format == STREAM_FORMAT {
            Framing::None
        } else {
            Framing::WebSocket
        }
    }

    fn join(&self, payloads: &mut dyn Iterator<Item = &[u8]>, out: &mut Vec<u8>) {
        push_joined(payloads, out);
    }

    fn unparked(&self, who: SubscriberId, seen: Option<u64>, ctx: &mut Ctx<'_>) {
        let expires = ctx.now.mono + self.config.expire_ms;
        match seen {
            None => ctx.hub.detach(who, ctx.conn, expires),
            Some(seen) => ctx.hub.detach_at(who, ctx.conn, seen, expires),
        };
    }

    /// Whatever a browser sends is ignored; that it was sent at all is a sign of life, which the
    /// engine has noted.
    fn text(&self, _text: &str, _from: SubscriberId, _ctx: &mut Ctx<'_>) {}

    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    ) {
        if !is_told(event) {
            return;
        }
        if format == STREAM_FORMAT {
            listen::push_stream_event(out, event, catch_up, told);
        } else {
            push_event(out, event, catch_up);
        }
    }

    /// Catching up covers what is told while a subscriber is away, not what was queued for it and
    /// thrown away: private messages and most channels keep some of that, others nothing. So who
    /// was cut off is unknown at once, and the client, which has to connect anew, knows why.
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>) {
        let format = ctx.hub.subscriber(who).map(|known| known.format());
        if format == Some(STREAM_FORMAT) {
            // Its client says what it has heard when it comes back, and an error would end it for
            // good.
            let expires = ctx.now.mono + self.config.stream_grace_ms;
            ctx.hub.detach(who, ctx.conn, expires);
            return;
        }
        match end {
            SocketEnd::Whole => {
                let expires = ctx.now.mono + self.config.return_ms;
                ctx.hub.detach(who, ctx.conn, expires);
            }
            SocketEnd::Cut => {
                ctx.hub.cut_off(who, ctx.conn, ctx.now, &mut ctx.io);
            }
        }
    }

    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        match why {
            HangUp::Replaced => (1000, "another socket took over"),
            HangUp::Removed | HangUp::Terminated => (1000, "the connection was removed"),
            HangUp::TooFarBehind => (1000, "too much was missed, connect anew"),
            HangUp::Unauthorized => (1008, "the connection was not authorized in time"),
            HangUp::AppClosed => (1000, "the app was closed"),
            HangUp::Garbled => (1003, "what was sent cannot be understood"),
        }
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        Some(Heartbeat {
            text: "[]",
            every_ms: self.config.heartbeat_ms,
        })
    }

    fn is_admin(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> bool {
        self.is_signed_in(request, ctx)
    }

    fn dress(&self, request: &Request<'_>, response: &mut Response) {
        self.cors
            .answer(request.headers.get("Origin"))
            .put_on(response);
    }
}
