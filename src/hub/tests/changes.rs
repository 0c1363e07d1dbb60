//! Messages that are edited and taken back, states that change, settings that are replaced.

use super::*;

const KEEPS: Settings = Settings {
    notify_presence: false,
    presence_with_members: false,
    notify_state: false,
    store_history: true,
    history_messages: 10,
    store_recent: true,
};

pub(super) fn edit<'a>(id: Id, channel: Option<&'a str>, body: &'a str) -> Amendment<'a> {
    Amendment {
        id,
        channel: channel.map(Into::into),
        only: Vec::new(),
        except: Vec::new(),
        change: Change::Edit(Edit {
            at: None,
            user: None,
            body: Some(body),
            edited: Stamp::from_unix_micros(7),
        }),
    }
}

pub(super) fn delete(id: Id, channel: Option<&str>) -> Amendment<'_> {
    Amendment {
        change: Change::Delete,
        ..edit(id, channel, "")
    }
}

impl World {
    /// Publishes under this id.
    pub(super) fn publish_as(&mut self, id: u128, channel: &str, body: &str) -> Id {
        let mut message = self.message(Some(channel), body);
        message.id = Id(id << 64);
        self.hub.publish(APP, &message, self.now, &mut self.fx);
        message.id
    }

    pub(super) fn amend(&mut self, amendment: &Amendment<'_>) -> usize {
        let looked_at = self.hub.amend(APP, amendment, self.now, &mut self.fx);
        self.hub.check();
        looked_at
    }

    pub(super) fn channel(&self, name: &str) -> &Channel {
        let id = self.hub.find_channel(APP, name).expect("it exists");
        self.hub.channel(id).expect("it exists")
    }

    pub(super) fn bodies(&self, channel: &str) -> Vec<String> {
        let history = self.channel(channel).history();
        history
            .map(|message| message.body.as_deref().unwrap_or("-").to_owned())
            .collect()
    }

    pub(super) fn set(&mut self, user: &str, key: &str, value: &str) -> bool {
        let user = self.hub.find_user(APP, user).expect("it is known");
        self.hub.set_state(user, key, value)
    }

    /// Tells all channels. How many were told.
    fn tell_state(&mut self, user: &str, changed: &[&str], channels: &[&str]) -> usize {
        let user = self.hub.find_user(APP, user).expect("it is known");
        let changed: Vec<Box<str>> = changed.iter().map(|&key| key.into()).collect();
        let mut last = None;
        let mut told = 0;
        for name in channels {
            let channel = self.hub.find_channel(APP, name).expect("it exists");
            let (now, fx) = (self.now, &mut self.fx);
            let bytes = self
                .hub
                .tell_state(user, channel, &changed, &mut last, now, fx);
            told += usize::from(bytes > 0);
        }
        told
    }
}

#[test]
fn an_edit_shows_in_history_and_catch_up_and_comes_behind_what_it_changed() {
    let mut world = World::new();
    let ann = world.connect("ann");
    let bob = world.connect("bob");
    let cyd = world.connect("cyd");
    for who in [ann, bob, cyd] {
        world.subscribe(who, "room", KEEPS);
    }
    let here = world.open(ann);
    let first = world.publish_as(1, "room", "1");
    world.publish_as(2, "room", "2");
    // Frames for catch-up are made before the edit, and must not be those that come after it.
    let early = world.open(bob);
    assert_eq!(world.take(early), ["~room:1", "~room:2"]);
    let encoded = world.fx.encoded;
    world.later(1_000);
    assert_eq!(world.amend(&edit(first, Some("room"), "one")), 4);
    assert_eq!(world.fx.encoded, encoded + 1, "once for both who are there");
    assert_eq!(world.take(here), ["room:1", "room:2", "room:!one"]);
    assert_eq!(world.take(early), ["room:!one"]);
    assert_eq!(world.bodies("room"), ["one", "2"]);
    let edited: Vec<_> = world.channel("room").history().map(|m| m.edited).collect();
    assert_eq!(edited, [Some(Stamp::from_unix_micros(7)), None]);
    assert_eq!(
        world.channel("room").last_active_micros(),
        world.now.unix_micros
    );
    let late = world.open(cyd);
    assert_eq!(world.take(late), ["~room:one", "~room:2", "~room:!one"]);
    // What is not given stays; what was told of edits stays told.
    let mut again = edit(first, Some("room"), "");
    again.change = Change::Edit(Edit {
        at: Some(Stamp::from_unix_micros(5)),
        user: Some("other".into()),
        body: None,
        edited: Stamp::from_unix_micros(8),
    });
    world.amend(&again);
    let message = world.channel("room").history().next().expect("the first");
    assert_eq!((&*message.user, message.at.micros), ("other", 5));
    assert_eq!(message.body.as_deref(), Some("one"));
    assert_eq!(world.take(late), ["room:!other:"]);
}

#[test]
fn a_deletion_takes_the_message_out_and_is_told() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.subscribe(ann, "room", KEEPS);
    let first = world.publish_as(1, "room", "1");
    let second = world.publish_as(2, "room", "2");
    let before = world.hub.kept_bytes();
    world.amend(&edit(first, Some("room"), "one"));
    world.amend(&delete(first, Some("room")));
    assert!(world.hub.kept_bytes() < before + 500);
    assert_eq!(world.bodies("room"), ["2"]);
    let conn = world.open(ann);
    assert_eq!(world.take(conn), ["~room:2", "~room:!one", "~room:x1"]);
    // Nothing was found, and all the same it is told.
    world.amend(&delete(first, Some("room")));
    assert_eq!(world.take(conn), ["room:x1"]);
    assert_eq!(world.amend(&delete(first, Some("nowhere"))), 0);
    assert_eq!(world.amend(&delete(first, None)), 0);
    assert!(world.take(conn).is_empty());
    // The history was what the channel was remembered for.
    world.hub.depart(ann, world.now, &mut world.fx);
    world.later(100 * 3_600_000);
    assert_eq!(world.bodies("room"), ["2"]);
    world.amend(&delete(second, Some("room")));
    world.later(72 * 3_600_000 + 1_000);
    assert!(world.hub.is_empty());
}

#[test]
fn a_change_is_for_whom_it_names_itself() {
    let mut world = World::new();
    let conns: Vec<(SubscriberId, ConnId)> = ["ann", "bob", "cyd"]
        .map(|user| {
            let who = world.connect(user);
            world.subscribe(who, "room", Settings::default());
            (who, world.open(who))
        })
        .to_vec();
    let mut message = world.message(Some("room"), "for ann");
    message.only = vec!["ann".into()];
    let id = message.id;
    world.hub.publish(APP, &message, world.now, &mut world.fx);
    for &(who, conn) in &conns {
        world.take(conn);
        let at = world.now.mono + 1_000;
        assert!(world.hub.detach(who, conn, at));
    }
    let mut change = edit(id, Some("room"), "for all but cyd");
    change.except = vec!["cyd".into()];
    world.amend(&change);
    change.only = vec!["bob".into(), "cyd".into(), "nobody".into()];
    world.amend(&change);
    let heard: Vec<Vec<String>> = conns
        .iter()
        .map(|&(who, _)| {
            let conn = world.open(who);
            world.take(conn)
        })
        .collect();
    let edit = "~room:!for all but cyd";
    assert_eq!(heard, [vec![edit], vec![edit, edit], vec![]]);
    world.amend(&change);
    assert_eq!(world.fx.sent.len(), 1, "bob alone, who is here now");
}

#[test]
fn private_messages_are_changed_for_those_who_are_named() {
    let mut world = World::new();
    let (ann, bob) = (world.connect("ann"), world.connect("bob"));
    let mut message = world.message(None, "psst");
    message.only = vec!["ann".into(), "bob".into()];
    let id = message.id;
    world.hub.publish(APP, &message, world.now, &mut world.fx);
    let mut change = edit(id, None, "hush");
    change.only = vec!["ann".into(), "ann".into(), "bob".into(), "nobody".into()];
    change.except = vec!["bob".into()];
    assert_eq!(world.amend(&change), 1);
    let (a, b) = (world.open(ann), world.open(bob));
    assert_eq!(world.take(a), ["~-:hush", "~-:!hush"]);
    assert_eq!(world.take(b), ["~-:psst"]);
    let mut change = delete(id, None);
    change.only = vec!["ann".into(), "bob".into()];
    world.amend(&change);
    let gone = format!("-:x{}", id.0 >> 64);
    assert_eq!(world.take(a), [gone.as_str()]);
    assert_eq!(world.take(b), [gone.as_str()]);
    let at = world.now.mono + 1_000;
    assert!(world.hub.detach(bob, b, at));
    // Another connection of the same user was born before all of it.
    change.only = vec!["bob".into()];
    world.amend(&change);
    let b = world.open(bob);
    assert_eq!(world.take(b), [format!("~{gone}")]);
}

#[test]
fn what_is_kept_stays_within_its_bounds_whatever_edits_make_of_it() {
    let mut world = World::new();
    let config = HubConfig {
        history_bytes: 10_000,
        catch_up_bytes: 10_000,
        ..HubConfig::default()
    };
    world.hub.reconfigure(config);
    let ann = world.connect("ann");
    let settings = Settings {
        history_messages: 1_000,
        ..KEEPS
    };
    world.subscribe(ann, "room", settings);
    // Senders choose ids: here all messages have the same.
    for _ in 0..40 {
        world.publish_as(1, "room", "short");
    }
    assert_eq!(world.bodies("room").len(), 40);
    let long = "x".repeat(4_000);
    world.amend(&edit(Id(1 << 64), Some("room"), &long));
    let channel = world.channel("room");
    assert!(channel.history_bytes <= 10_000 && channel.recent.bytes() <= 10_000);
    let left: Vec<_> = channel.history().filter_map(|m| m.body.clone()).collect();
    assert_eq!(left.len(), 2);
    assert!(Rc::ptr_eq(&left[0], &left[1]), "the payload is there once");
    // Larger than all that may be kept: one stays, as with messages.
    let long = "x".repeat(40_000);
    world.amend(&edit(Id(1 << 64), Some("room"), &long));
    let channel = world.channel("room");
    assert_eq!((channel.history.len(), channel.recent.len()), (1, 1));

    let mut message = world.message(None, "psst");
    message.only = vec!["ann".into()];
    for _ in 0..40 {
        world.hub.publish(APP, &message, world.now, &mut world.fx);
    }
    let mut change = edit(message.id, None, &long);
    change.only = vec!["ann".into()];
    world.amend(&change);
    let user = world.hub.find_user(APP, "ann").expect("it is known");
    let user = world.hub.user(user).expect("it is known");
    let private = user.private.as_ref().expect("something is kept");
    assert_eq!(private.len(), 1, "the edit itself");
}

#[test]
fn a_state_is_told_where_that_is_wanted_once_per_connection() {
    let mut world = World::new();
    let tells = Settings {
        notify_state: true,
        ..Settings::default()
    };
    let (ann, too, bob) = (
        world.connect("ann"),
        world.connect("ann"),
        world.connect("bob"),
    );
    for who in [ann, too, bob] {
        world.subscribe(who, "a", tells);
        world.subscribe(who, "b", Settings::default());
        world.subscribe(who, "c", tells);
    }
    world.subscribe(bob, "d", tells);
    let all = ["a", "b", "c", "d"];
    let conns = [ann, too, bob].map(|who| world.open(who));
    let user = world.hub.find_user(APP, "ann").expect("it is known");
    world.hub.set_public_keys(user, ["mood"].into_iter());
    assert!(world.set("ann", "mood", "1") && world.set("ann", "age", "2"));
    assert_eq!(world.tell_state("ann", &["age"], &all), 0, "nobody sees it");
    assert!(world.fx.sent.is_empty());
    let encoded = world.fx.encoded;
    assert_eq!(world.tell_state("ann", &["age", "mood"], &all), 2);
    assert_eq!(world.fx.encoded, encoded + 2, "once per channel");
    for conn in conns {
        let told = ["a:ann@mood=1!mood=1", "c:ann@mood=1!mood=1"];
        assert_eq!(world.take(conn), told);
    }
    // It is kept, for its user as well; two channels share what they were told.
    let [one, other] = ["a", "c"].map(|name| {
        let id = world.hub.find_channel(APP, name).expect("it exists");
        let channel = world.hub.channels.get_mut(id).expect("it exists");
        let kept = channel.recent.after(0).next().expect("it was kept");
        kept.event.clone()
    });
    let (event::KeptEvent::State(one), event::KeptEvent::State(other)) = (one, other) else {
        panic!("these were changes of state");
    };
    assert!(Rc::ptr_eq(&one.told, &other.told));
    assert_ne!(one.id, other.id);
    let at = world.now.mono + 1_000;
    assert!(world.hub.detach(ann, conns[0], at));
    assert!(world.set("ann", "mood", "3"));
    assert_eq!(world.tell_state("ann", &["mood"], &all), 2);
    let back = world.open(ann);
    let told = ["~a:ann@mood=3!mood=3", "~c:ann@mood=3!mood=3"];
    assert_eq!(world.take(back), told);
    assert_eq!(world.tell_state("bob", &["mood"], &all), 0);
}

#[test]
fn settings_are_replaced_and_what_is_kept_stays() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.subscribe(ann, "room", KEEPS);
    for body in ["1", "2", "3"] {
        world.publish("room", body);
    }
    let room = world.hub.find_channel(APP, "room").expect("it exists");
    let off = Settings {
        store_history: false,
        store_recent: false,
        ..Settings::default()
    };
    world.hub.configure(room, off, world.now, &mut world.fx);
    world.publish("room", "4");
    assert_eq!(world.bodies("room"), ["1", "2", "3"]);
    let conn = world.open(ann);
    assert_eq!(world.take(conn), ["~room:1", "~room:2", "~room:3"]);
    let fewer = Settings {
        history_messages: 2,
        ..KEEPS
    };
    world.hub.configure(room, fewer, world.now, &mut world.fx);
    assert_eq!(world.bodies("room").len(), 3, "until the next is stored");
    world.publish("room", "5");
    assert_eq!(world.bodies("room"), ["3", "5"]);
    assert_eq!(world.channel("room").settings(), &fewer);
}

#[test]
fn a_channel_that_was_configured_is_remembered_and_others_are_not() {
    let mut world = World::new();
    let (now, fx) = (world.now, &mut world.fx);
    let other = Settings {
        notify_presence: true,
        ..Settings::default()
    };
    let room = world.hub.ensure_channel(APP, "room", other, now, fx);
    world.hub.configure(room, Settings::default(), now, fx);
    let ann = world.connect("ann");
    world.subscribe(ann, "room", other);
    world.subscribe(ann, "hall", other);
    world.hub.depart(ann, world.now, &mut world.fx);
    world.later(73 * 3_600_000);
    assert!(world.hub.find_channel(APP, "hall").is_none());
    assert_eq!(world.channel("room").settings(), &Settings::default());
}

#[test]
fn what_is_done_for_a_user_who_is_away_prolongs_how_long_it_is_remembered() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.set("ann", "mood", "1");
    world.hub.depart(ann, world.now, &mut world.fx);
    world.later(23 * 3_600_000);
    let mut message = world.message(None, "psst");
    message.only = vec!["ann".into()];
    world.hub.publish(APP, &message, world.now, &mut world.fx);
    world.later(23 * 3_600_000);
    let user = world.hub.find_user(APP, "ann").expect("it is known");
    world.hub.touch_user(user, world.now);
    world.later(23 * 3_600_000);
    assert!(world.hub.find_user(APP, "ann").is_some());
    world.later(2 * 3_600_000);
    assert!(world.hub.is_empty());
}

#[test]
fn what_the_store_has_is_told_as_such_and_its_further_members_only_live() {
    let mut world = World::new();
    let ann = world.connect("ann");
    let keeps = Settings {
        store_history: true,
        ..Settings::default()
    };
    world.subscribe(ann, "room", keeps);
    let mut message = world.message(Some("room"), "1");
    (message.extra, message.stored) = (Some("\"a\":1"), true);
    let view = message.view();
    assert_eq!((view.extra, view.stored), (Some("\"a\":1"), true));
    let id = message.id;
    world.hub.publish(APP, &message, world.now, &mut world.fx);
    let kept = |world: &World| {
        let room = world.hub.find_channel(APP, "room").expect("it exists");
        let mut history = world.hub.channel(room).expect("it exists").history();
        let view = history.next().expect("it is kept").view();
        (view.extra.map(str::to_owned), view.stored)
    };
    assert_eq!(kept(&world), (None, true));
    let mut edit = |at: Option<Stamp>| {
        let amendment = Amendment {
            id,
            channel: Some("room".into()),
            only: Vec::new(),
            except: Vec::new(),
            change: Change::Edit(Edit {
                at,
                user: None,
                body: Some("2"),
                edited: Stamp::from_unix_micros(7),
            }),
        };
        world.hub.amend(APP, &amendment, world.now, &mut world.fx);
        kept(&world).1
    };
    assert!(edit(None), "under the id and time that it has");
    assert!(
        !edit(Some(Stamp::from_unix_micros(5))),
        "not under this time"
    );
}
