//! The store of a node: a write-ahead log with group commit, segments for what outlives it, snapshots,
//! recovery. Pure: it gives operations for a disk and takes their answers.
//!
//! Read first: docs/formats/store.md, which draws every byte; then [`Store`], [`Turn`] and, for a start,
//! [`Recovery`].
//!
//! ```text
//! shard: Turn ─ seal ─▶ ring ─▶ log thread: Store::append ─▶ end_turn ─▶ DiskOp ─▶ files ─▶ DiskDone ─▶
//! Store::on_done shard: confirms, up to the mark  ◀─ ring ─  Effect::Synced(mark)
//! ◀────────────────────────────────────────┘
//! ```
//!
//! # Who calls what
//!
//! **At a start**, the log thread:
//! 1. locks the directory against other processes, makes a [`Recovery`], executes its operations and hands the
//!    answers to [`Recovery::advance`] until there is a [`Recovered`] or a [`Refusal`] (one line for the log,
//!    exit);
//! 2. gives each shard the queues of its own ([`Recovered::queues`], [`Recovered::queue`]) and control the
//!    registers and marks; then [`Store::open`]. Every message of a recovered queue is ready and counts as
//!    delivered before, unless the last stop was clean; the shard reads it when a consumer comes near
//!    ([`ReadRequest`]);
//! 3. hands [`Store::clock`] to the shards: deadlines go to the disk as [`StoreTime`].
//!
//! **In a turn of a shard** (or of control, for registers): [`Turn::message`] when a persistent message is
//! appended to durable queues, *before* it is delivered to anybody; [`Turn::acked`] when it leaves for whatever
//! reason; marks of lanes ([`Turn::mark`]) beside the messages they are about. At the end of the turn
//! [`Turn::seal`] and one push to the ring. [`Store::append`] gives a mark, and the driver tells each shard how
//! many of its own turns are synced; what waits for the disk (confirms, `Stored`, declare-ok, tx.commit-ok)
//! waits for its turn. The shard needs no answer to an acknowledgement: it is durable later, and never undone.
//!
//! **In a turn of the log thread**: take answers ([`Store::on_done`]), turns ([`Store::append`], while not
//! [`Store::is_full`]), reads and spills; then once [`Store::end_turn`], execute the operations by lane, carry
//! the effects; sleep until [`Store::deadline`] or the next input. Each second [`Store::on_free_bytes`].
//!
//! **Memory**: a shard may drop its copy of a persistent message once the mark is synced, and [`Store::read`]s
//! it back by position. Transient messages it hands over as a [`Spill`], and drops them when
//! [`Effect::Spilled`] says so.
//!
//! **Damage**: a [`ReadAnswer`] names positions that cannot be read; the shard takes them out of its queue
//! without an acknowledgement, so that they stay on the list of damage.
//!
//! **A clean stop**: [`Store::close`], then turns until [`Effect::Closed`]. [`Effect::Fatal`]: the process
//! stops at once, with that line; nothing is tried again.
//!
//! Invariants, by name
//! - *synced*: what was appended before a mark that was said to be synced is there after any crash.
//! - *never back*: an acknowledgement that was synced is never undone.
//! - *whole turns*: after a crash a turn counts as a whole or not at all, and only if all turns before it do.
//! - *nothing silent* (P8): what is lost, cut off, unknown or repaired is in a [`Report`].
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

/// True if that bug was planted.
#[cfg(feature = "planted")]
macro_rules! plant {
    ($machine:expr, $bug:ident) => {
        $machine.planted == Some(crate::Planted::$bug)
    };
}
#[cfg(not(feature = "planted"))]
macro_rules! plant {
    ($machine:expr, $bug:ident) => {
        false
    };
}

mod batch;
mod catalog;
mod checkpoint;
mod clock;
mod contents;
mod counters;
mod disk;
mod extents;
mod fields;
mod frame;
#[cfg(feature = "simdisk")]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod inspection;
mod live_set;
mod log;
mod mover;
mod ops;
#[cfg(feature = "planted")]
mod planted;
mod reads;
mod record;
mod recovery;
mod report;
mod room;
#[cfg(feature = "simdisk")]
pub mod simdisk;
mod snapshot;
mod spills;
mod store;
mod turn;
mod window;

pub use batch::{BatchNumber, LogNumber, StoreId};
pub use clock::{MachineTime, Outage, StoreClock, StoreTime};
pub use contents::{QueueOnDisk, RegisterOnDisk};
pub use counters::Counters;
pub use disk::{Copy, DiskAction, DiskAnswer, DiskDone, DiskError, DiskOp, FileName, Lane, ListedFile, OpId};
pub use index::FileNumber;
pub use inspection::Inspection;
pub use log::Mark;
#[cfg(feature = "planted")]
pub use planted::Planted;
pub use reads::{ColdMessage, ReadAnswer, ReadId, ReadRequest};
pub use record::MessageTerms;
pub use recovery::{Recovered, Recovery, RecoveryTerms};
pub use report::{Refusal, Report};
pub use spills::{Spill, SpillId};
pub use store::{Effect, Effects, Store, StoreConfig};
pub use turn::{SealedTurn, Turn, TurnBody};
