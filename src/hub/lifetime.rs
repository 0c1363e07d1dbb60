//! What is forgotten, and when.
//!
//! Nothing outlives its use: a user without subscribers and without state goes at once, a channel
//! that nobody is in goes after a stated time unless it has a history. What is remembered is
//! remembered for a stated time.

use super::{
    Alarm, Channel, ChannelId, Effects, HangUp, Hub, Remember, Settings, User, UserId, forget,
};
use crate::limits::ALARMS_PER_TURN;
use crate::room;
use crate::time::{Millis, Now, Surfaced};

impl Hub {
    /// When this hub next wants to be told the time, if ever. The answer can change after any call
    /// that takes `&mut self`.
    pub fn next_deadline(&self) -> Option<Millis> {
        let has_more = !self.due.is_empty() || !self.leaving.is_empty();
        if has_more || self.remembers_too_many() {
            return Some(Millis(0));
        }
        self.wheel.next_deadline()
    }

    /// Time has come to `now`: lets go of whoever and whatever is due, after those that are leaving
    /// already. Of a crowd only the first
    /// [`ALARMS_PER_TURN`] have their turn, and fewer where many others are told of each;
    /// [`Hub::next_deadline`] then says that more are due.
    pub fn tick(&mut self, now: Now, fx: &mut impl Effects) {
        self.wheel.surface(now.mono, &mut self.due);
        self.go_on_leaving(now, fx);
        if !self.leaving.is_empty() {
            return;
        }
        self.forget_the_oldest(fx);
        for _ in 0..ALARMS_PER_TURN {
            let Some(entry) = self.due.pop_front() else {
                // A crowd's room is not kept for the next one.
                room::release_queue(&mut self.due);
                return;
            };
            self.ring(entry, now, fx);
            if fx.has_done_enough() {
                return;
            }
        }
    }

    fn ring(&mut self, entry: Surfaced<Alarm>, now: Now, fx: &mut impl Effects) {
        match entry.key {
            Alarm::Subscriber(id) => {
                if let Some(subscriber) = self.subscribers.get_mut(id)
                    && self.wheel.rings(entry, &mut subscriber.timer, now.mono)
                {
                    let why = match subscriber.outlet.is_none() {
                        true => HangUp::Removed,
                        // It had so long to prove something.
                        false => HangUp::Unauthorized,
                    };
                    self.remove(id, why, now, fx);
                }
            }
            Alarm::User(id) => {
                if let Some(user) = self.users.get_mut(id)
                    && self.wheel.rings(entry, &mut user.timer, now.mono)
                {
                    self.let_go_of_user(id, fx);
                }
            }
            Alarm::Channel(id) => {
                if let Some(channel) = self.channels.get_mut(id)
                    && self.wheel.rings(entry, &mut channel.timer, now.mono)
                {
                    if channel.subscriber_count() > 0 {
                        self.count_due(id, now, fx);
                    } else if let Some(gone) = self.forget_channel(id)
                        && gone.is_remembered
                    {
                        let channel = &gone.name;
                        fx.remember(gone.app, Remember::NoChannel { channel });
                    }
                }
            }
        }
    }

    /// A channel may have become unused: sets the time to forget it.
    pub(super) fn settle_channel(&mut self, id: ChannelId, now: Now) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        if channel.subscriber_count() > 0 {
            return;
        }
        // A history is remembered as long as the process lives; its size is bounded. So is what
        // the application gave the channel itself.
        if !channel.history.is_empty() || channel.is_configured {
            channel.timer.disarm();
            return;
        }
        // Of a protocol that counts on a channel's name and id there was nobody.
        let is_fleeting = channel.traits.is_fleeting && channel.is_bare;
        let settings = channel.settings;
        let cached_until = self.cached_until(id, now);
        if is_fleeting {
            match cached_until {
                Some(until) => self.arm_channel(id, until),
                // Without history and bare, so it is none that survives a restart.
                None => drop(self.forget_channel(id)),
            }
            return;
        }
        let until = now.mono + self.forget_after_ms(&settings);
        self.arm_channel(id, cached_until.map_or(until, |cached| cached.max(until)));
    }

    /// How long a channel with these settings is remembered that nobody is in. Even one that
    /// remembers nothing keeps its name and id for a while, as callers expect of a channel whose
    /// members change.
    pub(super) fn forget_after_ms(&self, settings: &Settings) -> u64 {
        if *settings == Settings::default() {
            self.config.channel_forget_ms
        } else {
            self.config.channel_configured_forget_ms
        }
    }

    pub(super) fn arm_channel(&mut self, id: ChannelId, at: Millis) {
        if let Some(channel) = self.channels.get_mut(id) {
            self.wheel.arm(Alarm::Channel(id), &mut channel.timer, at);
        }
    }

    /// A channel that was made but that nobody joined after all is settled like one that was left.
    pub fn release_channel(&mut self, id: ChannelId, now: Now) {
        self.settle_channel(id, now);
    }

    fn forget_channel(&mut self, id: ChannelId) -> Option<Channel> {
        if self
            .channels
            .get(id)
            .is_none_or(|channel| channel.subscriber_count() > 0)
        {
            return None;
        }
        self.forget_cached(id);
        let channel = self.channels.remove(id)?;
        let (channels, hash) = (&self.channels, &self.hash);
        forget(
            &mut self.channel_names,
            hash.hash_one((channel.app.0, &*channel.name)),
            |&known| known == id,
            |&id| {
                channels
                    .get(id)
                    .map_or(0, |c| hash.hash_one((c.app.0, &*c.name)))
            },
        );
        Some(channel)
    }

    /// A user may have lost its last subscriber: forgets it now, or sets the time for it.
    pub fn settle_user(&mut self, id: UserId, now: Now) {
        let Some(user) = self.users.get_mut(id) else {
            return;
        };
        if !user.subscribers.is_empty() {
            return;
        }
        user.private = None;
        if user.memberships > 0 {
            return;
        }
        if !user.has_state() {
            // So it is none that survives a restart.
            self.forget_user(id);
            return;
        }
        if user.away.is_none() {
            self.sequence += 1;
            user.away = Some(self.sequence);
            self.away_users.insert((self.sequence, id));
        }
        self.wheel.arm(
            Alarm::User(id),
            &mut user.timer,
            now.mono + self.config.user_forget_ms,
        );
    }

    /// Whether more users are only remembered than may be. It is so until the next [`Hub::tick`].
    fn remembers_too_many(&self) -> bool {
        self.away_users.len() > self.config.users_remembered
    }

    /// Of the users that are only remembered the oldest go, if they are too many.
    fn forget_the_oldest(&mut self, fx: &mut impl Effects) {
        for _ in 0..ALARMS_PER_TURN {
            let Some(&(_, oldest)) = self.away_users.first() else {
                return;
            };
            if !self.remembers_too_many() {
                return;
            }
            self.let_go_of_user(oldest, fx);
        }
    }

    /// Forgets a user, and reports it if it is one that survives a restart.
    fn let_go_of_user(&mut self, id: UserId, fx: &mut impl Effects) {
        if let Some(gone) = self.forget_user(id)
            && gone.is_remembered
        {
            let user = &gone.name;
            fx.remember(gone.app, Remember::NoUser { user });
        }
    }

    /// Something was done for a user. If it is only remembered, it is so from now on.
    pub fn touch_user(&mut self, id: UserId, now: Now) {
        let is_away = |user: &User| user.subscribers.is_empty();
        if self.users.get(id).is_some_and(is_away) {
            self.return_user(id);
            self.settle_user(id, now);
        }
    }

    /// A remembered user is back.
    pub(super) fn return_user(&mut self, id: UserId) {
        let Some(user) = self.users.get_mut(id) else {
            return;
        };
        user.timer.disarm();
        if let Some(since) = user.away.take() {
            self.away_users.remove(&(since, id));
        }
    }

    fn forget_user(&mut self, id: UserId) -> Option<User> {
        if self
            .users
            .get(id)
            .is_none_or(|user| !user.subscribers.is_empty() || user.memberships > 0)
        {
            return None;
        }
        let user = self.users.remove(id)?;
        if let Some(since) = user.away {
            self.away_users.remove(&(since, id));
        }
        let (users, hash) = (&self.users, &self.hash);
        forget(
            &mut self.user_names,
            hash.hash_one((user.app.0, &*user.name)),
            |&known| known == id,
            |&id| {
                users
                    .get(id)
                    .map_or(0, |u| hash.hash_one((u.app.0, &*u.name)))
            },
        );
        Some(user)
    }

    /// Gives back memory that is only kept for whoever comes next. For quiet times.
    pub fn trim(&mut self) {
        self.channels.trim();
        self.subscribers.trim();
        self.users.trim();
        self.memberships.trim();
        room::trim_table(&mut self.channel_names);
        room::trim_table(&mut self.subscriber_ids);
        room::trim_table(&mut self.user_names);
        room::trim_table(&mut self.membership_pairs);
    }
}
