//! Guests: what is known of them, what they say, and who is told of it.

use super::rules::world;
use super::*;

impl World {
    /// Joins as this user, wanting pairs or not.
    fn peer(&mut self, who: SubscriberId, channel: &str, user: &str, info: &str, is_peer: bool) {
        let (user, _) = self.hub.ensure_user(APP, user, &mut self.fx);
        let info = Some(info.into());
        let role = Role::Guest {
            user,
            info,
            is_peer,
        };
        assert!(self.join(who, channel, role));
    }

    /// Its channel and itself.
    fn member(&self, channel: &str, user: &str) -> (ChannelId, UserId) {
        let channel = self.hub.find_channel(APP, channel).expect("it exists");
        let user = self.hub.find_user(APP, user).expect("it is known");
        (channel, user)
    }

    fn last_info(&self, channel: &str, user: &str) -> Option<(String, Format)> {
        let (channel, user) = self.member(channel, user);
        let (info, format) = self.hub.last_info(channel, user)?;
        Some((info.to_string(), format))
    }
}

#[test]
fn what_was_said_last_stands_while_the_user_is_there() {
    let mut world = world();
    let guests: Vec<SubscriberId> = (0..3).map(|_| world.nobody().0).collect();
    world.guest(guests[0], "p-a", "u", Some("0"));
    assert_eq!(world.last_info("p-a", "u"), Some(("0".to_owned(), FORMAT)));
    world.guest(guests[1], "p-a", "u", Some("1"));
    world.guest(guests[2], "p-a", "u", None);
    let last = Some(("1".to_owned(), FORMAT));
    assert_eq!(world.last_info("p-a", "u"), last, "silence is nothing said");
    assert_eq!(world.info("p-a", "u"), Some("0"), "the oldest");
    world.part(guests[1], "p-a");
    assert_eq!(world.last_info("p-a", "u"), last, "of one that has left");
    // With its user's own subscriber it outlives all guests.
    let own = world.connect("u");
    world.subscribe(own, "p-a", Settings::default());
    world.gone(guests[0]);
    world.gone(guests[2]);
    assert_eq!(world.last_info("p-a", "u"), last);
    assert_eq!(world.info("p-a", "u"), None);
    world.part(own, "p-a");
    world.subscribe(own, "p-a", Settings::default());
    assert_eq!(world.last_info("p-a", "u"), None, "another membership");
}

#[test]
fn guests_are_known_in_order_and_so_is_who_made_the_membership() {
    let mut world = world();
    let sockets: Vec<SubscriberId> = (0..4).map(|_| world.nobody().0).collect();
    world.peer(sockets[0], "p-a", "u", "0", false);
    let (room, user) = world.member("p-a", "u");
    let (joined, is_peer) = world.hub.membership_joined(room, user).expect("a member");
    assert!(!is_peer);
    world.peer(sockets[1], "p-a", "u", "1", true);
    world.peer(sockets[2], "p-a", "v", "2", true);
    world.peer(sockets[3], "p-a", "u", "3", true);
    let listed = |world: &World| -> Vec<(SubscriberId, String, bool, u64)> {
        let guests = world.hub.guests(room, user).iter();
        let info = |guest: &Guest| guest.info().map_or("", |info| info).to_owned();
        guests
            .map(|guest| (guest.who(), info(guest), guest.is_peer(), guest.joined()))
            .collect()
    };
    let before = listed(&world);
    let [first, second, third] = &before[..] else {
        panic!("three guests: {before:?}");
    };
    assert_eq!((first.0, &*first.1, first.2), (sockets[0], "0", false));
    assert_eq!((second.0, &*second.1, second.2), (sockets[1], "1", true));
    assert_eq!((third.0, &*third.1, third.2), (sockets[3], "3", true));
    assert_eq!(first.3, joined, "in one order with memberships");
    let (other_room, other) = world.member("p-a", "v");
    let others = world.hub.membership_joined(other_room, other);
    let (others, others_is_peer) = others.expect("a member");
    assert!(second.3 < others && others < third.3 && others_is_peer);
    // The one that made it may leave.
    world.part(sockets[0], "p-a");
    assert_eq!(listed(&world), before[1..]);
    let now = world.hub.membership_joined(room, user);
    assert_eq!(now, Some((joined, false)));
    // Its user's own subscriber is no guest, and wants no pairs.
    let own = world.connect("w");
    world.subscribe(own, "p-a", Settings::default());
    world.peer(sockets[0], "p-a", "w", "4", true);
    let (room, user) = world.member("p-a", "w");
    assert_eq!(world.hub.guests(room, user).len(), 1);
    let made = world.hub.membership_joined(room, user);
    assert!(made.is_some_and(|(_, is_peer)| !is_peer));
}

#[test]
fn a_membership_is_another_one_after_its_user_was_away() {
    let mut world = world();
    let sockets: Vec<SubscriberId> = (0..3).map(|_| world.nobody().0).collect();
    world.guest(sockets[2], "p-a", "watcher", None);
    world.guest(sockets[0], "p-a", "u", None);
    let key = |world: &World| {
        let (room, user) = world.member("p-a", "u");
        world.hub.membership_key(room, user)
    };
    let first = key(&world);
    assert!(first.is_some());
    world.guest(sockets[1], "p-a", "u", None);
    world.part(sockets[0], "p-a");
    assert_eq!(key(&world), first, "it was there all the time");
    let (room, user) = world.member("p-a", "u");
    world.part(sockets[1], "p-a");
    assert_eq!(world.hub.membership_key(room, user), None);
    assert_eq!(world.hub.membership_joined(room, user), None);
    assert!(world.hub.guests(room, user).is_empty());
    world.guest(sockets[1], "p-a", "u", None);
    assert!(key(&world).is_some() && key(&world) != first);
}

#[test]
fn whoever_parts_is_told_with_what_the_last_guest_had_said() {
    let mut world = world();
    let (watcher, conn) = world.nobody();
    world.guest(watcher, "p-a", "watcher", None);
    let (ann, bob) = (world.nobody().0, world.nobody().0);
    world.guest(ann, "p-a", "u", Some("ann"));
    world.guest(bob, "p-a", "u", Some("bob"));
    world.part(bob, "p-a");
    assert_eq!(world.take(conn), ["p-a:+u[\"ann\"]"]);
    world.gone(ann);
    assert_eq!(world.take(conn), ["p-a:-u[\"ann\"]"]);
    // Of one that is no guest nothing was said, whatever a guest said before.
    let own = world.connect("u");
    world.subscribe(own, "p-a", Settings::default());
    world.guest(bob, "p-a", "u", Some("bob"));
    world.part(bob, "p-a");
    world.gone(own);
    assert_eq!(world.take(conn), ["p-a:+u[]", "p-a:-u[]"]);
}

#[test]
fn what_is_said_comes_with_the_words_it_is_in() {
    let mut world = world();
    let (watcher, _) = world.nobody();
    world.guest(watcher, "p-a", "watcher", None);
    let id = world.fx.id();
    let expires = world.now.mono + 15_000;
    let quiet = world.hub.connect_nobody(APP, id, QUIET, expires);
    let quiet = quiet.expect("a fresh id");
    world.fx.infos.clear();
    world.guest(quiet, "p-a", "u", Some("1"));
    assert_eq!(world.last_info("p-a", "u"), Some(("1".to_owned(), QUIET)));
    let (room, user) = world.member("p-a", "u");
    assert_eq!(world.hub.guests(room, user)[0].format(), QUIET);
    world.part(quiet, "p-a");
    // It may be told otherwise in this channel: the words are still its own.
    let (user, _) = world.hub.ensure_user(APP, "u", &mut world.fx);
    let (now, fx) = (world.now, &mut world.fx);
    let role = as_guest(user, Some("2"));
    let joined = world.hub.subscribe_in(quiet, room, role, FORMAT, now, fx);
    assert_eq!(joined, Ok(true));
    world.part(quiet, "p-a");
    let own = world.connect("v");
    world.subscribe(own, "p-a", Settings::default());
    let told = [
        (Some("1"), QUIET),
        (Some("1"), QUIET),
        (Some("2"), QUIET),
        (Some("2"), QUIET),
        (None, FORMAT),
    ];
    let told = told.map(|(info, format)| (info.map(Rc::from), format));
    assert_eq!(world.fx.infos, told);
}
