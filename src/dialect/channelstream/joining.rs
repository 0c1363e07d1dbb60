//! Joining and leaving channels: `/connect`, `/subscribe` and `/unsubscribe` (sections 7.1 to 7.3 of
//! the specification).
//!
//! A call names up to thousands of channels, each with thousands of listeners who may want to know,
//! and is told of all of them in the answer. So it goes channel by channel, and over several turns
//! where that is much. Who is subscribed by and by is told nothing from before it was.

use super::encode::{push_id, push_state, push_texts};
use super::entries::{all_owned, names_bytes, owned};
use super::errors::{BodyFault, Errors};
use super::info::{InfoJob, Listing};
use super::pages;
use super::speaker::{Channelstream, FORMAT, STREAM_FORMAT, find_connection};
use super::stamps::push_text;
use super::states;
use super::words::{self, ConnectBody, Info, SubscribeBody, Text};
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{ChannelId, Effects, Id, Settings, SubscriberId, UserId};
use crate::limits::WORK_PER_SUBSCRIPTION;
use crate::transport::http::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};

impl Channelstream {
    /// `POST /connect`.
    pub(super) fn connect(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let mut body = words::parse_connect(request.body)?;
        let mut names = std::mem::take(&mut body.channels);
        names.sort_unstable();
        let distinct: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
        // A connection that this user has already is gone on with, and keeps its channels.
        let known = body
            .conn_id
            .and_then(|id| find_connection(ctx, id))
            .filter(|&who| {
                let user = ctx.hub.subscriber(who).map(|known| known.user());
                user.is_some() && user == ctx.hub.find_user(ctx.app, &body.username)
            });
        check_count(ctx, known, &distinct)?;
        check_state(ctx, &body)?;
        // Whatever is begun is done to the end.
        if !ctx.takes_jobs && distinct.len() > 1 {
            return Ok(Reply::Now(pages::busy()));
        }

        let is_fresh = is_fresh(ctx, ctx.hub.find_user(ctx.app, &body.username));
        let (user, _) = ctx.hub.ensure_user(ctx.app, &body.username, &mut ctx.io);
        if is_fresh {
            for (key, value) in &body.fresh_user_state {
                ctx.hub.set_state(user, key, value);
            }
        }
        ctx.hub
            .set_public_keys(user, body.state_public_keys.iter().map(|key| &**key));
        for (key, value) in &body.user_state {
            ctx.hub.set_state(user, key, value);
        }
        ctx.hub.remember_user(user, &mut ctx.io);

        let id = body.conn_id.map_or_else(|| ctx.io.id(), Id);
        let Some(who) = self.subscriber_for(user, id, ctx) else {
            ctx.hub.settle_user(user, ctx.now);
            // Only if the system's random numbers repeat.
            return Err(Errors::field("conn_id", "The connection is in use.").into());
        };

        if known.is_none() {
            ctx.hub.came_online(user, &mut ctx.io);
        }

        let mut text = Vec::with_capacity(512);
        text.push(b'{');
        push_id(&mut text, "conn_id", id);
        text.extend_from_slice(b",\"username\":");
        push_text(&mut text, &body.username);
        if let Some(user) = ctx.hub.user(user) {
            text.extend_from_slice(b",\"state\":");
            push_state(&mut text, user.state());
            text.extend_from_slice(b",\"public_state\":");
            push_state(&mut text, user.public_state());
        }
        text.extend_from_slice(b",\"channels\":");
        push_texts(&mut text, names.iter().map(|name| &**name));
        text.extend_from_slice(b",\"channels_info\":");

        names.dedup();
        let moves = Moves {
            who,
            left: joins(names, &body.channel_configs),
            named: Vec::new(),
            moved: Vec::new(),
            call: Call::Connect,
            info: body.info,
            listing: None,
            text,
        };
        Ok(self.begin(moves, request, ctx))
    }

    /// The subscriber of this id: the one there is, if it is the same user's, else a new one.
    fn subscriber_for(&self, user: UserId, id: Id, ctx: &mut Ctx<'_>) -> Option<SubscriberId> {
        let expires = ctx.now.mono + self.config.expire_ms;
        if let Some(known) = find_connection(ctx, id.0) {
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

    /// `POST /subscribe`.
    pub(super) fn subscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let distinct: BTreeSet<&str> = body.channels.iter().map(|name| &**name).collect();
        check_count(ctx, Some(who), &distinct)?;
        let left = joins(body.channels, &body.channel_configs);
        self.change(who, left, Call::Subscribe, body.info, request, ctx)
    }

    /// `POST /unsubscribe`.
    pub(super) fn unsubscribe(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let (body, who) = known_connection(request, ctx)?;
        let left = body.channels.into_iter().map(|name| (name, Move::Leave));
        let left = left.collect::<Vec<_>>().into_iter();
        self.change(who, left, Call::Unsubscribe, body.info, request, ctx)
    }

    /// What `/subscribe` and `/unsubscribe` have in common.
    fn change<'b>(
        &self,
        who: SubscriberId,
        left: std::vec::IntoIter<(Text<'b>, Move)>,
        call: Call,
        info: Info<'b>,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let has = ctx.hub.subscriber(who).map_or(0, |s| s.channel_count());
        if !ctx.takes_jobs && left.len() + has > 1 {
            return Ok(Reply::Now(pages::busy()));
        }
        let moves = Moves {
            who,
            left,
            named: Vec::new(),
            moved: Vec::new(),
            call,
            info,
            listing: None,
            text: Vec::new(),
        };
        Ok(self.begin(moves, request, ctx))
    }

    /// Does in this turn what can be done in it.
    fn begin(&self, mut moves: Moves<'_>, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        while !moves.go_on(ctx) {
            // Without that it is one channel at most, which is a few more steps.
            if ctx.takes_jobs {
                let answer = self.dressed(request, Response::json(200, ""));
                return Reply::Later(Box::new(MovesJob {
                    moves: moves.into_owned(),
                    answer,
                }));
            }
        }
        Reply::Now(Response::json(200, moves.text))
    }
}

/// Refuses a call that would take a connection beyond its number of channels, before any of it is
/// done.
fn check_count(
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
    // Those it is in already do not count twice. More names than the limit are too many whatever
    // they are, and are not even looked at.
    if distinct.len() <= limit {
        let has = who.map(|who| ctx.hub.channels_of(who)).unwrap_or_default();
        let place = |name: &str| has.binary_search_by(|(known, _)| (**known).cmp(name));
        let new = distinct.iter().filter(|name| place(name).is_err());
        if has.len() + new.count() <= limit {
            return Ok(());
        }
    }
    Err(Errors::field("channels", "Too many channels for one connection.").into())
}

/// Refuses a call that would make a user's state larger than what is kept, before any of it is
/// done.
fn check_state(ctx: &Ctx<'_>, body: &ConnectBody<'_>) -> Result<(), BodyFault> {
    let known = ctx.hub.find_user(ctx.app, &body.username);
    let fresh = match is_fresh(ctx, known) {
        // Nobody reads it then.
        false => &[][..],
        true => &body.fresh_user_state[..],
    };
    states::check_bounds(
        ctx.hub,
        known,
        fresh,
        &body.user_state,
        &body.state_public_keys,
    )
}

/// Whether a user is new to this protocol: unknown, or known only because it came by another one and
/// without anything said of it.
fn is_fresh(ctx: &Ctx<'_>, known: Option<UserId>) -> bool {
    let Some(user) = known.and_then(|user| ctx.hub.user(user)) else {
        return true;
    };
    let is_ours = |&who: &SubscriberId| {
        let format = ctx.hub.subscriber(who).map(|known| known.format());
        // Whoever is leaving was here.
        format.is_none_or(|format| [FORMAT, STREAM_FORMAT].contains(&format))
    };
    user.state().next().is_none() && !user.subscribers().iter().any(is_ours)
}

/// The connection that a body or query names, which must be known.
fn known_connection<'r>(
    request: &'r Request<'_>,
    ctx: &Ctx<'_>,
) -> Result<(SubscribeBody<'r>, SubscriberId), BodyFault> {
    let fallback = request
        .query
        .and_then(|query| crate::transport::http::query::last(query, "conn_id"));
    let is_known = |id: u128| find_connection(ctx, id).is_some();
    let body = words::parse_subscribe(request.body, fallback.as_deref(), is_known)?;
    match find_connection(ctx, body.conn_id) {
        Some(who) => Ok((body, who)),
        None => Err(Errors::field("conn_id", "Unknown connection").into()),
    }
}

/// What is done with one channel.
#[derive(Clone, Copy)]
enum Move {
    /// It is joined, and made with these settings if it is not there.
    Join(Settings),
    Leave,
}

/// The channels of these names are to be joined, in this order.
fn joins<'b>(
    names: Vec<Text<'b>>,
    configs: &[(Text<'_>, words::Settings)],
) -> std::vec::IntoIter<(Text<'b>, Move)> {
    let configs: BTreeMap<&str, Settings> = configs
        .iter()
        .map(|(name, settings)| (&**name, (*settings).into()))
        .collect();
    let joined = names.into_iter().map(|name| {
        let settings = configs.get(&*name).copied().unwrap_or_default();
        (name, Move::Join(settings))
    });
    joined.collect::<Vec<_>>().into_iter()
}

/// Which call it is: they differ in what the answer tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Connect,
    Subscribe,
    Unsubscribe,
}

/// Channels that are joined or left one after the other, and then told of.
struct Moves<'b> {
    who: SubscriberId,
    /// What is still to be done. A name that comes a second time changes nothing.
    left: std::vec::IntoIter<(Text<'b>, Move)>,
    /// The channels that were named, for a call that tells of those.
    named: Vec<ChannelId>,
    /// Those that were joined, or left, by this call.
    moved: Vec<Text<'b>>,
    call: Call,
    info: Info<'b>,
    /// Set when nothing is left to be done.
    listing: Option<Listing>,
    /// The answer as far as it is written.
    text: Vec<u8>,
}

impl Moves<'_> {
    /// Does one step, and more until the turn has done enough. Whether that was all.
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> bool {
        while let Some((name, what)) = self.left.next() {
            ctx.io.spend(WORK_PER_SUBSCRIPTION);
            let has_moved = match what {
                Move::Join(settings) => self.join(&name, settings, ctx),
                Move::Leave => {
                    let channel = ctx.hub.find_channel(ctx.app, &name);
                    channel.is_some_and(|channel| {
                        let (now, io) = (ctx.now, &mut ctx.io);
                        ctx.hub.unsubscribe(self.who, channel, now, io)
                    })
                }
            };
            if has_moved && self.call != Call::Connect {
                self.moved.push(name);
            }
            if ctx.io.has_done_enough() {
                return false;
            }
        }
        let listing = match &mut self.listing {
            Some(listing) => listing,
            None => {
                let listing = self.listing_begun(ctx);
                self.listing.insert(listing)
            }
        };
        if !InfoJob::write(listing, &mut self.text, ctx) {
            return false;
        }
        self.end();
        true
    }

    /// Whether it was not there before.
    fn join(&mut self, name: &str, settings: Settings, ctx: &mut Ctx<'_>) -> bool {
        let (hub, io) = (&mut *ctx.hub, &mut ctx.io);
        // A channel is not made for who has gone meanwhile.
        if hub.subscriber(self.who).is_none() {
            return false;
        }
        let channel = hub.ensure_channel(ctx.app, name, settings, ctx.now, io);
        if self.call == Call::Connect {
            self.named.push(channel);
        }
        hub.subscribe(self.who, channel, ctx.now, io)
            .unwrap_or_else(|_| {
                // It was counted before, but other calls may have come between; a channel made in
                // vain must not stay.
                hub.release_channel(channel, ctx.now);
                false
            })
    }

    /// Writes what stands before the information on channels, and its beginning.
    fn listing_begun(&mut self, ctx: &Ctx<'_>) -> Listing {
        let channels = if self.call == Call::Connect {
            std::mem::take(&mut self.named)
        } else {
            let has = ctx.hub.channels_of(self.who);
            self.text.extend_from_slice(b"{\"channels\":");
            push_texts(&mut self.text, has.iter().map(|(name, _)| &**name));
            self.text.extend_from_slice(b",\"channels_info\":");
            has.into_iter().map(|(_, channel)| channel).collect()
        };
        Listing::begin(&mut self.text, ctx, channels, &self.info)
    }

    /// Writes what stands behind it.
    fn end(&mut self) {
        let word = match self.call {
            Call::Connect => None,
            Call::Subscribe => Some("subscribed_to"),
            Call::Unsubscribe => Some("unsubscribed_from"),
        };
        if let Some(word) = word {
            self.moved.sort_unstable();
            self.text.push(b',');
            push_text(&mut self.text, word);
            self.text.push(b':');
            push_texts(&mut self.text, self.moved.iter().map(|name| &**name));
        }
        self.text.push(b'}');
    }

    /// With texts of its own, to outlive the request.
    fn into_owned(self) -> Moves<'static> {
        let left = self.left.map(|(name, what)| (owned(name), what));
        let info = Info {
            channels: None,
            exclude_channels: self.info.exclude_channels.map(all_owned),
            include_history: self.info.include_history,
            include_users: self.info.include_users,
            include_connections: self.info.include_connections,
            return_public_state: self.info.return_public_state,
        };
        Moves {
            who: self.who,
            left: left.collect::<Vec<_>>().into_iter(),
            named: self.named,
            moved: all_owned(self.moved),
            call: self.call,
            info,
            listing: self.listing,
            text: self.text,
        }
    }
}

/// The rest of it, in later turns.
struct MovesJob {
    moves: Moves<'static>,
    answer: Response,
}

impl Job for MovesJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let is_done = self.moves.go_on(ctx);
        is_done.then(|| {
            let mut answer = std::mem::take(&mut self.answer);
            answer.body = std::mem::take(&mut self.moves.text);
            answer
        })
    }

    fn bytes(&self) -> usize {
        let moves = &self.moves;
        let left = moves.left.as_slice().iter();
        let left: usize = left.map(|(name, _)| name.len()).sum();
        let excluded = moves.info.exclude_channels.as_deref().unwrap_or_default();
        left + size_of_val(moves.left.as_slice())
            + names_bytes(&moves.moved, excluded)
            + moves.named.capacity() * size_of::<ChannelId>()
            + moves.listing.as_ref().map_or(0, Listing::bytes)
            + moves.text.capacity()
    }
}
