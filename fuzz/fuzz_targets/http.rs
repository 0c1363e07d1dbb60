//! Requests, whole and in pieces.
#![no_main]
use fanwire::transport::http::fuzz::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz(data));
