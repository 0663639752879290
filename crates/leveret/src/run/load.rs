//! CPU and memory of a process and its descendants, from /proc.
//!
//! Descendants are followed by the kernel's own lists of children: to look at every process of the machine
//! each second would cost more than the process itself.

use std::fs;
use std::time::Instant;

use leveret_services::Load;

/// Processes that are looked at: a server with more workers is counted in part.
const PROCESSES_MAX: usize = 256;

/// Reads figures from one second to the next.
#[derive(Debug)]
pub(super) struct Meter {
    root: Option<i32>,
    /// CPU ticks of all so far, and when.
    before: Option<(u64, Instant)>,
    ticks_per_second: u64,
    page_bytes: u64,
    cores: u64,
}

impl Meter {
    pub(super) fn new(root: Option<i32>) -> Self {
        Self {
            root,
            before: None,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_bytes: rustix::param::page_size() as u64,
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        }
    }

    /// What they did since the last look; `None` if nothing is known.
    pub(super) fn read(&mut self) -> Option<Load> {
        let mut open = vec![self.root?];
        let (mut ticks, mut pages, mut seen) = (0, 0, 0);
        while let Some(pid) = open.pop() {
            seen += 1;
            if seen > PROCESSES_MAX {
                break;
            }
            let Some((own_ticks, own_pages)) =
                fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse(&stat))
            else {
                continue;
            };
            ticks += own_ticks;
            pages += own_pages;
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        let now = Instant::now();
        let (before, since) = self.before.replace((ticks, now))?;
        let elapsed = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX).max(1);
        // A worker that ended takes its ticks with it.
        let used = ticks.saturating_sub(before);
        let cpu = used * 1_000 * 1_000 / self.ticks_per_second.max(1) / elapsed / self.cores;
        let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
        Some(Load { cpu, inflight: 0, rss: pages * self.page_bytes })
    }
}

/// CPU ticks and resident pages of a line of /proc/PID/stat (proc(5)): fields 14, 15 and 24.
fn parse(stat: &str) -> Option<(u64, u64)> {
    // The name may hold blanks and parentheses; the last one closes it.
    let behind_name = &stat[stat.rfind(')')? + 2..];
    let fields: Vec<&str> = behind_name.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some((number(14)? + number(15)?, number(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_this_process_are_read() {
        let mut meter = Meter::new(Some(i32::try_from(std::process::id()).expect("a process id")));
        assert_eq!(meter.read(), None, "the first look has nothing to compare with");
        let load = meter.read().expect("figures");
        assert!(load.rss > 100_000, "{load:?}");
        let odd = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 5 1000 77 0";
        assert_eq!(parse(odd), Some((42, 77)));
        assert_eq!(Meter::new(None).read(), None);
    }
}
