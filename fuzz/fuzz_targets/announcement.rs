//! A message on the exchange of services.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_services::fuzzing::message(bytes));
