//! What clients asked to delete or to purge, and what they were told: only a removal that may have happened
//! excuses a message that never came.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::{Instant, ReplyCode};

use crate::topology::Base;

/// An operation whose answer got lost may still happen for this long (`limits::OPERATION_WAIT`, and some
/// network).
pub(crate) const LATE: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The queue ends, with all that it has.
    Delete,
    /// What is ready leaves; what clients hold stays.
    Purge,
}

/// A deletion or a purge.
#[derive(Clone, Copy, Debug)]
struct Removal {
    kind: Kind,
    /// Until then it can have taken messages; `None` if it was refused.
    until: Option<Instant>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    of: BTreeMap<Base, Vec<Removal>>,
}

/// A removal that waits for its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RemovalNumber(usize);

impl Removals {
    /// A client asks. Unless an answer comes it may happen late.
    pub(crate) fn asked(&mut self, now: Instant, base: Base, kind: Kind) -> RemovalNumber {
        let all = self.of.entry(base).or_default();
        all.push(Removal { kind, until: Some(now + LATE) });
        RemovalNumber(all.len() - 1)
    }

    /// The client was told that it is done: what comes later is safe from it.
    pub(crate) fn done(&mut self, now: Instant, base: Base, number: RemovalNumber) {
        self.set(base, number, Some(now));
    }

    /// The client was told that it was not done.
    pub(crate) fn refused(&mut self, base: Base, number: RemovalNumber) {
        self.set(base, number, None);
    }

    fn set(&mut self, base: Base, number: RemovalNumber, until: Option<Instant>) {
        let removal = self.of.get_mut(&base).and_then(|all| all.get_mut(number.0));
        removal.into_iter().for_each(|removal| removal.until = until);
    }

    /// Did a client ask to delete the queue, and was it not refused?
    pub(crate) fn deletes(&self, base: Base) -> bool {
        self.any(base, |removal| removal.kind == Kind::Delete && removal.until.is_some())
    }

    /// May a deletion have taken what came into the queue at that time or later?
    pub(crate) fn deleted_since(&self, base: Base, since: Instant) -> bool {
        self.any(base, |removal| removal.kind == Kind::Delete && removal.until.is_some_and(|at| at >= since))
    }

    /// May a purge have taken what became ready at that time or later?
    pub(crate) fn purged_since(&self, base: Base, since: Instant) -> bool {
        self.any(base, |removal| removal.kind == Kind::Purge && removal.until.is_some_and(|at| at >= since))
    }

    fn any(&self, base: Base, of: impl Fn(&Removal) -> bool) -> bool {
        self.of.get(&base).is_some_and(|all| all.iter().any(of))
    }
}

/// A refusal that says that it was not done. Two do not: the node in charge gave no answer in time; or the
/// queue is not found, for its home may have done it before it went Down.
pub(crate) fn is_certain(code: u16, text: &[u8]) -> bool {
    code != ReplyCode::NotFound.code() && !String::from_utf8_lossy(text).contains("no answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_removal_that_may_have_happened_excuses() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let (base, mut removals) = (Base(7), Removals::default());
        let asked = removals.asked(at(1), base, Kind::Delete);
        assert!(removals.deleted_since(base, at(11)) && !removals.deleted_since(base, at(12)), "unanswered");
        removals.done(at(2), base, asked);
        assert!(removals.deleted_since(base, at(2)) && !removals.deleted_since(base, at(3)), "answered");
        removals.refused(base, asked);
        assert!(!removals.deleted_since(base, at(0)) && !removals.deletes(base), "refused");
        removals.asked(at(1), base, Kind::Purge);
        assert!(removals.purged_since(base, at(0)) && !removals.deleted_since(base, at(0)), "of its kind");
    }
}
