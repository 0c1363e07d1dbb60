//! What an app's protocol makes of its channels by their names, and what the rest of the world may
//! want to know of them.

use super::{AppId, Id, Settings};

/// What a channel is by its name; fixed for its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits {
    /// Who comes and goes is told in every format, whatever the channel's settings say; a format
    /// that does not tell it encodes nothing.
    pub has_members: bool,
    /// The last message is kept for who comes next, also while nobody is there.
    pub is_cached: bool,
    /// It is forgotten as soon as nobody is in it, unless it remembers something or was given
    /// settings: see [`Hub::ensure_bare_channel`](super::Hub::ensure_bare_channel).
    pub is_fleeting: bool,
}

/// What holds for all channels of an app.
#[derive(Debug, Clone, Copy)]
pub struct AppRules {
    /// What a channel of this name is.
    pub traits: fn(&str) -> Traits,
    /// Whether subscribers are told how many they are, where there are no members to be told of.
    pub tells_count: bool,
    /// How long the last message of a cached channel is kept.
    pub cache_ms: u64,
    /// What a cached channel is made with that is published to before anybody is in it.
    pub settings: Settings,
    /// Whether changes to what survives a restart are reported: see [`Effects::remember`]. It is said
    /// before anything is there, and not taken back.
    ///
    /// [`Effects::remember`]: super::Effects::remember
    pub remembers: bool,
}

impl Default for AppRules {
    /// Channels are what their settings say.
    fn default() -> Self {
        Self {
            traits: |_| Traits::default(),
            tells_count: false,
            cache_ms: 0,
            settings: Settings::default(),
            remembers: false,
        }
    }
}

/// One app in the hub.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct App {
    pub(super) rules: AppRules,
    /// Those that have not gone.
    pub(super) subscribers: usize,
}

/// Something that the rest of the world may want to know; each is announced once per transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub enum Fact<S> {
    /// The first subscriber came.
    Occupied { channel: S },
    /// The last one left.
    Vacated { channel: S },
    /// A user's first subscriber came, to a channel that has members.
    MemberAdded { channel: S, user: S },
    /// Its last one left.
    MemberRemoved { channel: S, user: S },
    /// A subscriber sent something to the others.
    ClientEvent {
        channel: S,
        event: S,
        data: S,
        subscriber: Id,
        /// Who it is in a channel that has members.
        user: Option<S>,
    },
    /// Somebody came to a cached channel that had nothing to show; once until it has.
    CacheMiss { channel: S },
    /// How many subscribers there are, as often as they are told.
    Count { channel: S, count: u64 },
}

impl Fact<&str> {
    /// The same with texts of its own.
    pub fn into_owned(self) -> Fact<Box<str>> {
        let own = Box::from;
        match self {
            Self::Occupied { channel } => Fact::Occupied {
                channel: own(channel),
            },
            Self::Vacated { channel } => Fact::Vacated {
                channel: own(channel),
            },
            Self::MemberAdded { channel, user } => Fact::MemberAdded {
                channel: own(channel),
                user: own(user),
            },
            Self::MemberRemoved { channel, user } => Fact::MemberRemoved {
                channel: own(channel),
                user: own(user),
            },
            Self::ClientEvent {
                channel,
                event,
                data,
                subscriber,
                user,
            } => Fact::ClientEvent {
                channel: own(channel),
                event: own(event),
                data: own(data),
                subscriber,
                user: user.map(own),
            },
            Self::CacheMiss { channel } => Fact::CacheMiss {
                channel: own(channel),
            },
            Self::Count { channel, count } => Fact::Count {
                channel: own(channel),
                count,
            },
        }
    }
}

/// Where an app stands in the list of apps. Their numbers are given from both ends, so those near
/// either end stand in front.
pub(super) fn place(app: AppId) -> usize {
    let (low, high) = (usize::from(app.0), usize::from(u16::MAX - app.0));
    match low <= high {
        true => 2 * low,
        false => 2 * high + 1,
    }
}

impl super::Hub {
    /// From now on these rules hold in `app`. Channels that are there stay what they are.
    pub fn set_rules(&mut self, app: AppId, rules: AppRules) {
        self.app_mut(app).rules = rules;
    }

    pub(super) fn rules(&self, app: AppId) -> AppRules {
        let app = self.apps.get(place(app));
        app.map_or_else(AppRules::default, |app| app.rules)
    }

    pub(super) fn app_mut(&mut self, app: AppId) -> &mut App {
        let place = place(app);
        if self.apps.len() <= place {
            self.apps.resize_with(place + 1, App::default);
        }
        &mut self.apps[place] // just made if it was not there
    }

    /// How many subscribers `app` has.
    pub fn subscriber_count(&self, app: AppId) -> usize {
        let app = self.apps.get(place(app));
        app.map_or(0, |app| app.subscribers)
    }
}
