//! Departures: a subscriber that has gone leaves its channels.
//!
//! It is gone at once: its id is free, its connection is hung up and it is told nothing more. But it
//! may be in thousands of channels with thousands of listeners each, who may all want to know. So it
//! leaves them one by one, in the order in which it joined them, and over several turns where that is much. Until it has
//! left a channel it counts as one of its subscribers, and its user as a member.

use super::{ChannelId, Effects, HangUp, Hub, Subscriber, SubscriberId, forget};
use crate::handler::ConnId;
use crate::limits::WORK_PER_SUBSCRIPTION;
use crate::room;
use crate::time::Now;

/// A subscriber that has gone, and the channels that it has not left yet.
#[derive(Debug)]
pub(super) struct Leaving {
    who: SubscriberId,
    left: std::vec::IntoIter<ChannelId>,
}

impl Hub {
    /// A subscriber is no more: its connection is hung up and it leaves all its channels, those
    /// that are too many for now in [`Hub::tick`]. False: it had gone already.
    pub fn depart(&mut self, who: SubscriberId, now: Now, fx: &mut impl Effects) -> bool {
        self.remove(who, HangUp::Removed, now, fx)
    }

    /// The same for a reason of its own.
    pub fn remove(
        &mut self,
        who: SubscriberId,
        why: HangUp,
        now: Now,
        fx: &mut impl Effects,
    ) -> bool {
        let channels = self.channels_in_order(who);
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return false;
        };
        if std::mem::replace(&mut subscriber.is_leaving, true) {
            return false;
        }
        subscriber.timer.disarm();
        let (outlet, format) = (subscriber.outlet, subscriber.format);
        let (app, id) = (subscriber.app, subscriber.id);
        let (subscribers, hash) = (&self.subscribers, &self.hash);
        let of = |subscriber: &Subscriber| hash.hash_one((subscriber.app.0, subscriber.id.0));
        forget(
            &mut self.subscriber_ids,
            hash.hash_one((app.0, id.0)),
            |&known| known == who,
            |&key| subscribers.get(key).map_or(0, of),
        );
        self.app_mut(app).subscribers -= 1;
        self.stop_being_known(who);
        if !outlet.is_none() {
            self.point(who, ConnId::NONE);
            fx.hang_up(outlet, format, why);
        }
        let left: Vec<ChannelId> = channels.into_iter().map(|(_, channel)| channel).collect();
        self.leaving.push_back(Leaving {
            who,
            left: left.into_iter(),
        });
        // Whoever lets go of many at once leaves the rest for later.
        if !fx.has_done_enough() {
            self.go_on_leaving(now, fx);
        }
        true
    }

    /// Those that have gone leave their channels, first come, first served, until the turn has done
    /// enough.
    pub(super) fn go_on_leaving(&mut self, now: Now, fx: &mut impl Effects) {
        // What is about to be done is taken off the list first: a panic costs one channel.
        while let Some(leaving) = self.leaving.front_mut() {
            let (who, next) = (leaving.who, leaving.left.next());
            let is_last = leaving.left.as_slice().is_empty();
            if let Some(channel) = next {
                self.part(who, channel, now, fx);
                fx.spend(WORK_PER_SUBSCRIPTION);
            }
            if is_last {
                self.leaving.pop_front();
                if let Some(gone) = self.subscribers.remove(who) {
                    self.leave_user(&gone, now, fx);
                }
            }
            if fx.has_done_enough() {
                return;
            }
        }
        room::release_queue(&mut self.leaving);
    }

    /// Subscribers that have gone and have not left all their channels.
    pub fn leaving(&self) -> usize {
        self.leaving.len()
    }

    /// Takes a departed subscriber out of its user's list.
    fn leave_user(&mut self, gone: &Subscriber, now: Now, fx: &mut impl Effects) {
        let Some(user) = self.users.get_mut(gone.user) else {
            return;
        };
        let place = gone.place_in_user as usize;
        user.subscribers.swap_remove(place);
        let is_offline = user.subscribers.is_empty();
        if let Some(moved) = user.subscribers.as_slice().get(place).copied()
            && let Some(moved) = self.subscribers.get_mut(moved)
        {
            moved.place_in_user = gone.place_in_user;
        }
        if is_offline {
            self.tell_watchers(gone.user, false, fx);
        }
        self.settle_user(gone.user, now);
    }
}
