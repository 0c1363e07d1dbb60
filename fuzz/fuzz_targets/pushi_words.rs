//! What clients of Pushi say.
#![no_main]
use fanwire::dialect::pushi::fuzz::fuzz_words;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_words(data));
