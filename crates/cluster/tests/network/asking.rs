//! What clients ask of nodes, and what nodes read from their disks.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_cluster::StoreStep;
use leveret_model::directory::{Command, FromShard, Reply};
use leveret_model::{Instant, RequestId, ShardId};

use crate::world::{At, Node, SHARDS, What, World, ms};

impl Node {
    /// What these steps have left on a disk, for a start that knows nobody yet.
    pub fn read_disk(&mut self, now: Instant, steps: &[StoreStep]) {
        let (mut queues, mut registers) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                StoreStep::Queue { id, definition } => {
                    queues.insert(*id, definition.clone());
                }
                StoreStep::QueueGone { id } => {
                    queues.remove(id);
                }
                StoreStep::Register { kind, key, value } => {
                    registers.insert((*kind, key.clone()), value.clone());
                }
                StoreStep::RegisterGone { kind, key } => {
                    registers.remove(&(*kind, key.clone()));
                }
                StoreStep::Shared { .. } => {}
            }
        }
        let (queues, registers): (Vec<_>, Vec<_>) =
            (queues.into_values().collect(), registers.into_values().collect());
        if !queues.is_empty() || !registers.is_empty() {
            assert_eq!(self.control.restore(now, &queues, &registers), 0, "all can be read");
        }
        self.stored = steps.to_vec();
    }
}

impl World {
    /// A client of a node wants something.
    pub fn ask(&mut self, at: At, command: Command) -> RequestId {
        let node = &mut self.nodes[at];
        node.next_request += 1;
        let request = RequestId(node.next_request);
        node.asked.insert(request, (self.now, command.clone()));
        let shard = ShardId((node.next_request % u64::from(SHARDS)) as u8);
        self.push(self.now, What::FromShard { at, shard, mail: FromShard::Command { request, command } });
        request
    }

    /// The client that asked will be gone then.
    pub fn forget(&mut self, at: At, request: RequestId, after: Duration) {
        let shard = ShardId((request.0 % u64::from(SHARDS)) as u8);
        self.push(self.now + after, What::FromShard { at, shard, mail: FromShard::Forget { request } });
    }

    pub fn reply(&self, at: At, request: RequestId) -> Option<&Reply> {
        self.nodes[at].replies.get(&request).map(|(_, reply)| reply)
    }

    /// Asks and runs until the answer.
    pub fn ask_now(&mut self, at: At, command: Command) -> Reply {
        let request = self.ask(at, command);
        self.run_until(ms(10_000), |world| world.reply(at, request).is_some());
        self.reply(at, request).expect("is answered within 10 s").clone()
    }
}
