//! The admin: signing in, the report, the page and the JSON behind it (section 14 of the
//! specification).
//!
//! The login cookie opens these pages and not the server API; a signed request opens them as
//! well. What acts in the name of a cookie has to prove that a page of ours asked for it:
//! `SameSite=Lax` keeps the cookie from other sites' forms, a token bound to the session is
//! asked for besides, and for signing out at least that no other site's page asks.

mod api;
mod links;
mod report;
mod session;

use super::access::Seen;
use super::explorer;
use super::pages;
use super::speaker::Channelstream;
use crate::dialect::{Ctx, Job, Reply, Report};
use crate::handler::ConnId;
use crate::hub::Effects;
use crate::limits::{SESSION_S, SIGN_IN_DELAY_MS, WORK_PER_MESSAGE};
use crate::transport::http::{Method, Request, Response, query};
use api::{Asked, Named};
pub(in crate::dialect) use links::client;
pub(super) use links::is_foreign;
use session::{COOKIE, Session, Sessions};

const HOME: &str = include_str!("page.html");
const SIGN_IN: &str = include_str!("sign_in.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// Everything below `/admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    SignIn,
    SignOut,
    Script,
    Style,
    Home,
    Report,
    Debug,
    Api(Api),
}

/// What is below `/admin/api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Session,
    Overview,
    Channels,
    Channel,
    Users,
    Connections,
    Close,
}

/// What becomes of a caller who is nobody that may see a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stranger {
    Welcome,
    /// To the form.
    Redirected,
    Refused,
}

impl Page {
    /// The page at this path, if there is one for this method.
    pub(super) fn of(method: Method, path: &str) -> Option<Self> {
        let is_read = matches!(method, Method::Get | Method::Head);
        Some(match (path, method) {
            ("/admin", _) => Self::Home,
            ("/admin/sign_in", _) => Self::SignIn,
            ("/admin/sign_out", _) => Self::SignOut,
            ("/admin/debug", _) => Self::Debug,
            ("/admin/admin.json", Method::Get | Method::Head | Method::Post) => Self::Report,
            ("/admin/page.js", _) if is_read => Self::Script,
            ("/admin/page.css", _) if is_read => Self::Style,
            ("/admin/api/connections/close", Method::Post) => Self::Api(Api::Close),
            ("/admin/api/session", _) if is_read => Self::Api(Api::Session),
            ("/admin/api/overview", _) if is_read => Self::Api(Api::Overview),
            ("/admin/api/channels", _) if is_read => Self::Api(Api::Channels),
            ("/admin/api/channel", _) if is_read => Self::Api(Api::Channel),
            ("/admin/api/users", _) if is_read => Self::Api(Api::Users),
            ("/admin/api/connections", _) if is_read => Self::Api(Api::Connections),
            _ => return None,
        })
    }

    fn stranger(self) -> Stranger {
        match self {
            Self::SignIn | Self::SignOut | Self::Script | Self::Style => Stranger::Welcome,
            Self::Home | Self::Report | Self::Debug => Stranger::Redirected,
            Self::Api(_) => Stranger::Refused,
        }
    }
}

/// What stands before the path in links, as it may stand in HTML.
pub(super) fn base_in_html(request: &Request<'_>, seen: &Seen<'_>) -> String {
    let mut base = String::new();
    links::push_html(&mut base, &links::base(request, seen));
    base
}

/// Whether the login cookie is looked at on this path, before any signature.
pub(super) fn looks_at_cookie(path: &str) -> bool {
    path == "/admin"
        || path.starts_with("/admin/")
        || matches!(path, "/openapi.json" | "/api-explorer")
        || path.starts_with(explorer::PARTS)
}

impl Channelstream {
    fn sessions(&self, ctx: &Ctx<'_>) -> Sessions<'_> {
        let config = &self.config;
        Sessions::new(
            config.admin_user.trim(),
            config.admin_secret.trim(),
            &config.cookie_secret,
            ctx.desk,
        )
    }

    /// Who has signed in, by the cookie.
    fn session(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Option<Session> {
        if self.config.admin_secret.trim().is_empty() {
            return None;
        }
        request.headers.get("Cookie")?;
        let now = ctx.now.unix_seconds();
        self.sessions(ctx).of(request, now, ctx.desk)
    }

    /// Whether the caller has signed in as an admin.
    pub(super) fn is_signed_in(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> bool {
        self.session(request, ctx).is_some()
    }

    /// The answer to a caller of this page who has neither signed in nor signed the request.
    pub(super) fn turn_away(
        page: Page,
        request: &Request<'_>,
        seen: &Seen<'_>,
    ) -> Result<(), Response> {
        match page.stranger() {
            Stranger::Welcome => Ok(()),
            Stranger::Redirected => Err(to_sign_in(request, seen)),
            Stranger::Refused => Err(Response::json(
                401,
                r#"{"error":"unauthorized","message":"sign in at /admin/sign_in, or sign the request"}"#,
            )
            .with("Cache-Control", "no-store")),
        }
    }

    /// A page for a caller who may see it.
    pub(super) fn admin(&self, page: Page, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        let seen = self.seen(request, ctx);
        match page {
            Page::SignIn if request.method == Method::Post => self.sign_in(request, &seen, ctx),
            Page::SignIn => form(200, request, &seen, "").into(),
            Page::SignOut => self.sign_out(request, &seen, ctx).into(),
            Page::Script => asset("text/javascript; charset=UTF-8", SCRIPT).into(),
            Page::Style => asset("text/css; charset=UTF-8", STYLE).into(),
            Page::Home => self.home(request, &seen, ctx).into(),
            Page::Debug => debug(ctx).into(),
            Page::Report => self.report(request, ctx),
            Page::Api(api) => match self.api(api, request, ctx) {
                Reply::Now(answer) => Reply::Now(answer.with("Cache-Control", "no-store")),
                other @ (Reply::Later(_)
                | Reply::Ask(..)
                | Reply::Park(_)
                | Reply::Stream(_)
                | Reply::After { .. }
                | Reply::Report(_)
                | Reply::Upgrade(..)
                | Reply::UpgradeAndClose(..)) => other,
            },
        }
    }

    /// `POST /admin/sign_in`. Whoever is wrong waits for the answer; whoever is wrong too often
    /// is not even looked at for a while, so that nobody tries out more than a few passwords.
    fn sign_in(&self, request: &Request<'_>, seen: &Seen<'_>, ctx: &mut Ctx<'_>) -> Reply {
        if is_foreign(request) {
            return not_from_here(request).into();
        }
        let peer = ctx.from.peer.map(|peer| peer.ip());
        let address = client(request, peer, &self.config.trusted_proxies);
        if let Some(wait_ms) = ctx.desk.locked_ms(address, ctx.now.mono) {
            let words = "Too many wrong passwords came from your address. Try again in a minute.";
            let retry = wait_ms.div_ceil(1000).to_string();
            return Reply::After {
                ms: SIGN_IN_DELAY_MS,
                response: form(429, request, seen, words).with("Retry-After", retry),
            };
        }
        let body = std::str::from_utf8(request.body).unwrap_or_default();
        let field = |name| query::last(body, name).unwrap_or_default();
        let (user, password) = (field("username"), field("password"));
        let expected = self.config.admin_secret.trim();
        // Both are looked at, whichever is wrong.
        let is_user = session::is_same(self.config.admin_user.trim(), user.trim(), ctx.desk);
        let is_password = session::is_same(expected, password.trim(), ctx.desk);
        if !(is_user & is_password & !expected.is_empty()) {
            ctx.desk.failed(address, ctx.now.mono);
            // At most as often as an address may try.
            match address {
                Some(address) => log::warn!("a wrong password for the admin page from {address}"),
                None => log::warn!("a wrong password for the admin page"),
            }
            let words = "User name or password is wrong.";
            return Reply::After {
                ms: SIGN_IN_DELAY_MS,
                response: form(200, request, seen, words),
            };
        }
        ctx.desk.succeeded(address);
        let id = ctx.io.random.id();
        let cookie = self.sessions(ctx).begin(id, ctx.now.unix_seconds());
        let link = format!("{}/admin", links::base(request, seen));
        redirect(request, link)
            .with("Set-Cookie", set_cookie(&cookie, SESSION_S, seen))
            .into()
    }

    /// `/admin/sign_out`: the session is over, not only its cookie gone.
    fn sign_out(&self, request: &Request<'_>, seen: &Seen<'_>, ctx: &mut Ctx<'_>) -> Response {
        if let Some(session) = self.session(request, ctx) {
            let body = std::str::from_utf8(request.body).unwrap_or_default();
            let token = query::last(body, "csrf").unwrap_or_default();
            if is_foreign(request) && !self.sessions(ctx).is_csrf(&session, &token) {
                return not_from_here(request);
            }
            ctx.desk.sign_out(session.id);
        }
        to_sign_in(request, seen).with("Set-Cookie", set_cookie("", 0, seen))
    }

    fn home(&self, request: &Request<'_>, seen: &Seen<'_>, ctx: &Ctx<'_>) -> Response {
        let session = self.session(request, ctx);
        let token = session.map(|session| self.sessions(ctx).csrf(&session));
        let page = fill(HOME, request, seen, "csrf", &token.unwrap_or_default());
        html(200, page)
    }

    /// `/admin/admin.json`.
    fn report(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        let answer = Response::json(200, "").with("Cache-Control", "no-store");
        let answer = self.dressed(request, answer);
        let mut job = report::ReportJob::begin(ctx, answer);
        if let Some(mut whole) = job.go_on(ctx) {
            // Whoever asks dresses what is answered at once.
            whole.headers.clear();
            return whole.with("Cache-Control", "no-store").into();
        }
        if !ctx.takes_jobs {
            return pages::busy().into();
        }
        Reply::Later(Box::new(job))
    }

    fn api(&self, api: Api, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        // What it costs to look through a page of names.
        ctx.io.spend(WORK_PER_MESSAGE * 64);
        match api {
            Api::Session => self.who(request, ctx).into(),
            Api::Overview => Reply::Report(Report::Overview),
            Api::Channels => api::channels(&Asked::of(request), ctx.hub, ctx.app).into(),
            Api::Channel => {
                let unknown = r#"{"error":"not_found","message":"there is no such channel"}"#;
                let channel = api::channel(request, ctx);
                channel
                    .unwrap_or_else(|| Response::json(404, unknown))
                    .into()
            }
            Api::Users => api::users(&Asked::of(request), ctx.hub, ctx.app).into(),
            Api::Connections => Reply::Report(Asked::of(request).connections()),
            Api::Close => self.close(request, ctx),
        }
    }

    /// `/admin/api/session`: until when, and what a page has to show to act.
    fn who(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Response {
        let Some(session) = self.session(request, ctx) else {
            return Response::json(200, r#"{"by":"signature"}"#);
        };
        let csrf = self.sessions(ctx).csrf(&session);
        let expires = session.expires_unix_s;
        Response::json(
            200,
            format!(r#"{{"by":"cookie","expires_unix_s":{expires},"csrf":"{csrf}"}}"#),
        )
    }

    /// `POST /admin/api/connections/close`. By the cookie only with the session's token; a signed
    /// request has proved that no browser was made to send it.
    fn close(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        if let Some(session) = self.session(request, ctx) {
            let token = request.headers.get("X-CSRF-Token").unwrap_or_default();
            if is_foreign(request) || !self.sessions(ctx).is_csrf(&session, token) {
                return Response::json(
                    403,
                    r#"{"error":"forbidden","message":"the header X-CSRF-Token must have the token of this session"}"#,
                )
                .into();
            }
        }
        match Named::of(request.body) {
            Some(Named::Socket(bits)) => Reply::Report(Report::Close(ConnId::from_bits(bits))),
            Some(Named::Connection(id)) => api::close(id, ctx).into(),
            None => Response::json(
                422,
                r#"{"error":"invalid","message":"expected {\"id\": text} or {\"conn_id\": UUID}"}"#,
            )
            .into(),
        }
    }
}

/// Plain numbers for whoever has no browser at hand. The original dumps its threads here; there is
/// one, and it is answering.
fn debug(ctx: &Ctx<'_>) -> Response {
    let (channels, subscribers, users) = ctx.hub.counts();
    let totals = ctx.hub.totals();
    let text = format!(
        "fanwire {}\nuptime {}\nthreads one loop, which answers this\nchannels {channels}\n\
         connections {subscribers}\nusers {users}\nsubscriptions {}\npublished {}\ndelivered {}\n",
        env!("CARGO_PKG_VERSION"),
        report::uptime(ctx.now.mono.0 / 1000),
        totals.subscriptions,
        totals.published,
        totals.delivered,
    );
    Response::text(200, text).with("Cache-Control", "no-store")
}

/// A redirect to the form.
pub(super) fn to_sign_in(request: &Request<'_>, seen: &Seen<'_>) -> Response {
    let link = format!("{}/admin/sign_in", links::base(request, seen));
    redirect(request, link)
}

fn redirect(request: &Request<'_>, link: String) -> Response {
    let accept = request.headers.get("Accept");
    pages::generic(302, accept, "It is at the address in the header Location.")
        .with("Location", link)
        .with("Cache-Control", "no-store")
}

fn not_from_here(request: &Request<'_>) -> Response {
    let accept = request.headers.get("Accept");
    pages::generic(403, accept, "Another site's page asked for this.")
}

/// The header that sets the cookie, or lets it expire at once.
fn set_cookie(value: &str, age_s: u64, seen: &Seen<'_>) -> String {
    let secure = if seen.is_https || seen.scheme.name() == "https" {
        "; Secure"
    } else {
        ""
    };
    format!("{COOKIE}={value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

/// The form to sign in, with a complaint or without.
fn form(status: u16, request: &Request<'_>, seen: &Seen<'_>, words: &str) -> Response {
    html(status, fill(SIGN_IN, request, seen, "words", words))
}

/// A page with its places filled: `{{base}}`, and one of its own.
fn fill(page: &str, request: &Request<'_>, seen: &Seen<'_>, name: &str, value: &str) -> String {
    let mut filled = String::with_capacity(page.len() + 512);
    for (at, part) in page.split("{{").enumerate() {
        match part.split_once("}}") {
            Some(("base", rest)) if at > 0 => {
                links::push_html(&mut filled, &links::base(request, seen));
                filled.push_str(rest);
            }
            Some((place, rest)) if at > 0 && place == name => {
                links::push_html(&mut filled, value);
                filled.push_str(rest);
            }
            Some(_) | None => filled.push_str(part),
        }
    }
    filled
}

/// A page that no other site may show inside its own, that loads nothing from elsewhere, and that
/// no cache keeps.
fn html(status: u16, page: String) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    Response {
        content_type: "text/html; charset=UTF-8",
        ..Response::text(status, page)
    }
    .with("Cache-Control", "no-store")
    .with("Content-Security-Policy", policy)
    .with("X-Frame-Options", "DENY")
    .with("X-Content-Type-Options", "nosniff")
    .with("Referrer-Policy", "same-origin")
}

/// A part of the page; there is nothing secret in it.
fn asset(content_type: &'static str, text: &'static str) -> Response {
    Response {
        content_type,
        ..Response::text(200, text)
    }
    .with("Cache-Control", "no-cache")
    .with("X-Content-Type-Options", "nosniff")
}
