//! Where a message goes: from exchange to exchange, breadth first, each exchange and each queue once.

use alloc::vec::Vec;

use leveret_model::limits::EXCHANGE_HOPS_MAX;
use leveret_model::{Address, QueueId};

use crate::bindings::Target;
use crate::exchange::{ExchangeId, Index, Node};
use crate::fanout;
use crate::headers::Headers;
use crate::queues::{Label, QueueEntry};
use crate::slots::Slot;
use crate::table::Table;

/// A queue that takes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which one.
    pub id: QueueId,
    /// Where it lives, seen from here.
    pub address: Address,
}

impl Table {
    /// The queues that take a message, each once, into `out`, which is cleared first. Masked ones are left out.
    /// The order is the same for the same history of changes. hot: allocates only while `out` and the walk's own list grow.
    ///
    /// Past [`EXCHANGE_HOPS_MAX`] exchanges the walk ends; those nearest to the first have been served.
    pub fn route(&self, exchange: ExchangeId, key: &[u8], headers: &dyn Headers, out: &mut Vec<Match>) {
        out.clear();
        self.walk(exchange, key, headers, |entry| {
            if !entry.masked {
                out.push(Match { id: entry.record.id, address: entry.address });
            }
        });
    }

    /// Would the message go to a queue that is masked, were it not?
    #[must_use]
    pub fn reaches_masked(&self, exchange: ExchangeId, key: &[u8], headers: &dyn Headers) -> bool {
        let mut masked = false;
        self.walk(exchange, key, headers, |entry| masked |= entry.masked);
        masked
    }

    /// Shows the queue of each name that the message reaches: the one that serves, or a masked one if none does. hot.
    #[inline]
    fn walk(
        &self,
        exchange: ExchangeId,
        key: &[u8],
        headers: &dyn Headers,
        mut each: impl FnMut(&QueueEntry),
    ) {
        let Some(start) = self.live(exchange) else { return };
        let walk = self.next_walk();
        let mut exchanges = self.walk_list.take();
        exchanges.clear();
        self.exchanges[start].visited.set(walk);
        exchanges.push(start);
        let mut at = 0;
        while let Some(slot) = exchanges.get(at).copied() {
            at += 1;
            self.route_one(&self.exchanges[slot], key, headers, |target| match target {
                Target::Queue(label) => self.reach(label, walk, &mut each),
                Target::Exchange(next) => {
                    let next_node = &self.exchanges[next];
                    if next_node.visited.get() != walk && exchanges.len() <= EXCHANGE_HOPS_MAX {
                        next_node.visited.set(walk);
                        exchanges.push(next);
                    }
                }
            });
        }
        self.walk_list.set(exchanges);
    }

    /// Can routes from this exchange depend on a message's headers? Then they must not be cached by key.
    #[must_use]
    pub fn depends_on_headers(&self, exchange: ExchangeId) -> bool {
        let Some(start) = self.live(exchange) else { return false };
        let node = &self.exchanges[start];
        let (generation, answer) = node.on_headers.get();
        if generation == node.generation {
            return answer;
        }
        let answer = self.reaches_headers(start);
        node.on_headers.set((node.generation, answer));
        answer
    }

    fn reaches_headers(&self, start: Slot<Node>) -> bool {
        let walk = self.next_walk();
        let mut exchanges = Vec::from([start]);
        self.exchanges[start].visited.set(walk);
        while let Some(slot) = exchanges.pop() {
            let node = &self.exchanges[slot];
            if matches!(node.index, Index::Headers(_)) {
                return true;
            }
            for binding in &node.from {
                if let Target::Exchange(next) = self.bindings[*binding].target
                    && self.exchanges[next].visited.replace(walk) != walk
                {
                    exchanges.push(next);
                }
            }
        }
        false
    }

    fn route_one(&self, node: &Node, key: &[u8], headers: &dyn Headers, mut reach: impl FnMut(Target)) {
        let bindings = &self.bindings;
        let mut found = |slot| reach(bindings[slot].target);
        match &node.index {
            Index::Unknown => {}
            Index::Queues => {
                if let Some(label) = self.queues.find_label(node.vhost, key) {
                    reach(Target::Queue(label));
                }
            }
            Index::Direct(direct) => direct.route(bindings, key, &mut found),
            Index::Fanout => fanout::route(&node.from, &mut found),
            Index::Topic(trie) => {
                trie.route(bindings, &node.from, key, &mut found);
            }
            Index::Headers(index) => index.route(bindings, &node.from, headers, &mut found),
        }
    }

    fn reach(&self, label: Slot<Label>, walk: u64, each: &mut impl FnMut(&QueueEntry)) {
        let label = &self.queues.labels[label];
        if label.visited.replace(walk) == walk {
            return;
        }
        label.first.into_iter().for_each(|first| each(&self.queues.entries[first]));
    }

    fn next_walk(&self) -> u64 {
        let walk = self.walks.get() + 1;
        self.walks.set(walk);
        walk
    }
}
