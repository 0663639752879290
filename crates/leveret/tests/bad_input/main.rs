//! Bad and greedy clients and peers against a node as a child process. Read first: [`bystander`].
//!
//! Each case gets the reply that RabbitMQ gives, or before the login a drop, and a line in the node's log; and
//! the bystander, which publishes and consumes all the while, is served on. Nothing sleeps, and no time is
//! judged: what is waited for is a reply, a line, a state in `status` or the end of a connection.

mod absent;
mod bystander;
mod cluster_port;
mod crowds;
mod floods;
mod handshakes;
mod node;
mod protocol;

mod speaker;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longer than any answer may take, even on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test runs: each takes the descriptors and the memory of a machine that need not be
/// large. One that failed leaves nothing behind that the next could trip over.
fn my_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
