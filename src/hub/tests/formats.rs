//! Subscribers that are told in another format in one channel, and the order in which they joined.

use super::*;

impl World {
    /// Joins as the user whose it is, to be told in `format` there.
    fn subscribe_in(&mut self, who: SubscriberId, channel: &str, format: Format) -> bool {
        let (now, fx) = (self.now, &mut self.fx);
        let channel = self.hub.ensure_channel(APP, channel, PRESENCE, now, fx);
        let user = self.hub.subscriber(who).expect("it is there").user();
        let role = Role::Own(user);
        let is_new = self.hub.subscribe_in(who, channel, role, format, now, fx);
        self.hub.check();
        is_new.expect("within the limits")
    }

    fn leave(&mut self, who: SubscriberId, channel: &str) {
        let channel = self.hub.find_channel(APP, channel).expect("it is there");
        assert!(self.hub.unsubscribe(who, channel, self.now, &mut self.fx));
    }

    fn joined(&self, who: SubscriberId) -> Vec<String> {
        let channels = self.hub.channels_in_order(who);
        channels.iter().map(|(name, _)| name.to_string()).collect()
    }
}

#[test]
fn one_channel_may_be_told_in_a_quieter_format() {
    let mut world = World::new();
    let (ann, bob) = (world.connect("ann"), world.connect("bob"));
    let conn = world.open(ann);
    assert!(world.subscribe_in(ann, "quiet", QUIET));
    assert!(
        !world.subscribe_in(ann, "quiet", FORMAT),
        "it stays as it is"
    );
    assert!(world.subscribe_in(ann, "loud", FORMAT));
    for name in ["quiet", "loud"] {
        world.subscribe(bob, name, PRESENCE);
        world.publish(name, "1");
        world.leave(bob, name);
    }
    assert_eq!(
        world.take(conn),
        ["q|quiet:1", "loud:+bob[]", "loud:1", "loud:-bob[]"]
    );
    // Chosen one by one, or all but some.
    for (only, except, heard) in [("ann", "", 1), ("", "ann", 0), ("", "bob", 1)] {
        let mut message = world.message(Some("quiet"), "2");
        let list = |name: &'static str| match name {
            "" => Vec::new(),
            name => vec![name.into()],
        };
        (message.only, message.except) = (list(only), list(except));
        let now = world.now;
        assert_eq!(world.hub.publish(APP, &message, now, &mut world.fx), heard);
        assert_eq!(world.take(conn), ["q|quiet:2"][..heard as usize]);
    }
    // Its own format again, once it has left.
    world.leave(ann, "quiet");
    world.subscribe(ann, "quiet", PRESENCE);
    world.publish("quiet", "3");
    assert_eq!(world.take(conn), ["quiet:3"]);
    world.hub.check();
}

#[test]
fn another_format_is_that_of_channels_without_one_of_their_own() {
    const OTHER: Format = Format(2);
    let mut world = World::new();
    let (ann, bob) = (world.connect("ann"), world.connect("bob"));
    // Others on both sides of it in the same lists.
    for who in [bob, ann] {
        world.subscribe_in(who, "quiet", QUIET);
        world.subscribe_in(who, "plain", FORMAT);
    }
    let late = world.connect("cyd");
    world.subscribe_in(late, "quiet", QUIET);
    world.subscribe_in(late, "plain", FORMAT);
    let formats = |world: &World| -> Vec<(String, Format)> {
        let subscriber = world.hub.subscriber(ann).expect("it is there");
        let list = subscriber.subscriptions.as_slice().iter();
        let name = |id| world.hub.channel(id).expect("it exists").name().to_owned();
        list.map(|s| (name(s.channel), s.format)).collect()
    };
    for format in [OTHER, FORMAT, OTHER] {
        let conn = world.conns.insert(());
        assert!(world.hub.attach_as(ann, conn, format, &mut world.fx));
        world.hub.check();
        let told = [("quiet".to_owned(), QUIET), ("plain".to_owned(), format)];
        assert_eq!(formats(&world), told);
        world.publish("quiet", "1");
        world.publish("plain", "1");
        assert_eq!(world.take(conn), ["q|quiet:1", "plain:1"]);
    }
    world.hub.depart(bob, world.now, &mut world.fx);
    world.hub.depart(ann, world.now, &mut world.fx);
    world.hub.check();
}

#[test]
fn what_was_missed_is_told_in_the_format_of_its_channel() {
    let mut world = World::new();
    let (ann, bob) = (world.connect("ann"), world.connect("bob"));
    world.subscribe_in(ann, "a", QUIET);
    world.subscribe_in(ann, "b", FORMAT);
    for name in ["a", "b"] {
        world.subscribe(bob, name, PRESENCE);
        world.publish(name, "1");
    }
    let conn = world.open(ann);
    assert_eq!(world.take(conn), ["q|~a:1", "~b:+bob[]", "~b:1"]);
}

#[test]
fn channels_are_listed_in_the_order_of_joining_however_often() {
    let mut world = World::new();
    let ann = world.connect("ann");
    for name in ["c", "a", "d", "b"] {
        world.subscribe(ann, name, Settings::default());
    }
    assert_eq!(world.joined(ann), ["c", "a", "d", "b"]);
    world.leave(ann, "a");
    world.subscribe(ann, "a", Settings::default());
    assert_eq!(world.joined(ann), ["c", "d", "b", "a"]);
    // More often than there are numbers.
    for _ in 0..u32::from(u16::MAX) + 5 {
        world.leave(ann, "d");
        world.subscribe(ann, "d", Settings::default());
    }
    assert_eq!(world.joined(ann), ["c", "b", "a", "d"]);
    world.hub.check();
    world.subscribe(ann, "e", Settings::default());
    assert_eq!(world.joined(ann), ["c", "b", "a", "d", "e"]);
    let names: Vec<String> = world
        .hub
        .channels_of(ann)
        .iter()
        .map(|c| c.0.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}
