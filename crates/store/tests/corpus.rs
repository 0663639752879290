//! The seeds of the fuzz target whose check is in [`leveret_store::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_seeds_of_recoveries_break_no_promise() {
    replay::replay("store_recovery", leveret_store::fuzzing::recovery);
}
