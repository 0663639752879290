//! Two states of one life become one after a cut (S8): per attribute the later change wins.
//!
//! A removal counts as a change. A name that one side has and the other lacks was removed there, if the other
//! side has forgotten removals that late: what a user was told to be removed never comes back. Of two changes
//! with the same stamp, which only two homes of the same epoch can make, the greater bytes win, so that both
//! orders of joining give the same.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::attributes::{Attribute, AttributeList, Attributes, Changed, Removed};

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The other side knew nothing more.
    pub(crate) is_ours: bool,
    /// This side knew nothing more.
    pub(crate) is_theirs: bool,
    /// All of both; what differed has the new stamp.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<'a> {
    changed: Changed,
    /// `None`: removed.
    value: Option<&'a [u8]>,
}

/// What a side says of each name that it knows.
fn entries(side: Attributes<'_>) -> BTreeMap<&[u8], Entry<'_>> {
    let removed = side.removed().map(|Removed { name, changed }| (name, Entry { changed, value: None }));
    let alive = side.all().map(|attribute| {
        let Attribute { name, changed, value } = attribute;
        (name, Entry { changed, value: Some(value) })
    });
    removed.chain(alive).collect()
}

/// Joins them; `stamp` is higher than all of both sides.
pub(crate) fn merge(ours: Attributes<'_>, theirs: Attributes<'_>, stamp: Changed) -> Merged {
    let (one, other) = (entries(ours), entries(theirs));
    let alive = ours.all().chain(theirs.all()).map(|attribute| attribute.name);
    let removed = ours.removed().chain(theirs.removed()).map(|removed| removed.name);
    let mut seen = BTreeSet::new();
    let names: Vec<&[u8]> = alive.chain(removed).filter(|name| seen.insert(*name)).collect();
    let forgotten = ours.forgotten().max(theirs.forgotten());
    let (mut is_ours, mut is_theirs) = (forgotten == ours.forgotten(), forgotten == theirs.forgotten());
    let mut list = AttributeList { forgotten, ..AttributeList::default() };
    for name in names {
        // a name that a side does not know was removed before that side can remember
        let unknown = |side: Attributes<'_>| Entry { changed: side.forgotten(), value: None };
        let a = one.get(name).copied().unwrap_or_else(|| unknown(ours));
        let b = other.get(name).copied().unwrap_or_else(|| unknown(theirs));
        let winner = a.max(b);
        // the same value under two stamps is no difference that somebody could see
        is_ours &= a == winner || a.value == winner.value && a.value.is_none();
        is_theirs &= b == winner || b.value == winner.value && b.value.is_none();
        let changed = if a == b { winner.changed } else { stamp };
        match winner.value {
            Some(value) => list.alive.push(Attribute { name, changed, value }),
            None => list.removed.push(Removed { name, changed }),
        }
    }
    Merged { is_ours, is_theirs, bytes: list.encode() }
}
