//! Deliveries of a channel whose client stopped the flow (AMQP 0-9-1 §1.8.2.4): those that had left their queue's home when
//! the client said so wait here, and come when it wants them again, before all others.
//!
//! Invariant: there are no more than the windows of the channel's consumers elsewhere let through, which stay closed while
//! the flow is stopped (`channel/pause.rs`).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::{Body, Held, Message, Settlement, Terms};

use super::Channel;
use super::pause::pause;
use crate::connection::NotTaken;
use crate::host::{Delivery, Host};
use crate::turn::{Shared, Turn};

/// A delivery that waits, with bytes of its own: it must not hold the block in which it came.
#[derive(Debug)]
struct WaitingDelivery {
    held: Held,
    no_ack: bool,
    redelivered: bool,
    address: Box<[u8]>,
    header: Box<[u8]>,
    body: Vec<u8>,
    terms: Terms,
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Stopped(VecDeque<WaitingDelivery>);

impl Stopped {
    /// What waits and is to be settled one day.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.0.iter().filter(|waiting| !waiting.no_ack).map(|waiting| waiting.held)
    }
}

impl<C> Channel<C> {
    /// The client wants no deliveries, or wants them again. What waited for a consumer that has ended meanwhile goes back.
    pub(super) fn set_flow<H: Host<Channel = C>>(&mut self, turn: &mut Turn<'_, H>, active: bool) {
        if !active {
            self.stopped.get_or_insert_default();
            // the channel pauses as one does that holds enough; it ends when the client says so
            return pause(&mut self.paused, self.key.number, turn.shared);
        }
        let Some(stopped) = self.stopped.take() else { return };
        for waiting in stopped.0 {
            let WaitingDelivery { held, no_ack, redelivered, address, header, body, terms } = waiting;
            let message = Message { address: &address, header: &header, body: Body::Flat(&body), terms };
            let delivered = self.deliver::<false>(turn.shared, &Delivery { held, redelivered, message });
            if delivered.is_err() && !no_ack {
                turn.host.settle(self.key, held, Settlement::Requeue);
            }
        }
    }

    /// A delivery to a channel whose flow is stopped: it stays at its queue, or waits here if it has left that.
    #[cold]
    pub(super) fn deliver_later<const OFFERED: bool>(
        &mut self,
        shared: &mut Shared,
        delivery: &Delivery<'_>,
        no_ack: bool,
    ) -> Result<(), NotTaken> {
        pause(&mut self.paused, self.key.number, shared);
        let Some(stopped) = self.stopped.as_mut().filter(|_| !OFFERED) else { return Err(NotTaken::Paused) };
        let Delivery { held, redelivered, message } = *delivery;
        let body = match message.body {
            Body::Flat(bytes) => bytes.to_vec(),
            Body::Chunks(chunks) => chunks.concat(),
        };
        let (address, header) = (message.address.into(), message.header.into());
        let terms = message.terms;
        stopped.0.push_back(WaitingDelivery { held, no_ack, redelivered, address, header, body, terms });
        Ok(())
    }
}
