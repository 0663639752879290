//! The machines of a shard, side by side.

use leveret_model::ShardAddress;

use crate::clients::{ClientMemory, Clients};
use crate::egress::Egress;
use crate::ingress::Ingress;
use crate::pressure::Throttled;
use crate::queues::Queues;
use crate::replies::Replies;
use crate::requests::{Requests, Rooms};
use crate::view::ClusterView;

/// Everything of a shard but its connections: a connection borrows these while it is itself borrowed. Each owns
/// its fields and knows none of the others; what needs several is given them.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) own: ShardAddress,
    pub(crate) view: ClusterView,
    pub(crate) clients: Clients,
    pub(crate) memory: ClientMemory,
    pub(crate) queues: Queues,
    pub(crate) ingress: Ingress,
    pub(crate) egress: Egress,
    pub(crate) requests: Requests,
    pub(crate) throttled: Throttled,
    pub(crate) replies: Replies,
}

impl Machines {
    /// The records of queues that have closed by themselves are deleted.
    pub(crate) fn delete_over(&mut self) {
        for (id, owner) in self.queues.take_over(&self.view) {
            self.requests.delete_record(id, owner);
        }
    }

    /// Requests, and the rooms that they go through.
    pub(crate) fn requests(&mut self) -> (&mut Requests, Rooms<'_>) {
        let Self { view, clients, queues, egress, requests, replies, .. } = self;
        (requests, Rooms { view, clients, queues, egress, replies })
    }
}
