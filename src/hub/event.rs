//! Anything a subscriber may be told.

use super::SubscriberId;
use super::effects::{Format, Id};
use std::borrow::Cow;
use std::rc::Rc;

/// A date and time as a caller wrote it, or as the server stamped it.
///
/// A caller's offset from UTC is kept and written back; the server's own stamps have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since 1970-01-01 of the clock that was read, before any offset.
    pub micros: i64,
    /// Minutes east of UTC, if an offset was given.
    pub offset_minutes: Option<i16>,
}

impl Stamp {
    /// The server's own time.
    pub fn from_unix_micros(micros: u64) -> Self {
        Self {
            micros: i64::try_from(micros).unwrap_or(i64::MAX),
            offset_minutes: None,
        }
    }
}

/// A message as it comes in: every text is borrowed from where it was read.
#[derive(Debug, Clone)]
pub struct NewMessage<'a> {
    /// Chosen by the sender, or fresh.
    pub id: Id,
    /// When it was sent.
    pub at: Stamp,
    /// Who sends it, by name; need not be known.
    pub user: Cow<'a, str>,
    /// Where it goes; a message without channel is private to `only`.
    pub channel: Option<Cow<'a, str>>,
    /// If not empty: only these users get it.
    pub only: Vec<Cow<'a, str>>,
    /// These users do not get it.
    pub except: Vec<Cow<'a, str>>,
    /// Keep it out of the channel's history.
    pub no_history: bool,
    /// What kind of event it is, where the sender's protocol has names for them.
    pub event: Option<Cow<'a, str>>,
    /// The payload: JSON text that is never looked into, or with an `event` any text; absent if the
    /// sender gave none.
    pub body: Option<&'a str>,
    /// Further members of the payload as JSON, `"a":1,"b":[]`, without braces; for the protocol that
    /// takes such messages, and told by no other. It is not kept for catch-up or in a history.
    pub extra: Option<&'a str>,
    /// It is kept in the store, under its id and time.
    pub stored: bool,
    /// This subscriber does not get it.
    pub except_subscriber: SubscriberId,
}

impl NewMessage<'_> {
    /// What a dialect needs to tell it.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            id: self.id,
            at: self.at,
            user: &self.user,
            channel: self.channel.as_deref(),
            event: self.event.as_deref(),
            body: self.body,
            extra: self.extra,
            stored: self.stored,
            edited: None,
        }
    }
}

/// A message that is kept: in a channel's history, or for catch-up.
#[derive(Debug)]
pub struct KeptMessage {
    /// As in [`NewMessage`], and so are the others.
    pub id: Id,
    #[allow(missing_docs)]
    pub at: Stamp,
    #[allow(missing_docs)]
    pub user: Box<str>,
    #[allow(missing_docs)]
    pub channel: Option<Rc<str>>,
    #[allow(missing_docs)]
    pub only: Box<[Box<str>]>,
    #[allow(missing_docs)]
    pub except: Box<[Box<str>]>,
    #[allow(missing_docs)]
    pub no_history: bool,
    #[allow(missing_docs)]
    pub stored: bool,
    #[allow(missing_docs)]
    pub event: Option<Box<str>>,
    /// Shared by all that one edit gave the same.
    pub body: Option<Rc<str>>,
    /// When it was last edited, by the stamp of that edit.
    pub edited: Option<Stamp>,
}

impl KeptMessage {
    pub(crate) fn new(message: &NewMessage<'_>, channel: Option<Rc<str>>) -> Self {
        Self {
            id: message.id,
            at: message.at,
            user: Box::from(&*message.user),
            channel,
            only: boxed(&message.only),
            except: boxed(&message.except),
            no_history: message.no_history,
            stored: message.stored,
            event: message.event.as_deref().map(Box::from),
            body: message.body.map(Rc::from),
            edited: None,
        }
    }

    /// The same message after an edit: what that does not give stays as it is. `body` is the
    /// edit's, if it has one.
    pub(crate) fn edited(&self, edit: &Edit<'_>, body: Option<Rc<str>>) -> Self {
        Self {
            id: self.id,
            at: edit.at.unwrap_or(self.at),
            user: match &edit.user {
                Some(user) => Box::from(&**user),
                None => self.user.clone(),
            },
            channel: self.channel.clone(),
            only: self.only.clone(),
            except: self.except.clone(),
            no_history: self.no_history,
            // With another time it is not found there.
            stored: self.stored && edit.at.is_none(),
            // What replaces it is no event of that name.
            event: self.event.clone().filter(|_| body.is_none()),
            body: body.or_else(|| self.body.clone()),
            edited: Some(edit.edited),
        }
    }

    /// What a dialect needs to tell it.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            id: self.id,
            at: self.at,
            user: &self.user,
            channel: self.channel.as_deref(),
            event: self.event.as_deref(),
            body: self.body.as_deref(),
            extra: None,
            stored: self.stored,
            edited: self.edited,
        }
    }

    /// Whether `user` may hear it, by its lists of names.
    pub(crate) fn is_for(&self, user: &str) -> bool {
        is_for(&self.only, &self.except, user)
    }

    /// The bytes it takes, roughly, for the limits on what is kept.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.user.len()
            + self.event.as_ref().map_or(0, |event| event.len())
            + self.body.as_ref().map_or(0, |body| body.len())
            + names_bytes(&self.only)
            + names_bytes(&self.except)
    }
}

fn boxed(names: &[Cow<'_, str>]) -> Box<[Box<str>]> {
    names.iter().map(|name| Box::from(&**name)).collect()
}

fn is_for(only: &[Box<str>], except: &[Box<str>], user: &str) -> bool {
    let names = |list: &[Box<str>]| list.iter().any(|name| &**name == user);
    !names(except) && (only.is_empty() || names(only))
}

fn names_bytes(list: &[Box<str>]) -> usize {
    list.iter().map(|name| name.len() + 16).sum()
}

/// A message as a subscriber is told of it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are those of `NewMessage`")]
pub struct MessageView<'a> {
    pub id: Id,
    pub at: Stamp,
    pub user: &'a str,
    pub channel: Option<&'a str>,
    pub event: Option<&'a str>,
    pub body: Option<&'a str>,
    pub extra: Option<&'a str>,
    pub stored: bool,
    /// When it was last edited, if it was.
    pub edited: Option<Stamp>,
}

/// A change to a message that was sent before, as it comes in. Whom it is for is its own affair
/// and not that of the message.
#[derive(Debug, Clone)]
pub struct Amendment<'a> {
    /// Which message.
    pub id: Id,
    /// Where that went; without channel it was private to `only`.
    pub channel: Option<Cow<'a, str>>,
    /// If not empty: only these users hear of the change.
    pub only: Vec<Cow<'a, str>>,
    /// These users do not.
    pub except: Vec<Cow<'a, str>>,
    /// What is done to it.
    pub change: Change<'a>,
}

/// What is done to a message that was sent before.
#[derive(Debug, Clone)]
pub enum Change<'a> {
    /// Parts of it are replaced.
    Edit(Edit<'a>),
    /// It is taken back.
    Delete,
}

/// The parts of a message that are replaced; those that are absent stay as they are.
#[derive(Debug, Clone)]
pub struct Edit<'a> {
    /// When it was sent.
    pub at: Option<Stamp>,
    /// Who sends it.
    pub user: Option<Cow<'a, str>>,
    /// The payload, as a whole.
    pub body: Option<&'a str>,
    /// When it was edited.
    pub edited: Stamp,
}

impl Amendment<'_> {
    /// What subscribers are told of it.
    pub(crate) fn event(&self) -> Event<'_> {
        let channel = self.channel.as_deref();
        match &self.change {
            Change::Edit(edit) => Event::MessageEdit(EditView {
                id: self.id,
                channel,
                at: edit.at,
                user: edit.user.as_deref(),
                body: edit.body,
                edited: edit.edited,
            }),
            Change::Delete => Event::MessageDelete(DeleteView {
                id: self.id,
                channel,
            }),
        }
    }
}

/// A change to a message, kept so that who was away hears of it.
#[derive(Debug)]
pub(crate) struct KeptAmendment {
    id: Id,
    channel: Option<Rc<str>>,
    only: Box<[Box<str>]>,
    except: Box<[Box<str>]>,
    /// Absent: the message was taken back.
    edit: Option<KeptEdit>,
}

#[derive(Debug)]
struct KeptEdit {
    at: Option<Stamp>,
    user: Option<Box<str>>,
    body: Option<Rc<str>>,
    edited: Stamp,
}

impl KeptAmendment {
    /// `body` is the edit's, if it is one and has one.
    pub(crate) fn new(
        amendment: &Amendment<'_>,
        channel: Option<Rc<str>>,
        body: Option<Rc<str>>,
    ) -> Self {
        let edit = match &amendment.change {
            Change::Edit(edit) => Some(KeptEdit {
                at: edit.at,
                user: edit.user.as_deref().map(Box::from),
                body,
                edited: edit.edited,
            }),
            Change::Delete => None,
        };
        Self {
            id: amendment.id,
            channel,
            only: boxed(&amendment.only),
            except: boxed(&amendment.except),
            edit,
        }
    }

    pub(crate) fn event(&self) -> Event<'_> {
        let channel = self.channel.as_deref();
        match &self.edit {
            Some(edit) => Event::MessageEdit(EditView {
                id: self.id,
                channel,
                at: edit.at,
                user: edit.user.as_deref(),
                body: edit.body.as_deref(),
                edited: edit.edited,
            }),
            None => Event::MessageDelete(DeleteView {
                id: self.id,
                channel,
            }),
        }
    }

    pub(crate) fn is_for(&self, user: &str) -> bool {
        is_for(&self.only, &self.except, user)
    }

    pub(crate) fn bytes(&self) -> usize {
        let edit = self.edit.as_ref();
        let user = edit.and_then(|edit| edit.user.as_ref());
        let body = edit.and_then(|edit| edit.body.as_ref());
        size_of::<Self>()
            + user.map_or(0, |user| user.len())
            + body.map_or(0, |body| body.len())
            + names_bytes(&self.only)
            + names_bytes(&self.except)
    }
}

/// An edit as a subscriber is told of it: only what was replaced.
#[derive(Debug, Clone, Copy)]
#[allow(
    missing_docs,
    reason = "the fields are those of `Amendment` and `Edit`"
)]
pub struct EditView<'a> {
    pub id: Id,
    pub channel: Option<&'a str>,
    pub at: Option<Stamp>,
    pub user: Option<&'a str>,
    pub body: Option<&'a str>,
    pub edited: Stamp,
}

/// A message that was taken back, as a subscriber is told of it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are those of `Amendment`")]
pub struct DeleteView<'a> {
    pub id: Id,
    pub channel: Option<&'a str>,
}

/// Keys and values of a user's state that others may see; values are JSON scalars as text.
pub type PublicState = Vec<(Box<str>, Box<str>)>;

/// A member of a channel as a list shows it.
#[derive(Debug, Clone)]
pub struct MemberSnapshot {
    /// The user's name.
    pub user: Rc<str>,
    /// The public part of the user's state.
    pub state: PublicState,
}

/// A user became a member of a channel, or stopped being one.
#[derive(Debug)]
pub struct Presence {
    /// Fresh for each event.
    pub id: Id,
    /// When it happened.
    pub at: Stamp,
    /// True: joined. False: parted.
    pub joined: bool,
    /// Whether the channel's settings say that it is told. If not, it is told only where the
    /// channel has members by its name.
    pub by_settings: bool,
    /// The channel's name.
    pub channel: Rc<str>,
    /// Whom it is about.
    pub user: Rc<str>,
    /// The public state of the one who joined; empty for one who parted.
    pub state: PublicState,
    /// What the guest who joined or parted says of the user, as JSON text.
    pub info: Option<Rc<str>>,
    /// What the subscriber who joined or parted is told in: in whose words `info` is.
    pub info_format: Format,
    /// All members in order of joining, if the channel tells them with each change.
    pub members: Option<Vec<MemberSnapshot>>,
}

pub(super) fn state_bytes(state: &PublicState) -> usize {
    state.iter().map(|(k, v)| k.len() + v.len() + 64).sum()
}

impl Presence {
    pub(crate) fn bytes(&self) -> usize {
        let members = self
            .members
            .iter()
            .flatten()
            // The name is shared, but not in the frame that is kept once somebody caught up.
            .map(|m| 64 + m.user.len() + state_bytes(&m.state))
            .sum::<usize>();
        let info = self.info.as_ref().map_or(0, |info| info.len());
        size_of::<Self>() + state_bytes(&self.state) + info + members
    }
}

/// A member's public state has changed, as one of its channels is told.
#[derive(Debug)]
pub struct StateChange {
    /// Fresh for each channel.
    pub id: Id,
    /// When the channel was told.
    pub at: Stamp,
    /// The channel's name.
    pub channel: Rc<str>,
    /// Whose state it is.
    pub user: Rc<str>,
    /// What it is now, shared by the channels that are told the same.
    pub told: Rc<ToldState>,
}

/// What is told of a user's state.
#[derive(Debug, PartialEq, Eq)]
pub struct ToldState {
    /// All of it that is public.
    pub state: PublicState,
    /// Of the keys that changed those that are public, in the order of the request.
    pub changed: PublicState,
}

impl ToldState {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + state_bytes(&self.state) + state_bytes(&self.changed)
    }
}

/// Anything a subscriber may be told.
#[derive(Debug)]
pub enum Event<'a> {
    /// Someone published.
    Message(MessageView<'a>),
    /// A message was edited.
    MessageEdit(EditView<'a>),
    /// A message was taken back.
    MessageDelete(DeleteView<'a>),
    /// Someone joined or parted.
    Presence(&'a Presence),
    /// A member's public state has changed.
    UserState(&'a StateChange),
    /// How many subscribers a channel has.
    Count(CountView<'a>),
    /// A user who is watched came online, or went offline.
    Watched(Watched<'a>),
}

/// How many subscribers a channel has, as they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "both say what they are")]
pub struct CountView<'a> {
    pub channel: &'a str,
    pub count: u64,
}

/// A user who is watched came online, or went offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "both say what they are")]
pub struct Watched<'a> {
    pub user: &'a str,
    pub is_online: bool,
}

/// An event that is kept for catch-up. Cloning one is a counter.
#[derive(Debug, Clone)]
pub(crate) enum KeptEvent {
    Message(Rc<KeptMessage>),
    Amendment(Rc<KeptAmendment>),
    Presence(Rc<Presence>),
    State(Rc<StateChange>),
}

impl KeptEvent {
    /// What a dialect needs to tell it.
    pub(crate) fn event(&self) -> Event<'_> {
        match self {
            Self::Message(message) => Event::Message(message.view()),
            Self::Amendment(amendment) => amendment.event(),
            Self::Presence(presence) => Event::Presence(presence),
            Self::State(change) => Event::UserState(change),
        }
    }

    /// Whether `user` may hear it: not what excludes it, and not its own coming and going.
    pub(crate) fn is_for(&self, user: &str) -> bool {
        match self {
            Self::Message(message) => message.is_for(user),
            Self::Amendment(amendment) => amendment.is_for(user),
            Self::Presence(presence) => &*presence.user != user,
            Self::State(_) => true,
        }
    }

    /// The bytes it takes, roughly, for the limits on what is kept.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes(),
            Self::Amendment(amendment) => amendment.bytes(),
            Self::Presence(presence) => presence.bytes(),
            // What is told is shared between channels, but not in the frames that are kept once
            // somebody caught up.
            Self::State(change) => size_of::<StateChange>() + change.told.bytes(),
        }
    }
}
