//! Where a message goes: from exchange to exchange, breadth first, each exchange and each queue once.

use alloc::vec::Vec;

use leveret_model::limits::EXCHANGE_HOPS_MAX;
use leveret_model::settings::HashOn;
use leveret_model::{Address, QueueId};

use crate::bindings::{Bound, Target};
use crate::exchange::{ExchangeId, Index, Node};
use crate::fanout;
use crate::headers::Headers;
use crate::queues::{Label, QueueEntry};
use crate::slots::Slot;
use crate::stable_hash::StableHash;
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

    /// The masked queues that the message would go to, were they not.
    pub fn each_masked(
        &self,
        exchange: ExchangeId,
        key: &[u8],
        headers: &dyn Headers,
        mut each: impl FnMut(QueueId),
    ) {
        self.walk(exchange, key, headers, |entry| {
            if entry.masked {
                each(entry.record.id);
            }
        });
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
            let mut go_on = |next: Slot<Node>| {
                let next_node = &self.exchanges[next];
                if next_node.visited.get() != walk && exchanges.len() <= EXCHANGE_HOPS_MAX {
                    next_node.visited.set(walk);
                    exchanges.push(next);
                }
            };
            let node = &self.exchanges[slot];
            let mut matched = false;
            self.route_one(node, key, headers, |target| {
                matched = true;
                match target {
                    Target::Queue(label) => self.reach(label, walk, &mut each),
                    Target::Exchange(next) => go_on(next),
                }
            });
            // a binding that matched is enough, even if it leads to nothing (RabbitMQ 3.10 and 4.3)
            if let Some(alternate) = node.alternate.filter(|_| !matched) {
                go_on(alternate);
            }
        }
        self.walk_list.set(exchanges);
    }

    /// Can messages of one key take different routes from this exchange? Then routes must not be cached by key.
    #[must_use]
    pub fn varies(&self, exchange: ExchangeId) -> bool {
        let Some(start) = self.live(exchange) else { return false };
        let node = &self.exchanges[start];
        let (generation, answer) = node.varies.get();
        if generation == node.generation {
            return answer;
        }
        let answer = self.reaches_varying(start);
        node.varies.set((node.generation, answer));
        answer
    }

    fn reaches_varying(&self, start: Slot<Node>) -> bool {
        let walk = self.next_walk();
        let mut exchanges = Vec::from([start]);
        self.exchanges[start].visited.set(walk);
        while let Some(slot) = exchanges.pop() {
            let node = &self.exchanges[slot];
            let varies = match node.index {
                Index::Headers(_) | Index::Random | Index::LocalRandom => true,
                Index::Hash(_) => *node.hash_on() != HashOn::RoutingKey,
                _ => false,
            };
            if varies {
                return true;
            }
            let targets = node.from.iter().filter_map(|binding| match self.bindings[*binding].target {
                Target::Exchange(next) => Some(next),
                Target::Queue(_) => None,
            });
            for next in targets.chain(node.alternate) {
                if self.exchanges[next].visited.replace(walk) != walk {
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
            Index::Hash(index) => {
                let hash = match node.hash_on() {
                    HashOn::RoutingKey => StableHash::new().bytes(key).finish(),
                    HashOn::Header(name) => headers.hash_of_header(name),
                    HashOn::Property(property) => headers.hash_of_property(*property),
                };
                index.choose(hash).map(|at| node.from[at]).into_iter().for_each(found);
            }
            Index::Modulus(index) => index.choose(key).into_iter().for_each(found),
            Index::Random => self.draw(node, |_| true).into_iter().for_each(found),
            Index::LocalRandom => {
                let is_here = |entry: &QueueEntry| matches!(entry.address, Address::Here | Address::Shard(_));
                self.draw(node, is_here).into_iter().for_each(found);
            }
        }
    }

    /// One of the bindings that lead to such a queue, or to an exchange. A queue that is masked would lose the
    /// message, so it is left out if there is another.
    fn draw(&self, node: &Node, fits: impl Fn(&QueueEntry) -> bool) -> Option<Slot<Bound>> {
        let fitting = || {
            node.from.iter().copied().filter(|slot| match self.bindings[*slot].target {
                Target::Exchange(_) => true,
                Target::Queue(label) => {
                    let entry = self.queues.labels[label].first.map(|slot| &self.queues.entries[slot]);
                    entry.is_some_and(|entry| !entry.masked && fits(entry))
                }
            })
        };
        fitting().nth(self.draws.below(fitting().count()))
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
