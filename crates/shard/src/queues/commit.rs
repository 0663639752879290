//! The commit point: appended is not stored.
//!
//! A persistent message of a durable queue is *appended* at once, so that consumers may have it, and *stored*
//! when the store says that it has synced it. Only then is its publisher answered: a confirm here, a `Stored`
//! record over a lane. All that is appended in one turn shares a [`StoreMark`]; the turn's end hands it to the
//! store as one request.
//!
//! A store in memory has stored what is appended ([`Store::Memory`]): nothing waits, and this machine stays
//! empty.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::{Position, QueueHandle, QueueId, StoreMark, Stored};
use leveret_queue::{Arena, MessageRef};

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
    /// Messages that the store may still read, each with a reference of its own.
    held: VecDeque<(StoreMark, MessageRef)>,
    /// Publishes of this shard whose answer waits, in the order of their marks.
    waiting: VecDeque<(StoreMark, Answered)>,
    /// Queues with lanes whose answers wait; one may be named twice.
    lanes: Vec<QueueHandle>,
}

impl Commits {
    /// The planted bug: everything counts as stored when it is appended.
    #[cfg(feature = "planted")]
    pub(super) fn plant(&mut self, bug: crate::planted::Planted) {
        if bug == crate::planted::Planted::ConfirmOnAppend {
            self.store = Store::Memory;
        }
    }

    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            next: StoreMark(1),
            appends: Vec::new(),
            held: VecDeque::new(),
            waiting: VecDeque::new(),
            lanes: Vec::new(),
        }
    }

    /// A message that must be stored was appended. It stays in the arena until the store has it, though it may
    /// leave the queue before. hot.
    #[inline]
    pub(super) fn append(
        &mut self,
        queue: QueueId,
        position: Position,
        message: MessageRef,
        arena: &mut Arena,
    ) -> Stored {
        if self.store == Store::Memory {
            return Stored::Now;
        }
        arena.retain(message, 1);
        self.held.push_back((self.next, message));
        self.appends.push(StoreAppend { queue, position, message });
        Stored::At(self.next)
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

    /// The store has read what it was handed up to this.
    pub(super) fn release(&mut self, through: StoreMark, arena: &mut Arena) {
        while let Some((_, message)) = self.held.pop_front_if(|(mark, _)| *mark <= through) {
            arena.release(message);
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
