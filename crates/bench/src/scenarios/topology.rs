//! What a round needs at the broker: queues, and an exchange in front of them. Deleted at the end, whatever
//! happens.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use anyhow::Result;

use crate::client::Client;
use crate::peer::Peer;

/// What exists at the broker because of this round. Deleted when dropped.
pub(super) struct Topology<'a> {
    /// At whom.
    pub(super) peer: &'a Peer,
    /// Names of the queues.
    pub(super) queues: Vec<String>,
    /// Name of the exchange.
    pub(super) exchange: Option<String>,
}

impl<'a> Topology<'a> {
    /// Names for a round; nothing is declared yet.
    pub(super) fn new(peer: &'a Peer, queues: u32, exchange: bool) -> Self {
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let (pid, round) = (std::process::id(), ROUND.fetch_add(1, SeqCst));
        let name = |n: u32| format!("bench.{pid}.{round}.{n}");
        Self {
            peer,
            queues: (0..queues).map(name).collect(),
            exchange: exchange.then(|| format!("bench.{pid}.{round}")),
        }
    }

    /// Deletes all and tells how many messages were left.
    pub(super) fn delete(&mut self) -> Result<u64> {
        let mut janitor = Client::connect(&self.peer.url, 0)?;
        janitor.open_channel(1)?;
        let mut left_over = 0;
        for queue in self.queues.drain(..) {
            left_over += u64::from(janitor.delete_queue(1, &queue)?);
        }
        if let Some(exchange) = self.exchange.take() {
            janitor.delete_exchange(1, &exchange)?;
        }
        janitor.close()?;
        Ok(left_over)
    }
}

impl Drop for Topology<'_> {
    fn drop(&mut self) {
        if !self.queues.is_empty() {
            // the round has failed already: its error is the one to be shown
            _ = self.delete();
        }
    }
}
