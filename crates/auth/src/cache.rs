//! Passwords that were right a moment ago, so that a reconnect storm costs a MAC each instead of a hash.
//!
//! Invariants: only a password that a hash verified enters; what is kept is its MAC under a key of this process, which
//! says nothing to whoever reads it; a hit does not prolong the time; entries go in the order they came.

use alloc::collections::{BTreeMap, VecDeque, btree_map};
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use leveret_model::{Instant, limits};
use sha2::Sha256;

use crate::password::Password;

/// The MAC of a user, its credential's generation, and a password.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry([u8; 32]);

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(..)")
    }
}

pub(crate) struct Cache {
    key: [u8; 32],
    until: BTreeMap<Entry, Instant>,
    /// The same entries, oldest first; all live equally long, so the first ends first.
    order: VecDeque<(Entry, Instant)>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} entries)", self.until.len())
    }
}

impl Cache {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, until: BTreeMap::new(), order: VecDeque::new() }
    }

    /// A changed password raises the generation, and no entry of the old one is found again.
    pub(crate) fn entry(&self, user: &str, generation: u64, password: &Password) -> Entry {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key)
            .expect("HMAC takes keys of any length (RFC 2104 §3)");
        mac.update(&generation.to_le_bytes());
        mac.update(&(user.len() as u32).to_le_bytes());
        mac.update(user.as_bytes());
        mac.update(password.bytes());
        Entry(mac.finalize().into_bytes().into())
    }

    pub(crate) fn contains(&self, entry: &Entry, now: Instant) -> bool {
        self.until.get(entry).is_some_and(|&until| now < until)
    }

    pub(crate) fn insert(&mut self, entry: Entry, now: Instant) {
        while let Some(&(oldest, until)) = self.order.front()
            && (until <= now || self.until.len() >= limits::LOGIN_CACHE_ENTRIES_MAX)
        {
            self.order.pop_front();
            self.until.remove(&oldest);
        }
        // one that is there stays at its place: verified twice is not verified later
        if let btree_map::Entry::Vacant(place) = self.until.entry(entry) {
            let until = now + limits::LOGIN_CACHE_TIME;
            place.insert(until);
            self.order.push_back((entry, until));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use core::time::Duration;

    use super::*;

    #[test]
    fn an_entry_lives_its_time_and_no_longer_however_often_it_is_used() {
        let mut cache = Cache::new([1; 32]);
        let entry = cache.entry("guest", 0, &Password::new(b"guest"));
        cache.insert(entry, Instant::ZERO);
        let nearly = Instant::ZERO + limits::LOGIN_CACHE_TIME - Duration::from_nanos(1);
        assert!(cache.contains(&entry, nearly));
        cache.insert(entry, nearly);
        assert!(!cache.contains(&entry, Instant::ZERO + limits::LOGIN_CACHE_TIME));
        cache.insert(entry, Instant::ZERO + limits::LOGIN_CACHE_TIME);
        assert!(cache.contains(&entry, Instant::ZERO + limits::LOGIN_CACHE_TIME));
    }

    #[test]
    fn user_generation_password_and_key_all_make_an_entry() {
        let cache = Cache::new([1; 32]);
        let entry = |user, generation, password: &str| {
            cache.entry(user, generation, &Password::new(password.as_bytes()))
        };
        let one = entry("ab", 0, "c");
        for other in [entry("a", 0, "bc"), entry("ab", 1, "c"), entry("ab", 0, "d")] {
            assert!(one != other);
        }
        assert!(one != Cache::new([2; 32]).entry("ab", 0, &Password::new(b"c")));
    }

    #[test]
    fn at_the_bound_the_oldest_goes() {
        let mut cache = Cache::new([1; 32]);
        let entries: std::vec::Vec<_> = (0..=limits::LOGIN_CACHE_ENTRIES_MAX as u64)
            .map(|generation| cache.entry("guest", generation, &Password::new(b"guest")))
            .collect();
        for entry in &entries {
            cache.insert(*entry, Instant::ZERO);
        }
        assert_eq!(cache.until.len(), limits::LOGIN_CACHE_ENTRIES_MAX);
        assert_eq!(cache.order.len(), limits::LOGIN_CACHE_ENTRIES_MAX);
        assert!(!cache.contains(&entries[0], Instant::ZERO) && cache.contains(&entries[1], Instant::ZERO));
    }

    #[test]
    fn the_key_and_the_entries_are_not_shown() {
        let cache = Cache::new([0x5a; 32]);
        let entry = cache.entry("guest", 0, &Password::new(b"guest"));
        assert_eq!(format!("{cache:?} {entry:?}"), "Cache(0 entries) Entry(..)");
    }
}
