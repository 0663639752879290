//! What membership says, and what time alone brings.

use alloc::vec::Vec;

use leveret_model::session::{KeptAnswer, SessionRefusal};
use leveret_model::{ConnectionKey, Instant, ShardId, limits};

use crate::effects::Effects;
use crate::hid::{Bucket, Hid};
use crate::members::Member;
use crate::pending::Waits;
use crate::record::{Ended, NOBODY, Record};
use crate::sessions::Sessions;
use crate::stamp::Home;
use crate::time::{Clock, Ms};

/// How often requests that wait are looked at, ms.
const TICK_MS: u64 = 10;

impl Sessions {
    /// All other nodes of the group, whenever one of them changes.
    pub fn on_members(&mut self, clock: Clock, members: &[Member], effects: &mut Effects) {
        self.now = clock.ms();
        let before: Vec<Home> = self.cluster.members.counted().collect();
        self.cluster.members.set(members);
        let after: Vec<Home> = self.cluster.members.counted().collect();
        let mut lacking = Vec::new();
        for &home in before.iter().filter(|home| !after.contains(home)) {
            lacking.extend(self.on_lost(clock, home, effects));
        }
        self.change_keepers(clock, effects);
        let own = |hid: &Hid| self.list.get(*hid).is_some_and(|row| row.home == self.config.own);
        for hid in lacking.into_iter().filter(own).collect::<Vec<_>>() {
            // the commit waited for a replicator that is lost: the next one must have it before it is answered
            self.copy_out(hid, clock.ms(), effects);
        }
        self.ask_maps(effects);
        self.take_over_dead(clock, effects);
        self.retry_all(clock, effects);
        self.go_on_leaving(clock, effects);
        self.tell_copies(effects);
    }

    /// Membership's lease: held while every counted node has echoed a ping of the last 1.5 s.
    pub fn on_lease(&mut self, clock: Clock, held: bool, effects: &mut Effects) {
        self.now = clock.ms();
        if self.cluster.sync.set_lease(held) {
            // others may have gone on without us
            self.states.all_stale();
            self.cluster.named.clear();
            for number in self.cluster.pending.all() {
                if matches!(
                    self.cluster.pending.get(number).map(|waiting| &waiting.waits),
                    Some(Waits::Load { .. })
                ) {
                    self.unask(number);
                }
            }
        }
        self.ask_maps(effects);
        self.take_over_dead(clock, effects);
        self.retry_all(clock, effects);
    }

    /// The link to a node is new: what was on its way is lost, on both sides. The node counts from now on,
    /// even if membership has not heard it yet: nothing is said behind its back.
    pub fn on_link(&mut self, clock: Clock, peer: Home, effects: &mut Effects) {
        self.now = clock.ms();
        self.cluster.members.heard(peer);
        self.cluster.sync.forget(peer);
        self.cluster.named.remove(&peer.node);
        self.unask_of(peer);
        self.ask_maps(effects);
        self.settle_changes(clock, effects);
    }

    /// A connection of this node is closed: what it asked for and nobody applied is dropped.
    pub fn on_closed(&mut self, shard: ShardId, connection: ConnectionKey) {
        self.readers.forget((shard, connection));
        for number in self.cluster.pending.of_connection(shard, connection) {
            self.cluster.pending.remove(number);
        }
    }

    /// What time alone brings: expiry, touches, requests that waited too long. Call it when
    /// [`Sessions::next_time`] is reached.
    pub fn on_time(&mut self, clock: Clock, effects: &mut Effects) {
        self.now = clock.ms();
        self.expire_due(clock, effects);
        let now = clock.ms();
        if now < self.cluster.next_tick {
            return;
        }
        self.cluster.next_tick = now.plus(TICK_MS);
        for hid in core::mem::take(&mut self.cluster.touched) {
            self.tell_touch(hid, now, effects);
        }
        self.cluster.writes.expire(now);
        self.cluster.moves.on_tick(now);
        let most = limits::SESSION_REQUEST_WAIT.as_millis() as u64;
        for number in self.cluster.pending.all() {
            let Some(waiting) = self.cluster.pending.get(number) else { continue };
            if now.since(waiting.arrived) >= most {
                self.finish(number, KeptAnswer::Refused(SessionRefusal::TryAgain), effects);
            } else {
                self.look_again(number, clock, effects);
            }
        }
        self.settle_changes(clock, effects);
        self.go_on_leaving(clock, effects);
        self.tell_copies(effects);
    }

    /// When [`Sessions::on_time`] has something to do; in the past if it had more to do than fits in a turn.
    #[must_use]
    pub fn next_time(&self) -> Instant {
        let at = |ms: Ms| Instant::from_nanos(ms.0.saturating_mul(1_000_000));
        let gone = self.gone.next().map_or(Instant::FAR, at);
        let busy = !self.cluster.pending.is_empty()
            || !self.cluster.touched.is_empty()
            || self.cluster.moves.is_busy();
        let tick = if busy { at(self.cluster.next_tick) } else { Instant::FAR };
        self.expiry.next().min(gone).min(tick)
    }

    /// A node is Down, or has another boot: nobody waits for it, and it waits for nobody. Gives the commits
    /// that waited for it alone.
    fn on_lost(&mut self, clock: Clock, home: Home, effects: &mut Effects) -> Vec<Hid> {
        self.cluster.sync.forget(home);
        self.cluster.moves.not_awaited(home);
        self.cluster.named.remove(&home.node);
        for hid in self.cluster.claims.not_awaited(home.node) {
            self.settle(hid, clock, effects);
        }
        self.unask_of(home);
        self.cluster.copies.lost(home.node)
    }

    fn unask_of(&mut self, peer: Home) {
        for number in self.cluster.pending.all() {
            let asks = match self.cluster.pending.get(number).map(|waiting| &waiting.waits) {
                Some(Waits::Load { asked, .. }) => asked.contains(&peer),
                Some(Waits::Forward { home, .. }) => *home == peer,
                _ => false,
            };
            if asks {
                self.unask(number);
            }
        }
    }

    fn retry_all(&mut self, clock: Clock, effects: &mut Effects) {
        for number in self.cluster.pending.all() {
            self.look_again(number, clock, effects);
        }
        self.settle_changes(clock, effects);
    }

    /// Every peer that has not told its map since the lease was lost is asked for it.
    fn ask_maps(&mut self, effects: &mut Effects) {
        let counted: Vec<Home> = self.cluster.members.counted().collect();
        let round = self.cluster.sync.round();
        for peer in self.cluster.sync.ask(counted.into_iter()) {
            self.cluster.named.insert(peer.node, alloc::collections::BTreeSet::new());
            effects.send(peer.node, self.first_bucket(), &Record::SyncAsk { round });
        }
    }

    /// A bucket that this shard keeps: for records that concern all of them.
    pub(crate) fn first_bucket(&self) -> Bucket {
        Bucket(self.config.shard.0)
    }

    /// A peer counts us from now on, and does not know what it missed: everything is told, what waits for
    /// votes too.
    pub(crate) fn on_sync_ask(&mut self, clock: Clock, from: Home, round: u64, effects: &mut Effects) {
        self.cluster.members.heard(from);
        self.gone.owe_all(from.node);
        self.tell_renames(from.node, effects);
        for (hid, gone) in self.gone.iter() {
            let left_ms = u32::try_from(gone.until.since(clock.ms())).unwrap_or(u32::MAX);
            effects.send(from.node, hid.bucket(), &Record::Gone(Ended { hid, life: gone.life, left_ms }));
        }
        for (hid, row) in self.list.iter() {
            let own = row.home == self.config.own && self.cluster.claims.get(hid).is_none();
            if own || row.home == NOBODY || self.cluster.members.is_dead(row.home) && self.is_firm(hid, row) {
                effects.send(from.node, hid.bucket(), &Record::Row { hid, row });
            }
        }
        for hid in self.cluster.claims.owed_also_by(from.node) {
            self.send_claim(hid, from.node, effects);
        }
        effects.send(from.node, self.first_bucket(), &Record::SyncEnd { round });
        // its copies are stale, or never came
        self.change_keepers(clock, effects);
        for bucket in (0..=u8::MAX).map(Bucket) {
            if !self.keeps(bucket) {
                continue;
            }
            let keepers = self.cluster.copies.keepers(bucket);
            if self.cluster.copies.current(bucket) == Some(from.node) {
                self.fill(clock, bucket, from.node, effects);
            } else if keepers.contains(&from.node) {
                effects.send(from.node, bucket, &Record::Retire);
            }
        }
        let own = |hid: &Hid| self.list.get(*hid).is_some_and(|row| row.home == self.config.own);
        for hid in self.cluster.copies.owed_by(from.node).into_iter().filter(own) {
            self.send_copy(hid, from.node, clock.ms(), effects);
        }
        self.ask_maps(effects);
    }

    /// The peer has told all: what it did not name of its own is no more.
    pub(crate) fn on_sync_end(&mut self, clock: Clock, from: Home, round: u64, effects: &mut Effects) {
        if round != self.cluster.sync.round() {
            return;
        }
        if let Some(named) = self.cluster.named.remove(&from.node) {
            let stale: Vec<Hid> = self
                .list
                .iter()
                .filter(|(hid, row)| row.home == from && !named.contains(hid) && !row.flags.waits())
                .map(|(hid, _)| hid)
                .collect();
            for hid in stale {
                self.drop_session(hid);
                self.cluster.changed.push(hid);
            }
        }
        self.cluster.sync.on_told(from, round);
        if self.has_lease() {
            self.take_over_dead(clock, effects);
            self.retry_all(clock, effects);
        }
    }

    /// The table of replicators, as membership is now.
    pub(crate) fn change_keepers(&mut self, clock: Clock, effects: &mut Effects) {
        let own = self.config.own.node;
        let buckets: Vec<Bucket> = (0..=u8::MAX).map(Bucket).filter(|bucket| self.keeps(*bucket)).collect();
        for bucket in buckets {
            let keeper = match self.config.copies {
                0 => None,
                _ => self.cluster.members.replicator(own, bucket),
            };
            if keeper == self.cluster.copies.current(bucket) {
                continue;
            }
            let members = &self.cluster.members;
            if let Some(retired) = self.cluster.copies.change(bucket, keeper, |node| members.is_counted(node))
            {
                effects.send(retired, bucket, &Record::Retire);
            }
            if let Some(keeper) = keeper {
                self.fill(clock, bucket, keeper, effects);
            }
        }
    }

    /// Every session of a bucket that is at home here goes to its new replicator. No answer waits for that.
    fn fill(&mut self, clock: Clock, bucket: Bucket, keeper: leveret_model::NodeId, effects: &mut Effects) {
        for (_, state) in self.states.of_bucket(bucket) {
            let hid = state.hid();
            let own = self.list.get(hid).is_some_and(|row| row.home == self.config.own && !row.flags.waits());
            if own {
                self.cluster.copies.begin_fill(hid, keeper);
                self.send_copy(hid, keeper, clock.ms(), effects);
                // a copy does not say whether its session was ever used
                if state.is_used() {
                    self.cluster.touched.insert(hid);
                }
            }
        }
    }
}
