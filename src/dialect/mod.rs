//! A protocol's words, mapped to the hub and back. One folder per protocol.

pub mod channelstream;
