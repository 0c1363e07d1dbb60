//! Channels: named sets of subscribers within an app, with settings, members and history.

use super::amend::Edited;
use super::event::{Change, KeptEvent, KeptMessage};
use super::recent::Recent;
use super::{AppId, Format, Id, MembershipId, SubscriberId, Traits, UserId};
use crate::handler::ConnId;
use crate::limits::HISTORY_MESSAGES_DEFAULT;
use crate::time::{Millis, Timer};
use std::collections::VecDeque;
use std::rc::Rc;

/// Tag of [`ChannelId`](super::ChannelId).
#[derive(Debug)]
pub enum ChannelTag {}

/// Tag of the keys of memberships: a user in a channel.
#[derive(Debug)]
pub enum MembershipTag {}

/// What a channel does beside delivering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Tell the others when a member joins or parts.
    pub notify_presence: bool,
    /// Tell them all members each time.
    pub presence_with_members: bool,
    /// Tell them when a member's public state changes.
    pub notify_state: bool,
    /// Keep messages for whoever asks for the channel's history.
    pub store_history: bool,
    /// How many messages the history keeps.
    pub history_messages: u64,
    /// Keep the last events for catch-up.
    pub store_recent: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notify_presence: false,
            presence_with_members: false,
            notify_state: false,
            store_history: false,
            history_messages: HISTORY_MESSAGES_DEFAULT,
            store_recent: true,
        }
    }
}

/// One subscriber of a channel as the fan-out sees it: narrow, and with the outlet in it, so that
/// a delivery looks up nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener {
    /// [`ConnId::NONE`] while the subscriber is away.
    pub(crate) outlet: ConnId,
    pub(crate) subscriber: SubscriberId,
}

/// The subscribers of one format. All of them get the same frame.
#[derive(Debug)]
pub(crate) struct Audience {
    pub(crate) format: Format,
    pub(crate) listeners: Vec<Listener>,
    /// How many of them have an outlet. Where there is none, nothing is encoded.
    pub(crate) attached: usize,
}

/// A user's presence in one channel, through one subscriber or several.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) channel: super::ChannelId,
    pub(crate) user: UserId,
    pub(crate) subscribers: u32,
    /// Where it stands in the channel's list of members.
    pub(crate) place: u32,
    /// Order of joining.
    pub(crate) joined: u64,
    /// Absent until there is one.
    pub(crate) guests: Option<Box<Guests>>,
}

/// Those of a membership's subscribers that are not its user's own.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    /// Those that are there, in order of joining.
    pub(crate) list: Vec<Guest>,
    /// What was said last of the user, also by one that has left, and by whom.
    pub(crate) last_info: Option<(Rc<str>, Format)>,
    /// Whether the one that made the membership was one and wanted pairs.
    pub(crate) first_is_peer: bool,
}

/// A subscriber that is somebody in one channel only.
#[derive(Debug)]
pub struct Guest {
    pub(crate) who: SubscriberId,
    pub(crate) info: Option<Rc<str>>,
    pub(crate) joined: u64,
    pub(crate) format: Format,
    pub(crate) is_peer: bool,
}

impl Guest {
    /// Which subscriber it is.
    pub fn who(&self) -> SubscriberId {
        self.who
    }

    /// What it says of the user, as JSON text.
    pub fn info(&self) -> Option<&Rc<str>> {
        self.info.as_ref()
    }

    /// When it joined: its place in the hub's order.
    pub fn joined(&self) -> u64 {
        self.joined
    }

    /// What it was told in when it joined: in whose words its info is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it wants to be paired with other members.
    pub fn is_peer(&self) -> bool {
        self.is_peer
    }
}

impl Membership {
    pub(crate) fn guests(&self) -> &[Guest] {
        self.guests.as_ref().map_or(&[], |guests| &guests.list)
    }

    /// What the oldest of its subscribers says of it.
    pub(crate) fn info(&self) -> Option<&Rc<str>> {
        self.guests().first()?.info.as_ref()
    }

    /// One guest more. It is the first subscriber if it `makes` the membership.
    pub(crate) fn add_guest(&mut self, guest: Guest, makes: bool) {
        let guests = self.guests.get_or_insert_default();
        if let Some(info) = &guest.info {
            guests.last_info = Some((info.clone(), guest.format));
        }
        guests.first_is_peer |= makes && guest.is_peer;
        guests.list.push(guest);
    }

    /// One guest fewer, if `who` is one.
    pub(crate) fn remove_guest(&mut self, who: SubscriberId) -> Option<Guest> {
        let list = &mut self.guests.as_mut()?.list;
        let place = list.iter().position(|guest| guest.who == who)?;
        Some(list.remove(place))
    }
}

/// What a cached channel shows to who comes next.
#[derive(Debug)]
pub(crate) struct Cached {
    /// Absent: it was found empty, and that was announced.
    pub(crate) message: Option<Rc<KeptMessage>>,
    /// When it is forgotten.
    pub(crate) until: Millis,
}

impl Cached {
    pub(crate) fn bytes(&self) -> usize {
        let message = self.message.as_ref();
        size_of::<Self>() + message.map_or(0, |message| message.bytes())
    }
}

/// A named set of subscribers.
#[derive(Debug)]
pub struct Channel {
    pub(crate) app: AppId,
    pub(crate) id: Id,
    pub(crate) name: Rc<str>,
    pub(crate) settings: Settings,
    pub(crate) traits: Traits,
    /// Its settings were given to the channel itself, and not by who happened to be the first to
    /// join: it is remembered with them.
    pub(crate) is_configured: bool,
    /// Nobody has said yet what its settings are to be: whoever made it had no say in them, and
    /// whoever names some first gives them.
    pub(crate) is_bare: bool,
    /// It was reported as one that survives a restart.
    pub(crate) is_remembered: bool,
    /// How often reports had been lost when it was last reported.
    pub(crate) reported_at: u32,
    /// One list per format that is there; nearly always one.
    pub(crate) audiences: Vec<Audience>,
    pub(crate) members: Vec<MembershipId>,
    pub(crate) history: VecDeque<Rc<KeptMessage>>,
    pub(crate) history_bytes: usize,
    pub(crate) recent: Recent<KeptEvent>,
    pub(crate) cached: Option<Box<Cached>>,
    pub(crate) last_active_micros: u64,
    /// When it is forgotten; while somebody is in it, when its number is told again.
    pub(crate) timer: Timer,
    /// The number of subscribers that was told last.
    pub(crate) told_count: u64,
}

impl Channel {
    pub(crate) fn new(
        app: AppId,
        id: Id,
        name: &str,
        settings: Settings,
        traits: Traits,
        micros: u64,
    ) -> Self {
        Self {
            app,
            id,
            name: Rc::from(name),
            settings,
            traits,
            is_configured: false,
            is_bare: false,
            is_remembered: false,
            reported_at: 0,
            audiences: Vec::new(),
            members: Vec::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            recent: Recent::default(),
            cached: None,
            last_active_micros: micros,
            timer: Timer::default(),
            told_count: 0,
        }
    }

    /// The channel's own id, random at creation.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, to be kept.
    pub(crate) fn shared_name(&self) -> Rc<str> {
        self.name.clone()
    }

    /// The app it belongs to.
    pub fn app(&self) -> AppId {
        self.app
    }

    /// What it is by its name.
    pub fn traits(&self) -> Traits {
        self.traits
    }

    /// What it does beside delivering.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether its settings were given to the channel itself: see
    /// [`Hub::configure`](super::Hub::configure).
    pub fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Whether nobody has said yet what its settings are to be: see
    /// [`Hub::ensure_bare_channel`](super::Hub::ensure_bare_channel).
    pub fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// The messages it remembers, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &KeptMessage> {
        self.history.iter().map(|message| &**message)
    }

    /// How many messages it remembers.
    pub fn history_len(&self) -> usize {
        self.history.len()
    }

    /// When something last happened in it: microseconds since 1970-01-01 UTC.
    pub fn last_active_micros(&self) -> u64 {
        self.last_active_micros
    }

    /// How many subscribers it has, attached or away.
    pub fn subscriber_count(&self) -> usize {
        self.audiences
            .iter()
            .map(|audience| audience.listeners.len())
            .sum()
    }

    /// How many users are members.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Bytes kept for history and catch-up, roughly.
    pub fn kept_bytes(&self) -> usize {
        self.history_bytes + self.recent.bytes()
    }

    /// The list of `format`, made if it is not there.
    pub(crate) fn audience(&mut self, format: Format) -> &mut Audience {
        let place = match self
            .audiences
            .iter()
            .position(|audience| audience.format == format)
        {
            Some(place) => place,
            None => {
                let audience = Audience {
                    format,
                    listeners: Vec::new(),
                    attached: 0,
                };
                self.audiences.push(audience);
                self.audiences.len() - 1
            }
        };
        &mut self.audiences[place] // just found or pushed
    }

    pub(crate) fn keep_in_history(&mut self, message: Rc<KeptMessage>, count: usize, bytes: usize) {
        self.history_bytes += message.bytes();
        self.history.push_back(message);
        self.cut_history(count, bytes);
    }

    fn cut_history(&mut self, count: usize, bytes: usize) {
        while self.history.len() > count || (self.history_bytes > bytes && self.history.len() > 1) {
            let Some(gone) = self.history.pop_front() else {
                break;
            };
            self.history_bytes -= gone.bytes();
        }
    }

    /// Changes the message `id` wherever it is kept. `history_bytes` and `recent_bytes` bound what
    /// is kept: an edit may have made the message larger. How many messages and events were looked
    /// at, and how many of the history were changed.
    pub(crate) fn amend(
        &mut self,
        id: Id,
        change: &Change<'_>,
        edited: &mut Edited,
        history_bytes: usize,
        recent_bytes: usize,
    ) -> (usize, usize) {
        let looked_at = self.history.len() + self.recent.len();
        let (mut bytes, mut found) = (self.history_bytes, 0);
        match change {
            Change::Edit(edit) => {
                for kept in self.history.iter_mut().filter(|kept| kept.id == id) {
                    bytes -= kept.bytes();
                    *kept = edited.of(kept, edit);
                    bytes += kept.bytes();
                    found += 1;
                }
            }
            Change::Delete => self.history.retain(|kept| {
                let stays = kept.id != id;
                bytes -= if stays { 0 } else { kept.bytes() };
                found += usize::from(!stays);
                stays
            }),
        }
        self.history_bytes = bytes;
        // A smaller number of messages waits for the next one that is stored.
        self.cut_history(usize::MAX, history_bytes);
        edited.in_recent(&mut self.recent, id, change, recent_bytes);
        (looked_at, found)
    }
}
