//! The queue machine of one shard: messages, ready and unacknowledged, consumers, dispatch, and both ends of a
//! lane.
//!
//! Read first: [`Queue`], then `queue/dispatch.rs`, where a message leaves. [`Arena`] holds the bytes of all
//! messages of the shard; a queue holds [`MessageRef`]s. [`Lanes`] (at the home) and [`OutLane`] (at the
//! ingress) know no queue and no link.
//!
//! Invariants, by name:
//! - *order*: a message keeps its [`Position`](leveret_model::Position) until it leaves; of the ready ones the
//!   lowest goes first.
//! - *one place*: a message of a queue is ready or unacknowledged, never both, never neither until it leaves.
//! - *credit*: a consumer never holds more than its prefetch, nor has more under way than its window (one
//!   message of any size may overdraw the bytes).
//! - *no connection*: a consumer is a key; output goes through [`Egress`].
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
mod lane;
mod out_lane;
mod planted;
mod queue;

pub use arena::{Arena, MessageRef, PageOut};
pub use lane::{LaneKey, LaneVerdict, Lanes};
pub use out_lane::OutLane;
#[cfg(feature = "planted")]
pub use planted::Planted;
pub use queue::{
    Cause, Delivered, Departure, DispatchOutcome, Egress, HeldPlace, Left, OutOfPlace, Queue, QueueCounts,
    QueueEntry, StoredEntry, SubscribeRefused, Subscription, Taken, WaitsForDisk, Window,
};
