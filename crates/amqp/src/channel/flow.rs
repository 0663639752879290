//! channel.flow: a client that wants no deliveries for now (AMQP 0-9-1 §1.8.2.4). What had left its queue's
//! home by then waits in the channel (`gate.rs`), and comes before all others when the client goes on.

use leveret_model::Settlement;
use leveret_wire::method::{ChannelFlow, ChannelFlowOk};

use super::Channel;
use super::pause::pause;
use crate::connection::NotTaken;
use crate::host::{Delivery, Host};
use crate::turn::{Shared, Turn};

impl<C> Channel<C> {
    /// Deliveries stop, or go on (RabbitMQ answers 540 to a stop). `basic.get` is not concerned.
    pub(super) fn on_flow<H: Host<Channel = C>>(&mut self, turn: &mut Turn<'_, H>, flow: ChannelFlow) {
        turn.shared.send(self.key.number, &ChannelFlowOk { active: flow.active });
        if !flow.active {
            self.gate.get_or_insert_default().stopped = true;
            // the channel pauses as one does that holds enough; it ends when the client says so
            return pause(&mut self.paused, self.key.number, turn.shared);
        }
        if let Some(gate) = &mut self.gate {
            gate.stopped = false;
        }
        let (key, host) = (self.key, &mut *turn.host);
        // its consumer has ended meanwhile
        self.open_gate(turn.shared, &mut |held| host.settle(key, held, Settlement::Requeue));
    }

    /// Bytes of deliveries that wait until the client goes on.
    pub(crate) fn stopped_bytes(&self) -> usize {
        self.gate.as_ref().map_or(0, |gate| gate.bytes())
    }

    /// A delivery that the gate does not let through: it stays at its queue, or waits here if it has left that.
    #[cold]
    pub(super) fn deliver_later<const OFFERED: bool>(
        &mut self,
        shared: &mut Shared,
        delivery: &Delivery<'_>,
        no_ack: bool,
    ) -> Result<(), NotTaken> {
        pause(&mut self.paused, self.key.number, shared);
        match &mut self.gate {
            Some(gate) if !OFFERED => {
                gate.keep(delivery, no_ack);
                Ok(())
            }
            _ => Err(NotTaken::Paused),
        }
    }
}
