//! What was said to the server in one of its lives, and what of it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

/// An event, or a message, that somebody sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Counts up for each publisher and round.
    pub(crate) number: u64,
    pub(crate) channels: Vec<String>,
    /// Whether it was said to be kept, in whatever way.
    pub(crate) is_acked: bool,
}

/// Whether something is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held<T> {
    Yes(T),
    No,
    /// The server went before it said so.
    Unknown,
}

/// An app that was made: its ident, key and secret.
pub(crate) type Credentials = [String; 3];

/// All of one round.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) round: u64,
    /// By publisher, in the order of sending.
    pub(crate) sent: BTreeMap<usize, Vec<Sent>>,
    /// The ids of events in the room, in the order in which a listener heard them.
    pub(crate) heard: Vec<String>,
    /// The ids of events that were shown to somebody who asked for the latest.
    pub(crate) shown: BTreeSet<String>,
    /// The ids of subscriptions, by their users.
    pub(crate) subscriptions: BTreeMap<String, Held<u64>>,
    /// Sessions, and whether they are to be good.
    pub(crate) sessions: Vec<(String, Held<()>)>,
    pub(crate) apps: Vec<Credentials>,
    /// Messages of the other protocol.
    pub(crate) messages: Vec<Sent>,
    /// The last number that a user's state was set to, and the last one that is known to be kept.
    pub(crate) state: (u64, u64),
}

impl Ledger {
    pub(crate) fn of(round: u64) -> Self {
        Self {
            round,
            ..Self::default()
        }
    }

    /// Where nearly everything is said.
    pub(crate) fn room(&self) -> String {
        format!("room-{}", self.round)
    }

    /// Where some of it is said, too.
    pub(crate) fn hall(&self) -> String {
        format!("hall-{}", self.round)
    }

    /// Who has waited in the room all the time.
    pub(crate) fn user(&self) -> String {
        format!("ann-{}", self.round)
    }

    /// What clerks subscribe their users to.
    pub(crate) fn office(&self) -> String {
        format!("office-{}", self.round)
    }

    /// A channel of the other protocol, and a user there.
    pub(crate) fn corner(&self) -> String {
        format!("corner-{}", self.round)
    }

    /// What of the texts of events belongs to which round, publisher and number.
    pub(crate) fn texts(&self) -> BTreeMap<String, &Sent> {
        let publishers = self.sent.iter();
        publishers
            .flat_map(|(&publisher, sent)| {
                let sent = sent.iter();
                sent.map(move |sent| (text(self.round, publisher, sent.number), sent))
            })
            .collect()
    }
}

/// What an event carries: unlike every other, and known to the last byte.
pub(crate) fn text(round: u64, publisher: usize, number: u64) -> String {
    let head = format!("{round}/{publisher}/{number}/");
    let bytes = match number % 50 {
        7 => 30_000,
        short if short % 3 == 0 => 0,
        other => other as usize * 11,
    };
    let filling: String = head.chars().cycle().take(bytes).collect();
    format!("{head}{filling}.")
}
