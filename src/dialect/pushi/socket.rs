//! What sockets ask for: channels, what was said in them, and events for others.

use super::encode::{self, Description, LATEST, SUBSCRIBED, UNSUBSCRIBED};
use super::names::{Kind, uuid};
use super::notes::Notes;
use super::publish::{self, Owner};
use super::speaker::{FORMAT, Pushi, QUIET, Served};
use super::words::{self, ChannelData, Word};
use super::{notes, peer, personal, tell};
use crate::dialect::{Ctx, Io};
use crate::hub::{ChannelId, Effects, HangUp, Hub, Refusal, Role, SubscriberId, UserId};
use crate::limits::FRAME_BYTES_PER_WORK;
use crate::store::{Answer, Question, StoredEvent};
use crate::time::Now;
use std::rc::Rc;

/// Why something is refused, and the status that it would have over HTTP.
pub(super) type Refused = (u16, &'static str);

pub(super) const GONE: Refused = (410, "the connection is closed");
pub(super) const NO_STORE: Refused = (503, "nothing can be looked up right now");
const BAD_SIGNATURE: Refused = (403, "the signature of the subscription is not valid");
const NO_USER: Refused = (400, "channel_data needs a user_id");
pub(super) const TOO_MANY_CHANNELS: Refused =
    (400, "the connection is in as many channels as it may");
pub(super) const NOT_IN_CHANNEL: Refused = (403, "the socket is not subscribed to the channel");

/// Says that something could not be done. The connection goes on.
pub(super) fn complain(channel: &str, code: u16, message: &str, ctx: &mut Ctx<'_>) {
    let conn = ctx.conn;
    ctx.io
        .text(conn, |out| encode::push_error(out, channel, code, message));
}

/// Says that a channel was not joined. The connection goes on.
pub(super) fn refuse(channel: &str, (code, message): Refused, ctx: &mut Ctx<'_>) {
    let conn = ctx.conn;
    ctx.io.text(conn, |out| {
        encode::push_subscription_error(out, channel, code, message);
    });
}

/// Says that a frame is none of the protocol. The connection ends.
pub(super) fn not_understood(who: SubscriberId, message: &str, ctx: &mut Ctx<'_>) {
    complain("", 400, message, ctx);
    let now = ctx.now;
    ctx.hub.remove(who, HangUp::Garbled, now, &mut ctx.io);
}

/// Answers `who` with the description of a channel as it is now.
pub(super) fn describe(
    served: &Served,
    event: &str,
    name: &str,
    alias: &[Box<str>],
    events: &[StoredEvent],
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let conn = ctx.conn;
    let channel = ctx.hub.find_channel(served.app, name);
    let members = tell::members(ctx.hub, channel, who);
    let bytes = members.iter().map(|(user, told)| user.len() + told.len());
    let bytes = bytes.sum::<usize>() as u64;
    ctx.io
        .spend(members.len() as u64 + bytes / FRAME_BYTES_PER_WORK);
    let description = Description {
        name,
        members: members.iter().map(|(user, told)| (&**user, &**told)),
        alias,
        events,
        ident: &served.ident,
    };
    ctx.io.text(conn, |out| {
        encode::push_description(out, event, name, description);
    });
}

impl Pushi {
    /// A text came.
    pub(super) fn hear(&self, text: &str, from: SubscriberId, ctx: &mut Ctx<'_>) {
        let app = ctx.hub.subscriber(from).map(|known| known.app());
        let Some(served) = app.and_then(|app| self.by_app(app)) else {
            return;
        };
        if text.is_empty() {
            return;
        }
        match words::read(text) {
            Err(unreadable) => {
                let channel = unreadable.channel.as_deref().unwrap_or("");
                let (code, message) = (unreadable.fault.code(), unreadable.fault.message());
                match unreadable.refused {
                    words::Refused::Anything => not_understood(from, message, ctx),
                    words::Refused::Subscription => refuse(channel, (code, message), ctx),
                    words::Refused::Request => complain(channel, code, message, ctx),
                }
            }
            Ok(Word::Subscribe {
                channel,
                auth,
                channel_data,
            }) => {
                let auth = auth.as_deref().unwrap_or("");
                subscribe(served, &channel, auth, channel_data, from, ctx);
            }
            Ok(Word::Unsubscribe { channel }) => unsubscribe(served, &channel, from, ctx),
            Ok(Word::Latest {
                channel,
                skip,
                count,
            }) => latest(served, &channel, (skip, count), from, ctx),
            Ok(Word::Event {
                event,
                channel,
                data,
                echo,
                persist,
            }) => {
                let owner = Owner { who: from, echo };
                let data = data.as_str();
                let told = event_of_socket(served, &event, &channel, data, owner, persist, ctx);
                if let Err((code, message)) = told {
                    complain(&channel, code, message, ctx);
                }
            }
        }
    }
}

fn subscribe(
    served: &Rc<Served>,
    name: &str,
    auth: &str,
    data: Option<ChannelData>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let kind = Kind::of(name);
    let Some(id) = ctx.hub.subscriber(who).map(|known| known.id()) else {
        return;
    };
    if kind.is_signed() && !served.keys.allows(auth, &uuid(id.0), name) {
        return refuse(name, BAD_SIGNATURE, ctx);
    }
    if kind == Kind::Personal {
        return personal::subscribe(served, name, data, who, ctx);
    }
    match join(served, name, data.as_ref(), who, ctx) {
        Ok(_) => describe(served, SUBSCRIBED, name, &[], &[], who, ctx),
        Err(refused) => refuse(name, refused, ctx),
    }
}

/// A socket joins a channel, once it may. One that is in it already leaves it first, with all that
/// others hear of that.
pub(super) fn join(
    served: &Served,
    name: &str,
    data: Option<&ChannelData>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) -> Result<ChannelId, Refused> {
    let data = data.filter(|_| Kind::of(name) == Kind::Presence);
    let user = match data {
        Some(data) => {
            let user = data.user_id.as_deref().ok_or(NO_USER)?;
            Some((user, data))
        }
        None => None,
    };
    let now = ctx.now;
    let settings = served.channel_settings();
    let notes = notes::of(ctx.notes);
    let hub = &mut *ctx.hub;
    let known = hub.find_channel(served.app, name);
    let is_in = known.is_some_and(|channel| hub.is_subscribed(who, channel));
    let has = hub.subscriber(who).ok_or(GONE)?.channel_count();
    if !is_in && has >= hub.config().channels_per_subscriber {
        return Err(TOO_MANY_CHANNELS);
    }
    if let Some(channel) = known.filter(|_| is_in) {
        leave(name, channel, who, hub, notes, now, &mut ctx.io);
    }
    let (role, format, key) = match user {
        Some((user, data)) => {
            let (user, _) = hub.ensure_user(served.app, user, &mut ctx.io);
            let role = Role::Guest {
                user,
                info: Some(Rc::from(&*data.text)),
                is_peer: data.peer,
            };
            (role, FORMAT, user)
        }
        // In a presence channel, but not as anybody.
        None if Kind::of(name) == Kind::Presence => (Role::Nobody, QUIET, UserId::NONE),
        None => (Role::Nobody, FORMAT, UserId::NONE),
    };
    let channel = hub.ensure_bare_channel(served.app, name, settings, now, &mut ctx.io);
    if let Err(refusal) = hub.subscribe_in(who, channel, role, format, now, &mut ctx.io) {
        // Neither was there for anything else.
        hub.release_channel(channel, now);
        hub.settle_user(key, now);
        return Err(match refusal {
            Refusal::TooManyChannels { .. } => TOO_MANY_CHANNELS,
            Refusal::UnknownSubscriber | Refusal::UnknownChannel => GONE,
        });
    }
    hub.count_changed(channel, now, &mut ctx.io);
    Ok(channel)
}

/// A socket leaves a channel that it is in.
pub(super) fn leave(
    name: &str,
    channel: ChannelId,
    who: SubscriberId,
    hub: &mut Hub,
    notes: &mut Notes,
    now: Now,
    io: &mut Io<'_>,
) {
    notes.release(who, channel);
    if Kind::of(name) == Kind::Presence {
        notes.forget_pairs(who, channel);
    }
    hub.unsubscribe(who, channel, now, io);
}

/// Whether a socket is in a channel that is there.
pub(super) fn is_in(served: &Served, name: &str, who: SubscriberId, ctx: &Ctx<'_>) -> bool {
    let channel = ctx.hub.find_channel(served.app, name);
    channel.is_some_and(|channel| ctx.hub.is_subscribed(who, channel))
}

fn unsubscribe(served: &Rc<Served>, name: &str, who: SubscriberId, ctx: &mut Ctx<'_>) {
    let channel = ctx.hub.find_channel(served.app, name);
    let channel = channel.filter(|&channel| ctx.hub.is_subscribed(who, channel));
    if Kind::of(name) == Kind::Personal {
        return match channel {
            Some(channel) => personal::unsubscribe(served, name, channel, who, ctx),
            // It has left all that it was in because of it. What waits for the user is told only to
            // whoever the application has let in.
            None => describe(served, UNSUBSCRIBED, name, &[], &[], who, ctx),
        };
    }
    let peers = match Kind::of(name) {
        Kind::Peer => peer::of_socket(ctx.hub, served.app, who, name),
        Kind::Public | Kind::Private | Kind::Presence | Kind::Personal => Vec::new(),
    };
    if channel.is_none() && peers.is_empty() {
        return complain(name, NOT_IN_CHANNEL.0, NOT_IN_CHANNEL.1, ctx);
    }
    let notes = notes::of(ctx.notes);
    for peer in peers {
        let hub = &*ctx.hub;
        let Some(other) = peer.other else { continue };
        let Some(member) = hub.membership_key(peer.presence, other) else {
            continue;
        };
        let is_member =
            |(presence, user), member| hub.membership_key(presence, user) == Some(member);
        if !notes.leave_pair(who, (peer.presence, other), member, is_member) {
            return complain(name, TOO_MANY_CHANNELS.0, TOO_MANY_CHANNELS.1, ctx);
        }
    }
    if let Some(channel) = channel {
        leave(name, channel, who, ctx.hub, notes, ctx.now, &mut ctx.io);
    }
    describe(served, UNSUBSCRIBED, name, &[], &[], who, ctx);
}

fn latest(
    served: &Rc<Served>,
    name: &str,
    (skip, count): (u64, u64),
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let is_peer = Kind::of(name) == Kind::Peer;
    let is_allowed = is_in(served, name, who, ctx)
        || (is_peer && !peer::of_socket(ctx.hub, served.app, who, name).is_empty());
    if !is_allowed {
        return complain(name, NOT_IN_CHANNEL.0, NOT_IN_CHANNEL.1, ctx);
    }
    let Some(app) = ctx.apps.row(served.app) else {
        return complain(name, NO_STORE.0, NO_STORE.1, ctx);
    };
    let question = match super::names::personal_user(name) {
        Some(user) => Question::Personal {
            app,
            user: Box::from(user),
            skip,
            count,
        },
        None => Question::Latest {
            app,
            channel: Some(Box::from(name)),
            skip,
            count,
        },
    };
    let ticket = ctx.io.ask(question);
    let (served, name) = (served.clone(), name.to_owned());
    ctx.wait_for(ticket, move |answer, ctx| match answer {
        Answer::Events(events) => describe(&served, LATEST, &name, &[], &events, who, ctx),
        Answer::Personal { aliases, events } => {
            describe(&served, LATEST, &name, &aliases, &events, who, ctx);
        }
        _ => complain(&name, NO_STORE.0, NO_STORE.1, ctx),
    });
}

/// Publishes what a socket says to a channel that it is in.
fn event_of_socket(
    served: &Rc<Served>,
    event: &str,
    name: &str,
    data: &str,
    owner: Owner,
    persist: bool,
    ctx: &mut Ctx<'_>,
) -> Result<(), Refused> {
    let kind = Kind::of(name);
    let is_on_pair = || {
        let notes = notes::of_ref(ctx.notes);
        let pairs = peer::pairs_of_socket(ctx.hub, notes, served.app, owner.who, name);
        !pairs.is_empty()
    };
    let may = match kind {
        // Nobody is in it but to be told.
        Kind::Personal => false,
        Kind::Peer => is_in(served, name, owner.who, ctx) || is_on_pair(),
        Kind::Public | Kind::Private | Kind::Presence => is_in(served, name, owner.who, ctx),
    };
    if !may {
        return Err(NOT_IN_CHANNEL);
    }
    publish::by_socket(served, event, name, data, owner, persist, ctx)
}
