//! What a shard's turns say to the log.

use leveret_model::Instant;
use leveret_shard::StoreRequest;

use super::ShardThread;
use crate::disk::{LogInput, shard_turn};

impl ShardThread {
    /// hot: a look if the turn changed nothing that lasts.
    pub(super) fn carry_to_store(&mut self, now: Instant) {
        if let Some(request) = self.effects.store.take() {
            self.hand_to_store(&request, now);
        }
    }

    /// The thread ends: gives the messages that are lost with it.
    pub(super) fn end(&mut self, now: Instant) -> u64 {
        if let Some(request) = self.shard.last_words() {
            self.hand_to_store(&request, now);
        }
        self.shard.messages()
    }

    /// Waits if the log thread has as much as it takes.
    #[cold]
    fn hand_to_store(&self, request: &StoreRequest, now: Instant) {
        let gate = &self.ways.store;
        let turn = shard_turn(request, &self.shard, &gate.clock, now);
        // a log that ended has stopped the process
        let _ = gate.inputs.send(LogInput::Turn(gate.sender, turn));
    }
}
