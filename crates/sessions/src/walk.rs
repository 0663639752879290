//! SCAN, DBSIZE and FLUSHDB over the sessions that are at home here.
//!
//! A cursor is a number of a slot (12 bits of the hid), the same on every node. A slot is never cut, so
//! whoever is there from the beginning of a walk to its end is given at least once, whatever comes and goes
//! meanwhile.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::Database;
use leveret_model::{glob_matches, limits};

use crate::effects::{Effects, EventKind};
use crate::hid::{Bucket, Hid, Slot};
use crate::sessions::Sessions;
use crate::time::Clock;

/// What a walk looks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// In which vhost.
    pub vhost: &'a str,
    /// In which database.
    pub database: Database,
    /// A glob pattern for keys.
    pub pattern: Option<&'a [u8]>,
    /// Keys that are wanted, about.
    pub count: usize,
    /// A type's name.
    pub kind: Option<&'a [u8]>,
}

impl Sessions {
    /// True if this shard keeps the bucket.
    #[must_use]
    pub fn keeps(&self, bucket: Bucket) -> bool {
        bucket.0 % self.config.shards.max(1) == self.config.shard.0
    }

    /// Appends keys of the slots from `from` on that this shard keeps, until there are enough, and gives the
    /// slot where to go on: perhaps on another shard. `None`: that was the last one.
    pub fn walk(
        &self,
        clock: Clock,
        from: Slot,
        wanted: &Wanted<'_>,
        keys: &mut Vec<Box<[u8]>>,
    ) -> Option<Slot> {
        let enough = keys.len() + wanted.count.min(limits::SESSION_WALK_KEYS_MAX);
        let mut slot = from;
        for _ in 0..limits::SESSION_WALK_SLOTS {
            if !self.keeps(slot.bucket()) || keys.len() >= enough {
                return Some(slot);
            }
            self.walk_slot(clock, slot, wanted, keys);
            slot = Slot::new(slot.number() + 1)?;
        }
        Some(slot)
    }

    /// Appends the keys of one slot: for a walk of another node.
    pub fn walk_one(&self, clock: Clock, slot: Slot, wanted: &Wanted<'_>, keys: &mut Vec<Box<[u8]>>) {
        self.walk_slot(clock, slot, wanted, keys);
    }

    fn walk_slot(&self, clock: Clock, slot: Slot, wanted: &Wanted<'_>, keys: &mut Vec<Box<[u8]>>) {
        for (_, state) in self.states.of_bucket(slot.bucket()) {
            let kind = if state.flags().has_attributes() { "hash" } else { "string" };
            let fits = state.hid().slot() == slot
                && state.database() == wanted.database
                && state.vhost() == wanted.vhost
                && self.list.get(state.hid()).is_some_and(|row| row.home == self.config.own)
                && !state.deadline().is_over(clock.ms())
                && wanted.kind.is_none_or(|word| word.eq_ignore_ascii_case(kind.as_bytes()))
                && wanted.pattern.is_none_or(|pattern| glob_matches(pattern, state.key()));
            if fits {
                keys.push(state.key().into());
            }
        }
    }

    /// Destroys every session of a database that is at home here; gives how many.
    pub fn flush(&mut self, clock: Clock, vhost: &str, database: Database, effects: &mut Effects) -> usize {
        let mut hids: Vec<Hid> = Vec::new();
        for bucket in 0..=u8::MAX {
            let here = self.states.of_bucket(Bucket(bucket)).map(|(_, state)| state);
            hids.extend(
                here.filter(|state| state.database() == database && state.vhost() == vhost)
                    .map(crate::states::State::hid),
            );
        }
        for &hid in &hids {
            let _ = self.destroy(clock, hid, EventKind::Destroyed, effects);
        }
        hids.len()
    }
}
