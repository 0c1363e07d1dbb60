//! Cached channels: the last message is shown to who comes next.
//!
//! What is kept is bounded over all channels, in number and in bytes; whatever would go first by its
//! time goes early. A channel that somebody found empty is noted the same way, so that this is
//! announced once and not for each of them. Anybody can make such notes, by asking for one name after
//! the other, so they go before any message does.

use super::amend::Edited;
use super::channel::Cached;
use super::event::Change;
use super::{ChannelId, Effects, Fact, Format, Hub, Id, KeptMessage};
use crate::frame::Frame;
use crate::limits::{CACHED_BYTES_MAX, CACHED_CHANNELS_MAX};
use crate::time::{Millis, Now};
use std::rc::Rc;

/// Where a channel stands in the order of going: whether it keeps a message, when that is forgotten,
/// which it is.
pub(super) type Place = (bool, Millis, ChannelId);

fn place(key: ChannelId, cached: &Cached) -> Place {
    (cached.message.is_some(), cached.until, key)
}

impl Hub {
    /// Keeps a message for who comes next.
    pub(super) fn cache(&mut self, key: ChannelId, message: Rc<KeptMessage>, now: Now) {
        self.note(key, Some(message), now);
    }

    fn note(&mut self, key: ChannelId, message: Option<Rc<KeptMessage>>, now: Now) {
        self.forget_cached(key);
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let until = now.mono + self.rules(channel.app).cache_ms;
        let cached = Cached { message, until };
        self.cached_bytes += cached.bytes();
        self.cached.insert(place(key, &cached));
        if let Some(channel) = self.channels.get_mut(key) {
            channel.cached = Some(Box::new(cached));
        }
        self.bound_cached(key, now);
    }

    /// Forgets what goes first until the rest fits. `key` is the channel that was changed.
    fn bound_cached(&mut self, key: ChannelId, now: Now) {
        while self.cached.len() > CACHED_CHANNELS_MAX || self.cached_bytes > CACHED_BYTES_MAX {
            // The one that was just kept is small enough to stay alone.
            let Some(&(_, _, first)) = self.cached.first() else {
                return;
            };
            self.forget_cached(first);
            if first != key {
                self.settle_channel(first, now);
            }
        }
    }

    /// Changes the message `id` if that is what a channel shows; taken back, it shows nothing.
    pub(super) fn amend_cached(
        &mut self,
        key: ChannelId,
        id: Id,
        change: &Change<'_>,
        edited: &mut Edited,
        now: Now,
    ) {
        let cached = self.channels.get_mut(key).and_then(|c| c.cached.as_mut());
        let Some(cached) = cached else {
            return;
        };
        let Some(message) = cached.message.as_mut().filter(|message| message.id == id) else {
            return;
        };
        match change {
            Change::Delete => self.forget_cached(key),
            Change::Edit(edit) => {
                let before = message.bytes();
                *message = edited.of(message, edit);
                self.cached_bytes = self.cached_bytes - before + message.bytes();
                self.bound_cached(key, now);
            }
        }
    }

    /// What a channel kept is forgotten.
    pub(super) fn forget_cached(&mut self, key: ChannelId) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if let Some(cached) = channel.cached.take() {
            self.cached_bytes -= cached.bytes();
            self.cached.remove(&place(key, &cached));
        }
    }

    /// The message that a cached channel shows at `now`, and for how many milliseconds it will.
    pub fn cached(&self, channel: ChannelId, now: Now) -> Option<(&KeptMessage, u64)> {
        let cached = self.channels.get(channel)?.cached.as_deref()?;
        let message = cached.message.as_deref()?;
        let left_ms = cached.until.since(now.mono);
        (left_ms > 0).then_some((message, left_ms))
    }

    /// The frame of what a cached channel shows. None: it shows nothing, which is announced if it
    /// was not yet.
    pub fn show_cached(
        &mut self,
        key: ChannelId,
        format: Format,
        now: Now,
        fx: &mut impl Effects,
    ) -> Option<Frame> {
        if let Some((message, _)) = self.cached(key, now) {
            let event = super::Event::Message(message.view());
            return fx.encode(format, &event, false, self.sequence);
        }
        let channel = self.channels.get(key)?;
        let is_known = channel
            .cached
            .as_deref()
            .is_some_and(|cached| cached.message.is_none() && cached.until > now.mono);
        if !is_known {
            let channel_name = channel.shared_name();
            let app = channel.app;
            fx.announce(
                app,
                Fact::CacheMiss {
                    channel: &channel_name,
                },
            );
            self.note(key, None, now);
        }
        None
    }

    /// Until when an empty channel is remembered for what it shows.
    pub(super) fn cached_until(&self, key: ChannelId, now: Now) -> Option<Millis> {
        let cached = self.channels.get(key)?.cached.as_deref()?;
        (cached.until > now.mono).then_some(cached.until)
    }
}
