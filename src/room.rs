//! Giving memory back so that the system really gets it.
//!
//! Freed is not given back: a heap shrinks from its end only, so one block that stays near the end
//! holds everything before it. Three habits of glibc, where this was measured, make that common
//! for a process whose tables were large and are nearly empty:
//!
//! - A block that is cut stays where it is. The one row that is left of a table of a megabyte holds
//!   whatever lies before it. So what is left is moved: [`refit`], [`sink`].
//! - Blocks from 128 KiB on lie outside the heap and go back at once. But when one of them is
//!   *freed*, that bound rises to its size for good, and so does, to twice its size, what the heap
//!   keeps at its end. The next large tables then grow within the heap. Cutting a block raises
//!   nothing, so a large one is cut to a page before it is freed: [`release`].
//! - Small blocks that are freed are cached for the next of their size, and hold the heap as if they
//!   were in use, wherever they happen to lie: [`settle`].
//!
//! After 9,000 guests have gone, 3.3 MB stay resident this way; without it
//! 9 to 11 MB did, now more, now less. `benches/memory.rs` watches over it. Elsewhere it does no
//! harm.

use hashbrown::{HashMap, HashTable};
use slab::Slab;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::ptr;

/// What a large block is cut to before it is freed. Not smaller: a small block would be cached.
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

/// [`release`] for a slab. It cuts itself behind its last entry only, so it is given a page of
/// entries that are none.
pub(crate) fn release_slab<V>(slab: &mut Slab<Option<V>>) {
    slab.clear();
    let page = page::<Option<V>>();
    if slab.capacity() > page {
        for _ in 0..page {
            slab.insert(None);
        }
        slab.shrink_to_fit();
    }
    *slab = Slab::new();
}

/// Moves the entries to a block with room for `used` of them, each to the place where it was: the
/// last one lies before that. Free places are taken from the front from then on, so that entries
/// stay together.
pub(crate) fn refit_slab<V>(slab: &mut Slab<Option<V>>, used: usize) {
    move_slab(slab, Slab::with_capacity(used), used);
}

fn move_slab<V>(slab: &mut Slab<Option<V>>, mut fresh: Slab<Option<V>>, used: usize) {
    for index in 0..used {
        let entry = slab.get_mut(index).and_then(Option::take);
        // A fresh slab is filled from the front.
        fresh.insert(entry);
    }
    for index in (0..used).rev() {
        if fresh.get(index).is_some_and(Option::is_none) {
            fresh.remove(index);
        }
    }
    release_slab(slab);
    *slab = fresh;
}

/// [`sink`] for a slab whose entries lie before `used`.
pub(crate) fn sink_slab<V>(slab: &mut Slab<Option<V>>, used: usize) {
    if slab.capacity() == 0 || slab.capacity() > page::<Option<V>>() {
        return;
    }
    let mut lower: Slab<Option<V>> = Slab::with_capacity(slab.capacity());
    let probe = lower.insert(None);
    let place = |slab: &Slab<Option<V>>| {
        let first = slab.iter().next();
        first.map(|(index, entry)| ptr::from_ref(entry).wrapping_sub(index))
    };
    let is_lower = place(&lower) < place(slab);
    lower.remove(probe);
    if is_lower {
        move_slab(slab, lower, used);
    }
}

/// Moves a list of at most a page to a lower block, if the allocator has one at hand.
pub(crate) fn sink<T>(list: &mut Vec<T>) {
    if list.capacity() == 0 || list.capacity() > page::<T>() {
        return;
    }
    let mut lower = Vec::with_capacity(list.capacity());
    if lower.as_ptr() < list.as_ptr() {
        lower.append(list);
        *list = lower;
    }
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

/// The smallest of glibc's cached blocks.
const CACHED_BYTES_MIN: usize = 24;
/// From one size of cached blocks to the next.
const CACHED_STEP_BYTES: usize = 16;
/// How many sizes of cached blocks there are.
const CACHED_SIZES: usize = 64;
/// More blocks than are cached of one size (seven; sixteen since glibc 2.42).
const CACHED_MAX: usize = 24;
/// Blocks that fill the gaps of the heap while the caches are turned over.
const BALLAST_BLOCKS: usize = 64;
/// How large each of them is. The system gives no memory for what is never written.
const BALLAST_BYTES: usize = 16 * 1024;
/// How many of them, the lowest, are not held after all.
const BALLAST_FREE: usize = 4;

/// Makes the allocator cache low blocks instead of high ones, so that the end of the heap comes free
/// and goes back. For quiet times: it takes about a tenth of a millisecond.
///
/// A cache gives the block out first that came in last. So of each size more blocks are taken than
/// are cached, which empties the cache, and are freed lowest first, which fills it again. The
/// blocks beside the cached ones come from the tightest gap, however high that lies; hence the
/// ballast, which leaves gaps at the low end only.
pub(crate) fn settle() {
    if !cfg!(target_env = "gnu") {
        return;
    }
    let mut ballast: [Vec<u8>; BALLAST_BLOCKS] =
        std::array::from_fn(|_| Vec::with_capacity(BALLAST_BYTES));
    ballast.sort_unstable_by_key(|block| block.as_ptr());
    ballast[..BALLAST_FREE].fill(Vec::new());
    for size in 0..CACHED_SIZES {
        let bytes = CACHED_BYTES_MIN + size * CACHED_STEP_BYTES;
        let mut blocks: [Vec<u8>; CACHED_MAX] = std::array::from_fn(|_| Vec::with_capacity(bytes));
        blocks.sort_unstable_by_key(|block| block.as_ptr());
        // The compiler may leave out allocations that it thinks nobody needs.
        black_box(&mut blocks);
    }
    // The small blocks are merged and the end of the heap goes back as these are freed.
    black_box(&mut ballast);
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
    fn what_is_left_of_a_slab_keeps_its_places() {
        let mut slab: Slab<Option<u64>> = Slab::new();
        for number in 0..10_000 {
            slab.insert(Some(number));
        }
        for index in (0..10_000).filter(|index| ![3, 7, 100].contains(index)) {
            slab.remove(index);
        }
        refit_slab(&mut slab, 101);
        assert_eq!((slab.len(), slab.capacity()), (3, 101));
        assert!([3, 7, 100].iter().all(|&at| slab[at] == Some(at as u64)));
        let next: Vec<usize> = (0..6).map(|_| slab.insert(None)).collect();
        assert_eq!(next, [0, 1, 2, 4, 5, 6], "from the front");
        release_slab(&mut slab);
        assert_eq!((slab.len(), slab.capacity()), (0, 0));
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
    fn a_list_sinks_or_stays_but_never_rises() {
        let mut lists: Vec<Vec<u64>> = (0..64).map(|number| vec![number; 5]).collect();
        for list in &mut lists {
            let (before, capacity) = (list.as_ptr(), list.capacity());
            let held = list.clone();
            sink(list);
            assert!(list.as_ptr() <= before);
            assert_eq!(
                (list.as_slice(), list.capacity()),
                (held.as_slice(), capacity)
            );
        }
        // What is more than a page is not copied about.
        let mut large = vec![0_u64; 10_000];
        let before = large.as_ptr();
        sink(&mut large);
        assert_eq!((large.as_ptr(), large.len()), (before, 10_000));
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
