//! A client that does nothing wrong: 1,000 confirmed messages a second through a queue, each with its number.
//!
//! After each case the bystander must still be served; at the end nothing of its was lost, refused, repeated or
//! out of order. How long its messages took is no matter here: the machine's other programs would be measured
//! with the node. `docs/proof/run` has that figure, beside the same load at a node without the offender.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::speaker::{Heard, Speaker, publish};

const EVERY: Duration = Duration::from_millis(1);
/// Messages that must be confirmed and delivered after a case, so that some of them were published behind it.
const MESSAGES_AFTER: u64 = 100;
/// How long its readers wait before they look whether the publisher has ended.
const LOOK: Duration = Duration::from_millis(100);
const QUEUE: &str = "bystander";

#[derive(Default)]
struct Shared {
    /// The publisher is to end.
    stop: AtomicBool,
    /// It has ended: no message more is counted as sent.
    all_sent: AtomicBool,
    counts: Mutex<Counts>,
    progress: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    confirmed: u64,
    delivered: u64,
}

/// The bystander; to be asked after each case.
pub(crate) struct Bystander {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Bystander {
    pub(crate) fn start(node: SocketAddr) -> Self {
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

    /// Waits until messages that it published after this call are confirmed and delivered.
    pub(crate) fn is_served(&self, case: &str) {
        let enough = self.shared.counts().sent + MESSAGES_AFTER;
        let served = |counts: &Counts| counts.confirmed.min(counts.delivered) >= enough;
        let counts = self.shared.counts.lock().expect("no panic");
        let waited = self.shared.progress.wait_timeout_while(counts, PATIENCE, |counts| !served(counts));
        let (counts, timeout) = waited.expect("no panic");
        assert!(!timeout.timed_out(), "the bystander after {case}: {counts:?}, {enough} expected");
    }

    /// Ends; nothing was lost, refused, repeated or out of order.
    pub(crate) fn end(self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let Counts { sent, confirmed, delivered } = self.shared.counts();
        assert_eq!((confirmed, delivered), (sent, sent), "confirmed and delivered of what was sent");
    }
}

impl Shared {
    fn counts(&self) -> Counts {
        *self.counts.lock().expect("no panic")
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().expect("no panic"));
        self.progress.notify_all();
    }

    /// The publisher has ended, and this much is all that it sent.
    fn is_over(&self, done: u64) -> bool {
        self.all_sent.load(Ordering::SeqCst) && done == self.counts().sent
    }

    /// What comes next for the publisher or the consumer; nothing when that was all.
    fn next(&self, speaker: &mut Speaker, done: u64) -> Option<Heard> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_over(done) {
            // short, for the publisher may end when all is answered
            if let Some(heard) = speaker.hear_within(LOOK) {
                return Some(heard);
            }
            assert!(Instant::now() < deadline, "nothing comes to the bystander: {:?}", self.counts());
        }
        None
    }

    fn publish(&self, publisher: &mut Speaker) {
        let mut due = Instant::now();
        let mut out = Vec::new();
        let mut number = 0u64;
        while !self.stop.load(Ordering::SeqCst) {
            let now = Instant::now();
            if let Some(early) = due.checked_duration_since(now) {
                thread::park_timeout(early);
                continue;
            }
            due += EVERY;
            out.clear();
            publish(1, QUEUE, &number.to_be_bytes(), &mut out);
            number += 1;
            // counted first: its confirm may be here before this thread goes on
            self.count(|counts| counts.sent = number);
            publisher.say_bytes(&out);
        }
        self.all_sent.store(true, Ordering::SeqCst);
    }

    fn confirm(&self, answers: &mut Speaker) {
        let mut confirmed = 0;
        while let Some(heard) = self.next(answers, confirmed) {
            let Heard::Confirm { number, multiple, ok: true } = heard else {
                panic!("to the bystander's publishes: {heard:?}");
            };
            assert!(number > confirmed && (multiple || number == confirmed + 1), "answer to {number}");
            confirmed = number;
            self.count(|counts| counts.confirmed = number);
        }
    }

    fn consume(&self, consumer: &mut Speaker) {
        let mut number = 0;
        while let Some(heard) = self.next(consumer, number) {
            let Heard::Delivery { body, .. } = heard else { panic!("to the bystander: {heard:?}") };
            assert_eq!(body, number.to_be_bytes(), "the bystander's messages come once and in order");
            number += 1;
            self.count(|counts| counts.delivered = number);
        }
    }
}
