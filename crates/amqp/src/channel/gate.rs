//! Deliveries of a channel whose client stopped the flow: those that had left their queue's home when the
//! client said so wait here. Read first: `flow.rs`.
//!
//! Invariant: there are no more than the windows of the channel's consumers elsewhere let through, which stay
//! closed while the flow is stopped (`pause.rs`).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::{Body, Held, Message, Terms};

use crate::host::Delivery;

/// A delivery that waits, with bytes of its own: it must not hold the block in which it came.
#[derive(Debug)]
pub(super) struct WaitingDelivery {
    pub(super) held: Held,
    pub(super) no_ack: bool,
    redelivered: bool,
    address: Box<[u8]>,
    header: Box<[u8]>,
    body: Vec<u8>,
    terms: Terms,
}

impl WaitingDelivery {
    /// As it came.
    pub(super) fn delivery(&self) -> Delivery<'_> {
        let Self { held, redelivered, address, header, body, terms, .. } = self;
        let message = Message { address, header, body: Body::Flat(body), terms: *terms };
        Delivery { held: *held, redelivered: *redelivered, message }
    }
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Stopped(VecDeque<WaitingDelivery>);

impl Stopped {
    /// Keeps one more.
    pub(super) fn keep(&mut self, delivery: &Delivery<'_>, no_ack: bool) {
        let Delivery { held, redelivered, message } = *delivery;
        let body = match message.body {
            Body::Flat(bytes) => bytes.to_vec(),
            Body::Chunks(chunks) => chunks.concat(),
        };
        let (address, header) = (message.address.into(), message.header.into());
        let terms = message.terms;
        self.0.push_back(WaitingDelivery { held, no_ack, redelivered, address, header, body, terms });
    }

    /// What waits and is to be settled one day.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.0.iter().filter(|waiting| !waiting.no_ack).map(|waiting| waiting.held)
    }

    /// All of it, the first one first.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = WaitingDelivery> {
        self.0.into_iter()
    }
}
