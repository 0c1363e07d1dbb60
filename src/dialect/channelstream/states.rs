//! `POST /user_state`: what a user says of itself changes, and its channels are told (section 7.4
//! of the specification).
//!
//! The state is changed at once and as a whole. Telling the channels may take more than this turn,
//! as a user may be in thousands: each is told with what holds at that moment, so that whoever hears
//! of two changes hears of the newer one last.

use super::encode::{push_changed, push_state, push_texts};
use super::errors::{self, BodyFault, Errors, Faults, Place};
use super::json::same_plain;
use super::pages;
use super::speaker::Channelstream;
use super::words::{self, StateMap, Text};
use crate::dialect::{Ctx, Job, Reply};
use crate::hub::{ChannelId, Effects, Hub, SubscriberId, ToldState, User, UserId};
use crate::limits::{FRAME_BYTES_PER_WORK, STATE_BYTES_MAX, STATE_KEYS_MAX, WORK_PER_MESSAGE};
use crate::transport::http::{Request, Response};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What it costs to note a channel in order of name, and a quarter of it to pass one by.
const WORK_PER_CHANNEL: u64 = 8;

impl Channelstream {
    /// `POST /user_state`.
    pub(super) fn user_state(
        &self,
        request: &Request<'_>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Reply, BodyFault> {
        let is_known = |name: &str| ctx.hub.find_user(ctx.app, name).is_some();
        let body = words::parse_user_state(request.body, is_known)?;
        let Some(user) = ctx.hub.find_user(ctx.app, &body.user) else {
            return Err(Errors::field("user", errors::UNKNOWN_USER).into());
        };
        let public_keys = body.state_public_keys.as_deref();
        let (state, keys) = (&body.user_state, public_keys.unwrap_or_default());
        check_bounds(ctx.hub, Some(user), &[], state, keys)?;
        // Whatever is begun is done to the end.
        if !ctx.takes_jobs && may_take_long(ctx.hub, user) {
            return Ok(Reply::Now(pages::busy()));
        }

        if let Some(keys) = public_keys {
            ctx.hub.set_public_keys(user, keys.iter().map(|key| &**key));
        }
        let changed: Vec<&(Text<'_>, &str)> = state
            .iter()
            .filter(|(key, value)| {
                let before = ctx.hub.user(user).and_then(|user| user.state_value(key));
                // A null for a key that is not there is not stored.
                let is_new = before.map_or(*value != "null", |before| !same_plain(before, value));
                is_new && ctx.hub.set_state(user, key, value)
            })
            .collect();
        ctx.hub.remember_user(user, &mut ctx.io);
        ctx.hub.touch_user(user, ctx.now);

        let text = answer(ctx.hub.user(user), &changed);
        let mut telling = Telling::new(user, &changed, ctx.hub);
        while !telling.go_on(ctx) {
            // Without that it is one channel at most, which is one more step.
            if ctx.takes_jobs {
                return Ok(Reply::Later(Box::new(TellingJob {
                    telling,
                    answer: self.dressed(request, Response::json(200, text)),
                })));
            }
        }
        Ok(Reply::Now(Response::json(200, text)))
    }
}

/// Refuses a call that would make a user's state larger than what is kept. `known` is the user, if
/// there is one; `fresh` comes before `state`.
pub(super) fn check_bounds(
    hub: &Hub,
    known: Option<UserId>,
    fresh: &[(Text<'_>, &str)],
    state: &StateMap<'_>,
    public_keys: &[Text<'_>],
) -> Result<(), BodyFault> {
    let public: usize = public_keys.iter().map(|key| key.len()).sum();
    let mut faults = Faults::default();
    if public_keys.len() > STATE_KEYS_MAX || public > STATE_BYTES_MAX {
        faults.push(
            || Place::Field("state_public_keys"),
            Errors::one(errors::STATE_SIZE),
        );
    }
    if !fresh.is_empty() || !state.is_empty() {
        let changes = fresh.iter().chain(state);
        let changes = changes.map(|(key, value)| (&**key, *value));
        if !hub.state_fits(known, changes) {
            let field = match state.is_empty() {
                true => "fresh_user_state",
                false => "user_state",
            };
            faults.push(|| Place::Field(field), Errors::one(errors::STATE_SIZE));
        }
    }
    Ok(faults.finish()?)
}

/// Whether more than one channel may have to be told.
fn may_take_long(hub: &Hub, user: UserId) -> bool {
    match hub.user(user).map_or(&[][..], User::subscribers) {
        [] => false,
        [one] => hub.subscriber(*one).is_some_and(|s| s.channel_count() > 1),
        [_, ..] => true,
    }
}

fn answer(user: Option<&User>, changed: &[&(Text<'_>, &str)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"user_state\":");
    push_state(&mut out, user.into_iter().flat_map(User::state));
    out.extend_from_slice(b",\"changed_state\":");
    push_changed(
        &mut out,
        changed.iter().map(|(key, value)| (&**key, *value)),
    );
    out.extend_from_slice(b",\"public_keys\":");
    push_texts(&mut out, user.into_iter().flat_map(User::public_keys));
    out.push(b'}');
    out
}

/// Channels that are told one after the other that the state of a user has changed.
struct Telling {
    user: UserId,
    changed: Vec<Box<str>>,
    /// Of these it is not known yet in which channels they are.
    subscribers: std::vec::IntoIter<SubscriberId>,
    /// Those that want to know, in order of name.
    channels: BTreeSet<(Rc<str>, ChannelId)>,
    last: Option<Rc<ToldState>>,
}

impl Telling {
    fn new(user: UserId, changed: &[&(Text<'_>, &str)], hub: &Hub) -> Self {
        let known = hub.user(user);
        let is_public = |key: &str| known.is_some_and(|user| user.is_public(key));
        let changed = changed.iter().filter(|(key, _)| is_public(key));
        let changed: Vec<Box<str>> = changed.map(|(key, _)| Box::from(&**key)).collect();
        // What nobody may see nobody is told.
        let subscribers = match (changed.is_empty(), known) {
            (false, Some(user)) => user.subscribers().to_vec(),
            (true, _) | (_, None) => Vec::new(),
        };
        Self {
            user,
            changed,
            subscribers: subscribers.into_iter(),
            channels: BTreeSet::new(),
            last: None,
        }
    }

    /// Does one step, and more until the turn has done enough. Whether that was all.
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> bool {
        while let Some(who) = self.subscribers.next() {
            let work = self.look_through(who, ctx.hub);
            ctx.io.spend(1 + work);
            if ctx.io.has_done_enough() {
                return self.is_done();
            }
        }
        while let Some((_, channel)) = self.channels.pop_first() {
            let (changed, last) = (&self.changed, &mut self.last);
            let io = &mut ctx.io;
            let bytes = ctx
                .hub
                .tell_state(self.user, channel, changed, last, ctx.now, io);
            // Beside what is written for those who are there, all of it was gathered.
            io.spend(WORK_PER_MESSAGE + bytes as u64 / FRAME_BYTES_PER_WORK);
            if io.has_done_enough() {
                return self.is_done();
            }
        }
        true
    }

    fn is_done(&self) -> bool {
        self.subscribers.as_slice().is_empty() && self.channels.is_empty()
    }

    /// Notes the channels of a subscriber that want to know. How much work that was.
    fn look_through(&mut self, who: SubscriberId, hub: &Hub) -> u64 {
        let Some(subscriber) = hub.subscriber(who) else {
            return 0;
        };
        let mut work = subscriber.channel_count() as u64 * WORK_PER_CHANNEL / 4;
        let channels = subscriber.channels().filter(|&id| hub.tells_state(id));
        for id in channels {
            if let Some(channel) = hub.channel(id) {
                self.channels.insert((channel.shared_name(), id));
                work += WORK_PER_CHANNEL;
            }
        }
        work
    }
}

/// The rest of it, in later turns.
struct TellingJob {
    telling: Telling,
    answer: Response,
}

impl Job for TellingJob {
    fn go_on(&mut self, ctx: &mut Ctx<'_>) -> Option<Response> {
        let is_done = self.telling.go_on(ctx);
        is_done.then(|| std::mem::take(&mut self.answer))
    }

    fn bytes(&self) -> usize {
        let Telling {
            changed,
            subscribers,
            channels,
            ..
        } = &self.telling;
        let keys: usize = changed.iter().map(|key| size_of_val(key) + key.len()).sum();
        let lists = size_of_val(subscribers.as_slice())
            + channels.len() * 2 * size_of::<(Rc<str>, ChannelId)>();
        self.answer.body.len() + keys + lists
    }
}
