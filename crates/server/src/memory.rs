//! The memory bound of the whole node: each shard notes what it holds, everyone sees the sum.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use leveret_model::{ShardId, limits};

/// What the shards of a node hold for messages.
#[derive(Debug)]
pub(crate) struct NodeMemory {
    shards: Vec<AtomicU64>,
    bytes_max: u64,
    alarm: AtomicBool,
}

impl NodeMemory {
    /// For so many shards and bytes.
    #[must_use]
    pub(crate) fn new(shards: u8, bytes_max: u64) -> Self {
        Self {
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            bytes_max,
            alarm: AtomicBool::new(false),
        }
    }

    /// Notes what a shard holds; true if the node is over its bound. The alarm ends below
    /// `limits::MEMORY_RESUME_PERCENT` of the bound.
    pub(crate) fn note(&self, shard: ShardId, bytes: u64) -> bool {
        self.shards[usize::from(shard.0)].store(bytes, Ordering::Relaxed);
        let used = self.used();
        let was = self.alarm.load(Ordering::Relaxed);
        let resume = self.bytes_max / 100 * limits::MEMORY_RESUME_PERCENT;
        let alarm = if was { used > resume } else { used > self.bytes_max };
        if alarm != was {
            self.alarm.store(alarm, Ordering::Relaxed);
        }
        alarm
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

    /// Publishers wait.
    #[must_use]
    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarm.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_counts_all_shards_and_ends_lower_than_it_began() {
        let memory = NodeMemory::new(2, 1000);
        assert!(!memory.note(ShardId(0), 600));
        assert!(memory.note(ShardId(1), 600));
        assert!(memory.note(ShardId(0), 380), "980 is over 95 %");
        assert!(!memory.note(ShardId(0), 340));
        assert!(!memory.note(ShardId(0), 400), "1000 is not over the bound");
    }
}
