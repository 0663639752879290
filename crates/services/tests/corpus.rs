//! The seeds of the fuzz target whose check is in [`leveret_services::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_seeds_of_messages_break_no_promise() {
    replay::replay("announcement", leveret_services::fuzzing::message);
}
