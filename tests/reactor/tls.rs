//! TLS links: what rides behind the handshake, records in every cut, stalls, garbage, reload.

use crate::harness::{Probe, alongside, anywhere, ask, connect, pattern, rest_of, until};
use fanwire::frame::Frame;
use fanwire::handler::CloseReason;
use fanwire::limits::{MIB, PIECE_OVERHEAD_BYTES};
use fanwire::outbox::Ending;
use fanwire::reactor::{CertId, Listen, Reactor, ReactorOptions, tls_config};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::spawn;
use std::time::Duration;

/// A fresh self-signed certificate: what the server needs, and a client that trusts only it.
fn certificate() -> (Arc<rustls::ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let server = tls_config(
        made.cert.pem().as_bytes(),
        made.signing_key.serialize_pem().as_bytes(),
    );
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (server.expect("they belong together"), Arc::new(client))
}

fn session(trust: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::clone(trust), name).expect("a session")
}

fn connect_tls(
    address: SocketAddr,
    trust: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    StreamOwned::new(session(trust), connect(address))
}

fn listening_tls(
    probe: Probe,
    options: ReactorOptions,
) -> (Reactor<Probe>, SocketAddr, Arc<ClientConfig>) {
    let mut reactor = Reactor::new(probe, options).expect("a reactor");
    let refused = reactor
        .listen(&Listen::Tls(anywhere(), CertId::default()))
        .expect_err("no certificate");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    let (server, trust) = certificate();
    reactor.set_tls(CertId::default(), server);
    let bound = reactor
        .listen(&Listen::Tls(anywhere(), CertId::default()))
        .expect("bound");
    (reactor, bound.address().expect("TCP"), trust)
}

#[test]
fn echo_beside_a_plain_listener_with_the_one_protocol() {
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    let plain = reactor.listen(&Listen::Tcp(anywhere())).expect("bound");
    let plain = plain.address().expect("TCP");
    let protocol = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        assert_eq!(ask(&mut stream, b"sealed"), b"sealed");
        assert_eq!(ask(&mut connect(plain), b"open"), b"open");
        stream.conn.send_close_notify();
        stream.flush().expect("sent");
        assert_eq!(stream.read(&mut [0]).expect("close_notify"), 0);
        stream.conn.alpn_protocol().map(<[u8]>::to_vec)
    });
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    until(&mut reactor, |reactor| reactor.connections() == 0);
    let mut tls: Vec<bool> = reactor
        .handler()
        .opened
        .iter()
        .map(|(_, from)| from.tls)
        .collect();
    tls.sort_unstable();
    assert_eq!(tls, [false, true]);
    assert!(
        reactor
            .handler()
            .opened
            .iter()
            .all(|(_, from)| from.peer.is_some())
    );
    assert_eq!(reactor.stats().tls_handshakes, 1);
}

/// Client bytes held back and sent as `cut` says; returns what the server answered.
fn ask_in_cuts(address: SocketAddr, trust: &Arc<ClientConfig>, step: usize) -> Vec<u8> {
    let mut stream = connect(address);
    let mut session = session(trust);
    let mut answer = Vec::new();
    // Sealed as soon as it can be, hence in one flight with the end of the handshake.
    session
        .writer()
        .write_all(b"behind the handshake")
        .expect("buffered");
    while answer.len() < 20 {
        let mut flight = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut flight).expect("buffered");
        }
        for part in flight.chunks(step) {
            stream.write_all(part).expect("sent");
        }
        session.read_tls(&mut stream).expect("read");
        session.process_new_packets().expect("valid");
        let _ = session.reader().read_to_end(&mut answer);
    }
    answer
}

#[test]
fn data_in_the_same_segment_as_the_end_of_the_handshake_is_delivered() {
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    let answer = alongside(&mut reactor, move || {
        ask_in_cuts(address, &trust, usize::MAX)
    });
    assert_eq!(answer, b"behind the handshake");
    let conn = reactor.handler().opened[0].0;
    assert_eq!(reactor.handler().bytes_from(conn), 20);
}

#[test]
fn records_may_be_cut_anywhere() {
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    for step in [1, 2, 7, 100] {
        let trust = Arc::clone(&trust);
        let answer = alongside(&mut reactor, move || ask_in_cuts(address, &trust, step));
        assert_eq!(answer, b"behind the handshake", "steps of {step}");
    }
    assert_eq!(reactor.stats().tls_handshakes, 4);
    assert_eq!(reactor.stats().tls_failures, 0);
}

#[test]
fn who_stalls_in_the_handshake_is_dropped_while_others_are_served() {
    let options = ReactorOptions {
        tls_handshake_ms: 300,
        ..ReactorOptions::default()
    };
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), options);
    let stalled = spawn({
        let trust = Arc::clone(&trust);
        move || {
            let mut hello = Vec::new();
            session(&trust).write_tls(&mut hello).expect("buffered");
            let mut half = connect(address);
            half.write_all(&hello[..hello.len() / 2]).expect("sent");
            let mut silent = connect(address);
            let mut bytes = Vec::new();
            // Both are ended by the server, one way or the other.
            let _ = half.read_to_end(&mut bytes);
            let _ = silent.read_to_end(&mut bytes);
            bytes.len()
        }
    });
    let sent_to_them = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        while !stalled.is_finished() {
            assert_eq!(ask(&mut stream, b"here"), b"here");
        }
        stalled.join().expect("dropped")
    });
    assert_eq!(sent_to_them, 0);
    assert_eq!(reactor.stats().tls_failures, 2);
    assert_eq!(
        reactor.handler().opened.len(),
        1,
        "half-open ones are not opened"
    );
    until(&mut reactor, |reactor| reactor.connections() == 0);
    assert_eq!(reactor.handler().closed.len(), 1);
}

#[test]
fn garbage_is_answered_with_an_alert_and_the_end() {
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0; 400],
        vec![0xff; 70_000],
        [&[22, 3, 1, 0x40, 0][..], &pattern(0x4000)].concat(),
    ] {
        let before = reactor.stats().tls_failures;
        let client = spawn(move || {
            let mut stream = connect(address);
            let mut bytes = Vec::new();
            // The server may have closed while this was still being sent.
            let _ = stream.write_all(&garbage);
            let _ = stream.read_to_end(&mut bytes);
            bytes
        });
        until(&mut reactor, |_| client.is_finished());
        let answer = client.join().expect("ended");
        assert!(
            answer.is_empty() || answer[0] == 21,
            "an alert or a reset: {answer:?}"
        );
        assert_eq!(reactor.stats().tls_failures, before + 1);
    }
    assert!(reactor.handler().opened.is_empty() && reactor.handler().closed.is_empty());
    // And in the middle of a good conversation.
    alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        assert_eq!(ask(&mut stream, b"fine"), b"fine");
        stream.sock.write_all(&[23, 3, 3, 0, 32]).expect("sent");
        stream.sock.write_all(&[7; 32]).expect("sent");
        assert!(stream.read(&mut [0]).is_err(), "a fatal alert");
    });
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Tls);
}

#[test]
fn addresses_show_the_certificates_they_name() {
    let (mut reactor, one, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    let other = Listen::Tls(anywhere(), CertId(7));
    let refused = reactor.listen(&other).expect_err("no such certificate");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    let (server, other_trust) = certificate();
    reactor.set_tls(CertId(7), server);
    let bound = reactor.listen(&other).expect("bound");
    let other = bound.address().expect("TCP");
    let (server, new_trust) = certificate();
    alongside(&mut reactor, move || {
        for (address, right, wrong) in [(one, &trust, &other_trust), (other, &other_trust, &trust)]
        {
            assert_eq!(ask(&mut connect_tls(address, right), b"mine"), b"mine");
            assert!(connect_tls(address, wrong).write_all(b"x").is_err());
        }
    });
    // A new one for one address is none for the other.
    reactor.set_tls(CertId(7), server);
    alongside(&mut reactor, move || {
        assert_eq!(ask(&mut connect_tls(other, &new_trust), b"new"), b"new");
        assert!(connect_tls(one, &new_trust).write_all(b"x").is_err());
    });
}

#[test]
fn a_new_certificate_is_for_new_connections_and_old_ones_go_on() {
    let (mut reactor, address, old_trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    let mut old = connect_tls(address, &old_trust);
    let mut old = alongside(&mut reactor, move || {
        assert_eq!(ask(&mut old, b"before"), b"before");
        old
    });
    let (server, new_trust) = certificate();
    reactor.set_tls(CertId::default(), server);
    alongside(&mut reactor, move || {
        assert_eq!(ask(&mut old, b"after"), b"after");
        assert_eq!(ask(&mut connect_tls(address, &new_trust), b"new"), b"new");
        // Without a ticket from before, who trusts only the old one is shown the new one.
        let mut forgetful = ClientConfig::clone(&old_trust);
        forgetful.resumption = rustls::client::Resumption::disabled();
        let mut distrusting = connect_tls(address, &Arc::new(forgetful));
        assert!(distrusting.write_all(b"x").is_err());
        assert_eq!(ask(&mut old, b"still"), b"still");
    });
    assert_eq!(reactor.stats().tls_handshakes, 2);
}

/// Lengths of the application records in `bytes`, by their five-byte headers.
fn application_records(bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 5 {
        let length = usize::from(rest[3]) << 8 | usize::from(rest[4]);
        assert!(rest.len() >= 5 + length, "a record is cut");
        if rest[0] == 23 {
            lengths.push(length);
        }
        rest = &rest[5 + length..];
    }
    assert!(rest.is_empty());
    lengths
}

#[test]
fn a_turns_frames_become_one_record_and_one_write() {
    let probe = Probe::acting(|probe, conn, _, turn| {
        if probe.received.len() > 1 {
            for text in [&b"alpha "[..], b"beta ", b"gamma"] {
                turn.out.push(conn, &Frame::from(text));
            }
        } else {
            turn.out.push(conn, &Frame::from(&b"ready"[..]));
        }
    });
    let (mut reactor, address, trust) = listening_tls(probe, ReactorOptions::default());
    let mut stream = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        stream.write_all(b"?").expect("sent");
        let mut ready = [0; 5];
        stream.read_exact(&mut ready).expect("answered");
        assert_eq!(&ready, b"ready");
        stream
    });
    let before = reactor.stats().writes;
    stream.write_all(b"go").expect("sent");
    until(&mut reactor, |reactor| reactor.stats().writes > before);
    assert_eq!(reactor.stats().writes - before, 1);
    let mut wire = vec![0; 4096];
    let count = stream.sock.read(&mut wire).expect("a record");
    // 16 bytes of text, one of type, 16 of authentication (RFC 8446 section 5.2).
    assert_eq!(application_records(&wire[..count]), [16 + 1 + 16]);
    let mut cipher = &wire[..count];
    stream.conn.read_tls(&mut cipher).expect("fed");
    stream.conn.process_new_packets().expect("valid");
    let mut text = [0; 16];
    stream.read_exact(&mut text).expect("whole");
    assert_eq!(&text, b"alpha beta gamma");
}

#[test]
fn much_data_both_ways_in_order_and_a_close_notify_at_the_end() {
    let probe = Probe::acting(|probe, conn, _, turn| {
        if probe.bytes_from(conn) == 3 * MIB {
            for size in [1, 20_000, 2 * MIB, 5, 5, 5, 16_384, 16_385, 300] {
                turn.out.push(conn, &Frame::from(&*pattern(size)));
            }
            turn.out.end(conn, Ending::Drain);
        }
    });
    let options = ReactorOptions {
        out_queue_bytes: 64 * MIB,
        ..ReactorOptions::default()
    };
    let (mut reactor, address, trust) = listening_tls(probe, options);
    let got = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        stream.write_all(&pattern(3 * MIB)).expect("sent");
        let mut bytes = Vec::new();
        // An end without close_notify would be an error here.
        stream.read_to_end(&mut bytes).expect("an end in order");
        bytes
    });
    let expected: Vec<u8> = [1, 20_000, 2 * MIB, 5, 5, 5, 16_384, 16_385, 300]
        .into_iter()
        .flat_map(pattern)
        .collect();
    assert!(got == expected);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Asked);
}

#[test]
fn over_tls_one_too_many_is_closed_without_a_word() {
    let probe = Probe {
        refusal: Some(Frame::from(&b"one is enough"[..])),
        ..Probe::echo()
    };
    let options = ReactorOptions {
        connections_per_address: 1,
        ..ReactorOptions::default()
    };
    let (mut reactor, address, trust) = listening_tls(probe, options);
    let kept = connect_tls(address, &trust);
    until(&mut reactor, |reactor| reactor.connections() == 1);
    let refused = connect(address);
    until(&mut reactor, |reactor| {
        reactor.stats().refused_per_address == 1
    });
    assert_eq!(rest_of(refused), b"");
    assert!(reactor.handler().refused.is_empty(), "it was not asked for");
    assert_eq!(reactor.connections(), 1);
    let got = alongside(&mut reactor, move || {
        let mut kept = kept;
        ask(&mut kept, b"still here")
    });
    assert_eq!(got, b"still here");
}

#[test]
fn what_is_sealed_and_not_taken_counts_as_queued() {
    // Each letter queues what fills one record.
    const FRAMES: usize = 16;
    let full = FRAMES * (1024 + PIECE_OVERHEAD_BYTES);
    let options = ReactorOptions {
        out_queue_bytes: 2 * full + full / 2,
        ..ReactorOptions::default()
    };
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), options);
    let stream = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        assert_eq!(ask(&mut stream, b"?"), b"?");
        stream
    });
    let conn = reactor.handler().opened[0].0;
    let mut queued_max = 0;
    let mut rounds = 0;
    while reactor.handler().closed.is_empty() {
        rounds += 1;
        assert!(rounds < 10_000, "the kernel takes only so much");
        reactor.with(|_, turn| {
            for _ in 0..FRAMES {
                turn.out.push(conn, &Frame::from(&*pattern(1024)));
            }
        });
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
        queued_max = queued_max.max(reactor.outbox().queued(conn));
    }
    assert_eq!(
        reactor.handler().closed,
        [(conn, CloseReason::SlowConsumer)]
    );
    // The queue alone would have had room for two letters; the sealed record takes one's place.
    assert_eq!(queued_max, FRAMES * 1024);
    drop(stream);
}

#[test]
fn a_tls_peer_that_does_not_read_is_a_slow_consumer() {
    let probe = Probe::acting(|_, conn, _, turn| {
        turn.out.push(conn, &Frame::from(&*pattern(16 * MIB)));
    });
    let options = ReactorOptions {
        write_stall_ms: 300,
        ..ReactorOptions::default()
    };
    let (mut reactor, address, trust) = listening_tls(probe, options);
    let stream = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        stream.write_all(b"?").expect("sent");
        stream
    });
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::SlowConsumer);
    drop(stream);
}

#[test]
fn a_crowd_of_handshakes_is_spread_over_turns() {
    let (mut reactor, address, trust) = listening_tls(Probe::echo(), ReactorOptions::default());
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let trust = Arc::clone(&trust);
            spawn(move || ask(&mut connect_tls(address, &trust), b"crowd") == b"crowd")
        })
        .collect();
    let mut most = 0;
    let mut before = 0;
    until(&mut reactor, |reactor| {
        let done = reactor.stats().tls_handshakes;
        most = most.max(done - before);
        before = done;
        clients.iter().all(std::thread::JoinHandle::is_finished)
    });
    assert!(
        clients
            .into_iter()
            .all(|client| client.join().expect("answered"))
    );
    assert!(
        most as usize <= fanwire::limits::TLS_HANDSHAKES_PER_TURN,
        "{most} in a turn"
    );
    assert_eq!(reactor.stats().tls_handshakes, 40);
}

#[test]
fn a_tls_answer_lingers_like_any_other() {
    let probe = Probe::acting(|_, conn, _, turn| {
        turn.out.push(conn, &Frame::from(&b"no"[..]));
        turn.out.end(conn, Ending::Linger);
    });
    let (mut reactor, address, trust) = listening_tls(probe, ReactorOptions::default());
    let got = alongside(&mut reactor, move || {
        let mut stream = connect_tls(address, &trust);
        stream.write_all(&pattern(100_000)).expect("sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an end in order");
        bytes
    });
    assert_eq!(got, b"no");
    until(&mut reactor, |reactor| reactor.handler().closed.len() == 1);
    assert_eq!(reactor.handler().closed[0].1, CloseReason::Asked);
}
