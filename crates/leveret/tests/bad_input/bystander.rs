//! Somebody who does nothing wrong: 1,000 confirmed messages a second through a queue, each with its number.
//!
//! Publishing does not wait for confirms, and times are taken by the threads that read; so a node that stalls shows in
//! every message of that time.
//!
//! What the machine does to programs while others use it is no fault of the node. It is measured, not guessed: a second
//! bystander does the same at the same time at a node that nobody else uses, the *reference*.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::node::Node;
use crate::speaker::{Heard, Speaker, publish};

const EVERY: Duration = Duration::from_millis(1);
/// The bar. Of each case 99 of 100 must keep it, or be no slower than those of the reference in the same time; 90 of 100,
/// and 99 of 100 over all cases of a test, must keep it whatever the reference says.
const LATENCY_MAX: Duration = Duration::from_millis(50);
/// Confirms that a case is judged by, at least: with ten of them beyond it, a p99 says more than one message does. So a
/// case lasts for a second or longer.
const CONFIRMS_MIN: usize = 1_000;
const QUEUE: &str = "bystander";

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    delivered: AtomicU64,
    confirms: Mutex<Confirms>,
    progress: Condvar,
}

#[derive(Default)]
struct Confirms {
    /// When each publish that waits for its answer was written; the first has the number `next`.
    sent_at: VecDeque<Instant>,
    confirmed: u64,
    /// Since the last judgement.
    took: Vec<Duration>,
}

/// The bystander; to be judged after each case.
pub(crate) struct Bystander {
    watched: Stream,
    reference: Stream,
    /// What each confirm took, of all cases.
    judged: RefCell<Vec<Duration>>,
    /// Of the reference.
    _calm: Node,
}

impl Bystander {
    pub(crate) fn start(node: SocketAddr) -> Self {
        let calm = Node::start(&[]);
        let (watched, reference) = (Stream::start(node), Stream::start(calm.amqp));
        // what the start costs belongs to no case
        let bystander = Self { watched, reference, judged: RefCell::default(), _calm: calm };
        bystander.take();
        bystander
    }

    /// Judges what was confirmed since the last time.
    pub(crate) fn judge(&self, case: &str) {
        let [mut took, calm] = self.take();
        say(case, &took);
        say("  the reference", &calm);
        let bar = LATENCY_MAX.max(share(&calm, 99));
        assert!(share(&took, 90) <= LATENCY_MAX, "the bystander in {case}: {}", report(&took));
        assert!(share(&took, 99) <= bar, "the bystander in {case}: {}, bar {bar:.1?}", report(&took));
        self.judged.borrow_mut().append(&mut took);
    }

    /// What confirms took since the last time, of the bystander and of the reference; sorted.
    fn take(&self) -> [Vec<Duration>; 2] {
        [&self.watched, &self.reference].map(|stream| {
            stream.wait_for_confirms(CONFIRMS_MIN);
            stream.take()
        })
    }

    /// Ends; nothing was lost, refused, repeated or out of order.
    pub(crate) fn end(self) {
        let mut took = self.judged.into_inner();
        took.sort_unstable();
        say("all cases", &took);
        assert!(share(&took, 99) <= LATENCY_MAX, "the bystander in all cases: {}", report(&took));
        self.watched.end();
        self.reference.end();
    }
}

/// Messages through one queue of one node.
struct Stream {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    fn start(node: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let mut consumer = Speaker::open(node, &[]);
        consumer.declare(QUEUE);
        consumer.consume(QUEUE, true);
        let mut publisher = Speaker::open(node, &["connection.blocked", "publisher_confirms"]);
        publisher.confirms();
        let mut answers = publisher.stream.try_clone().map(Speaker::from_stream).expect("a socket");
        let (send, count, listen) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || send.publish(&mut publisher)),
            thread::spawn(move || count.consume(&mut consumer)),
            thread::spawn(move || listen.confirm(&mut answers)),
        ];
        Self { shared, threads }
    }

    fn wait_for_confirms(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut confirms = self.shared.confirms.lock().expect("the bystander's threads do well");
        while confirms.took.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the bystander stands still");
            confirms = self.shared.progress.wait_timeout(confirms, left).expect("no panic").0;
        }
    }

    /// What confirms took since the last time, sorted.
    fn take(&self) -> Vec<Duration> {
        let mut confirms = self.shared.confirms.lock().expect("the bystander's threads do well");
        let mut took = std::mem::take(&mut confirms.took);
        drop(confirms);
        took.sort_unstable();
        took
    }

    fn end(self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let sent = self.shared.sent.load(Ordering::SeqCst);
        let confirmed = self.shared.confirms.lock().expect("no panic").confirmed;
        let delivered = self.shared.delivered.load(Ordering::SeqCst);
        assert_eq!((confirmed, delivered), (sent, sent), "confirmed and delivered of what was sent");
    }
}

#[expect(clippy::print_stdout, reason = "seen when a test fails, and with --nocapture")]
fn say(case: &str, took: &[Duration]) {
    println!("{case}: {}", report(took));
}

/// Of sorted times: so many of a hundred took no longer.
fn share(took: &[Duration], percent: usize) -> Duration {
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

/// Of sorted times.
fn report(took: &[Duration]) -> String {
    let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| share(took, percent));
    format!("{} confirmed, p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, most {most:.1?}", took.len())
}

impl Shared {
    fn is_over(&self, done: u64) -> bool {
        self.stop.load(Ordering::SeqCst) && done == self.sent.load(Ordering::SeqCst)
    }

    fn publish(&self, publisher: &mut Speaker) {
        let mut due = Instant::now();
        let mut out = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let now = Instant::now();
            if let Some(early) = due.checked_duration_since(now) {
                thread::park_timeout(early);
                continue;
            }
            due += EVERY;
            let number = self.sent.load(Ordering::SeqCst);
            out.clear();
            publish(1, QUEUE, &number.to_be_bytes(), &mut out);
            self.confirms.lock().expect("no panic").sent_at.push_back(Instant::now());
            self.sent.store(number + 1, Ordering::SeqCst);
            publisher.say_bytes(&out);
        }
    }

    fn confirm(&self, answers: &mut Speaker) {
        let mut deadline = Instant::now() + PATIENCE;
        let mut confirmed = 0;
        while !self.is_over(confirmed) {
            let Some(heard) = answers.hear_within(Duration::from_millis(100)) else {
                assert!(Instant::now() < deadline, "no answers to the bystander's publishes");
                continue;
            };
            deadline = Instant::now() + PATIENCE;
            let Heard::Confirm { number, multiple, ok: true } = heard else {
                panic!("to the bystander's publishes: {heard:?}");
            };
            let mut confirms = self.confirms.lock().expect("no panic");
            assert!(number > confirmed && (multiple || number == confirmed + 1), "answer to {number}");
            for _ in confirmed..number {
                let sent_at = confirms.sent_at.pop_front().expect("answered once");
                confirms.took.push(sent_at.elapsed());
            }
            confirmed = number;
            confirms.confirmed = number;
            self.progress.notify_all();
        }
    }

    fn consume(&self, consumer: &mut Speaker) {
        let mut deadline = Instant::now() + PATIENCE;
        let mut next = 0;
        while !self.is_over(next) {
            let Some(heard) = consumer.hear_within(Duration::from_millis(100)) else {
                assert!(Instant::now() < deadline, "no deliveries to the bystander");
                continue;
            };
            deadline = Instant::now() + PATIENCE;
            let Heard::Delivery { body, .. } = heard else { panic!("to the bystander: {heard:?}") };
            assert_eq!(body, next.to_be_bytes(), "the bystander's messages come once and in order");
            next += 1;
            self.delivered.store(next, Ordering::SeqCst);
        }
    }
}
