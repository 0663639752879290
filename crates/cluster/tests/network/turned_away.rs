//! Nodes that are not taken in: the cluster is full, another process has their identity, their secret is
//! another.

use leveret_cluster::{Event, TurnAway};
use leveret_model::directory::Reply;
use leveret_model::limits;

use crate::commands::{code, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

fn turned_away(world: &World, at: At) -> Vec<(TurnAway, bool)> {
    let told = world.nodes[at].events.iter();
    told.filter_map(|(_, event)| match event {
        Event::TurnedAway { why, joining, .. } => Some((*why, *joining)),
        _ => None,
    })
    .collect()
}

/// So many members that n0's cluster has no room left but for `free`; they exist in its books alone.
fn nearly_full(seed: u64, free: usize) -> World {
    let mut world = World::new(seed);
    world.start("n0", &["n0"]);
    world.run(ms(1_100));
    for n in 1..limits::NODES_MAX - free {
        world.link_to_a_shadow(0, &format!("shadow{n}"));
    }
    world
}

#[test]
fn a_node_for_which_there_is_no_room_does_not_serve_alone_and_says_why_once() {
    let mut world = nearly_full(1, 0);
    let late = world.start("late", &["n0", "late"]);
    // the shadows say nothing and are soon Down; until then the cluster is full
    world.run(ms(1_100));
    assert!(!world.nodes[late].listening, "{:#?}", views(&world));
    assert_eq!(turned_away(&world, late), [(TurnAway::Full, true)]);
    let full = world.nodes[0].events.iter().filter(|(_, event)| matches!(event, Event::Full { .. }));
    assert_eq!(full.count(), 1, "each redial was turned away, one line says so");
    // there is room again
    assert!(world.run_until(ms(2_000), |world| world.nodes[late].listening), "{:#?}", views(&world));
    assert!(world.run_until(ms(1_000), |world| world.nodes[0].control.counted_set().len() == 2));
}

#[test]
fn the_last_place_is_taken_and_the_dead_take_none() {
    let mut world = nearly_full(2, 1);
    let last = world.start("last", &["n0", "last"]);
    assert!(world.run_until(ms(1_000), |world| {
        world.nodes[0]
            .control
            .status()
            .nodes
            .iter()
            .any(|node| node.node == world.nodes[last].id && node.linked)
    }));
    assert_eq!(turned_away(&world, last), []);
    let more = world.start("more", &["n0", "more"]);
    assert!(world.run_until(ms(500), |world| turned_away(world, more) == [(TurnAway::Full, true)]));
    world.run(ms(3_000));
    let next = world.start("next", &["n0", "next"]);
    assert!(world.run_until(ms(2_000), |world| world.nodes[next].listening), "{:#?}", views(&world));
}

#[test]
fn a_node_with_another_secret_serves_nobody_until_the_other_is_gone() {
    let mut world = World::new(3);
    world.start("n0", &["n0"]);
    world.run(ms(1_100));
    world.strangers.insert("odd".to_owned());
    let odd = world.start("odd", &["n0", "odd"]);
    world.run(ms(8_000));
    assert!(!world.nodes[odd].listening);
    assert_eq!(turned_away(&world, odd), [(TurnAway::Secret, true)]);
    let missing = world.nodes[odd].events.iter().find_map(|(_, event)| match event {
        Event::StillJoining { missing } => Some(missing.join(", ")),
        _ => None,
    });
    assert_eq!(missing.as_deref(), Some("n0 (it has another secret than this node)"));
    // nobody is left to serve beside
    world.kill(0);
    let killed = world.now;
    assert!(world.run_until(ms(2_000), |world| world.nodes[odd].listening));
    assert!(world.now.since(killed) >= ms(1_000), "it listens for an answer as at its start");
}

/// Two live processes with one id and incarnation: whichever is true, neither may speak for the queues.
#[test]
fn both_processes_of_a_cloned_identity_stop() {
    for seed in 0..20 {
        let mut world = cluster(seed, 3);
        let home = world.home(2);
        world.ask_now(2, queue("q", home, false));
        let clone = world.start_again(2, 0, "elsewhere", &["n0", "n1"]);
        assert!(
            world.run_until(ms(1_500), |world| {
                [2, clone].iter().all(|&at| world.nodes[at].control.status().stopped)
            }),
            "seed {seed}: {:#?}",
            views(&world)
        );
        assert!(!world.nodes[clone].listening, "seed {seed}");
        assert_eq!(code(&world.ask_now(2, queue("other", home, false))), 405, "seed {seed}");
        let alarms = |at: At| {
            world.nodes[at].events.iter().filter(|(_, event)| matches!(event, Event::Clone { .. })).count()
        };
        assert!(alarms(0) + alarms(1) > 0 && alarms(2) == 1 && alarms(clone) == 1, "seed {seed}");
    }
}

/// A data directory was copied while its process ran: the copy counts one start more, and both live.
#[test]
fn both_processes_of_a_copied_data_directory_stop() {
    let mut world = cluster(5, 2);
    world.cut_both(0, 1, true);
    let later = world.start_again(1, 1, "elsewhere", &["n0"]);
    assert!(world.run_until(ms(3_000), |world| world.nodes[later].listening), "{:#?}", views(&world));
    world.heal();
    assert!(
        world.run_until(ms(2_000), |world| {
            [1, later].iter().all(|&at| world.nodes[at].control.status().stopped)
        }),
        "{:#?}",
        views(&world)
    );
    let told = |at: At| {
        world.nodes[at].events.iter().filter(|(_, event)| matches!(event, Event::Clone { .. })).count()
    };
    assert!(told(0) > 0 && told(1) == 1 && told(later) == 1, "{:#?}", views(&world));
}

/// A disk was rolled back, the count of starts with it: others know a start of this node that it does not.
#[test]
fn a_node_whose_disk_was_rolled_back_serves_nothing() {
    let mut world = cluster(6, 2);
    let home = world.home(1);
    world.ask_now(1, queue("q", home, false));
    world.kill(1);
    world.run(ms(300));
    let back = world.start_again(1, 0, "n1", &["n0", "n1"]);
    let stopped = |world: &World| world.nodes[back].control.status().stopped;
    assert!(world.run_until(ms(3_000), stopped), "{:#?}", views(&world));
    assert!(!world.nodes[back].listening);
    assert!(!world.nodes[0].control.status().queues.is_empty(), "what it had is masked, not taken over");
}

/// A disk that was put back from an old copy: peers know more of the node's own map than it does itself.
/// Whatever it wrote from there on would be taken for what they have already, so it serves nothing.
#[test]
fn a_node_whose_peer_knows_more_of_its_map_than_itself_serves_nothing_and_says_so() {
    let mut world = cluster(5, 3);
    let home = world.home(2);
    assert!(matches!(world.ask_now(2, queue("old", home, false)), Reply::Queue { created: true, .. }));
    world.heard = Some((0, 2, Vec::new()));
    world.run(ms(300));
    let (_, _, said) = world.heard.take().expect("was put");
    assert!(!said.is_empty());
    (0..3).for_each(|at| world.kill(at));
    // it comes back as the same start with nothing, among others that know nothing either; then the echoes of
    // before come
    let again = world.start_again(2, 0, "n2", &["n9"]);
    let peer = world.start_again(0, 1, "n9", &["n2"]);
    assert!(
        world.run_until(ms(3_000), |world| { [again, peer].iter().all(|&at| world.nodes[at].listening) })
    );
    world.run(ms(500));
    assert!(world.nodes[again].shards.iter().all(|shard| shard.lease > world.now));
    let (&link, ends) = world.links.iter().find(|(_, ends)| ends.ends.contains(&again)).expect("they met");
    let from = ends.ends.into_iter().find(|&end| end != again).expect("two ends");
    let side = usize::from(ends.ends[1] == from);
    for frame in said {
        world.carry(link, side, frame);
    }
    let peer = world.nodes[from].id;
    let told = |world: &World| {
        world.nodes[again].events.iter().any(|(_, event)| *event == Event::RolledBack { peer })
    };
    assert!(world.run_until(ms(300), told), "{:#?}", views(&world));
    world.run(ms(10));
    // for good: neither the lease nor answers come back
    for _ in 0..50 {
        world.run(ms(100));
        assert!(world.nodes[again].shards.iter().all(|shard| shard.lease <= world.now));
    }
    let home = world.home(again);
    let reply = world.ask_now(again, queue("new", home, false));
    assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    assert!(world.nodes[again].control.status().queues.is_empty());
}

/// The same where the number of the start went back too: that alone is enough.
#[test]
fn an_earlier_start_of_a_node_that_is_known_serves_nothing() {
    let mut world = cluster(6, 2);
    world.kill(1);
    let later = world.start_again(1, 1, "n1", &["n0", "n1"]);
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
    world.kill(later);
    let earlier = world.start_again(later, u64::MAX, "n1", &["n0", "n1"]);
    let cloned = |world: &World| {
        world.nodes[earlier].events.iter().any(|(_, event)| matches!(event, Event::Clone { .. }))
    };
    assert!(world.run_until(ms(3_000), cloned), "{:#?}", views(&world));
    world.run(ms(3_000));
    assert!(world.nodes[earlier].shards.iter().all(|shard| shard.lease <= world.now));
    assert!(world.nodes[0].shards.iter().all(|shard| shard.lease > world.now), "{:#?}", views(&world));
}
