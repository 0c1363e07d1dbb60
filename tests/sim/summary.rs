//! What happened in runs, so that a world in which nothing happens is noticed.

use super::oracle::{Counts, PushiCounts, Sockets};
use fanwire::handler::CloseReason;
use std::collections::BTreeSet;

/// What happened in a run, to see that everything does.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub hash: u64,
    pub trace: Vec<String>,
    pub opened: u64,
    pub closed: u64,
    pub requests: u64,
    pub admitted: u64,
    pub turned_away: u64,
    pub stopped: u64,
    pub sockets: u64,
    pub frames: u64,
    pub caught_up: u64,
    pub presence: u64,
    pub edits: u64,
    pub deletes: u64,
    pub states: u64,
    pub edited: u64,
    pub changes_caught_up: u64,
    pub heartbeats: u64,
    pub polls: u64,
    pub polls_empty: u64,
    pub polled: u64,
    pub polled_late: u64,
    pub polls_over: u64,
    pub streams: u64,
    pub streamed: u64,
    pub streamed_late: u64,
    pub beats: u64,
    pub pings: u64,
    pub pauses: u64,
    pub junk: u64,
    pub silent: u64,
    pub stalled: u64,
    pub slow: u64,
    pub timeouts: u64,
    pub drained: u64,
    pub emptied: u64,
    pub queued_max: usize,
    pub admins: Counts,
    pub pusher: Sockets,
    pub pushi: PushiCounts,
    pub statuses: BTreeSet<u16>,
}

impl Summary {
    /// FNV-1a over everything that leaves.
    pub fn hash(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A frame was heard.
    pub fn frame(&mut self, text: &str, catch_up: bool) {
        self.frames += 1;
        self.caught_up += u64::from(catch_up);
        let is = |kind: &str| u64::from(text.contains(&format!("\"type\":\"{kind}\"")));
        let changes = [
            is("message:edit"),
            is("message:delete"),
            is("user_state_change"),
        ];
        self.edits += changes[0];
        self.deletes += changes[1];
        self.states += changes[2];
        if catch_up {
            self.changes_caught_up += changes.iter().sum::<u64>();
            self.edited += is("message") * u64::from(!text.contains("\"edited\":null"));
        }
    }

    pub fn close(&mut self, why: CloseReason) {
        self.closed += 1;
        self.slow += u64::from(why == CloseReason::SlowConsumer);
    }

    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.requests += other.requests;
        self.admitted += other.admitted;
        self.turned_away += other.turned_away;
        self.stopped += other.stopped;
        self.sockets += other.sockets;
        self.frames += other.frames;
        self.caught_up += other.caught_up;
        self.presence += other.presence;
        self.edits += other.edits;
        self.deletes += other.deletes;
        self.states += other.states;
        self.edited += other.edited;
        self.changes_caught_up += other.changes_caught_up;
        self.heartbeats += other.heartbeats;
        self.polls += other.polls;
        self.polls_empty += other.polls_empty;
        self.polled += other.polled;
        self.polled_late += other.polled_late;
        self.polls_over += other.polls_over;
        self.streams += other.streams;
        self.streamed += other.streamed;
        self.streamed_late += other.streamed_late;
        self.beats += other.beats;
        self.pings += other.pings;
        self.pauses += other.pauses;
        self.junk += other.junk;
        self.silent += other.silent;
        self.stalled += other.stalled;
        self.slow += other.slow;
        self.timeouts += other.timeouts;
        self.drained += other.drained;
        self.emptied += other.emptied;
        self.queued_max = self.queued_max.max(other.queued_max);
        self.admins.add(&other.admins);
        self.pusher.add(other.pusher);
        self.pushi.add(other.pushi);
        self.statuses.extend(&other.statuses);
    }

    /// A world in which something never happens proves nothing about it.
    pub fn check_that_everything_happened(&self) {
        for (what, count) in [
            ("bodies behind their head", self.admitted),
            ("requests turned away", self.turned_away),
            ("requests cut short by a stop", self.stopped),
            ("frames", self.frames),
            ("catch-up", self.caught_up),
            ("presence", self.presence),
            ("edits", self.edits),
            ("deletions", self.deletes),
            ("changes of state", self.states),
            ("edited messages in catch-up", self.edited),
            ("changes in catch-up", self.changes_caught_up),
            ("heartbeats", self.heartbeats),
            ("polls with news", self.polls),
            ("polls without", self.polls_empty),
            ("news of polls", self.polled),
            ("old news of polls", self.polled_late),
            ("polls that hung up", self.polls_over),
            ("streams", self.streams),
            ("events on streams", self.streamed),
            ("old events on streams", self.streamed_late),
            ("heartbeats of streams", self.beats),
            ("pings", self.pings),
            ("pauses", self.pauses),
            ("junk", self.junk),
            ("silent sockets", self.silent),
            ("stalled peers", self.stalled),
            ("slow consumers", self.slow),
            ("time-outs", self.timeouts),
            ("drains", self.drained),
            ("empty ends", self.emptied),
            ("admins that signed in", self.admins.sign_ins),
            ("wrong passwords", self.admins.wrong),
            ("addresses that must wait", self.admins.locked),
            ("admins that signed out", self.admins.sign_outs),
            ("cookies that were signed out", self.admins.over),
            ("cookies that expired", self.admins.expired),
            ("reports", self.admins.reports),
            ("reports over several turns", self.admins.slow_reports),
            ("requests of admins amid jobs", self.admins.amid_jobs),
            ("peers thrown out", self.admins.thrown_out),
            ("requests of other sites' pages", self.admins.foreign),
        ] {
            assert!(count > 0, "no {what} in all these runs");
        }
        for (what, count) in self.pusher.clone().all() {
            assert!(*count > 0, "no {what} in all these runs");
        }
        for (what, count) in self.pushi.clone().all() {
            assert!(*count > 0, "no {what} in all these runs");
        }
        for status in [200, 302, 400, 401, 403, 404, 413, 414, 422, 429, 431, 505] {
            assert!(
                self.statuses.contains(&status),
                "no {status} in all these runs"
            );
        }
    }
}
