//! When the consumers of a channel pause, and when they go on: because the channel holds as much as it may, or
//! because its gate lets nothing through (`gate.rs`).
//!
//! Invariant: a channel is on `Shared::paused`, once, exactly while `paused` is set and it is open.

use leveret_model::{ChannelNumber, ConsumerNumber, Held};

use super::Channel;
use crate::turn::Shared;

impl<C> Channel<C> {
    /// The consumer pauses: one without acks holds nothing, and goes on, unless the client stopped the flow.
    pub(crate) fn is_paused(&self, consumer: ConsumerNumber) -> bool {
        if self.gate.as_ref().is_some_and(|gate| gate.stopped) {
            return true;
        }
        self.paused && self.consumers.get(consumer).is_none_or(|consumer| !consumer.no_ack)
    }

    /// Its consumers pause, and not because the client wants no deliveries, or no more.
    pub(crate) fn is_full_pause(&self) -> bool {
        self.paused && self.gate.is_none()
    }

    /// Holds as many messages as it may.
    pub(super) fn is_full(&self, shared: &Shared) -> bool {
        self.unacked.len() >= shared.config.unacked_per_channel_max
    }

    /// Ends the pause, if the channel may hold one more for each of its consumers: so those that wake up were
    /// paid for by as many settlements. Under a limit of the client's it ends with the first one, which is all
    /// that the client may be about to settle. True if it did.
    pub(crate) fn end_pause(&mut self, shared: &mut Shared, give_back: &mut impl FnMut(Held)) -> bool {
        let max = shared.config.unacked_per_channel_max;
        let room = if self.gate.is_some() {
            self.open_gate(shared, give_back);
            1
        } else {
            self.consumers.len().clamp(1, (max / 2).max(1))
        };
        let ends = self.paused && self.unacked.len() + room <= max && self.gate_is_open();
        self.paused &= !ends;
        ends
    }

    pub(crate) fn consumer_numbers(&self) -> impl Iterator<Item = ConsumerNumber> {
        self.consumers.numbers()
    }
}

/// The channel is full and a consumer wants more, or the client stopped the flow.
#[cold]
pub(super) fn pause(paused: &mut bool, channel: ChannelNumber, shared: &mut Shared) {
    if !*paused {
        *paused = true;
        shared.paused.push(channel);
    }
}
