//! Channelstream's signatures and other texts of a request.
#![no_main]
use fanwire::dialect::channelstream::fuzz::fuzz_sign;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_sign(data));
