//! Connections that have not finished their handshake, of the whole node: past their bound the oldest goes, on whichever
//! shard it is.
//!
//! Invariant: a shard's count is that of its sockets with `ClientSocket::half_open`; only its own thread changes it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use leveret_model::{Instant, ShardId, limits};
use tracing::warn;

use crate::allowance::unless_none;
use crate::shard_thread::{ShardThread, ToShardThread};

/// What a shard has of them.
#[derive(Debug)]
struct Part {
    count: AtomicUsize,
    /// When its oldest came, nanoseconds of the clock.
    oldest: AtomicU64,
}

/// The half-open handshakes of a node.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    parts: Vec<Part>,
}

impl HalfOpen {
    /// For so many shards.
    pub(crate) fn new(shards: u8) -> Self {
        let none = |_| Part { count: AtomicUsize::new(0), oldest: AtomicU64::new(Instant::FAR.as_nanos()) };
        Self { parts: (0..shards).map(none).collect() }
    }

    /// One more on this shard.
    pub(crate) fn begun(&self, shard: ShardId) {
        self.part(shard).count.fetch_add(1, Ordering::Relaxed);
    }

    /// One less on this shard: it is through, or gone.
    pub(crate) fn ended(&self, shard: ShardId) {
        self.part(shard).count.fetch_sub(1, Ordering::Relaxed);
    }

    /// When the oldest one of this shard came.
    fn note_oldest(&self, shard: ShardId, came: Option<Instant>) {
        self.part(shard).oldest.store(came.unwrap_or(Instant::FAR).as_nanos(), Ordering::Relaxed);
    }

    /// The shard whose oldest one has to go; none while all are within their bound.
    fn who_drops(&self) -> Option<ShardId> {
        let all: usize = self.parts.iter().map(|part| part.count.load(Ordering::Relaxed)).sum();
        if all <= limits::HANDSHAKES_MAX {
            return None;
        }
        let oldest = |(_, part): &(usize, &Part)| part.oldest.load(Ordering::Relaxed);
        self.parts.iter().enumerate().min_by_key(oldest).map(|(shard, _)| ShardId(shard as u8))
    }

    fn part(&self, shard: ShardId) -> &Part {
        &self.parts[usize::from(shard.0)]
    }
}

impl ShardThread {
    /// Half-open handshakes of the node beyond their bound: the oldest go.
    pub(crate) fn drop_old_handshakes(&mut self, now: Instant) {
        let own = self.own.shard;
        loop {
            while let Some((key, _)) = self.half_open.front()
                && !self.socket(*key).is_some_and(|socket| socket.half_open)
            {
                self.half_open.pop_front();
            }
            self.ways.half_open.note_oldest(own, self.half_open.front().map(|(_, came)| *came));
            match self.ways.half_open.who_drops() {
                None => return self.forget_finished_handshakes(),
                Some(shard) if shard != own => {
                    return self.ways.shards[usize::from(shard.0)].send(ToShardThread::HalfOpen);
                }
                Some(_) => {}
            }
            let Some((key, _)) = self.half_open.pop_front() else { return };
            if let Some(unsaid) = self.complaints.take(now) {
                let (peer, shard) = (self.shard.name(key), own.0);
                let unsaid = unless_none(unsaid);
                warn!(peer, shard, unsaid, "half-open connection dropped: too many others came behind it");
            }
            self.lose(key, None);
        }
    }

    /// Those that are through leave the list when they are most of it.
    fn forget_finished_handshakes(&mut self) {
        let here = self.ways.half_open.part(self.own.shard).count.load(Ordering::Relaxed);
        if self.half_open.len() > 2 * here + LIST_MIN {
            let mut list = std::mem::take(&mut self.half_open);
            list.retain(|(key, _)| self.socket(*key).is_some_and(|socket| socket.half_open));
            self.half_open = list;
        }
    }
}

/// So many entries are no matter.
const LIST_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_nodes_and_the_oldest_of_all_goes() {
        let half_open = HalfOpen::new(3);
        let at = Instant::from_nanos;
        for _ in 0..limits::HANDSHAKES_MAX {
            half_open.begun(ShardId(2));
        }
        half_open.note_oldest(ShardId(2), Some(at(7)));
        assert_eq!(half_open.who_drops(), None);
        half_open.begun(ShardId(1));
        half_open.note_oldest(ShardId(1), Some(at(9)));
        assert_eq!(half_open.who_drops(), Some(ShardId(2)));
        half_open.note_oldest(ShardId(1), Some(at(5)));
        assert_eq!(half_open.who_drops(), Some(ShardId(1)));
        half_open.ended(ShardId(1));
        assert_eq!(half_open.who_drops(), None);
    }
}
