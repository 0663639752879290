//! Sessions: every node knows where each one is, and a logout stays one.
//!
//! Pure: time, commands, records of peers, members and leases come in, answers, records and events go out.
//! Read first: [`Sessions`], then `draft.rs` (what commands make of a state) and `home.rs` (how that is
//! carried out). Rules S1 to S10 and CLAIM are explained where they are kept.
//!
//! ```text
//!   client ─▶ requests.rs ─ home here ─▶ draft.rs, home.rs ─▶ copy_out, GONE, CLAIM (election.rs)
//!                 │  home elsewhere                                   │
//!                 ├─ LOAD to home and replicator                     acks, votes
//!                 └─ FORWARD to the home                              ▼
//!             pending.rs holds what waits ◀──────────────────── records_in.rs
//! ```
//! Invariants
//! - *One writer*: of one life at most one node is home and may say so (S1, CLAIM).
//! - *Everywhere before ok*: a birth is answered when every counted node voted, a destroy when every one has
//!   it (S2).
//! - *Answered = copied*: a commit is answered, and shown, when the replicator has it (S3).
//! - *Never a false nil*: without the session lease (`sync.rs`) nothing is said.
//! - *Gone stays gone* (S5, `gone.rs`).
//!
//! How a shard joins it with `resp`
//! - One [`Sessions`] a shard. A key's machine is on the shard [`Place::hid`]`.bucket() % shards`; a request
//!   for another one goes there by ring, and its answer comes back with the [`Asker`].
//! - `resp::Host::execute` calls [`Sessions::on_request`]; `Some` is returned at once, `None` means that
//!   [`Effects::answers`] will have it. `execute_block` is the same with `block`.
//! - `resp::Host::walk` calls [`Sessions::walk`], and goes on at the shard that keeps the slot that it gives,
//!   until there are keys enough or no slot is left; `count` adds [`Sessions::count`] over the shards;
//!   `flush` calls [`Sessions::flush`] on each.
//! - [`Sessions::on_time`] when [`Sessions::next_time`] is reached; [`Sessions::on_closed`] for each
//!   connection that ends.
//! - [`Clock::unix_ms`] is what `resp::Connection::on_bytes` is given, of the same turn, so that points in
//!   time that clients set come back exactly.
//!
//! How it joins the cluster
//! - [`Sessions::on_members`] with all other nodes whenever one changes, [`Sessions::on_lease`] with
//!   membership's lease, of every turn *before* records and requests of that turn: who wakes late must lose
//!   the lease first.
//! - [`Effects::records`] go out in order, each to the shard of the node that keeps its bucket; what comes
//!   goes to [`Sessions::on_records`] with the node and boot of the link. [`Sessions::on_link`] for each new
//!   link, on both sides, before its first record.
//! - [`Sessions::leave`] when this node leaves; it may stop once [`Sessions::handover`] is over.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod attributes;
mod claims;
mod cluster;
mod command_bytes;
mod content;
mod copies;
mod copy;
mod draft;
mod effects;
mod election;
mod expired;
mod expiry;
mod fields;
pub mod fuzzing;
mod gone;
mod handover;
mod held;
mod hid;
mod home;
mod image;
mod joining;
mod list;
mod members;
mod membership_in;
mod moves;
mod pending;
mod planted;
mod readers;
mod record;
mod records_in;
mod redirects;
mod renames;
mod renaming;
mod requests;
mod retries;
mod rules;
mod sessions;
mod stamp;
mod states;
mod sync;
mod takeover;
mod time;
mod token;
mod uses;
mod walk;
mod writes;

pub use effects::{Asker, Effects, Event, EventKind, Outgoing, RENAME_PART, Request};
pub use expired::Expired;
pub use fields::Damage;
pub use held::HeldSession;
pub use hid::{Bucket, Hid, Place, Slot};
pub use image::{IMAGE_HEAD_BYTES, Image, ImageError, head as image_head};
pub use members::{Member, MemberState};
pub use moves::Handover;
#[cfg(feature = "planted")]
pub use planted::Planted;
pub use renaming::{RenameRequest, RenameStep, Renaming};
pub use requests::{encode_request, request_place};
pub use rules::{Rule, RuleError, Rules};
pub use sessions::{Config, Counters, Seen, Sessions, Sizes};
pub use stamp::Home;
pub use time::Clock;
pub use walk::Wanted;
