//! Replays the seeds of `fuzz/corpus/` through the functions that the fuzz targets call.

use std::path::Path;

use leveret_wire::fuzzing;

#[expect(clippy::disallowed_methods, reason = "the corpus is files")]
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        eprintln!("{}", path.display());
        check(&bytes);
        // and cut short, as a socket would have it
        (0..bytes.len().min(512)).for_each(|end| check(&bytes[..end]));
        seeds += 1;
    }
    assert!(seeds >= 10, "{} holds {seeds} seeds", folder.display());
}

#[test]
fn the_corpus_of_the_frame_target_breaks_no_promise() {
    replay("frame", fuzzing::frame);
}

#[test]
fn the_corpus_of_the_table_target_breaks_no_promise() {
    replay("table", fuzzing::table);
}
