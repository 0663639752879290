//! Batches of records that come over data links: for this shard, or for another one of the node.

use leveret_link::Batch;
use leveret_link::sessions::SessionNumber;
use leveret_model::{Boot, Instant, ShardAddress};
use tracing::field::display;
use tracing::{info, warn};

use super::{ShardThread, ToShardThread, Waits};
use crate::control_thread::ToControl;
use crate::data_link::Lost;

impl ShardThread {
    pub(super) fn take_batch(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        session: SessionNumber,
        batch: &Batch,
    ) {
        if let Err(error) = self.shard.on_batch(from, boot, batch) {
            let name = self.shard.node_name(from.node).map(display);
            warn!(%error, node = %from.node, name, "a peer's batch is not believed; its links are closed");
            self.ways.control.send(ToControl::SessionLost { node: from.node, session });
        }
    }

    /// Reads what peers sent. A peer may send a batch because of what this node's control thread told it after
    /// it had told this shard, so mail that is there when a batch has been read is taken before the batch.
    pub(super) fn read_links(&mut self, now: Instant, waits: &Waits) {
        let own = self.own;
        while let Some(arrived) = self.links.read() {
            self.take_mail(now, waits);
            match arrived {
                Ok(arrived) if arrived.to == own.shard => {
                    if let Some((boot, session)) = self.arrivals.current(arrived.from.node) {
                        self.take_batch(arrived.from, boot, session, &arrived.batch);
                    }
                }
                Ok(arrived) => {
                    if let Some(shard) = self.ways.shards.get(usize::from(arrived.to.0)) {
                        let (from, session) = (arrived.from, arrived.session);
                        shard.send(ToShardThread::Relayed { from, session, batch: arrived.batch });
                    }
                }
                Err(lost) => self.lose_session(lost),
            }
        }
    }

    pub(super) fn lose_session(&self, Lost { node, session, error }: Lost) {
        info!(%node, name = self.shard.node_name(node).map(display), %error, "a data link ended");
        self.ways.control.send(ToControl::SessionLost { node, session });
    }
}
