//! The line about sessions.

use serde::Deserialize;

/// What a node keeps of the cluster's sessions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sessions {
    listen: String,
    connections: u64,
    /// Of the whole cluster.
    sessions: u64,
    /// Those whose state this node has.
    held: u64,
    memory: Memory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    used: u64,
    limit: u64,
}

impl Sessions {
    pub(super) fn line(&self) -> String {
        let Self { listen, connections, sessions, held, memory } = self;
        let (used, limit) = (memory.used >> 20, memory.limit >> 20);
        let listen = listen.escape_debug();
        format!(
            "  sessions on {listen}: {sessions}, {held} of them held here in {used} of {limit} MiB, {connections} connections\n"
        )
    }
}
