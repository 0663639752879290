//! The bytes of a field table.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_wire::fuzzing::table(bytes));
