//! What the doors of queues leave for later: which queues have work, and when some are due or over.

use alloc::vec::Vec;

use leveret_model::{Instant, QueueHandle, QueueId, RequestId};

use super::copy_rounds::Copying;
use super::exclusive::Exclusive;
use super::home::RememberedEntries;
use super::reads::Paging;
use super::remains::Superseded;
use super::timers::QueueTimers;

/// Queues that a later step of the turn, or a later turn, comes back to.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Messages and consumers with room.
    pub(super) dirty: Vec<QueueHandle>,
    /// Lanes that are owed a `Stored`.
    pub(super) owing: Vec<QueueHandle>,
    /// Queues that throttle their publishers, each once.
    pub(super) throttling: Vec<QueueHandle>,
    /// Queues that are frozen here and go to another home, each once.
    pub(super) leaving: Vec<QueueHandle>,
    /// Queues that are copied to their next homes, each once.
    pub(super) copying: Vec<Copying>,
    /// Queues that are deleted once their dead letters are out, each once.
    pub(super) closing: Vec<Closing>,
    /// All queues, after a change of policies.
    pub(super) policies: PolicyWalk,
    /// Messages that are paged out, and wanted back.
    pub(super) paging: Paging,
    /// What is left here of queues that other homes serve.
    pub(super) superseded: Superseded,
}

/// The times and the ends of the queues that are at home here.
#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    /// The time of this turn.
    pub(super) now: Instant,
    pub(super) timers: QueueTimers,
    pub(super) exclusive: Exclusive,
    /// Queues that are over by themselves: closed, and their records are to be deleted.
    pub(super) over: Vec<QueueHandle>,
    /// What all queues remember of messages that came lately.
    pub(super) remembered: RememberedEntries,
}

/// The walk over the table after a change of policies (`policies.rs`).
#[derive(Debug, Default)]
pub(super) struct PolicyWalk {
    /// The next slot of the table.
    pub(super) next: usize,
    /// Slots to look at still.
    pub(super) left: usize,
}

/// A closed queue whose answer to the control machine waits.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) request: RequestId,
    pub(super) queue: QueueId,
    /// Messages that were ready.
    pub(super) ready: u64,
}
