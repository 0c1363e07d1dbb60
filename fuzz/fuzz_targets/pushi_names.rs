//! Names, ids, sids and signatures of Pushi.
#![no_main]
use fanwire::dialect::pushi::fuzz::fuzz_names;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_names(data));
