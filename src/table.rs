//! Typed keys that carry a generation, the table that issues them, and columns that hang further
//! values on the same keys.
//!
//! Slab indexes are used again at once. In one batch of readiness events the kernel may speak of a
//! socket that was closed a moment ago and whose place a fresh one has taken; timers, mail and the
//! hub's outlets hold keys for far longer. A lookup that checks the generation turns all of these
//! into `None`.

use crate::room;
use slab::Slab;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// A typed name for one entry of a [`Table`]: index and generation. Eight bytes, `Copy`.
///
/// `T` is a tag only; it keeps the key of a connection from being used for a channel.
pub struct Key<T> {
    index: u32,
    generation: u32,
    tag: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key that no table ever issues: looks nothing up, anywhere.
    pub const NONE: Self = Self {
        index: u32::MAX,
        generation: 0,
        tag: PhantomData,
    };

    /// The place in the table.
    #[inline]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Whether this is [`Key::NONE`].
    #[inline]
    pub const fn is_none(self) -> bool {
        self.generation == 0
    }

    /// Both halves in one number, as an operating system's event token carries them.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key back from [`Key::to_bits`]. A number from elsewhere gives a key that finds nothing,
    /// or, if it happens to match, one that finds what it names: no key is a permission.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
            tag: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}
impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.to_bits());
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            f.write_str("#none")
        } else {
            write!(f, "#{}.{}", self.index, self.generation)
        }
    }
}

/// Below this many entries nothing is given back: it would not be noticed.
const SHRINK_FROM: usize = 16;
/// Free places that a look for memory to give back may walk over, per removal.
const SHRINK_STEPS: usize = 64;

/// Decides when a mostly empty slab or column looks for memory to give back.
///
/// Places cannot be moved, so a single entry at the end holds everything before it, and a look
/// costs a walk over the free places behind the last entry. If every removal looked, each could be
/// as dear as the whole, for as long as somebody comes and goes at the end. So a long walk is paid
/// for with removals before the next one.
#[derive(Debug, Default)]
struct Thrift {
    removals: usize,
    wait: usize,
}

impl Thrift {
    /// One entry fewer: `len` are left in room for `capacity`. Whether to look now.
    #[inline]
    fn looks(&mut self, len: usize, capacity: usize) -> bool {
        if !is_roomy(len, capacity) {
            return false;
        }
        self.removals += 1;
        len == 0 || self.removals > self.wait
    }

    /// Whether there were removals since the last look, and to look now is worth while.
    fn is_due(&self, len: usize, capacity: usize) -> bool {
        self.removals > 0 && is_roomy(len, capacity)
    }

    /// A look walked over so many free places.
    fn looked(&mut self, walked: usize) {
        (self.removals, self.wait) = (0, walked / SHRINK_STEPS);
    }
}

/// Whether a slab or column is so empty that it should be looked at.
#[inline]
fn is_roomy(len: usize, capacity: usize) -> bool {
    capacity > SHRINK_FROM && len * 8 < capacity
}

/// Whether it is worth while to cut room for `capacity` entries to `used`. One entry more doubles
/// the room; a part of more than a quarter would thus be cut and grown in turns.
fn is_worth(used: usize, capacity: usize) -> bool {
    used * 4 <= capacity
}

/// Issues keys and keeps one value under each: a slab plus one counter of generations.
#[derive(Debug)]
pub struct Table<T, V> {
    /// No place holds `None` between calls: it only stands in while entries are moved.
    slab: Slab<Option<(NonZeroU32, V)>>,
    last_generation: u32,
    /// Places in the slab, free ones included; it does not say itself.
    places: usize,
    thrift: Thrift,
    tag: PhantomData<fn() -> T>,
}

impl<T, V> Default for Table<T, V> {
    fn default() -> Self {
        Self {
            slab: Slab::new(),
            last_generation: 0,
            places: 0,
            thrift: Thrift::default(),
            tag: PhantomData,
        }
    }
}

impl<T, V> Table<T, V> {
    /// An empty table; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `value` and returns its key.
    ///
    /// # Panics
    /// When four thousand million entries live at a time, which no machine holds.
    pub fn insert(&mut self, value: V) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// Like [`Table::insert`], for a value that wants to know its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> V) -> Key<T> {
        // One counter for the whole table: after it wraps, a stale key must meet the same index
        // *and* the same count to be mistaken, four thousand million insertions apart.
        self.last_generation = self.last_generation.checked_add(1).unwrap_or(1);
        let generation = NonZeroU32::new(self.last_generation).unwrap_or(NonZeroU32::MIN);
        let entry = self.slab.vacant_entry();
        let index = u32::try_from(entry.key()).expect("fewer than 2^32 entries fit any memory");
        let key = Key {
            index,
            generation: generation.get(),
            tag: PhantomData,
        };
        entry.insert(Some((generation, make(key))));
        self.places = self.places.max(key.index() + 1);
        key
    }

    /// The value under `key`, unless it has gone.
    #[inline]
    pub fn get(&self, key: Key<T>) -> Option<&V> {
        match self.slab.get(key.index()) {
            Some(Some((generation, value))) if generation.get() == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value under `key`, to change, unless it has gone.
    #[inline]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut V> {
        match self.slab.get_mut(key.index()) {
            Some(Some((generation, value))) if generation.get() == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whether `key` still names something.
    #[inline]
    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    /// Takes the value out. Memory goes back when the table is mostly empty.
    pub fn remove(&mut self, key: Key<T>) -> Option<V> {
        if !self.contains(key) {
            return None;
        }
        let (_, value) = self.slab.remove(key.index())?;
        if self.thrift.looks(self.slab.len(), self.slab.capacity()) {
            self.look();
        }
        Some(value)
    }

    /// Gives back what can be, in quiet times: all room of an empty table, and what the last
    /// removals may have left.
    pub fn trim(&mut self) {
        if self.slab.is_empty() {
            room::release_slab(&mut self.slab);
            self.places = 0;
            return;
        }
        if self.thrift.is_due(self.slab.len(), self.slab.capacity()) {
            self.look();
        }
        room::sink_slab(&mut self.slab, self.places);
    }

    /// Looks for memory to give back behind the last entry.
    #[cold]
    fn look(&mut self) {
        let used = self.slab.iter().next_back().map_or(0, |(last, _)| last + 1);
        self.thrift.looked(self.places.saturating_sub(used));
        if is_worth(used, self.slab.capacity()) {
            room::refit_slab(&mut self.slab, used);
            self.places = used;
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// All entries in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &V)> {
        self.slab.iter().filter_map(|(index, row)| {
            let (generation, value) = row.as_ref()?;
            let key = Key {
                index: index as u32,
                generation: generation.get(),
                tag: PhantomData,
            };
            Some((key, value))
        })
    }

    /// Places up to the last that is or was taken; none of the entries lies beyond.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The entries within these places, in their order, at the price of the places.
    pub fn within(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = (Key<T>, &V)> {
        let places = places.start..places.end.min(self.places);
        places.filter_map(|index| {
            let (generation, value) = self.slab.get(index)?.as_ref()?;
            let key = Key {
                index: index as u32,
                generation: generation.get(),
                tag: PhantomData,
            };
            Some((key, value))
        })
    }

    /// All keys in the order of their places, collected: for loops that change the table.
    pub fn keys(&self) -> Vec<Key<T>> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// The bytes this table holds on the heap, not counting what its values own.
    pub fn heap_bytes(&self) -> usize {
        self.slab.capacity() * size_of::<Option<(NonZeroU32, V)>>()
    }
}

/// Further values under the keys of a [`Table`]: a vector on the same index.
///
/// Narrow on purpose: a loop over many keys touches this array and nothing else.
#[derive(Debug)]
pub struct Column<T, V> {
    slots: Vec<Option<(NonZeroU32, V)>>,
    len: usize,
    thrift: Thrift,
    tag: PhantomData<fn() -> T>,
}

impl<T, V> Default for Column<T, V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            len: 0,
            thrift: Thrift::default(),
            tag: PhantomData,
        }
    }
}

impl<T, V> Column<T, V> {
    /// An empty column; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hangs `value` on `key`; what a former key with the same index left behind is dropped.
    pub fn insert(&mut self, key: Key<T>, value: V) {
        let Some(generation) = NonZeroU32::new(key.generation) else {
            return;
        };
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, || None);
        }
        if self.slots[key.index()]
            .replace((generation, value))
            .is_none()
        {
            self.len += 1;
        }
    }

    /// The value on `key`, if there is one.
    #[inline]
    pub fn get(&self, key: Key<T>) -> Option<&V> {
        match self.slots.get(key.index()) {
            Some(Some((generation, value))) if generation.get() == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value on `key`, to change, if there is one.
    #[inline]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut V> {
        match self.slots.get_mut(key.index()) {
            Some(Some((generation, value))) if generation.get() == key.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value off `key`. Memory goes back when the column is mostly empty.
    pub fn remove(&mut self, key: Key<T>) -> Option<V> {
        self.get(key)?;
        let (_, value) = self.slots[key.index()].take()?;
        self.len -= 1;
        if self.thrift.looks(self.len, self.slots.capacity()) {
            self.look();
        }
        Some(value)
    }

    /// Gives back what can be, in quiet times: all room of an empty column, and what the last
    /// removals may have left.
    pub fn trim(&mut self) {
        if self.len == 0 {
            room::release(&mut self.slots);
            return;
        }
        if self.thrift.is_due(self.len, self.slots.capacity()) {
            self.look();
        }
        room::sink(&mut self.slots);
    }

    /// Looks for memory to give back behind the last entry.
    #[cold]
    fn look(&mut self) {
        let last = self.slots.iter().rposition(Option::is_some);
        let used = last.map_or(0, |last| last + 1);
        self.thrift.looked(self.slots.len() - used);
        if is_worth(used, self.slots.capacity()) {
            self.slots.truncate(used);
            room::refit(&mut self.slots, used);
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &V)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let (generation, value) = slot.as_ref()?;
            Some((
                Key {
                    index: index as u32,
                    generation: generation.get(),
                    tag: PhantomData,
                },
                value,
            ))
        })
    }

    /// Places up to the last that is or was taken; none of the entries lies beyond.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// The entries within these places, in their order, at the price of the places.
    pub fn within(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = (Key<T>, &V)> {
        let places = places.start.min(self.slots.len())..places.end.min(self.slots.len());
        let start = places.start;
        let slots = self.slots.get(places).unwrap_or_default();
        slots.iter().enumerate().filter_map(move |(at, slot)| {
            let (generation, value) = slot.as_ref()?;
            let key = Key {
                index: (start + at) as u32,
                generation: generation.get(),
                tag: PhantomData,
            };
            Some((key, value))
        })
    }

    /// The bytes this column holds on the heap, not counting what its values own.
    pub fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<(NonZeroU32, V)>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Tag;

    #[test]
    fn a_stale_key_finds_nothing_though_its_place_is_used_again() {
        let mut table: Table<Tag, &str> = Table::new();
        let mut column: Column<Tag, u32> = Column::new();
        let first = table.insert("first");
        column.insert(first, 1);
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert_eq!(
            (table.get(first), table.get(second)),
            (None, Some(&"second"))
        );
        assert_eq!((column.get(first), column.get(second)), (Some(&1), None));
        column.insert(second, 2);
        assert_eq!(
            (column.get(first), column.get(second), column.len()),
            (None, Some(&2), 1)
        );
        assert_eq!(column.remove(first), None);
        assert_eq!(table.remove(first), None);
    }

    #[test]
    fn the_key_that_is_none_finds_nothing_and_hangs_nothing() {
        let mut table: Table<Tag, u8> = Table::new();
        let mut column: Column<Tag, u8> = Column::new();
        table.insert(1);
        column.insert(Key::NONE, 1);
        assert!(Key::<Tag>::NONE.is_none() && column.is_empty());
        assert_eq!(table.get(Key::NONE), None);
        assert_eq!(column.get_mut(Key::NONE), None);
    }

    #[test]
    fn bits_go_there_and_back() {
        let mut table: Table<Tag, u8> = Table::new();
        for value in 0..10 {
            let key = table.insert(value);
            assert_eq!(Key::from_bits(key.to_bits()), key);
        }
    }

    #[test]
    fn memory_goes_back_though_a_few_stay() {
        for order in 0..3 {
            let mut table: Table<Tag, [u64; 8]> = Table::new();
            let mut column: Column<Tag, [u64; 4]> = Column::new();
            let keys: Vec<_> = (0..10_000).map(|_| table.insert([0; 8])).collect();
            keys.iter().for_each(|&key| column.insert(key, [0; 4]));
            let (full_table, full_column) = (table.heap_bytes(), column.heap_bytes());
            let mut gone = keys[10..].to_vec();
            match order {
                0 => {}
                1 => gone.reverse(),
                _ => (0..gone.len()).for_each(|at| gone.swap(at, at * 7919 % 9990)),
            }
            for key in gone {
                table.remove(key);
                column.remove(key);
            }
            assert_eq!((table.len(), column.len()), (10, 10));
            // Those that left in no order need a little coming and going to be noticed.
            for _ in 0..200 {
                let key = table.insert([1; 8]);
                column.insert(key, [1; 4]);
                table.remove(key);
                column.remove(key);
            }
            assert!(table.heap_bytes() * 4 < full_table, "order {order}");
            assert!(column.heap_bytes() * 4 < full_column, "order {order}");
        }
    }

    #[test]
    fn a_place_held_at_the_end_does_not_make_every_removal_look() {
        let mut thrift = Thrift::default();
        let mut looks = 0;
        for _ in 0..64_000 {
            if thrift.looks(1, 64_000) {
                looks += 1;
                thrift.looked(31_999);
            }
        }
        assert_eq!(looks, 128);
        // What comes and goes at the end keeps its room.
        let mut table: Table<Tag, u64> = Table::new();
        let mut column: Column<Tag, u64> = Column::new();
        let mut keys: Vec<_> = (0..10_000).map(|_| table.insert(0)).collect();
        keys.iter().for_each(|&key| column.insert(key, 0));
        let last = keys.pop();
        for key in keys {
            table.remove(key);
            column.remove(key);
        }
        let room = column.heap_bytes();
        for _ in 0..1_000 {
            let key = table.insert(1);
            column.insert(key, 1);
            assert_eq!(table.remove(key), Some(1));
            assert_eq!(column.remove(key), Some(1));
        }
        assert_eq!(column.heap_bytes(), room);
        assert!(last.is_some_and(|last| table.contains(last)));
    }

    #[test]
    fn a_quiet_second_gives_back_what_removals_did_not() {
        let mut table: Table<Tag, [u64; 8]> = Table::new();
        let mut column: Column<Tag, [u64; 4]> = Column::new();
        let mut keys: Vec<_> = (0..10_000)
            .map(|number| table.insert([number; 8]))
            .collect();
        keys.iter().for_each(|&key| column.insert(key, [1; 4]));
        // Ten in the middle go last: the looks before found them there, at the end of a long walk,
        // and the next is not due yet.
        let stays = keys[3];
        let mut behind = keys.split_off(5_000);
        behind.reverse();
        let middle = keys.split_off(4_990);
        keys.remove(3);
        keys.extend(behind);
        keys.extend(middle);
        for key in keys {
            table.remove(key);
            column.remove(key);
        }
        let held = (table.heap_bytes(), column.heap_bytes());
        table.trim();
        column.trim();
        assert_eq!(table.get(stays), Some(&[3; 8]));
        assert_eq!(column.get(stays), Some(&[1; 4]));
        assert!(table.heap_bytes() * 10 < held.0 && column.heap_bytes() * 10 < held.1);
        // The lowest free places are used first, each once, and by nobody who is there.
        let more: Vec<_> = (0..5).map(|_| table.insert([0; 8])).collect();
        let places: Vec<_> = more.iter().map(|key| key.index()).collect();
        assert_eq!(places, [0, 1, 2, 4, 5]);
        more.iter().for_each(|&key| column.insert(key, [2; 4]));
        for key in more.into_iter().chain([stays]) {
            assert!(table.remove(key).is_some() && column.remove(key).is_some());
        }
        assert!(table.heap_bytes() > 0 && column.heap_bytes() > 0);
        table.trim();
        column.trim();
        assert_eq!((table.heap_bytes(), column.heap_bytes()), (0, 0));
        let key = table.insert([9; 8]);
        column.insert(key, [9; 4]);
        assert_eq!(column.get(key), Some(&[9; 4]));
        assert_eq!(table.iter().map(|(key, _)| key).collect::<Vec<_>>(), [key]);
    }

    #[test]
    fn memory_goes_back_when_most_entries_have_gone() {
        let mut table: Table<Tag, [u64; 8]> = Table::new();
        let mut column: Column<Tag, [u64; 4]> = Column::new();
        let keys: Vec<_> = (0..10_000).map(|_| table.insert([0; 8])).collect();
        keys.iter().for_each(|&key| column.insert(key, [0; 4]));
        let (full_table, full_column) = (table.heap_bytes(), column.heap_bytes());
        for key in keys {
            table.remove(key);
            column.remove(key);
        }
        assert!(
            table.heap_bytes() * 50 < full_table,
            "{} of {full_table}",
            table.heap_bytes()
        );
        assert!(
            column.heap_bytes() * 50 < full_column,
            "{} of {full_column}",
            column.heap_bytes()
        );
    }
}
