//! Publishers and consumers that go on at another node when theirs sends them away.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leveret_client::{Event, Message, Origin};

use super::book::Book;
use crate::client::{Client, ClientError};
use crate::demo::ledger::{Label, Ledger, StreamId};
use crate::demo::pause;

/// Time between two messages of one publisher.
const PACE: Duration = Duration::from_millis(3);
/// What it may be behind and catch up with.
const BURST: Duration = Duration::from_millis(20);
/// Answers that may be outstanding.
const AWAITED_MAX: usize = 1_000;
/// Unacknowledged messages that the broker may leave with a consumer.
const PREFETCH: u16 = 50;
/// How long a consumer waits for a message before it looks whether it is to stop.
const LOOK_UP: Duration = Duration::from_millis(20);
/// Its name on its channel.
const TAG: &str = "demo";

/// What a client works on.
pub(super) struct Work {
    pub(super) ledger: Arc<Ledger>,
    pub(super) book: Arc<Book>,
    pub(super) queue: &'static str,
    pub(super) stream: StreamId,
    /// How long it looks for a node, and waits for answers at the end.
    pub(super) wait: Duration,
}

impl Work {
    /// Connects to some node of the book, whichever is there.
    fn connect(&self) -> Result<Client> {
        let deadline = Instant::now() + self.wait;
        loop {
            let connected = self.book.next().map(Client::connect);
            match connected {
                Some(Ok(client)) => return Ok(client),
                Some(Err(error)) if !is_sent_away(&error) => return Err(error.into()),
                Some(Err(_)) | None if Instant::now() < deadline => pause(LOOK_UP),
                Some(Err(error)) => return Err(error).context("no node takes a client"),
                None => bail!("no node is there to connect to"),
            }
        }
    }
}

/// The node is gone, or is about to go: the client is to connect to another one.
fn is_sent_away(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable { .. }
            | ClientError::Lost { .. }
            | ClientError::ConnectionClosed { code: 320, .. }
    )
}

/// Ended as it was to end, or by the node.
enum Session {
    Done,
    SentAway,
}

fn session(result: Result<()>) -> Result<Session> {
    match result {
        Ok(()) => Ok(Session::Done),
        Err(error) if error.downcast_ref().is_some_and(is_sent_away) => Ok(Session::SentAway),
        Err(error) => Err(error),
    }
}

/// What a publisher did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// Connections that it needed.
    pub(super) sessions: u32,
    /// The longest time from the first publish of a message to its answer.
    pub(super) slowest: Duration,
}

/// A running publisher.
pub(super) struct Publisher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Published>>,
}

impl Publisher {
    pub(super) fn start(work: Work) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let ledger = Arc::clone(&work.ledger);
            let publishing =
                Publishing { work, stop: told, awaited: VecDeque::new(), slowest: Duration::ZERO };
            publishing.run().inspect_err(|error| ledger.fail(format!("a publisher: {error:#}")))
        });
        Self { stop, thread }
    }

    /// Stops it once all it has sent is answered.
    pub(super) fn stop(self) -> Result<Published> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| bail!("a publisher panicked"))
    }
}

struct Awaited {
    /// On the connection of now.
    number: u64,
    label: Label,
    since: Instant,
}

struct Publishing {
    work: Work,
    stop: Arc<AtomicBool>,
    awaited: VecDeque<Awaited>,
    slowest: Duration,
}

impl Publishing {
    fn run(mut self) -> Result<Published> {
        let mut sessions = 0;
        loop {
            sessions += 1;
            let mut client = self.work.connect()?;
            if let Session::Done = session(self.publish(&mut client))? {
                // that the node leaves in this moment harms nothing
                let _ = client.close();
                return Ok(Published { sessions, slowest: self.slowest });
            }
        }
    }

    fn publish(&mut self, client: &mut Client) -> Result<()> {
        client.select_confirms()?;
        for awaited in &mut self.awaited {
            // it may be in the queue already: nobody can tell
            self.work.ledger.sent_again(awaited.label);
            awaited.number = client.publish("", self.work.queue, &awaited.label.encode())?;
        }
        let mut next = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= next && self.awaited.len() < AWAITED_MAX {
                let label = self.work.ledger.send(self.work.stream);
                self.awaited.push_back(Awaited { number: 0, label, since: now });
                let number = client.publish("", self.work.queue, &label.encode())?;
                self.awaited.back_mut().expect("just entered").number = number;
                next = (next + PACE).max(now.checked_sub(BURST).unwrap_or(now));
            }
            self.take_events(client, next)?;
        }
        let deadline = Instant::now() + self.work.wait;
        while !self.awaited.is_empty() {
            if Instant::now() >= deadline {
                bail!("{} publishes are not answered in time", self.awaited.len());
            }
            self.take_events(client, Instant::now() + LOOK_UP)?;
        }
        Ok(())
    }

    fn take_events(&mut self, client: &mut Client, deadline: Instant) -> Result<()> {
        let mut event = client.poll(deadline)?;
        while let Some(happened) = event {
            match happened {
                Event::Confirmed { number, taken, .. } => self.on_confirm(number, taken),
                Event::Message { message, .. } => match (message.origin, Label::decode(&message.body)) {
                    (Origin::Returned { .. }, Some(label)) => self.work.ledger.returned(label),
                    _ => bail!("a publisher was sent what is for consumers"),
                },
                _ => {}
            }
            event = client.poll(Instant::now())?;
        }
        Ok(())
    }

    fn on_confirm(&mut self, number: u64, taken: bool) {
        if let Ok(at) = self.awaited.binary_search_by_key(&number, |awaited| awaited.number)
            && let Some(awaited) = self.awaited.remove(at)
        {
            self.work.ledger.answered(awaited.label, taken);
            self.slowest = self.slowest.max(awaited.since.elapsed());
        }
    }
}

/// A running consumer.
pub(super) struct Consumer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32>>,
}

impl Consumer {
    /// `swallows` that delivery before it is counted: a message lost on purpose, to see that it is found out.
    pub(super) fn start(work: Work, swallows: Option<u64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let ledger = Arc::clone(&work.ledger);
            let consuming = Consuming { work, stop: told, swallows, came: 0, last: 0 };
            consuming.run().inspect_err(|error| ledger.fail(format!("a consumer: {error:#}")))
        });
        Self { stop, thread }
    }

    /// Has it acknowledge everything, cancel and go. Gives how many connections it needed.
    pub(super) fn stop(self) -> Result<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| bail!("a consumer panicked"))
    }
}

struct Consuming {
    work: Work,
    stop: Arc<AtomicBool>,
    swallows: Option<u64>,
    came: u64,
    /// The highest that came without the mark of a redelivery.
    last: u64,
}

impl Consuming {
    fn run(mut self) -> Result<u32> {
        let mut sessions = 0;
        loop {
            sessions += 1;
            let mut client = self.work.connect()?;
            if let Session::Done = session(self.consume(&mut client))? {
                let _ = client.close();
                return Ok(sessions);
            }
        }
    }

    fn consume(&mut self, client: &mut Client) -> Result<()> {
        client.consume(self.work.queue, TAG, PREFETCH)?;
        while !self.stop.load(Ordering::Relaxed) {
            match client.poll(Instant::now() + LOOK_UP)? {
                Some(Event::Message { message, .. }) => self.on_message(client, &message),
                Some(Event::Cancelled { .. }) => bail!("`{}` is gone", self.work.queue),
                Some(_) | None => {}
            }
        }
        client.cancel(TAG)?;
        while let Some(Event::Message { message, .. }) = client.poll(Instant::now())? {
            self.on_message(client, &message);
        }
        Ok(())
    }

    fn on_message(&mut self, client: &mut Client, message: &Message) {
        let Some(delivery_tag) = message.origin.delivery_tag() else { return };
        self.came += 1;
        let (label, redelivered) = (Label::decode(&message.body), message.origin.redelivered());
        let number = label.map_or(0, |label| label.number);
        let in_order = redelivered || number > self.last;
        if !redelivered {
            self.last = self.last.max(number);
        }
        if self.swallows != Some(self.came) {
            self.work.ledger.delivered(label, redelivered, in_order);
        }
        client.ack(delivery_tag, false);
    }
}

/// Publishes so many messages to a queue and waits until each is answered.
pub(super) fn fill(
    client: &mut Client,
    ledger: &Ledger,
    (queue, stream): (&str, StreamId),
    messages: u64,
) -> Result<()> {
    let mut awaited = VecDeque::new();
    for _ in 0..messages {
        let label = ledger.send(stream);
        awaited.push_back((client.publish("", queue, &label.encode())?, label));
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !awaited.is_empty() {
        match client.poll(deadline)? {
            Some(Event::Confirmed { number, taken, .. }) => {
                let at = awaited.iter().position(|(awaited, _)| *awaited == number);
                if let Some((_, label)) = at.and_then(|at| awaited.remove(at)) {
                    ledger.answered(label, taken);
                }
            }
            Some(_) => {}
            None => bail!("{} publishes to `{queue}` are not answered", awaited.len()),
        }
    }
    Ok(())
}
