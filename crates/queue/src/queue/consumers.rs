//! The consumers of a queue, and the lines in which they wait for messages.
//!
//! Read first: [`Consumers::enlist`]. Consumers of one priority, on this node or on another, share a line and
//! take turns; lines are asked from the highest priority down, at equal priority those of this node first. In a
//! line stand only those that can take a message now, so a queue whose consumers are all busy is seen at once
//! (`awake` is 0).
//!
//! Invariant: a consumer stands in its line exactly if it is subscribed, not asleep and has quota. An entry
//! stays while it is subscribed or holds deliveries; entries of `basic.get` never subscribe.

use alloc::vec::Vec;
use core::cmp::Reverse;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{ConsumerKey, ConsumerTerms, Seed, ShardAddress, Unread};

use super::subscription::{Credit, SubscribeRefused, Subscription, Window};

/// Where a line stands: priority, then whether it is on another node.
type LineRank = (Reverse<i32>, bool);

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) key: ConsumerKey,
    pub(super) no_ack: bool,
    /// Deliveries that it holds.
    pub(super) unacked: u32,
    subscribed: bool,
    /// Its output was full; until it is woken.
    asleep: bool,
    in_line: bool,
    /// Its neighbours there.
    ahead: u32,
    behind: u32,
    prefetch: u32,
    rank: LineRank,
    credit: Option<Credit>,
    /// Counts subscriptions of the queue: the order in which consumers are cancelled.
    ordinal: u64,
    #[cfg(feature = "planted")]
    pub(super) planted: Option<crate::Planted>,
}

impl Consumer {
    fn idle(key: ConsumerKey) -> Self {
        Self {
            key,
            no_ack: false,
            unacked: 0,
            subscribed: false,
            asleep: false,
            in_line: false,
            ahead: NOBODY,
            behind: NOBODY,
            prefetch: 0,
            rank: (Reverse(0), false),
            credit: None,
            ordinal: 0,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// Messages that it can take now, the output aside.
    pub(super) fn quota(&self) -> u32 {
        #[cfg(feature = "planted")]
        if self.planted == Some(crate::Planted::StarvedHolder) && self.prefetch > 10 && self.unacked > 0 {
            return 0;
        }
        self.credit_left()
    }

    fn credit_left(&self) -> u32 {
        let prefetch = if self.no_ack { u32::MAX } else { self.prefetch.saturating_sub(self.unacked) };
        self.credit.map_or(prefetch, |credit| prefetch.min(credit.messages()))
    }

    /// A message of so many bytes went to it. hot.
    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) {
        if let Some(credit) = &mut self.credit {
            credit.spend(bytes);
        }
    }

    /// Its window is open as far as bytes go. hot.
    #[inline]
    pub(super) fn has_bytes(&self) -> bool {
        self.credit.is_none_or(|credit| credit.has_bytes())
    }

    /// Bytes matter to its window.
    pub(super) fn is_metered(&self) -> bool {
        self.credit.is_some()
    }
}

/// No entry: beyond the end of a line.
const NOBODY: u32 = u32::MAX;

/// A list through the entries themselves, so that each leaves it at the same cost: a client may end with 20,000
/// of them.
#[derive(Debug)]
struct Line {
    rank: LineRank,
    /// Subscribed consumers of this rank; without any the line goes.
    members: u32,
    first: u32,
    last: u32,
}

#[derive(Debug)]
pub(super) struct Consumers {
    own: ShardAddress,
    entries: Vec<Option<Consumer>>,
    vacant: Vec<u32>,
    by_key: HashMap<ConsumerKey, u32, FixedState>,
    /// Ordered by rank.
    lines: Vec<Line>,
    subscribed: u32,
    /// There is exactly one consumer, and it wants to stay alone.
    exclusive: bool,
    /// Consumers in all lines.
    awake: u32,
    subscriptions: u64,
    #[cfg(feature = "planted")]
    pub(super) planted: Option<crate::Planted>,
}

impl Consumers {
    pub(super) fn new(own: ShardAddress, seed: Seed) -> Self {
        Self {
            own,
            entries: Vec::new(),
            vacant: Vec::new(),
            by_key: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            lines: Vec::new(),
            subscribed: 0,
            exclusive: false,
            awake: 0,
            subscriptions: 0,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    pub(super) fn subscribe(&mut self, new: Subscription, unread: Unread) -> Result<(), SubscribeRefused> {
        let ConsumerTerms { no_ack, exclusive, prefetch, priority } = new.terms;
        let known = self.find(&new.key).filter(|&index| self.at(index).subscribed);
        let others = self.subscribed - u32::from(known.is_some());
        if others > 0 && self.exclusive {
            return Err(SubscribeRefused::Exclusive);
        }
        if others > 0 && exclusive {
            return Err(SubscribeRefused::NotAlone);
        }
        let ordinal = match known {
            Some(index) => {
                let ordinal = self.at(index).ordinal;
                self.leave_line(index);
                ordinal
            }
            None => {
                self.subscriptions += 1;
                self.subscriptions
            }
        };
        let index = self.holder(&new.key);
        let rank = (Reverse(priority), self.is_remote(new.key.at));
        #[cfg(feature = "planted")]
        let planted = self.planted;
        let consumer = self.at_mut(index);
        *consumer = Consumer {
            no_ack,
            unacked: consumer.unacked,
            subscribed: true,
            prefetch: if prefetch == 0 { u32::MAX } else { prefetch.into() },
            rank,
            credit: match new.window {
                Window::Output => None,
                Window::Credit { messages, bytes } => Some(Credit::new(messages, bytes, unread)),
            },
            ordinal,
            #[cfg(feature = "planted")]
            planted,
            ..Consumer::idle(new.key)
        };
        self.subscribed += 1;
        self.exclusive = exclusive;
        match self.lines.binary_search_by_key(&rank, |line| line.rank) {
            Ok(line) => self.lines[line].members += 1,
            Err(line) => self.lines.insert(line, Line { rank, members: 1, first: NOBODY, last: NOBODY }),
        }
        self.enlist(index);
        Ok(())
    }

    /// False if it was not subscribed.
    pub(super) fn unsubscribe(&mut self, index: u32) -> bool {
        let was = self.at(index).subscribed;
        if was {
            self.leave_line(index);
            self.drop_if_unused(index);
        }
        was
    }

    pub(super) fn credit(&mut self, index: u32, messages: u32, bytes: u64) {
        if let Some(credit) = &mut self.at_mut(index).credit {
            credit.open(messages, bytes);
        }
        self.enlist(index);
    }

    pub(super) fn wake(&mut self, index: u32) {
        self.at_mut(index).asleep = false;
        self.enlist(index);
    }

    /// A delivery that it held is settled. hot.
    pub(super) fn settled(&mut self, index: u32) {
        let consumer = self.at_mut(index);
        consumer.unacked -= 1;
        if !consumer.subscribed {
            self.drop_if_unused(index);
        } else if !consumer.in_line {
            self.enlist(index);
        }
    }

    /// The entry for a key, made if there is none: whoever holds deliveries has one.
    pub(super) fn holder(&mut self, key: &ConsumerKey) -> u32 {
        if let Some(index) = self.find(key) {
            return index;
        }
        let consumer = Some(Consumer::idle(*key));
        let index = if let Some(index) = self.vacant.pop() {
            self.entries[index as usize] = consumer;
            index
        } else {
            self.entries.push(consumer);
            (self.entries.len() - 1) as u32
        };
        self.by_key.insert(*key, index);
        index
    }

    pub(super) fn find(&self, key: &ConsumerKey) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// Indices are those that this type handed out, of entries that are subscribed or hold something.
    pub(super) fn at(&self, index: u32) -> &Consumer {
        self.entries[index as usize].as_ref().expect("an index lives as long as its entry")
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Consumer {
        self.entries[index as usize].as_mut().expect("an index lives as long as its entry")
    }

    pub(super) fn subscribed(&self) -> u32 {
        self.subscribed
    }

    pub(super) fn awake(&self) -> u32 {
        self.awake
    }

    pub(super) fn with_credit(&self) -> impl Iterator<Item = ConsumerKey> + '_ {
        let open = |consumer: &&Consumer| consumer.subscribed && consumer.credit_left() > 0;
        self.entries.iter().flatten().filter(open).map(|consumer| consumer.key)
    }

    /// Subscribed consumers, in the order in which they came.
    pub(super) fn subscribed_where(&self, of: impl Fn(&ConsumerKey) -> bool) -> Vec<ConsumerKey> {
        let entries = self.entries.iter().flatten();
        let mut found: Vec<_> = entries.filter(|entry| entry.subscribed && of(&entry.key)).collect();
        found.sort_unstable_by_key(|entry| entry.ordinal);
        found.into_iter().map(|entry| entry.key).collect()
    }

    /// Everyone goes; returns who was subscribed, in the order in which they came.
    pub(super) fn clear(&mut self) -> Vec<ConsumerKey> {
        let cancelled = self.subscribed_where(|_| true);
        self.entries = Vec::new();
        self.vacant = Vec::new();
        self.by_key = HashMap::with_hasher(self.by_key.hasher().clone());
        self.lines = Vec::new();
        (self.subscribed, self.awake, self.exclusive) = (0, 0, false);
        cancelled
    }

    /// The first line from `from` on in which somebody waits: its number, who is first, and whether alone. hot.
    pub(super) fn first_awake(&self, from: usize) -> Option<(usize, u32, bool)> {
        let mut lines = self.lines.iter().enumerate().skip(from);
        let (number, line) = lines.find(|(_, line)| line.first != NOBODY)?;
        Some((number, line.first, line.first == line.last))
    }

    /// The first of a line goes to its end, or out of it if it can take no more. hot.
    pub(super) fn next_turn(&mut self, line: usize, asleep: bool) {
        let index = self.lines[line].first;
        if index == NOBODY {
            return;
        }
        let consumer = self.at_mut(index);
        consumer.asleep |= asleep;
        if consumer.asleep || consumer.quota() == 0 {
            consumer.in_line = false;
            self.awake -= 1;
            self.step_out(line, index);
        } else if self.lines[line].last != index {
            self.step_out(line, index);
            self.step_in(line, index);
        }
    }

    /// To the end of a line. hot.
    fn step_in(&mut self, line: usize, index: u32) {
        let ahead = core::mem::replace(&mut self.lines[line].last, index);
        let consumer = self.at_mut(index);
        (consumer.ahead, consumer.behind) = (ahead, NOBODY);
        if ahead == NOBODY {
            self.lines[line].first = index;
        } else {
            self.at_mut(ahead).behind = index;
        }
    }

    /// Out of a line. hot.
    fn step_out(&mut self, line: usize, index: u32) {
        let Consumer { ahead, behind, .. } = *self.at(index);
        match ahead {
            NOBODY => self.lines[line].first = behind,
            _ => self.at_mut(ahead).behind = behind,
        }
        match behind {
            NOBODY => self.lines[line].last = ahead,
            _ => self.at_mut(behind).ahead = ahead,
        }
    }

    /// Puts a consumer at the end of its line if it can take a message and does not stand there.
    fn enlist(&mut self, index: u32) {
        let consumer = self.at_mut(index);
        if !consumer.subscribed || consumer.in_line || consumer.asleep || consumer.quota() == 0 {
            return;
        }
        consumer.in_line = true;
        let rank = consumer.rank;
        if let Ok(line) = self.lines.binary_search_by_key(&rank, |line| line.rank) {
            self.step_in(line, index);
            self.awake += 1;
        }
    }

    /// The end of a subscription, the entry aside.
    fn leave_line(&mut self, index: u32) {
        let consumer = self.at_mut(index);
        let (rank, in_line) = (consumer.rank, consumer.in_line);
        consumer.subscribed = false;
        consumer.in_line = false;
        self.subscribed -= 1;
        // an exclusive one was the only one
        self.exclusive = false;
        let Ok(number) = self.lines.binary_search_by_key(&rank, |line| line.rank) else { return };
        if in_line {
            self.step_out(number, index);
            self.awake -= 1;
        }
        self.lines[number].members -= 1;
        if self.lines[number].members == 0 {
            self.lines.remove(number);
        }
    }

    fn drop_if_unused(&mut self, index: u32) {
        let consumer = self.at(index);
        if !consumer.subscribed && consumer.unacked == 0 {
            let key = consumer.key;
            self.by_key.remove(&key);
            self.entries[index as usize] = None;
            self.vacant.push(index);
        }
    }

    /// On another node. Which shard of a node a connection came to is chance, and nobody's reason to be served
    /// less: clients count on turns (RabbitMQ: round robin among consumers of one priority).
    fn is_remote(&self, at: ShardAddress) -> bool {
        at.node != self.own.node
    }
}
