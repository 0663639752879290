//! Every buffer stays under its limit: records between shards under their credit, output under its stop.

use std::collections::BTreeMap;

use leveret_link::credit::Cost;
use leveret_model::{Instant, NodeId, ShardAddress, limits};

/// What is under way between shards, and the largest output.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    under_way: BTreeMap<(ShardAddress, ShardAddress), Cost>,
    /// What went over a limit, until it is reported.
    over: Vec<(Instant, String)>,
}

/// One record may overshoot the bytes of a window (`link::credit`).
const RECORD_BYTES_MAX: u64 = limits::BODY_BYTES_MAX;
/// Replies pass a full output; so much of them is no leak.
const OUTPUT_BYTES_MAX: usize = limits::OUTPUT_BYTES_STOP + 1024 * 1024;

impl Buffers {
    pub(crate) fn link_up(&mut self, own: ShardAddress, node: NodeId) {
        self.under_way.retain(|(from, to), _| *from != own || to.node != node);
    }

    pub(crate) fn sent(&mut self, from: ShardAddress, to: ShardAddress, cost: Cost) {
        let at = self.under_way.entry((from, to)).or_default();
        *at = at.plus(cost);
        let (records, bytes) = (limits::FORWARD_RECORDS_MAX, limits::FORWARD_BYTES_MAX + RECORD_BYTES_MAX);
        if at.records > records || at.bytes > bytes {
            self.over.push((Instant::ZERO, format!("{at:?} under way from {from:?} to {to:?}")));
        }
    }

    pub(crate) fn processed(&mut self, from: ShardAddress, to: ShardAddress, cost: Cost) {
        if let Some(at) = self.under_way.get_mut(&(from, to)) {
            *at = at.less(cost);
        }
    }

    pub(crate) fn output(&mut self, now: Instant, bytes: usize) {
        if bytes > OUTPUT_BYTES_MAX {
            self.over.push((now, format!("{bytes} bytes of output of one connection")));
        }
    }

    pub(crate) fn take_over(&mut self) -> Option<(Instant, String)> {
        self.over.pop()
    }
}
