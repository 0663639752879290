//! Exact accounting of one producer's messages on one queue.
//!
//! Invariants. *exact*: `received` = in order + late + duplicates; what was neither in order nor late at the
//! end is lost. *cheap*: a message that comes in order costs one comparison; memory grows with gaps only.

use std::collections::BTreeMap;

/// What went wrong, summed over queues and producers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Never arrived whole.
    pub(super) lost: u64,
    /// Arrived again.
    pub(super) duplicated: u64,
    /// Arrived after a later one of the same producer on the same queue.
    pub(super) reordered: u64,
    /// Arrived with other bytes, or on a queue that it was not sent to.
    pub(super) damaged: u64,
    /// Refused, never confirmed, or confirmed twice (publishes in confirm mode only).
    pub(super) unconfirmed: u64,
    /// Still in a queue after all had been received.
    pub(super) left_over: u64,
}

impl Faults {
    /// The counts with their names, for people and for JSON.
    pub(super) fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("damaged", self.damaged),
            ("unconfirmed", self.unconfirmed),
            ("left over", self.left_over),
        ]
    }

    /// True if anything went wrong.
    pub(super) fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Adds what went wrong elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.unconfirmed += other.unconfirmed;
        self.left_over += other.left_over;
    }
}

/// What arrived of one producer on one queue.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The sequence after the highest that arrived.
    next: u64,
    /// Ranges below `next` that did not arrive: first → one past the last. They never touch.
    missing: BTreeMap<u64, u64>,
    duplicated: u64,
    reordered: u64,
    damaged: u64,
}

impl Ledger {
    /// A message arrived. True if for the first time. hot.
    pub(super) fn arrived(&mut self, sequence: u64) -> bool {
        if sequence == self.next {
            self.next += 1;
            return true;
        }
        self.arrived_out_of_turn(sequence)
    }

    /// A message arrived that does not prove itself.
    pub(super) fn arrived_damaged(&mut self) {
        self.damaged += 1;
    }

    /// The account, given how many messages were sent.
    pub(super) fn close(&self, sent: u64) -> Faults {
        let gaps: u64 = self.missing.iter().map(|(from, to)| to - from).sum();
        Faults {
            lost: gaps + sent.saturating_sub(self.next),
            // a sequence that was never sent cannot prove itself except by damage
            damaged: self.damaged + self.next.saturating_sub(sent),
            duplicated: self.duplicated,
            reordered: self.reordered,
            ..Faults::default()
        }
    }

    #[cold]
    fn arrived_out_of_turn(&mut self, sequence: u64) -> bool {
        if sequence > self.next {
            self.missing.insert(self.next, sequence);
            self.next = sequence + 1;
            return true;
        }
        let gap = self.missing.range(..=sequence).next_back().map(|(from, to)| (*from, *to));
        match gap {
            Some((from, to)) if sequence < to => {
                self.missing.remove(&from);
                if from < sequence {
                    self.missing.insert(from, sequence);
                }
                if sequence + 1 < to {
                    self.missing.insert(sequence + 1, to);
                }
                self.reordered += 1;
                true
            }
            _ => {
                self.duplicated += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(arrivals: &[u64], sent: u64) -> Faults {
        let mut ledger = Ledger::default();
        for sequence in arrivals {
            ledger.arrived(*sequence);
        }
        ledger.close(sent)
    }

    #[test]
    fn what_comes_once_and_in_order_is_without_fault() {
        assert!(!account(&[0, 1, 2, 3], 4).any());
        assert!(!account(&[], 0).any());
    }

    #[test]
    fn gaps_and_a_missing_tail_are_lost() {
        assert_eq!(account(&[0, 3, 4], 7), Faults { lost: 4, ..Faults::default() });
    }

    #[test]
    fn a_late_message_is_reordered_and_not_lost() {
        assert_eq!(account(&[0, 4, 2, 1, 3], 5), Faults { reordered: 3, ..Faults::default() });
    }

    #[test]
    fn a_second_copy_is_a_duplicate_whether_early_or_late() {
        assert_eq!(
            account(&[0, 0, 1, 3, 2, 2, 0], 4),
            Faults { duplicated: 3, reordered: 1, ..Faults::default() }
        );
    }

    #[test]
    fn a_sequence_that_was_never_sent_counts_as_damage() {
        assert_eq!(account(&[0, 1, 2], 2), Faults { damaged: 1, ..Faults::default() });
    }

    /// Every permutation with a loss and a copy, against a naive count.
    #[test]
    fn accounts_agree_with_a_naive_count() {
        let mut state = 1_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..500 {
            let sent = 1 + random(20);
            let arrivals: Vec<u64> = (0..random(40)).map(|_| random(sent)).collect();
            let (mut seen, mut naive, mut highest) = (vec![false; sent as usize], Faults::default(), None);
            for &sequence in &arrivals {
                if seen[sequence as usize] {
                    naive.duplicated += 1;
                } else if highest.is_some_and(|highest| sequence < highest) {
                    naive.reordered += 1;
                }
                seen[sequence as usize] = true;
                highest = highest.max(Some(sequence));
            }
            naive.lost = seen.iter().filter(|seen| !**seen).count() as u64;
            assert_eq!(account(&arrivals, sent), naive, "{arrivals:?} of {sent}");
        }
    }
}
