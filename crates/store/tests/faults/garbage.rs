//! A directory of any bytes: an answer or a refusal, never a panic.

use leveret_model::Seed;
use leveret_store::FileName;
use leveret_store::simdisk::{DiskFaults, SimDisk};
use proptest::prelude::*;

use crate::found::{read_all, recover};
use crate::world::terms;

/// Names that a store knows, and one that it does not.
fn name() -> impl Strategy<Value = FileName> {
    let numbered = ["log-", "spare-", "segment-", "spill-", "snapshot-"];
    (0..6usize, 1..4u64, any::<bool>()).prop_map(move |(kind, number, first)| match numbered.get(kind) {
        Some(&"snapshot-") => {
            FileName::parse(&format!("snapshot-{number:016x}-{}", if first { 'a' } else { 'b' }))
        }
        Some(kind) => FileName::parse(&format!("{kind}{number:016x}")),
        None => FileName::parse("notes.txt"),
    })
}

/// Bytes that begin like something of the store, with lengths that are likely to be looked at.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![
        Just(b"LEVERLOG\x01\0\0\0".to_vec()),
        Just(b"LVBT\x01\0\0\0".to_vec()),
        Just(vec![64, 1, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]),
        Just(vec![1, 1, 0, 0, 255, 255, 255, 255]),
        Just(Vec::new()),
    ];
    (magic, proptest::collection::vec(any::<u8>(), 0..20_000))
        .prop_map(|(magic, rest)| [magic, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_bytes_give_an_answer(files in proptest::collection::vec((name(), content()), 0..8)) {
        let mut disk = SimDisk::new(Seed(1), 1 << 30, DiskFaults::default());
        for (name, bytes) in files {
            disk.put(name, bytes);
        }
        match recover(&mut disk, terms(1), true, None, None) {
            Some(Ok(recovered)) => {
                let found = read_all(&mut disk, recovered);
                prop_assert!(found.messages.is_empty(), "nobody wrote a message");
            }
            Some(Err(refusal)) => prop_assert!(!refusal.to_string().is_empty()),
            None => prop_assert!(false, "it did not end"),
        }
    }
}
