//! Mail between the threads of a node: one queue for each receiver, and a wake-up only for one that sleeps.
//!
//! Invariant: what one thread sends to another arrives in order, and mail that a thread sends because of mail
//! it got arrives behind what caused it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{Registry, Token, Waker};

/// The receiving end; lives with the thread's event loop.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    mail: Receiver<T>,
    sleeping: Arc<AtomicBool>,
}

/// The sending end.
///
/// Unbounded, because every sender is bounded by its own rule: records by the credit of their outbox, changes
/// by R1's acks, sockets by `limits::CONNECTIONS_MAX`.
#[derive(Debug)]
pub(crate) struct MailTo<T> {
    mail: Sender<T>,
    sleeping: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl<T> Clone for MailTo<T> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone(), sleeping: Arc::clone(&self.sleeping), waker: Arc::clone(&self.waker) }
    }
}

/// Both ends, for an event loop that shows `token` when there is mail.
///
/// # Errors
/// The system gives no more event descriptors.
pub(crate) fn mailbox<T>(registry: &Registry, token: Token) -> io::Result<(Mailbox<T>, MailTo<T>)> {
    let (sender, receiver) = unbounded();
    let sleeping = Arc::new(AtomicBool::new(false));
    let waker = Arc::new(Waker::new(registry, token)?);
    let address = MailTo { mail: sender, sleeping: Arc::clone(&sleeping), waker };
    Ok((Mailbox { mail: receiver, sleeping }, address))
}

impl<T> Mailbox<T> {
    /// The next piece of mail.
    pub(crate) fn take(&self) -> Option<T> {
        self.mail.try_recv().ok()
    }

    /// To be called before the event loop sleeps: true if it may, false if there is mail.
    #[must_use]
    pub(crate) fn may_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.mail.is_empty() {
            return true;
        }
        self.sleeping.store(false, Ordering::SeqCst);
        false
    }

    /// To be called when the event loop is awake.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

impl<T> MailTo<T> {
    /// Sends. Mail for a thread that has ended is dropped: the node is stopping.
    pub(crate) fn send(&self, mail: T) {
        if self.mail.send(mail).is_ok() && self.sleeping.swap(false, Ordering::SeqCst) {
            // A failed wake-up would be a closed descriptor: the thread has ended.
            let _ = self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Duration;

    #[test]
    fn a_sleeper_is_woken_and_one_that_is_awake_is_not() {
        let mut poll = Poll::new().unwrap();
        let (mailbox, address) = mailbox::<u32>(poll.registry(), Token(7)).unwrap();
        let mut events = Events::with_capacity(4);
        address.send(1);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "nobody slept");
        assert!(!mailbox.may_sleep(), "there is mail");
        assert_eq!(mailbox.take(), Some(1));
        assert!(mailbox.may_sleep());
        address.send(2);
        poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert_eq!(events.iter().next().map(mio::event::Event::token), Some(Token(7)));
        assert_eq!(mailbox.take(), Some(2));
    }
}
