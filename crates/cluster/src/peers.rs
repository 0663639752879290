//! What other nodes say, and what is said to them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use leveret_model::directory::{Command, PeerState, Reply, ToShard};
use leveret_model::{Instant, NodeId, RequestId, ShardId, limits};

use crate::command::{CommandKey, Origin, Phase};
use crate::control::{Control, Link, Pieces, Wanted};
use crate::directory::map::{Record, Version};
use crate::effects::{Event, LinkKey};
use crate::frame::{Frame, MemberInfo, Versions};
use crate::membership::Standing;
use crate::membership::detector::verdict;
use crate::membership::dial::DialFailure;
use crate::membership::join::Join;
use crate::membership::member::{Member, PeerHello};
use crate::refusal;
use crate::settle::applied_version;

impl Control {
    /// Nodes with a link.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        self.members.iter().filter(|(_, member)| member.link.is_some()).map(|(&node, _)| node).collect()
    }

    /// Members whose echo the lease needs.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.members.iter().filter(|(_, member)| member.counted && !member.standing.is_down())
    }

    /// Sends a frame to a node if there is a link; what matters is said again on a new one.
    pub(crate) fn send(&mut self, node: NodeId, frame: Frame) {
        if let Some(link) = self.members.get(&node).and_then(|member| member.link) {
            self.effects.frames.push((link, frame.encode(node)));
        }
    }

    // ---- links --------------------------------------------------------------------------------------------------

    pub(crate) fn link_up(&mut self, now: Instant, link: LinkKey, peer: PeerHello, dialled: Option<&str>) {
        let (own, node) = (self.own(), peer.node);
        if let Some(address) = dialled {
            self.dials.on_answer(address, node, node == own && peer.boot == self.config.boot);
        }
        if node == own || !self.accepts(&peer) {
            if node == own && peer.boot != self.config.boot {
                self.stop(Event::Clone { node });
            }
            self.effects.hang_ups.push(link);
            return;
        }
        for (&other, member) in &mut self.members {
            if other != node && member.hello.address == peer.address {
                member.replaced = true;
            }
        }
        let dialler = if dialled.is_some() { own } else { node };
        let member = self.members.entry(node).or_insert_with(|| Member::new(now, peer.clone()));
        if let Some(old) = member.link {
            // of two dials that crossed the smaller id's stays; a second one of the same dialler replaces its first
            let kept = self.links.get(&old).map(|link| link.dialler);
            if dialler != own.min(node) && kept == Some(own.min(node)) {
                self.effects.hang_ups.push(link);
                return;
            }
            self.links.remove(&old);
            self.effects.hang_ups.push(old);
            self.pieces.retain(|(of, _), _| *of != old);
        }
        if member.hello.boot != peer.boot {
            // a later start of that node: the one before is gone
            *member = Member { announced: member.announced, ..Member::new(now, peer.clone()) };
            self.echoed.remove(&node);
        }
        member.hello = peer;
        member.link = Some(link);
        (member.stated, member.refusals, member.replaced) = (false, 0, false);
        if core::mem::take(&mut member.forgotten) {
            self.directory.unlearn(node);
        }
        self.links.insert(link, Link { peer: node, dialler, last_frame: now });
        self.visible.on_link(now, node);
        self.greet(now, node);
        self.judge_peers(now);
    }

    /// The first frames on a link: the state, what stands against the peer's proposals, how far its map is applied.
    fn greet(&mut self, now: Instant, node: NodeId) {
        let state = self.state();
        self.send(node, state);
        for proposal in self.directory.refused(node) {
            self.send(node, Frame::Conflict { proposal });
        }
        if let Some(&version) = self.applied_versions.get(&node) {
            self.send(node, Frame::Ack { version });
        }
        self.send(node, Frame::Ping { sent_nanos: now.as_nanos() });
        self.next_ping = self.next_ping.max(now);
        let requests: Vec<CommandKey> = self
            .desk
            .commands
            .iter()
            .filter(|(_, pending)| pending.phase == Phase::Forwarded(node))
            .map(|(&key, _)| key)
            .collect();
        for key in requests {
            self.send_request(node, key);
        }
    }

    fn accepts(&mut self, peer: &PeerHello) -> bool {
        match self.members.get(&peer.node) {
            None if self.members.len() + 1 >= limits::NODES_MAX => {
                self.effects.events.push(Event::Full { node: peer.node });
                false
            }
            Some(member)
                if member.hello.incarnation == peer.incarnation && member.hello.boot != peer.boot =>
            {
                self.effects.events.push(Event::Clone { node: peer.node });
                false
            }
            Some(member) => member.hello.incarnation <= peer.incarnation,
            None => true,
        }
    }

    fn stop(&mut self, why: Event) {
        if !self.stopped {
            self.stopped = true;
            self.stirred = true;
            self.effects.events.push(why);
        }
    }

    pub(crate) fn link_down(&mut self, now: Instant, link: LinkKey) {
        let Some(Link { peer, .. }) = self.links.remove(&link) else { return };
        self.pieces.retain(|(of, _), _| *of != link);
        let Some(member) = self.members.get_mut(&peer) else { return };
        member.link = None;
        let address = member.hello.address.clone();
        if self.dials.dial(now, &address, true) {
            self.effects.dials.push(address);
        }
        self.dials.hurry(now);
        self.judge_peers(now);
    }

    pub(crate) fn dial_failed(&mut self, now: Instant, address: &str, failure: DialFailure) {
        let mut again = now + limits::REDIAL_EVERY;
        if failure == DialFailure::Refused {
            for member in self.members.values_mut().filter(|member| member.link.is_none()) {
                if member.hello.address == address {
                    member.refusals = member.refusals.saturating_add(1);
                    if member.refusals == 1 {
                        again = now + limits::REFUSED_REDIAL_AFTER;
                    }
                }
            }
        }
        self.dials.on_failed(address, failure, again);
        self.judge_peers(now);
    }

    pub(crate) fn bad_frame(&mut self, link: LinkKey, peer: NodeId, reason: String) {
        self.effects.events.push(Event::BadFrame { peer, reason });
        self.effects.hang_ups.push(link);
        self.links.remove(&link);
        if let Some(member) = self.members.get_mut(&peer) {
            member.link = None;
        }
    }

    // ---- frames -------------------------------------------------------------------------------------------------

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
            Frame::Ack { version } => self.visible.on_ack(peer, version),
            Frame::Conflict { proposal } => self.on_conflict(now, peer, proposal),
            Frame::Agreed { proposal } => {
                if let Some(key) = self.desk.proposals.get(&proposal) {
                    self.visible.on_agreed(key, peer);
                }
            }
            Frame::Digest { versions } => {
                for (node, version) in versions {
                    self.want(now, peer, node, version, true);
                }
            }
            Frame::MapRequest { node, known } => self.on_map_request(peer, node, known),
            Frame::MapReply { node, version, piece, last, records, rests_on } => {
                if self.on_map_piece(link, node, version, piece, last, records) {
                    self.rests_on(now, peer, node, rests_on);
                }
            }
            Frame::Request { id, oldest, command } => self.on_request(now, peer, id, oldest, command),
            Frame::Response { id, reply } => {
                let key = CommandKey(id.0);
                let forwarded =
                    self.desk.commands.get(&key).is_some_and(|p| p.phase == Phase::Forwarded(peer));
                if forwarded {
                    self.answer(key, reply);
                }
            }
        }
    }

    fn on_ping(&mut self, now: Instant, peer: NodeId, sent_nanos: u64) {
        let (hears, ready) = self.hears(now);
        let versions = self.directory.versions();
        self.visible.on_echoed(now, peer);
        self.echoed.insert(peer);
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
        if versions.iter().any(|(node, version)| *node == own && *version > own_version) {
            self.stop(Event::RolledBack { peer });
        }
        for &(node, version) in &versions {
            self.want(now, peer, node, version, false);
        }
        let had = self.has_lease(now);
        let applied = &self.applied_versions;
        let Some(member) = self.members.get_mut(&peer) else { return };
        if sent_nanos != 0 {
            member.heard_at = Some(now);
            let sent = Instant::from_nanos(sent_nanos.min(now.as_nanos()));
            member.echoes.on_echo(sent, versions, |node| applied_version(applied, own, own_version, node));
        }
        let changed = member.hears != hears || member.ready != ready || member.standing != Standing::Alive;
        member.hears = hears;
        member.ready = ready;
        member.counted |= ready;
        self.stirred |= !had && self.has_lease(now);
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
            if info.node != peer && self.members.len() + 1 >= limits::NODES_MAX {
                self.effects.events.push(Event::Full { node: info.node });
                continue;
            }
            let hello = PeerHello {
                node: info.node,
                incarnation: info.incarnation,
                boot: info.boot,
                shards: info.shards,
                address: info.address,
                name: info.name,
            };
            let member = self.members.entry(info.node).or_insert_with(|| {
                let mut member = Member::new(now, hello);
                if info.down {
                    member.standing = Standing::Down { since: now };
                }
                member
            });
            // a member that was told of counts; one that is known already keeps this node's own verdict
            member.counted = true;
        }
        if let Some(member) = self.members.get_mut(&peer) {
            member.stated = true;
            member.ready |= ready;
            // two newcomers count each other; a member waits until the newcomer is ready
            member.counted |= ready || self.join != Join::Ready;
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
    fn state(&self) -> Frame {
        let own = MemberInfo {
            node: self.own(),
            incarnation: self.config.incarnation,
            boot: self.config.boot,
            address: self.config.address.clone(),
            shards: self.config.shards,
            name: self.config.name.clone(),
            down: false,
        };
        let known = self.members.values().filter(|member| {
            !member.forgotten && (member.standing.is_down() && member.counted || member.ready)
        });
        let others = known.map(|member| MemberInfo {
            node: member.hello.node,
            incarnation: member.hello.incarnation,
            boot: member.hello.boot,
            address: member.hello.address.clone(),
            shards: member.hello.shards,
            name: member.hello.name.clone(),
            down: member.standing.is_down(),
        });
        let members = core::iter::once(own).chain(others).collect();
        Frame::State { members, versions: self.directory.versions(), ready: self.join == Join::Ready }
    }

    /// The nodes that this one hears, newcomers left out, and whether it is ready itself.
    pub(crate) fn hears(&self, now: Instant) -> (Vec<NodeId>, bool) {
        let heard = self.members.iter().filter(|(_, member)| member.ready && member.is_heard(now));
        (heard.map(|(&node, _)| node).collect(), self.join == Join::Ready)
    }

    /// Says at once that the list changed; new members are introduced before.
    pub(crate) fn tell_hears(&mut self, now: Instant) {
        let said = self.hears(now);
        if said == self.said_hears {
            return;
        }
        let introduce = said.0.iter().any(|node| !self.said_hears.0.contains(node));
        self.said_hears.clone_from(&said);
        let versions = self.directory.versions();
        for peer in self.peers() {
            if introduce {
                let state = self.state();
                self.send(peer, state);
            }
            let sent_nanos = self.members.get(&peer).map_or(0, |member| member.pinged_nanos);
            let (hears, ready) = said.clone();
            self.send(peer, Frame::Echo { sent_nanos, versions: versions.clone(), hears, ready });
        }
    }

    // ---- maps ---------------------------------------------------------------------------------------------------

    /// `from` knows a version of a map. Ask for it if it is news: at once, or when the delta that is under way is late.
    fn want(&mut self, now: Instant, from: NodeId, node: NodeId, version: Version, at_once: bool) {
        if node == self.own() || version <= self.directory.version_of(node) {
            return;
        }
        let linked = self.members.get(&node).is_some_and(|member| member.link.is_some());
        let wanted = self.wanted.entry(node).or_insert(Wanted { since: now, asked: None });
        let late = now >= wanted.since + limits::PING_EVERY * 2;
        let asked = wanted.asked.is_some_and(|at| now < at + limits::MAP_REQUEST_AGAIN);
        if asked || !(at_once || late || !linked) {
            return;
        }
        wanted.asked = Some(now);
        let known = self.directory.version_of(node);
        self.send(from, Frame::MapRequest { node, known });
    }

    fn on_map_request(&mut self, peer: NodeId, node: NodeId, known: Version) {
        let Some(map) = self.directory.map(node).filter(|map| map.version > known) else { return };
        let version = map.version;
        let records: Vec<Record> = map.records.values().cloned().collect();
        let mut rest = records.into_iter().peekable();
        for piece in 0.. {
            let records: Vec<Record> = rest.by_ref().take(limits::MAP_PIECE_RECORDS_MAX).collect();
            let last = rest.peek().is_none();
            let rests_on = if last { self.directory.rests_on(node) } else { Versions::new() };
            self.send(peer, Frame::MapReply { node, version, piece, last, records, rests_on });
            if last {
                break;
            }
        }
    }

    fn on_map_piece(
        &mut self,
        link: LinkKey,
        node: NodeId,
        version: Version,
        piece: u32,
        last: bool,
        records: Vec<Record>,
    ) -> bool {
        let begin = Pieces { version, next: 0, records: Vec::new() };
        let pieces = self.pieces.entry((link, node)).or_insert_with(|| begin.clone());
        if piece == 0 {
            *pieces = begin;
        }
        if pieces.version != version || pieces.next != piece {
            return false;
        }
        pieces.next += 1;
        pieces.records.extend(records);
        if last && let Some(pieces) = self.pieces.remove(&(link, node)) {
            self.directory.on_map(node, version, pieces.records);
        }
        last
    }

    /// A map is stored; what it rests on is asked for if it is not here.
    fn rests_on(&mut self, now: Instant, from: NodeId, node: NodeId, versions: Versions) {
        for &(other, version) in &versions {
            self.want(now, from, other, version, false);
        }
        self.directory.rest_on(node, versions);
        self.stored.insert(node);
        self.wanted.remove(&node);
    }

    // ---- requests -----------------------------------------------------------------------------------------------

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
        let old: Vec<(NodeId, RequestId)> = self
            .served
            .range((peer, RequestId(0))..(peer, oldest))
            .filter(|(_, reply)| reply.is_some())
            .map(|(&key, _)| key)
            .collect();
        for key in old {
            self.served.remove(&key);
        }
        match self.served.get(&(peer, id)) {
            Some(Some(reply)) => {
                let reply = reply.clone();
                self.send(peer, Frame::Response { id, reply });
            }
            Some(None) => {}
            None => {
                self.served.insert((peer, id), None);
                self.on_command(now, Origin::Peer(peer, id), command);
            }
        }
    }

    /// Answers a peer's request; the answer is kept until the peer waits for it no longer.
    pub(crate) fn respond(&mut self, node: NodeId, id: RequestId, reply: Reply) {
        self.served.insert((node, id), Some(reply.clone()));
        self.send(node, Frame::Response { id, reply });
    }

    // ---- verdicts -----------------------------------------------------------------------------------------------

    /// Judges all members anew and does what follows.
    pub(crate) fn judge_peers(&mut self, now: Instant) {
        let patient = now < self.patient_until;
        let nodes: Vec<NodeId> = self.members.keys().copied().collect();
        for node in nodes {
            let standing = verdict(now, &self.members, node, patient);
            let Some(member) = self.members.get_mut(&node) else { continue };
            if standing.is_down() && !member.counted && member.link.is_none() {
                // a newcomer that never was a member leaves no trace
                if member.announced.is_none() {
                    self.members.remove(&node);
                    continue;
                }
            }
            let before = core::mem::replace(&mut member.standing, standing);
            if before != standing {
                self.directory.set_standing(node, standing);
                self.stirred = true;
            }
            self.announce(now, node, standing);
        }
    }

    /// Tells shards and people about a change of standing, once it concerns them.
    fn announce(&mut self, _now: Instant, node: NodeId, standing: Standing) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let known = member.announced;
        if known == Some(standing) || (known.is_none() && standing != Standing::Alive) {
            return;
        }
        member.announced = Some(standing);
        let (boot, shards, name) = (member.hello.boot, member.hello.shards, member.hello.name.clone());
        let address = member.hello.address.clone();
        let (state, event) = match standing {
            Standing::Alive => {
                let event = match known {
                    None => Event::Joined { node, name, address },
                    Some(_) => Event::Back { node, name },
                };
                (PeerState::Alive { boot, shards }, event)
            }
            Standing::Unreachable => (PeerState::Unreachable, Event::Unreachable { node, name }),
            Standing::Down { .. } => {
                member.echoes.clear();
                let queues = self.directory.queues_at(node);
                (PeerState::Down, Event::Down { node, name, queues })
            }
        };
        self.effects.events.push(event);
        for shard in 0..self.config.shards {
            self.effects.to_shards.push((ShardId(shard), ToShard::Peer { node, state: state.clone() }));
        }
        if standing.is_down() {
            self.on_peer_down(node);
            self.ack_rested();
        }
    }

    /// Nothing of a node that is Down is waited for, but the acks that R1 awaits for their time.
    fn on_peer_down(&mut self, node: NodeId) {
        self.visible.on_down(node);
        self.echoed.remove(&node);
        let forwarded: Vec<CommandKey> = self
            .desk
            .commands
            .iter()
            .filter(|(_, pending)| pending.phase == Phase::Forwarded(node))
            .map(|(&key, _)| key)
            .collect();
        for key in forwarded {
            let refusal = match self.desk.commands.get(&key).map(|pending| &pending.command) {
                Some(Command::Bind(binding) | Command::Unbind(binding)) => {
                    self.away(&binding.vhost, &binding.destination, node)
                }
                Some(Command::DeleteQueue { vhost, name, .. }) => self.away(vhost, name, node),
                _ => refusal::no_view(&self.name_of(node)),
            };
            self.answer(key, Reply::Refused(refusal));
        }
    }

    fn away(
        &self,
        vhost: &leveret_model::Name,
        name: &leveret_model::Name,
        node: NodeId,
    ) -> leveret_model::Refusal {
        let name = crate::directory::map::ObjectName::new(vhost, name);
        let durable = self.directory.masked(&name).is_some_and(|record| record.durable);
        refusal::home_down(&name, durable, &self.name_of(node))
    }

    // ---- time ---------------------------------------------------------------------------------------------------

    pub(crate) fn ping_due(&mut self, now: Instant) {
        if now < self.next_ping {
            return;
        }
        self.next_ping = now + limits::PING_EVERY;
        self.hang_up_silent(now);
        for peer in self.peers() {
            self.send(peer, Frame::Ping { sent_nanos: now.as_nanos() });
        }
    }

    /// A link that brought nothing for longer than a lease lasts is dead, or so slow that a new one is better: the system
    /// would try to save it for minutes.
    fn hang_up_silent(&mut self, now: Instant) {
        let silent: Vec<LinkKey> = self
            .links
            .iter()
            .filter(|(_, link)| now >= link.last_frame + limits::LEASE_WITHIN)
            .map(|(&link, _)| link)
            .collect();
        if now < self.patient_until {
            return;
        }
        for link in silent {
            self.effects.hang_ups.push(link);
            self.link_down(now, link);
        }
    }

    /// Dials members without a link, and seeds behind which nobody is known.
    pub(crate) fn dial_due(&mut self, now: Instant) {
        let open: Vec<String> = self
            .members
            .values()
            .filter(|member| self.is_dialled(member))
            .map(|member| member.hello.address.clone())
            .collect();
        for address in open {
            if self.dials.dial(now, &address, false) {
                self.effects.dials.push(address);
            }
        }
        let members = &self.members;
        let linked = |node: NodeId| members.get(&node).is_some_and(|member| member.link.is_some());
        let seeds = self.dials.seeds_due(now, &mut self.random, linked, self.links.is_empty());
        self.effects.dials.extend(seeds);
    }

    /// It has no link, and its address is not that of a node that has one: there it would be answered again.
    fn is_dialled(&self, member: &Member) -> bool {
        let address = &member.hello.address;
        member.link.is_none()
            && !member.forgotten
            && !self.links.values().any(|link| {
                self.members.get(&link.peer).is_some_and(|linked| linked.hello.address == *address)
            })
    }

    pub(crate) fn dial_deadline(&self) -> Instant {
        let open = self.members.values().filter(|member| self.is_dialled(member));
        open.map(|member| self.dials.due(&member.hello.address)).fold(self.dials.next_seeds(), Instant::min)
    }

    /// Anti-entropy: the versions of all maps to one random peer.
    pub(crate) fn digest_due(&mut self, now: Instant) {
        if now < self.next_digest {
            return;
        }
        self.next_digest = now + limits::DIGEST_EVERY;
        let peers = self.peers();
        if !peers.is_empty() {
            let peer = peers[self.random.below(peers.len() as u64) as usize];
            let versions = self.directory.versions();
            self.send(peer, Frame::Digest { versions });
        }
    }

    /// Says who is missing when the join takes long.
    pub(crate) fn join_slow(&mut self, now: Instant) {
        let Join::Joining { since, said: false } = self.join else { return };
        if now < since + limits::JOIN_SLOW_AFTER {
            return;
        }
        self.join = Join::Joining { since, said: true };
        let mut missing: Vec<String> = self
            .counted()
            .filter(|(_, member)| member.echoes.until() <= now)
            .map(|(_, member)| alloc::format!("{} at {}", member.hello.name, member.hello.address))
            .collect();
        if missing.is_empty() {
            missing.extend(self.dials.other_seeds().cloned());
        }
        self.effects.events.push(Event::StillJoining { missing });
    }

    /// Forgets the queues and bindings of nodes that were Down too long: without disks they cannot come back.
    pub(crate) fn forget_due(&mut self, now: Instant) {
        let due: Vec<NodeId> = self
            .members
            .iter()
            .filter(|(_, member)| !member.forgotten && forget_at(member) <= now)
            .map(|(&node, _)| node)
            .collect();
        for node in due {
            self.directory.forget(node);
            self.stirred = true;
            if let Some(member) = self.members.get_mut(&node) {
                member.forgotten = true;
                let name = member.hello.name.clone();
                self.effects.events.push(Event::Forgotten { node, name });
            }
        }
    }

    pub(crate) fn forget_deadline(&self) -> Instant {
        self.members
            .values()
            .filter(|member| !member.forgotten)
            .map(forget_at)
            .fold(Instant::FAR, Instant::min)
    }
}

fn forget_at(member: &Member) -> Instant {
    match member.standing {
        Standing::Down { since } => since + limits::FORGET_AFTER,
        Standing::Alive | Standing::Unreachable => Instant::FAR,
    }
}
