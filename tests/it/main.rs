//! Behaviour tests: transcripts, bytes in and bytes out.
//!
//! | Module | What it is |
//! |---|---|
//! | `channelstream`, `better` | the tests: every recorded transcript, and what we do better |
//! | `transcript`, `replay`, `bindings` | the format, the replayer, placeholders and matchers |
//! | `session` | the system under test as a client sees it; `memory`, `tcp`, `parrot` are such |
//! | `http`, `websocket`, `signature`, `json` | the client's side of the wire, over bytes |
//!
//! # To be switched on
//!
//! The engine and the server are being written. Until they are there, what needs them is compiled
//! out, in the places marked `SWITCH ON WITH THE ENGINE` and `SWITCH ON WITH THE SERVER`: take the
//! `#[cfg(any())]` below each of them away. No test is ignored in silence: those that run test the
//! replayer, those that do not run do not exist yet.

mod better;
mod bindings;
mod channelstream;
mod http;
mod json;
mod memory;
mod parrot;
mod replay;
mod session;
mod signature;
mod tcp;
mod transcript;
mod websocket;

#[cfg(test)]
mod double;

// SWITCH ON WITH THE ENGINE
#[cfg(any())]
mod engine;

// SWITCH ON WITH THE SERVER
#[cfg(any())]
#[cfg(feature = "server")]
mod server;
