//! What of channels and users survives a restart: each change to it is reported, and what was kept
//! of it is taken back in.
//!
//! It is what this hub would remember for long: channels that were given settings other than the
//! default ones, by a caller that had a say in them, or that were configured, or that have a history,
//! with that history; and users that have a state. What holds only as long as somebody is there is
//! not among it: memberships, catch-up, what a cached channel shows, and channels and users of which
//! nothing is known but the name.

use super::event::Change;
use super::user::State;
use super::{AppId, Channel, ChannelId, Effects, Hub, Id, KeptMessage, Settings, User, UserId};
use crate::limits::{STATE_BYTES_MAX, STATE_KEYS_MAX};
use crate::time::Now;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A change to what survives a restart.
#[derive(Debug, Clone, Copy)]
pub enum Remember<'a> {
    /// A channel is remembered from now on, or with other settings. Its messages are not meant.
    Channel {
        /// Which, as it is now.
        channel: &'a Channel,
    },
    /// It is not any more, and neither are its messages.
    NoChannel {
        /// Its name.
        channel: &'a str,
    },
    /// A message has come into the history of a channel that is remembered.
    Message {
        /// Which, with this message in it.
        channel: &'a Channel,
        /// The message.
        message: &'a KeptMessage,
        /// So many of the newest stay, this one included.
        most: u32,
    },
    /// The one message of this id in the channel's history is another.
    Edited {
        /// Which.
        channel: &'a Channel,
        /// The message as it is now.
        message: &'a KeptMessage,
    },
    /// The messages of this id are in the channel's history no more.
    NoMessage {
        /// Its name.
        channel: &'a str,
        /// Which messages.
        id: Id,
    },
    /// A user is remembered from now on, or with another state, or with other public keys.
    User {
        /// Who, as it is now.
        user: &'a User,
    },
    /// It is not any more.
    NoUser {
        /// Its name.
        user: &'a str,
    },
}

/// What was kept of a channel, beside its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredChannel {
    /// As in [`Channel`], and so are the others.
    pub id: Id,
    #[allow(missing_docs)]
    pub settings: Settings,
    #[allow(missing_docs)]
    pub is_configured: bool,
    #[allow(missing_docs)]
    pub is_bare: bool,
    #[allow(missing_docs)]
    pub last_active_micros: u64,
}

/// What was reported of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reported {
    /// It is none that is kept.
    Nothing,
    /// What there was to report, and none of its messages.
    Channel,
    /// All of it, with its messages.
    Whole,
}

impl Channel {
    /// Whether it survives a restart.
    pub(super) fn survives(&self) -> bool {
        let has_settings = !self.is_bare && self.settings != Settings::default();
        self.is_configured || has_settings || !self.history.is_empty()
    }
}

impl Hub {
    // ---- reporting -------------------------------------------------------------------------

    /// Something that was reported could not be kept, and whoever asked for it was told so. What is
    /// kept may differ from what is known here from now on, so whatever is asked for next is reported
    /// as if nothing were kept of it: asking again then does what it says.
    pub fn lost_reports(&mut self) {
        self.losses = self.losses.wrapping_add(1);
    }

    /// Whether something that was reported may have been lost since a channel was last reported.
    fn is_out_of_step(&self, key: ChannelId) -> bool {
        let channel = self.channels.get(key);
        channel.is_some_and(|channel| channel.reported_at != self.losses)
    }

    /// Whether a message to the channel of this name goes into a history that survives a restart.
    pub fn keeps_messages(&self, app: AppId, channel: &str) -> bool {
        if !self.rules(app).remembers {
            return false;
        }
        let channel = self.find_channel(app, channel);
        let channel = channel.and_then(|channel| self.channel(channel));
        channel.is_some_and(|channel| channel.settings().store_history)
    }

    /// Reports a channel if it survives a restart and did not before, or with other settings if they
    /// `changed`; or that it does not any more.
    pub(super) fn remember_channel(
        &mut self,
        key: ChannelId,
        changed: bool,
        fx: &mut impl Effects,
    ) -> Reported {
        let app = self.channels.get(key).map(|channel| channel.app);
        if !app.is_some_and(|app| self.rules(app).remembers) {
            return Reported::Nothing;
        }
        let losses = self.losses;
        let Some(channel) = self.channels.get_mut(key) else {
            return Reported::Nothing;
        };
        let survives = channel.survives();
        let was = std::mem::replace(&mut channel.is_remembered, survives);
        let is_lost = std::mem::replace(&mut channel.reported_at, losses) != losses;
        match survives {
            true if is_lost => {
                report_whole(channel, fx);
                return Reported::Whole;
            }
            true if changed || !was => fx.remember(channel.app, Remember::Channel { channel }),
            false if was || is_lost => {
                let name = &channel.name;
                fx.remember(channel.app, Remember::NoChannel { channel: name });
            }
            true | false => {}
        }
        match survives {
            true => Reported::Channel,
            false => Reported::Nothing,
        }
    }

    /// A channel that is there was asked for: reports it if that may have been lost before.
    pub(super) fn remember_again(&mut self, key: ChannelId, fx: &mut impl Effects) {
        if self.is_out_of_step(key) {
            self.remember_channel(key, false, fx);
        }
    }

    /// Reports the message that has just come into the history of a channel.
    pub(super) fn remember_message(&mut self, key: ChannelId, fx: &mut impl Effects) {
        if self.remember_channel(key, false, fx) != Reported::Channel {
            return;
        }
        if let Some(channel) = self.channels.get(key)
            && let Some(message) = channel.history.back()
        {
            report_message(channel, message, fx);
        }
    }

    /// Reports that `found` messages of this id in the history of a channel were changed.
    pub(super) fn remember_amended(
        &mut self,
        key: ChannelId,
        id: Id,
        change: &Change<'_>,
        found: usize,
        fx: &mut impl Effects,
    ) {
        if self.is_out_of_step(key) {
            // What is not found here may still be kept.
            self.remember_channel(key, false, fx);
            return;
        }
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        if found == 0 || !self.rules(channel.app).remembers {
            return;
        }
        let (app, name) = (channel.app, &channel.name);
        let edited = channel.history.iter().find(|message| message.id == id);
        match (change, edited) {
            // Senders choose ids: several of one id may be different, and are again what they were
            // but for this change.
            (Change::Edit(_), _) if found > 1 => report_whole(channel, fx),
            (Change::Edit(_), Some(message)) => {
                fx.remember(app, Remember::Edited { channel, message });
            }
            // The edit made it too large to stay, or it was taken back.
            (Change::Edit(_), None) | (Change::Delete, _) => {
                fx.remember(app, Remember::NoMessage { channel: name, id });
                // It may have been what the channel was remembered for.
                self.remember_channel(key, false, fx);
            }
        }
    }

    /// Reports a user whose state or public keys were changed, if it survives a restart.
    pub fn remember_user(&mut self, id: UserId, fx: &mut impl Effects) {
        let Some(user) = self.users.get_mut(id) else {
            return;
        };
        let app = user.app;
        let is_lost = user.is_remembered && user.reported_at != self.losses;
        if !(std::mem::take(&mut user.is_changed) || is_lost) || !user.has_state() {
            return;
        }
        if !self.rules(app).remembers {
            return;
        }
        if let Some(user) = self.users.get_mut(id) {
            (user.is_remembered, user.reported_at) = (true, self.losses);
            fx.remember(app, Remember::User { user });
        }
    }

    // ---- taking back in --------------------------------------------------------------------

    /// A channel that was kept is there again, as one that was just left. For the start, before
    /// anybody connects. None: there is one of this name.
    pub fn restore_channel(
        &mut self,
        app: AppId,
        name: &str,
        kept: &RestoredChannel,
        now: Now,
    ) -> Option<ChannelId> {
        if self.find_channel(app, name).is_some() {
            return None;
        }
        let traits = (self.rules(app).traits)(name);
        let (settings, micros) = (kept.settings, kept.last_active_micros);
        let mut channel = Channel::new(app, kept.id, name, settings, traits, micros);
        (channel.is_configured, channel.is_bare) = (kept.is_configured, kept.is_bare);
        (channel.is_remembered, channel.reported_at) = (true, self.losses);
        let id = self.insert_channel(channel);
        if !kept.is_configured {
            // Until it has a message.
            self.arm_channel(id, now.mono + self.forget_after_ms(&settings));
        }
        Some(id)
    }

    /// A message that was kept is in the history of its channel again, behind those that are there.
    /// Of more than the hub keeps the oldest go.
    pub fn restore_message(&mut self, channel: ChannelId, mut message: KeptMessage) {
        let (count, bytes) = (self.config.history_messages, self.config.history_bytes);
        let Some(channel) = self.channels.get_mut(channel) else {
            return;
        };
        message.channel = Some(channel.name.clone());
        channel.keep_in_history(Rc::new(message), count, bytes);
        if !channel.history.is_empty() {
            channel.timer.disarm();
        }
    }

    /// A user that was kept is known again, as one that has just gone. None: there is one of this
    /// name, or it has no state, or a larger one than may be.
    pub fn restore_user(
        &mut self,
        app: AppId,
        name: &str,
        id: Id,
        state: State,
        public_keys: BTreeSet<Box<str>>,
        now: Now,
    ) -> Option<UserId> {
        let bytes: usize = state.iter().map(|(k, v)| k.len() + v.len()).sum();
        let public: usize = public_keys.iter().map(|key| key.len()).sum();
        let keys = state.len().max(public_keys.len());
        let fits = keys <= STATE_KEYS_MAX && bytes.max(public) <= STATE_BYTES_MAX;
        if state.is_empty() || !fits || self.find_user(app, name).is_some() {
            return None;
        }
        let mut user = User::new(app, id, name);
        user.state = Some(Box::new(state));
        user.public_keys = (!public_keys.is_empty()).then(|| Box::new(public_keys));
        (user.is_remembered, user.reported_at) = (true, self.losses);
        let id = self.insert_user(user);
        self.settle_user(id, now);
        Some(id)
    }
}

/// Reports a channel with all its messages, whatever is kept of it.
fn report_whole(channel: &Channel, fx: &mut impl Effects) {
    let name = &channel.name;
    fx.remember(channel.app, Remember::NoChannel { channel: name });
    fx.remember(channel.app, Remember::Channel { channel });
    for message in &channel.history {
        report_message(channel, message, fx);
    }
}

fn report_message(channel: &Channel, message: &KeptMessage, fx: &mut impl Effects) {
    let most = u32::try_from(channel.history.len()).unwrap_or(u32::MAX);
    let what = Remember::Message {
        channel,
        message,
        most,
    };
    fx.remember(channel.app, what);
}
