//! Queues that throttle their publishers while memory is short (`pressure/` says when, and who waits).
//!
//! The home of a queue tells the shards that publish to it (`Record::Throttle`), so it is the same for
//! publishers on other nodes. What is on its way to a queue elsewhere counts like a queue: its home may be slow
//! to say anything.
//!
//! Invariant: a queue that `throttles` is in `throttling`, once.

use leveret_link::record::Record;
use leveret_model::{NodeId, QueueHandle, QueueId, ShardAddress};

use super::Queues;
use super::places::{Entry, Place};
use crate::pressure::Pressure;

impl Queues {
    /// How short the node is of memory for messages.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
        self.out.throttle_ended = true;
    }

    /// Somebody of this shard published to queues, of which one at least makes its publishers wait: gives those
    /// that do.
    #[cold]
    pub(crate) fn throttle(&mut self, targets: &[QueueHandle], mut each: impl FnMut(QueueHandle)) {
        let (pressure, long) = (self.pressure, self.bounds.long);
        for handle in targets {
            let newly = match self.places.get_mut(*handle).map(|entry| &mut entry.place) {
                Some(Place::Home(home)) if !home.closed && pressure.finds_long(home.queue(), &long) => {
                    !core::mem::replace(&mut home.throttles, true)
                }
                Some(Place::Away(away)) if pressure.finds_full(&away.lane, &long) => {
                    !core::mem::replace(&mut away.throttles, true)
                }
                // its home will say when that ends
                Some(Place::Away(away)) if away.throttled => false,
                _ => continue,
            };
            if newly {
                self.lists.throttling.push(*handle);
            }
            each(*handle);
        }
    }

    /// A queue at home here makes its publishers wait.
    #[cold]
    pub(super) fn finds_long(&self, handle: QueueHandle) -> bool {
        let Some(Entry { place: Place::Home(home), .. }) = self.places.get(handle) else { return false };
        self.pressure.finds_long(home.queue(), &self.bounds.long)
    }

    /// A shard elsewhere published to a queue here that throttles.
    #[cold]
    pub(super) fn throttle_shard(&mut self, handle: QueueHandle, from: ShardAddress) {
        let Some(Entry { id, place: Place::Home(home) }) = self.places.get_mut(handle) else { return };
        if !home.throttles {
            home.throttles = true;
            self.lists.throttling.push(handle);
        }
        if !home.throttled_shards.contains(&from) {
            home.throttled_shards.push(from);
            self.peers.push(from, &Record::Throttle { queue: *id, on: true });
        }
    }

    /// The home of a queue elsewhere says whether its publishers are to wait.
    pub(crate) fn on_throttle(&mut self, queue: QueueId, on: bool) {
        let Some((_, away)) = self.places.away_of(queue) else { return };
        away.throttled = on;
        self.out.throttle_ended |= !on;
    }

    /// What was said on a link that is gone does not count any more.
    pub(super) fn forget_throttles(&mut self, node: NodeId) {
        for (_, entry) in self.places.iter_mut() {
            match &mut entry.place {
                Place::Home(home) => home.throttled_shards.retain(|shard| shard.node != node),
                Place::Away(away) if away.home.node == node => away.throttled = false,
                Place::Away(_) => {}
            }
        }
        self.out.throttle_ended = true;
    }

    /// Queues that are short again throttle no more; at the end of a turn. hot.
    #[inline]
    pub(crate) fn end_throttles(&mut self) {
        if !self.lists.throttling.is_empty() {
            self.end_some_throttles();
        }
    }

    #[cold]
    fn end_some_throttles(&mut self) {
        let (pressure, long) = (self.pressure, self.bounds.long);
        let mut throttling = core::mem::take(&mut self.lists.throttling);
        throttling.retain(|handle| {
            match self.places.get_mut(*handle) {
                Some(Entry { place: Place::Away(away), .. }) => {
                    away.throttles = pressure.still_finds_full(&away.lane, &long);
                    self.out.throttle_ended |= !away.throttles;
                    return away.throttles;
                }
                Some(Entry { id, place: Place::Home(home) }) => {
                    home.throttles = !home.closed && pressure.still_finds_long(home.queue(), &long);
                    if home.throttles {
                        return true;
                    }
                    for shard in home.throttled_shards.drain(..) {
                        self.peers.push(shard, &Record::Throttle { queue: *id, on: false });
                    }
                }
                None => {}
            }
            self.out.throttle_ended = true;
            false
        });
        self.lists.throttling = throttling;
    }

    /// Does the queue make its publishers wait? One that is gone does not.
    pub(crate) fn throttles(&self, handle: QueueHandle) -> bool {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Home(home)) => home.throttles,
            Some(Place::Away(away)) => away.throttled || away.throttles,
            None => false,
        }
    }
}
