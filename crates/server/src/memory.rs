//! The memory bound of the whole node: each shard notes what it holds, everyone sees the sum. And the share of
//! it for what connections keep at their clients' will (`shard/kept.rs`).

mod disk_log;
mod paging;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use leveret_model::{Instant, ShardId, limits};
use leveret_shard::Pressure;
use tracing::{info, warn};

use self::disk_log::DiskLog;
use crate::release::Release;
use crate::shard_thread::{ShardThread, ToShardThread};

/// What people hear of it.
pub(crate) const DISK_IS_LOW: &str = "the disk is nearly full: all publishers wait";

/// What the shards of a node hold for clients.
#[derive(Debug)]
pub(crate) struct NodeMemory {
    shards: Vec<AtomicU64>,
    bytes_max: u64,
    pressure: AtomicU8,
    /// What receive blocks hold beyond the bodies in chunks that lie in queues, of each shard; below zero for a
    /// shard whose queues' bodies came through another one.
    waste: Vec<AtomicI64>,
    /// What connections keep at their clients' will, of each shard.
    clients: Vec<AtomicU64>,
    client_pressure: AtomicU8,
    /// The disk is nearly full, which makes publishers wait as full memory does.
    disk_is_low: AtomicBool,
    release: Release,
    /// More is in use than is to be; shards that are idle were told so.
    pages: AtomicBool,
}

/// What a shard's thread was told last.
#[derive(Debug)]
pub(crate) struct SeenPressure {
    pub(crate) messages: Pressure,
    pub(crate) clients: ClientPressure,
}

/// How much connections keep at their clients' will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientPressure {
    /// Little.
    #[default]
    Low,
    /// So much that outputs are kept short.
    High,
    /// More than the share that is theirs: shards that keep more than their part close some.
    Over,
}

impl NodeMemory {
    /// For so many shards and bytes. `give_back` asks the allocator to give free memory back to the system.
    #[must_use]
    pub(crate) fn new(shards: u8, bytes_max: u64, give_back: fn()) -> Self {
        Self {
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            bytes_max,
            pressure: AtomicU8::new(Pressure::Calm as u8),
            waste: (0..shards).map(|_| AtomicI64::new(0)).collect(),
            clients: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            client_pressure: AtomicU8::new(ClientPressure::Low as u8),
            disk_is_low: AtomicBool::new(false),
            release: Release::new(give_back),
            pages: AtomicBool::new(false),
        }
    }

    /// Notes what a shard holds; gives how short the node is of memory, or of disk. Each stage ends lower than
    /// it began.
    pub(crate) fn note(&self, shard: ShardId, bytes: u64) -> Pressure {
        self.shards[usize::from(shard.0)].store(bytes, Ordering::Relaxed);
        let used = self.used();
        self.release.note(used);
        let percent = |share: u64| self.bytes_max / 100 * share;
        let was = self.pressure();
        let tight_above = self.tight_above();
        let full = used
            > if was >= Pressure::Full { percent(limits::MEMORY_RESUME_PERCENT) } else { self.bytes_max };
        let easy = if was == Pressure::Calm { 0 } else { percent(limits::MEMORY_EASY_PERCENT) };
        let over_above =
            if was == Pressure::Over { self.bytes_max } else { percent(limits::MEMORY_OVER_PERCENT) };
        let pressure = match (full, used > tight_above.saturating_sub(easy)) {
            (true, _) if used > over_above => Pressure::Over,
            (true, _) => Pressure::Full,
            (false, true) => Pressure::Tight,
            (false, false) => Pressure::Calm,
        };
        if pressure != was {
            self.pressure.store(pressure as u8, Ordering::Relaxed);
        }
        if self.disk_is_low() { pressure.max(Pressure::Disk) } else { pressure }
    }

    fn tight_above(&self) -> u64 {
        let share = self.bytes_max / 100 * (100 - limits::MEMORY_TIGHT_PERCENT);
        self.bytes_max.saturating_sub(share.max(limits::MEMORY_TIGHT_GAP_BYTES))
    }

    /// The disk is nearly full, or is not any more.
    pub(crate) fn note_disk(&self, is_low: bool) {
        self.disk_is_low.store(is_low, Ordering::Relaxed);
    }

    pub(crate) fn disk_is_low(&self) -> bool {
        self.disk_is_low.load(Ordering::Relaxed)
    }

    /// Notes what receive blocks of a shard hold, and what its queues have in chunks; true if the blocks of the
    /// node hold so much more that bodies are to be copied out of them.
    pub(crate) fn note_blocks(&self, shard: ShardId, held: u64, in_chunks: u64) -> bool {
        self.waste[usize::from(shard.0)].store(held as i64 - in_chunks as i64, Ordering::Relaxed);
        let waste: i64 = self.waste.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        waste > (self.bytes_max / 100 * limits::MEMORY_WASTE_PERCENT) as i64
    }

    /// What all shards hold for clients, bytes.
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
        [Pressure::Tight, Pressure::Full, Pressure::Over]
            .into_iter()
            .find(|p| *p as u8 == pressure)
            .unwrap_or_default()
    }

    /// Notes what connections of a shard keep at their clients' will; gives how much that is in all.
    pub(crate) fn note_clients(&self, shard: ShardId, bytes: u64) -> ClientPressure {
        self.clients[usize::from(shard.0)].store(bytes, Ordering::Relaxed);
        let all: u64 = self.clients.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        let share = self.clients_max();
        let threshold = match self.client_pressure.load(Ordering::Relaxed) == ClientPressure::Low as u8 {
            true => limits::MEMORY_CROWDED_PERCENT,
            false => limits::MEMORY_ROOMY_PERCENT,
        };
        let client_pressure = match () {
            () if all > share => ClientPressure::Over,
            () if all > share / 100 * threshold => ClientPressure::High,
            () => ClientPressure::Low,
        };
        self.client_pressure.store(client_pressure as u8, Ordering::Relaxed);
        client_pressure
    }

    /// The share of the bound for what connections keep at their clients' will.
    fn clients_max(&self) -> u64 {
        (self.bytes_max / 100 * limits::MEMORY_CLIENTS_PERCENT).max(limits::MEMORY_CLIENTS_BYTES_MIN)
    }

    /// A shard's part of that share.
    pub(crate) fn clients_part(&self) -> u64 {
        self.clients_max() / self.clients.len() as u64
    }
}

impl ShardThread {
    /// What this shard holds is noted; publishers wait or go on. True if there is more to page out.
    pub(crate) fn note_memory(&mut self) -> bool {
        let bytes = self.shard.memory_bytes() + self.links.output_bytes();
        let (bytes, more) = self.page_out_surplus(bytes);
        let pressure = self.ways.memory.note(self.own.shard, bytes);
        if pressure != self.seen_pressure.messages {
            self.seen_pressure.messages = pressure;
            self.shard.on_memory(pressure);
            self.tell_others();
            for socket in self.sockets.iter_mut().flatten() {
                if (socket.readable || socket.stalled) && !socket.listed {
                    socket.listed = true;
                    self.to_read.push_back(socket.key);
                }
            }
        }
        more
    }

    /// A line for people when the node's memory or its disk comes under pressure, and when that is over. The
    /// first shard tells for all: it hears of each change.
    pub(crate) fn tell_memory(&mut self, now: Instant) {
        match self.memory_log.disk.take(now, self.ways.memory.disk_is_low()) {
            Some(true) => warn!("{DISK_IS_LOW}"),
            Some(false) => info!("the disk has room again: publishers go on"),
            None => {}
        }
        let pressure = self.ways.memory.pressure();
        let Some((ease, what)) = self.memory_log.take(now, pressure) else { return };
        let [used, limit] = [self.ways.memory.used(), self.ways.memory.limit()].map(bytes_for_people);
        if ease {
            info!(used, limit, "{what}");
        } else {
            warn!(used, limit, "{what}");
        }
    }

    /// Messages that stay leave the blocks that they came in. True if there are more of them.
    pub(crate) fn leave_blocks(&mut self) -> bool {
        self.block.held.look();
        let held = self.block.held.bytes() + self.links.held_bytes();
        self.ways.memory.note_blocks(self.own.shard, held, self.shard.bytes_in_blocks())
            && self.shard.own_bodies()
    }

    /// What connections keep at their clients' will is noted; if it is too much, some go. True if some went, or
    /// somebody goes on whose output may be longer again.
    pub(crate) fn note_clients(&mut self) -> bool {
        let memory = &self.ways.memory;
        let (kept, part) = (self.shard.kept_at_will(), memory.clients_part());
        let client_pressure = memory.note_clients(self.own.shard, kept);
        let mut goes_on = false;
        if client_pressure != self.seen_pressure.clients {
            self.seen_pressure.clients = client_pressure;
            goes_on = self.shard.on_crowd(client_pressure != ClientPressure::Low);
            self.tell_others();
        }
        if client_pressure != ClientPressure::Over || kept <= part {
            return goes_on;
        }
        let evicted = self.shard.evict(part / 100 * limits::MEMORY_EVICT_PERCENT);
        let (shard, kept_mib) = (self.own.shard.0, kept >> 20);
        warn!(
            shard,
            evicted, kept_mib, "connections kept too much unfinished or unread: the greediest were closed"
        );
        true
    }

    fn tell_others(&self) {
        for (index, shard) in self.ways.shards.iter().enumerate() {
            if index != usize::from(self.own.shard.0) {
                shard.send(ToShardThread::MemoryChanged);
            }
        }
    }
}

/// What people were told of the node's memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryLog {
    told: Pressure,
    /// The next line not before.
    next: Instant,
    /// A change that waits for its time.
    waits: bool,
    disk: DiskLog,
}

impl MemoryLog {
    /// What is to be told now, and whether things have become better. What changes to and fro is told at its
    /// time.
    fn take(&mut self, now: Instant, pressure: Pressure) -> Option<(bool, &'static str)> {
        self.waits = pressure != self.told && now < self.next;
        if pressure == self.told || self.waits {
            return None;
        }
        let before = std::mem::replace(&mut self.told, pressure);
        self.next = now + limits::MEMORY_SAID_EVERY;
        let what = match pressure {
            Pressure::Calm => "memory is free again: all publishers go on",
            Pressure::Tight if before > pressure => {
                "memory is not full any more, and still tight: only publishers of long queues wait"
            }
            Pressure::Tight => "memory is tight: publishers of long queues wait, all others go on",
            // the disk has lines of its own, and is no stage of memory's
            Pressure::Disk => DISK_IS_LOW,
            Pressure::Full if before > pressure => {
                "memory is not over its bound any more, and still full: all publishers wait"
            }
            Pressure::Full => "memory is full: all publishers wait",
            Pressure::Over => "memory is over its bound: who publishes on while it waits is closed",
        };
        Some((before > pressure, what))
    }

    /// When a change that waits is told.
    pub(crate) fn next_deadline(&self) -> Instant {
        let memory = if self.waits { self.next } else { Instant::FAR };
        memory.min(self.disk.next_deadline())
    }
}

/// A number of bytes with its unit.
fn bytes_for_people(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_told_when_it_begins_and_when_it_ends_and_not_each_time_that_it_flickers() {
        let at = |ms| Instant::ZERO + std::time::Duration::from_millis(ms);
        let mut memory_log = MemoryLog::default();
        assert_eq!(memory_log.take(at(0), Pressure::Calm), None);
        let (ease, what) = memory_log.take(at(5_000), Pressure::Full).expect("told at once");
        assert!(!ease && what.starts_with("memory is full"), "{what}");
        assert_eq!(memory_log.take(at(5_100), Pressure::Tight), None);
        assert_eq!(memory_log.next_deadline(), at(10_000));
        assert_eq!(memory_log.take(at(5_200), Pressure::Full), None);
        assert_eq!(memory_log.next_deadline(), Instant::FAR, "as it was told");
        assert_eq!(memory_log.take(at(5_300), Pressure::Calm), None);
        let (ease, what) = memory_log.take(at(10_000), Pressure::Calm).expect("it has come to rest");
        assert!(ease && what.contains("all publishers go on"), "{what}");
    }

    #[test]
    fn figures_have_their_units() {
        assert_eq!([7, 2_048, 64 << 20].map(bytes_for_people), ["7 B", "2 KiB", "64 MiB"]);
    }

    #[test]
    fn blocks_count_against_the_bodies_of_all_shards() {
        let memory = NodeMemory::new(2, 1000, || {});
        assert!(!memory.note_blocks(ShardId(0), 500, 450));
        assert!(memory.note_blocks(ShardId(0), 500, 10), "49 % are wasted");
        assert!(!memory.note_blocks(ShardId(1), 0, 450), "its bodies came through the other shard");
    }

    #[test]
    fn what_connections_keep_has_a_share_of_the_node() {
        const M: u64 = 1 << 20;
        let memory = NodeMemory::new(2, 400 * M, || {});
        assert_eq!(memory.clients_part(), 50 * M);
        assert_eq!(memory.note_clients(ShardId(0), 49 * M), ClientPressure::Low);
        assert_eq!(memory.note_clients(ShardId(1), 2 * M), ClientPressure::High);
        assert_eq!(memory.note_clients(ShardId(0), 40 * M), ClientPressure::High, "42 is over 40 %");
        assert_eq!(memory.note_clients(ShardId(0), 99 * M), ClientPressure::Over);
        assert_eq!(memory.note_clients(ShardId(0), 90 * M), ClientPressure::High);
        assert_eq!(memory.note_clients(ShardId(0), 30 * M), ClientPressure::Low);
        assert_eq!(NodeMemory::new(1, 64 * M, || {}).clients_part(), 32 * M, "large bodies must fit");
    }

    #[test]
    fn a_small_bound_leaves_room_for_bodies_under_way() {
        let memory = NodeMemory::new(1, 64 << 20, || {});
        assert_eq!(memory.note(ShardId(0), 32 << 20), Pressure::Calm);
        assert_eq!(memory.note(ShardId(0), 33 << 20), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 30 << 20), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 28 << 20), Pressure::Calm);
    }

    #[test]
    fn a_disk_that_is_nearly_full_makes_publishers_wait_as_full_memory_does() {
        let memory = NodeMemory::new(1, 1 << 30, || {});
        memory.note_disk(true);
        assert_eq!(memory.note(ShardId(0), 10), Pressure::Disk);
        assert_eq!(memory.note(ShardId(0), 1 << 30 | 1), Pressure::Full);
        assert_eq!(memory.note(ShardId(0), 10), Pressure::Disk);
        assert_eq!(memory.pressure(), Pressure::Calm, "memory itself is not short");
        memory.note_disk(false);
        assert_eq!(memory.note(ShardId(0), 10), Pressure::Calm);
    }

    #[test]
    fn each_stage_counts_all_shards_and_ends_lower_than_it_began() {
        const M: u64 = 1 << 20;
        let memory = NodeMemory::new(2, 1000 * M, || {});
        assert_eq!(memory.note(ShardId(0), 600 * M), Pressure::Calm);
        assert_eq!(memory.note(ShardId(1), 490 * M), Pressure::Full);
        assert_eq!(memory.note(ShardId(1), 600 * M), Pressure::Over);
        assert_eq!(memory.note(ShardId(0), 450 * M), Pressure::Over, "1050 is over the bound");
        assert_eq!(memory.note(ShardId(0), 400 * M), Pressure::Full);
        assert_eq!(memory.note(ShardId(0), 490 * M), Pressure::Full, "1090 is not over 110 %");
        assert_eq!(memory.note(ShardId(0), 380 * M), Pressure::Full, "980 is over 95 %");
        assert_eq!(memory.note(ShardId(0), 340 * M), Pressure::Tight);
        assert_eq!(memory.note(ShardId(0), 400 * M), Pressure::Tight, "1000 is not over the bound");
        assert_eq!(memory.note(ShardId(0), 160 * M), Pressure::Tight, "760 is over 75 %");
        assert_eq!(memory.note(ShardId(0), 150 * M), Pressure::Calm);
        assert_eq!(memory.note(ShardId(0), 200 * M), Pressure::Calm, "800 is not over 80 %");
        assert_eq!(memory.note(ShardId(0), 210 * M), Pressure::Tight);
    }
}
