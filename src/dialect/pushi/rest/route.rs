//! Which route a request is for, and who may ask for it (section 5.3).
//!
//! Here alone stands which routes there are: who has no session is told so only where there is
//! something behind it, and HEAD finds the routes that tell something, never one that does something.

use crate::dialect::pushi::bodies::named;
use crate::store::RecordKind;
use crate::transport::http::query::decode_path;
use crate::transport::http::{Method, Request};
use std::borrow::Cow;

/// A piece of a path without its escapes.
type Piece<'p> = Cow<'p, str>;

/// A route, and what its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Login,
    Logout,
    Info,
    Health,
    HealthInDetail,
    VapidKey,
    CreateApp,
    Apps,
    App(Piece<'p>),
    ChangeApp(Piece<'p>),
    Subscribe(Piece<'p>),
    Unsubscribe(Piece<'p>),
    Ping,
    Events,
    Publish,
    Message(Piece<'p>),
    Sockets,
    Socket(Piece<'p>),
    Records(RecordKind),
    CreateRecord(RecordKind),
    DeleteRecords {
        kind: RecordKind,
        target: Piece<'p>,
        channel: Option<Piece<'p>>,
    },
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody.
    Nothing,
    /// Whoever has a session of an app that is switched on.
    Session,
    /// Whoever has a session, also of an app that is switched off: its owner could not switch it on
    /// again otherwise.
    SessionOfAny,
    /// Whoever has a session, or knows the key of the app.
    SessionOrKey,
}

impl Route<'_> {
    pub(super) fn needs(&self) -> Needs {
        match self {
            Self::Login
            | Self::Logout
            | Self::Info
            | Self::Health
            | Self::HealthInDetail
            | Self::CreateApp => Needs::Nothing,
            Self::Apps | Self::App(_) | Self::ChangeApp(_) => Needs::SessionOfAny,
            // As browsers of version 0.4 do it (section 5.10). Everybody may know the key of an app: it
            // is no permission to look at its browsers.
            Self::VapidKey
            | Self::CreateRecord(RecordKind::WebPush)
            | Self::DeleteRecords {
                kind: RecordKind::WebPush,
                ..
            } => Needs::SessionOrKey,
            Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::Ping
            | Self::Events
            | Self::Publish
            | Self::Message(_)
            | Self::Sockets
            | Self::Socket(_)
            | Self::Records(_)
            | Self::CreateRecord(_)
            | Self::DeleteRecords { .. } => Needs::Session,
        }
    }
}

impl<'p> Route<'p> {
    /// The route of a request; none: there is nothing at this path for this method.
    ///
    /// Escapes are undone piece by piece and once: an escaped slash separates nothing.
    pub(super) fn of(request: &Request<'p>) -> Option<Self> {
        let path = request.path.strip_prefix('/')?;
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let first = decode_path(first).ok()?;
        // What does something may be asked for by GET for the sake of old clients, and never by HEAD.
        let (tells, does) = match request.method {
            Method::Get => (true, true),
            Method::Head => (true, false),
            Method::Post => (false, true),
            Method::Put | Method::Patch | Method::Delete | Method::Options => (false, false),
        };
        let is_post = request.method == Method::Post;
        Some(match (&*first, rest) {
            ("login", None) if does => Self::Login,
            ("logout", None) if does => Self::Logout,
            ("" | "info", None) if tells => Self::Info,
            ("health", None) if tells => Self::Health,
            ("health", Some(rest)) if tells && piece(rest)? == "detailed" => Self::HealthInDetail,
            ("vapid_key", None) if tells => Self::VapidKey,
            ("apps", None) if is_post => Self::CreateApp,
            ("apps", None) if tells => Self::Apps,
            ("apps", Some(rest)) => return Self::of_app(rest, request.method, tells, does),
            ("events", None) if is_post => Self::Publish,
            ("events", None) if tells => Self::Events,
            ("messaging", Some(rest)) if is_post => {
                let what = piece(rest)?;
                let is_known = matches!(&*what, "send" | "apn" | "email" | "webhook" | "web_push");
                return is_known.then_some(Self::Message(what));
            }
            ("sockets", None) if tells => Self::Sockets,
            ("sockets", Some(rest)) if tells || is_post => Self::Socket(piece(rest)?),
            _ => return Self::of_records(record_kind(&first)?, rest, request.method, tells),
        })
    }

    fn of_app(rest: &'p str, method: Method, tells: bool, does: bool) -> Option<Self> {
        let Some((ident, below)) = rest.split_once('/') else {
            let ident = piece(rest)?;
            return match (&*ident, method) {
                ("ping", Method::Get) => Some(Self::Ping),
                ("ping", Method::Head) => None,
                (_, Method::Put) => Some(Self::ChangeApp(ident)),
                _ if tells => Some(Self::App(ident)),
                _ => None,
            };
        };
        let ident = decode_path(ident).ok()?;
        match (&*piece(below)?, does) {
            ("subscribe", true) => Some(Self::Subscribe(ident)),
            ("unsubscribe", true) => Some(Self::Unsubscribe(ident)),
            _ => None,
        }
    }

    fn of_records(
        kind: RecordKind,
        rest: Option<&'p str>,
        method: Method,
        tells: bool,
    ) -> Option<Self> {
        let rest = match (method, rest) {
            (Method::Post, None) => return Some(Self::CreateRecord(kind)),
            (_, None) if tells => return Some(Self::Records(kind)),
            (Method::Delete, Some(rest)) => rest,
            _ => return None,
        };
        // An endpoint has slashes, and its channel stands in the query.
        let (target, channel) = match kind {
            RecordKind::WebPush => (decode_path(rest).ok()?, None),
            _ => named(rest).ok()?,
        };
        // All of a user's are never removed at once.
        let is_whole = kind != RecordKind::Subscription || channel.is_some();
        is_whole.then_some(Self::DeleteRecords {
            kind,
            target,
            channel,
        })
    }
}

/// A single piece of a path that is not empty.
fn piece(path: &str) -> Option<Piece<'_>> {
    let is_one = !path.is_empty() && !path.contains('/');
    is_one.then(|| decode_path(path).ok()).flatten()
}

fn record_kind(first: &str) -> Option<RecordKind> {
    Some(match first {
        "subscriptions" => RecordKind::Subscription,
        "webs" => RecordKind::Web,
        "apns" => RecordKind::Apn,
        "smtps" => RecordKind::Smtp,
        "web_pushes" => RecordKind::WebPush,
        _ => return None,
    })
}
