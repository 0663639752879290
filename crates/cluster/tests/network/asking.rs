//! What clients ask of nodes.

use std::time::Duration;

use leveret_model::directory::{Command, FromShard, Reply};
use leveret_model::{RequestId, ShardId};

use crate::world::{At, SHARDS, What, World, ms};

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
