//! What a client knows of two durable queues across crashes: what must be in them, what may be, and what must
//! not come back.
//!
//! Every third message goes to both queues, through an exchange, and is stored once. A message's body follows
//! from its number.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const BURROW: &str = "burrow";
pub(crate) const WARREN: &str = "warren";
pub(crate) const QUEUES: [&str; 2] = [BURROW, WARREN];

/// A message, by the order of publishing.
pub(crate) type Number = u32;

/// Whether it goes to both queues.
pub(crate) fn goes_to_both(number: Number) -> bool {
    number.is_multiple_of(3)
}

/// Some are larger than a write of the log's usual batch, most are small.
pub(crate) fn body(number: Number) -> Vec<u8> {
    let bytes = match number % 50 {
        7 => 60_000,
        0..10 => 3_000,
        _ => 200 + number as usize % 800,
    };
    let mut body: Vec<u8> = (0..bytes).map(|at| (number as usize * 31 + at * 7) as u8).collect();
    body[..4].copy_from_slice(&number.to_be_bytes());
    body
}

/// One queue's.
#[derive(Debug, Default)]
struct Queue {
    /// Seen after the last crash, or confirmed since: to be seen after the next one.
    stored: BTreeSet<Number>,
    /// Published since the last crash, and not confirmed.
    unconfirmed: BTreeSet<Number>,
    /// Acknowledged; a crash before the next sync gives them back. With the last number that was published
    /// before the acknowledgement.
    acked: BTreeMap<Number, Number>,
    /// Acknowledged and synced, or not there after a crash: never again.
    gone: BTreeSet<Number>,
}

/// Both queues'.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    queues: [Queue; 2],
    next: Number,
    pub(crate) confirmed: u64,
    pub(crate) acked: u64,
}

impl Ledger {
    /// Takes the next number: its publish is on its way.
    pub(crate) fn publish(&mut self) -> Number {
        let number = self.next;
        self.next += 1;
        for queue in self.of_mut(number) {
            queue.unconfirmed.insert(number);
        }
        number
    }

    fn of_mut(&mut self, number: Number) -> impl Iterator<Item = &mut Queue> {
        self.queues.iter_mut().take(if goes_to_both(number) { 2 } else { 1 })
    }

    /// A confirm covers the acknowledgements that went before its message on the same channel.
    pub(crate) fn confirm(&mut self, number: Number) {
        self.confirmed += 1;
        for queue in self.of_mut(number) {
            queue.unconfirmed.remove(&number);
            queue.stored.insert(number);
            let later = queue.acked.clone().into_iter().filter(|(_, before)| *before >= number).collect();
            let synced = std::mem::replace(&mut queue.acked, later);
            queue
                .gone
                .extend(synced.into_iter().filter(|(_, before)| *before < number).map(|(acked, _)| acked));
        }
    }

    /// An acknowledgement is on its way.
    pub(crate) fn ack(&mut self, queue: usize, number: Number) {
        self.acked += 1;
        let last = self.next.checked_sub(1).expect("it was published");
        self.queues[queue].stored.remove(&number);
        self.queues[queue].acked.insert(number, last);
    }

    /// Compares with what is in a queue after a crash, in its order, and goes on from there.
    ///
    /// # Errors
    /// What was lost, came back, came twice or out of order.
    pub(crate) fn check(&mut self, at: usize, found: &[Number]) -> Result<(), String> {
        let name = QUEUES[at];
        if !found.is_sorted_by(|one, next| one < next) {
            return Err(format!("{name}: twice, or out of order: {found:?}"));
        }
        let found: BTreeSet<Number> = found.iter().copied().collect();
        let queue = &mut self.queues[at];
        let lost: Vec<&Number> = queue.stored.difference(&found).collect();
        if !lost.is_empty() {
            return Err(format!("{name}: confirmed and lost: {lost:?}"));
        }
        let back: Vec<&Number> = queue.gone.intersection(&found).collect();
        if !back.is_empty() {
            return Err(format!("{name}: acknowledged or lost before, and back: {back:?}"));
        }
        let never = found.iter().find(|number| {
            let is = |set: &BTreeSet<Number>| set.contains(number);
            !is(&queue.stored) && !is(&queue.unconfirmed) && !queue.acked.contains_key(number)
        });
        if let Some(number) = never {
            return Err(format!("{name}: {number} was never published there"));
        }
        // what was not there after a start that read everything must not turn up later
        let acked = std::mem::take(&mut queue.acked).into_keys();
        let open = acked.chain(std::mem::take(&mut queue.unconfirmed));
        queue.gone.extend(open.filter(|number| !found.contains(number)));
        queue.stored = found;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers 0 to 3 published, 0 confirmed and acknowledged in `burrow`, then 1 confirmed.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.publish(), 0);
        ledger.confirm(0);
        ledger.ack(0, 0);
        assert_eq!([ledger.publish(), ledger.publish(), ledger.publish()], [1, 2, 3]);
        ledger.confirm(1);
        ledger
    }

    #[test]
    fn what_may_be_there_is_accepted() {
        for found in [&[1][..], &[1, 2], &[1, 3], &[1, 2, 3]] {
            assert_eq!(ledger().check(0, found), Ok(()));
        }
        assert_eq!(ledger().check(1, &[0]), Ok(()));
        assert_eq!(ledger().check(1, &[0, 3]), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong: [(usize, &[Number], &str); 7] = [
            (0, &[2, 3], "confirmed and lost: [1]"),
            (1, &[], "confirmed and lost: [0]"),
            (0, &[0, 1], "and back: [0]"),
            (0, &[1, 3, 2], "out of order"),
            (0, &[1, 1], "twice"),
            (0, &[1, 9], "9 was never published"),
            (1, &[0, 1], "1 was never published"),
        ];
        for (queue, found, what) in wrong {
            let error = ledger().check(queue, found).expect_err("it is wrong");
            assert!(error.contains(what), "{error}");
        }
        let mut ledger = ledger();
        ledger.check(0, &[1, 3]).expect("that may be");
        assert!(ledger.check(0, &[1, 2, 3]).expect_err("2 was lost once").contains("and back: [2]"));
        assert!(ledger.check(0, &[1]).expect_err("3 was there once").contains("lost: [3]"));
    }

    #[test]
    fn an_acknowledgement_that_no_confirm_covers_may_be_undone() {
        for found in [&[1][..], &[]] {
            let mut ledger = ledger();
            ledger.check(0, &[1]).expect("that may be");
            ledger.ack(0, 1);
            assert_eq!(ledger.check(0, found), Ok(()));
        }
    }
}
