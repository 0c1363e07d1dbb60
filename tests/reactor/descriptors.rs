//! Out of descriptors: who is there is served, the loop sleeps, and those who wait get their turn.
//!
//! The limit is lowered in a process of its own, this test binary run once more, because lowering
//! it here would hit the other tests (and the clients).

use crate::harness::{Probe, connect, listening};
use fanwire::frame::Frame;
use fanwire::reactor::{ReactorOptions, raise_open_files_limit};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Set for the child, which is then a server instead of a test.
const ROLE: &str = "FANWIRE_TEST_OUT_OF_DESCRIPTORS";

/// The limit of the child: its standard streams, the loop's own, and a dozen for peers.
const LIMIT: u64 = 20;

/// The server, when run as the child; nothing otherwise.
#[test]
fn child_that_runs_out_of_descriptors() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("a limit");
    rlimit::setrlimit(rlimit::Resource::NOFILE, LIMIT, hard).expect("lowered");
    let options = ReactorOptions {
        connections_max: Some(10_000),
        ..ReactorOptions::default()
    };
    // Every question is answered with it and how often accepting was paused.
    let (mut reactor, address) = listening(Probe::default(), options);
    reactor.handler_mut().last_words = Some(Frame::from(&b""[..]));
    let mut out = std::io::stdout();
    writeln!(out, "\nlistening on {address}").expect("the parent reads");
    let mut answered = 0;
    loop {
        reactor.turn(None).expect("a turn");
        while answered < reactor.handler().received.len() {
            let (conn, _) = reactor.handler().received[answered];
            answered += 1;
            let stats = reactor.stats();
            let words = format!(
                "{} {} {}\n",
                stats.turns, stats.accept_pauses, stats.accepted
            );
            reactor.with(|_, turn| turn.out.push(conn, &Frame::from(words.as_bytes())));
        }
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Server, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "descriptors::child_that_runs_out_of_descriptors",
            "--nocapture",
        ])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let server = Server(child);
    for line in lines {
        let line = line.expect("text");
        if let Some(address) = line.strip_prefix("listening on ") {
            return (server, address.parse().expect("an address"));
        }
    }
    panic!("the server did not start");
}

/// Turns, pauses, accepted.
fn ask(stream: &mut TcpStream) -> [u64; 3] {
    stream.write_all(b"?").expect("sent");
    answer(stream).expect("answered")
}

fn answer(stream: &mut TcpStream) -> Option<[u64; 3]> {
    let mut text = String::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => break,
            Ok(1) => text.push(char::from(byte[0])),
            Ok(_) => return None,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return None;
            }
        }
    }
    let numbers: Vec<u64> = text
        .split(' ')
        .map(|n| n.parse().expect("a number"))
        .collect();
    Some([numbers[0], numbers[1], numbers[2]])
}

#[test]
fn without_descriptors_nobody_is_dropped_and_nothing_spins() {
    let (_server, address) = start();
    let mut first = connect(address);
    ask(&mut first);
    let mut others: Vec<TcpStream> = (0..60).map(|_| connect(address)).collect();
    // Questions keep the loop turning until it has met its limit.
    let mut now = ask(&mut first);
    while now[1] == 0 {
        now = ask(&mut first);
    }
    let [turns, _, accepted] = now;
    assert!(accepted > 5 && accepted < LIMIT, "{accepted}");

    // Somebody who is not accepted yet waits in vain; meanwhile the loop hardly turns.
    let mut last = others.pop().expect("sixty of them");
    last.write_all(b"?").expect("sent");
    let patience = Duration::from_millis(1_000);
    last.set_read_timeout(Some(patience)).expect("an option");
    assert_eq!(answer(&mut last), None);
    let [later, pauses, still] = ask(&mut first);
    assert!(later - turns < 25, "{} turns in a second", later - turns);
    assert!(pauses >= 1 && still == accepted);

    // One after another is served as room is made, without waiting for timers alone.
    last.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("an option");
    drop(others);
    let served = answer(&mut last).expect("served in the end");
    assert!(served[2] > accepted);
    ask(&mut first);
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_allowed() {
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("a limit");
    let raised = raise_open_files_limit().expect("raised");
    let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("a limit");
    assert_eq!((raised, soft), (soft, hard));
}
