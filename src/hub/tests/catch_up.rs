//! Who comes back is told what it missed, and nothing twice.

use super::*;
use crate::limits::{CATCH_UP_REPLAYED_BYTES_MAX, CATCH_UP_REPLAYED_MAX};

#[test]
fn who_comes_back_hears_only_what_was_missed() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.subscribe(ann, "room", Settings::default());
    world.publish("room", "1");
    let first = world.open(ann);
    world.publish("room", "2");
    assert_eq!(world.take(first), ["~room:1", "room:2"]);
    assert!(world.hub.detach(ann, first, world.now.mono + 1000));
    assert!(
        !world.hub.detach(ann, first, world.now.mono + 1000),
        "only once"
    );
    world.publish("room", "3");
    let second = world.open(ann);
    assert_eq!(world.take(second), ["~room:3"]);
    let third = world.open(ann);
    assert_eq!(world.fx.hung_up, [(second, HangUp::Replaced)]);
    assert!(
        !world.hub.detach(ann, second, world.now.mono),
        "the old one is no outlet any more"
    );
    world.publish("room", "4");
    assert_eq!(world.take(third), ["room:4"]);
}

#[test]
fn a_socket_that_takes_over_is_not_told_again_what_the_former_one_was() {
    let mut world = World::new();
    let ada = world.connect("ada");
    world.subscribe(ada, "room", Settings::default());
    world.publish("room", "before");
    let first = world.open(ada);
    world.publish("room", "live");
    assert_eq!(world.take(first), ["~room:before", "room:live"]);
    let second = world.open(ada);
    assert_eq!(world.take(second), [""; 0]);
    assert_eq!(world.fx.hung_up, [(first, HangUp::Replaced)]);
    world.publish("room", "later");
    assert_eq!(world.take(second), ["room:later"]);
    world.hub.check();
}

#[test]
fn who_missed_more_than_is_replayed_is_told_nothing_of_it() {
    let text = format!("\"{}\"", "x".repeat(CATCH_UP_REPLAYED_BYTES_MAX / 30));
    // Channels, messages in each, their text, and whether that can be caught up with.
    for (channels, each, text, fits) in [
        (CATCH_UP_REPLAYED_MAX / 64, 64, "1", true),
        (CATCH_UP_REPLAYED_MAX / 64 + 1, 64, "1", false),
        (3, 9, &*text, true),
        (3, 10, &*text, false),
    ] {
        let mut world = World::new();
        let who = world.connect("ann");
        let conn = world.open(who);
        let names: Vec<String> = (0..channels).map(|n| format!("c{n}")).collect();
        for name in &names {
            world.subscribe(who, name, Settings::default());
        }
        world.hub.detach(who, conn, world.now.mono + 1_000);
        for name in &names {
            for _ in 0..each {
                let message = world.message(Some(name), text);
                let now = world.now;
                world.hub.publish(APP, &message, now, &mut world.fx);
            }
        }
        let back = world.conns.insert(());
        assert!(world.hub.attach(who, back, &mut world.fx));
        world.fx.sent.clear();
        assert_eq!(world.hub.catch_up(who, Order::Channel, &mut world.fx), fits);
        let count = if fits { channels * each } else { 0 };
        assert_eq!(world.fx.sent.len(), count);
        world.hub.check();
    }
}
