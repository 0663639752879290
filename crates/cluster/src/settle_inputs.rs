//! The end of each input: works out what follows from it until nothing changes any more.
//!
//! The order within one input: votes, changes for the shards, changes that the shards have applied, waits that
//! are over, commands that can go on. The delta of the own map is sent last, before any echo could name its
//! version.

use alloc::vec::Vec;

use leveret_link::handshake::Capability;
use leveret_model::directory::{SessionPeer, ToShard};
use leveret_model::{Instant, QueueId, ShardId, limits};

use crate::control::Control;
use crate::desk::{CommandKey, Phase};
use crate::directory::known_registers::Retyped;
use crate::directory::map::Version;
use crate::directory::merge::MergeStep;
use crate::directory::proposal::Notice;
use crate::effects::Event;
use crate::frame::Frame;
use crate::membership::join::Surroundings;
use crate::membership::member::Member;
use crate::membership::own_lease::NewEnd;
use crate::shard_changes::AfterApplied;

impl Control {
    /// Works out what follows from an input. A shorter lease is published before its changes, a longer one
    /// after them.
    pub(crate) fn settle_inputs(&mut self, now: Instant) {
        self.update_lease(now, false);
        self.publish_session_peers();
        loop {
            self.settle_directory(now);
            self.settle_moves(now);
            self.push_delta();
            self.store_shared();
            self.update_lease(now, true);
            if !(self.directory.is_dirty() || self.desk.is_recheck_due() && self.has_lease_or_stopped(now)) {
                break;
            }
        }
        self.publish_hears(now);
    }

    /// Repeats directory, changes, waits and commands until none of them changes another.
    fn settle_directory(&mut self, now: Instant) {
        loop {
            self.directory.refresh();
            let mut more = self.merge(now);
            more |= self.send_votes(now);
            if more {
                continue;
            }
            self.publish_changes();
            for (key, everyone) in core::mem::take(&mut self.desk.finishing) {
                self.await_visible(now, key, everyone);
            }
            self.on_changes_applied(now);
            for key in self.desk.visible.poll(now, self.shards.applied_by_all()) {
                self.on_visible(now, key);
                more = true;
            }
            if !self.has_lease_or_stopped(now) {
                self.pass_all_back();
            } else if let Some(waiting) = self.desk.take_waiting() {
                for key in waiting {
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
        self.has_lease(now) || self.lease.is_stopped()
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
        self.desk.visible.wait(now, key, version, 0, peers.into_iter());
    }

    fn send_votes(&mut self, now: Instant) -> bool {
        let notices = self.directory.take_notices();
        let mut lost = false;
        for notice in notices {
            match notice {
                Notice::Conflict { proposer, proposal, taken } => {
                    self.shards.on_conflict(proposer, proposal);
                    self.send(proposer, Frame::Conflict { proposal, taken });
                }
                Notice::Agreed { proposer, proposal } => self.shards.on_agreed(proposer, proposal),
                Notice::Lost { proposal } => {
                    self.withdraw(now, proposal);
                    lost = true;
                }
            }
        }
        lost
    }

    fn publish_changes(&mut self) {
        let changes = self.directory.take_changes();
        if !changes.is_empty() {
            self.desk.recheck();
        }
        for Retyped { name, was, is } in self.directory.take_retyped() {
            self.effects.events.push(Event::ExchangeRetyped { vhost: name.vhost, name: name.name, was, is });
        }
        for (kind, node) in self.directory.take_unknown() {
            let name = self.name_of(node);
            self.effects.events.push(Event::UnknownRecord { kind, node, name });
        }
        for change in changes {
            let sequence = self.shards.number();
            for shard in 0..self.config.shards {
                let mail = ToShard::Change { sequence, change: change.clone() };
                self.effects.to_shards.push((ShardId(shard), mail));
            }
        }
        for node in self.applied.take_stored() {
            self.shards.on_map(node, self.directory.version_of(node));
            self.desk.recheck();
        }
        self.shards.number_agreed();
    }

    fn await_visible(&mut self, now: Instant, key: CommandKey, everyone: bool) {
        let Some(pending) = self.desk.commands.get(&key) else { return };
        // a vote does not wait for the own shards: they hear of an own proposal only when it stands
        let sequence = if matches!(pending.phase, Phase::Finishing(..)) { self.shards.sequence() } else { 0 };
        let peers = if everyone { self.peers() } else { Vec::new() };
        let version = self.directory.version();
        if everyone {
            self.desk.visible.wait(now, key, version, sequence, peers.into_iter());
        } else {
            self.desk.visible.wait_for_own(key, version, sequence);
        }
    }

    fn on_changes_applied(&mut self, now: Instant) {
        let applied = self.bug.applied(self.shards.applied_by_all(), self.shards.sequence());
        let mut any = false;
        while let Some(what) = self.shards.take_due(applied) {
            match what {
                AfterApplied::Map(node, version) => {
                    any = true;
                    self.applied.on_routed(node, version, self.directory.rests_on(node));
                }
                AfterApplied::Agreed(node, proposal) => self.send(node, Frame::Agreed { proposal }),
            }
        }
        if any {
            self.ack_applied();
            let had = self.has_lease(now);
            self.count_echoes();
            if !had && self.has_lease(now) {
                self.desk.recheck();
            }
        }
    }

    /// Acknowledges the maps that are routed by together with all that they rest on.
    pub(crate) fn ack_applied(&mut self) {
        let (directory, forgotten) = (&self.directory, &self.forgotten);
        let acks = self
            .applied
            .take_acks(|node| directory.standing(node).is_down(), |node| forgotten.contains(node));
        for (node, version) in acks {
            self.send(node, Frame::Ack { version });
        }
    }

    /// Echoes that were held for want of a map version may count now.
    pub(crate) fn count_echoes(&mut self) {
        let own = (self.own(), self.directory.version());
        let applied = &self.applied;
        for member in self.members.values_mut() {
            member.echoes.on_applied(|node| applied.version(own, node));
        }
    }

    /// Sends what was written to the own map, in frames of bounded size.
    fn push_delta(&mut self) {
        let Some((mut from, to, ops)) = self.directory.take_delta() else { return };
        self.store_steps(&ops);
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

    /// Tells the shards which peers keep sessions. One with a control link is told of before it counts for the
    /// lease, because it may have a lease that counts this node by then.
    fn publish_session_peers(&mut self) {
        let keeps = |member: &&Member| {
            let there = !member.standing.is_down() && (member.counted || member.link.is_some());
            there && member.hello.capabilities.has(Capability::SESSIONS)
        };
        let peers = self.members.values().filter(keeps).map(|member| SessionPeer {
            node: member.hello.node,
            boot: member.hello.boot,
            shards: member.hello.shards,
            leaves: self.moves.is_leaving(member.hello.node),
            surveys: member.hello.capabilities.has(Capability::SESSION_SURVEYS),
        });
        let peers: Vec<SessionPeer> = peers.collect();
        if self.shards.on_session_peers(&peers) {
            for shard in 0..self.config.shards {
                let mail = ToShard::SessionPeers { peers: peers.clone() };
                self.effects.to_shards.push((ShardId(shard), mail));
            }
        }
    }

    // ---- the lease

    /// Until when this node may act on its view.
    pub(crate) fn lease_end(&self) -> Instant {
        self.lease.until(self.echoed_until())
    }

    /// This node may act on its view.
    pub(crate) fn has_lease(&self, now: Instant) -> bool {
        now < self.lease_end()
    }

    /// The lease by the echoes of all that count.
    fn echoed_until(&self) -> Instant {
        self.counted().map(|(_, member)| member.echoes.until()).fold(Instant::FAR, Instant::min)
    }

    /// Joins if that is possible now, and publishes the end of the lease to the shards.
    fn update_lease(&mut self, now: Instant, longer: bool) {
        if !self.lease.is_ready() {
            let seen = self.surroundings();
            if self.lease.join(now, seen) {
                self.desk.recheck();
                self.effects.ready = Some(seen.counted);
                self.effects.events.push(Event::Ready { others: seen.counted });
            }
        }
        let Some(NewEnd { until, gained }) = self.lease.publish(now, self.lease_end(), longer) else {
            return;
        };
        if gained {
            self.desk.recheck();
        }
        for shard in 0..self.config.shards {
            self.effects.to_shards.push((ShardId(shard), ToShard::Lease { until }));
        }
    }

    /// What this node sees while it joins.
    fn surroundings(&self) -> Surroundings {
        let unstated = |member: &&Member| member.link.is_some() && !member.stated;
        Surroundings {
            seeds: self.links.dials.other_seeds().count(),
            untried: self.links.dials.untried(),
            asked: self.links.dials.was_asked(),
            turned_away: self.links.dials.is_turned_away(),
            links: self.links.len(),
            unstated: self.members.values().filter(unstated).count(),
            counted: self.counted().count(),
            unechoed: self.counted().filter(|(node, _)| !self.lease.has_echoed(**node)).count(),
            lease: self.echoed_until(),
        }
    }

    /// Names of the members whose echo is missing.
    pub(crate) fn missing_names(&self, now: Instant) -> alloc::string::String {
        let names: Vec<&str> = self
            .counted()
            .filter(|(_, member)| member.echoes.until() <= now)
            .map(|(_, member)| member.hello.name.as_str())
            .collect();
        if names.is_empty() { "its seeds".into() } else { names.join(", ") }
    }
}
