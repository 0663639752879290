//! The answers of an HAProxy.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_door::fuzzing::haproxy_replies(bytes));
