//! The consumers of a queue, and the lines in which they wait for messages.
//!
//! Read first: [`Consumers::enlist`]. Consumers of one priority, on this node or on another, share a line and
//! take turns; lines are asked from the highest priority down, at equal priority those of this node first. In a
//! line stand only those that can take a message now, so a queue whose consumers are all busy is seen at once
//! (`awake` is 0).
//!
//! Invariant: a consumer stands in its line exactly if it is subscribed, not asleep, has quota, and is the
//! active one where only one may be ([`SingleActive`]). An entry stays while it is subscribed or holds
//! deliveries; entries of `basic.get` never subscribe.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{ConsumerKey, ConsumerTerms, Seed, ShardAddress, Unread};

use super::consumer::{Consumer, LineRank, NOBODY};
use super::single_active::{Place, SingleActive};
use super::subscription::{Credit, SubscribeRefused, Subscription, Window};
use crate::planted::Bug;

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
    /// Of a queue with `x-single-active-consumer`.
    single: Option<Box<SingleActive>>,
    pub(super) bug: Bug,
}

impl Consumers {
    pub(super) fn new(own: ShardAddress, seed: Seed, single_active: bool) -> Self {
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
            single: single_active.then(Box::default),
            bug: Bug::default(),
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
        if exclusive && self.single.is_some() {
            return Err(SubscribeRefused::SingleActive);
        }
        let ordinal = match known {
            Some(index) => {
                let place = self.place(index);
                if let Some(single) = &mut self.single {
                    single.step_back(place);
                }
                self.leave_line(index);
                place.came
            }
            None => {
                self.subscriptions += 1;
                self.subscriptions
            }
        };
        let index = self.holder(&new.key);
        let rank = (Reverse(priority), self.is_remote(new.key.at));
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
            ..Consumer::idle(new.key)
        };
        self.subscribed += 1;
        self.exclusive = exclusive;
        match self.lines.binary_search_by_key(&rank, |line| line.rank) {
            Ok(line) => self.lines[line].members += 1,
            Err(line) => self.lines.insert(line, Line { rank, members: 1, first: NOBODY, last: NOBODY }),
        }
        let place = self.place(index);
        if let Some(single) = &mut self.single {
            single.join(place);
        }
        self.enlist(index);
        Ok(())
    }

    /// False if it was not subscribed.
    pub(super) fn unsubscribe(&mut self, index: u32) -> bool {
        let was = self.at(index).subscribed;
        if was {
            let place = self.place(index);
            self.leave_line(index);
            let next = self.single.as_mut().and_then(|single| single.leave(place));
            self.drop_if_unused(index);
            if let Some(next) = next {
                self.enlist(next);
            }
        }
        was
    }

    fn place(&self, index: u32) -> Place {
        let consumer = self.at(index);
        Place { priority: consumer.rank.0, came: consumer.ordinal, index }
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

    /// How many of `most` messages those in the lines could take together, their outputs aside.
    pub(super) fn could_take(&self, most: u64) -> u64 {
        if u64::from(self.awake) >= most {
            return most;
        }
        let mut taken = 0;
        for line in &self.lines {
            let mut at = line.first;
            while at != NOBODY && taken < most {
                let consumer = self.at(at);
                taken += u64::from(consumer.quota());
                at = consumer.behind;
            }
        }
        taken.min(most)
    }

    pub(super) fn with_credit(&self) -> impl Iterator<Item = ConsumerKey> + '_ {
        let open = |consumer: &&Consumer| consumer.subscribed && consumer.quota() > 0;
        let waits = |index| self.single.as_ref().is_some_and(|single| !single.is_active(index));
        let entries = self.entries.iter().enumerate();
        let entries =
            entries.filter(move |(index, _)| !waits(*index as u32)).filter_map(|(_, at)| at.as_ref());
        entries.filter(open).map(|consumer| consumer.key)
    }

    /// Subscribed consumers, in the order in which they came.
    pub(super) fn subscribed_where(&self, of: impl Fn(&ConsumerKey) -> bool) -> Vec<ConsumerKey> {
        let entries = self.entries.iter().flatten();
        let mut found: Vec<_> = entries.filter(|entry| entry.subscribed && of(&entry.key)).collect();
        found.sort_unstable_by_key(|entry| entry.ordinal);
        found.into_iter().map(|entry| entry.key).collect()
    }

    /// Subscribed consumers with their terms, in the order in which they came.
    pub(super) fn terms(&self) -> Vec<(ConsumerKey, ConsumerTerms)> {
        let of = |key: ConsumerKey| {
            let consumer = self.at(self.by_key[&key]);
            let terms = ConsumerTerms {
                no_ack: consumer.no_ack,
                exclusive: self.exclusive,
                prefetch: consumer.given_prefetch(),
                priority: consumer.rank.0.0,
            };
            (key, terms)
        };
        self.subscribed_where(|_| true).into_iter().map(of).collect()
    }

    /// It takes nothing until it is woken or subscribes anew.
    pub(super) fn put_to_sleep(&mut self, index: u32) {
        let rank = self.at(index).rank;
        self.at_mut(index).asleep = true;
        if self.at(index).in_line
            && let Ok(line) = self.lines.binary_search_by_key(&rank, |line| line.rank)
        {
            self.at_mut(index).in_line = false;
            self.awake -= 1;
            self.step_out(line, index);
        }
    }

    /// Everyone goes; returns who was subscribed, in the order in which they came.
    pub(super) fn clear(&mut self) -> Vec<ConsumerKey> {
        let cancelled = self.subscribed_where(|_| true);
        self.entries = Vec::new();
        self.vacant = Vec::new();
        self.by_key = HashMap::with_hasher(self.by_key.hasher().clone());
        self.lines = Vec::new();
        (self.subscribed, self.awake, self.exclusive) = (0, 0, false);
        if let Some(single) = &mut self.single {
            **single = SingleActive::default();
        }
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
        let bug = self.bug;
        let consumer = self.at_mut(index);
        if !consumer.subscribed || consumer.in_line || consumer.asleep || consumer.quota() == 0 {
            return;
        }
        if self.single.as_ref().is_some_and(|single| !single.is_active(index)) {
            return;
        }
        let consumer = self.at_mut(index);
        if bug.starves(consumer.prefetch, consumer.unacked) {
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
