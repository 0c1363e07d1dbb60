//! The turn itself: panics, mail, deadlines, nesting, and the end of it all.

use crate::harness::{Probe, alongside, ask, connect, listening, pattern, rest_of, until};
use fanwire::frame::Frame;
use fanwire::handler::CloseReason;
use fanwire::limits::{EVENTS_PER_TURN, MAILBOX_LETTERS_MAX, WRITE_BYTES_PER_TURN};
use fanwire::reactor::{MailError, Reactor, ReactorOptions};
use fanwire::time::Millis;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::thread::spawn;
use std::time::Duration;

#[test]
fn a_panic_costs_one_peer() {
    let mut probe = Probe::acting(|_, conn, bytes, turn| {
        assert_ne!(bytes, b"poison", "a handler that fails");
        turn.out.push(conn, &Frame::from(&*bytes));
    });
    probe.panic_on_mail = Some(7);
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mailbox = reactor.mailbox();
    let mut other = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 1);
    let got = alongside(&mut reactor, move || {
        let mut stream = connect(address);
        stream.write_all(b"poison").expect("sent");
        rest_of(stream)
    });
    assert_eq!(got, b"");
    assert_eq!(reactor.handler().closed.len(), 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Panic);
    mailbox.send(7).expect("taken");
    mailbox.send(8).expect("taken");
    let answer = alongside(&mut reactor, move || ask(&mut other, b"still here"));
    assert_eq!(answer, b"still here");
    assert_eq!(reactor.handler().mail, [8]);
    assert_eq!(reactor.stats().panics, 2);
}

#[test]
fn letters_wake_the_loop_once_per_batch_and_are_bounded() {
    let mut reactor = Reactor::new(Probe::echo(), ReactorOptions::default()).expect("a reactor");
    let mailbox = reactor.mailbox();
    let sender = spawn({
        let mailbox = mailbox.clone();
        move || mailbox.send(1).expect("taken")
    });
    // Without the wake this would wait for ever.
    while reactor.handler().mail.is_empty() {
        reactor.turn(None).expect("a turn");
    }
    sender.join().expect("sent");
    for letter in 0..MAILBOX_LETTERS_MAX as u32 {
        mailbox.send(letter).expect("there is room");
    }
    assert_eq!(mailbox.send(9), Err(MailError::Full(9)));
    assert_eq!(mailbox.letters(), MAILBOX_LETTERS_MAX);
    let (turns, events) = (reactor.stats().turns, reactor.stats().events);
    while reactor.handler().mail.len() <= MAILBOX_LETTERS_MAX {
        reactor.turn(None).expect("a turn");
    }
    let per_turn = fanwire::limits::MAIL_PER_TURN;
    // More of them only where the machine was busy elsewhere for a turn's time for letters.
    let (least, turns) = (
        MAILBOX_LETTERS_MAX / per_turn,
        reactor.stats().turns - turns,
    );
    assert!(
        (least..least * 4).contains(&(turns as usize)),
        "{turns} turns"
    );
    assert_eq!(reactor.stats().events - events, 1, "one wake for all");
    assert!(reactor.handler().mail[1..].is_sorted());
    assert_eq!(mailbox.letters(), 0);
    drop(reactor);
    assert_eq!(mailbox.send(9), Err(MailError::Closed(9)));
}

/// How often the calling thread has gone to sleep so far.
#[cfg(target_os = "linux")]
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let count = line.expect("Linux counts them").trim();
    count.parse().expect("a number")
}

/// In how many of ten turns that have nothing to do, each right after one that had, the loop goes to
/// sleep. The system may put any thread to sleep, for memory say, or keep it from running for longer
/// than the turn.
#[cfg(target_os = "linux")]
fn turns_asleep(busy_poll_ms: u64) -> usize {
    let options = ReactorOptions {
        busy_poll_ms,
        ..ReactorOptions::default()
    };
    let mut reactor = Reactor::new(Probe::echo(), options).expect("a reactor");
    let sleeps_after = |letter: &u32| {
        reactor.mailbox().send(*letter).expect("taken");
        until(&mut reactor, |reactor| {
            reactor.handler().mail.last() == Some(letter)
        });
        let before = sleeps();
        reactor
            .turn(Some(Duration::from_millis(20)))
            .expect("a turn");
        sleeps() > before
    };
    (0..10).filter(sleeps_after).count()
}

#[test]
#[cfg(target_os = "linux")]
fn busy_polling_does_not_sleep_and_ends() {
    assert_eq!(turns_asleep(0), 10);
    assert!(turns_asleep(60_000) < 10);
    // It is over before the turn is.
    assert!(turns_asleep(1) > 0);
}

#[test]
fn busy_polling_misses_nothing() {
    let options = ReactorOptions {
        busy_poll_ms: 600_000,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(Probe::echo(), options);
    let mut stream = connect(address);
    let answer = alongside(&mut reactor, move || {
        let first = ask(&mut stream, b"one");
        [first, ask(&mut stream, b"two")].concat()
    });
    assert_eq!(answer, b"onetwo");
    // What is due ends the wait, and so does what the host allows.
    let due = Millis(reactor.clock().mono().0 + 20);
    reactor.handler_mut().deadline = Some(due);
    while reactor.handler().ticks == 0 {
        reactor.turn(None).expect("a turn");
    }
    assert!(reactor.clock().mono() >= due);
    let before = reactor.clock().mono();
    reactor
        .turn(Some(Duration::from_millis(20)))
        .expect("a turn");
    assert!(reactor.clock().mono().since(before) >= 19);
    let sender = spawn({
        let mailbox = reactor.mailbox();
        move || mailbox.send(7).expect("taken")
    });
    while reactor.handler().mail.is_empty() {
        reactor.turn(None).expect("a turn");
    }
    sender.join().expect("sent");
}

#[test]
fn a_large_audience_is_written_to_over_several_turns_and_others_come_between() {
    const AUDIENCE: usize = 200;
    let probe = Probe::acting(|probe, conn, bytes, turn| {
        if bytes == b"go" {
            let frame = Frame::from(&pattern(WRITE_BYTES_PER_TURN)[..]);
            let all = probe.opened.iter().take(AUDIENCE);
            all.for_each(|&(listener, _)| turn.out.push(listener, &frame));
        } else {
            turn.out.push(conn, &Frame::from(&*bytes));
        }
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut streams = Vec::new();
    for count in 1..=AUDIENCE + 1 {
        streams.push(connect(address));
        until(&mut reactor, |r| r.handler().opened.len() == count);
    }
    let mut other = streams.pop().expect("the one that is no listener");
    streams[0].write_all(b"go").expect("sent");
    until(&mut reactor, |r| r.handler().received.len() == 1);
    assert!(reactor.stats().writes < AUDIENCE as u64, "some are left");
    assert_eq!(reactor.next_wait(), Some(Duration::ZERO));
    other.write_all(b"ping").expect("sent");
    until(&mut reactor, |r| r.handler().received.len() == 2);
    let its = reactor.handler().received[1].0;
    assert_eq!(reactor.outbox().queued(its), 0, "written in the same turn");
    alongside(&mut reactor, move || {
        let expected = pattern(WRITE_BYTES_PER_TURN);
        let mut got = vec![0; expected.len()];
        for mut stream in streams {
            stream.read_exact(&mut got).expect("all of it comes");
            assert!(got == expected, "in order");
        }
    });
    assert_eq!(reactor.outbox().queued_bytes(), 0);
}

#[test]
fn a_crowd_that_leaves_is_let_go_whole_however_many_turns_it_takes() {
    // Each burial takes a while here: the handler tells all who were ever there.
    let mut probe = Probe::echo();
    probe.obituary = Some(Frame::from(&b"gone"[..]));
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut streams = Vec::new();
    for count in 1..=400 {
        streams.push(connect(address));
        until(&mut reactor, |r| r.handler().opened.len() == count);
    }
    drop(streams);
    until(&mut reactor, |r| r.connections() == 0);
    assert_eq!(reactor.handler().closed.len(), 400);
    assert!(reactor.outbox().is_empty());
}

#[test]
fn the_handlers_deadline_ends_the_wait() {
    let mut reactor = Reactor::new(Probe::echo(), ReactorOptions::default()).expect("a reactor");
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    let due = reactor.now().mono + 60;
    reactor.handler_mut().deadline = Some(due);
    let mut turns = 0;
    while reactor.handler().ticks == 0 {
        reactor.turn(None).expect("a turn");
        turns += 1;
    }
    assert!(reactor.now().mono >= due);
    assert!(turns <= 3, "{turns} turns for one deadline");
}

#[test]
fn the_loop_nests_in_the_poll_of_a_host() {
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    let mut outer = mio::Poll::new().expect("a poll");
    let fd = reactor.as_raw_fd();
    let mut source = mio::unix::SourceFd(&fd);
    let registry = outer.registry();
    mio::event::Source::register(
        &mut source,
        registry,
        mio::Token(1),
        mio::Interest::READABLE,
    )
    .expect("registered");
    let mut events = mio::Events::with_capacity(4);
    let client = spawn(move || ask(connect(address), b"nested"));
    while !client.is_finished() || reactor.connections() > 0 {
        let wait = reactor.next_wait().unwrap_or(Duration::from_secs(10));
        let limited = wait.min(Duration::from_millis(200));
        match outer.poll(&mut events, Some(limited)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
        }
        if !events.is_empty() || wait.is_zero() {
            reactor.turn(Some(Duration::ZERO)).expect("a turn");
        }
    }
    assert_eq!(client.join().expect("answered"), b"nested");
}

#[test]
fn more_events_than_a_turn_takes_do_not_wait_for_the_next_edge() {
    fanwire::reactor::raise_open_files_limit().expect("a limit");
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    let count = EVENTS_PER_TURN + 100;
    let mut peers: Vec<_> = (0..count).map(|_| connect(address)).collect();
    until(&mut reactor, |reactor| {
        reactor.handler().opened.len() == count
    });
    while reactor.next_wait() == Some(Duration::ZERO) {
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
    }
    for peer in &mut peers {
        // Over loopback it has arrived when this returns.
        peer.write_all(b"x").expect("sent");
    }
    // A host sees one edge for all of them; from there on only the reactor can say that more waits.
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    while reactor.next_wait() == Some(Duration::ZERO) {
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
    }
    assert_eq!(reactor.handler().received.len(), count);
}

#[test]
fn closing_all_tells_everybody_and_lets_queued_words_out() {
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    let stream = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 1);
    let conn = reactor.handler().opened[0].0;
    reactor.with(|_, turn| turn.out.push(conn, &Frame::from(&b"bye"[..])));
    reactor.close_all();
    assert_eq!(reactor.handler().closed, [(conn, CloseReason::Stopped)]);
    assert_eq!(rest_of(stream), b"bye");
}
