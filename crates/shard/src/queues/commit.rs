//! The commit point: appended is not stored.
//!
//! A persistent message of a durable queue is *appended* at once, so that consumers may have it, and *stored* when the store
//! says that it has synced it. Only then is its publisher answered: a confirm here, a `Stored` record over a lane. All that
//! is appended in one turn shares a [`StoreMark`]; the turn's end hands it to the store as one request.
//!
//! A store in memory has stored what is appended ([`Store::Memory`]): nothing waits, and this machine stays empty.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::{Position, QueueHandle, QueueId, StoreMark, Stored};
use leveret_queue::MessageRef;

use super::publisher::Answered;
use crate::effects::{StoreAppend, StoreRequest};

/// Who keeps the messages that are to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// Memory alone: what is appended is as safe as it gets.
    #[default]
    Memory,
    /// The driver: it gets a [`StoreRequest`] at the end of a turn and answers by `Shard::on_stored`.
    Driver,
}

/// What is appended and not stored.
#[derive(Debug)]
pub(super) struct Commits {
    store: Store,
    /// The mark of what is appended in this turn.
    next: StoreMark,
    appends: Vec<StoreAppend>,
    /// Publishes of this shard whose answer waits, in the order of their marks.
    waiting: VecDeque<(StoreMark, Answered)>,
    /// Queues with lanes whose answers wait; one may be named twice.
    lanes: Vec<QueueHandle>,
}

impl Commits {
    pub(super) fn new(store: Store) -> Self {
        Self { store, next: StoreMark(1), appends: Vec::new(), waiting: VecDeque::new(), lanes: Vec::new() }
    }

    /// A message that must be stored was appended. hot.
    #[inline]
    pub(super) fn append(&mut self, queue: QueueId, position: Position, message: MessageRef) -> Stored {
        match self.store {
            Store::Memory => Stored::Now,
            Store::Driver => {
                self.appends.push(StoreAppend { queue, position, message });
                Stored::At(self.next)
            }
        }
    }

    /// The answer to a publish waits for a mark.
    pub(super) fn wait(&mut self, mark: StoreMark, answered: Answered) {
        self.waiting.push_back((mark, answered));
    }

    /// Lanes into a queue wait.
    pub(super) fn lanes_wait(&mut self, queue: QueueHandle) {
        if self.lanes.last() != Some(&queue) {
            self.lanes.push(queue);
        }
    }

    /// Answers that waited for a mark up to this.
    pub(super) fn synced(&mut self, through: StoreMark) -> impl Iterator<Item = Answered> + '_ {
        let count = self.waiting.partition_point(|(mark, _)| *mark <= through);
        self.waiting.drain(..count).map(|(_, answered)| answered)
    }

    /// Queues whose lanes wait, to be asked.
    pub(super) fn take_lanes(&mut self) -> Vec<QueueHandle> {
        core::mem::take(&mut self.lanes)
    }

    /// What the turn appended, for the store. hot.
    #[inline]
    pub(super) fn end_turn(&mut self) -> Option<StoreRequest> {
        if self.appends.is_empty() {
            return None;
        }
        let request = StoreRequest { mark: self.next, appends: core::mem::take(&mut self.appends) };
        self.next = StoreMark(self.next.0 + 1);
        Some(request)
    }
}
