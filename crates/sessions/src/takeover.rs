//! Takeovers (S8): rows of dead homes are claimed by their replicator, and whoever holds a state of one hands
//! it over.

use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::copy::CopyOf;
use crate::effects::Effects;
use crate::hid::Hid;
use crate::list::Row;
use crate::record::{ClaimKind, NOBODY, Record, put_writes};
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Version};
use crate::time::Clock;

impl Sessions {
    /// Tells a row and its state to the node that is home of it, or will be.
    pub(crate) fn hand_over(&self, clock: Clock, hid: Hid, row: Row, to: NodeId, effects: &mut Effects) {
        let Some(key) = self.states.find(hid).filter(|&key| self.states.id(key).life == row.life) else {
            return;
        };
        let mut writes = Vec::new();
        put_writes(&mut writes, self.cluster.writes.of(hid));
        let copy = CopyOf::whole(&self.states, key, clock.ms());
        effects.send(to, hid.bucket(), &Record::Orphan { row, copy, writes: &writes });
    }

    /// Another node holds a state of a row that is home here, or that this node will claim.
    pub(crate) fn on_orphan(
        &mut self,
        clock: Clock,
        row: Row,
        copy: CopyOf<'_>,
        writes: &[u8],
        effects: &mut Effects,
    ) {
        let hid = copy.hid;
        if self.gone.over(hid, row.life, row.flags.rule()).is_some() {
            return;
        }
        self.counter = self.counter.max(row.life.counter);
        let mine = self.list.get(hid);
        if mine.is_none_or(|mine| {
            self.rank(hid, mine) < self.rank(hid, Row { flags: row.flags.waiting(false), ..row })
        }) {
            self.list.set(hid, Row { flags: row.flags.waiting(false), ..row });
        }
        let Some(mine) = self.list.get(hid).filter(|mine| mine.life == row.life) else { return };
        let before = self.states.find(hid).map(|key| self.states.id(key));
        self.join_state(clock, copy, writes, mine.epoch);
        let Some(key) = self.states.find(hid) else { return };
        let after = self.states.id(key);
        if mine.home == self.config.own && before != Some(after) {
            // both sides of a cut wrote: what is joined is a version of its own
            let version = Version(before.map_or(0, |id| id.version.0).max(after.version.0) + 1);
            self.states.set_id(key, mine.epoch, version);
            self.copy_out(hid, clock.ms(), effects);
        }
        if mine.home == NOBODY {
            self.take_over(clock, hid, mine, ClaimKind::Takeover, effects);
        } else if self.has_lease() && self.cluster.members.is_dead(mine.home) {
            self.take_over_if_ours(clock, hid, mine, effects);
        }
    }

    /// Claims the rows of dead homes that are this node's to claim, and hands the states of others to whoever
    /// claims them.
    pub(crate) fn take_over_dead(&mut self, clock: Clock, effects: &mut Effects) {
        if !self.has_lease() {
            return;
        }
        let dead: Vec<(Hid, Row)> = self
            .list
            .iter()
            .filter(|(_, row)| row.home != NOBODY && self.cluster.members.is_dead(row.home))
            .collect();
        for (hid, row) in dead {
            self.take_over_if_ours(clock, hid, row, effects);
        }
    }

    fn take_over_if_ours(&mut self, clock: Clock, hid: Hid, row: Row, effects: &mut Effects) {
        if self.cluster.claims.get(hid).is_some() || !self.is_firm(hid, row) {
            return;
        }
        match self.cluster.members.replicator(row.home.node, hid.bucket()) {
            Some(node) if node == self.config.own.node => {
                self.take_over(clock, hid, row, ClaimKind::Takeover, effects);
            }
            Some(node) => self.hand_over(clock, hid, row, node, effects),
            None => {}
        }
    }

    pub(crate) fn take_over(
        &mut self,
        clock: Clock,
        hid: Hid,
        row: Row,
        kind: ClaimKind,
        effects: &mut Effects,
    ) {
        let epoch = Epoch(row.epoch.0.saturating_add(1));
        let claimed = Row { epoch, home: self.config.own, flags: row.flags.waiting(true), ..row };
        if self.list.set(hid, claimed) {
            self.claim(clock, hid, kind, row.life, epoch, effects);
        }
    }
}
