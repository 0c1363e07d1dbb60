//! Looking at the hub page by page, at a price that does not grow with it.
//!
//! Pages go by places in the tables: where a page ended is a number, and it stays good however
//! much comes and goes meanwhile. What comes into a place that was passed is not shown, as in any
//! list that changes while it is read.

use super::{AppId, Channel, ChannelId, Event, Hub, Subscriber, SubscriberId, User, UserId};
use std::ops::Range;

impl Hub {
    /// Places in the table of channels, free ones included.
    pub fn channel_places(&self) -> usize {
        self.channels.places()
    }

    /// The channels of `app` that stand within these places, in their order.
    pub fn channels_within(
        &self,
        app: AppId,
        places: Range<usize>,
    ) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.channels
            .within(places)
            .filter(move |(_, channel)| channel.app == app)
    }

    /// Places in the table of subscribers, free ones included.
    pub fn subscriber_places(&self) -> usize {
        self.subscribers.places()
    }

    /// The subscribers of `app` that stand within these places and have not gone, in their order.
    pub fn subscribers_within(
        &self,
        app: AppId,
        places: Range<usize>,
    ) -> impl Iterator<Item = (SubscriberId, &Subscriber)> {
        self.subscribers
            .within(places)
            .filter(move |(_, known)| known.app == app && !known.is_leaving)
    }

    /// Places in the table of users, free ones included.
    pub fn user_places(&self) -> usize {
        self.users.places()
    }

    /// The users of `app` that stand within these places, in their order.
    pub fn users_within(
        &self,
        app: AppId,
        places: Range<usize>,
    ) -> impl Iterator<Item = (UserId, &User)> {
        self.users
            .within(places)
            .filter(move |(_, user)| user.app == app)
    }
}

impl Channel {
    /// The events after `sequence` that it keeps for catch-up, oldest first, each with its own
    /// place in the hub's order. Whom they are for is not looked at.
    pub fn recent_after(&self, sequence: u64) -> impl DoubleEndedIterator<Item = (u64, Event<'_>)> {
        self.recent
            .look_after(sequence)
            .map(|entry| (entry.sequence, entry.event.event()))
    }
}
