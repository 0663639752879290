//! R3: two lives of one name meet, and nobody routes past a binding whose ok went out on either side meanwhile.

use leveret_cluster::Event;
use leveret_model::Instant;
use leveret_model::definition::{Binding, ExchangeKind};
use leveret_model::directory::{Command, Reply};

use crate::commands::{binding, delete_exchange, delete_queue, exchange, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// Nodes 0 and 1 on one side, 2 and 3 on the other; each side declares `q` and binds it.
fn two_lives(seed: u64) -> (World, [Binding; 2]) {
    let mut world = cluster(seed, 4);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.cut_both(a, b, seed.is_multiple_of(2));
    }
    world.run(ms(3_500));
    let bound = [0, 2].map(|at| {
        let home = world.home(at);
        let declared = world.ask_now(at, queue("q", home, false));
        assert!(matches!(declared, Reply::Queue { created: true, .. }), "{declared:?}");
        let bound = binding("amq.topic", "q", &format!("from{at}"));
        assert_eq!(world.ask_now(at, Command::Bind(bound.clone())), Reply::Done);
        bound
    });
    world.delay = [(ms(0), ms(2)), (ms(0), ms(40)), (ms(30), ms(150))][(seed % 3) as usize];
    world.apply_delay_max = [ms(1), ms(20)][(seed % 2) as usize];
    (world, bound)
}

fn assert_honest(world: &World, seed: u64, at: At, bound: &Binding) {
    assert!(
        world.is_honest(at, bound),
        "seed {seed}: at {:?} n{at} has a lease and does not route by {bound:?}: {:?} {:#?}",
        world.now,
        world.nodes[at].shards[0].queues,
        views(world)
    );
}

/// All agree, and the life that lost its name knows it.
pub fn is_merged(world: &World) -> bool {
    let lost = |(_, event): &(Instant, Event)| matches!(event, Event::MergeLost { .. });
    world.agrees() && world.nodes.iter().any(|node| node.events.iter().any(lost))
}

#[test]
fn while_two_lives_become_one_no_side_routes_past_its_own_bindings() {
    for seed in crate::seeds(60) {
        let (mut world, bound) = two_lives(seed);
        world.heal();
        let end = world.now + ms(4_000);
        while world.step(end) {
            for at in 0..4 {
                assert_honest(&world, seed, at, &bound[at / 2]);
            }
        }
        assert!(is_merged(&world), "seed {seed}: {:#?}", views(&world));
        for at in 0..4 {
            bound.iter().for_each(|bound| assert_honest(&world, seed, at, bound));
        }
    }
}

/// Binds at every node, from before the sides meet until after they are one.
#[test]
fn a_bind_that_races_a_merge_holds_from_its_ok_on() {
    for seed in crate::seeds(12) {
        let (mut world, _) = two_lives(seed);
        let mut asked = Vec::new();
        let mut bound: Vec<(Binding, At, Instant)> = Vec::new();
        let begin = world.now;
        let mut healed = false;
        for round in 0..60_u64 {
            if !healed && world.now > begin + ms(100 + seed * 3 % 50) {
                healed = true;
                world.heal();
            }
            let at = world.random.below(4) as At;
            let binding = binding("amq.topic", "q", &format!("k{round}"));
            asked.push((at, world.ask(at, Command::Bind(binding.clone())), binding));
            let end = world.now + ms(world.random.below(20));
            while world.step(end) {
                asked.retain(|(at, request, binding)| match world.nodes[*at].replies.get(request) {
                    None => true,
                    Some((ok, Reply::Done)) => {
                        bound.push((binding.clone(), *at, *ok));
                        false
                    }
                    Some(_) => false,
                });
                for (binding, from, ok) in &bound {
                    for at in (0..4).filter(|&at| world.could_talk(at, *from, *ok - ms(2_000))) {
                        assert_honest(&world, seed, at, binding);
                    }
                }
            }
        }
        assert!(bound.len() > 10, "seed {seed}: {} were bound", bound.len());
        assert!(world.run_until(ms(4_000), is_merged), "seed {seed}: {:#?}", views(&world));
        for at in 0..4 {
            bound.iter().for_each(|(bound, ..)| assert_honest(&world, seed, at, bound));
        }
    }
}

/// Both lives have the binding; the other would bring it back.
#[test]
fn an_unbind_that_races_a_merge_is_not_undone_by_it() {
    for seed in crate::seeds(30) {
        let (mut world, _) = two_lives(seed);
        let both = binding("amq.topic", "q", "both");
        for at in [0, 2] {
            assert_eq!(world.ask_now(at, Command::Bind(both.clone())), Reply::Done);
        }
        world.heal();
        let won = |world: &World, at: At| {
            let won = |(_, event): &(Instant, Event)| matches!(event, Event::MergeWon { .. });
            world.nodes[at].events.iter().any(won)
        };
        assert!(world.run_until(ms(3_000), |world| won(world, 0) || won(world, 2)), "seed {seed}");
        let winner = if won(&world, 0) { 0 } else { 2 };
        let unbound = world.ask_now(winner, Command::Unbind(both.clone()));
        assert_eq!(unbound, Reply::Done, "seed {seed}");
        assert!(world.run_until(ms(4_000), is_merged), "seed {seed}: {:#?}", views(&world));
        for node in &world.nodes {
            assert!(!node.shards[0].bindings.contains(&both), "seed {seed}: it came back");
        }
    }
}

/// Asked of every node from before the sides meet until after they are one.
#[test]
fn what_is_asked_of_the_loser_of_a_merge_is_done_by_the_winner() {
    for seed in crate::seeds(40) {
        let (mut world, _) = two_lives(seed);
        let mut asked = Vec::new();
        let begin = world.now;
        world.heal();
        for round in 0..50_u64 {
            let at = world.random.below(4) as At;
            let binding = binding("amq.topic", "q", &format!("k{round}"));
            let bind = round % 3 > 0;
            let command = if bind { Command::Bind(binding) } else { Command::Unbind(binding) };
            asked.push((at, world.ask(at, command)));
            let pause = world.random.below(12);
            world.run(ms(pause));
        }
        assert!(world.run_until(ms(4_000), is_merged), "seed {seed}: {:#?}", views(&world));
        world.run(ms(2_000));
        for (at, request) in asked {
            let (_, reply) = world.nodes[at].replies.get(&request).expect("is answered");
            let (when, _) = world.nodes[at].asked[&request];
            let since = when.since(begin);
            assert_eq!(*reply, Reply::Done, "seed {seed}: n{at}, {since:?} after the heal");
        }
    }
}

/// Who deletes a name deletes both lives of it, or is not told that it is gone.
#[test]
fn a_delete_that_meets_a_merge_leaves_no_life_of_the_name() {
    let mut deleted = 0;
    for seed in crate::seeds(40) {
        let (mut world, _) = two_lives(seed);
        world.heal();
        let at = (seed % 4) as At;
        let both = |world: &World| world.nodes[at].shards.iter().all(|shard| shard.queues.len() == 2);
        assert!(world.run_until(ms(3_000), both), "seed {seed}");
        let reply = world.ask_now(at, delete_queue("q"));
        assert!(world.run_until(ms(4_000), World::agrees), "seed {seed}: {:#?}", views(&world));
        assert!(matches!(reply, Reply::Deleted { .. }), "seed {seed}: {reply:?}");
        deleted += 1;
        for node in &world.nodes {
            assert_eq!(node.shards[0].serving("q"), None, "seed {seed}");
        }
    }
    assert!(deleted > 0);
}

/// The winner dies before it does what it was asked: the other life has the name again.
#[test]
fn what_was_asked_of_a_winner_that_dies_is_done_by_the_other_life() {
    let mut done = 0;
    for seed in crate::seeds(20) {
        let (mut world, _) = two_lives(seed);
        let id = |world: &World, at: At| world.nodes[at].shards[0].serving("q").map(|record| record.id);
        let winner = if id(&world, 0) < id(&world, 2) { 0 } else { 2 };
        let at = 3 - winner;
        world.heal();
        let both = |world: &World| world.nodes[at].shards.iter().all(|shard| shard.queues.len() == 2);
        assert!(world.run_until(ms(3_000), both), "seed {seed}");
        // the other one is not renamed before the winner's node has acked
        world.pause(winner, ms(60_000));
        let bound = binding("amq.topic", "q", "k");
        let request = world.ask(at, Command::Bind(bound.clone()));
        world.run(ms(50));
        world.kill(winner);
        let answered = world.run_until(ms(4_000), |world| world.reply(at, request).is_some());
        assert!(answered, "seed {seed}: {:#?}", views(&world));
        // its shards may be behind
        world.run(ms(50));
        if world.nodes[at].shards[0].serving("q").is_some() {
            done += 1;
            assert_eq!(world.reply(at, request), Some(&Reply::Done), "seed {seed}");
            assert_honest(&world, seed, at, &bound);
        }
    }
    assert!(done > 5, "only {done} met two lives");
}

#[test]
fn a_merge_that_gives_an_exchange_another_type_is_told_where_it_did() {
    let retyped = |world: &World, at: At| {
        let events = world.nodes[at].events.iter().filter_map(|(_, event)| match event {
            Event::ExchangeRetyped { name, was, is, .. } => Some((name.to_string(), *was, *is)),
            _ => None,
        });
        events.collect::<Vec<_>>()
    };
    let mut world = cluster(3, 2);
    world.cut_both(0, 1, true);
    world.run(ms(3_500));
    for (at, kind) in [(0, ExchangeKind::Fanout), (1, ExchangeKind::Topic)] {
        assert_eq!(world.ask_now(at, exchange("e", kind, false)), Reply::Done);
        assert_eq!(world.ask_now(at, exchange("same", ExchangeKind::Direct, false)), Reply::Done);
    }
    world.heal();
    assert!(world.run_until(ms(4_000), World::agrees), "{:#?}", views(&world));
    let told = [retyped(&world, 0), retyped(&world, 1)];
    let of_two = [(ExchangeKind::Fanout, ExchangeKind::Topic), (ExchangeKind::Topic, ExchangeKind::Fanout)];
    let expected = of_two.map(|(was, is)| vec![("e".to_owned(), was, is)]);
    assert!(
        told == [expected[0].clone(), Vec::new()] || told == [Vec::new(), expected[1].clone()],
        "one side keeps its type, the other is told: {told:?}"
    );

    // a deletion and another declare are nobody's surprise
    assert_eq!(world.ask_now(0, delete_exchange("e")), Reply::Done);
    assert_eq!(world.ask_now(0, exchange("e", ExchangeKind::Direct, false)), Reply::Done);
    assert!(world.run_until(ms(4_000), World::agrees), "{:#?}", views(&world));
    assert_eq!([retyped(&world, 0), retyped(&world, 1)], told);
}
