//! Personal channels: all that a user has a stored subscription for (section 3.6).
//!
//! The store knows the subscriptions, so whoever asks waits for it. A socket that subscribed stands in
//! a channel of that very name, too, so that what applications publish to it arrives.

use super::encode::{SUBSCRIBED, UNSUBSCRIBED};
use super::names::{Kind, personal_user};
use super::socket::{
    GONE, NO_STORE, Refused, TOO_MANY_CHANNELS, complain, describe, join, leave, refuse,
};
use super::speaker::Served;
use super::{notes, words::ChannelData};
use crate::dialect::Ctx;
use crate::hub::{ChannelId, SubscriberId};
use crate::limits::{PUSHI_BROUGHT_MAX, PUSHI_WAITING_EVENTS};
use crate::store::{Answer, Question, Ticket};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Asks for a user's channels and what waits for it.
fn ask(served: &Served, name: &str, ctx: &mut Ctx<'_>) -> Result<Ticket, Refused> {
    let app = ctx.apps.row(served.app).ok_or(NO_STORE)?;
    Ok(ctx.io.ask(Question::Personal {
        app,
        user: Box::from(personal_user(name).unwrap_or("")),
        skip: 0,
        count: PUSHI_WAITING_EVENTS,
    }))
}

/// A socket joins all that a user subscribes to.
pub(super) fn subscribe(
    served: &Rc<Served>,
    name: &str,
    data: Option<ChannelData>,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let ticket = match ask(served, name, ctx) {
        Ok(ticket) => ticket,
        Err(refused) => return refuse(name, refused, ctx),
    };
    let (served, name) = (served.clone(), name.to_owned());
    ctx.wait_for(ticket, move |answer, ctx| {
        let Answer::Personal { aliases, events } = answer else {
            return refuse(&name, NO_STORE, ctx);
        };
        if notes::of_ref(ctx.notes).brought(who) + aliases.len() > PUSHI_BROUGHT_MAX {
            return refuse(&name, TOO_MANY_CHANNELS, ctx);
        }
        // What it was in because of this channel before is that still, and may be left with it.
        let former = ctx.hub.find_channel(served.app, &name);
        let brought = former.map_or_else(BTreeSet::new, |former| {
            notes::of(ctx.notes).take_brought(who, former)
        });
        let personal = match join(&served, &name, None, who, ctx) {
            Ok(personal) => personal,
            Err(refused) => return refuse(&name, refused, ctx),
        };
        for &channel in &brought {
            notes::of(ctx.notes).bring(who, personal, channel);
        }
        let mut joined = Vec::with_capacity(aliases.len());
        for alias in aliases {
            let known = ctx.hub.find_channel(served.app, &alias);
            let known = known.filter(|&channel| ctx.hub.is_subscribed(who, channel));
            // Others that brought it go on to do so; one that the socket asked for by name stays its own.
            let others = known.map_or_else(Vec::new, |channel| {
                notes::of_ref(ctx.notes).bringers(who, channel)
            });
            let is_own = known.is_some_and(|channel| !brought.contains(&channel));
            let is_own = is_own && others.is_empty();
            // Another user's own channel, whose channels follow: what it may have brought by itself
            // stays as it is.
            let entered = match known.filter(|_| Kind::of(&alias) == Kind::Personal) {
                Some(channel) => Ok(channel),
                None => join(&served, &alias, data.as_ref(), who, ctx),
            };
            match entered {
                Ok(channel) => {
                    let notes = notes::of(ctx.notes);
                    let bringers = others.into_iter().chain([personal]);
                    for personal in bringers.filter(|_| !is_own) {
                        notes.bring(who, personal, channel);
                    }
                    joined.push(alias);
                }
                Err(GONE) => return,
                Err(refused) => refuse(&alias, refused, ctx),
            }
        }
        describe(&served, SUBSCRIBED, &name, &joined, &events, who, ctx);
    });
}

/// A socket leaves all that it is in because of a personal channel.
pub(super) fn unsubscribe(
    served: &Rc<Served>,
    name: &str,
    personal: ChannelId,
    who: SubscriberId,
    ctx: &mut Ctx<'_>,
) {
    let ticket = match ask(served, name, ctx) {
        Ok(ticket) => ticket,
        Err((code, message)) => return complain(name, code, message, ctx),
    };
    let (served, name) = (served.clone(), name.to_owned());
    ctx.wait_for(ticket, move |answer, ctx| {
        let Answer::Personal { aliases, events } = answer else {
            return complain(&name, NO_STORE.0, NO_STORE.1, ctx);
        };
        let now = ctx.now;
        let brought = notes::of(ctx.notes).take_brought(who, personal);
        // In the order in which they were joined, but for the personal one, which is the last.
        let (mut left, mut own) = (ctx.hub.channels_in_order(who), Vec::new());
        own.extend(left.extract_if(.., |(_, channel)| *channel == personal));
        left.retain(|(_, channel)| brought.contains(channel));
        for (name, channel) in left.into_iter().chain(own) {
            let notes = notes::of(ctx.notes);
            leave(&name, channel, who, ctx.hub, notes, now, &mut ctx.io);
        }
        describe(&served, UNSUBSCRIBED, &name, &aliases, &events, who, ctx);
    });
}
