//! What a shard's turns say to the log.

use leveret_model::Instant;
use leveret_shard::{StoreRead, StoreRequest};
use leveret_store::ReadAnswer;

use super::ShardThread;
use crate::disk::{LogInput, of_shard, read_request, shard_turn, stored_messages};

impl ShardThread {
    /// hot: a look if the turn changed nothing that lasts.
    pub(super) fn carry_to_store(&mut self, now: Instant) {
        if let Some(request) = self.effects.store.take() {
            self.hand_to_store(&request, now);
        }
        for read in std::mem::take(&mut self.effects.reads) {
            self.ask_store(read);
        }
    }

    /// Behind all that was handed over.
    #[cold]
    fn ask_store(&self, read: StoreRead) {
        let request = read_request(self.own.shard, read);
        // a log that ended has stopped the process
        let _ = self.ways.store.inputs.send(LogInput::Read(request));
    }

    /// The log thread answered a read of this shard.
    pub(super) fn take_read(&mut self, answer: &ReadAnswer, now: Instant) {
        let messages = stored_messages(answer, self.ways.store.clock.at(now));
        self.shard.on_read(of_shard(answer.id).1, &messages, answer.next);
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
