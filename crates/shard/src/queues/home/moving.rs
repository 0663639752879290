//! What a queue at home here does for its move: at the old home it is read, at the new one it is put together.

use alloc::vec::Vec;

use leveret_model::{ConsumerKey, Instant, LaneSequence, NodeId, Position, ShardAddress};
use leveret_queue::{Arena, LaneKey, OutOfPlace, QueueEntry};

use super::{AtHome, Home};

impl Home {
    /// Each lane with the last publish that was appended.
    pub(in super::super) fn lanes_through(&self) -> impl Iterator<Item = (LaneKey, LaneSequence)> + '_ {
        self.lanes.appended_through()
    }

    /// See [`leveret_queue::Lanes::are_stored`].
    pub(in super::super) fn lanes_are_stored(&self) -> bool {
        self.lanes.are_stored()
    }

    /// See [`leveret_queue::Lanes::restore`].
    pub(in super::super) fn restore_lane(&mut self, lane: LaneKey, last: LaneSequence) {
        self.lanes.restore(lane, last);
    }

    /// The queue moved to its publishers.
    pub(in super::super) fn forget_lanes_of(&mut self, shard: ShardAddress) {
        self.lanes.forget_shard(shard);
    }

    /// Every message leaves, and nobody is told.
    pub(in super::super) fn drop_messages(&mut self, arena: &mut Arena) {
        let _ = self.queue.drop_all(arena);
    }

    /// See [`leveret_queue::Queue::restore`].
    pub(in super::super) fn restore(&mut self, entry: QueueEntry, now: Instant) -> Result<(), OutOfPlace> {
        self.queue.restore(entry, now)
    }

    /// See [`leveret_queue::Queue::restore_next`].
    pub(in super::super) fn restore_next(&mut self, next: Position) -> Result<(), OutOfPlace> {
        self.queue.restore_next(next)
    }
}

impl AtHome<'_> {
    /// A shard has said all that it has of this queue since it moved. Gives the consumers that it may not have.
    pub(in super::super) fn reconcile_moved(&mut self, from: ShardAddress) -> Vec<ConsumerKey> {
        self.home.awaits.retain(|shard| *shard != from);
        self.change_consumers(|queue| queue.reconcile(from))
    }

    /// The queue moved here, and that shard has not looked for it here yet: what it says of its other queues
    /// does not concern this one.
    pub(in super::super) fn awaits(&self, from: ShardAddress) -> bool {
        self.home.awaits.contains(&from)
    }

    /// The nodes of shards that it waits for.
    pub(in super::super) fn awaited_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.home.awaits.iter().map(|shard| shard.node)
    }
}
