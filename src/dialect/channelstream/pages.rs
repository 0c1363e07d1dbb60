//! Answers that are not the result of a request: refusals, and the headers that let a browser read
//! any answer at all.

use super::errors::{BodyFault, Errors};
use crate::transport::http::{Response, Status};

/// Header lines of every answer, for any origin (whole lines, ready for [`Response::block`]).
macro_rules! cors_lines {
    ($first:literal) => {
        concat!(
            $first,
            "XDomainRequestAllowed: 1\r\n",
            "Access-Control-Allow-Methods: GET, POST, OPTIONS, PUT, DELETE, PATCH\r\n",
            "Access-Control-Max-Age: 86400\r\n",
            "Access-Control-Allow-Headers: Content-Type, Depth, User-Agent, X-File-Size, ",
            "X-Requested-With, If-Modified-Since, X-File-Name, Cache-Control, Pragma, Origin, ",
            "Connection, Referer, Cookie\r\n",
        )
    };
}

/// What every answer carries, whoever asks.
pub const CORS_LINES: &str = cors_lines!("");
/// The same where every origin may read it.
pub const CORS_LINES_STAR: &str = cors_lines!("Access-Control-Allow-Origin: *\r\n");

/// Who may read answers from a page of another origin: the option `allow_cors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `None` for everyone.
    entries: Option<Vec<Entry>>,
}

/// One entry of `allow_cors`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// `http://host` or `http://host:port`: this origin and no other.
    Origin(String),
    /// `host` or `host:port`: the host and its subdomains, by any scheme; without a port, on any.
    /// Written `*.host` or `.host`, the subdomains alone.
    Host {
        name: String,
        port: Option<String>,
        is_apex_in: bool,
    },
}

/// What a browser is told about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorsAnswer<'a> {
    /// Every origin may read the answer.
    Star,
    /// This origin may read it; caches keep it apart from answers to others.
    Exact(&'a str),
    /// No page of another origin may read it; caches keep it apart as well.
    Refused,
}

impl Cors {
    /// From the entries of `allow_cors`. No entry at all, or `*`, lets every origin in.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e str>) -> Self {
        let entries: Vec<&str> = entries
            .into_iter()
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect();
        let is_open = entries.is_empty() || entries.contains(&"*");
        let entries = entries.into_iter().map(Entry::new);
        Self {
            entries: (!is_open).then(|| entries.collect()),
        }
    }

    /// What to say to a request with this `Origin` header.
    pub fn answer<'a>(&self, origin: Option<&'a str>) -> CorsAnswer<'a> {
        match (&self.entries, origin) {
            (None, _) => CorsAnswer::Star,
            (Some(entries), Some(origin)) if entries.iter().any(|entry| entry.lets_in(origin)) => {
                CorsAnswer::Exact(origin)
            }
            (Some(_), _) => CorsAnswer::Refused,
        }
    }
}

impl Entry {
    fn new(entry: &str) -> Self {
        let entry = entry.to_ascii_lowercase();
        if entry.contains("://") {
            return Self::Origin(entry.trim_end_matches('/').to_owned());
        }
        let entry = entry.strip_prefix('*').unwrap_or(&entry);
        let (is_apex_in, entry) = match entry.strip_prefix('.') {
            Some(rest) => (false, rest),
            None => (true, entry),
        };
        let (name, port) = split_port(entry);
        Self::Host {
            name: name.to_owned(),
            port: port.map(str::to_owned),
            is_apex_in,
        }
    }

    fn lets_in(&self, origin: &str) -> bool {
        match self {
            Self::Origin(known) => known.eq_ignore_ascii_case(origin),
            Self::Host {
                name,
                port,
                is_apex_in,
            } => {
                // An opaque origin (`null`) has no host and is nobody's.
                let Some((_, host)) = origin.split_once("://") else {
                    return false;
                };
                let (host, its_port) = split_port(host);
                if port.is_some() && port.as_deref() != its_port {
                    return false;
                }
                match host.len().checked_sub(name.len()) {
                    Some(0) => *is_apex_in && host.eq_ignore_ascii_case(name),
                    Some(at) => {
                        let (front, back) = host.as_bytes().split_at(at);
                        front.ends_with(b".") && back.eq_ignore_ascii_case(name.as_bytes())
                    }
                    None => false,
                }
            }
        }
    }
}

/// Host and port; a colon inside the brackets of an IPv6 address is no port's.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(port)),
        Some(_) | None => (host, None),
    }
}

impl CorsAnswer<'_> {
    /// Puts the headers on an answer. Every answer gets them, refusals too: a browser that may not
    /// read why a request failed cannot tell its page.
    pub fn put_on(self, response: &mut Response) {
        response.block = match self {
            Self::Star => CORS_LINES_STAR,
            Self::Exact(_) | Self::Refused => CORS_LINES,
        };
        match self {
            Self::Star => {}
            Self::Exact(origin) => {
                let origin = origin.to_owned().into();
                response
                    .headers
                    .push(("Access-Control-Allow-Origin", origin));
                response.headers.push(("Vary", "Origin".into()));
            }
            Self::Refused => response.headers.push(("Vary", "Origin".into())),
        }
    }
}

/// The answer to a preflight, and to OPTIONS on any path.
pub fn options() -> Response {
    Response::text(200, "")
}

/// The answer to a secret that fails the check, whatever the path.
pub fn bad_signature() -> Response {
    Response::json(401, r#"{"request":"Bad Signature"}"#)
}

/// The answer where no path and method match.
pub fn nothing(accept: Option<&str>) -> Response {
    generic(404, accept, "There is nothing at this path.")
}

/// The answer to a body that is refused.
pub fn body_fault(fault: &BodyFault, accept: Option<&str>) -> Response {
    match fault {
        BodyFault::NotJson => generic(400, accept, "The body is not valid JSON."),
        BodyFault::Invalid(errors) => invalid(errors),
    }
}

/// The answer to a request whose fields are wrong.
pub fn invalid(errors: &Errors) -> Response {
    Response::json(422, errors.to_json())
}

/// The answer to a poll whose conn_id is missing or no UUID. It is a bare list, as ever.
pub fn wrong_poll_id() -> Response {
    Response::json(422, r#"["Wrong UUID format"]"#)
}

/// More waits to be done than may wait; nothing of this request was done.
pub fn busy() -> Response {
    Response::json(
        503,
        r#"{"error":"busy","message":"too much waits to be done; try again in a moment"}"#,
    )
    .with("Retry-After", "1")
}

/// A refusal in the form that the `Accept` header asks for: a JSON object, a small HTML page, or
/// plain text. `message` is a sentence of ours; it is escaped in none of the forms.
pub fn generic(status: Status, accept: Option<&str>, message: &'static str) -> Response {
    debug_assert!(
        !message.contains(['<', '&', '"', '\\']),
        "a sentence without mark-up"
    );
    let title = title(status);
    match Form::of(accept) {
        Form::Json => Response::json(
            status,
            format!(r#"{{"message":"{message}","code":"{status} {title}","title":"{title}"}}"#),
        ),
        Form::Html => Response {
            content_type: "text/html; charset=UTF-8",
            ..Response::text(
                status,
                format!(
                    "<!doctype html>\n<html><head><title>{status} {title}</title></head>\n\
                     <body><h1>{status} {title}</h1>\n<p>{message}</p></body></html>\n"
                ),
            )
        },
        Form::Text => Response::text(status, format!("{status} {title}\n\n{message}\n")),
    }
}

/// The name of a status that this dialect answers with (RFC 9110 section 15).
fn title(status: Status) -> &'static str {
    match status {
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        406 => "Not Acceptable",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

/// The form of a generic page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Html,
    Text,
}

impl Form {
    /// Chosen as the original does: HTML or JSON, whichever the header likes better, HTML if both
    /// alike; plain text if it wants neither or is not there.
    fn of(accept: Option<&str>) -> Self {
        let Some(accept) = accept else {
            return Self::Text;
        };
        let html = liking(accept, "text", "html");
        let json = liking(accept, "application", "json");
        match (html, json) {
            (0, 0) => Self::Text,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }
}

/// How much a header likes a media type, in thousandths (RFC 9110 section 12.5.1). The most
/// specific range that covers it decides.
fn liking(accept: &str, kind: &str, subkind: &str) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((its_kind, its_subkind)) = parts.next().and_then(|name| name.split_once('/'))
        else {
            continue;
        };
        let specific = if its_kind == "*" && its_subkind == "*" {
            1
        } else if !its_kind.eq_ignore_ascii_case(kind) {
            continue;
        } else if its_subkind == "*" {
            2
        } else if its_subkind.eq_ignore_ascii_case(subkind) {
            3
        } else {
            continue;
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        if specific > best.0 {
            best = (specific, weight);
        }
    }
    best.1
}

/// A weight such as `0.8` in thousandths; what is none counts as 1.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        Ok(_) | Err(_) => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_transcript_020() {
        for (accept, content_type) in [
            (Some("application/json"), "application/json"),
            (Some("text/html"), "text/html; charset=UTF-8"),
            (Some("*/*"), "text/html; charset=UTF-8"),
            (Some("text/plain"), "text/plain; charset=UTF-8"),
            (Some("application/xml"), "text/plain; charset=UTF-8"),
            (None, "text/plain; charset=UTF-8"),
            (Some(""), "text/plain; charset=UTF-8"),
            // Not recorded, but how such headers are weighed.
            (
                Some("application/json;q=0.5, text/html;q=0.4"),
                "application/json",
            ),
            (
                Some("text/html, application/json"),
                "text/html; charset=UTF-8",
            ),
            (Some("text/*;q=0, */*"), "application/json"),
            (Some("application/*"), "application/json"),
            (Some("TEXT/HTML ; Q=1"), "text/html; charset=UTF-8"),
            (Some("application/json; q=0"), "text/plain; charset=UTF-8"),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                "text/html; charset=UTF-8",
            ),
            (Some(",;,/;q=,*/*;q=nan"), "text/html; charset=UTF-8"),
        ] {
            let page = generic(403, accept, "Nothing to see here.");
            assert_eq!(page.status, 403);
            assert_eq!(page.content_type, content_type, "{accept:?}");
            let body = String::from_utf8(page.body).expect("UTF-8");
            assert!(body.contains("403 Forbidden") && body.contains("Nothing to see here."));
        }
        for (status, code, title) in [
            (401, "401 Unauthorized", "Unauthorized"),
            (403, "403 Forbidden", "Forbidden"),
            (404, "404 Not Found", "Not Found"),
        ] {
            let page = generic(status, Some("application/json"), "Words.");
            let body: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
            let expected = serde_json::json!({"message": "Words.", "code": code, "title": title});
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn lines_of_transcript_082() {
        let expected = [
            ("Access-Control-Allow-Origin", "*"),
            ("XDomainRequestAllowed", "1"),
            (
                "Access-Control-Allow-Methods",
                "GET, POST, OPTIONS, PUT, DELETE, PATCH",
            ),
            ("Access-Control-Max-Age", "86400"),
            (
                "Access-Control-Allow-Headers",
                "Content-Type, Depth, User-Agent, X-File-Size, X-Requested-With, \
                 If-Modified-Since, X-File-Name, Cache-Control, Pragma, Origin, Connection, \
                 Referer, Cookie",
            ),
        ];
        let lines = expected.map(|(name, value)| format!("{name}: {value}\r\n"));
        assert_eq!(CORS_LINES_STAR, lines.concat());
        assert_eq!(CORS_LINES, lines[1..].concat());

        let mut page = options();
        Cors::new([])
            .answer(Some("http://any.example"))
            .put_on(&mut page);
        assert_eq!(
            (page.status, page.content_type),
            (200, "text/plain; charset=UTF-8")
        );
        assert_eq!((page.block, page.headers.len()), (CORS_LINES_STAR, 0));
        assert!(page.body.is_empty());
    }

    #[test]
    fn origins_of_transcript_093_and_q7() {
        let cors = Cors::new(["example.com", " http://ok.test"]);
        for (origin, is_let_in) in [
            ("http://example.com", true),
            ("https://sub.example.com:8080", true),
            ("https://EXAMPLE.com", true),
            ("http://ok.test", true),
            ("https://ok.test", false),
            ("http://ok.test:8080", false),
            ("http://sub.ok.test", false),
            ("http://evil.test", false),
            ("http://notexample.com", false),
            ("http://example.com.evil.net", false),
            ("http://évil.example.com", true),
            ("http://é", false),
            ("null", false),
            ("example.com", false),
            ("", false),
        ] {
            let expected = if is_let_in {
                CorsAnswer::Exact(origin)
            } else {
                CorsAnswer::Refused
            };
            assert_eq!(cors.answer(Some(origin)), expected, "{origin}");
        }
        assert_eq!(cors.answer(None), CorsAnswer::Refused);

        let cors = Cors::new(["*.wild.test", "port.test:8443", "[::1]"]);
        for (origin, is_let_in) in [
            ("http://a.wild.test", true),
            ("http://wild.test", false),
            ("https://port.test:8443", true),
            ("https://a.port.test:8443", true),
            ("https://port.test", false),
            ("http://[::1]:3000", true),
            ("http://[::1]", true),
            ("http://[::2]", false),
        ] {
            let answer = cors.answer(Some(origin));
            assert_eq!(answer == CorsAnswer::Exact(origin), is_let_in, "{origin}");
        }
        for open in [&["*"][..], &[], &["", " "], &["example.com", "*"]] {
            let cors = Cors::new(open.iter().copied());
            assert_eq!(cors.answer(Some("null")), CorsAnswer::Star);
            assert_eq!(cors.answer(None), CorsAnswer::Star);
        }
    }

    #[test]
    fn an_answer_for_one_origin_is_kept_apart_in_caches() {
        let cors = Cors::new(["example.com"]);
        let mut page = bad_signature();
        cors.answer(Some("http://example.com")).put_on(&mut page);
        let headers: Vec<_> = page.headers.iter().map(|(n, v)| (*n, v.as_ref())).collect();
        assert_eq!(
            headers,
            [
                ("Access-Control-Allow-Origin", "http://example.com"),
                ("Vary", "Origin")
            ]
        );
        assert_eq!(page.block, CORS_LINES);
        let mut page = wrong_poll_id();
        cors.answer(Some("http://evil.test")).put_on(&mut page);
        assert_eq!(page.headers, [("Vary", "Origin".into())]);
        assert_eq!(page.block, CORS_LINES);
    }
}
