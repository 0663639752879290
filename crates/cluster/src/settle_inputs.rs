//! The end of each input: what follows from it is worked out until nothing more does.
//!
//! Order within one input: votes against, changes to the shards, what the shards applied, what is visible now,
//! commands that can go on; then the own map's delta goes out, before any echo could name it.

use alloc::vec::Vec;

use leveret_model::directory::ToShard;
use leveret_model::{Instant, NodeId, QueueId, ShardId, limits};

use crate::command::{CommandKey, Phase};
use crate::control::{AfterApplied, Control};
use crate::directory::known_registers::Retyped;
use crate::directory::map::Version;
use crate::directory::merge::MergeStep;
use crate::directory::proposal::Notice;
use crate::effects::Event;
use crate::frame::{Frame, Versions};
use crate::membership::join::{Join, Surroundings};

impl Control {
    /// Works out what follows from an input, with the lease shortened before and lengthened behind.
    pub(crate) fn work_out(&mut self, now: Instant) {
        self.update_lease(now, false);
        loop {
            self.work(now);
            self.push_delta();
            self.update_lease(now, true);
            if !(self.stirred && self.has_lease_or_stopped(now)) {
                break;
            }
        }
        self.tell_hears(now);
    }

    /// Directory, changes, waits and commands, until none of them moves another.
    fn work(&mut self, now: Instant) {
        loop {
            self.directory.refresh();
            let mut more = self.merge(now);
            more |= self.tell_notices(now);
            if more {
                continue;
            }
            self.tell_changes();
            for (key, everyone) in core::mem::take(&mut self.desk.finishing) {
                self.await_visible(now, key, everyone);
            }
            self.apply(now);
            for key in self.visible.poll(now, self.applied_by_all()) {
                self.on_visible(now, key);
                more = true;
            }
            if !self.has_lease_or_stopped(now) {
                self.pass_all_back();
            } else if self.stirred {
                self.stirred = false;
                for key in core::mem::take(&mut self.desk.waiting) {
                    self.judge(now, key);
                }
                more = true;
            }
            if !more && self.desk.finishing.is_empty() && !self.directory.is_dirty() {
                break;
            }
        }
    }

    fn has_lease_or_stopped(&self, now: Instant) -> bool {
        self.has_lease(now) || self.stopped
    }

    fn merge(&mut self, now: Instant) -> bool {
        let steps = self.directory.merge();
        let more = !steps.is_empty();
        for step in steps {
            self.effects.events.push(match step {
                MergeStep::TookOver { name, from, bindings } => {
                    Event::MergeWon { vhost: name.vhost, name: name.name, from, bindings }
                }
                MergeStep::United { loser, version } => {
                    self.await_union(now, loser, version);
                    continue;
                }
                MergeStep::Renamed { name, renamed, winner } => {
                    Event::MergeLost { vhost: name.vhost, name: name.name, renamed, winner }
                }
            });
        }
        more
    }

    /// R1 for a step of a merge: no command waits for it.
    fn await_union(&mut self, now: Instant, loser: QueueId, version: Version) {
        let key = self.desk.draw_key();
        self.desk.unions.insert(key, (loser, version));
        let peers = self.peers();
        self.visible.wait(now, key, version, 0, peers.into_iter());
    }

    fn tell_notices(&mut self, now: Instant) -> bool {
        let notices = self.directory.take_notices();
        let mut lost = false;
        for notice in notices {
            match notice {
                Notice::Conflict { proposer, proposal, taken } => {
                    self.agreed.retain(|agreed| *agreed != (proposer, proposal));
                    self.send(proposer, Frame::Conflict { proposal, taken });
                }
                Notice::Agreed { proposer, proposal } => self.agreed.push((proposer, proposal)),
                Notice::Lost { proposal } => {
                    self.withdraw(now, proposal);
                    lost = true;
                }
            }
        }
        lost
    }

    fn tell_changes(&mut self) {
        let changes = self.directory.take_changes();
        self.stirred |= !changes.is_empty();
        for Retyped { name, was, is } in self.directory.take_retyped() {
            self.effects.events.push(Event::ExchangeRetyped { vhost: name.vhost, name: name.name, was, is });
        }
        for (kind, node) in self.directory.take_unknown() {
            let name = self.name_of(node);
            self.effects.events.push(Event::UnknownRecord { kind, node, name });
        }
        for change in changes {
            self.sequence += 1;
            for shard in 0..self.config.shards {
                let mail = ToShard::Change { sequence: self.sequence, change: change.clone() };
                self.effects.to_shards.push((ShardId(shard), mail));
            }
        }
        for node in core::mem::take(&mut self.stored) {
            let version = self.directory.version_of(node);
            self.after_applied.push_back((self.sequence, AfterApplied::Map(node, version)));
            self.stirred = true;
        }
        for (node, proposal) in core::mem::take(&mut self.agreed) {
            self.after_applied.push_back((self.sequence, AfterApplied::Agreed(node, proposal)));
        }
    }

    fn await_visible(&mut self, now: Instant, key: CommandKey, everyone: bool) {
        let Some(pending) = self.desk.commands.get(&key) else { return };
        // votes need not be applied here: an own proposal is told to the own shards when it stands
        let sequence = if matches!(pending.phase, Phase::Finishing(..)) { self.sequence } else { 0 };
        let peers = if everyone { self.peers() } else { Vec::new() };
        let version = self.directory.version();
        if everyone {
            self.visible.wait(now, key, version, sequence, peers.into_iter());
        } else {
            self.visible.wait_for_own(key, version, sequence);
        }
    }

    /// The last change that every shard applied.
    pub(crate) fn applied_by_all(&self) -> u64 {
        self.applied.iter().copied().min().unwrap_or(self.sequence)
    }

    fn apply(&mut self, now: Instant) {
        let applied = self.applied_by_all();
        #[cfg(feature = "planted")]
        let applied = match self.planted {
            Some(crate::planted::Planted::AckBeforeApplied) => self.sequence,
            _ => applied,
        };
        let mut any = false;
        while let Some(&(sequence, what)) = self.after_applied.front()
            && sequence <= applied
        {
            self.after_applied.pop_front();
            match what {
                AfterApplied::Map(node, version) => {
                    any = true;
                    self.routed_versions.insert(node, version);
                    let rests_on = self.directory.rests_on(node);
                    self.resting.entry(node).or_default().push_back((version, rests_on));
                }
                AfterApplied::Agreed(node, proposal) => self.send(node, Frame::Agreed { proposal }),
            }
        }
        if any {
            self.ack_rested();
            let had = self.has_lease(now);
            self.carry_echoes();
            self.stirred |= !had && self.has_lease(now);
        }
    }

    /// Acks the maps that are routed by together with all that they rest on. What a writer that is Down rested
    /// on may have died with it: nobody waits for its ack.
    pub(crate) fn ack_rested(&mut self) {
        let mut acks = Vec::new();
        let (directory, routed, forgotten) = (&self.directory, &self.routed_versions, &self.forgotten);
        for (&node, queue) in &mut self.resting {
            let gone = directory.standing(node).is_down();
            let rests = |on: &Versions| {
                // a map that its holder knows nothing of yet is at the default version everywhere
                on.iter().all(|(other, version)| {
                    routed.get(other).copied().unwrap_or_default() >= *version
                        || forgotten.contains_key(other)
                })
            };
            while let Some((version, on)) = queue.front()
                && (gone || rests(on))
            {
                acks.push((node, *version));
                queue.pop_front();
            }
        }
        for (node, version) in acks {
            self.applied_versions.insert(node, version);
            self.send(node, Frame::Ack { version });
        }
    }

    /// Echoes that were held for want of a map version may count now.
    pub(crate) fn carry_echoes(&mut self) {
        let (own, own_version) = (self.own(), self.directory.version());
        let applied = &self.applied_versions;
        for member in self.members.values_mut() {
            member.echoes.on_applied(|node| applied_version(applied, own, own_version, node));
        }
    }

    /// Sends what was written to the own map, in frames of bounded size.
    fn push_delta(&mut self) {
        let Some((mut from, to, ops)) = self.directory.take_delta() else { return };
        let node = self.own();
        let linked = self.peers();
        let rests_on = self.directory.rests_on(node);
        let mut rest = ops.into_iter().peekable();
        while rest.peek().is_some() {
            let ops: Vec<_> = rest.by_ref().take(limits::MAP_PIECE_RECORDS_MAX).collect();
            let next = Version { counter: from.counter + ops.len() as u64, ..from };
            for &peer in &linked {
                self.send(
                    peer,
                    Frame::Delta { node, from, to: next, ops: ops.clone(), rests_on: rests_on.clone() },
                );
            }
            from = next;
        }
        debug_assert_eq!(from, to, "each step counts one");
    }

    // ---- the lease
    // ----------------------------------------------------------------------------------------------

    /// Until when this node may act on its view.
    pub(crate) fn lease(&self) -> Instant {
        if self.stopped || self.join != Join::Ready { Instant::ZERO } else { self.echoed_until() }
    }

    /// This node may act on its view.
    pub(crate) fn has_lease(&self, now: Instant) -> bool {
        now < self.lease()
    }

    /// The lease by the echoes of all that count.
    fn echoed_until(&self) -> Instant {
        self.counted().map(|(_, member)| member.echoes.until()).fold(Instant::FAR, Instant::min)
    }

    /// Joins if that is possible now, and tells the shards until when the lease is: a shorter one before the
    /// changes of this input, a longer one after them.
    fn update_lease(&mut self, now: Instant, longer: bool) {
        if let Join::Joining { .. } = self.join {
            let seen = Surroundings {
                seeds: self.dials.other_seeds().count(),
                asked: self.dials.was_asked(),
                turned_away: self.dials.is_turned_away(),
                links: self.links.len(),
                unstated: self
                    .members
                    .values()
                    .filter(|member| member.link.is_some() && !member.stated)
                    .count(),
                counted: self.counted().count(),
                unechoed: self.counted().filter(|(node, _)| !self.echoed.contains(node)).count(),
                lease: self.echoed_until(),
            };
            if !self.stopped && self.join.is_over(now, seen) {
                self.join = Join::Ready;
                self.stirred = true;
                self.effects.ready = Some(seen.counted);
                self.effects.events.push(Event::Ready { others: seen.counted });
            }
        }
        let until = self.lease();
        if self.lease_told != Some(until) && (longer || self.lease_told.is_some_and(|told| until < told)) {
            let had = self.lease_told.is_some_and(|told| now < told);
            self.lease_told = Some(until);
            self.stirred |= !had && now < until;
            for shard in 0..self.config.shards {
                self.effects.to_shards.push((ShardId(shard), ToShard::Lease { until }));
            }
        }
    }

    /// Names of those whose echo is missing.
    pub(crate) fn missing_names(&self, now: Instant) -> alloc::string::String {
        let names: Vec<&str> = self
            .counted()
            .filter(|(_, member)| member.echoes.until() <= now)
            .map(|(_, member)| member.hello.name.as_str())
            .collect();
        if names.is_empty() { "its seeds".into() } else { names.join(", ") }
    }
}

/// The version of a map that every shard routes by. The own map is applied before anything is said about it.
pub(crate) fn applied_version(
    applied: &alloc::collections::BTreeMap<NodeId, Version>,
    own: NodeId,
    own_version: Version,
    node: NodeId,
) -> Version {
    if node == own { own_version } else { applied.get(&node).copied().unwrap_or_default() }
}
