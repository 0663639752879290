//! The new home's side of a move.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::Instant;
use leveret_model::directory::{MoveOrder, QueueRecord, ToShard};
use leveret_model::{MoveAttempt, NodeId, Position, QueueId, ShardAddress, ShardId, limits};

use super::{Incoming, IncomingStage, MoveStep};
use crate::control::Control;
use crate::desk::CommandKey;
use crate::directory::map::{Op, Record};

impl Control {
    pub(super) fn on_offer(&mut self, peer: NodeId, attempt: MoveAttempt, offered: QueueRecord) {
        let id = offered.id;
        match self.moves.incoming.get(&id) {
            Some(known) if known.from == peer && known.attempt == attempt => {
                // the answer was lost with the link
                if known.stage == IncomingStage::Expecting {
                    let shard = known.record.home.shard;
                    self.say(peer, id, attempt, MoveStep::Accept(shard));
                }
                return;
            }
            Some(known) if known.stage != IncomingStage::Expecting => {
                return self.say(peer, id, attempt, MoveStep::Decline);
            }
            Some(_) => self.forget_expected(id),
            None => {}
        }
        let known = self.directory.own_queue(id).is_some();
        if known || self.moves.leave.is_some() || !self.lease.is_ready() || self.lease.is_stopped() {
            return self.say(peer, id, attempt, MoveStep::Decline);
        }
        let shard = self.shard_for_moved(id);
        let home = ShardAddress { node: self.own(), shard };
        let from = offered.home;
        let record = QueueRecord { home, epoch: offered.epoch + 1, ..offered };
        let expected = Box::new(record.clone());
        let stage = IncomingStage::Expecting;
        self.moves.incoming.insert(id, Incoming { from: peer, attempt, record, stage });
        self.order_arriving(shard, id, attempt, MoveOrder::Expect { record: expected, from });
        self.say(peer, id, attempt, MoveStep::Accept(shard));
    }

    /// What came of a queue is forgotten.
    fn forget_expected(&mut self, id: QueueId) {
        if let Some(Incoming { record, attempt, .. }) = self.moves.incoming.remove(&id) {
            self.order_arriving(record.home.shard, id, attempt, MoveOrder::Cancel);
        }
    }

    /// This node leaves: it takes nothing that is not here yet.
    pub(super) fn decline_expected(&mut self) {
        let expected = self.moves.incoming.iter().filter(|(_, at)| at.stage == IncomingStage::Expecting);
        let expected: Vec<_> = expected.map(|(id, at)| (*id, at.from, at.attempt)).collect();
        for (id, from, attempt) in expected {
            self.forget_expected(id);
            self.say(from, id, attempt, MoveStep::Decline);
        }
    }

    /// A queue may be here that no map says is.
    pub(super) fn is_receiving(&self) -> bool {
        let settled = |at: &Incoming| matches!(at.stage, IncomingStage::Visible(_));
        self.moves.incoming.values().any(|at| !settled(at))
    }

    /// The same one for each try of a queue. A shard that forgets a try takes what came of it from the disk,
    /// which has one place for the queue: if the next try were on another shard, whose turns reach the log in
    /// no order with these, what it has stored would go too. The low bits of an id are random.
    fn shard_for_moved(&self, id: QueueId) -> ShardId {
        let shards = u128::from(self.config.shards.max(1));
        ShardId((id.ulid.0 % shards) as u8)
    }

    fn order_arriving(&mut self, shard: ShardId, id: QueueId, attempt: MoveAttempt, order: MoveOrder) {
        self.effects.to_shards.push((shard, ToShard::Move { id, attempt, order }));
    }

    fn incoming_from(&mut self, peer: NodeId, id: QueueId, attempt: MoveAttempt) -> Option<&mut Incoming> {
        let incoming = self.moves.incoming.get_mut(&id)?;
        (incoming.from == peer && incoming.attempt == attempt).then_some(incoming)
    }

    pub(super) fn on_abort(&mut self, peer: NodeId, id: QueueId, attempt: MoveAttempt) {
        let Some(incoming) = self.incoming_from(peer, id, attempt) else { return };
        if incoming.stage == IncomingStage::Expecting {
            self.forget_expected(id);
        }
    }

    pub(super) fn on_serve(
        &mut self,
        peer: NodeId,
        id: QueueId,
        attempt: MoveAttempt,
        bindings: Vec<Record>,
    ) {
        let Some(incoming) = self.incoming_from(peer, id, attempt) else {
            if self.moves.failed.contains(&(id, attempt)) {
                self.say(peer, id, attempt, MoveStep::Decline);
            } else if self.directory.life_of(id).is_some_and(|home| home != peer) {
                // it was here, and may have gone on to a third node
                let version = self.directory.version();
                self.say(peer, id, attempt, MoveStep::Moved(version));
            }
            return;
        };
        match incoming.stage {
            IncomingStage::Expecting => {
                incoming.stage = IncomingStage::Opening(bindings);
                let shard = incoming.record.home.shard;
                self.order_arriving(shard, id, attempt, MoveOrder::Open);
            }
            IncomingStage::Visible(version) => self.say(peer, id, attempt, MoveStep::Moved(version)),
            IncomingStage::Opening(_) | IncomingStage::Serving => {}
        }
    }

    /// The shard serves: from now on everyone is to know.
    pub(super) fn on_opened(&mut self, now: Instant, id: QueueId, attempt: MoveAttempt, below: Position) {
        let Some(incoming) = self.moves.incoming.get_mut(&id) else { return };
        if incoming.attempt != attempt {
            return;
        }
        let IncomingStage::Opening(bindings) =
            core::mem::replace(&mut incoming.stage, IncomingStage::Serving)
        else {
            return;
        };
        let record = incoming.record.clone();
        // bindings first: whoever acts on the record must have them
        for binding in bindings {
            if let Record::Binding { lamport, binding, .. } = binding {
                let epoch = record.epoch;
                self.directory.write(Op::Put(Record::Binding { queue: id, epoch, lamport, binding }));
            }
        }
        self.directory.write(Op::Put(Record::Queue { record, standing: true }));
        self.directory.note_shared(id, below);
        self.tell_down_nodes(id);
        let key = self.desk.draw_key();
        self.moves.visible.insert(key, id);
        let version = self.directory.version();
        let peers = self.peers();
        self.desk.visible.wait(now, key, version, 0, peers.into_iter());
    }

    /// The queue may bring consumers of nodes that this one took for dead before it came.
    fn tell_down_nodes(&mut self, id: QueueId) {
        let Some(shard) = self.directory.own_queue(id).map(|record| record.home.shard) else { return };
        let down = self.members.iter().filter(|(_, member)| member.standing.is_down());
        let mail: Vec<_> = down.map(|(&node, _)| (shard, ToShard::NodeDown { node })).collect();
        self.effects.to_shards.extend(mail);
    }

    /// The shard has nothing whole of the queue.
    pub(super) fn on_opening_failed(&mut self, id: QueueId, attempt: MoveAttempt) {
        let failed = |incoming: &&Incoming| {
            incoming.attempt == attempt && matches!(incoming.stage, IncomingStage::Opening(_))
        };
        if let Some(incoming) = self.moves.incoming.get(&id).filter(failed) {
            let from = incoming.from;
            self.moves.incoming.remove(&id);
            if self.moves.failed.len() >= limits::MOVES_FAILED_KEPT {
                self.moves.failed.pop_front();
            }
            self.moves.failed.push_back((id, attempt));
            self.say(from, id, attempt, MoveStep::Decline);
        }
    }

    /// Everyone acts on the record of a queue that moved here. True if it was about that.
    pub(crate) fn on_move_visible(&mut self, now: Instant, key: CommandKey) -> bool {
        let Some(id) = self.moves.visible.remove(&key) else { return false };
        self.moves.balance.rest(now, id);
        let version = self.directory.version();
        if let Some(incoming) = self.moves.incoming.get_mut(&id) {
            incoming.stage = IncomingStage::Visible(version);
            let (from, attempt) = (incoming.from, incoming.attempt);
            self.say(from, id, attempt, MoveStep::Moved(version));
        }
        true
    }

    pub(super) fn repeat_incoming(&mut self, node: NodeId) {
        let of_node = self.moves.incoming.iter().filter(|(_, incoming)| incoming.from == node);
        let open: Vec<_> = of_node
            .filter_map(|(id, incoming)| {
                let step = match incoming.stage {
                    // a try that was given up is answered with "abort"
                    IncomingStage::Expecting => MoveStep::Accept(incoming.record.home.shard),
                    IncomingStage::Visible(version) => MoveStep::Moved(version),
                    IncomingStage::Opening(_) | IncomingStage::Serving => return None,
                };
                Some((*id, incoming.attempt, step))
            })
            .collect();
        for (id, attempt, step) in open {
            self.say(node, id, attempt, step);
        }
    }

    /// Moves whose old home has dropped its record, or is no member any more, are over.
    pub(super) fn forget_moves(&mut self) {
        let Self { moves, directory, members, .. } = self;
        let mut void = Vec::new();
        moves.incoming.retain(|id, incoming| {
            let is_down = members.get(&incoming.from).is_none_or(|member| member.standing.is_down());
            match incoming.stage {
                IncomingStage::Visible(_) => !is_down && directory.has_record(incoming.from, *id),
                // it did not yield, or would say so to another start of this node at most
                IncomingStage::Expecting if is_down => {
                    void.push((incoming.record.home.shard, *id, incoming.attempt));
                    false
                }
                IncomingStage::Expecting | IncomingStage::Opening(_) | IncomingStage::Serving => true,
            }
        });
        for (shard, id, attempt) in void {
            self.order_arriving(shard, id, attempt, MoveOrder::Cancel);
        }
    }
}
