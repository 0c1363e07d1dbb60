//! A connection whose answer has no end: an event stream.
//!
//! It is its subscriber's outlet like a WebSocket, but nothing is heard on it: what the peer still
//! sends is thrown away.

use super::http::Shape;
use super::{Engine, Phase};
use crate::dialect::{SocketEnd, Stream};
use crate::handler::{CloseReason, ConnId, Origin, Turn};
use crate::hub::SubscriberId;
use crate::outbox::Ending;

/// What is kept of an open stream.
#[derive(Debug)]
pub(super) struct Streaming {
    who: SubscriberId,
    dialect: u8,
}

impl Streaming {
    pub(super) fn who(&self) -> SubscriberId {
        self.who
    }
}

impl Engine {
    /// The answer begins: its head, then what the dialect says, then news.
    pub(super) fn begin_stream(
        &mut self,
        conn: ConnId,
        stream: &Stream,
        shape: Shape,
        dialect: usize,
        from: Origin,
        turn: &mut Turn<'_>,
    ) {
        let shape = Shape {
            is_endless: true,
            ..shape
        };
        self.respond(conn, &stream.head, Some(shape), turn);
        self.streams_open += 1;
        let streaming = Streaming {
            who: stream.who,
            dialect: dialect as u8,
        };
        self.put_back(conn, Phase::Streaming(streaming));
        self.beat_stream(conn, dialect, turn);
        self.world.with(dialect, conn, from, turn, |dialect, ctx| {
            dialect.streaming(stream, ctx);
        });
    }

    /// Says that we are still there, to whatever stands between us and the peer. A stream that
    /// has not taken what was said before needs none.
    pub(super) fn stream_timer(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get(conn) else {
            return;
        };
        let Phase::Streaming(streaming) = &inbound.phase else {
            return;
        };
        let dialect = usize::from(streaming.dialect);
        if !turn.out.is_behind(conn)
            && let Some(words) = self.world.dialects.get(dialect)
        {
            let words = words.stream_heartbeat();
            self.world
                .hub_with(turn, |_, io| io.say(conn, words.as_bytes()));
        }
        self.beat_stream(conn, dialect, turn);
    }

    fn beat_stream(&mut self, conn: ConnId, dialect: usize, turn: &Turn<'_>) {
        if let Some(heartbeat) = self.heartbeat_of(dialect) {
            self.arm(conn, turn.now.mono + heartbeat.every_ms.max(1));
        }
    }

    /// The stream is over: what is queued leaves, then the connection ends.
    pub(super) fn end_stream(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        let Some(inbound) = self.inbound.get_mut(conn) else {
            return;
        };
        if !matches!(inbound.phase, Phase::Streaming(_)) {
            return;
        }
        if let Phase::Streaming(streaming) = std::mem::replace(&mut inbound.phase, Phase::Done) {
            turn.out.end(conn, Ending::Drain);
            self.stream_closed(conn, &streaming, CloseReason::Peer, turn);
        }
    }

    /// The connection of a stream has gone, or is about to.
    pub(super) fn stream_closed(
        &mut self,
        conn: ConnId,
        streaming: &Streaming,
        why: CloseReason,
        turn: &mut Turn<'_>,
    ) {
        self.streams_open -= 1;
        let dialect = usize::from(streaming.dialect);
        self.tell_gone(conn, streaming.who, dialect, SocketEnd::of(why), turn);
    }
}
