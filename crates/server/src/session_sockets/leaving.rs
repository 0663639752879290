//! The leave of the node: who waits for it hears when everything is handed over.

use crossbeam_channel::Sender;
use leveret_sessions::Handover;

use super::SessionSockets;
use super::ways::Carrier;

impl SessionSockets {
    /// Somebody waits until everything is handed over; if clients are ended, until they are gone too.
    pub(crate) fn on_leave(&mut self, to: Sender<Handover>) {
        self.leave = Some(to);
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
