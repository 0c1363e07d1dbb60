//! fanwire's own pages: health, metrics, and what `dev` adds.

use super::Engine;
use crate::dialect::json::push_text;
use crate::handler::{Origin, Turn};
use crate::limits::HTTP_SMALL_BODY_BYTES_MAX;
use crate::store::Trouble;
use crate::transport::http::{Method, Refusal, Request, Response};
use subtle::ConstantTimeEq;

/// Who may read metrics, and later the admin page.
///
/// An empty password or token opens nothing.
#[derive(Clone, Default)]
pub struct AdminAccess {
    /// Name for HTTP Basic (RFC 7617).
    pub user: String,
    /// Password for HTTP Basic.
    pub password: String,
    /// A bearer token (RFC 6750) for scrapers.
    pub metrics_token: String,
    /// Whether loopback needs no credentials; in `dev` only.
    pub open_on_loopback: bool,
}

impl std::fmt::Debug for AdminAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AdminAccess({})", self.user)
    }
}

/// What `dev` serves beside the protocols.
#[derive(Debug, Clone)]
pub struct DevPage {
    /// The page at `/`.
    pub html: &'static str,
    /// A signature that the page and the printed curl line use. In `dev` signatures do not age.
    pub signature: String,
    /// The app that the page shows Pusher's protocol with, if there is one for it.
    pub pusher: Option<DevApp>,
    /// The same for Pushi.
    pub pushi: Option<DevApp>,
}

/// An app whose credentials the page may know: those that every `dev` has, and no others.
#[derive(Debug, Clone)]
pub struct DevApp {
    /// Its id, in the paths of the HTTP API.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Its secret, which is none.
    pub secret: String,
    /// What stands in front of the paths of the protocol; nothing with Pushi.
    pub path_prefix: String,
}

impl DevApp {
    fn push(&self, out: &mut Vec<u8>) {
        let members = [
            ("{\"id\":", &self.id),
            (",\"key\":", &self.key),
            (",\"secret\":", &self.secret),
            (",\"path_prefix\":", &self.path_prefix),
        ];
        for (name, value) in members {
            out.extend_from_slice(name.as_bytes());
            push_text(out, value);
        }
        out.push(b'}');
    }
}

impl AdminAccess {
    fn admits(&self, from: Origin, request: &Request<'_>) -> bool {
        let is_loopback = from.peer.is_some_and(|peer| peer.ip().is_loopback());
        if self.open_on_loopback && is_loopback {
            return true;
        }
        let Some(given) = request.headers.get("authorization") else {
            return false;
        };
        let Some((scheme, given)) = given.split_once(' ') else {
            return false;
        };
        let same = |one: &[u8], other: &[u8]| bool::from(one.ct_eq(other));
        if scheme.eq_ignore_ascii_case("bearer") {
            return !self.metrics_token.is_empty()
                && same(given.trim().as_bytes(), self.metrics_token.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") || self.password.is_empty() {
            return false;
        }
        let expected = format!("{}:{}", self.user, self.password);
        data_encoding::BASE64
            .decode(given.trim().as_bytes())
            .is_ok_and(|given| same(&given, expected.as_bytes()))
    }
}

/// Whether a `Host` header names an address or `localhost`, with or without a port.
fn is_local_host(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<core::net::IpAddr>().is_ok()
}

/// fanwire's own pages.
#[derive(Debug, Clone, Copy)]
enum Page<'c> {
    Live,
    Ready,
    Metrics,
    Playground(&'c DevPage),
    State(&'c DevPage),
    Panic,
}

impl Engine {
    /// Whether the request is for one of fanwire's own pages; none of them looks at a body.
    pub(super) fn is_own(&self, request: &Request<'_>) -> bool {
        self.page(request).is_some()
    }

    fn page(&self, request: &Request<'_>) -> Option<Page<'_>> {
        // A name that resolves to this machine today may be another page's trick (DNS rebinding):
        // what `dev` adds is there for addresses and `localhost` only.
        let dev = self
            .config
            .dev
            .as_ref()
            .filter(|_| is_local_host(request.headers.get("host")));
        Some(match (request.path, dev) {
            ("/health/live", _) => Page::Live,
            ("/health/ready", _) => Page::Ready,
            ("/metrics", _) => Page::Metrics,
            ("/", Some(dev)) => Page::Playground(dev),
            ("/dev/state", Some(dev)) => Page::State(dev),
            ("/dev/panic", Some(_)) if request.method == Method::Get => Page::Panic,
            _ => return None,
        })
    }

    /// The answer, if the request is for one of fanwire's own pages. `is_signed_in` says that the
    /// caller has the login cookie of an admin.
    pub(super) fn own_page(
        &self,
        from: Origin,
        request: &Request<'_>,
        is_signed_in: bool,
        turn: &Turn<'_>,
    ) -> Option<Response> {
        let page = self.page(request)?;
        if request.body.len() > HTTP_SMALL_BODY_BYTES_MAX {
            let limit = HTTP_SMALL_BODY_BYTES_MAX;
            return Some(Refusal::BodyTooLarge { limit }.response());
        }
        let response = match page {
            Page::Live => Response::json(200, r#"{"status":"ok"}"#),
            Page::Ready => self.readiness(),
            Page::Metrics if !is_signed_in && !self.config.admin.admits(from, request) => {
                Response::json(401, r#"{"error":"unauthorized","message":"metrics need the admin credential: HTTP Basic, or a bearer token"}"#)
                    .with("WWW-Authenticate", "Basic realm=\"fanwire\", charset=\"UTF-8\"")
            }
            Page::Metrics => {
                let mut page = Response::text(200, self.metrics_text(turn));
                page.content_type = "text/plain; version=0.0.4; charset=utf-8";
                page
            }
            Page::Playground(dev) => {
                let mut page = Response::text(200, dev.html);
                page.content_type = "text/html; charset=UTF-8";
                page.with("Cache-Control", "no-store")
            }
            Page::State(dev) => self.dev_state(dev, turn),
            Page::Panic => panic!("asked for, to see that a panic costs one peer"),
        };
        let allowed = matches!(request.method, Method::Get | Method::Head);
        Some(if allowed {
            response
        } else {
            Response::json(
                405,
                r#"{"error":"method_not_allowed","message":"use GET or HEAD"}"#,
            )
            .with("Allow", "GET, HEAD")
        })
    }

    /// Whether requests are welcome, and if not, why not. The fields are those that Pushi has there.
    fn readiness(&self) -> Response {
        let store = match self.world.store.trouble() {
            None | Some(Trouble::Absent | Trouble::Busy) => None,
            Some(trouble @ (Trouble::DiskFull | Trouble::Failing)) => Some(trouble.word()),
        };
        let draining = self.is_draining().then_some("draining");
        let reasons: Vec<&str> = draining.into_iter().chain(store).collect();
        if reasons.is_empty() {
            return Response::json(200, r#"{"status":"ok","ready":true}"#);
        }
        let reasons = reasons.join("\",\"");
        let body =
            format!("{{\"status\":\"not_ready\",\"ready\":false,\"reasons\":[\"{reasons}\"]}}");
        Response::json(503, body)
    }

    /// What the playground shows on top, and the signature that it signs with.
    fn dev_state(&self, dev: &DevPage, turn: &Turn<'_>) -> Response {
        let stats = self.stats(turn);
        let mut body = format!(
            concat!(
                r#"{{"signature":"{}","connections":{},"websockets":{},"channels":{},"#,
                r#""subscribers":{},"users":{},"published":{},"delivered":{}"#
            ),
            dev.signature,
            stats.connections,
            self.sockets_open,
            stats.channels,
            stats.subscribers,
            stats.users,
            stats.published,
            stats.delivered
        )
        .into_bytes();
        for (member, app) in [(",\"pusher\":", &dev.pusher), (",\"pushi\":", &dev.pushi)] {
            body.extend_from_slice(member.as_bytes());
            match app {
                Some(app) => app.push(&mut body),
                None => body.extend_from_slice(b"null"),
            }
        }
        body.push(b'}');
        Response::json(200, body).with("Cache-Control", "no-store")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_pages_are_for_addresses_and_localhost() {
        for (host, is_local) in [
            (Some("127.0.0.1:8000"), true),
            (Some("[::1]:8000"), true),
            (Some("[::1]"), true),
            (Some("LocalHost"), true),
            (Some("localhost:8000"), true),
            (Some("evil.example:8000"), false),
            (Some("localhost.evil.example"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_local_host(host), is_local, "{host:?}");
        }
    }

    #[test]
    fn credentials_open_and_nothing_else_does() {
        let access = AdminAccess {
            user: "admin".into(),
            password: "pw".into(),
            metrics_token: "token".into(),
            open_on_loopback: false,
        };
        let from = Origin {
            peer: "127.0.0.1:1".parse().ok(),
            tls: false,
        };
        let admits = |access: &AdminAccess, from, value: &str| {
            let headers = [crate::transport::http::Header {
                name: "Authorization",
                value: value.as_bytes(),
            }];
            let request = Request {
                method: Method::Get,
                path: "/metrics",
                query: None,
                is_1_1: true,
                headers: crate::transport::http::Headers(&headers),
                body: b"",
            };
            access.admits(from, &request)
        };
        let basic = |text: &str| format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()));
        assert!(admits(&access, from, &basic("admin:pw")));
        assert!(admits(&access, from, "bearer token"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer other",
            "Basic !",
            &basic("admin:"),
            "pw",
        ] {
            assert!(!admits(&access, from, wrong), "{wrong}");
        }
        let closed = AdminAccess::default();
        assert!(!admits(&closed, from, &basic(":")) && !admits(&closed, from, "Bearer "));
        let dev = AdminAccess {
            open_on_loopback: true,
            ..AdminAccess::default()
        };
        let elsewhere = Origin {
            peer: "192.0.2.1:1".parse().ok(),
            tls: false,
        };
        assert!(admits(&dev, from, "") && !admits(&dev, elsewhere, ""));
    }
}
