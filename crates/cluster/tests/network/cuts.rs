//! The executions that broke earlier forms of the rules, and what a cut or a death leaves behind.

use std::time::Duration;

use leveret_cluster::{Event, Standing};
use leveret_model::definition::{Binding, ExchangeKind};
use leveret_model::directory::{Command, Reply};
use leveret_model::{Instant, Name, RequestId};

use crate::commands::{binding, code, delete_queue, exchange, queue};
use crate::merges::is_merged;
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// How the link between the home and the publisher's node dies.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Silent,
    Reset,
    FromHome,
    ToHome,
}

const CUTS: [Cut; 4] = [Cut::Silent, Cut::Reset, Cut::FromHome, Cut::ToHome];

fn cut(world: &mut World, home: At, publisher: At, how: Cut) {
    world.cuts_refuse = matches!(how, Cut::Reset);
    match how {
        Cut::Silent => world.cut_both(home, publisher, false),
        Cut::Reset => world.cut_both(home, publisher, true),
        Cut::FromHome => world.cut(home, publisher),
        Cut::ToHome => world.cut(publisher, home),
    }
}

/// Asks, and until the answer (and `after` it) demands `so` at every step; it is told whether an ok went out.
fn ask_watched(
    world: &mut World,
    at: At,
    command: Command,
    after: Duration,
    so: impl Fn(&World, bool),
) -> (Instant, Reply) {
    let request: RequestId = world.ask(at, command);
    let end = world.now + ms(12_000);
    while world.reply(at, request).is_none() {
        assert!(world.step(end), "no answer");
        so(world, false);
    }
    let answered = world.now;
    let reply = world.reply(at, request).expect("is answered").clone();
    let end = answered + after;
    while world.step(end) {
        so(world, reply == Reply::Done);
    }
    (answered, reply)
}

/// H = 0 binds, Y = 2 publishes, M = 1 sees both all the time.
#[test]
fn a_cut_link_lets_no_lease_skip_a_binding_while_a_third_node_sees_both() {
    for how in CUTS {
        for before in [0, 300, 900, 1_300, 1_700, 2_500] {
            let mut world = cluster(before, 3);
            world.ask_now(0, exchange("e", ExchangeKind::Fanout, false));
            let home = world.home(0);
            world.ask_now(0, queue("q", home, false));
            cut(&mut world, 0, 2, how);
            world.run(ms(before));
            let bound = binding("e", "q", "k");
            let request = Command::Bind(bound.clone());
            let (_, reply) = ask_watched(&mut world, 0, request, ms(3_000), |world, ok| {
                let bound = &bound;
                assert!(
                    !ok || (0..3).all(|at| world.is_honest(at, bound)),
                    "{how:?} {before}: {:#?}",
                    views(world)
                );
            });
            // without a lease of its own the home may refuse; what it grants must hold
            assert!(reply == Reply::Done || code(&reply) == 405, "{reply:?}");
            for (a, b) in [(0, 2), (2, 0)] {
                assert!(!world.standing(a, b).expect("is known").is_down(), "the veto holds");
            }
            world.heal();
            assert!(world.run_until(ms(2_000), World::agrees), "{how:?}: {:#?}", views(&world));
        }
    }
}

/// Two nodes are enough: whoever still counts the home and has its lease routes by what the home acked.
#[test]
fn of_two_nodes_none_keeps_a_lease_on_the_other_and_skips_its_binding() {
    for how in CUTS {
        for before in [0, 200, 600, 1_100, 1_400, 2_200] {
            let mut world = cluster(before + 7, 2);
            world.ask_now(0, exchange("e", ExchangeKind::Fanout, false));
            let home = world.home(0);
            world.ask_now(0, queue("q", home, false));
            cut(&mut world, 0, 1, how);
            world.run(ms(before));
            let bound = binding("e", "q", "k");
            let request = Command::Bind(bound.clone());
            let (_, reply) = ask_watched(&mut world, 0, request, ms(3_000), |world, ok| {
                let counts = world.nodes[1].control.counted_set().contains(&world.nodes[0].id);
                assert!(
                    !ok || !counts || world.is_honest(1, &bound),
                    "{how:?} {before}: {:#?}",
                    views(world)
                );
            });
            assert_eq!(reply, Reply::Done);
            world.heal();
            assert!(world.run_until(ms(2_000), World::agrees), "{how:?}: {:#?}", views(&world));
            assert!(world.is_honest(1, &bound));
        }
    }
}

/// A verdict, however fast, excuses nobody: the ok comes 2 s after the last echo that the other got.
#[test]
fn a_refused_redial_does_not_shorten_the_wait_of_the_ok() {
    let mut world = cluster(3, 2);
    let home = world.home(0);
    world.ask_now(0, queue("q", home, false));
    let killed = world.now;
    world.kill(1);
    let (answered, reply) =
        ask_watched(&mut world, 0, Command::Bind(binding("amq.fanout", "q", "k")), ms(0), |_, _| {});
    assert_eq!(reply, Reply::Done);
    assert!(
        answered.since(killed) >= ms(1_890) && answered.since(killed) <= ms(2_010),
        "{:?}",
        answered.since(killed)
    );
}

#[test]
fn a_name_is_not_declared_anew_while_anyone_hears_its_home() {
    for how in CUTS {
        let mut world = cluster(11, 3);
        let home = world.home(0);
        let Reply::Queue { record, .. } = world.ask_now(0, queue("q", home, false)) else {
            panic!("not created")
        };
        cut(&mut world, 0, 2, how);
        for _ in 0..3 {
            let home = world.home(2);
            let reply = world.ask_now(2, queue("q", home, true));
            assert!([404, 405, 406].contains(&code(&reply)), "{how:?}: {reply:?}");
        }
        world.heal();
        assert!(world.run_until(ms(2_000), World::agrees));
        assert_eq!(world.nodes[2].shards[0].serving("q").map(|q| q.id), Some(record.id));
    }
}

#[test]
fn two_sides_of_a_cut_each_declare_and_one_queue_remains_with_the_bindings_of_both() {
    for seed in 0..20 {
        let mut world = cluster(seed, 3);
        world.cut_both(0, 2, seed % 2 == 0);
        world.cut_both(1, 2, seed % 2 == 0);
        world.run(ms(3_500));
        let mut ids = Vec::new();
        for at in [0, 2] {
            let home = world.home(at);
            let Reply::Queue { record, created: true } = world.ask_now(at, queue("q", home, at == 2)) else {
                panic!("not created at {at}")
            };
            ids.push(record.id);
            assert_eq!(
                world.ask_now(at, Command::Bind(binding("amq.topic", "q", &format!("from{at}")))),
                Reply::Done
            );
        }
        // the other node of the bigger side knows
        assert_eq!(world.nodes[1].shards[0].serving("q").map(|q| q.id), Some(ids[0]));
        world.heal();
        assert!(world.run_until(ms(2_000), is_merged), "seed {seed}: {:#?}", views(&world));
        let (winner, loser) = (*ids.iter().min().expect("two"), *ids.iter().max().expect("two"));
        let renamed = format!("q~{}", loser.ulid);
        for at in 0..3 {
            let shard = &world.nodes[at].shards[0];
            assert_eq!(shard.serving("q").map(|q| q.id), Some(winner), "seed {seed}");
            assert_eq!(shard.serving(&renamed).map(|q| q.id), Some(loser), "seed {seed}");
            let mut keys: Vec<&[u8]> = shard.bindings.iter().map(|b| &b.key[..]).collect();
            keys.sort_unstable();
            assert_eq!(keys, [&b"from0"[..], b"from2"], "seed {seed}");
        }
        let lost = |world: &World, at: At| {
            world.nodes[at].events.iter().any(|(_, event)| matches!(event, Event::MergeLost { .. }))
        };
        assert!(lost(&world, 0) != lost(&world, 2), "one of them says that it lost");
    }
}

/// Each voter agrees to the proposal that it saw first; what refuses the other is no sign of the masked queue's
/// home.
#[test]
fn of_two_rivals_over_a_masked_name_the_older_gets_it_and_the_other_its_answer() {
    for seed in 0..60 {
        let mut world = cluster(seed, 5);
        let home = world.home(4);
        world.ask_now(4, queue("q", home, false));
        world.kill(4);
        world.run(ms(2_500));
        world.delay = (ms(0), ms(300));
        let same = seed % 2 == 0;
        let asks = [0, 1].map(|at| {
            let home = world.home(at);
            let request = world.ask(at, queue("q", home, !same && at == 1));
            let pause = world.random.below(40);
            world.run(ms(pause));
            (at, request)
        });
        let answered = |world: &World| asks.iter().all(|&(at, request)| world.reply(at, request).is_some());
        assert!(world.run_until(ms(4_000), answered), "seed {seed}: {:#?}", views(&world));
        let mut created = 0;
        for (at, request) in asks {
            match world.reply(at, request).expect("is answered") {
                Reply::Queue { created: true, .. } => created += 1,
                Reply::Queue { created: false, .. } => assert!(same, "seed {seed}"),
                refused => assert!(!same && code(refused) == 406, "seed {seed}: {refused:?}"),
            }
        }
        assert_eq!(created, 1, "seed {seed}");
    }
}

#[test]
fn the_same_boot_brings_its_queues_back() {
    let mut world = cluster(2, 2);
    let home = world.home(0);
    let Reply::Queue { record, .. } = world.ask_now(0, queue("q", home, false)) else {
        panic!("not created")
    };
    world.cut_both(0, 1, false);
    assert!(world.run_until(ms(1_500), |world| world.standing(1, 0).is_some_and(Standing::is_down)));
    world.run(ms(10));
    assert!(world.nodes[1].shards[0].serving("q").is_none());
    assert!(world.nodes[1].shards[0].queues.contains_key(&record.id), "masked, not dropped");
    world.heal();
    assert!(world.run_until(ms(2_000), World::agrees));
    assert_eq!(world.nodes[1].shards[0].serving("q").map(|q| q.id), Some(record.id));
    assert!(world.nodes[1].events.iter().any(|(_, event)| matches!(event, Event::Back { .. })));
}

#[test]
fn a_command_for_another_node_is_carried_out_once_over_a_broken_link() {
    for seed in crate::seeds(30) {
        let mut world = cluster(seed, 2);
        world.delay = (ms(5), ms(40));
        let home = world.home(0);
        world.ask_now(0, queue("q", home, false));
        let bind = world.ask(1, Command::Bind(binding("amq.topic", "q", "k")));
        let delete = world.ask(1, delete_queue("q"));
        let pause = world.random.below(100);
        world.run(ms(pause));
        world.cut_both(0, 1, true);
        world.heal();
        world.run(ms(4_000));
        assert!(matches!(world.reply(1, bind), Some(Reply::Done | Reply::Refused(_))));
        assert_eq!(world.reply(1, delete), Some(&Reply::Deleted { messages: 0 }), "seed {seed}");
        assert!(world.run_until(ms(100), World::agrees) && world.nodes[0].shards[0].bindings.is_empty());
    }
}

#[test]
fn a_home_that_dies_is_answered_for_within_two_seconds() {
    let mut world = cluster(9, 3);
    let home = world.home(0);
    world.ask_now(0, queue("q", home, false));
    world.pause(0, ms(60_000));
    let asked = world.now;
    let request = world.ask(1, Command::Bind(binding("amq.topic", "q", "k")));
    world.run_until(ms(100), |_| false);
    world.kill(0);
    assert!(world.run_until(ms(2_000), |world| world.reply(1, request).is_some()));
    assert_eq!(code(world.reply(1, request).expect("is answered")), 404);
    assert!(world.now.since(asked) <= ms(2_000));
}

#[test]
fn a_node_that_was_stopped_judges_nobody_by_its_own_silence() {
    let mut world = cluster(4, 3);
    world.pause(2, ms(6_000));
    world.run(ms(5_900));
    assert!(world.standing(0, 2).expect("is known").is_down());
    let before = world.nodes[2].events.len();
    assert!(world.run_until(ms(2_500), World::agrees), "{:#?}", views(&world));
    let said = &world.nodes[2].events[before..];
    assert!(!said.iter().any(|(_, event)| matches!(event, Event::Down { .. })), "{said:?}");
}

#[test]
fn without_a_view_a_node_says_so_and_never_that_something_is_not_there() {
    let mut world = cluster(6, 3);
    world.cut_both(0, 2, false);
    // 1 sees both: neither is Down to the other, and neither has a lease
    world.run(ms(2_000));
    let (asked, missing) = (world.now, Command::Bind(binding("nothing", "nowhere", "k")));
    let reply = world.ask_now(2, missing);
    assert_eq!(code(&reply), 405, "{reply:?}");
    assert!(world.now.since(asked) <= ms(2_010));
    assert!(world.nodes[2].shards.iter().all(|shard| shard.lease <= world.now));
}

#[test]
fn a_newcomer_says_who_is_missing() {
    let mut world = cluster(8, 2);
    // the newcomer will reach n1 alone, which still hears n0
    for (a, b) in [(0, 2), (2, 0)] {
        world.cut(a, b);
    }
    let newcomer = world.start("n2", &["n1"]);
    world.run(ms(5_200));
    assert!(!world.nodes[newcomer].listening);
    let said = world.nodes[newcomer].events.iter().find_map(|(_, event)| match event {
        Event::StillJoining { missing } => Some(missing.clone()),
        _ => None,
    });
    assert_eq!(said, Some(vec!["n0 at n0".to_owned()]));
    world.heal();
    assert!(world.run_until(ms(3_000), World::agrees), "{:#?}", views(&world));
}

#[test]
fn what_a_dead_node_left_goes_after_ten_minutes_and_its_exchanges_stay() {
    let mut world = cluster(10, 2);
    let home = world.home(1);
    world.ask_now(1, queue("q", home, false));
    world.ask_now(1, exchange("e", ExchangeKind::Fanout, false));
    world.ask_now(1, Command::Bind(binding("e", "q", "k")));
    world.kill(1);
    world.run(ms(590_000));
    assert_eq!(world.nodes[0].control.status().queues.len(), 1);
    world.run(ms(12_000));
    let status = world.nodes[0].control.status();
    assert_eq!((status.queues.len(), status.bindings.len()), (0, 0));
    assert_eq!(status.exchanges.len(), 1);
    assert!(world.nodes[0].events.iter().any(|(_, event)| matches!(event, Event::Forgotten { .. })));
}

#[test]
fn an_auto_delete_exchange_lives_while_any_node_is_bound_to_it() {
    for seed in 0..30 {
        let mut world = cluster(seed, 3);
        world.delay = (ms(0), ms(30));
        world.ask_now(0, exchange("e", ExchangeKind::Fanout, true));
        for at in [0, 1] {
            let home = world.home(at);
            world.ask_now(at, queue(&format!("q{at}"), home, false));
        }
        let bound: Vec<Binding> = (0..2).map(|at| binding("e", &format!("q{at}"), "k")).collect();
        assert_eq!(world.ask_now(0, Command::Bind(bound[0].clone())), Reply::Done);
        // the last unbind and a new bind race
        let unbind = world.ask(0, Command::Unbind(bound[0].clone()));
        let pause = world.random.below(60);
        world.run(ms(pause));
        let bind = world.ask(1, Command::Bind(bound[1].clone()));
        world.run(ms(3_000));
        assert_eq!(world.reply(0, unbind), Some(&Reply::Done), "seed {seed}");
        assert!(world.run_until(ms(100), World::agrees), "seed {seed}");
        let routed = world.nodes[2].shards[0].bindings.contains(&bound[1]);
        match world.reply(1, bind).expect("is answered") {
            Reply::Done => assert!(routed, "seed {seed}: bound, and gone"),
            refused => assert!(code(refused) == 404 && !routed, "seed {seed}: {refused:?}"),
        }
        let there = world.nodes[2].shards[0].exchanges.contains(&Name::new("e"));
        assert_eq!(there, routed, "seed {seed}");
    }
}
