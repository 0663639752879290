//! Receive blocks that are full, and of which somebody still counts slices: large bodies in queues, mostly.
//!
//! A slice of 4 KiB holds its whole block. What is held so is counted here as far as it is known, and when it
//! is much more than the bodies in queues that it is held for, the shards copy those out (`Shard::own_bodies`),
//! and with them what connections keep: messages that are begun, output that is not read.
//!
//! Invariant: `bytes` is the sum of the blocks in `held`; one that nobody counts on is noticed when its turn
//! comes.

use std::collections::VecDeque;

use bytes::BytesMut;
use leveret_model::limits::BLOCKS_LOOKED_AT;

/// The blocks that one reader left behind.
#[derive(Debug, Default)]
pub(crate) struct HeldBlocks {
    /// Each with its size.
    held: VecDeque<(BytesMut, usize)>,
    bytes: u64,
}

impl HeldBlocks {
    /// A block of that size in which there is no room left. Others may count slices of it.
    pub(crate) fn leave(&mut self, mut block: BytesMut, size: usize) {
        self.look();
        block.clear();
        self.bytes += size as u64;
        self.held.push_back((block, size));
    }

    /// Forgets some of those that nobody counts on any more; to be called now and then.
    pub(crate) fn look(&mut self) {
        for _ in 0..BLOCKS_LOOKED_AT.min(self.held.len()) {
            let Some((mut block, size)) = self.held.pop_front() else { return };
            // it can be had back whole if nobody else counts on it
            if block.try_reclaim(size) {
                self.bytes -= size as u64;
            } else {
                self.held.push_back((block, size));
            }
        }
    }

    /// What is held, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_while_a_slice_of_it_lives() {
        let mut blocks = HeldBlocks::default();
        let mut slices = Vec::new();
        for _ in 0..100 {
            let mut block = BytesMut::with_capacity(1_000);
            block.resize(600, 1);
            slices.push(block.split().freeze().slice(10..20));
            blocks.leave(block, 1_000);
        }
        assert_eq!(blocks.bytes(), 100_000);
        slices.truncate(40);
        for _ in 0..100 / BLOCKS_LOOKED_AT + 1 {
            blocks.look();
        }
        assert_eq!(blocks.bytes(), 40_000);
        drop(slices);
        for _ in 0..3 {
            blocks.look();
        }
        assert_eq!((blocks.bytes(), blocks.held.len()), (0, 0));
    }
}
