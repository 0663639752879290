//! What the control machines of two homes order their shards to do for a queue that moves.

use leveret_link::handshake::{Capabilities, Capability};
use leveret_model::directory::{Command, MoveOrder, Reply};

use crate::commands::{binding, delete_queue, queue};
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
