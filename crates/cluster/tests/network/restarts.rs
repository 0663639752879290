//! Nodes that are killed and come back at their address as somebody else: without a disk each start draws a new id.

use leveret_cluster::{Event, Standing};
use leveret_model::directory::Reply;

use crate::commands::queue;
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// `at` is killed and its address started again after `pause_ms`.
fn restart(world: &mut World, at: At, pause_ms: u64, seeds: &[&str]) -> At {
    let address = world.nodes[at].address.clone();
    world.kill(at);
    world.run(ms(pause_ms));
    world.start(&address, seeds)
}

/// The killed process is known to be gone once its address is dialled and answered by another; nobody waits for silence.
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

/// A node that says of itself that it is at another's address proves nothing: it may be configured wrong, or behind NAT.
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
