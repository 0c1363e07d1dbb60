//! What sockets ask for: channels, events for others, a name for themselves.

use super::encode;
use super::errors::{FrameOnly, push_error};
use super::names::{Access, Kind, is_channel, is_event_length, server_to_user, socket_id};
use super::speaker::{FORMAT, Pusher, Served};
use super::words::{self, Data, Word};
use crate::dialect::Ctx;
use crate::hub::{Effects, Fact, HangUp, NewMessage, Refusal, Role, Stamp, SubscriberId, UserId};
use crate::limits::PUSHER_CHANNEL_CHARS_MAX;
use std::rc::Rc;

/// Why a channel is not joined, and the status that it would have over HTTP.
type Refused = (u16, &'static str);

const BAD_NAME: Refused = (400, "the name of the channel is not valid");
const BAD_SIGNATURE: Refused = (401, "the signature of the subscription is not valid");
const NOT_THE_USER: Refused = (401, "this channel is that of another user");
const CLOSED: Refused = (401, "this channel is for users of another protocol");
const NO_MEMBER: Refused = (
    400,
    "a presence channel needs channel_data, or a user that signed in",
);
const TOO_MANY_MEMBERS: Refused = (400, "the channel has as many members as it may");
const TOO_MANY_CHANNELS: Refused = (400, "the connection is in as many channels as it may");
const GONE: Refused = (400, "the connection is closed");

/// A client event does not reach anybody: it came too fast, or was too large.
pub(super) fn reject_event(ctx: &mut Ctx<'_>, why: &str) {
    let code = FrameOnly::ClientEventRejected.number();
    let conn = ctx.conn;
    ctx.io.text(conn, |out| push_error(out, Some(code), why));
}

/// As much of a name as is worth saying: whoever sends a long one is not sent a longer one.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(PUSHER_CHANNEL_CHARS_MAX)] // a boundary within it
}

/// Says that one message could not be acted on. The connection goes on.
fn complain(ctx: &mut Ctx<'_>, why: &str) {
    let conn = ctx.conn;
    ctx.io.text(conn, |out| push_error(out, None, why));
}

impl Pusher {
    /// A text came.
    pub(super) fn hear(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        let Some(served) = self.app_of(from, ctx.hub) else {
            return;
        };
        let conn = ctx.conn;
        match words::read(text) {
            Err(unreadable) => complain(ctx, unreadable.0),
            Ok(Word::Ping) => ctx
                .io
                .text(conn, |out| out.extend_from_slice(encode::PONG.as_bytes())),
            Ok(Word::Pong) => {}
            Ok(Word::Subscribe {
                channel,
                auth,
                channel_data,
            }) => {
                let proof = Proof {
                    auth: auth.as_deref().unwrap_or(""),
                    data: channel_data.as_deref(),
                };
                subscribe(served, &channel, proof, from, ctx);
            }
            Ok(Word::Unsubscribe { channel }) => unsubscribe(served, &channel, from, ctx),
            Ok(Word::Signin { auth, user_data }) => {
                sign_in(served, &auth, &user_data, from, ctx);
            }
            Ok(Word::Client {
                event,
                channel,
                data,
            }) => client_event(served, &event, &channel, &data, from, ctx),
            Ok(Word::Other { event }) => {
                let why = format!("{:?} is nothing that a client sends", shown(&event));
                complain(ctx, &why);
            }
        }
    }
}

/// What came along to prove that a channel may be joined.
#[derive(Clone, Copy)]
struct Proof<'p> {
    auth: &'p str,
    data: Option<&'p str>,
}

fn subscribe(served: &Served, name: &str, proof: Proof<'_>, who: SubscriberId, ctx: &mut Ctx<'_>) {
    let conn = ctx.conn;
    let app = &served.app;
    if let Some(user) = server_to_user(name) {
        // What is for a user comes whether it is subscribed to or not; some clients wait for this
        // answer all the same.
        match is_signed_in_as(user, who, ctx) {
            true => ctx
                .io
                .text(conn, |out| encode::push_succeeded(out, name, None)),
            false => refuse(name, NOT_THE_USER, ctx),
        }
        return;
    }
    if !is_channel(name, app.channel_chars) {
        refuse(name, BAD_NAME, ctx);
        return;
    }
    if app.closed.iter().any(|closed| name.starts_with(closed)) {
        refuse(name, CLOSED, ctx);
        return;
    }
    let known = ctx.hub.find_channel(app.app, name);
    if known.is_some_and(|channel| ctx.hub.is_subscribed(who, channel)) {
        complain(ctx, &format!("existing subscription to channel {name}"));
        return;
    }
    if let Err(refused) = join(served, name, proof, who, ctx) {
        refuse(name, refused, ctx);
    }
}

/// The rest of a subscription, once the name is known to be one and new for the socket.
fn join(
    served: &Served,
    name: &str,
    proof: Proof<'_>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) -> Result<(), Refused> {
    let (app, conn) = (&served.app, ctx.conn);
    let kind = Kind::of(name);
    let id = ctx.hub.subscriber(who).ok_or(GONE)?.id();
    if kind.needs_auth() {
        // Only presence channels sign what comes along.
        let data = proof.data.filter(|_| kind.has_members());
        let id = socket_id(id.0);
        if !served.keys.allows_channel(proof.auth, &id, name, data) {
            return Err(BAD_SIGNATURE);
        }
    }
    let has = ctx.hub.subscriber(who).map_or(0, |s| s.channel_count());
    if has >= app.channels_per_connection {
        return Err(TOO_MANY_CHANNELS);
    }
    let role = match kind.access {
        Access::Presence => member(served, name, proof.data, who, ctx)?,
        Access::Public | Access::Private | Access::Encrypted => Role::Nobody,
    };
    let user = match &role {
        Role::Guest { user, .. } => *user,
        Role::Own(_) | Role::Nobody => UserId::NONE,
    };
    let settings = served.channel_settings();
    let hub = &mut *ctx.hub;
    let channel = hub.ensure_bare_channel(app.app, name, settings, ctx.now, &mut ctx.io);
    if let Err(refusal) = hub.subscribe_as(who, channel, role, ctx.now, &mut ctx.io) {
        // Neither was there for anything else.
        hub.release_channel(channel, ctx.now);
        hub.settle_user(user, ctx.now);
        return Err(match refusal {
            Refusal::TooManyChannels { .. } => TOO_MANY_CHANNELS,
            Refusal::UnknownSubscriber | Refusal::UnknownChannel => GONE,
        });
    }
    let members = kind.has_members().then_some((&*ctx.hub, channel));
    ctx.io
        .text(conn, |out| encode::push_succeeded(out, name, members));
    if kind.is_cached {
        let shown = ctx.hub.show_cached(channel, FORMAT, ctx.now, &mut ctx.io);
        match shown {
            Some(frame) => ctx.io.send(conn, &frame),
            None => ctx.io.text(conn, |out| encode::push_cache_miss(out, name)),
        }
    }
    ctx.hub.count_changed(channel, ctx.now, &mut ctx.io);
    if kind.needs_auth() {
        ctx.hub.stay(who);
    }
    Ok(())
}

/// As whom a socket joins a presence channel: what its data says, or else who signed in.
fn member(
    served: &Served,
    name: &str,
    data: Option<&str>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) -> Result<Role, Refused> {
    let app = &served.app;
    let (user, info): (String, Option<Rc<str>>) = match data {
        Some(data) => {
            let member = words::member(data, app.member_info_bytes).map_err(|why| (400, why))?;
            (member.user, member.info.as_deref().map(Rc::from))
        }
        None => {
            let user = ctx.hub.subscriber(who).map(|known| known.user());
            let user = user.and_then(|user| ctx.hub.user(user)).ok_or(NO_MEMBER)?;
            let info = ctx.hub.description(who);
            if info
                .as_ref()
                .is_some_and(|info| info.len() > app.member_info_bytes)
            {
                return Err((400, "user_info is too large"));
            }
            (user.name().to_owned(), info)
        }
    };
    let known = ctx.hub.find_channel(app.app, name);
    let is_in = known.is_some_and(|channel| {
        let user = ctx.hub.find_user(app.app, &user);
        user.is_some_and(|user| ctx.hub.is_member(channel, user))
    });
    let count = known
        .and_then(|channel| ctx.hub.channel(channel))
        .map_or(0, |channel| channel.member_count());
    if !is_in && count >= app.members_max {
        return Err(TOO_MANY_MEMBERS);
    }
    let (user, _) = ctx.hub.ensure_user(app.app, &user, &mut ctx.io);
    Ok(Role::Guest {
        user,
        info,
        is_peer: false,
    })
}

/// Tells a socket that it is not in a channel: once for whoever listens to the channel, once as an
/// error without a code, as a code would end the connection of some clients, and once for clients
/// that wait for an internal event.
fn refuse(name: &str, (status, why): Refused, ctx: &mut Ctx<'_>) {
    let conn = ctx.conn;
    for event in [
        "pusher:subscription_error",
        "pusher_internal:subscription_error",
    ] {
        ctx.io.text(conn, |out| {
            encode::push_refused(out, event, name, why, status);
        });
    }
    complain(ctx, &format!("{why} (channel {:?})", shown(name)));
}

fn unsubscribe(served: &Served, name: &str, who: SubscriberId, ctx: &mut Ctx<'_>) {
    if server_to_user(name).is_some() {
        return;
    }
    let channel = ctx.hub.find_channel(served.app.app, name);
    let has_left =
        channel.is_some_and(|channel| ctx.hub.unsubscribe(who, channel, ctx.now, &mut ctx.io));
    if !has_left {
        complain(
            ctx,
            &format!("no subscription to channel {:?}", shown(name)),
        );
    }
}

fn client_event(
    served: &Served,
    event: &str,
    name: &str,
    data: &Data<'_>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let app = &served.app;
    if !app.client_events {
        complain(ctx, "client events are switched off");
        return;
    }
    if !Kind::of(name).takes_client_events() {
        complain(
            ctx,
            "client events go to private and presence channels that are not encrypted",
        );
        return;
    }
    let channel = ctx.hub.find_channel(app.app, name);
    let Some(channel) = channel.filter(|&channel| ctx.hub.is_subscribed(who, channel)) else {
        complain(
            ctx,
            &format!("no subscription to channel {:?}", shown(name)),
        );
        return;
    };
    if !is_event_length(event) {
        reject_event(ctx, "the name of the client event is too long");
        return;
    }
    let data = data.as_str();
    if data.len() > app.event_bytes {
        reject_event(ctx, "the client event is too large");
        return;
    }
    let per_s = app.client_events_per_s;
    if !ctx.talk.take(ctx.now.mono, per_s, per_s) {
        reject_event(ctx, "too many client events");
        return;
    }
    let user = ctx.hub.user_in(who, channel);
    let user: Option<Rc<str>> = user
        .and_then(|user| ctx.hub.user(user))
        .map(|user| Rc::from(user.name()));
    let message = NewMessage {
        id: ctx.io.id(),
        at: Stamp::from_unix_micros(ctx.now.unix_micros),
        user: user.as_deref().unwrap_or("").into(),
        channel: Some(name.into()),
        only: Vec::new(),
        except: Vec::new(),
        // Nor is it shown by a cache channel.
        no_history: true,
        event: Some(event.into()),
        body: Some(data),
        extra: None,
        stored: false,
        except_subscriber: who,
    };
    ctx.hub.publish(app.app, &message, ctx.now, &mut ctx.io);
    if let Some(subscriber) = ctx.hub.subscriber(who).map(|known| known.id()) {
        let fact = Fact::ClientEvent {
            channel: name,
            event,
            data,
            subscriber,
            user: user.as_deref(),
        };
        ctx.io.announce(app.app, fact);
    }
}

fn is_signed_in_as(user: &str, who: SubscriberId, ctx: &Ctx<'_>) -> bool {
    let own = ctx.hub.subscriber(who).map(|known| known.user());
    let own = own.and_then(|own| ctx.hub.user(own));
    own.is_some_and(|own| own.name() == user)
}

fn sign_in(served: &Served, auth: &str, user_data: &str, who: SubscriberId, ctx: &mut Ctx<'_>) {
    let (app, conn) = (&served.app, ctx.conn);
    if !app.signin {
        complain(ctx, "signing in is switched off");
        return;
    }
    let Some(id) = ctx.hub.subscriber(who).map(|known| known.id()) else {
        return;
    };
    let id = socket_id(id.0);
    let user = match served.keys.allows_signin(auth, &id, user_data) {
        true => words::user(user_data, app.watchlist_max).ok(),
        false => None,
    };
    let Some(user) = user else {
        let now = ctx.now;
        ctx.hub.remove(who, HangUp::Unauthorized, now, &mut ctx.io);
        return;
    };
    let is_anybody = ctx
        .hub
        .subscriber(who)
        .is_some_and(|known| !known.user().is_none());
    if is_anybody {
        if !is_signed_in_as(&user.id, who, ctx) {
            complain(ctx, "the connection has signed in as another user");
            return;
        }
    } else {
        let (key, _) = ctx.hub.ensure_user(app.app, &user.id, &mut ctx.io);
        if !ctx.hub.identify(who, key, &mut ctx.io) {
            ctx.hub.settle_user(key, ctx.now);
            return;
        }
        ctx.hub.stay(who);
    }
    ctx.hub.describe(who, user.info.as_deref());
    ctx.io
        .text(conn, |out| encode::push_signed_in(out, user_data));
    if !app.watchlist {
        return;
    }
    let watched = ctx
        .hub
        .watch(who, user.watchlist.iter().map(String::as_str));
    let some = |is_online: bool| -> Vec<&str> {
        let some = watched.iter().filter(|(_, online)| *online == is_online);
        some.map(|(name, _)| *name).collect()
    };
    if !watched.is_empty() {
        ctx.io.text(conn, |out| {
            encode::push_watchlist(out, &some(true), &some(false));
        });
    }
    if user.is_watchlist_cut {
        let cut = FrameOnly::WatchlistTooLong;
        ctx.io.text(conn, |out| {
            push_error(out, Some(cut.number()), cut.message())
        });
    }
}
