//! The last few events of something, kept so that who was away can catch up.

use super::effects::Format;
use super::few::Few;
use crate::frame::Frame;
use std::collections::VecDeque;

/// One kept event, its place in the hub's order, and its catch-up frames once somebody asked.
#[derive(Debug)]
pub(crate) struct Entry<E> {
    pub(crate) sequence: u64,
    pub(crate) event: E,
    bytes: usize,
    frames: Few<(Format, Frame)>,
}

impl<E> Entry<E> {
    /// The catch-up frame in `format`, made at most once; none if that tells no such events.
    pub(crate) fn frame(
        &mut self,
        format: Format,
        make: impl FnOnce(&E) -> Option<Frame>,
    ) -> Option<Frame> {
        if let Some((_, frame)) = self
            .frames
            .as_slice()
            .iter()
            .find(|(known, _)| *known == format)
        {
            return Some(frame.clone());
        }
        let frame = make(&self.event)?;
        self.frames.push((format, frame.clone()));
        Some(frame)
    }
}

/// A bounded queue of kept events, oldest first.
#[derive(Debug)]
pub(crate) struct Recent<E> {
    entries: VecDeque<Entry<E>>,
    bytes: usize,
}

impl<E> Default for Recent<E> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<E> Recent<E> {
    /// Keeps `event`; the oldest are forgotten beyond `count_max` events or `bytes_max` bytes.
    pub(crate) fn push(
        &mut self,
        sequence: u64,
        event: E,
        bytes: usize,
        count_max: usize,
        bytes_max: usize,
    ) {
        self.entries.push_back(Entry {
            sequence,
            event,
            bytes,
            frames: Few::None,
        });
        self.bytes += bytes;
        self.cut(count_max, bytes_max);
    }

    /// Replaces events: `change` returns what an event becomes and its bytes, or none where it
    /// stays. Frames of what was replaced are made anew when they are asked for.
    pub(crate) fn replace(
        &mut self,
        mut change: impl FnMut(&E) -> Option<(E, usize)>,
        bytes_max: usize,
    ) {
        for entry in &mut self.entries {
            let Some((event, bytes)) = change(&entry.event) else {
                continue;
            };
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.event = event;
            entry.bytes = bytes;
            entry.frames = Few::None;
        }
        self.cut(usize::MAX, bytes_max);
    }

    /// Forgets the events that are not to stay.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&E) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let stays = stays(&entry.event);
            *bytes -= if stays { 0 } else { entry.bytes };
            stays
        });
    }

    fn cut(&mut self, count_max: usize, bytes_max: usize) {
        while self.entries.len() > count_max || (self.bytes > bytes_max && self.entries.len() > 1) {
            let Some(gone) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= gone.bytes;
        }
    }

    /// The entries after `sequence`, oldest first.
    pub(crate) fn after(&mut self, sequence: u64) -> impl Iterator<Item = &mut Entry<E>> {
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        self.entries.range_mut(start..)
    }

    /// The same, only to look at.
    pub(crate) fn look_after(&self, sequence: u64) -> impl DoubleEndedIterator<Item = &Entry<E>> {
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        self.entries.range(start..)
    }

    /// How many entries after `sequence` there are, and their bytes.
    pub(crate) fn size_after(&self, sequence: u64) -> (usize, usize) {
        let start = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        let entries = self.entries.range(start..);
        (entries.len(), entries.map(|entry| entry.bytes).sum())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_within_both_limits() {
        let mut recent = Recent::default();
        for sequence in 1..=10 {
            recent.push(sequence, sequence, 10, 4, 1000);
        }
        assert_eq!(
            recent.after(0).map(|e| e.event).collect::<Vec<_>>(),
            [7, 8, 9, 10]
        );
        assert_eq!(
            recent.after(8).map(|e| e.event).collect::<Vec<_>>(),
            [9, 10]
        );
        recent.push(11, 11, 985, 4, 1000);
        assert_eq!(
            recent.after(0).map(|e| e.event).collect::<Vec<_>>(),
            [10, 11]
        );
        recent.push(12, 12, 5000, 4, 1000);
        assert_eq!(
            recent.after(0).map(|e| e.event).collect::<Vec<_>>(),
            [12],
            "one always stays"
        );
    }

    #[test]
    fn what_is_replaced_or_taken_out_is_counted_anew() {
        let mut recent = Recent::default();
        for sequence in 1..=4 {
            recent.push(sequence, sequence, 10, 4, 100);
        }
        for entry in recent.after(0) {
            entry.frame(Format(0), |_| Some(Frame::from(&b"before"[..])));
        }
        recent.replace(|&event| (event == 3).then_some((30, 65)), 100);
        assert_eq!((recent.len(), recent.bytes()), (4, 95));
        let mut made = 0;
        for entry in recent.after(0) {
            entry.frame(Format(0), |_| {
                made += 1;
                Some(Frame::from(&b"after"[..]))
            });
        }
        assert_eq!(made, 1, "only that of the replaced event");
        // Larger than fits: the oldest go, be it the replaced one itself.
        recent.replace(|&event| (event == 30).then_some((31, 95)), 100);
        let left: Vec<u64> = recent.after(0).map(|entry| entry.event).collect();
        assert_eq!((left, recent.bytes()), (vec![4], 10));
        recent.push(5, 5, 10, 4, 100);
        recent.retain(|&event| event != 4);
        assert_eq!((recent.len(), recent.bytes()), (1, 10));
        recent.retain(|_| false);
        assert_eq!((recent.len(), recent.bytes()), (0, 0));
    }

    #[test]
    fn a_catch_up_frame_is_made_once_per_format() {
        let mut recent = Recent::default();
        recent.push(1, "event", 1, 4, 100);
        let mut made = 0;
        for format in [0, 1, 0, 1] {
            for entry in recent.after(0) {
                entry.frame(Format(format), |_| {
                    made += 1;
                    Some(Frame::from(&b"x"[..]))
                });
            }
        }
        assert_eq!(made, 2);
    }
}
