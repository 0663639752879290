//! Bad and greedy clients and peers against a node as a child process. Read first: [`bystander`].
//!
//! Each case gets the reply that RabbitMQ gives, or before the login a drop, and a line in the node's log; and the
//! bystander, who publishes and consumes all the while, hardly notices. The tests take turns: what one of them floods
//! would be another one's latency. Nothing sleeps: what is waited for is a reply, a line or the end of a connection.

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
const PATIENCE: Duration = Duration::from_secs(30);

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test runs. One that failed leaves nothing behind that the next could trip over.
///
/// The bar is for the node, not for what else this machine does meanwhile: whoever may, goes before other programs. The
/// threads and processes that the caller starts inherit that. What it takes away is the machine's part: on two cores that
/// compiled all the while, the largest p99 of the reference (see [`bystander`]) was 39 ms without it and 8 ms with it.
fn my_turn() -> MutexGuard<'static, ()> {
    // Refused to all but root, and then it has to do without.
    let _ = rustix::process::setpriority_process(None, -15);
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
