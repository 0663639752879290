//! Membership, links and records of other nodes, for the machines of sessions.

use alloc::vec::Vec;

use leveret_link::record::Record;
use leveret_model::directory::SessionPeer;
use leveret_model::{Boot, NodeId, ShardAddress, limits};
use leveret_sessions::{Handover, Home, Image, ImageError, Member, MemberState};

use crate::peers::Outboxes;
use crate::records::BatchError;
use crate::shard::Shard;

use super::parts::{Part, part_of};
use super::room::SessionRoom;

impl SessionRoom {
    fn on_peers(&mut self, peers: &[SessionPeer]) {
        self.peers.known = peers.iter().map(|peer| (peer.node, *peer)).collect();
        let member = |peer: &SessionPeer| Member {
            home: Home { node: peer.node, boot: peer.boot },
            state: if peer.leaves { MemberState::Leaving } else { MemberState::Counted },
        };
        let members: Vec<Member> = peers.iter().map(member).collect();
        self.parts.on_members(self.clock(), &members);
        for peer in peers {
            self.tell_of_link(peer.node);
        }
        self.give_up_questions();
        self.give_answers();
    }

    fn on_link_up(&mut self, node: NodeId, boot: Boot) {
        self.peers.links.insert(node, (boot, false));
        self.tell_of_link(node);
        self.give_answers();
    }

    fn tell_of_link(&mut self, node: NodeId) {
        if let Some(home) = self.peers.untold(node) {
            self.parts.on_link(self.clock(), home);
            self.say_present(&[node], true);
        }
    }

    fn on_lease(&mut self, held: bool) {
        if self.peers.lease != Some(held) {
            self.peers.lease = Some(held);
            self.parts.on_lease(self.clock(), held);
            self.give_answers();
        }
    }

    /// What the machines have for other nodes goes to the outboxes; without a link it is dropped, and said
    /// again when there is one.
    pub(crate) fn send_records(&mut self, outboxes: &mut Outboxes) {
        for outgoing in self.parts.take_records() {
            let part = part_of(outgoing.bucket);
            let Some(shard) = self.peers.shard_of(outgoing.to, part) else { continue };
            let to = ShardAddress { node: outgoing.to, shard };
            outboxes.push(to, &Record::Sessions { part: part.0, records: &outgoing.bytes });
        }
        self.send_questions(outboxes);
    }
}

impl Shard {
    /// The data links to a start of a node are all there: [`Shard::on_link_up`], for sessions.
    pub fn on_session_link_up(&mut self, node: NodeId, boot: Boot) {
        if let Some(room) = &mut self.sessions {
            room.on_link_up(node, boot);
        }
    }

    pub(crate) fn on_session_link_down(&mut self, node: NodeId) {
        if let Some(room) = &mut self.sessions {
            room.peers.links.remove(&node);
            room.on_attached_gone(node);
            room.give_up_questions();
        }
    }

    pub(crate) fn on_session_peers(&mut self, peers: &[SessionPeer]) {
        if let Some(room) = &mut self.sessions {
            room.on_peers(peers);
        }
    }

    /// The lease may have begun or ended.
    pub(crate) fn note_session_lease(&mut self) {
        if let Some(room) = &mut self.sessions {
            room.on_lease(self.machines.view.has_lease());
        }
    }

    /// Records of a peer's sessions. They are skipped while sessions are off here, or if it is no known peer:
    /// then its link is told to the machines later, and the peer says everything again.
    pub(crate) fn on_session_records(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        part: u8,
        records: &[u8],
    ) -> Result<(), BatchError> {
        let Some(room) = &mut self.sessions else { return Ok(()) };
        if room.peers.links.get(&from.node) != Some(&(boot, true)) {
            return Ok(());
        }
        let home = Home { node: from.node, boot };
        let is_question = part & limits::SESSION_QUESTION != 0;
        let part = Part(part % limits::SESSION_PARTS);
        if is_question {
            room.on_question(from, part, records)?;
            room.give_answers();
            return Ok(());
        }
        room.parts.on_records(room.clock(), home, part, records)?;
        room.give_answers();
        Ok(())
    }

    /// This node leaves: what is at home here goes to others. [`Shard::session_handover`] tells how far it is.
    pub fn leave_sessions(&mut self) {
        if let Some(room) = &mut self.sessions {
            room.presences.leaves = true;
            room.parts.leave(room.clock());
            room.give_answers();
        }
    }

    /// It stays after all: what is at home here stays too.
    pub fn stay_sessions(&mut self) {
        if let Some(room) = &mut self.sessions {
            room.presences.leaves = false;
            room.parts.stay();
        }
    }

    /// How far a leave is; `None` while sessions are off.
    #[must_use]
    pub fn session_handover(&self) -> Option<Handover> {
        self.sessions.as_ref().map(|room| room.parts.handover())
    }

    /// Appends what this shard keeps to the image of the last node; gives the records.
    #[must_use]
    pub fn append_session_image(&self, out: &mut Vec<u8>) -> u64 {
        self.sessions.as_ref().map_or(0, |room| room.parts.append_image(room.clock(), out))
    }

    /// Takes what this shard keeps of an image; gives the sessions. To be called before any client is let in.
    ///
    /// # Errors
    /// None that reading the image did not find before.
    pub fn take_session_image(&mut self, image: &Image<'_>) -> Result<usize, ImageError> {
        let Some(room) = &mut self.sessions else { return Ok(0) };
        room.parts.take_image(room.clock(), image)
    }

    /// True once the sessions of this shard may be asked for.
    #[must_use]
    pub fn are_sessions_serving(&self) -> bool {
        self.sessions.as_ref().is_some_and(|room| room.parts.are_serving())
    }
}
