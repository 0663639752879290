//! What names a queue, and a delivery of it, inside one shard.

use crate::{ConsumerNumber, Position};

/// A queue as the shard's table of queues knows it. Channels and route caches carry it around; only that table
/// reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QueueHandle {
    /// Index in the shard's table.
    pub slot: u32,
    /// Guards a reused slot.
    pub generation: u32,
}

/// A delivery that a channel holds until the client settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The queue it came from.
    pub queue: QueueHandle,
    /// Its place there.
    pub position: Position,
    /// The consumer it went to; [`ConsumerNumber::OF_GET`] for `basic.get`.
    pub consumer: ConsumerNumber,
}
