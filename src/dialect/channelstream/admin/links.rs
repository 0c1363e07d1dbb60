//! Absolute links, and whether a request comes from a page of ours.

use super::super::access::Seen;
use crate::peers::PeerList;
use crate::transport::http::Request;
use core::net::{IpAddr, SocketAddr};

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
pub(in super::super) fn is_foreign(request: &Request<'_>) -> bool {
    if let Some(site) = request.headers.get("Sec-Fetch-Site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = request.headers.get("Origin") else {
        return false;
    };
    let (Some((scheme, theirs)), Some(ours)) =
        (origin.split_once("://"), request.headers.get("Host"))
    else {
        return true;
    };
    // An origin leaves out the port that its scheme has anyway; proxies write it into `Host`.
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let bare = |host: &'_ str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    bare(theirs) != bare(ours)
}

/// The address that a caller is known by: that of the socket or, where trusted proxies stand
/// before it, the last one in `X-Forwarded-For` that is not theirs. What stands before that one
/// anybody may have written: if it cannot be read nothing else is looked for.
pub(in crate::dialect) fn client(
    request: &Request<'_>,
    peer: Option<IpAddr>,
    proxies: &PeerList,
) -> Option<IpAddr> {
    if peer.is_some() && !proxies.lists(peer) {
        return peer;
    }
    let lists = request.headers.all("X-Forwarded-For");
    let entries = lists.flat_map(|list| list.split(|&byte| byte == b','));
    let addresses = entries.map(|entry| std::str::from_utf8(entry).ok().and_then(address));
    let others = addresses.filter(|&found| found.is_none() || !proxies.lists(found));
    others.last().flatten().or(peer)
}

/// An entry of `X-Forwarded-For`. Some proxies write the port as well, and then an IPv6 address in
/// brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'));
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    bare.unwrap_or(entry).parse().ok().or_else(with_port)
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
            // Browsers leave the usual port out, proxies may not.
            (
                &[("Host", "a.example:80"), ("Origin", "http://A.example")],
                false,
            ),
            (
                &[("Host", "a.example:443"), ("Origin", "https://a.example")],
                false,
            ),
            (
                &[("Host", "a.example:443"), ("Origin", "http://a.example")],
                true,
            ),
            (
                &[("Host", "a.example"), ("Origin", "http://a.example:8080")],
                true,
            ),
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
        // With ports, as some proxies write them.
        for (entry, expected) in [
            ("203.0.113.9:4711", last),
            ("2001:db8::1", "2001:db8::1".parse().ok()),
            ("[2001:db8::1]", "2001:db8::1".parse().ok()),
            ("[2001:db8::1]:4711", "2001:db8::1".parse().ok()),
        ] {
            let list = format!("198.51.100.7, {entry}, 127.0.0.1");
            let found = client(Some(proxy), &[("X-Forwarded-For", &list)]);
            assert_eq!(found, expected, "{entry}");
        }
        // What the caller wrote before an entry that cannot be read is not taken for it: whoever
        // guesses passwords would choose a new address each time.
        for entry in ["unknown", "é", "", "_hidden", "203.0.113.9:port"] {
            let list = format!("198.51.100.7, {entry}");
            let found = client(Some(proxy), &[("X-Forwarded-For", &list)]);
            assert_eq!(found, Some(proxy), "{entry}");
        }
    }
}
