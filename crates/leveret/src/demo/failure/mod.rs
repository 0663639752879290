//! `leveret demo failure`: three nodes as processes on loopback, one killed, one added, every message counted.
//!
//! Read first: [`Story::tell`]. The cast: queue `meadow` lives on node 1 and queue `burrow` on node 3, which
//! also holds a consumer of `meadow`; publishers connect to node 2. Node 3 is the one that is killed.
//!
//! ```text
//!   ../nodes.rs (nodes as children)   publisher.rs, consumer.rs (threads with a client each)
//!        ─▶ ../ledger.rs ─▶ ../report.rs
//! ```
//! Exit code 0: every message that was promised arrived, once or marked as redelivered, in order; what a killed
//! node had in its memory is counted apart if it was confirmed before the death was known. 1: something that
//! was promised was lost, or a step did not happen in time.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

mod consumer;
mod publisher;

use consumer::{Consumer, Ending, Manner};
use publisher::{Assignment, Publisher, Target};

use super::ledger::{Label, Ledger, StreamId, Tally};
use super::nodes::{Node, Nodes};
use super::report::{self, Narrator, ms};
use crate::client::{Client, ClientError};

/// Until a node is ready.
const READY_WAIT: Duration = Duration::from_secs(5);
/// Until messages that are under way have arrived, or a consumer of a dead queue is told.
const STEP_WAIT: Duration = Duration::from_secs(5);
/// Until the last confirmed message of a leg has arrived; what has not by then counts as lost.
const ARRIVAL_WAIT: Duration = Duration::from_secs(2);
/// The broker answers a publish within 2 s (`limits::PUBLISH_WAIT`); the rest is for a slow machine.
const ANSWERS_WAIT: Duration = Duration::from_secs(3);
/// Between two attempts to declare a name that is still taken.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// Messages of a leg of the story that just shows that it works.
const LEG: u64 = 200;
/// Messages that the consumer on the node to be killed has on its hands.
const HELD: usize = 20;
/// Messages of `burrow` that its consumer takes and never acknowledges; the rest is in the memory of its home.
const TAKEN: u16 = 50;

const MEADOW: &str = "meadow";
const BURROW: &str = "burrow";
const WARREN: &str = "warren";
/// `meadow` is reached by a binding, the others by their names.
const TO_MEADOW: Target = Target { exchange: "amq.topic", routing_key: "grass.green" };
const TO_BURROW: Target = Target { exchange: "", routing_key: BURROW };
const TO_WARREN: Target = Target { exchange: "", routing_key: WARREN };

/// Flags of `leveret demo failure`.
#[derive(Debug, clap::Args)]
pub(crate) struct FailureArgs {
    /// Swallow one delivered message before it is counted: the demonstration must find that out
    #[arg(long, hide = true)]
    drop_one: bool,
    /// Take messages that were returned after the kill for promised: the demonstration must find that out
    #[arg(long, hide = true)]
    ignore_returns: bool,
    /// Wait so many times as long before a step has failed: for tests on machines that do much else
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
}

/// Runs the demonstration.
pub(crate) fn run(args: &FailureArgs) -> Result<ExitCode> {
    let mut story = Story {
        nodes: Nodes::gather()?,
        narrator: Narrator::begin(args.patience),
        ledger: Arc::default(),
        drop_one: args.drop_one,
        ignore_returns: args.ignore_returns,
    };
    let told = story.tell().and_then(|()| report::judge(&story.ledger.tallies()));
    if told.is_err() {
        eprint!("{}", story.nodes.last_words());
    }
    told.map(|()| ExitCode::SUCCESS)
}

struct Story {
    nodes: Nodes,
    narrator: Narrator,
    ledger: Arc<Ledger>,
    drop_one: bool,
    ignore_returns: bool,
}

/// What goes on while node 3 is killed.
struct Scene {
    meadow: StreamId,
    burrow: StreamId,
    to_meadow: Publisher,
    to_burrow: Publisher,
    /// Of `meadow`, on node 3.
    doomed: Consumer,
    /// Of `meadow`, on node 2.
    other: Consumer,
    /// Of `burrow`, on node 1.
    orphan: Consumer,
}

impl Story {
    fn tell(&mut self) -> Result<()> {
        let [first, second, third] = self.gather()?;
        self.publish_here_consume_there(&first, &second, &third).context("publish here, consume there")?;
        let scene = self.set_the_scene(&first, &second, &third).context("before the kill")?;
        let meadow = scene.meadow;
        let (killed, to_meadow, other) =
            self.kill(scene, &first, &third).context("after the kill of node 3")?;
        self.declare_anew(&first, &second, killed).context("a name that lived on node 3")?;
        let fourth = self.join_a_fourth(&first, &second).context("a fourth node")?;
        let at_fourth =
            self.start_consumer(&fourth, MEADOW, Manner { prefetch: 100, ..Manner::default() })?;
        other.stop().context("the consumer on node 2")?;
        self.serve_on_the_fourth(&first, &second, &fourth, meadow).context("serving on node 4")?;
        to_meadow.stop()?;
        self.arrived(meadow)?;
        at_fourth.stop().context("the consumer on node 4")?;
        self.nothing_left(&first, &fourth)
    }

    /// Three nodes; the second and the third are born at the same moment.
    fn gather(&mut self) -> Result<[Node; 3]> {
        let first = self.nodes.start(&[])?.ready(self.narrator.within(READY_WAIT))?;
        self.narrator.say(&format!(
            "Node 1 is up after {}: clients connect to {}, other nodes to {}.",
            ms(first.took),
            first.amqp,
            first.cluster
        ))?;
        let began = Instant::now();
        let starting = [self.nodes.start(&[first.cluster])?, self.nodes.start(&[first.cluster])?];
        let deadline = self.narrator.within(READY_WAIT);
        let [second, third] = starting.map(|node| node.ready(deadline));
        let (second, third) = (second?, third?);
        // Which of them found the other before it was ready is chance.
        self.narrator.say(&format!(
            "Nodes 2 and 3 were started in the same moment and given the address of node 1; they serve {} and {} after \
             their start.",
            ms(second.took),
            ms(third.took)
        ))?;
        let mut patience = connect(&first)?;
        for node in [&first, &second, &third] {
            while self.nodes.others_of(node, deadline)? < 2 {
                ensure!(Instant::now() < deadline, "node {} does not list two others in time", node.number);
                patience.poll(Instant::now() + TRY_AGAIN)?;
            }
        }
        patience.close()?;
        self.narrator.say(&format!(
            "{} after that moment each of the three lists the other two as alive.",
            ms(began.elapsed())
        ))?;
        Ok([first, second, third])
    }

    fn say_joined(&self, node: &Node, given: &str) -> Result<()> {
        ensure!(node.joined > 0, "node {} is ready and has joined nobody", node.number);
        let others = if node.joined == 1 { "1 other" } else { &format!("{} others", node.joined) };
        self.narrator.say(&format!(
            "Node {} was given {given}; {} after its start it has joined {others} and serves.",
            node.number,
            ms(node.took)
        ))
    }

    fn publish_here_consume_there(&mut self, first: &Node, second: &Node, third: &Node) -> Result<()> {
        let mut client = connect(first)?;
        let began = Instant::now();
        client.declare(MEADOW)?;
        client.bind(MEADOW, TO_MEADOW.exchange, "grass.*")?;
        client.close()?;
        self.narrator
            .say(&format!("Queue `meadow` is declared and bound on node 1, in {}.", ms(began.elapsed())))?;
        let meadow = self.ledger.open(MEADOW);
        let swallows = self.drop_one.then_some(LEG / 2);
        let manner = Manner { prefetch: 100, gives_back: 5, swallows, ..Manner::default() };
        let consumer = self.start_consumer(third, MEADOW, manner)?;
        let publisher = self.publisher(second, TO_MEADOW, meadow, Some(LEG))?;
        let began = Instant::now();
        let slowest = publisher.finish()?;
        self.arrived(meadow)?;
        let tally = self.ledger.tally(meadow);
        self.narrator.say(&format!(
            "Published {} messages on node 2, consumed {} on node 3, in {}; {} were confirmed, the slowest after {}. The \
             consumer gave 5 back: redelivered.",
            tally.sent,
            tally.delivered,
            ms(began.elapsed()),
            tally.confirmed,
            ms(slowest)
        ))?;
        consumer.stop()
    }

    /// Node 3 becomes the home of `burrow`, and consumes `meadow`; publishers go on while all of that lasts.
    fn set_the_scene(&self, first: &Node, second: &Node, third: &Node) -> Result<Scene> {
        let mut client = connect(third)?;
        client.declare(BURROW)?;
        client.close()?;
        let (meadow, burrow) = (self.ledger.open("meadow, later"), self.ledger.open(BURROW));
        let holding = Manner { prefetch: 100, holds: HELD, ..Manner::default() };
        let taking = Manner { prefetch: TAKEN, holds: usize::MAX, ..Manner::default() };
        let to_burrow = Assignment { to: TO_BURROW, stream: burrow, count: None, deaf: false };
        let scene = Scene {
            meadow,
            burrow,
            doomed: self.start_consumer(third, MEADOW, holding)?,
            other: self.start_consumer(second, MEADOW, Manner { prefetch: 100, ..Manner::default() })?,
            orphan: self.start_consumer(first, BURROW, taking)?,
            to_meadow: self.publisher(second, TO_MEADOW, meadow, None)?,
            to_burrow: self.start_publisher(second, Assignment { deaf: self.ignore_returns, ..to_burrow })?,
        };
        self.narrator.say(&format!(
            "Queue `burrow` is declared on node 3 and consumed on node 1. `meadow` is now consumed on nodes 2 and 3; the \
             consumer on node 3 keeps {HELD} messages unacknowledged."
        ))?;
        let enough = u64::from(TAKEN) + LEG;
        let deadline = self.narrator.within(STEP_WAIT);
        let busy = self.ledger.wait(meadow, deadline, |tally| tally.delivered >= LEG)?
            && self.ledger.wait(burrow, deadline, |tally| tally.confirmed >= enough)?;
        ensure!(busy, "{LEG} messages through `meadow` and {enough} confirmed by `burrow` take too long");
        Ok(scene)
    }

    /// Gives when that was, and what goes on: the publisher to `meadow` and the consumer on node 2.
    fn kill(&self, scene: Scene, first: &Node, third: &Node) -> Result<(Instant, Publisher, Consumer)> {
        let Scene { meadow, burrow, to_meadow, to_burrow, doomed, other, orphan } = scene;
        let before = self.ledger.tally(meadow);
        let killed = Instant::now();
        self.nodes.kill(third)?;
        self.narrator.say("Node 3 is killed (SIGKILL), while publishers on node 2 go on.")?;
        let deadline = self.narrator.within(STEP_WAIT);
        ensure!(doomed.join()? == Ending::Lost, "the consumer on node 3 did not lose its connection");
        let wanted = before.redelivered + HELD as u64;
        let back = self.ledger.wait(meadow, deadline, |tally| tally.redelivered >= wanted)?;
        ensure!(back, "what the consumer on node 3 had on its hands did not come back to `meadow`");
        self.narrator.say(&format!(
            "{} later all it had on its hands came from `meadow` to the consumer on node 2, marked as redelivered.",
            ms(killed.elapsed())
        ))?;
        let mut patience = connect(first)?;
        while !orphan.ended() {
            ensure!(Instant::now() < deadline, "the consumer of `burrow` on node 1 is not cancelled");
            patience.poll(Instant::now() + TRY_AGAIN)?;
        }
        patience.close()?;
        let Ending::Cancelled(at) = orphan.join()? else { bail!("the consumer on node 1 is not cancelled") };
        self.ledger.home_known_dead(burrow, at);
        self.narrator.say(&format!(
            "The consumer of `burrow` on node 1 got basic.cancel {} after the kill.",
            ms(at.duration_since(killed))
        ))?;
        let enough = self.ledger.tally(burrow).sent + 50;
        let went_on = self.ledger.wait(burrow, deadline, |tally| tally.sent >= enough)?;
        ensure!(went_on, "the publisher to `burrow` is held up");
        let slowest = to_burrow.stop()?;
        let tally = self.ledger.tally(burrow);
        self.narrator.say(&format!(
            "Its publisher on node 2 has an answer to each of {} publishes: {} confirmed; {} nacked or returned, the \
             slowest after {}.",
            tally.sent,
            tally.confirmed,
            tally.refused,
            ms(slowest)
        ))?;
        self.narrator.say(&format!(
            "`meadow` went on all the time: {} messages came through since the kill.",
            self.ledger.tally(meadow).delivered - before.delivered
        ))?;
        Ok((killed, to_meadow, other))
    }

    /// The name of the queue that died with node 3 is free again after a while.
    fn declare_anew(&self, first: &Node, second: &Node, killed: Instant) -> Result<()> {
        let mut client = connect(first)?;
        let deadline = self.narrator.within(STEP_WAIT);
        loop {
            match client.declare(BURROW) {
                Ok(()) => break,
                Err(ClientError::ChannelClosed { .. }) if Instant::now() < deadline => {
                    client.open_channel()?;
                    client.poll(Instant::now() + TRY_AGAIN)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        client.close()?;
        self.narrator
            .say(&format!("`burrow` is declared anew on node 1, {} after the kill.", ms(killed.elapsed())))?;
        let burrow = self.ledger.open("burrow, anew");
        let consumer = self.start_consumer(second, BURROW, Manner { prefetch: 100, ..Manner::default() })?;
        self.publisher(second, TO_BURROW, burrow, Some(LEG))?.finish()?;
        self.arrived(burrow)?;
        consumer.stop()?;
        self.narrator.say(&format!("{LEG} messages went through it from node 2 to node 2."))
    }

    fn join_a_fourth(&mut self, first: &Node, second: &Node) -> Result<Node> {
        let starting = self.nodes.start(&[first.cluster, second.cluster])?;
        let fourth = starting.ready(self.narrator.within(READY_WAIT))?;
        self.say_joined(&fourth, "the addresses of nodes 1 and 2")?;
        Ok(fourth)
    }

    /// The fourth node consumes `meadow` alone and is the home of a queue that others use.
    fn serve_on_the_fourth(
        &self,
        first: &Node,
        second: &Node,
        fourth: &Node,
        meadow: StreamId,
    ) -> Result<()> {
        let began = Instant::now();
        let before = self.ledger.tally(meadow).delivered;
        let mut client = connect(fourth)?;
        client.declare(WARREN)?;
        client.close()?;
        let warren = self.ledger.open(WARREN);
        let consumer = self.start_consumer(second, WARREN, Manner { prefetch: 100, ..Manner::default() })?;
        self.publisher(first, TO_WARREN, warren, Some(LEG))?.finish()?;
        self.arrived(warren)?;
        consumer.stop()?;
        let deadline = self.narrator.within(STEP_WAIT);
        let through = self.ledger.wait(meadow, deadline, |tally| tally.delivered >= before + LEG)?;
        ensure!(through, "the consumer of `meadow` on node 4 does not get {LEG} messages");
        self.narrator.say(&format!(
            "Node 4 took over the consuming of `meadow`, and queue `warren` on it carried {LEG} messages from node 1 to \
             node 2, in {}.",
            ms(began.elapsed())
        ))
    }

    /// Everything was consumed, so every living queue is empty. What is left all the same is counted.
    fn nothing_left(&self, first: &Node, fourth: &Node) -> Result<()> {
        let mut client = connect(first)?;
        for queue in [MEADOW, BURROW, WARREN] {
            while let Some(left) = client.get(queue)? {
                self.ledger.delivered(Label::decode(&left.body), left.origin.redelivered(), true);
                if let Some(delivery_tag) = left.origin.delivery_tag() {
                    client.ack(delivery_tag, false);
                }
            }
        }
        client.close()?;
        self.narrator.say(&format!(
            "All publishers and consumers have stopped; `meadow`, `burrow` and `warren` are empty. Nodes 1, 2 and {} \
             serve on.",
            fourth.number
        ))
    }

    fn start_consumer(&self, node: &Node, queue: &'static str, manner: Manner) -> Result<Consumer> {
        Consumer::start(&self.ledger, node.amqp, queue, manner)
            .with_context(|| format!("a consumer of `{queue}` on node {}", node.number))
    }

    fn publisher(&self, node: &Node, to: Target, stream: StreamId, count: Option<u64>) -> Result<Publisher> {
        self.start_publisher(node, Assignment { to, stream, count, deaf: false })
    }

    fn start_publisher(&self, node: &Node, assignment: Assignment) -> Result<Publisher> {
        let wait = self.narrator.patient(ANSWERS_WAIT);
        Publisher::start(&self.ledger, node.amqp, assignment, wait)
            .with_context(|| format!("a publisher on node {}", node.number))
    }

    /// Waits until all that was confirmed has arrived. What has not by then is counted as lost at the end.
    fn arrived(&self, stream: StreamId) -> Result<()> {
        let deadline = self.narrator.within(ARRIVAL_WAIT);
        let all = self.ledger.wait(stream, deadline, |tally| tally.awaited == 0 && tally.lost == 0)?;
        if !all {
            let Tally { name, lost, .. } = self.ledger.tally(stream);
            self.narrator.say(&format!("{lost} confirmed messages of `{name}` did not arrive in time."))?;
        }
        Ok(())
    }
}

fn connect(node: &Node) -> Result<Client> {
    Client::connect(node.amqp).with_context(|| format!("node {}", node.number))
}
