//! Connecting, subscribing and leaving.
//!
//! Every step is O(1) in the size of the channel: a subscription knows its place in the channel's
//! list, removal moves the last one in and corrects *its* place, and a user's membership is found
//! by the pair of channel and user. A subscriber's own list is sorted by channel and searched by
//! halves, as it may hold thousands.

use super::channel::{Guest, Listener, Membership};
use super::few::Few;
use super::subscriber::Subscription;
use super::{
    Alarm, AppId, ChannelId, Effects, Fact, Format, HangUp, Hub, Id, MembershipId, Refusal,
    Subscriber, SubscriberId, UserId, forget,
};
use crate::handler::ConnId;
use crate::room;
use crate::time::{Millis, Now, Timer};
use std::rc::Rc;

/// As whom a subscriber is in a channel.
#[derive(Debug, Clone)]
pub enum Role {
    /// As nobody: it is no member.
    Nobody,
    /// As the user whose it is.
    Own(UserId),
    /// As this user, in this channel only.
    Guest {
        /// Who it is.
        user: UserId,
        /// What it says of the user, as JSON text.
        info: Option<Rc<str>>,
        /// Whether it wants to be paired with other members.
        is_peer: bool,
    },
}

impl Hub {
    /// A subscriber is born, away for now: it goes again at `expires` unless it gets an outlet.
    ///
    /// `id` must not be in use in the user's app; none is returned if it is, or if the user has
    /// gone.
    pub fn connect(
        &mut self,
        user: UserId,
        id: Id,
        format: Format,
        expires: Millis,
    ) -> Option<SubscriberId> {
        let app = self.users.get(user)?.app;
        let key = self.connect_nobody(app, id, format, expires)?;
        self.own(key, user);
        Some(key)
    }

    /// The same for a subscriber that is nobody's, as long as [`Hub::identify`] is not called.
    pub fn connect_nobody(
        &mut self,
        app: AppId,
        id: Id,
        format: Format,
        expires: Millis,
    ) -> Option<SubscriberId> {
        if self.find_subscriber(app, id).is_some() {
            return None;
        }
        let key = self.subscribers.insert(Subscriber {
            id,
            user: UserId::NONE,
            place_in_user: 0,
            outlet: ConnId::NONE,
            seen: self.sequence,
            born: self.sequence,
            timer: Timer::default(),
            subscriptions: Few::None,
            app,
            format,
            next_order: 0,
            is_leaving: false,
        });
        let (subscribers, hash) = (&self.subscribers, &self.hash);
        let rehash = |&k: &SubscriberId| {
            subscribers
                .get(k)
                .map_or(0, |s| hash.hash_one((s.app.0, s.id.0)))
        };
        self.subscriber_ids
            .insert_unique(hash.hash_one((app.0, id.0)), key, rehash);
        self.app_mut(app).subscribers += 1;
        self.expire_at(key, expires);
        Some(key)
    }

    /// A subscriber becomes its user's.
    fn own(&mut self, who: SubscriberId, user: UserId) {
        self.return_user(user);
        let Some(known) = self.users.get_mut(user) else {
            return;
        };
        let place = known.subscribers.len() as u32;
        known.subscribers.push(who);
        if let Some(subscriber) = self.subscribers.get_mut(who) {
            (subscriber.user, subscriber.place_in_user) = (user, place);
        }
    }

    /// A subscriber that was nobody's says whose it is. False: it has gone, or is somebody's.
    pub fn identify(&mut self, who: SubscriberId, user: UserId, fx: &mut impl Effects) -> bool {
        let is_nobodys = self
            .subscriber(who)
            .is_some_and(|known| known.user.is_none());
        if !is_nobodys || !self.users.contains(user) {
            return false;
        }
        self.own(who, user);
        self.came_online(user, fx);
        true
    }

    /// A user has one subscriber more: tells who watches it, if that is the first.
    pub fn came_online(&self, user: UserId, fx: &mut impl Effects) {
        if self
            .users
            .get(user)
            .is_some_and(|user| user.subscribers.len() == 1)
        {
            self.tell_watchers(user, true, fx);
        }
    }

    /// Lets an away subscriber go at `at`, and an attached one as [`HangUp::Unauthorized`] unless it is
    /// to [stay](Hub::stay).
    pub fn expire_at(&mut self, who: SubscriberId, at: Millis) {
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return;
        };
        self.wheel
            .arm(Alarm::Subscriber(who), &mut subscriber.timer, at);
    }

    /// An attached subscriber that [`Hub::expire_at`] gave a time to prove something has done so.
    pub fn stay(&mut self, who: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(who)
            && !subscriber.outlet.is_none()
        {
            subscriber.timer.disarm();
        }
    }

    /// Makes `outlet` the connection that `who` is reachable through, and tells it in `format`
    /// from now on. A former one is hung up. False: the subscriber has gone.
    pub fn attach_as(
        &mut self,
        who: SubscriberId,
        outlet: ConnId,
        format: Format,
        fx: &mut impl Effects,
    ) -> bool {
        if !self.attach(who, outlet, fx) {
            return false;
        }
        self.refile(who, format);
        true
    }

    /// What was told after `last`, a place in the hub's order, has not been heard. Nothing from
    /// before its birth was ever told, and nothing from the future.
    pub fn rewind(&mut self, who: SubscriberId, last: u64) {
        let sequence = self.sequence;
        if let Some(subscriber) = self.subscribers.get_mut(who)
            && last <= sequence
        {
            subscriber.seen = last.max(subscriber.born);
        }
    }

    /// Moves `who` to the lists of another format, wherever it is told in the one that it is told in
    /// by itself.
    fn refile(&mut self, who: SubscriberId, format: Format) {
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return;
        };
        let former = std::mem::replace(&mut subscriber.format, format);
        if former == format {
            return;
        }
        let (outlet, count) = (subscriber.outlet, subscriber.subscriptions.len());
        for at in 0..count {
            let subscriber = self.subscribers.get(who);
            let Some(&subscription) =
                subscriber.and_then(|known| known.subscriptions.as_slice().get(at))
            else {
                continue;
            };
            if subscription.format != former {
                continue;
            }
            self.remove_listener(subscription);
            let Some(channel) = self.channels.get_mut(subscription.channel) else {
                continue;
            };
            let audience = channel.audience(format);
            let place = audience.listeners.len() as u32;
            audience.listeners.push(Listener {
                outlet,
                subscriber: who,
            });
            audience.attached += usize::from(!outlet.is_none());
            if let Some(subscriber) = self.subscribers.get_mut(who)
                && let Some(moved) = subscriber.subscriptions.as_mut_slice().get_mut(at)
            {
                (moved.place, moved.format) = (place, format);
            }
        }
    }

    /// Makes `outlet` the connection that `who` is reachable through. A former one is hung up.
    /// False: the subscriber has gone.
    pub fn attach(&mut self, who: SubscriberId, outlet: ConnId, fx: &mut impl Effects) -> bool {
        let sequence = self.sequence;
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return false;
        };
        subscriber.timer.disarm();
        let (former, format) = (subscriber.outlet, subscriber.format);
        if !former.is_none() {
            // All that was told so far was queued for the former one: catching up must not say it
            // a second time.
            subscriber.seen = sequence;
        }
        self.point(who, outlet);
        if !former.is_none() && former != outlet {
            fx.hang_up(former, format, HangUp::Replaced);
        }
        true
    }

    /// The connection `outlet` has gone. If it is still the outlet of `who`, the subscriber is
    /// away from now on and goes at `expires`. False: it was not.
    pub fn detach(&mut self, who: SubscriberId, outlet: ConnId, expires: Millis) -> bool {
        // All that was told so far has been queued for it; what is told from now on has not.
        self.detach_at(who, outlet, self.sequence, expires)
    }

    /// The same where not all of it has been handed on: only what was told up to `seen`, a place
    /// in the hub's order.
    pub fn detach_at(
        &mut self,
        who: SubscriberId,
        outlet: ConnId,
        seen: u64,
        expires: Millis,
    ) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return false;
        };
        if subscriber.outlet != outlet || outlet.is_none() {
            return false;
        }
        subscriber.seen = seen;
        self.point(who, ConnId::NONE);
        self.expire_at(who, expires);
        true
    }

    /// The connection `outlet` has gone, and with it frames that were queued for it. If it is still
    /// the outlet of `who`, the subscriber departs: it cannot be told later what it missed. False:
    /// it was not.
    pub fn cut_off(
        &mut self,
        who: SubscriberId,
        outlet: ConnId,
        now: Now,
        fx: &mut impl Effects,
    ) -> bool {
        // Away for the moment of departing: nothing is left that could be hung up.
        self.detach(who, outlet, now.mono) && self.depart(who, now, fx)
    }

    /// Writes the outlet of `who` wherever the fan-out reads it.
    pub(super) fn point(&mut self, who: SubscriberId, outlet: ConnId) {
        let Self {
            subscribers,
            channels,
            ..
        } = self;
        let Some(subscriber) = subscribers.get_mut(who) else {
            return;
        };
        subscriber.outlet = outlet;
        for subscription in subscriber.subscriptions.as_slice() {
            let Some(channel) = channels.get_mut(subscription.channel) else {
                continue;
            };
            let audience = channel.audience(subscription.format);
            let Some(listener) = audience.listeners.get_mut(subscription.place as usize) else {
                continue;
            };
            audience.attached -= usize::from(!listener.outlet.is_none());
            audience.attached += usize::from(!outlet.is_none());
            listener.outlet = outlet;
        }
    }

    /// `who` joins a channel. True: it was not there before.
    ///
    /// If it is the first subscriber of its user there, the others are told (where the channel
    /// does that) before it is added.
    ///
    /// # Errors
    /// Either has gone, or `who` is in as many channels as it may be.
    pub fn subscribe(
        &mut self,
        who: SubscriberId,
        channel: ChannelId,
        now: Now,
        fx: &mut impl Effects,
    ) -> Result<bool, Refusal> {
        let user = self
            .subscriber(who)
            .map_or(UserId::NONE, |known| known.user);
        let is_new = self.subscribe_as(who, channel, Role::Own(user), now, fx)?;
        if is_new {
            self.count_changed(channel, now, fx);
        }
        Ok(is_new)
    }

    /// The same as whoever `role` says. The others are not told yet how many they are, so that `who`
    /// can be told before that it is in: see [`Hub::count_changed`].
    ///
    /// # Errors
    /// As for [`Hub::subscribe`].
    pub fn subscribe_as(
        &mut self,
        who: SubscriberId,
        channel: ChannelId,
        role: Role,
        now: Now,
        fx: &mut impl Effects,
    ) -> Result<bool, Refusal> {
        let known = self.subscriber(who).ok_or(Refusal::UnknownSubscriber)?;
        self.subscribe_in(who, channel, role, known.format, now, fx)
    }

    /// The same, to be told of this channel in a format of its own, for as long as it is in there:
    /// [`Hub::attach_as`] changes only that of channels where it is told as everywhere. One that is
    /// there already stays as it is.
    ///
    /// # Errors
    /// As for [`Hub::subscribe`].
    pub fn subscribe_in(
        &mut self,
        who: SubscriberId,
        channel: ChannelId,
        role: Role,
        format: Format,
        now: Now,
        fx: &mut impl Effects,
    ) -> Result<bool, Refusal> {
        let subscriber = self.subscriber(who).ok_or(Refusal::UnknownSubscriber)?;
        if !self.channels.contains(channel) {
            return Err(Refusal::UnknownChannel);
        }
        let Err(at) = subscriber.find(channel) else {
            return Ok(false);
        };
        let limit = self.config.channels_per_subscriber;
        if subscriber.subscriptions.len() >= limit {
            return Err(Refusal::TooManyChannels { limit });
        }
        let (outlet, own_format) = (subscriber.outlet, subscriber.format);
        if let Role::Own(user) | Role::Guest { user, .. } = &role
            && !user.is_none()
            && !self.users.contains(*user)
        {
            return Err(Refusal::UnknownSubscriber);
        }
        // That somebody is there is announced before who it is.
        if let Some(channel) = self.channels.get(channel)
            && channel.subscriber_count() == 0
        {
            let name = &channel.name;
            fx.announce(channel.app, Fact::Occupied { channel: name });
        }
        let membership = match role {
            Role::Nobody => MembershipId::NONE,
            Role::Own(user) if user.is_none() => MembershipId::NONE,
            Role::Own(user) => self
                .join(channel, user, None, own_format, now, fx)
                .ok_or(Refusal::UnknownChannel)?,
            Role::Guest {
                user,
                info,
                is_peer,
            } => {
                self.sequence += 1;
                let guest = Guest {
                    who,
                    info,
                    joined: self.sequence,
                    format: own_format,
                    is_peer,
                };
                self.join(channel, user, Some(guest), own_format, now, fx)
                    .ok_or(Refusal::UnknownChannel)?
            }
        };
        let channel_key = channel;
        let Some(channel) = self.channels.get_mut(channel) else {
            return Err(Refusal::UnknownChannel);
        };
        channel.last_active_micros = now.unix_micros;
        if channel.subscriber_count() == 0 {
            channel.timer.disarm();
            channel.told_count = 0;
        }
        let audience = channel.audience(format);
        let place = audience.listeners.len() as u32;
        audience.listeners.push(Listener {
            outlet,
            subscriber: who,
        });
        audience.attached += usize::from(!outlet.is_none());
        if let Some(subscriber) = self.subscribers.get_mut(who) {
            let subscription = Subscription {
                channel: channel_key,
                membership,
                place,
                order: subscriber.take_order(),
                format,
            };
            subscriber.subscriptions.insert(at, subscription);
        }
        self.totals.subscriptions += 1;
        Ok(true)
    }

    /// One more subscriber of `user` in `channel`, which is told in `format` by itself; the first
    /// makes it a member.
    fn join(
        &mut self,
        channel: ChannelId,
        user: UserId,
        guest: Option<Guest>,
        format: Format,
        now: Now,
        fx: &mut impl Effects,
    ) -> Option<MembershipId> {
        if let Some(id) = self.find_membership(channel, user) {
            let membership = self.memberships.get_mut(id)?;
            membership.subscribers += 1;
            if let Some(guest) = guest {
                membership.add_guest(guest, false);
            }
            return Some(id);
        }
        self.return_user(user);
        self.users.get_mut(user)?.memberships += 1;
        let info = guest.as_ref().and_then(|guest| guest.info.clone());
        let joined = match &guest {
            Some(guest) => guest.joined,
            None => {
                self.sequence += 1;
                self.sequence
            }
        };
        let place = self.channels.get(channel)?.members.len() as u32;
        let mut membership = Membership {
            channel,
            user,
            subscribers: 1,
            place,
            joined,
            guests: None,
        };
        if let Some(guest) = guest {
            membership.add_guest(guest, true);
        }
        let id = self.memberships.insert(membership);
        let (memberships, hash) = (&self.memberships, &self.hash);
        let pair = |m: &Membership| hash.hash_one((m.channel.to_bits(), m.user.to_bits()));
        let rehash = |&id: &MembershipId| memberships.get(id).map_or(0, pair);
        let hash = hash.hash_one((channel.to_bits(), user.to_bits()));
        self.membership_pairs.insert_unique(hash, id, rehash);
        self.channels.get_mut(channel)?.members.push(id);
        self.tell_presence(channel, user, true, (info, format), now, fx);
        Some(id)
    }

    /// `who` leaves a channel. True: it was there.
    ///
    /// If it was the last subscriber of its user there, the others are told (where the channel
    /// does that).
    pub fn unsubscribe(
        &mut self,
        who: SubscriberId,
        channel: ChannelId,
        now: Now,
        fx: &mut impl Effects,
    ) -> bool {
        match self.subscribers.get(who) {
            Some(subscriber) if !subscriber.is_leaving => self.part(who, channel, now, fx),
            Some(_) | None => false,
        }
    }

    /// The same for whoever it is.
    pub(super) fn part(
        &mut self,
        who: SubscriberId,
        channel: ChannelId,
        now: Now,
        fx: &mut impl Effects,
    ) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return false;
        };
        let Ok(at) = subscriber.find(channel) else {
            return false;
        };
        let Some(subscription) = subscriber.subscriptions.remove(at) else {
            return false;
        };
        self.remove_listener(subscription);
        self.leave(subscription.membership, who, now, fx);
        self.totals.subscriptions -= 1;
        match self.channels.get(channel) {
            Some(known) if known.subscriber_count() == 0 => {
                let channel = &known.name;
                fx.announce(known.app, Fact::Vacated { channel });
            }
            Some(_) => self.count_changed(channel, now, fx),
            None => {}
        }
        self.settle_channel(channel, now);
        true
    }

    /// Takes a listener out of its list: the last one moves to its place and is told so.
    fn remove_listener(&mut self, gone: Subscription) {
        let Some(channel) = self.channels.get_mut(gone.channel) else {
            return;
        };
        let audience = channel.audience(gone.format);
        let place = gone.place as usize;
        if place >= audience.listeners.len() {
            return;
        }
        let listener = audience.listeners.swap_remove(place);
        audience.attached -= usize::from(!listener.outlet.is_none());
        let moved = audience
            .listeners
            .get(place)
            .map(|listener| listener.subscriber);
        let list = &mut audience.listeners;
        if list.capacity() > 64 && list.len() * 4 < list.capacity() {
            room::refit(list, list.len() * 2);
        }
        if let Some(moved) = moved.and_then(|moved| self.subscribers.get_mut(moved))
            && let Ok(at) = moved.find(gone.channel)
            && let Some(subscription) = moved.subscriptions.as_mut_slice().get_mut(at)
        {
            subscription.place = gone.place;
        }
    }

    /// One subscriber fewer; the last ends the membership.
    fn leave(&mut self, id: MembershipId, who: SubscriberId, now: Now, fx: &mut impl Effects) {
        let Some(membership) = self.memberships.get_mut(id) else {
            return;
        };
        membership.subscribers -= 1;
        let guest = membership.remove_guest(who);
        if membership.subscribers > 0 {
            return;
        }
        let said = match guest {
            Some(guest) => (guest.info, guest.format),
            None => {
                let known = self.subscribers.get(who);
                (None, known.map_or(Format(0), |known| known.format))
            }
        };
        let (channel_key, user) = (membership.channel, membership.user);
        let place = membership.place as usize;
        let hash = &self.hash;
        let memberships = &self.memberships;
        let pair = |m: &Membership| hash.hash_one((m.channel.to_bits(), m.user.to_bits()));
        forget(
            &mut self.membership_pairs,
            hash.hash_one((channel_key.to_bits(), user.to_bits())),
            |&known| known == id,
            |&id| memberships.get(id).map_or(0, pair),
        );
        self.memberships.remove(id);
        if let Some(channel) = self.channels.get_mut(channel_key) {
            if place < channel.members.len() {
                channel.members.swap_remove(place);
            }
            if channel.members.capacity() > 64
                && channel.members.len() * 4 < channel.members.capacity()
            {
                let room = channel.members.len() * 2;
                room::refit(&mut channel.members, room);
            }
            if let Some(moved) = channel
                .members
                .get(place)
                .and_then(|&m| self.memberships.get_mut(m))
            {
                moved.place = place as u32;
            }
        }
        if let Some(known) = self.users.get_mut(user) {
            known.memberships -= 1;
        }
        self.tell_presence(channel_key, user, false, said, now, fx);
        self.settle_user(user, now);
    }

    /// The channels that `who` is in, in order of name.
    pub fn channels_of(&self, who: SubscriberId) -> Vec<(Rc<str>, ChannelId)> {
        let Some(subscriber) = self.subscribers.get(who) else {
            return Vec::new();
        };
        let mut channels: Vec<(Rc<str>, ChannelId)> = subscriber
            .channels()
            .filter_map(|id| Some((self.channels.get(id)?.name.clone(), id)))
            .collect();
        channels.sort_unstable();
        channels
    }

    /// The same in order of joining.
    pub fn channels_in_order(&self, who: SubscriberId) -> Vec<(Rc<str>, ChannelId)> {
        let Some(subscriber) = self.subscribers.get(who) else {
            return Vec::new();
        };
        let mut subscriptions: Vec<&Subscription> =
            subscriber.subscriptions.as_slice().iter().collect();
        subscriptions.sort_by_key(|subscription| subscription.order);
        let channels = subscriptions.into_iter().filter_map(|subscription| {
            let channel = self.channels.get(subscription.channel)?;
            Some((channel.name.clone(), subscription.channel))
        });
        channels.collect()
    }
}
