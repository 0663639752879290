//! Seeds by hand: `sim --seed N [--trace]` runs one, `sim --from N --count M` some, `sim soak --hours H` goes
//! on, and `sim planted --hours H` looks for the first seed that finds each planted bug.
//!
//! A seed that fails is printed with the one command that shows it again; it belongs into
//! `seeds/regressions.txt`.
#![allow(clippy::print_stdout, reason = "it talks to people")]

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use leveret_sim::{FaultCounts, Options, Outcome, Planted, commit, run};

const USAGE: &str =
    "usage: sim --seed N [--trace] | sim --from N --count M | sim soak --hours H | sim planted --hours H
       with the feature `planted`: --planted NAME; with nodes of a later version: --later-version;
       with disks that outlive processes: --disks";
/// The first seed that finds each planted bug, and what to read above them.
const PLANTED_SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/planted.txt");
/// Violations that are shown of one seed.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match work(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn work(arguments: &[String]) -> Result<bool, String> {
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).map_or("", String::as_str))
    };
    let number = |name: &str| -> Result<Option<f64>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("{name} {text}: is not a number"));
        value(name).map(parse).transpose()
    };
    let seed = |name: &str| -> Result<Option<u64>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("{name} {text}: is not a number"));
        value(name).map(parse).transpose()
    };
    let planted = match value("--planted") {
        Some(name) => Planted::from_name(name).ok_or_else(|| format!("--planted {name}: no such bug"))?,
        None => Planted::Nothing,
    };
    let later_version = arguments.iter().any(|argument| argument == "--later-version");
    let disks = arguments.iter().any(|argument| argument == "--disks");
    if let Some(seed) = seed("--seed")? {
        let lines: Option<Box<dyn Write + Send>> = arguments
            .iter()
            .any(|argument| argument == "--trace")
            .then(|| Box::new(std::io::BufWriter::new(std::io::stdout())) as _);
        let outcome = run(Options { seed, planted, later_version, disks, trace: lines });
        println!("{:#?}\n{:#?}", outcome.faults, outcome.traffic);
        return Ok(show(&outcome, planted));
    }
    if let Some(hours) = number("--hours")? {
        if !(hours > 0.0 && hours < 10_000.0) {
            return Err(format!("--hours {hours}: is out of range"));
        }
        let time = Duration::from_secs_f64(hours * 3600.0);
        return match arguments.first().map(String::as_str) {
            Some("planted") => find_planted(time).map_err(|error| format!("{PLANTED_SEEDS}: {error}")),
            _ => Ok(soak(time, planted, (later_version, disks))),
        };
    }
    let from = seed("--from")?.ok_or("nothing to do")?;
    let count = seed("--count")?.unwrap_or(1);
    let mut ok = true;
    for seed in from..from.saturating_add(count) {
        ok &= show(&run(Options { seed, planted, later_version, disks, trace: None }), planted);
    }
    Ok(ok)
}

/// Looks for the first seed that finds each planted bug, and writes them down if there is one for each.
fn find_planted(time: Duration) -> std::io::Result<bool> {
    let began = Instant::now();
    let page = std::fs::read_to_string(PLANTED_SEEDS)?;
    let head: String =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.to_owned() + "\n").collect();
    let (mut found, mut missed) = (String::new(), 0);
    for (planted, name, invariant) in Planted::ALL {
        let finds = |seed: &u64| {
            let disks = *invariant == "disk_kept";
            let (seed, planted) = (*seed, *planted);
            let outcome = run(Options { seed, planted, later_version: false, disks, trace: None });
            outcome.violations.iter().any(|violation| violation.invariant == *invariant)
        };
        let Some(seed) = (1..).take_while(|_| began.elapsed() < time).find(finds) else {
            println!("{name}: `{invariant}` saw nothing");
            missed += 1;
            continue;
        };
        println!("{name}: `{invariant}` saw it with seed {seed}");
        found += &format!("{name} {seed}\n");
    }
    if missed > 0 || found.is_empty() {
        println!("{missed} bugs were not found (the feature `planted` compiles them in)");
        return Ok(false);
    }
    std::fs::write(PLANTED_SEEDS, head + &found)?;
    Ok(true)
}

/// Seeds after seeds, from one that the commit and the time choose.
fn soak(time: Duration, planted: Planted, (later_version, disks): (bool, bool)) -> bool {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = since_epoch.map_or(0, |since| since.as_secs()) << 20;
    let (began, mut seed, mut failed) = (Instant::now(), first, 0u64);
    let (mut simulated, mut published, mut faults) = (Duration::ZERO, 0, FaultCounts::new());
    while began.elapsed() < time {
        let outcome = run(Options { seed, planted, later_version, disks, trace: None });
        failed += u64::from(!outcome.violations.is_empty());
        if !outcome.violations.is_empty() {
            show(&outcome, planted);
        }
        simulated += outcome.simulated;
        published += outcome.traffic.published;
        for (kind, count) in outcome.faults {
            *faults.entry(kind).or_default() += count;
        }
        seed += 1;
    }
    let hours = simulated.as_secs_f64() / 3600.0;
    let (seeds, commit) = (seed - first, commit().unwrap_or_default());
    println!(
        "{seeds} seeds from {first}, {failed} failed, {hours:.1} simulated hours, {published} publishes"
    );
    println!("commit {commit}, faults {faults:?}");
    failed == 0
}

fn show(outcome: &Outcome, planted: Planted) -> bool {
    let (seed, traffic) = (outcome.seed, &outcome.traffic);
    if outcome.violations.is_empty() {
        println!(
            "seed {seed}: ok, hash {:016x}, {} published, {} confirmed, {} delivered",
            outcome.hash, traffic.published, traffic.confirmed, traffic.delivered
        );
        return true;
    }
    println!("seed {seed}: FAILED, {} violations", outcome.violations.len());
    for violation in outcome.violations.iter().take(SHOWN) {
        println!("  {violation}");
    }
    let planted = planted.name().map(|name| format!(" --features planted -- --planted {name}"));
    let planted = planted.unwrap_or_else(|| " --".into());
    println!("  commit {}", commit().unwrap_or_default());
    println!("  cargo run --release -p leveret-sim{planted} --seed {seed} --trace");
    false
}
