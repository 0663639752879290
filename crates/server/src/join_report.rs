//! Whom a node finds at its start, for people.

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name, for people.
    pub name: String,
    /// Where it listens for other nodes.
    pub address: String,
}

/// Whom a node found before it let clients in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinReport {
    /// The other nodes that count then, by name.
    pub peers: Vec<Peer>,
    /// Seeds that turned out to be this node itself.
    pub own_seeds: Vec<String>,
    /// Nobody was found, but somebody answered: who, and which group was looked for, in words.
    pub why_alone: Option<String>,
}
