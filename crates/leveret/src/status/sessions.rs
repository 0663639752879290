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
    handover: Handover,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    used: u64,
    limit: u64,
}

/// While the node leaves.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Handover {
    left: u64,
    given: u64,
}

impl Sessions {
    pub(super) fn line(&self) -> String {
        let Self { listen, connections, sessions, held, memory, handover } = self;
        let (used, limit) = (memory.used >> 20, memory.limit >> 20);
        let listen = listen.escape_debug();
        let leaves = match handover {
            Handover { left: 0, given: 0 } => String::new(),
            Handover { left, given } => format!("; handing over: {given} are with other nodes, {left} to go"),
        };
        format!(
            "  sessions on {listen}: {sessions}, {held} of them held here in {used} of {limit} MiB, {connections} connections{leaves}\n"
        )
    }
}
