//! Requests of applications to the API of Pushi: queries, JSON and forms.
#![no_main]
use fanwire::dialect::pushi::fuzz::fuzz_forms;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_forms(data));
