use super::*;
use crate::frame::Frame;
use crate::handler::ConnId;
use crate::hub::{
    Amendment, AppRules, Change as Amended, ChannelId, Edit, Effects, Event, Format, HangUp,
    HubConfig, NewMessage, SubscriberId,
};
use crate::time::Millis;
use proptest::prelude::*;

const APP: AppId = AppId(3);

const NOW: Now = Now {
    mono: Millis(1000),
    unix_micros: 1_600_000_000_000_000,
};

const KEEPS: Settings = Settings {
    notify_presence: true,
    presence_with_members: false,
    notify_state: true,
    store_history: true,
    history_messages: 12,
    store_recent: false,
};

/// A store as simple as can be.
#[derive(Default)]
struct Disk {
    kept: Remembered,
    ids: u128,
}

impl Disk {
    fn messages(&mut self, name: &str) -> &mut Vec<(u128, Box<str>)> {
        let mut channels = self.kept.channels.iter_mut();
        let row = channels.find(|row| &*row.0 == name);
        &mut row.expect("its channel was reported before").2
    }

    fn make(&mut self, change: Change) {
        let Remembered { channels, users } = &mut self.kept;
        match change {
            Change::Channel { name, value } => {
                match channels.iter_mut().find(|row| row.0 == name) {
                    Some(row) => row.1 = value,
                    None => channels.push((name, value, Vec::new())),
                }
            }
            Change::NoChannel { name } => channels.retain(|row| row.0 != name),
            Change::Message {
                channel,
                id,
                value,
                most,
            } => {
                let list = self.messages(&channel);
                list.push((id, value));
                let too_many = list.len().saturating_sub(most as usize);
                list.drain(..too_many);
            }
            Change::Edited { channel, id, value } => {
                let list = self.messages(&channel).iter_mut();
                list.filter(|message| message.0 == id)
                    .for_each(|message| message.1 = value.clone());
            }
            Change::NoMessage { channel, id } => {
                self.messages(&channel).retain(|message| message.0 != id);
            }
            Change::User { name, value } => {
                users.retain(|row| row.0 != name);
                users.push((name, value));
            }
            Change::NoUser { name } => users.retain(|row| row.0 != name),
        }
    }
}

impl Effects for Disk {
    fn encode(&mut self, _: Format, _: &Event<'_>, _: bool, _: u64) -> Option<Frame> {
        None
    }
    fn id(&mut self) -> Id {
        self.ids += 1 << 40;
        Id(self.ids)
    }
    fn send(&mut self, _: ConnId, _: &Frame) {}
    fn send_kept(&mut self, _: ConnId, _: &Frame) {}
    fn hang_up(&mut self, _: ConnId, _: Format, _: HangUp) {}
    fn remember(&mut self, app: AppId, what: Remember<'_>) {
        assert_eq!(app, APP);
        self.make(change(what));
    }
}

fn hub() -> Hub {
    let mut hub = Hub::new(HubConfig::default(), 1);
    let rules = AppRules {
        remembers: true,
        ..AppRules::default()
    };
    hub.set_rules(APP, rules);
    hub
}

fn message<'a>(id: u128, user: &'a str, body: Option<&'a str>) -> NewMessage<'a> {
    NewMessage {
        id: Id(id),
        at: Stamp::from_unix_micros(NOW.unix_micros),
        user: user.into(),
        channel: Some("room".into()),
        only: Vec::new(),
        except: Vec::new(),
        no_history: false,
        event: None,
        body,
        extra: None,
        stored: false,
        except_subscriber: SubscriberId::NONE,
    }
}

/// All that is to survive, in words.
fn told(hub: &Hub) -> Vec<String> {
    let mut told = Vec::new();
    for (_, channel) in hub.channels(APP) {
        let flags = (channel.is_configured(), channel.is_bare());
        let (id, settings) = (channel.id(), channel.settings());
        let active = channel.last_active_micros();
        told.push(format!(
            "{} {id:?} {settings:?} {flags:?} {active}",
            channel.name()
        ));
        told.extend(channel.history().map(|message| format!("{message:?}")));
    }
    for (_, user) in hub.users_within(APP, 0..hub.user_places()) {
        let state: Vec<_> = user.state().collect();
        let keys: Vec<_> = user.public_keys().collect();
        told.push(format!(
            "{} {:?} {state:?} {keys:?}",
            user.name(),
            user.id()
        ));
    }
    told.sort();
    told
}

fn restart(disk: &Disk) -> (Hub, Restored) {
    let mut hub = hub();
    let restored = restore(&disk.kept, APP, NOW, &mut hub);
    hub.check();
    (hub, restored)
}

fn room(hub: &mut Hub, disk: &mut Disk) -> ChannelId {
    hub.ensure_channel(APP, "room", KEEPS, NOW, disk)
}

#[test]
fn everything_comes_back_as_it_was() {
    let (mut hub, mut disk) = (hub(), Disk::default());
    room(&mut hub, &mut disk);
    let odd = "a \"quoted\" \\ \u{1} \u{1f600} name\n";
    let mut all = message(1, odd, Some("{\"a\": [1, \"\u{fc}\\n\"]}"));
    all.only = vec![odd.into(), "bob".into()];
    all.except = vec!["cyd".into()];
    (all.stored, all.event) = (true, Some(odd.into()));
    all.at = Stamp {
        micros: -5,
        offset_minutes: Some(-90),
    };
    hub.publish(APP, &all, NOW, &mut disk);
    hub.publish(APP, &message(2, "", None), NOW, &mut disk);
    hub.publish(
        APP,
        &message(3, "ann", Some("not JSON, which a host may send")),
        NOW,
        &mut disk,
    );
    let edit = Amendment {
        id: Id(3),
        channel: Some("room".into()),
        only: Vec::new(),
        except: Vec::new(),
        change: Amended::Edit(Edit {
            at: None,
            user: Some("eve".into()),
            body: Some("{}"),
            edited: Stamp {
                micros: 9,
                offset_minutes: Some(0),
            },
        }),
    };
    hub.amend(APP, &edit, NOW, &mut disk);
    let plain = hub.ensure_channel(APP, odd, Settings::default(), NOW, &mut disk);
    hub.configure(plain, Settings::default(), NOW, &mut disk);
    let (ann, _) = hub.ensure_user(APP, odd, &mut disk);
    for (key, value) in [
        ("k", "1e400"),
        (odd, "null"),
        ("t", "\"\\u0041\""),
        ("", "true"),
    ] {
        assert!(hub.set_state(ann, key, value) || value == "null");
    }
    hub.set_public_keys(ann, ["k", "unknown", odd].into_iter());
    hub.remember_user(ann, &mut disk);

    let (again, restored) = restart(&disk);
    let expected = Restored {
        channels: 2,
        messages: 3,
        users: 1,
        skipped: 0,
    };
    assert_eq!(restored, expected);
    assert_eq!(told(&again), told(&hub));
    // And a second time, from what the first restart made of it.
    let (third, restored) = restart(&disk);
    assert_eq!((restored, told(&third)), (expected, told(&again)));
}

#[test]
fn a_channel_is_as_active_as_its_last_message() {
    let (mut hub, mut disk) = (hub(), Disk::default());
    room(&mut hub, &mut disk);
    let later = Now {
        unix_micros: NOW.unix_micros + 77,
        ..NOW
    };
    // What the sender says of the time does not count.
    let mut message = message(1, "ann", None);
    message.at = Stamp::from_unix_micros(NOW.unix_micros + 1_000);
    hub.publish(APP, &message, later, &mut disk);
    let (again, _) = restart(&disk);
    let room = again
        .find_channel(APP, "room")
        .and_then(|id| again.channel(id));
    let active = room.map(Channel::last_active_micros);
    assert_eq!(active, Some(later.unix_micros));
}

#[test]
fn what_makes_no_sense_is_passed_over_and_counted() {
    let id = "\"uuid\":\"00000000-0000-0000-0000-000000000007\"";
    // Channels, and whether they are taken.
    for (value, fits) in [
        (format!("{{{id}}}"), true),
        (
            format!("{{{id},\"new\":[1],\"settings\":{{\"new\":1}}}}"),
            true,
        ),
        (
            format!("{{{id},\"settings\":{{\"history_size\":3}}}}"),
            true,
        ),
        (
            format!("{{{id},\"settings\":{{\"history_size\":-3}}}}"),
            false,
        ),
        (format!("{{{id},\"settings\":[]}}"), false),
        (format!("{{{id},\"configured\":1}}"), false),
        (format!("{{{id},\"active\":\"1\"}}"), false),
        ("{\"uuid\":7}".to_owned(), false),
        ("{}".to_owned(), false),
        ("[]".to_owned(), false),
        ("{".to_owned(), false),
        (String::new(), false),
    ] {
        let message = (7, "{\"at\":[1],\"user\":\"ann\"}".into());
        let mut disk = Disk::default();
        let row = ("room".into(), value.clone().into(), vec![message]);
        disk.kept.channels = vec![row.clone(), row];
        let (_, restored) = restart(&disk);
        let (taken, skipped) = if fits { (1, 2) } else { (0, 4) };
        assert_eq!(restored.channels, taken, "{value}");
        assert_eq!(restored.messages, taken, "{value}");
        assert_eq!(
            restored.skipped, skipped,
            "{value}: the second is one too many"
        );
    }
    for (value, fits) in [
        ("{\"at\":[1],\"user\":\"ann\",\"new\":{}}", true),
        (
            "{\"at\":[1,60],\"user\":\"\",\"body\":\"\",\"edited\":[-1]}",
            true,
        ),
        ("{\"at\":[1,60,1],\"user\":\"\"}", false),
        ("{\"at\":[1,99999],\"user\":\"\"}", false),
        ("{\"at\":[],\"user\":\"\"}", false),
        ("{\"at\":1,\"user\":\"\"}", false),
        ("{\"at\":[1]}", false),
        ("{\"user\":\"ann\"}", false),
        ("{\"at\":[1],\"user\":\"ann\",\"only\":[1]}", false),
        ("{\"at\":[1],\"user\":\"ann\",\"body\":{}}", false),
        ("{\"at\":[1],\"user\":\"ann\",\"edited\":null}", false),
    ] {
        let mut disk = Disk::default();
        let row = (
            "room".into(),
            format!("{{{id}}}").into(),
            vec![(7, value.into())],
        );
        disk.kept.channels = vec![row];
        let (hub, restored) = restart(&disk);
        let counts = (restored.messages, restored.skipped);
        assert_eq!(counts, (usize::from(fits), usize::from(!fits)), "{value}");
        assert_eq!(hub.counts().0, 1);
    }
    for (value, fits) in [
        (format!("{{{id},\"state\":{{\"k\":1}},\"new\":1}}"), true),
        (
            format!("{{{id},\"state\":{{\"k\":1}},\"public\":[\"k\"]}}"),
            true,
        ),
        (
            format!("{{{id},\"state\":{{\"k\":1}},\"public\":[1]}}"),
            false,
        ),
        (format!("{{{id},\"state\":{{\"k\":[]}}}}"), false),
        (format!("{{{id},\"state\":{{}}}}"), false),
        (format!("{{{id}}}"), false),
        ("{\"state\":{\"k\":1}}".to_owned(), false),
    ] {
        let mut disk = Disk::default();
        disk.kept.users = vec![("ann".into(), value.clone().into())];
        let (_, restored) = restart(&disk);
        let counts = (restored.users, restored.skipped);
        assert_eq!(counts, (usize::from(fits), usize::from(!fits)), "{value}");
    }
}

proptest! {
    #[test]
    fn any_texts_and_times_come_back(
        texts in prop::collection::vec(any::<String>(), 5),
        has in prop::collection::vec(any::<bool>(), 4),
        micros in any::<i64>(),
        offset in prop::option::of(-1439..1440_i16),
    ) {
        let (mut hub, mut disk) = (hub(), Disk::default());
        room(&mut hub, &mut disk);
        let mut new = message(1, &texts[0], has[0].then_some(&*texts[1]));
        new.event = has[1].then_some((&*texts[2]).into());
        new.only = has[2].then_some((&*texts[3]).into()).into_iter().collect();
        new.except = has[3].then_some((&*texts[4]).into()).into_iter().collect();
        new.at = Stamp { micros, offset_minutes: offset };
        hub.publish(APP, &new, NOW, &mut disk);
        let (user, _) = hub.ensure_user(APP, &texts[0], &mut disk);
        hub.set_state(user, &texts[1], &micros.to_string());
        hub.set_public_keys(user, texts.iter().map(|text| &**text));
        hub.remember_user(user, &mut disk);
        let (again, restored) = restart(&disk);
        prop_assert_eq!(restored.skipped, 0);
        prop_assert_eq!(told(&again), told(&hub));
    }

    #[test]
    fn no_value_does_any_harm(value in any::<String>(), wrapped in any::<bool>()) {
        let value: Box<str> = match wrapped {
            true => format!("{{\"uuid\":{value},\"at\":[{value}],\"state\":{value}}}").into(),
            false => value.into(),
        };
        let mut disk = Disk::default();
        disk.kept.channels = vec![("room".into(), value.clone(), vec![(1, value.clone())])];
        disk.kept.users = vec![("ann".into(), value)];
        let (_, restored) = restart(&disk);
        let Restored { channels, messages, users, skipped } = restored;
        prop_assert_eq!(channels + messages + users + skipped, 3);
    }
}
