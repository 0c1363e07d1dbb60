//! Giving memory back so that the system really gets it.
//!
//! Freed is not given back: an allocator returns a heap to the system from its end only, so one
//! block in use near the end holds everything before it. glibc, where this was measured, has two
//! habits that make this common for tables that were large and are nearly empty:
//!
//! - A block that is cut stays where it is. Three rows left of a table of a megabyte would hold
//!   whatever lies before them. So what is left is moved to a fresh block, and the old one goes.
//! - Blocks from 128 KiB on lie outside the heap and go back at once. But the first of them that
//!   is *freed* raises that bound to its own size for good (and what the heap keeps at its end to
//!   twice as much), and the next large tables grow within the heap, among all that is small.
//!   Cutting a block does not raise it. So a large block is cut to a page before it is freed.
//!
//! Elsewhere both cost next to nothing. Hash tables can do the second in no way, but they have
//! only nine bytes per entry.

use hashbrown::{HashMap, HashTable};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

/// What a large block is cut to before it is freed. Not smaller: small blocks are kept by the
/// allocator for the next of their size, and hold the heap as if they were in use.
const PAGE_BYTES: usize = 4096;
/// Hash tables with room for no more entries than this are left alone while they hold any.
const HASHED_FROM: usize = 16;

/// Entries that fill a page, or one.
const fn page<T>() -> usize {
    match size_of::<T>() {
        0 => usize::MAX,
        bytes if bytes > PAGE_BYTES => 1,
        bytes => PAGE_BYTES / bytes,
    }
}

/// Drops all entries and gives all room back.
pub(crate) fn release<T>(list: &mut Vec<T>) {
    list.clear();
    list.shrink_to(page::<T>());
    *list = Vec::new();
}

/// [`release`] for a queue.
pub(crate) fn release_queue<T>(queue: &mut VecDeque<T>) {
    queue.clear();
    queue.shrink_to(page::<T>());
    *queue = VecDeque::new();
}

/// Moves the entries to a block with room for `room` of them (for all, if they are more). The list
/// must have more room than that, else nothing happens.
pub(crate) fn refit<T>(list: &mut Vec<T>, room: usize) {
    let room = room.max(list.len());
    if room >= list.capacity() {
        return;
    }
    let mut fresh = Vec::with_capacity(room);
    fresh.append(list);
    release(list);
    *list = fresh;
}

/// Gives the room of a list back that has become empty.
pub(crate) fn trim<T>(list: &mut Vec<T>) {
    if list.is_empty() {
        release(list);
    }
}

/// [`trim`] for a queue.
pub(crate) fn trim_queue<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        release_queue(queue);
    }
}

/// Whether a hash table is so empty that it should be made smaller.
fn is_roomy(len: usize, capacity: usize) -> bool {
    capacity > HASHED_FROM && len * 8 < capacity
}

/// Makes a hash table smaller that is mostly empty. `rehash` as [`HashTable::shrink_to`] wants it.
pub(crate) fn shrink_table<K>(table: &mut HashTable<K>, rehash: impl Fn(&K) -> u64) {
    if is_roomy(table.len(), table.capacity()) {
        table.shrink_to(table.len() * 2, rehash);
    }
}

/// Gives the room of a hash table back that has become empty.
pub(crate) fn trim_table<K>(table: &mut HashTable<K>) {
    if table.is_empty() {
        *table = HashTable::new();
    }
}

/// Makes a map smaller that is mostly empty; gives all room back of one that is empty.
pub(crate) fn trim_map<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.is_empty() || is_roomy(map.len(), map.capacity()) {
        map.shrink_to(map.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_moved_with_as_much_room_as_asked_for() {
        let mut list: Vec<u64> = (0..100_000).collect();
        list.truncate(3);
        let before = list.as_ptr();
        refit(&mut list, 5);
        assert_eq!((&*list, list.capacity()), (&[0, 1, 2][..], 5));
        assert_ne!(list.as_ptr(), before, "it lies elsewhere");
        // Never below what is there, and never up.
        refit(&mut list, 0);
        assert_eq!((list.len(), list.capacity()), (3, 3));
        refit(&mut list, 50);
        assert_eq!(list.capacity(), 3);
    }

    #[test]
    fn only_what_is_empty_is_trimmed() {
        let (mut list, mut queue) = (vec![[0_u8; 5000]; 3], VecDeque::from(vec![(); 3]));
        trim(&mut list);
        trim_queue(&mut queue);
        assert_eq!((list.len(), queue.len()), (3, 3));
        list.clear();
        queue.clear();
        trim(&mut list);
        trim_queue(&mut queue);
        assert_eq!((list.capacity(), queue.len()), (0, 0));
        let mut queue: VecDeque<u8> = (0..100).collect();
        release_queue(&mut queue);
        assert_eq!((queue.len(), queue.capacity()), (0, 0));
    }

    #[test]
    fn hash_tables_shrink_when_mostly_empty_and_go_when_empty() {
        let rehash = |&number: &u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut table = HashTable::new();
        let mut map = HashMap::new();
        for number in 0..1_000_u64 {
            table.insert_unique(rehash(&number), number, rehash);
            map.insert(number, ());
        }
        for keep in [900, 30, 0] {
            table.retain(|&mut number| number < keep);
            map.retain(|&number, ()| number < keep);
            let (before, map_before) = (table.capacity(), map.capacity());
            shrink_table(&mut table, rehash);
            trim_table(&mut table);
            trim_map(&mut map);
            assert_eq!(table.capacity() < before, keep < 900, "{keep}");
            assert_eq!(map.capacity() < map_before, keep < 900, "{keep}");
            for number in 0..keep {
                let found = table.find(rehash(&number), |&known| known == number);
                assert!(found.is_some() && map.contains_key(&number));
            }
        }
        assert_eq!((table.capacity(), map.capacity()), (0, 0));
    }
}
