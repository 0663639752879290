//! CLAIM as a model: births, takeovers and moves of one key on three nodes, one fault at a time, searched to
//! the end.
//!
//! `world.rs` has what nodes know, `protocol.rs` the rules, `changes.rs` what each step does. Commits and
//! logouts are one step each. The first test searches everything at the bounds that it names; the second
//! leaves out one rule at a time, and each must break a promise, so that the search is known to see.

mod changes;
mod protocol;
mod silence;
mod world;

use protocol::{Rule, Scene, Step};
use stateright::{Checker, Model, Property};
use world::{Client, Entry, FaultKind, NODES, Node, Phase, World};

impl Model for Scene {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.table)]
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
            Property::always("SET NX says OK once", |_, world: &World| {
                world.logged_out || world.clients != [Client::Ok; 2]
            }),
            Property::always("one home", one_home),
            Property::always("a logout stays", logout_stays),
            Property::always("nil is never false", nil_is_true),
            Property::always("an answered commit is in every later load", answered_kept),
            Property::always("nobody waits for ever, and SET NX says OK to somebody", nobody_stuck),
        ]
    }
}

/// May say something, and is not the one whose silence excuses it.
fn speaks(world: &World, node: Node) -> bool {
    let silent = matches!(world.phase(node), Some(Phase::Short | Phase::Leaseless | Phase::Down));
    world.has_lease(node) && !silent
}

fn one_home(scene: &Scene, world: &World) -> bool {
    let asleep = |node| matches!(world.phase(node), Some(Phase::Leaseless | Phase::Down));
    let lease = |node| world.has_lease(node) || !scene.has(Rule::LeaseToWrite);
    let mut lives = world
        .nodes()
        .filter(|&node| world.runs(node) && !asleep(node) && lease(node))
        .filter_map(|node| world.serves(node).map(|row| row.life));
    let first = lives.next();
    lives.all(|life| Some(life) != first)
}

fn logout_stays(_: &Scene, world: &World) -> bool {
    let live = |node: Node| Entry::row(world.entries[node]).is_some_and(|row| row.settled);
    !world.logged_out || !world.nodes().any(|node| speaks(world, node) && live(node))
}

fn nil_is_true(_: &Scene, world: &World) -> bool {
    let born = world.clients.contains(&Client::Ok) || world.answered.iter().any(Option::is_some);
    let held = world.nodes().any(|node| world.states[node].is_some() && world.runs(node));
    if world.logged_out || !born || !held {
        return true;
    }
    let says_nil = |node: Node| match world.entries[node] {
        None => true,
        Some(Entry::Row(row)) => row.is_away(),
        Some(Entry::Gone(_)) => false,
    };
    !world.nodes().any(|node| speaks(world, node) && says_nil(node))
}

fn answered_kept(scene: &Scene, world: &World) -> bool {
    if world.logged_out {
        return true;
    }
    let needed = (0..2).filter(|&at| world.answered[at].is_some()).fold(0, |bits, at| bits | 1 << at);
    world.nodes().filter(|&node| speaks(world, node)).all(|node| {
        let row = Entry::row(world.entries[node]).filter(|row| row.settled && !row.is_away());
        let Some(row) = row else { return true };
        let home = usize::from(row.home.node);
        let asked = world.serves(home).map(|_| home).into_iter().chain(world.replicator(row.home.node));
        let mut answers = asked.filter_map(|node_asked| {
            let can = world.runs(node_asked) && world.linked(node, node_asked) && world.has_lease(node_asked);
            let state = world.states[node_asked].filter(|state| can && state.life == row.life)?;
            (state.fresh || !scene.has(Rule::FreshOnly)).then_some(state.commits)
        });
        answers.all(|commits| commits & needed == needed)
    })
}

/// Looks at ends only: where no step is left.
fn nobody_stuck(scene: &Scene, world: &World) -> bool {
    let waits = world.clients.iter().any(|client| matches!(client, Client::Waits | Client::Held));
    let ok = world.clients.contains(&Client::Ok);
    let homeless = !world.logged_out
        && ok
        && world.states.iter().any(Option::is_some)
        && !world.nodes().any(|node| world.serves(node).is_some() && world.runs(node));
    // a client whose node was killed was answered by nobody
    let killed = world.fault.filter(|fault| matches!(fault.kind, FaultKind::Kill | FaultKind::Restart));
    let told_nil = (0..2).filter(|&node| killed.is_none_or(|fault| fault.node != node));
    let nil_for_nothing = !world.logged_out
        && !ok
        && told_nil.clone().count() > 0
        && told_nil.into_iter().all(|node| world.clients[node] == Client::Nil);
    if !waits && !homeless && !nil_for_nothing {
        return true;
    }
    let mut steps = Vec::new();
    scene.steps(world, &mut steps);
    !steps.is_empty()
}

const QUIET: Scene = Scene {
    without: None,
    counters: [1, 2],
    table: [2, 0, 1],
    commits: 0,
    logout: false,
    moves: false,
    breaks: false,
    table_change: false,
    fault: None,
};

/// A search that comes here is not exhaustive, and fails.
const STATES_MAX: usize = 3_000_000;

/// How many states there are, and the promise that breaks first, with its execution.
fn search(scene: Scene) -> (usize, Option<String>) {
    let checker = scene.checker().threads(2).target_state_count(STATES_MAX).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().next();
    (checker.unique_state_count(), broken.map(|(name, path)| format!("{name}: {:?}", path.into_actions())))
}

fn expect_whole(name: &str, scene: Scene) {
    let (states, broken) = search(scene);
    assert_eq!(broken, None, "{name}");
    assert!(states < STATES_MAX, "{name}: not searched to the end");
}

const TABLES: [[Node; NODES]; 3] = [[2, 0, 1], [1, 2, 0], [0, 1, 2]];

#[test]
fn no_promise_breaks_under_one_fault() {
    for table in TABLES {
        for counters in [[1, 2], [2, 1]] {
            let whole = Scene { table, counters, commits: 2, logout: true, moves: true, ..QUIET };
            for kind in [FaultKind::Kill, FaultKind::Restart, FaultKind::Cut, FaultKind::Pause] {
                expect_whole(&format!("{kind:?}"), Scene { fault: Some(kind), ..whole });
            }
        }
    }
}

#[test]
fn no_promise_breaks_under_a_broken_link_and_a_table_that_changes_too() {
    for counters in [[1, 2], [2, 1]] {
        let whole = Scene { counters, commits: 1, moves: true, breaks: true, table_change: true, ..QUIET };
        expect_whole("no fault", Scene { logout: true, ..whole });
        for kind in [FaultKind::Kill, FaultKind::Restart] {
            expect_whole(&format!("{kind:?}"), Scene { fault: Some(kind), logout: true, ..whole });
        }
        for kind in [FaultKind::Cut, FaultKind::Pause] {
            expect_whole(
                &format!("{kind:?}, link"),
                Scene { fault: Some(kind), table_change: false, ..whole },
            );
            expect_whole(&format!("{kind:?}, table"), Scene { fault: Some(kind), breaks: false, ..whole });
        }
    }
}

#[test]
fn each_rule_is_needed() {
    for rule in [
        Rule::BirthLoses,
        Rule::LoserHeld,
        Rule::VoteHandsOver,
        Rule::LeaseToWrite,
        Rule::FreshOnly,
        Rule::VotersNow,
        Rule::VoidBirths,
    ] {
        let kinds = [FaultKind::Kill, FaultKind::Restart, FaultKind::Pause, FaultKind::Cut];
        let mut scenes = TABLES.iter().flat_map(|&table| {
            kinds.map(|kind| Scene {
                table,
                without: Some(rule),
                fault: Some(kind),
                commits: 2,
                logout: true,
                moves: true,
                ..QUIET
            })
        });
        assert!(scenes.any(|scene| search(scene).1.is_some()), "without {rule:?} nothing breaks");
    }
}
