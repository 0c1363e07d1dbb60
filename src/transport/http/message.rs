//! The words of HTTP: a request as it was read, and an answer before it is written.

use std::borrow::Cow;

/// A request method that this server knows (RFC 9110 section 9, RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// The method by its name on the wire; names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => return None,
        })
    }
}

/// One header as it was read: the name in any case, the value without surrounding white space.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Compare without regard to case.
    pub name: &'a str,
    /// Visible bytes, spaces and tabs; not necessarily UTF-8.
    pub value: &'a [u8],
}

/// The headers of a request, in the order they came.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(pub &'a [Header<'a>]);

impl<'a> Headers<'a> {
    /// The value of the first header of this name, if it is text.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name)
            .next()
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all headers of this name.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.0
            .iter()
            .filter(move |h| h.name.eq_ignore_ascii_case(name))
            .map(|h| h.value)
    }

    /// Whether one of the comma-separated words of the headers of this name is `word`, in any case.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// A whole request. Everything is borrowed from where it was read.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// The path as sent, percent-encoding and all; begins with `/` (or is `*` for OPTIONS).
    pub path: &'a str,
    /// What follows the first `?`, as sent.
    pub query: Option<&'a str>,
    /// Whether the request is HTTP/1.1 (else 1.0).
    pub is_1_1: bool,
    /// All headers.
    pub headers: Headers<'a>,
    /// The body, put together.
    pub body: &'a [u8],
}

/// A status code (RFC 9110 section 15).
pub type Status = u16;

/// An answer before it is written. Framing headers (`Content-Length`, `Connection`, `Date`) are
/// added when it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: Status,
    /// Value of `Content-Type`; none is sent for an empty string.
    pub content_type: &'static str,
    /// Further headers. Names and values are checked when written: control bytes never leave.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// A block of headers that is the same for many answers, whole lines with `\r\n` after each.
    pub block: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the connection ends after this answer, whatever the request says.
    pub close: bool,
    /// Whether it is said that the connection stays where it does, though HTTP/1.1 means it anyway.
    pub says_that_it_stays: bool,
}

impl Response {
    /// An answer with this status and JSON text.
    pub fn json(status: Status, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.into(),
            ..Self::default()
        }
    }

    /// An answer with this status and plain text.
    pub fn text(status: Status, body: impl Into<Vec<u8>>) -> Self {
        let content_type = "text/plain; charset=UTF-8";
        Self {
            status,
            content_type,
            body: body.into(),
            ..Self::default()
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
