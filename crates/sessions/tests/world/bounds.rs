//! What is kept stays within what there is.

use crate::nodes::Nodes;

pub(crate) fn check(nodes: &Nodes) -> Result<(), String> {
    for (at, sessions) in nodes.sessions() {
        let sizes = sessions.sizes();
        if sizes.states > sizes.list + 64 || sizes.waiting > 4_000 || sizes.gone > 1_000 {
            return Err(format!("node {at} at {} ms keeps {sizes:?}", nodes.now_ms()));
        }
    }
    Ok(())
}
