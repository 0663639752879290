//! The way in: from a complete publish to the queues that it goes to, and back to its confirm.
//!
//! Read first: `publish.rs`, then `owed.rs`. Invariant (*order*): publishes of one channel reach one queue in order. A channel
//! whose publish is held has everything behind it wait.

mod owed;
mod publish;
mod routes;

pub(crate) use self::publish::{Ingress, Routing, may_publish};
pub(crate) use self::routes::ChannelState;
