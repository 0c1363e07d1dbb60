//! The built binary as whoever runs it meets it: processes, signals, real sockets.
//!
//! | Module | What it shows |
//! |---|---|
//! | `original` | the settings of Channelstream do what they are there for |
//! | `start`, `stop`, `reload` | the life of the process, and what it says of itself |
//! | `tls` | all of it over TLS |
//! | `moved` | an installation of Pushi that moved here |
//! | `admin` | signing in, and what may be done then |
//! | `requests`, `sockets` | what bad, slow and odd peers get, over HTTP and WebSocket |
//! | `pressure` | those who do not read, who send rubbish, who are too many |
//! | `process`, `client` | the server and its peers as tests hold them |
//!
//! Each test has a process and a port of its own. The variable `FANWIRE_BIN` names another binary
//! to test, for example the release build.
#![cfg(feature = "server")]
#![allow(
    clippy::disallowed_methods,
    reason = "threads, real time and waiting for it are what these tests are about"
)]

mod admin;
mod client;
mod heads;
#[cfg(feature = "store")]
mod moved;
mod original;
mod pressure;
#[allow(dead_code, reason = "shared with tests/crash")]
mod process;
mod reload;
mod requests;
mod sockets;
mod start;
mod stop;
#[cfg(feature = "tls")]
mod tls;

#[path = "../it/http.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod http;
#[path = "../it/signature.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod signature;
#[path = "../it/websocket.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod websocket;
