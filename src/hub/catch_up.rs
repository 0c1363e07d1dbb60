//! Telling a subscriber what it missed while it was away.

use super::channel::KeptEvent;
use super::{Effects, Event, Hub, SubscriberId};

impl Hub {
    /// Sends `who`, on its outlet, what was told since it was last there: for each of its
    /// channels, in order of name, the kept events that it may hear; then its user's private
    /// messages. Frames are made once per event and format and kept with the event.
    pub fn catch_up(&mut self, who: SubscriberId, fx: &mut impl Effects) {
        let channels = self.channels_of(who);
        let Some(subscriber) = self.subscribers.get_mut(who) else {
            return;
        };
        let (outlet, format, seen) = (subscriber.outlet, subscriber.format, subscriber.seen);
        subscriber.seen = self.sequence;
        let user_key = subscriber.user;
        let Some(name) = self.users.get(user_key).map(|user| user.name.clone()) else {
            return;
        };
        for (_, id) in channels {
            let Some(channel) = self.channels.get_mut(id) else {
                continue;
            };
            for entry in channel.recent.after(seen) {
                if !entry.event.is_for(&name) {
                    continue;
                }
                let frame = entry.frame(format, |event| match event {
                    KeptEvent::Message(kept) => {
                        fx.encode(format, &Event::Message(kept.view()), true)
                    }
                    KeptEvent::Presence(presence) => {
                        fx.encode(format, &Event::Presence(presence), true)
                    }
                });
                fx.send_kept(outlet, &frame);
            }
        }
        let private = self
            .users
            .get_mut(user_key)
            .and_then(|user| user.private.as_mut());
        for entry in private.into_iter().flat_map(|private| private.after(seen)) {
            let frame = entry.frame(format, |kept| {
                fx.encode(format, &Event::Message(kept.view()), true)
            });
            fx.send_kept(outlet, &frame);
        }
    }
}
