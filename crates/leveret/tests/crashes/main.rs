//! Crashes under load from a client that counts: kill -9, and power cuts of a disk that loses what was not
//! synced (docs/persistence.md, docs/proof/store.md). Read first: [`ledger`], then [`disk`].
//!
//! Nothing sleeps. When a crash comes follows from a seed, up to what the threads of the node and of the client
//! make of it. `CRASHES=200 CRASH_SEED=7` makes another number of crashes, from another seed:
//! `cargo xtask soak powercut` and `cargo xtask soak kill`.

mod contents;
mod disk;
#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
#[path = "../lapin/mod.rs"]
mod lapin;
mod ledger;
mod load;
mod mounted;
mod namespace;
#[path = "../node/mod.rs"]
mod node;
mod tree;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use leveret_model::{Seed, SplitMix};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use disk::{LossyDisk, Power};
use lapin::{Node, Session, own_group};
use ledger::Ledger;
use node::{LEVERET, Node as Process};
use tree::Loss;

const CRASHES: u64 = 10;
/// Crashes of one directory; then a new one is begun.
const CRASHES_OF_ONE: u64 = 20;
/// In front of one of so many changes the power goes off, once enough was confirmed.
const SOON: u64 = 40;

/// How many crashes, in total.
fn crashes() -> u64 {
    number_of("CRASHES").unwrap_or(CRASHES)
}

fn first_seed() -> u64 {
    number_of("CRASH_SEED").unwrap_or(1)
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// A node on that directory; the name of `group` is the name of its group.
fn start(data_dir: &Path, group: TempDir) -> Node {
    let name = own_group(&group);
    let more = ["--shards", "2", "--group", &name, "--lifetime", "persistent"];
    Node { process: Process::start(data_dir, &more), directory: group }
}

fn pid(node: &Node) -> Pid {
    Pid::from_raw(node.process.pid().parse().expect("a number")).expect("a process")
}

/// The client counts from here on.
fn open(node: &Node, ledger: &mut Ledger) -> Result<(Session, load::Taken), String> {
    let session = Session::open(node);
    load::declare(&session);
    let taken = load::check(&session, ledger)?;
    Ok((session, taken))
}

/// Publishes until the node is killed, which it is soon after `confirms` confirms.
fn run_until_killed(node: &Node, ledger: &mut Ledger, confirms: usize, random: &mut SplitMix) {
    let (session, taken) = open(node, ledger).unwrap_or_else(|what| panic!("{what}\n{}", node.process.log()));
    let kill = || kill_process(pid(node), Signal::KILL).expect("it runs");
    let (told, tell) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            tell.recv().expect("enough was confirmed");
            kill();
        });
        let enough = || told.send(()).expect("somebody waits");
        load::run(&session, ledger, taken, random, (confirms, enough));
    });
}

#[test]
fn what_was_confirmed_is_there_after_kills_under_load() {
    let (mut left, mut seed) = (crashes(), first_seed());
    while left > 0 {
        let random = &mut SplitMix::new(Seed(seed));
        let mut ledger = Ledger::default();
        let mut directory = tempfile::tempdir().expect("a temporary directory");
        for _ in 0..left.min(CRASHES_OF_ONE) {
            let data_dir = directory.path().to_owned();
            let node = start(&data_dir, directory);
            run_until_killed(&node, &mut ledger, 100 + random.below(400) as usize, random);
            directory = node.directory;
            left -= 1;
        }
        let data_dir = directory.path().to_owned();
        let node = start(&data_dir, directory);
        open(&node, &mut ledger).unwrap_or_else(|what| panic!("seed {seed}: {what}\n{}", node.process.log()));
        eprintln!("kills, seed {seed}: {} confirmed, {} acknowledged", ledger.confirmed, ledger.acked);
        seed += 1;
    }
}

/// A disk and what a client knows of it.
struct Cuts {
    disk: LossyDisk,
    ledger: Ledger,
    random: SplitMix,
    group: Option<TempDir>,
    /// Changes and syncs of the last start.
    changes_of_a_start: u64,
    loss: Loss,
}

impl Cuts {
    fn new(disk: LossyDisk, seed: u64) -> Self {
        Self {
            disk,
            ledger: Ledger::default(),
            random: SplitMix::new(Seed(seed)),
            group: Some(tempfile::tempdir().expect("a temporary directory")),
            changes_of_a_start: 0,
            loss: Loss::default(),
        }
    }

    fn start(&mut self) -> Node {
        let before = self.disk.changes();
        let node = start(&self.disk.data_dir(), self.group.take().expect("no node runs"));
        self.changes_of_a_start = self.disk.changes() - before;
        node
    }

    /// Publishes until the power is off, which it is at `power`, once so many were confirmed.
    fn run_until_off(&mut self, confirms: usize, power: Power) -> Result<(), String> {
        let node = self.start();
        let (session, taken) = open(&node, &mut self.ledger)
            .map_err(|what| format!("{what}\n{}\n{}", self.disk.path().display(), node.process.log()))?;
        let disk = &self.disk;
        thread::scope(|scope| {
            scope.spawn(|| {
                disk.wait_until_off();
                // it may have ended on its own because of what failed
                let _ = kill_process(pid(&node), Signal::KILL);
            });
            let enough = || disk.set_power(power);
            load::run(&session, &mut self.ledger, taken, &mut self.random, (confirms, enough));
        });
        let Node { process, directory } = node;
        drop(process);
        self.group = Some(directory);
        Ok(())
    }

    /// The process is killed and the power stays on: what it wrote is there for the next one, and not synced.
    fn run_until_killed(&mut self, confirms: usize) {
        let node = self.start();
        run_until_killed(&node, &mut self.ledger, confirms, &mut self.random);
        let Node { process, directory } = node;
        drop(process);
        self.group = Some(directory);
    }

    /// The power goes off while a node starts.
    fn start_until_off(&mut self) {
        let changes = self.random.below(self.changes_of_a_start);
        self.disk.set_power(Power::OffAfter(changes));
        let mut command = Command::new(LEVERET);
        command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]);
        command.args(["--lifetime", "persistent", "--data-dir"]).arg(self.disk.data_dir());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the program runs");
        let banner = BufReader::new(process.stdout.take().expect("piped"));
        // a start with fewer changes than the one before gets ready
        let _ready = banner.lines().map_while(Result::ok).find(|line| line == "ready");
        process.kill().expect("it is there");
        process.wait().expect("it is there");
    }

    fn cut_power(&mut self, kept_percent: u64) {
        let Loss { sectors_lost, sectors_torn, names_lost } =
            self.disk.cut_power(kept_percent, &mut self.random);
        self.loss.sectors_lost += sectors_lost;
        self.loss.sectors_torn += sectors_torn;
        self.loss.names_lost += names_lost;
    }

    fn check(&mut self) -> Result<(), String> {
        let node = self.start();
        let checked = open(&node, &mut self.ledger).map(|_| ());
        let what = checked.map_err(|what| format!("{what}\n{}", node.process.log()));
        let Node { process, directory } = node;
        drop(process);
        self.group = Some(directory);
        what
    }
}

/// So many power cuts of one disk: under load at a sync or at any change, and of starts.
fn cut(disk: LossyDisk, seed: u64, count: u64) -> Cuts {
    let mut cuts = Cuts::new(disk, seed);
    for number in 0..count {
        let kept_percent = [0, 50, 90, 100, 0][number as usize % 5];
        if number % 3 == 1 {
            // what the next start reads and serves has to outlive the cut behind it
            cuts.run_until_killed(50);
        }
        if number % 4 == 3 {
            cuts.start_until_off();
        } else {
            let soon = Power::OffAfter(cuts.random.below(SOON));
            let power = if number % 2 == 0 { Power::OffAtSync } else { soon };
            let confirms = 50 + cuts.random.below(300) as usize;
            cuts.run_until_off(confirms, power)
                .unwrap_or_else(|what| panic!("seed {seed}, cut {number}: {what}"));
        }
        cuts.cut_power(kept_percent);
    }
    cuts.check().unwrap_or_else(|what| panic!("seed {seed}, after all cuts: {what}"));
    cuts
}

#[test]
fn what_was_confirmed_is_there_after_power_cuts() {
    if !namespace::is_inside("what_was_confirmed_is_there_after_power_cuts") {
        return;
    }
    let (mut left, mut seed) = (crashes(), first_seed());
    while left > 0 {
        let Some(disk) = namespace::mounted() else { return };
        let count = left.min(CRASHES_OF_ONE);
        let Cuts { ledger, loss, .. } = cut(disk, seed, count);
        // the first cut is at a sync, and takes everything that was to be synced
        assert!(loss.sectors_lost > 0, "a cut that loses nothing proves nothing");
        eprintln!(
            "power cuts, seed {seed}: {count} cuts, {} confirmed, {} acknowledged, {loss:?}",
            ledger.confirmed, ledger.acked
        );
        (left, seed) = (left - count, seed + 1);
    }
}

/// That the test above can fail.
#[test]
fn a_disk_that_lies_loses_messages_and_the_client_sees_it() {
    if !namespace::is_inside("a_disk_that_lies_loses_messages_and_the_client_sees_it") {
        return;
    }
    let Some(disk) = namespace::mounted() else { return };
    let mut cuts = Cuts::new(disk, first_seed());
    cuts.run_until_off(100, Power::OffAtSync).expect("it is honest so far");
    cuts.cut_power(0);
    cuts.check().expect("it is honest so far");
    let node = cuts.start();
    let (session, taken) = open(&node, &mut cuts.ledger).expect("it is honest so far");
    cuts.disk.set_lies(true);
    let enough = || kill_process(pid(&node), Signal::KILL).expect("it runs");
    load::run(&session, &mut cuts.ledger, taken, &mut cuts.random, (200, enough));
    let Node { process, directory } = node;
    drop(process);
    cuts.group = Some(directory);
    cuts.disk.set_lies(false);
    cuts.cut_power(0);
    let what = cuts.check().expect_err("it lied");
    assert!(what.contains("confirmed and lost"), "{what}");
}
