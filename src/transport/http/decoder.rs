//! From bytes to requests, for one connection.
//!
//! ```text
//!         first byte          blank line            last byte           next call
//!   Idle ------------> Head -------------> Body ---------------> Whole -----------> Idle
//!     \                      Step::Head                          /
//!      \________________________________________________________/
//!              a request that lies whole in the input: borrowed, nothing kept
//! ```
//!
//! A body is not taken from everybody: once the head is whole and the body is not, the head is
//! shown, and whoever asks may name a smaller limit or turn the request away before a byte of its
//! body is kept.
//!
//! A connection between requests owns no heap. Once a request is incomplete, everything of it that
//! has come is kept in one vector: the head as it was sent, behind it the body put together. Bytes
//! behind the request are never taken: they are the next request's, or frames behind an upgrade.

use super::body::{self, Chunks};
use super::head::{self, Found, Framing, Head, Search};
use super::message::{Header, Headers, Request};
use super::refusal::Refusal;
use crate::limits;

/// Blank lines before a request line that are passed over: some old clients end a body with one
/// (RFC 9112 section 2.2).
const LEADING_BLANK_BYTES_MAX: u8 = 4;

/// What a request may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of request line, headers, blank line, chunk extensions and trailers together.
    pub head_bytes: usize,
    /// Headers; more than [`limits::HTTP_HEADERS_MAX`] are never taken.
    pub head_count: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_bytes: limits::HTTP_HEAD_BYTES_MAX,
            head_count: limits::HTTP_HEADERS_MAX,
            target_bytes: limits::HTTP_TARGET_BYTES_MAX,
            body_bytes: limits::HTTP_BODY_BYTES_MAX,
        }
    }
}

/// For what has been judged before.
const NO_LIMITS: HttpLimits = HttpLimits {
    head_bytes: usize::MAX,
    head_count: usize::MAX,
    target_bytes: usize::MAX,
    body_bytes: usize::MAX,
};

/// Room for the headers of one request, made anew for each call of [`Decoder::next`]. Making it
/// costs nothing; it is prepared for as many headers as come (64 would take 80 ns each time).
#[derive(Debug, Default)]
pub struct Scratch<'a> {
    room: Room<'a>,
}

#[derive(Debug, Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack, for one request; a box would be an allocation"
)]
enum Room<'a> {
    #[default]
    None,
    Few([Header<'a>; HEADERS_FEW]),
    Many([Header<'a>; limits::HTTP_HEADERS_MAX]),
}

/// What most requests have at most.
const HEADERS_FEW: usize = 16;

impl Scratch<'_> {
    /// Room for any request that a decoder takes.
    pub const fn new() -> Self {
        Self { room: Room::None }
    }
}

impl<'a> Scratch<'a> {
    fn request(&'a mut self, head: &Head<'_, 'a>, body: &'a [u8]) -> Request<'a> {
        let header = |at: usize| match head.headers.get(at) {
            Some(raw) => Header {
                name: raw.name,
                value: raw.value,
            },
            None => Header {
                name: "",
                value: b"",
            },
        };
        self.room = if head.headers.len() <= HEADERS_FEW {
            Room::Few(std::array::from_fn(header))
        } else {
            Room::Many(std::array::from_fn(header))
        };
        let headers: &[Header<'a>] = match &self.room {
            Room::None => &[],
            Room::Few(headers) => headers,
            Room::Many(headers) => headers,
        };
        Request {
            method: head.line.method,
            path: head.line.path,
            query: head.line.query,
            is_1_1: head.line.is_1_1,
            headers: Headers(headers.get(..head.headers.len()).unwrap_or_default()),
            body,
        }
    }
}

/// What [`Decoder::next`] came to.
#[derive(Debug)]
pub enum Step<'a> {
    /// Nothing whole yet; everything given was taken.
    More,
    /// The head of a request whose body has still to come; its body is empty here. Comes once per
    /// request, before anything of the body is kept, and not at all if the body is empty or lies
    /// whole in the input with the end of the head (with a length; a chunked body always has this
    /// step, as only reading it tells where it ends).
    ///
    /// To take the body, call again, perhaps after [`Decoder::limit_body`]. To turn the request
    /// away, answer it, end the connection and drop the decoder: where the body would end nobody
    /// knows without reading it.
    Head(Request<'a>),
    /// The peer waits for `100 Continue` before it sends its body: queue
    /// [`CONTINUE`](super::response::CONTINUE), then call again. Comes at most once per request,
    /// after [`Step::Head`], and only when nothing of the body is here yet.
    Continue,
    /// A whole request. Bytes behind it are still in the input.
    Request(Request<'a>),
    /// Say this, then end the connection. Nothing more is parsed from it.
    Refused(Refusal),
}

/// What the peer is in the middle of, for time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of a request has come; also after a refusal.
    Idle,
    /// A head is incomplete.
    Head,
    /// A body is incomplete.
    Body {
        /// Bytes of it that have come, chunk lines included. Grows as long as there is progress.
        received: u64,
    },
}

/// Takes the requests of one connection apart.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between requests.
    Idle {
        /// Bytes of blank lines passed over.
        blank_bytes: u8,
    },
    /// A request is incomplete, or whole and lent out.
    Busy(Box<Busy>),
    /// Everything that comes is thrown away.
    Refused,
}

/// A request that did not come in one piece.
#[derive(Debug)]
struct Busy {
    /// The head as it came, then the body.
    kept: Vec<u8>,
    search: Search,
    stage: Stage,
    /// Bytes of the body taken so far, chunk lines included.
    body_received: u64,
    /// What the caller allows this body, if that is less than the limits do.
    body_bytes_max: usize,
    /// The peer waits for `100 Continue`, and has not been told.
    awaits_continue: bool,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// How long `kept` is when the body is whole.
    Sized {
        total: usize,
    },
    Chunked(Chunks),
    Whole,
}

/// How far a busy request has come.
enum Progress {
    More,
    Head,
    Continue,
    Whole,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a fresh connection.
    pub fn new() -> Self {
        Self {
            state: State::Idle { blank_bytes: 0 },
        }
    }

    /// Takes bytes off the front of `input`, until there is something to say.
    ///
    /// A request that lies whole in `input` and has no chunked body is borrowed from it; others are
    /// put together here and freed at the next call. Call again after everything but
    /// [`Step::More`], which means that `input` is empty.
    ///
    /// ```
    /// use fanwire::transport::http::{Decoder, HttpLimits, Scratch, Step};
    ///
    /// let mut decoder = Decoder::new();
    /// let limits = HttpLimits::default();
    /// let mut input: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\
    ///     GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    /// let mut paths = Vec::new();
    /// loop {
    ///     match decoder.next(&mut input, &limits, &mut Scratch::new()) {
    ///         Step::Request(request) => paths.push(request.path.to_owned()),
    ///         Step::Head(_) | Step::Continue => {}
    ///         Step::More | Step::Refused(_) => break,
    ///     }
    /// }
    /// assert_eq!(paths, ["/a", "/b"]);
    /// ```
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
        limits: &HttpLimits,
        scratch: &'s mut Scratch<'s>,
    ) -> Step<'s> {
        self.release();
        match &mut self.state {
            State::Idle { blank_bytes } => {
                if let Err(refusal) = pass_blank_lines(blank_bytes, input) {
                    return self.refuse(input, refusal);
                }
                let Some(&first) = input.first() else {
                    return Step::More;
                };
                // Another protocol is told so at its first byte, such as the 22 of a TLS
                // handshake: its next line end may never come.
                if !head::is_token_byte(first) {
                    return self.refuse(input, Refusal::BadRequestLine);
                }
                let whole = *input;
                let mut search = Search::default();
                let mut raw = head::raw_headers();
                match read_head(&mut search, whole, &mut raw, limits) {
                    Ok(None) => {
                        *input = &[];
                        self.state = State::Busy(Busy::new(whole, search));
                        return Step::More;
                    }
                    Ok(Some(head)) => {
                        let (head_part, rest) = whole.split_at(search.searched());
                        if let Framing::Sized(length) = head.framing
                            && let Some((body, rest)) = rest.split_at_checked(length)
                        {
                            *input = rest;
                            self.state = State::Idle { blank_bytes: 0 };
                            return Step::Request(scratch.request(&head, body));
                        }
                        *input = rest;
                        let mut busy = Busy::new(head_part, search);
                        busy.begin_body(head.framing, head.expects_continue, limits);
                        self.state = State::Busy(busy);
                        return Step::Head(scratch.request(&head, &[]));
                    }
                    Err(refusal) => return self.refuse(input, refusal),
                }
            }
            State::Busy(_) => {}
            State::Refused => {
                *input = &[];
                return Step::More;
            }
        }
        match self.advance(input, limits) {
            Ok(Progress::More) => return Step::More,
            Ok(Progress::Continue) => return Step::Continue,
            Ok(Progress::Head | Progress::Whole) => {}
            Err(refusal) => return self.refuse(input, refusal),
        }
        self.lend(scratch)
    }

    /// After [`Step::Head`]: the body of this request may have so many bytes, and no more than the
    /// limits say. If its length was given and is more, the next call refuses it.
    pub fn limit_body(&mut self, bytes: usize) {
        if let State::Busy(busy) = &mut self.state {
            busy.body_bytes_max = bytes;
        }
    }

    /// What the peer is in the middle of.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Idle { .. } | State::Refused => Phase::Idle,
            State::Busy(busy) => match busy.stage {
                Stage::Head => Phase::Head,
                Stage::Sized { .. } | Stage::Chunked(_) => Phase::Body {
                    received: busy.body_received,
                },
                Stage::Whole => Phase::Idle,
            },
        }
    }

    /// The peer will send no more. If that is inside a request there is something to say; what was
    /// kept is freed either way.
    pub fn end(&mut self) -> Option<Refusal> {
        self.give_up(Refusal::UnexpectedEnd)
    }

    /// The peer took too long. If that is inside a request there is something to say; what was kept
    /// is freed either way.
    pub fn time_out(&mut self) -> Option<Refusal> {
        self.give_up(Refusal::TooSlow)
    }

    /// The server stops and waits no longer. If that is inside a request there is something to say;
    /// what was kept is freed either way.
    pub fn stop(&mut self) -> Option<Refusal> {
        self.give_up(Refusal::Stopping)
    }

    /// Frees what the last request was read from. The next call of [`Decoder::next`] does it as
    /// well; a connection whose answer comes much later need not hold it until then.
    pub fn release(&mut self) {
        if let State::Busy(busy) = &self.state
            && matches!(busy.stage, Stage::Whole)
        {
            self.state = State::Idle { blank_bytes: 0 };
        }
    }

    /// Bytes of heap held.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Idle { .. } | State::Refused => 0,
            State::Busy(busy) => size_of::<Busy>() + busy.kept.capacity(),
        }
    }

    fn give_up(&mut self, refusal: Refusal) -> Option<Refusal> {
        let is_inside = self.phase() != Phase::Idle;
        self.state = State::Refused;
        is_inside.then_some(refusal)
    }

    fn refuse<'s>(&mut self, input: &mut &[u8], refusal: Refusal) -> Step<'s> {
        *input = &[];
        self.state = State::Refused;
        Step::Refused(refusal)
    }

    fn advance(&mut self, input: &mut &[u8], limits: &HttpLimits) -> Result<Progress, Refusal> {
        match &mut self.state {
            State::Busy(busy) => busy.advance(input, limits),
            State::Idle { .. } | State::Refused => Ok(Progress::More),
        }
    }

    /// Lends the request that has become whole, or its head while the body is not here. The head
    /// is parsed once more for that: what the first pass found could only be kept beside the bytes
    /// it points into as offsets, and a request in pieces is rare.
    fn lend<'s>(&'s self, scratch: &'s mut Scratch<'s>) -> Step<'s> {
        let State::Busy(busy) = &self.state else {
            return Step::More;
        };
        let (head_part, body) = busy
            .kept
            .split_at_checked(busy.search.searched())
            .unwrap_or((&busy.kept, &[]));
        let mut raw = head::raw_headers();
        // The limits were held when the bytes came; an operator may have lowered them since.
        let head = head::request_line(busy.search.request_line(head_part), &NO_LIMITS)
            .and_then(|line| head::parse(head_part, line, &mut raw, &NO_LIMITS));
        match head {
            Ok(head) if matches!(busy.stage, Stage::Whole) => {
                Step::Request(scratch.request(&head, body))
            }
            Ok(head) => Step::Head(scratch.request(&head, &[])),
            // Not reached: the same bytes were taken before.
            Err(refusal) => Step::Refused(refusal),
        }
    }
}

/// Passes over a bounded number of blank lines.
fn pass_blank_lines(blank_bytes: &mut u8, input: &mut &[u8]) -> Result<(), Refusal> {
    while let Some((&byte, rest)) = input.split_first() {
        let is_inside_line_end = *blank_bytes % 2 == 1;
        match byte {
            b'\n' if is_inside_line_end => {}
            _ if is_inside_line_end => return Err(Refusal::BadRequestLine),
            b'\r' if *blank_bytes < LEADING_BLANK_BYTES_MAX => {}
            _ => break,
        }
        *blank_bytes += 1;
        *input = rest;
    }
    Ok(())
}

/// Reads the head at the front of `whole`, if its end is there.
fn read_head<'h, 'b>(
    search: &mut Search,
    whole: &'b [u8],
    raw: &'h mut head::RawHeaders<'b>,
    limits: &HttpLimits,
) -> Result<Option<Head<'h, 'b>>, Refusal> {
    let mut line = None;
    let mut last = None;
    let mut rest = whole;
    loop {
        match search.feed(last, rest, limits)? {
            Found::More => return Ok(None),
            Found::RequestLine(taken) => {
                line = Some(head::request_line(search.request_line(whole), limits)?);
                last = Some(b'\n');
                rest = rest.get(taken..).unwrap_or_default();
            }
            Found::End(_) => {
                let head_part = whole.get(..search.searched()).unwrap_or_default();
                let line = line.ok_or(Refusal::BadRequestLine)?;
                return head::parse(head_part, line, raw, limits).map(Some);
            }
            Found::TooLong(_) => {
                let head_part = whole.get(..search.searched()).unwrap_or_default();
                return Err(search.too_long(head_part, limits));
            }
        }
    }
}

impl Busy {
    fn new(kept: &[u8], search: Search) -> Box<Self> {
        Box::new(Self {
            kept: kept.to_vec(),
            search,
            stage: Stage::Head,
            body_received: 0,
            body_bytes_max: usize::MAX,
            awaits_continue: false,
        })
    }

    fn begin_body(&mut self, framing: Framing, awaits_continue: bool, limits: &HttpLimits) {
        self.awaits_continue = awaits_continue && framing != Framing::Sized(0);
        let head_bytes = self.search.searched();
        self.stage = match framing {
            Framing::Sized(0) => Stage::Whole,
            Framing::Sized(length) => Stage::Sized {
                total: head_bytes + length,
            },
            Framing::Chunked => Stage::Chunked(Chunks::new(head_bytes, limits)),
        };
    }

    fn advance(&mut self, input: &mut &[u8], limits: &HttpLimits) -> Result<Progress, Refusal> {
        if matches!(self.stage, Stage::Head) {
            match self.advance_head(input, limits)? {
                Progress::Whole => {}
                progress @ (Progress::More | Progress::Head | Progress::Continue) => {
                    return Ok(progress);
                }
            }
        }
        let head_bytes = self.search.searched();
        if let Stage::Sized { total } = self.stage
            && total.saturating_sub(head_bytes) > self.body_bytes_max
        {
            return Err(Refusal::BodyTooLarge {
                limit: self.body_bytes_max,
            });
        }
        // Who waits is answered once, and who has not waited for it needs no answer.
        if std::mem::take(&mut self.awaits_continue) && input.is_empty() {
            return Ok(Progress::Continue);
        }
        match &mut self.stage {
            Stage::Head => return Ok(Progress::More),
            Stage::Sized { total } => {
                let wanted = total.saturating_sub(self.kept.len());
                let (piece, rest) = input.split_at(wanted.min(input.len()));
                body::append_sized(&mut self.kept, piece, *total);
                self.body_received += piece.len() as u64;
                *input = rest;
                if self.kept.len() < *total {
                    return Ok(Progress::More);
                }
            }
            Stage::Chunked(chunks) => {
                let limits = HttpLimits {
                    body_bytes: limits.body_bytes.min(self.body_bytes_max),
                    ..*limits
                };
                let fed = chunks.feed(input, &mut self.kept, head_bytes, &limits)?;
                self.body_received += fed.taken as u64;
                *input = input.get(fed.taken..).unwrap_or_default();
                if !fed.is_whole {
                    return Ok(Progress::More);
                }
            }
            Stage::Whole => {}
        }
        self.stage = Stage::Whole;
        Ok(Progress::Whole)
    }

    /// Goes on with an incomplete head. `Whole` means that the head is, and that its body is empty
    /// or here as well; `Head` that the body has still to come.
    fn advance_head(
        &mut self,
        input: &mut &[u8],
        limits: &HttpLimits,
    ) -> Result<Progress, Refusal> {
        loop {
            let found = self.search.feed(self.kept.last().copied(), input, limits)?;
            let taken = match found {
                Found::More => input.len(),
                Found::RequestLine(taken) | Found::End(taken) | Found::TooLong(taken) => taken,
            };
            let (piece, rest) = input.split_at(taken.min(input.len()));
            self.kept.extend_from_slice(piece);
            *input = rest;
            match found {
                Found::More => return Ok(Progress::More),
                Found::RequestLine(_) => {
                    head::request_line(self.search.request_line(&self.kept), limits)?;
                }
                Found::TooLong(_) => return Err(self.search.too_long(&self.kept, limits)),
                Found::End(_) => {
                    let line = head::request_line(self.search.request_line(&self.kept), limits)?;
                    let mut raw = head::raw_headers();
                    let head = head::parse(&self.kept, line, &mut raw, limits)?;
                    let (framing, expects_continue) = (head.framing, head.expects_continue);
                    self.begin_body(framing, expects_continue, limits);
                    return Ok(match framing {
                        Framing::Sized(length) if length <= input.len() => Progress::Whole,
                        Framing::Sized(_) | Framing::Chunked => Progress::Head,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
