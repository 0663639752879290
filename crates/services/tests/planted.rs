//! A suite that cannot find a bug is scenery: each planted bug must break the promise that names it, within
//! 200 seeds.
#![cfg(feature = "planted")]

mod simulator;

use leveret_services::Planted;

/// Each bug and the promise that it breaks.
const BUGS: &[(Planted, &str)] = &[
    (Planted::AckBeforeClose, "drained"),
    (Planted::SeqIgnored, "drained"),
    (Planted::StaleWithoutLink, "stale"),
    (Planted::PostRetried, "post"),
    (Planted::RetiredBootTaken, "ghost"),
    (Planted::DoorNotCountedFromAsk, "drained"),
    (Planted::SuspectForEver, "liveness"),
    (Planted::NoAckForReplaced, "waits end"),
];

#[test]
fn every_planted_bug_is_found_by_the_promise_that_names_it() {
    let mut missed = String::new();
    for (bug, promise) in BUGS {
        let found = (1..201).find(|seed| {
            let outcome = simulator::run(*seed, *bug);
            assert!(outcome.answered <= outcome.requests);
            outcome.violations.iter().any(|violation| violation.starts_with(promise))
        });
        match found {
            Some(seed) => eprintln!("{bug:?}: `{promise}` broke with seed {seed}"),
            None => missed += &format!("{bug:?}: `{promise}` never broke\n"),
        }
    }
    assert!(missed.is_empty(), "{missed}");
}
