//! Doors that an instance has heard: whom its drain waits for.

use alloc::collections::BTreeMap;

use leveret_model::Instant;
use leveret_model::limits::{DOOR_TTL, DOORS_MAX};

use crate::announcement::Announcement;
use crate::name::DoorName;
use crate::planted::{Planted, planted};
use crate::report::DoorReport;

/// Doors by name.
#[derive(Debug, Default)]
pub(super) struct Doors {
    known: BTreeMap<DoorName, Door>,
    /// Since when the link is down: a door that cannot be heard is not forgotten for it.
    deaf_since: Option<Instant>,
    planted: Planted,
}

#[derive(Debug)]
struct Door {
    heard: Instant,
    /// Seq and count of its last acknowledgement.
    acknowledged: Option<(u64, u32)>,
}

impl Doors {
    pub(super) fn plant(&mut self, bug: Planted) {
        self.planted = bug;
    }

    /// A door counts from its first ask: it may route to us from then on.
    pub(super) fn asked(&mut self, now: Instant, name: &DoorName) {
        if !planted!(self.planted, DoorNotCountedFromAsk) {
            // It asks when its link is new: what it said before may have been another process's.
            self.heard(now, name).acknowledged = None;
        }
    }

    pub(super) fn reported(&mut self, now: Instant, report: &DoorReport, own: &Announcement) {
        let is_own = |ack: &&crate::report::Ack| {
            ack.boot == own.boot && ack.service == own.service && ack.instance == own.instance
        };
        let acknowledged = report.acks.iter().find(is_own).map(|ack| (ack.seq, ack.inflight));
        let door = self.heard(now, &report.door);
        // A report that was cut short says nothing about us; what was said before stands.
        if acknowledged.is_some() {
            door.acknowledged = acknowledged;
        }
    }

    fn heard(&mut self, now: Instant, name: &DoorName) -> &mut Door {
        if self.known.len() >= DOORS_MAX && !self.known.contains_key(name) {
            let oldest = self.known.iter().min_by_key(|(_, door)| door.heard).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        let door = self.known.entry(name.clone()).or_insert(Door { heard: now, acknowledged: None });
        door.heard = now;
        door
    }

    pub(super) fn link_is_gone(&mut self, now: Instant) {
        self.deaf_since.get_or_insert(now);
    }

    /// Doors that counted when the link went down get their time again: they still route by what they heard,
    /// and their own links may take longer to come back.
    pub(super) fn link_is_back(&mut self, now: Instant) {
        if let Some(deaf_since) = self.deaf_since.take() {
            let counted = |door: &&mut Door| deaf_since.since(door.heard) < DOOR_TTL;
            self.known.values_mut().filter(counted).for_each(|door| door.heard = now);
        }
    }

    fn current(&self, now: Instant) -> impl Iterator<Item = &Door> {
        self.known.values().filter(move |door| now.since(door.heard) < DOOR_TTL)
    }

    pub(super) fn counted(&self, now: Instant) -> usize {
        self.current(now).count()
    }

    pub(super) fn all_acknowledged(&self, now: Instant, wanted: u64) -> bool {
        self.current(now)
            .all(|door| door.acknowledged.is_some_and(|(seq, inflight)| seq >= wanted && inflight == 0))
    }

    /// Requests at us as far as the doors said.
    pub(super) fn inflight(&self, now: Instant) -> u32 {
        self.current(now).filter_map(|door| door.acknowledged).map(|(_, inflight)| inflight).sum()
    }
}
