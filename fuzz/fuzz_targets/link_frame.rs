//! A peer's frames, with a checksum that fits and without.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_link::fuzzing::frame(bytes));
