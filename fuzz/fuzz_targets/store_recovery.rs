//! The directory of a store, from records with checksums that fit down to bytes of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| leveret_store::fuzzing::recovery(bytes));
