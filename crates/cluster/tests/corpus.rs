//! The seeds of the fuzz target whose check is in [`leveret_cluster::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_seeds_of_control_frames_break_no_promise() {
    replay::replay("control_frame", leveret_cluster::fuzzing::control_frame);
}
