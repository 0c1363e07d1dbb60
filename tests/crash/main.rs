//! What becomes of what was acknowledged when the process is killed, the power fails or the disk is
//! full: the built binary, real files, real sockets.
//!
//! | Module | What it shows |
//! |---|---|
//! | `killed` | killed at any moment, it comes back soon and with all that it had acknowledged |
//! | `power` | the same for what a disk holds after a power cut, made from a trace of system calls |
//! | `full` | a full disk refuses what is to be stored, and nothing else, until there is room again |
//! | `damage` | files that cannot be served are refused with a word on what to do |
//! | `hostile` | what the protocol has no place for, said to a server with a store |
//! | `ledger`, `load` | what was said, what of it was acknowledged, and who says it |
//! | `look` | what is there after a restart, compared with that |
//! | `trace`, `disk` | system calls of a process, and the files they come to |
//! | `setup`, `peers` | the server and its peers, who bear its end |
//!
//! The variable `FANWIRE_BIN` names another binary to test; `FANWIRE_CRASH_ROUNDS` and
//! `FANWIRE_CRASH_CUTS` say how often the process is killed and the power cut, `FANWIRE_CRASH_SEED`
//! where chance begins. With `FANWIRE_CRASH_ALL` set, what the machine does not allow is a failure;
//! else it is skipped, and said.
#![cfg(all(feature = "server", feature = "store"))]
#![allow(
    clippy::disallowed_methods,
    reason = "threads, real time and waiting for it are what these tests are about"
)]

mod damage;
mod disk;
mod full;
mod hostile;
mod killed;
mod ledger;
mod load;
mod look;
mod peers;
mod power;
mod setup;
mod trace;
mod volume;

#[path = "../server/client.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod client;
#[path = "../it/http.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod http;
#[path = "../server/process.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod process;
#[path = "../it/signature.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod signature;
#[path = "../it/websocket.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod websocket;
