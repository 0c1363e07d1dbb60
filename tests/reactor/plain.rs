//! Plain sockets: bytes in and out, shares, pauses, endings.

use crate::harness::{
    Probe, alongside, anywhere, ask, connect, listening, pattern, rest_of, until,
};
use fanwire::frame::Frame;
use fanwire::handler::CloseReason;
use fanwire::limits::{
    ACCEPTS_PER_TURN, LINGER_BYTES_MAX, MIB, READ_BYTES_PER_TURN, REFUSED_LINGERING_MAX,
};
use fanwire::outbox::Ending;
use fanwire::reactor::{Bound, Listen, Reactor, ReactorOptions};
use fanwire::time::Millis;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::spawn;
use std::time::Duration;

#[test]
fn echo_on_several_listeners_at_once() {
    let (mut reactor, first) = listening(Probe::echo(), ReactorOptions::default());
    let second = reactor.listen(&Listen::Tcp(anywhere())).expect("bound");
    let second = second.address().expect("TCP");
    let path = std::env::temp_dir().join(format!("fanwire-echo-{}", std::process::id()));
    let at = Listen::Unix(path.clone());
    assert_eq!(
        reactor.listen(&at).expect("bound"),
        Bound::Unix(path.clone())
    );
    let there = path.clone();
    alongside(&mut reactor, move || {
        assert_eq!(ask(connect(first), b"one"), b"one");
        assert_eq!(ask(connect(second), b"two"), b"two");
        assert_eq!(
            ask(UnixStream::connect(there).expect("connected"), b"3"),
            b"3"
        );
    });
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 3);
    let origins: Vec<_> = reactor
        .handler()
        .opened
        .iter()
        .map(|(_, from)| *from)
        .collect();
    assert!(origins.iter().all(|from| !from.tls));
    assert_eq!(origins.iter().filter(|from| from.peer.is_some()).count(), 2);
    assert_eq!(reactor.connections(), 0);
    reactor.stop_listening();
    assert!(!path.exists());
    assert!(TcpStream::connect(first).is_err());
}

#[test]
fn every_byte_reaches_a_slow_reader_in_order() {
    // Pieces of all sizes: alone, copied together, vectored, larger than a turn's share.
    const SIZES: [usize; 12] = [
        1,
        7,
        300,
        5_000,
        40_000,
        2 * MIB,
        3,
        17_000,
        90,
        1,
        65_536,
        100,
    ];
    let probe = Probe::acting(|_, conn, _, turn| {
        for round in 0..20 {
            for size in SIZES {
                let mut bytes = pattern(size);
                bytes[0] = round;
                turn.out.push(conn, &Frame::from(&*bytes));
            }
        }
        turn.out.end(conn, Ending::Drain);
    });
    let options = ReactorOptions {
        out_queue_bytes: 256 * MIB,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let got = alongside(&mut reactor, move || {
        let mut stream = connect(address);
        SockRef::from(&stream)
            .set_recv_buffer_size(16 * 1024)
            .expect("an option");
        stream.write_all(b"go").expect("sent");
        rest_of(stream)
    });
    let mut at = 0;
    for round in 0..20 {
        for size in SIZES {
            let mut expected = pattern(size);
            expected[0] = round;
            assert!(
                got[at..at + size] == expected,
                "round {round} piece of {size}"
            );
            at += size;
        }
    }
    assert_eq!(got.len(), at);
    let totals = reactor.outbox().totals();
    assert_eq!((totals.bytes_sent, totals.bytes_dropped), (at as u64, 0));
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Asked);
}

#[test]
fn a_thousand_small_frames_leave_with_few_calls() {
    let probe = Probe::acting(|_, conn, _, turn| {
        for number in 0..1_000_u32 {
            let text = format!("{number:0100}");
            turn.out.push(conn, &Frame::from(text.as_bytes()));
        }
        turn.out.end(conn, Ending::Drain);
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let got = alongside(&mut reactor, move || {
        let mut stream = connect(address);
        stream.write_all(b"go").expect("sent");
        rest_of(stream)
    });
    let expected: String = (0..1_000).map(|number| format!("{number:0100}")).collect();
    assert!(got == expected.as_bytes());
    assert!(
        reactor.stats().writes <= 8,
        "{} writes",
        reactor.stats().writes
    );
}

#[test]
fn frames_of_one_turn_leave_with_one_call_per_peer() {
    let probe = Probe::acting(|probe, _, _, turn| {
        for text in [&b"alpha "[..], b"beta ", b"gamma "] {
            let frame = Frame::from(text);
            for (peer, _) in &probe.opened {
                turn.out.push(*peer, &frame);
            }
        }
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut peers: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 20);
    let before = reactor.stats().writes;
    peers[0].write_all(b"!").expect("sent");
    until(&mut reactor, |reactor| reactor.stats().writes > before);
    assert_eq!(reactor.stats().writes - before, 20);
    for peer in &mut peers {
        let mut got = [0; 17];
        peer.read_exact(&mut got).expect("delivered");
        assert_eq!(&got, b"alpha beta gamma ");
    }
}

#[test]
fn a_reset_and_a_plain_end_are_both_told_once() {
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    let reset = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 1);
    SockRef::from(&reset)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(reset);
    until(&mut reactor, |reactor| !reactor.handler().closed.is_empty());
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Peer);
    assert!(reactor.handler().ended.is_empty());
    drop(connect(address));
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 2);
    assert_eq!(reactor.handler().ended.len(), 1);
    assert_eq!((reactor.connections(), reactor.outbox().len()), (0, 0));
}

#[test]
fn a_peer_that_has_shut_its_side_gets_what_it_is_owed() {
    let mut probe = Probe::echo();
    probe.last_words = Some(Frame::from(&b" and goodbye"[..]));
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let got = alongside(&mut reactor, move || {
        let mut stream = connect(address);
        stream.write_all(b"hello").expect("sent");
        stream.shutdown(Shutdown::Write).expect("shut");
        rest_of(stream)
    });
    assert_eq!(got, b"hello and goodbye");
    assert_eq!(reactor.handler().ended.len(), 1);
}

#[test]
fn a_half_closed_peer_whose_answer_is_late_costs_no_turns_and_is_seen_to_go() {
    let mut probe = Probe::echo();
    probe.last_words = None;
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let stream = connect(address);
    stream.shutdown(Shutdown::Write).expect("shut");
    until(&mut reactor, |reactor| !reactor.handler().ended.is_empty());
    // Nothing is left to do: a turn waits for as long as it may.
    let before = reactor.stats().events;
    for _ in 0..3 {
        assert_eq!(reactor.next_wait(), None);
        reactor
            .turn(Some(Duration::from_millis(30)))
            .expect("a turn");
    }
    assert_eq!(reactor.stats().events, before);
    // The late answer still goes out; and once the peer has wholly gone that is noticed.
    let conn = reactor.handler().opened[0].0;
    reactor.with(|_, turn| turn.out.push(conn, &Frame::from(&b"late"[..])));
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    assert_eq!(reactor.next_wait(), None);
    let mut stream = stream;
    let mut got = [0; 4];
    stream.read_exact(&mut got).expect("answered");
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(stream);
    until(&mut reactor, |reactor| !reactor.handler().closed.is_empty());
    assert_eq!(reactor.handler().closed, [(conn, CloseReason::Peer)]);
    assert_eq!(reactor.handler().ended.len(), 1);
}

#[test]
fn a_key_of_one_who_has_gone_reaches_nobody() {
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    drop(connect(address));
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    let mut second = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 2);
    let (gone, there) = (reactor.handler().opened[0].0, reactor.handler().opened[1].0);
    assert_eq!(gone.index(), there.index(), "the place is used again");
    reactor.with(|_, turn| {
        turn.out.push(gone, &Frame::from(&b"wrong"[..]));
        turn.out.end(gone, Ending::Abort);
        turn.out.push(there, &Frame::from(&b"right"[..]));
    });
    reactor.turn(Some(Duration::ZERO)).expect("a turn");
    let mut got = [0; 5];
    second.read_exact(&mut got).expect("delivered");
    assert_eq!(&got, b"right");
    assert_eq!(reactor.connections(), 1);
}

#[test]
fn a_flood_gets_its_share_of_a_turn_and_others_are_served() {
    let probe = Probe::acting(|_, conn, bytes, turn| {
        if bytes.len() == 4 {
            turn.out.push(conn, &Frame::from(&*bytes));
        }
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let flood = spawn(move || {
        let mut stream = connect(address);
        let chunk = vec![b'x'; MIB];
        for _ in 0..32 {
            stream.write_all(&chunk).expect("sent");
        }
    });
    let asked = spawn(move || {
        let mut stream = connect(address);
        (0..50).all(|_| ask(&mut stream, b"ping") == b"ping")
    });
    let mut most = 0;
    let mut seen = 0;
    until(&mut reactor, |reactor| {
        let read = reactor.stats().bytes_read;
        most = most.max(read - seen);
        seen = read;
        flood.is_finished() && asked.is_finished()
    });
    flood.join().expect("sent");
    assert!(asked.join().expect("answered"));
    assert!(
        most as usize <= READ_BYTES_PER_TURN + 4,
        "{most} bytes in a turn"
    );
    until(&mut reactor, |reactor| {
        reactor.stats().bytes_read as usize >= 32 * MIB + 200
    });
    let peers = &reactor.handler().opened;
    let mut heard: Vec<usize> = peers
        .iter()
        .map(|(conn, _)| reactor.handler().bytes_from(*conn))
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, [200, 32 * MIB]);
}

#[test]
fn a_crowd_is_accepted_within_the_budget_of_each_turn() {
    let crowd = 2 * ACCEPTS_PER_TURN + 50;
    let (mut reactor, address) = listening(Probe::echo(), ReactorOptions::default());
    let peers: Vec<TcpStream> = (0..crowd).map(|_| connect(address)).collect();
    let mut steps = Vec::new();
    while reactor.connections() < crowd {
        let before = reactor.connections();
        reactor.turn(Some(Duration::from_secs(10))).expect("a turn");
        steps.push(reactor.connections() - before);
    }
    assert_eq!(steps, [ACCEPTS_PER_TURN, ACCEPTS_PER_TURN, 50]);
    drop(peers);
    until(&mut reactor, |reactor| reactor.connections() == 0);
}

#[test]
fn one_more_than_the_most_waits_until_another_goes() {
    let options = ReactorOptions {
        connections_max: Some(2),
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(Probe::echo(), options);
    let (first, second, mut third) = (connect(address), connect(address), connect(address));
    third.write_all(b"me too").expect("sent");
    until(&mut reactor, |reactor| reactor.stats().accept_pauses == 1);
    assert_eq!(
        reactor.next_wait(),
        None,
        "the loop sleeps while it is full"
    );
    assert_eq!(reactor.connections(), 2);
    drop(first);
    let got = alongside(&mut reactor, move || {
        let mut got = [0; 6];
        third.read_exact(&mut got).expect("served at last");
        got
    });
    assert_eq!(&got, b"me too");
    drop(second);
}

#[test]
fn an_address_may_have_so_many_and_no_more() {
    let options = ReactorOptions {
        connections_per_address: 2,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(Probe::echo(), options);
    let kept = [connect(address), connect(address)];
    let refused = connect(address);
    until(&mut reactor, |reactor| {
        reactor.stats().refused_per_address == 1
    });
    assert_eq!(rest_of(refused), b"");
    drop(kept);
    until(&mut reactor, |reactor| reactor.connections() == 0);
    let got = alongside(&mut reactor, move || ask(connect(address), b"again"));
    assert_eq!(got, b"again");
}

/// A reactor that lets one connection per address stay and says a word to the others.
fn one_each(connections_max: Option<usize>) -> (Reactor<Probe>, SocketAddr, TcpStream) {
    let options = ReactorOptions {
        connections_max,
        connections_per_address: 1,
        ..ReactorOptions::default()
    };
    let probe = Probe {
        refusal: Some(Frame::from(&b"one is enough"[..])),
        ..Probe::echo()
    };
    let (mut reactor, address) = listening(probe, options);
    let kept = connect(address);
    until(&mut reactor, |reactor| reactor.connections() == 1);
    (reactor, address, kept)
}

#[test]
fn who_is_refused_reads_why_although_he_has_not_been_read() {
    let (mut reactor, address, mut kept) = one_each(None);
    let mut early = connect(address);
    early.write_all(&pattern(10_000)).expect("sent");
    let mut late = connect(address);
    until(&mut reactor, |reactor| {
        reactor.stats().refused_per_address == 2
    });
    // This comes after the answer, and must not reset it away either.
    late.write_all(&pattern(10_000)).expect("sent");
    let before = reactor.stats().bytes_read;
    until(&mut reactor, |reactor| {
        reactor.stats().bytes_read >= before + 10_000
    });
    assert_eq!(rest_of(&early), b"one is enough");
    assert_eq!(rest_of(&late), b"one is enough");
    assert_eq!(reactor.handler().refused, [1, 1]);
    drop((early, late));
    until(&mut reactor, |reactor| reactor.connections() == 1);

    // Nobody but the one who stays was ever a connection.
    let probe = reactor.handler();
    assert_eq!((probe.opened.len(), probe.closed.len()), (1, 0));
    assert_eq!(reactor.outbox().len(), 1);
    let stats = reactor.stats();
    assert_eq!((stats.accepted, stats.closed), (1, 0));
    let got = alongside(&mut reactor, move || ask(&mut kept, b"still here"));
    assert_eq!(got, b"still here");
    until(&mut reactor, |reactor| reactor.connections() == 0);
}

#[test]
fn a_crowd_of_refused_ones_holds_few_sockets_and_not_for_long() {
    let (mut reactor, address, mut kept) = one_each(None);
    // They do not end by themselves, and there are more of them than are lingered with.
    let crowd: Vec<TcpStream> = (0..3 * REFUSED_LINGERING_MAX)
        .map(|_| connect(address))
        .collect();
    until(&mut reactor, |reactor| {
        reactor.stats().refused_per_address == crowd.len() as u64
    });
    assert_eq!(reactor.connections(), 1 + REFUSED_LINGERING_MAX);
    for stream in &crowd {
        assert_eq!(rest_of(stream), b"one is enough");
    }
    let (got, kept) = alongside(&mut reactor, move || (ask(&mut kept, b"still here"), kept));
    assert_eq!(got, b"still here");
    // The last of them are let go when their time is over, though they have not ended.
    until(&mut reactor, |reactor| reactor.connections() == 1);
    assert_eq!(reactor.next_wait(), None, "nothing is left to wait for");
    drop(kept);
}

#[test]
fn where_there_is_no_room_to_linger_a_refused_one_is_told_all_the_same() {
    let (mut reactor, address, _kept) = one_each(Some(4));
    let mut refused = connect(address);
    refused.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| {
        reactor.stats().refused_per_address == 1
    });
    assert_eq!(reactor.connections(), 1, "it takes nobody's place");
    assert_eq!(rest_of(refused), b"one is enough");
}

#[test]
fn a_paused_peer_is_read_again_when_its_answer_has_left() {
    let probe = Probe::acting(|probe, conn, _, turn| {
        if probe.received.len() == 1 {
            turn.out.push(conn, &Frame::from(&*pattern(8 * MIB)));
            turn.out.pause(conn);
        }
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut stream = connect(address);
    stream.write_all(b"first").expect("sent");
    until(&mut reactor, |reactor| {
        reactor.handler().received.len() == 1
    });
    let conn = reactor.handler().opened[0].0;
    stream.write_all(b"second").expect("sent");
    // The queue cannot leave, as nobody reads: the second is not read either.
    let before = reactor.stats().events;
    until(&mut reactor, |reactor| reactor.stats().events > before);
    assert_eq!(reactor.handler().received.len(), 1);
    assert!(reactor.handler().resumed.is_empty());
    let reader = spawn(move || {
        let mut got = vec![0; 8 * MIB];
        stream.read_exact(&mut got).expect("answered");
        (got, stream)
    });
    until(&mut reactor, |reactor| {
        reactor.handler().received.len() == 2
    });
    assert_eq!(reactor.handler().resumed, [conn]);
    assert_eq!(reactor.handler().received[1], (conn, 6));
    assert!(reader.join().expect("read").0 == pattern(8 * MIB));
}

#[test]
fn a_pause_with_nothing_queued_ends_with_the_next_turn() {
    let probe = Probe::acting(|probe, conn, _, turn| {
        if probe.received.len() == 1 {
            turn.out.pause(conn);
        }
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut stream = connect(address);
    stream.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| {
        reactor.handler().received.len() == 1
    });
    assert_eq!(reactor.next_wait(), Some(Duration::ZERO));
    reactor.turn(None).expect("a turn");
    assert_eq!(reactor.handler().resumed.len(), 1);
    assert_eq!(reactor.next_wait(), None);
}

#[test]
fn who_does_not_read_his_answers_is_not_read_from() {
    let probe = Probe::acting(|_, conn, _, turn| {
        turn.out.push(conn, &Frame::from(&*pattern(600_000)));
    });
    let options = ReactorOptions {
        out_queue_bytes: 64 * MIB,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let mut stream = connect(address);
    SockRef::from(&stream)
        .set_recv_buffer_size(16 * 1024)
        .expect("an option");
    let mut sent = 0;
    // Questions until one is not read; far fewer than what would fit the queue's limit.
    while reactor.outbox().queued_bytes() < 300_000 {
        stream.write_all(b"?").expect("sent");
        sent += 1;
        assert!(sent < 100, "the kernel buffers without end");
        let before = reactor.stats().events;
        until(&mut reactor, |reactor| reactor.stats().events > before);
    }
    let heard = reactor.handler().received.len();
    stream.write_all(b"??").expect("sent");
    let before = reactor.stats().events;
    until(&mut reactor, |reactor| reactor.stats().events > before);
    assert_eq!(reactor.handler().received.len(), heard, "held");
    stream.shutdown(Shutdown::Write).expect("shut");
    let got = alongside(&mut reactor, move || rest_of(stream).len());
    assert!(!reactor.handler().resumed.is_empty());
    assert_eq!(got, reactor.handler().received.len() * 600_000);
}

#[test]
fn a_refusal_can_be_read_though_the_peer_goes_on_sending() {
    let probe = Probe::acting(|_, conn, _, turn| {
        turn.out.push(conn, &Frame::from(&b"too large"[..]));
        turn.out.end(conn, Ending::Linger);
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let got = alongside(&mut reactor, move || {
        let mut stream = connect(address);
        stream
            .write_all(&pattern(LINGER_BYTES_MAX / 2))
            .expect("sent");
        rest_of(stream)
    });
    assert_eq!(got, b"too large");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Asked);
    assert_eq!(
        reactor.handler().received.len(),
        1,
        "the rest was thrown away"
    );
}

#[test]
fn lingering_is_bounded_in_bytes_and_in_time() {
    let probe = Probe::acting(|_, conn, _, turn| turn.out.end(conn, Ending::Linger));
    let options = ReactorOptions {
        linger_ms: 100,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let mut silent = connect(address);
    silent.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    let lasted = reactor.now().mono;
    assert!(lasted >= Millis(100), "{lasted:?}");
    let endless = spawn(move || {
        let mut stream = connect(address);
        let chunk = pattern(64 * 1024);
        let mut sent = 0;
        while stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        sent
    });
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 2);
    assert!(endless.join().expect("refused in the end") > 0);
    assert!(reactor.stats().bytes_read as usize <= 4 * LINGER_BYTES_MAX);
}

#[test]
fn an_abort_drops_what_is_queued() {
    let probe = Probe::acting(|_, conn, bytes, turn| {
        turn.out.push(conn, &Frame::from(&*bytes));
        turn.out.end(conn, Ending::Abort);
    });
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let mut stream = connect(address);
    stream.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(rest_of(stream), b"");
    assert_eq!(reactor.outbox().totals().bytes_dropped, 1);
}

#[test]
fn a_batch_beyond_the_limit_reaches_who_reads() {
    let probe = Probe::acting(|_, conn, _, turn| {
        for _ in 0..8 {
            turn.out.push(conn, &Frame::from(&[b'x'; 500][..]));
        }
        turn.out.end(conn, Ending::Drain);
    });
    let options = ReactorOptions {
        out_queue_bytes: 1_100,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let mut stream = connect(address);
    stream.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Asked);
    assert_eq!(rest_of(stream).len(), 4_000);
}

#[test]
fn who_leaves_a_batch_lying_is_a_slow_consumer() {
    // More than the kernel takes, less than the bound within a turn.
    let probe = Probe::acting(|_, conn, _, turn| {
        let piece = Frame::from(&*pattern(MIB));
        for _ in 0..24 {
            turn.out.push(conn, &piece);
        }
    });
    let options = ReactorOptions {
        out_queue_bytes: 4 * MIB,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let mut stream = connect(address);
    stream.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::SlowConsumer);
    assert!(rest_of(stream).len() < 24 * MIB);
}

#[test]
fn who_is_far_over_the_limit_is_told_and_closed() {
    let probe = Probe::acting(|_, conn, _, turn| {
        for _ in 0..20 {
            turn.out.push(conn, &Frame::from(&[b'x'; 500][..]));
        }
    });
    let options = ReactorOptions {
        out_queue_bytes: 1_100,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let farewell = reactor
        .outbox_mut()
        .register_farewell(Frame::from(&b"slow consumer"[..]));
    let mut stream = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 1);
    let conn = reactor.handler().opened[0].0;
    reactor.outbox_mut().set_farewell(conn, farewell);
    stream.write_all(b"x").expect("sent");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(
        reactor.handler().closed,
        [(conn, CloseReason::SlowConsumer)]
    );
    assert_eq!(rest_of(stream), b"slow consumer");
}

#[test]
fn a_slow_consumer_that_resets_is_a_slow_consumer_all_the_same() {
    let options = ReactorOptions {
        out_queue_bytes: 1024,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(Probe::echo(), options);
    let stream = connect(address);
    until(&mut reactor, |reactor| reactor.connections() == 1);
    let conn = reactor.handler().opened[0].0;
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(stream);
    reactor.with(|_, turn| {
        for _ in 0..3 {
            turn.out.push(conn, &Frame::from(&*pattern(5_000)));
        }
        assert_eq!(turn.out.ending(conn), Some(Ending::Slow));
    });
    until(&mut reactor, |reactor| reactor.connections() == 0);
    // Its queue was thrown away before anybody knew of the reset.
    assert_eq!(
        reactor.handler().closed,
        [(conn, CloseReason::SlowConsumer)]
    );
}

#[test]
fn who_makes_no_progress_is_closed_and_who_reads_slowly_is_not() {
    let probe = Probe::acting(|_, conn, _, turn| {
        turn.out.push(conn, &Frame::from(&*pattern(16 * MIB)));
        turn.out.end(conn, Ending::Drain);
    });
    let options = ReactorOptions {
        write_stall_ms: 400,
        ..ReactorOptions::default()
    };
    let (mut reactor, address) = listening(probe, options);
    let mut stuck = connect(address);
    let mut slow = connect(address);
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 2);
    stuck.write_all(b"x").expect("sent");
    slow.write_all(b"x").expect("sent");
    // One buffer per few turns: slower than the kernel would like, and never still.
    slow.set_nonblocking(true).expect("an option");
    let mut got = 0;
    let mut buffer = vec![0; 128 * 1024];
    until(&mut reactor, |reactor| {
        if let Ok(count) = slow.read(&mut buffer) {
            got += count;
        }
        reactor.handler().closed.len() == 2
    });
    let stuck_conn = reactor.handler().opened[0].0;
    let reasons = &reactor.handler().closed;
    assert!(
        reasons.contains(&(stuck_conn, CloseReason::SlowConsumer)),
        "{reasons:?}"
    );
    assert_eq!(
        reasons
            .iter()
            .filter(|(_, why)| *why == CloseReason::Asked)
            .count(),
        1
    );
    assert_eq!(reactor.stats().stalled, 1);
    slow.set_nonblocking(false).expect("an option");
    assert_eq!(got + rest_of(slow).len(), 16 * MIB);
}

#[test]
fn an_obituary_leaves_in_the_turn_of_the_burial() {
    let mut probe = Probe::echo();
    probe.obituary = Some(Frame::from(&b"gone"[..]));
    let (mut reactor, address) = listening(probe, ReactorOptions::default());
    let (one, mut other) = (connect(address), connect(address));
    until(&mut reactor, |reactor| reactor.handler().opened.len() == 2);
    drop(one);
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert!(!reactor.outbox().is_dirty());
    let mut got = [0; 4];
    other.read_exact(&mut got).expect("told");
    assert_eq!(&got, b"gone");
}
