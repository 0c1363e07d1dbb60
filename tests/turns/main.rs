//! What takes more than one turn, on the engine in memory: batches, listings, changes, and requests
//! that wait for news.

mod batches;
mod changes;
mod hostile;
mod joining;
mod polls;
mod pusher;
mod sockets;
mod streams;
mod world;
