//! The load of a node in a few figures, for whoever decides whether there are enough nodes: `load` in `leveret
//! status --json`. Names and units: docs/elasticity.md. They are computed here and nowhere else.

use leveret_shard::ShardReport;
use serde_json::{Value, json};

use crate::busy::BusyShares;

/// The figures of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    connections: u64,
    queues: u64,
    /// Ready and unacknowledged.
    messages: u64,
    /// Of their bodies.
    bytes: u64,
    /// Mean of the event loops, and the busiest one, in thousandths.
    busy_permille: u64,
    busiest_permille: u64,
    memory_used: u64,
    memory_limit: u64,
    /// Of all queues here; none without a ready message.
    oldest_ready_ms: Option<u64>,
}

impl Load {
    /// `memory`: bytes that are used, and the bound.
    pub(super) fn of(reports: &[ShardReport], memory: (u64, u64), busy: &BusyShares) -> Self {
        let queues = || reports.iter().flat_map(|report| &report.queues);
        let shares: Vec<u64> = busy.all().map(u64::from).collect();
        Self {
            connections: reports.iter().map(|report| report.connections.len() as u64).sum(),
            queues: queues().count() as u64,
            messages: queues().map(|queue| queue.ready + queue.unacked).sum(),
            bytes: queues().map(|queue| queue.bytes).sum(),
            busy_permille: shares.iter().sum::<u64>().checked_div(shares.len() as u64).unwrap_or(0),
            busiest_permille: shares.into_iter().max().unwrap_or(0),
            memory_used: memory.0,
            memory_limit: memory.1,
            oldest_ready_ms: queues()
                .filter_map(|queue| queue.oldest_ready)
                .max()
                .map(|age| age.as_millis() as u64),
        }
    }

    pub(super) fn to_json(self) -> Value {
        let percent = |permille: u64| permille as f64 / 10.0;
        let memory = (self.memory_used * 1_000).checked_div(self.memory_limit).unwrap_or(0);
        json!({
            "connections": self.connections,
            "queues": self.queues,
            "messages_held": self.messages,
            "bytes_held": self.bytes,
            "busy_percent": percent(self.busy_permille),
            "busiest_loop_percent": percent(self.busiest_permille),
            "memory_used_bytes": self.memory_used,
            "memory_limit_bytes": self.memory_limit,
            "memory_percent": percent(memory),
            "oldest_ready_ms": self.oldest_ready_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::ShardId;

    #[test]
    fn the_figures_are_sums_means_and_the_worst() {
        let busy = BusyShares::new(2);
        busy.note(ShardId(0), 900);
        busy.note(ShardId(1), 100);
        let load = Load::of(&[ShardReport::default(), ShardReport::default()], (250, 1_000), &busy).to_json();
        assert_eq!(load["busy_percent"], 50.0);
        assert_eq!(load["busiest_loop_percent"], 90.0);
        assert_eq!((&load["memory_used_bytes"], &load["memory_percent"]), (&json!(250), &json!(25.0)));
        assert_eq!((&load["connections"], &load["oldest_ready_ms"]), (&json!(0), &Value::Null));
    }
}
