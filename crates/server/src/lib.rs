//! The real driver: sockets, threads and clocks around the machines of a node.
//!
//! Read first: [`Node::start`], then `shard_thread.rs`, where bytes go in and out.
//!
//! ```text
//!   clients ─▶ control thread (accepts, hands out) ─▶ shard thread 0 … S-1   each: mio loop + Shard
//!   nodes   ─▶ control thread (authenticates)      ─▶ data links to shards; control links stay: Control
//!   threads talk by mailboxes (mailbox.rs), and count together in atomics (memory.rs, half_open.rs);
//!   passwords are hashed on threads of their own
//! ```
//! Nothing in here decides about queues, routes or members: it carries bytes and envelopes.

mod accept;
mod admin;
mod busy;
mod client_io;
mod client_log;
mod client_ports;
mod client_socket;
mod clock;
mod closing;
mod control_thread;
mod data_dir;
mod data_link;
mod default_user;
pub mod disk;
mod dns;
mod events;
mod half_open;
mod held_blocks;
mod identity;
mod join_report;
mod leave_desk;
mod link_stream;
mod links;
mod log_limits;
mod mailbox;
mod memory;
mod node;
mod node_config;
mod passwords;
mod proxied;
mod receive;
mod registries;
mod registry;
mod release;
mod session_image;
mod session_leave;
mod session_sockets;
mod shard_thread;
mod source_network;
mod start_error;
mod start_shards;
mod tsig_key;

pub use default_user::DefaultUser;
pub use join_report::{JoinReport, Peer};
pub use leave_desk::{Ending, Waiters};
pub use leveret_cluster::Left;
pub use leveret_sessions::{RuleError as SessionRuleError, Rules as SessionRules};
pub use node::{LeaveBy, Node};
pub use node_config::{ClientRules, Discovery, DnsUpdate, NodeConfig, ProcessWays, SessionSettings};
pub use source_network::SourceNetwork;
pub use start_error::StartError;
pub use tsig_key::TsigKey;

/// What a session is called where its key must not be seen: in `leveret session`. `None` if there is no such
/// database.
#[must_use]
pub fn session_id(vhost: &str, database: u8, key: &str) -> Option<String> {
    let database = leveret_model::session::Database::new(database)?;
    Some(leveret_sessions::Place { vhost, database, key: key.as_bytes() }.hid().to_string())
}
