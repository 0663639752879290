//! The data-plane machine of one core: connections, queues and what goes between shards.
//!
//! Read first: [`Shard`] (the doors and the turn), then `publish.rs`, the way in, and `egress.rs`, the way out.
//!
//! ```text
//!            on_bytes                   on_batch (ring or link)
//!               │                            │
//!        amqp::Connection              home.rs, egress.rs
//!               │ Host (host.rs)             │
//!               ▼                            ▼
//!   publish.rs ─ route ─▶ queue (Here) or outbox (Shard, Node: forward.rs)
//!                              │ end_turn: dispatch
//!                              ▼
//!                 connection's output, or outbox
//! ```
//! Invariants
//! - *Turn*: nothing leaves before [`Shard::end_turn`]; then each touched socket, ring and link gets one write.
//! - *Order*: publishes of one channel reach one queue in order: a channel whose publish waits has all behind it wait,
//!   a lane sends again in order, the home appends in order.
//! - *One answer*: each publish in confirm mode and each operation is answered once, by its number.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod answers;
mod bounds;
mod broker;
mod commands;
mod connections;
mod control_mail;
mod early;
mod effects;
mod egress;
mod forward;
mod home;
mod host;
mod ingress;
mod kept;
mod operations;
mod outboxes;
mod pauses;
mod places;
#[cfg(feature = "planted")]
mod planted;
mod pressure;
mod publish;
mod purges;
mod records;
mod report;
mod requests;
mod resubscribe;
mod shard;
mod subscribed;
mod turn;
mod watch;

#[cfg(feature = "planted")]
pub use leveret_queue::Planted as PlantedInQueue;
#[cfg(feature = "planted")]
pub use planted::Planted;

pub use bounds::{Bounds, Long};
pub use effects::{ChannelRefusal, ChannelRefusals, Effects, PasswordJob};
pub use pressure::Pressure;
pub use records::BatchError;
pub use report::{ConnectionReport, QueueReport, Routes, ShardReport, Traffic};
pub use shard::{Caller, ReadInterest, Shard, ShardConfig};
pub use watch::{Fullest, Routed};
