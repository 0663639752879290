//! The seeds of the fuzz targets whose checks are in [`leveret_link::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

use leveret_link::fuzzing;
use replay::replay;

#[test]
fn the_seeds_of_hellos_break_no_promise() {
    replay("link_hello", fuzzing::hello);
}

#[test]
fn the_seeds_of_frames_break_no_promise() {
    replay("link_frame", fuzzing::frame);
}

#[test]
fn the_seeds_of_batches_break_no_promise() {
    replay("link_batch", fuzzing::batch);
}
