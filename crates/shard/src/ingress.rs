//! The way in: from a complete publish to the queues that it goes to, and back to its confirm.
//!
//! Read first: `publish.rs`, then `owed.rs`. Invariant (*order*): publishes of one channel reach one queue in
//! order. A channel whose publish is held has everything behind it wait.

mod cache;
mod copies;
mod missing;
mod owed;
mod publish;
mod replies;
mod rooms;
mod routes;

pub(crate) use self::cache::ChannelState;
pub(crate) use self::publish::{Ingress, may_publish};
pub(crate) use self::rooms::Routing;
