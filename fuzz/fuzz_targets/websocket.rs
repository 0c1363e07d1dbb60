//! Frames of a client, whole and in pieces.
#![no_main]
use fanwire::transport::websocket::fuzz::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz(data));
