//! The control machine of a node: membership, lease, directory.
//!
//! Read first: [`Control`], its inputs and its parts; then `desk` and `command` (the phases of a client's
//! command), `directory` (records and what follows from them), `membership` (verdicts and the lease), `peers`
//! (frames). The rules R1 to R5 are explained where they are kept: R1 `directory/visible`, R2
//! `directory/proposal`, R3 `directory/merge`, R4 `membership/lease` and `membership/detector`, R5
//! `directory/choice`.
//!
//! Invariants: time and seeds are arguments; the same inputs give the same effects; each command is answered
//! once; a change reaches every shard in the same order; nothing is said without the lease.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod command;
mod control;
mod desk;
mod directory;
mod effects;
mod encoding;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "later-version")]
mod later_version;
mod membership;
mod moves;
mod peers;
mod planted;
mod refusal;
mod restored;
mod settle_inputs;
mod shard_changes;
mod status;
mod stored;

pub use control::{Config, Control};
pub use directory::map::Version;
pub use directory::unknown::UnknownKind;
pub use effects::{Effects, Event, LinkKey, SessionWish};
#[cfg(feature = "later-version")]
pub use later_version::{LATER_KIND, LATER_REGISTERS};
pub use membership::dial::DialFailure;
pub use membership::member::PeerHello;
pub use membership::{Standing, TurnAway};
pub use moves::Left;
pub use peers::forgetting::ForgetRefusal;
#[cfg(feature = "planted")]
pub use planted::Planted;
pub use status::{NodeStatus, QueueStatus, Status};
pub use stored::{StoreStep, stored_name, stored_shard};
