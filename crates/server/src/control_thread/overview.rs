//! What the thread tells the admin socket of the node.

use leveret_model::{QueueId, limits};

use super::ControlThread;
use crate::admin::{NodeState, Overview};

impl ControlThread {
    fn state(&self) -> NodeState {
        if self.control.is_stopped() {
            NodeState::Stopped
        } else if self.operators.left.is_some() {
            NodeState::Leaving
        } else if self.client_ports.is_some() {
            NodeState::Joining
        } else {
            NodeState::Ready
        }
    }

    /// Said while no other node is known, dead or alive.
    pub(super) fn why_alone(&self) -> Option<String> {
        self.links.why_alone().filter(|_| self.control.nodes().is_empty())
    }

    pub(super) fn overview(&self, after: Option<QueueId>) -> Overview {
        Overview {
            state: self.state(),
            nodes: self.control.nodes(),
            queues: self.control.queues_after(after, limits::STATUS_PAGE_ENTRIES),
            renamed: self.teller.renamed(),
            // with the first page, for all
            policies: if after.is_none() { self.control.policies() } else { Vec::new() },
            unknown_records: self.control.unknown_records(),
            why_alone: self.why_alone(),
        }
    }
}
