//! What applications are told when something is wrong, and the headers of every answer.
//!
//! An error is an object with a name, a message and the status again. The names are classes of the
//! original's language: clients show them, and may compare them.

use super::encode::records::class_name;
use super::names::uuid;
use crate::dialect::channelstream::stamps::uuid_v4;
use crate::dialect::json::push_text;
use crate::store::{RecordKind, Trouble};
use crate::transport::http::{Method, Response, Status};
use std::borrow::Cow;
use std::io::Write;

/// A mandatory field was not given.
pub const NOT_SET: &str = "value is not set";
/// It was given, and empty.
pub const EMPTY: &str = "value is empty";
/// Another record has this value.
pub const DUPLICATE: &str = "value is duplicate";
/// It is longer than it may be; the original knows no such bound.
pub const TOO_LONG: &str = "value is too long";
/// It has a NUL in it, which no path can name.
pub const HAS_NUL: &str = "value has a NUL character in it";

/// Characters of a path that a message repeats.
const PATH_CHARS_SHOWN_MAX: usize = 200;
/// When it is worth trying again where nothing is known of it, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// The name of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the original's classes")]
pub enum Name {
    AppierException,
    NotFoundError,
    OperationalError,
    ValidationError,
    RuntimeError,
    AssertionError,
}

impl Name {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppierException => "AppierException",
            Self::NotFoundError => "NotFoundError",
            Self::OperationalError => "OperationalError",
            Self::ValidationError => "ValidationError",
            Self::RuntimeError => "RuntimeError",
            Self::AssertionError => "AssertionError",
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// 400 and up.
    pub status: Status,
    /// What kind of fault it is.
    pub name: Name,
    /// For humans.
    pub message: Cow<'static, str>,
    /// What is wrong with which field, where fields were checked.
    pub errors: Vec<(&'static str, &'static str)>,
    /// After how many seconds it is worth trying again, if it is at all.
    pub retry_after_s: Option<u64>,
}

impl Fault {
    /// Any fault without fields.
    pub fn new(status: Status, name: Name, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            name,
            message: message.into(),
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// 400 with these words.
    pub fn bad(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, Name::OperationalError, message)
    }

    /// 403: there is no session, or it is over. Clients log in when they see it, and try again.
    pub fn not_authenticated() -> Self {
        Self::new(403, Name::AppierException, "User not authenticated")
    }

    /// 403: the three credentials of a login are not those of one app.
    pub fn wrong_credentials() -> Self {
        Self::new(403, Name::OperationalError, "Invalid credentials provided")
    }

    /// 403: apps are not to be made this way here.
    pub fn registration_closed() -> Self {
        let message = "this server does not let everybody create apps";
        Self::new(403, Name::OperationalError, message)
    }

    /// 403: who subscribes has no signature, or a wrong one.
    pub fn invalid_signature() -> Self {
        Self::new(403, Name::RuntimeError, "Invalid signature")
    }

    /// 404: there is no such app.
    pub fn no_app() -> Self {
        Self::new(404, Name::NotFoundError, "App not found")
    }

    /// 404: there is no such record.
    pub fn no_record(kind: RecordKind) -> Self {
        let class = class_name(kind);
        Self::new(404, Name::NotFoundError, format!("{class} not found"))
    }

    /// 404: there is nothing at this path for this method.
    pub fn no_route(method: Method, path: &str) -> Self {
        let method = match method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        };
        let path: String = path.chars().take(PATH_CHARS_SHOWN_MAX).collect();
        let message = format!("Request {method} '{path}' not handled");
        Self::new(404, Name::NotFoundError, message)
    }

    /// 400: these fields are not as they must be. There is at least one.
    pub fn invalid(errors: Vec<(&'static str, &'static str)>) -> Self {
        let message = "Validation of submitted data failed";
        Self {
            errors,
            ..Self::new(400, Name::ValidationError, message)
        }
    }

    /// 400: a field is not of this type, which has the original's name (`int`, `str`, `bool`, `dict`).
    pub fn wrong_type(field: &str, expected: &str) -> Self {
        Self::bad(format!(
            "Field '{field}' not compatible with type '{expected}'"
        ))
    }

    /// 400: a parameter is missing without which nothing can be done.
    pub fn missing(field: &str) -> Self {
        Self::bad(format!("Field '{field}' not set"))
    }

    /// 400: an event carries nothing.
    pub fn no_data() -> Self {
        Self::new(400, Name::RuntimeError, "No data set for event")
    }

    /// 400: an event that is to be stored brings fields along that the server makes.
    pub fn made_here() -> Self {
        let message = "mid and timestamp are made by the server";
        Self::new(400, Name::AssertionError, message)
    }

    /// 413: more was sent than is taken.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(413, Name::OperationalError, message)
    }

    /// 429: too many apps were made from one address, which may make another after so many seconds.
    pub fn too_many_apps(after_s: u64) -> Self {
        let message =
            format!("too many apps were made from this address; try again in {after_s} s");
        Self {
            retry_after_s: Some(after_s),
            ..Self::new(429, Name::OperationalError, message)
        }
    }

    /// 403: the app is switched off.
    pub fn disabled() -> Self {
        let message = "This app is switched off (enabled is false)";
        Self::new(403, Name::OperationalError, message)
    }

    /// 403: pages of this origin may not connect.
    pub fn forbidden_origin() -> Self {
        let message = "Pages of this origin may not connect";
        Self::new(403, Name::OperationalError, message)
    }

    /// 503: too much is being done already, and nothing of this was begun.
    pub fn too_busy() -> Self {
        Self::not_ready("too much is being done already, try again")
    }

    /// 503: the store does not do what it is asked for.
    pub fn trouble(trouble: Trouble) -> Self {
        let is_passing = match trouble {
            Trouble::Busy | Trouble::DiskFull | Trouble::Failing => true,
            Trouble::Absent => false,
        };
        Self {
            retry_after_s: is_passing.then_some(RETRY_AFTER_S),
            ..Self::new(503, Name::OperationalError, trouble.message())
        }
    }

    /// 503: the server is not ready, for this reason.
    pub fn not_ready(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after_s: Some(RETRY_AFTER_S),
            ..Self::new(503, Name::OperationalError, why)
        }
    }

    /// The answer. The random bytes become the id by which people find it in a log.
    pub fn response(&self, random: [u8; 16]) -> Response {
        let uid = uuid(uuid_v4(random));
        let mut body = Vec::with_capacity(192 + self.message.len());
        body.extend_from_slice(b"{\"result\":\"error\",\"name\":");
        push_text(&mut body, self.name.as_str());
        body.extend_from_slice(b",\"message\":");
        push_text(&mut body, &self.message);
        // Writing to memory does not fail.
        let _ = write!(body, ",\"code\":{},\"uid\":\"{uid}\"", self.status);
        // The original shows the caller's own session here, for whoever reads along.
        body.extend_from_slice(b",\"session\":null");
        if !self.errors.is_empty() {
            body.extend_from_slice(b",\"errors\":{");
            for (at, (field, text)) in self.errors.iter().enumerate() {
                if at > 0 {
                    body.push(b',');
                }
                push_text(&mut body, field);
                body.extend_from_slice(b":[");
                push_text(&mut body, text);
                body.push(b']');
            }
            body.push(b'}');
        }
        body.push(b'}');
        let response = Response::json(self.status, body).with("X-Error-Id", uid);
        match self.retry_after_s {
            Some(seconds) => response.with("Retry-After", seconds.to_string()),
            None => response,
        }
    }
}

/// Headers that are the same in every answer. A browser takes the names of headers word by word
/// where it sends cookies along, so the star alone would not do.
const HEADERS: &str = "Cache-Control: private, no-cache, no-store, must-revalidate\r\n\
    Access-Control-Allow-Headers: *, Content-Type, X-Requested-With, X-Secret-Key, X-Session-Id\r\n\
    Access-Control-Allow-Methods: GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS\r\n\
    X-Frame-Options: SAMEORIGIN\r\n\
    X-Content-Type-Options: nosniff\r\n";

/// Adds the headers of every answer.
///
/// `origin` is the header `Origin` of the request. Pages of these `origins` may use the session of
/// a cookie; those of others may ask, too, but without it.
pub fn dress(response: &mut Response, origin: Option<&str>, origins: &[String]) {
    response.block = HEADERS;
    // One of the three headers that the original always sends and clients may count on.
    response.says_that_it_stays = true;
    let known = origin.and_then(|origin| {
        let mut origins = origins.iter();
        origins.find(|known| known.eq_ignore_ascii_case(origin))
    });
    let mut add = |name, value: Cow<'static, str>| response.headers.push((name, value));
    match (origin, known) {
        // Echoed as it came, for this is what a browser compares with.
        (Some(origin), Some(_)) => {
            add("Access-Control-Allow-Origin", origin.to_owned().into());
            add("Access-Control-Allow-Credentials", "true".into());
        }
        _ => add("Access-Control-Allow-Origin", "*".into()),
    }
    if !origins.is_empty() {
        add("Vary", "Origin".into());
    }
}

/// The answer to OPTIONS: what a browser asks before it asks. Its headers are those of every answer.
pub fn preflight() -> Response {
    let response = Response {
        status: 200,
        ..Response::default()
    };
    response.with("Access-Control-Max-Age", "600")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn body(fault: &Fault) -> Value {
        let response = fault.response([7; 16]);
        assert_eq!(response.status, fault.status);
        assert_eq!(response.content_type, "application/json");
        serde_json::from_slice(&response.body).expect("JSON")
    }

    const UID: &str = "07070707-0707-4707-8707-070707070707";

    #[test]
    fn errors_have_the_shape_that_clients_know() {
        let expected = json!({"result": "error", "name": "NotFoundError",
            "message": "App not found", "code": 404, "uid": UID, "session": null});
        assert_eq!(body(&Fault::no_app()), expected);
        let response = Fault::no_app().response([7; 16]);
        assert_eq!(response.headers, [("X-Error-Id", UID.into())]);
        let response = Fault::trouble(Trouble::Busy).response([7; 16]);
        assert_eq!(response.status, 503);
        assert!(response.headers.contains(&("Retry-After", "1".into())));
        // Both say the same.
        let fault = Fault::too_many_apps(57);
        let response = fault.response([7; 16]);
        assert_eq!(response.status, 429);
        assert!(fault.message.ends_with("try again in 57 s"));
        assert!(response.headers.contains(&("Retry-After", "57".into())));
    }

    #[test]
    fn the_original_has_these_names_and_messages() {
        for (fault, status, name, message) in [
            (
                Fault::not_authenticated(),
                403,
                "AppierException",
                "User not authenticated",
            ),
            (
                Fault::no_record(RecordKind::Web),
                404,
                "NotFoundError",
                "Web not found",
            ),
            (
                Fault::no_record(RecordKind::Subscription),
                404,
                "NotFoundError",
                "Subscription not found",
            ),
            (
                Fault::no_route(Method::Get, "/nope"),
                404,
                "NotFoundError",
                "Request GET '/nope' not handled",
            ),
            (
                Fault::wrong_type("count", "int"),
                400,
                "OperationalError",
                "Field 'count' not compatible with type 'int'",
            ),
            (
                Fault::invalid_signature(),
                403,
                "RuntimeError",
                "Invalid signature",
            ),
            (
                Fault::no_data(),
                400,
                "RuntimeError",
                "No data set for event",
            ),
        ] {
            let told = body(&fault);
            assert_eq!(told["code"], status);
            assert_eq!(
                (&told["name"], &told["message"]),
                (&name.into(), &message.into())
            );
            assert!(told.get("errors").is_none());
        }
    }

    #[test]
    fn all_fields_with_a_problem_are_listed() {
        let fault = Fault::invalid(vec![("p256dh", NOT_SET), ("auth", EMPTY)]);
        let told = body(&fault);
        assert_eq!(told["name"], "ValidationError");
        assert_eq!(told["message"], "Validation of submitted data failed");
        let errors = json!({"p256dh": ["value is not set"], "auth": ["value is empty"]});
        assert_eq!(told["errors"], errors);
    }

    #[test]
    fn what_a_caller_sent_is_escaped_and_cut() {
        let path = format!("/\"\\\u{1}{}", "é".repeat(1000));
        let told = body(&Fault::no_route(Method::Delete, &path));
        let message = told["message"].as_str().expect("a text");
        assert!(message.starts_with("Request DELETE '/\"\\\u{1}é"));
        assert_eq!(
            message.chars().count(),
            200 + "Request DELETE '' not handled".len()
        );
    }

    fn dressed(origin: Option<&str>, origins: &[&str]) -> Vec<(&'static str, String)> {
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let mut response = Response::json(200, "{}");
        dress(&mut response, origin, &origins);
        assert_eq!(response.block, HEADERS);
        let headers = response.headers.into_iter();
        headers
            .map(|(name, value)| (name, value.into_owned()))
            .collect()
    }

    #[test]
    fn pages_of_known_origins_may_bring_their_cookie() {
        let allow = "Access-Control-Allow-Origin";
        let star = (allow, "*".to_owned());
        let vary = ("Vary", "Origin".to_owned());
        for origin in [None, Some("https://a.example")] {
            assert_eq!(dressed(origin, &[]), std::slice::from_ref(&star));
        }
        let origins = ["https://b.example", "https://a.example"];
        for other in [
            None,
            Some("null"),
            Some("*"),
            Some(""),
            Some("http://a.example"),
            Some("https://a.example.evil"),
            Some("https://a.example:444"),
        ] {
            let expected = [star.clone(), vary.clone()];
            assert_eq!(dressed(other, &origins), expected, "{other:?}");
        }
        for origin in ["https://a.example", "https://A.example"] {
            let expected = [
                (allow, origin.to_owned()),
                ("Access-Control-Allow-Credentials", "true".to_owned()),
                vary.clone(),
            ];
            assert_eq!(dressed(Some(origin), &origins), expected);
        }
    }

    #[test]
    fn the_block_is_whole_lines() {
        for line in HEADERS.split_inclusive("\r\n") {
            assert!(line.ends_with("\r\n") && line.contains(": "), "{line}");
        }
        let mut response = preflight();
        dress(&mut response, None, &[]);
        assert!(response.status == 200 && response.body.is_empty());
    }
}
