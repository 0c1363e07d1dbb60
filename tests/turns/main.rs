//! What takes more than one turn, on the engine in memory: batches, listings, and requests that
//! wait for news.

mod batches;
mod polls;
mod streams;
mod world;
