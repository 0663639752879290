//! Memory that queues gave up goes back to the system.
//!
//! The allocator keeps what is freed for what is allocated next, and its heaps shrink only from their ends. So
//! a node whose queues were purged would stay as large as it was. When much less is in use than was, the
//! allocator is asked to give its free pages back: by a thread of its own, for that takes some milliseconds,
//! and a while later, for queues that breathe take them again at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, after, bounded};
use leveret_model::limits;
use tracing::{debug, warn};

/// Asks the allocator when it is worth it.
#[derive(Debug)]
pub(crate) struct Release {
    /// The most that was in use since it was asked last, bytes.
    peak: AtomicU64,
    give_back: fn(),
    /// To the thread, which begins when it is needed first and ends with this.
    wake: OnceLock<Sender<()>>,
}

impl Release {
    /// `give_back` asks the allocator to give back what is free.
    pub(crate) fn new(give_back: fn()) -> Self {
        Self { peak: AtomicU64::new(0), give_back, wake: OnceLock::new() }
    }

    /// So much is in use. hot: once a turn.
    #[inline]
    pub(crate) fn note(&self, used: u64) {
        let peak = self.peak.load(Ordering::Relaxed);
        if used > peak {
            self.peak.store(used, Ordering::Relaxed);
        } else if is_worth_it(peak, used) {
            self.peak.store(used, Ordering::Relaxed);
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let wake = self.wake.get_or_init(|| {
            let (wake, woken) = bounded(1);
            let give_back = self.give_back;
            let work = move || work(&woken, give_back);
            if let Err(error) = thread::Builder::new().name("release".into()).spawn(work) {
                warn!(%error, "no thread to give memory back to the system: the process stays as large as it is");
            }
            wake
        });
        // one that is there already will do
        let _ = wake.try_send(());
    }
}

/// So much was given up that the system is to have it.
fn is_worth_it(peak: u64, used: u64) -> bool {
    let given_up = peak - used;
    given_up >= limits::RELEASE_BYTES_MIN && given_up >= peak / 100 * limits::RELEASE_PERCENT_MIN
}

fn work(woken: &Receiver<()>, give_back: fn()) {
    while woken.recv().is_ok() {
        let _ = after(limits::RELEASE_AFTER).recv();
        let _ = woken.try_recv();
        give_back();
        debug!("free memory was given back to the system");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    const M: u64 = 1 << 20;
    static GIVEN_BACK: Mutex<Option<Sender<()>>> = Mutex::new(None);

    fn tell() {
        let sender = GIVEN_BACK.lock().unwrap();
        let _ = sender.as_ref().expect("the test waits").send(());
    }

    #[test]
    fn much_that_is_given_up_goes_back_and_little_or_what_is_in_use_does_not() {
        assert!(is_worth_it(200 * M, 0) && is_worth_it(200 * M, 150 * M));
        assert!(!is_worth_it(200 * M, 151 * M), "a queue that breathes");
        assert!(!is_worth_it(limits::RELEASE_BYTES_MIN - 1, 0));
        let (sender, given_back) = channel();
        *GIVEN_BACK.lock().unwrap() = Some(sender);
        let release = Release::new(tell);
        release.note(200 * M);
        release.note(199 * M);
        assert!(release.wake.get().is_none());
        release.note(M);
        given_back.recv_timeout(Duration::from_secs(60)).expect("it is given back");
        // from here on only what is taken and given up anew
        release.note(0);
        assert_eq!(release.peak.load(Ordering::Relaxed), M);
    }
}
