//! Those who say it: applications and sockets of both protocols, each on a thread of its own, until
//! the server has gone.

use crate::client::signed;
use crate::ledger::{Credentials, Held, Ledger, Sent, text};
use crate::peers::{Api, Socket};
use crate::setup::{Chance, log_in, post};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::{self, ScopedJoinHandle};

/// Publishers over HTTP; those behind them are sockets.
const APPLICATIONS: usize = 3;
const PUBLISHERS: usize = APPLICATIONS + 2;
/// Events that a socket sends before it asks whether they are kept.
const EVENTS_PER_QUESTION: u64 = 8;

/// Says things to the server while `meanwhile` runs, which is to end it. What was said, and what came
/// of it.
pub(crate) fn run(address: SocketAddr, round: u64, meanwhile: impl FnOnce()) -> Ledger {
    let mut ledger = Ledger::of(round);
    let mut api = Api::connect(address).expect("it is there");
    let sid = log_in(&mut api).expect("it is there");
    let (room, user) = (ledger.room(), ledger.user());
    let body = json!({"user_id": user, "event": room});
    let made = api.ask_well(&post(
        &format!("/subscriptions?sid={sid}"),
        &body.to_string(),
    ));
    let made = made.expect("it is there");
    let id = made["id"].as_u64().expect("a number");
    ledger.subscriptions.insert(user, Held::Yes(id));
    let mut listener = Socket::open(address).expect("it is there");
    listener.subscribe(&room).expect("it is there");
    thread::scope(|scope| {
        let (all, sid) = (&ledger, &*sid);
        let heard = scope.spawn(move || hear(listener));
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|number| match number < APPLICATIONS {
                true => {
                    scope.spawn(move || (application(all, number, address, sid), BTreeSet::new()))
                }
                false => scope.spawn(move || socket(all, number, address)),
            })
            .collect();
        let clerk = scope.spawn(move || Clerk::new(all, address, sid).work());
        let messages = scope.spawn(move || messages(all, address));
        let state = scope.spawn(move || state(all, address));
        meanwhile();
        let heard = joined(heard);
        let publishers: Vec<_> = publishers.into_iter().map(joined).collect();
        let (clerk, messages, state) = (joined(clerk), joined(messages), joined(state));
        move |ledger: &mut Ledger| {
            ledger.heard = heard;
            for (number, (sent, shown)) in publishers.into_iter().enumerate() {
                ledger.sent.insert(number, sent);
                ledger.shown.extend(shown);
            }
            ledger.subscriptions.extend(clerk.subscriptions);
            ledger.sessions = clerk.sessions;
            ledger.apps = clerk.apps;
            (ledger.messages, ledger.state) = (messages, state);
        }
    })(&mut ledger);
    ledger
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("it has said what was wrong")
}

/// Hears the room until the end.
fn hear(mut socket: Socket) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(frame) = socket.hear() {
        heard.extend(frame["mid"].as_str().map(str::to_owned));
    }
    heard
}

/// Publishes over HTTP, now and then to two channels at once.
fn application(ledger: &Ledger, me: usize, address: SocketAddr, sid: &str) -> Vec<Sent> {
    let mut sent = Vec::new();
    let Some(mut api) = Api::connect(address) else {
        return sent;
    };
    let path = format!("/events?sid={sid}");
    for number in 0.. {
        let channels = match number % 5 {
            4 => vec![ledger.hall(), ledger.room()],
            _ => vec![ledger.room()],
        };
        let body = json!({"data": text(ledger.round, me, number), "channel": channels});
        sent.push(Sent {
            number,
            channels,
            is_acked: false,
        });
        let Some(answer) = api.ask_well(&post(&path, &body.to_string())) else {
            break;
        };
        assert_eq!(answer, json!({"result": "success"}));
        sent.last_mut().expect("it was pushed").is_acked = true;
    }
    sent
}

/// Publishes as a socket, and asks for the latest: an answer says that all before it is kept.
fn socket(ledger: &Ledger, me: usize, address: SocketAddr) -> (Vec<Sent>, BTreeSet<String>) {
    let (mut sent, mut shown) = (Vec::new(), BTreeSet::new());
    // None: the server has gone.
    let _ = says_and_asks(ledger, me, address, &mut sent, &mut shown);
    (sent, shown)
}

fn says_and_asks(
    ledger: &Ledger,
    me: usize,
    address: SocketAddr,
    sent: &mut Vec<Sent>,
    shown: &mut BTreeSet<String>,
) -> Option<()> {
    let mut socket = Socket::open(address)?;
    let room = ledger.room();
    socket.subscribe(&room)?;
    for number in 0.. {
        let data = text(ledger.round, me, number);
        let event = json!({"event": "message", "channel": room, "data": data});
        sent.push(Sent {
            number,
            channels: vec![room.clone()],
            is_acked: false,
        });
        socket.say(&event)?;
        if number % EVENTS_PER_QUESTION == EVENTS_PER_QUESTION - 1 {
            let latest = socket.latest(&room, (0, 10), &mut |_| ())?;
            shown.extend(latest.iter().map(mid));
            sent.iter_mut().for_each(|sent| sent.is_acked = true);
        }
    }
    Some(())
}

/// The id of a stored event.
pub(crate) fn mid(event: &Value) -> String {
    event["mid"].as_str().expect("a text").to_owned()
}

/// Sees to subscriptions, sessions and apps, in any order.
struct Clerk<'a> {
    ledger: &'a Ledger,
    address: SocketAddr,
    sid: &'a str,
    chance: Chance,
    subscriptions: BTreeMap<String, Held<u64>>,
    sessions: Vec<(String, Held<()>)>,
    apps: Vec<Credentials>,
}

impl<'a> Clerk<'a> {
    fn new(ledger: &'a Ledger, address: SocketAddr, sid: &'a str) -> Self {
        Self {
            ledger,
            address,
            sid,
            chance: Chance::new(ledger.round),
            subscriptions: BTreeMap::new(),
            sessions: Vec::new(),
            apps: Vec::new(),
        }
    }

    fn work(mut self) -> Self {
        if let Some(mut api) = Api::connect(self.address) {
            while self.step(&mut api).is_some() {}
        }
        self
    }

    fn step(&mut self, api: &mut Api) -> Option<()> {
        match self.chance.below(6) {
            0..2 => self.subscribe(api),
            2 => self.unsubscribe(api),
            3 => {
                let sid = log_in(api)?;
                self.sessions.push((sid, Held::Yes(())));
                Some(())
            }
            4 => self.log_out(api),
            _ => self.make_app(api),
        }
    }

    fn subscribe(&mut self, api: &mut Api) -> Option<()> {
        // Names that careless code would take apart.
        let user = format!("{}&/:'\"-{}", self.ledger.round, self.subscriptions.len());
        let body = json!({"user_id": user, "event": self.ledger.office()});
        self.subscriptions.insert(user.clone(), Held::Unknown);
        let path = format!("/subscriptions?sid={}", self.sid);
        let made = api.ask_well(&post(&path, &body.to_string()))?;
        let id = made["id"].as_u64().expect("a number");
        self.subscriptions.insert(user, Held::Yes(id));
        Some(())
    }

    fn unsubscribe(&mut self, api: &mut Api) -> Option<()> {
        let there = self.subscriptions.iter();
        let mut there = there.filter(|(_, held)| matches!(held, Held::Yes(_)));
        let Some(user) = there.next().map(|(user, _)| user.clone()) else {
            return Some(());
        };
        let escaped: String = user.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!(
            "/subscriptions/{escaped}/{}?sid={}",
            self.ledger.office(),
            self.sid
        );
        self.subscriptions.insert(user.clone(), Held::Unknown);
        let request = crate::http::request("DELETE", &path, "localhost", &[], None);
        let removed = api.ask_well(&request)?;
        assert_eq!(removed["user_id"], user);
        self.subscriptions.insert(user, Held::No);
        Some(())
    }

    fn log_out(&mut self, api: &mut Api) -> Option<()> {
        let good = self.sessions.iter_mut();
        let mut good = good.filter(|(_, held)| *held == Held::Yes(()));
        if let Some((sid, held)) = good.next() {
            *held = Held::Unknown;
            api.ask_well(&crate::client::get(&format!("/logout?sid={sid}")))?;
            *held = Held::No;
        }
        Some(())
    }

    fn make_app(&mut self, api: &mut Api) -> Option<()> {
        // What is not acknowledged can be looked for by nobody: its credentials are told by the answer.
        let name = format!("app {} {}", self.ledger.round, self.apps.len());
        let made = api.ask_well(&post("/apps", &json!({ "name": name }).to_string()))?;
        let field = |name: &str| made[name].as_str().expect("a text").to_owned();
        self.apps
            .push([field("ident"), field("key"), field("secret")]);
        Some(())
    }
}

/// Messages of the other protocol, one to three at once, to a channel with a history.
fn messages(ledger: &Ledger, address: SocketAddr) -> Vec<Sent> {
    let mut sent = Vec::new();
    // None: the server has gone.
    let _ = sends(ledger, address, &mut sent);
    sent
}

fn sends(ledger: &Ledger, address: SocketAddr, sent: &mut Vec<Sent>) -> Option<()> {
    let mut api = Api::connect(address)?;
    let corner = ledger.corner();
    let settings = json!({&corner: {"store_history": true, "history_size": 10_000}});
    let body = json!({"username": corner, "channels": [corner], "channel_configs": settings});
    api.ask_well(&signed("/connect", &body.to_string()))?;
    for number in 0.. {
        let first = sent.len();
        let batch: Vec<Value> = (0..=number % 3)
            .map(|_| {
                sent.push(Sent {
                    number: sent.len() as u64,
                    channels: vec![corner.clone()],
                    is_acked: false,
                });
                let message = json!({"number": sent.len() - 1});
                json!({"user": "app", "channel": corner, "message": message})
            })
            .collect();
        api.ask_well(&signed("/message", &Value::from(batch).to_string()))?;
        sent[first..]
            .iter_mut()
            .for_each(|sent| sent.is_acked = true);
    }
    Some(())
}

/// Sets the state of a user, again and again. The last number, and the last one that was acknowledged.
fn state(ledger: &Ledger, address: SocketAddr) -> (u64, u64) {
    let mut state = (0, 0);
    let _ = sets(ledger, address, &mut state);
    state
}

fn sets(ledger: &Ledger, address: SocketAddr, (last, acked): &mut (u64, u64)) -> Option<()> {
    let mut api = Api::connect(address)?;
    let user = ledger.user();
    let connect = json!({"username": user, "channels": [format!("{user}-alone")]});
    api.ask_well(&signed("/connect", &connect.to_string()))?;
    for number in 1.. {
        *last = number;
        let body = json!({"user": user, "user_state": {"number": number}});
        api.ask_well(&signed("/user_state", &body.to_string()))?;
        *acked = number;
    }
    Some(())
}
