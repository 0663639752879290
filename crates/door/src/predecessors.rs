//! Processes of a driven proxy that a reload or a stop has replaced, and that may still have requests.
//!
//! A proxy's counters are those of its newest processes; the ones before them finish their requests unseen.
//! While one of them lives, the members that it knew are not left, so no drain is acknowledged too early.
//! Linux shows processes in `/proc`, if the proxy runs on this machine and in this PID namespace; of others
//! nothing is known, and a driver has only the grace after a restart.
//!
//! Invariant: no member waits longer than [`PREDECESSOR_WAIT`] for a process that was replaced.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use leveret_model::limits::{PREDECESSOR_WAIT, PREDECESSORS_MAX};

/// A process, told from another one that has its number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pid: u32,
    /// In ticks after the machine's start.
    started: u64,
}

/// A process with what tells a proxy's child from its parent.
struct Seen {
    process: Process,
    parent: u32,
}

/// Processes that were replaced, and what they knew.
#[derive(Debug, Default)]
pub(crate) struct Predecessors {
    /// Oldest first; bounded by [`PREDECESSORS_MAX`].
    all: Vec<Predecessor>,
}

#[derive(Debug)]
struct Predecessor {
    process: Process,
    members: BTreeSet<String>,
    since: Instant,
}

impl Process {
    /// The process of that number, if it is visible and its program has one of these names.
    pub(crate) fn find(pid: u32, programs: &[&str]) -> Option<Self> {
        seen(pid, programs).map(|seen| seen.process)
    }

    /// The children of every program of these names whose parent is such a program, too: the processes that
    /// serve, without the one that only minds them.
    pub(crate) fn children_of(programs: &[&str]) -> BTreeSet<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let all: Vec<Seen> = pids.filter_map(|pid| seen(pid, programs)).collect();
        let parents: BTreeSet<u32> = all.iter().map(|seen| seen.process.pid).collect();
        all.iter().filter(|seen| parents.contains(&seen.parent)).map(|seen| seen.process).collect()
    }

    fn lives(self) -> bool {
        let Some((_, parent_and_rest)) = stat(self.pid) else { return false };
        // A zombie has closed its connections.
        let ended = matches!(parent_and_rest.first().map(String::as_str), Some("Z" | "X"));
        !ended && started(&parent_and_rest) == Some(self.started)
    }
}

impl Predecessors {
    /// These processes were replaced; they may have requests at these members.
    pub(crate) fn add(&mut self, processes: impl IntoIterator<Item = Process>, members: &BTreeSet<String>) {
        for process in processes {
            if self.all.iter().any(|known| known.process == process) {
                continue;
            }
            // The oldest has had the most time to finish.
            if self.all.len() == PREDECESSORS_MAX {
                self.all.remove(0);
            }
            self.all.push(Predecessor { process, members: members.clone(), since: Instant::now() });
        }
    }

    /// Forgets those that have ended or had their time. Comes before [`Self::know`].
    pub(crate) fn look(&mut self) {
        self.all.retain(|one| one.since.elapsed() < PREDECESSOR_WAIT && one.process.lives());
    }

    /// Whether one of them may have requests there.
    pub(crate) fn know(&self, member: &str) -> bool {
        self.all.iter().any(|one| one.members.contains(member))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Name, and the fields from `state` on, of `/proc/PID/stat` (proc(5)).
fn stat(pid: u32) -> Option<(String, Vec<String>)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets itself.
    let (before, rest) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), rest.split_whitespace().map(str::to_owned).collect()))
}

/// Field 22 of the file; `state` is field 3.
fn started(fields: &[String]) -> Option<u64> {
    fields.get(22 - 3)?.parse().ok()
}

fn seen(pid: u32, programs: &[&str]) -> Option<Seen> {
    let (name, fields) = stat(pid)?;
    if !programs.contains(&name.as_str()) {
        return None;
    }
    let process = Process { pid, started: started(&fields)? };
    Some(Seen { process, parent: fields.get(1)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn members_wait_until_the_process_that_knew_them_has_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
        // Between fork and exec it still has its parent's name.
        let process = loop {
            if let Some(process) = Process::find(child.id(), &["cat"]) {
                break process;
            }
        };
        assert!(Process::find(child.id(), &["haproxy"]).is_none());
        let mut predecessors = Predecessors::default();
        predecessors.add([process, process], &BTreeSet::from(["lv_a".to_owned()]));
        predecessors.look();
        assert!(predecessors.know("lv_a") && !predecessors.know("lv_b"));
        assert_eq!(predecessors.len(), 1);
        drop(child.stdin.take());
        child.wait().expect("it ends");
        predecessors.look();
        assert!(!predecessors.know("lv_a"));
    }
}
