//! Sockets, and the server itself (sections 5.11 and 5.12).

use super::{Caller, Routed, answer, ask};
use crate::dialect::json::push_text;
use crate::dialect::pushi::names::{Kind, parse_uuid, push_uuid};
use crate::dialect::pushi::speaker::is_ours;
use crate::dialect::pushi::{notes, peer};
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{AppId, Effects, Hub, Id, SubscriberId};
use crate::limits::{BODY_BYTES_PER_WORK, PUSHI_SOCKETS_LISTED_BYTES_MAX};
use crate::store::{Answer, Question, RecordKind};
use crate::transport::http::Response;
use std::collections::BTreeSet;
use std::io::Write;

/// The version of the original whose protocol is spoken.
const VERSION: &str = "0.6.10";

/// `GET /` and `GET /info`, where nobody else has something to say there.
pub(super) fn info(ctx: &Ctx<'_>) -> Response {
    let (_, sockets, _) = ctx.hub.counts();
    let told = ctx.hub.totals().delivered;
    Response::json(
        200,
        format!(
            "{{\"name\":\"pushi\",\"version\":\"{VERSION}\",\"status\":\"ok\",\"server\":\"fanwire\",\
             \"service\":{{\"connections\":{sockets},\"count\":{told},\"type\":\"fanwire\"}}}}"
        ),
    )
}

/// `GET /health`
pub(super) fn health() -> Response {
    let body = format!("{{\"status\":\"ok\",\"service\":\"pushi\",\"version\":\"{VERSION}\"}}");
    Response::json(200, body)
}

/// `GET /health/detailed`: always an answer, also where something fails.
pub(super) fn health_in_detail(ctx: &mut Ctx<'_>) -> Routed {
    let (began, micros) = (ctx.now.mono, ctx.now.unix_micros);
    let ticket = ctx.io.ask(Question::Counts);
    Ok(ask(ticket, move |told, ctx| {
        let latency_ms = ctx.now.mono.since(began);
        let (_, sockets, _) = ctx.hub.counts();
        let delivered = ctx.hub.totals().delivered;
        let counts = match told {
            Answer::Counts(counts) => Some(*counts),
            _ => None,
        };
        let is_well = counts.is_some() && ctx.io.store_trouble().is_none();
        let (status, word) = match is_well {
            true => ("ok", "ok"),
            false => ("degraded", "error"),
        };
        let counts = counts.unwrap_or_default();
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let mut out = Vec::with_capacity(768);
        // Writing to memory does not fail.
        let _ = write!(
            out,
            "{{\"status\":\"{status}\",\"service\":\"pushi\",\"version\":\"{VERSION}\",\
             \"timestamp\":{seconds}.{rest:06},\"checks\":{{\"database\":{{\"status\":\"{word}\",\
             \"latency_ms\":{latency_ms},\"app_count\":{}}},\"websocket\":{{\"status\":\"ok\",\
             \"connections\":{sockets},\"messages_sent\":{delivered},\"info\":{{}}}},\
             \"handlers\":{{\"status\":\"{word}\",\"handlers\":[",
            counts.apps
        );
        let handlers = [
            ("apn", RecordKind::Apn),
            ("smtp", RecordKind::Smtp),
            ("web", RecordKind::Web),
            ("web_push", RecordKind::WebPush),
        ];
        for (at, (name, kind)) in handlers.into_iter().enumerate() {
            let place = RecordKind::ALL.iter().position(|&known| known == kind);
            let of = |counts: &[u64; 5]| place.and_then(|place| counts.get(place)).copied();
            let (records, apps) = (of(&counts.records), of(&counts.apps_with));
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                out,
                "{comma}{{\"name\":\"{name}\",\"status\":\"{word}\",\"stats\":\
                 {{\"subscription_count\":{},\"app_count\":{}}}}}",
                records.unwrap_or(0),
                apps.unwrap_or(0)
            );
        }
        out.extend_from_slice(b"]}}}");
        Ok(Response::json(200, out))
    }))
}

/// The channels of a socket in the order in which it joined them, as a list.
fn push_channels(out: &mut Vec<u8>, app: AppId, who: SubscriberId, ctx: &mut Ctx<'_>) {
    out.push(b'[');
    // Pairs of two channels may have one name.
    let mut pairs = BTreeSet::new();
    let mut is_first = true;
    let mut push = |out: &mut Vec<u8>, name: &str| {
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        push_text(out, name);
    };
    for (name, channel) in ctx.hub.channels_in_order(who) {
        // It stands for others, and is none that anybody is in.
        if Kind::of(&name) == Kind::Personal {
            continue;
        }
        push(out, &name);
        if Kind::of(&name) == Kind::Presence {
            // Each of the others is looked at.
            let members = ctx.hub.channel(channel);
            ctx.io
                .spend(members.map_or(0, |channel| channel.member_count() as u64));
            for pair in peer::names(ctx.hub, notes::of_ref(ctx.notes), channel, who) {
                // One that it asked for by name, too, stands where it joined it.
                let by_name = ctx.hub.find_channel(app, &pair);
                if !by_name.is_some_and(|channel| ctx.hub.is_subscribed(who, channel))
                    && !pairs.contains(&pair)
                {
                    push(out, &pair);
                    pairs.insert(pair);
                }
            }
        }
    }
    out.push(b']');
}

/// `POST /sockets/{id}`
pub(super) fn socket(caller: &Caller, id: &str, ctx: &mut Ctx<'_>) -> Routed {
    let who = parse_uuid(id).and_then(|id| ctx.hub.find_subscriber(caller.served.app, Id(id)));
    let who = who.filter(|&who| is_socket(ctx.hub, who));
    Ok(answer(|out| {
        out.extend_from_slice(b"{\"channels\":");
        match who {
            Some(who) => push_channels(out, caller.served.app, who, ctx),
            None => out.extend_from_slice(b"[]"),
        }
        out.push(b'}');
    })
    .into())
}

fn is_socket(hub: &Hub, who: SubscriberId) -> bool {
    hub.subscriber(who)
        .is_some_and(|known| is_ours(known.format()))
}

/// `GET /sockets`: over as many turns as it takes.
pub(super) fn sockets(caller: &Caller) -> Routed {
    Ok(Reply::Later(Box::new(Sockets {
        app: caller.served.app,
        from: 0,
        out: b"{\"sockets\":[".to_vec(),
        is_first: true,
    })))
}

/// Places of the table that are looked at before it is asked whether the turn has done enough: a
/// socket may be in a channel with thousands of others.
const PLACES_PER_STEP: usize = 16;

/// A list of sockets on its way.
struct Sockets {
    app: AppId,
    /// The place in the table of subscribers that comes next.
    from: usize,
    out: Vec<u8>,
    is_first: bool,
}

impl Job for Sockets {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        while self.from < ctx.hub.subscriber_places() {
            let to = self.from + PLACES_PER_STEP;
            let before = self.out.len();
            let page: Vec<(SubscriberId, u128)> = ctx
                .hub
                .subscribers_within(self.app, self.from..to)
                .filter(|(_, known)| is_ours(known.format()))
                .map(|(who, known)| (who, known.id().0))
                .collect();
            for (who, id) in page {
                if self.out.len() > PUSHI_SOCKETS_LISTED_BYTES_MAX {
                    break;
                }
                if !std::mem::replace(&mut self.is_first, false) {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(b"{\"socket_id\":\"");
                push_uuid(&mut self.out, id);
                self.out.extend_from_slice(b"\",\"channel\":");
                push_channels(&mut self.out, self.app, who, ctx);
                self.out.push(b'}');
            }
            self.from = to;
            let bytes = (self.out.len() - before) as u64;
            ctx.io
                .spend(PLACES_PER_STEP as u64 + bytes / BODY_BYTES_PER_WORK);
            if ctx.io.has_done_enough() {
                return None;
            }
        }
        self.out.extend_from_slice(b"]}");
        Some(Response::json(200, std::mem::take(&mut self.out)))
    }

    fn bytes(&self) -> usize {
        self.out.capacity()
    }
}
