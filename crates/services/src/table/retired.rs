//! T1: boots that were replaced or left. What still arrives of them must not bring them back.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::limits::{RETIRED_BOOT_KEPT, RETIRED_BOOTS_MAX};
use leveret_model::{Boot, Instant};

use super::events::RowKey;
use crate::slot::Slot;

/// Retired boots, with the slots that count what the door still has there.
#[derive(Debug, Default)]
pub(super) struct Retired {
    boots: BTreeMap<(RowKey, Boot), Entry>,
    /// In the order of their times.
    order: VecDeque<(Instant, RowKey, Boot)>,
}

/// How a boot came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It said so.
    Left,
    /// Another boot took its name.
    Replaced,
}

#[derive(Debug)]
struct Entry {
    until: Instant,
    why: Why,
    /// `None`: it never had a row here.
    slot: Option<Arc<Slot>>,
}

impl Retired {
    pub(super) fn insert(
        &mut self,
        now: Instant,
        key: RowKey,
        boot: Boot,
        why: Why,
        slot: Option<Arc<Slot>>,
    ) {
        let until = now + RETIRED_BOOT_KEPT;
        let known = self.boots.get_mut(&(key.clone(), boot));
        if let Some(entry) = known {
            // Replaced, and then it left: its time stands.
            entry.slot = slot.or_else(|| entry.slot.take());
            entry.why = why;
            return;
        }
        while self.order.len() >= RETIRED_BOOTS_MAX {
            self.drop_oldest();
        }
        self.boots.insert((key.clone(), boot), Entry { until, why, slot });
        self.order.push_back((until, key, boot));
    }

    pub(super) fn contains(&self, now: Instant, key: &RowKey, boot: Boot) -> bool {
        self.boots.get(&(key.clone(), boot)).is_some_and(|entry| now < entry.until)
    }

    /// The boot that took a name is gone: one that it replaced may have it back, if it still lives.
    pub(super) fn take_back(&mut self, key: &RowKey) {
        let of_name = (key.clone(), Boot(0))..=(key.clone(), Boot(u64::MAX));
        let replaced = self.boots.range(of_name).filter(|(_, entry)| entry.why == Why::Replaced);
        let replaced: Vec<(RowKey, Boot)> = replaced.map(|(boot, _)| boot.clone()).collect();
        for boot in replaced {
            self.boots.remove(&boot);
        }
    }

    pub(super) fn slot(&self, key: &RowKey, boot: Boot) -> Option<&Arc<Slot>> {
        self.boots.get(&(key.clone(), boot))?.slot.as_ref()
    }

    pub(super) fn poll(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.drop_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key, boot)) = self.order.pop_front() {
            self.boots.remove(&(key, boot));
        }
    }
}
