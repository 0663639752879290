//! A node that leaves is through within 10 s (S9), and then it is nobody's home.

use crate::nodes::Nodes;

/// A leave waits for a lease that was lost before it, and for answers to its clients.
const LEAVE_MS: u64 = 10_000;

pub(crate) fn check(nodes: &Nodes) -> Result<(), String> {
    match nodes.left.iter().find(|(took, still)| *took > LEAVE_MS || *still > 0) {
        Some((took, still)) => Err(format!("a leave took {took} ms, and {still} rows name the node still")),
        None => Ok(()),
    }
}
