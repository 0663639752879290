//! The file of the last node's sessions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_sessions::fuzzing::image(bytes));
