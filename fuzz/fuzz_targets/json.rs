//! Channelstream's bodies.
#![no_main]
use fanwire::dialect::channelstream::fuzz::fuzz_json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_json(data));
