//! The head of a request: where it ends, and what it says.
//!
//! A head is read in two steps. [`Search`] goes over the bytes once, as they come, from line end to
//! line end; it remembers how far it came, so that a head in a thousand pieces costs as much as a
//! whole one. Then [`parse`] reads the head once: the request line here, the headers with httparse,
//! which is a tokenizer and leaves every decision about framing to us.
//!
//! Every refusal depends on the bytes alone, never on how they were cut: the request line is judged
//! when its line end is there, the headers when the blank line is there.

use super::decoder::HttpLimits;
use super::message::Method;
use super::refusal::Refusal;
use crate::limits::HTTP_HEADERS_MAX;
use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

/// How far the search for the end of a head has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Search {
    /// Bytes searched, from the first byte of the request line.
    searched: usize,
    /// Where the current line starts.
    line_start: usize,
    /// Where the line after the request line starts; 0 while the request line is not whole.
    headers_start: usize,
}

/// What [`Search::feed`] came to. The numbers are bytes taken from the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The piece is used up.
    More,
    /// The request line ends here; the search goes on with what follows.
    RequestLine(usize),
    /// The blank line ends here, and with it the head.
    End(usize),
    /// The head has more bytes than it may; all that it may have were taken.
    TooLong(usize),
}

impl Search {
    /// Bytes searched so far; after [`Found::End`] the length of the head.
    pub(super) fn searched(&self) -> usize {
        self.searched
    }

    /// The request line without its line end, once it is whole; `head` starts with it.
    pub(super) fn request_line<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        head.get(..self.headers_start.saturating_sub(2))
            .unwrap_or_default()
    }

    /// Searches `piece`, which follows a byte `last`. Each byte is to be given once.
    pub(super) fn feed(
        &mut self,
        last: Option<u8>,
        piece: &[u8],
        limits: &HttpLimits,
    ) -> Result<Found, Refusal> {
        let room = limits.head_bytes.saturating_sub(self.searched);
        let within = piece.get(..room).unwrap_or(piece);
        let start = self.searched;
        for at in memchr::memchr_iter(b'\n', within) {
            let before = match at.checked_sub(1) {
                Some(before) => within.get(before).copied(),
                None => last,
            };
            if before != Some(b'\r') {
                return Err(self.bare_line_feed());
            }
            let next_line = start + at + 1;
            let is_blank = next_line - self.line_start == 2;
            self.line_start = next_line;
            if self.headers_start == 0 {
                self.headers_start = next_line;
                self.advance(next_line);
                return Ok(Found::RequestLine(at + 1));
            }
            if is_blank {
                self.advance(next_line);
                return Ok(Found::End(at + 1));
            }
        }
        self.advance(start + within.len());
        Ok(if within.len() < piece.len() {
            Found::TooLong(within.len())
        } else {
            Found::More
        })
    }

    fn advance(&mut self, searched: usize) {
        #[cfg(test)]
        cost::SEARCHED.set(cost::SEARCHED.get() + (searched - self.searched));
        self.searched = searched;
    }

    fn bare_line_feed(&self) -> Refusal {
        if self.headers_start == 0 {
            Refusal::BadRequestLine
        } else {
            Refusal::BadHeader
        }
    }

    /// What to say after [`Found::TooLong`]; `head` is what was taken.
    pub(super) fn too_long(&self, head: &[u8], limits: &HttpLimits) -> Refusal {
        if self.headers_start == 0
            && let Some((method, rest)) = split_at_space(head)
            && is_token(method)
        {
            let target = split_at_space(rest).map_or(rest, |(target, _)| target);
            if target.len() > limits.target_bytes {
                return Refusal::TargetTooLong {
                    limit: limits.target_bytes,
                };
            }
        }
        Refusal::HeadTooLarge {
            limit: limits.head_bytes,
        }
    }
}

/// A request line that has been judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine<'b> {
    pub(super) method: Method,
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    pub(super) is_1_1: bool,
    /// The host and port of a target in absolute form (RFC 9112 section 3.2.2).
    authority: Option<&'b str>,
}

/// Reads a request line, given without its line end (RFC 9112 section 3).
pub(super) fn request_line<'b>(
    line: &'b [u8],
    limits: &HttpLimits,
) -> Result<RequestLine<'b>, Refusal> {
    let (method, rest) = split_at_space(line).ok_or(Refusal::BadRequestLine)?;
    // A further space ends up in the version, which has none.
    let (target, version) = split_at_space(rest).ok_or(Refusal::BadRequestLine)?;
    if !is_token(method) || target.is_empty() {
        return Err(Refusal::BadRequestLine);
    }
    let is_1_1 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::UnsupportedVersion);
        }
        _ => return Err(Refusal::BadRequestLine),
    };
    if target.len() > limits.target_bytes {
        return Err(Refusal::TargetTooLong {
            limit: limits.target_bytes,
        });
    }
    // Every byte visible, and no fragment: that one stays with the client (RFC 9110 section 7.1).
    if !target
        .iter()
        .all(|&byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(Refusal::BadRequestLine);
    }
    let target = std::str::from_utf8(target).map_err(|_| Refusal::BadRequestLine)?;
    let method = std::str::from_utf8(method)
        .ok()
        .and_then(Method::from_name)
        .ok_or(Refusal::UnknownMethod)?;
    let (authority, target) = split_target(target, method)?;
    let (path, query) = match target.split_once('?') {
        // An absolute target may do without a path; it means the root.
        Some(("", query)) => ("/", Some(query)),
        Some((path, query)) => (path, Some(query)),
        None if target.is_empty() => ("/", None),
        None => (target, None),
    };
    if !is_percent_encoding_sound(target.as_bytes()) {
        return Err(Refusal::BadTarget);
    }
    Ok(RequestLine {
        method,
        path,
        query,
        is_1_1,
        authority,
    })
}

/// Splits an absolute target into authority and the rest; the other forms have only the rest.
fn split_target(target: &str, method: Method) -> Result<(Option<&str>, &str), Refusal> {
    if target.starts_with('/') || (target == "*" && method == Method::Options) {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::BadRequestLine)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::BadRequestLine);
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Ok((Some(authority), rest))
}

/// Whether each `%` is followed by two hex digits that are not `00`.
fn is_percent_encoding_sound(target: &[u8]) -> bool {
    memchr::memchr_iter(b'%', target).all(|at| match target.get(at + 1..at + 3) {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00",
        None => false,
    })
}

/// How the length of a body is known (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes; none if nothing was said.
    Sized(usize),
    /// Each chunk says its own.
    Chunked,
}

/// Room for the tokenizer's headers; it needs no preparation.
pub(super) type RawHeaders<'b> = [MaybeUninit<httparse::Header<'b>>; HTTP_HEADERS_MAX];

/// Fresh room for the tokenizer.
pub(super) const fn raw_headers<'b>() -> RawHeaders<'b> {
    [const { MaybeUninit::uninit() }; HTTP_HEADERS_MAX]
}

/// A head that has been judged.
#[derive(Debug)]
pub(super) struct Head<'h, 'b> {
    pub(super) line: RequestLine<'b>,
    pub(super) headers: &'h [httparse::Header<'b>],
    pub(super) framing: Framing,
    /// Whether the client waits for `100 Continue` (RFC 9110 section 10.1.1).
    pub(super) expects_continue: bool,
}

/// Reads a whole head of which the request line was read before.
pub(super) fn parse<'h, 'b>(
    head: &'b [u8],
    line: RequestLine<'b>,
    raw: &'h mut RawHeaders<'b>,
    limits: &HttpLimits,
) -> Result<Head<'h, 'b>, Refusal> {
    #[cfg(test)]
    cost::PARSES.set(cost::PARSES.get() + 1);
    let count_max = limits.head_count.min(HTTP_HEADERS_MAX);
    let raw = raw.get_mut(..count_max).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, raw) {
        // Both have to agree where the head ends, or one of them is being led astray.
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Refusal::BadHeader),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::TooManyHeaders { limit: count_max });
        }
        Err(httparse::Error::Token | httparse::Error::Version | httparse::Error::Status) => {
            return Err(Refusal::BadRequestLine);
        }
        Err(
            httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine,
        ) => return Err(Refusal::BadHeader),
    }
    let headers: &'h [httparse::Header<'b>] = request.headers;
    let said = Said::collect(headers);
    check_host(&said, &line)?;
    let framing = framing(&said, line.is_1_1, limits)?;
    // An expectation in HTTP/1.0 is to be ignored (RFC 9110 section 10.1.1).
    if line.is_1_1 && said.expects_other {
        return Err(Refusal::BadExpectation);
    }
    Ok(Head {
        line,
        headers,
        framing,
        expects_continue: line.is_1_1 && said.expects_continue,
    })
}

/// The headers that decide something here, each with how often it came.
#[derive(Default)]
struct Said<'b> {
    host: Option<&'b [u8]>,
    hosts: u8,
    length: Option<&'b [u8]>,
    lengths: u8,
    encoding: Option<&'b [u8]>,
    encodings: u8,
    expects_continue: bool,
    expects_other: bool,
}

impl<'b> Said<'b> {
    fn collect(headers: &[httparse::Header<'b>]) -> Self {
        let mut said = Self::default();
        for header in headers {
            // There are at most `HTTP_HEADERS_MAX` headers, so the counts fit. The length tells
            // most names apart without a comparison.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => {
                    said.host = Some(header.value);
                    said.hosts += 1;
                }
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    if header.value.eq_ignore_ascii_case(b"100-continue") {
                        said.expects_continue = true;
                    } else {
                        said.expects_other = true;
                    }
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    said.length = Some(header.value);
                    said.lengths += 1;
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    said.encoding = Some(header.value);
                    said.encodings += 1;
                }
                _ => {}
            }
        }
        said
    }
}

const _: () = assert!(HTTP_HEADERS_MAX <= u8::MAX as usize, "a count fits a byte");

/// RFC 9112 section 3.2: one Host in HTTP/1.1, at most one in 1.0, and it has to be one.
fn check_host(said: &Said<'_>, line: &RequestLine<'_>) -> Result<(), Refusal> {
    if said.hosts > 1 || (line.is_1_1 && said.hosts == 0) {
        return Err(Refusal::BadHost);
    }
    if said.host.is_some_and(|host| !is_host(host)) {
        return Err(Refusal::BadHost);
    }
    let Some(authority) = line.authority else {
        return Ok(());
    };
    // A client sends the same in both places; if they differ, two hops may believe different ones.
    let differs = said
        .host
        .is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_bytes()));
    if differs || !is_host(authority.as_bytes()) {
        return Err(Refusal::BadHost);
    }
    Ok(())
}

/// A name or address of 1 to 255 bytes, perhaps with a port. Of the names that RFC 3986 section
/// 3.2.2 allows, only those of letters, digits and `-._~` are taken.
fn is_host(value: &[u8]) -> bool {
    let (host_is_sound, port) = if let Some(rest) = value.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        let (address, rest) = rest.split_at(end);
        let is_address =
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
        (is_address, rest.get(1..).unwrap_or_default())
    } else {
        let (name, port) = value.split_at(memchr::memchr(b':', value).unwrap_or(value.len()));
        let is_name = (1..=255).contains(&name.len())
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        (is_name, port)
    };
    host_is_sound
        && match port.split_first() {
            None => true,
            // RFC 3986 section 3.2.3 allows a colon without a port behind it.
            Some((b':', [])) => true,
            Some((b':', digits)) => decimal(digits).is_some_and(|port| port <= 65_535),
            Some(_) => false,
        }
}

/// RFC 9112 section 6.3, without its tolerance.
fn framing(said: &Said<'_>, is_1_1: bool, limits: &HttpLimits) -> Result<Framing, Refusal> {
    if said.lengths > 0 && said.encodings > 0 {
        return Err(Refusal::AmbiguousLength);
    }
    if let Some(encoding) = said.encoding {
        if !is_1_1 || said.encodings > 1 {
            return Err(Refusal::BadEncoding);
        }
        // Names of codings may be written in any case; none of our clients does, and some hop may
        // not know that.
        if encoding != b"chunked" {
            return Err(Refusal::UnknownEncoding);
        }
        return Ok(Framing::Chunked);
    }
    let Some(length) = said.length else {
        return Ok(Framing::Sized(0));
    };
    if said.lengths > 1 {
        return Err(Refusal::BadLength);
    }
    let length = decimal(length).ok_or(Refusal::BadLength)?;
    match usize::try_from(length) {
        Ok(length) if length <= limits.body_bytes => Ok(Framing::Sized(length)),
        Ok(_) | Err(_) => Err(Refusal::BodyTooLarge {
            limit: limits.body_bytes,
        }),
    }
}

/// A number below 2^63 from decimal digits and nothing else: no sign, no space.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))
            .filter(|&number| number < 1 << 63)?;
    }
    Some(number)
}

/// What is before the first space, and what is behind it.
fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', bytes)?;
    let (before, rest) = bytes.split_at(at);
    Some((before, rest.get(1..)?))
}

/// Whether a byte may be part of a token such as a method (RFC 9110 section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether these bytes are a token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a byte may be in a header's value, a chunk's extension or a trailer: no control bytes.
pub(super) fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// What reading heads has cost on this thread, for tests.
#[cfg(test)]
pub(super) mod cost {
    use std::cell::Cell;

    thread_local! {
        /// Bytes searched.
        pub(in super::super) static SEARCHED: Cell<usize> = const { Cell::new(0) };
        /// Heads parsed.
        pub(in super::super) static PARSES: Cell<usize> = const { Cell::new(0) };
    }
}
