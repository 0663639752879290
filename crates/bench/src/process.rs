//! What processes cost, read from `/proc` (proc(5)): a server's CPU time and memory with all its children,
//! and what the machine is.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// `USER_HZ`, which is 100 on every x86-64 Linux.
const TICKS_PER_SECOND: u64 = 100;
/// Priority among real-time processes.
const PRIORITY: &str = "10";

/// CPU time and memory of some processes, with their children and threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// User and system time in ticks of 10 ms, dead threads and reaped children included.
    coarse: Duration,
    /// The same in nanoseconds by thread: of those alive only.
    fine: BTreeMap<u32, Duration>,
    /// Resident memory.
    pub(super) rss_bytes: u64,
}

impl Usage {
    /// Looks at these processes. An error if one is not there.
    pub(super) fn of(pids: &[u32]) -> Result<Self> {
        let mut usage = Self::default();
        if pids.is_empty() {
            return Ok(usage);
        }
        for pid in family(pids) {
            let named = pids.contains(&pid);
            let Some(stat) = Stat::of(pid) else {
                if named {
                    bail!("there is no process {pid} to measure; check --pid");
                }
                continue;
            };
            let ticks = stat.own_ticks + if named { stat.reaped_ticks } else { 0 };
            usage.coarse += Duration::from_nanos(ticks * (1_000_000_000 / TICKS_PER_SECOND));
            usage.rss_bytes += rss_bytes(pid);
            usage.fine.extend(threads(pid));
        }
        Ok(usage)
    }

    /// CPU time spent since `earlier`. In nanoseconds if no thread that worked has ended meanwhile.
    pub(super) fn cpu_since(&self, earlier: &Self) -> Duration {
        let fine = self
            .fine
            .iter()
            .map(|(thread, time)| time.saturating_sub(earlier.fine.get(thread).copied().unwrap_or_default()))
            .sum();
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        let tick = Duration::from_millis(1000 / TICKS_PER_SECOND);
        let complete = earlier.fine.keys().all(|thread| self.fine.contains_key(thread));
        if complete && fine + 2 * tick >= coarse { fine } else { coarse }
    }
}

struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the name in parentheses may itself contain spaces and parentheses
        let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
        let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
        Some(Self {
            parent: number(1)? as u32,
            own_ticks: number(11)? + number(12)?,
            reaped_ticks: number(13)? + number(14)?,
        })
    }
}

/// These processes and all their descendants.
fn family(pids: &[u32]) -> Vec<u32> {
    let parents = parents();
    let mut family = pids.to_vec();
    family.sort_unstable();
    family.dedup();
    let mut next = 0;
    while let Some(pid) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, parent)| **parent == pid).map(|(child, _)| *child);
        let new: Vec<u32> = children.filter(|child| !family.contains(child)).collect();
        family.extend(new);
        next += 1;
    }
    family
}

fn parents() -> BTreeMap<u32, u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?.parent)))
        .collect()
}

fn threads(pid: u32) -> Vec<(u32, Duration)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            let nanos = text.split(' ').next()?.parse().ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, Duration::from_nanos(nanos)))
        })
        .collect()
}

fn rss_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    kib.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Threads under real-time scheduling; back to normal when dropped.
pub(super) struct RealTime {
    pids: Vec<u32>,
}

impl RealTime {
    /// Puts all threads of this process and of these, children included, under `SCHED_RR`; threads to come
    /// inherit it.
    pub(super) fn start(pids: &[u32]) -> Result<Self> {
        let pids: Vec<u32> = pids.iter().copied().chain([std::process::id()]).collect();
        let guard = Self { pids: family(&pids) };
        for pid in &guard.pids {
            chrt(&["--all-tasks", "--rr", "--pid", PRIORITY, &pid.to_string()])?;
        }
        Ok(guard)
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        for pid in &self.pids {
            // a process that has ended meanwhile needs nothing
            _ = chrt(&["--all-tasks", "--other", "--pid", "0", &pid.to_string()]);
        }
    }
}

fn chrt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("chrt")
        .args(arguments)
        .output()
        .context("--realtime needs the program chrt (package util-linux)")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("--realtime was not permitted ({}); run as root or leave it out", reason.trim());
    }
    Ok(())
}

/// As many open files as the system grants.
pub(super) fn raise_file_limit(wanted: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("{wanted} open files are needed; raise the limit (ulimit -n) or ask for fewer connections");
    }
    Ok(())
}

/// Processor, cores, kernel and load: what a figure is worth without them, nobody knows.
pub(super) fn machine() -> BTreeMap<&'static str, String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("processor", model.unwrap_or_default()),
        ("cores", cores.to_string()),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("load", read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_shows_in_its_usage() {
        let pids = [std::process::id()];
        let before = Usage::of(&pids).unwrap();
        let start = crate::clock::thread_cpu();
        let mut sum = 0_u64;
        while crate::clock::thread_cpu() < start + Duration::from_millis(60) {
            sum = std::hint::black_box(sum + 1);
        }
        let after = Usage::of(&pids).unwrap();
        let spent = after.cpu_since(&before);
        assert!(spent >= Duration::from_millis(40), "{spent:?}");
        assert!(after.rss_bytes > 100_000);
    }

    #[test]
    fn a_process_that_is_named_twice_counts_once() {
        let pid = std::process::id();
        assert_eq!(family(&[pid, pid]), family(&[pid]));
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = Usage::of(&[u32::MAX]).unwrap_err().to_string();
        assert!(error.contains("--pid"), "{error}");
    }
}
