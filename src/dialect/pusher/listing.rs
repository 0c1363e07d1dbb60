//! Telling of channels: how many there are in them, what they keep, and which there are.

use super::api::busy;
use super::auth::param;
use super::bodies::{Fault, Wants};
use super::encode;
use super::names::{Access, Kind, is_channel};
use super::speaker::Served;
use crate::dialect::json::{checked, push_text, read_object};
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{AppId, Effects, Event, Hub};
use crate::limits::BODY_BYTES_PER_WORK;
use crate::time::Now;
use crate::transport::http::Response;
use std::io::Write;

/// Places of the table of channels that are looked through before the turn is asked for more.
const PLACES_AT_ONCE: usize = 256;

/// Whether a channel of this name has what is asked of it.
///
/// # Errors
/// What it does not have, for humans.
pub(super) fn check_wants(name: &str, wants: Wants) -> Result<(), &'static str> {
    let kind = Kind::of(name);
    if wants.user_count && !kind.has_members() {
        return Err("only presence channels have a user_count");
    }
    if wants.cache && !kind.is_cached {
        return Err("only cache channels have a cache");
    }
    Ok(())
}

/// Appends what is asked of a channel as members of an object that has some already (`goes_on`) or
/// none. What a channel of this kind does not have is left out.
pub(super) fn push_attributes(
    out: &mut Vec<u8>,
    app: AppId,
    name: &str,
    wants: Wants,
    goes_on: bool,
    hub: &Hub,
    now: Now,
) {
    let kind = Kind::of(name);
    let id = hub.find_channel(app, name);
    let channel = id.and_then(|id| hub.channel(id));
    let mut goes_on = goes_on;
    let mut member = |out: &mut Vec<u8>, word: &str| {
        if std::mem::replace(&mut goes_on, true) {
            out.push(b',');
        }
        let _ = write!(out, "\"{word}\":");
    };
    if wants.user_count && kind.has_members() {
        member(out, "user_count");
        let count = channel.map_or(0, |channel| channel.member_count());
        let _ = write!(out, "{count}");
    }
    if wants.subscription_count {
        member(out, "subscription_count");
        let count = channel.map_or(0, |channel| channel.subscriber_count());
        let _ = write!(out, "{count}");
    }
    if wants.cache && kind.is_cached {
        member(out, "cache");
        match id.and_then(|id| hub.cached(id, now)) {
            None => out.extend_from_slice(b"null"),
            Some((message, left_ms)) => {
                out.extend_from_slice(b"{\"data\":");
                let view = message.view();
                match (view.event, view.body) {
                    (Some(_), body) => push_text(out, body.unwrap_or("")),
                    (None, _) => push_foreign_data(out, &Event::Message(view)),
                }
                let _ = write!(out, ",\"ttl\":{}}}", left_ms.div_ceil(1000));
            }
        }
    }
}

/// The data of the other protocol's event, as subscribers are told it.
fn push_foreign_data(out: &mut Vec<u8>, event: &Event<'_>) {
    let mut frame = Vec::new();
    encode::push_event(&mut frame, event, false);
    let data = checked(&frame).ok().and_then(|text| {
        let [data] = read_object(text, &["data"]).ok()??;
        data
    });
    out.extend_from_slice(data.unwrap_or("\"\"").as_bytes());
}

/// `GET /apps/{id}/channels`: all channels with somebody in them, over several turns where there are
/// many.
pub(super) struct Listing {
    app: AppId,
    prefix: String,
    /// Longer names, and those that no channel of this protocol has, are the other protocol's.
    chars_max: usize,
    wants: Wants,
    /// The place in the table of channels that comes next.
    next: usize,
    written: usize,
    text: Vec<u8>,
}

impl Listing {
    /// As a query asks for it.
    pub(super) fn of(query: &str, served: &Served) -> Result<Self, Fault> {
        let prefix = param(query, "filter_by_prefix").unwrap_or_default();
        let wants = Wants::in_query(query);
        let is_presence = Kind::of(&prefix).access == Access::Presence;
        if wants.user_count && !is_presence {
            return Err(Fault {
                status: 400,
                message: "user_count needs a filter_by_prefix that begins with presence-".into(),
            });
        }
        Ok(Self {
            app: served.app.app,
            prefix: prefix.into_owned(),
            chars_max: served.app.channel_chars,
            // A channel's own event is told where the channel is.
            wants: Wants {
                cache: false,
                ..wants
            },
            next: 0,
            written: 0,
            text: b"{\"channels\":{".to_vec(),
        })
    }

    /// Writes in this turn what can be written in it.
    pub(super) fn begin(mut self, ctx: &mut Ctx<'_>) -> Reply {
        if !ctx.takes_jobs && ctx.hub.channel_places() > PLACES_AT_ONCE {
            return Reply::Now(busy());
        }
        match self.go_on(ctx) {
            Some(response) => Reply::Now(response),
            None => Reply::Later(Box::new(self)),
        }
    }
}

impl Job for Listing {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let places = ctx.hub.channel_places();
        while self.next < places {
            let end = (self.next + PLACES_AT_ONCE).min(places);
            let start = self.text.len();
            for (_, channel) in ctx.hub.channels_within(self.app, self.next..end) {
                let name = channel.name();
                if channel.subscriber_count() == 0
                    || !name.starts_with(&*self.prefix)
                    || !is_channel(name, self.chars_max)
                {
                    continue;
                }
                if self.written > 0 {
                    self.text.push(b',');
                }
                self.written += 1;
                push_text(&mut self.text, name);
                self.text.extend_from_slice(b":{");
                let (app, wants) = (self.app, self.wants);
                push_attributes(&mut self.text, app, name, wants, false, ctx.hub, ctx.now);
                self.text.push(b'}');
            }
            let bytes = self.text.len() - start;
            let looked_at = (end - self.next) as u64;
            ctx.io.spend(looked_at + bytes as u64 / BODY_BYTES_PER_WORK);
            self.next = end;
            if ctx.io.has_done_enough() && self.next < places {
                return None;
            }
        }
        self.text.extend_from_slice(b"}}");
        Some(Response::json(200, std::mem::take(&mut self.text)))
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.prefix.len()
    }
}
