//! What a connection's consumers may be given, and what waits until there is room: for each connection.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerKey, ConsumerNumber, QueueHandle, Seed, Unread, limits,
};

use super::subscribed::Subscribed;
use crate::queues::{Credit, Queues};

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Queues that skipped a consumer of it for want of room in its output.
    pub(super) parked: Vec<(QueueHandle, ConsumerKey)>,
    /// Window to be given back to homes elsewhere once its output is short enough; runs of one consumer are
    /// folded.
    pub(super) credit: Vec<Credit>,
    /// Consumers of a channel of it pause, or did a moment ago (`pauses.rs`).
    pub(super) pauses: bool,
    /// Window that is not given back while the consumer's channel pauses.
    pub(super) withheld: BTreeMap<(ChannelKey, ConsumerNumber), Credit>,
}

/// The consumers of this shard's clients, and what waits on the way to them.
#[derive(Debug)]
pub(crate) struct Egress {
    pub(crate) subscribed: Subscribed,
    /// By the connection's slot.
    pub(super) windows: Vec<Windows>,
}

impl Egress {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { subscribed: Subscribed::new(seed.part(5)), windows: Vec::new() }
    }

    /// A slot has a new connection, or none any more.
    pub(crate) fn reset(&mut self, connection: ConnectionKey) {
        let slot = connection.slot as usize;
        if self.windows.len() <= slot {
            self.windows.resize_with(slot + 1, Windows::default);
        }
        self.windows[slot] = Windows::default();
    }

    /// Somebody waits for room in the connection's output.
    pub(crate) fn waits_for_room(&self, connection: ConnectionKey) -> bool {
        let windows = &self.windows[connection.slot as usize];
        !windows.credit.is_empty() || !windows.parked.is_empty()
    }

    /// Consumers of the connection pause, or did a moment ago.
    pub(crate) fn has_pauses(&self, connection: ConnectionKey) -> bool {
        self.windows[connection.slot as usize].pauses
    }

    /// The output of a connection is short again: homes elsewhere get their windows back, queues here go on.
    pub(crate) fn output_has_room(&mut self, connection: ConnectionKey, queues: &mut Queues) {
        let windows = &mut self.windows[connection.slot as usize];
        for credit in windows.credit.drain(..) {
            queues.give_back(&credit);
        }
        for (handle, consumer) in windows.parked.drain(..) {
            queues.wake(handle, &consumer);
        }
    }

    /// What homes elsewhere will hear of when it is read, or when its channel has room. (Credit that was on its
    /// way counts as given back.)
    pub(crate) fn unread(&self) -> BTreeMap<(ChannelKey, ConsumerNumber), Unread> {
        let mut unread: BTreeMap<_, Unread> = BTreeMap::new();
        for credit in
            self.windows.iter().flat_map(|windows| windows.credit.iter().chain(windows.withheld.values()))
        {
            let of = unread.entry((credit.channel, credit.consumer)).or_default();
            of.messages = of.messages.saturating_add(credit.messages);
            of.bytes = of.bytes.saturating_add(credit.bytes);
        }
        unread
    }

    /// A consumer of this shard ends without a word to its client.
    pub(crate) fn end_consumer(
        &mut self,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        queues: &mut Queues,
    ) {
        if let Some(handle) = self.subscribed.remove(channel, consumer) {
            queues.unsubscribe(handle, channel, consumer);
        }
    }

    /// What is withheld of consumers that have ended means nothing. Looked for when there is more than
    /// consumers can have.
    pub(super) fn forget_withheld(&mut self, connection: ConnectionKey) {
        let Self { windows, subscribed } = self;
        let windows = &mut windows[connection.slot as usize];
        if !windows.pauses {
            windows.withheld = BTreeMap::new();
        } else if windows.withheld.len() > 2 * limits::CONSUMERS_PER_CONNECTION_MAX {
            windows.withheld.retain(|(channel, consumer), _| subscribed.get(*channel, *consumer).is_some());
        }
    }
}
