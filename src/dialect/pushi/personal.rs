//! Personal channels: all that a user has a stored subscription for (section 3.6).
//!
//! The store knows the subscriptions, so whoever asks waits for it. A socket that subscribed stands in
//! a channel of that very name, too, so that what applications publish to it arrives.

use super::encode::{SUBSCRIBED, UNSUBSCRIBED};
use super::names::personal_user;
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
        for alias in &aliases {
            let known = ctx.hub.find_channel(served.app, alias);
            let known = known.filter(|&channel| ctx.hub.is_subscribed(who, channel));
            // Others that brought it go on to do so; one that the socket asked for by name stays its own.
            let others = known.map_or_else(Vec::new, |channel| {
                notes::of_ref(ctx.notes).bringers(who, channel)
            });
            let is_own = known.is_some_and(|channel| !brought.contains(&channel));
            let is_own = is_own && others.is_empty();
            match join(&served, alias, data.as_ref(), who, ctx) {
                Ok(_) if is_own => {}
                Ok(channel) => {
                    let notes = notes::of(ctx.notes);
                    for personal in others.into_iter().chain([personal]) {
                        notes.bring(who, personal, channel);
                    }
                }
                Err(GONE) => return,
                Err(refused) => refuse(alias, refused, ctx),
            }
        }
        describe(&served, SUBSCRIBED, &name, &aliases, &events, ctx);
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
        let named = |channel| Some((ctx.hub.channel(channel)?.shared_name(), channel));
        let mut left: Vec<_> = brought.into_iter().filter_map(named).collect();
        // In order of name, as whoever goes leaves its channels; the personal one is the last.
        left.sort_unstable();
        left.extend(named(personal));
        for (name, channel) in left {
            let notes = notes::of(ctx.notes);
            leave(&name, channel, who, ctx.hub, notes, now, &mut ctx.io);
        }
        describe(&served, UNSUBSCRIBED, &name, &aliases, &events, ctx);
    });
}
