//! A consumer: a thread with a connection of its own that takes messages and enters them into the ledger.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use leveret_client::{Event, Message};

use crate::client::{Client, ClientError};
use crate::demo::ledger::{Label, Ledger};

/// How long a consumer waits for a message before it looks whether it is to stop.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Its name on its channel; there is one a channel.
const TAG: &str = "demo";

/// What a consumer does with messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// Unacknowledged messages that the broker may leave with it.
    pub(super) prefetch: u16,
    /// Messages that it keeps unacknowledged, the last that came; so many are on its hands at any time.
    pub(super) holds: usize,
    /// Messages that it gives back to the queue, the first that came.
    pub(super) gives_back: usize,
    /// Swallows this delivery before it is counted: a message lost on purpose, to see that it is found out.
    pub(super) swallows: Option<u64>,
}

/// How a consumer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was told to.
    Stopped,
    /// The broker said that its queue is gone, at this time.
    Cancelled(Instant),
    /// Its connection is lost.
    Lost,
}

/// A running consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Ending>>,
}

impl Consumer {
    /// Connects and starts to consume.
    pub(super) fn start(
        ledger: &Arc<Ledger>,
        broker: SocketAddr,
        queue: &'static str,
        manner: Manner,
    ) -> Result<Self> {
        let mut client = Client::connect(broker)?;
        client.consume(queue, TAG, manner.prefetch)?;
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            client,
            ledger: Arc::clone(ledger),
            manner,
            stop: Arc::clone(&stop),
            came: 0,
            last: None,
            held: Vec::new(),
        };
        let ledger = Arc::clone(ledger);
        let thread = thread::spawn(move || {
            work.run().inspect_err(|error| ledger.fail(format!("a consumer: {error:#}")))
        });
        Ok(Self { stop, thread })
    }

    /// Has it acknowledge everything, cancel and go.
    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.join()? {
            Ending::Stopped => Ok(()),
            other => bail!("a consumer of a living queue ended: {other:?}"),
        }
    }

    /// Whether it has ended.
    pub(super) fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// How it ended; waits for that.
    pub(super) fn join(self) -> Result<Ending> {
        match self.thread.join() {
            Ok(ending) => ending,
            Err(_) => bail!("a consumer panicked"),
        }
    }
}

struct Work {
    client: Client,
    ledger: Arc<Ledger>,
    manner: Manner,
    stop: Arc<AtomicBool>,
    came: u64,
    /// The last one that came without the mark of a redelivery.
    last: Option<Label>,
    /// Delivery tags that are not acknowledged, oldest first.
    held: Vec<u64>,
}

impl Work {
    fn run(mut self) -> Result<Ending> {
        let ended = self.consume().and_then(|ending| self.client.close().map(|()| ending));
        match ended {
            Ok(ending) => Ok(ending),
            Err(ClientError::Lost { .. }) => Ok(Ending::Lost),
            Err(error) => Err(error.into()),
        }
    }

    fn consume(&mut self) -> Result<Ending, ClientError> {
        loop {
            match self.client.poll(Instant::now() + LOOK_UP)? {
                Some(Event::Message { message, .. }) => self.on_message(&message),
                Some(Event::Cancelled { .. }) => return Ok(Ending::Cancelled(Instant::now())),
                Some(_) | None => {}
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.client.cancel(TAG)?;
        while let Some(Event::Message { message, .. }) = self.client.poll(Instant::now())? {
            self.on_message(&message);
        }
        if let Some(last) = self.held.last() {
            self.client.ack(*last, true);
        }
        Ok(Ending::Stopped)
    }

    fn on_message(&mut self, message: &Message) {
        let Some(delivery_tag) = message.origin.delivery_tag() else { return };
        self.came += 1;
        let (label, redelivered) = (Label::decode(&message.body), message.origin.redelivered());
        if self.manner.swallows != Some(self.came) {
            let in_order = redelivered || self.is_next(label);
            self.ledger.delivered(label, redelivered, in_order);
        }
        if self.manner.gives_back > 0 {
            self.manner.gives_back -= 1;
            return self.client.nack(delivery_tag);
        }
        self.held.push(delivery_tag);
        if self.held.len() > self.manner.holds {
            self.client.ack(self.held.remove(0), false);
        }
    }

    /// Whether this one is behind all that came before it. A queue has one stream of messages here.
    fn is_next(&mut self, label: Option<Label>) -> bool {
        let before = std::mem::replace(&mut self.last, label);
        match (before, label) {
            (Some(before), Some(label)) => before.stream == label.stream && before.number < label.number,
            _ => true,
        }
    }
}
