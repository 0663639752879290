//! What happens next: by virtual time, and at one time by seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use leveret_model::{Instant, Seed, SplitMix};

/// From then on nothing fails any more.
pub(crate) const HEAL_AT: Duration = Duration::from_secs(50);

/// Choices by seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(SplitMix);

impl Dice {
    pub(crate) fn new(seed: Seed) -> Self {
        Self(SplitMix::new(seed))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn wide(&mut self) -> u128 {
        self.0.next_u128()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// True so many times out of a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.0.below(1000) < per_mille
    }

    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_nanos() as u64;
        from + Duration::from_nanos(self.0.below(span + 1))
    }

    pub(crate) fn micros(&mut self, from: u64, to: u64) -> Duration {
        self.between(Duration::from_micros(from), Duration::from_micros(to))
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        self.between(Duration::from_millis(from), Duration::from_millis(to))
    }

    /// One of them; `None` if there are none.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())])
    }
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    tie: u64,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie, self.number).cmp(&(other.at, other.tie, other.number))
    }
}

/// Events to come, and the clock of the world.
#[derive(Debug)]
pub(crate) struct Scheduler<E> {
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    heap: BinaryHeap<Reverse<Entry<E>>>,
    next: u64,
}

impl<E> Scheduler<E> {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { now: Instant::ZERO, dice: Dice::new(seed), heap: BinaryHeap::new(), next: 0 }
    }

    pub(crate) fn at(&mut self, at: Instant, event: E) {
        let (tie, number) = (self.dice.bits(), self.next);
        self.next += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), tie, number, event }));
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// The next event; the clock goes to it.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_ties_by_seed() {
        let order = |seed| {
            let mut scheduler = Scheduler::new(Seed(seed));
            for event in 0..20 {
                scheduler.at(Instant::from_nanos(event / 10), event);
            }
            std::iter::from_fn(move || scheduler.pop()).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert!(order(3)[..10].iter().all(|event| *event < 10));
    }
}
