//! Queues that end by themselves: with their connection, its node, or their last consumer.

use leveret_cluster::Standing;
use leveret_model::directory::{Command, FromShard, Reply};
use leveret_model::{ConnectionAddress, ConnectionKey, RequestId, ShardAddress, limits};

use crate::cluster;
use crate::commands::{binding, code, queue};
use crate::world::{At, What, World, ms};

/// A declare by a connection of the shard that is to be its home.
fn exclusive(name: &str, home: ShardAddress) -> Command {
    let Command::DeclareQueue { mut definition, home, server_named } = queue(name, home, false) else {
        panic!("a declare")
    };
    let owner = ConnectionAddress { at: home, connection: ConnectionKey { slot: 1, generation: 1 } };
    std::sync::Arc::make_mut(&mut definition).exclusive = Some(owner);
    Command::DeclareQueue { definition, home, server_named }
}

/// The shard of a queue closed it by itself. Asks control to delete it, under a number that no command has.
fn is_over(world: &mut World, at: At, reply: &Reply) -> RequestId {
    let Reply::Queue { record, .. } = reply else { panic!("{reply:?}") };
    let request = RequestId(1_000_000);
    let mail = FromShard::QueueOver { request, id: record.id };
    world.push(world.now, What::FromShard { at, shard: record.home.shard, mail });
    request
}

#[test]
fn a_queue_that_is_over_is_answered_for_once_nobody_has_it() {
    let mut world = cluster(21, 3);
    world.delay = (ms(0), ms(30));
    let home = world.home(0);
    let made = world.ask_now(0, exclusive("q", home));
    assert_eq!(world.ask_now(0, Command::Bind(binding("amq.direct", "q", "k"))), Reply::Done);
    let request = is_over(&mut world, 0, &made);
    assert!(world.run_until(ms(2_000), |world| world.reply(0, request).is_some()));
    for at in 0..3 {
        for shard in &world.nodes[at].shards {
            assert!(shard.queues.is_empty() && shard.bindings.is_empty());
        }
    }
    // anybody may have the name at once
    let home = world.home(2);
    let reply = world.ask_now(2, queue("q", home, true));
    assert!(matches!(reply, Reply::Queue { created: true, .. }), "{reply:?}");
}

/// RabbitMQ: 405 to a declare by another connection, and to one of the owner that is not exclusive.
#[test]
fn an_exclusive_queue_is_declared_by_its_owner_alone() {
    let mut world = cluster(22, 2);
    let (home, other) = (world.home(0), world.home(1));
    let Reply::Queue { created: true, record } = world.ask_now(0, exclusive("q", home)) else { panic!() };
    assert_eq!(world.ask_now(0, exclusive("q", home)), Reply::Queue { record, created: false });
    assert_eq!(code(&world.ask_now(1, exclusive("q", other))), 405);
    assert_eq!(code(&world.ask_now(0, queue("q", home, false))), 405);
    assert_eq!(code(&world.ask_now(1, queue("q", other, false))), 405);
}

#[test]
fn the_name_of_an_exclusive_queue_is_free_as_soon_as_its_node_is_down() {
    let mut world = cluster(23, 3);
    let home = world.home(2);
    world.ask_now(2, exclusive("q", home));
    world.ask_now(2, queue("shared", home, false));
    world.kill(2);
    assert!(world.run_until(ms(3_000), |world| world.standing(0, 2).is_some_and(Standing::is_down)));
    let home = world.home(0);
    let exclusive = world.ask(0, exclusive("q", home));
    let shared = world.ask(0, queue("shared", home, false));
    // votes wait for the last echo of the dead node to be old (R1), and for nothing else
    assert!(world.run_until(limits::ECHO_WAIT, |world| world.reply(0, exclusive).is_some()));
    assert!(matches!(world.reply(0, exclusive), Some(Reply::Queue { created: true, .. })));
    assert_eq!(world.reply(0, shared), None, "it waits for those that lost the node");
}

#[test]
fn a_name_that_the_server_drew_may_be_a_reserved_one() {
    let mut world = cluster(24, 1);
    let home = world.home(0);
    assert_eq!(code(&world.ask_now(0, queue("amq.gen-x", home, false))), 403);
    let Command::DeclareQueue { definition, home, .. } = queue("amq.gen-x", home, false) else { panic!() };
    let reply = world.ask_now(0, Command::DeclareQueue { definition, home, server_named: true });
    assert!(matches!(reply, Reply::Queue { created: true, .. }), "{reply:?}");
    // then it is there, and may be declared as it is
    assert!(matches!(world.ask_now(0, queue("amq.gen-x", home, false)), Reply::Queue { created: false, .. }));
}
