//! How a message reaches everybody.
//!
//! The idea is three lines: for each subscriber, look up its outlet, push the frame. What follows
//! is those three lines arranged so that the loop reads one narrow array (outlet and subscriber,
//! 16 bytes each) and the outbox, and nothing else. Whoever is excluded is found beforehand by
//! name, as places in that array, so that the loop tests nothing per delivery.

use super::channel::{Audience, Listener};
use super::event::KeptEvent;
use super::{
    AppId, ChannelId, Effects, Event, Format, Hub, KeptMessage, NewMessage, SubscriberId, UserId,
};
use crate::frame::Frame;
use crate::time::Now;
use std::borrow::Cow;
use std::rc::Rc;

impl Hub {
    /// Publishes a message: to a channel, or privately to users where it names no channel.
    ///
    /// It is queued for the whole audience before this returns. Unknown channels and users are
    /// skipped. Returns how many connections it was handed to.
    pub fn publish(
        &mut self,
        app: AppId,
        message: &NewMessage<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> u64 {
        self.totals.published += 1;
        let delivered = match &message.channel {
            Some(name) => match self.channel_for(app, name, message, now, fx) {
                Some(channel) => self.publish_to_channel(app, channel, message, now, fx),
                None => 0,
            },
            None => {
                let users = self.users_named(app, &message.only, &message.except);
                if users.is_empty() {
                    return 0;
                }
                let kept = KeptEvent::Message(Rc::new(KeptMessage::new(message, None)));
                self.tell_users(&users, &kept, now, fx)
            }
        };
        self.totals.delivered += delivered;
        delivered
    }

    /// The channel that a message goes to, if there is one. It is made if it is one that shows the
    /// message to who comes next.
    pub(super) fn channel_for(
        &mut self,
        app: AppId,
        name: &str,
        message: &NewMessage<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> Option<ChannelId> {
        if let Some(channel) = self.find_channel(app, name) {
            return Some(channel);
        }
        if !(self.rules(app).traits)(name).is_cached || !is_cached(message) {
            return None;
        }
        let settings = self.rules(app).settings;
        Some(self.ensure_bare_channel(app, name, settings, now, fx))
    }

    fn publish_to_channel(
        &mut self,
        app: AppId,
        key: ChannelId,
        message: &NewMessage<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> u64 {
        self.keep(key, message, now, fx);
        let event = Event::Message(message.view());
        let chosen = Chosen {
            only: &message.only,
            except: &message.except,
            except_subscriber: message.except_subscriber,
        };
        let delivered = self.tell_chosen(app, key, &event, chosen, fx);
        // A message into a channel without members starts or restarts its time to be forgotten.
        self.settle_channel(key, now);
        delivered
    }

    /// A message comes to a channel: gives it its place in the hub's order and keeps it wherever the
    /// channel keeps such.
    pub(super) fn keep(
        &mut self,
        key: ChannelId,
        message: &NewMessage<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) {
        self.sequence += 1;
        let config = (self.config.history_messages, self.config.history_bytes);
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.last_active_micros = now.unix_micros;
        let settings = channel.settings;
        let keeps = settings.store_history && !message.no_history && settings.history_messages > 0;
        let caches = channel.traits.is_cached && is_cached(message);
        if keeps || settings.store_recent || caches {
            let kept = Rc::new(KeptMessage::new(message, Some(channel.name.clone())));
            if keeps {
                let count = usize::try_from(settings.history_messages).unwrap_or(usize::MAX);
                channel.keep_in_history(kept.clone(), count.min(config.0), config.1);
                self.remember_message(key, fx);
            }
            if caches {
                self.cache(key, kept.clone(), now);
            }
            self.keep_recent(key, KeptEvent::Message(kept));
        }
    }

    /// Tells those in a channel whom two lists of names choose: if `only` has any, none but them,
    /// and in no case those in `except`.
    pub(super) fn tell_chosen(
        &self,
        app: AppId,
        key: ChannelId,
        event: &Event<'_>,
        chosen: Chosen<'_>,
        fx: &mut impl Effects,
    ) -> u64 {
        let Chosen {
            only,
            except,
            except_subscriber,
        } = chosen;
        if only.is_empty() && except.is_empty() && except_subscriber.is_none() {
            return self.tell_all(key, event, fx);
        }
        let skipped = if except.is_empty() && except_subscriber.is_none() {
            Vec::new()
        } else {
            let except = self.users_named(app, except, &[]);
            let mut skipped = self.places_of(key, &except);
            skipped.extend(self.place_of(key, except_subscriber));
            skipped.sort_unstable();
            skipped.dedup();
            skipped
        };
        if only.is_empty() {
            return self.tell_around(key, event, &skipped, fx);
        }
        // A subscriber may be one user by itself and another one here: that it is neither of those
        // who are left out is looked at by its place, not by the names.
        let mut places = self.places_of(key, &self.users_named(app, only, except));
        places.retain(|place| skipped.binary_search(place).is_err());
        self.tell_only(key, event, &places, fx)
    }

    /// The users of the names in `only`, as far as they are known and not in `except`, each once
    /// and sorted.
    pub(super) fn users_named(
        &self,
        app: AppId,
        only: &[Cow<'_, str>],
        except: &[Cow<'_, str>],
    ) -> Vec<UserId> {
        let users = |names: &[Cow<'_, str>]| -> Vec<UserId> {
            let mut users: Vec<UserId> = names
                .iter()
                .filter_map(|name| self.find_user(app, name))
                .collect();
            users.sort_unstable();
            users.dedup();
            users
        };
        let mut chosen = users(only);
        if !except.is_empty() {
            let except = users(except);
            chosen.retain(|user| except.binary_search(user).is_err());
        }
        chosen
    }

    /// Tells every connection of these users something that is private to them, and keeps it for
    /// catch-up. Says how many connections it was handed to.
    pub(super) fn tell_users(
        &mut self,
        users: &[UserId],
        kept: &KeptEvent,
        now: Now,
        fx: &mut impl Effects,
    ) -> u64 {
        self.sequence += 1;
        let sequence = self.sequence;
        let limits = (self.config.catch_up_private, self.config.catch_up_bytes);
        let (event, bytes) = (kept.event(), kept.bytes());
        let mut frames = Frames::default();
        let mut delivered = 0;
        for &key in users {
            let Some(user) = self.users.get_mut(key) else {
                continue;
            };
            if user.subscribers.is_empty() {
                // Catch-up reaches back to the birth of a subscriber and no further, so nobody
                // could ever be given it. That it is remembered counts from now on.
                self.touch_user(key, now);
                continue;
            }
            let private = user.private.get_or_insert_default();
            private.push(sequence, kept.clone(), bytes, limits.0, limits.1);
            for &who in user.subscribers.as_slice() {
                let Some(subscriber) = self.subscribers.get(who) else {
                    continue;
                };
                if !subscriber.outlet.is_none()
                    && let Some(frame) = frames.get(subscriber.format, &event, sequence, fx)
                {
                    fx.send(subscriber.outlet, &frame);
                    delivered += 1;
                }
            }
        }
        delivered
    }

    /// Keeps an event of a channel for catch-up, if the channel does that.
    pub(super) fn keep_recent(&mut self, channel: ChannelId, event: KeptEvent) {
        let (count, bytes_max) = (self.config.catch_up_events, self.config.catch_up_bytes);
        let Some(channel) = self.channels.get_mut(channel) else {
            return;
        };
        if channel.settings.store_recent {
            let bytes = event.bytes();
            channel
                .recent
                .push(self.sequence, event, bytes, count, bytes_max);
        }
    }

    /// Tells everyone in a channel.
    pub(super) fn tell_all(&self, key: ChannelId, event: &Event<'_>, fx: &mut impl Effects) -> u64 {
        self.tell_around(key, event, &[], fx)
    }

    /// Tells everyone in a channel but those who stand at these places (sorted).
    fn tell_around(
        &self,
        key: ChannelId,
        event: &Event<'_>,
        skipped: &[(Format, u32)],
        fx: &mut impl Effects,
    ) -> u64 {
        let Some(channel) = self.channels.get(key) else {
            return 0;
        };
        let mut delivered = 0;
        for audience in &channel.audiences {
            if audience.attached == 0 {
                continue;
            }
            let Some(frame) = fx.encode(audience.format, event, false, self.sequence) else {
                continue;
            };
            delivered += if skipped.is_empty() {
                send_to(&audience.listeners, &frame, fx);
                audience.attached as u64
            } else {
                send_around(audience, skipped, &frame, fx)
            };
        }
        delivered
    }

    /// Tells only those in a channel who stand at these places.
    fn tell_only(
        &self,
        key: ChannelId,
        event: &Event<'_>,
        places: &[(Format, u32)],
        fx: &mut impl Effects,
    ) -> u64 {
        let Some(channel) = self.channels.get(key) else {
            return 0;
        };
        let mut frames = Frames::default();
        let mut delivered = 0;
        for &(format, place) in places {
            let listeners = channel.audiences.iter().find(|a| a.format == format);
            let Some(listener) = listeners.and_then(|a| a.listeners.get(place as usize)) else {
                continue;
            };
            if !listener.outlet.is_none()
                && let Some(frame) = frames.get(format, event, self.sequence, fx)
            {
                fx.send(listener.outlet, &frame);
                delivered += 1;
            }
        }
        delivered
    }

    /// Where a subscriber stands in the lists of a channel.
    fn place_of(&self, key: ChannelId, who: SubscriberId) -> Option<(Format, u32)> {
        let subscriber = self.subscribers.get(who)?;
        let subscription = subscriber.subscription(key)?;
        Some((subscription.format, subscription.place))
    }

    /// Where the subscribers of `users` stand in the lists of a channel, sorted.
    fn places_of(&self, key: ChannelId, users: &[UserId]) -> Vec<(Format, u32)> {
        let mut places = Vec::new();
        for &user in users {
            let guests = self.find_membership(key, user);
            let guests = guests.and_then(|id| self.memberships.get(id));
            let guests = guests.map_or(&[][..], |membership| membership.guests());
            places.extend(
                guests
                    .iter()
                    .filter_map(|guest| self.place_of(key, guest.who)),
            );
            let place = |&who: &SubscriberId| self.place_of(key, who);
            let subscribers = self
                .users
                .get(user)
                .map_or(&[][..], |u| u.subscribers.as_slice());
            places.extend(subscribers.iter().filter_map(place));
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// Whom of a channel something is told.
#[derive(Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// If not empty: only these users.
    pub(super) only: &'a [Cow<'a, str>],
    /// Not these users.
    pub(super) except: &'a [Cow<'a, str>],
    /// Nor this subscriber.
    pub(super) except_subscriber: SubscriberId,
}

/// Whether a cached channel shows it: what is for all and may be kept.
fn is_cached(message: &NewMessage<'_>) -> bool {
    !message.no_history && message.only.is_empty() && message.except.is_empty()
}

/// The fan-out: one frame to a run of listeners. Those that are away have no outlet, and a
/// connection that is none is skipped by the outbox.
#[inline]
fn send_to(listeners: &[Listener], frame: &Frame, fx: &mut impl Effects) {
    for listener in listeners {
        fx.send(listener.outlet, frame);
    }
}

/// The fan-out around the listeners at `skipped` (sorted by format and place): run by run.
fn send_around(
    audience: &Audience,
    skipped: &[(Format, u32)],
    frame: &Frame,
    fx: &mut impl Effects,
) -> u64 {
    let mut start = 0;
    let mut left_out = 0;
    for &(_, place) in skipped
        .iter()
        .filter(|(format, _)| *format == audience.format)
    {
        let place = place as usize;
        send_to(
            audience.listeners.get(start..place).unwrap_or(&[]),
            frame,
            fx,
        );
        let outlet = audience
            .listeners
            .get(place)
            .map(|listener| listener.outlet);
        left_out += u64::from(outlet.is_some_and(|outlet| !outlet.is_none()));
        start = place + 1;
    }
    send_to(audience.listeners.get(start..).unwrap_or(&[]), frame, fx);
    audience.attached as u64 - left_out
}

/// The frames of one event, one per format, made when first asked for.
#[derive(Default)]
pub(super) struct Frames(Vec<(Format, Option<Frame>)>);

impl Frames {
    pub(super) fn get(
        &mut self,
        format: Format,
        event: &Event<'_>,
        told: u64,
        fx: &mut impl Effects,
    ) -> Option<Frame> {
        if let Some((_, frame)) = self.0.iter().find(|(known, _)| *known == format) {
            return frame.clone();
        }
        let frame = fx.encode(format, event, false, told);
        self.0.push((format, frame.clone()));
        frame
    }
}
