//! Bugs for the simulator to find, chosen at run time; compiled in by the feature `planted` alone.

/// A bug of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What is requeued goes to the end.
    RequeueAtTail,
    /// What is requeued comes again in reverse order.
    RequeueReversed,
    /// A consumer with a prefetch above 10 gets nothing while it holds a message.
    StarvedHolder,
    /// One in ten deliveries without acknowledgement goes nowhere.
    DroppedUnacknowledged,
}
