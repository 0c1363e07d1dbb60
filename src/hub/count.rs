//! How many subscribers a channel has, where its app tells that.
//!
//! Up to [`COUNT_AT_ONCE_MAX`] of them hear of every change at once. A crowd hears of the first change
//! at once and of later ones every [`COUNT_EVERY_MS`], as long as there are any.

use super::{ChannelId, CountView, Effects, Event, Fact, Hub};
use crate::limits::{COUNT_AT_ONCE_MAX, COUNT_EVERY_MS};
use crate::time::{Millis, Now};

impl Hub {
    /// The number of subscribers of a channel has changed: they are told, now or in a while, if
    /// their app does that and they are not told of members instead.
    pub fn count_changed(&mut self, key: ChannelId, now: Now, fx: &mut impl Effects) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let app = channel.app;
        if channel.traits.has_members || !self.rules(app).tells_count {
            return;
        }
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let count = channel.subscriber_count();
        if count > COUNT_AT_ONCE_MAX {
            if channel.timer.due() != Millis::NEVER {
                return;
            }
            self.arm_channel(key, now.mono + COUNT_EVERY_MS);
        } else {
            channel.timer.disarm();
        }
        self.tell_count(key, count as u64, fx);
    }

    /// The time for the next number has come.
    pub(super) fn count_due(&mut self, key: ChannelId, now: Now, fx: &mut impl Effects) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let count = channel.subscriber_count() as u64;
        if count != channel.told_count {
            self.tell_count(key, count, fx);
            self.arm_channel(key, now.mono + COUNT_EVERY_MS);
        }
    }

    fn tell_count(&mut self, key: ChannelId, count: u64, fx: &mut impl Effects) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.told_count = count;
        let (app, name) = (channel.app, channel.shared_name());
        let channel = &*name;
        self.tell_all(key, &Event::Count(CountView { channel, count }), fx);
        fx.announce(app, Fact::Count { channel, count });
    }
}
