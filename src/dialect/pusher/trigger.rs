//! Publishing: one event or a batch, each to all of its channels, in order. Where that is much, over
//! several turns; a channel is always told in one.

use super::api::{busy, not_kept};
use super::bodies::NewEvent;
use super::listing::push_attributes;
use super::names::server_to_user;
use super::speaker::{FORMAT, Served};
use crate::dialect::json::push_text;
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{AppId, Effects, Event, Id, MessageView, NewMessage, Stamp, SubscriberId};
use crate::limits::WORK_PER_MESSAGE;
use crate::transport::http::Response;
use std::borrow::Cow;

/// Events that are published one after the other, and the answer as far as it is written.
pub(super) struct Trigger<'b> {
    app: AppId,
    events: Vec<NewEvent<'b>>,
    is_batch: bool,
    /// The event and the channel that come next.
    next: (usize, usize),
}

impl<'b> Trigger<'b> {
    /// `POST /apps/{id}/events`
    pub(super) fn one(event: NewEvent<'b>, served: &Served) -> Self {
        Self::new(vec![event], false, served)
    }

    /// `POST /apps/{id}/batch_events`
    pub(super) fn many(events: Vec<NewEvent<'b>>, served: &Served) -> Self {
        Self::new(events, true, served)
    }

    fn new(events: Vec<NewEvent<'b>>, is_batch: bool, served: &Served) -> Self {
        Self {
            app: served.app.app,
            events,
            is_batch,
            next: (0, 0),
        }
    }

    /// Publishes in this turn what can be published in it.
    pub(super) fn begin(mut self, ctx: &mut Ctx<'_>) -> Reply {
        let channels: usize = self.events.iter().map(|event| event.channels.len()).sum();
        // Whatever is begun is done to the end.
        if channels > 1 && !ctx.takes_jobs {
            return Reply::Now(busy());
        }
        let messages = self.events.iter().flat_map(|event| {
            let channels = event.channels.iter();
            channels.map(|name| (&**name, event.name.len() + event.data.len()))
        });
        let (jobs, bytes) = ctx.history_room(self.app, messages);
        if jobs > 0
            && let Err(why) = ctx.io.can_store(jobs, bytes)
        {
            return Reply::Now(not_kept(why));
        }
        match self.go_on(ctx) {
            Some(response) => Reply::Now(response),
            None => Reply::Later(Box::new(TriggerJob(self.into_owned()))),
        }
    }

    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        while let Some(event) = self.events.get(self.next.0) {
            while let Some(channel) = event.channels.get(self.next.1) {
                ctx.io.spend(WORK_PER_MESSAGE);
                publish(self.app, event, channel, ctx);
                self.next.1 += 1;
                let is_last =
                    self.next.0 + 1 == self.events.len() && self.next.1 == event.channels.len();
                if ctx.io.has_done_enough() && !is_last {
                    return None;
                }
            }
            self.next = (self.next.0 + 1, 0);
        }
        Some(self.answer(ctx))
    }

    fn answer(&self, ctx: &Ctx<'_>) -> Response {
        if !self.events.iter().any(|event| event.info.is_any()) {
            return Response::json(200, "{}");
        }
        let mut out = Vec::with_capacity(256);
        if !self.is_batch {
            out.extend_from_slice(b"{\"channels\":{");
            for event in &self.events {
                for (at, channel) in event.channels.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    push_text(&mut out, channel);
                    out.push(b':');
                    self.push_told(&mut out, event, channel, ctx);
                }
            }
            out.extend_from_slice(b"}}");
            return Response::json(200, out);
        }
        // A list, of the same length and order as the request.
        out.extend_from_slice(b"{\"batch\":[");
        for (at, event) in self.events.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match event.channels.first() {
                Some(channel) => self.push_told(&mut out, event, channel, ctx),
                None => out.extend_from_slice(b"{}"),
            }
        }
        out.extend_from_slice(b"]}");
        Response::json(200, out)
    }

    fn push_told(&self, out: &mut Vec<u8>, event: &NewEvent<'_>, channel: &str, ctx: &Ctx<'_>) {
        out.push(b'{');
        push_attributes(out, self.app, channel, event.info, false, ctx.hub, ctx.now);
        out.push(b'}');
    }

    /// With texts of its own, to outlive the request.
    fn into_owned(self) -> Trigger<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let events = self.events.into_iter().map(|event| NewEvent {
            name: own(event.name),
            data: own(event.data),
            channels: event.channels.into_iter().map(own).collect(),
            socket_id: event.socket_id,
            info: event.info,
        });
        Trigger {
            app: self.app,
            events: events.collect(),
            is_batch: self.is_batch,
            next: self.next,
        }
    }
}

fn publish(app: AppId, event: &NewEvent<'_>, channel: &str, ctx: &mut Ctx<'_>) {
    let except = event
        .socket_id
        .and_then(|id| ctx.hub.find_subscriber(app, Id(id)));
    let (id, at) = (ctx.io.id(), Stamp::from_unix_micros(ctx.now.unix_micros));
    if let Some(user) = server_to_user(channel) {
        if let Some(user) = ctx.hub.find_user(app, user) {
            let view = MessageView {
                id,
                at,
                user: "",
                channel: Some(channel),
                event: Some(&event.name),
                body: Some(&event.data),
                extra: None,
                stored: false,
                edited: None,
            };
            ctx.hub
                .tell_user(user, FORMAT, &Event::Message(view), &mut ctx.io);
        }
        return;
    }
    let message = NewMessage {
        id,
        at,
        user: "".into(),
        channel: Some(channel.into()),
        only: Vec::new(),
        except: Vec::new(),
        no_history: false,
        event: Some(Cow::Borrowed(&event.name)),
        body: Some(&event.data),
        extra: None,
        stored: false,
        except_subscriber: except.unwrap_or(SubscriberId::NONE),
    };
    ctx.hub.publish(app, &message, ctx.now, &mut ctx.io);
}

/// The rest of it, in later turns.
struct TriggerJob(Trigger<'static>);

impl Job for TriggerJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        self.0.go_on(ctx)
    }

    fn bytes(&self) -> usize {
        let texts = self.0.events.iter().map(|event| {
            let channels = event.channels.iter();
            let names: usize = channels.map(|name| size_of_val(name) + name.len()).sum();
            size_of_val(event) + event.name.len() + event.data.len() + names
        });
        texts.sum()
    }
}
