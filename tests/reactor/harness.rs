//! A handler that does what a test says, and ways to run the loop until something is true.
//!
//! The loop runs on the test's own thread; blocking clients run on threads beside it.

use fanwire::frame::Frame;
use fanwire::handler::{CloseReason, ConnId, Handler, Origin, Turn};
use fanwire::reactor::{Bound, Listen, Reactor, ReactorOptions};
use fanwire::time::Millis;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// What a test lets happen on every `received`.
pub(crate) type Act = fn(&mut Probe, ConnId, &mut [u8], &mut Turn<'_>);

/// Notes every call and acts as it is told.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) act: Option<Act>,
    pub(crate) opened: Vec<(ConnId, Origin)>,
    pub(crate) received: Vec<(ConnId, usize)>,
    pub(crate) resumed: Vec<ConnId>,
    pub(crate) ended: Vec<ConnId>,
    pub(crate) closed: Vec<(ConnId, CloseReason)>,
    pub(crate) mail: Vec<u32>,
    pub(crate) ticks: u32,
    pub(crate) deadline: Option<Millis>,
    /// What is pushed when a peer's bytes end; it is then drained. None: nothing is done.
    pub(crate) last_words: Option<Frame>,
    /// Told to everybody else when one has gone.
    pub(crate) obituary: Option<Frame>,
    pub(crate) panic_on_mail: Option<u32>,
    /// What is said to those who are refused at the door.
    pub(crate) refusal: Option<Frame>,
    /// With which limits that was asked for.
    pub(crate) refused: Vec<usize>,
}

impl Probe {
    pub(crate) fn acting(act: Act) -> Self {
        Self {
            act: Some(act),
            last_words: Some(Frame::from(&b""[..])),
            ..Self::default()
        }
    }

    /// Sends back what comes.
    pub(crate) fn echo() -> Self {
        Self::acting(|_, conn, bytes, turn| turn.out.push(conn, &Frame::from(&*bytes)))
    }

    pub(crate) fn bytes_from(&self, conn: ConnId) -> usize {
        let of_conn = self.received.iter().filter(|(from, _)| *from == conn);
        of_conn.map(|(_, count)| count).sum()
    }
}

impl Handler for Probe {
    type Mail = u32;

    fn opened(&mut self, conn: ConnId, from: Origin, _turn: &mut Turn<'_>) {
        self.opened.push((conn, from));
    }

    fn refused(&mut self, limit: usize, _turn: &mut Turn<'_>) -> Option<Frame> {
        self.refused.push(limit);
        self.refusal.clone()
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8], turn: &mut Turn<'_>) {
        assert!(
            !self.ended.contains(&conn) && !self.closed.iter().any(|(gone, _)| *gone == conn),
            "nothing is received after the end"
        );
        self.received.push((conn, bytes.len()));
        if let Some(act) = self.act {
            act(self, conn, bytes, turn);
        }
    }

    fn resumed(&mut self, conn: ConnId, _turn: &mut Turn<'_>) {
        self.resumed.push(conn);
    }

    fn ended(&mut self, conn: ConnId, turn: &mut Turn<'_>) {
        self.ended.push(conn);
        if let Some(words) = &self.last_words {
            turn.out.push(conn, words);
            turn.out.end(conn, fanwire::outbox::Ending::Drain);
        }
    }

    fn closed(&mut self, conn: ConnId, why: CloseReason, turn: &mut Turn<'_>) {
        assert!(
            !self.closed.iter().any(|(gone, _)| *gone == conn),
            "closed comes once"
        );
        self.closed.push((conn, why));
        if let Some(words) = &self.obituary {
            for (other, _) in &self.opened {
                turn.out.push(*other, words);
            }
        }
    }

    fn mail(&mut self, mail: u32, _turn: &mut Turn<'_>) {
        assert_ne!(self.panic_on_mail, Some(mail), "a letter that hurts");
        self.mail.push(mail);
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        assert!(self.deadline.is_some_and(|due| due <= turn.now.mono));
        self.ticks += 1;
        self.deadline = None;
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.deadline
    }
}

/// The loopback address, with a port of the system's choice.
pub(crate) fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A reactor that listens on a fresh TCP port.
pub(crate) fn listening(probe: Probe, options: ReactorOptions) -> (Reactor<Probe>, SocketAddr) {
    let mut reactor = Reactor::new(probe, options).expect("a reactor");
    let bound = reactor.listen(&Listen::Tcp(anywhere())).expect("bound");
    let Bound::Tcp(address) = bound else {
        panic!("TCP was asked for");
    };
    (reactor, address)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("an option");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("an option");
    stream
}

/// Turns until `done`; fails after a generous time.
#[track_caller]
pub(crate) fn until(reactor: &mut Reactor<Probe>, mut done: impl FnMut(&Reactor<Probe>) -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !done(reactor) {
        assert!(
            Instant::now() < limit,
            "it never happened: {:?}",
            reactor.stats()
        );
        reactor
            .turn(Some(Duration::from_millis(5)))
            .expect("a turn");
    }
}

/// Runs `client` on a thread of its own, turns until it is done, and returns what it returned.
#[track_caller]
pub(crate) fn alongside<T: Send + 'static>(
    reactor: &mut Reactor<Probe>,
    client: impl FnOnce() -> T + Send + 'static,
) -> T {
    let client: JoinHandle<T> = spawn(client);
    until(reactor, |_| client.is_finished());
    client.join().expect("the client's own assertions hold")
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

/// Sends `question` and reads an answer of the same length.
pub(crate) fn ask(mut stream: impl Read + Write, question: &[u8]) -> Vec<u8> {
    stream.write_all(question).expect("sent");
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).expect("answered");
    answer
}

/// All that still comes, to an end in order.
pub(crate) fn rest_of(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end in order");
    bytes
}
