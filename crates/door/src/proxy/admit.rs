//! T5 and T7: an instance for a request, now or after a wait in order.

use std::rc::Rc;
use std::sync::Arc;

use leveret_model::limits::HOLD_WAIT;
use leveret_services::{Choice, ServiceView, Wanted};

use super::attempt::Attempt;
use super::lease::Lease;
use super::thread::Proxy;

/// Whether a request gets a place.
pub(super) enum Admission {
    /// At this instance; its slot is entered.
    Lease(Lease),
    Refused(Refusal),
}

/// Why it gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Every instance has failed this request.
    Exhausted,
    /// As many wait as may.
    TooManyWait,
    WaitedInVain,
}

/// Finds a place. Whoever comes while others wait stands behind them.
pub(super) async fn admit(proxy: &Rc<Proxy>, view: &Arc<ServiceView>, attempt: &Attempt) -> Admission {
    // A request that has been tried is no newcomer: it would wait behind those that came after it.
    if (view.gate.waiting() == 0 || attempt.tries > 0)
        && let Some(admission) = try_now(proxy, view, attempt)
    {
        return admission;
    }
    if !view.gate.try_wait() {
        return Admission::Refused(Refusal::TooManyWait);
    }
    let waiting = Waiting(view);
    let turnstile = proxy.shared.turnstile(&view.name);
    let wait = async {
        let _first = turnstile.first.lock().await;
        loop {
            // Made before the look, so that what becomes free between look and wait is not missed.
            let free = turnstile.free.notified();
            tokio::pin!(free);
            free.as_mut().enable();
            if let Some(admission) = try_now(proxy, view, attempt) {
                return admission;
            }
            free.await;
        }
    };
    let admission = tokio::time::timeout(HOLD_WAIT, wait).await;
    drop(waiting);
    // The next one in order may find a place as well.
    turnstile.free.notify_one();
    admission.unwrap_or(Admission::Refused(Refusal::WaitedInVain))
}

/// Counts a waiting request out, also when its client goes away.
struct Waiting<'a>(&'a Arc<ServiceView>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.gate.wait_over();
    }
}

/// Chooses by the newest snapshot. `None`: wait.
///
/// hot: a snapshot's load, a choice, one addition.
fn try_now(proxy: &Rc<Proxy>, view: &Arc<ServiceView>, attempt: &Attempt) -> Option<Admission> {
    let snapshot = proxy.shared.snapshot.load();
    let Some(view) = snapshot.service(&view.name) else {
        return Some(Admission::Refused(Refusal::Exhausted));
    };
    let mut tried: Vec<usize> = Vec::new();
    if !attempt.tried.is_empty() {
        let failed = |at: &usize| attempt.tried.contains(&view.candidates[*at].boot);
        tried.extend((0..view.candidates.len()).filter(failed));
    }
    let session = attempt.session.as_ref().map(|session| (session.place.as_str(), session.id.as_str()));
    let by_name = attempt.session.as_ref().is_some_and(|session| session.by_name);
    loop {
        let wanted = Wanted { session, by_name, tried: &tried, now: proxy.shared.clock.now() };
        match view.choose(&wanted, &mut proxy.rng.borrow_mut()) {
            Choice::Candidate { at, own_session } => {
                let candidate = &view.candidates[at];
                if candidate.slot.enter(own_session, candidate.max_inflight) {
                    let lease =
                        Lease::new(Rc::clone(proxy), Arc::clone(view), candidate.clone(), attempt.since);
                    return Some(Admission::Lease(lease));
                }
                // Closed or filled since the snapshot: as if it were not there.
                tried.push(at);
            }
            Choice::Wait => return None,
            // Of those that were tried here some are only full.
            Choice::Exhausted if tried.len() > attempt.tried.len() => return None,
            Choice::Exhausted => return Some(Admission::Refused(Refusal::Exhausted)),
        }
    }
}
