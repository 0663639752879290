//! A client that asks to close while its channels still work off what it said before.
//!
//! connection.close counts behind all of that (RabbitMQ: its channels are told to end after what they were sent), or a
//! publish behind a no-wait declare would go when its client leaves in order. So the frame is not taken while a channel
//! waits, for [`LEAVE_WAIT`] at most; the driver offers it again, as it does with everything that is not taken.

use leveret_model::Instant;
use leveret_model::limits::LEAVE_WAIT;

use super::Connection;
use crate::channel::Channel;

/// How far a client is that wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It has not said so.
    No,
    /// It said so; its channels have so long.
    Until(Instant),
    /// That was long enough.
    Over,
}

impl<C> Connection<C> {
    /// connection.close came: true if it does not count yet.
    pub(super) fn puts_off_close(&mut self) -> bool {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Until(self.now + LEAVE_WAIT);
        }
        self.waits_to_leave()
    }

    pub(super) fn waits_to_leave(&self) -> bool {
        matches!(self.leaving, Leaving::Until(_)) && self.channels.iter().any(Channel::is_waiting)
    }

    /// When the channels have had their time.
    pub(super) fn leave_due(&self) -> Instant {
        match self.leaving {
            Leaving::Until(until) if self.waits_to_leave() => until,
            _ => Instant::FAR,
        }
    }

    pub(super) fn leave_at(&mut self, now: Instant) {
        if now >= self.leave_due() {
            self.leaving = Leaving::Over;
        }
    }
}
