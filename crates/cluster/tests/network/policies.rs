//! Policies reach every shard of every node, and halves that meet have the same.

use leveret_model::directory::{Command, Reply};
use leveret_model::policy::{ApplyTo, PolicyDefinition};
use leveret_model::{Arguments, Name, RoutingKey, Value};

use super::commands::code;
use super::world::{World, ms};
use super::{cluster, views};

fn set(name: &str, pattern: &str, most: i64) -> Command {
    let settings = Arguments(vec![(RoutingKey::new(b"max-length"), Value::I64(most))]);
    let (vhost, name, pattern) = (Name::new("/"), Name::new(name), pattern.into());
    let apply_to = ApplyTo::Queues;
    Command::SetPolicy(PolicyDefinition { vhost, name, pattern, apply_to, priority: 1, settings }.into())
}

fn clear(name: &str) -> Command {
    Command::ClearPolicy { vhost: Name::new("/"), name: Name::new(name) }
}

/// The patterns of the policies that each shard of each living node has, if they are the same everywhere.
fn patterns(world: &World) -> Vec<(String, String)> {
    let mut all: Vec<Vec<(String, String)>> = Vec::new();
    for at in world.alive() {
        for shard in &world.nodes[at].shards {
            let of = shard
                .policies
                .iter()
                .map(|(name, policy)| (name.to_string(), policy.definition().pattern.to_string()));
            all.push(of.collect());
        }
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:?}");
    all.swap_remove(0)
}

fn pair(name: &str, pattern: &str) -> (String, String) {
    (name.into(), pattern.into())
}

#[test]
fn what_is_set_at_one_node_is_everywhere_when_the_operator_hears_ok() {
    for seed in super::seeds(10) {
        let mut world = cluster(seed, 3);
        assert_eq!(world.ask_now(0, set("p", "^a", 1)), Reply::Done);
        assert_eq!(patterns(&world), [pair("p", "^a")]);
        assert_eq!(world.ask_now(1, set("p", "^b", 1)), Reply::Done);
        assert_eq!(patterns(&world), [pair("p", "^b")]);
        assert_eq!(code(&world.ask_now(2, clear("other"))), 404);
        assert_eq!(world.ask_now(2, clear("p")), Reply::Done);
        assert_eq!(patterns(&world), []);
        assert_eq!(code(&world.ask_now(0, clear("p"))), 404);
    }
}

#[test]
fn a_newcomer_has_the_policies_also_of_a_node_that_died() {
    for seed in super::seeds(10) {
        let mut world = cluster(seed, 2);
        assert_eq!(world.ask_now(0, set("p", "^a", 1)), Reply::Done);
        world.kill(0);
        world.run(ms(3_000));
        world.start("n2", &["n0", "n1", "n2"]);
        assert!(world.run_until(ms(5_000), World::agrees), "seed {seed}: {:#?}", views(&world));
        assert_eq!(patterns(&world), [pair("p", "^a")], "seed {seed}");
    }
}

#[test]
fn halves_that_wrote_different_policies_agree_when_they_meet() {
    for seed in super::seeds(20) {
        let mut world = cluster(seed, 2);
        assert_eq!(world.ask_now(0, set("old", "^o", 1)), Reply::Done);
        world.cut_both(0, 1, true);
        world.run(ms(4_000));
        assert_eq!(world.ask_now(0, set("both", "^first", 1)), Reply::Done);
        assert_eq!(world.ask_now(1, set("both", "^second", 1)), Reply::Done);
        assert_eq!(world.ask_now(1, set("right", "^r", 1)), Reply::Done);
        assert_eq!(world.ask_now(0, clear("old")), Reply::Done);
        world.heal();
        assert!(world.run_until(ms(5_000), World::agrees), "seed {seed}: {:#?}", views(&world));
        let [both, right] = &patterns(&world)[..] else { panic!("{:?}", patterns(&world)) };
        assert!(["^first", "^second"].contains(&both.1.as_str()) && *right == pair("right", "^r"));
    }
}
