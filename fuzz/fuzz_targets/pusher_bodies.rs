//! What applications post in Pusher's protocol.
#![no_main]
use fanwire::dialect::pusher::fuzz::fuzz_bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies(data));
