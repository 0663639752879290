//! An exclusive queue has one user, its own connection, and ends with it; on whichever side of a cut. That a
//! name has one such queue while views agree is a case of `one_home`.

use leveret_cluster::Status;
use leveret_shard::Shard;

/// Looks at a shard, between its turns.
pub(crate) fn broken(shard: &Shard) -> Option<String> {
    shard.exclusive_queues().find_map(|queue| {
        if !queue.owner_lives && !queue.closed {
            return Some(format!("{:?} outlives its connection {:?}", queue.id, queue.owner));
        }
        queue.serves_others.then(|| format!("{:?} serves others than {:?}", queue.id, queue.owner))
    })
}

/// Judges when all is healed: no directory has a queue that no shard has.
pub(crate) fn left<'a>(
    directories: impl Iterator<Item = &'a Status>,
    shards: impl Iterator<Item = &'a Shard>,
) -> Option<String> {
    let held: Vec<_> = shards.flat_map(Shard::exclusive_queues).map(|queue| queue.id).collect();
    let mut known = directories.flat_map(|status| &status.queues).filter(|queue| !queue.masked);
    let left = known
        .find(|queue| queue.record.definition.exclusive.is_some() && !held.contains(&queue.record.id))?;
    Some(format!("{} is known, and nobody has it", left.record.definition.name))
}
