//! Letting sockets in (sections 1 and 2.3 of the protocol as this project writes it down).
//!
//! The handshake of the WebSocket is completed in any case: a browser shows no status of HTTP to its
//! page, but it does show a close code.

use super::auth::param;
use super::config::App;
use super::encode;
use super::errors::Close;
use super::speaker::{FORMAT, Pusher, Served};
use crate::dialect::{Ctx, Reply};
use crate::hub::{Effects, Id, SubscriberId};
use crate::limits::PUSHER_AUTHORIZE_MS;
use crate::transport::http::{Request, upgrade};

/// Versions of the protocol that are spoken. All are the same on the wire.
const VERSIONS: std::ops::RangeInclusive<i64> = 4..=7;

/// Fresh ids that are tried before the system's random numbers are given up on.
const IDS_TRIED: usize = 4;

impl Pusher {
    /// `GET /app/{key}` that wants to be a WebSocket.
    pub(super) fn open(
        &self,
        key: Option<&str>,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Reply {
        let accept = match upgrade::websocket(request) {
            Ok(accept) => accept,
            Err(refusal) => return refusal.response().into(),
        };
        let opened = self
            .admit_socket(key, request, ctx)
            .and_then(|served| connect(&served.app, ctx));
        match opened {
            Ok(who) => Reply::Upgrade(accept, who),
            Err(close) => Reply::UpgradeAndClose(accept, close.number(), close.message()),
        }
    }

    /// The checks, in the order of the protocol.
    fn admit_socket(
        &self,
        key: Option<&str>,
        request: &Request<'_>,
        ctx: &Ctx<'_>,
    ) -> Result<&Served, Close> {
        let key = key.ok_or(Close::UnknownPath)?;
        let served = self.by_key(key);
        let tls_only = served.is_some_and(|served| served.app.tls_only);
        if tls_only && !self.is_https(request, ctx) {
            return Err(Close::TlsOnly);
        }
        check_version(request.query.unwrap_or(""))?;
        let served = served.ok_or(Close::UnknownApp)?;
        let app = &served.app;
        if !app.enabled {
            return Err(Close::AppDisabled);
        }
        if ctx.hub.subscriber_count(app.app) >= app.connections_max {
            return Err(Close::AppFull);
        }
        match request.headers.get("Origin") {
            Some(origin) if !allows_origin(&app.origins, origin) => Err(Close::Unauthorized),
            // Only browsers send one, and only they are bound by the list.
            Some(_) | None => Ok(served),
        }
    }

    /// The socket is open: its very first frame.
    pub(super) fn welcome(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        let conn = ctx.conn;
        if !ctx.hub.attach(who, conn, &mut ctx.io) {
            return;
        }
        let Some(served) = self.app_of(who, ctx.hub) else {
            return;
        };
        let id = ctx.hub.subscriber(who).map_or(Id(0), |known| known.id());
        ctx.io.text(conn, |out| {
            encode::push_established(out, id, served.app.activity_s);
        });
        if served.app.authorized_only {
            ctx.hub.expire_at(who, ctx.now.mono + PUSHER_AUTHORIZE_MS);
        }
    }
}

/// A fresh subscriber, nobody's yet.
fn connect(app: &App, ctx: &mut Ctx<'_>) -> Result<SubscriberId, Close> {
    for _ in 0..IDS_TRIED {
        let id = Id(ctx.io.id().0 & u128::from(u64::MAX));
        // It is attached within this very call.
        let expires = ctx.now.mono + 1;
        if let Some(who) = ctx.hub.connect_nobody(app.app, id, FORMAT, expires) {
            return Ok(who);
        }
    }
    Err(Close::ServerFull)
}

/// Whether the version that a client asks for is spoken. One that says nothing but which release it
/// is counts as new.
fn check_version(query: &str) -> Result<(), Close> {
    match param(query, "protocol") {
        Some(version) => match version.parse::<i64>() {
            Ok(version) if VERSIONS.contains(&version) => Ok(()),
            Ok(_) => Err(Close::UnsupportedVersion),
            Err(_) => Err(Close::UnreadableVersion),
        },
        None => {
            let release = param(query, "version");
            let is_known =
                release.is_some_and(|release| release.starts_with(|c: char| c.is_ascii_digit()));
            is_known.then_some(()).ok_or(Close::NoVersion)
        }
    }
}

/// Whether pages of an origin may connect. An entry with a scheme is that origin exactly; others are
/// hosts, with their port if it is not to be any, `*.` in front for the hosts below.
pub(in crate::dialect) fn allows_origin(origins: &[String], origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let bare = host.rsplit_once(':').map_or(host, |(bare, port)| {
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port { bare } else { host }
    });
    let fits = |entry: &String| {
        if entry == "*" || entry.eq_ignore_ascii_case(origin) {
            return true;
        }
        if entry.contains("://") {
            return false;
        }
        match entry.strip_prefix("*.") {
            Some(above) => bare.len().checked_sub(above.len() + 1).is_some_and(|at| {
                bare.as_bytes().get(at) == Some(&b'.')
                    && bare
                        .get(at + 1..)
                        .is_some_and(|end| end.eq_ignore_ascii_case(above))
            }),
            None => entry.eq_ignore_ascii_case(host) || entry.eq_ignore_ascii_case(bare),
        }
    };
    origins.is_empty() || origins.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::AppId;

    #[test]
    fn versions_are_numbers_from_4_to_7_or_a_release() {
        for good in [
            "protocol=7&client=js&version=8.6.0&flash=false",
            "protocol=4",
            "protocol=5&version=x",
            "client=js&version=8.6.0",
        ] {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for (bad, close) in [
            ("protocol=3", Close::UnsupportedVersion),
            ("protocol=8", Close::UnsupportedVersion),
            ("protocol=-7", Close::UnsupportedVersion),
            ("protocol=", Close::UnreadableVersion),
            ("protocol=7.0", Close::UnreadableVersion),
            ("protocol=99999999999999999999", Close::UnreadableVersion),
            ("client=js&version=latest", Close::NoVersion),
            ("", Close::NoVersion),
        ] {
            assert_eq!(check_version(bad), Err(close), "{bad}");
        }
    }

    #[test]
    fn origins_are_hosts_or_exact() {
        let mut app = App::new(AppId(1), "1", "k", "s");
        assert!(
            allows_origin(&app.origins, "https://anyone.example"),
            "no list"
        );
        app.origins = vec![
            "example.com".to_owned(),
            "*.example.net".to_owned(),
            "http://localhost:3000".to_owned(),
            "dev.example:8080".to_owned(),
        ];
        for good in [
            "https://example.com",
            "http://EXAMPLE.com:8443",
            "https://a.b.example.net",
            "http://localhost:3000",
            "http://dev.example:8080",
        ] {
            assert!(allows_origin(&app.origins, good), "{good}");
        }
        for bad in [
            "https://example.com.evil.test",
            "https://evil-example.com",
            "https://example.net",
            "https://evilexample.net",
            "http://localhost:3001",
            "https://localhost:3000",
            "http://dev.example:8081",
            "null",
            "",
        ] {
            assert!(!allows_origin(&app.origins, bad), "{bad}");
        }
    }
}
