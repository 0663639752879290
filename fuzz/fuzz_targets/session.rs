//! A client's bytes, from the first on, through the connection machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_amqp::fuzzing::session(bytes));
