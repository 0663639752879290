//! What a door tells those that drain.

use alloc::vec::Vec;

use leveret_model::Instant;
use leveret_model::limits::DOOR_ACKS_MAX;

use super::Table;
use super::events::{RowKey, TableEffect};
use super::row::is_draining;
use crate::announcement::Announcement;
use crate::planted::planted;
use crate::report::Ack;

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
        let slot = self.retired.slot(key, boot).cloned();
        if self.owed.remember(key, boot, announcement.seq, until, slot) {
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
        let of_others = self.owed.iter();
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
