//! A publisher: a thread with a connection of its own that publishes at a steady rate until it is told to stop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use leveret_client::{Event, Origin};

use crate::client::Client;
use crate::demo::ledger::{Label, Ledger, StreamId};

/// Time between two messages of one publisher.
const PACE: Duration = Duration::from_millis(2);
/// What it may be behind and catch up with.
const BURST: Duration = Duration::from_millis(20);
/// Answers that may be outstanding: the publisher then waits for them.
const AWAITED_MAX: usize = 5_000;

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) exchange: &'static str,
    pub(super) routing_key: &'static str,
}

/// What a publisher is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assignment {
    pub(super) to: Target,
    pub(super) stream: StreamId,
    /// So many messages, or without end.
    pub(super) count: Option<u64>,
    /// Does not hear that messages are returned, so that it takes for promised what was not: to see that such a
    /// promise is found out.
    pub(super) deaf: bool,
}

/// A running publisher.
#[derive(Debug)]
pub(super) struct Publisher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Duration>>,
}

impl Publisher {
    /// Connects and starts to publish; once it has published all, it waits so long for the answers that are
    /// left.
    pub(super) fn start(
        ledger: &Arc<Ledger>,
        broker: SocketAddr,
        assignment: Assignment,
        answers_wait: Duration,
    ) -> Result<Self> {
        let mut client = Client::connect(broker)?;
        client.select_confirms()?;
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            client,
            ledger: Arc::clone(ledger),
            assignment,
            answers_wait,
            stop: Arc::clone(&stop),
            awaited: VecDeque::new(),
            slowest: Duration::ZERO,
        };
        let ledger = Arc::clone(ledger);
        let thread = thread::spawn(move || {
            work.run().inspect_err(|error| ledger.fail(format!("a publisher: {error:#}")))
        });
        Ok(Self { stop, thread })
    }

    /// Stops it once all it has sent is answered; gives the longest time that an answer took.
    pub(super) fn stop(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits until it has sent and got answers for all it was to send.
    pub(super) fn finish(self) -> Result<Duration> {
        match self.thread.join() {
            Ok(slowest) => slowest,
            Err(_) => bail!("a publisher panicked"),
        }
    }
}

struct Work {
    client: Client,
    ledger: Arc<Ledger>,
    assignment: Assignment,
    answers_wait: Duration,
    stop: Arc<AtomicBool>,
    /// When each publish without an answer was sent, by its number.
    awaited: VecDeque<(u64, Instant)>,
    slowest: Duration,
}

impl Work {
    fn run(mut self) -> Result<Duration> {
        let count = self.assignment.count.unwrap_or(u64::MAX);
        let mut next = Instant::now();
        let mut sent = 0;
        while sent < count && !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= next && self.awaited.len() < AWAITED_MAX {
                sent += 1;
                self.publish(sent, now)?;
                // Short waits last longer than asked for and are caught up with; a publisher that was held up
                // is not.
                next = (next + PACE).max(now.checked_sub(BURST).unwrap_or(now));
            }
            self.take_events(next)?;
        }
        let deadline = Instant::now() + self.answers_wait;
        while !self.awaited.is_empty() {
            if Instant::now() >= deadline {
                bail!("{} publishes are not answered within {:?}", self.awaited.len(), self.answers_wait);
            }
            self.take_events(deadline)?;
        }
        self.client.close()?;
        Ok(self.slowest)
    }

    fn publish(&mut self, expected: u64, now: Instant) -> Result<()> {
        let label = self.ledger.send(self.assignment.stream);
        let Target { exchange, routing_key } = self.assignment.to;
        let number = self.client.publish(exchange, routing_key, &label.encode())?;
        assert_eq!(
            (number, label.number),
            (expected, expected),
            "one stream has one publisher and one channel"
        );
        self.awaited.push_back((number, now));
        Ok(())
    }

    /// Takes the next event, and those that came with it.
    fn take_events(&mut self, deadline: Instant) -> Result<()> {
        let mut event = self.client.poll(deadline)?;
        while let Some(happened) = event {
            match happened {
                Event::Confirmed { number, taken, .. } => self.on_confirm(number, taken),
                Event::Message { message, .. } if matches!(message.origin, Origin::Returned { .. }) => {
                    if let Some(label) = Label::decode(&message.body).filter(|_| !self.assignment.deaf) {
                        self.ledger.returned(label);
                    }
                }
                Event::Message { .. } | Event::Cancelled { .. } => {
                    bail!("a publisher was sent what is for consumers")
                }
                _ => {}
            }
            event = self.client.poll(Instant::now())?;
        }
        Ok(())
    }

    fn on_confirm(&mut self, number: u64, taken: bool) {
        self.ledger.answered(Label { stream: self.assignment.stream, number }, taken);
        if let Ok(at) = self.awaited.binary_search_by_key(&number, |(number, _)| *number)
            && let Some((_, since)) = self.awaited.remove(at)
        {
            self.slowest = self.slowest.max(since.elapsed());
        }
    }
}
