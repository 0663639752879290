//! T3: rows that are silent. T4: rows that do not answer.

use alloc::vec::Vec;

use leveret_model::limits::{STALE_GRACE, SUSPECT_PROBE_EVERY};
use leveret_model::{Boot, Instant};

use super::Table;
use super::events::{RowKey, TableEffect, TableNote};
use super::row::{Freshness, Row, Suspicion};
use crate::planted::planted;

impl Table {
    /// An address answered a probe, or did not within its time.
    pub fn on_probe(
        &mut self,
        now: Instant,
        key: &RowKey,
        boot: Boot,
        answered: bool,
        effects: &mut Vec<TableEffect>,
    ) {
        let judges = self.judges_silence(now);
        let Some(row) = self.rows.get_mut(key).filter(|row| row.announcement.boot == boot) else { return };
        row.suspicion.asked = false;
        if answered {
            row.slot.clear_suspicion();
        }
        if row.freshness != Freshness::Asked {
            return;
        }
        if answered {
            row.freshness = Freshness::Grace(now + STALE_GRACE);
            effects.push(TableEffect::Note(TableNote::SilentButServing(key.clone())));
        } else if judges {
            self.remove_silent(now, key, effects);
        } else {
            // The door became deaf while it asked: silence says nothing.
            row.freshness = Freshness::Fresh;
        }
    }

    pub(super) fn poll_rows(&mut self, now: Instant, effects: &mut Vec<TableEffect>) {
        let judges = self.judges_silence(now);
        let probes_suspects = !planted!(self.planted, SuspectForEver);
        let mut over = Vec::new();
        for (key, row) in &mut self.rows {
            if judges && row.is_silent(now) {
                match row.freshness {
                    Freshness::Fresh => match row.probe(key) {
                        Some(probe) => {
                            row.freshness = Freshness::Asked;
                            row.suspicion.asked = true;
                            effects.push(probe);
                        }
                        // Nothing to ask: a worker.
                        None => over.push(key.clone()),
                    },
                    Freshness::Grace(until) if until <= now => over.push(key.clone()),
                    Freshness::Asked | Freshness::Grace(_) => {}
                }
            }
            if probes_suspects && row.slot.is_suspect() && !row.suspicion.asked && row.suspicion.next <= now {
                row.suspicion = Suspicion { asked: true, next: now + SUSPECT_PROBE_EVERY };
                effects.extend(row.probe(key));
            }
        }
        for key in over {
            self.remove_silent(now, &key, effects);
        }
    }

    /// Whether a row's silence is its own.
    fn judges_silence(&self, now: Instant) -> bool {
        self.no_stale_until <= now || planted!(self.planted, StaleWithoutLink)
    }

    /// Its boot is not retired: the process may only have lost its broker.
    fn remove_silent(&mut self, now: Instant, key: &RowKey, effects: &mut Vec<TableEffect>) {
        if let Some(row) = self.rows.get(key) {
            row.slot.cut();
            effects.push(TableEffect::Note(TableNote::Gone(key.clone())));
            self.remove(now, key, None);
            self.retired.take_back(key);
        }
    }
}

impl Row {
    fn is_silent(&self, now: Instant) -> bool {
        now.since(self.heard) > self.announcement.ttl()
    }

    fn probe(&self, key: &RowKey) -> Option<TableEffect> {
        let address = self.announcement.address?;
        let health = self.announcement.terms.health.clone();
        Some(TableEffect::Probe { key: key.clone(), boot: self.announcement.boot, address, health })
    }
}
