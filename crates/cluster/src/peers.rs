//! Frames from peers and to peers.

pub(crate) mod applied_maps;
pub(crate) mod control_links;
pub(crate) mod forgetting;
mod links;
pub(crate) mod map_transfers;
mod maps;
pub(crate) mod reports;
pub(crate) mod schedule;
pub(crate) mod served;
mod timers;
pub(crate) mod unknown_frames;
mod verdicts;

use alloc::string::ToString;
use alloc::vec::Vec;

use leveret_link::handshake::{Capabilities, Capability};
use leveret_model::directory::{Command, Reply};
use leveret_model::{Instant, NodeId, RequestId};

use self::map_transfers::Piece;
use self::served::Arrival;
use crate::control::Control;
use crate::desk::{CommandKey, Origin, Phase};
use crate::directory::map::Version;
use crate::effects::{Event, LinkKey};
use crate::frame::{Frame, MemberInfo};
use crate::membership::member::{Member, PeerHello};
use crate::membership::{Standing, TurnAway};

impl Control {
    /// Nodes with a link.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        self.members.iter().filter(|(_, member)| member.link.is_some()).map(|(&node, _)| node).collect()
    }

    /// Members whose echo the lease needs.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.members.iter().filter(|(_, member)| member.counted && !member.standing.is_down())
    }

    /// The node's hello says that it answers to that.
    pub(crate) fn can(&self, node: NodeId, capability: Capability) -> bool {
        self.members.get(&node).is_some_and(|member| member.hello.capabilities.has(capability))
    }

    /// Sends a frame to a node if there is a link; what matters is said again on a new one.
    pub(crate) fn send(&mut self, node: NodeId, frame: Frame) {
        if let Some(link) = self.members.get(&node).and_then(|member| member.link) {
            self.effects.frames.push((link, frame.encode(node)));
        }
    }

    /// A frame of a kind that only a later version knows.
    pub(crate) fn on_unknown_frame(&mut self, peer: NodeId, kind: u32) {
        if self.reports.unknown_frames.on_frame(peer, kind) {
            let name = self.name_of(peer);
            self.effects.events.push(Event::UnknownFrame { peer, name, kind });
        }
    }

    // ---- frames

    pub(crate) fn frame(&mut self, now: Instant, link: LinkKey, peer: NodeId, frame: Frame) {
        match frame {
            Frame::Ping { sent_nanos } => self.on_ping(now, peer, sent_nanos),
            Frame::Echo { sent_nanos, versions, hears, ready } => {
                self.on_echo(now, peer, sent_nanos, versions, hears, ready);
            }
            Frame::State { members, versions, ready } => self.on_state(now, peer, members, &versions, ready),
            Frame::Delta { node, from, to, ops, rests_on } => {
                if node != peer {
                    self.bad_frame(link, peer, "a delta of a map that is not its own".to_string());
                } else if self.directory.on_delta(node, from, to, ops) {
                    self.rests_on(now, peer, node, rests_on);
                } else {
                    self.want(now, peer, node, to, true);
                }
            }
            Frame::Ack { version } => self.desk.visible.on_ack(peer, version),
            Frame::Conflict { proposal, taken } => self.on_conflict(now, peer, proposal, taken),
            Frame::Agreed { proposal } => {
                if let Some(key) = self.desk.proposals.get(&proposal) {
                    self.desk.visible.on_agreed(key, peer);
                }
            }
            Frame::Digest { versions } => {
                for (node, version) in versions {
                    self.want(now, peer, node, version, true);
                }
            }
            Frame::MapRequest { node, known } => self.on_map_request(peer, node, known),
            Frame::MapReply { node, version, piece, last, records, rests_on } => {
                let piece = Piece { version, number: piece, last, records };
                if self.on_map_piece(link, node, piece) {
                    self.rests_on(now, peer, node, rests_on);
                }
            }
            Frame::TurnAway { why: TurnAway::Clone } => self.stop(Event::Clone { node: self.own() }),
            Frame::TurnAway { why } => self.on_turned_away(now, link, why),
            Frame::Forget { node } => self.on_forget(now, node),
            Frame::Request { id, oldest, command } => self.on_request(now, peer, id, oldest, command),
            Frame::Response { id, reply } => self.on_response(now, peer, id, reply),
            Frame::Move { queue, attempt, step } => self.on_move_step(now, peer, (queue, attempt), step),
            Frame::Leaving => self.on_node_leaving(peer),
            Frame::Staying => self.moves.forget_leaving(peer),
        }
    }

    fn on_ping(&mut self, now: Instant, peer: NodeId, sent_nanos: u64) {
        let (hears, ready) = self.hears(now);
        let versions = self.directory.versions();
        self.desk.visible.on_echoed(now, peer);
        self.lease.on_echoed(peer);
        if let Some(member) = self.members.get_mut(&peer) {
            member.pinged_nanos = sent_nanos;
        }
        self.send(peer, Frame::Echo { sent_nanos, versions, hears, ready });
    }

    fn on_echo(
        &mut self,
        now: Instant,
        peer: NodeId,
        sent_nanos: u64,
        versions: Vec<(NodeId, Version)>,
        hears: Vec<NodeId>,
        ready: bool,
    ) {
        let own_version = self.directory.version();
        let own = self.own();
        let versions = self.forgotten.without(versions);
        if versions.iter().any(|(node, version)| *node == own && *version > own_version) {
            self.stop(Event::RolledBack { peer });
        }
        for &(node, version) in &versions {
            self.want(now, peer, node, version, false);
        }
        let had = self.has_lease(now);
        let applied = &self.applied;
        let Some(member) = self.members.get_mut(&peer) else { return };
        if sent_nanos != 0 {
            member.heard_at = Some(now);
            let sent = Instant::from_nanos(sent_nanos.min(now.as_nanos()));
            member.echoes.on_echo(sent, versions, |node| applied.version((own, own_version), node));
        }
        let changed = member.hears != hears || member.ready != ready || member.standing != Standing::Alive;
        member.hears = hears;
        member.ready = ready;
        member.counted |= ready;
        if !had && self.has_lease(now) {
            self.desk.recheck();
        }
        if changed {
            self.judge_peers(now);
        }
    }

    /// The members that a peer knows, with its verdicts.
    fn on_state(
        &mut self,
        now: Instant,
        peer: NodeId,
        members: Vec<MemberInfo>,
        versions: &[(NodeId, Version)],
        ready: bool,
    ) {
        let own = self.own();
        for info in members {
            if info.node == own {
                continue;
            }
            let down_for = info.down_for;
            if self.forgotten.contains(info.node) {
                if down_for.is_some() {
                    continue;
                }
                self.forgotten.remove(info.node);
            }
            if !self.members.contains_key(&info.node) && down_for.is_none() && self.is_full() {
                self.say_full(info.node, &info.name, &info.address);
                continue;
            }
            let hello = PeerHello {
                node: info.node,
                incarnation: info.incarnation,
                boot: info.boot,
                shards: info.shards,
                address: info.address,
                name: info.name,
                capabilities: Capabilities::default(),
            };
            let member = self.members.entry(info.node).or_insert_with(|| {
                let mut member = Member::new(now, hello);
                if let Some(time) = down_for {
                    // its time runs since it went down, not since this node heard of it
                    member.standing = Standing::Down { since: now - time };
                }
                member
            });
            // a member that was told of counts; one that is known already keeps this node's own verdict
            member.counted = true;
        }
        for member in self.members.values_mut() {
            member.replaced |= member.link.is_none() && self.links.dials.is_myself(&member.hello.address);
        }
        if let Some(member) = self.members.get_mut(&peer) {
            member.stated = true;
            member.ready |= ready;
            // two newcomers count each other; a member waits until the newcomer is ready
            member.counted |= ready || !self.lease.is_ready();
        }
        for (&node, member) in &self.members {
            self.directory.set_standing(node, member.standing);
        }
        for &(node, version) in versions {
            self.want(now, peer, node, version, true);
        }
        self.judge_peers(now);
        self.dial_due(now);
    }

    /// The frame that opens a link, and tells of new members later.
    pub(super) fn state(&self, now: Instant) -> Frame {
        let own = MemberInfo {
            node: self.own(),
            incarnation: self.config.incarnation,
            boot: self.config.boot,
            address: self.config.address.clone(),
            shards: self.config.shards,
            name: self.config.name.clone(),
            down_for: None,
        };
        let known = self
            .members
            .values()
            .filter(|member| member.standing.is_down() && member.counted || member.ready);
        let others = known.map(|member| MemberInfo {
            node: member.hello.node,
            incarnation: member.hello.incarnation,
            boot: member.hello.boot,
            address: member.hello.address.clone(),
            shards: member.hello.shards,
            name: member.hello.name.clone(),
            down_for: member.standing.down_for(now),
        });
        let members = core::iter::once(own).chain(others).collect();
        Frame::State { members, versions: self.directory.versions(), ready: self.lease.is_ready() }
    }

    /// The nodes that this one hears, newcomers left out, and whether it is ready itself.
    pub(crate) fn hears(&self, now: Instant) -> (Vec<NodeId>, bool) {
        let heard = self.members.iter().filter(|(_, member)| member.ready && member.is_heard(now));
        (heard.map(|(&node, _)| node).collect(), self.lease.is_ready())
    }

    /// Says at once that the list changed; new members are introduced before.
    pub(crate) fn publish_hears(&mut self, now: Instant) {
        let said = self.hears(now);
        let Some(introduce) = self.reports.on_hears(&said) else { return };
        let versions = self.directory.versions();
        for peer in self.peers() {
            if introduce {
                let state = self.state(now);
                self.send(peer, state);
            }
            let sent_nanos = self.members.get(&peer).map_or(0, |member| member.pinged_nanos);
            let (hears, ready) = said.clone();
            self.send(peer, Frame::Echo { sent_nanos, versions: versions.clone(), hears, ready });
        }
    }

    // ---- requests

    /// Sends a command to the home of its queue; again under its id on each new link.
    pub(crate) fn send_request(&mut self, home: NodeId, key: CommandKey) {
        let forwarded = |phase: &Phase| *phase == Phase::Forwarded(home);
        let oldest = self.desk.commands.iter().find(|(_, pending)| forwarded(&pending.phase));
        let oldest = oldest.map_or(key.0, |(key, _)| key.0);
        let Some(pending) = self.desk.commands.get(&key) else { return };
        let command = pending.command.clone();
        self.send(home, Frame::Request { id: RequestId(key.0), oldest: RequestId(oldest), command });
    }

    fn on_request(&mut self, now: Instant, peer: NodeId, id: RequestId, oldest: RequestId, command: Command) {
        match self.desk.served.on_request(peer, id, oldest) {
            Arrival::Answered(reply) => self.send(peer, Frame::Response { id, reply }),
            Arrival::UnderWay => {}
            Arrival::New => {
                self.on_command(now, Origin::Peer(peer, id), command);
            }
        }
    }

    /// Answers a peer's request; the answer is kept until the peer waits for it no longer.
    pub(crate) fn respond(&mut self, node: NodeId, id: RequestId, reply: Reply) {
        self.desk.served.on_answer(node, id, reply.clone());
        self.send(node, Frame::Response { id, reply });
    }
}
