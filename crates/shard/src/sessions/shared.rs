//! What the shards of a node share about sessions: one wall clock, so that a point in time that a client set on
//! one shard comes back exactly from another; and figures, because `INFO` is answered by one shard.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use leveret_model::limits::{SESSION_DATABASES, SESSION_WALL_CLOCK_PLAY_MS};
use leveret_model::session::Database;
use leveret_model::{Instant, ShardId};

/// The wall clock, and what each shard last noted of itself.
#[derive(Debug)]
pub struct SessionShared {
    shards: Vec<Figures>,
    bytes_max: u64,
    /// The wall clock at the origin of the node's own clock, ms since 1970.
    unix_origin_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Figures {
    connections: AtomicU64,
    bytes: AtomicU64,
    sessions: [AtomicU64; SESSION_DATABASES as usize],
}

impl SessionShared {
    /// For so many shards, and bytes that sessions may take.
    #[must_use]
    pub fn new(shards: u8, bytes_max: u64) -> Self {
        Self {
            shards: (0..shards).map(|_| Figures::default()).collect(),
            bytes_max,
            unix_origin_ms: AtomicI64::new(0),
        }
    }

    /// `session_memory`, bytes.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// RESP connections of the node.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shards.iter().map(|shard| shard.connections.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of sessions that this node holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes.load(Ordering::Relaxed)).sum()
    }

    /// Sessions of a database, of the whole cluster.
    #[must_use]
    pub fn sessions(&self, database: Database) -> u64 {
        let at = usize::from(database.number());
        self.shards.iter().map(|shard| shard.sessions[at].load(Ordering::Relaxed)).sum()
    }

    /// The wall clock was read; any shard may say so, about once a second. Commands speak of it, and nothing
    /// waits by it.
    pub fn set_wall_clock(&self, now: Instant, unix_ms: u64) {
        let origin = unix_ms as i64 - (now.as_nanos() / 1_000_000) as i64;
        let apart = (origin - self.unix_origin_ms()).unsigned_abs();
        // Two clocks are never read at the same moment: without some play, points in time that clients set
        // would come back changed by a millisecond.
        if apart > SESSION_WALL_CLOCK_PLAY_MS {
            self.unix_origin_ms.store(origin, Ordering::Relaxed);
        }
    }

    pub(super) fn unix_origin_ms(&self) -> i64 {
        self.unix_origin_ms.load(Ordering::Relaxed)
    }

    /// A shard's figures.
    pub(super) fn note(
        &self,
        shard: ShardId,
        connections: usize,
        bytes: u64,
        sessions: impl Fn(Database) -> u64,
    ) {
        let figures = &self.shards[usize::from(shard.0)];
        figures.connections.store(connections as u64, Ordering::Relaxed);
        figures.bytes.store(bytes, Ordering::Relaxed);
        for (database, count) in (0..).map_while(Database::new).zip(&figures.sessions) {
            count.store(sessions(database), Ordering::Relaxed);
        }
    }
}
