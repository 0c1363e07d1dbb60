//! Files under `/static/`: what pages load from the server (section 14 of the specification).
//!
//! They are part of the binary, so there is no folder to ship and no path to climb out of: a name
//! is in the table or it is nothing.

use crate::transport::http::{Request, Response};
use sha1::{Digest as _, Sha1};
use std::sync::LazyLock;

/// What the paths of all files begin with.
const ROOT: &str = "/static/";
/// A page may use what it has for this long before it asks whether it is still right.
const CACHE_CONTROL: &str = "public, max-age=300";

/// One file.
struct Asset {
    /// The path behind [`ROOT`].
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const JAVASCRIPT: &str = "text/javascript; charset=UTF-8";

/// A script of the browser client, at the path where pages look for it.
macro_rules! script {
    ($name:literal) => {
        Asset {
            name: concat!("channelstream/", $name),
            content_type: JAVASCRIPT,
            bytes: include_bytes!(concat!("static/", $name)),
        }
    };
}

static ASSETS: [Asset; 4] = [
    script!("channelstream.js"),
    script!("index.js"),
    script!("signer.js"),
    script!("sha1-esm.js"),
];

/// What tells versions of the files apart, each quoted as in a header.
static TAGS: LazyLock<[String; ASSETS.len()]> =
    LazyLock::new(|| std::array::from_fn(|place| tag(&Sha1::digest(ASSETS[place].bytes))));

/// The tag of a file with this digest, quoted as in a header.
pub(super) fn tag(digest: &[u8]) -> String {
    let digest = digest.get(..10).unwrap_or_default();
    format!("\"{}\"", data_encoding::HEXLOWER.encode(digest))
}

/// Where in the table the file at a path stands.
fn find(path: &str) -> Option<usize> {
    let name = path.strip_prefix(ROOT)?;
    ASSETS.iter().position(|asset| asset.name == name)
}

/// Whether there is a file at a path.
pub(super) fn is_there(path: &str) -> bool {
    find(path).is_some()
}

/// The file at a path, or nothing.
pub(super) fn answer(path: &str, request: &Request<'_>) -> Option<Response> {
    let place = find(path)?;
    let (asset, tag) = (ASSETS.get(place)?, TAGS.get(place)?);
    Some(file(asset.content_type, asset.bytes, tag, request))
}

/// A file that caches may keep and ask about; 304 if they have it.
pub(super) fn file(
    content_type: &'static str,
    bytes: &'static [u8],
    tag: &'static str,
    request: &Request<'_>,
) -> Response {
    let response = if has(request, tag) {
        Response {
            status: 304,
            ..Response::default()
        }
    } else {
        Response {
            status: 200,
            content_type,
            body: bytes.to_vec(),
            ..Response::default()
        }
    };
    response
        .with("ETag", tag)
        .with("Cache-Control", CACHE_CONTROL)
        .with("X-Content-Type-Options", "nosniff")
}

/// Whether the asker has the file of this tag (RFC 9110 section 13.1.2: compared weakly).
fn has(request: &Request<'_>, tag: &str) -> bool {
    let known = |given: &str| {
        given
            .split(',')
            .map(str::trim)
            .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
    };
    request.headers.get("If-None-Match").is_some_and(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::{Header, Headers, Method};

    fn ask(path: &str, if_none_match: Option<&str>) -> Option<Response> {
        let headers: Vec<_> = if_none_match
            .map(|value| Header {
                name: "if-none-match",
                value: value.as_bytes(),
            })
            .into_iter()
            .collect();
        let request = Request {
            method: Method::Get,
            path,
            query: None,
            is_1_1: true,
            headers: Headers(&headers),
            body: b"",
        };
        answer(path, &request)
    }

    fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
        let found = response.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    }

    #[test]
    fn the_files_of_the_specification_are_there() {
        for (name, piece) in [
            ("channelstream.js", "export class ChannelStreamConnection"),
            ("index.js", "ChannelStreamSigner"),
            ("signer.js", "export class ChannelStreamSigner"),
            ("sha1-esm.js", "export function sha1"),
        ] {
            let answer = ask(&format!("/static/channelstream/{name}"), None).expect(name);
            assert_eq!((answer.status, answer.content_type), (200, JAVASCRIPT));
            let text = std::str::from_utf8(&answer.body).expect("UTF-8");
            assert!(text.contains(piece), "{name}");
            assert!(header(&answer, "Cache-Control").is_some());
        }
    }

    #[test]
    fn every_import_of_a_file_is_a_file() {
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.bytes).expect("UTF-8");
            let folder = asset.name.rsplit_once('/').map_or("", |(folder, _)| folder);
            for line in text.lines().filter(|line| !line.starts_with("//")) {
                if let Some((_, from)) = line.split_once(" from \"") {
                    let file = from.trim_end_matches("\";").trim_start_matches("./");
                    let path = format!("{ROOT}{folder}/{file}");
                    assert!(ask(&path, None).is_some(), "{}: {path}", asset.name);
                }
            }
        }
    }

    #[test]
    fn who_has_a_file_is_not_sent_it_again() {
        let path = "/static/channelstream/index.js";
        let first = ask(path, None).expect("there");
        let tag = header(&first, "ETag").expect("a tag").to_owned();
        assert!(tag.len() == 22 && tag.starts_with('"'), "{tag}");
        for same in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"a\", {tag}"),
            "*".to_owned(),
        ] {
            let again = ask(path, Some(&same)).expect("there");
            assert_eq!((again.status, again.body.len()), (304, 0), "{same}");
            assert_eq!(header(&again, "ETag"), Some(&*tag));
        }
        for other in ["", "\"a\"", tag.trim_matches('"')] {
            assert_eq!(
                ask(path, Some(other)).expect("there").status,
                200,
                "{other}"
            );
        }
        let other = ask("/static/channelstream/signer.js", None).expect("there");
        assert_ne!(header(&other, "ETag"), Some(&*tag));
    }

    #[test]
    fn nothing_else_is_there() {
        for path in [
            "/static/",
            "/static",
            "/static/channelstream/",
            "/static/channelstream/no.js",
            // Of the original's admin page, which nobody else loads.
            "/static/channelstream-admin.js",
            "/static/../Cargo.toml",
            "/static/channelstream/../channelstream/index.js",
            "/static/channelstream/index.js/",
            "/static/channelstream%2Findex.js",
            "/static//channelstream/index.js",
            "/staticchannelstream/index.js",
        ] {
            assert!(ask(path, None).is_none(), "{path}");
        }
    }
}
