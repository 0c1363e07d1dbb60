//! Answers that are given after a while, as those to a wrong password are: what comes behind such
//! a request waits, without anybody looking at it again and again, and a stop hurries nothing.

use crate::http::{self, Answer};
use crate::memory::Memory;
use crate::session::{Cut, Link, Received, Sut};
use fanwire::dialect::Dialect;
use fanwire::dialect::channelstream::{Channelstream, Config};
use fanwire::engine::{Engine, EngineConfig};
use fanwire::limits::{DRAIN_MS, SIGN_IN_DELAY_MS, WHEEL_SLOT_MS};
use fanwire::random::Random;

fn world() -> Memory<Engine> {
    let config = Config {
        admin_secret: "let me in".to_owned(),
        ..Config::default()
    };
    let dialect: Box<dyn Dialect> = Box::new(Channelstream::new(config));
    let engine = Engine::new(EngineConfig::default(), vec![dialect], Random::seeded(1));
    Memory::new(engine, "secret", Cut::Whole)
}

fn sign_in(password: &str) -> Vec<u8> {
    let body = format!("username=admin&password={password}");
    let body = Some(body.as_bytes());
    http::request("POST", "/admin/sign_in", "push.example", &[], body)
}

fn live() -> Vec<u8> {
    http::request("GET", "/health/live", "push.example", &[], None)
}

/// So many answers, each with the time at which it came.
#[track_caller]
fn answers(memory: &mut Memory<Engine>, link: Link, count: usize) -> Vec<(u64, Answer)> {
    let (mut bytes, mut all) = (Vec::new(), Vec::new());
    let until = memory.now_ms() + 5_000;
    while all.len() < count {
        match memory.receive(link, until) {
            Received::Bytes { at_ms, bytes: more } => {
                bytes.extend(more);
                while let Some((answer, length)) =
                    http::answer(&bytes, false, false).expect("in order")
                {
                    bytes.drain(..length);
                    all.push((at_ms, answer));
                }
            }
            Received::Ended { .. } | Received::Nothing => panic!("only {} answers", all.len()),
        }
    }
    all
}

fn is_in_time(since_ms: u64, at_ms: u64) -> bool {
    let took_ms = at_ms - since_ms;
    (SIGN_IN_DELAY_MS..=SIGN_IN_DELAY_MS + WHEEL_SLOT_MS).contains(&took_ms)
}

/// The driver in memory panics when a turn does not come to rest.
#[test]
fn what_comes_behind_a_held_answer_waits_in_peace() {
    let mut memory = world();
    let link = memory.dial();
    let since = memory.now_ms();
    // With it, and later; whole, and in pieces.
    memory.send(link, &[sign_in("wrong"), live()].concat());
    memory.wait_ms(100);
    let other = live();
    let (front, back) = other.split_at(20);
    for piece in [front, back] {
        memory.send(link, piece);
        memory.wait_ms(50);
    }
    let all = answers(&mut memory, link, 3);
    let statuses: Vec<u16> = all.iter().map(|(_, answer)| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200]);
    assert!(http::lossy(&all[0].1.body).contains("<!doctype html>"));
    assert!(all.iter().all(|(at_ms, _)| is_in_time(since, *at_ms)));
}

#[test]
fn a_peer_that_ends_meanwhile_gets_its_answers() {
    let mut memory = world();
    let link = memory.dial();
    let since = memory.now_ms();
    memory.send(link, &[sign_in("wrong"), live()].concat());
    memory.half_close(link);
    for (at_ms, answer) in answers(&mut memory, link, 2) {
        assert!(answer.status == 200 && is_in_time(since, at_ms));
    }
}

#[test]
fn a_stop_neither_hurries_nor_delays_a_held_answer() {
    let mut memory = world();
    let link = memory.dial();
    let since = memory.now_ms();
    memory.send(link, &sign_in("wrong"));
    memory.wait_ms(100);
    memory.with(|engine, turn| engine.drain(DRAIN_MS, turn));
    let all = answers(&mut memory, link, 1);
    assert!(is_in_time(since, all[0].0), "after {} ms", all[0].0 - since);
    assert_eq!(all[0].1.header("connection"), Some("close"));
}
