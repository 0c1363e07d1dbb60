//! `/listen`: a request that waits for news (section 11 of the specification).
//!
//! A poll is the outlet of its connection while it waits. Where nobody waits, news are kept by the
//! channels that do that, and the next poll begins with them.

use super::errors::{self, Errors};
use super::fields::{is_callback, parse_uuid};
use super::pages;
use super::speaker::{APP, Channelstream};
use crate::dialect::{Ctx, Park, Reply};
use crate::hub::Id;
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
        let Some(who) = ctx.hub.find_subscriber(APP, Id(id)) else {
            let accept = request.headers.get("Accept");
            return pages::generic(401, accept, "This connection is not known.").into();
        };
        let (before, after) = match &callback {
            Some(name) => (Cow::Owned(format!("{name}(")), ")"),
            None => (Cow::Borrowed(""), ""),
        };
        let mut answer = Response::json(200, "");
        if callback.is_some() {
            answer.content_type = "application/javascript";
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
