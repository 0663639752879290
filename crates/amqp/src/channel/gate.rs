//! What keeps deliveries from a client that could take them otherwise: it stopped the flow (`flow.rs`), or it
//! holds as many as `basic.qos` with `global` lets its consumers hold together. A channel without either has no
//! gate and pays nothing.
//!
//! A queue here keeps what is not let through: its consumer pauses (`pause.rs`). What had left a home elsewhere
//! waits here, and comes before all that follows.
//!
//! Invariants: no more waits here than the windows of the channel's consumers elsewhere let through, which stay
//! closed while it pauses, and of replies, which have no window, as many as `limits::REPLIES_UNREAD_BYTES_MAX`
//! allows; a channel in whose gate something waits is paused.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::{Body, ConsumerNumber, Held, Message, Terms};

use super::transaction::Transaction;
use super::unacked::Unacked;
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

/// The gate of a channel.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The client stopped the flow.
    pub(super) stopped: bool,
    /// Messages that the channel's consumers may hold together; 0 is no limit.
    prefetch: u16,
    /// How many of what the channel holds were asked for with `basic.get`, at most: those do not count
    /// (RabbitMQ).
    gets: usize,
    /// In the order in which it came.
    waiting: VecDeque<WaitingDelivery>,
    /// Of the messages in `waiting`.
    bytes: usize,
    /// A consumer ended: what waits for it is to go back.
    consumer_left: bool,
}

impl Gate {
    /// Deliveries may pass as if there were no gate.
    pub(super) fn is_spare(&self) -> bool {
        !self.stopped && self.prefetch == 0 && self.waiting.is_empty()
    }

    /// What waits and is to be settled one day.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.waiting.iter().filter(|waiting| !waiting.no_ack).map(|waiting| waiting.held)
    }

    /// May this delivery go to the client?
    pub(super) fn passes(&mut self, no_ack: bool, unacked: &Unacked, tx: Option<&Transaction>) -> bool {
        !self.stopped && (no_ack || (self.waiting.is_empty() && self.has_room(unacked, tx)))
    }

    /// The consumers hold less than they may together. What a transaction settles is held until its commit.
    fn has_room(&mut self, unacked: &Unacked, tx: Option<&Transaction>) -> bool {
        let held = unacked.len() + tx.map_or(0, |tx| tx.settlements.len());
        let most = usize::from(self.prefetch);
        if most == 0 || held < most {
            return true;
        }
        if held.saturating_sub(self.gets) < most {
            // some of the gets may be settled: settling counts nothing, so that it costs other channels nothing
            let in_transaction = tx.into_iter().flat_map(Transaction::held);
            self.gets = unacked.iter().chain(in_transaction).filter(is_of_get).count();
        }
        held - self.gets.min(held) < most
    }

    /// So many from now on.
    pub(super) fn limit(&mut self, prefetch: u16, unacked: &Unacked) {
        self.prefetch = prefetch;
        self.gets = unacked.iter().filter(is_of_get).count();
    }

    /// The channel holds one more that was asked for.
    pub(super) fn count_get(&mut self) {
        self.gets += 1;
    }

    pub(super) fn note_consumer_left(&mut self) {
        self.consumer_left = true;
    }

    /// All that waits; `give_back` gets what waited for consumers that are not `known` any more.
    pub(super) fn take_waiting(
        &mut self,
        known: impl Fn(ConsumerNumber) -> bool,
        give_back: &mut impl FnMut(Held),
    ) -> VecDeque<WaitingDelivery> {
        let mut waiting = core::mem::take(&mut self.waiting);
        self.bytes = 0;
        if core::mem::take(&mut self.consumer_left) {
            waiting.retain(|waiting| {
                let known = known(waiting.held.consumer);
                if !known && !waiting.no_ack {
                    give_back(waiting.held);
                }
                known
            });
        }
        waiting
    }

    /// What may not go yet.
    pub(super) fn put_back(&mut self, waiting: VecDeque<WaitingDelivery>) {
        self.bytes = waiting.iter().map(|waiting| waiting.delivery().message.weight_bytes()).sum();
        self.waiting = waiting;
    }

    /// What all that waits takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps one more.
    pub(super) fn keep(&mut self, delivery: &Delivery<'_>, no_ack: bool) {
        let Delivery { held, redelivered, message } = *delivery;
        let body = match message.body {
            Body::Flat(bytes) => bytes.to_vec(),
            Body::Chunks(chunks) => chunks.concat(),
        };
        let (address, header) = (message.address.into(), message.header.into());
        let terms = message.terms;
        self.bytes += message.weight_bytes();
        self.waiting.push_back(WaitingDelivery { held, no_ack, redelivered, address, header, body, terms });
    }
}

fn is_of_get(held: &Held) -> bool {
    held.consumer == ConsumerNumber::OF_GET
}
