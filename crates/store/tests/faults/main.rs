//! The store on a disk that loses, tears, reorders, rots, fails and fills. Each seed is several lives of one
//! directory; after each crash its contents must be those after some turn that was not synced yet, or after the
//! last that was.

mod answers;
mod coverage;
mod found;
mod garbage;
mod model;
mod mutations;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use leveret_store::Planted;

use crate::coverage::Coverage;
use crate::world::run;

const SEEDS: std::ops::Range<u64> = 0..400;
/// Seeds that may be tried for a planted bug: some need a crash in a small window.
const SEEDS_FOR_A_BUG: std::ops::Range<u64> = 0..4_000;

#[test]
fn what_was_synced_is_there_after_any_crash() {
    let mut coverage = Coverage::default();
    for seed in SEEDS {
        match catch_unwind(AssertUnwindSafe(|| run(seed, None))) {
            Ok(Ok(covered)) => coverage.add(&covered),
            Ok(Err(what)) => panic!("seed {seed}: {what}"),
            Err(_) => panic!("seed {seed} panicked"),
        }
    }
    let Coverage { crashes, clean_stops, fatals, moved, compacted, snapshots, torn, .. } = coverage;
    let Coverage { damaged, full, read, spilled, lost_unsynced, .. } = coverage;
    let seen = [
        crashes,
        clean_stops,
        fatals,
        moved,
        compacted,
        snapshots,
        torn,
        damaged,
        full,
        read,
        spilled,
        lost_unsynced,
    ];
    assert!(seen.iter().all(|count| *count >= 20), "what does not happen is not proven: {coverage:?}");
}

#[test]
fn a_planted_bug_is_found() {
    let bugs = [
        Planted::SyncedAtWrite,
        Planted::IgnoresErrors,
        Planted::SnapshotBeforeLog,
        Planted::RemovesEarly,
        Planted::RecyclesEarly,
        Planted::SkipsRecoverySync,
        Planted::KeepsTorn,
        Planted::SkipsDirectorySync,
        Planted::HidesDamage,
        Planted::MovesAcked,
        Planted::SkipsSegmentSync,
    ];
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut unseen = Vec::new();
    for bug in bugs {
        let finds =
            |seed: &u64| !matches!(catch_unwind(AssertUnwindSafe(|| run(*seed, Some(bug)))), Ok(Ok(_)));
        if !SEEDS_FOR_A_BUG.clone().any(|seed| finds(&seed)) {
            unseen.push(bug);
        }
    }
    std::panic::set_hook(silent);
    assert_eq!(unseen, [], "bugs that no seed finds");
}

#[test]
fn no_mutation_of_a_directory_is_silent() {
    let outcomes = mutations::run(0..40, 50);
    let [exact, reported, refused, cut] = outcomes;
    // that the very end of the log is wiped out is rare; anything else that looks like it would be a hole
    assert!(exact > 100 && reported > 100 && refused > 20 && cut < 10, "{outcomes:?}");
}

/// The same for `cargo xtask soak mutations`, which says how many.
#[test]
#[ignore = "minutes: a soak"]
#[expect(clippy::disallowed_methods, reason = "the soak's length")]
fn no_mutation_of_many_directories_is_silent() {
    let mutations: u64 = std::env::var("MUTATIONS").map_or(100_000, |text| text.parse().expect("a number"));
    let outcomes = mutations::run(0..mutations.div_ceil(250), 250);
    eprintln!("exact, reported, refused, cut: {outcomes:?}");
    assert!(outcomes[3] < 500, "{outcomes:?}");
}

/// The same for a soak.
#[test]
#[ignore = "minutes: a soak"]
fn what_was_synced_is_there_after_very_many_crashes() {
    for seed in SEEDS.end..SEEDS.end + 20_000 {
        if let Err(what) = run(seed, None) {
            panic!("seed {seed}: {what}");
        }
    }
}
