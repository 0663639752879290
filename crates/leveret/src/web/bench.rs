//! `leveret bench http`: requests a second, times and failures of HTTP servers and proxies, side by side.

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::load::{Load, Plan, Target, served_twice};
use crate::output::print;
use crate::run::load::cpu_seconds;

/// Measure HTTP servers or proxies, side by side.
///
/// Given several URLs, rounds are interleaved and medians printed. Every request is accounted for; the exit
/// code is 1 if any failed or was served twice.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpArgs {
    /// Server, as http://ADDR:PORT/PATH; the second and following are compared with the first
    #[arg(required = true, value_name = "URL")]
    url: Vec<Target>,
    /// Rounds for each URL
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a round
    #[arg(long, default_value_t = 4, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Clients at a time
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// POST requests of a hundred
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(..=100))]
    post: u32,
    /// Bytes of a POST's body
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    body: usize,
    /// One connection for each request
    #[arg(long)]
    close: bool,
    /// Clients keep the cookies that they get
    #[arg(long)]
    cookies: bool,
    /// Requests a second in all, whatever the server does; times count from when a request should have been
    /// sent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Process whose CPU time is read, descendants included; the n-th for the n-th URL
    #[arg(long, value_name = "PID")]
    pid: Vec<i32>,
    /// Directory where the applications write down the x-request-number of each POST request, one file each
    #[arg(long, value_name = "DIR")]
    served: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A round of one URL.
#[derive(Clone, Debug, Default, Serialize)]
struct Round {
    requests_per_s: f64,
    p50_us: u32,
    p99_us: u32,
    /// `None` without --pid.
    requests_per_cpu_s: Option<f64>,
    answered: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    url: String,
    median: Round,
    rounds: Vec<Round>,
    /// By kind.
    failed: std::collections::BTreeMap<String, u64>,
}

/// Measures and prints.
pub(crate) fn run(args: &HttpArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan {
        connections: args.connections as usize,
        post_percent: args.post,
        body_bytes: args.body,
        close: args.close,
        cookies: args.cookies,
        rate: args.rate,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let blank = |target: &Target| Report {
        url: target.text.clone(),
        median: Round::default(),
        rounds: Vec::new(),
        failed: std::collections::BTreeMap::new(),
    };
    let mut reports: Vec<Report> = args.url.iter().map(blank).collect();
    let mut first = 1;
    for _ in 0..args.rounds {
        for (at, target) in args.url.iter().enumerate() {
            let load = Load::new(target.clone(), plan.clone(), first);
            let pid = args.pid.get(at).copied();
            let seconds = Duration::from_secs(args.seconds.into());
            let round = tokio::task::LocalSet::new().block_on(&runtime, measure(&load, seconds, pid));
            first = load.next_number();
            for (kind, count) in &load.tally.borrow().failed {
                *reports[at].failed.entry(kind.clone()).or_default() += count;
            }
            reports[at].rounds.push(round);
        }
    }
    for report in &mut reports {
        report.median = median(&report.rounds);
    }
    let twice = args.served.as_deref().map(served_twice).transpose()?;
    let failed: u64 = reports.iter().flat_map(|report| report.failed.values()).sum();
    print(&if args.json { json(&reports, twice) } else { text(&reports, twice) })?;
    Ok(if failed == 0 && twice.unwrap_or(0) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(load: &Rc<Load>, seconds: Duration, pid: Option<i32>) -> Round {
    let (began, cpu) = (Instant::now(), pid.and_then(cpu_seconds));
    let stopper = Rc::clone(load);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(seconds).await;
        stopper.stopping.set(true);
    });
    load.run().await;
    let elapsed = began.elapsed().as_secs_f64();
    let used = cpu.and_then(|before| Some(pid.and_then(cpu_seconds)? - before));
    let mut tally = load.tally.borrow_mut();
    let answered = tally.answered as f64;
    Round {
        requests_per_s: answered / elapsed,
        p50_us: tally.permille(500),
        p99_us: tally.permille(990),
        requests_per_cpu_s: used.filter(|used| *used > 0.0).map(|used| answered / used),
        answered: tally.answered,
        failed: tally.failures(),
    }
}

/// Each figure's own median.
fn median(rounds: &[Round]) -> Round {
    fn middle<T: PartialOrd + Copy>(mut values: Vec<T>) -> Option<T> {
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        values.get(values.len() / 2).copied()
    }
    Round {
        requests_per_s: middle(rounds.iter().map(|round| round.requests_per_s).collect()).unwrap_or(0.0),
        p50_us: middle(rounds.iter().map(|round| round.p50_us).collect()).unwrap_or(0),
        p99_us: middle(rounds.iter().map(|round| round.p99_us).collect()).unwrap_or(0),
        requests_per_cpu_s: middle(rounds.iter().filter_map(|round| round.requests_per_cpu_s).collect()),
        answered: rounds.iter().map(|round| round.answered).sum(),
        failed: rounds.iter().map(|round| round.failed).sum(),
    }
}

fn json(reports: &[Report], twice: Option<u64>) -> String {
    format!("{:#}\n", serde_json::json!({ "urls": reports, "served_twice": twice }))
}

fn text(reports: &[Report], twice: Option<u64>) -> String {
    let mut text = String::new();
    for report in reports {
        let Round { requests_per_s, p50_us, p99_us, requests_per_cpu_s, answered, failed } = &report.median;
        text.push_str(&format!(
            "{}\n  {requests_per_s:.0} requests/s, p50 {p50_us} µs, p99 {p99_us} µs",
            report.url
        ));
        if let Some(per_cpu) = requests_per_cpu_s {
            text.push_str(&format!(", {per_cpu:.0} requests per CPU second"));
        }
        text.push_str(&format!("\n  {answered} answered, {failed} failed\n"));
        for (kind, count) in &report.failed {
            text.push_str(&format!("    {count} × {kind}\n"));
        }
        let first = &reports[0].median;
        if !std::ptr::eq(report, &raw const reports[0]) && first.requests_per_s > 0.0 {
            text.push_str(&format!(
                "  {:.2} × the first in requests/s",
                requests_per_s / first.requests_per_s
            ));
            if let (Some(own), Some(first)) = (requests_per_cpu_s, first.requests_per_cpu_s) {
                text.push_str(&format!(", {:.2} × per CPU second", own / first));
            }
            text.push('\n');
        }
    }
    if let Some(twice) = twice {
        text.push_str(&format!("{twice} served twice\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_each_figure_and_counts_are_sums() {
        let round =
            |requests_per_s, p50_us| Round { requests_per_s, p50_us, answered: 1, ..Round::default() };
        let median = median(&[round(3.0, 10), round(1.0, 30), round(2.0, 20)]);
        assert_eq!((median.requests_per_s, median.p50_us, median.answered), (2.0, 20, 3));
        assert_eq!(median.requests_per_cpu_s, None);
    }
}
