//! Why a request is not taken, and what the peer is told.

use super::message::{Response, Status};
use super::response;

/// What was wrong with a request. After one of these the connection ends; nothing further is
/// parsed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The first line is none: another protocol, wrong spaces, no version, a target that is none.
    BadRequestLine,
    /// Percent-encoding that is cut short, or an encoded NUL.
    BadTarget,
    /// A version other than 1.0 and 1.1.
    UnsupportedVersion,
    /// A method that no part of this server knows.
    UnknownMethod,
    /// The target has more bytes than `limit`.
    TargetTooLong {
        /// In bytes.
        limit: usize,
    },
    /// Request line, headers, trailers and chunk extensions together have more bytes than `limit`.
    HeadTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// There are more headers than `limit`.
    TooManyHeaders {
        /// A count.
        limit: usize,
    },
    /// A line of the head that is no header, or does not end with CRLF.
    BadHeader,
    /// Host is missing, repeated, or not a host with an optional port.
    BadHost,
    /// `Content-Length` is repeated, no plain number, or beyond 2^63.
    BadLength,
    /// Both `Content-Length` and `Transfer-Encoding`.
    AmbiguousLength,
    /// `Transfer-Encoding` is repeated, or came with HTTP/1.0.
    BadEncoding,
    /// `Transfer-Encoding` is something other than exactly `chunked`.
    UnknownEncoding,
    /// The body has, or will have, more bytes than `limit`.
    BodyTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// A chunk's size, line ends or trailers are malformed.
    BadChunk,
    /// A chunk's extensions have more bytes than `limit`.
    ChunkExtensionTooLong {
        /// In bytes.
        limit: usize,
    },
    /// `Expect` asks for something other than `100-continue`.
    BadExpectation,
    /// The peer stopped sending inside a request.
    UnexpectedEnd,
    /// The request did not come in time.
    TooSlow,
    /// The server stops, and the request did not come in the time that was left for it.
    Stopping,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> Status {
        match self {
            Self::BadRequestLine
            | Self::BadTarget
            | Self::BadHeader
            | Self::BadHost
            | Self::BadLength
            | Self::AmbiguousLength
            | Self::BadEncoding
            | Self::BadChunk
            | Self::ChunkExtensionTooLong { .. }
            | Self::UnexpectedEnd => 400,
            Self::TooSlow => 408,
            Self::BodyTooLarge { .. } => 413,
            Self::TargetTooLong { .. } => 414,
            Self::BadExpectation => 417,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => 431,
            Self::UnknownMethod | Self::UnknownEncoding => 501,
            Self::Stopping => 503,
            Self::UnsupportedVersion => 505,
        }
    }

    /// One word for programs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadRequestLine => "bad_request_line",
            Self::BadTarget => "bad_target",
            Self::UnsupportedVersion => "unsupported_version",
            Self::UnknownMethod => "unknown_method",
            Self::TargetTooLong { .. } => "target_too_long",
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::BadHeader => "bad_header",
            Self::BadHost => "bad_host",
            Self::BadLength => "bad_length",
            Self::AmbiguousLength => "ambiguous_length",
            Self::BadEncoding => "bad_encoding",
            Self::UnknownEncoding => "unknown_encoding",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BadChunk | Self::ChunkExtensionTooLong { .. } => "bad_chunk",
            Self::BadExpectation => "bad_expectation",
            Self::UnexpectedEnd => "unexpected_end",
            Self::TooSlow => "timeout",
            Self::Stopping => "stopping",
        }
    }

    /// What was wrong, where, and what was expected; never with a piece of the input in it.
    pub fn message(self) -> &'static str {
        match self {
            Self::BadRequestLine => {
                "the first line must be: method, space, target, space, HTTP/1.1, CRLF"
            }
            Self::BadTarget => {
                "in the target, each percent sign needs two hex digits that are not 00"
            }
            Self::UnsupportedVersion => "this server speaks HTTP/1.1 and HTTP/1.0",
            Self::UnknownMethod => "this server has no use for the method",
            Self::TargetTooLong { .. } => "the request target has too many bytes",
            Self::HeadTooLarge { .. } => "request line, headers and trailers have too many bytes",
            Self::TooManyHeaders { .. } => "the request has too many headers",
            Self::BadHeader => {
                "each line of the head must be: name, colon, value, CRLF, with no control bytes"
            }
            Self::BadHost => "exactly one Host header is needed: a host with an optional port",
            Self::BadLength => "Content-Length must be there once, in decimal digits, below 2^63",
            Self::AmbiguousLength => {
                "Content-Length and Transfer-Encoding exclude each other; send one of them"
            }
            Self::BadEncoding => {
                "Transfer-Encoding may be there once, and not in an HTTP/1.0 request"
            }
            Self::UnknownEncoding => "the one Transfer-Encoding understood is: chunked",
            Self::BodyTooLarge { .. } => "the body has too many bytes",
            Self::BadChunk => {
                "a chunk must be: 1 to 16 hex digits, CRLF, that many bytes, CRLF; trailers follow \
                 the last"
            }
            Self::ChunkExtensionTooLong { .. } => "the extensions of a chunk have too many bytes",
            Self::BadExpectation => "the one expectation understood is: 100-continue",
            Self::UnexpectedEnd => "the connection's sending side was shut inside a request",
            Self::TooSlow => "the request did not come in time",
            Self::Stopping => {
                "the server stops, and nothing of this request was done; send it again"
            }
        }
    }

    /// The bound that was passed, if it is about one.
    pub fn limit(self) -> Option<u64> {
        match self {
            Self::TargetTooLong { limit }
            | Self::HeadTooLarge { limit }
            | Self::TooManyHeaders { limit }
            | Self::BodyTooLarge { limit }
            | Self::ChunkExtensionTooLong { limit } => Some(limit as u64),
            Self::BadRequestLine
            | Self::BadTarget
            | Self::UnsupportedVersion
            | Self::UnknownMethod
            | Self::BadHeader
            | Self::BadHost
            | Self::BadLength
            | Self::AmbiguousLength
            | Self::BadEncoding
            | Self::UnknownEncoding
            | Self::BadChunk
            | Self::BadExpectation
            | Self::UnexpectedEnd
            | Self::TooSlow
            | Self::Stopping => None,
        }
    }

    /// The answer that says so; it ends the connection.
    pub fn response(self) -> Response {
        response::refusal(self.status(), self.word(), self.message(), self.limit())
    }
}
