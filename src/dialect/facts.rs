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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_are_wanted_and_the_newest_are_dropped() {
        let mut facts = Facts::default();
        let announce = |facts: &mut Facts, channel| {
            facts.announce(AppId(1), Fact::Occupied { channel });
        };
        announce(&mut facts, "nobody wants it");
        assert_eq!((facts.take().len(), facts.counts()), (0, (1, 0)));
        facts.keep_at_most(2);
        for channel in ["a", "b", "c"] {
            announce(&mut facts, channel);
        }
        let kept = facts.take();
        let of = |channel: &str| {
            let channel = channel.into();
            (AppId(1), Fact::Occupied { channel })
        };
        assert_eq!(kept, [of("a"), of("b")]);
        assert_eq!(facts.counts(), (4, 1));
        announce(&mut facts, "d");
        assert_eq!(facts.take(), [of("d")], "there is room again");
    }
}
