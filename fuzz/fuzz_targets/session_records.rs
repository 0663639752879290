//! The records of a peer about sessions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_sessions::fuzzing::records(bytes));
