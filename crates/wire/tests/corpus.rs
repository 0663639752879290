//! The seeds of the fuzz targets whose checks are in [`leveret_wire::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

use leveret_wire::fuzzing;
use replay::replay;

#[test]
fn the_seeds_of_frames_break_no_promise() {
    replay("frame", fuzzing::frame);
}

#[test]
fn the_seeds_of_tables_break_no_promise() {
    replay("table", fuzzing::table);
}

#[test]
fn the_seeds_of_contents_break_no_promise() {
    replay("content", fuzzing::content);
}
