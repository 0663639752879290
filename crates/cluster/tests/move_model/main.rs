//! The move of a queue as a model: copies, freeze, yield and serve beside publishes, settlements, purges,
//! broken links and crashes, searched to the end (ADR 40).
//!
//! `world.rs` has what each side knows, `protocol.rs` the rules. The first test searches everything at the
//! bounds that it names; the second leaves out one rule at a time, and each must break a promise, so that
//! the search is known to see.

mod protocol;
mod world;

use protocol::{Rule, Scene, Step};
use stateright::{Checker, Model, Property};
use world::{MESSAGES, New, Old, World};

impl Model for Scene {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps(world, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        self.apply(&mut next, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one home serves at most", |_, world: &World| {
                !(world.old.serves() && world.new_serves())
            }),
            Property::always("what is confirmed is kept", confirmed_kept),
            Property::always("what is settled does not come again, nothing comes twice", nothing_twice),
            Property::always("every move ends", ends),
        ]
    }
}

/// At the home that serves, or, while none does, in the copy that the old one keeps.
fn confirmed_kept(_: &Scene, world: &World) -> bool {
    let confirmed = (1_u8 << world.confirmed) - 1;
    let there = if world.new_serves() { world.new_has } else { world.old_has };
    world.lost || confirmed & !world.settled & !world.died_with & !there.set() == 0
}

fn nothing_twice(_: &Scene, world: &World) -> bool {
    let once = |messages: [u8; MESSAGES]| messages.into_iter().all(|count| count <= 1);
    let serving = if world.new_serves() { Some(world.new_has) } else { None };
    let serving = serving.or(world.old.serves().then_some(world.old_has));
    serving.is_none_or(|contents| {
        // what a home that died had settled is given again, flagged
        once(contents.messages) && (world.taken_back || contents.set() & world.settled == 0)
    })
}

/// Where no step is left somebody serves, and nobody waits for the other.
fn ends(scene: &Scene, world: &World) -> bool {
    let mut steps = Vec::new();
    scene.steps(world, &mut steps);
    // clients may stop at any time, and faults do not have to come
    let moves_on =
        |step: &Step| matches!(step, Step::Copy(_) | Step::Freeze | Step::GiveUp | Step::Deliver(_));
    if steps.iter().any(moves_on) || world.lost {
        return true;
    }
    let at_rest = matches!(world.old, Old::Serves | Old::Done | Old::Dead);
    at_rest && (world.old.serves() || world.new_serves()) && (world.new_serves() || world.new == New::Nothing)
}

const BOUNDS: Scene = Scene { without: None, attempts: 2, answers_lost: 1, breaks: 1, crashes: 1 };

/// A search that comes here is not exhaustive, and fails.
const STATES_MAX: usize = 4_000_000;

/// How many states there are, and the promise that breaks first, with its execution.
fn search(scene: Scene) -> (usize, Option<String>) {
    let checker = scene.checker().threads(2).target_state_count(STATES_MAX).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().next();
    (checker.unique_state_count(), broken.map(|(name, path)| format!("{name}: {:?}", path.into_actions())))
}

#[test]
fn no_promise_breaks_over_two_tries_a_lost_answer_a_broken_link_and_a_crash() {
    let (states, broken) = search(BOUNDS);
    assert_eq!(broken, None);
    assert!(states > 10_000, "{states} states are no search");
    assert!(states < STATES_MAX, "not searched to the end");
}

#[test]
fn each_rule_is_needed() {
    for rule in [
        Rule::Attempts,
        Rule::ServeIsSaid,
        Rule::List,
        Rule::Lanes,
        Rule::KeepCopy,
        Rule::Proof,
        Rule::Repeat,
    ] {
        let (_, broken) = search(Scene { without: Some(rule), ..BOUNDS });
        assert!(broken.is_some(), "without {rule:?} nothing breaks");
    }
}
