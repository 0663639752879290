//! The commit point: appended is not stored.
//!
//! A persistent message of a durable queue is *appended* at once, so that consumers may have it, and *stored*
//! when the store says that it has synced it. Only then is its publisher answered: a confirm here, a `Stored`
//! record over a lane. All that is appended in one turn shares a [`StoreMark`]; the turn's end hands it to the
//! store as one request.
//!
//! A store in memory has stored what is appended ([`Store::Memory`]): nothing waits, and this machine stays
//! empty.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use leveret_model::{Instant, Position, QueueHandle, QueueId, StoreMark, Stored, Terms};
use leveret_queue::{Arena, MessageRef, StoredEntry};

use super::publisher::Answered;
use crate::effects::{StoreAppend, StoreLeft, StoreRequest};

/// Who keeps the messages that are to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// Memory alone: what is appended is as safe as it gets.
    #[default]
    Memory,
    /// The driver: it gets a [`StoreRequest`] at the end of a turn and answers by `Shard::on_stored`.
    Driver,
}

/// What the disk has of a queue.
#[derive(Debug, Default)]
pub(super) struct RecoveredQueue {
    /// The last place that was ever given to a message there.
    pub(super) last: Position,
    /// Another home has had all below this place.
    pub(super) shared_below: Position,
    pub(super) entries: Vec<StoredEntry>,
}

/// What is appended and not stored.
#[derive(Debug)]
pub(super) struct Commits {
    store: Store,
    /// The mark of what is appended in this turn.
    next: StoreMark,
    /// The last mark with messages that was handed over.
    appended: StoreMark,
    /// Up to which mark all is synced.
    synced: StoreMark,
    appends: Vec<StoreAppend>,
    /// What leaves for the store in this turn: nobody waits for that.
    left: Vec<StoreLeft>,
    forgotten: Vec<QueueId>,
    /// What it had of queues at the start that have not opened yet.
    recovered: BTreeMap<QueueId, RecoveredQueue>,
    /// Messages that the store may still read; in the arena each has its hold.
    held: VecDeque<(StoreMark, MessageRef)>,
    /// Publishes of this shard whose answer waits, in the order of their marks.
    waiting: VecDeque<(StoreMark, Answered)>,
    /// Queues with lanes whose answers wait, each once (`Lanes::appended`).
    lanes: Vec<QueueHandle>,
    /// The planted bug: nobody waits for the store.
    #[cfg(feature = "planted")]
    hasty: bool,
}

impl Commits {
    /// The planted bug: everything counts as stored when it is appended.
    #[cfg(feature = "planted")]
    pub(super) fn plant(&mut self, bug: crate::planted::Planted) {
        match bug {
            crate::planted::Planted::ConfirmOnAppend => self.store = Store::Memory,
            crate::planted::Planted::ConfirmBeforeSync => self.hasty = true,
            _ => {}
        }
    }

    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            next: StoreMark(1),
            appended: StoreMark(0),
            synced: StoreMark(0),
            appends: Vec::new(),
            left: Vec::new(),
            forgotten: Vec::new(),
            recovered: BTreeMap::new(),
            held: VecDeque::new(),
            waiting: VecDeque::new(),
            lanes: Vec::new(),
            #[cfg(feature = "planted")]
            hasty: false,
        }
    }

    /// A message that must be stored was appended. It stays in the arena until the store has it, though it may
    /// leave the queue before. hot.
    #[inline]
    pub(super) fn append(
        &mut self,
        (queue, position): (QueueId, Position),
        (message, expires): (MessageRef, Instant),
        arena: &mut Arena,
    ) -> Stored {
        if self.store == Store::Memory {
            return Stored::Now;
        }
        arena.hold(message);
        self.held.push_back((self.next, message));
        self.appends.push(StoreAppend { queue, position, message, expires });
        #[cfg(feature = "planted")]
        if self.hasty {
            return Stored::Now;
        }
        Stored::At(self.next)
    }

    /// When all is stored that was appended so far.
    pub(super) fn all_stored(&self) -> Stored {
        if !self.appends.is_empty() {
            Stored::At(self.next)
        } else if self.appended > self.synced {
            Stored::At(self.appended)
        } else {
            Stored::Now
        }
    }

    /// A message leaves a durable queue for whatever reason. Its removal is durable later, and never undone.
    /// hot: for queues that are durable.
    #[inline]
    pub(super) fn left(&mut self, queue: QueueId, position: Position, terms: Terms) {
        if self.store == Store::Driver && terms.persistent() {
            self.left.push(StoreLeft::Message { queue, position });
        }
    }

    /// A message came back to its queue, which counts that. The store knows whether it has that message.
    pub(super) fn returned(&mut self, queue: QueueId, position: Position, count: u32) {
        if self.store == Store::Driver {
            self.left.push(StoreLeft::Returned { queue, position, count });
        }
    }

    /// The node stops, and a queue has given places up to this one.
    pub(super) fn given(&mut self, queue: QueueId, last: Position) {
        if self.store == Store::Driver && last > Position(0) {
            self.left.push(StoreLeft::Given { queue, last });
        }
    }

    /// A copy of a queue that is on its way here is void: what the store has of it, of this try or of one
    /// before a restart, is forgotten.
    pub(super) fn forget_copy(&mut self, queue: QueueId) {
        if self.store == Store::Driver {
            self.appends.retain(|append| append.queue != queue);
            // the same places are used again by the next try, which may begin in this turn
            self.left.retain(|left| left.queue() != queue);
            self.forgotten.push(queue);
        }
    }

    /// What the disk has of a queue, until the directory says that it lives here.
    pub(super) fn recover(
        &mut self,
        queue: QueueId,
        (last, shared_below): (Position, Position),
        entries: Vec<StoredEntry>,
    ) {
        let recovered = self.recovered.entry(queue).or_default();
        (recovered.last, recovered.shared_below) = (last, shared_below);
        recovered.entries.extend(entries);
    }

    /// The queue opens, or is deleted.
    pub(super) fn take_recovered(&mut self, queue: QueueId) -> Option<RecoveredQueue> {
        if self.recovered.is_empty() { None } else { self.recovered.remove(&queue) }
    }

    /// What waits for the directory still: the next start is to know which of them were delivered.
    pub(super) fn note_recovered(&mut self) {
        let recovered = self.recovered.iter().flat_map(|(queue, found)| {
            let delivered = found.entries.iter().filter(|entry| entry.redelivered);
            delivered.map(|entry| StoreLeft::Returned {
                queue: *queue,
                position: entry.position,
                count: entry.returns,
            })
        });
        self.left.extend(recovered);
    }

    /// Messages are kept by a store that outlives the process.
    pub(super) fn has_store(&self) -> bool {
        self.store == Store::Driver
    }

    /// The answer to a publish waits for a mark.
    pub(super) fn wait(&mut self, mark: StoreMark, answered: Answered) {
        self.waiting.push_back((mark, answered));
    }

    /// Lanes into a queue wait, since now.
    pub(super) fn lanes_wait(&mut self, queue: QueueHandle) {
        self.lanes.push(queue);
    }

    /// The store has read what it was handed up to this.
    pub(super) fn release(&mut self, through: StoreMark, arena: &mut Arena) {
        while let Some((_, message)) = self.held.pop_front_if(|(mark, _)| *mark <= through) {
            arena.unhold(message);
        }
    }

    /// Answers that waited for a mark up to this.
    pub(super) fn synced(&mut self, through: StoreMark) -> impl Iterator<Item = Answered> + '_ {
        self.synced = self.synced.max(through);
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
        if self.appends.is_empty() && self.left.is_empty() && self.forgotten.is_empty() {
            return None;
        }
        if !self.appends.is_empty() {
            self.appended = self.next;
        }
        let request = StoreRequest {
            mark: self.next,
            appends: core::mem::take(&mut self.appends),
            forgotten: core::mem::take(&mut self.forgotten),
            left: core::mem::take(&mut self.left),
        };
        self.next = StoreMark(self.next.0 + 1);
        Some(request)
    }
}
