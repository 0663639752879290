//! What shards, peers and the clock say about moves, handed to the side that it concerns.

use leveret_model::directory::MoveReport;
use leveret_model::{Instant, MoveAttempt, NodeId, QueueId};

use super::MoveStep;
use crate::control::Control;

impl Control {
    /// A shard of this node says how a move goes.
    pub(crate) fn on_move_report(
        &mut self,
        now: Instant,
        id: QueueId,
        attempt: MoveAttempt,
        report: MoveReport,
    ) {
        match report {
            MoveReport::Copied => self.on_copied(now, id, attempt),
            MoveReport::Yielded(below) => self.on_yielded(id, attempt, below),
            MoveReport::Failed => self.on_move_failed(now, id, attempt),
            MoveReport::Opened(below) => self.on_opened(now, id, attempt, below),
            MoveReport::Drained => self.on_drained(id),
        }
    }

    /// The control machine of the other home says something.
    pub(crate) fn on_move_step(
        &mut self,
        now: Instant,
        peer: NodeId,
        (id, attempt): (QueueId, MoveAttempt),
        step: MoveStep,
    ) {
        match step {
            MoveStep::Offer(record) => self.on_offer(peer, attempt, record),
            MoveStep::Accept(shard) => self.on_accept(now, peer, id, attempt, shard),
            MoveStep::Decline => self.on_decline(now, peer, id, attempt),
            MoveStep::Abort => self.on_abort(peer, id, attempt),
            MoveStep::Serve(bindings) => self.on_serve(peer, id, attempt, bindings),
            MoveStep::Moved(version) => self.on_moved(peer, id, attempt, version),
        }
    }

    /// A new link to a node: what it may have missed is said again.
    pub(crate) fn repeat_moves(&mut self, node: NodeId) {
        // it says so itself, if it still leaves: it may have taken that back while there was no link
        self.moves.forget_leaving(node);
        self.repeat_outgoing(node);
        self.repeat_incoming(node);
        self.say_leaving(node);
    }

    /// Does what is due, at the end of each input.
    pub(crate) fn settle_moves(&mut self, now: Instant) {
        self.expire_moves(now);
        self.forget_moves();
        self.drop_superseded();
        self.drive_leave(now);
        self.drive_rebalance(now);
    }
}
