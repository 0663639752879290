//! Commands for a queue whose home is another node. They are sent to the home and answered by it, and come back
//! when the home has lost the name (R3) or its node is Down.
//!
//! Invariants: a node that passes a command back has done nothing for it. A node does nothing for a peer that
//! may have given the command up, because that peer's client has heard a refusal and may have gone on.

use alloc::vec::Vec;

use leveret_model::directory::Reply;
use leveret_model::{Instant, NodeId, RequestId, limits, refusals};

use crate::control::Control;
use crate::desk::{CommandKey, Origin, Phase, queue_of};
use crate::directory::lookup::{Lookup, QueueLookup};
use crate::frame::Frame;
use crate::membership::Standing;
use crate::refusal;

impl Control {
    /// A peer's command may be of long ago, if this node or the way to it stood still; then there is no
    /// lease, or the peer is not heard. It goes back, and comes again if it is still wanted.
    pub(super) fn serves(&self, now: Instant, origin: Origin) -> bool {
        match origin {
            Origin::Shard(..) => true,
            Origin::Peer(node, _) => {
                let standing = self.members.get(&node).map(|member| member.standing);
                self.has_lease(now) && standing == Some(Standing::Alive)
            }
        }
    }

    /// The lease is gone: what peers want, and waits, goes back.
    pub(crate) fn pass_all_back(&mut self) {
        let waits = |key: &&CommandKey| {
            let pending = self.desk.commands.get(key);
            pending.is_some_and(|pending| matches!(pending.origin, Origin::Peer(..)))
        };
        let waiting: Vec<CommandKey> = self.desk.waiting.iter().filter(waits).copied().collect();
        for key in waiting {
            self.pass_back(key);
        }
    }

    /// This node is not the home that a peer takes it for, or cannot serve it. The peer is told what a
    /// client would be told that has no time left.
    pub(super) fn pass_back(&mut self, key: CommandKey) {
        let Some(pending) = self.desk.take(key) else { return };
        if let Origin::Peer(node, id) = pending.origin {
            self.desk.served.on_pass_back(node, id);
            self.send(node, Frame::Response { id, reply: Reply::Refused(refusals::busy()) });
        }
    }

    /// The home of a queue answers. While there is time a refusal for lack of it is none: the maps of the two
    /// differ still.
    pub(crate) fn on_response(&mut self, now: Instant, peer: NodeId, id: RequestId, reply: Reply) {
        let key = CommandKey(id.0);
        let Some(pending) = self.desk.commands.get(&key) else { return };
        if pending.phase != Phase::Forwarded(peer) {
            return;
        }
        let until = pending.wait_until;
        if now < until && reply == Reply::Refused(refusals::busy()) {
            self.desk.judge_again_at(key, now + limits::PING_EVERY, until);
        } else {
            self.answer(key, reply);
        }
    }

    /// The home's node is Down: unless another one serves the name, that is the answer.
    pub(crate) fn on_home_down(&mut self, now: Instant, node: NodeId) {
        for key in self.desk.forwarded_to(node) {
            let Some(pending) = self.desk.commands.get(&key) else { continue };
            let Some(name) = queue_of(&pending.command) else { continue };
            if let Lookup::There(QueueLookup { home: Standing::Alive, .. }) = self.directory.queue(&name) {
                let until = pending.wait_until.max(now + limits::PING_EVERY * 5);
                self.desk.judge_again_at(key, now, until);
                continue;
            }
            let durable = self.directory.masked(&name).is_some_and(|record| record.definition.durable);
            let refusal = refusal::home_down(&name, durable, &self.name_of(node));
            self.answer(key, Reply::Refused(refusal));
        }
    }
}
