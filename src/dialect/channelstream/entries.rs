//! What is done with one message, one edit, one deletion, and how the answer repeats it (sections
//! 7.5 to 7.7 of the specification).

use super::batch::Entry;
use super::encode::{Target, push_content, push_target};
use super::words::{DeleteBody, EditBody, MessageBody, Text};
use crate::dialect::Ctx;
use crate::hub::{Amendment, Change, Edit, Effects, Id, NewMessage, Stamp, SubscriberId};
use std::borrow::Cow;

/// So many kept messages are looked through at the price of one delivery.
const KEPT_PER_WORK: u64 = 4;

fn borrowed<'b>(list: &'b [Text<'_>]) -> Vec<Cow<'b, str>> {
    list.iter().map(|name| Cow::Borrowed(&**name)).collect()
}

pub(super) fn owned(text: Text<'_>) -> Text<'static> {
    Cow::Owned(text.into_owned())
}

pub(super) fn all_owned(list: Vec<Text<'_>>) -> Vec<Text<'static>> {
    list.into_iter().map(owned).collect()
}

fn length(text: &Option<Text<'_>>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

pub(super) fn names_bytes(one: &[Text<'_>], other: &[Text<'_>]) -> usize {
    let names = one.iter().chain(other);
    names.map(|name| size_of_val(name) + name.len()).sum()
}

fn or_now(given: Option<super::dates::DateTime>, ctx: &Ctx<'_>) -> Stamp {
    given.map_or_else(|| Stamp::from_unix_micros(ctx.now.unix_micros), Stamp::from)
}

impl Entry for MessageBody<'_> {
    type Owned = MessageBody<'static>;

    fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// One that goes to nobody is dropped without a word.
    fn counts(&self) -> bool {
        self.channel.is_some() || !self.pm_users.is_empty()
    }

    fn act(&self, text: &mut Vec<u8>, ctx: &mut Ctx<'_>) {
        let message = NewMessage {
            id: self.uuid.map_or_else(|| ctx.io.id(), Id),
            at: or_now(self.timestamp, ctx),
            user: (&*self.user).into(),
            channel: self.channel.as_deref().map(Cow::Borrowed),
            only: borrowed(&self.pm_users),
            except: borrowed(&self.exclude_users),
            no_history: self.no_history,
            event: None,
            body: self.message.as_deref(),
            extra: None,
            stored: false,
            except_subscriber: SubscriberId::NONE,
        };
        let target = Target {
            only: &self.pm_users,
            except: &self.exclude_users,
            channel: self.channel.as_deref(),
            no_history: self.no_history,
            id: message.id,
        };
        let sent = (Some(message.at), Some(&*message.user));
        push_content(text, &target, sent, (None, message.body), None);
        text.push(b'}');
        ctx.hub.publish(ctx.app, &message, ctx.now, &mut ctx.io);
    }

    fn into_owned(self) -> Self::Owned {
        MessageBody {
            user: owned(self.user),
            channel: self.channel.map(owned),
            pm_users: all_owned(self.pm_users),
            exclude_users: all_owned(self.exclude_users),
            no_history: self.no_history,
            uuid: self.uuid,
            timestamp: self.timestamp,
            message: self.message.map(owned),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.user.len()
            + length(&self.channel)
            + length(&self.message)
            + names_bytes(&self.pm_users, &self.exclude_users)
    }
}

impl Entry for EditBody<'_> {
    type Owned = EditBody<'static>;

    fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// Unlike a message one that nobody hears of is repeated.
    fn counts(&self) -> bool {
        true
    }

    fn act(&self, text: &mut Vec<u8>, ctx: &mut Ctx<'_>) {
        let edit = Edit {
            at: self.timestamp.map(Stamp::from),
            user: self.user.as_deref().map(Cow::Borrowed),
            body: self.message.as_deref(),
            edited: or_now(self.edited, ctx),
        };
        let target = Target {
            only: &self.pm_users,
            except: &self.exclude_users,
            channel: self.channel.as_deref(),
            no_history: self.no_history,
            id: Id(self.uuid),
        };
        let sent = (edit.at, edit.user.as_deref());
        push_content(text, &target, sent, (None, edit.body), Some(edit.edited));
        text.push(b'}');
        amend(&target, Change::Edit(edit), ctx);
    }

    fn into_owned(self) -> Self::Owned {
        EditBody {
            uuid: self.uuid,
            channel: self.channel.map(owned),
            pm_users: all_owned(self.pm_users),
            exclude_users: all_owned(self.exclude_users),
            no_history: self.no_history,
            user: self.user.map(owned),
            message: self.message.map(owned),
            timestamp: self.timestamp,
            edited: self.edited,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + length(&self.user)
            + length(&self.channel)
            + length(&self.message)
            + names_bytes(&self.pm_users, &self.exclude_users)
    }
}

impl Entry for DeleteBody<'_> {
    type Owned = DeleteBody<'static>;

    fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    fn counts(&self) -> bool {
        true
    }

    fn act(&self, text: &mut Vec<u8>, ctx: &mut Ctx<'_>) {
        let target = Target {
            only: &self.pm_users,
            except: &self.exclude_users,
            channel: self.channel.as_deref(),
            no_history: self.no_history,
            id: Id(self.uuid),
        };
        push_target(text, &target);
        text.push(b'}');
        amend(&target, Change::Delete, ctx);
    }

    fn into_owned(self) -> Self::Owned {
        DeleteBody {
            uuid: self.uuid,
            channel: self.channel.map(owned),
            pm_users: all_owned(self.pm_users),
            exclude_users: all_owned(self.exclude_users),
            no_history: self.no_history,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + length(&self.channel) + names_bytes(&self.pm_users, &self.exclude_users)
    }
}

fn amend(target: &Target<'_, Text<'_>>, change: Change<'_>, ctx: &mut Ctx<'_>) {
    let amendment = Amendment {
        id: target.id,
        channel: target.channel.map(Cow::Borrowed),
        only: borrowed(target.only),
        except: borrowed(target.except),
        change,
    };
    let looked_at = ctx.hub.amend(ctx.app, &amendment, ctx.now, &mut ctx.io);
    ctx.io.spend(looked_at as u64 / KEPT_PER_WORK);
}
