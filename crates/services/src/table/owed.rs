//! Draining boots that have no row and wait for an answer all the same.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use leveret_model::limits::INSTANCES_MAX;
use leveret_model::{Boot, Instant};

use super::events::RowKey;
use crate::slot::Slot;

/// Draining boots without a row: replaced, refused by the fence, or there was no room.
#[derive(Debug, Default)]
pub(super) struct Owed(BTreeMap<(RowKey, Boot), Debt>);

#[derive(Debug)]
struct Debt {
    seq: u64,
    until: Instant,
    /// `None`: the door never sent it anything.
    slot: Option<Arc<Slot>>,
}

impl Owed {
    pub(super) fn forget(&mut self, key: &RowKey, boot: Boot) {
        self.0.remove(&(key.clone(), boot));
    }

    pub(super) fn poll(&mut self, now: Instant) {
        self.0.retain(|_, debt| now < debt.until);
    }

    /// True if it is new. At the bound it is not kept: its boot waits until its own time is over.
    pub(super) fn remember(
        &mut self,
        key: &RowKey,
        boot: Boot,
        seq: u64,
        until: Instant,
        slot: Option<Arc<Slot>>,
    ) -> bool {
        if let Some(debt) = self.0.get_mut(&(key.clone(), boot)) {
            debt.seq = debt.seq.max(seq);
            debt.until = until;
            return false;
        }
        if self.0.len() >= INSTANCES_MAX {
            return false;
        }
        self.0.insert((key.clone(), boot), Debt { seq, until, slot });
        true
    }

    /// Key, boot, highest seq, and what counts the requests there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RowKey, Boot, u64, Option<&Arc<Slot>>)> {
        self.0.iter().map(|((key, boot), debt)| (key, *boot, debt.seq, debt.slot.as_ref()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
