//! What happens because time passed.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::control::Control;
use crate::effects::{Event, LinkKey};
use crate::frame::Frame;
use crate::membership::join::Join;
use crate::membership::member::Member;

impl Control {
    pub(crate) fn ping_due(&mut self, now: Instant) {
        if now < self.next_ping {
            return;
        }
        self.next_ping = now + limits::PING_EVERY;
        self.hang_up_silent(now);
        self.effects.hang_ups.append(&mut self.turned_away);
        for peer in self.peers() {
            self.send(peer, Frame::Ping { sent_nanos: now.as_nanos() });
        }
    }

    /// A link that brought nothing for longer than a lease lasts is dead, or so slow that a new one is better:
    /// the system would try to save it for minutes.
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

    /// It has no link, and its address is not one where this node met another that has one: there it would be
    /// met again.
    fn is_dialled(&self, member: &Member) -> bool {
        let address = &member.hello.address;
        member.link.is_none()
            && !(member.replaced
                && self.links.values().any(|link| {
                    self.members.get(&link.peer).is_some_and(|linked| linked.hello.address == *address)
                }))
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
        self.forgotten.retain(|_, until| now < *until);
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
        let Join::Joining { since, quiet_since, said: false } = self.join else { return };
        if now < since + limits::JOIN_SLOW_AFTER {
            return;
        }
        self.join = Join::Joining { since, quiet_since, said: true };
        let mut missing: Vec<String> = self
            .counted()
            .filter(|(_, member)| member.echoes.until() <= now)
            .map(|(_, member)| alloc::format!("{} at {}", member.hello.name, member.hello.address))
            .collect();
        if missing.is_empty() {
            missing.extend(self.dials.other_seeds().map(|seed| match self.dials.turned_away(seed) {
                Some(why) => alloc::format!("{seed} ({why})"),
                None => seed.clone(),
            }));
        }
        self.effects.events.push(Event::StillJoining { missing });
    }
}
