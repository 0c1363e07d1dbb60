//! How open sockets end, whatever goes wrong meanwhile.

use super::*;
use crate::dialect::channelstream::{APP, Channelstream, Config, FORMAT};
use crate::dialect::{Ctx, Dialect, Reply};
use crate::engine::EngineConfig;
use crate::handler::{Conn, Handler};
use crate::hub::{Event, Format, HangUp, Id, Settings};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::table::Table;
use crate::time::Now;
use crate::transport::http::{Request, Response};
use std::cell::Cell;
use std::rc::Rc;

/// Where the dialect is to stumble, the next time it comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stone {
    Nowhere,
    Gone,
    Encode,
}

/// Channelstream that stumbles.
struct Stumbling {
    inner: Channelstream,
    stone: Rc<Cell<Stone>>,
}

impl Stumbling {
    fn over(&self, stone: Stone) {
        if self.stone.get() == stone {
            self.stone.set(Stone::Nowhere);
            panic!("stumbled, as a test wants it");
        }
    }
}

impl Dialect for Stumbling {
    fn name(&self) -> &'static str {
        "stumbling"
    }
    fn request(&self, request: &Request<'_>, ctx: &mut Ctx<'_>) -> Reply {
        self.inner.request(request, ctx)
    }
    fn upgraded(&self, who: SubscriberId, ctx: &mut Ctx<'_>) {
        self.inner.upgraded(who, ctx);
    }
    fn text(&self, _: &str, _: SubscriberId, _: &mut Ctx<'_>) {}
    fn encode(
        &self,
        format: Format,
        event: &Event<'_>,
        catch_up: bool,
        told: u64,
        out: &mut Vec<u8>,
    ) {
        self.over(Stone::Encode);
        self.inner.encode(format, event, catch_up, told, out);
    }
    fn gone(&self, who: SubscriberId, end: SocketEnd, ctx: &mut Ctx<'_>) {
        self.over(Stone::Gone);
        self.inner.gone(who, end, ctx);
    }
    fn hang_up(&self, why: HangUp) -> (u16, &'static str) {
        self.inner.hang_up(why)
    }
    fn heartbeat(&self) -> Option<Heartbeat> {
        None
    }
    fn dress(&self, _: &Request<'_>, _: &mut Response) {}
}

/// An engine, and sockets of subscribers that hear each other come and go in two channels.
struct World {
    engine: Engine,
    out: Outbox,
    now: Now,
    conns: Table<Conn, ()>,
    stone: Rc<Cell<Stone>>,
}

impl World {
    fn new() -> Self {
        let stone = Rc::new(Cell::new(Stone::Nowhere));
        let dialect = Stumbling {
            inner: Channelstream::new(Config::default()),
            stone: stone.clone(),
        };
        let config = EngineConfig::default();
        Self {
            engine: Engine::new(config, vec![Box::new(dialect)], Random::seeded(1)),
            out: Outbox::default(),
            now: Now {
                mono: Millis(1000),
                unix_micros: 1_795_359_723_000_000,
            },
            conns: Table::new(),
            stone,
        }
    }

    fn turn<R>(&mut self, call: impl FnOnce(&mut Engine, &mut Turn<'_>) -> R) -> R {
        let mut turn = Turn {
            out: &mut self.out,
            now: self.now,
        };
        call(&mut self.engine, &mut turn)
    }

    fn socket(&mut self, id: u8) -> ConnId {
        let conn = self.conns.insert(());
        self.out.open(conn);
        let now = self.now;
        let mut bytes = format!(
            "GET /ws?conn_id=00000000-0000-0000-0000-0000000000{id:02x} HTTP/1.1\r\n\
             Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .into_bytes();
        self.turn(|engine, turn| {
            engine.world.hub_with(turn, |hub, io| {
                let (user, _) = hub.ensure_user(APP, &format!("user {id}"), io);
                let who = hub.connect(user, Id(id.into()), FORMAT, now.mono + 1);
                let who = who.expect("a fresh id");
                let settings = Settings {
                    notify_presence: true,
                    ..Settings::default()
                };
                for name in ["room", "yard"] {
                    let channel = hub.ensure_channel(APP, name, settings, now, io);
                    hub.subscribe(who, channel, now, io).expect("joined");
                }
            });
            engine.opened(conn, NOWHERE, turn);
            engine.received(conn, &mut bytes, turn);
        });
        assert!(matches!(
            self.engine.inbound.get(conn).map(|row| &row.phase),
            Some(Phase::Open(_))
        ));
        conn
    }

    /// What the loop does when a connection has gone; a panic stops there, as in the loop.
    fn close(&mut self, conn: ConnId, why: CloseReason) {
        self.out.remove(conn);
        let closed = catch_unwind(AssertUnwindSafe(|| {
            self.turn(|engine, turn| engine.closed(conn, why, turn));
        }));
        assert!(closed.is_ok(), "the engine deals with it by itself");
    }

    fn later(&mut self, ms: u64) {
        self.now.mono = self.now.mono + ms;
        self.turn(|engine, turn| engine.tick(turn));
        self.engine.hub().check();
    }
}

#[test]
fn a_dialect_that_panics_when_a_socket_ends_leaves_nothing_behind() {
    for why in [CloseReason::Peer, CloseReason::SlowConsumer] {
        for stone in [Stone::Gone, Stone::Encode] {
            let mut world = World::new();
            let (first, second) = (world.socket(1), world.socket(2));
            assert_eq!(
                (world.engine.connections(), world.engine.sockets_open),
                (2, 2)
            );
            world.stone.set(stone);
            world.close(first, why);
            // With nobody cut off at once, there is nothing to be encoded yet.
            let stumbles = stone == Stone::Gone || why == CloseReason::SlowConsumer;
            let panics = u64::from(stumbles);
            assert_eq!(world.engine.metrics().panics, panics, "{why:?} {stone:?}");
            world.stone.set(Stone::Nowhere);
            assert_eq!(
                (world.engine.connections(), world.engine.sockets_open),
                (1, 1)
            );
            world.engine.hub().check();
            world.later(2_000);
            assert_eq!(
                world.engine.hub().subscriber_count(APP),
                1,
                "{why:?} {stone:?}"
            );
            world.close(second, CloseReason::Peer);
            for _ in 0..3 {
                world.later(4 * 24 * 60 * 60 * 1000);
            }
            assert!(world.engine.is_empty(), "{why:?} {stone:?}");
            assert_eq!(world.engine.sockets_open, 0);
        }
    }
}
