//! A peer's control frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_cluster::fuzzing::control_frame(bytes));
