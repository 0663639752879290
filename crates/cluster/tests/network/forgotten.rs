//! Clients that are gone before their answer: what only waited to begin does not begin.

use leveret_model::Name;
use leveret_model::definition::ExchangeKind;
use leveret_model::directory::Reply;

use crate::commands::{exchange, queue};
use crate::world::{World, ms};
use crate::{cluster, views};

#[test]
fn a_declare_that_waits_for_a_name_creates_nothing_once_its_client_is_gone() {
    for gone in [true, false] {
        let mut world = cluster(5, 3);
        let home = world.home(2);
        let Reply::Queue { record, .. } = world.ask_now(2, queue("q", home, false)) else {
            panic!("not created")
        };
        world.kill(2);
        world.run(ms(300));
        let home = world.home(0);
        let request = world.ask(0, queue("q", home, false));
        world.run(ms(300));
        assert_eq!(world.reply(0, request), None);
        if gone {
            world.forget(0, request, ms(0));
        }
        world.run(ms(8_000));
        assert_eq!(world.reply(0, request).is_none(), gone);
        for at in 0..2 {
            let lives = &world.nodes[at].shards[0].queues;
            assert!(lives[&record.id].1, "masked");
            assert_eq!(lives.len(), if gone { 1 } else { 2 });
        }
    }
}

#[test]
fn a_declare_that_waits_for_a_view_does_nothing_once_its_client_is_gone() {
    let mut world = cluster(6, 3);
    // 1 sees both: neither is Down to the other, and neither has a lease
    world.cut_both(0, 2, false);
    world.run(ms(2_000));
    let request = world.ask(2, exchange("e", ExchangeKind::Fanout, false));
    world.run(ms(100));
    world.forget(2, request, ms(0));
    world.heal();
    assert!(world.run_until(ms(2_000), World::agrees), "{:#?}", views(&world));
    world.run(ms(3_000));
    assert_eq!(world.reply(2, request), None);
    assert!(!world.nodes[0].shards[0].exchanges.contains(&Name::new("e")));
}

/// It stands, or gives way, as if somebody waited; a rival gets its answer.
#[test]
fn a_declare_that_was_under_way_leaves_one_queue_and_everyone_else_an_answer() {
    let mut stood = 0;
    for seed in crate::seeds(40) {
        let mut world = cluster(seed, 3);
        world.delay = (ms(0), ms(40));
        let asked = [0, 1].map(|at| {
            let home = world.home(at);
            let request = world.ask(at, queue("q", home, false));
            let pause = world.random.below(30);
            world.run(ms(pause));
            request
        });
        world.forget(0, asked[0], ms(0));
        world.run(ms(5_000));
        let Some(Reply::Queue { record, created }) = world.reply(1, asked[1]).cloned() else {
            panic!("seed {seed}: {:?}", world.reply(1, asked[1]))
        };
        stood += u32::from(!created);
        assert!(world.run_until(ms(100), World::agrees), "seed {seed}: {:#?}", views(&world));
        let queues = world.nodes[2].control.status().queues;
        assert_eq!(
            queues.iter().map(|queue| queue.record.id).collect::<Vec<_>>(),
            [record.id],
            "seed {seed}"
        );
    }
    assert!(stood > 0, "none that was under way took effect");
}
