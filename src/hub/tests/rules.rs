//! What an app's rules make of channels: members as guests, what is cached, counts, fleeting channels;
//! and who watches whom.

use super::*;
use crate::limits::{CACHED_BYTES_MAX, CACHED_CHANNELS_MAX, COUNT_AT_ONCE_MAX, COUNT_EVERY_MS};

const CACHE_MS: u64 = 60_000;

/// `p-` has members, `k-` is cached, and all are fleeting.
fn traits(name: &str) -> Traits {
    Traits {
        has_members: name.starts_with("p-"),
        is_cached: name.starts_with("k-"),
        is_fleeting: true,
    }
}

pub(super) fn world() -> World {
    let mut world = World::new();
    let rules = AppRules {
        traits,
        tells_count: true,
        cache_ms: CACHE_MS,
        settings: Settings::default(),
        remembers: false,
    };
    world.hub.set_rules(APP, rules);
    world
}

impl World {
    /// A subscriber that is nobody's, and its connection.
    pub(super) fn nobody(&mut self) -> (SubscriberId, ConnId) {
        let id = self.fx.id();
        let expires = self.now.mono + 15_000;
        let who = self.hub.connect_nobody(APP, id, FORMAT, expires);
        let who = who.expect("a fresh id");
        let conn = self.conns.insert(());
        assert!(self.hub.attach(who, conn, &mut self.fx));
        (who, conn)
    }

    pub(super) fn join(&mut self, who: SubscriberId, channel: &str, role: Role) -> bool {
        let (now, fx) = (self.now, &mut self.fx);
        let channel = self
            .hub
            .ensure_bare_channel(APP, channel, Settings::default(), now, fx);
        let is_new = self.hub.subscribe_as(who, channel, role, now, fx);
        self.hub.count_changed(channel, now, fx);
        self.hub.check();
        is_new.expect("within the limits")
    }

    pub(super) fn guest(
        &mut self,
        who: SubscriberId,
        channel: &str,
        user: &str,
        info: Option<&str>,
    ) {
        let (user, _) = self.hub.ensure_user(APP, user, &mut self.fx);
        self.join(who, channel, as_guest(user, info));
    }

    pub(super) fn part(&mut self, who: SubscriberId, channel: &str) {
        let channel = self.hub.find_channel(APP, channel).expect("it is there");
        assert!(self.hub.unsubscribe(who, channel, self.now, &mut self.fx));
        self.hub.check();
    }

    pub(super) fn gone(&mut self, who: SubscriberId) {
        assert!(self.hub.depart(who, self.now, &mut self.fx));
        self.hub.check();
    }

    pub(super) fn shows(&mut self, channel: &str) -> Option<String> {
        let (now, fx) = (self.now, &mut self.fx);
        let channel = self
            .hub
            .ensure_bare_channel(APP, channel, Settings::default(), now, fx);
        let frame = self.hub.show_cached(channel, FORMAT, now, fx);
        self.hub.release_channel(channel, now);
        frame.map(|frame| String::from_utf8_lossy(&frame).into_owned())
    }

    pub(super) fn info(&self, channel: &str, user: &str) -> Option<&str> {
        let channel = self.hub.find_channel(APP, channel)?;
        self.hub
            .member_info(channel, self.hub.find_user(APP, user)?)
    }

    fn facts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fx.facts)
    }
}

#[test]
fn fleeting_channels_are_forgotten_at_once() {
    let mut world = world();
    let (who, _) = world.nobody();
    for name in ["a", "p-a"] {
        world.guest(who, name, "u", None);
        assert_eq!(world.hub.counts().0, 1);
        world.part(who, name);
        assert_eq!(world.hub.counts(), (0, 1, 0), "{name}");
    }
    // One that was made and not joined.
    let (now, fx) = (world.now, &mut world.fx);
    let made = world
        .hub
        .ensure_bare_channel(APP, "b", Settings::default(), now, fx);
    world.hub.release_channel(made, now);
    assert_eq!(world.hub.counts().0, 0);
    // What is published to nobody makes none.
    world.publish("a", "1");
    assert_eq!(world.hub.counts().0, 0);
    // One that was given settings stays for a while.
    let settings = Settings {
        notify_presence: true,
        ..Settings::default()
    };
    world.subscribe(who, "c", settings);
    world.gone(who);
    assert_eq!(world.hub.counts(), (1, 0, 0));
    // Another app has its own rules, which are none.
    let id = world.fx.id();
    let expires = world.now.mono + 1;
    let elsewhere = AppId(1);
    let who = world
        .hub
        .connect_nobody(elsewhere, id, FORMAT, expires)
        .expect("fresh");
    let (now, fx) = (world.now, &mut world.fx);
    let made = world
        .hub
        .ensure_bare_channel(elsewhere, "p-a", Settings::default(), now, fx);
    assert!(world.hub.subscribe(who, made, now, fx).expect("it joins"));
    assert_eq!(world.hub.subscriber_count(elsewhere), 1);
    world.later(1_000);
    assert_eq!(world.hub.subscriber_count(elsewhere), 0);
    world.later(80 * 3_600_000);
    assert!(world.hub.is_empty());
}

#[test]
fn guests_are_counted_and_the_oldest_is_shown() {
    let mut world = world();
    let (watcher, conn) = world.nobody();
    world.guest(watcher, "p-a", "w", None);
    let guests: Vec<SubscriberId> = (0..4).map(|_| world.nobody().0).collect();
    for (at, &who) in guests.iter().enumerate() {
        let info = format!("{at}");
        world.guest(who, "p-a", "u", (at != 2).then_some(&info));
        assert_eq!(world.info("p-a", "u"), Some("0"));
        // Again is not once more.
        let other = world.hub.find_user(APP, "w").expect("it watches");
        assert!(!world.join(who, "p-a", as_guest(other, None)));
    }
    assert_eq!(world.take(conn), ["p-a:+u[\"0\"]"]);
    // Its user's own subscriber is one more of it.
    let own = world.connect("u");
    world.subscribe(own, "p-a", Settings::default());
    world.hub.check();
    world.part(guests[0], "p-a");
    assert_eq!(world.info("p-a", "u"), Some("1"));
    world.gone(guests[1]);
    assert_eq!(world.info("p-a", "u"), None, "the next one said nothing");
    world.gone(guests[2]);
    assert_eq!(world.info("p-a", "u"), Some("3"));
    world.part(guests[3], "p-a");
    assert!(world.take(conn).is_empty(), "one is left");
    world.gone(own);
    assert_eq!(world.take(conn), ["p-a:-u[]"]);
    // The same subscriber as two, in two channels.
    let two = guests[3];
    world.guest(two, "p-1", "one", None);
    world.guest(two, "p-2", "two", None);
    for (name, user) in [("p-1", "one"), ("p-2", "two")] {
        let channel = world.hub.find_channel(APP, name).expect("there");
        let known = world
            .hub
            .user_in(two, channel)
            .and_then(|user| world.hub.user(user));
        assert_eq!(known.map(User::name), Some(user));
    }
    world.facts();
    for who in [guests[0], two, watcher] {
        world.gone(who);
    }
    let facts = world.facts();
    assert_eq!(
        facts,
        [
            "removed one from p-1",
            "vacated p-1",
            "removed two from p-2",
            "vacated p-2",
            "removed w from p-a",
            "vacated p-a"
        ]
    );
    // The channel that was named with settings stays known for a while.
    world.later(world.hub.config().channel_forget_ms + 100);
    assert!(world.hub.is_empty(), "guests' users are forgotten");
}

#[test]
fn a_user_that_has_gone_cannot_be_a_member() {
    let mut world = world();
    let (who, _) = world.nobody();
    let (user, _) = world.hub.ensure_user(APP, "u", &mut world.fx);
    world.hub.settle_user(user, world.now);
    let (now, fx) = (world.now, &mut world.fx);
    let channel = world
        .hub
        .ensure_bare_channel(APP, "p-a", Settings::default(), now, fx);
    let role = as_guest(user, None);
    let refused = world.hub.subscribe_as(who, channel, role, now, fx);
    assert_eq!(refused, Err(Refusal::UnknownSubscriber));
    world.hub.release_channel(channel, now);
    assert_eq!(world.facts(), Vec::<String>::new());
    assert_eq!(world.hub.counts(), (0, 1, 0));
    world.hub.check();
}

#[test]
fn the_last_message_is_shown_for_a_while() {
    let mut world = world();
    assert_eq!(world.shows("k-a"), None);
    assert_eq!(world.shows("k-a"), None);
    assert_eq!(world.facts(), ["miss k-a"]);
    world.publish("k-a", "1");
    world.publish("k-a", "2");
    assert_eq!(world.shows("k-a").as_deref(), Some("k-a:2"));
    assert_eq!(world.hub.counts().0, 1);
    world.later(CACHE_MS - 2_000);
    let key = world.hub.find_channel(APP, "k-a").expect("it is kept");
    let left = world.hub.cached(key, world.now).map(|(_, left_ms)| left_ms);
    assert_eq!(left, Some(2_000));
    // What is for some of them, or for nobody later, is not kept.
    for (only, no_history) in [(vec!["ann".into()], false), (Vec::new(), true)] {
        let mut message = world.message(Some("k-a"), "3");
        (message.only, message.no_history) = (only, no_history);
        let now = world.now;
        world.hub.publish(APP, &message, now, &mut world.fx);
        assert_eq!(world.shows("k-a").as_deref(), Some("k-a:2"));
    }
    world.later(5_000);
    assert!(world.hub.is_empty(), "{:?}", world.hub.counts());
    assert_eq!(world.shows("k-a"), None);
    assert_eq!(world.facts(), ["miss k-a"]);
    world.later(CACHE_MS + 5_000);
    assert!(
        world.hub.is_empty(),
        "nor is it remembered that it was empty"
    );
}

#[test]
fn what_is_cached_is_bounded_in_number_and_notes_go_first() {
    let mut world = world();
    let name = |n: usize| format!("k-{n}");
    for n in 0..CACHED_CHANNELS_MAX {
        world.publish(&name(n), "1");
        world.now.mono = world.now.mono + u64::from(n % 64 == 0);
    }
    assert_eq!(world.hub.counts().0, CACHED_CHANNELS_MAX);
    // Whoever asks for names that nobody has published to pushes nothing out.
    for n in 0..1_000 {
        assert_eq!(world.shows(&format!("k-none-{n}")), None);
    }
    assert_eq!(world.hub.counts().0, CACHED_CHANNELS_MAX);
    assert_eq!(world.shows(&name(0)).as_deref(), Some("k-0:1"));
    // One message more does, the oldest.
    world.publish("k-more", "1");
    assert_eq!(world.hub.counts().0, CACHED_CHANNELS_MAX);
    let left = (0..64).filter(|&n| world.hub.find_channel(APP, &name(n)).is_some());
    assert!(left.count() >= 62, "one of the oldest has gone");
    // One in which somebody is stays, without what it showed.
    let (who, _) = world.nobody();
    world.join(who, &name(1), Role::Nobody);
    for n in 0..200 {
        world.publish(&format!("k-new-{n}"), "1");
    }
    assert!(world.hub.find_channel(APP, &name(1)).is_some());
    assert!(world.hub.counts().0 <= CACHED_CHANNELS_MAX + 1);
    world.hub.check();
    world.gone(who);
    for _ in 0..CACHED_CHANNELS_MAX {
        world.now.mono = world.now.mono + CACHE_MS;
        world.hub.tick(world.now, &mut world.fx);
        if world.hub.is_empty() {
            break;
        }
    }
    assert!(world.hub.is_empty());
}

#[test]
fn what_is_cached_is_bounded_in_bytes() {
    let mut world = world();
    let large = "x".repeat(1 << 20);
    let count = CACHED_BYTES_MAX >> 20;
    for n in 0..count * 2 {
        world.publish(&format!("k-{n:03}"), &large);
        world.now.mono = world.now.mono + 10;
    }
    world.hub.check();
    let kept = world.hub.counts().0;
    assert!((count - 2..=count).contains(&kept), "{kept} of {count}");
    // The newest are there.
    assert!(world.shows(&format!("k-{:03}", count * 2 - 1)).is_some());
    assert!(world.shows("k-000").is_none());
}

#[test]
fn few_are_told_of_every_count_and_a_crowd_in_turns() {
    let mut world = world();
    let (first, conn) = world.nobody();
    world.join(first, "a", Role::Nobody);
    assert_eq!(world.take(conn), ["a#1"]);
    let mut crowd = Vec::new();
    for count in 2..=COUNT_AT_ONCE_MAX + 5 {
        let (who, _) = world.nobody();
        world.join(who, "a", Role::Nobody);
        crowd.push(who);
        let told = world.take(conn);
        match count <= COUNT_AT_ONCE_MAX + 1 {
            true => assert_eq!(told, [format!("a#{count}")]),
            false => assert!(told.is_empty()),
        }
    }
    world.later(COUNT_EVERY_MS - 200);
    assert!(world.take(conn).is_empty());
    world.later(400);
    assert_eq!(world.take(conn), [format!("a#{}", COUNT_AT_ONCE_MAX + 5)]);
    // The last one to be told of may leave in between.
    let (who, _) = world.nobody();
    world.join(who, "a", Role::Nobody);
    world.gone(who);
    world.later(COUNT_EVERY_MS + 200);
    world.later(COUNT_EVERY_MS + 200);
    assert!(world.take(conn).is_empty(), "it is as it was told");
    world.facts();
    // Members are told of instead.
    world.guest(first, "p-a", "u", None);
    assert_eq!(world.facts(), ["occupied p-a", "added u to p-a"]);
    for who in crowd {
        world.gone(who);
    }
    let facts = world.facts();
    assert_eq!(facts.last().map(String::as_str), Some("count 1 in a"));
    world.part(first, "a");
    assert_eq!(world.facts(), ["vacated a"]);
    world.gone(first);
    world.later(10);
    assert!(world.hub.is_empty());
}

#[test]
fn whoever_watches_is_told_until_it_goes() {
    let mut world = world();
    let (who, conn) = world.nobody();
    let (other, other_conn) = world.nobody();
    let online = world.connect("b");
    let told = world.hub.watch(who, ["a", "b", "a", "c"]);
    assert_eq!(told, [("a", false), ("b", true), ("c", false)]);
    world.hub.watch(other, ["a"]);
    world.hub.check();
    let (a, _) = world.hub.ensure_user(APP, "a", &mut world.fx);
    let sockets: Vec<_> = (0..3).map(|_| world.nobody().0).collect();
    for &socket in &sockets {
        assert!(world.hub.identify(socket, a, &mut world.fx));
        assert!(
            !world.hub.identify(socket, a, &mut world.fx),
            "it is somebody's"
        );
        world.hub.describe(socket, Some("{}"));
    }
    assert_eq!(world.take(conn), ["a=true"]);
    assert_eq!(world.take(other_conn), ["a=true"]);
    // Watching others from now on.
    world.hub.watch(other, ["c"]);
    for &socket in &sockets {
        world.gone(socket);
    }
    assert_eq!(world.take(conn), ["a=false"]);
    assert!(world.take(other_conn).is_empty());
    assert!(
        world.hub.find_user(APP, "a").is_none(),
        "to be watched is not to be known"
    );
    world.gone(online);
    assert_eq!(world.take(conn), ["b=false"]);
    world.gone(who);
    world.gone(other);
    world.later(10);
    assert!(world.hub.is_empty());
}

#[test]
fn apps_with_numbers_from_either_end_take_no_more_room_than_there_are() {
    let numbers = [0, 1, 2, u16::MAX - 2, u16::MAX - 1, u16::MAX];
    let mut places: Vec<usize> = numbers.map(|n| super::super::rules::place(AppId(n))).into();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3, 4, 5]);
    let middle = u16::MAX / 2;
    let two = [middle, middle + 1].map(|n| super::super::rules::place(AppId(n)));
    assert_ne!(two[0], two[1]);
}
