//! What is there after a restart, compared with what was acknowledged before it.

use crate::client::signed;
use crate::ledger::{Held, Ledger, Sent, text};
use crate::load::mid;
use crate::peers::{Api, Socket};
use crate::setup::{log_in, log_in_as};
use fanwire::side::store::{Durability, Reading, Sqlite, Storage};
use fanwire::store::{Answer, AppRow, Question, StoredEvent};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

/// The highest ids that were seen so far: later ones are higher.
#[derive(Debug, Default)]
pub(crate) struct Highest {
    event: u64,
    subscription: u64,
}

/// Looks at all that belongs to a round, over the wire.
pub(crate) fn over_the_wire(address: SocketAddr, ledger: &Ledger, highest: &mut Highest) {
    events(address, ledger, highest);
    records(address, ledger, highest);
    messages(address, ledger);
}

fn events(address: SocketAddr, ledger: &Ledger, highest: &mut Highest) {
    let texts = ledger.texts();
    let mut socket = Socket::open(address).expect("it is there");
    let mut ids = BTreeSet::new();
    let mut by_channel = Vec::new();
    for channel in [ledger.room(), ledger.hall()] {
        socket.subscribe(&channel).expect("it is there");
        let events = socket.all(&channel);
        let numbers = events
            .iter()
            .map(|event| event["id"].as_u64().expect("a number"));
        let numbers: Vec<u64> = numbers.collect();
        assert!(
            numbers.is_sorted_by(|one, next| one < next),
            "{channel}: {numbers:?}"
        );
        assert!(numbers.first().is_none_or(|first| *first > highest.event));
        ids.extend(numbers.iter().copied());
        let there: Vec<&str> = events.iter().map(said).collect();
        in_order(&channel, ledger, &there);
        for event in &events {
            let sent = texts
                .get(said(event))
                .unwrap_or_else(|| panic!("torn: {event}"));
            assert!(sent.channels.contains(&channel), "{event}");
        }
        by_channel.push(events);
    }
    let [room, hall] = &by_channel[..] else {
        unreachable!("there are two channels");
    };
    assert_eq!(ids.len(), room.len() + hall.len(), "no id is given twice");
    highest.event = ids.last().copied().unwrap_or(highest.event);
    // What went to both is in both or in none.
    let in_room: BTreeSet<&str> = room.iter().map(said).collect();
    let in_hall: BTreeSet<&str> = hall.iter().map(said).collect();
    for (text, sent) in &texts {
        if sent.channels.len() == 2 {
            assert_eq!(
                in_room.contains(&**text),
                in_hall.contains(&**text),
                "{text}"
            );
        }
    }
    let mids: Vec<String> = room.iter().map(mid).collect();
    let both = mids.len().min(ledger.heard.len());
    assert_eq!(
        mids[..both],
        ledger.heard[..both],
        "as it was heard, so it was kept"
    );
    let kept: BTreeSet<&String> = mids.iter().collect();
    assert_eq!(kept.len(), mids.len());
    for shown in &ledger.shown {
        assert!(kept.contains(shown), "{shown} was shown to somebody");
    }
    // Who subscribed before any of it has all of it waiting.
    let personal = format!("personal-{}", ledger.user());
    let told = socket.subscribe(&personal).expect("it is there");
    assert_eq!(told["alias"], json!([ledger.room()]));
    let waiting: Vec<String> = socket.all(&personal).iter().map(mid).collect();
    assert_eq!(waiting, mids);
}

fn said(event: &Value) -> &str {
    event["data"]["data"].as_str().expect("a text")
}

/// Of each publisher: all that was acknowledged, each once, in the order of sending.
fn in_order(channel: &str, ledger: &Ledger, there: &[&str]) {
    let mut places = BTreeMap::new();
    for (place, text) in there.iter().enumerate() {
        let before = places.insert(*text, place);
        assert!(before.is_none(), "{channel} has {text} twice");
    }
    for (&publisher, sent) in &ledger.sent {
        let to_here = sent
            .iter()
            .filter(|sent| sent.channels.iter().any(|c| c == channel));
        let mut last = None;
        for sent in to_here {
            let text = text(ledger.round, publisher, sent.number);
            let place = places.get(&*text).copied();
            assert!(
                place.is_some() || !sent.is_acked,
                "{channel}: publisher {publisher} was told that {} is kept",
                sent.number
            );
            if let Some(place) = place {
                assert!(
                    last < Some(place),
                    "{channel}: {} came too early",
                    sent.number
                );
                last = Some(place);
            }
        }
    }
}

fn records(address: SocketAddr, ledger: &Ledger, highest: &mut Highest) {
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let mut there = BTreeMap::new();
    for channel in [ledger.room(), ledger.office()] {
        let path = format!("/subscriptions?event={channel}&sid={sid}");
        let listed = api
            .ask_well(&crate::client::get(&path))
            .expect("it is there");
        for record in listed["subscriptions"].as_array().expect("a list") {
            let user = record["user_id"].as_str().expect("a text").to_owned();
            let id = record["id"].as_u64().expect("a number");
            assert!(id > highest.subscription);
            assert!(there.insert(user, id).is_none(), "{record} is there twice");
        }
    }
    highest.subscription = there
        .values()
        .max()
        .copied()
        .unwrap_or(highest.subscription);
    for (user, held) in &ledger.subscriptions {
        let found = there.remove(user);
        match held {
            Held::Yes(id) => assert_eq!(found, Some(*id), "{user}"),
            Held::No => assert_eq!(found, None, "{user}"),
            Held::Unknown => {}
        }
    }
    assert!(there.is_empty(), "nobody made {there:?}");
    for (sid, held) in &ledger.sessions {
        let answer = api.get(&format!("/apps?sid={sid}")).expect("it is there");
        match held {
            Held::Yes(()) => assert_eq!(answer.status, 200),
            Held::No => assert_eq!(answer.status, 403, "a session that was ended is good again"),
            Held::Unknown => assert!(matches!(answer.status, 200 | 403)),
        }
    }
    for [ident, key, secret] in &ledger.apps {
        log_in_as(&mut api, (ident, key, secret)).expect("it is there");
    }
}

fn messages(address: SocketAddr, ledger: &Ledger) {
    let mut api = Api::connect(address).expect("it is there");
    let corner = ledger.corner();
    let body = json!({"info": {"channels": [corner], "include_history": true}});
    let info = api
        .ask_well(&signed("/info", &body.to_string()))
        .expect("it is there");
    let history = info["channels"][&corner]["history"].as_array();
    let history = history.map_or(&[][..], |history| &history[..]);
    let there = history.iter().map(|message| &message["message"]["number"]);
    let there: Vec<u64> = there
        .map(|number| number.as_u64().expect("a number"))
        .collect();
    let acked = ledger.messages.iter().filter(|sent| sent.is_acked);
    let acked: Vec<u64> = acked.map(|sent: &Sent| sent.number).collect();
    assert!(there.len() >= acked.len(), "{there:?} of {acked:?}");
    assert_eq!(there[..acked.len()], acked, "all, in order, each once");
    let rest = ledger.messages[acked.len()..].iter();
    let rest: Vec<u64> = rest.map(|sent| sent.number).collect();
    assert!(
        rest.starts_with(&there[acked.len()..]),
        "{there:?}, then at most {rest:?}"
    );
    let (last, acked) = ledger.state;
    let user = ledger.user();
    let body = json!({"username": user, "channels": [format!("{user}-after")]});
    let connected = api
        .ask_well(&signed("/connect", &body.to_string()))
        .expect("it is there");
    let number = connected["state"]["number"].as_u64().unwrap_or(0);
    assert!(
        (acked..=last).contains(&number),
        "{acked} to {last}: {connected}"
    );
}

/// Opens the file itself, which no server has open, and compares all there is with all that was said
/// in all rounds.
pub(crate) fn into_the_file(path: &Path, ledgers: &[Ledger]) {
    let mut store = Sqlite::open(path, Durability::Synced).expect("it opens");
    assert_eq!(store.check().expect("it can be read"), [""; 0]);
    let apps = store.apps().expect("it can be read");
    let app = apps.iter().find(|app| &*app.ident == crate::setup::APP);
    let events = all_events(&mut store, app.expect("it was adopted").row);
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    let mids: BTreeSet<u128> = events.iter().map(|event| event.mid).collect();
    assert_eq!(mids.len(), events.len());
    let mut by_channel: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in &events {
        by_channel
            .entry(&event.channel)
            .or_default()
            .push(&event.data);
    }
    for ledger in ledgers {
        for channel in [ledger.room(), ledger.hall()] {
            let there = by_channel.remove(&*channel).unwrap_or_default();
            in_order(&channel, ledger, &there);
        }
    }
    assert!(
        by_channel.is_empty(),
        "nobody wrote to {:?}",
        by_channel.keys()
    );
}

/// All events of an app, oldest first.
pub(crate) fn all_events(store: &mut Sqlite, app: AppRow) -> Vec<StoredEvent> {
    let mut all = Vec::new();
    loop {
        let question = Question::Latest {
            app,
            channel: None,
            skip: all.len() as u64,
            count: 0,
        };
        match store.answer(&question, u64::MAX).expect("it can be read") {
            Answer::Events(events) if events.is_empty() => break,
            Answer::Events(events) => all.extend(events),
            other => panic!("{other:?}"),
        }
    }
    all.reverse();
    all
}
