//! Purges that a shard of another node may ask for again, because the answer was lost with the link.
//!
//! A second purge would drop what was published meanwhile, and its count would not be the answer to what was
//! asked. So the home remembers what it answered, and says that again.

use alloc::collections::VecDeque;

use leveret_model::{RequestId, ShardAddress, limits};

/// Answered purges, the latest last.
#[derive(Debug, Default)]
pub(super) struct Purges {
    answered: VecDeque<(ShardAddress, RequestId, u64)>,
}

impl Purges {
    /// What was answered, if this request was.
    pub(super) fn answered(&self, from: ShardAddress, request: RequestId) -> Option<u64> {
        let same = |at: &&(ShardAddress, RequestId, u64)| (at.0, at.1) == (from, request);
        self.answered.iter().rev().find(same).map(|(.., messages)| *messages)
    }

    pub(super) fn note(&mut self, from: ShardAddress, request: RequestId, messages: u64) {
        if self.answered.len() >= limits::PURGES_KEPT {
            self.answered.pop_front();
        }
        self.answered.push_back((from, request, messages));
    }
}
