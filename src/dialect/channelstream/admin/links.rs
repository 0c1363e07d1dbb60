//! Absolute links, and whether a request comes from a page of ours.

use super::super::access::Seen;
use crate::peers::PeerList;
use crate::transport::http::Request;
use core::net::IpAddr;

/// Longest `Host` that is put into a link: a name of 255 characters, a port.
const HOST_CHARS_MAX: usize = 261;

/// What stands before the path in links: scheme, host and prefix. A host that is missing or odd
/// is left out, with the scheme: a link that begins with its path is as good, and cannot carry
/// what somebody else chose.
pub(super) fn base(request: &Request<'_>, seen: &Seen<'_>) -> String {
    match host(request) {
        Some(host) => format!("{}://{host}{}", seen.scheme.name(), seen.prefix),
        None => seen.prefix.to_owned(),
    }
}

/// The `Host` header, if it is a name or an address and a port (RFC 9112 section 3.2).
fn host<'a>(request: &Request<'a>) -> Option<&'a str> {
    let host = request.headers.get("Host")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let fits = (1..=HOST_CHARS_MAX).contains(&host.len());
    (fits && host.bytes().all(is_plain)).then_some(host)
}

/// Whether a browser says that another site's page sent this request. Who says nothing is no
/// browser, or one so old that only `SameSite` protects its user.
pub(super) fn is_foreign(request: &Request<'_>) -> bool {
    if let Some(site) = request.headers.get("Sec-Fetch-Site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = request.headers.get("Origin") else {
        return false;
    };
    let theirs = origin.split_once("://").map(|(_, host)| host);
    let ours = request.headers.get("Host");
    !matches!((theirs, ours), (Some(theirs), Some(ours)) if theirs.eq_ignore_ascii_case(ours))
}

/// The address that a caller is known by: that of the socket or, where trusted proxies stand
/// before it, the last one in `X-Forwarded-For` that is not theirs.
pub(super) fn client(
    request: &Request<'_>,
    peer: Option<IpAddr>,
    proxies: &PeerList,
) -> Option<IpAddr> {
    if peer.is_some() && !proxies.lists(peer) {
        return peer;
    }
    let lists = request.headers.all("X-Forwarded-For");
    let lists = lists.filter_map(|list| std::str::from_utf8(list).ok());
    let last = lists
        .flat_map(|list| list.split(','))
        .filter_map(|entry| entry.trim().parse::<IpAddr>().ok())
        .filter(|&address| !proxies.lists(Some(address)))
        .last();
    last.or(peer)
}

/// Appends `text` so that it stands as text or as an attribute's value in HTML.
pub(super) fn push_html(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::{Header, Headers, Method};

    fn with<R>(pairs: &[(&'static str, &str)], call: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = pairs
            .iter()
            .map(|&(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        call(&Request {
            method: Method::Post,
            path: "/admin",
            query: None,
            is_1_1: true,
            headers: Headers(&headers),
            body: b"",
        })
    }

    #[test]
    fn a_link_holds_only_a_host_that_is_one() {
        for (host, expected) in [
            ("push.example:8080", "http://push.example:8080"),
            ("[::1]:80", "http://[::1]:80"),
            ("", ""),
            ("evil.example/path", ""),
            ("a\"><script>", ""),
            ("user@evil.example", ""),
            ("a\r\nSet-Cookie: x=1", ""),
            ("a b", ""),
            ("é.example", ""),
            (&"a".repeat(300), ""),
        ] {
            let base = with(&[("Host", host)], |request| {
                base(request, &Seen::new(request, false, None, true))
            });
            assert_eq!(base, expected, "{host}");
        }
        let base = with(&[], |request| {
            base(request, &Seen::new(request, false, None, true))
        });
        assert_eq!(base, "");
    }

    #[test]
    fn what_another_site_sends_is_foreign() {
        for (pairs, expected) in [
            (&[][..], false),
            (&[("Sec-Fetch-Site", "same-origin")], false),
            (&[("Sec-Fetch-Site", "none")], false),
            (&[("Sec-Fetch-Site", "same-site")], true),
            (&[("Sec-Fetch-Site", "cross-site")], true),
            (
                &[("Host", "a.example"), ("Origin", "https://a.example")],
                false,
            ),
            (
                &[("Host", "a.example"), ("Origin", "https://b.example")],
                true,
            ),
            (&[("Host", "a.example"), ("Origin", "null")], true),
            (&[("Origin", "https://a.example")], true),
        ] {
            assert_eq!(with(pairs, is_foreign), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_proxies_of_ours_say_who_is_behind_them() {
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let other = IpAddr::from([192, 0, 2, 1]);
        let proxies = PeerList::of(&[proxy]);
        let forwarded = [("X-Forwarded-For", "198.51.100.7, 203.0.113.9, 127.0.0.1")];
        let client = |peer, pairs: &[(&'static str, &str)]| {
            with(pairs, |request| client(request, peer, &proxies))
        };
        assert_eq!(client(Some(other), &forwarded), Some(other));
        let last = Some(IpAddr::from([203, 0, 113, 9]));
        assert_eq!(client(Some(proxy), &forwarded), last);
        assert_eq!(client(None, &forwarded), last);
        assert_eq!(client(Some(proxy), &[]), Some(proxy));
        assert_eq!(
            client(Some(proxy), &[("X-Forwarded-For", "unknown, é")]),
            Some(proxy)
        );
    }
}
