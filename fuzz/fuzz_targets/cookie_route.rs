//! A client's cookies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_door::fuzzing::cookie_route(bytes));
