//! Editing messages that were sent before, and taking them back.
//!
//! A message is changed wherever it is kept, so that histories and catch-up show what it has become;
//! and those whom the change is for are told of it, whether the message was found or not: they may
//! have it though we forgot it.

use super::event::{Change, Edit, KeptAmendment, KeptEvent, KeptMessage};
use super::publish::Chosen;
use super::recent::Recent;
use super::{Amendment, AppId, ChannelId, Effects, Hub, Id, SubscriberId};
use crate::time::Now;
use std::rc::Rc;

impl Hub {
    /// Changes a message of a channel, or a private one of the users it names where it names no
    /// channel, and tells those whom the change is for. Unknown channels and users are skipped.
    ///
    /// Returns how many kept messages and events were looked at, for whoever counts work.
    pub fn amend(
        &mut self,
        app: AppId,
        amendment: &Amendment<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> usize {
        match &amendment.channel {
            Some(name) => match self.find_channel(app, name) {
                Some(channel) => self.amend_in_channel(app, channel, amendment, now, fx),
                None => 0,
            },
            None => self.amend_for_users(app, amendment, now, fx),
        }
    }

    fn amend_in_channel(
        &mut self,
        app: AppId,
        key: ChannelId,
        amendment: &Amendment<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> usize {
        self.sequence += 1;
        let limits = (self.config.history_bytes, self.config.catch_up_bytes);
        let Some(channel) = self.channels.get_mut(key) else {
            return 0;
        };
        channel.last_active_micros = now.unix_micros;
        let (id, change) = (amendment.id, &amendment.change);
        let mut edited = Edited::default();
        let (looked_at, found) = channel.amend(id, change, &mut edited, limits.0, limits.1);
        self.remember_amended(key, id, change, found, fx);
        self.amend_cached(key, id, change, &mut edited, now);
        let Some(channel) = self.channels.get(key) else {
            return looked_at;
        };
        if channel.settings.store_recent {
            let name = Some(channel.name.clone());
            let kept = KeptAmendment::new(amendment, name, edited.body(change));
            self.keep_recent(key, KeptEvent::Amendment(Rc::new(kept)));
        }
        let chosen = Chosen {
            only: &amendment.only,
            except: &amendment.except,
            except_subscriber: SubscriberId::NONE,
        };
        self.tell_chosen(app, key, &amendment.event(), chosen, fx);
        // It may have been what the channel was remembered for.
        self.settle_channel(key, now);
        looked_at
    }

    fn amend_for_users(
        &mut self,
        app: AppId,
        amendment: &Amendment<'_>,
        now: Now,
        fx: &mut impl Effects,
    ) -> usize {
        let users = self.users_named(app, &amendment.only, &amendment.except);
        if users.is_empty() {
            return 0;
        }
        let bytes_max = self.config.catch_up_bytes;
        let mut edited = Edited::default();
        let mut looked_at = 0;
        for &user in &users {
            let user = self.users.get_mut(user);
            if let Some(private) = user.and_then(|user| user.private.as_mut()) {
                looked_at += private.len();
                edited.in_recent(private, amendment.id, &amendment.change, bytes_max);
            }
        }
        let kept = KeptAmendment::new(amendment, None, edited.body(&amendment.change));
        self.tell_users(&users, &KeptEvent::Amendment(Rc::new(kept)), now, fx);
        looked_at
    }
}

/// What one edit makes of messages.
///
/// A message that is kept in several places is so afterwards. Senders choose ids, so that many
/// messages may have the same one: the new payload, which may be large, is there once for all.
#[derive(Default)]
pub(crate) struct Edited {
    body: Option<Rc<str>>,
    /// The last message that was edited, before and after.
    last: Option<(Rc<KeptMessage>, Rc<KeptMessage>)>,
}

impl Edited {
    /// What `before` becomes.
    pub(super) fn of(&mut self, before: &Rc<KeptMessage>, edit: &Edit<'_>) -> Rc<KeptMessage> {
        match &self.last {
            Some((known, after)) if Rc::ptr_eq(known, before) => after.clone(),
            Some(_) | None => {
                let after = Rc::new(before.edited(edit, self.shared(edit.body)));
                self.last = Some((before.clone(), after.clone()));
                after
            }
        }
    }

    /// The new payload, if there is one.
    pub(super) fn body(&mut self, change: &Change<'_>) -> Option<Rc<str>> {
        match change {
            Change::Edit(edit) => self.shared(edit.body),
            Change::Delete => None,
        }
    }

    fn shared(&mut self, body: Option<&str>) -> Option<Rc<str>> {
        let body = body?;
        Some(self.body.get_or_insert_with(|| Rc::from(body)).clone())
    }

    /// Changes the message `id` among kept events. What was told of it stays told: edits are no
    /// messages.
    pub(super) fn in_recent(
        &mut self,
        recent: &mut Recent<KeptEvent>,
        id: Id,
        change: &Change<'_>,
        bytes_max: usize,
    ) {
        let is_it = |message: &KeptMessage| message.id == id;
        match change {
            Change::Edit(edit) => recent.replace(
                |kept| match kept {
                    KeptEvent::Message(message) if is_it(message) => {
                        let after = KeptEvent::Message(self.of(message, edit));
                        let bytes = after.bytes();
                        Some((after, bytes))
                    }
                    KeptEvent::Message(_)
                    | KeptEvent::Amendment(_)
                    | KeptEvent::Presence(_)
                    | KeptEvent::State(_) => None,
                },
                bytes_max,
            ),
            Change::Delete => recent.retain(|kept| match kept {
                KeptEvent::Message(message) => !is_it(message),
                KeptEvent::Amendment(_) | KeptEvent::Presence(_) | KeptEvent::State(_) => true,
            }),
        }
    }
}
