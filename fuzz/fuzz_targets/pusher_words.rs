//! What clients of Pusher say.
#![no_main]
use fanwire::dialect::pusher::fuzz::fuzz_words;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_words(data));
