//! A suite that cannot find a bug is scenery: each planted bug must break the promise that names it, with the
//! seed that stands here.
//!
//! Seeds are looked for anew by `cargo test -p leveret-sessions --test world -- --ignored` when the machine
//! changes.

use leveret_sessions::Planted;

use crate::run;

/// Each bug, a seed that finds it, and how the report begins.
const BUGS: &[(Planted, u64, &str)] = &[
    (Planted::CreateAnsweredEarly, 1000, "a false nil"),
    (Planted::EpochBeatsGone, 1002, "a logout is undone"),
    (Planted::AckBeforeCopy, 1000, "an answered commit is missing"),
    (Planted::AnnouncedBeforeWhole, 1000, "an answered commit is missing"),
    (Planted::BothAnswer, 1000, "at 3320 ms nodes 0 and 1 are home of"),
    (Planted::UncopiedRead, 1068, "an answered commit is missing"),
    (Planted::RestartUnseen, 1000, "a false nil"),
    (Planted::BlindAck, 1000, "lists differ"),
    (Planted::NilWithoutLease, 1000, "a false nil"),
];

/// Seeds that are tried for each bug.
const SEARCHED: u64 = 150;

fn all() -> Vec<Planted> {
    use Planted::*;
    vec![
        CreateAnsweredEarly,
        EpochBeatsGone,
        AckBeforeCopy,
        AnnouncedBeforeWhole,
        BothAnswer,
        UncopiedRead,
        RestartUnseen,
        BlindAck,
        NilWithoutLease,
    ]
}

#[test]
fn every_planted_bug_is_found_by_the_seed_that_stands_here() {
    for &(bug, seed, report) in BUGS {
        run(seed, true, None).unwrap_or_else(|broken| panic!("seed {seed} without a bug: {broken}"));
        match run(seed, true, Some(bug)) {
            Ok(()) => panic!("{bug:?} is not found by seed {seed}: look for another"),
            Err(broken) => assert!(broken.starts_with(report), "{bug:?}, seed {seed}: {broken}"),
        }
    }
    assert_eq!(BUGS.len(), all().len(), "each bug has a seed");
}

#[test]
#[ignore = "looks for seeds, some minutes"]
fn seeds_of_planted_bugs() {
    for bug in all() {
        let found =
            (1_000..1_000 + SEARCHED).find_map(|seed| Some((seed, run(seed, true, Some(bug)).err()?)));
        match found {
            Some((seed, broken)) => {
                let report: String = broken.chars().take_while(|char| *char != ':').collect();
                eprintln!("    (Planted::{bug:?}, {seed}, {report:?}),");
            }
            None => eprintln!("    // {bug:?}: not found"),
        }
    }
}
