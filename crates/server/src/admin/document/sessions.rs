//! The part of the document about sessions.

use std::net::SocketAddr;

use leveret_shard::{SessionReport, ShardReport};
use serde_json::{Value, json};

/// `null` while sessions are off; else where clients connect, and `session_memory`.
pub(super) fn of(sessions: Option<(SocketAddr, u64)>, reports: &[ShardReport]) -> Value {
    let Some((listen, bytes_max)) = sessions else { return Value::Null };
    let mut all = SessionReport::default();
    reports.iter().filter_map(|report| report.sessions).for_each(|report| all.add(&report));
    let counters = all.counters;
    json!({
        "listen": listen.to_string(), "connections": all.connections, "sessions": all.sessions,
        "held": all.states, "gone": all.gone, "waiting": all.waiting,
        "handover": { "left": all.handover.left, "given": all.handover.given },
        "memory": { "used": all.bytes, "limit": bytes_max },
        "since_start": {
            "created": counters.created, "commits": counters.commits, "touches": counters.touches,
            "loads": counters.loads, "destroyed": counters.destroyed, "expired": counters.expired,
            "evicted": counters.evicted, "late_writes_dropped": counters.late_writes,
            "moved": counters.moved, "lost": counters.lost, "refused": counters.refused,
            "unknown_commands": all.unknown_commands,
        },
    })
}
