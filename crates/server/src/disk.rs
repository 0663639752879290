//! The real disk: files that a store asks for, and the thread that runs the store.
//!
//! Read first: [`Files::execute`], which does what one operation says; then [`LogThread`]. Nothing here
//! decides: what failed is the store's to judge, and what is durable the store says.

mod files;
mod given_places;
mod log_thread;
mod messages;
mod node_store;

pub use files::Files;
pub use leveret_cluster::stored_name;
pub use log_thread::{LogInput, LogOutput, LogThread, SenderNumber, machine_time, open, recover};
pub(crate) use messages::{control_turn, of_shard, read_request, shard_turn, stored_messages};
pub(crate) use node_store::{FoundQueue, NodeStore, StoreGate, StoreReports, close};
