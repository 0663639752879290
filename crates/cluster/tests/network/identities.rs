//! Nodes that are killed and come back under their identity: the data directory has the id and counts the
//! starts, what they had in memory is gone.

use leveret_cluster::{ForgetRefusal, Standing};
use leveret_model::NodeId;
use leveret_model::definition::ExchangeKind;
use leveret_model::directory::Reply;

use crate::commands::{exchange, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// `at` is killed and started again under its identity after `pause_ms`.
fn start_again(world: &mut World, at: At, pause_ms: u64, seeds: &[&str]) -> At {
    let address = world.nodes[at].address.clone();
    world.kill(at);
    world.run(ms(pause_ms));
    world.start_again(at, 1, &address, seeds)
}

fn has_exchange(world: &World, at: At, name: &str) -> bool {
    world.nodes[at].shards.iter().all(|shard| shard.exchanges.iter().any(|known| known.as_str() == name))
}

/// Its queues are gone with its memory, so their names are free; nobody deleted them, so what was on its way
/// there is not confirmed. What it had written to registers stays, at each moment and everywhere.
#[test]
fn a_later_start_has_no_queues_and_its_exchanges_stay() {
    for seed in 0..60 {
        let mut world = cluster(seed, 3);
        let home = world.home(2);
        assert!(matches!(world.ask_now(2, queue("q", home, false)), Reply::Queue { created: true, .. }));
        let id = world.nodes[2].shards[0].serving("q").expect("it stands").id;
        world.ask_now(2, exchange("x", ExchangeKind::Fanout, false));
        let pause = [0, 30, 250, 2_500][(seed % 4) as usize];
        let again = start_again(&mut world, 2, pause, &["n0", "n1", "n2"]);
        assert!(
            world.run_until(ms(2_500), |world| {
                assert!(has_exchange(world, 0, "x") && has_exchange(world, 1, "x"), "seed {seed}");
                world.nodes[again].listening
            }),
            "seed {seed}: {:#?}",
            views(&world)
        );
        assert!(has_exchange(&world, again, "x"), "seed {seed}");
        assert_eq!(world.nodes[0].control.status().nodes.len(), 2, "seed {seed}: one member, not two");
        let home = world.home(again);
        let declared = world.ask_now(again, queue("q", home, false));
        assert!(matches!(declared, Reply::Queue { created: true, .. }), "seed {seed}: {declared:?}");
        assert!(world.run_until(ms(1_000), World::agrees), "seed {seed}: {:#?}", views(&world));
        assert!(world.nodes[0].shards.iter().all(|shard| shard.serving("q").is_some()), "seed {seed}");
        for shard in world.nodes[..2].iter().flat_map(|node| &node.shards) {
            assert_eq!(shard.gone.get(&id), Some(&false), "seed {seed}: gone and not deleted");
        }
    }
}

/// A peer that was cut off while a node started again still tells of the start before.
#[test]
fn what_a_late_peer_says_of_the_start_before_is_not_believed() {
    let mut world = cluster(3, 3);
    let home = world.home(2);
    world.ask_now(2, queue("old", home, false));
    world.ask_now(2, exchange("x", ExchangeKind::Fanout, false));
    world.cut_both(0, 1, false);
    world.cut_both(1, 2, false);
    let again = start_again(&mut world, 2, 10, &["n0", "n1", "n2"]);
    world.cut_both(1, again, false);
    assert!(world.run_until(ms(5_000), |world| world.nodes[again].listening), "{:#?}", views(&world));
    world.heal();
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
    for at in [0, 1, again] {
        assert!(world.nodes[at].control.status().queues.is_empty(), "{at}");
        assert!(has_exchange(&world, at, "x"), "{at}");
    }
    assert_eq!(world.standing(1, again), Some(Standing::Alive));
}

/// Each start writes later than those before, also one that has not heard of them yet.
#[test]
fn a_node_that_starts_again_alone_wins_over_what_it_wrote_before() {
    let mut world = cluster(4, 2);
    world.ask_now(1, exchange("x", ExchangeKind::Fanout, false));
    world.cut_both(0, 1, false);
    world.kill(1);
    let again = world.start_again(1, 1, "n1", &[]);
    world.cut_both(0, again, false);
    assert!(world.run_until(ms(500), |world| world.nodes[again].listening));
    world.ask_now(again, exchange("x", ExchangeKind::Direct, false));
    world.heal();
    assert!(world.run_until(ms(4_000), World::agrees), "{:#?}", views(&world));
    let kinds: Vec<_> =
        [0, again].iter().map(|&at| world.nodes[at].control.status().exchanges[0].kind).collect();
    assert_eq!(kinds, [ExchangeKind::Direct, ExchangeKind::Direct]);
}

/// A hundred starts of one node leave one member, and each register once in the maps of others.
#[test]
fn a_hundred_starts_of_one_identity_leave_one_member() {
    let mut world = cluster(8, 3);
    let mut last = 2;
    for round in 0..100 {
        last = start_again(&mut world, last, round % 7 * 100, &["n0", "n1", "n2"]);
        assert!(
            world.run_until(ms(2_500), |world| world.nodes[last].listening),
            "{round}: {:#?}",
            views(&world)
        );
        let home = world.home(last);
        world.ask_now(last, queue("q", home, false));
        world.ask_now(last, exchange(&format!("x{}", round % 5), ExchangeKind::Fanout, false));
    }
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
    for at in world.alive() {
        let status = world.nodes[at].control.status();
        assert_eq!((status.nodes.len(), status.exchanges.len(), status.queues.len()), (2, 5, 1));
    }
}

/// `leveret forget`: everyone forgets the node at once, and what it had written to registers stays.
#[test]
fn a_node_that_is_forgotten_on_request_is_gone_everywhere_and_its_exchanges_stay() {
    let mut world = cluster(12, 3);
    let home = world.home(2);
    world.ask_now(2, queue("q", home, false));
    world.ask_now(2, exchange("x", ExchangeKind::Fanout, false));
    let dead = world.nodes[2].id;
    let forget = |world: &mut World, node: NodeId| {
        let now = world.now;
        let answer = world.nodes[0].control.forget_node(now, node);
        world.drain(0);
        answer
    };
    assert_eq!(forget(&mut world, dead), Err(ForgetRefusal::Lives));
    let (own, nobody) = (world.nodes[0].id, NodeId(1));
    assert_eq!(forget(&mut world, own), Err(ForgetRefusal::Itself));
    assert_eq!(forget(&mut world, nobody), Err(ForgetRefusal::Unknown));
    world.kill(2);
    assert!(world.run_until(ms(3_000), |world| {
        [0, 1].iter().all(|&at| world.standing(at, 2).is_some_and(Standing::is_down))
    }));
    assert_eq!(forget(&mut world, dead), Ok(()));
    world.run(ms(500));
    for at in [0, 1] {
        let status = world.nodes[at].control.status();
        assert_eq!((status.nodes.len(), status.queues.len(), status.exchanges.len()), (1, 0, 1), "{at}");
    }
    // a peer that tells of it is not believed, and if it comes back after all it is taken in
    world.run(ms(5_000));
    assert_eq!(world.nodes[1].control.status().nodes.len(), 1);
    let again = world.start_again(2, 1, "n2", &["n0", "n1"]);
    assert!(world.run_until(ms(2_000), |world| world.nodes[again].listening));
    assert!(world.run_until(ms(2_000), World::agrees));
}
