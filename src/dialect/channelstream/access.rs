//! Who is calling, and what a proxy in front says about the request.
//!
//! Pure functions of headers, addresses and settings; what follows from them is the router's.

use super::sign::Signer;
use crate::peers::PeerList;
use crate::transport::http::query::last;
use crate::transport::http::{Headers, Request};
use core::net::IpAddr;
use std::borrow::Cow;

/// How the caller reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// As it is written in a link.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// By its name in any case; nothing else is a scheme, so that no header can put other text into
    /// a link.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else if name.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else {
            None
        }
    }
}

/// A request as the outermost proxy saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The scheme of links.
    pub scheme: Scheme,
    /// Whether the caller came by https, for the option `enforce_https`.
    pub is_https: bool,
    /// What goes before the path in links; empty, or beginning with `/` and not ending with one.
    pub prefix: &'a str,
    /// The path without that prefix.
    pub path: &'a str,
}

impl<'a> Seen<'a> {
    /// Reads the headers that a proxy sets. They are believed only if the peer `is_trusted`.
    ///
    /// The scheme of links is the first of these that is there: `X-Url-Scheme`, `X-Scheme`,
    /// the option `http_scheme`, that of the socket. `X-Forwarded-Proto` is not looked at for
    /// links, as ever; but whether the caller came by https it may say, after the other two.
    /// The option does not say that: it forces links, it knows nothing about the caller.
    pub fn new(
        request: &Request<'a>,
        is_tls: bool,
        http_scheme: Option<Scheme>,
        is_trusted: bool,
    ) -> Self {
        let socket = if is_tls { Scheme::Https } else { Scheme::Http };
        let no_headers = Headers(&[]);
        let headers = if is_trusted {
            request.headers
        } else {
            no_headers
        };
        let by_header = |name| headers.get(name).and_then(Scheme::from_name);
        let by_proxy = by_header("X-Url-Scheme").or_else(|| by_header("X-Scheme"));
        let forwarded = || {
            let protos = headers.get("X-Forwarded-Proto")?;
            Scheme::from_name(protos.split(',').next()?.trim())
        };
        let caller = by_proxy.or_else(forwarded).unwrap_or(socket);

        let prefix = headers.get("X-Script-Name").map_or("", prefix);
        let path = match request.path.strip_prefix(prefix) {
            Some("") => "/",
            // `/pre` is no prefix of `/prefix/info` that anyone means.
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) | None => request.path,
        };
        Self {
            scheme: by_proxy.or(http_scheme).unwrap_or(socket),
            is_https: caller == Scheme::Https,
            prefix,
            path,
        }
    }
}

/// A prefix that can stand in a link: a path of plain characters. Anything else counts as none.
fn prefix(value: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$()*+,;=:@".contains(&byte);
    let is_path = value.starts_with('/') && !value.starts_with("//");
    if is_path && value.bytes().all(is_plain) {
        value.trim_end_matches('/')
    } else {
        ""
    }
}

/// What the check of a caller found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// No secret, or from an address that may not sign: may do what anyone may.
    Unsigned,
    /// Knows the shared secret.
    Signed,
    /// Gave a secret that fails the check: refused on every path.
    BadSignature,
}

impl Caller {
    /// Checks the caller of a request that came from `peer`. `max_age_s` is `None` when the age of
    /// signatures is not checked.
    pub fn check(
        request: &Request<'_>,
        peer: Option<IpAddr>,
        from: &PeerList,
        signer: &Signer,
        now_unix_s: u64,
        max_age_s: Option<u64>,
    ) -> Self {
        if !from.lists(peer) {
            // The secret is not even looked at.
            return Self::Unsigned;
        }
        match secret(request) {
            Secret::None => Self::Unsigned,
            Secret::Given(signed) => match signer.verify(&signed, now_unix_s, max_age_s) {
                Ok(()) => Self::Signed,
                Err(_) => Self::BadSignature,
            },
            Secret::Unreadable => Self::BadSignature,
        }
    }
}

/// Whether a secret, if there is one, can only be in the body: a form, which nobody has signed in
/// a header or in the query.
pub fn may_sign_in_body(request: &Request<'_>) -> bool {
    let mut in_header = request.headers.all("X-Channelstream-Secret");
    in_header.next().is_none()
        && request
            .query
            .and_then(|query| last(query, "secret"))
            .is_none()
        && is_form(request)
}

/// The secret of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Secret<'a> {
    /// Not there, or empty.
    None,
    /// Something to check.
    Given(Cow<'a, str>),
    /// Not text.
    Unreadable,
}

/// Looks for the secret: the header, else the query parameter `secret`, else the form field of
/// that name. The first that is there counts, even if it is wrong or empty.
fn secret<'a>(request: &Request<'a>) -> Secret<'a> {
    if let Some(value) = request.headers.all("X-Channelstream-Secret").next() {
        return match std::str::from_utf8(value) {
            Ok("") => Secret::None,
            Ok(signed) => Secret::Given(Cow::Borrowed(signed)),
            Err(_) => Secret::Unreadable,
        };
    }
    let in_query = request.query.and_then(|query| last(query, "secret"));
    let found = in_query.or_else(|| last(form(request)?, "secret"));
    match found {
        Some(signed) if !signed.is_empty() => Secret::Given(signed),
        Some(_) | None => Secret::None,
    }
}

/// The body, if it says that it is a form and is text.
fn form<'a>(request: &Request<'a>) -> Option<&'a str> {
    if is_form(request) {
        std::str::from_utf8(request.body).ok()
    } else {
        None
    }
}

/// Whether the body says that it is a form.
fn is_form(request: &Request<'_>) -> bool {
    let content_type = request.headers.get("Content-Type").unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::{Header, Method};

    fn headers(pairs: &[(&'static str, &'static str)]) -> Vec<Header<'static>> {
        let header = |&(name, value): &(&'static str, &'static str)| Header {
            name,
            value: value.as_bytes(),
        };
        pairs.iter().map(header).collect()
    }

    fn request<'a>(
        path: &'a str,
        query: Option<&'a str>,
        headers: &'a [Header<'a>],
        body: &'a str,
    ) -> Request<'a> {
        Request {
            method: Method::Post,
            path,
            query,
            is_1_1: true,
            headers: Headers(headers),
            body: body.as_bytes(),
        }
    }

    #[test]
    fn schemes_of_transcripts_084_and_092() {
        use Scheme::{Http, Https};
        for (pairs, http_scheme, is_tls, scheme, is_https) in [
            (&[][..], None, false, Http, false),
            (&[], None, true, Https, true),
            (&[], Some(Https), false, Https, false),
            (&[], Some(Http), true, Http, true),
            (&[("X-Scheme", "https")], None, false, Https, true),
            (&[("x-url-scheme", "HTTPS")], None, false, Https, true),
            (
                &[("X-Scheme", "http"), ("X-Url-Scheme", "https")],
                None,
                false,
                Https,
                true,
            ),
            (
                &[("X-Scheme", "https"), ("X-Url-Scheme", "http")],
                None,
                true,
                Http,
                false,
            ),
            (&[("X-Scheme", "http")], Some(Https), false, Http, false),
            (&[("X-Forwarded-Proto", "https")], None, false, Http, true),
            (
                &[("X-Forwarded-Proto", "https, http")],
                None,
                false,
                Http,
                true,
            ),
            (&[("X-Forwarded-Proto", "http")], None, true, Https, false),
            (&[("X-Scheme", "javascript")], None, false, Http, false),
        ] {
            let list = headers(pairs);
            let request = request("/admin", None, &list, "");
            let seen = Seen::new(&request, is_tls, http_scheme, true);
            assert_eq!(
                (seen.scheme, seen.is_https),
                (scheme, is_https),
                "{pairs:?}"
            );
            // From a stranger the headers mean nothing.
            let seen = Seen::new(&request, is_tls, http_scheme, false);
            let socket = if is_tls { Https } else { Http };
            assert_eq!(seen.scheme, http_scheme.unwrap_or(socket));
            assert_eq!(seen.is_https, is_tls);
        }
        assert_eq!((Http.name(), Https.name()), ("http", "https"));
    }

    #[test]
    fn prefixes_of_transcript_083() {
        for (given, path, prefix, rest) in [
            (Some("/prefix"), "/prefix/info", "/prefix", "/info"),
            (None, "/prefix/info", "", "/prefix/info"),
            (Some("/prefix"), "/info", "/prefix", "/info"),
            (Some("/prefix/"), "/prefix/info", "/prefix", "/info"),
            (Some("/prefix"), "/prefix", "/prefix", "/"),
            (Some("/pre"), "/prefix/info", "/pre", "/prefix/info"),
            (Some("/a/b"), "/a/b/info", "/a/b", "/info"),
            (Some("/"), "/info", "", "/info"),
            (Some(""), "/info", "", "/info"),
            (Some("prefix"), "prefix/info", "", "prefix/info"),
            (
                Some("//evil.test"),
                "//evil.test/info",
                "",
                "//evil.test/info",
            ),
            (Some("/\"><script>"), "/info", "", "/info"),
            (Some("/prefix"), "*", "/prefix", "*"),
        ] {
            let list: Vec<_> = given
                .map(|value| ("X-Script-Name", value))
                .into_iter()
                .collect();
            let list = headers(&list);
            let seen = Seen::new(&request(path, None, &list, ""), false, None, true);
            assert_eq!((seen.prefix, seen.path), (prefix, rest), "{given:?} {path}");
            let seen = Seen::new(&request(path, None, &list, ""), false, None, false);
            assert_eq!((seen.prefix, seen.path), ("", path));
        }
    }

    const FORM: (&str, &str) = (
        "Content-Type",
        "application/x-www-form-urlencoded; charset=UTF-8",
    );
    const GOOD: &str = "channelstream.X14QAA.QLT3kgcJYg14C3PAy4wtyg5uGgI";

    fn check(
        pairs: &[(&'static str, &'static str)],
        query: Option<&str>,
        body: &str,
        peer: &str,
    ) -> Caller {
        let list = headers(pairs);
        let from = PeerList::of(&["127.0.0.1".parse().expect("an address")]);
        let peer = Some(peer.parse().expect("an address"));
        let signer = Signer::new(b"secret");
        let request = request("/info", query, &list, body);
        Caller::check(&request, peer, &from, &signer, 1_600_000_030, Some(60))
    }

    #[test]
    fn callers_of_transcripts_013_014_016_and_095() {
        const HOME: &str = "127.0.0.1";
        let name = "x-channelstream-secret";
        let good_query = format!("secret={GOOD}");
        let good_query = Some(good_query.as_str());
        let bad_query = Some("secret=garbage");
        for (pairs, query, body, caller) in [
            (&[][..], None, "{}", Caller::Unsigned),
            (&[(name, "")], None, "{}", Caller::Unsigned),
            (&[], Some("secret="), "{}", Caller::Unsigned),
            (&[], Some("secret"), "{}", Caller::Unsigned),
            (&[(name, "garbage")], None, "{}", Caller::BadSignature),
            (&[(name, ".")], None, "{}", Caller::BadSignature),
            (&[(name, "a.b.c")], None, "{}", Caller::BadSignature),
            (&[], bad_query, "{}", Caller::BadSignature),
            (&[(name, GOOD)], None, "{}", Caller::Signed),
            (
                &[("X-CHANNELSTREAM-SECRET", GOOD)],
                None,
                "{}",
                Caller::Signed,
            ),
            (&[], good_query, "{}", Caller::Signed),
            (&[(name, GOOD)], bad_query, "{}", Caller::Signed),
            (&[(name, "garbage")], good_query, "{}", Caller::BadSignature),
            (&[(name, "")], good_query, "{}", Caller::Unsigned),
            (&[FORM], None, "a=b&secret=garbage", Caller::BadSignature),
            (&[FORM], Some("secret="), "secret=garbage", Caller::Unsigned),
            (&[], None, "secret=garbage", Caller::Unsigned),
        ] {
            assert_eq!(
                check(pairs, query, body, HOME),
                caller,
                "{pairs:?} {query:?} {body}"
            );
            // From elsewhere the secret is not looked at.
            assert_eq!(check(pairs, query, body, "10.9.9.9"), Caller::Unsigned);
        }
        let body = format!("secret={GOOD}");
        assert_eq!(check(&[FORM], None, &body, HOME), Caller::Signed);
    }

    #[test]
    fn a_secret_that_is_not_text_is_bad() {
        let list = [Header {
            name: "X-Channelstream-Secret",
            value: b"\xff",
        }];
        assert_eq!(secret(&request("/", None, &list, "")), Secret::Unreadable);
    }
}
