//! The hub: channels, subscribers, users, presence, history, and the fan-out.
//!
//! It opens nothing, reads no clock, draws no random number and starts no thread. Time comes in as
//! an argument; everything it wants done goes out through [`Effects`]. That is what lets a test run
//! a week of traffic in a second and replay it from a number. It knows no dialect, no byte format
//! and no socket: adding a protocol must not change a line here.
//!
//! Read on in `publish` (how a message reaches everybody), `membership` (subscribing, leaving),
//! `presence` (members), `lifetime` (what is forgotten when).

mod amend;
mod cache;
mod catch_up;
mod channel;
mod check;
mod count;
mod departure;
mod effects;
mod event;
mod few;
mod lifetime;
mod look;
mod membership;
mod once;
mod presence;
mod publish;
mod recent;
mod remember;
mod rules;
mod state;
mod subscriber;
#[cfg(test)]
mod tests;
mod user;
mod watch;

pub use catch_up::Order;
pub use channel::{Channel, ChannelTag, Guest, MembershipTag, Settings};
pub use effects::{Effects, Format, HangUp, Id};
pub use event::{
    Amendment, Change, CountView, DeleteView, Edit, EditView, Event, KeptMessage, MemberSnapshot,
    MessageView, NewMessage, Presence, PublicState, Stamp, StateChange, ToldState, Watched,
};
pub use membership::Role;
pub use once::Served;
pub use remember::{Remember, RestoredChannel};
pub use rules::{AppRules, Fact, Traits};
pub use subscriber::{Subscriber, SubscriberTag};
pub use user::{State, User, UserTag};

use crate::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_EVENTS_MAX, CATCH_UP_PRIVATE_MAX, CHANNEL_CONFIGURED_FORGET_MS,
    CHANNEL_FORGET_MS, CHANNELS_PER_SUBSCRIBER_MAX, HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX,
    MEMBERS_LISTED_MAX, USER_FORGET_MS, USERS_REMEMBERED_MAX,
};
use crate::room;
use crate::table::{Key, Table};
use crate::time::{Surfaced, Wheel};
use channel::Membership;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

/// A channel, while it lives.
pub type ChannelId = Key<ChannelTag>;
/// A subscriber, while it lives.
pub type SubscriberId = Key<SubscriberTag>;
/// A user, while anything is known of it.
pub type UserId = Key<UserTag>;
pub(crate) type MembershipId = Key<MembershipTag>;

/// A world of its own: names of channels and users, and ids of subscribers, are looked up in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(pub u16);

impl AppId {
    /// The app that a host program publishes into, and Channelstream's own.
    pub const FIRST: Self = Self(0);
}

/// Bounds and intervals of the hub; defaults are those of [`crate::limits`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named and explained in limits.rs")]
pub struct HubConfig {
    pub channels_per_subscriber: usize,
    pub history_messages: usize,
    pub history_bytes: usize,
    pub catch_up_events: usize,
    pub catch_up_private: usize,
    pub catch_up_bytes: usize,
    pub members_listed: usize,
    pub channel_forget_ms: u64,
    pub channel_configured_forget_ms: u64,
    pub user_forget_ms: u64,
    pub users_remembered: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            channels_per_subscriber: CHANNELS_PER_SUBSCRIBER_MAX,
            history_messages: HISTORY_MESSAGES_MAX,
            history_bytes: HISTORY_BYTES_MAX,
            catch_up_events: CATCH_UP_EVENTS_MAX,
            catch_up_private: CATCH_UP_PRIVATE_MAX,
            catch_up_bytes: CATCH_UP_BYTES_MAX,
            members_listed: MEMBERS_LISTED_MAX,
            channel_forget_ms: CHANNEL_FORGET_MS,
            channel_configured_forget_ms: CHANNEL_CONFIGURED_FORGET_MS,
            user_forget_ms: USER_FORGET_MS,
            users_remembered: USERS_REMEMBERED_MAX,
        }
    }
}

/// Why the hub refuses something. Dialects translate it to their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The subscriber has gone.
    UnknownSubscriber,
    /// The channel has gone.
    UnknownChannel,
    /// The subscriber is in as many channels as it may be.
    TooManyChannels {
        /// How many that is.
        limit: usize,
    },
}

/// What has passed through the hub; plain counters, one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HubTotals {
    /// Messages published, also to nobody.
    pub published: u64,
    /// Messages handed to a connection.
    pub delivered: u64,
    /// Subscriptions there are.
    pub subscriptions: u64,
}

/// Everything that can ring in the hub.
#[derive(Debug, Clone, Copy)]
enum Alarm {
    /// A subscriber has been away for too long.
    Subscriber(SubscriberId),
    /// A user without subscribers is to be forgotten.
    User(UserId),
    /// A channel without members is to be forgotten.
    Channel(ChannelId),
}

/// The secrets of every hash in the hub.
///
/// Both kinds of them come from the seed: with the fixed ones that the hash has by default, ids
/// and names can be found that collide whatever the other secret is, and clients choose both.
#[derive(Debug)]
struct Seed {
    own: u64,
    shared: SharedSeed,
}

impl Seed {
    fn new(seed: u64) -> Self {
        Self {
            own: seed,
            shared: SharedSeed::from_u64(seed.rotate_left(32)),
        }
    }

    fn hash_one(&self, value: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.own, &self.shared);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// Channels, subscribers and users of all apps. See the module's comment.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    hash: Seed,
    /// By number.
    apps: Vec<rules::App>,
    channels: Table<ChannelTag, Channel>,
    subscribers: Table<SubscriberTag, Subscriber>,
    users: Table<UserTag, User>,
    memberships: Table<MembershipTag, Membership>,
    // The names by which the outside finds them: only keys, the texts stand in the tables. Never
    // iterated where order reaches the wire.
    channel_names: HashTable<ChannelId>,
    subscriber_ids: HashTable<SubscriberId>,
    user_names: HashTable<UserId>,
    /// Memberships by channel and user.
    membership_pairs: HashTable<MembershipId>,
    /// Users that are only remembered, in order of going away.
    away_users: BTreeSet<(u64, UserId)>,
    wheel: Wheel<Alarm>,
    /// What has surfaced and waits for its turn.
    due: VecDeque<Surfaced<Alarm>>,
    leaving: VecDeque<departure::Leaving>,
    /// Channels that keep something for who comes next, in the order in which that goes if it is
    /// too much.
    cached: BTreeSet<cache::Place>,
    cached_bytes: usize,
    watching: watch::Watching,
    /// Counts everything that happens; the order in which events are told and caught up with.
    sequence: u64,
    /// How often something was lost that was reported for the time after a restart.
    losses: u32,
    totals: HubTotals,
}

impl Hub {
    /// An empty hub. `hash_seed` guards the maps whose keys clients choose: from the system in
    /// production, fixed in tests.
    pub fn new(config: HubConfig, hash_seed: u64) -> Self {
        Self {
            config,
            hash: Seed::new(hash_seed),
            apps: Vec::new(),
            channels: Table::new(),
            subscribers: Table::new(),
            users: Table::new(),
            memberships: Table::new(),
            channel_names: HashTable::new(),
            subscriber_ids: HashTable::new(),
            user_names: HashTable::new(),
            membership_pairs: HashTable::new(),
            away_users: BTreeSet::new(),
            wheel: Wheel::new(),
            due: VecDeque::new(),
            leaving: VecDeque::new(),
            cached: BTreeSet::new(),
            cached_bytes: 0,
            watching: watch::Watching::default(),
            sequence: 0,
            losses: 0,
            totals: HubTotals::default(),
        }
    }

    /// The bounds and intervals in force.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// From now on these bounds; what is kept beyond them goes with the next event.
    pub fn reconfigure(&mut self, config: HubConfig) {
        self.config = config;
    }

    // ---- finding ---------------------------------------------------------------------------

    /// The channel of this name, if it exists.
    pub fn find_channel(&self, app: AppId, name: &str) -> Option<ChannelId> {
        let same = |&id: &ChannelId| {
            self.channels
                .get(id)
                .is_some_and(|c| c.app == app && &*c.name == name)
        };
        self.channel_names
            .find(self.hash.hash_one((app.0, name)), same)
            .copied()
    }

    /// The user of this name, if anything is known of it.
    pub fn find_user(&self, app: AppId, name: &str) -> Option<UserId> {
        let same = |&id: &UserId| {
            self.users
                .get(id)
                .is_some_and(|u| u.app == app && &*u.name == name)
        };
        self.user_names
            .find(self.hash.hash_one((app.0, name)), same)
            .copied()
    }

    /// The subscriber of this id, if it lives.
    pub fn find_subscriber(&self, app: AppId, id: Id) -> Option<SubscriberId> {
        let same = |&key: &SubscriberId| {
            self.subscribers
                .get(key)
                .is_some_and(|s| s.app == app && s.id == id)
        };
        self.subscriber_ids
            .find(self.hash.hash_one((app.0, id.0)), same)
            .copied()
    }

    fn find_membership(&self, channel: ChannelId, user: UserId) -> Option<MembershipId> {
        let same = |&id: &MembershipId| {
            self.memberships
                .get(id)
                .is_some_and(|m| m.channel == channel && m.user == user)
        };
        let hash = self.hash.hash_one((channel.to_bits(), user.to_bits()));
        self.membership_pairs.find(hash, same).copied()
    }

    /// The channel behind a key.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id)
    }

    /// The subscriber behind a key, unless it has gone.
    pub fn subscriber(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.subscribers.get(id).filter(|known| !known.is_leaving)
    }

    /// The user behind a key.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(id)
    }

    /// All channels of `app`, in no particular order.
    pub fn channels(&self, app: AppId) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.channels
            .iter()
            .filter(move |(_, channel)| channel.app == app)
    }

    /// Whether `who` is in `channel`.
    pub fn is_subscribed(&self, who: SubscriberId, channel: ChannelId) -> bool {
        let known = self.subscriber(who);
        known.is_some_and(|known| known.subscription(channel).is_some())
    }

    // ---- making ----------------------------------------------------------------------------

    /// The channel of this name, with `settings` if there was none or if it was
    /// [bare](Hub::ensure_bare_channel).
    pub fn ensure_channel(
        &mut self,
        app: AppId,
        name: &str,
        settings: Settings,
        now: crate::time::Now,
        fx: &mut impl Effects,
    ) -> ChannelId {
        let id = self.ensure_bare_channel(app, name, settings, now, fx);
        if let Some(channel) = self.channels.get_mut(id)
            && std::mem::take(&mut channel.is_bare)
        {
            channel.settings = settings;
            self.remember_channel(id, true, fx);
        } else {
            self.remember_again(id, fx);
        }
        id
    }

    /// The channel of this name, for a protocol that knows no settings: if there is none it is made
    /// with these, which hold until somebody gives it others. So whoever comes first by one protocol
    /// cannot take away what another one asks for.
    pub fn ensure_bare_channel(
        &mut self,
        app: AppId,
        name: &str,
        settings: Settings,
        now: crate::time::Now,
        fx: &mut impl Effects,
    ) -> ChannelId {
        if let Some(id) = self.find_channel(app, name) {
            return id;
        }
        let traits = (self.rules(app).traits)(name);
        let mut channel = Channel::new(app, fx.id(), name, settings, traits, now.unix_micros);
        channel.is_bare = true;
        self.insert_channel(channel)
    }

    /// Puts a channel in whose name is free.
    fn insert_channel(&mut self, channel: Channel) -> ChannelId {
        let name = self.hash.hash_one((channel.app.0, &*channel.name));
        let id = self.channels.insert(channel);
        let (channels, hash) = (&self.channels, &self.hash);
        let rehash = |&id: &ChannelId| {
            channels
                .get(id)
                .map_or(0, |c| hash.hash_one((c.app.0, &*c.name)))
        };
        self.channel_names.insert_unique(name, id, rehash);
        id
    }

    /// Gives a channel all its settings anew. It is remembered with them from now on, even while
    /// nobody is in it. What it keeps already stays, and is bounded anew with the next event.
    pub fn configure(
        &mut self,
        channel: ChannelId,
        settings: Settings,
        now: crate::time::Now,
        fx: &mut impl Effects,
    ) {
        let Some(known) = self.channels.get_mut(channel) else {
            return;
        };
        let is_new = !known.is_configured || known.is_bare || known.settings != settings;
        known.settings = settings;
        (known.is_configured, known.is_bare) = (true, false);
        self.remember_channel(channel, is_new, fx);
        self.settle_channel(channel, now);
    }

    /// The user of this name; made if nothing is known of it. True: it was made now.
    pub fn ensure_user(&mut self, app: AppId, name: &str, fx: &mut impl Effects) -> (UserId, bool) {
        if let Some(id) = self.find_user(app, name) {
            return (id, false);
        }
        let user = User::new(app, fx.id(), name);
        (self.insert_user(user), true)
    }

    /// Puts a user in whose name is free.
    fn insert_user(&mut self, user: User) -> UserId {
        let name = self.hash.hash_one((user.app.0, &*user.name));
        let id = self.users.insert(user);
        let (users, hash) = (&self.users, &self.hash);
        let rehash = |&id: &UserId| {
            users
                .get(id)
                .map_or(0, |u| hash.hash_one((u.app.0, &*u.name)))
        };
        self.user_names.insert_unique(name, id, rehash);
        id
    }

    // ---- numbers ---------------------------------------------------------------------------

    /// How far the order has come in which everything is told.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What has passed through.
    pub fn totals(&self) -> HubTotals {
        self.totals
    }

    /// Channels, subscribers and users there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (
            self.channels.len(),
            self.subscriber_ids.len(),
            self.users.len(),
        )
    }

    /// Whether nothing is left at all: no channel, no subscriber, no user, no deadline.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
            && self.subscribers.is_empty()
            && self.users.is_empty()
            && self.memberships.is_empty()
            && self.away_users.is_empty()
            && self.watching.is_empty()
            && self.cached.is_empty()
    }

    /// Bytes kept in memory for history and catch-up of all channels, roughly.
    pub fn kept_bytes(&self) -> usize {
        self.channels
            .iter()
            .map(|(_, channel)| channel.kept_bytes())
            .sum()
    }
}

/// Takes the entry found by `same` out of a table of names, and gives memory back when the table
/// is mostly empty.
fn forget<K>(
    table: &mut HashTable<K>,
    hash: u64,
    same: impl FnMut(&K) -> bool,
    rehash: impl Fn(&K) -> u64,
) {
    if let Ok(entry) = table.find_entry(hash, same) {
        entry.remove();
    }
    room::shrink_table(table, rehash);
}
