//! The hub against a naive one: vectors, loops, no cleverness.

use super::*;
use crate::frame::Frame;
use crate::handler::{Conn, ConnId};
use crate::time::{Millis, Now};
use std::rc::Rc;

mod catch_up;
mod changes;
mod formats;
mod guests;
mod once;
mod remember;
mod rules;

const APP: AppId = AppId(0);
const FORMAT: Format = Format(0);
/// Tells nothing but messages, with `q|` before them.
const QUIET: Format = Format(1);

/// Records everything the hub wants done.
#[derive(Default)]
struct Recorder {
    encoded: u64,
    ids: u128,
    sent: Vec<(ConnId, String)>,
    hung_up: Vec<(ConnId, HangUp)>,
    facts: Vec<String>,
    /// What was told with members who came and went, once for each format, and in whose words.
    infos: Vec<(Option<Rc<str>>, Format)>,
    disk: remember::Disk,
}

impl Effects for Recorder {
    fn encode(
        &mut self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        _: u64,
    ) -> Option<Frame> {
        self.encoded += 1;
        if format == QUIET && !matches!(event, Event::Message(_)) {
            return None;
        }
        let text = match event {
            Event::Message(m) => format!("{}:{}", m.channel.unwrap_or("-"), m.body.unwrap_or("")),
            Event::MessageEdit(e) => {
                let user = e.user.map(|user| format!("{user}:")).unwrap_or_default();
                let body = e.body.unwrap_or("");
                format!("{}:!{user}{body}", e.channel.unwrap_or("-"))
            }
            Event::MessageDelete(d) => {
                format!("{}:x{}", d.channel.unwrap_or("-"), d.id.0 >> 64)
            }
            Event::UserState(s) => {
                let pairs = |state: &PublicState| {
                    let pairs: Vec<String> =
                        state.iter().map(|(k, v)| format!("{k}={v}")).collect();
                    pairs.join(",")
                };
                let (state, changed) = (pairs(&s.told.state), pairs(&s.told.changed));
                format!("{}:{}@{state}!{changed}", s.channel, s.user)
            }
            Event::Presence(p) => {
                self.infos.push((p.info.clone(), p.info_format));
                let members = p
                    .members
                    .iter()
                    .flatten()
                    .map(|m| &*m.user)
                    .collect::<Vec<_>>();
                let sign = if p.joined { '+' } else { '-' };
                let members = match &p.info {
                    Some(info) => vec![&**info],
                    None => members,
                };
                format!("{}:{sign}{}{members:?}", p.channel, p.user)
            }
            Event::Count(c) => format!("{}#{}", c.channel, c.count),
            Event::Watched(w) => format!("{}={}", w.user, w.is_online),
        };
        let text = if catch_up { format!("~{text}") } else { text };
        let text = match format {
            QUIET => format!("q|{text}"),
            _ => text,
        };
        Some(Frame::from(text.as_bytes()))
    }
    fn id(&mut self) -> Id {
        self.ids += 1;
        Id(self.ids << 64)
    }
    fn send(&mut self, to: ConnId, frame: &Frame) {
        if !to.is_none() {
            self.sent
                .push((to, String::from_utf8_lossy(frame).into_owned()));
        }
    }
    fn send_kept(&mut self, to: ConnId, frame: &Frame) {
        self.send(to, frame);
    }
    fn hang_up(&mut self, conn: ConnId, _: Format, why: HangUp) {
        self.hung_up.push((conn, why));
    }
    fn remember(&mut self, app: AppId, what: Remember<'_>) {
        assert_eq!(app, APP);
        self.disk.change(what);
    }
    fn announce(&mut self, _: AppId, fact: Fact<&str>) {
        self.facts.push(match fact {
            Fact::Occupied { channel } => format!("occupied {channel}"),
            Fact::Vacated { channel } => format!("vacated {channel}"),
            Fact::MemberAdded { channel, user } => format!("added {user} to {channel}"),
            Fact::MemberRemoved { channel, user } => format!("removed {user} from {channel}"),
            Fact::ClientEvent { event, .. } => event.to_owned(),
            Fact::CacheMiss { channel } => format!("miss {channel}"),
            Fact::Count { channel, count } => format!("count {count} in {channel}"),
        });
    }
}

struct World {
    hub: Hub,
    fx: Recorder,
    now: Now,
    conns: Table<Conn, ()>,
}

impl World {
    fn new() -> Self {
        let now = Now {
            mono: Millis(1000),
            unix_micros: 1_600_000_000_000_000,
        };
        let hub = Hub::new(HubConfig::default(), 1);
        Self {
            hub,
            fx: Recorder::default(),
            now,
            conns: Table::new(),
        }
    }

    fn connect(&mut self, user: &str) -> SubscriberId {
        let (user, _) = self.hub.ensure_user(APP, user, &mut self.fx);
        let id = self.fx.id();
        self.hub
            .connect(user, id, FORMAT, self.now.mono + 15_000)
            .expect("a fresh id")
    }

    fn open(&mut self, who: SubscriberId) -> ConnId {
        let conn = self.conns.insert(());
        assert!(self.hub.attach(who, conn, &mut self.fx));
        assert!(self.hub.catch_up(who, Order::Channel, &mut self.fx));
        conn
    }

    fn subscribe(&mut self, who: SubscriberId, channel: &str, settings: Settings) -> bool {
        let channel = self
            .hub
            .ensure_channel(APP, channel, settings, self.now, &mut self.fx);
        self.hub
            .subscribe(who, channel, self.now, &mut self.fx)
            .expect("within the limits")
    }

    fn message<'a>(&mut self, channel: Option<&'a str>, body: &'a str) -> NewMessage<'a> {
        NewMessage {
            id: self.fx.id(),
            at: Stamp::from_unix_micros(self.now.unix_micros),
            user: "system".into(),
            channel: channel.map(Into::into),
            only: Vec::new(),
            except: Vec::new(),
            no_history: false,
            event: None,
            except_subscriber: SubscriberId::NONE,
            body: Some(body),
            extra: None,
            stored: false,
        }
    }

    fn publish(&mut self, channel: &str, body: &str) -> u64 {
        let message = self.message(Some(channel), body);
        self.hub.publish(APP, &message, self.now, &mut self.fx)
    }

    fn take(&mut self, conn: ConnId) -> Vec<String> {
        let (mine, rest) = std::mem::take(&mut self.fx.sent)
            .into_iter()
            .partition(|(to, _)| *to == conn);
        self.fx.sent = rest;
        let mine: Vec<(ConnId, String)> = mine;
        mine.into_iter().map(|(_, text)| text).collect()
    }

    fn later(&mut self, ms: u64) {
        self.now.mono = self.now.mono + ms;
        self.now.unix_micros += ms * 1000;
        self.hub.tick(self.now, &mut self.fx);
        self.hub.check();
    }
}

fn as_guest(user: UserId, info: Option<&str>) -> Role {
    Role::Guest {
        user,
        info: info.map(Rc::from),
        is_peer: false,
    }
}

const PRESENCE: Settings = Settings {
    notify_presence: true,
    presence_with_members: false,
    notify_state: false,
    store_history: false,
    history_messages: 10,
    store_recent: true,
};

#[test]
fn a_message_is_encoded_once_and_reaches_everyone_who_is_there() {
    let mut world = World::new();
    let conns: Vec<ConnId> = (0..10)
        .map(|n| {
            let who = world.connect(&format!("u{n}"));
            world.subscribe(who, "room", Settings::default());
            world.open(who)
        })
        .collect();
    let away = world.connect("away");
    world.subscribe(away, "room", Settings::default());
    assert_eq!(world.publish("room", "1"), 10);
    assert_eq!(world.fx.encoded, 1);
    for conn in conns {
        assert_eq!(world.take(conn), ["room:1"]);
    }
    assert_eq!(world.publish("elsewhere", "2"), 0);
    let late = world.open(away);
    assert_eq!(world.take(late), ["~room:1"]);
    world.hub.check();
}

#[test]
fn only_and_except_choose_the_audience() {
    let mut world = World::new();
    let conns: Vec<ConnId> = (0..6)
        .map(|n| {
            let who = world.connect(&format!("u{}", n % 3));
            world.subscribe(who, "room", Settings::default());
            world.open(who)
        })
        .collect();
    for (only, except, heard) in [
        (vec![], vec!["u1"], vec![0, 2, 3, 5]),
        (vec!["u1", "u2", "nobody", "u1"], vec!["u2"], vec![1, 4]),
        (vec![], vec!["u0", "u1", "u2"], vec![]),
        (vec!["u0"], vec![], vec![0, 3]),
    ] {
        let mut message = world.message(Some("room"), "x");
        message.only = only.iter().map(|name| (*name).into()).collect();
        message.except = except.iter().map(|name| (*name).into()).collect();
        let delivered = world.hub.publish(APP, &message, world.now, &mut world.fx);
        assert_eq!(delivered, heard.len() as u64);
        for (n, &conn) in conns.iter().enumerate() {
            assert_eq!(
                world.take(conn).len(),
                usize::from(heard.contains(&n)),
                "{only:?} {n}"
            );
        }
    }
}

#[test]
fn whoever_is_two_users_is_left_out_by_either_name() {
    let mut world = World::new();
    let who = world.connect("ann");
    let (guest, _) = world.hub.ensure_user(APP, "bob", &mut world.fx);
    let (settings, now) = (Settings::default(), world.now);
    let room = world
        .hub
        .ensure_channel(APP, "room", settings, now, &mut world.fx);
    let role = as_guest(guest, None);
    let joined = world.hub.subscribe_as(who, room, role, now, &mut world.fx);
    assert_eq!(joined, Ok(true));
    let conn = world.open(who);
    for (only, except, heard) in [
        (vec!["bob"], vec![], 1),
        (vec!["ann"], vec![], 1),
        (vec!["bob"], vec!["ann"], 0),
        (vec!["ann"], vec!["bob"], 0),
        (vec![], vec!["bob"], 0),
    ] {
        let mut message = world.message(Some("room"), "x");
        message.only = only.iter().map(|name| (*name).into()).collect();
        message.except = except.iter().map(|name| (*name).into()).collect();
        let delivered = world.hub.publish(APP, &message, now, &mut world.fx);
        assert_eq!(delivered, heard, "{only:?} but {except:?}");
        assert_eq!(world.take(conn).len() as u64, heard);
    }
    world.hub.check();
}

#[test]
fn private_messages_reach_every_connection_of_a_user_once() {
    let mut world = World::new();
    let (ann, ann_too, bob) = (
        world.connect("ann"),
        world.connect("ann"),
        world.connect("bob"),
    );
    let (first, other) = (world.open(ann), world.open(bob));
    let mut message = world.message(None, "x");
    message.only = vec!["ann".into(), "ann".into(), "nobody".into()];
    assert_eq!(
        world.hub.publish(APP, &message, world.now, &mut world.fx),
        1
    );
    assert_eq!(world.take(first), ["-:x"]);
    assert!(world.take(other).is_empty());
    let second = world.open(ann_too);
    assert_eq!(world.take(second), ["~-:x"]);
}

#[test]
fn presence_speaks_of_users_not_of_connections() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.subscribe(
        ann,
        "room",
        Settings {
            presence_with_members: true,
            ..PRESENCE
        },
    );
    let conn = world.open(ann);
    assert!(world.take(conn).is_empty(), "nobody is told of himself");
    let (bob, bob_too) = (world.connect("bob"), world.connect("bob"));
    world.subscribe(bob, "room", PRESENCE);
    world.subscribe(bob_too, "room", PRESENCE);
    assert_eq!(world.take(conn), ["room:+bob[\"ann\", \"bob\"]"]);
    let room = world.hub.find_channel(APP, "room").expect("it exists");
    assert!(world.hub.unsubscribe(bob, room, world.now, &mut world.fx));
    assert!(!world.hub.unsubscribe(bob, room, world.now, &mut world.fx));
    assert!(world.take(conn).is_empty());
    world.hub.depart(bob_too, world.now, &mut world.fx);
    assert_eq!(world.take(conn), ["room:-bob[\"ann\"]"]);
    world.hub.check();
}

#[test]
fn who_was_cut_off_is_unknown_at_once_unless_another_socket_took_over() {
    let mut world = World::new();
    let presence = Settings {
        notify_presence: true,
        ..Settings::default()
    };
    let (ann, bob) = (world.connect("ann"), world.connect("bob"));
    for who in [ann, bob] {
        world.subscribe(who, "room", presence);
        world.subscribe(who, "yard", presence);
    }
    let (first, theirs) = (world.open(ann), world.open(bob));
    let second = world.open(ann);
    world.fx.hung_up.clear();
    world.take(theirs);

    // The former socket had frames of its own thrown away; the subscriber has another one now.
    assert!(!world.hub.cut_off(ann, first, world.now, &mut world.fx));
    assert_eq!(world.publish("room", "1"), 2);
    world.take(theirs);

    assert!(world.hub.cut_off(ann, second, world.now, &mut world.fx));
    world.hub.check();
    assert!(world.hub.subscriber(ann).is_none());
    assert_eq!(world.take(theirs), ["room:-ann[]", "yard:-ann[]"]);
    assert_eq!(world.fx.hung_up, [], "its socket has gone already");
    assert!(!world.hub.cut_off(ann, second, world.now, &mut world.fx));
}

#[test]
fn nothing_outlives_its_use() {
    let mut world = World::new();
    let ann = world.connect("ann");
    world.subscribe(
        ann,
        "plain",
        Settings {
            store_recent: false,
            ..Settings::default()
        },
    );
    world.subscribe(ann, "recent", Settings::default());
    world.subscribe(ann, "configured", PRESENCE);
    world.publish("recent", "1");
    world.later(14_000);
    assert_eq!(world.hub.counts(), (3, 1, 1));
    world.later(2_000);
    assert_eq!(
        world.hub.counts(),
        (3, 0, 0),
        "expired; a plain one with settings stays"
    );
    world.later(61_000);
    assert!(world.hub.find_channel(APP, "recent").is_none());
    world.later(73 * 3_600_000);
    assert!(world.hub.is_empty());

    let bob = world.connect("bob");
    world.subscribe(bob, "gone", Settings::default());
    let user = world.hub.find_user(APP, "bob").expect("known");
    assert!(world.hub.set_state(user, "key", "1"));
    assert!(!world.hub.set_state(user, "key", "1"));
    assert!(!world.hub.set_state(user, "new", "null"));
    world.hub.depart(bob, world.now, &mut world.fx);
    assert_eq!(
        world.hub.counts(),
        (1, 0, 1),
        "a user with state is remembered"
    );
    world.later(59_000);
    assert!(
        world.hub.find_channel(APP, "gone").is_some(),
        "it keeps its id for a while"
    );
    world.later(2_000);
    assert_eq!(world.hub.counts(), (0, 0, 1));
    world.later(25 * 3_600_000);
    assert!(world.hub.is_empty());
}

#[test]
fn history_keeps_what_its_settings_say() {
    let mut world = World::new();
    let ann = world.connect("ann");
    let settings = Settings {
        store_history: true,
        history_messages: 3,
        ..Settings::default()
    };
    world.subscribe(ann, "room", settings);
    for body in ["1", "2", "3", "4", "5"] {
        world.publish("room", body);
    }
    let mut message = world.message(Some("room"), "no");
    message.no_history = true;
    world.hub.publish(APP, &message, world.now, &mut world.fx);
    let room = world.hub.find_channel(APP, "room").expect("it exists");
    let bodies: Vec<_> = world.hub.channel(room).map_or(Vec::new(), |channel| {
        channel
            .history()
            .filter_map(|m| m.body.as_deref().map(str::to_owned))
            .collect()
    });
    assert_eq!(bodies, ["3", "4", "5"]);
    world.subscribe(
        ann,
        "none",
        Settings {
            history_messages: 0,
            ..settings
        },
    );
    world.publish("none", "1");
    let none = world.hub.find_channel(APP, "none").expect("it exists");
    assert_eq!(
        world
            .hub
            .channel(none)
            .map(|channel| channel.history().count()),
        Some(0)
    );
}

#[test]
fn the_limit_of_channels_holds() {
    let mut world = World::new();
    world.hub.config.channels_per_subscriber = 2;
    let ann = world.connect("ann");
    assert!(world.subscribe(ann, "a", Settings::default()));
    assert!(world.subscribe(ann, "b", Settings::default()));
    assert!(!world.subscribe(ann, "b", Settings::default()));
    let c = world
        .hub
        .ensure_channel(APP, "c", Settings::default(), world.now, &mut world.fx);
    let refused = world.hub.subscribe(ann, c, world.now, &mut world.fx);
    assert_eq!(refused, Err(Refusal::TooManyChannels { limit: 2 }));
    world.hub.release_channel(c, world.now);
    world.hub.check();
    world.later(61_000);
    assert!(world.hub.find_channel(APP, "c").is_none());
    world.later(61_000);
    assert!(world.hub.find_channel(APP, "c").is_none());
}

#[test]
fn a_crowd_that_is_due_at_once_is_spread_over_turns() {
    let mut world = World::new();
    let crowd = crate::limits::ALARMS_PER_TURN + 100;
    for n in 0..crowd {
        world.connect(&format!("user {n}"));
    }
    world.later(15_100);
    assert_eq!(world.hub.counts().1, 100);
    assert!(
        world.hub.next_deadline() <= Some(world.now.mono),
        "more is due"
    );
    world.later(0);
    assert!(world.hub.is_empty());
    assert_eq!(world.hub.next_deadline(), None);
}

#[test]
fn ids_made_to_collide_under_the_fixed_secrets_do_not() {
    use foldhash::SharedSeed;
    use foldhash::fast::FoldHasher;
    // One times a number is that number, so this tells the secret that ids are mixed with.
    let mut hasher = FoldHasher::with_seed(0, SharedSeed::global_fixed());
    hasher.write_u128(1);
    let secret = u128::from(hasher.finish());
    let hashes = |hash: &dyn Fn(u128) -> u64| {
        let distinct: BTreeSet<u64> = (0..1000).map(|low| hash(secret << 64 | low)).collect();
        distinct.len()
    };
    let weak = hashes(&|id| {
        let mut hasher = FoldHasher::with_seed(12_345, SharedSeed::global_fixed());
        (0_u16, id).hash(&mut hasher);
        hasher.finish()
    });
    assert_eq!(weak, 1, "the attack works where the secret is known");
    let seed = Seed::new(12_345);
    assert_eq!(hashes(&|id| seed.hash_one((0_u16, id))), 1000);
}

#[test]
fn of_a_crowd_the_first_members_are_listed_in_order() {
    let mut world = World::new();
    for n in 0..50 {
        let who = world.connect(&format!("user {n}"));
        world.subscribe(who, "crowd", Settings::default());
    }
    let crowd = world.hub.find_channel(APP, "crowd").expect("there");
    for listed in [0, 1, 7, 49, 50, 51] {
        world.hub.config.members_listed = listed;
        let members = world.hub.members(crowd);
        let names = members.iter().filter_map(|&m| world.hub.user(m));
        let names: Vec<&str> = names.map(|user| user.name()).collect();
        let all: Vec<String> = (0..50).map(|n| format!("user {n}")).collect();
        assert_eq!(names, all[..listed.min(50)]);
    }
}

#[test]
fn thousands_of_subscriptions_are_kept_in_order() {
    let mut world = World::new();
    let ann = world.connect("ann");
    let bob = world.connect("bob");
    for n in 0..500 {
        // Back and forth, so that places are filled from both ends.
        let name = format!("channel {}", n * 7919 % 500);
        assert!(world.subscribe(ann, &name, Settings::default()));
        assert!(n % 2 == 0 || world.subscribe(bob, &name, Settings::default()));
    }
    world.hub.check();
    for n in 0..250 {
        let name = format!("channel {}", n * 7 % 500);
        let channel = world.hub.find_channel(APP, &name).expect("there");
        assert!(
            world
                .hub
                .unsubscribe(ann, channel, world.now, &mut world.fx)
        );
        assert!(
            !world
                .hub
                .unsubscribe(ann, channel, world.now, &mut world.fx)
        );
    }
    world.hub.check();
    assert!(world.hub.depart(ann, world.now, &mut world.fx));
    world.hub.check();
}

/// Random coming and going; after each step both sides of every relation agree.
#[test]
fn relations_hold_under_random_coming_and_going() {
    for seed in 1..30_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut world = World::new();
        let mut live: Vec<SubscriberId> = Vec::new();
        for _ in 0..400 {
            let pick = random(live.len().max(1) as u64) as usize;
            let channel = format!("c{}", random(5));
            match (random(8), live.get(pick).copied()) {
                (0 | 1, _) => {
                    let who = world.connect(&format!("u{}", random(6)));
                    live.push(who);
                }
                (2 | 3, Some(who)) => {
                    let settings = if random(2) == 0 {
                        PRESENCE
                    } else {
                        Settings::default()
                    };
                    world.subscribe(who, &channel, settings);
                }
                (4, Some(who)) => {
                    if let Some(id) = world.hub.find_channel(APP, &channel) {
                        world.hub.unsubscribe(who, id, world.now, &mut world.fx);
                    }
                }
                (5, Some(who)) => {
                    world.open(who);
                }
                (6, Some(who)) => {
                    world.hub.depart(who, world.now, &mut world.fx);
                }
                _ => {
                    world.publish(&channel, "x");
                    world.later(random(3_000));
                }
            }
            live.retain(|&who| world.hub.subscriber(who).is_some());
            world.hub.check();
        }
        for who in live {
            world.hub.depart(who, world.now, &mut world.fx);
        }
        world.later(80 * 3_600_000);
        assert!(
            world.hub.is_empty(),
            "seed {seed}: {:?}",
            world.hub.counts()
        );
        assert_eq!(world.hub.totals().subscriptions, 0);
    }
}
