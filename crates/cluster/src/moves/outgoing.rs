//! The old home's side of a move.

use alloc::vec::Vec;

use leveret_link::handshake::Capability;
use leveret_model::directory::{MoveOrder, ToShard};
use leveret_model::{Instant, MoveAttempt, NodeId, Position, QueueId, ShardAddress, ShardId, limits};

use super::{MoveStep, Outgoing, OutgoingStage, Why};
use crate::control::Control;
use crate::directory::map::Version;
use crate::frame::Frame;
use crate::membership::member::Member;

impl Control {
    /// Offers a queue of this node to another one.
    pub(super) fn offer(&mut self, now: Instant, id: QueueId, to: NodeId, why: Why) {
        let Some(record) = self.directory.own_queue(id).cloned() else { return };
        let Some(member) = self.members.get(&to) else { return };
        let boot = member.hello.boot;
        self.moves.last = MoveAttempt(self.moves.last.0 + 1);
        let attempt = self.moves.last;
        let stage = OutgoingStage::Offered;
        let until = now + limits::MOVE_ANSWER_WAIT;
        let shard = ShardId(0);
        self.moves.outgoing.insert(id, Outgoing { to, shard, boot, attempt, why, stage, until, moved: None });
        self.directory.freeze(id);
        self.say(to, id, attempt, MoveStep::Offer(record));
    }

    pub(super) fn say(&mut self, to: NodeId, queue: QueueId, attempt: MoveAttempt, step: MoveStep) {
        self.send(to, Frame::Move { queue, attempt, step });
    }

    fn outgoing_to(&mut self, peer: NodeId, id: QueueId, attempt: MoveAttempt) -> Option<&mut Outgoing> {
        let outgoing = self.moves.outgoing.get_mut(&id)?;
        (outgoing.to == peer && outgoing.attempt == attempt).then_some(outgoing)
    }

    pub(super) fn on_accept(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: QueueId,
        attempt: MoveAttempt,
        shard: ShardId,
    ) {
        let takes_copies = self.can(peer, Capability::COPIES);
        let Some(outgoing) = self.outgoing_to(peer, id, attempt) else {
            // it was given up meanwhile
            return self.say(peer, id, attempt, MoveStep::Abort);
        };
        if outgoing.stage == OutgoingStage::Offered {
            let to = ShardAddress { node: peer, shard };
            // a short queue is all that moves for balance, and an older version takes a queue in one piece
            if outgoing.why == Why::Balance || !takes_copies {
                let only_if_short = outgoing.why == Why::Balance;
                return self.hand_over(now, id, to, only_if_short);
            }
            outgoing.shard = shard;
            outgoing.stage = OutgoingStage::Copying;
            outgoing.until = now + limits::COPY_WAIT;
            self.order(id, attempt, MoveOrder::Copy { to });
        }
    }

    fn hand_over(&mut self, now: Instant, id: QueueId, to: ShardAddress, only_if_short: bool) {
        let Some(outgoing) = self.moves.outgoing.get_mut(&id) else { return };
        outgoing.stage = OutgoingStage::Handing;
        outgoing.until = now + limits::MOVE_WAIT;
        let attempt = outgoing.attempt;
        self.order(id, attempt, MoveOrder::HandOver { to, only_if_short });
    }

    /// Little of the queue is left to send: from now on its commands wait, and it freezes.
    pub(super) fn on_copied(&mut self, now: Instant, id: QueueId, attempt: MoveAttempt) {
        let Some(outgoing) = self.moves.outgoing.get(&id) else { return };
        if outgoing.attempt != attempt || outgoing.stage != OutgoingStage::Copying {
            return;
        }
        let to = ShardAddress { node: outgoing.to, shard: outgoing.shard };
        if self.desk.closing.contains(&id) {
            // whether it is deleted is open; if it is not it is offered again
            return self.cancel_handing(id);
        }
        self.hand_over(now, id, to, false);
    }

    /// To the shard that is the queue's home here.
    fn order(&mut self, id: QueueId, attempt: MoveAttempt, order: MoveOrder) {
        if let Some(shard) = self.directory.own_queue(id).map(|record| record.home.shard) {
            self.effects.to_shards.push((shard, ToShard::Move { id, attempt, order }));
        }
    }

    pub(super) fn on_decline(&mut self, now: Instant, peer: NodeId, id: QueueId, attempt: MoveAttempt) {
        let Some(outgoing) = self.outgoing_to(peer, id, attempt) else { return };
        match outgoing.stage {
            OutgoingStage::Offered => self.give_up(now, id),
            OutgoingStage::Yielded => self.take_back(now, id),
            OutgoingStage::Copying | OutgoingStage::Handing => self.cancel_handing(id),
            OutgoingStage::Cancelling => {}
        }
    }

    /// The shard answers: it serves again, or has yielded already.
    fn cancel_handing(&mut self, id: QueueId) {
        let Some(outgoing) = self.moves.outgoing.get_mut(&id) else { return };
        outgoing.stage = OutgoingStage::Cancelling;
        outgoing.until = Instant::FAR;
        let attempt = outgoing.attempt;
        self.order(id, attempt, MoveOrder::Cancel);
    }

    /// The move is over without effect; another is tried later.
    fn give_up(&mut self, now: Instant, id: QueueId) {
        if self.moves.outgoing.remove(&id).is_some() {
            self.moves.paused.insert(id, now + limits::MOVE_AGAIN_AFTER);
            self.directory.unfreeze(id);
            self.desk.recheck();
        }
    }

    /// The shard serves again.
    pub(super) fn on_move_failed(&mut self, now: Instant, id: QueueId, attempt: MoveAttempt) {
        if let Some(outgoing) = self.moves.outgoing.get(&id).filter(|outgoing| outgoing.attempt == attempt) {
            let (to, stage) = (outgoing.to, outgoing.stage);
            self.say(to, id, attempt, MoveStep::Abort);
            if stage == OutgoingStage::Handing {
                // it was the copy that failed, if the shard has not heard of the hand-over yet
                self.order(id, attempt, MoveOrder::Cancel);
            }
            return self.give_up(now, id);
        }
        self.on_opening_failed(id, attempt);
    }

    /// The new home has all, and the shard serves no more. That is on the disk here before the new home serves:
    /// if both end, what comes here afterwards is known to be nowhere else.
    pub(super) fn on_yielded(&mut self, id: QueueId, attempt: MoveAttempt, below: Position) {
        self.directory.note_shared(id, below);
        let Some(outgoing) = self.moves.outgoing.get_mut(&id) else { return };
        if outgoing.attempt == attempt {
            outgoing.stage = OutgoingStage::Yielded;
            outgoing.until = Instant::FAR;
            let to = outgoing.to;
            self.say_serve(to, id, attempt);
        }
    }

    fn say_serve(&mut self, to: NodeId, id: QueueId, attempt: MoveAttempt) {
        let bindings = self.directory.own_bindings(id);
        self.say(to, id, attempt, MoveStep::Serve(bindings));
    }

    /// The new home serves.
    pub(super) fn on_moved(&mut self, peer: NodeId, id: QueueId, attempt: MoveAttempt, version: Version) {
        if let Some(outgoing) = self.outgoing_to(peer, id, attempt) {
            outgoing.moved = Some(version);
        }
    }

    /// Every member that is not Down has the map of `node` of that version, and so has this one.
    fn all_have(&self, node: NodeId, version: Version) -> bool {
        let has = |member: &Member| member.echoes.has_map(node, version);
        self.directory.version_of(node) >= version
            && self
                .members
                .iter()
                .filter(|(of, member)| **of != node && !member.standing.is_down())
                .all(|(_, member)| has(member))
    }

    /// Drops records of queues that everyone knows at their new homes.
    fn drop_moved_queues(&mut self) {
        let moved: Vec<QueueId> = self
            .moves
            .outgoing
            .iter()
            .filter_map(|(id, outgoing)| self.all_have(outgoing.to, outgoing.moved?).then_some(*id))
            .collect();
        for id in moved {
            self.moves.outgoing.remove(&id);
            self.directory.unfreeze(id);
            self.directory.drop_moved(id);
            self.desk.recheck();
        }
    }

    pub(super) fn repeat_outgoing(&mut self, node: NodeId) {
        let open: Vec<(QueueId, MoveAttempt, OutgoingStage)> = self
            .moves
            .outgoing
            .iter()
            .filter(|(_, outgoing)| outgoing.to == node)
            .map(|(id, outgoing)| (*id, outgoing.attempt, outgoing.stage))
            .collect();
        for (id, attempt, stage) in open {
            match stage {
                OutgoingStage::Offered => {
                    if let Some(record) = self.directory.own_queue(id).cloned() {
                        self.say(node, id, attempt, MoveStep::Offer(record));
                    }
                }
                OutgoingStage::Yielded => self.say_serve(node, id, attempt),
                OutgoingStage::Copying | OutgoingStage::Handing | OutgoingStage::Cancelling => {}
            }
        }
    }

    /// Gives up what waited too long, or waits for a start of a node that is gone.
    pub(super) fn expire_moves(&mut self, now: Instant) {
        self.drop_moved_queues();
        self.moves.paused.retain(|_, at| *at > now);
        let due: Vec<(QueueId, MoveAttempt, NodeId, OutgoingStage)> = self
            .moves
            .outgoing
            .iter()
            .filter(|(_, outgoing)| outgoing.until <= now || self.is_gone(outgoing))
            .map(|(id, outgoing)| (*id, outgoing.attempt, outgoing.to, outgoing.stage))
            .collect();
        for (id, attempt, to, stage) in due {
            match stage {
                OutgoingStage::Offered => {
                    self.say(to, id, attempt, MoveStep::Abort);
                    self.give_up(now, id);
                }
                OutgoingStage::Copying | OutgoingStage::Handing => self.cancel_handing(id),
                // the shard answers
                OutgoingStage::Cancelling => {}
                OutgoingStage::Yielded => self.take_back(now, id),
            }
        }
    }

    /// The process that the queue goes to is gone for good: its node has another start, or its port refuses.
    fn is_gone(&self, outgoing: &Outgoing) -> bool {
        self.members.get(&outgoing.to).is_some_and(|member| {
            // another start may have the queue on its disk: its map says so, and has to be here
            let map = self.directory.version_of(outgoing.to);
            let restarted = member.hello.boot != outgoing.boot && map.incarnation >= member.hello.incarnation;
            restarted || member.standing.is_down() && member.is_refused()
        })
    }

    /// The process that the queue was given to is gone, or never had it: this node's copy serves again.
    fn take_back(&mut self, now: Instant, id: QueueId) {
        if self.directory.life_of(id) != Some(self.own()) {
            // it did serve: its end is that of a home that died
            self.moves.outgoing.remove(&id);
            self.directory.unfreeze(id);
            self.directory.drop_moved(id);
            return;
        }
        let Some(attempt) = self.moves.outgoing.get(&id).map(|outgoing| outgoing.attempt) else { return };
        self.order(id, attempt, MoveOrder::TakeBack);
        self.give_up(now, id);
        self.directory.raise_epoch(id);
    }
}
