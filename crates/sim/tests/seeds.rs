//! The seeds that continuous integration runs, and what they must cover.
//!
//! Fifty fixed seeds, ten that derive from the commit, and every seed that ever failed. `LEVERET_SIM_SEED_BASE`
//! (a number or a commit id, read as hexadecimal) stands in for the commit and repeats another commit's ten.
//! Where there is neither, as in a source archive, the ten are always the same, and the test says so.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use leveret_sim::{FaultCounts, FaultKind, Options, Outcome, Planted, commit, run};

const FIXED: std::ops::Range<u64> = 1..51;
const DERIVED: u64 = 10;
/// With nodes of a later version among them.
const LATER_VERSION: std::ops::Range<u64> = 1_001..1_011;
/// Of the derived seeds without a commit.
const BASE_WITHOUT_COMMIT: &str = "1e7e2e70";
const PUBLISHES_MIN: u64 = 2_000;
const SECONDS_MIN: f64 = 60.0;
const FAULTS_MIN: u64 = 20;
/// Over all seeds: pairs of publish and binding, of confirmed message and queue, messages that came again in a
/// known place, windows and outputs that were full. What was not judged is not proven.
const BINDINGS_MIN: u64 = 100_000;
const KEPT_MIN: u64 = 100_000;
const REQUEUES_MIN: u64 = 10_000;
const BOUNDS_MET_MIN: u64 = 1_000;
/// The same: lanes, deferred frames and held messages, each.
const WAITS_MET_MIN: u64 = 100;
/// The same: channels that came to hold all that they may.
const PAUSES_MET_MIN: u64 = 300;

/// The seeds in `seeds/regressions.txt`: one a line, behind it the reason.
fn regressions() -> Vec<u64> {
    let text = include_str!("../seeds/regressions.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| line.split_whitespace().next().unwrap().parse().expect("a line begins with a seed"))
        .collect()
}

/// Ten seeds of this commit: far away from the fixed ones.
fn derived() -> Vec<u64> {
    let base = std::env::var("LEVERET_SIM_SEED_BASE").ok().or_else(commit);
    derived_from(&base.unwrap_or_else(|| {
        // Written past the test's captured output: that the seeds are not new is to be seen when all is well,
        // too.
        let said = writeln!(
            std::io::stderr(),
            "no git commit and no LEVERET_SIM_SEED_BASE: the {DERIVED} derived seeds are those of {BASE_WITHOUT_COMMIT}"
        );
        said.expect("standard error is open");
        BASE_WITHOUT_COMMIT.to_owned()
    }))
}

fn derived_from(base: &str) -> Vec<u64> {
    let digits: String = base.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    let first = u64::from_str_radix(&digits, 16).expect("a number or a commit id") << 8;
    (first..first + DERIVED).collect()
}

/// Runs seeds on all cores; a panic of a machine is told with its seed.
fn run_all(seeds: &[u64], later_version: bool) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let options = Options {
                        seed: *seed,
                        planted: Planted::Nothing,
                        later_version,
                        disks: false,
                        trace: None,
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(|| run(options)));
                    outcomes.lock().unwrap().insert(*seed, outcome);
                }
            });
        }
    });
    let all = outcomes.into_inner().unwrap().into_iter();
    all.map(|(seed, outcome)| {
        outcome.unwrap_or_else(|_| panic!("seed {seed} panicked; see above; {}", again(seed, later_version)))
    })
    .collect()
}

fn again(seed: u64, later_version: bool) -> String {
    let later = if later_version { " --later-version" } else { "" };
    format!(
        "commit {}: cargo run --release -p leveret-sim -- --seed {seed}{later} --trace",
        commit().unwrap_or_else(|| "unknown".into())
    )
}

#[track_caller]
fn assert_kept(outcomes: &[Outcome], later_version: bool) {
    let mut broken = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.violations.is_empty()) {
        broken += &format!(
            "seed {}: {}\n  {}\n",
            outcome.seed,
            outcome.violations[0],
            again(outcome.seed, later_version)
        );
    }
    assert!(broken.is_empty(), "broken promises:\n{broken}");
}

#[test]
fn without_a_commit_ten_other_seeds_than_the_fixed_ones_are_run() {
    let seeds = derived_from(BASE_WITHOUT_COMMIT);
    let first = 0x1e7e_2e70 << 8;
    assert_eq!(seeds, (first..first + 10).collect::<Vec<_>>());
    assert!(seeds.iter().all(|seed| !FIXED.contains(seed)));
}

#[test]
fn sixty_seeds_keep_every_promise_and_meet_every_fault() {
    let seeds: Vec<u64> = FIXED.chain(derived()).collect();
    let outcomes = run_all(&seeds, false);
    assert_kept(&outcomes, false);
    let mut faults = FaultCounts::new();
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let bindings = sum(|outcome| outcome.traffic.bindings_judged);
    assert!(bindings >= BINDINGS_MIN, "{bindings} pairs of publish and binding were judged");
    let kept = sum(|outcome| outcome.traffic.kept_judged);
    assert!(kept >= KEPT_MIN, "{kept} pairs of confirmed message and queue were judged");
    let requeues = sum(|outcome| outcome.traffic.requeues_judged);
    assert!(requeues >= REQUEUES_MIN, "{requeues} messages that came again were judged");
    let bounds = sum(|outcome| outcome.traffic.bounds_met);
    assert!(bounds >= BOUNDS_MET_MIN, "bounds were met {bounds} times");
    let parts = sum(|outcome| outcome.traffic.parts_written);
    assert!(parts >= BOUNDS_MET_MIN, "{parts} times a client's kernel took only a part of an output");
    let waits: [fn(&Outcome) -> u64; 3] = [
        |outcome| outcome.traffic.lanes_full,
        |outcome| outcome.traffic.deferrals_full,
        |outcome| outcome.traffic.holds_full,
    ];
    for (kind, of) in waits.into_iter().enumerate() {
        assert!(sum(of) >= WAITS_MET_MIN, "kind {kind} of what waits met its bound {} times", sum(of));
    }
    let pauses = sum(|outcome| outcome.traffic.pauses_met);
    assert!(pauses >= PAUSES_MET_MIN, "channels were full {pauses} times");
    for outcome in outcomes {
        let seed = outcome.seed;
        assert!(outcome.simulated.as_secs_f64() >= SECONDS_MIN - 0.001, "seed {seed} ended early");
        assert!(outcome.traffic.published >= PUBLISHES_MIN, "seed {seed}: {:?}", outcome.traffic);
        assert!(
            outcome.traffic.confirmed > 0 && outcome.traffic.delivered > 0,
            "seed {seed}: {:?}",
            outcome.traffic
        );
        for (kind, count) in outcome.faults {
            *faults.entry(kind).or_default() += count;
        }
    }
    for kind in FaultKind::ALL {
        let count = faults.get(&kind).copied().unwrap_or(0);
        assert!(count >= FAULTS_MIN, "{kind:?} hit {count} times in all seeds: {faults:?}");
    }
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    assert_kept(&run_all(&regressions(), false), false);
}

/// A rolling upgrade: half of the processes write and say what the others do not know.
#[test]
fn a_cluster_of_two_versions_keeps_every_promise() {
    assert_kept(&run_all(&LATER_VERSION.collect::<Vec<_>>(), true), true);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 17, 4_711] {
        let outcome = || {
            run(Options { seed, planted: Planted::Nothing, later_version: false, disks: false, trace: None })
        };
        assert_eq!(outcome(), outcome(), "seed {seed}");
    }
    let hash = |seed| {
        run(Options { seed, planted: Planted::Nothing, later_version: false, disks: false, trace: None }).hash
    };
    assert_ne!(hash(3), hash(4));
}
