//! A WebSocket echo: the reactor with a tiny handler.
//!
//! It runs on the transport of the server, with limits raised so that any conformance suite can be
//! pointed at it: messages of 16 MiB, 65,536 fragments.
//!
//! ```text
//! cargo run --release --example echo -- 127.0.0.1:9002
//! ```

use fanwire::frame::{Frame, FrameWriter, Opcode};
use fanwire::handler::{CloseReason, Conn, ConnId, Handler, Origin, Turn};
use fanwire::limits::MIB;
use fanwire::outbox::Ending;
use fanwire::reactor::{Listen, Reactor, ReactorOptions};
use fanwire::table::Column;
use fanwire::time::Millis;
use fanwire::transport::http::response::{self, Answering};
use fanwire::transport::http::{self, HttpLimits, Response, Scratch, Step, upgrade};
use fanwire::transport::websocket::{self, Item, WsLimits};
use std::error::Error;
use std::io::{self, Write};

const LIMITS: WsLimits = WsLimits {
    message_bytes: 16 * MIB,
    message_fragments: 65_536,
};

/// Four of the largest messages may wait for a peer that is slow to read.
const OUT_QUEUE_BYTES: usize = 64 * MIB;

/// Where a connection stands.
enum Phase {
    /// The request to become a WebSocket has not come, or not whole.
    Opening(http::Decoder),
    /// Frames go both ways.
    Open(websocket::Decoder),
    /// The last word was said; what still comes is thrown away.
    Over,
}

#[derive(Default)]
struct Echo {
    peers: Column<Conn, Phase>,
    writer: FrameWriter,
}

impl Handler for Echo {
    /// No other thread has anything to say.
    type Mail = std::convert::Infallible;

    fn opened(&mut self, conn: ConnId, _from: Origin, _turn: &mut Turn<'_>) {
        let phase = Phase::Opening(http::Decoder::new());
        self.peers.insert(conn, phase);
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        let Some(phase) = self.peers.get_mut(conn) else {
            return;
        };
        let mut input = bytes;
        if let Phase::Opening(decoder) = phase {
            let (taken_bytes, answer) = open(decoder, input);
            match answer {
                Answer::Nothing => {}
                Answer::Accept(head) => {
                    *phase = Phase::Open(websocket::Decoder::new());
                    turn.out.push(conn, &Frame::from(&head[..]));
                }
                Answer::Refuse(text) => {
                    *phase = Phase::Over;
                    turn.out.push(conn, &Frame::from(&text[..]));
                    turn.out.end(conn, Ending::Linger);
                }
            }
            // What came together with the request are frames already.
            (_, input) = input.split_at_mut(taken_bytes);
        }
        if let Phase::Open(decoder) = phase
            && !echo(decoder, &mut self.writer, conn, input, turn)
        {
            *phase = Phase::Over;
            turn.out.end(conn, Ending::Linger);
        }
    }

    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        turn.out.end(conn, Ending::Drain);
    }

    fn closed(&mut self, conn: ConnId, _why: CloseReason, _turn: &mut Turn<'_>) {
        self.peers.remove(conn);
    }

    fn mail(&mut self, mail: Self::Mail, _turn: &mut Turn<'_>) {
        match mail {}
    }

    fn tick(&mut self, _turn: &mut Turn<'_>) {}

    /// An echo keeps no time. A real server would not wait for ever for a request.
    fn next_deadline(&self) -> Option<Millis> {
        None
    }
}

/// What to say to what has come of the opening request.
enum Answer {
    Nothing,
    Accept(Vec<u8>),
    Refuse(Vec<u8>),
}

/// Reads the opening request. Says how many of `bytes` belonged to it, and the answer.
fn open(decoder: &mut http::Decoder, bytes: &[u8]) -> (usize, Answer) {
    let mut rest = bytes;
    let mut scratch = Scratch::new();
    let refused = match decoder.next(&mut rest, &HttpLimits::default(), &mut scratch) {
        Step::More => return (bytes.len(), Answer::Nothing),
        // An opening request has no body to wait for.
        Step::Head(_) | Step::Continue => upgrade::UpgradeRefusal::NoHandshake.response(),
        Step::Refused(refusal) => refusal.response(),
        Step::Request(request) => match upgrade::websocket(&request) {
            Ok(accept) => {
                let mut head = Vec::new();
                upgrade::switching(&accept, &mut head);
                return (bytes.len() - rest.len(), Answer::Accept(head));
            }
            Err(refusal) => refusal.response(),
        },
    };
    (bytes.len(), Answer::Refuse(text(&refused)))
}

/// A refusal as it is sent. It ends the connection, so little need be known of the request.
fn text(refused: &Response) -> Vec<u8> {
    let answering = Answering {
        head_only: false,
        is_1_1: true,
        keep_alive: false,
        is_endless: false,
        date: "",
    };
    let mut text = Vec::new();
    response::write(refused, answering, &mut text);
    text
}

/// Sends back what has come. False if that was the last from this peer.
fn echo(
    decoder: &mut websocket::Decoder,
    writer: &mut FrameWriter,
    conn: ConnId,
    mut input: &mut [u8],
    turn: &mut Turn<'_>,
) -> bool {
    loop {
        let (frame, goes_on) = match decoder.next(&mut input, &LIMITS) {
            Ok(None) => return true,
            Ok(Some(item)) => match item {
                Item::Text(text) => (writer.websocket(Opcode::Text, text.as_bytes()), true),
                Item::Binary(bytes) => (writer.websocket(Opcode::Binary, bytes), true),
                Item::Ping(payload) => (websocket::pong(writer, payload), true),
                Item::Pong(_) => continue,
                Item::Close(close) => (websocket::close_answer(writer, close), false),
            },
            Err(fault) => (websocket::refusal(writer, fault), false),
        };
        turn.out.push(conn, &frame);
        if !goes_on {
            return false;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9002").parse()?;
    let options = ReactorOptions {
        out_queue_bytes: OUT_QUEUE_BYTES,
        ..ReactorOptions::default()
    };
    let mut reactor = Reactor::new(Echo::default(), options)?;
    let bound = reactor.listen(&Listen::Tcp(address))?;
    // Whoever started this with port 0 reads here which one it is.
    writeln!(io::stdout(), "listening on {bound}")?;
    loop {
        reactor.turn(None)?;
    }
}
