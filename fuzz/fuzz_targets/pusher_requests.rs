//! Targets, names and signatures of Pusher's protocol.
#![no_main]
use fanwire::dialect::pusher::fuzz::fuzz_requests;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_requests(data));
