//! Exchanges that choose one binding at random: `x-random`, and `x-local-random`, whose queues are those of
//! this node (RabbitMQ: for RPC, where an answer must not cross the network).

use core::cell::Cell;

use leveret_model::{Refusal, ReplyCode, Seed};

use crate::stable_hash::mix;

/// SplitMix64, seeded by the driver.
#[derive(Debug)]
pub(crate) struct Draws(Cell<u64>);

impl Draws {
    pub(crate) const fn new(seed: Seed) -> Self {
        Self(Cell::new(seed.0))
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        // the upper half of the product (Lemire); the bias is bound / 2^64
        ((u128::from(mix(state)) * bound as u128) >> 64) as usize
    }
}

/// Nothing but the queue counts (RabbitMQ's words).
pub(crate) fn validate(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() {
        return Ok(());
    }
    let text = alloc::format!("Non-empty binding '{}' key not permitted", key.escape_ascii());
    Err(Refusal::new(ReplyCode::PreconditionFailed, text))
}
