//! `/listen`: a request that waits for news (section 11 of the specification).
//!
//! A poll is the outlet of its connection while it waits. Where nobody waits, news are kept by the
//! channels that do that, and the next poll begins with them.

use super::encode::{push_event, push_number};
use super::errors::{self, Errors};
use super::fields::{is_callback, parse_uuid};
use super::pages;
use super::speaker::{Channelstream, STREAM_FORMAT, find_connection};
use crate::dialect::{Ctx, Park, Reply, Stream};
use crate::hub::{Event, HangUp, Order, SubscriberId};
use crate::limits::CS_STREAM_RETRY_MS;
use crate::transport::http::{Method, Request, Response, query};
use std::borrow::Cow;

impl Channelstream {
    /// `GET /listen`.
    pub(super) fn listen(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Reply {
        let given = |name| request.query.and_then(|query| query::last(query, name));
        let Some(id) = given("conn_id").as_deref().and_then(parse_uuid) else {
            return pages::wrong_poll_id().into();
        };
        let callback = given("callback").filter(|name| !name.is_empty());
        if callback.as_deref().is_some_and(|name| !is_callback(name)) {
            // Never repeated: it could be a script.
            return pages::invalid(&Errors::field("callback", errors::NO_CALLBACK)).into();
        }
        let Some(who) = find_connection(ctx, id) else {
            let accept = request.headers.get("Accept");
            return pages::generic(401, accept, "This connection is not known.").into();
        };
        if wants_stream(request) && request.method != Method::Head {
            return self.stream(request, who);
        }
        let (before, after) = match &callback {
            Some(name) => (Cow::Owned(format!("{name}(")), ")"),
            None => (Cow::Borrowed(""), ""),
        };
        let mut answer = Response::json(200, "");
        if callback.is_some() {
            // A script is read as its page is, if it does not say how.
            answer.content_type = "application/javascript; charset=UTF-8";
            answer = answer.with("X-Content-Type-Options", "nosniff");
        }
        if request.method == Method::Head {
            // Who wants no body gets no news, and takes none away.
            answer.body = format!("{before}[]{after}").into_bytes();
            return answer.into();
        }
        Reply::Park(Box::new(Park {
            who,
            answer: self.dressed(request, answer),
            before,
            after,
            pace: self.config.poll,
        }))
    }
}

impl Channelstream {
    /// The same for who asks for an event stream (Server-Sent Events, HTML section 9.2). The
    /// original has none.
    fn stream(&self, request: &Request<'_>, who: SubscriberId) -> Reply {
        let mut head = Response {
            status: 200,
            content_type: "text/event-stream",
            ..Response::default()
        };
        head = head
            .with("Cache-Control", "no-store")
            // Proxies that gather answers would hold the news back.
            .with("X-Accel-Buffering", "no");
        let last = request.headers.get("Last-Event-ID");
        Reply::Stream(Box::new(Stream {
            who,
            head: self.dressed(request, head),
            last: last.and_then(|last| last.parse().ok()),
        }))
    }
}

/// Whether a request is one of a browser's `EventSource`.
fn wants_stream(request: &Request<'_>) -> bool {
    let accept = request.headers.get("Accept").unwrap_or("");
    accept.split(',').any(|kind| {
        let kind = kind.split(';').next().unwrap_or(kind).trim();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// The head of a stream is queued: where the client stands, what it missed, and then the news.
pub(super) fn begin_stream(stream: &Stream, ctx: &mut Ctx<'_>) {
    let Ctx { hub, io, conn, .. } = ctx;
    let who = stream.who;
    if !hub.attach_as(who, *conn, STREAM_FORMAT, io) {
        return;
    }
    // What was queued for a former outlet may never have arrived.
    if let Some(last) = stream.last {
        hub.rewind(who, last);
    }
    let Some(seen) = hub.subscriber(who).map(|known| known.seen()) else {
        return;
    };
    // An id without data is taken note of: who loses the connection before the first event comes
    // back to this very place. What a former outlet was told lies before it.
    let hello = format!("retry: {CS_STREAM_RETRY_MS}\nid: {seen}\n\n");
    io.say(*conn, hello.as_bytes());
    if !hub.catch_up(who, Order::Time, io) {
        ctx.hub
            .remove(who, HangUp::TooFarBehind, ctx.now, &mut ctx.io);
    }
}

/// Appends an event with its id. Its text stands in one line: a line end in JSON is white space.
pub(super) fn push_stream_event(out: &mut Vec<u8>, event: &Event<'_>, catch_up: bool, told: u64) {
    out.extend_from_slice(b"id: ");
    push_number(out, told);
    out.extend_from_slice(b"\ndata: ");
    let start = out.len();
    push_event(out, event, catch_up);
    for byte in out.iter_mut().skip(start) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// Puts the lists in `payloads` together to one.
pub(super) fn push_joined(payloads: &mut dyn Iterator<Item = &[u8]>, out: &mut Vec<u8>) {
    out.push(b'[');
    let start = out.len();
    for payload in payloads {
        let inner = payload.strip_prefix(b"[").unwrap_or(payload);
        let inner = inner.strip_suffix(b"]").unwrap_or(inner);
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(inner);
    }
    out.push(b']');
}
