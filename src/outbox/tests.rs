//! The rules of the out-queues.

use super::*;
use crate::table::Table;

fn frame(bytes: &[u8]) -> Frame {
    Frame::from(bytes)
}

fn waiting(out: &Outbox, conn: ConnId) -> Vec<u8> {
    let (pieces, sent) = out.pieces(conn);
    let all: Vec<u8> = pieces.flat_map(|piece| piece.iter().copied()).collect();
    all[sent..].to_vec()
}

#[test]
fn an_idle_queue_is_narrow() {
    assert!(size_of::<Option<(std::num::NonZeroU32, OutQueue)>>() <= 48);
}

#[test]
fn what_is_pushed_comes_out_in_order_however_it_is_taken() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    for step in 1..12 {
        let mut out = Outbox::new(1000);
        out.open(conn);
        for piece in [&b"one"[..], b"", b"two", b"three"] {
            out.push(conn, &frame(piece));
        }
        assert_eq!(out.take_dirty(), [conn], "dirty once");
        assert_eq!(out.queued(conn), 11);
        let mut got = Vec::new();
        while out.queued(conn) > 0 {
            let bytes = waiting(&out, conn);
            let take = step.min(bytes.len());
            got.extend_from_slice(&bytes[..take]);
            out.advance(conn, take);
        }
        assert_eq!(got, b"onetwothree");
        assert_eq!((out.queued_bytes(), out.totals().bytes_sent), (0, 11));
    }
}

#[test]
fn the_limit_holds_at_below_and_above() {
    let mut conns: Table<Conn, ()> = Table::new();
    for (second, slow) in [(9, false), (10, false), (11, true)] {
        let conn = conns.insert(());
        let mut out = Outbox::new(20 + 2 * PIECE_OVERHEAD_BYTES);
        let bye = out.register_farewell(frame(b"bye"));
        out.open(conn);
        out.set_farewell(conn, bye);
        out.push(conn, &frame(&[b'a'; 10]));
        out.push(conn, &frame(&vec![b'b'; second]));
        assert_eq!(out.ending(conn), Some(Ending::Open), "the turn is not over");
        assert_eq!(out.judge(conn, 0), slow, "{second}");
        assert_eq!(out.ending(conn) == Some(Ending::Slow), slow, "{second}");
        assert!(!out.judge(conn, 0), "once is enough");
        if slow {
            assert_eq!(waiting(&out, conn), b"bye");
            out.push(conn, &frame(b"late"));
            assert_eq!(waiting(&out, conn), b"bye");
        }
    }
}

#[test]
fn a_batch_beyond_the_limit_is_judged_by_what_the_socket_leaves() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(1000);
    out.open(conn);
    for _ in 0..30 {
        out.push(conn, &frame(&[0; 100]));
    }
    assert_eq!(
        (out.queued(conn), out.ending(conn)),
        (3000, Some(Ending::Open))
    );
    // Eight pieces stay: 750 bytes and 8 places.
    out.advance(conn, 2250);
    assert!(!out.judge(conn, 0));
    assert_eq!(out.queued(conn), 750);
}

#[test]
fn behind_is_who_did_not_take_what_was_written() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(1000);
    out.open(conn);
    out.push(conn, &frame(b"fresh"));
    assert!(!out.is_behind(conn), "nobody has tried to write it yet");
    out.advance(conn, 2);
    assert!(!out.judge(conn, 0));
    assert!(out.is_behind(conn));
    out.push(conn, &frame(b"more"));
    out.advance(conn, 3);
    assert!(out.is_behind(conn), "not all has left");
    out.advance(conn, 4);
    assert!(!out.is_behind(conn));
    assert!(!out.judge(conn, 0) && !out.is_behind(conn), "nothing waits");
}

#[test]
fn what_left_the_queue_but_not_the_process_counts_unless_it_is_kept_anyway() {
    let mut conns: Table<Conn, ()> = Table::new();
    let over = |held: usize, out: &mut Outbox, conn: ConnId| {
        let charged = out.queued(conn) + 2 * PIECE_OVERHEAD_BYTES;
        assert_eq!((out.queued(conn), charged), (600, 632));
        out.judge(conn, held)
    };
    for (held, slow) in [(0, false), (368, false), (369, true)] {
        let conn = conns.insert(());
        let mut out = Outbox::new(1000);
        out.open(conn);
        for _ in 0..3 {
            out.push(conn, &frame(&[0; 300]));
        }
        assert_eq!(out.advance(conn, 300), 300);
        assert_eq!(over(held, &mut out, conn), slow, "{held} held");
    }
    let conn = conns.insert(());
    let mut out = Outbox::new(1000);
    out.open(conn);
    out.push_kept(conn, &frame(&[0; 5000]));
    out.push(conn, &frame(&[0; 300]));
    assert_eq!(out.advance(conn, 5000), 300, "what is charged leaves first");
    assert_eq!(out.advance(conn, 1000), 0);
    assert_eq!(out.queued(conn), 0);
}

#[test]
fn within_a_turn_the_queue_is_bounded_too() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(1000);
    out.open(conn);
    let fit = 1000 * OUT_QUEUE_TURN_FACTOR / (84 + TURN_PLACE_BYTES);
    for _ in 0..fit {
        out.push(conn, &frame(&[0; 84]));
    }
    assert_eq!(out.ending(conn), Some(Ending::Open));
    out.push(conn, &frame(&[0; 84]));
    assert_eq!(out.ending(conn), Some(Ending::Slow));
    assert_eq!(out.queued_bytes(), 0);
}

#[test]
fn catch_up_that_is_not_read_is_dropped_with_the_rest() {
    let mut conns: Table<Conn, ()> = Table::new();
    for half_written in [false, true] {
        let conn = conns.insert(());
        let mut out = Outbox::new(100);
        let bye = out.register_farewell(frame(b"bye"));
        out.open(conn);
        out.set_farewell(conn, bye);
        out.push_kept(conn, &frame(&[b'k'; 500]));
        out.push_kept(conn, &frame(&[b'k'; 500]));
        if half_written {
            out.advance(conn, 100);
        }
        out.push(conn, &frame(&[b'l'; 80]));
        assert!(out.judge(conn, 0));
        let rest = if half_written { 400 } else { 0 };
        assert_eq!(out.queued(conn), rest + 3);
        assert_eq!(out.queued_bytes(), rest + 3);
    }
}

#[test]
fn one_message_larger_than_the_limit_goes_to_an_empty_queue() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(10);
    out.open(conn);
    out.push(conn, &frame(&[0; 100]));
    assert_eq!(
        (out.queued(conn), out.ending(conn)),
        (100, Some(Ending::Open))
    );
    out.push(conn, &frame(&[0; 1]));
    assert_eq!(out.ending(conn), Some(Ending::Slow));
}

#[test]
fn a_half_written_frame_is_finished_and_the_rest_thrown_away() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(64);
    let bye = out.register_farewell(frame(b"bye"));
    out.open(conn);
    out.set_farewell(conn, bye);
    out.push(conn, &frame(b"first"));
    out.push(conn, &frame(b"second"));
    out.advance(conn, 2);
    out.stalled(conn);
    assert_eq!(waiting(&out, conn), b"rstbye");
    out.advance(conn, 6);
    out.remove(conn);
    let totals = out.totals();
    assert_eq!(
        totals.bytes_pushed,
        totals.bytes_sent + totals.bytes_dropped
    );
    assert_eq!(
        (
            totals.slow_consumers,
            totals.frames_dropped,
            out.queued_bytes()
        ),
        (1, 1, 0)
    );
}

#[test]
fn a_peer_that_stalls_in_its_catch_up_gets_its_farewell() {
    let mut conns: Table<Conn, ()> = Table::new();
    for sent in [0, 2] {
        let conn = conns.insert(());
        let mut out = Outbox::new(64);
        let bye = out.register_farewell(frame(b"bye"));
        out.open(conn);
        out.set_farewell(conn, bye);
        out.push_kept(conn, &frame(&[b'k'; 100]));
        out.push_kept(conn, &frame(&[b'k'; 100]));
        out.advance(conn, sent);
        out.stalled(conn);
        let left = if sent > 0 { 100 - sent } else { 0 };
        assert_eq!(out.queued(conn), left + 3);
        assert!(waiting(&out, conn).ends_with(b"bye"));
        out.remove(conn);
        let totals = out.totals();
        assert_eq!(
            totals.bytes_pushed,
            totals.bytes_sent + totals.bytes_dropped
        );
    }
}

#[test]
fn a_gone_peer_is_skipped_and_a_harsher_ending_stays() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::default();
    out.push(conn, &frame(b"x"));
    assert!(!out.is_dirty());
    out.open(conn);
    out.end(conn, Ending::Abort);
    out.end(conn, Ending::Drain);
    assert_eq!(out.ending(conn), Some(Ending::Abort));
    out.remove(conn);
    assert_eq!((out.len(), out.ending(conn)), (0, None));
}

#[test]
fn reading_that_was_stopped_outlasts_an_empty_queue_and_writing_goes_on() {
    let mut conns: Table<Conn, ()> = Table::new();
    let conn = conns.insert(());
    let mut out = Outbox::new(1000);
    out.open(conn);
    out.stop_reading(conn);
    out.push(conn, &frame(b"news"));
    assert_eq!(out.take_dirty(), [conn], "it is written to");
    assert_eq!(waiting(&out, conn), b"news");
    out.advance(conn, 4);
    let state = out.visit(conn).expect("it is there");
    assert!(state.paused && state.held, "and is not to be read from");
    assert!(!out.has_held(), "what is pushed is not put aside");
    out.let_go(conn);
    let state = out.visit(conn).expect("it is there");
    assert!(state.paused && !state.held, "a pause like any other now");
}
