//! Nodes that are killed and come back at their address as somebody else: without a disk each start draws a
//! new id.

use leveret_cluster::{Event, Standing};
use leveret_model::definition::ExchangeKind;
use leveret_model::directory::Reply;
use leveret_model::limits;

use crate::commands::{exchange, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// `at` is killed and its address started again after `pause_ms`.
fn restart(world: &mut World, at: At, pause_ms: u64, seeds: &[&str]) -> At {
    let address = world.nodes[at].address.clone();
    world.kill(at);
    world.run(ms(pause_ms));
    world.start(&address, seeds)
}

/// The killed process is known to be gone once its address is dialled and answered by another; nobody waits
/// for silence.
#[test]
fn a_node_that_is_killed_and_started_at_once_serves_within_300_ms() {
    for seed in 0..120 {
        let count = 2 + (seed % 3) as usize;
        let mut world = cluster(seed, count);
        let home = world.home(0);
        world.ask_now(0, queue("q", home, false));
        let all: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let mut seeds: Vec<&str> = all.iter().map(String::as_str).collect();
        if seed % 2 == 0 {
            // it need not know its own address
            seeds.pop();
        }
        let pause = seed / 6;
        let newcomer = restart(&mut world, count - 1, pause, &seeds);
        let started = world.now;
        assert!(
            world.run_until(ms(300), |world| world.nodes[newcomer].listening),
            "{seed}: {:#?}",
            views(&world)
        );
        let home = world.home(newcomer);
        let declared = world.ask_now(newcomer, queue("q", home, false));
        assert!(matches!(declared, Reply::Queue { created: false, .. }), "{seed}: {declared:?}");
        assert!(world.now.since(started) < ms(300), "{seed}: {:?}", world.now.since(started));
        assert!(world.run_until(ms(500), World::agrees), "{seed}: {:#?}", views(&world));
    }
}

/// A cluster whose pods restart for a month, one start after the other, each of them a new node.
#[test]
fn a_thousand_restarts_leave_nothing_behind_but_registers() {
    let mut world = cluster(8, 3);
    let seeds = ["n0", "n1", "n2"];
    let at_first = sizes(&world, 0);
    for round in 0..1_000_u64 {
        // n0 stays; the others are killed in turn
        let at = world.alive()[1];
        let last = restart(&mut world, at, 0, &seeds);
        assert!(
            world.run_until(ms(1_500), |world| world.nodes[last].listening),
            "{round}: {:#?}",
            views(&world)
        );
        let home = world.home(last);
        world.ask(last, queue(&format!("q{round}"), home, false));
        world.ask(last, exchange(&format!("x{}", round % 5), ExchangeKind::Fanout, false));
        world.run(ms(300));
        for (table, entries) in sizes(&world, 0) {
            let bound = match table {
                "forgotten" => limits::FORGOTTEN_NODES_KEPT,
                _ => limits::DEAD_NODES_MAX + 10,
            };
            assert!(entries <= bound, "{table} has {entries} entries after {round} restarts");
        }
    }
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
    // ten minutes after the last death, and as long again until nobody need remember whom it forgot
    world.delay = (ms(1), ms(1));
    world.run(limits::FORGET_AFTER * 2 + ms(5_000));
    assert!(world.agrees(), "{:#?}", views(&world));
    for at in world.alive() {
        let status = world.nodes[at].control.status();
        assert_eq!(status.nodes.len(), 2);
        assert_eq!(status.exchanges.len(), 5, "registers stay");
        assert!(status.queues.len() <= 3, "queues of the dead went: {}", status.queues.len());
        for ((table, entries), (_, first)) in sizes(&world, at).into_iter().zip(&at_first) {
            assert!(entries <= first + 1, "{at}: {table} has {entries} entries, {first} at first");
        }
    }
    // a newcomer learns the registers of nodes that nobody knows any more
    let newcomer = world.start("n9", &seeds);
    assert!(world.run_until(ms(2_000), World::agrees), "{:#?}", views(&world));
    assert_eq!(world.nodes[newcomer].control.status().exchanges.len(), 5);
}

fn sizes(world: &World, at: At) -> Vec<(&'static str, usize)> {
    world.nodes[at].control.table_sizes().to_vec()
}

/// A node that was cut off for longer than anyone remembers it is taken in whole by its own link.
#[test]
fn a_node_that_was_forgotten_and_lives_comes_back_with_its_queues() {
    let mut world = cluster(9, 3);
    let home = world.home(2);
    world.ask_now(2, queue("q", home, false));
    world.ask_now(2, exchange("x", ExchangeKind::Fanout, false));
    world.cut_both(0, 2, false);
    world.cut_both(1, 2, false);
    world.run(limits::FORGET_AFTER + ms(5_000));
    assert_eq!(world.nodes[0].control.status().nodes.len(), 1, "{:#?}", views(&world));
    assert!(world.nodes[0].control.status().queues.is_empty());
    assert_eq!(world.nodes[1].control.status().exchanges.len(), 1);
    world.heal();
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
    assert!(world.nodes[0].shards[0].serving("q").is_some());
}

/// A node that says of itself that it is at another's address proves nothing: it may be configured wrong, or
/// behind NAT.
#[test]
fn a_claimed_address_takes_nobody_for_dead() {
    let mut world = cluster(4, 3);
    // the links of n0 and n1 are gone and cannot be made anew; n2 hears both
    world.cut_both(0, 1, true);
    world.run(ms(5));
    let liar = world.start_as("n9", "n1", &["n0", "n2"]);
    assert!(world.run_until(ms(1_000), |world| {
        world.nodes[0]
            .control
            .status()
            .nodes
            .iter()
            .any(|node| node.node == world.nodes[liar].id && node.linked)
    }));
    world.run(ms(300));
    assert_eq!(world.standing(0, 1), Some(Standing::Alive), "{:#?}", views(&world));
    assert!(!world.nodes[0].events.iter().any(|(_, event)| matches!(event, Event::Down { .. })));
}

/// A member that hears of the newcomer from others, loses it before it counts it and meets it again, must not
/// keep half of what it knew: a map that stays without being routed by keeps the lease away for ever.
#[test]
fn a_newcomer_that_goes_before_it_is_a_member_everywhere_and_comes_again_is_leased_on() {
    for seed in 0..200 {
        let mut world = cluster(seed, 3);
        let newcomer = world.start("n3", &["n1", "n2", "n0"]);
        // one way at a time, again and again, while it tries to join at n0
        for round in 0..6 {
            let (from, to) = if (seed + round) % 2 == 0 { (0, newcomer) } else { (newcomer, 0) };
            world.run(ms((seed * 7 + round * 13) % 60));
            if (seed + round) % 3 == 0 {
                world.cut_both(0, newcomer, true);
            } else {
                world.cut(from, to);
            }
            world.run(ms(300 + (seed * 37 + round * 101) % 1_500));
            world.heal();
        }
        assert!(world.run_until(ms(3_000), World::agrees), "{seed}: {:#?}", views(&world));
        let now = world.now;
        let leased = |at: At| world.nodes[at].shards.iter().all(|shard| shard.lease > now);
        assert!((0..4).all(leased), "{seed}: {:#?}", views(&world));
    }
}
