//! Behaviour tests: transcripts, bytes in and bytes out.
//!
//! | Module | What it is |
//! |---|---|
//! | `channelstream`, `better` | the tests: every recorded transcript, and what we do better |
//! | `heads` | the tests of what is judged by a request's head, before its body is taken |
//! | `gets` | the tests of what is asked for with GET, in every split |
//! | `bridge` | the tests of two protocols in one app, and apart |
//! | `held` | the tests of answers that are given after a while |
//! | `pusher` | the tests of Pusher's protocol: stories, each in every split and over real sockets |
//! | `pushi` | the tests of Pushi's protocol: the transcripts and stories, likewise |
//! | `heartbeat` | the pace of an open socket |
//! | `transcript`, `replay`, `bindings` | the format, the replayer, placeholders and matchers |
//! | `session` | the system under test as a client sees it; `memory`, `tcp`, `parrot` are such |
//! | `client` | a socket that is open, and requests one after the other |
//! | `kept` | an engine in memory with a store behind it |
//! | `http`, `websocket`, `signature`, `json` | the client's side of the wire, over bytes |

mod better;
mod bindings;
mod channelstream;
mod client;
mod http;
mod json;
mod kept;
mod memory;
mod openapi;
mod parrot;
mod pusher;
mod pushi;
mod replay;
mod session;
mod signature;
mod tcp;
mod transcript;
mod websocket;

#[cfg(test)]
mod double;

mod bridge;
mod engine;
mod gets;
mod heads;
mod heartbeat;
mod held;

#[cfg(feature = "server")]
mod server;
