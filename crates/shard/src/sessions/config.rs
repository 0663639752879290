//! What the sessions of a shard are made of.

use alloc::sync::Arc;

use leveret_model::Name;
use leveret_sessions::{Home, Rules};

use super::shared::SessionShared;

/// What the sessions of a shard are told at their start.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// This node and its process.
    pub home: Home,
    /// The node's name for people.
    pub name: Name,
    /// Where clients of sessions reach it, `ADDR:PORT`.
    pub address: Name,
    /// Shards of the node.
    pub shards: u8,
    /// `session_memory`: bytes that the sessions of the whole node may take.
    pub memory_bytes: u64,
    /// `session_bytes_max`
    pub value_bytes_max: usize,
    /// `session_gone_for`, ms
    pub gone_for_ms: u64,
    /// `session_rule`
    pub rules: Rules,
    /// `session_copies`
    pub copies: u8,
    /// What the shards of the node share.
    pub shared: Arc<SessionShared>,
}
