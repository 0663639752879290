//! Sessions: every node knows where each one is, and a logout stays one.
//!
//! Pure: time, commands, records of peers, members and leases come in, answers, records and events go out.
//! Read first: [`Sessions`], then `draft.rs` (what commands make of a state) and `home.rs` (how that is
//! carried out). Rules S1 to S10 and CLAIM are explained where they are kept.
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
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod copy;
mod draft;
mod effects;
mod expiry;
mod fields;
mod gone;
mod hid;
mod home;
mod image;
mod list;
mod readers;
mod rules;
mod sessions;
mod stamp;
mod states;
mod time;
mod walk;

pub use effects::{Asker, Effects, Event, EventKind, Request};
pub use fields::Damage;
pub use hid::{Bucket, Hid, Place, Slot};
pub use image::{IMAGE_HEAD_BYTES, Image, ImageError, head as image_head};
pub use rules::{Rule, RuleError, Rules};
pub use sessions::{Config, Counters, Sessions, Sizes};
pub use stamp::Home;
pub use time::Clock;
pub use walk::Wanted;
