//! The leave of this node: everything that it has moves to others, and then it may stop.

use alloc::vec::Vec;

use leveret_link::handshake::Capability;
use leveret_model::{Instant, NodeId, QueueId, limits};

use super::{IncomingStage, Leave, Left, Why};
use crate::control::Control;
use crate::effects::Event;
use crate::frame::Frame;
use crate::membership::Standing;
use crate::membership::member::Member;

impl Control {
    /// This node is to leave: its queues go to other members until then at the latest. Said again, the deadline
    /// changes. Answered by [`Effects::left`](crate::Effects::left).
    pub fn on_leave(&mut self, now: Instant, deadline: Instant) {
        self.note_time(now);
        let report_at = now + limits::LEAVE_REPORT_EVERY;
        self.moves.leave = Some(Leave { deadline, over: false, report_at });
        self.decline_expected();
        for peer in self.peers() {
            self.say_leaving(peer);
        }
        self.settle_inputs(now);
    }

    /// This node is to stay after all, as long as it has not said that the leave is over. False if it has, or
    /// if it does not leave. Queues that were accepted elsewhere still move: both homes act on that.
    pub fn on_stay(&mut self, now: Instant) -> bool {
        self.note_time(now);
        let stays = self.moves.leave.take_if(|leave| !leave.over).is_some();
        if stays {
            self.moves.todo.clear();
            self.effects.left = Some(Left::TakenBack { queues: self.directory.own_queues() });
            for peer in self.peers() {
                if self.can(peer, Capability::STAYING) {
                    self.send(peer, Frame::Staying);
                }
            }
            self.settle_inputs(now);
        }
        stays
    }

    /// How many queues are here.
    #[must_use]
    pub fn own_queues(&self) -> usize {
        self.directory.own_queues()
    }

    /// Nobody is there, and nobody is expected back, who could take a queue.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !self.may_get_takers()
    }

    pub(super) fn say_leaving(&mut self, peer: NodeId) {
        if self.moves.leave.is_some() {
            self.send(peer, Frame::Leaving);
        }
    }

    /// A node says that it leaves: nothing is given to it.
    pub(crate) fn on_node_leaving(&mut self, node: NodeId) {
        if !self.moves.leaving_nodes.contains(&node) {
            self.moves.leaving_nodes.push(node);
            self.adopt_from_leaving(node);
        }
    }

    /// Offers what is left, and says when nothing is, or when the time is over.
    pub(super) fn drive_leave(&mut self, now: Instant) {
        let Some(leave) = self.moves.leave.filter(|leave| !leave.over) else { return };
        let queues = self.directory.own_queues();
        let is_moving = !self.moves.outgoing.is_empty() || self.is_receiving();
        // a shard may hold what it has not heard yet that it lost
        let is_told = self.shards.applied_by_all() >= self.shards.sequence();
        let is_left = queues == 0 && !is_moving && is_told;
        let left = if self.bug.left(is_left, || self.moves.is_handed_over(queues)) {
            Some(Left::Empty)
        } else if leave.deadline <= now {
            Some(Left::Late { queues })
        } else if !is_moving && !self.may_get_takers() {
            Some(Left::Alone { queues })
        } else {
            self.offer_some(now);
            None
        };
        let Some(leave) = &mut self.moves.leave else { return };
        if let Some(left) = left {
            leave.over = true;
            self.effects.left = Some(left);
        } else if leave.report_at <= now {
            leave.report_at = now + limits::LEAVE_REPORT_EVERY;
            self.effects.events.push(Event::Leaving { queues });
        }
    }

    /// A member that is not Down and does not leave: it takes queues, now or once it is linked again.
    fn may_get_takers(&self) -> bool {
        let stays = |node: &NodeId| !self.moves.leaving_nodes.contains(node);
        self.members.iter().any(|(node, member)| {
            let able = member.link.is_none() || self.can(*node, Capability::MOVES);
            member.counted && !member.standing.is_down() && able && stays(node)
        })
    }

    /// Members that can take queues now. None while one is there that would not answer a fence.
    pub(super) fn able_to_take(&self) -> Vec<NodeId> {
        let knows = |node: NodeId| self.can(node, Capability::MOVES);
        let linked = |member: &&Member| member.link.is_some();
        if !self.members.values().filter(linked).all(|member| knows(member.hello.node)) {
            return Vec::new();
        }
        let stays = |node: &NodeId| !self.moves.leaving_nodes.contains(node);
        let alive = self.members.iter().filter(|(node, member)| {
            member.standing == Standing::Alive && member.ready && member.link.is_some() && stays(node)
        });
        alive.map(|(&node, _)| node).collect()
    }

    /// The same, each with how many queues it has.
    pub(super) fn takers(&self) -> Vec<(usize, NodeId)> {
        self.able_to_take().into_iter().map(|node| (self.directory.queues_at(node).0, node)).collect()
    }

    /// Offers queues until as many are under way as may be.
    fn offer_some(&mut self, now: Instant) {
        if self.moves.outgoing.len() >= limits::MOVES_AT_ONCE_MAX {
            return;
        }
        if self.moves.todo.is_empty() {
            if now < self.moves.look_at {
                return;
            }
            self.moves.look_at = now + limits::MOVES_LOOK_EVERY;
            self.moves.todo = self.directory.own_queue_ids().into();
        }
        let mut takers = self.takers();
        while self.moves.outgoing.len() < limits::MOVES_AT_ONCE_MAX
            && !takers.is_empty()
            && let Some(id) = self.moves.todo.pop_front()
        {
            if !self.may_be_offered(id) {
                continue;
            }
            let Some(least) = takers.iter_mut().min() else { return };
            least.0 += 1;
            let to = least.1;
            self.offer(now, id, to, Why::Leave);
        }
    }

    pub(super) fn may_be_offered(&self, id: QueueId) -> bool {
        !self.moves.outgoing.contains_key(&id)
            && !self.moves.paused.contains_key(&id)
            && self.moves.incoming.get(&id).is_none_or(|at| matches!(at.stage, IncomingStage::Visible(_)))
            && !self.desk.closing.contains(&id)
            && self.directory.life_of(id) == Some(self.own())
            && self.directory.own_queue(id).is_some()
    }
}
