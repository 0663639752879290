//! What a channel does with its gate (`gate.rs`): when there is one, and what it sends when the gate opens.

use leveret_model::Held;

use super::Channel;
use crate::turn::Shared;

impl<C> Channel<C> {
    /// The limit of all consumers of the channel together, from now on; 0 lifts it (RabbitMQ 3.10: at once).
    pub(super) fn set_channel_prefetch(&mut self, prefetch: u16) {
        if prefetch > 0 || self.gate.is_some() {
            self.gate.get_or_insert_default().limit(prefetch, &self.unacked);
        }
        self.drop_spare_gate();
    }

    /// The channel holds one more that was asked for.
    pub(super) fn count_get(&mut self) {
        if let Some(gate) = &mut self.gate {
            gate.count_get();
        }
    }

    /// A consumer of the channel ended.
    pub(super) fn note_consumer_left(&mut self) {
        if let Some(gate) = &mut self.gate {
            gate.note_consumer_left();
        }
    }

    /// Consumers here may be offered messages, as far as the gate goes.
    pub(super) fn gate_is_open(&mut self) -> bool {
        let Self { gate, unacked, tx, .. } = self;
        gate.as_mut().is_none_or(|gate| gate.passes(false, unacked, tx.as_deref()))
    }

    /// Sends what waits and may go now; `give_back` gets what waited for consumers that ended. (A delivery
    /// without acks that waits behind one with acks waits with it: only who stops the flow and sets a limit can
    /// have both.)
    pub(super) fn open_gate(&mut self, shared: &mut Shared, give_back: &mut impl FnMut(Held)) {
        let Some(gate) = &mut self.gate else { return };
        let consumers = &self.consumers;
        let mut waiting = gate.take_waiting(|consumer| consumers.get(consumer).is_some(), give_back);
        while let Some(next) = waiting.pop_front() {
            let Self { gate, unacked, tx, .. } = self;
            if gate.as_mut().is_some_and(|gate| !gate.passes(next.no_ack, unacked, tx.as_deref())) {
                waiting.push_front(next);
                break;
            }
            if self.deliver::<false>(shared, &next.delivery()).is_err() && !next.no_ack {
                give_back(next.held);
            }
        }
        if let Some(gate) = &mut self.gate {
            gate.put_back(waiting);
        }
        self.drop_spare_gate();
    }

    fn drop_spare_gate(&mut self) {
        if self.gate.as_ref().is_some_and(|gate| gate.is_spare()) {
            self.gate = None;
        }
    }
}
