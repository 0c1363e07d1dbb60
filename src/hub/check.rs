//! Whether everything that is kept twice is the same in both places. For tests.

use super::watch::Watching;
use super::{Hub, MembershipId, SubscriberId, UserId};
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

impl Hub {
    /// Checks that both sides of every relation agree. For tests: it visits everything.
    ///
    /// # Panics
    /// When they do not, which is a bug of the hub.
    pub fn check(&self) {
        let mut subscriptions = 0;
        for (id, channel) in self.channels.iter() {
            assert_eq!(self.find_channel(channel.app, &channel.name), Some(id));
            for audience in &channel.audiences {
                let attached = audience
                    .listeners
                    .iter()
                    .filter(|l| !l.outlet.is_none())
                    .count();
                assert_eq!(
                    attached, audience.attached,
                    "{:?}: attached are counted",
                    channel.name
                );
                for (place, listener) in audience.listeners.iter().enumerate() {
                    subscriptions += 1;
                    let subscriber = self.subscribers.get(listener.subscriber);
                    let subscriber = subscriber.expect("a listed subscriber lives");
                    assert_eq!(
                        subscriber.outlet, listener.outlet,
                        "the outlet is written through"
                    );
                    let subscription = subscriber
                        .subscription(id)
                        .expect("a listed subscriber listens");
                    assert_eq!(subscription.place as usize, place, "it knows its place");
                    assert_eq!(subscription.format, audience.format);
                }
            }
            for (place, &member) in channel.members.iter().enumerate() {
                let membership = self
                    .memberships
                    .get(member)
                    .expect("a listed membership lives");
                assert_eq!((membership.place as usize, membership.channel), (place, id));
                assert!(membership.subscribers > 0, "a membership has subscribers");
                assert_eq!(self.find_membership(id, membership.user), Some(member));
            }
            assert!(
                channel.subscriber_count() > 0
                    || !channel.history.is_empty()
                    || channel.is_configured
                    || channel.timer.due() != Millis::NEVER,
                "{:?}: a channel that nobody uses has a time to go",
                channel.name
            );
        }
        for (id, subscriber) in self.subscribers.iter() {
            let found = self.find_subscriber(subscriber.app, subscriber.id);
            assert_ne!(
                found == Some(id),
                subscriber.is_leaving,
                "found while it lives"
            );
            if !subscriber.user.is_none() {
                let user = self
                    .users
                    .get(subscriber.user)
                    .expect("a subscriber's user is known");
                let place = subscriber.place_in_user as usize;
                assert_eq!(user.subscribers.as_slice().get(place), Some(&id));
            }
            assert!(
                !subscriber.outlet.is_none()
                    || subscriber.timer.due() != Millis::NEVER
                    || subscriber.is_leaving,
                "an away subscriber has a time to go"
            );
            subscriptions -= subscriber.subscriptions.len();
            assert!(
                subscriber
                    .subscriptions
                    .as_slice()
                    .is_sorted_by_key(|s| s.channel),
                "subscriptions are searched by halves"
            );
            let orders = subscriber.subscriptions.as_slice().iter().map(|s| s.order);
            let orders: BTreeSet<u16> = orders.collect();
            assert_eq!(
                orders.len(),
                subscriber.subscriptions.len(),
                "none joined at the same time as another"
            );
            assert!(orders.last() < Some(&subscriber.next_order) || orders.is_empty());
        }
        assert_eq!(
            subscriptions, 0,
            "every listener is a subscription and the other way round"
        );
        for (id, user) in self.users.iter() {
            assert_eq!(self.find_user(user.app, &user.name), Some(id));
            assert!(
                !user.subscribers.is_empty() || user.away.is_some() || user.memberships > 0,
                "an unused user is gone"
            );
        }
        let known = self.subscriber_ids.len() + self.leaving.len();
        assert_eq!(known, self.subscribers.len());
        assert_eq!(self.channel_names.len(), self.channels.len());
        assert_eq!(self.user_names.len(), self.users.len());
        assert_eq!(self.membership_pairs.len(), self.memberships.len());
        self.check_memberships();
        self.check_cached();
        self.check_remembered();
        self.check_apps();
        self.check_watching();
    }

    /// Those who are in a channel as somebody are counted, and guests are listed.
    fn check_memberships(&self) {
        let mut counts: BTreeMap<MembershipId, (u32, Vec<SubscriberId>)> = BTreeMap::new();
        for (who, subscriber) in self.subscribers.iter() {
            for subscription in subscriber.subscriptions.as_slice() {
                if subscription.membership.is_none() {
                    continue;
                }
                let membership = self.memberships.get(subscription.membership);
                let membership = membership.expect("a subscription's membership lives");
                assert_eq!(membership.channel, subscription.channel);
                let (count, guests) = counts.entry(subscription.membership).or_default();
                *count += 1;
                if subscriber.user != membership.user {
                    guests.push(who);
                }
            }
        }
        let mut of_users: BTreeMap<UserId, u32> = BTreeMap::new();
        for (id, membership) in self.memberships.iter() {
            let (count, others) = counts.remove(&id).unwrap_or_default();
            assert_eq!(count, membership.subscribers, "subscribers are counted");
            let listed: Vec<SubscriberId> = membership.guests().iter().map(|g| g.who).collect();
            for guest in &others {
                assert!(listed.contains(guest), "whoever is another is a guest");
            }
            for (at, &guest) in listed.iter().enumerate() {
                let known = self.subscribers.get(guest).expect("a guest lives");
                let subscription = known.subscription(membership.channel);
                assert_eq!(
                    subscription.map(|s| s.membership),
                    Some(id),
                    "a guest is there"
                );
                assert!(!listed[..at].contains(&guest), "a guest is listed once");
            }
            let guests = membership.guests();
            assert!(
                guests.is_sorted_by(|one, next| one.joined < next.joined),
                "guests are in order of joining"
            );
            assert!(guests.iter().all(|g| g.joined >= membership.joined));
            let says = guests.iter().any(|guest| guest.info.is_some());
            let last = membership
                .guests
                .as_ref()
                .and_then(|g| g.last_info.as_ref());
            assert!(last.is_some() || !says, "what is said last is known");
            *of_users.entry(membership.user).or_default() += 1;
        }
        for (id, user) in self.users.iter() {
            let count = of_users.get(&id).copied().unwrap_or_default();
            assert_eq!(u64::from(count), user.memberships as u64, "{:?}", user.name);
        }
    }

    /// What cached channels keep is listed in the order of going, and its bytes are counted.
    fn check_cached(&self) {
        let (mut count, mut bytes) = (0, 0);
        for (id, channel) in self.channels.iter() {
            let Some(cached) = &channel.cached else {
                continue;
            };
            assert!(channel.traits.is_cached, "{:?} is not cached", channel.name);
            let place = (cached.message.is_some(), cached.until, id);
            assert!(self.cached.contains(&place), "{:?} is listed", channel.name);
            (count, bytes) = (count + 1, bytes + cached.bytes());
        }
        assert_eq!((count, bytes), (self.cached.len(), self.cached_bytes));
    }

    /// What survives a restart was reported, where that is wanted.
    fn check_remembered(&self) {
        let remembers = |app| self.rules(app).remembers;
        for (_, channel) in self.channels.iter().filter(|(_, c)| remembers(c.app)) {
            assert!(
                channel.is_remembered || !channel.survives(),
                "{:?} is reported",
                channel.name
            );
        }
        for (_, user) in self.users.iter().filter(|(_, user)| remembers(user.app)) {
            let is_due = user.has_state() && !user.is_changed;
            assert!(user.is_remembered || !is_due, "{:?}", user.name);
        }
    }

    /// Each app knows how many subscribers it has.
    fn check_apps(&self) {
        let mut counts = vec![0; self.apps.len()];
        for (_, subscriber) in self.subscribers.iter().filter(|(_, s)| !s.is_leaving) {
            counts[super::rules::place(subscriber.app)] += 1;
        }
        let known: Vec<usize> = self.apps.iter().map(|app| app.subscribers).collect();
        assert_eq!(counts, known);
    }

    /// Whoever watches is listed with whom it watches, and has not gone.
    fn check_watching(&self) {
        let Watching {
            watchers,
            watched,
            infos,
        } = &self.watching;
        let mut pairs = 0;
        for ((app, name), watchers) in watchers {
            assert!(!watchers.is_empty(), "{name:?} is watched by nobody");
            for who in watchers {
                let known = self.subscriber(*who).expect("a watcher lives");
                assert_eq!(known.app, *app);
                assert!(watched.get(who).is_some_and(|list| list.contains(name)));
                pairs += 1;
            }
        }
        assert_eq!(pairs, watched.values().map(Vec::len).sum::<usize>());
        for who in infos.keys().chain(watched.keys()) {
            assert!(self.subscriber(*who).is_some(), "whoever is known lives");
        }
    }
}
