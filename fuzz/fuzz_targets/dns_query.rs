//! A resolver's query.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_door::fuzzing::dns_query(bytes));
