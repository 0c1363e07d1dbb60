//! What survives a restart: a disk that makes the reported changes holds what the hub remembers.

use super::changes::{delete, edit};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of a message.
type Message = (Id, Stamp, String, Option<String>, Option<Stamp>);

/// The id of a user, its state, and the names of what is in it for everybody.
type Known = (Id, Vec<(String, String)>, Vec<String>);

/// Something that makes the changes that are reported, in the simplest way.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Disk {
    channels: BTreeMap<String, (RestoredChannel, Vec<Message>)>,
    users: BTreeMap<String, Known>,
    /// How many changes there were.
    changes: usize,
    /// Some were lost, so that it may be told that something is gone which it never had.
    has_lost: bool,
}

fn kept(channel: &Channel) -> RestoredChannel {
    RestoredChannel {
        id: channel.id(),
        settings: *channel.settings(),
        is_configured: channel.is_configured(),
        is_bare: channel.is_bare(),
        // Only as of the last change.
        last_active_micros: 0,
    }
}

fn message(message: &KeptMessage) -> Message {
    let body = message.body.as_deref().map(str::to_owned);
    let user = message.user.to_string();
    (message.id, message.at, user, body, message.edited)
}

fn user(user: &User) -> (Id, Vec<(String, String)>, Vec<String>) {
    let state = user.state().map(|(key, value)| (key.into(), value.into()));
    let keys = user.public_keys().map(str::to_owned);
    (user.id(), state.collect(), keys.collect())
}

impl Disk {
    pub(super) fn change(&mut self, what: Remember<'_>) {
        self.changes += 1;
        match what {
            Remember::Channel { channel } => {
                let row = self.channels.entry(channel.name().to_owned());
                row.or_insert((kept(channel), Vec::new())).0 = kept(channel);
            }
            Remember::NoChannel { channel } => {
                let was = self.channels.remove(channel).is_some();
                assert!(was || self.has_lost, "it was there");
            }
            Remember::Message {
                channel,
                message: new,
                most,
            } => {
                let list = self.messages(channel.name());
                list.push(message(new));
                let too_many = list.len().saturating_sub(most as usize);
                list.drain(..too_many);
            }
            Remember::Edited {
                channel,
                message: new,
            } => {
                let list = self.messages(channel.name());
                let same: Vec<_> = list.iter_mut().filter(|m| m.0 == new.id).collect();
                assert_eq!(same.len(), 1, "there is one to be edited");
                for old in same {
                    *old = message(new);
                }
            }
            Remember::NoMessage { channel, id } => {
                self.messages(channel).retain(|message| message.0 != id);
            }
            Remember::User { user: known } => {
                self.users.insert(known.name().to_owned(), user(known));
            }
            Remember::NoUser { user } => {
                assert!(self.users.remove(user).is_some(), "it was there");
            }
        }
    }

    fn messages(&mut self, channel: &str) -> &mut Vec<Message> {
        let row = self.channels.get_mut(channel);
        &mut row.expect("its channel was reported before").1
    }
}

fn remembering() -> World {
    let mut world = World::new();
    let rules = AppRules {
        remembers: true,
        ..AppRules::default()
    };
    world.hub.set_rules(APP, rules);
    world
}

impl World {
    /// What the hub remembers, as the disk should hold it.
    fn remembered(&self) -> Disk {
        let channels = self.hub.channels(APP).map(|(_, channel)| channel);
        let survive = channels.filter(|channel| channel.survives());
        let row = |channel: &Channel| {
            let history = channel.history().map(message);
            let row = (kept(channel), history.collect());
            (channel.name().to_owned(), row)
        };
        let users = self.hub.users.iter().map(|(_, user)| user);
        let with_state = users.filter(|user| user.has_state());
        Disk {
            channels: survive.map(row).collect(),
            users: with_state
                .map(|known| (known.name().to_owned(), user(known)))
                .collect(),
            changes: self.fx.disk.changes,
            has_lost: self.fx.disk.has_lost,
        }
    }

    fn check_disk(&self) {
        self.hub.check();
        assert_eq!(self.fx.disk, self.remembered());
    }

    /// Another world, from what the disk of this one holds.
    fn restart(&self) -> Self {
        let mut next = remembering();
        (next.now, next.fx.ids) = (self.now, self.fx.ids);
        let disk = &self.fx.disk;
        for (name, (row, messages)) in &disk.channels {
            let channel = next.hub.restore_channel(APP, name, row, next.now);
            let channel = channel.expect("it is not there yet");
            for (id, at, user, body, edited) in messages {
                let message = KeptMessage {
                    id: *id,
                    at: *at,
                    user: (&**user).into(),
                    channel: None,
                    only: Box::default(),
                    except: Box::default(),
                    no_history: false,
                    stored: false,
                    event: None,
                    body: body.as_deref().map(Rc::from),
                    edited: *edited,
                };
                next.hub.restore_message(channel, message);
            }
        }
        for (name, (id, state, keys)) in &disk.users {
            let state = state.iter().map(|(k, v)| ((&**k).into(), (&**v).into()));
            let keys: BTreeSet<Box<str>> = keys.iter().map(|key| (&**key).into()).collect();
            let user = next
                .hub
                .restore_user(APP, name, *id, state.collect(), keys, next.now);
            assert!(user.is_some(), "it is not there yet");
        }
        next.fx.disk = disk.clone();
        next
    }

    fn configure(&mut self, channel: &str, settings: Settings) {
        let (now, fx) = (self.now, &mut self.fx);
        let channel = self.hub.ensure_channel(APP, channel, settings, now, fx);
        self.hub.configure(channel, settings, now, fx);
    }
}

const KEEPS: Settings = Settings {
    store_history: true,
    ..PRESENCE
};

#[test]
fn only_what_is_remembered_for_long_is_reported() {
    let mut world = remembering();
    let ann = world.connect("ann");
    world.subscribe(ann, "plain", Settings::default());
    world.publish("plain", "1");
    let (now, fx) = (world.now, &mut world.fx);
    // Settings of nobody's choosing.
    world
        .hub
        .ensure_bare_channel(APP, "bare", PRESENCE, now, fx);
    assert_eq!(world.fx.disk, Disk::default());
    world.subscribe(ann, "other", PRESENCE);
    world.subscribe(ann, "bare", PRESENCE);
    world.configure("plain", Settings::default());
    world.check_disk();
    assert_eq!(world.fx.disk.changes, 3);
    world.configure("plain", Settings::default());
    world.subscribe(ann, "plain", KEEPS);
    world.publish("other", "1");
    assert_eq!(world.fx.disk.changes, 3, "nothing that is kept");
    // A user without a state is none, whatever would be public of it.
    let user = world.hub.find_user(APP, "ann").expect("it is known");
    world.hub.set_public_keys(user, ["mood"].into_iter());
    world.hub.remember_user(user, &mut world.fx);
    assert!(world.fx.disk.users.is_empty());
    assert!(world.set("ann", "mood", "1"));
    world.hub.remember_user(user, &mut world.fx);
    world.check_disk();
    let changes = world.fx.disk.changes;
    assert!(!world.set("ann", "mood", "1"));
    world.hub.set_public_keys(user, ["mood"].into_iter());
    world.hub.remember_user(user, &mut world.fx);
    assert_eq!(world.fx.disk.changes, changes, "it is what it was");
    // What nobody wants to know is not said.
    world.hub.set_rules(APP, AppRules::default());
    world.configure("new", KEEPS);
    world.publish("new", "1");
    assert!(world.set("ann", "mood", "2"));
    world.hub.remember_user(user, &mut world.fx);
    assert_eq!(world.fx.disk.changes, changes);
}

#[test]
fn what_is_forgotten_is_reported_as_such() {
    let mut world = remembering();
    let ann = world.connect("ann");
    world.subscribe(ann, "other", PRESENCE);
    world.subscribe(ann, "room", KEEPS);
    world.set("ann", "mood", "1");
    let user = world.hub.find_user(APP, "ann").expect("it is known");
    world.hub.remember_user(user, &mut world.fx);
    let only = world.publish_as(1, "room", "1");
    world.hub.depart(ann, world.now, &mut world.fx);
    world.later(25 * 3_600_000);
    world.check_disk();
    assert!(world.fx.disk.users.is_empty());
    world.later(50 * 3_600_000);
    world.check_disk();
    let left: Vec<&String> = world.fx.disk.channels.keys().collect();
    assert_eq!(left, ["room"], "for its history");
    world.amend(&delete(only, Some("room")));
    world.later(75 * 3_600_000);
    assert_eq!(world.fx.disk.channels.len(), 0);
    assert!(world.hub.is_empty());
}

#[test]
fn of_too_many_users_that_are_remembered_the_oldest_go_in_the_next_turn() {
    let mut world = remembering();
    world.hub.config.users_remembered = 3;
    for n in 0..8 {
        let name = format!("u{n}");
        let who = world.connect(&name);
        world.set(&name, "mood", "1");
        let user = world.hub.find_user(APP, &name).expect("it is known");
        world.hub.remember_user(user, &mut world.fx);
        world.hub.depart(who, world.now, &mut world.fx);
    }
    assert_eq!(world.hub.next_deadline(), Some(Millis(0)));
    world.later(0);
    assert!(world.hub.next_deadline() > Some(world.now.mono));
    let left: Vec<&String> = world.fx.disk.users.keys().collect();
    assert_eq!(left, ["u5", "u6", "u7"]);
    world.check_disk();
}

/// Whoever asked for something that could not be kept is told so, and asks again: then it is kept,
/// though here nothing changes by it.
#[test]
fn what_was_lost_is_reported_again_when_it_is_asked_for_again() {
    const FIRST: Id = Id(1 << 64);
    const FEWER: Settings = Settings {
        history_messages: 2,
        ..KEEPS
    };
    fn state(world: &mut World, name: &str) {
        world.set(name, "mood", "2");
        let user = world.hub.find_user(APP, name).expect("it is known");
        world.hub.set_public_keys(user, ["mood"].into_iter());
        world.hub.remember_user(user, &mut world.fx);
    }
    fn ensure(world: &mut World, name: &str) {
        let (now, fx) = (world.now, &mut world.fx);
        let made = world.hub.ensure_channel(APP, name, KEEPS, now, fx);
        world.hub.release_channel(made, now);
    }
    type Ask = fn(&mut World);
    let asks: [(&str, Ask); 9] = [
        ("other settings", |world| world.configure("room", FEWER)),
        ("a new channel", |world| world.configure("new", PRESENCE)),
        ("its first settings", |world| ensure(world, "new")),
        ("settings of its first caller", |world| {
            ensure(world, "bare")
        }),
        ("a message", |world| {
            world.publish_as(9, "room", "9");
        }),
        ("an edit", |world| {
            world.amend(&edit(FIRST, Some("room"), "edited"));
        }),
        ("a deletion", |world| {
            world.amend(&delete(FIRST, Some("room")));
        }),
        ("a state", |world| state(world, "ann")),
        ("a first state", |world| state(world, "bob")),
    ];
    for (what, ask) in asks {
        let mut world = remembering();
        for name in ["ann", "bob"] {
            let who = world.connect(name);
            world.subscribe(who, "room", KEEPS);
            let (now, fx) = (world.now, &mut world.fx);
            let bare = world.hub.ensure_bare_channel(APP, "bare", KEEPS, now, fx);
            world
                .hub
                .subscribe(who, bare, now, fx)
                .expect("it is there");
        }
        state(&mut world, "ann");
        world.set("ann", "mood", "1");
        let user = world.hub.find_user(APP, "ann").expect("it is known");
        world.hub.remember_user(user, &mut world.fx);
        world.publish_as(1, "room", "1");
        world.publish_as(2, "room", "2");
        world.check_disk();
        let before = world.fx.disk.clone();
        ask(&mut world);
        assert_ne!(world.fx.disk, before, "{what} is kept");
        // Or not.
        world.fx.disk = Disk {
            has_lost: true,
            ..before
        };
        world.hub.lost_reports();
        ask(&mut world);
        world.check_disk();
        let changes = world.fx.disk.changes;
        if !what.contains("message") {
            ask(&mut world);
            let more = world.fx.disk.changes - changes;
            assert!(more <= 1, "{what} is not reported for ever");
        }
        world.publish_as(3, "room", "3");
        world.check_disk();
    }
}

#[test]
fn an_edit_that_makes_a_message_too_large_to_stay_takes_it_off_the_disk() {
    let mut world = remembering();
    let ann = world.connect("ann");
    world.subscribe(ann, "room", KEEPS);
    let first = world.publish_as(1, "room", "1");
    world.publish_as(2, "room", "2");
    let large = "x".repeat(HISTORY_BYTES_MAX);
    world.amend(&edit(first, Some("room"), &large));
    assert_eq!(world.bodies("room"), ["2"]);
    world.check_disk();
}

/// Whatever happens, what the disk holds is what is remembered, and a restart brings it back.
#[test]
fn the_disk_agrees_under_random_changes_and_restarts() {
    for seed in 1..20_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut world = remembering();
        let mut live: Vec<SubscriberId> = Vec::new();
        for step in 0..300 {
            let channel = format!("c{}", random(4));
            let user = format!("u{}", random(4));
            let settings = match random(4) {
                0 => KEEPS,
                1 => PRESENCE,
                2 => Settings {
                    history_messages: 2,
                    ..KEEPS
                },
                _ => Settings::default(),
            };
            // Few ids, so that several messages have the same.
            let id = u128::from(random(4));
            let at = Stamp::from_unix_micros(step);
            match random(12) {
                0 | 1 => {
                    let who = world.connect(&user);
                    live.push(who);
                    world.subscribe(who, &channel, settings);
                }
                2 => world.configure(&channel, settings),
                3 => {
                    let (now, fx) = (world.now, &mut world.fx);
                    let made = world
                        .hub
                        .ensure_bare_channel(APP, &channel, settings, now, fx);
                    world.hub.release_channel(made, now);
                }
                4 | 5 => {
                    if world.hub.find_user(APP, &user).is_some() {
                        world.set(&user, &format!("k{}", random(3)), &random(3).to_string());
                        let user = world.hub.find_user(APP, &user).expect("it is known");
                        let keys = ["k0", "k1"];
                        let some = &keys[..random(3) as usize];
                        world.hub.set_public_keys(user, some.iter().copied());
                        world.hub.remember_user(user, &mut world.fx);
                    }
                }
                6 => {
                    let mut edit = edit(Id(id << 64), Some(&channel), "edited");
                    if let Change::Edit(edit) = &mut edit.change
                        && random(2) == 0
                    {
                        (edit.at, edit.body) = (Some(at), None);
                    }
                    world.amend(&edit);
                }
                7 => {
                    world.amend(&delete(Id(id << 64), Some(&channel)));
                }
                8 => {
                    if let Some(who) = live.pop() {
                        world.hub.depart(who, world.now, &mut world.fx);
                    }
                }
                9 if random(8) == 0 => {
                    world = world.restart();
                    live.clear();
                }
                10 if random(4) == 0 => world.later(random(80) * 3_600_000),
                _ => {
                    world.publish_as(id, &channel, &step.to_string());
                }
            }
            live.retain(|&who| world.hub.subscriber(who).is_some());
            world.check_disk();
        }
        assert!(world.fx.disk.changes > 50, "much of it was remembered");
    }
}

#[test]
fn what_is_restored_is_as_if_it_had_just_been_left() {
    let mut world = remembering();
    let row = |settings, is_configured, is_bare| RestoredChannel {
        id: Id(7),
        settings,
        is_configured,
        is_bare,
        last_active_micros: 5,
    };
    let now = world.now;
    let rows = [
        ("plain", row(Settings::default(), false, false)),
        ("other", row(PRESENCE, false, false)),
        ("configured", row(PRESENCE, true, false)),
        ("bare", row(KEEPS, false, true)),
    ];
    for (name, row) in &rows {
        assert!(world.hub.restore_channel(APP, name, row, now).is_some());
        assert!(world.hub.restore_channel(APP, name, row, now).is_none());
    }
    assert_eq!(world.channel("other").last_active_micros(), 5);
    assert_eq!(world.channel("other").id(), Id(7));
    let state = |value: &str| [("k".into(), value.into())].into();
    let keys = BTreeSet::new;
    let mut restore = |name, state| {
        let user = world.hub.restore_user(APP, name, Id(8), state, keys(), now);
        user.is_some()
    };
    assert!(restore("ann", state("1")));
    assert!(!restore("ann", state("1")), "it is there");
    assert!(
        !restore("bob", State::new()),
        "there is nothing to remember"
    );
    let large = "x".repeat(crate::limits::STATE_BYTES_MAX);
    assert!(!restore("bob", state(&large)));
    world.later(0);
    // A caller that has a say gives a bare one other settings.
    let who = world.connect("cyd");
    world.subscribe(who, "bare", PRESENCE);
    world.subscribe(who, "other", KEEPS);
    assert_eq!(world.channel("bare").settings(), &PRESENCE);
    assert_eq!(world.channel("other").settings(), &PRESENCE);
    let names = |world: &World| -> BTreeSet<String> {
        let channels = world.hub.channels(APP);
        channels.map(|(_, c)| c.name().to_owned()).collect()
    };
    world.fx.disk.channels = rows
        .map(|(name, row)| (name.to_owned(), (row, Vec::new())))
        .into();
    let user = ("ann".to_owned(), (Id(8), Vec::new(), Vec::new()));
    world.fx.disk.users = [user].into();
    world.later(61_000);
    assert!(!names(&world).contains("plain") && names(&world).len() == 3);
    world.later(25 * 3_600_000);
    assert!(world.hub.find_user(APP, "ann").is_none());
    assert!(world.fx.disk.users.is_empty(), "which is reported");
    world.later(80 * 3_600_000);
    assert_eq!(names(&world), BTreeSet::from(["configured".to_owned()]));
    assert_eq!(world.fx.disk.channels.len(), 1, "which is reported");
}

#[test]
fn what_is_restored_is_bounded_as_what_is_kept() {
    let mut world = remembering();
    world.hub.config.history_messages = 3;
    world.configure("room", KEEPS);
    for n in 0..5 {
        world.publish_as(n, "room", &n.to_string());
    }
    let mut fewer = world.restart();
    assert_eq!(fewer.bodies("room"), ["2", "3", "4"]);
    fewer.hub.check();
    fewer.publish("room", "5");
    assert_eq!(
        fewer.bodies("room"),
        ["2", "3", "4", "5"],
        "its own bound is wider"
    );
    fewer.check_disk();
    fewer.later(1_000 * 3_600_000);
    assert_eq!(fewer.bodies("room").len(), 4, "as long as it is configured");
}
