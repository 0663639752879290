//! The memory bound of the whole node: each shard notes what it holds, everyone sees the sum.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use leveret_model::{ShardId, limits};
use leveret_shard::Pressure;

/// What the shards of a node hold for messages.
#[derive(Debug)]
pub(crate) struct NodeMemory {
    shards: Vec<AtomicU64>,
    bytes_max: u64,
    pressure: AtomicU8,
    /// What receive blocks hold beyond the bodies in chunks that lie in queues, of each shard; below zero for a shard
    /// whose queues' bodies came through another one.
    waste: Vec<AtomicI64>,
}

impl NodeMemory {
    /// For so many shards and bytes.
    #[must_use]
    pub(crate) fn new(shards: u8, bytes_max: u64) -> Self {
        Self {
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            bytes_max,
            pressure: AtomicU8::new(Pressure::Calm as u8),
            waste: (0..shards).map(|_| AtomicI64::new(0)).collect(),
        }
    }

    /// Notes what a shard holds; gives how short the node is of memory. Each stage ends lower than it began.
    pub(crate) fn note(&self, shard: ShardId, bytes: u64) -> Pressure {
        self.shards[usize::from(shard.0)].store(bytes, Ordering::Relaxed);
        let used = self.used();
        let percent = |share: u64| self.bytes_max / 100 * share;
        let was = self.pressure();
        let full = used
            > if was == Pressure::Full { percent(limits::MEMORY_RESUME_PERCENT) } else { self.bytes_max };
        let gap = percent(100 - limits::MEMORY_TIGHT_PERCENT).max(limits::MEMORY_TIGHT_GAP_BYTES);
        let tight_above = self.bytes_max.saturating_sub(gap);
        let easy = if was == Pressure::Calm { 0 } else { percent(limits::MEMORY_EASY_PERCENT) };
        let pressure = match (full, used > tight_above.saturating_sub(easy)) {
            (true, _) => Pressure::Full,
            (false, true) => Pressure::Tight,
            (false, false) => Pressure::Calm,
        };
        if pressure != was {
            self.pressure.store(pressure as u8, Ordering::Relaxed);
        }
        pressure
    }

    /// Notes what receive blocks of a shard hold, and what its queues have in chunks; true if the blocks of the node hold so
    /// much more that bodies are to be copied out of them.
    pub(crate) fn note_blocks(&self, shard: ShardId, held: u64, in_chunks: u64) -> bool {
        self.waste[usize::from(shard.0)].store(held as i64 - in_chunks as i64, Ordering::Relaxed);
        let waste: i64 = self.waste.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        waste > (self.bytes_max / 100 * limits::MEMORY_WASTE_PERCENT) as i64
    }

    /// Bytes held for messages.
    #[must_use]
    pub(crate) fn used(&self) -> u64 {
        self.shards.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// The bound.
    #[must_use]
    pub(crate) fn limit(&self) -> u64 {
        self.bytes_max
    }

    /// How short the node is of memory.
    #[must_use]
    pub(crate) fn pressure(&self) -> Pressure {
        let pressure = self.pressure.load(Ordering::Relaxed);
        [Pressure::Tight, Pressure::Full].into_iter().find(|p| *p as u8 == pressure).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_count_against_the_bodies_of_all_shards() {
        let memory = NodeMemory::new(2, 1000);
        assert!(!memory.note_blocks(ShardId(0), 500, 450));
        assert!(memory.note_blocks(ShardId(0), 500, 10), "49 % are wasted");
        assert!(!memory.note_blocks(ShardId(1), 0, 450), "its bodies came through the other shard");
    }

    #[test]
    fn a_small_bound_leaves_room_for_bodies_under_way() {
        let memory = NodeMemory::new(1, 64 << 20);
        assert_eq!(memory.note(ShardId(0), 32 << 20), Pressure::Calm);
        assert_eq!(memory.note(ShardId(0), 33 << 20), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 30 << 20), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 28 << 20), Pressure::Calm);
    }

    #[test]
    fn each_stage_counts_all_shards_and_ends_lower_than_it_began() {
        const M: u64 = 1 << 20;
        let memory = NodeMemory::new(2, 1000 * M);
        assert_eq!(memory.note(ShardId(0), 600 * M), Pressure::Calm);
        assert_eq!(memory.note(ShardId(1), 600 * M), Pressure::Full);
        assert_eq!(memory.note(ShardId(0), 380 * M), Pressure::Full, "980 is over 95 %");
        assert_eq!(memory.note(ShardId(0), 340 * M), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 400 * M), Pressure::Tight, "1000 is not over the bound");
        assert_eq!(memory.note(ShardId(0), 160 * M), Pressure::Tight, "760 is over 75 %");
        assert_eq!(memory.note(ShardId(0), 150 * M), Pressure::Calm);
        assert_eq!(memory.note(ShardId(0), 200 * M), Pressure::Calm, "800 is not over 80 %");
        assert_eq!(memory.note(ShardId(0), 210 * M), Pressure::Tight);
    }
}
