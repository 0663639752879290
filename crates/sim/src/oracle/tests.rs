//! What the oracle does not believe.

use super::*;
use leveret_model::definition::QueueDefinition;
use leveret_model::{Name, ShardAddress, ShardId, Ulid};

#[test]
fn an_ok_that_a_dead_home_may_have_said_binds_no_other_life_of_the_name() {
    let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
    let mut oracle = Oracle::default();
    let [dead, other] = [1, 2].map(|number| {
        let id = QueueId { generation: 0, ulid: Ulid(number) };
        let home = ShardAddress { node: NodeId(number), shard: ShardId(0) };
        let definition =
            QueueDefinition { durable: true, ..QueueDefinition::new(Name::new("/"), Name::new("q4")) };
        let record = QueueRecord { definition: definition.into(), id, home, epoch: 0 };
        oracle.on_change(at(1), home.node, &Change::PutQueue(record));
        id
    });
    let home = oracle.lives[&dead].home.node;
    oracle.process_ended(at(20), home);
    let mut bound = |now: Instant| {
        oracle.bound(now, Exchange::Direct, "k", Base(4));
        oracle.bounds[&(Exchange::Direct, "k".to_owned(), Base(4))].last().and_then(|bound| bound.queue)
    };
    assert_eq!(bound(at(21)), None);
    assert_eq!(bound(at(31)), Some(other));
}
