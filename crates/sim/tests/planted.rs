//! A suite that cannot find a bug is scenery: each planted bug must break the promise that names it, with the
//! seed that `seeds/planted.txt` has for it. `cargo xtask soak planted` looks for those seeds.
#![cfg(feature = "planted")]

use leveret_sim::{Options, Planted, run};

/// The seed that finds a bug.
fn seed_of(bug: &str) -> Option<u64> {
    let lines = include_str!("../seeds/planted.txt").lines();
    let seed = lines.filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == bug)?.1;
    seed.parse().ok()
}

#[test]
fn every_planted_bug_is_found_by_the_invariant_that_names_it() {
    let mut missed = String::new();
    for (planted, name, invariant) in Planted::ALL {
        let Some(seed) = seed_of(name) else {
            missed += &format!("{name}: no seed in seeds/planted.txt\n");
            continue;
        };
        let disks = *invariant == "disk_kept";
        let outcome = run(Options { seed, planted: *planted, later_version: false, disks, trace: None });
        if !outcome.violations.iter().any(|violation| violation.invariant == *invariant) {
            missed += &format!("{name}: `{invariant}` saw nothing with seed {seed}\n");
        }
    }
    assert!(missed.is_empty(), "{missed}run `cargo xtask soak planted` if the machines changed");
}
