//! The queue with rules against lists that are searched from the front each time: times, priorities, lengths,
//! returns, the single active consumer.

mod deeds;

use leveret_model::settings::Overflow;
use leveret_model::{Instant, Terms};
use proptest::prelude::*;

use self::deeds::{Deed, Settings, deed, settings};
use super::ruled::{Ruled, at_ms};
use super::*;

#[derive(Clone, Copy, Debug)]
struct Message {
    name: u64,
    position: u64,
    bytes: u64,
    level: u8,
    deadline: Option<u64>,
    returns: u64,
    holder: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    number: u32,
    no_ack: bool,
    prefetch: u16,
    priority: i32,
    came: u64,
    since: Option<u64>,
}

struct Model {
    settings: Settings,
    now_ms: u64,
    messages: Vec<Message>,
    departed: Vec<(u64, Cause)>,
    peers: Vec<Peer>,
    active: Option<u32>,
    names: u64,
    positions: u64,
    clock: u64,
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn ready(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| message.holder.is_none())
    }

    fn quota(&self, peer: &Peer) -> u64 {
        if self.settings.single && self.active != Some(peer.number) {
            return 0;
        }
        let held = self.messages.iter().filter(|message| message.holder == Some(peer.number)).count() as u64;
        let limit: u64 = if peer.prefetch == 0 { u32::MAX.into() } else { peer.prefetch.into() };
        if peer.no_ack { u32::MAX.into() } else { limit.saturating_sub(held) }
    }

    /// Whoever can take a message since now joins the end of its line; whoever cannot leaves it.
    fn refresh(&mut self) {
        for at in 0..self.peers.len() {
            let since = match (self.quota(&self.peers[at]) > 0, self.peers[at].since) {
                (true, None) => Some(self.tick()),
                (true, since) => since,
                (false, _) => None,
            };
            self.peers[at].since = since;
        }
    }

    fn best(&self) -> Option<usize> {
        let waiting = (0..self.peers.len()).filter(|&at| self.peers[at].since.is_some());
        waiting.min_by_key(|&at| (-self.peers[at].priority, self.peers[at].since))
    }

    /// The name of the first ready message, of all or of a level.
    fn first(&self, level: Option<u8>) -> Option<Message> {
        let of = self.ready().filter(|message| level.is_none_or(|level| message.level == level));
        of.min_by_key(|message| (core::cmp::Reverse(message.level), message.position)).copied()
    }

    fn is_over(&self) -> bool {
        let bytes: u64 = self.ready().map(|message| message.bytes).sum();
        self.settings.max_length.is_some_and(|max| self.ready().count() as u64 > max)
            || self.settings.max_bytes.is_some_and(|max| bytes > max)
    }

    /// One more would be too much, when consumers have taken what they can.
    fn is_over_behind(&self, quotas: u64, more_bytes: u64) -> bool {
        if self.settings.max_length == Some(0) {
            return true;
        }
        let ready = self.ready().count() as u64;
        let bytes: u64 = self.ready().map(|message| message.bytes).sum();
        if quotas > ready {
            return false;
        }
        let (left, left_bytes) = (ready - quotas, bytes * (ready - quotas) / ready.max(1));
        self.settings.max_length.is_some_and(|max| left + 1 > max)
            || self.settings.max_bytes.is_some_and(|max| left_bytes + more_bytes > max)
    }

    fn append(&mut self, priority: u8, expiration_ms: Option<u64>, bytes: u64) -> bool {
        self.names += 1;
        let quotas: u64 = self.peers.iter().map(|peer| self.quota(peer)).sum();
        if self.settings.overflow != Overflow::DropHead && self.is_over_behind(quotas, bytes) {
            let dead = self.settings.overflow == Overflow::RejectPublishDeadLetter;
            let cause = if dead { Cause::MaxLength } else { Cause::Refused };
            self.departed.push((self.names, cause));
            return false;
        }
        self.positions += 1;
        let ttl = [self.settings.ttl_ms, expiration_ms].into_iter().flatten().min();
        self.messages.push(Message {
            name: self.names,
            position: self.positions,
            bytes,
            level: self.settings.max_priority.map_or(0, |max| priority.min(max)),
            deadline: ttl.map(|ttl| self.now_ms + ttl),
            returns: 0,
            holder: None,
        });
        true
    }

    fn leaves(&mut self, name: u64, cause: Cause) {
        self.messages.retain(|message| message.name != name);
        self.departed.push((name, cause));
    }

    fn enforce(&mut self, most: usize) -> usize {
        let mut left = most;
        for level in 0..=5 {
            while left > 0
                && let Some(first) = self.first(Some(level))
                && first.deadline.is_some_and(|deadline| deadline <= self.now_ms)
            {
                self.leaves(first.name, Cause::Expired);
                left -= 1;
            }
        }
        while left > 0 && self.settings.overflow == Overflow::DropHead && self.is_over() {
            let Some(first) = self.first(None) else { break };
            self.leaves(first.name, Cause::MaxLength);
            left -= 1;
        }
        most - left
    }

    fn enforce_if_idle(&mut self) {
        if self.best().is_none() {
            self.enforce(usize::MAX);
        }
    }

    fn dispatch(&mut self, budget: usize) -> (Vec<(u32, u64)>, usize) {
        let (mut seen, mut dropped) = (Vec::new(), 0);
        while seen.len() + dropped < budget
            && let Some(first) = self.first(None)
        {
            if first.deadline.is_some_and(|deadline| deadline < self.now_ms) {
                self.leaves(first.name, Cause::Expired);
                dropped += 1;
                continue;
            }
            let Some(at) = self.best() else { break };
            let peer = self.peers[at];
            seen.push((peer.number, first.name));
            if peer.no_ack {
                self.messages.retain(|message| message.name != first.name);
            } else if let Some(message) = self.messages.iter_mut().find(|message| message.name == first.name)
            {
                message.holder = Some(peer.number);
            }
            self.peers[at].since = None;
            self.refresh();
        }
        if self.best().is_none() {
            dropped += self.enforce(budget - seen.len() - dropped);
        }
        (seen, dropped)
    }

    fn requeue(&mut self, name: u64) {
        let limit = self.settings.delivery_limit;
        let Some(message) = self.messages.iter_mut().find(|message| message.name == name) else { return };
        message.holder = None;
        message.returns += 1;
        if limit.is_some_and(|limit| message.returns > limit) {
            self.leaves(name, Cause::DeliveryLimit);
        }
    }

    fn unsubscribe(&mut self, number: u32) -> bool {
        let before = self.peers.len();
        self.peers.retain(|peer| peer.number != number);
        if self.active == Some(number) {
            let next = self.peers.iter().min_by_key(|peer| (-peer.priority, peer.came));
            self.active = next.map(|peer| peer.number);
        }
        self.peers.len() < before
    }

    fn subscribe(&mut self, number: u32, no_ack: bool, prefetch: u16, priority: i32) {
        let came = self.tick();
        let came = self.peers.iter().find(|peer| peer.number == number).map_or(came, |peer| peer.came);
        self.peers.retain(|peer| peer.number != number);
        self.peers.push(Peer { number, no_ack, prefetch, priority, came, since: None });
        self.active = self.active.or(Some(number));
    }

    fn next_deadline(&self) -> Instant {
        let heads = (0..=5).filter_map(|level| self.first(Some(level)));
        heads.map(|head| head.deadline.map_or(Instant::FAR, at_ms)).min().unwrap_or(Instant::FAR)
    }
}

struct Pair {
    bench: Ruled,
    model: Model,
}

impl Pair {
    fn act(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        match *deed {
            Deed::Append { priority, expiration_ms, bytes } => {
                let terms = Terms::new(true, priority, expiration_ms);
                prop_assert_eq!(
                    bench.append(terms, bytes),
                    model.append(priority, expiration_ms, bytes as u64)
                );
            }
            Deed::Pass { ms } => {
                model.now_ms += ms;
                bench.now = at_ms(model.now_ms);
            }
            Deed::Subscribe { number, no_ack, prefetch, priority } => {
                let terms = ConsumerTerms { no_ack, prefetch, priority, exclusive: false };
                let subscription = Subscription { terms, ..plain(local(number)) };
                prop_assert!(bench.queue.subscribe(subscription).is_ok());
                model.subscribe(number, no_ack, prefetch, priority);
            }
            Deed::Unsubscribe { number } => {
                prop_assert_eq!(bench.queue.unsubscribe(&local(number)), model.unsubscribe(number));
            }
            Deed::Dispatch { budget } => {
                let (seen, outcome) = bench.dispatch_some(budget);
                prop_assert_eq!((seen, outcome.dropped), model.dispatch(budget));
            }
            Deed::Settle { which, how } => self.settle(which, how)?,
            Deed::Get => {
                model.enforce_if_idle();
                let first = model.first(None);
                prop_assert_eq!(bench.get(), first.map(|first| first.name));
                model.messages.retain(|message| Some(message.name) != first.map(|first| first.name));
                if first.is_some() {
                    model.enforce_if_idle();
                }
            }
            Deed::PageOut { bytes, keep, loose } => bench.page_out(bytes, keep, loose),
            Deed::Purge => {
                let ready = model.ready().count() as u64;
                prop_assert_eq!(bench.queue.purge(&mut bench.arena), ready);
                model.messages.retain(|message| message.holder.is_some());
            }
        }
        self.model.refresh();
        Ok(())
    }

    fn settle(&mut self, which: usize, how: Settlement) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        let held: Vec<_> =
            model.messages.iter().filter(|message| message.holder.is_some()).copied().collect();
        let Some(Message { name, position, holder: Some(holder), .. }) = held.get(which % held.len().max(1))
        else {
            return Ok(());
        };
        match bench.queue.settle(&local(*holder), Position(*position), how) {
            Left::Requeued => model.requeue(*name),
            Left::Acked(message) | Left::Rejected(message) => {
                bench.arena.release(message);
                model.messages.retain(|message| message.name != *name);
            }
            Left::NotHeld => prop_assert!(false, "{} is held", name),
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        prop_assert_eq!(bench.departed(), core::mem::take(&mut model.departed));
        let bytes: u64 = model.ready().map(|message| message.bytes).sum();
        prop_assert_eq!(bench.queue.ready(), model.ready().count() as u64);
        prop_assert_eq!(bench.queue.ready_bytes(), bytes);
        prop_assert_eq!(bench.queue.unacked(), (model.messages.len() - model.ready().count()) as u64);
        prop_assert_eq!(bench.arena.messages(), model.messages.len() as u64);
        // whatever came in is here, or was counted as it went
        let counts = bench.queue.counts();
        prop_assert_eq!(counts.published, model.positions);
        if model.settings.overflow != Overflow::RejectPublishDeadLetter {
            let gone = counts.acked + counts.rejected + counts.expired + counts.over_length;
            let gone = gone + counts.returned_too_often + counts.purged;
            prop_assert_eq!(counts.published - gone, model.messages.len() as u64);
        }
        prop_assert_eq!(bench.queue.message_deadline(), model.next_deadline());
        let wants = model.best().is_some() && model.first(None).is_some();
        prop_assert_eq!(bench.queue.wants_dispatch(), wants);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Any settings and deeds, with messages paged out at any time: the same deliveries, departures and
    /// deadlines, the same counts after each.
    #[test]
    fn a_queue_with_rules_does_what_lists_would_do(
        settings in settings(),
        deeds in prop::collection::vec(deed(), 1..120),
    ) {
        let model = Model {
            settings,
            now_ms: 1_000,
            messages: Vec::new(),
            departed: Vec::new(),
            peers: Vec::new(),
            active: None,
            names: 0,
            positions: 0,
            clock: 0,
        };
        let mut pair = Pair { bench: settings.queue(), model };
        for deed in deeds {
            pair.act(&deed)?;
            pair.check()?;
        }
    }
}
