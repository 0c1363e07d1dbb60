//! The way between a client and the server: what it does to bytes.
//!
//! On the way to the server any split or merge, and delay; on the way back partial writes and a
//! peer that stops reading; in both a half-close and a reset.

use super::chance::Chance;
use std::collections::VecDeque;

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Everything at once.
    All,
    /// Some of it now, some later.
    Some,
    /// Until its buffer of so many bytes is full, then nothing more.
    Stopped(usize),
}

/// One connection's link.
#[derive(Debug)]
pub struct Link {
    /// Bytes on the way to the server, with the time at which they get there.
    to_server: VecDeque<(u64, Vec<u8>)>,
    /// Nothing gets there before this, so that order is kept.
    not_before_ms: u64,
    /// How the client reads.
    pub reading: Reading,
    /// The client has sent its last byte.
    pub is_finished: bool,
    /// The client has gone without a word.
    pub is_reset: bool,
}

impl Link {
    pub fn new() -> Self {
        Self {
            to_server: VecDeque::new(),
            not_before_ms: 0,
            reading: Reading::All,
            is_finished: false,
            is_reset: false,
        }
    }

    /// The client sends.
    pub fn send(&mut self, bytes: Vec<u8>, at_ms: u64) {
        self.not_before_ms = self.not_before_ms.max(at_ms);
        self.to_server.push_back((self.not_before_ms, bytes));
    }

    /// What is still on the way is lost but for some of its first bytes, and nothing follows.
    pub fn cut(&mut self, chance: &mut Chance) {
        if let Some((_, piece)) = self.to_server.front_mut() {
            piece.truncate(1 + chance.below(piece.len()));
            self.to_server.truncate(1);
        }
    }

    /// Whether a read would give something: bytes, or the end of them.
    pub fn is_readable(&self, now_ms: u64) -> bool {
        match self.to_server.front() {
            Some((at, _)) => self.is_reset || *at <= now_ms,
            None => self.is_finished || self.is_reset,
        }
    }

    /// What one read gives: pieces that have come, merged and cut as chance has it. Empty for the
    /// end.
    pub fn read(&mut self, now_ms: u64, room: usize, chance: &mut Chance) -> Vec<u8> {
        let most = match chance.below(6) {
            0 => 1 + chance.below(4),
            1 | 2 => 1 + chance.below(200),
            3..=5 => room,
            _ => unreachable!("below six"),
        };
        let mut bytes = Vec::new();
        while let Some((at, piece)) = self.to_server.front_mut() {
            if *at > now_ms || bytes.len() == most {
                break;
            }
            let count = piece.len().min(most - bytes.len());
            bytes.extend(piece.drain(..count));
            if piece.is_empty() {
                self.to_server.pop_front();
            }
        }
        bytes
    }

    /// How many of `waiting` bytes the client's side takes now.
    pub fn takes(&mut self, waiting: usize, chance: &mut Chance) -> usize {
        match &mut self.reading {
            Reading::All => waiting,
            Reading::Some => chance.below(waiting + 1),
            Reading::Stopped(room) => {
                let count = waiting.min(*room);
                *room -= count;
                count
            }
        }
    }
}
