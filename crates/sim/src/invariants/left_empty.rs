//! A node that says that it has left holds no queue.

use leveret_cluster::Left;
use leveret_model::Instant;

use crate::oracle::Oracle;
use crate::process::Process;

/// A leave is over, before the process ends.
pub(crate) fn check(now: Instant, process: &Process, left: Left, oracle: &mut Oracle) {
    if left != Left::Empty {
        return;
    }
    let node = process.hello.node;
    let exclusive: Vec<_> =
        process.shards.iter().flat_map(|host| host.shard.exclusive_queues()).map(|queue| queue.id).collect();
    for queue in process.shards.iter().flat_map(|host| host.shard.report().queues) {
        if exclusive.contains(&queue.id) {
            continue;
        }
        let text = format!("{node} has left, and is home to {:?}", queue.id);
        oracle.violation(now, "left_empty", text);
    }
    let there: Vec<String> =
        oracle.living_at(node).map(|(id, life)| format!("{id:?} {:?}", life.base)).collect();
    for queue in there {
        oracle.violation(
            now,
            "left_empty",
            format!("{node} has left, and others take it for the home of {queue}"),
        );
    }
}
