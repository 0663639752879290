//! The records of a peer's batch.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_link::fuzzing::batch(bytes));
