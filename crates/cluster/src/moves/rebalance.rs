//! Queues move to nodes that have fewer, so that a node that joined has its share of the work.
//!
//! Each node decides for its own queues alone, from the maps that all have: one that is well above the mean
//! gives a handful of short queues at a time to those below it. Bounds keep that from costing more than it
//! brings: nodes must have been the same for a while, a queue that moved rests, and long queues stay.

use alloc::vec::Vec;

use leveret_model::{Instant, QueueId, limits};

use super::Why;
use crate::control::Control;

/// How many queues a node that has `own` gives away, where all `nodes` together have `total`.
fn surplus(own: usize, total: usize, nodes: usize) -> usize {
    let mean = total.div_ceil(nodes.max(1));
    let tolerated = mean + mean * limits::REBALANCE_ABOVE_PERCENT / 100;
    if own > tolerated.max(mean + 1) { own - mean } else { 0 }
}

impl Control {
    /// Somebody asks for balance now: nothing rests any more, and this node gives what it has above the mean
    /// even if it would not do so by itself.
    pub fn on_rebalance(&mut self, now: Instant) {
        self.note_time(now);
        let nodes = self.able_to_take();
        self.moves.balance.ask(now, nodes);
        self.settle_inputs(now);
    }

    /// Offers a handful of queues if this node has more than its share.
    pub(super) fn drive_rebalance(&mut self, now: Instant) {
        if now < self.moves.balance.next_look() {
            return;
        }
        let may = (self.config.rebalance || self.moves.balance.is_asked())
            && self.moves.leave.is_none()
            && self.lease.is_ready()
            && !self.lease.is_stopped();
        if !may {
            return self.moves.balance.look_later(now);
        }
        let nodes = self.able_to_take();
        if !self.moves.balance.look(now, nodes) {
            return;
        }
        // a queue that is on its way counts at both
        let under_way = self.moves.outgoing.len();
        let own = self.directory.queues_at(self.own()).0.saturating_sub(under_way);
        let mut takers = self.takers();
        let total = own + takers.iter().map(|(queues, _)| queues).sum::<usize>();
        let (nodes, surplus) = (takers.len() + 1, surplus(own, total, takers.len() + 1));
        let room = limits::REBALANCE_AT_ONCE_MAX.saturating_sub(under_way).min(surplus);
        takers.retain(|(queues, _)| queues * nodes < total);
        let mut given = 0;
        if room > 0 && !takers.is_empty() {
            let candidates = self.directory.own_queue_ids();
            let free = |id: &QueueId| !self.moves.balance.is_resting(*id) && self.may_be_offered(*id);
            let chosen: Vec<QueueId> = candidates.into_iter().filter(free).take(room).collect();
            given = chosen.len();
            for id in chosen {
                let Some(least) = takers.iter_mut().min() else { break };
                least.0 += 1;
                let to = least.1;
                self.moves.balance.rest(now, id);
                self.offer(now, id, to, Why::Balance);
            }
        }
        self.moves.balance.counted(now, given > 0 || under_way > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::surplus;

    #[test]
    fn a_node_gives_away_what_is_above_the_mean_and_no_less_than_a_margin() {
        // a node alone, and nodes without queues
        assert_eq!((surplus(100, 100, 1), surplus(0, 0, 3)), (0, 0));
        // a newcomer: half
        assert_eq!((surplus(100, 100, 2), surplus(0, 100, 2)), (50, 0));
        // within the margin nothing moves
        assert_eq!((surplus(115, 300, 3), surplus(116, 300, 3)), (0, 16));
        // few queues: one more than the others is no reason
        assert_eq!((surplus(1, 1, 2), surplus(2, 2, 2), surplus(3, 3, 2), surplus(4, 4, 2)), (0, 0, 0, 2));
    }
}
