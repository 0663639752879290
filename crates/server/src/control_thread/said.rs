//! What control says to shards, operators and other nodes once it may.

use leveret_model::ShardId;
use leveret_model::directory::ToShard;

use super::ControlThread;
use super::stored::Held;
use crate::shard_thread::ToShardThread;

impl ControlThread {
    pub(super) fn mail(&self, shard: ShardId, mail: ToShard) {
        if let Some(address) = self.shards.get(usize::from(shard.0)) {
            address.send(ToShardThread::Control(mail));
        }
    }

    /// So many turns are on the disk: what rests on them is said.
    pub(super) fn release_stored(&mut self, turns: u64) {
        while let Some(held) = self.stored.release(turns) {
            match held {
                Held::Mail(shard, mail) => self.mail(shard, mail),
                Held::Answer(request, reply) => self.operators.answer(request, reply),
                Held::Frame(link, frame) => self.links.send(link, &frame),
            }
        }
    }
}
