//! A suite that cannot find a bug is scenery: each planted bug must break the promise that names it, with the
//! first seed that does. If the machines changed so that another seed does, the test says which.
#![cfg(feature = "planted")]

mod simulator;

use leveret_services::Planted;

/// Each bug, the promise that it breaks, and the first seed that shows it.
const BUGS: &[(Planted, &str, u64)] = &[
    (Planted::AckBeforeClose, "drained", 23),
    (Planted::SeqIgnored, "drained", 10),
    (Planted::StaleWithoutLink, "stale", 1),
    (Planted::PostRetried, "post", 6),
    (Planted::RetiredBootTaken, "ghost", 4),
    (Planted::DoorNotCountedFromAsk, "drained", 97),
    (Planted::SuspectForEver, "liveness", 4),
    (Planted::NoAckForReplaced, "waits end", 14),
];

#[test]
fn every_planted_bug_is_found_by_the_promise_that_names_it() {
    let mut missed = String::new();
    for (bug, promise, seed) in BUGS {
        let breaks = |seed: &u64| {
            let outcome = simulator::run(*seed, *bug);
            assert!(outcome.answered <= outcome.requests);
            outcome.violations.iter().any(|violation| violation.starts_with(promise))
        };
        if !breaks(seed) {
            let other = (1..201).find(breaks);
            missed += &format!("{bug:?}: `{promise}` did not break with seed {seed}; first seed {other:?}\n");
        }
    }
    assert!(missed.is_empty(), "{missed}");
}
