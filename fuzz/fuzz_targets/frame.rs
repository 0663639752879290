//! A stream of frames: methods, content headers, protocol headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_wire::fuzzing::frame(bytes));
