//! Bytes to requests and texts, answers to bytes. No socket, no clock, no channel.

pub mod http;
pub mod rate;
pub mod websocket;
