//! Claims and votes (CLAIM, decision 17), and the rows that follow from them. Takeovers: `takeover.rs`.

use alloc::vec::Vec;

use leveret_model::{NodeId, limits};

use crate::copy::CopyOf;
use crate::effects::{Effects, EventKind};
use crate::hid::Hid;
use crate::list::{Flags, Row};
use crate::pending::Waits;
use crate::planted::Planted;
use crate::record::{ClaimKind, Ended, NOBODY, Record, Winner, put_writes, take_writes};
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Home, Stamp, StateId, Version};
use crate::states::NewState;
use crate::time::{Clock, Ms};

/// A claim that came.
#[derive(Clone, Copy)]
pub(crate) struct ClaimOf {
    pub(crate) kind: ClaimKind,
    pub(crate) life: Stamp,
    pub(crate) epoch: Epoch,
    pub(crate) flags: Flags,
    /// Version of the state that the claimant has.
    pub(crate) state: Option<(Epoch, Version)>,
}

impl Sessions {
    /// Known to have settled: it was told, or a copy came, which only a home sends, or the home has changed
    /// since.
    pub(crate) fn is_firm(&self, hid: Hid, row: Row) -> bool {
        let copy = self.states.find(hid).is_some_and(|key| self.states.id(key).life == row.life);
        !row.flags.waits() || row.epoch > Epoch(1) || copy && self.cluster.claims.get(hid).is_none()
    }

    /// A birth that nobody will settle any more, as far as this node can know.
    pub(crate) fn is_void(&self, hid: Hid, row: Row) -> bool {
        self.cluster.members.is_dead(row.home) && row.home != NOBODY && !self.is_firm(hid, row)
    }

    /// Who wins: what is firm, then life, then what is not away, then epoch, then the lower node.
    pub(crate) fn rank(&self, hid: Hid, row: Row) -> (bool, Stamp, bool, Epoch, core::cmp::Reverse<NodeId>) {
        (self.is_firm(hid, row), row.life, row.home != NOBODY, row.epoch, core::cmp::Reverse(row.home.node))
    }

    pub(crate) fn claim_birth(&mut self, clock: Clock, hid: Hid, effects: &mut Effects) {
        let Some(row) = self.list.get(hid) else { return };
        self.claim(clock, hid, ClaimKind::Birth, row.life, row.epoch, effects);
    }

    pub(crate) fn claim(
        &mut self,
        clock: Clock,
        hid: Hid,
        kind: ClaimKind,
        life: Stamp,
        epoch: Epoch,
        effects: &mut Effects,
    ) {
        let voters: Vec<NodeId> = self.cluster.members.counted().map(|home| home.node).collect();
        self.cluster.claims.begin(hid, kind, life, epoch, voters.clone());
        for &voter in &voters {
            self.send_claim(hid, voter, effects);
        }
        if voters.is_empty() {
            self.settle(hid, clock, effects);
        }
    }

    pub(crate) fn send_claim(&self, hid: Hid, voter: NodeId, effects: &mut Effects) {
        let (Some(claim), Some(row)) = (self.cluster.claims.get(hid), self.list.get(hid)) else { return };
        let (kind, life, epoch) = (claim.kind, claim.life, claim.epoch);
        let state = self.states.find(hid).map(|key| self.states.id(key)).filter(|id| id.life == life);
        let state = state.map(|id| (id.epoch, id.version));
        let record = Record::Claim { kind, hid, life, epoch, flags: row.flags, state };
        effects.send(voter, hid.bucket(), &record);
    }

    pub(crate) fn on_claim(&mut self, hid: Hid, from: Home, claim: ClaimOf, effects: &mut Effects) {
        if self.cluster.members.is_dead(from) {
            return;
        }
        self.counter = self.counter.max(claim.life.counter);
        if let Some(winner) = self.winner_over(hid, from, claim) {
            let record = Record::Overruled { hid, life: claim.life, epoch: claim.epoch, winner };
            return effects.send(from.node, hid.bucket(), &record);
        }
        if let Some(lost) = self.cluster.claims.remove(hid) {
            if lost.kind == ClaimKind::Birth && lost.life != claim.life {
                self.states.remove(hid);
            }
            self.lose_claim(hid);
        }
        let served = self.list.get(hid).is_some_and(|row| row.home == self.config.own);
        let row = Row { life: claim.life, epoch: claim.epoch, home: from, flags: claim.flags.waiting(true) };
        if !served || !self.bug.is(Planted::BothAnswer) {
            self.list.set(hid, row);
        }
        self.mark_stale(hid);
        self.vote(hid, from, claim, served, effects);
        self.cluster.changed.push(hid);
    }

    /// A vote brings along what the claimant lacks: a later state, answers to writes, and of the old home how
    /// long the session lasts.
    fn vote(&mut self, hid: Hid, from: Home, claim: ClaimOf, served: bool, effects: &mut Effects) {
        let own = self.states.find(hid).filter(|&key| self.states.id(key).life == claim.life);
        let lacks = self.cluster.copies.lacks(hid);
        let mut writes = Vec::new();
        put_writes(&mut writes, self.cluster.writes.of(hid));
        let news = |id: StateId| claim.state.is_none_or(|known| known < (id.epoch, id.version));
        let copy = own.filter(|&key| lacks || !writes.is_empty() || news(self.states.id(key)));
        if let (Some(key), None, true) = (own, copy, served) {
            let left = self.states.get(key).deadline().left(self.now);
            effects.send(from.node, hid.bucket(), &Record::Touched { hid, life: claim.life, left });
        }
        if served {
            self.cluster.copies.forget(hid);
            if let Some(key) = own.filter(|_| lacks) {
                // a commit under way is answered once the new home has it
                self.cluster.copies.begin(hid, self.states.id(key), alloc::vec![from.node]);
            }
        }
        let copy = copy.map(|key| (CopyOf::whole(&self.states, key, self.now), &writes[..]));
        let record = Record::Vote { hid, life: claim.life, epoch: claim.epoch, copy };
        effects.send(from.node, hid.bucket(), &record);
    }

    fn winner_over(&self, hid: Hid, from: Home, claim: ClaimOf) -> Option<Winner> {
        if let Some(gone) = self.gone.over(hid, claim.life, claim.flags.rule()) {
            let left_ms = u32::try_from(gone.until.since(self.now)).unwrap_or(u32::MAX);
            return Some(Winner::Gone(Ended { hid, life: gone.life, left_ms }));
        }
        let row = self.list.get(hid).filter(|_| !self.bug.is(Planted::BlindAck))?;
        // a node's later claim replaces its earlier one
        if row.home == from && row.flags.waits() {
            return None;
        }
        let firm = self.is_firm(hid, row) && row.home != NOBODY;
        let empty = claim.kind == ClaimKind::Birth || claim.state.is_none();
        let order = |life, epoch, node| (life, epoch, core::cmp::Reverse(node));
        let higher = order(row.life, row.epoch, row.home.node) > order(claim.life, claim.epoch, from.node);
        let away = row.home == NOBODY && row.life == claim.life;
        let beaten = higher && !away || empty && firm && row.life != claim.life;
        // the loser must not take a settled row for a birth that waits
        let flags = row.flags.waiting(row.flags.waits() && !firm);
        beaten.then_some(Winner::Row(Row { flags, ..row }))
    }

    /// The request that waits for a claim is looked at again.
    fn lose_claim(&mut self, hid: Hid) {
        for number in self.cluster.pending.of_hid(hid) {
            if matches!(self.cluster.pending.get(number).map(|waiting| &waiting.waits), Some(Waits::Claim(_)))
            {
                self.cluster.pending.set_waits(number, Waits::Change);
            }
        }
        self.cluster.changed.push(hid);
    }

    pub(crate) fn on_vote(
        &mut self,
        clock: Clock,
        from: Home,
        (hid, life, epoch): (Hid, Stamp, Epoch),
        copy: Option<(CopyOf<'_>, &[u8])>,
        effects: &mut Effects,
    ) {
        if !self.cluster.claims.is_of(hid, life, epoch) {
            return;
        }
        if let Some((copy, writes)) = copy {
            self.join_state(clock, copy, writes, epoch);
            effects.send(from.node, hid.bucket(), &Record::Copied { hid, id: copy.id });
        }
        if self.cluster.claims.voted(hid, from.node) {
            self.settle(hid, clock, effects);
        }
    }

    /// Keeps the later of two strings of one life, or what both sides know of its attributes; ids of writes of
    /// both. `epoch` is that of the row under which they join.
    pub(crate) fn join_state(&mut self, clock: Clock, copy: CopyOf<'_>, writes: &[u8], epoch: Epoch) {
        let hid = copy.hid;
        for (write, answer) in take_writes(writes).unwrap_or_default() {
            self.cluster.writes.note(hid, write, clock.ms(), answer.into());
        }
        if self.join_attributes(&copy, epoch, clock.ms()) {
            return;
        }
        let own = self.states.find(hid).map(|key| self.states.id(key));
        let later = own.is_none_or(|own| {
            (own.life, own.epoch, own.version) < (copy.id.life, copy.id.epoch, copy.id.version)
        });
        if let Some(new) = copy.to_state(clock.ms()).filter(|_| later) {
            self.put_state(hid, new, clock.ms());
        }
    }

    pub(crate) fn put_state(&mut self, hid: Hid, new: NewState<'_>, now: Ms) {
        if let Some(key) = self.states.insert(hid, new, now) {
            self.expiry.file(&mut self.states, key);
        }
    }

    pub(crate) fn on_overruled(
        &mut self,
        clock: Clock,
        (hid, life, epoch): (Hid, Stamp, Epoch),
        from: Home,
        winner: Winner,
        effects: &mut Effects,
    ) {
        if !self.cluster.claims.is_of(hid, life, epoch) {
            return;
        }
        let lost = self.cluster.claims.remove(hid);
        if lost.is_some_and(|claim| claim.kind == ClaimKind::Birth) {
            self.states.remove(hid);
        }
        // told to all, or those that voted for it would wait for this node for ever
        for home in self.cluster.members.counted().collect::<Vec<_>>() {
            effects.send(home.node, hid.bucket(), &Record::Left { hid, life });
        }
        self.list.remove(hid);
        match winner {
            Winner::Row(row) => {
                self.counter = self.counter.max(row.life.counter);
                self.list.set(hid, row);
            }
            Winner::Gone(ended) => self.on_gone(clock, ended, from, effects),
        }
        self.lose_claim(hid);
    }

    /// The last vote is in.
    pub(crate) fn settle(&mut self, hid: Hid, clock: Clock, effects: &mut Effects) {
        let (Some(claim), Some(row)) = (self.cluster.claims.remove(hid), self.list.get(hid)) else { return };
        let own = self.states.find(hid).filter(|&key| self.states.id(key).life == claim.life);
        let home = if own.is_some() { self.config.own } else { NOBODY };
        let settled = Row { home, flags: row.flags.waiting(false), ..row };
        self.list.set(hid, settled);
        for home in self.cluster.members.counted().collect::<Vec<_>>() {
            effects.send(home.node, hid.bucket(), &Record::Row { hid, row: settled });
        }
        if let Some(key) = own {
            self.states.set_fresh(key, false);
            let kind = if claim.kind == ClaimKind::Birth {
                self.counters.created += 1;
                EventKind::Created
            } else {
                if claim.kind == ClaimKind::Takeover {
                    // nobody could tell the home of touches meanwhile
                    let grown = limits::SESSION_TOUCH_INTERVAL.as_millis() as u64;
                    let deadline = self.states.get(key).deadline().grown(grown);
                    self.states.set_deadline(key, deadline);
                }
                self.cluster.moves.note_moved(hid, self.now);
                self.counters.moved += 1;
                EventKind::Moved
            };
            self.tell(kind, key, effects);
            self.note_births(hid, clock.ms());
            self.copy_out(hid, clock.ms(), effects);
        } else {
            self.counters.lost += 1;
        }
        self.answer_claim(hid);
    }

    /// Who waited for the claim waits for the copy now.
    fn answer_claim(&mut self, hid: Hid) {
        let id = self.states.find(hid).map(|key| self.states.id(key)).unwrap_or_default();
        for number in self.cluster.pending.of_hid(hid) {
            if let Some(Waits::Claim(answer)) =
                self.cluster.pending.get(number).map(|waiting| waiting.waits.clone())
            {
                self.cluster.pending.set_waits(number, Waits::Copied(id, answer));
            }
        }
        self.cluster.changed.push(hid);
    }

    /// The newest state goes to whoever keeps copies of it.
    pub(crate) fn copy_out(&mut self, hid: Hid, now: Ms, effects: &mut Effects) {
        let Some(key) = self.states.find(hid) else { return };
        let keepers = self.cluster.copies.keepers(hid.bucket());
        self.cluster.copies.begin(hid, self.states.id(key), keepers.clone());
        for keeper in keepers {
            self.send_copy(hid, keeper, now, effects);
        }
    }

    pub(crate) fn send_copy(&self, hid: Hid, to: NodeId, now: Ms, effects: &mut Effects) {
        let Some(key) = self.states.find(hid) else { return };
        self.send_copy_of(CopyOf::whole(&self.states, key, now), to, effects);
    }

    /// A row that a peer knows. The higher one stays; who served and lost hands over what it has.
    pub(crate) fn learn(&mut self, clock: Clock, hid: Hid, row: Row, from: NodeId, effects: &mut Effects) {
        if !row.flags.waits() && row.home != self.config.own {
            self.cluster.moves.arrived(hid);
        }
        self.counter = self.counter.max(row.life.counter);
        let over = self.gone.over(hid, row.life, row.flags.rule());
        if let Some(gone) = over.filter(|_| row.epoch <= Epoch(1) || !self.bug.is(Planted::EpochBeatsGone)) {
            let left_ms = u32::try_from(gone.until.since(self.now)).unwrap_or(u32::MAX);
            let ended = Ended { hid, life: gone.life, left_ms };
            return effects.send(from, hid.bucket(), &Record::Gone(ended));
        }
        let Some(mine) = self.list.get(hid) else {
            self.list.set(hid, row);
            return self.cluster.changed.push(hid);
        };
        if (mine.life, mine.epoch, mine.home) == (row.life, row.epoch, row.home) {
            self.list
                .set(hid, Row { flags: row.flags.waiting(row.flags.waits() && mine.flags.waits()), ..row });
            return self.cluster.changed.push(hid);
        }
        let own = mine.home == self.config.own;
        if self.rank(hid, row) <= self.rank(hid, mine) {
            if own && !mine.flags.waits() {
                effects.send(from, hid.bucket(), &Record::Row { hid, row: mine });
            }
            return;
        }
        if own {
            self.cluster.claims.remove(hid);
            self.lose_claim(hid);
            self.cluster.copies.forget(hid);
            if mine.life != row.life {
                self.states.remove(hid);
            } else if row.home != NOBODY {
                self.hand_over(clock, hid, mine, row.home.node, effects);
            }
        }
        self.list.set(hid, row);
        self.mark_stale(hid);
        self.cluster.changed.push(hid);
    }

    /// The home is another one: what an earlier one sent is good for a hand-over alone (S6).
    fn mark_stale(&mut self, hid: Hid) {
        if let Some(key) = self.states.find(hid).filter(|_| !self.bug.is(Planted::AnnouncedBeforeWhole)) {
            self.states.set_fresh(key, false);
        }
    }
}
