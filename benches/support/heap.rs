//! What lives on the heap, counted by the allocator itself.
//!
//! A program that uses this declares
//! `#[global_allocator] static HEAP: heap::Counting = heap::COUNTING;`.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

/// The system's allocator, counting.
pub(crate) type Counting = &'static StatsAlloc<System>;
/// The one there is.
pub(crate) const COUNTING: Counting = &INSTRUMENTED_SYSTEM;

/// Bytes that were allocated and not freed.
pub(crate) fn live_bytes(heap: &StatsAlloc<System>) -> usize {
    let stats = heap.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// How often memory was asked for so far, growing included.
pub(crate) fn requests(heap: &StatsAlloc<System>) -> usize {
    let stats = heap.stats();
    stats.allocations + stats.reallocations
}

/// Resident memory of the process in KiB; none where there is no `/proc`.
pub(crate) fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
