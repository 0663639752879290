//! `leveret demo sessions`: browsers without sticky sessions, while one node is killed, one joins and one
//! leaves; at the end it is counted what was lost.
//!
//! Exit code 0: every answered write was read again, also of two that changed one session at once, and nobody
//! who logged out was logged in again.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::browser::{Balancer, Browser, REPORT_EVERY, SESSIONS, Seen};
use super::nodes::{Node, Nodes};
use super::pause;
use super::report::{Narrator, ms};
use crate::output;

const BROWSERS: usize = 16;
/// Requests between two steps of the story.
const LEG: u64 = 4_000;
/// Until a node is ready, or has left.
const STEP_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked whether a node has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Until the browsers have asked so often.
const LEG_WAIT: Duration = Duration::from_secs(15);

/// Flags of `leveret demo sessions`.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionsArgs {
    /// Wait so many times as long before a step has failed: for tests on machines that do much else
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
}

/// Runs it.
pub(crate) fn run(args: &SessionsArgs) -> Result<ExitCode> {
    let mut story = Story {
        nodes: Nodes::gather()?,
        narrator: Narrator::begin(args.patience),
        balancer: Balancer::default(),
    };
    let told = story.tell();
    if told.is_err() {
        eprint!("{}", story.nodes.last_words());
    }
    told.map(|()| ExitCode::SUCCESS)
}

struct Story {
    nodes: Nodes,
    narrator: Narrator,
    balancer: Balancer,
}

impl Story {
    fn tell(&mut self) -> Result<()> {
        let first = self.start(&[])?;
        let second = self.start(&[first])?;
        let third = self.start(&[first])?;
        self.balance(&[first, second, third])?;
        self.narrator.say(&format!(
            "Nodes 1, 2 and 3 serve sessions. {BROWSERS} browsers with {SESSIONS} sessions each use all three by turns."
        ))?;
        let (report, reports) = channel();
        let balancer = &self.balancer;
        let (nodes, narrator) = (&mut self.nodes, self.narrator);
        let seen = thread::scope(|scope| {
            let browsers: Vec<_> = (0..BROWSERS)
                .map(|number| {
                    let report = report.clone();
                    scope.spawn(move || Browser::new(number, balancer).browse(&report))
                })
                .collect();
            let mut plot = Plot { nodes, narrator, balancer, reports: &reports };
            let told = plot.tell(first, second, third);
            balancer.end();
            let mut sum = Seen::default();
            for browser in browsers {
                let seen = browser.join().map_err(|_| anyhow::anyhow!("a browser panicked"))?;
                sum += seen.context("a browser gave up")?;
            }
            told.map(|()| sum)
        })?;
        judge(seen)
    }

    fn start(&mut self, seeds: &[Node]) -> Result<Node> {
        start(&mut self.nodes, self.narrator, seeds)
    }

    fn balance(&self, nodes: &[Node]) -> Result<()> {
        balance(&self.balancer, nodes)
    }
}

/// What happens while browsers browse.
struct Plot<'a> {
    nodes: &'a mut Nodes,
    narrator: Narrator,
    balancer: &'a Balancer,
    reports: &'a Receiver<()>,
}

impl Plot<'_> {
    fn tell(&mut self, first: Node, second: Node, third: Node) -> Result<()> {
        self.leg("with all three")?;
        self.nodes.kill(&third)?;
        balance(self.balancer, &[first, second])?;
        self.narrator.say("Node 3 is killed (SIGKILL): its sessions are taken over by their copies.")?;
        self.leg("without node 3")?;
        let fourth = start(self.nodes, self.narrator, &[first, second])?;
        balance(self.balancer, &[first, second, fourth])?;
        self.narrator.say(&format!(
            "Node 4 has joined, {} after its start; it knew every session before it let a browser in.",
            ms(fourth.took)
        ))?;
        self.leg("with node 4")?;
        balance(self.balancer, &[second, fourth])?;
        let took = self.leave(&first)?;
        self.narrator.say(&format!(
            "Node 1 was told to stop (SIGTERM): {} later it had handed its sessions over and was gone, exit code 0.",
            ms(took)
        ))?;
        self.leg("with nodes 2 and 4")
    }

    /// Gives how long it took to end with exit code 0.
    fn leave(&self, node: &Node) -> Result<Duration> {
        let (began, deadline) = (Instant::now(), self.narrator.within(STEP_WAIT));
        self.nodes.terminate(node)?;
        loop {
            if let Some(code) = self.nodes.exit_code(node)? {
                ensure!(code == Some(0), "node {} ended with {code:?} and not with 0", node.number);
                return Ok(began.elapsed());
            }
            ensure!(Instant::now() < deadline, "node {} has not ended in time", node.number);
            pause(LOOK_AGAIN);
        }
    }

    fn leg(&self, how: &str) -> Result<()> {
        let began = Instant::now();
        let deadline = self.narrator.within(LEG_WAIT);
        for _ in 0..LEG / REPORT_EVERY {
            let left = deadline.saturating_duration_since(Instant::now());
            self.reports.recv_timeout(left).with_context(|| format!("{LEG} requests {how} take too long"))?;
        }
        self.narrator.say(&format!("{LEG} requests {how}, in {}.", ms(began.elapsed())))
    }
}

fn start(nodes: &mut Nodes, narrator: Narrator, seeds: &[Node]) -> Result<Node> {
    let seeds: Vec<_> = seeds.iter().map(|node| node.cluster).collect();
    let starting = nodes.start_with(&seeds, &["--session-listen", "127.0.0.1:0"])?;
    starting.ready(narrator.within(STEP_WAIT))
}

fn balance(balancer: &Balancer, nodes: &[Node]) -> Result<()> {
    let addresses: Option<Vec<_>> = nodes.iter().map(|node| node.sessions).collect();
    let Some(addresses) = addresses else { bail!("a node did not say where it listens for sessions") };
    balancer.set(&addresses);
    Ok(())
}

/// Prints what the browsers saw.
fn judge(seen: Seen) -> Result<()> {
    output::print(&format!(
        "\n{:>9}  requests, the slowest took {}\n{:>9}  cut off by a kill or a stop, or refused meanwhile, and sent again\n\
         {:>9}  logouts, and after each a late write through another node: {} of them came back\n\
         {:>9}  times two requests changed one session at once, each another attribute: {} changes were lost\n\
         {:>9}  answered writes that were lost\n",
        seen.requests,
        ms(seen.slowest),
        seen.cut_off + seen.refused,
        seen.logouts,
        seen.undone,
        seen.merges,
        seen.changes_lost,
        seen.lost,
    ))?;
    ensure!(seen.lost == 0, "{} answered writes are lost", seen.lost);
    ensure!(seen.changes_lost == 0, "{} of 2 × {} changes at once are lost", seen.changes_lost, seen.merges);
    ensure!(seen.undone == 0, "{} of {} logouts were undone", seen.undone, seen.late_writes);
    Ok(())
}
