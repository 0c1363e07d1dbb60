//! Telling a subscriber what it missed while it was away.

use super::{ChannelId, Effects, Hub, SubscriberId};
use crate::limits::{CATCH_UP_REPLAYED_BYTES_MAX, CATCH_UP_REPLAYED_MAX};

/// In what order someone is caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Channel by channel, by name; private messages last.
    Channel,
    /// As it was told.
    Time,
}

impl Hub {
    /// Sends `who`, on its outlet, what was told since it was last there: the kept events of its
    /// channels that it may hear, and its user's private messages, in `order`. Frames are made
    /// once per event and format and kept with the event.
    ///
    /// False: it missed more than is replayed ([`CATCH_UP_REPLAYED_MAX`],
    /// [`CATCH_UP_REPLAYED_BYTES_MAX`]), and nothing was sent.
    #[must_use]
    pub fn catch_up(&mut self, who: SubscriberId, order: Order, fx: &mut impl Effects) -> bool {
        let channels = self.channels_of(who);
        if self.is_too_far_behind(who, channels.iter().map(|&(_, id)| id)) {
            return false;
        }
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return true;
        };
        let (outlet, format, seen) = (subscriber.outlet, subscriber.format, subscriber.seen);
        subscriber.seen = self.sequence;
        let user_key = subscriber.user;
        let Some(name) = self.users.get(user_key).map(|user| user.name.clone()) else {
            return true;
        };
        let mut missed = Vec::new();
        for (_, id) in channels {
            let subscription = subscriber.subscription(id);
            let format = subscription.map_or(format, |subscription| subscription.format);
            let Some(channel) = self.channels.get_mut(id) else {
                continue;
            };
            for entry in channel.recent.after(seen) {
                if !entry.event.is_for(&name) {
                    continue;
                }
                let told = entry.sequence;
                let frame =
                    entry.frame(format, |kept| fx.encode(format, &kept.event(), true, told));
                missed.extend(frame.map(|frame| (told, frame)));
            }
        }
        let private = self
            .users
            .get_mut(user_key)
            .and_then(|user| user.private.as_mut());
        for entry in private.into_iter().flat_map(|private| private.after(seen)) {
            let told = entry.sequence;
            let frame = entry.frame(format, |kept| fx.encode(format, &kept.event(), true, told));
            missed.extend(frame.map(|frame| (told, frame)));
        }
        if order == Order::Time {
            missed.sort_unstable_by_key(|&(told, _)| told);
        }
        for (_, frame) in &missed {
            fx.send_kept(outlet, frame);
        }
        true
    }

    /// Whether a subscriber missed more than is replayed; looks no further than it takes to know.
    fn is_too_far_behind(
        &self,
        who: SubscriberId,
        channels: impl Iterator<Item = ChannelId>,
    ) -> bool {
        let Some(subscriber) = self.subscribers.get(who) else {
            return false;
        };
        let seen = subscriber.seen;
        let private = self.users.get(subscriber.user);
        let private = private
            .and_then(|user| user.private.as_ref())
            .map(|private| private.size_after(seen));
        let missed = channels
            .filter_map(|id| self.channels.get(id))
            .map(|channel| channel.recent.size_after(seen));
        let (mut count, mut bytes) = (0, 0);
        missed.chain(private).any(|missed| {
            count += missed.0;
            bytes += missed.1;
            count > CATCH_UP_REPLAYED_MAX || (bytes > CATCH_UP_REPLAYED_BYTES_MAX && count > 1)
        })
    }
}
