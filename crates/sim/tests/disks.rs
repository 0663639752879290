//! Clusters whose hosts keep their disks while processes end and start again on them: killed, or by the power.

use leveret_sim::{Options, Planted, run};

const SEEDS: std::ops::Range<u64> = 2_001..2_007;
/// Over all seeds: pairs of confirmed message and durable queue.
const JUDGED_MIN: u64 = 500;

#[test]
fn what_was_confirmed_was_delivered_or_is_on_a_disk() {
    let (mut judged, mut broken) = (0, String::new());
    for seed in SEEDS {
        let outcome = run(Options { seed, planted: Planted::Nothing, disks: true, ..Options::default() });
        judged += outcome.traffic.kept_judged;
        for violation in outcome.violations.iter().take(1) {
            broken += &format!("seed {seed}: {violation}\n");
        }
    }
    assert!(broken.is_empty(), "{broken}cargo run --release -p leveret-sim -- --disks --seed N --trace");
    assert!(judged >= JUDGED_MIN, "{judged} pairs of confirmed message and queue were judged");
}
