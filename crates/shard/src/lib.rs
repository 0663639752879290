//! The data-plane machine of one core: connections, queues and what goes between shards.
//!
//! Read first: [`Shard`] (the doors, the machines behind them), `turn.rs` (the order of a turn's end), then one
//! room:
//!
//! | room | what it owns |
//! |---|---|
//! | `queues/` | the one door to a queue, here or elsewhere; lanes, the commit point, what came early |
//! | `ingress/` | publishes: route cache, answers owed, publishes that are held |
//! | `egress/` | deliveries: consumers of this shard, windows, pauses |
//! | `requests/` | operations: command or question, what waits, answers |
//! | `peers/` | outboxes to other shards, under credit |
//! | `replies.rs` | direct reply-to: addresses of consumers of replies, and what goes to them |
//! | `clients/` | connections, who they are, what they keep in memory |
//! | `pressure/` | who waits because memory is short |
//! | `sessions/` | RESP connections, and the machines of sessions that this shard keeps |
//! | `view.rs` | what the shard knows of the cluster, and its lease |
//!
//! ```text
//!            on_bytes                      on_batch (ring or link)
//!               │                               │
//!        amqp::Connection                   records.rs
//!               │ Host (clients/host.rs)        │
//!               ▼                               ▼
//!   ingress ─ route ─▶ queues ──▶ AtHome (here) or outbox (elsewhere)
//!                         │ end_turn: dispatch
//!                         ▼
//!                 egress ──▶ connection's output, or outbox
//! ```
//! Invariants
//! - *Turn*: nothing leaves before [`Shard::end_turn`]; then each touched socket, ring and link gets one write.
//! - *Order*: publishes of one channel reach one queue in order: a channel whose publish waits has all behind
//!   it wait, a lane sends again in order, the home appends in order.
//! - *One answer*: each publish in confirm mode and each operation is answered once, by its number.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod bounds;
mod clients;
mod control_mail;
mod effects;
mod egress;
mod host;
mod ingress;
mod machines;
mod memory;
mod peers;
#[cfg(feature = "planted")]
mod planted;
mod pressure;
mod queues;
mod records;
mod replies;
mod report;
mod requests;
mod sessions;
mod shard;
mod turn;
mod view;
mod watch;

#[cfg(feature = "planted")]
pub use leveret_queue::Planted as PlantedInQueue;
#[cfg(feature = "planted")]
pub use planted::Planted;

pub use bounds::{Bounds, Long};
pub use effects::{
    ChannelRefusal, ChannelRefusals, Effects, HeldBack, PasswordJob, StoreAppend, StoreLeft, StoreRead,
    StoreRequest, SubstitutedQueue,
};
pub use pressure::Pressure;
pub use queues::{DeadLettered, Store, StoredMessage};
pub use records::BatchError;
pub use report::{
    ConnectionReport, ExclusiveReport, QueueCounts, QueueReport, ReportFrom, Routes, ShardReport, Traffic,
};
pub use sessions::{
    SESSION_SLOTS, SessionConfig, SessionInterest, SessionMail, SessionReport, SessionSelection,
    SessionShared, SessionSurvey, SessionTally, SessionTarget, session_shard,
};
pub use shard::{Caller, ReadInterest, Shard, ShardConfig};
pub use watch::{Fullest, Routed};
