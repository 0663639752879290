//! What a shard elsewhere says on a new link of its consumers and of what its channels hold (RESUB).
//!
//! It comes in pieces, since what is held may be more than one record can name. [`Queue::name`] notes a piece
//! and changes nothing; [`Queue::reconcile`] is the end, and makes everything so. A link that breaks in between
//! is forgotten ([`Queue::forget_named`]): the next one says all of it again.
//!
//! Invariant: what is noted is bounded by what the queue has: a held place is noted only if it is held there.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use leveret_model::{ChannelKey, ConsumerKey, ConsumerNumber, NodeId, Position, ShardAddress, Unread};

use super::{Queue, Subscription};

/// A delivery that a shard says its channels hold: the channel, the consumer ([`ConsumerNumber::OF_GET`] for
/// `basic.get`), the place.
pub type HeldPlace = (ChannelKey, ConsumerNumber, Position);

/// What one shard has said so far on its newest link.
#[derive(Debug)]
pub(super) struct Named {
    at: ShardAddress,
    consumers: Vec<(Subscription, Unread)>,
    held: HashSet<Position, FixedState>,
}

impl Queue {
    /// A piece of what shard `at` says on a new link.
    pub fn name(&mut self, at: ShardAddress, consumers: &[(Subscription, Unread)], held: &[HeldPlace]) {
        let known = self.named.iter().position(|named| named.at == at).unwrap_or_else(|| {
            let held = HashSet::with_hasher(self.unacked.hasher().clone());
            self.named.push(Named { at, consumers: Vec::new(), held });
            self.named.len() - 1
        });
        let named = &mut self.named[known];
        named.consumers.extend(consumers.iter().filter(|(subscription, _)| subscription.key.at == at));
        for &(channel, number, position) in held {
            let holder = ConsumerKey { at, channel, number };
            // what was given elsewhere meanwhile, or is not known, is void
            if self.unacked.get(&position).is_some_and(|held| self.consumers.at(held.consumer).key == holder)
            {
                named.held.insert(position);
            }
        }
    }

    /// The end of what shard `at` says: its consumers become exactly those that were named, awake, their
    /// windows open but for what their clients have not read; what the queue believes is held there and was not
    /// named goes back to its place. Returns the consumers that cannot be (another became exclusive meanwhile):
    /// they are to be cancelled.
    #[must_use]
    pub fn reconcile(&mut self, at: ShardAddress) -> Vec<ConsumerKey> {
        let known = self.named.iter().position(|named| named.at == at);
        let named = known.map(|known| self.named.swap_remove(known));
        let consumers = named.as_ref().map_or(&[][..], |named| &named.consumers);
        let mut keys: HashSet<ConsumerKey, FixedState> = HashSet::with_hasher(self.unacked.hasher().clone());
        keys.extend(consumers.iter().map(|(subscription, _)| subscription.key));
        for key in self.consumers.subscribed_where(|key| key.at == at && !keys.contains(key)) {
            self.unsubscribe(&key);
        }
        let is_held = |position| named.as_ref().is_some_and(|named| named.held.contains(&position));
        self.requeue_where(|key, position| key.at == at && !is_held(position));
        let mut refused = Vec::new();
        for (subscription, unread) in consumers {
            if self.consumers.subscribe(*subscription, *unread).is_err() {
                self.unsubscribe(&subscription.key);
                refused.push(subscription.key);
            }
        }
        refused
    }

    /// The links to a node are gone: what its shards began to say does not count.
    pub fn forget_named(&mut self, node: NodeId) {
        self.named.retain(|named| named.at.node != node);
    }
}
