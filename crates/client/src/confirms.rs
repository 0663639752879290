//! Which publishes of a channel wait for their answer (RabbitMQ: publisher confirms).

use alloc::collections::BTreeSet;

/// Publish numbers, from 1 on since `confirm.select`.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    last: u64,
    open: BTreeSet<u64>,
}

impl Confirms {
    /// Counts one publish.
    pub(crate) fn publish(&mut self) -> u64 {
        self.last += 1;
        self.open.insert(self.last);
        self.last
    }

    /// Takes an answer: the numbers that it settles, in order; `None` if it settles nothing that is open. With
    /// `multiple`, all up to `number` (0: all there are).
    pub(crate) fn settle(&mut self, number: u64, multiple: bool) -> Option<BTreeSet<u64>> {
        let settled = match (multiple, number) {
            (true, 0) => core::mem::take(&mut self.open),
            (true, _) => {
                let later = self.open.split_off(&(number + 1));
                core::mem::replace(&mut self.open, later)
            }
            (false, _) => self.open.take(&number).into_iter().collect(),
        };
        (!settled.is_empty()).then_some(settled)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_multiple_answer_settles_all_up_to_it_and_no_other() {
        let mut confirms = Confirms::default();
        let numbers: Vec<u64> = (0..6).map(|_| confirms.publish()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(confirms.settle(2, false), Some(BTreeSet::from([2])));
        assert_eq!(confirms.settle(4, true), Some(BTreeSet::from([1, 3, 4])));
        assert_eq!(confirms.settle(0, true), Some(BTreeSet::from([5, 6])));
    }

    #[test]
    fn an_answer_to_nothing_is_told() {
        let mut confirms = Confirms::default();
        assert_eq!(confirms.settle(1, false), None);
        confirms.publish();
        assert!(confirms.settle(1, false).is_some());
        assert_eq!(confirms.settle(1, false), None, "a second answer");
        assert_eq!(confirms.settle(1, true), None);
    }
}
