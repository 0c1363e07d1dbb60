//! Requests whose peers have ended.

use crate::dialect::Dialect;
use crate::dialect::channelstream::{APP, Channelstream, Config, FORMAT};
use crate::engine::{Engine, EngineConfig};
use crate::handler::{Conn, Handler, Origin, Turn};
use crate::hub::{Effects, Id};
use crate::outbox::{Ending, Outbox};
use crate::random::Random;
use crate::table::Table;
use crate::time::{Millis, Now};

/// Requests that wait for their turn, an upgrade the last of them, from a peer that has shut
/// its sending side meanwhile: it is answered, and does not stay as a socket that is silent.
#[test]
fn an_upgrade_of_a_peer_that_has_ended_is_over_at_once() {
    let dialect: Box<dyn Dialect> = Box::new(Channelstream::new(Config::default()));
    let mut engine = Engine::new(EngineConfig::default(), vec![dialect], Random::seeded(1));
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::default();
    out.open(conn);
    let now = Now {
        mono: Millis(1000),
        unix_micros: 1_795_359_723_000_000,
    };
    let mut turn = Turn { out: &mut out, now };
    let who = engine.world.hub_with(&mut turn, |hub, io| {
        let (user, _) = hub.ensure_user(APP, "ann", io);
        let _ = io.id();
        hub.connect(user, Id(7), FORMAT, Millis(16_000))
    });
    let who = who.expect("a fresh id");
    let live = "GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n".repeat(super::REQUESTS_PER_TURN);
    let upgrade = "GET /ws?conn_id=00000000-0000-0000-0000-000000000007 HTTP/1.1\r\n\
        Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut bytes = (live + upgrade).into_bytes();
    let from = Origin {
        peer: None,
        tls: false,
    };
    engine.opened(conn, from, &mut turn);
    engine.received(conn, &mut bytes, &mut turn);
    engine.ended(conn, &mut turn);
    assert_eq!(
        turn.out.ending(conn),
        Some(Ending::Open),
        "answers are owed"
    );
    turn.out.unpause(conn);
    engine.resumed(conn, &mut turn);
    assert_eq!(turn.out.ending(conn), Some(Ending::Drain));
    assert_eq!((engine.metrics().upgrades, engine.sockets_open), (1, 0));
    let outlet = engine.hub().subscriber(who).map(|who| who.outlet());
    assert!(outlet.is_some_and(|outlet| outlet.is_none()));
    engine.hub().check();
}
