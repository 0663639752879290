//! Work that is due because time has passed.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId};

use crate::control::Control;
use crate::effects::Event;
use crate::frame::Frame;
use crate::membership::member::Member;

impl Control {
    pub(crate) fn ping_due(&mut self, now: Instant) {
        if !self.schedule.take_ping(now) {
            return;
        }
        self.hang_up_silent(now);
        let turned_away = self.links.take_hang_ups();
        self.effects.hang_ups.extend(turned_away);
        for peer in self.peers() {
            self.send(peer, Frame::Ping { sent_nanos: now.as_nanos() });
        }
    }

    /// Closes links that brought nothing for long.
    fn hang_up_silent(&mut self, now: Instant) {
        if self.schedule.is_patient(now) {
            return;
        }
        for link in self.links.silent(now) {
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
            if self.links.dials.dial(now, &address, false) {
                self.effects.dials.push(address);
            }
        }
        let members = &self.members;
        let linked = |node: NodeId| members.get(&node).is_some_and(|member| member.link.is_some());
        let alone = self.links.is_empty();
        let seeds = self.links.dials.seeds_due(now, &mut self.random, linked, alone);
        self.effects.dials.extend(seeds);
    }

    /// It has no link, and its address is not one where this node met another that has one: there it would be
    /// met again.
    fn is_dialled(&self, member: &Member) -> bool {
        let address = &member.hello.address;
        member.link.is_none()
            && !(member.replaced
                && self.links.peers().any(|peer| {
                    self.members.get(&peer).is_some_and(|linked| linked.hello.address == *address)
                }))
    }

    pub(crate) fn dial_deadline(&self) -> Instant {
        let open = self.members.values().filter(|member| self.is_dialled(member));
        open.map(|member| self.links.dials.due(&member.hello.address))
            .fold(self.links.dials.next_seeds(), Instant::min)
    }

    /// Anti-entropy: the versions of all maps to one random peer.
    pub(crate) fn digest_due(&mut self, now: Instant) {
        if !self.schedule.take_digest(now) {
            return;
        }
        self.forgotten.expire(now);
        self.forget_strays();
        let peers = self.peers();
        if !peers.is_empty() {
            let peer = peers[self.random.below(peers.len() as u64) as usize];
            let versions = self.directory.versions();
            self.send(peer, Frame::Digest { versions });
        }
    }

    /// Says who is missing when the join takes long.
    pub(crate) fn join_slow(&mut self, now: Instant) {
        if !self.lease.is_slow(now) {
            return;
        }
        let mut missing: Vec<String> = self
            .counted()
            .filter(|(_, member)| member.echoes.until() <= now)
            .map(|(_, member)| alloc::format!("{} at {}", member.hello.name, member.hello.address))
            .collect();
        if missing.is_empty() {
            missing.extend(self.links.dials.other_seeds().map(
                |seed| match self.links.dials.turned_away(seed) {
                    Some(why) => alloc::format!("{seed} ({why})"),
                    None => seed.clone(),
                },
            ));
        }
        self.effects.events.push(Event::StillJoining { missing });
    }
}
