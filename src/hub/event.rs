//! Anything a subscriber may be told.

use super::effects::Id;
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
    /// The payload: JSON text that is never looked into; absent if the sender gave none.
    pub body: Option<&'a str>,
}

impl NewMessage<'_> {
    /// What a dialect needs to tell it.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            id: self.id,
            at: self.at,
            user: &self.user,
            channel: self.channel.as_deref(),
            body: self.body,
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
    pub body: Option<Box<str>>,
}

impl KeptMessage {
    pub(crate) fn new(message: &NewMessage<'_>, channel: Option<Rc<str>>) -> Self {
        let boxed = |names: &[Cow<'_, str>]| names.iter().map(|name| Box::from(&**name)).collect();
        Self {
            id: message.id,
            at: message.at,
            user: Box::from(&*message.user),
            channel,
            only: boxed(&message.only),
            except: boxed(&message.except),
            no_history: message.no_history,
            body: message.body.map(Box::from),
        }
    }

    /// What a dialect needs to tell it.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            id: self.id,
            at: self.at,
            user: &self.user,
            channel: self.channel.as_deref(),
            body: self.body.as_deref(),
        }
    }

    /// Whether `user` may hear it, by its lists of names.
    pub(crate) fn is_for(&self, user: &str) -> bool {
        !self.except.iter().any(|name| &**name == user)
            && (self.only.is_empty() || self.only.iter().any(|name| &**name == user))
    }

    /// The bytes it takes, roughly, for the limits on what is kept.
    pub(crate) fn bytes(&self) -> usize {
        let names = |list: &[Box<str>]| list.iter().map(|name| name.len() + 16).sum::<usize>();
        size_of::<Self>()
            + self.user.len()
            + self.body.as_ref().map_or(0, |body| body.len())
            + names(&self.only)
            + names(&self.except)
    }
}

/// A message as a subscriber is told of it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are those of `NewMessage`")]
pub struct MessageView<'a> {
    pub id: Id,
    pub at: Stamp,
    pub user: &'a str,
    pub channel: Option<&'a str>,
    pub body: Option<&'a str>,
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
    /// The channel's name.
    pub channel: Rc<str>,
    /// Whom it is about.
    pub user: Rc<str>,
    /// The public state of the one who joined; empty for one who parted.
    pub state: PublicState,
    /// All members in order of joining, if the channel tells them with each change.
    pub members: Option<Vec<MemberSnapshot>>,
}

impl Presence {
    pub(crate) fn bytes(&self) -> usize {
        let state = |s: &PublicState| s.iter().map(|(k, v)| k.len() + v.len() + 64).sum::<usize>();
        let members = self
            .members
            .iter()
            .flatten()
            // The name is shared, but not in the frame that is kept once somebody caught up.
            .map(|m| 64 + m.user.len() + state(&m.state))
            .sum::<usize>();
        size_of::<Self>() + state(&self.state) + members
    }
}

/// Anything a subscriber may be told.
#[derive(Debug)]
pub enum Event<'a> {
    /// Someone published.
    Message(MessageView<'a>),
    /// Someone joined or parted.
    Presence(&'a Presence),
}
