//! Commands that reach their home when nobody waits for them any more.

use leveret_model::directory::{Command, Reply};

use crate::cluster;
use crate::commands::{binding, code, delete_queue, queue};
use crate::world::{At, World, ms};

/// The home stands still, the asker is told that it is down, and the home wakes with the command in its socket.
fn is_refused_while_the_home_stands_still(world: &mut World, asker: At, home: At, command: Command) {
    world.pause(home, ms(4_000));
    let refused = world.ask_now(asker, command);
    assert_eq!(code(&refused), 404, "{refused:?}");
    assert!(world.run_until(ms(15_000), World::agrees));
    world.run(ms(3_000));
}

#[test]
fn a_delete_that_was_refused_deletes_nothing_later() {
    for seed in 0..8 {
        let mut world = cluster(seed, 3);
        let home = world.home(1);
        world.ask_now(1, queue("q", home, false));
        is_refused_while_the_home_stands_still(&mut world, 0, 1, delete_queue("q"));
        let home = world.home(0);
        match world.ask_now(0, queue("q", home, false)) {
            Reply::Queue { created: false, .. } => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

#[test]
fn a_bind_that_was_refused_binds_nothing_later() {
    for seed in 0..8 {
        let mut world = cluster(seed, 3);
        let home = world.home(1);
        world.ask_now(1, queue("q", home, false));
        let bind = binding("amq.direct", "q", "k");
        is_refused_while_the_home_stands_still(&mut world, 0, 1, Command::Bind(bind.clone()));
        for at in 0..3 {
            let shards = &world.nodes[at].shards;
            assert!(
                !shards.iter().any(|shard| shard.bindings.iter().any(|known| known.same(&bind))),
                "{seed}"
            );
        }
    }
}
