//! The page of an httpd's balancer-manager.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_door::fuzzing::httpd_page(bytes));
