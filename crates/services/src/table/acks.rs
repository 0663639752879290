//! What a door tells those that drain.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::limits::{DOOR_ACKS_MAX, INSTANCES_MAX};
use leveret_model::{Boot, Instant};

use super::{RowKey, Table, TableEffect, is_draining};
use crate::announcement::Announcement;
use crate::planted::planted;
use crate::report::Ack;
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

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Table {
    /// Remembers that a boot which has no row waits for an answer.
    pub(super) fn owe_if_draining(
        &mut self,
        now: Instant,
        key: &RowKey,
        announcement: &Announcement,
        effects: &mut Vec<TableEffect>,
    ) {
        if !is_draining(announcement) || planted!(self.planted, NoAckForReplaced) {
            return;
        }
        let boot = announcement.boot;
        let until = now + announcement.ttl();
        if let Some(debt) = self.owed.0.get_mut(&(key.clone(), boot)) {
            debt.seq = debt.seq.max(announcement.seq);
            debt.until = until;
            return;
        }
        // At the bound it waits until its own time is over.
        if self.owed.len() < INSTANCES_MAX {
            let slot = self.retired.slot(key, boot).cloned();
            self.owed.0.insert((key.clone(), boot), Debt { seq: announcement.seq, until, slot });
            effects.push(TableEffect::Report);
        }
    }

    /// The acknowledgements of a report. What does not fit goes into the next one: those that are at 0 are
    /// sent first, because they set somebody free.
    #[must_use]
    pub fn acks(&self) -> Vec<Ack> {
        let of_rows = self.rows.iter().filter(|(_, row)| is_draining(&row.announcement)).map(|(key, row)| {
            let announcement = &row.announcement;
            (key, announcement.boot, announcement.seq, Some(&row.slot))
        });
        let of_others =
            self.owed.0.iter().map(|((key, boot), debt)| (key, *boot, debt.seq, debt.slot.as_ref()));
        let mut acks: Vec<Ack> = of_rows
            .chain(of_others)
            .map(|(key, boot, seq, slot)| Ack {
                service: key.0.clone(),
                instance: key.1.clone(),
                boot,
                seq,
                inflight: slot.map_or(0, |slot| slot.inflight()),
            })
            .collect();
        if acks.len() > DOOR_ACKS_MAX {
            acks.sort_by_key(|ack| ack.inflight);
            acks.truncate(DOOR_ACKS_MAX);
        }
        acks
    }
}
