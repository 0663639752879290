//! The seeds of the fuzz target whose check is in [`leveret_amqp::fuzzing`].

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_seeds_of_sessions_break_no_promise() {
    replay::replay("session", leveret_amqp::fuzzing::session);
}
