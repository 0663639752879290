//! What follows a frame's head: content headers, methods, settlements.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_wire::fuzzing::content(bytes));
