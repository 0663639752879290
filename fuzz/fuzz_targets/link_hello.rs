//! A stranger's handshake on the cluster port.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_link::fuzzing::hello(bytes));
