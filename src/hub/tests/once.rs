//! Messages for several channels that everybody gets once, and messages for a few.

use super::rules::world;
use super::*;
use std::collections::BTreeSet;

impl World {
    fn publish_once(
        &mut self,
        channels: &[&str],
        except: SubscriberId,
        served: &mut Served,
    ) -> u64 {
        let mut delivered = 0;
        for &name in channels {
            let mut message = self.message(Some(name), "x");
            message.except_subscriber = except;
            let now = self.now;
            delivered += self
                .hub
                .publish_once(APP, &message, served, now, &mut self.fx);
            self.hub.check();
        }
        delivered
    }
}

#[test]
fn whoever_is_in_several_channels_gets_the_first() {
    let mut world = World::new();
    let keeps = Settings {
        store_history: true,
        ..Settings::default()
    };
    let (ann, bob, cyd) = (
        world.connect("ann"),
        world.connect("bob"),
        world.connect("cyd"),
    );
    let conns = [ann, bob, cyd].map(|who| world.open(who));
    for (who, channels) in [
        (ann, &["a", "b"][..]),
        (bob, &["b", "c"]),
        (cyd, &["a", "c"]),
    ] {
        for name in channels {
            world.subscribe(who, name, keeps);
        }
    }
    let away = world.connect("away");
    world.subscribe(away, "c", keeps);
    let encoded = world.fx.encoded;
    let mut served = Served::default();
    // Who publishes is left out, and so is a channel that is not there.
    let delivered = world.publish_once(&["b", "none", "a", "c"], cyd, &mut served);
    assert_eq!(delivered, 2);
    assert_eq!(
        world.fx.encoded,
        encoded + 1,
        "nobody was left for the others"
    );
    assert_eq!(world.take(conns[0]), ["b:x"]);
    assert_eq!(world.take(conns[1]), ["b:x"]);
    assert!(world.take(conns[2]).is_empty());
    assert_eq!(served.len(), 2);
    assert!(served.contains(ann) && served.contains(bob) && !served.contains(cyd));
    // It is kept in each of them, also for who was away.
    for name in ["a", "b", "c"] {
        let room = world.hub.find_channel(APP, name).expect("it exists");
        let room = world.hub.channel(room).expect("it exists");
        assert_eq!(room.history_len(), 1, "{name}");
    }
    let late = world.open(away);
    assert_eq!(world.take(late), ["~c:x"]);
    let totals = world.hub.totals();
    assert_eq!((totals.published, totals.delivered), (4, 2));
}

#[test]
fn each_format_is_encoded_once_and_only_who_is_told_is_served() {
    let mut world = World::new();
    let who: Vec<SubscriberId> = (0..8).map(|n| world.connect(&format!("u{n}"))).collect();
    let conns: Vec<ConnId> = who.iter().map(|&who| world.open(who)).collect();
    for (at, &who) in who.iter().enumerate() {
        let format = if at % 2 == 0 { FORMAT } else { QUIET };
        let now = world.now;
        for name in ["a", "b"] {
            let fx = &mut world.fx;
            let settings = Settings::default();
            let room = world.hub.ensure_channel(APP, name, settings, now, fx);
            let role = Role::Nobody;
            let joined = world.hub.subscribe_in(who, room, role, format, now, fx);
            assert_eq!(joined, Ok(true));
        }
    }
    world.hub.depart(who[0], world.now, &mut world.fx);
    let encoded = world.fx.encoded;
    let mut served = Served::default();
    assert_eq!(
        world.publish_once(&["a", "b"], SubscriberId::NONE, &mut served),
        7
    );
    assert_eq!(world.fx.encoded, encoded + 2);
    for (at, &conn) in conns.iter().enumerate().skip(1) {
        let told = if at % 2 == 0 { "a:x" } else { "q|a:x" };
        assert_eq!(world.take(conn), [told]);
    }
    assert!(!served.contains(who[0]) && served.len() == 7);
    // Some of the users only: as ever, whoever was served.
    let mut message = world.message(Some("a"), "x");
    message.only = vec!["u1".into()];
    let (now, fx) = (world.now, &mut world.fx);
    let told = world.hub.publish_once(APP, &message, &mut served, now, fx);
    assert_eq!((told, world.take(conns[1]).len()), (1, 1));
}

#[test]
fn who_comes_into_the_place_of_one_that_was_served_is_not_served() {
    let mut keys: Table<SubscriberTag, ()> = Table::new();
    let mut served = Served::default();
    let mut naive = BTreeSet::new();
    let mut live: Vec<SubscriberId> = (0..1500).map(|_| keys.insert(())).collect();
    assert!(served.is_empty() && !served.contains(live[1200]));
    assert!(!served.insert(SubscriberId::NONE) && !served.contains(SubscriberId::NONE));
    assert_eq!(served.bytes(), 0);
    for step in 0..3000_usize {
        let at = step * 7919 % live.len();
        if step % 5 == 0 {
            let gone = live.swap_remove(at);
            keys.remove(gone);
            live.push(keys.insert(()));
        }
        let who = live[at];
        assert_eq!(served.contains(who), naive.contains(&who));
        if step % 3 == 0 {
            assert_eq!(served.insert(who), naive.insert(who));
        }
        assert_eq!(served.len(), naive.len());
    }
    for who in live {
        assert_eq!(served.contains(who), naive.contains(&who));
    }
    // For one far behind only its own stretch is made.
    let mut served = Served::default();
    assert!(served.insert(SubscriberId::from_bits(1 << 32 | 1_000_000)));
    assert!(served.bytes() < 32_768, "{}", served.bytes());
}

#[test]
fn a_few_are_told_what_is_kept_nowhere() {
    let mut world = World::new();
    let (ann, bob, away) = (
        world.connect("ann"),
        world.connect("bob"),
        world.connect("away"),
    );
    let conn = world.open(ann);
    let other = world.conns.insert(());
    assert!(world.hub.attach_as(bob, other, QUIET, &mut world.fx));
    let gone = world.connect("gone");
    world.hub.depart(gone, world.now, &mut world.fx);
    let message = world.message(Some("pair"), "x");
    let encoded = world.fx.encoded;
    let who = [ann, away, gone, bob, SubscriberId::NONE];
    let told = world.hub.tell_subscribers(&who, &message, &mut world.fx);
    assert_eq!((told, world.fx.encoded), (2, encoded + 2));
    assert_eq!(world.take(conn), ["pair:x"]);
    assert_eq!(world.take(other), ["q|pair:x"]);
    assert!(world.hub.find_channel(APP, "pair").is_none());
    assert_eq!(world.hub.totals().delivered, 2);
    world.hub.check();
}

#[test]
fn a_message_for_several_channels_is_shown_by_those_that_show_the_last() {
    let mut world = world();
    let (who, conn) = world.nobody();
    world.join(who, "k-a", Role::Nobody);
    world.take(conn);
    let mut served = Served::default();
    let none = SubscriberId::NONE;
    assert_eq!(
        world.publish_once(&["k-a", "k-b", "c"], none, &mut served),
        1
    );
    assert_eq!(world.take(conn), ["k-a:x"]);
    assert_eq!(
        world.shows("k-b").as_deref(),
        Some("k-b:x"),
        "it was made for it"
    );
    assert!(world.hub.find_channel(APP, "c").is_none());
}
