//! The records of one kind of one app.

use crate::limits::STORE_RECORDS_LISTED_MAX;
use crate::side::store::storage::{Room, record_bytes};
use crate::store::{NewRecord, Record};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    all: BTreeMap<u64, Record>,
    by_target: BTreeMap<Box<str>, BTreeSet<u64>>,
    by_channel: BTreeMap<Box<str>, BTreeSet<u64>>,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn insert(&mut self, id: u64, new: &NewRecord, unix_s: u64) -> Record {
        let record = Record {
            id,
            record: new.clone(),
            created_s: unix_s,
            modified_s: unix_s,
        };
        let lists = [
            (&mut self.by_target, &new.target),
            (&mut self.by_channel, &new.channel),
        ];
        for (lists, name) in lists {
            lists.entry(name.clone()).or_default().insert(id);
        }
        self.all.insert(id, record.clone());
        record
    }

    fn remove(&mut self, id: u64) -> Option<Record> {
        let record = self.all.remove(&id)?;
        super::forget(&mut self.by_target, &record.record.target, id);
        super::forget(&mut self.by_channel, &record.record.channel, id);
        Some(record)
    }

    /// Those with this target, oldest first.
    fn of_target(&self, target: &str) -> impl Iterator<Item = &Record> {
        let ids = self.by_target.get(target).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id))
    }

    /// The oldest that says just this.
    pub(super) fn find(&self, target: &str, channel: &str) -> Option<&Record> {
        let (of_target, of_channel) = (self.by_target.get(target)?, self.by_channel.get(channel)?);
        // One of the lists may be very long.
        let (few, many) = if of_target.len() < of_channel.len() {
            (of_target, of_channel)
        } else {
            (of_channel, of_target)
        };
        let both = few.iter().find(|id| many.contains(id))?;
        self.all.get(both)
    }

    pub(super) fn remove_oldest(&mut self, target: &str) {
        let oldest = self.of_target(target).next().map(|record| record.id);
        oldest.and_then(|id| self.remove(id));
    }

    pub(super) fn remove_all(&mut self, target: &str, channel: Option<&str>) -> Vec<Record> {
        let of_target = self.of_target(target);
        let meant = of_target.filter(|r| channel.is_none_or(|c| &*r.record.channel == c));
        let ids: Vec<u64> = meant.map(|record| record.id).collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The targets of those for this channel, in the order of the records.
    pub(super) fn targets_of(&self, channel: &str) -> impl Iterator<Item = &str> {
        let ids = self.by_channel.get(channel).into_iter().flatten();
        let records = ids.filter_map(|id| self.all.get(id));
        records.map(|record| &*record.record.target)
    }

    /// The channels of those with this target, in the order of the records.
    pub(super) fn channels_of(&self, target: &str) -> Vec<Box<str>> {
        let of_target = self.of_target(target);
        of_target.map(|r| r.record.channel.clone()).collect()
    }

    /// Those with this target and for this channel, where these are given, oldest first.
    pub(super) fn list(&self, target: Option<&str>, channel: Option<&str>) -> Vec<Record> {
        let mut room = Room::new(0, STORE_RECORDS_LISTED_MAX as u64);
        let all = self.all.values();
        all.filter(|r| target.is_none_or(|target| &*r.record.target == target))
            .filter(|r| channel.is_none_or(|channel| &*r.record.channel == channel))
            .take_while(|record| room.takes(record_bytes(record)))
            .cloned()
            .collect()
    }
}
