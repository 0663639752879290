//! Exchanges, bindings, the queues of the cluster, and where a message goes.
//!
//! Each shard keeps a [`Table`] of its own. It takes [`Change`](leveret_model::directory::Change)s in order and emits
//! nothing: who may write and which record wins was decided before, by the control machine, which needs no table. Read first: [`Table::apply`], then [`Table::route`].
//!
//! ```text
//!   name ──▶ exchange ──index by kind──▶ binding ──▶ label (a queue's name) ──▶ the record that serves it
//!               ▲                           │
//!               └───── another exchange ◀───┘
//! ```
//! Invariants
//! - *Total*: every change can be applied in every state; an unknown or repeated one does nothing.
//! - *Labels*: a binding leads to a name, not to an incarnation. Of the records with that name the unmasked one that R3
//!   prefers takes the messages, so a merge's winner takes over the bindings by having the name.
//! - *Nothing missed*: a binding whose ends are not both known yet is kept, and routes as soon as they are.
//! - *Nothing dangling*: dropping an exchange, or the last record of a queue name, drops the bindings at it.
//! - *Generations*: whenever the result of [`Table::route`] changes for some key of an exchange, so has
//!   [`Table::generation_of`] that exchange, whichever exchange behind it the change was made at.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod bindings;
mod changes;
mod direct;
mod exchange;
mod fanout;
mod hashed;
mod headers;
mod policies;
mod queues;
mod random;
mod route;
mod slots;
mod stable_hash;
mod table;
#[cfg(test)]
mod tests;
mod topic;

pub use bindings::BindingRef;
pub use changes::Applied;
pub use exchange::{ExchangeId, validate_binding};
pub use headers::{Headers, MessageHeaders, NoHeaders};
pub use queues::QueueEntry;
pub use route::Match;
pub use table::{Table, VhostId};
