//! Who waits for something outside of connections: an operator for a session to end, the node for its leave.

use crossbeam_channel::Sender;
use leveret_model::session::KeptAnswer;
use leveret_sessions::Handover;
use leveret_shard::SessionTally;

use super::SessionSockets;
use super::ways::Carrier;

impl SessionSockets {
    /// An operator waits for an answer; gives the number of the question.
    pub(crate) fn operator_waits(&mut self, to: Sender<KeptAnswer>) -> u64 {
        self.operators.wait_for_end(to)
    }

    /// The same for a survey.
    pub(crate) fn survey_waits(&mut self, to: Sender<SessionTally>) -> u64 {
        self.operators.wait_for_tally(to)
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
