//! Duplicates that a queue drops (LavinMQ: `x-message-deduplication`): a message whose deduplication header has
//! a value that came lately.
//!
//! Only messages under rules come here (`AtHome::append_ruled`), and a queue that deduplicates has all of its
//! messages under rules. Invariants: `seen` and `order` have the same keys, `limits` bound their number for one
//! queue and for the shard; a key is remembered when its message was appended, not when that was refused.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::hash::BuildHasher;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::settings::Deduplication;
use leveret_model::{Instant, RoutingKey, Seed, limits};
use leveret_wire::{ContentHeader, FieldValue};

/// A value of the deduplication header: two hashes of 64 bits under different seeds, so that a long value takes
/// no more room than a short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DuplicateKey(u64, u64);

/// Entries of all queues of a shard.
#[derive(Clone, Debug, Default)]
pub(in crate::queues) struct RememberedEntries(Arc<AtomicUsize>);

/// What one queue remembers.
#[derive(Debug)]
pub(super) struct Duplicates {
    header: RoutingKey,
    most: usize,
    ttl: Option<Duration>,
    hashes: [FixedState; 2],
    /// Until when each counts.
    seen: HashMap<DuplicateKey, Instant, FixedState>,
    /// The same keys, the oldest first.
    order: VecDeque<DuplicateKey>,
    /// The shard's count, once this queue has its part of it.
    all: RememberedEntries,
}

/// A message's key, and how long it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    key: DuplicateKey,
    until: Instant,
}

impl Duplicates {
    /// `None` for a queue that takes every message.
    pub(super) fn of(settings: &Deduplication, seed: Seed) -> Option<Box<Self>> {
        settings.on.then(|| {
            let state = |part: u64| FixedState::with_seed(seed.part(part).0);
            Box::new(Self {
                header: settings.header.clone().unwrap_or_else(|| RoutingKey::new(Deduplication::HEADER)),
                most: settings.cache_size.unwrap_or(Deduplication::CACHE_SIZE),
                ttl: settings.cache_ttl,
                hashes: [state(11), state(12)],
                seen: HashMap::with_hasher(state(13)),
                order: VecDeque::new(),
                all: RememberedEntries::default(),
            })
        })
    }

    /// What to look for of a message with this content header. Strings and integers are values; a message
    /// without one is never a duplicate.
    pub(super) fn candidate(&self, header: &[u8], now: Instant) -> Option<Candidate> {
        let headers = ContentHeader::decode(header).ok()?.properties.headers()?;
        let value = headers.get(&self.header)?;
        let number = value.as_integer().map(i64::to_be_bytes);
        let (kind, bytes) = match (&number, &value) {
            (Some(number), _) => (b'l', &number[..]),
            (None, FieldValue::LongString(text) | FieldValue::Bytes(text)) => (b'S', *text),
            (None, _) => return None,
        };
        let hash = |state: &FixedState| state.hash_one((kind, bytes));
        let [first, second] = &self.hashes;
        // a message may say how long its own value counts (LavinMQ: the header x-cache-ttl)
        let own = headers.get(b"x-cache-ttl").and_then(|ttl| u64::try_from(ttl.as_integer()?).ok());
        let ttl = own.map(Duration::from_millis).or(self.ttl);
        let until = ttl.map_or(Instant::FAR, |ttl| now + ttl);
        Some(Candidate { key: DuplicateKey(hash(first), hash(second)), until })
    }

    /// A message with this value came lately.
    pub(super) fn has(&self, candidate: Candidate, now: Instant) -> bool {
        self.seen.get(&candidate.key).is_some_and(|until| now < *until)
    }

    /// A message was appended.
    pub(super) fn remember(&mut self, candidate: Candidate, all: &RememberedEntries) {
        if self.seen.insert(candidate.key, candidate.until).is_some() {
            // its first time was over; its place in the order stays, so it goes a little early
            return;
        }
        if self.order.is_empty() {
            self.all = all.clone();
        }
        self.order.push_back(candidate.key);
        let in_shard = self.all.0.fetch_add(1, Ordering::Relaxed) + 1;
        if self.order.len() > self.most || in_shard > limits::DEDUPLICATION_ENTRIES_PER_SHARD_MAX {
            // the queue's own oldest: it is its publishers who come with so many
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
                self.all.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Duplicates {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.order.len(), Ordering::Relaxed);
    }
}
