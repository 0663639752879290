//! Replays the seeds of `fuzz/corpus/` for one target through the function that the target calls. Tests of the
//! crates include this file, so that `cargo test` needs no fuzzer.

use std::path::Path;

/// Whole, and cut short, as a socket would have it.
#[expect(clippy::disallowed_methods, reason = "the corpus is files")]
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        eprintln!("{}", path.display());
        check(&bytes);
        (0..bytes.len().min(512)).for_each(|end| check(&bytes[..end]));
        seeds += 1;
    }
    assert!(seeds >= 3, "{} holds {seeds} seeds", folder.display());
}
