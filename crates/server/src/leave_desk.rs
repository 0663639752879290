//! The leave of a node as operators see it: one at a time, taken back, or waited for.
//!
//! Askers at the admin socket, signals and the node's own thread meet here. The node's thread carries it out
//! ([`Node::leave`](crate::Node::leave)).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use leveret_model::limits;

/// How a node ended, for whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The exit code of the process.
    pub code: u8,
    /// In words.
    pub text: &'static str,
    /// Queues that ended with it.
    pub queues: usize,
    /// Messages that ended with it.
    pub lost: u64,
}

/// Where the node is with its leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaveStage {
    /// It has not joined yet.
    Joining,
    Serving,
    /// Queues go to other nodes.
    Leaving,
    /// They are gone, or the time is over: clients are closed.
    Closing,
    Ended(Ending),
}

#[derive(Debug)]
struct State {
    stage: LeaveStage,
    waiting: usize,
}

/// The desk.
#[derive(Debug)]
pub(crate) struct LeaveDesk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for LeaveDesk {
    fn default() -> Self {
        let state = State { stage: LeaveStage::Joining, waiting: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

/// Whoever wants to take a leave back hears there whether it is, or why not.
pub(crate) type CancelAsked = Sender<Result<(), String>>;

/// What operators ask for, as the node's thread hears it.
#[derive(Debug)]
pub(crate) struct Leaves {
    pub(crate) desk: Arc<LeaveDesk>,
    /// The node is to leave within that time.
    pub(crate) asked: Receiver<Duration>,
    pub(crate) cancel_asked: Receiver<CancelAsked>,
}

/// Where operators ask.
#[derive(Clone, Debug)]
pub(crate) struct AskLeave {
    pub(crate) desk: Arc<LeaveDesk>,
    pub(crate) begin: Sender<Duration>,
    pub(crate) cancel: Sender<CancelAsked>,
}

/// Both ends.
pub(crate) fn leaves() -> (Leaves, AskLeave) {
    let desk = Arc::new(LeaveDesk::default());
    let ((begin, asked), (cancel, cancel_asked)) = (bounded(1), bounded(1));
    (Leaves { desk: Arc::clone(&desk), asked, cancel_asked }, AskLeave { desk, begin, cancel })
}

/// Those who wait for the end of a node, to be told once it has ended.
#[derive(Debug)]
pub struct Waiters(pub(crate) Arc<LeaveDesk>);

impl Waiters {
    /// Tells them, and gives them a moment to pass it on.
    pub fn tell(&self, ending: Ending) {
        self.0.end(ending);
    }
}

/// A place among those who wait for the end, given back when it goes.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a LeaveDesk);

impl LeaveDesk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // each change is one assignment
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self) -> LeaveStage {
        self.lock().stage.clone()
    }

    /// The node's own thread has got so far.
    pub(crate) fn set(&self, stage: LeaveStage) {
        self.lock().stage = stage;
        self.changed.notify_all();
    }

    /// An operator wants the leave. True for the one who begins it; else the stage says why not.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.lock();
        let begins = state.stage == LeaveStage::Serving;
        if begins {
            state.stage = LeaveStage::Leaving;
            self.changed.notify_all();
        }
        begins
    }

    /// A place to wait at, if there is one.
    pub(crate) fn enter(&self) -> Option<Waiting<'_>> {
        let mut state = self.lock();
        (state.waiting < limits::LEAVE_WAITERS_MAX).then(|| {
            state.waiting += 1;
            Waiting(self)
        })
    }

    /// Tells everyone who waits how it ended, and gives them a moment to pass it on.
    pub(crate) fn end(&self, ending: Ending) {
        self.set(LeaveStage::Ended(ending));
        let told =
            self.changed.wait_timeout_while(self.lock(), limits::LEAVE_TOLD_WAIT, |state| state.waiting > 0);
        drop(told);
    }
}

impl Waiting<'_> {
    /// The stage once it is none of the leave's own, or after that time.
    pub(crate) fn stage_within(&self, time: Duration) -> LeaveStage {
        let under_way = |state: &mut State| matches!(state.stage, LeaveStage::Leaving | LeaveStage::Closing);
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), time, under_way);
        waited.unwrap_or_else(PoisonError::into_inner).0.stage.clone()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leave_is_begun_at_a_time_and_none_before_the_node_has_joined() {
        let desk = LeaveDesk::default();
        assert!(!desk.begin());
        desk.set(LeaveStage::Serving);
        assert!(desk.begin());
        assert!(!desk.begin());
        // taken back
        desk.set(LeaveStage::Serving);
        assert!(desk.begin());
    }

    #[test]
    fn who_waits_hears_how_it_ended_before_the_node_goes_on() {
        let desk = LeaveDesk::default();
        desk.set(LeaveStage::Serving);
        desk.begin();
        let ending = Ending { code: 4, text: "late", queues: 1, lost: 2 };
        let heard = std::thread::scope(|scope| {
            let place = desk.enter().expect("there is room");
            let waiter = scope.spawn(move || place.stage_within(Duration::from_secs(60)));
            desk.end(ending.clone());
            assert_eq!(desk.lock().waiting, 0);
            waiter.join().expect("it hears")
        });
        assert_eq!(heard, LeaveStage::Ended(ending));
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let desk = LeaveDesk::default();
        let places: Vec<_> = (0..limits::LEAVE_WAITERS_MAX).map(|_| desk.enter().expect("room")).collect();
        assert!(desk.enter().is_none());
        drop(places);
        assert!(desk.enter().is_some());
    }
}
