//! Commands on all keys: numbers that every shard gives, and a walk that goes from shard to shard.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::session::Database;
use leveret_model::{ConnectionKey, Name, limits};
use leveret_resp::host::Walk;
use leveret_sessions::{Asker, Clock, Slot, Wanted};

use super::parts::{Part, Parts, part_of};

/// Sums that are not whole, by who asked.
#[derive(Debug, Default)]
pub(super) struct Gatherings(BTreeMap<(ConnectionKey, u64), Sum>);

#[derive(Debug)]
struct Sum {
    missing: u8,
    total: u64,
}

impl Gatherings {
    pub(super) fn begin(&mut self, asker: Asker, shards: u8) {
        self.0.insert((asker.connection, asker.reply), Sum { missing: shards, total: 0 });
    }

    /// A shard's number; the sum once all are there.
    pub(super) fn add(&mut self, asker: Asker, number: u64) -> Option<u64> {
        let at = (asker.connection, asker.reply);
        let sum = self.0.get_mut(&at)?;
        sum.total += number;
        sum.missing -= 1;
        if sum.missing > 0 {
            return None;
        }
        self.0.remove(&at).map(|sum| sum.total)
    }

    pub(super) fn forget(&mut self, connection: ConnectionKey) {
        self.0.retain(|(asker, _), _| *asker != connection);
    }
}

/// A `SCAN` on its way over the slots, and what it found.
#[derive(Debug)]
pub struct WalkStep {
    pub(super) asker: Asker,
    vhost: Name,
    database: Database,
    pattern: Option<Box<[u8]>>,
    count: usize,
    kind: Option<Box<[u8]>>,
    /// Where it goes on; `None` at the end.
    slot: Option<Slot>,
    pub(super) keys: Vec<Box<[u8]>>,
}

impl WalkStep {
    /// A cursor that nobody gave out ends at once, as in Redis.
    pub(super) fn begin(asker: Asker, vhost: &Name, database: Database, walk: &Walk<'_>) -> Self {
        Self {
            asker,
            vhost: vhost.clone(),
            database,
            pattern: walk.pattern.map(Into::into),
            count: walk.count.min(limits::SESSION_WALK_KEYS_MAX),
            kind: walk.kind.map(Into::into),
            slot: u16::try_from(walk.cursor).ok().and_then(Slot::new),
            keys: Vec::new(),
        }
    }

    /// The part that it goes on at; any will do at the end.
    pub(super) fn part(&self) -> Part {
        self.slot.map_or(Part(0), |slot| part_of(slot.bucket()))
    }

    pub(super) fn slot(&self) -> Option<Slot> {
        self.slot
    }

    pub(super) fn vhost(&self) -> &Name {
        &self.vhost
    }

    pub(super) fn database(&self) -> Database {
        self.database
    }

    pub(super) fn pattern(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    pub(super) fn kind(&self) -> Option<&[u8]> {
        self.kind.as_deref()
    }

    /// The cursor for its answer, once there is nothing more to do.
    pub(super) fn cursor(&self) -> Option<u64> {
        match self.slot {
            Some(slot) if self.keys.len() >= self.count => Some(u64::from(slot.number())),
            Some(_) => None,
            None => Some(0),
        }
    }

    /// Walks the slots of one part, as many as one step may.
    pub(super) fn advance(&mut self, clock: Clock, parts: &mut Parts) {
        let Some(from) = self.slot else { return };
        let wanted = Wanted {
            vhost: &self.vhost,
            database: self.database,
            pattern: self.pattern.as_deref(),
            count: self.count - self.keys.len(),
            kind: self.kind.as_deref(),
        };
        self.slot = parts.walk(clock, from, &wanted, &mut self.keys);
    }
}
