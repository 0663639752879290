//! Stores that answer when the test says so.

use leveret_model::ShardAddress;
use leveret_shard::{Store, StoreRequest};

use super::{Rig, users};

impl Rig {
    /// Shards whose messages are stored by [`Rig::sync`], not before.
    pub(crate) fn with_stores(shards: &[u8]) -> Self {
        let protocol = leveret_amqp::Config::new("0.1.0", "rig");
        Self::with_store(shards, protocol, users, Store::Driver)
    }

    /// What a shard handed to its store since the last [`Rig::sync`].
    pub(crate) fn unsynced(&self, at: ShardAddress) -> &[StoreRequest] {
        self.stores.get(&at).map_or(&[], Vec::as_slice)
    }

    /// The store of a shard has synced all that it was handed.
    pub(crate) fn sync(&mut self, at: ShardAddress) -> Vec<StoreRequest> {
        let requests = self.stores.remove(&at).unwrap_or_default();
        if let Some(last) = requests.last() {
            let now = self.now;
            let shard = self.shard(at);
            shard.begin_turn(now);
            shard.on_stored(last.mark);
        }
        self.run();
        requests
    }
}
