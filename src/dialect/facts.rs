//! What the rest of the world may want to know: counted always, kept for whoever asked for it.
//!
//! Nobody sends facts anywhere yet. A host program or a test that wants them says how many may wait
//! for it, and takes them; beyond that number the newest are dropped and counted.

use crate::hub::{AppId, Fact};
use std::collections::VecDeque;

/// A fact with texts of its own, and of which app it is.
pub type KeptFact = (AppId, Fact<Box<str>>);

/// The facts that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    kept: VecDeque<KeptFact>,
    most: usize,
    announced: u64,
    dropped: u64,
}

impl Facts {
    /// Those since the last call, oldest first.
    pub(crate) fn take(&mut self) -> Vec<KeptFact> {
        self.kept.drain(..).collect()
    }

    pub(crate) fn keep_at_most(&mut self, most: usize) {
        self.most = most;
    }

    pub(crate) fn announce(&mut self, app: AppId, fact: Fact<&str>) {
        self.announced += 1;
        if self.most == 0 {
            return;
        }
        if self.kept.len() < self.most {
            self.kept.push_back((app, fact.into_owned()));
        } else {
            self.dropped += 1;
        }
    }

    /// How many there were, and how many of those that were wanted found no room.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.announced, self.dropped)
    }
}
