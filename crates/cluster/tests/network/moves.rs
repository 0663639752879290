//! What the control machines of two homes order their shards to do for a queue that moves.

use std::collections::BTreeMap;

use leveret_cluster::StoreStep;
use leveret_link::handshake::{Capabilities, Capability};
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};
use leveret_model::directory::{Command, MoveOrder, Reply};
use leveret_model::{QueueId, limits};

use crate::commands::{binding, delete_queue, exchange, queue};
use crate::views;
use crate::world::{World, ms};

/// Two nodes that know each other, the second one with these capabilities; `q` lives on the first.
fn with_queue(taker: &Capabilities) -> World {
    let mut world = World::new(4);
    for (at, address) in ["n0", "n1"].into_iter().enumerate() {
        assert_eq!(world.start(address, &["n0", "n1"]), at);
        if at == 1 {
            world.nodes[at].hello.capabilities = taker.clone();
        }
        world.run(ms(1_100));
    }
    assert!(world.run_until(ms(2_000), World::agrees), "{:#?}", views(&world));
    let home = world.home(0);
    assert!(matches!(world.ask_now(0, queue("q", home, false)), Reply::Queue { created: true, .. }));
    world
}

fn leaves(world: &mut World) {
    let now = world.now;
    world.nodes[0].control.on_leave(now, now + ms(30_000));
    world.drain(0);
    world.run(ms(3_000));
}

/// What the shards of the old home did.
fn orders(world: &World) -> Vec<&'static str> {
    let orders = world.nodes[0].shards.iter().flat_map(|shard| &shard.orders);
    orders
        .map(|order| match order {
            MoveOrder::Copy { .. } => "copy",
            MoveOrder::HandOver { only_if_short: false, .. } => "hand over",
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_queue_is_copied_before_it_is_handed_over() {
    let mut world = with_queue(&Capabilities::own());
    leaves(&mut world);
    assert_eq!(orders(&world), ["copy", "hand over"]);
}

#[test]
fn a_taker_that_knows_no_copies_gets_the_queue_in_one_piece() {
    let older = Capabilities::of(&[Capability::QUEUE_COMMANDS, Capability::MOVES]);
    let mut world = with_queue(&older);
    leaves(&mut world);
    assert_eq!(orders(&world), ["hand over"]);
}

#[test]
fn commands_for_a_queue_are_done_while_it_is_copied() {
    let mut world = with_queue(&Capabilities::own());
    world.nodes[0].shards.iter_mut().for_each(|shard| shard.copies_on = true);
    leaves(&mut world);
    assert_eq!(orders(&world), ["copy"]);
    let bind = Command::Bind(binding("amq.direct", "q", "key"));
    assert_eq!(world.ask_now(1, bind), Reply::Done);
    assert!(matches!(world.ask_now(1, delete_queue("q")), Reply::Deleted { .. }));
}

/// A shard that forgets a try deletes what the disk has of the queue: the next one must not be on another
/// shard.
#[test]
fn all_tries_of_a_queue_arrive_on_one_shard() {
    let mut world = with_queue(&Capabilities::own());
    for name in ["r", "s", "t", "u"] {
        let home = world.home(0);
        world.ask_now(0, queue(name, home, true));
    }
    world.nodes[0].shards.iter_mut().for_each(|shard| shard.copies_on = true);
    let now = world.now;
    world.nodes[0].control.on_leave(now, now + limits::COPY_WAIT * 10);
    world.drain(0);
    // each try is given up when its copy takes too long
    world.run(limits::COPY_WAIT * 5);
    let mut tries = BTreeMap::<QueueId, Vec<usize>>::new();
    for (shard, known) in world.nodes[1].shards.iter().enumerate() {
        for order in &known.orders {
            if let MoveOrder::Expect { record, .. } = order {
                tries.entry(record.id).or_default().push(shard);
            }
        }
    }
    assert_eq!(tries.len(), 5);
    for (id, shards) in tries {
        assert!(shards.len() > 1, "{id:?} was tried once");
        assert!(shards.iter().all(|shard| *shard == shards[0]), "{id:?} arrived on {shards:?}");
    }
}

/// A node that leaves takes its disk with it.
#[test]
fn registers_of_a_node_that_leaves_are_on_another_disk_at_once() {
    let mut world = crate::cluster(11, 3);
    let declare = |world: &mut World, name: &str| {
        let Command::DeclareExchange(definition) = exchange(name, ExchangeKind::Fanout, false) else {
            unreachable!("it declares an exchange")
        };
        let durable = ExchangeDefinition { durable: true, ..definition };
        assert_eq!(world.ask_now(2, Command::DeclareExchange(durable)), Reply::Done);
    };
    let is_kept = |world: &World, name: &str| {
        let is_it = |step: &StoreStep| match step {
            StoreStep::Register { value, .. } => value.windows(name.len()).any(|at| at == name.as_bytes()),
            _ => false,
        };
        [0, 1].iter().any(|at| world.nodes[*at].stored.iter().any(is_it))
    };
    declare(&mut world, "early");
    assert!(!is_kept(&world, "early"));
    let now = world.now;
    world.nodes[2].control.on_leave(now, now + ms(30_000));
    world.drain(2);
    assert!(world.run_until(ms(1_000), |world| is_kept(world, "early")), "{:#?}", views(&world));
    // what it is told while it leaves
    declare(&mut world, "late");
    world.kill(2);
    assert!(world.run_until(ms(2_000), |world| is_kept(world, "late")), "{:#?}", views(&world));
}
