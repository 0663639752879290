//! Runs the publisher's and the consumer's thread of a round, watches them, and makes up the account.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use mio::Poll;

use super::plan::Plan;
use super::topology::Topology;
use crate::client::Client;
use crate::clock::Nanos;
use crate::consumer::{Consumed, Inlet, Schedule, consume};
use crate::counters::{Counters, UNBOUNDED};
use crate::histogram::Histogram;
use crate::ledger::Faults;
use crate::pacer::pace;
use crate::peer::Peer;
use crate::process::Usage;
use crate::publisher::{Bounds, Outlet, Published, publish};
use crate::rounds::{Console, Outcome};

/// How often the watching thread looks.
const LOOK: Duration = Duration::from_millis(10);

/// A moment of a round.
#[derive(Clone)]
struct Moment {
    at: Instant,
    received: u64,
    usage: Usage,
    crossings: Option<(u64, u64)>,
}

impl Moment {
    fn now(peer: &Peer, counters: &Counters) -> Result<Self> {
        let crossings = peer.crossings();
        Ok(Self {
            usage: peer.usage()?,
            received: counters.received.load(SeqCst),
            at: Instant::now(),
            crossings,
        })
    }
}

/// Both threads of a round.
pub(super) struct Threads<'s> {
    publisher: ScopedJoinHandle<'s, Result<(Published, Histogram)>>,
    consumer: ScopedJoinHandle<'s, Result<Consumed>>,
    ended: Receiver<Side>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Publisher,
    Consumer,
}

/// A round whose threads have ended.
pub(super) struct Finished {
    published: Published,
    consumed: Consumed,
    confirm_delays: Histogram,
    base: Moment,
    end: Moment,
}

impl<'s> Threads<'s> {
    /// Starts both.
    pub(super) fn start<'e>(
        scope: &'s Scope<'s, 'e>,
        plan: &'e Plan<'e>,
        counters: &'e Counters,
        (publisher_poll, mut outlets): (Poll, Vec<Outlet>),
        (consumer_poll, inlets): (Poll, Vec<Inlet>),
    ) -> Self {
        let flow = plan.flow;
        let schedule = plan.rate.map(|rate| Schedule {
            // a moment for both threads to be up
            start: Nanos(Nanos::now().0 + 20_000_000),
            rate: f64::from(rate),
            from: (f64::from(rate) * flow.warmup.as_secs_f64()) as u64,
        });
        let (end, ended) = channel();
        let (publisher_ends, consumer_ends) = (end.clone(), end);
        let consumer_schedule = schedule.clone();
        let consumer = scope.spawn(move || {
            let result = consume(consumer_poll, inlets, counters, plan.acks(), consumer_schedule, flow.drain);
            _ = consumer_ends.send(Side::Consumer);
            result
        });
        let publisher = scope.spawn(move || {
            let result = match schedule {
                None => {
                    let in_flight = if plan.confirm() { flow.in_flight } else { u64::MAX };
                    publish(publisher_poll, outlets, counters, &Bounds { in_flight, drain: flow.drain })
                        .map(|published| (published, Histogram::new()))
                }
                Some(schedule) => {
                    let measured =
                        flow.messages.unwrap_or((schedule.rate * flow.seconds.as_secs_f64()) as u64);
                    let outlet = outlets.swap_remove(0);
                    pace(outlet, schedule.from + measured, &schedule, counters, flow.drain)
                }
            };
            _ = publisher_ends.send(Side::Publisher);
            result
        });
        Self { publisher, consumer, ended }
    }

    /// Waits for both; an error stops both.
    pub(super) fn watch(
        self,
        plan: &Plan<'_>,
        peer: &Peer,
        counters: &Counters,
        console: &mut Console,
    ) -> Result<Finished> {
        self.wait(plan, peer, counters, console).inspect_err(|_| counters.stop())
    }

    /// Takes the moments at the end of the warm-up and at the end, and tells both threads what is to be done.
    fn wait(
        self,
        plan: &Plan<'_>,
        peer: &Peer,
        counters: &Counters,
        console: &mut Console,
    ) -> Result<Finished> {
        let mut stretch = Stretch::begin(peer, counters)?;
        let mut published = None;
        let mut broken = None;
        let mut publisher = Some(self.publisher);
        loop {
            match self.ended.recv_timeout(LOOK) {
                Ok(Side::Consumer) => break,
                Ok(Side::Publisher) => {
                    match join(publisher.take().ok_or_else(|| anyhow!("the publisher ended twice"))?) {
                        Ok((done, delays)) => {
                            let sent: u64 = done.outlets.iter().map(|outlet| outlet.sent).sum();
                            counters.set_expected(sent * u64::from(plan.fan));
                            published = Some((done, delays));
                        }
                        Err(error) => {
                            broken = Some(error);
                            counters.stop();
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if let Err(error) = console.go_on() {
                broken.get_or_insert(error);
                counters.stop();
            }
            stretch.go_on(plan, peer, counters)?;
            stretch.show(counters, console);
        }
        let end = Moment::now(peer, counters)?;
        if published.is_none() {
            counters.stop();
        }
        let consumed = join(self.consumer);
        if let Some(publisher) = publisher.take()
            && let Err(error) = join(publisher)
        {
            broken.get_or_insert(error);
        }
        let consumed = match (broken, consumed) {
            (Some(error), _) => return Err(error),
            (None, consumed) => consumed?,
        };
        let Some((published, confirm_delays)) = published else { bail!("the publisher did not end") };
        Ok(Finished { published, consumed, confirm_delays, base: stretch.base, end })
    }
}

/// How far a round has come: warm-up, then what is measured.
struct Stretch {
    started: Moment,
    /// Where measuring began: at the end of the warm-up, once that is over.
    base: Moment,
    warm: bool,
}

impl Stretch {
    fn begin(peer: &Peer, counters: &Counters) -> Result<Self> {
        let started = Moment::now(peer, counters)?;
        Ok(Self { base: started.clone(), started, warm: false })
    }

    /// Ends the warm-up and the sending when their time has come.
    fn go_on(&mut self, plan: &Plan<'_>, peer: &Peer, counters: &Counters) -> Result<()> {
        let flow = plan.flow;
        if !self.warm && self.started.at.elapsed() >= flow.warmup {
            self.warm = true;
            self.base = Moment::now(peer, counters)?;
            if let Some(messages) = flow.messages {
                counters.set_limit(counters.sent.load(SeqCst) + messages);
            }
        }
        if self.warm
            && flow.messages.is_none()
            && self.base.at.elapsed() >= flow.seconds
            && plan.rate.is_none()
            && counters.limit.load(SeqCst) == UNBOUNDED
        {
            // what was sent is more than that: nothing goes out any more
            counters.set_limit(0);
        }
        Ok(())
    }

    fn show(&self, counters: &Counters, console: &mut Console) {
        let seconds = self.started.at.elapsed().as_secs_f64().max(0.001);
        let received = counters.received.load(SeqCst) - self.started.received;
        console.progress.show(format_args!(
            "{seconds:.1} s{}, {received} received, {:.0}/s",
            if self.warm { "" } else { " (warm-up)" },
            received as f64 / seconds
        ));
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the benchmark panicked"))?
}

impl Finished {
    /// Says goodbye, deletes the queues and makes up the account.
    pub(super) fn close(self, plan: &Plan<'_>, peer: &Peer, topology: &mut Topology<'_>) -> Result<Outcome> {
        let mut faults = Faults::default();
        let sent: Vec<u64> = self.published.outlets.iter().map(|outlet| outlet.sent).collect();
        let total: u64 = sent.iter().sum();
        let connections = self.consumed.inlets.len();
        for (first, inlet) in self.consumed.inlets.into_iter().enumerate() {
            for (index, tally) in inlet.tallies.iter().enumerate() {
                let queue = first + index * connections;
                faults.add(&tally.ledger.close(sent[queue / plan.fan as usize]));
            }
            goodbye((inlet.stream, Vec::new()), peer)?;
        }
        for outlet in self.published.outlets {
            faults.unconfirmed += outlet.unconfirmed();
            goodbye((outlet.stream, outlet.inbox), peer)?;
        }
        faults.left_over = topology.delete()?;

        let mut outcome = Outcome { metrics: Vec::new(), faults };
        let millions = |messages: u64| (messages.max(1)) as f64 / 1e6;
        let received = self.end.received - self.base.received;
        let elapsed = self.consumed.last.saturating_duration_since(self.base.at).as_secs_f64();
        ensure!(
            received > 0,
            "nothing was received after the warm-up; make --seconds longer or --warmup shorter"
        );
        if !peer.pids.is_empty() {
            let cpu = self.end.usage.cpu_since(&self.base.usage).as_secs_f64();
            outcome.push("server CPU, s per million", cpu / millions(received));
        }
        let rate = received as f64 / elapsed.max(1e-6);
        outcome.push("messages/s", rate);
        delays(&mut outcome, &self.consumed.delays, DELIVERY);
        delays(&mut outcome, &self.confirm_delays, CONFIRM);
        if !peer.pids.is_empty() {
            outcome.push("server RSS, MiB", self.end.usage.rss_bytes as f64 / f64::from(1 << 20));
        }
        if let (Some((routed, crossed)), Some((routed_before, crossed_before))) =
            (self.end.crossings, self.base.crossings)
        {
            let share = (crossed - crossed_before) as f64 / (routed - routed_before).max(1) as f64;
            outcome.push("crossed shards, %", share * 100.0);
        }
        let publisher = self.published.cpu.as_secs_f64() / millions(total);
        outcome.push("publisher's CPU, s per million", publisher);
        let consumer = self.consumed.cpu.as_secs_f64() / millions(total * u64::from(plan.fan));
        outcome.push("consumer's CPU, s per million", consumer);
        Ok(outcome)
    }
}

const DELIVERY: [&str; 4] =
    ["delivery p50, µs", "delivery p99, µs", "delivery p99.9, µs", "delivery max, µs"];
const CONFIRM: [&str; 4] = ["confirm p50, µs", "confirm p99, µs", "confirm p99.9, µs", "confirm max, µs"];

fn delays(outcome: &mut Outcome, histogram: &Histogram, names: [&'static str; 4]) {
    if histogram.total() == 0 {
        return;
    }
    for (name, quantile) in names.into_iter().zip([0.5, 0.99, 0.999, 1.0]) {
        outcome.push(name, histogram.quantile(quantile).as_nanos() as f64 / 1e3);
    }
}

fn goodbye((stream, inbox): (std::net::TcpStream, Vec<u8>), peer: &Peer) -> Result<()> {
    stream.set_nonblocking(false)?;
    Client::from_parts(stream, inbox, peer.url.to_string()).close()
}
