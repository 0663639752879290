//! `leveret demo`: one node becomes three, five, two and one again while clients publish and consume, and
//! every message is counted.
//!
//! Read first: [`Story::tell`]. Clients are what an application's would be: they connect to any node that is in
//! the book (or in DNS), and when a node sends them away with 320 they connect to another one and publish again
//! what was not confirmed.
//!
//! ```text
//!   ../nodes.rs (nodes as children)   clients.rs (threads with a client each), book.rs (where to connect)
//!        ─▶ ../ledger.rs ─▶ ../report.rs            board.rs (the live table)
//! ```
//! Exit code 0: each message that was confirmed arrived, in order, and none was served twice without a word.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leveret_model::limits;

mod board;
mod book;
mod clients;

use self::board::Board;
use self::book::Book;
use self::clients::{Consumer, Publisher, Work};
use super::ledger::{Label, Ledger, StreamId, Tally};
use super::nodes::{Node, Nodes};
use super::report::{self, Narrator, ms};
use crate::client::Client;
use crate::demo::pause;

/// Until a node is ready, or has left.
const NODE_WAIT: Duration = Duration::from_secs(10);
/// Until messages have come through, or queues have moved.
const STEP_WAIT: Duration = Duration::from_secs(5);
/// Between two requests to balance.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Until the last confirmed message has arrived; what has not by then counts as lost.
const ARRIVAL_WAIT: Duration = Duration::from_secs(2);
/// Messages that come through each busy queue before the story goes on.
const LEG: u64 = 150;
/// Queues with a publisher and a consumer.
const BUSY: [&str; 4] = ["meadow-1", "meadow-2", "meadow-3", "meadow-4"];
/// Queues that only keep messages.
const QUIET: usize = 40;
/// Messages in each of those.
const QUIET_MESSAGES: u64 = 25;
/// Between two looks at something that changes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Flags of `leveret demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct ElasticArgs {
    /// Start a real name server (bind9 or knot) that the nodes register with, and find nodes by DNS alone
    #[arg(long)]
    dns: bool,
    /// Swallow one delivered message before it is counted: the demonstration must find that out
    #[arg(long, hide = true)]
    drop_one: bool,
    /// Wait so many times as long before a step has failed: for tests on machines that do much else
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
    /// Tell the story so many times, each with new nodes
    #[arg(long, hide = true, default_value_t = 1)]
    times: u32,
    /// Begin it no more after so many hours
    #[arg(long, hide = true, default_value_t = 1.0)]
    hours: f64,
}

/// Runs the demonstration.
pub(crate) fn run(args: &ElasticArgs) -> Result<ExitCode> {
    let until = Instant::now() + Duration::from_secs_f64(args.hours.clamp(0.0, 1_000.0) * 3_600.0);
    for told in 1..=args.times {
        let mut story = Story::begin(args)?;
        let result = story.tell().and_then(|()| story.judge());
        if result.is_err() {
            story.board.clear();
            eprint!("{}", story.nodes.last_words());
        }
        // the number of the only one says nothing
        result.map_err(|error| match args.times {
            1 => error,
            _ => error.context(format!("cycle {told}")),
        })?;
        if args.times > 1 {
            crate::output::print(&format!("cycle {told} of {} is done\n", args.times))?;
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Story {
    nodes: Nodes,
    narrator: Narrator,
    board: Board,
    book: Arc<Book>,
    ledger: Arc<Ledger>,
    running: Vec<Node>,
    /// On their way out.
    leaving: Vec<Node>,
    busy: Vec<(StreamId, Publisher, Consumer)>,
    quiet: Vec<(String, StreamId)>,
    drop_one: bool,
    dns: bool,
}

impl Story {
    fn begin(args: &ElasticArgs) -> Result<Self> {
        let narrator = Narrator::begin(args.patience);
        Ok(Self {
            nodes: Nodes::gather()?,
            narrator,
            board: Board::new(narrator),
            book: Arc::default(),
            ledger: Arc::default(),
            running: Vec::new(),
            leaving: Vec::new(),
            busy: Vec::new(),
            quiet: Vec::new(),
            drop_one: args.drop_one,
            dns: args.dns,
        })
    }

    fn tell(&mut self) -> Result<()> {
        if self.dns {
            let names = self.nodes.start_name_server(self.narrator.within(NODE_WAIT)).context("--dns")?;
            self.board.say(&format!("{}.", names.what()))?;
            self.book.ask(names);
        }
        self.grow(1).context("the first node")?;
        self.declare().context("queues on the first node")?;
        self.start_clients(0..2).context("clients")?;
        self.work("one node")?;
        self.grow(2).context("from one node to three")?;
        self.start_clients(2..4).context("more clients")?;
        self.balance()?;
        self.work("three nodes")?;
        self.grow(2).context("from three nodes to five")?;
        self.balance()?;
        self.work("five nodes")?;
        self.shrink(&[1, 3, 4]).context("from five nodes to two")?;
        self.work("two nodes")?;
        self.shrink(&[2]).context("from two nodes to one")?;
        self.work("one node again")?;
        self.finish()
    }

    /// So many nodes more, born at the same moment.
    fn grow(&mut self, more: usize) -> Result<()> {
        let began = Instant::now();
        let seeds: Vec<_> = self.running.iter().map(|node| node.cluster).collect();
        let starting = (0..more).map(|_| self.nodes.start(&seeds)).collect::<Result<Vec<_>>>()?;
        let deadline = self.narrator.within(NODE_WAIT);
        for node in starting {
            let node = node.ready(deadline)?;
            self.book.add(node.amqp);
            self.running.push(node);
        }
        let all = self.running.len();
        for node in &self.running {
            while self.nodes.others_of(node, deadline)? < all - 1 {
                ensure!(
                    Instant::now() < deadline,
                    "node {} does not list {} others in time",
                    node.number,
                    all - 1
                );
                pause(LOOK_AGAIN);
            }
        }
        self.show()?;
        let took = ms(began.elapsed());
        self.board.say(&match all {
            1 => format!("Node 1 is up, {took} after its start."),
            _ => format!("{more} nodes more are up, and all {all} know each other, {took} after the start."),
        })
    }

    /// All queues are declared at one node; the others get theirs from it.
    fn declare(&mut self) -> Result<()> {
        let mut client = Client::connect(self.running[0].amqp)?;
        client.select_confirms()?;
        for queue in BUSY {
            client.declare(queue)?;
        }
        for number in 1..=QUIET {
            let (queue, stream) = (format!("burrow-{number}"), self.ledger.open("burrows"));
            client.declare(&queue)?;
            clients::fill(&mut client, &self.ledger, (&queue, stream), QUIET_MESSAGES)?;
            self.quiet.push((queue, stream));
        }
        client.close()?;
        self.board.say(&format!(
            "{} queues are declared on node 1; {QUIET} of them keep {QUIET_MESSAGES} confirmed messages each.",
            BUSY.len() + QUIET
        ))
    }

    fn start_clients(&mut self, which: std::ops::Range<usize>) -> Result<()> {
        for (at, queue) in BUSY.iter().enumerate().take(which.end).skip(which.start) {
            let stream = self.ledger.open(queue);
            let swallows = (self.drop_one && at == 0).then_some(LEG);
            let work = || Work {
                ledger: Arc::clone(&self.ledger),
                book: Arc::clone(&self.book),
                queue,
                stream,
                wait: self.narrator.patient(NODE_WAIT),
            };
            let (consumer, publisher) = (Consumer::start(work(), swallows), Publisher::start(work()));
            self.busy.push((stream, publisher, consumer));
        }
        Ok(())
    }

    /// Has messages come through each queue.
    fn work(&self, with: &str) -> Result<()> {
        let deadline = self.narrator.within(STEP_WAIT);
        let before: Vec<Tally> = self.busy.iter().map(|(stream, ..)| self.ledger.tally(*stream)).collect();
        for ((stream, ..), before) in self.busy.iter().zip(&before) {
            while !self.ledger.wait(*stream, Instant::now() + LOOK_AGAIN, |tally| {
                tally.delivered >= before.delivered + LEG
            })? {
                self.show()?;
                ensure!(
                    Instant::now() < deadline,
                    "{}: {LEG} messages through `{}` take too long",
                    with,
                    before.name
                );
            }
        }
        let came: u64 = self.busy.iter().map(|(stream, ..)| self.ledger.tally(*stream).delivered).sum();
        let table = self.show()?;
        self.board.say(&format!("With {with} {came} messages have come through so far.{table}"))
    }

    /// Each node gives what it has above the mean. That happens by itself after some seconds of calm.
    fn balance(&mut self) -> Result<()> {
        let (began, deadline) = (Instant::now(), self.narrator.within(STEP_WAIT));
        let mut ask_at = began;
        let all = BUSY.len() + QUIET;
        // what the balance tolerates: a node with so many gives nothing more
        let mean = all.div_ceil(self.running.len());
        let most = mean + (mean * limits::REBALANCE_ABOVE_PERCENT / 100).max(1);
        while self.board.look(&self.nodes, &self.running, &self.leaving)?.queues().any(|queues| queues > most)
        {
            ensure!(
                Instant::now() < deadline,
                "no node is to have more than {most} queues, and one still has"
            );
            // a queue whose move failed, for want of a link to a newcomer, rests until somebody asks again
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + ASK_AGAIN;
                for node in &self.running {
                    self.nodes.ask(node, "rebalance")?;
                }
            }
            pause(LOOK_AGAIN);
        }
        self.show()?;
        self.board.say(&format!(
            "`leveret rebalance`: {all} queues are shared by {} nodes after {}.",
            self.running.len(),
            ms(began.elapsed())
        ))
    }

    /// Tells these nodes to leave, all at once. Nobody is sent there meanwhile, as with DNS.
    fn shrink(&mut self, numbers: &[usize]) -> Result<()> {
        let (began, deadline) = (Instant::now(), self.narrator.within(NODE_WAIT));
        self.leaving = self.running.extract_if(.., |node| numbers.contains(&node.number)).collect();
        for node in &self.leaving {
            self.book.remove(node.amqp);
            self.nodes.terminate(node)?;
        }
        for node in &self.leaving {
            while self.nodes.exit_code(node)?.is_none() {
                self.show()?;
                ensure!(Instant::now() < deadline, "node {} has not left in time", node.number);
                pause(LOOK_AGAIN);
            }
            let code = self.nodes.exit_code(node)?.flatten();
            ensure!(
                code == Some(0),
                "node {} left with {code:?} and not with 0: it held something",
                node.number
            );
        }
        let leaving = std::mem::take(&mut self.leaving);
        self.show()?;
        let names: Vec<String> = leaving.iter().map(|node| node.number.to_string()).collect();
        let who = if leaving.len() == 1 { "Node" } else { "Nodes" };
        self.board.say(&format!(
            "{who} {} got SIGTERM, handed all queues over, sent their clients away and ended with exit code 0, in {}.",
            names.join(", "),
            ms(began.elapsed())
        ))
    }

    fn show(&self) -> Result<String> {
        let busy: Vec<Tally> = self.busy.iter().map(|(stream, ..)| self.ledger.tally(*stream)).collect();
        let look = self.board.look(&self.nodes, &self.running, &self.leaving)?;
        self.board.draw(&look, &busy);
        Ok(if self.board.is_live() { String::new() } else { format!(" {}", look.line()) })
    }

    /// Stops the clients, and reads what the quiet queues kept.
    fn finish(&mut self) -> Result<()> {
        let deadline = self.narrator.within(ARRIVAL_WAIT);
        let mut consumers = Vec::new();
        let (mut again, mut slowest) = (0, Duration::ZERO);
        for (stream, publisher, consumer) in self.busy.drain(..) {
            let published = publisher.stop()?;
            again += published.sessions - 1;
            slowest = slowest.max(published.slowest);
            self.ledger.wait(stream, deadline, |tally| tally.awaited == 0 && tally.lost == 0)?;
            consumers.push(consumer);
        }
        for consumer in consumers {
            again += consumer.stop()? - 1;
        }
        let last = self.running.first().context("a node is left")?;
        let mut client = Client::connect(last.amqp)?;
        for (queue, _) in &self.quiet {
            let mut before = 0;
            while let Some(left) = client.get(queue)? {
                let label = Label::decode(&left.body);
                let number = label.map_or(0, |label| label.number);
                self.ledger.delivered(label, left.origin.redelivered(), number > before);
                before = number;
                left.origin.delivery_tag().into_iter().for_each(|tag| client.ack(tag, false));
            }
        }
        client.close()?;
        self.board.say(&format!(
            "Node {} is alone again and has everything. Clients had to connect again {again} times; the slowest confirm took {}.",
            last.number,
            ms(slowest)
        ))
    }

    fn judge(&self) -> Result<()> {
        self.board.clear();
        report::judge_elastic(&self.ledger.tallies())
    }
}
