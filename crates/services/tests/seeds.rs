//! The rules of doors and instances under simulated faults.

mod simulator;

use leveret_services::Planted;

/// About 15 CPU seconds.
const SEEDS: std::ops::Range<u64> = 1..501;

#[test]
fn no_seed_breaks_a_promise() {
    let mut broken = String::new();
    let (mut requests, mut answered) = (0, 0);
    for seed in SEEDS {
        let outcome = simulator::run(seed, Planted::Nothing);
        for violation in outcome.violations.iter().take(3) {
            broken += &format!("seed {seed}: {violation}\n");
        }
        requests += outcome.requests;
        answered += outcome.answered;
    }
    assert!(broken.is_empty(), "{broken}");
    assert!(
        answered * 10 > requests * 9,
        "only {answered} of {requests} were answered: too much storm to prove anything"
    );
}
