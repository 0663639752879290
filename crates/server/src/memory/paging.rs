//! What is paged out, and when: each shard its part of what the node has too much, before memory is tight.

use std::sync::atomic::Ordering;

use leveret_model::{ShardId, limits};

use super::NodeMemory;
use crate::shard_thread::ShardThread;

impl NodeMemory {
    /// Bytes that a shard is to page out of those that it holds, and whether the node came over its mark just
    /// now: then the others are to look, too.
    fn surplus(&self, shard: ShardId, bytes: u64) -> (u64, bool) {
        self.shards[usize::from(shard.0)].store(bytes, Ordering::Relaxed);
        let (used, tight) = (self.used(), self.tight_above());
        if used <= tight / 100 * limits::MEMORY_PAGE_PERCENT {
            self.pages.store(false, Ordering::Relaxed);
            return (0, false);
        }
        let news = !self.pages.swap(true, Ordering::Relaxed);
        let surplus = used - tight / 100 * limits::MEMORY_PAGED_PERCENT;
        ((u128::from(surplus) * u128::from(bytes) / u128::from(used.max(1))) as u64, news)
    }

    /// What each shard keeps in memory of what is on the disk at the start.
    pub(crate) fn recovered_part(&self) -> u64 {
        self.tight_above() / 100 * limits::MEMORY_PAGED_PERCENT / self.shards.len() as u64
    }
}

impl ShardThread {
    /// Pages out what is too much, as far as one turn goes; gives what the shard holds then, and whether there
    /// is more to do.
    pub(super) fn page_out_surplus(&mut self, bytes: u64) -> (u64, bool) {
        let (surplus, news) = self.ways.memory.surplus(self.own.shard, bytes);
        if news {
            self.tell_others();
        }
        let wanted = surplus.min(limits::PAGE_OUT_BYTES_PER_TURN);
        let freed = if wanted == 0 { 0 } else { self.shard.page_out(wanted) };
        if freed == 0 {
            return (bytes, false);
        }
        (self.shard.memory_bytes() + self.links.output_bytes(), freed >= wanted && wanted < surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_pages_out_its_part_of_what_is_too_much() {
        const M: u64 = 1 << 20;
        let memory = NodeMemory::new(2, 64 * M, || {});
        assert_eq!(memory.surplus(ShardId(0), 20 * M), (0, false));
        let (surplus, news) = memory.surplus(ShardId(1), 10 * M);
        assert!(news, "30 of 32 MiB are in use");
        assert!((3 * M..4 * M).contains(&surplus), "a third of 10.8 MiB: {surplus}");
        assert!(!memory.surplus(ShardId(0), 20 * M).1, "the others know");
        assert_eq!(memory.surplus(ShardId(0), 10 * M), (0, false));
        assert!(memory.surplus(ShardId(0), 20 * M).1, "it has begun again");
        assert!((9 * M..10 * M).contains(&memory.recovered_part()));
    }
}
