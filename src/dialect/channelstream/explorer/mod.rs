//! `/api-explorer`: a page on which an operator reads the description of the interface and tries
//! it out.
//!
//! The page is Swagger UI (`README.md` beside this file says which), part of the binary and
//! without a resource from elsewhere. It is for admins: whoever asks has been found to be one
//! before anything here is called.

use super::{admin, assets};
use crate::transport::http::{Method, Request, Response};
use sha1::{Digest as _, Sha1};
use std::sync::LazyLock;

/// What the paths of its parts begin with.
pub(super) const PARTS: &str = "/api-explorer/";
/// Where the page gets the signature for a request.
const SIGNATURE: &str = "signature";
/// A header that a page of another origin cannot send without asking first.
const ASKED_BY: (&str, &str) = ("X-Requested-With", "api-explorer");

const PAGE: &str = include_str!("page.html");

/// Nothing but what comes from here. Swagger UI writes styles into elements, and images into
/// styles.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// One file of the page.
struct Part {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    is_gzip: bool,
}

const fn part(
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    is_gzip: bool,
) -> Part {
    Part {
        name,
        content_type,
        bytes,
        is_gzip,
    }
}

const STYLE: &str = "text/css; charset=UTF-8";
const SCRIPT: &str = "text/javascript; charset=UTF-8";

static FILES: [Part; 4] = [
    part("page.js", SCRIPT, include_bytes!("page.js"), false),
    part("page.css", STYLE, include_bytes!("page.css"), false),
    part(
        "swagger-ui.css",
        STYLE,
        include_bytes!("swagger-ui.css.gz"),
        true,
    ),
    part(
        "swagger-ui-bundle.js",
        SCRIPT,
        include_bytes!("swagger-ui-bundle.js.gz"),
        true,
    ),
];

/// What tells versions of the files apart.
static TAGS: LazyLock<[String; FILES.len()]> =
    LazyLock::new(|| std::array::from_fn(|place| assets::tag(&Sha1::digest(FILES[place].bytes))));

/// The answer to an admin, or nothing if there is nothing at this path and method. `sign` makes a
/// signature of this moment; `base` stands before the path in links and is safe in HTML.
pub(super) fn answer(
    path: &str,
    request: &Request<'_>,
    base: &str,
    sign: impl FnOnce() -> String,
) -> Option<Response> {
    let Some(name) = path.strip_prefix(PARTS) else {
        return Some(page(base));
    };
    let is_read = matches!(request.method, Method::Get | Method::Head);
    if name == SIGNATURE && request.method == Method::Post {
        return Some(signature(request, sign));
    }
    let place = FILES.iter().position(|part| part.name == name && is_read)?;
    let (part, tag) = (FILES.get(place)?, TAGS.get(place)?);
    let file = assets::file(part.content_type, part.bytes, tag, request);
    // Whoever asked runs a browser of our days, which takes this always.
    Some(match part.is_gzip && file.status == 200 {
        true => file.with("Content-Encoding", "gzip"),
        false => file,
    })
}

fn page(base: &str) -> Response {
    Response {
        content_type: "text/html; charset=UTF-8",
        ..Response::text(200, PAGE.replace("{base}", base))
    }
    .with("Content-Security-Policy", POLICY)
    .with("Cache-Control", "no-cache")
    .with("X-Content-Type-Options", "nosniff")
}

/// A signature opens the whole server API for a minute, so nobody but our own page may ask in the
/// name of a cookie.
fn signature(request: &Request<'_>, sign: impl FnOnce() -> String) -> Response {
    let (name, value) = ASKED_BY;
    // Answers to preflights allow this header to all, as they always did: that browsers send no
    // cookie then is not all that should stand between.
    if request.headers.get(name) != Some(value) || admin::is_foreign(request) {
        return Response::json(
            403,
            r#"{"error":"forbidden","message":"only the explorer's own page gets a signature"}"#,
        );
    }
    // Made of letters, digits and `.-_`: nothing to escape.
    Response::json(200, format!(r#"{{"signature":"{}"}}"#, sign()))
        .with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::{Header, Headers};

    fn ask(
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Option<Response> {
        let headers: Vec<_> = headers
            .iter()
            .map(|&(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let request = Request {
            method,
            path,
            query: None,
            is_1_1: true,
            headers: Headers(&headers),
            body: b"",
        };
        answer(path, &request, "http://h", || "a.b.c".to_owned())
    }

    fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
        let found = response.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    }

    #[test]
    fn the_page_names_only_files_that_are_there() {
        let page = ask(Method::Get, "/api-explorer", &[]).expect("a page");
        assert_eq!(page.content_type, "text/html; charset=UTF-8");
        let policy = header(&page, "Content-Security-Policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"));
        let text = std::str::from_utf8(&page.body).expect("UTF-8");
        let own = text.replace("http://h/openapi.json", "");
        assert!(!own.contains("//"), "nothing from elsewhere");
        let mut count = 0;
        for piece in text.split("\"api-explorer/").skip(1) {
            let name = piece.split('"').next().expect("a name");
            let file = ask(Method::Get, &format!("{PARTS}{name}"), &[]).expect(name);
            assert_eq!(file.status, 200);
            count += 1;
        }
        assert_eq!(count, FILES.len());
    }

    #[test]
    fn what_is_compressed_says_so_and_is() {
        for part in &FILES {
            let path = format!("{PARTS}{}", part.name);
            let file = ask(Method::Get, &path, &[]).expect(part.name);
            let is_gzip = file.body.starts_with(&[0x1f, 0x8b]);
            let said = header(&file, "Content-Encoding");
            assert_eq!(
                (is_gzip, said.is_some()),
                (part.is_gzip, part.is_gzip),
                "{path}"
            );
            let tag = TAGS.iter().find(|tag| header(&file, "ETag") == Some(tag));
            assert!(tag.is_some());
        }
    }

    #[test]
    fn a_signature_is_for_the_page_alone() {
        let path = "/api-explorer/signature";
        let given = ask(Method::Post, path, &[ASKED_BY]).expect("an answer");
        assert_eq!(given.body, br#"{"signature":"a.b.c"}"#);
        assert_eq!(header(&given, "Cache-Control"), Some("no-store"));
        for headers in [
            &[][..],
            &[("X-Requested-With", "XMLHttpRequest")],
            &[ASKED_BY, ("Sec-Fetch-Site", "same-site")],
            &[ASKED_BY, ("Sec-Fetch-Site", "cross-site")],
            &[ASKED_BY, ("Host", "h"), ("Origin", "http://evil.example")],
        ] {
            let answer = ask(Method::Post, path, headers).expect("an answer");
            assert_eq!(answer.status, 403, "{headers:?}");
        }
        let ours = [ASKED_BY, ("Sec-Fetch-Site", "same-origin")];
        let answer = ask(Method::Post, path, &ours).expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(ask(Method::Get, path, &[ASKED_BY]).is_none());
    }

    #[test]
    fn nothing_else_is_there() {
        for path in [
            "/api-explorer/",
            "/api-explorer/x",
            "/api-explorer/../page.js",
        ] {
            assert!(ask(Method::Get, path, &[]).is_none(), "{path}");
        }
        assert!(ask(Method::Post, "/api-explorer/page.js", &[]).is_none());
    }
}
