//! Why a node of this group did not take this node in. That is an answer: the cluster is there.

use core::fmt;

/// The reason, as far as it is known. A node that gets one does not serve alone: its cluster is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TurnAway {
    /// The cluster has `limits::NODES_MAX` nodes.
    Full,
    /// Another process runs under this node's identity.
    Clone,
    /// A node of this group is there, and one of the two has another secret.
    Secret,
    /// It hung up before it said anything.
    Unsaid,
}

impl fmt::Display for TurnAway {
    /// The end of a sentence that begins with the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the cluster is full",
            Self::Clone => "another process runs under this node's identity",
            Self::Secret => "it has another secret than this node",
            Self::Unsaid => "it hung up and gave no reason",
        })
    }
}
