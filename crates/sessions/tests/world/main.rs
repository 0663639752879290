//! A small world: three nodes, links that delay and break, one fault after the other, clients at random nodes.
//!
//! `nodes.rs` drives the machines as a shard would, `clients.rs` says what is asked and remembers what was
//! answered; each promise is judged in the file of its name, out of that record alone. A seed gives the same
//! run.

mod answered_kept;
mod answers;
mod bounds;
mod clients;
mod expiry;
mod gone_stays;
mod left_empty;
mod lists_agree;
mod merge_exact;
mod merging;
mod no_false_nil;
mod nodes;
mod one_home;
mod planted;

use leveret_model::{Seed, SplitMix};
use leveret_sessions::Planted;

use clients::Clients;
use merging::Merging;
use nodes::{Fault, Nodes};

/// What a run is made of.
struct Run {
    nodes: Nodes,
    clients: Clients,
    merging: Merging,
    random: SplitMix,
}

/// Milliseconds of a run in which faults happen.
const FAULTS_MS: u64 = 60_000;
/// Milliseconds behind it in which everything heals.
const CALM_MS: u64 = 8_000;

fn run(seed: u64, faults: bool, bug: Option<Planted>) -> Result<(), String> {
    let mut log = Vec::new();
    run_with(seed, faults, bug, &mut log).map_err(|broken| format!("{broken}\nfaults: {log:#?}"))
}

fn run_with(seed: u64, faults: bool, bug: Option<Planted>, log: &mut Vec<String>) -> Result<(), String> {
    let mut random = SplitMix::new(Seed(seed));
    let (nodes, clients) = (Nodes::new(Seed(seed), bug), Clients::new(random.next_u64()));
    let mut run = Run { nodes, clients, merging: Merging::new(seed ^ 0xa77), random };
    let (mut next_fault, mut next_break) = (3_000, 2_000);
    while run.nodes.now_ms() < FAULTS_MS + CALM_MS {
        let now = run.nodes.now_ms();
        if faults && now >= next_fault && now < FAULTS_MS {
            let fault = Fault::draw(&mut run.random);
            run.nodes.begin(fault);
            next_fault = now + 7_000 + run.random.below(4_000);
        }
        if faults && now >= next_break && now < FAULTS_MS {
            run.nodes.break_a_link(&mut run.random);
            next_break = now + 500 + run.random.below(1_500);
        }
        if now < FAULTS_MS + CALM_MS / 2 {
            run.clients.ask(&mut run.nodes);
            run.merging.ask(&mut run.nodes);
        }
        run.nodes.step();
        log.clone_from(&run.nodes.log);
        run.merging.take(&mut run.nodes);
        run.clients.take(&mut run.nodes);
        one_home::check(&run.nodes, &run.clients)?;
        bounds::check(&run.nodes)?;
    }
    // the sessions that are left expire now and then: judged between two of these
    while !run.nodes.is_quiet() {
        run.nodes.step();
        run.merging.take(&mut run.nodes);
        run.clients.take(&mut run.nodes);
    }
    let record = run.clients.record();
    assert!(record.len() > 1_000, "only {} requests", record.len());
    gone_stays::check(record)?;
    answered_kept::check(record)?;
    no_false_nil::check(record)?;
    expiry::check(record)?;
    merge_exact::check(run.merging.record())?;
    answers::check(record)?;
    left_empty::check(&run.nodes)?;
    lists_agree::check(&run.nodes, &run.clients)
}

#[test]
fn promises_hold_without_faults() {
    for seed in 0..6 {
        run(seed, false, None).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[test]
fn promises_hold_under_faults() {
    for seed in 100..140 {
        run(seed, true, None).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}
