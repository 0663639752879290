//! Control links: dialled for ever, settled when two cross, never resumed.

use alloc::string::{String, ToString};

use leveret_model::{Instant, Name, NodeId, limits};

use crate::control::Control;
use crate::effects::{Event, LinkKey};
use crate::frame::Frame;
use crate::membership::TurnAway;
use crate::membership::dial::DialFailure;
use crate::membership::member::{Member, PeerHello};
use crate::peers::control_links::ControlLink;

impl Control {
    pub(crate) fn link_up(&mut self, now: Instant, link: LinkKey, peer: PeerHello, dialled: Option<&str>) {
        let (own, node) = (self.own(), peer.node);
        if let Some(address) = dialled {
            self.links.dials.on_answer(address, node, node == own && peer.boot == self.config.boot);
            if peer.address == address {
                self.supplant(address, node);
            }
        }
        if node == own {
            if peer.boot != self.config.boot {
                self.stop(Event::Clone { node });
            }
            self.effects.hang_ups.push(link);
            return;
        }
        if let Some(why) = self.turns_away(&peer) {
            // it hangs up when it has read that; this node does with its next pings
            self.effects.frames.push((link, Frame::TurnAway { why }.encode(node)));
            self.links.hang_up_later(link);
            return;
        }
        if self.members.get(&node).is_some_and(|member| member.hello.boot != peer.boot) {
            self.end_former_start(now, node);
        }
        let dialler = if dialled.is_some() { own } else { node };
        if let Some(old) = self.members.get(&node).and_then(|member| member.link) {
            // of two dials that crossed the smaller id's stays; a second one of the same dialler replaces its
            // first
            let kept = self.links.get(old).map(|link| link.dialler);
            if dialler != own.min(node) && kept == Some(own.min(node)) {
                self.effects.hang_ups.push(link);
                return;
            }
            self.links.remove(old);
            self.effects.hang_ups.push(old);
            self.transfers.forget_link(old, node);
        }
        let member = self.members.entry(node).or_insert_with(|| Member::new(now, peer.clone()));
        member.hello = peer;
        member.link = Some(link);
        (member.stated, member.refusals, member.replaced) = (false, 0, false);
        self.forgotten.remove(node);
        let dialled = dialled.map(ToString::to_string);
        self.links.insert(link, ControlLink { peer: node, dialler, dialled, last_frame: now });
        self.desk.visible.on_link(now, node);
        // verdicts first: the state that greets names nobody alive whom this dial proved gone
        self.judge_peers(now);
        self.greet(now, node);
    }

    /// This node dialled `address` and met `holder` there, with proof: a port belongs to one process, so
    /// members that had it before are gone. Only those without a link: a dial's answer may be older than a
    /// link that came meanwhile. An address that somebody merely claims proves nothing (docs/decisions/0004).
    pub(super) fn supplant(&mut self, address: &str, holder: NodeId) {
        for (&node, member) in &mut self.members {
            if node != holder && member.link.is_none() && member.hello.address == address {
                member.replaced = true;
            }
        }
    }

    /// The first frames on a link: the state, what stands against the peer's proposals, how far its map is
    /// applied.
    pub(super) fn greet(&mut self, now: Instant, node: NodeId) {
        let state = self.state(now);
        self.send(node, state);
        for (proposal, taken) in self.directory.refused(node) {
            self.send(node, Frame::Conflict { proposal, taken });
        }
        if let Some(version) = self.applied.get(node) {
            self.send(node, Frame::Ack { version });
        }
        self.send(node, Frame::Ping { sent_nanos: now.as_nanos() });
        self.schedule.ping_not_before(now);
        for key in self.desk.forwarded_to(node) {
            self.send_request(node, key);
        }
        self.repeat_moves(node);
    }

    /// There is no room for another node. The dead of earlier starts take none.
    pub(super) fn is_full(&self) -> bool {
        let standing = self.members.values().filter(|member| !member.standing.is_down()).count();
        standing + 1 >= limits::NODES_MAX
    }

    pub(super) fn say_full(&mut self, node: NodeId, name: &Name, address: &str) {
        if self.reports.on_full() {
            let (name, address) = (name.clone(), address.to_string());
            self.effects.events.push(Event::Full { node, name, address });
        }
    }

    /// Why a peer is not linked with, if it is not.
    fn turns_away(&mut self, peer: &PeerHello) -> Option<TurnAway> {
        match self.members.get(&peer.node) {
            None if self.is_full() => {
                self.say_full(peer.node, &peer.name, &peer.address);
                Some(TurnAway::Full)
            }
            None => {
                self.reports.on_room();
                None
            }
            Some(member)
                if member.hello.incarnation == peer.incarnation && member.hello.boot != peer.boot =>
            {
                // neither knows which is the true one, so both stop
                self.effects.events.push(Event::Clone { node: peer.node });
                self.send(peer.node, Frame::TurnAway { why: TurnAway::Clone });
                Some(TurnAway::Clone)
            }
            Some(member) if member.hello.incarnation > peer.incarnation => {
                // The data directory was copied while its process ran, or an old copy was put back. In the
                // first case both processes live, and both stop.
                self.effects.events.push(Event::Clone { node: peer.node });
                self.send(peer.node, Frame::TurnAway { why: TurnAway::Clone });
                Some(TurnAway::Clone)
            }
            Some(_) => None,
        }
    }

    /// A peer does not take this node in.
    pub(super) fn on_turned_away(&mut self, now: Instant, link: LinkKey, why: TurnAway) {
        let address = self.links.get(link).and_then(|link| link.dialled.clone());
        self.effects.hang_ups.push(link);
        self.link_down(now, link);
        if let Some(address) = address {
            self.note_turned_away(now, &address, why);
        }
    }

    /// Whoever is at that address is of this group and does not take this node in: it does not serve beside it.
    fn note_turned_away(&mut self, now: Instant, address: &str, why: TurnAway) {
        self.links.dials.on_turned_away(address, why);
        let joining = self.lease.quiet_from(now);
        if self.reports.on_turned_away(why) {
            self.effects.events.push(Event::TurnedAway { address: address.to_string(), why, joining });
        }
    }

    pub(super) fn stop(&mut self, why: Event) {
        if self.lease.stop() {
            self.desk.recheck();
            self.effects.events.push(why);
        }
    }

    pub(crate) fn link_down(&mut self, now: Instant, link: LinkKey) {
        let Some(ControlLink { peer, dialled, .. }) = self.links.remove(link) else { return };
        self.transfers.forget_link(link, peer);
        let Some(member) = self.members.get_mut(&peer) else { return };
        member.link = None;
        if let (Some(address), false) = (dialled, member.stated) {
            self.note_turned_away(now, &address, TurnAway::Unsaid);
        }
        let Some(member) = self.members.get_mut(&peer) else { return };
        let address = member.hello.address.clone();
        // A peer that hung up before it said anything turned us away: it is asked again at its time, not at
        // once.
        if member.stated && self.links.dials.dial(now, &address, true) {
            self.effects.dials.push(address);
        }
        self.links.dials.hurry(now);
        self.judge_peers(now);
    }

    pub(crate) fn dial_failed(&mut self, now: Instant, address: &str, failure: DialFailure) {
        let mut again = now + limits::REDIAL_EVERY;
        let unlinked = self.members.values_mut().filter(|member| member.link.is_none());
        for member in unlinked.filter(|member| member.hello.address == address) {
            if failure == DialFailure::Refused {
                member.refusals = member.refusals.saturating_add(1);
            }
            // A process that was killed may still accept for a moment, and reset: that proves nothing, so ask
            // soon.
            let just_heard = member.heard_at.is_some_and(|at| now.since(at) < limits::HASTY_REDIAL_WITHIN);
            if member.refusals == 1 || (failure == DialFailure::Unreachable && just_heard) {
                again = now + limits::REFUSED_REDIAL_AFTER;
            }
        }
        self.links.dials.on_failed(address, failure, again);
        if failure == DialFailure::Secret {
            self.note_turned_away(now, address, TurnAway::Secret);
        }
        if failure == DialFailure::Myself {
            self.supplant(address, self.own());
        }
        self.judge_peers(now);
    }

    pub(crate) fn bad_frame(&mut self, link: LinkKey, peer: NodeId, reason: String) {
        let name = self.name_of(peer);
        self.effects.events.push(Event::BadFrame { peer, name, reason });
        self.effects.hang_ups.push(link);
        self.links.remove(link);
        self.transfers.forget_link(link, peer);
        if let Some(member) = self.members.get_mut(&peer) {
            member.link = None;
        }
    }
}
