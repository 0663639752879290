//! The ways to other shards, of this node and others: one outbox each.

mod outbox;
mod outboxes;

pub(crate) use self::outboxes::{OutboxIndex, Outboxes};
