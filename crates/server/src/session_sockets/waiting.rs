//! Who waits for something outside of connections: an operator for a session to end, the node for its leave.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use leveret_model::session::KeptAnswer;
use leveret_sessions::Handover;
use leveret_shard::{Effects, SessionTally};

use super::SessionSockets;
use super::ways::Carrier;

/// Operators that wait, by the number of their question.
#[derive(Debug, Default)]
pub(super) struct Operators {
    asked: u64,
    ends: BTreeMap<u64, Sender<KeptAnswer>>,
    surveys: BTreeMap<u64, Sender<SessionTally>>,
}

impl Operators {
    /// Nobody listens any more if it took too long.
    pub(super) fn answer(&mut self, effects: &mut Effects) {
        for (number, answer) in effects.session_killed.drain(..) {
            if let Some(to) = self.ends.remove(&number) {
                let _ = to.try_send(answer);
            }
        }
        for (number, tally) in effects.session_surveyed.drain(..) {
            if let Some(to) = self.surveys.remove(&number) {
                let _ = to.try_send(tally);
            }
        }
    }
}

impl SessionSockets {
    /// An operator waits for an answer; gives the number of the question.
    pub(crate) fn operator_waits(&mut self, to: Sender<KeptAnswer>) -> u64 {
        self.operators.asked += 1;
        self.operators.ends.insert(self.operators.asked, to);
        self.operators.asked
    }

    /// The same for a survey.
    pub(crate) fn survey_waits(&mut self, to: Sender<SessionTally>) -> u64 {
        self.operators.asked += 1;
        self.operators.surveys.insert(self.operators.asked, to);
        self.operators.asked
    }

    /// Somebody waits until everything is handed over; if clients are ended, until they are gone too.
    pub(crate) fn on_leave(&mut self, to: Sender<Handover>) {
        self.leave = Some(to);
    }

    /// Nobody waits for that any more.
    pub(crate) fn on_stay(&mut self) {
        self.leave = None;
    }

    pub(super) fn tell_of_leave(&mut self, carrier: &Carrier<'_>) {
        if self.leave.is_none() || self.stopping && !self.is_empty() {
            return;
        }
        let handover = carrier.shard.session_handover().unwrap_or_default();
        if (handover.over || handover.alone)
            && let Some(to) = self.leave.take()
        {
            // nobody listens any more if it took too long
            let _ = to.try_send(handover);
        }
    }
}
