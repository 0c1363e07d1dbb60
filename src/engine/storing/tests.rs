//! What is said before the store has spoken, and after.

use crate::dialect::channelstream::{self, Channelstream, sign};
use crate::dialect::pushi::config::Config;
use crate::dialect::pushi::{FORMAT, Pushi};
use crate::dialect::{Ctx, Dialect, Reply, SocketEnd};
use crate::engine::{Engine, EngineConfig, Mail, Phase};
use crate::handler::{Conn, ConnId, Handler, Origin, Turn};
use crate::hub::{AppId, Event, Format, HangUp, SubscriberId};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::store::{
    Answer, AppFields, AppRecord, AppRow, BY_PUSHI, Field, Job, Loaded, News, Place, Question,
    Task, Trouble, Write,
};
use crate::table::Table;
use crate::time::{Millis, Now};
use crate::transport::http::{Request, Response};

const KEY: &str = "00000000000000000000000000000000000000000000000000000000feed0000";
const UNIX_S: u64 = 1_795_359_723;

/// An engine without a loop, and with a store that the test plays.
struct World {
    engine: Engine,
    out: Outbox,
    conns: Table<Conn, ()>,
    now: Now,
}

impl World {
    fn new(
        dialect: impl Dialect + 'static,
        stored_apps: &[(AppId, &str)],
        loaded: &Loaded,
    ) -> Self {
        let stored_apps = stored_apps
            .iter()
            .map(|&(app, ident)| (app, ident.to_owned()));
        let config = EngineConfig {
            stored_apps: stored_apps.collect(),
            ..EngineConfig::default()
        };
        let mut world = Self {
            engine: Engine::new(config, vec![Box::new(dialect)], Random::seeded(1)),
            out: Outbox::default(),
            conns: Table::new(),
            now: Now {
                mono: Millis(1000),
                unix_micros: UNIX_S * 1_000_000,
            },
        };
        world.turn(|engine, turn| engine.open_store(loaded, None, turn));
        world
    }

    fn turn<R>(&mut self, call: impl FnOnce(&mut Engine, &mut Turn<'_>) -> R) -> R {
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        call(&mut self.engine, &mut turn)
    }

    fn tick(&mut self) {
        self.turn(|engine, turn| engine.tick(turn));
    }

    fn hear(&mut self, news: Vec<News>) {
        self.turn(|engine, turn| engine.mail(Mail::Store(news), turn));
    }

    fn jobs(&mut self) -> Vec<Job> {
        self.engine.take_store_jobs()
    }

    /// A connection that has sent this.
    fn send(&mut self, request: &str) -> ConnId {
        let conn = self.conns.insert(());
        self.out.open(conn);
        let from = Origin {
            peer: Some(([127, 0, 0, 1], 1).into()),
            tls: false,
        };
        self.turn(|engine, turn| engine.opened(conn, from, turn));
        self.more(conn, request.as_bytes());
        conn
    }

    fn more(&mut self, conn: ConnId, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.turn(|engine, turn| engine.received(conn, &mut bytes, turn));
    }

    /// All that is queued for it.
    fn said(&self, conn: ConnId) -> String {
        let (pieces, _) = self.out.pieces(conn);
        let bytes: Vec<u8> = pieces.flat_map(|piece| piece.to_vec()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn status(&self, conn: ConnId) -> Option<u16> {
        let said = self.said(conn);
        said.get(9..12)?.parse().ok()
    }
}

/// Does what the last part of a path says.
struct Plain;

fn write() -> Write {
    Write::EndSession {
        app: AppRow(1),
        session: [1; 32],
        until_unix_s: 1,
    }
}

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        if request.path == "/socket" {
            let accept = crate::transport::http::upgrade::websocket(request).expect("a handshake");
            let id = ctx.io.random();
            let id = crate::hub::Id(u128::from_be_bytes(id));
            let expires = ctx.now.mono + 1;
            let who = ctx.hub.connect_nobody(AppId::FIRST, id, FORMAT, expires);
            return Reply::Upgrade(accept, who.expect("a fresh id"));
        }
        ctx.io.store(write());
        ctx.io.store(write());
        match request.path {
            "/ask" => {
                let ticket = ctx.io.ask(Question::Counts);
                Reply::Ask(ticket, Box::new(|_, _| Response::json(200, "{}").into()))
            }
            _ => Response::json(200, "{}").into(),
        }
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        let conn = ctx.conn;
        ctx.hub.attach(who, conn, &mut ctx.io);
    }
    fn text(&self, _: &str, _: SubscriberId, ctx: &mut Ctx<'_>) {
        let ticket = ctx.io.ask(Question::Counts);
        ctx.wait_for(ticket, |_, ctx| {
            let conn = ctx.conn;
            ctx.io.text(conn, |out| out.extend_from_slice(b"answered"));
        });
    }
    fn encode(&self, _: Format, _: &Event<'_>, _: bool, _: u64, _: &mut Vec<u8>) {}
    fn formats(&self) -> std::ops::Range<u8> {
        16..24
    }
    fn gone(&self, who: SubscriberId, _: SocketEnd, ctx: &mut Ctx<'_>) {
        ctx.hub.depart(who, ctx.now, &mut ctx.io);
    }
    fn hang_up(&self, _: HangUp) -> (u16, &'static str) {
        (1001, "")
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

/// A text of a client, with a mask that changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn failed(from: Place, upto: Place) -> News {
    News::Failed {
        from,
        upto,
        why: Trouble::Failing,
    }
}

#[test]
fn every_write_of_a_request_has_to_be_kept() {
    for path in ["/write", "/ask"] {
        for lost in [None, Some(0), Some(1)] {
            let mut world = World::new(Plain, &[], &Loaded::default());
            let conn = world.send(&get(path));
            let jobs = world.jobs();
            let (one, other) = (jobs[0].place, jobs[1].place);
            assert_eq!(world.status(conn), None, "nothing is kept yet");
            // A commit may end between the two.
            world.hear(match lost {
                None => vec![News::Done { upto: one }, News::Done { upto: other }],
                Some(0) => vec![failed(one, one), News::Done { upto: other }],
                Some(_) => vec![News::Done { upto: one }, failed(other, other)],
            });
            if let Some(ticket) = jobs.get(2).and_then(|job| job.ticket) {
                assert_eq!(world.status(conn), None, "it has asked");
                let answer = Answer::Done;
                world.hear(vec![News::Answer { ticket, answer }]);
            }
            let expected = if lost.is_none() { 200 } else { 503 };
            assert_eq!(world.status(conn), Some(expected), "{path} {lost:?}");
        }
    }
}

/// Who was sent a Close does not wait for the store any more: the answer to that is read at once.
#[test]
fn a_socket_that_waits_is_read_from_when_it_is_to_end() {
    let mut world = World::new(Plain, &[], &Loaded::default());
    let conn = world.send(&handshake("/socket"));
    world.more(conn, &frame("anything"));
    let ticket = world.jobs()[0].ticket.expect("it asks");
    let state = world.out.state(conn).expect("it is open");
    assert!(state.paused && state.held, "nothing is read meanwhile");
    world.turn(|engine, turn| engine.drain(1000, turn));
    assert!(!world.out.state(conn).expect("it is open").held);
    world.more(conn, &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    let phase = world.engine.inbound.get(conn).map(|row| &row.phase);
    assert!(matches!(phase, Some(Phase::Done)), "{phase:?}");
    let answer = Answer::Done;
    world.hear(vec![News::Answer { ticket, answer }]);
    assert!(!world.said(conn).contains("answered"));
}

fn app_of_store(fields: AppFields) -> AppRecord {
    AppRecord {
        row: AppRow(1),
        ident: "ident".into(),
        key: KEY.into(),
        secret: "secret".into(),
        protocols: BY_PUSHI,
        is_of_settings: false,
        fields,
        created_s: 0,
        modified_s: 0,
        sessions_from_s: 0,
    }
}

#[test]
fn an_app_that_is_switched_off_lets_go_of_its_sockets() {
    let loaded = Loaded {
        apps: vec![app_of_store(AppFields::default())],
        ..Loaded::default()
    };
    let mut world = World::new(Pushi::new(Config::default()), &[], &loaded);
    let conn = world.send(&handshake(&format!("/{KEY}")));
    world.tick();
    assert_eq!(world.engine.sockets_open, 1);
    let off = AppFields {
        enabled: Field::Is(false),
        ..AppFields::default()
    };
    world.hear(vec![News::Apps(vec![app_of_store(off)])]);
    assert_eq!(world.engine.next_deadline(), Some(Millis(0)));
    world.tick();
    assert_eq!(world.engine.sockets_open, 0);
    let phase = world.engine.inbound.get(conn).map(|row| &row.phase);
    assert!(matches!(phase, Some(Phase::Closing(_))), "{phase:?}");
}

#[test]
fn an_app_that_got_no_row_gets_one_when_the_store_works_again() {
    let apps = [(AppId::FIRST, "main")];
    let mut world = World::new(Plain, &apps, &Loaded::default());
    for _ in 0..2 {
        world.tick();
        let jobs = world.jobs();
        let [job] = &jobs[..] else {
            panic!("it asks for a row: {jobs:?}");
        };
        assert!(
            matches!(&job.what, Task::Write(Write::AdoptApp { unix_s, .. }) if *unix_s == UNIX_S)
        );
        let ticket = job.ticket.expect("it asks");
        let answer = Answer::Trouble(Trouble::Failing);
        world.hear(vec![
            News::Answer { ticket, answer },
            failed(job.place, job.place),
            News::State(Some(Trouble::Failing)),
        ]);
        world.tick();
        assert!(world.jobs().is_empty(), "it is known to fail");
        world.hear(vec![News::State(None)]);
    }
}

/// What Channelstream could not have kept is asked for again: it is the same to the hub, and not to the
/// store.
#[test]
fn what_was_refused_is_stored_when_it_is_asked_for_again() {
    let config = channelstream::Config {
        secret: "secret".to_owned(),
        persist: true,
        ..channelstream::Config::default()
    };
    let of_settings = AppRecord {
        is_of_settings: true,
        ..app_of_store(AppFields::default())
    };
    let loaded = Loaded {
        apps: vec![of_settings],
        ..Loaded::default()
    };
    let apps = [(config.app, "ident")];
    for (path, body) in [
        ("/user_state", r#"{"user":"ann","user_state":{"k":1}}"#),
        ("/channel_config", r#"{"room":{"store_history":true}}"#),
    ] {
        let mut world = World::new(Channelstream::new(config.clone()), &apps, &loaded);
        let call = |world: &mut World, path: &str, body: &str| {
            let signature = sign::Signer::new(b"secret").sign(path, UNIX_S);
            let length = body.len();
            world.send(&format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nx-channelstream-secret: {signature}\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
        };
        let connect = r#"{"username":"ann","conn_id":"00000000-0000-0000-0000-000000000007"}"#;
        let conn = call(&mut world, "/connect", connect);
        assert_eq!(world.status(conn), Some(200), "{}", world.said(conn));
        let places = |jobs: &[Job]| -> Vec<Place> {
            let kept = jobs.iter();
            let kept = kept.filter(|job| matches!(job.what, Task::Write(Write::Keep { .. })));
            kept.map(|job| job.place).collect()
        };
        // The commit fails; then there is no room for it.
        let conn = call(&mut world, path, body);
        let place = places(&world.jobs())[0];
        assert_eq!(world.status(conn), None);
        world.hear(vec![
            failed(place, place),
            News::State(Some(Trouble::DiskFull)),
        ]);
        assert_eq!(world.status(conn), Some(503), "{}", world.said(conn));
        let conn = call(&mut world, path, body);
        assert_eq!(world.status(conn), Some(503), "{}", world.said(conn));
        world.hear(vec![News::State(None)]);
        for is_lost in [true, false] {
            let conn = call(&mut world, path, body);
            let jobs = world.jobs();
            if is_lost {
                let place = places(&jobs)[0];
                assert_eq!(world.status(conn), None, "{path}");
                world.hear(vec![News::Done { upto: place }]);
            } else {
                assert_eq!(places(&jobs), [], "it is kept");
            }
            assert_eq!(world.status(conn), Some(200), "{}", world.said(conn));
        }
    }
}

/// A store that has ended answers nothing, and nobody waits for it all the same.
#[test]
fn who_waits_for_a_store_that_has_ended_is_told_so() {
    let loaded = Loaded::default();
    let mut world = World::new(Plain, &[], &loaded);
    world.turn(|engine, turn| engine.open_store(&loaded, Some(Box::new(|_| false)), turn));
    let (asks, writes) = (world.send(&get("/ask")), world.send(&get("/write")));
    assert_eq!((world.status(asks), world.status(writes)), (None, None));
    world.turn(|engine, turn| engine.settle(turn));
    // What it asked is answered, however, and what it wrote is not kept.
    assert_eq!(world.status(writes), Some(503));
    assert_eq!(world.status(asks), Some(503));
    assert!(world.engine.storing.is_empty());
    let ready = world.send(&get("/health/ready"));
    assert_eq!(world.status(ready), Some(503));
    assert!(world.said(ready).contains("storage_failing"));
}
