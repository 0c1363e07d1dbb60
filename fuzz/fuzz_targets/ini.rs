//! Settings in the original's format.
#![no_main]
use fanwire::options::fuzz_ini;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_ini(data));
