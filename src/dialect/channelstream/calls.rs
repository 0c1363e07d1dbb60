//! What each endpoint does: words in, hub calls, words out (sections 7 and 8 of the
//! specification).

use super::encode::{push_comma, push_details, push_id, push_state, push_texts};
use super::errors::{BodyFault, Errors};
use super::info::{find, push_info};
use super::speaker::{APP, Channelstream, FORMAT};
use super::stamps::push_text;
use super::words::{self, Info, MessageBody, SubscribeBody, Text};
use crate::dialect::Ctx;
use crate::hub::{ChannelId, Effects, Id, NewMessage, Settings, Stamp, SubscriberId};
use crate::transport::http::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};

impl From<words::Settings> for Settings {
    fn from(words: words::Settings) -> Self {
        Self {
            notify_presence: words.notify_presence,
            presence_with_members: words.broadcast_presence_with_user_lists,
            notify_state: words.notify_state,
            store_history: words.store_history,
            history_messages: words.history_size,
            store_recent: words.store_frames,
        }
    }
}

/// Settings by channel name, for the channels that a call creates.
type Configs<'b> = BTreeMap<&'b str, Settings>;

fn configs<'b>(list: &'b [(Text<'_>, words::Settings)]) -> Configs<'b> {
    list.iter()
        .map(|(name, settings)| (&**name, (*settings).into()))
        .collect()
}

impl Channelstream {
    /// `POST /connect`.
    pub(super) fn connect(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let body = words::parse_connect(request.body)?;
        let mut names: Vec<&str> = body.channels.iter().map(|name| &**name).collect();
        names.sort_unstable();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        self.check_count(ctx, None, &distinct)?;

        let (user, is_new) = ctx.hub.ensure_user(APP, &body.username, &mut ctx.io);
        if is_new {
            for (key, value) in &body.fresh_user_state {
                ctx.hub.set_state(user, key, value);
            }
        }
        ctx.hub
            .set_public_keys(user, body.state_public_keys.iter().map(|key| &**key));
        for (key, value) in &body.user_state {
            ctx.hub.set_state(user, key, value);
        }

        let id = body.conn_id.map_or_else(|| ctx.io.id(), Id);
        let who = self.subscriber_for(user, id, ctx).ok_or_else(taken)?;
        self.join_all(
            who,
            distinct.iter().copied(),
            &configs(&body.channel_configs),
            ctx,
        );

        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        push_id(&mut out, "conn_id", id);
        out.extend_from_slice(b",\"username\":");
        push_text(&mut out, &body.username);
        if let Some(user) = ctx.hub.user(user) {
            out.extend_from_slice(b",\"state\":");
            push_state(&mut out, user.state());
            out.extend_from_slice(b",\"public_state\":");
            push_state(&mut out, user.public_state());
        }
        out.extend_from_slice(b",\"channels\":");
        push_texts(&mut out, names.iter().copied());
        out.extend_from_slice(b",\"channels_info\":");
        let channels = find(ctx.hub, APP, distinct.into_iter());
        push_info(&mut out, ctx.hub, &channels, &body.info);
        out.push(b'}');
        Ok(Response::json(200, out))
    }

    /// The subscriber of this id: the one there is, if it is the same user's, else a new one.
    fn subscriber_for(
        &self,
        user: crate::hub::UserId,
        id: Id,
        ctx: &mut Ctx<'_>,
    ) -> Option<SubscriberId> {
        let expires = ctx.now.mono + self.config.expire_ms;
        if let Some(known) = ctx.hub.find_subscriber(APP, id) {
            let subscriber = ctx.hub.subscriber(known)?;
            if subscriber.user() == user {
                if subscriber.outlet().is_none() {
                    ctx.hub.expire_at(known, expires);
                }
                return Some(known);
            }
            ctx.hub.depart(known, ctx.now, &mut ctx.io);
        }
        ctx.hub.connect(user, id, FORMAT, expires)
    }

    /// Refuses a call that would take a connection beyond its number of channels, before any of
    /// it is done.
    fn check_count(
        &self,
        ctx: &Ctx<'_>,
        who: Option<SubscriberId>,
        distinct: &BTreeSet<&str>,
    ) -> Result<(), BodyFault> {
        let limit = ctx.hub.config().channels_per_subscriber;
        let has = who
            .and_then(|who| ctx.hub.subscriber(who))
            .map_or(0, |s| s.channel_count());
        if has + distinct.len() <= limit {
            return Ok(());
        }
        // Those it is in already do not count twice.
        let names = who
            .map(|who| ctx.hub.channel_names_of(who))
            .unwrap_or_default();
        let new = distinct
            .iter()
            .filter(|name| !names.iter().any(|known| **known == ***name));
        if names.len() + new.count() <= limit {
            return Ok(());
        }
        Err(Errors::field("channels", "Too many channels for one connection.").into())
    }

    /// Joins channels in the order given, each made with its settings if it is not there. Says
    /// which of them are new for this subscriber.
    fn join_all<'n>(
        &self,
        who: SubscriberId,
        names: impl Iterator<Item = &'n str>,
        configs: &Configs<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Vec<&'n str> {
        let mut joined = Vec::new();
        for name in names {
            let settings = configs.get(name).copied().unwrap_or_default();
            let channel = ctx
                .hub
                .ensure_channel(APP, name, settings, ctx.now, &mut ctx.io);
            match ctx.hub.subscribe(who, channel, ctx.now, &mut ctx.io) {
                Ok(true) => joined.push(name),
                Ok(false) => {}
                // Counted before; a channel made in vain must not stay.
                Err(_) => ctx.hub.release_channel(channel, ctx.now),
            }
        }
        joined
    }

    /// `POST /subscribe`.
    pub(super) fn subscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let distinct: BTreeSet<&str> = body.channels.iter().map(|name| &**name).collect();
        self.check_count(ctx, Some(who), &distinct)?;
        let names = body.channels.iter().map(|name| &**name);
        let mut joined = self.join_all(who, names, &configs(&body.channel_configs), ctx);
        joined.sort_unstable();
        Ok(channels_answer(
            ctx,
            who,
            &body.info,
            "subscribed_to",
            &joined,
        ))
    }

    /// `POST /unsubscribe`.
    pub(super) fn unsubscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let mut left = Vec::new();
        for name in body.channels.iter().map(|name| &**name) {
            if let Some(channel) = ctx.hub.find_channel(APP, name)
                && ctx.hub.unsubscribe(who, channel, ctx.now, &mut ctx.io)
            {
                left.push(name);
            }
        }
        left.sort_unstable();
        Ok(channels_answer(
            ctx,
            who,
            &body.info,
            "unsubscribed_from",
            &left,
        ))
    }

    /// `POST /message`.
    pub(super) fn message(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Response, BodyFault> {
        let messages = words::parse_messages(request.body)?;
        let mut out = Vec::with_capacity(64 + request.body.len() + 256 * messages.len().min(64));
        out.push(b'[');
        let start = out.len();
        for message in messages {
            // One that goes to nobody is dropped without a word.
            if message.channel.is_none() && message.pm_users.is_empty() {
                continue;
            }
            let written = out.len() - start;
            push_comma(&mut out, written);
            let message = new_message(message, ctx);
            push_accepted(&mut out, &message);
            ctx.hub.publish(APP, &message, ctx.now, &mut ctx.io);
        }
        out.push(b']');
        Ok(Response::json(200, out))
    }

    /// `/info`, with any method.
    pub(super) fn info(&self, request: &Request<'_>, ctx: &Ctx<'_>) -> Result<Response, BodyFault> {
        let info = match request.body {
            [] => Info::default(),
            body => words::parse_info(body)?,
        };
        let channels: Vec<ChannelId> = match &info.channels {
            Some(names) => find(ctx.hub, APP, names.iter().map(|name| &**name)),
            None => ctx.hub.channels(APP).map(|(id, _)| id).collect(),
        };
        let mut out = Vec::with_capacity(512);
        push_info(&mut out, ctx.hub, &channels, &info);
        Ok(Response::json(200, out))
    }
}

/// The connection that a body or query names, which must be known.
fn known_connection<'r>(
    request: &'r Request<'_>,
    ctx: &Ctx<'_>,
) -> Result<(SubscribeBody<'r>, SubscriberId), BodyFault> {
    let fallback = request
        .query
        .and_then(|query| crate::transport::http::query::last(query, "conn_id"));
    let is_known = |id: u128| ctx.hub.find_subscriber(APP, Id(id)).is_some();
    let body = words::parse_subscribe(request.body, fallback.as_deref(), is_known)?;
    match ctx.hub.find_subscriber(APP, Id(body.conn_id)) {
        Some(who) => Ok((body, who)),
        None => Err(Errors::field("conn_id", "Unknown connection").into()),
    }
}

/// An id that cannot be used; only if the system's random numbers repeat.
fn taken() -> BodyFault {
    Errors::field("conn_id", "The connection is in use.").into()
}

fn channels_answer(
    ctx: &Ctx<'_>,
    who: SubscriberId,
    info: &Info<'_>,
    changed_word: &str,
    changed: &[&str],
) -> Response {
    let names = ctx.hub.channel_names_of(who);
    let channels = find(ctx.hub, APP, names.iter().map(|name| &**name));
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"channels\":");
    push_texts(&mut out, names.iter().map(|name| &**name));
    out.extend_from_slice(b",\"channels_info\":");
    push_info(&mut out, ctx.hub, &channels, info);
    out.push(b',');
    push_text(&mut out, changed_word);
    out.push(b':');
    push_texts(&mut out, changed.iter().copied());
    out.push(b'}');
    Response::json(200, out)
}

fn new_message<'b>(body: MessageBody<'b>, ctx: &mut Ctx<'_>) -> NewMessage<'b> {
    NewMessage {
        id: body.uuid.map_or_else(|| ctx.io.id(), Id),
        at: body
            .timestamp
            .map_or_else(|| Stamp::from_unix_micros(ctx.now.unix_micros), Stamp::from),
        user: body.user,
        channel: body.channel,
        only: body.pm_users,
        except: body.exclude_users,
        no_history: body.no_history,
        body: body.message,
    }
}

/// A message as the answer repeats it.
fn push_accepted(out: &mut Vec<u8>, message: &NewMessage<'_>) {
    let only = message.only.iter().map(|name| &**name);
    let except = message.except.iter().map(|name| &**name);
    push_details(out, &message.view(), only, except, message.no_history);
    out.extend_from_slice(b",\"edited\":null}");
}
