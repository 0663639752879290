//! The seeds of the fuzz targets whose checks are in [`leveret_sessions::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

use leveret_sessions::fuzzing;
use replay::replay;

#[test]
fn the_seeds_of_records_break_no_promise() {
    replay("session_records", fuzzing::records);
}

#[test]
fn the_seeds_of_images_break_no_promise() {
    replay("session_image", fuzzing::image);
}
