//! A suite that cannot find a bug is scenery: each planted bug must break the promise that names it, within 50
//! seeds.
#![cfg(feature = "planted")]

use leveret_sim::{Options, Planted, run};

const SEEDS: std::ops::Range<u64> = 1..51;

#[test]
fn every_planted_bug_is_found_by_the_invariant_that_names_it() {
    let mut missed = String::new();
    for (planted, name, invariant) in Planted::ALL {
        let found = SEEDS.clone().find(|seed| {
            let outcome = run(Options { seed: *seed, planted: *planted, later_version: false, trace: None });
            outcome.violations.iter().any(|violation| violation.invariant == *invariant)
        });
        match found {
            Some(seed) => eprintln!("{name}: `{invariant}` saw it with seed {seed}"),
            None => missed += &format!("{name}: `{invariant}` saw nothing\n"),
        }
    }
    assert!(missed.is_empty(), "{missed}");
}
