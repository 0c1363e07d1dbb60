//! Publishing (section 4): by a socket to one channel, by an application to one or many. What is to be
//! stored is handed to the store with the same ids and the same time as it is told.

use super::notes;
use super::peer;
use super::rest::{busy, success};
use super::socket::Refused;
use super::speaker::Served;
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{Effects, Id, NewMessage, Served as Told, Stamp, SubscriberId};
use crate::limits::{STORE_COMMIT_ROWS_MAX, STORE_JOB_OVERHEAD_BYTES, WORK_PER_MESSAGE};
use crate::store::{AppRow, Publish, Trouble, Write};
use crate::transport::http::Response;
use std::rc::Rc;

/// What is told of a publish that could not be stored, to a socket.
const fn refused(trouble: Trouble) -> Refused {
    match trouble {
        Trouble::Busy => (503, "too much waits to be stored already; try again"),
        Trouble::DiskFull => (503, "nothing can be stored, as the disk is full"),
        Trouble::Failing => (503, "nothing can be stored right now"),
        Trouble::Absent => (503, "this server has no store; publish with persist: false"),
    }
}

/// The socket that publishes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) who: SubscriberId,
    /// Whether it is to hear it itself.
    pub(super) echo: bool,
}

/// What is published.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
    /// Further members of the payload as JSON, without braces.
    pub(super) extra: String,
    pub(super) persist: bool,
}

/// Publishes what a socket says to one channel that it may say it to.
pub(super) fn by_socket(
    served: &Rc<Served>,
    event: &str,
    channel: &str,
    data: &str,
    owner: Owner,
    persist: bool,
    ctx: &mut Ctx<'_>,
) -> Result<(), Refused> {
    let row = match persist {
        true => {
            let row = ctx.apps.row(served.app).ok_or(refused(Trouble::Failing))?;
            let bytes = STORE_JOB_OVERHEAD_BYTES + event.len() + data.len() + channel.len() + 48;
            let message = (channel, event.len() + data.len());
            let history = ctx.history_room(served.app, std::iter::once(message));
            ctx.io
                .can_store(1 + history.0, bytes + history.1)
                .map_err(refused)?;
            Some(row)
        }
        false => None,
    };
    let (mid, micros) = (ctx.io.id(), ctx.now.unix_micros);
    let mut told = None;
    let what = Telling {
        name: event,
        data,
        extra: "",
        persist,
        micros,
        owner: Some(owner),
    };
    tell(served, &what, channel, mid, &mut told, ctx);
    if let Some(app) = row {
        let id = ctx.hub.subscriber(owner.who).map(|known| known.id().0);
        let number = notes::of(ctx.notes).next_publish();
        ctx.io.store(Write::Publish(Box::new(Publish {
            app,
            number,
            is_last: true,
            owner: id,
            micros,
            name: Box::from(event),
            data: Box::from(data),
            extra: Box::from(""),
            channels: vec![(Box::from(channel), mid.0)],
        })));
    }
    Ok(())
}

/// What is told to the channels of one publish.
struct Telling<'a> {
    name: &'a str,
    data: &'a str,
    extra: &'a str,
    persist: bool,
    /// The moment of it, for all of its channels.
    micros: u64,
    owner: Option<Owner>,
}

/// Tells one channel. With `told` the publish has several, and nobody is told twice.
fn tell(
    served: &Served,
    what: &Telling<'_>,
    channel: &str,
    mid: Id,
    told: &mut Option<Told>,
    ctx: &mut Ctx<'_>,
) {
    let app = served.app;
    let owner = what.owner;
    let user = owner.and_then(|owner| {
        let channel = ctx.hub.find_channel(app, channel)?;
        let user = ctx.hub.user_in(owner.who, channel)?;
        Some(ctx.hub.user(user)?.name().to_owned())
    });
    let message = NewMessage {
        id: mid,
        at: Stamp::from_unix_micros(what.micros),
        user: user.unwrap_or_default().into(),
        channel: Some(channel.into()),
        only: Vec::new(),
        except: Vec::new(),
        // What is not to be stored is not to be remembered otherwise.
        no_history: !what.persist,
        event: Some(what.name.into()),
        body: Some(what.data),
        except_subscriber: owner
            .filter(|owner| !owner.echo)
            .map_or(SubscriberId::NONE, |owner| owner.who),
        extra: Some(what.extra),
        stored: what.persist,
    };
    match told {
        None => ctx.hub.publish(app, &message, ctx.now, &mut ctx.io),
        Some(told) => ctx
            .hub
            .publish_once(app, &message, told, ctx.now, &mut ctx.io),
    };
    if channel.starts_with(super::names::PEER) {
        tell_peers(served, &message, owner, told, ctx);
    }
}

/// Tells the two users of a peer channel, beside those who asked for it by name. Where the name is
/// that of several pairs: those of the socket that says it; all of them, if it is in none.
fn tell_peers(
    served: &Served,
    message: &NewMessage<'_>,
    owner: Option<Owner>,
    told: &mut Option<Told>,
    ctx: &mut Ctx<'_>,
) {
    let app = served.app;
    let name = message.channel.as_deref().unwrap_or("");
    let hub = &mut *ctx.hub;
    let notes = notes::of_ref(ctx.notes);
    let own = owner.map(|owner| peer::pairs_of_socket(hub, notes, app, owner.who, name));
    let mut pairs = own.unwrap_or_default();
    if pairs.is_empty() {
        // An application, or a socket that is on it by nothing but its name.
        let (found, tries) = peer::of_name(hub, app, name);
        pairs = found;
        // Each looks for a channel, or for two users.
        ctx.io.spend(4 * tries as u64);
    }
    let audience = pairs.iter();
    let mut audience: Vec<SubscriberId> = audience
        .flat_map(|&pair| peer::audience(hub, notes, pair))
        .collect();
    if pairs.len() > 1 {
        audience.sort_unstable();
        audience.dedup();
    }
    let by_name = hub.find_channel(app, name);
    audience.retain(|&who| {
        let has_heard = by_name.is_some_and(|channel| hub.is_subscribed(who, channel));
        who != message.except_subscriber && !has_heard
    });
    if let Some(told) = told {
        audience.retain(|&who| told.insert(who));
    }
    hub.tell_subscribers(&audience, message, &mut ctx.io);
}

/// An event of an application on its way to its channels.
pub(super) struct Publication {
    served: Rc<Served>,
    row: Option<AppRow>,
    event: Event,
    channels: Vec<String>,
    /// The channel that comes next.
    next: usize,
    number: u64,
    /// What was told of it, where it has several channels.
    told: Option<Told>,
    /// The moment of it, for all of its channels.
    micros: u64,
}

impl Publication {
    /// Checks that it can be stored, if it is to be.
    pub(super) fn new(
        served: &Rc<Served>,
        event: Event,
        channels: Vec<String>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, Trouble> {
        let mut row = None;
        let mut number = 0;
        if event.persist {
            let jobs = channels.len().div_ceil(STORE_COMMIT_ROWS_MAX).max(1);
            let each =
                STORE_JOB_OVERHEAD_BYTES + event.name.len() + event.data.len() + event.extra.len();
            let names: usize = channels.iter().map(|name| name.len() + 48).sum();
            // All of it or nothing: what was told and not stored is told twice when its sender tries
            // again.
            let messages = channels.iter().map(|name| (&**name, each));
            let history = ctx.history_room(served.app, messages);
            ctx.io
                .can_store(jobs + history.0, jobs * each + names + history.1)?;
            row = Some(ctx.apps.row(served.app).ok_or(Trouble::Failing)?);
            number = notes::of(ctx.notes).next_publish();
        }
        Ok(Self {
            served: served.clone(),
            row,
            event,
            told: (channels.len() > 1).then(Told::default),
            channels,
            next: 0,
            number,
            micros: ctx.now.unix_micros,
        })
    }

    /// Publishes in this turn what can be published in it.
    pub(super) fn begin(mut self, ctx: &mut Ctx<'_>) -> Reply {
        if self.channels.len() > 1 && !ctx.takes_jobs {
            return busy(ctx).into();
        }
        match self.step(ctx) {
            Some(response) => Reply::Now(response),
            None => Reply::Later(Box::new(self)),
        }
    }

    fn step(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let mut stored = Vec::new();
        while let Some(channel) = self.channels.get(self.next) {
            ctx.io.spend(WORK_PER_MESSAGE);
            let mid = ctx.io.id();
            let what = Telling {
                name: &self.event.name,
                data: &self.event.data,
                extra: &self.event.extra,
                persist: self.event.persist,
                micros: self.micros,
                owner: None,
            };
            tell(&self.served, &what, channel, mid, &mut self.told, ctx);
            if self.row.is_some() {
                stored.push((Box::from(&**channel), mid.0));
            }
            self.next += 1;
            let is_last = self.next == self.channels.len();
            let is_enough = ctx.io.has_done_enough();
            if stored.len() == STORE_COMMIT_ROWS_MAX || is_last || is_enough {
                self.store(std::mem::take(&mut stored), is_last, ctx);
            }
            if is_enough && !is_last {
                return None;
            }
        }
        Some(success())
    }

    fn store(&self, channels: Vec<(Box<str>, u128)>, is_last: bool, ctx: &mut Ctx<'_>) {
        let Some(app) = self.row else {
            return;
        };
        ctx.io.store(Write::Publish(Box::new(Publish {
            app,
            number: self.number,
            is_last,
            owner: None,
            micros: self.micros,
            name: Box::from(&*self.event.name),
            data: Box::from(&*self.event.data),
            extra: Box::from(&*self.event.extra),
            channels,
        })));
    }
}

impl Job for Publication {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        self.step(ctx)
    }

    fn bytes(&self) -> usize {
        let names = self.channels.iter();
        let names: usize = names.map(|name| size_of::<String>() + name.len()).sum();
        self.event.data.len() + self.event.extra.len() + names
    }
}
